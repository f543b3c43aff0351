/** Colours and marks, as the terminal and its user want them. Pure. */
import type { Line, Tone } from "./Render.js"

export interface Theme {
  readonly color: boolean
  /** Whether marks beyond ASCII may be used. */
  readonly unicode: boolean
}

/** `NO_COLOR` (any value but empty) and `TERM=dumb` switch colours off; a locale that is not UTF-8 the marks. */
export const themeOf = (environment: Readonly<Record<string, string>>, isTerminal: boolean): Theme => {
  const locale = environment["LC_ALL"] || environment["LC_CTYPE"] || environment["LANG"] || ""
  return {
    color: isTerminal && (environment["NO_COLOR"] ?? "") === "" && environment["TERM"] !== "dumb",
    // No locale at all is the rule in containers and CI, where UTF-8 is read all the same.
    unicode: locale === "" || /utf-?8/i.test(locale)
  }
}

const colors: { readonly [T in Tone]: string } = {
  title: "1",
  good: "32",
  bad: "31",
  warn: "33",
  faint: "2",
  plain: ""
}

export const paint = (theme: Theme, tone: Tone, text: string): string =>
  theme.color && colors[tone] !== "" ? `\x1b[${colors[tone]}m${text}\x1b[0m` : text

export const marks = (theme: Theme) =>
  theme.unicode
    ? {
        ok: "✓",
        failed: "✗",
        warn: "!",
        waiting: "·",
        dot: "·",
        ellipsis: "…",
        spinner: ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]
      }
    : { ok: "+", failed: "x", warn: "!", waiting: "-", dot: "-", ellipsis: "...", spinner: ["|", "/", "-", "\\"] }

/** The text of a line, indented, with its marks, without colours. */
export const plainText = (theme: Theme, line: Line): string => {
  const { dot, ellipsis, ...mark } = marks(theme)
  const text = theme.unicode ? line.text : line.text.replaceAll(" · ", ` ${dot} `).replaceAll("…", ellipsis)
  return `${"  ".repeat(line.indent)}${line.mark === undefined ? "" : `${mark[line.mark]} `}${text}`
}
