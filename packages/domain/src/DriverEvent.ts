/**
 * What happens to a goal, one tagged union. The names (`kind`) and the subjects
 * are a stable contract with whoever listens.
 *
 * The loop makes events; sinks carry them. `StoredEvent` is an event with its
 * number, its time and its message id.
 */
import * as Schema from "effect/Schema"
import { ApprovalEnd, ApprovalId, ApprovalQuestion } from "./Approval.js"
import { Goal, GoalId } from "./Goal.js"
import { AttemptResult, GoalOutcome } from "./Outcome.js"
import { Decision } from "./Permission.js"
import { BudgetAxis, Usage } from "./Usage.js"
import { AcceptanceVerdict, CriterionResult } from "./Verdict.js"
import { key, optional, tag, WireDuration, WireTime } from "./Wire.js"

const goalId = key(GoalId, "goal_id")

export class GoalStarted extends Schema.Class<GoalStarted>("GoalStarted")({
  _tag: tag("GoalStarted", "goal_started"),
  goalId,
  goal: Goal
}) {}

/** A driver goes on with a goal that another one left in the middle. (ours) */
export class GoalRecovered extends Schema.Class<GoalRecovered>("GoalRecovered")({
  _tag: tag("GoalRecovered", "goal_recovered"),
  goalId,
  /** Turns done so far. */
  turn: Schema.NonNegativeInt,
  /** A turn was cut off, and is done again. */
  cut: Schema.Boolean,
  /** Names the process that goes on. */
  driver: Schema.String
}) {}

/** The last event of a goal, exactly once, however it ended. */
export class GoalCompleted extends Schema.Class<GoalCompleted>("GoalCompleted")({
  _tag: tag("GoalCompleted", "goal_completed"),
  goalId,
  outcome: GoalOutcome
}) {}

export class AttemptStarted extends Schema.Class<AttemptStarted>("AttemptStarted")({
  _tag: tag("AttemptStarted", "attempt_started"),
  goalId,
  turn: Schema.NonNegativeInt,
  usage: Usage
}) {}

export class AttemptCompleted extends Schema.Class<AttemptCompleted>("AttemptCompleted")({
  _tag: tag("AttemptCompleted", "attempt_completed"),
  goalId,
  result: AttemptResult
}) {}

export class DecisionMade extends Schema.Class<DecisionMade>("DecisionMade")({
  _tag: tag("DecisionMade", "decision"),
  goalId,
  decision: Decision
}) {}

export class AcceptanceEvaluated extends Schema.Class<AcceptanceEvaluated>("AcceptanceEvaluated")({
  _tag: tag("AcceptanceEvaluated", "acceptance"),
  goalId,
  turn: Schema.NonNegativeInt,
  verdict: AcceptanceVerdict
}) {}

/** One criterion has been evaluated, before the verdict of all of them. (ours) */
export class CriterionEvaluated extends Schema.Class<CriterionEvaluated>("CriterionEvaluated")({
  _tag: tag("CriterionEvaluated", "criterion_evaluated"),
  goalId,
  turn: Schema.NonNegativeInt,
  result: CriterionResult
}) {}

export class BudgetExhaustedEvent extends Schema.Class<BudgetExhaustedEvent>("BudgetExhaustedEvent")({
  _tag: tag("BudgetExhausted", "budget_exhausted"),
  goalId,
  axis: BudgetAxis,
  usage: Usage
}) {}

export class Escalated extends Schema.Class<Escalated>("Escalated")({
  _tag: tag("Escalated", "escalate"),
  goalId,
  turn: Schema.NonNegativeInt,
  reason: Schema.String
}) {}

export class ReplayDecided extends Schema.Class<ReplayDecided>("ReplayDecided")({
  _tag: tag("ReplayDecided", "replay_decision"),
  goalId,
  turn: Schema.NonNegativeInt,
  /** `fresh_session_retry`, `next_turn`, `compact_and_retry`, `sleep`, `same_turn`, `escalate`. */
  decision: Schema.String,
  /** The error that was decided upon. */
  error: Schema.String
}) {}

export class CompactRequested extends Schema.Class<CompactRequested>("CompactRequested")({
  _tag: tag("CompactRequested", "compact_requested"),
  goalId,
  turn: Schema.NonNegativeInt,
  focus: Schema.String,
  /** `token_pressure`, `session_age`, `prompt_too_long`. */
  reason: Schema.String
}) {}

