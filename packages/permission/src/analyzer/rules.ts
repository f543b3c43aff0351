/** What data cannot say about programs: functions that entries of the table refer to by name. */
import type { Parsed } from "./arguments.js"
import type { Call, Outcome } from "./Call.js"
import type { Program } from "./ProgramEntry.js"
import * as files from "./rules/files.js"
import * as find from "./rules/find.js"
import * as git from "./rules/git.js"
import * as interpreters from "./rules/interpreters.js"
import * as media from "./rules/media.js"
import * as project from "./rules/project.js"
import * as text from "./rules/text.js"
import * as tools from "./rules/tools.js"
import * as workshop from "./rules/workshop.js"

/** Called after options and operands were judged by the entry; what it answers comes instead of the entry's outcome. */
export type Rule = (call: Call, parsed: Parsed, program: Program) => Outcome | undefined

export const rules: Readonly<Record<string, Rule>> = {
  ...files.rules,
  ...find.rules,
  ...git.rules,
  ...interpreters.rules,
  ...project.rules,
  ...text.rules,
  ...tools.rules,
  ...media.rules,
  ...workshop.rules
}
