/**
 * The goal as a person writes it, in YAML or JSON: `Goal` without the duty to
 * mint an id, with short forms for the criteria, and forgiving about white space
 * around text.
 *
 * Every goal that `Goal` reads is also a goal file. This module reads values; where
 * they come from, and whether a pattern compiles, is checked elsewhere.
 */
import * as Either from "effect/Either"
import * as JSONSchema from "effect/JSONSchema"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import {
  type AcceptanceCriterion,
  Budget,
  Custom,
  FileMatches,
  Goal,
  GoalId,
  LlmJudge,
  Metadata,
  Shell
} from "./Goal.js"
import { type DecodeIssue, decodeStrict, expecting } from "./StrictDecode.js"
import { key, optional, withDefault } from "./Wire.js"

/** Text without the white space around it: a YAML block ends in a line break that nobody means. */
const Text = Schema.transform(
  Schema.String.annotations({ jsonSchema: { type: "string", pattern: "\\S" } }),
  Schema.NonEmptyTrimmedString,
  { strict: true, decode: (text) => text.trim(), encode: (text) => text }
).annotations(expecting("text that is not empty"))

const regexHelp = "RE2 syntax; (?i) ignores case, (?m) lets ^ and $ match at lines."

const shellOptions = {
  expectedExit: Shell.fields.expectedExit.annotations({
    description: "The exit code that passes, 0 to 255. Default 0."
  }),
  stdoutMustMatch: Shell.fields.stdoutMustMatch.annotations({
    description: `A regular expression that standard output must contain a match of. ${regexHelp}`
  }),
  timeout: Shell.fields.timeout.annotations({
    description: 'How long the command may take: "90 seconds", "1h 30m" or milliseconds. Default 5 minutes.'
  })
}
const command = "A command line for bash, run in the root of the worktree, without the agent's keys in its environment."

const ShellFile = Schema.Struct({
  _tag: Shell.fields._tag,
  command: key(Text, "command").annotations({ description: command }),
  ...shellOptions
}).annotations({ description: "Passes when a command ends as expected." })

const ShellShort = Schema.Struct({
  command: key(Text, "shell").annotations({ description: command }),
  ...shellOptions
})
  .annotations({ description: "Short form of shell_command: passes when a command ends as expected." })
  .pipe(Schema.attachPropertySignature("_tag", "Shell"))

const path = "A file, relative to the root of the worktree, which it may not leave."
const regex = `A regular expression that the file must contain a match of. ${regexHelp}`
const required = FileMatches.fields.required.annotations({
  description: "Whether a missing file fails the criterion. Default true."
})

const FileMatchesFile = Schema.Struct({
  _tag: FileMatches.fields._tag,
  path: key(FileMatches.fields.path, "path").annotations({ description: path }),
  regex: key(FileMatches.fields.regex, "regex").annotations({ description: regex }),
  required
}).annotations({ description: "Passes when a file contains a match." })

const FileMatchesShort = Schema.Struct({
  path: key(FileMatches.fields.path, "file").annotations({ description: path }),
  regex: key(FileMatches.fields.regex, "matches").annotations({ description: regex }),
  required
})
  .annotations({ description: "Short form of file_matches: passes when a file contains a match." })
  .pipe(Schema.attachPropertySignature("_tag", "FileMatches"))

const name = "A criterion by its registered name. Built in: no_paths_touched (args: prefixes) and git_clean."
const args = Custom.fields.args.annotations({
  description: "What the criterion wants to know, by name."
})

const CustomFile = Schema.Struct({
  _tag: Custom.fields._tag,
  name: key(Text, "name").annotations({ description: name }),
  args
}).annotations({ description: "Passes when a registered criterion says so." })

const CustomShort = Schema.Struct({
  name: key(Text, "custom").annotations({ description: name }),
  args
})
  .annotations({ description: "Short form of custom: passes when a registered criterion says so." })
  .pipe(Schema.attachPropertySignature("_tag", "Custom"))

const sentence = "What must be true of the change, in a sentence that a language model can check against the diff."

const LlmJudgeFile = Schema.Struct({
  _tag: LlmJudge.fields._tag,
  criterion: key(Text, "criterion").annotations({ description: sentence })
}).annotations({ description: "Passes when a language model says so. Fails when none is configured." })

const LlmJudgeShort = Schema.Struct({
  criterion: key(Text, "judge").annotations({ description: sentence })
})
  .annotations({ description: "Short form of llm_judge: passes when a language model says so." })
  .pipe(Schema.attachPropertySignature("_tag", "LlmJudge"))

