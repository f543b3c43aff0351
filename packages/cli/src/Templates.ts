/** The files that `driver init` writes. Pure; the configuration's text is made of the schema's own descriptions. */
import * as Option from "effect/Option"
import { type KeyDoc, keyDocs } from "./Config.js"
import type { Proposal } from "./RepositoryKind.js"

const wrapAt = 100

/** Comment lines of at most `wrapAt` characters, led by `##`. */
const comment = (indent: string, text: string): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let current = ""
  for (const word of text.split(" ")) {
    if (current !== "" && `${indent}## ${current} ${word}`.length > wrapAt) {
      lines.push(current)
      current = word
    } else current = current === "" ? word : `${current} ${word}`
  }
  return [...lines, current].map((it) => `${indent}## ${it}`)
}

const keyLines = (doc: KeyDoc): ReadonlyArray<string> =>
  doc.children.length === 0
    ? [...comment("", describe(doc)), `# ${doc.name}: ${Option.getOrElse(doc.shown, () => "")}`, ""]
    : [
        ...comment("", doc.description),
        `# ${doc.name}:`,
        ...doc.children.flatMap((child) => [
          ...comment("  ", describe(child)),
          `#   ${child.name}: ${Option.getOrElse(child.shown, () => "")}`
        ]),
        ""
      ]

const describe = (doc: KeyDoc): string =>
  doc.isExample && !/Default:/.test(doc.description) ? `${doc.description} (An example.)` : doc.description

/** `driver.yaml` with every key explained and none set: lines with one `#` are settings, those with two are comments. */
export const configText = (): string =>
  [
    "## The configuration of driver. Every key is optional: what is commented out below is the default,",
    "## or an example where it says so. Take the `# ` away from a key, and from the section it is in, to set it.",
    "## Paths are relative to this file. ${VAR} and ${VAR:-default} are replaced by environment variables.",
    "## For completion in editors: driver schema config > driver.schema.json",
    "",
    ...keyDocs.flatMap(keyLines)
  ].join("\n")

const quoted = (text: string): string => JSON.stringify(text)

/** A goal that is valid as it stands, with the criteria that fit this repository. */
export const goalText = (proposal: Proposal): string => {
  const known = proposal.criteria.length > 0
  return [
    "# A goal for driver. Check it with `driver lint goals/example.yaml`, then `driver run goals/example.yaml`.",
    "",
    "# What to do, in the words that the agent gets. Say what is to be true in the end, not how to get there.",
    ...(known
      ? [
          "description: |",
          "  Replace this text: say what you want made, changed or mended, and what must stay as it is.",
          "  All tests must pass, and what you add must be covered by tests of its own."
        ]
      : ["description: Create hello.txt with a greeting"]),
    "",
    "# All of these must hold before the goal counts as done; the agent's word does not. They run in the goal's own",
    "# worktree: a fresh checkout, without what git ignores.",
    "acceptance:",
    ...(known
      ? proposal.criteria.flatMap(({ command, reason }) => [`  # ${reason}`, `  - shell: ${quoted(command)}`])
      : [
          "  # passes when the command exits with 0",
          '  - shell: "test -s hello.txt"',
          "  # passes when the file contains a match; (?i) ignores case",
          '  - { file: hello.txt, matches: "(?i)hello" }'
        ]),
    ...(known
      ? [
          "  # A criterion that the work of today does not pass yet is what drives the agent. Add yours:",
          '  # - shell: "grep -q retry src/client.ts"',
          '  # - { file: README.md, matches: "(?i)usage" }',
          "  # - custom: no_paths_touched",
          "  #   args: { prefixes: [migrations/] }"
        ]
      : []),
    "",
    '# The goal ends when any of these is used up. Durations: "30 minutes", "1h 30m".',
    "budget:",
    "  max_turns: 10",
    "  max_wall_time: 1 hour",
    "  max_tokens: 2000000",
    "  # max_cost_usd: 5",
    ""
  ].join("\n")
}