export class CompactCompleted extends Schema.Class<CompactCompleted>("CompactCompleted")({
  _tag: tag("CompactCompleted", "compact_completed"),
  goalId,
  turn: Schema.NonNegativeInt,
  succeeded: Schema.Boolean,
  /** Tokens in the context, where the agent reports them. */
  before: optional(Schema.NonNegativeInt, "before"),
  after: optional(Schema.NonNegativeInt, "after"),
  error: optional(Schema.String, "error")
}) {}

export class CompactSummaryStored extends Schema.Class<CompactSummaryStored>("CompactSummaryStored")({
  _tag: tag("CompactSummaryStored", "compact_summary_stored"),
  goalId,
  turn: Schema.NonNegativeInt,
  /** UTF-16 length of the summary. */
  length: Schema.NonNegativeInt
}) {}

export class Progress extends Schema.Class<Progress>("Progress")({
  _tag: tag("Progress", "progress"),
  goalId,
  turn: Schema.NonNegativeInt,
  usage: Usage
}) {}

export class ExtractMemoriesCompleted extends Schema.Class<ExtractMemoriesCompleted>("ExtractMemoriesCompleted")({
  _tag: tag("ExtractMemoriesCompleted", "extract_memories_completed"),
  goalId,
  turn: Schema.NonNegativeInt,
  saved: Schema.NonNegativeInt
}) {}

export class ExtractMemoriesSkipped extends Schema.Class<ExtractMemoriesSkipped>("ExtractMemoriesSkipped")({
  _tag: tag("ExtractMemoriesSkipped", "extract_memories_skipped"),
  goalId,
  turn: Schema.NonNegativeInt,
  reason: Schema.String
}) {}

export class AutoDreamOutcome extends Schema.Class<AutoDreamOutcome>("AutoDreamOutcome")({
  _tag: tag("AutoDreamOutcome", "auto_dream_outcome"),
  goalId,
  turn: Schema.NonNegativeInt,
  outcome: Schema.String
}) {}

export class GoalPaused extends Schema.Class<GoalPaused>("GoalPaused")({
  _tag: tag("GoalPaused", "goal_paused"),
  goalId
}) {}

export class GoalResumed extends Schema.Class<GoalResumed>("GoalResumed")({
  _tag: tag("GoalResumed", "goal_resumed"),
  goalId
}) {}

export class OperatorMessage extends Schema.Class<OperatorMessage>("OperatorMessage")({
  _tag: tag("OperatorMessage", "operator_message"),
  goalId,
  message: Schema.String,
  /**
   * `queued` for the next prompt or answer of the gate, `steered` into the running turn, or given to the agent with an
   * answer of the `gate`: then what was queued is delivered by that.
   */
  delivery: Schema.Literal("queued", "steered", "gate"),
  /** A UUID: joins the events about one message. Absent in lines of the first release. */
  messageId: optional(Schema.String, "message_id"),
  /** The call whose answer carried it, where the agent names its calls. */
  toolUseId: optional(Schema.String, "tool_use_id")
}) {}

/** The same call again and again within one turn. (ours) */
export class LoopNoticed extends Schema.Class<LoopNoticed>("LoopNoticed")({
  _tag: tag("LoopNoticed", "loop_noticed"),
  goalId,
  turn: Schema.NonNegativeInt,
  /** The same call was `denied` so often, or made so often in a row (`repeated`). */
  loop: Schema.Literal("denied", "repeated"),
  count: Schema.NonNegativeInt,
  /** The agent was `told` with the answer, or the turn was `stopped`. */
  action: Schema.Literal("told", "stopped"),
  tool: Schema.String,
  /** The call, at most 200 characters. */
  call: Schema.String,
  toolUseId: optional(Schema.String, "tool_use_id")
}) {}

/** What the agent is doing, for people who watch. Bounded text; may be dropped under load. */
export class AgentActivity extends Schema.Class<AgentActivity>("AgentActivity")({
  _tag: tag("AgentActivity", "agent_activity"),
  goalId,
  turn: Schema.NonNegativeInt,
  /** `said`, `tool`, `tool_result`, `retrying`, `rate_limited`, `compacting`, `background`, `tokens`. */
  activity: Schema.String,
  text: Schema.String
}) {}

export class PermissionRequested extends Schema.Class<PermissionRequested>("PermissionRequested")({
  _tag: tag("PermissionRequested", "permission_requested"),
  goalId,
  turn: Schema.NonNegativeInt,
  tool: Schema.String,
  toolUseId: optional(Schema.String, "tool_use_id")
}) {}

