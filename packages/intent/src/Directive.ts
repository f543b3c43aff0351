/**
 * The words of the intent path: what somebody asks, what is asked back, what is to
 * be done, and what was found of it. Values only, written to the intent's journal.
 */

import { key, OpenRecord, optional, tag, Usd, withDefault } from "@driver/domain/Wire"
import * as Schema from "effect/Schema"

/** One conversation of one person. Opaque; minted by whoever begins it. */
export const IntentSessionId = Schema.NonEmptyTrimmedString.pipe(Schema.brand("@driver/IntentSessionId"))
export type IntentSessionId = typeof IntentSessionId.Type

/** One message on its way to a verdict: a UUID, minted when the message arrives. */
export const IntentId = Schema.UUID.pipe(Schema.brand("@driver/IntentId"))
export type IntentId = typeof IntentId.Type

export const MountId = Schema.NonEmptyTrimmedString.pipe(Schema.brand("@driver/MountId"))
export type MountId = typeof MountId.Type

export const ProjectId = Schema.NonEmptyTrimmedString.pipe(Schema.brand("@driver/ProjectId"))
export type ProjectId = typeof ProjectId.Type

export class QuestionOption extends Schema.Class<QuestionOption>("QuestionOption")({
  value: Schema.NonEmptyTrimmedString,
  /** In the person's language. */
  label: Schema.NonEmptyTrimmedString
}) {}

export const QuestionKind = Schema.Literal("free_text", "yes_no", "single_choice", "multi_choice")
export type QuestionKind = typeof QuestionKind.Type

export class Question extends Schema.Class<Question>("Question")({
  /** Names the question within its list: letters, digits, `_` and `-`. */
  id: Schema.String.pipe(Schema.pattern(/^[A-Za-z0-9_-]{1,64}$/)),
  /** In the person's language. */
  text: Schema.NonEmptyTrimmedString,
  /** `type` outside: `kind` tells variants apart. */
  kind: key(QuestionKind, "type"),
  /** At least two for a choice, none for the others. */
  options: withDefault(Schema.Array(QuestionOption), "options", () => [])
}) {}

/** What somebody chose or wrote for one question. Several of the same question are several choices. */
export class Answer extends Schema.Class<Answer>("Answer")({
  question: Schema.NonEmptyString,
  value: Schema.String
}) {}

/** Talk: nothing has to be done. */
export class Conversation extends Schema.Class<Conversation>("Conversation")({
  _tag: tag("Conversation", "conversation"),
  reply: Schema.NonEmptyTrimmedString
}) {}

/** Something has to be done, and it is not clear what. */
export class Clarify extends Schema.Class<Clarify>("Clarify")({
  _tag: tag("Clarify", "clarify"),
  questions: Schema.NonEmptyArray(Question).pipe(Schema.maxItems(3))
}) {}

/** `trivial`: done as it was said, without review. `substantial`: crystallized, checked and reviewed. */
export const Scope = Schema.Literal("trivial", "substantial")
export type Scope = typeof Scope.Type

/** Something has to be done. */
export class Task extends Schema.Class<Task>("Task")({
  _tag: tag("Task", "task"),
  scope: Scope
}) {}

export const Assessment = Schema.Union(Conversation, Clarify, Task)
export type Assessment = typeof Assessment.Type

/** Every criterion says what must be true in a sentence; some also say how to find out. */
const statement = Schema.NonEmptyTrimmedString
/** It may hold already and has to go on holding, as a test suite does. A directive never consists of guards alone. */
const guard = withDefault(Schema.Boolean, "guard", () => false)

/** Found out by a command line for `bash -c`. */
export class CommandCriterion extends Schema.Class<CommandCriterion>("CommandCriterion")({
  _tag: tag("CommandCriterion", "command"),
  statement,
  command: Schema.NonEmptyTrimmedString,
  expectedExit: withDefault(Schema.Int.pipe(Schema.between(0, 255)), "expected_exit", () => 0),
  /** RE2 syntax. */
  stdoutMustMatch: optional(Schema.NonEmptyString, "stdout_must_match"),
  guard
}) {}

/** Found out by the text of a file. */
export class FileCriterion extends Schema.Class<FileCriterion>("FileCriterion")({
  _tag: tag("FileCriterion", "file"),
  statement,
  /** Relative to the workspace's root. */
  path: Schema.NonEmptyString,
  /** RE2 syntax. */
  regex: Schema.NonEmptyString,
  guard
}) {}

