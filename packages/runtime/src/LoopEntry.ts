/**
 * What the journal of a goal holds beside its events: the steps of the loop, from
 * which its state is folded. Each is written before anything acts on it.
 *
 * The names (`kind`) and fields are read for as long as a journal lives: never
 * change one that was released, add another.
 */
import { Goal } from "@driver/domain/Goal"
import { AttemptOutcome, Delivery } from "@driver/domain/Outcome"
import { BudgetAxis, TokenUsage, Usage } from "@driver/domain/Usage"
import { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { key, optional, tag, Usd, WireDuration, withDefault } from "@driver/domain/Wire"
import * as Schema from "effect/Schema"
import { CheckpointId } from "./Workspace.js"

const count = Schema.NonNegativeInt

/** Milliseconds since the epoch. */
const Millis = Schema.Int

/** A driver took the goal up: for the first time, or where another one left it. */
export class RunStarted extends Schema.Class<RunStarted>("RunStarted")({
  _tag: tag("RunStarted", "run_started"),
  /** The goal as it stands from here on. */
  goal: Goal,
  /** Names the process, for people. */
  driver: Schema.String,
  /** False: a goal that had ended, or never ran, begins anew. */
  continued: Schema.Boolean
}) {}

/** The prompt of a turn of work is about to be sent. */
export class TurnBegun extends Schema.Class<TurnBegun>("TurnBegun")({
  _tag: tag("TurnBegun", "turn_begun"),
  /** From 1. */
  turn: count,
  /** Ids of the operator's messages that its prompt carries. */
  messageIds: key(Schema.Array(Schema.String), "message_ids"),
  checkpoint: optional(CheckpointId, "checkpoint")
}) {}

/** What the running turn, of work or of compaction, has used so far. */
export class TurnMetered extends Schema.Class<TurnMetered>("TurnMetered")({
  _tag: tag("TurnMetered", "turn_metered"),
  tokens: TokenUsage,
  /** Active time since the turn began. */
  wallTime: key(WireDuration, "wall_time"),
  /** US dollars. Absent: not known, as long as the agent is at it. */
  costUsd: optional(Usd, "cost_usd")
}) {}

/** A model was asked on the goal's account: to judge a criterion, or a tool call. */
export class ModelCharged extends Schema.Class<ModelCharged>("ModelCharged")({
  _tag: tag("ModelCharged", "model_charged"),
  by: Schema.Literal("judge", "gate"),
  tokens: TokenUsage,
  /** Absent: unknown. */
  costUsd: optional(Usd, "cost_usd")
}) {}

/** The driver went away in the middle of a turn, and another one noticed. */
export class TurnCut extends Schema.Class<TurnCut>("TurnCut")({
  _tag: tag("TurnCut", "turn_cut"),
  /** After it: the goal's usage with what the cut turn is known to have used. */
  usage: Usage
}) {}

/** Where a turn leads: `LoopState.Next` on the wire. */
export const NextOnWire = Schema.Union(
  Schema.Struct({ kind: Schema.Literal("accept") }),
  Schema.Struct({ kind: Schema.Literal("retry"), failures: Schema.Array(CriterionResult) }),
  Schema.Struct({ kind: Schema.Literal("advance"), rollback_to: Schema.NullOr(CheckpointId) }),
  Schema.Struct({
    kind: Schema.Literal("fresh_session"),
    rollback_to: Schema.NullOr(CheckpointId),
    delay: WireDuration
  }),
  Schema.Struct({ kind: Schema.Literal("compact_first") }),
  Schema.Struct({ kind: Schema.Literal("same_turn") }),
  Schema.Struct({
    kind: Schema.Literal("sleep_then"),
    duration: WireDuration,
    reason: Schema.String,
    same_turn: Schema.Boolean
  }),
  Schema.Struct({ kind: Schema.Literal("redirect") }),
  Schema.Struct({ kind: Schema.Literal("stop"), outcome: AttemptOutcome })
)
export type NextOnWire = typeof NextOnWire.Type

/** One turn as the stuck policy sees it. */
export const TraceOnWire = Schema.Struct({
  failures: Schema.Array(Schema.String),
  diff_empty: Schema.Boolean,
  tool_calls: Schema.Array(Schema.String)
})

/** A turn of work has ended and what follows is decided. What that asks of session and workspace is still to be done. */
export class TurnDecided extends Schema.Class<TurnDecided>("TurnDecided")({
  _tag: tag("TurnDecided", "turn_decided"),
  turn: count,
  next: NextOnWire,
  /** After the turn, the turn counted. */
  usage: Usage,
  trace: TraceOnWire,
  diffStat: key(Schema.String, "diff_stat"),
  /** What the operator said to it, with its prompt and while it ran: said again when the turn came to nothing. */
  messages: Schema.Array(Schema.String),
  contextTokens: optional(count, "context_tokens"),
  contextWindow: optional(count, "context_window"),
  /** The focus of a compaction that the turn made necessary. */
  focus: Schema.String,
  verdict: optional(AcceptanceVerdict, "verdict"),
  finalText: optional(Schema.String, "final_text"),
  /** The error's message, of a turn that failed. */
  error: withDefault(Schema.String, "error", () => "")
}) {}

/** What the turn's end asked of session and workspace is done. */
export class TurnSettled extends Schema.Class<TurnSettled>("TurnSettled")({
  _tag: tag("TurnSettled", "turn_settled"),
  rolledBack: key(Schema.Boolean, "rolled_back"),
  stuck: Schema.Union(
    Schema.Struct({ kind: Schema.Literal("fine") }),
    Schema.Struct({ kind: Schema.Literal("nudge"), message: Schema.String }),
    Schema.Struct({ kind: Schema.Literal("escalate"), reason: Schema.String })
  )
}) {}

const CompactReasonOnWire = Schema.Literal("token_pressure", "session_age", "prompt_too_long")

/** The compact policy wants the next iteration to be a compact turn. */
export class CompactionDue extends Schema.Class<CompactionDue>("CompactionDue")({
  _tag: tag("CompactionDue", "compaction_due"),
  focus: Schema.String,
  reason: CompactReasonOnWire
}) {}

/** A compact turn is about to be sent. */
export class CompactionBegun extends Schema.Class<CompactionBegun>("CompactionBegun")({
  _tag: tag("CompactionBegun", "compaction_begun"),
  focus: Schema.String,
  reason: CompactReasonOnWire
}) {}

export class CompactionEnded extends Schema.Class<CompactionEnded>("CompactionEnded")({
  _tag: tag("CompactionEnded", "compaction_ended"),
  usage: Usage,
  succeeded: Schema.Boolean,
  contextTokens: optional(count, "context_tokens")
}) {}

/** The goal waits. */
export class SleepBegun extends Schema.Class<SleepBegun>("SleepBegun")({
  _tag: tag("SleepBegun", "sleep_begun"),
  since: Millis,
  /** A park until a reset time goes on, after a restart, with what is left of it. */
  until: Millis,
  reason: Schema.String,
  /** The next prompt says how long it was and why. */
  tick: Schema.Boolean,
  /** The account's usage limit was met: it is asked again whether it is open. */
  parked: withDefault(Schema.Boolean, "parked", () => false)
}) {}

export class SleepEnded extends Schema.Class<SleepEnded>("SleepEnded")({
  _tag: tag("SleepEnded", "sleep_ended"),
  slept: WireDuration
}) {}

/** An axis of the budget was found used up between turns. */
export class BudgetReached extends Schema.Class<BudgetReached>("BudgetReached")({
  _tag: tag("BudgetReached", "budget_reached"),
  axis: BudgetAxis,
  usage: Usage
}) {}

/** The operator raised the limit on turns. */
export class TurnLimitRaised extends Schema.Class<TurnLimitRaised>("TurnLimitRaised")({
  _tag: tag("TurnLimitRaised", "turn_limit_raised"),
  /** Now in force. */
  maxTurns: key(count, "max_turns")
}) {}

/** The operator wants the goal to end. It is cancelled also when the driver dies before it has done so. */
export class CancelAsked extends Schema.Class<CancelAsked>("CancelAsked")({
  _tag: tag("CancelAsked", "cancel_asked")
}) {}

/** Accepted work was handed over, or could not be. */
export class WorkDelivered extends Schema.Class<WorkDelivered>("WorkDelivered")({
  _tag: tag("WorkDelivered", "work_delivered"),
  delivery: Delivery
}) {}

/** The criteria held before the first turn. */
export class AlreadyMet extends Schema.Class<AlreadyMet>("AlreadyMet")({
  _tag: tag("AlreadyMet", "already_met"),
  verdict: AcceptanceVerdict
}) {}

/** What another process asked of the goal was done, or refused; it is not done again. */
export class CommandHandled extends Schema.Class<CommandHandled>("CommandHandled")({
  _tag: tag("CommandHandled", "command_handled"),
  commandId: key(Schema.String, "command_id")
}) {}

export const LoopEntry = Schema.Union(
  RunStarted,
  TurnBegun,
  TurnMetered,
  ModelCharged,
  TurnCut,
  TurnDecided,
  TurnSettled,
  CompactionDue,
  CompactionBegun,
  CompactionEnded,
  SleepBegun,
  SleepEnded,
  BudgetReached,
  TurnLimitRaised,
  CancelAsked,
  WorkDelivered,
  AlreadyMet,
  CommandHandled
)
export type LoopEntry = typeof LoopEntry.Type