/** A person is asked about a tool call, and the call waits. (ours) */
export class ApprovalRequested extends Schema.Class<ApprovalRequested>("ApprovalRequested")({
  _tag: tag("ApprovalRequested", "approval_requested"),
  goalId,
  question: ApprovalQuestion
}) {}

/** The question to a person is over, whoever ended it. (ours) */
export class ApprovalAnswered extends Schema.Class<ApprovalAnswered>("ApprovalAnswered")({
  _tag: tag("ApprovalAnswered", "approval_answered"),
  goalId,
  turn: Schema.NonNegativeInt,
  approvalId: key(ApprovalId, "approval_id"),
  answer: ApprovalEnd
}) {}

/** The goal waits: the agent or the provider said until when. (ours) */
export class GoalSleeping extends Schema.Class<GoalSleeping>("GoalSleeping")({
  _tag: tag("GoalSleeping", "goal_sleeping"),
  goalId,
  turn: Schema.NonNegativeInt,
  duration: WireDuration,
  reason: Schema.String
}) {}

export const DriverEvent = Schema.Union(
  GoalStarted,
  GoalRecovered,
  GoalCompleted,
  AttemptStarted,
  AttemptCompleted,
  DecisionMade,
  AcceptanceEvaluated,
  CriterionEvaluated,
  BudgetExhaustedEvent,
  Escalated,
  ReplayDecided,
  CompactRequested,
  CompactCompleted,
  CompactSummaryStored,
  Progress,
  ExtractMemoriesCompleted,
  ExtractMemoriesSkipped,
  AutoDreamOutcome,
  GoalPaused,
  GoalResumed,
  OperatorMessage,
  LoopNoticed,
  AgentActivity,
  PermissionRequested,
  ApprovalRequested,
  ApprovalAnswered,
  GoalSleeping
)
export type DriverEvent = typeof DriverEvent.Type

const subjects: { readonly [Tag in DriverEvent["_tag"]]: string } = {
  GoalStarted: "agent.driver.goal.started",
  GoalRecovered: "agent.driver.goal.recovered",
  GoalCompleted: "agent.driver.goal.completed",
  AttemptStarted: "agent.driver.attempt.started",
  AttemptCompleted: "agent.driver.attempt.completed",
  DecisionMade: "agent.driver.decision",
  AcceptanceEvaluated: "agent.driver.acceptance",
  CriterionEvaluated: "agent.driver.acceptance.criterion",
  BudgetExhausted: "agent.driver.budget.exhausted",
  Escalated: "agent.driver.escalate",
  ReplayDecided: "agent.driver.replay",
  CompactRequested: "agent.driver.compact",
  CompactCompleted: "agent.driver.compact.completed",
  CompactSummaryStored: "agent.driver.compact.summary_stored",
  Progress: "agent.driver.progress",
  ExtractMemoriesCompleted: "agent.driver.extract_memories.completed",
  ExtractMemoriesSkipped: "agent.driver.extract_memories.skipped",
  AutoDreamOutcome: "agent.driver.auto_dream",
  GoalPaused: "agent.driver.goal.paused",
  GoalResumed: "agent.driver.goal.resumed",
  OperatorMessage: "agent.driver.goal.operator_message",
  LoopNoticed: "agent.driver.loop_noticed",
  AgentActivity: "agent.driver.agent.activity",
  PermissionRequested: "agent.driver.permission.requested",
  ApprovalRequested: "agent.driver.permission.approval_requested",
  ApprovalAnswered: "agent.driver.permission.approval_answered",
  GoalSleeping: "agent.driver.goal.sleeping"
}

/** Where an event is published on a message bus. */
export const subjectOf = (event: DriverEvent): string => subjects[event._tag]

/** Tells an event from another variant of a union that holds events too; not a check of its fields. */
export const isDriverEvent = (value: { readonly _tag: string }): value is DriverEvent =>
  Object.hasOwn(subjects, value._tag)

/** An event with its place in the goal's sequence. */
export class StoredEvent extends Schema.Class<StoredEvent>("StoredEvent")({
  goalId,
  /** Grows with each event of the goal, over restarts too; not by one: steps of the loop have their places between. */
  sequence: Schema.Int.pipe(Schema.positive()),
  /** Unique over restarts: lets a bus drop duplicates. */
  messageId: key(Schema.String, "message_id"),
  at: WireTime,
  event: DriverEvent
}) {
  static readonly FromJson = Schema.parseJson(StoredEvent)
}
