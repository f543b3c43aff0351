/** How an attempt ended, and how a goal did. */
import * as Schema from "effect/Schema"
import { GoalId, Metadata } from "./Goal.js"
import { BudgetAxis, Usage } from "./Usage.js"
import { AcceptanceVerdict, CriterionResult } from "./Verdict.js"
import { key, optional, tag, WireDuration, withDefault } from "./Wire.js"

/** Every criterion passed. */
export class Done extends Schema.Class<Done>("Done")({ _tag: tag("Done", "done") }) {}

/** The agent claimed completion and the criteria disagree. */
export class NeedsRetry extends Schema.Class<NeedsRetry>("NeedsRetry")({
  _tag: tag("NeedsRetry", "needs_retry"),
  failures: Schema.Array(CriterionResult)
}) {}

/** The turn ended without a claim: a timeout, an error that may pass. */
export class Continue extends Schema.Class<Continue>("Continue")({
  _tag: tag("Continue", "continue"),
  reason: Schema.String
}) {}

/** Nothing to do for a while: the agent or the provider said so. */
export class Sleep extends Schema.Class<Sleep>("Sleep")({
  _tag: tag("Sleep", "sleep"),
  duration: WireDuration,
  reason: Schema.String
}) {}

export class BudgetExhausted extends Schema.Class<BudgetExhausted>("BudgetExhausted")({
  _tag: tag("BudgetExhausted", "budget_exhausted"),
  axis: BudgetAxis
}) {}

export class Cancelled extends Schema.Class<Cancelled>("Cancelled")({ _tag: tag("Cancelled", "cancelled") }) {}

/** What the agent or its provider reported, where that ended a goal. */
export const ReportedFailure = Schema.Literal(
  "prompt_too_long",
  "session_dead",
  "usage_limit",
  "auth",
  "billing",
  "model_unavailable",
  "transient"
)
export type ReportedFailure = typeof ReportedFailure.Type

/** A person has to look: the reason says at what. */
export class Escalate extends Schema.Class<Escalate>("Escalate")({
  _tag: tag("Escalate", "escalate"),
  reason: Schema.String,
  /** `policy`: more of the same would not help. `driver`: the driver or its surroundings could not do their part. */
  by: withDefault(Schema.Literal("policy", "driver"), "by", () => "policy" as const),
  /** Absent: it was no such failure, or nobody can say. */
  failure: optional(ReportedFailure, "failure")
}) {}

export const AttemptOutcome = Schema.Union(Done, NeedsRetry, Continue, Sleep, BudgetExhausted, Cancelled, Escalate)
export type AttemptOutcome = typeof AttemptOutcome.Type

/** One turn, as it is published. Turn indices count from 1. */
export class AttemptResult extends Schema.Class<AttemptResult>("AttemptResult")({
  goalId: key(GoalId, "goal_id"),
  turn: Schema.NonNegativeInt,
  outcome: AttemptOutcome,
  /** After the turn. */
  usage: Usage,
  verdict: optional(AcceptanceVerdict, "verdict"),
  finalText: optional(Schema.String, "final_text"),
  /** How many permission decisions the turn asked for. */
  decisionsRecorded: key(Schema.NonNegativeInt, "decisions_recorded"),
  /** Open record: `session_id`, `diff_stat`, `checkpoint`. */
  extras: Metadata
}) {}

/** What became of accepted work. */
export class Delivery extends Schema.Class<Delivery>("Delivery")({
  mode: Schema.Literal("branch", "squash", "patch", "merge"),
  /** False: the work stays on the goal's branch, and `summary` says why. */
  delivered: Schema.Boolean,
  /** One sentence for people. */
  summary: Schema.String
}) {}

/** How a goal ended. */
export class GoalOutcome extends Schema.Class<GoalOutcome>("GoalOutcome")({
  goalId: key(GoalId, "goal_id"),
  outcome: AttemptOutcome,
  totalTurns: key(Schema.NonNegativeInt, "total_turns"),
  usage: Usage,
  finalText: optional(Schema.String, "final_text"),
  /** The last verdict, when criteria were ever evaluated. */
  acceptance: optional(AcceptanceVerdict, "acceptance"),
  /** The branch that holds the work, in git mode. */
  branch: optional(Schema.String, "branch"),
  /** Absolute path of the workspace. */
  worktree: optional(Schema.String, "worktree"),
  /** Set when the goal was accepted. */
  delivery: optional(Delivery, "delivery"),
  /** Start to end, pauses and sleeps included. */
  elapsed: WireDuration
}) {
  static readonly FromJson = Schema.parseJson(GoalOutcome)
}
