/**
 * What a model is told of the place that it works in, within fixed limits. Pure.
 *
 * The texts come from files and from whoever registered the mounts: they are
 * information, and whoever puts this into a prompt says so.
 */
import * as Option from "effect/Option"
import type { Mount } from "./ExecEnv.js"
import type { Project } from "./Registry.js"

/** In characters, which are Unicode code points here. */
export const contextLimits = { all: 6_000, instructions: 2_000, summaryLine: 200 } as const

const cutMark = "…"
const contextCutMark = "\n… (the rest was cut)"

/** The beginning of the text that has at most so many characters, the mark included when something was cut. */
export const cutText = (text: string, limit: number, mark = cutMark): string => {
  // No text has more characters than UTF-16 units.
  if (text.length <= limit) return text
  const characters = [...text]
  if (characters.length <= limit) return text
  const end = [...mark].slice(0, limit)
  return [...characters.slice(0, limit - end.length), ...end].join("")
}

/** The first mount in full, the others in one line, then the project's instructions. Empty when there is nothing to say. */
export const renderContext = (mounts: ReadonlyArray<Mount>, project: Option.Option<Project>): string => {
  const places =
    mounts.length === 0 ? [] : ["### Active mounts", ...mounts.map((it, index) => mountText(it, index === 0))]
  const instructions = Option.match(project, {
    onNone: () => [],
    onSome: ({ instructions, name }) =>
      instructions.trim() === ""
        ? []
        : [`### Project instructions: ${oneLine(name)}`, cutText(instructions.trim(), contextLimits.instructions)]
  })
  const parts = [places, instructions].filter((lines) => lines.length > 0).map((lines) => lines.join("\n"))
  return cutText(parts.join("\n\n"), contextLimits.all, contextCutMark)
}

const mountText = ({ name, path, summary }: Mount, isPrimary: boolean): string => {
  const text = Option.getOrElse(summary, () => "").trim()
  const head = `- ${isPrimary ? `**${oneLine(name)}**` : oneLine(name)} → ${oneLine(path)}`
  if (text === "") return head
  return isPrimary
    ? [head, ...text.split(/\r\n|[\n\r\u2028\u2029]/).map((line) => `  ${line}`.trimEnd())].join("\n")
    : `${head}: ${cutText(oneLine(text), contextLimits.summaryLine)}`
}

const oneLine = (text: string): string => text.replace(/[\s\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").trim()