/** Judged by a language model that is shown the diff. */
export class JudgedCriterion extends Schema.Class<JudgedCriterion>("JudgedCriterion")({
  _tag: tag("JudgedCriterion", "judged"),
  statement
}) {}

export const DirectiveCriterion = Schema.Union(CommandCriterion, FileCriterion, JudgedCriterion)
export type DirectiveCriterion = typeof DirectiveCriterion.Type

/** An entry of the ledger: what was taken for granted because nobody could be asked. */
export class Assumption extends Schema.Class<Assumption>("Assumption")({
  /** What was open: a question, or a subject. */
  subject: Schema.NonEmptyTrimmedString,
  /** What was taken for granted. */
  assumed: Schema.NonEmptyTrimmedString,
  /** `asker`: a question nobody could be asked. `model`: made while the directive was written. `driver`: a rule of ours. */
  by: Schema.Literal("asker", "model", "driver")
}) {}

/** What is to be done: complete, specific, measurable, and never wider than what was asked. */
export class Directive extends Schema.Class<Directive>("Directive")({
  goal: Schema.NonEmptyTrimmedString,
  /** What was asked, verbatim; answers to questions follow it. */
  originalRequest: key(Schema.String, "original_request"),
  constraints: withDefault(Schema.Array(Schema.NonEmptyTrimmedString), "constraints", () => []),
  acceptanceCriteria: withDefault(Schema.Array(DirectiveCriterion), "acceptance_criteria", () => []),
  /** JSON Schema of the agent's final answer, when one was asked for. */
  outputSchema: optional(OpenRecord, "output_schema"),
  assumptions: withDefault(Schema.Array(Assumption), "assumptions", () => [])
}) {
  /** The message as the goal, word for word. */
  static readonly fromMessage = (message: string, assumptions: ReadonlyArray<Assumption> = []): Directive =>
    new Directive({ goal: message.trim(), originalRequest: message, assumptions })
}

/** What the review found. */
export class ReviewVerdict extends Schema.Class<ReviewVerdict>("ReviewVerdict")({
  passed: Schema.Boolean,
  /** 0 to 1. */
  score: Schema.Number.pipe(Schema.between(0, 1)),
  notes: withDefault(Schema.Array(Schema.String), "notes", () => []),
  /** What is missing, a sentence each: the next run gets them. */
  gaps: withDefault(Schema.Array(Schema.NonEmptyTrimmedString), "gaps", () => []),
  /** The stages that it is made of. `mechanical` alone: no model was asked, or its answer could not be used. */
  by: Schema.Literal("mechanical", "mechanical_and_semantic")
}) {}

/** What was said and what was answered. */
export class Exchange extends Schema.Class<Exchange>("Exchange")({
  user: Schema.String,
  /** Absent for a message that has had no answer. */
  agent: optional(Schema.String, "agent")
}) {}

/** What is known of a message besides its words. */
export class IntentContext extends Schema.Class<IntentContext>("IntentContext")({
  sessionId: key(IntentSessionId, "session_id"),
  /** Oldest first, within the token budget. */
  history: withDefault(Schema.Array(Exchange), "history", () => []),
  projectHint: optional(ProjectId, "project_hint"),
  /** In their order, the first is primary. Empty: they are found by the message. */
  mountHints: withDefault(Schema.Array(MountId), "mount_hints", () => []),
  user: optional(Schema.NonEmptyTrimmedString, "user")
}) {}

export const IntentStep = Schema.Literal("assess", "crystallize", "check", "execute", "review")
export type IntentStep = typeof IntentStep.Type

/** Something was done with less than it should have been, and how. */
export class Degradation extends Schema.Class<Degradation>("Degradation")({
  step: IntentStep,
  /** One sentence for people. */
  reason: Schema.NonEmptyTrimmedString
}) {}

/** One question to the language model, as the ledger has it. Failed ones cost too. */
export class ModelCall extends Schema.Class<ModelCall>("ModelCall")({
  step: IntentStep,
  /** As the provider counts. Absent: not reported. */
  inputTokens: optional(Schema.NonNegativeInt, "input_tokens"),
  outputTokens: optional(Schema.NonNegativeInt, "output_tokens"),
  /** US dollars. Absent: unknown, never 0. */
  costUsd: optional(Usd, "cost_usd"),
  /** Why the answer could not be used. */
  problem: optional(Schema.String, "problem")
}) {}