/** A criterion with its `kind`, or in a short form that is told by its first key: `shell`, `file`, `judge`, `custom`. */
export const CriterionFile = Schema.Union(
  ShellFile,
  FileMatchesFile,
  CustomFile,
  LlmJudgeFile,
  ShellShort,
  FileMatchesShort,
  LlmJudgeShort,
  CustomShort
).annotations({
  description: "One thing that must hold for the goal to be done.",
  ...expecting('a criterion like { shell: "npm test" } or { file: README.md, matches: "(?i)usage" }')
})
export type CriterionFile = typeof CriterionFile.Type

const BudgetFile = Schema.Struct({
  maxTurns: Budget.fields.maxTurns.annotations({
    description: "Turns of work; compaction is not counted. At least 1. Default 20."
  }),
  maxWallTime: Budget.fields.maxWallTime.annotations({
    description: 'Active time: "30 minutes", "1h 30m" or milliseconds. Pauses and sleeps are free. Default 2 hours.'
  }),
  maxTokens: Budget.fields.maxTokens.annotations({
    description: "Tokens of all classes: input, output, cache reads and cache writes. Default 5,000,000."
  }),
  maxCostUsd: Budget.fields.maxCostUsd.annotations({
    description: "US dollars, as the agent reports them. Without it cost is not limited."
  }),
  maxConsecutiveDenies: Budget.fields.maxConsecutiveDenies.annotations({
    description: "Denied tool calls in a row. 0 switches the limit off. Default 10."
  }),
  maxConsecutiveErrors: Budget.fields.maxConsecutiveErrors.annotations({
    description: "Errors in a row that cost a fresh session. 0 switches the limit off. Default 5."
  }),
  maxConsecutivePromptTooLong: Budget.fields.maxConsecutivePromptTooLong.annotations({
    description: "Prompts in a row that were too long. 0 switches the limit off. Default 2."
  })
}).annotations({ description: "What the goal may use. It ends when any of these is used up." })

/** Decode it with `decodeGoalFile`, which knows how to complain; make a `Goal` of it with `goalOf`. */
export const GoalFile = Schema.Struct({
  id: optional(GoalId, "id").annotations({
    description: "A UUID in lower case that names the goal. Made when absent; give one to go on with an earlier run."
  }),
  description: key(Text, "description").annotations({
    description: "What to do, in the words that the agent gets."
  }),
  acceptance: withDefault(Schema.Array(CriterionFile), "acceptance", () => []).annotations({
    description: "All must hold before the goal counts as done. With none the agent's word is taken for it."
  }),
  budget: optional(BudgetFile, "budget").annotations({
    description: "What the goal may use. It ends when any of these is used up."
  }),
  workspace: Goal.fields.workspace.annotations({
    description: "Without git: the directory to work in, below the configured root. Default: named after the goal."
  }),
  agent: optional(Text, "agent").annotations({
    description: "Which agent does the work: claude-code, stub, … Default: the configured one."
  }),
  metadata: optional(Metadata, "metadata").annotations({
    description:
      "Anything else. Known keys: agent_id, origin_channel, dispatcher, worktree.source_repo (a repository to work on)."
  })
}).annotations({
  title: "Goal",
  description: "A goal for driver: what to make true, how we will know, what it may cost."
})
export type GoalFile = typeof GoalFile.Type

/** Reads a parsed YAML or JSON document. Left: everything that is wrong with it. */
export const decodeGoalFile: (input: unknown) => Either.Either<GoalFile, ReadonlyArray<DecodeIssue>> =
  decodeStrict(GoalFile)

/** Everything that is wrong with a parsed document; empty when it is a goal file. */
export const goalFileIssues = (input: unknown): ReadonlyArray<DecodeIssue> =>
  Either.match(decodeGoalFile(input), { onLeft: (issues) => issues, onRight: () => [] })

/** The goal that a file describes. `minted` is its id when the file has none. */
export const goalOf = (file: GoalFile, minted: GoalId): Goal =>
  new Goal({
    id: Option.getOrElse(file.id, () => minted),
    description: file.description,
    acceptance: file.acceptance.map(criterionOf),
    budget: Option.match(file.budget, { onNone: () => Budget.defaults, onSome: (budget) => new Budget(budget) }),
    workspace: file.workspace,
    agent: file.agent,
    metadata: Option.getOrElse(file.metadata, () => ({}))
  })

const criterionOf = (file: CriterionFile): AcceptanceCriterion => {
  switch (file._tag) {
    case "Shell":
      return new Shell(file)
    case "FileMatches":
      return new FileMatches(file)
    case "Custom":
      return new Custom(file)
    case "LlmJudge":
      return new LlmJudge(file)
  }
}

/** JSON Schema (draft 7) of a goal file, for editors: `driver schema goal`. */
export const goalFileJsonSchema = (): JSONSchema.JsonSchema7Root => JSONSchema.make(GoalFile)
