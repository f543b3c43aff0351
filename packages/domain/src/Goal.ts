/**
 * What is to be made true, how we will know, and what it may cost.
 *
 * A `Goal` is a value: it is written by a person's goal file or by the intent
 * path, and read by the goal loop. A changed goal is a new goal.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { expecting } from "./StrictDecode.js"
import { OpenRecord, optional, tag, WireDuration, withDefault } from "./Wire.js"

const goalIdPhrase = "a UUID in lower case that is not the nil UUID"
const nilUuid = "00000000-0000-0000-0000-000000000000"

/** A UUID in lower case, never nil. Minted by whoever submits the goal; `driver run` makes one when the file has none. */
export const GoalId = Schema.UUID.pipe(
  // Upper case would make two ids, two branches and two directories of one goal.
  Schema.filter((id) => (id !== nilUuid && id === id.toLowerCase()) || `expected ${goalIdPhrase}, got ${id}`),
  Schema.brand("@driver/GoalId")
).annotations({
  identifier: "GoalId",
  jsonSchema: { type: "string", format: "uuid", pattern: "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" },
  ...expecting(goalIdPhrase)
})
export type GoalId = typeof GoalId.Type

/** A command line for `bash -c`, run in the workspace's root. Passes when the exit code and the output are as expected. */
export class Shell extends Schema.Class<Shell>("Shell")({
  _tag: tag("Shell", "shell_command"),
  command: Schema.NonEmptyTrimmedString,
  /** 0 to 255. */
  expectedExit: withDefault(Schema.Int.pipe(Schema.between(0, 255)), "expected_exit", () => 0),
  /** RE2 syntax, searched anywhere in standard output. */
  stdoutMustMatch: optional(Schema.String, "stdout_must_match"),
  /** Wall clock. Absent: the evaluator's default. */
  timeout: optional(WireDuration, "timeout")
}) {}

/** Passes when the file's text matches. A missing file passes when it is not `required`. */
export class FileMatches extends Schema.Class<FileMatches>("FileMatches")({
  _tag: tag("FileMatches", "file_matches"),
  /** Relative to the workspace's root; may not leave it. */
  path: Schema.NonEmptyString,
  /** RE2 syntax, searched anywhere in the file. */
  regex: Schema.String,
  required: withDefault(Schema.Boolean, "required", () => true)
}) {}

/** A criterion that the application registered by name. Built in: `no_paths_touched`, `git_clean`. */
export class Custom extends Schema.Class<Custom>("Custom")({
  _tag: tag("Custom", "custom"),
  name: Schema.NonEmptyTrimmedString,
  args: withDefault(OpenRecord, "args", () => ({}))
}) {}

/** Passes when a language model that has not seen the work's conversation says so, shown the diff and this sentence. */
export class LlmJudge extends Schema.Class<LlmJudge>("LlmJudge")({
  _tag: tag("LlmJudge", "llm_judge"),
  criterion: Schema.NonEmptyTrimmedString
}) {}

export const AcceptanceCriterion = Schema.Union(Shell, FileMatches, Custom, LlmJudge)
export type AcceptanceCriterion = typeof AcceptanceCriterion.Type

/** One line that names a criterion to a person or to the agent. */
export const describeCriterion = (criterion: AcceptanceCriterion): string => {
  switch (criterion._tag) {
    case "Shell":
      return `\`${criterion.command}\``
    case "FileMatches":
      return `${criterion.path} matches /${criterion.regex}/`
    case "Custom":
      return criterion.name
    case "LlmJudge":
      return `judged: ${criterion.criterion}`
  }
}

const count = Schema.NonNegativeInt

/** What a goal may use. A goal ends when any axis is used up. */
export class Budget extends Schema.Class<Budget>("Budget")({
  /** Turns of work; compact turns are not counted. At least 1. */
  maxTurns: withDefault(Schema.Int.pipe(Schema.positive()), "max_turns", () => 20),
  /** Active time: neither paused nor sleeping time counts. */
  maxWallTime: withDefault(WireDuration, "max_wall_time", () => Duration.hours(2)),
  /** All four classes of tokens together. */
  maxTokens: withDefault(Schema.Int.pipe(Schema.positive()), "max_tokens", () => 5_000_000),
  /** US dollars, as the agent reports them. Absent: not limited. */
  maxCostUsd: optional(Schema.Positive.pipe(Schema.finite()), "max_cost_usd"),
  /** Denied tool calls in a row. 0 = off. */
  maxConsecutiveDenies: withDefault(count, "max_consecutive_denies", () => 10),
  /** Errors in a row that cost a fresh session. 0 = off. */
  maxConsecutiveErrors: withDefault(count, "max_consecutive_errors", () => 5),
  /** "Prompt too long" in a row. 0 = off. */
  maxConsecutivePromptTooLong: withDefault(count, "max_consecutive_prompt_too_long", () => 2)
}) {
  static readonly defaults: Budget = new Budget({})
}

/** Open record. Known keys: `agent_id`, `origin_channel`, `dispatcher`, `worktree.source_repo`. */
export const Metadata = OpenRecord
export type Metadata = typeof Metadata.Type

export class Goal extends Schema.Class<Goal>("Goal")({
  id: GoalId,
  /** What to do, in the words the agent gets. */
  description: Schema.NonEmptyTrimmedString,
  /** All must pass. None: the agent's claim is accepted, and `driver` warns about it. */
  acceptance: withDefault(Schema.Array(AcceptanceCriterion), "acceptance", () => []),
  budget: withDefault(Budget, "budget", () => Budget.defaults),
  /** Directory mode: a directory below the configured root. Absent: named after the goal. */
  workspace: optional(Schema.NonEmptyString, "workspace"),
  /** Which agent backend: `claude-code`, `stub`, … Absent: the configured one. */
  agent: optional(Schema.NonEmptyTrimmedString, "agent"),
  metadata: withDefault(Metadata, "metadata", () => ({}))
}) {
  /** The goal as JSON text, snake_case. */
  static readonly FromJson = Schema.parseJson(Goal)
}

/** A string from the metadata, when there is one under this key. */
export const metadataText = (goal: Goal, name: string): string | undefined => {
  const value = goal.metadata[name]
  return typeof value === "string" && value !== "" ? value : undefined
}
