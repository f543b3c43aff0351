/**
 * What a goal's journal comes to: the state of its loop, and what the operator has
 * done to it. Pure; the loop keeps its state by folding what it writes, so that a
 * driver that takes the goal up knows exactly what the one before it knew.
 */
import type { Goal } from "@driver/domain/Goal"
import { BudgetExhausted, type Delivery, Done } from "@driver/domain/Outcome"
import { charge, type TokenUsage, type Usage, updateUsage } from "@driver/domain/Usage"
import type { AcceptanceVerdict } from "@driver/domain/Verdict"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { nextOf, stuckOf, traceOf } from "./internal/onWire.js"
import type { JournalEntry, JournalRecord } from "./Journal.js"
import type { TurnDecided } from "./LoopEntry.js"
import { afterCompaction, afterSleep, afterTurn, initial, type LoopState, Phase } from "./LoopState.js"
import type { Message } from "./OperatorMessages.js"
import { cutOffNotice, saidAgainNotice } from "./Prompt.js"
import type { CheckpointId } from "./Workspace.js"

/** What a turn has used as far as it is known. */
export interface Metered {
  readonly tokens: TokenUsage
  readonly wallTime: Duration.Duration
  /** US dollars; known when the agent has ended the turn. */
  readonly costUsd: Option.Option<number>
}

/** What the loop is in the middle of. */
export type Pending = Data.TaggedEnum<{
  Nothing: {}
  /** A turn of work: its prompt may have been sent. */
  Turn: {
    readonly turn: number
    /** What the operator has said to it, with its prompt and since. */
    readonly messages: ReadonlyArray<string>
    readonly checkpoint: Option.Option<CheckpointId>
    readonly metered: Option.Option<Metered>
  }
  /** A turn has ended; what that asks of session and workspace may not be done yet. */
  Decided: { readonly entry: TurnDecided }
  Compaction: { readonly metered: Option.Option<Metered> }
}>
export const Pending = Data.taggedEnum<Pending>()

export interface GoalFold {
  /** The last sequence. */
  readonly sequence: number
  /** `new`: never begun. */
  readonly status: "new" | "running" | "ended"
  /** As it stands. */
  readonly goal: Option.Option<Goal>
  readonly loop: LoopState
  readonly pending: Pending
  readonly paused: boolean
  readonly cancelAsked: boolean
  /** The operator's grow-only limit on turns. */
  readonly maxTurns: Option.Option<number>
  /** The operator's messages that have not reached the agent. */
  readonly messages: ReadonlyArray<Message>
  readonly consecutiveDenies: number
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly verdict: Option.Option<AcceptanceVerdict>
  readonly finalText: Option.Option<string>
  readonly delivery: Option.Option<Delivery>
  /** The criteria held before the first turn: nothing is to be delivered. */
  readonly alreadyMet: boolean
  /** Commands of other processes that were carried out. */
  readonly handled: ReadonlySet<string>
}

export const empty: GoalFold = {
  sequence: 0,
  status: "new",
  goal: Option.none(),
  loop: initial,
  pending: Pending.Nothing(),
  paused: false,
  cancelAsked: false,
  maxTurns: Option.none(),
  messages: [],
  consecutiveDenies: 0,
  startedAt: 0,
  verdict: Option.none(),
  finalText: Option.none(),
  delivery: Option.none(),
  alreadyMet: false,
  handled: new Set()
}

export const fold = (state: GoalFold, record: JournalRecord): GoalFold => ({
  ...advance(state, record.entry, DateTime.toEpochMillis(record.at)),
  sequence: record.sequence
})

export const foldAll = (records: Iterable<JournalRecord>): GoalFold => {
  let state = empty
  for (const record of records) state = fold(state, record)
  return state
}

/** What is published and changes no state, by its name outside. Records of these need not be read to go on with a goal. */
export const unfolded = {
  GoalStarted: "goal_started",
  GoalRecovered: "goal_recovered",
  AttemptStarted: "attempt_started",
  AttemptCompleted: "attempt_completed",
  CriterionEvaluated: "criterion_evaluated",
  CompactRequested: "compact_requested",
  CompactCompleted: "compact_completed",
  Progress: "progress",
  AgentActivity: "agent_activity",
  PermissionRequested: "permission_requested"
} satisfies { readonly [Tag in JournalEntry["_tag"]]?: (typeof JournalEntry.Encoded)["kind"] }

/** What `ReadOptions.folded` leaves of a journal, or of its end: it comes to the same. */
export const onlyFolded = (records: ReadonlyArray<JournalRecord>): ReadonlyArray<JournalRecord> =>
  records.filter(({ entry }, index) => index === records.length - 1 || !Object.hasOwn(unfolded, entry._tag))

/** The arrow of one entry, written at this moment (milliseconds since the epoch). */
const advance = (state: GoalFold, entry: JournalEntry, at: number): GoalFold => {
  switch (entry._tag) {
    case "RunStarted":
      return entry.continued
        ? { ...state, goal: Option.some(entry.goal), status: "running" }
        : {
            ...empty,
            goal: Option.some(entry.goal),
            status: "running",
            startedAt: at,
            // What was said and asked before the goal began is meant for it.
            ...(state.status === "ended" ? {} : { paused: state.paused, messages: state.messages }),
            maxTurns: state.status === "ended" ? Option.none() : state.maxTurns,
            handled: state.handled
          }
    case "GoalCompleted":
      return { ...state, status: "ended", pending: Pending.Nothing() }
    case "TurnBegun": {
      const taken = state.messages.filter(({ id }) => entry.messageIds.includes(id))
      return {
        ...state,
        messages: state.messages.filter(({ id }) => !entry.messageIds.includes(id)),
        pending: Pending.Turn({
          turn: entry.turn,
          messages: [...state.loop.carry.messages, ...taken.map(({ text }) => text)],
          checkpoint: entry.checkpoint,
          metered: Option.none()
        })
      }
    }
    case "TurnMetered": {
      const metered = Option.some({ tokens: entry.tokens, wallTime: entry.wallTime, costUsd: entry.costUsd })
      const { pending } = state
      return pending._tag === "Turn" || pending._tag === "Compaction"
        ? { ...state, pending: { ...pending, metered } }
        : state
    }
    case "ModelCharged":
      return { ...state, loop: { ...state.loop, usage: charge(state.loop.usage, entry.tokens, entry.costUsd) } }
    case "TurnCut":
      return {
        ...state,
        pending: Pending.Nothing(),
        loop: {
          ...state.loop,
          phase: Phase.Ready(),
          usage: entry.usage,
          carry: {
            ...state.loop.carry,
            messages: toldTo(state),
            notices: toldTo(state).length === 0 ? [cutOffNotice] : [cutOffNotice, saidAgainNotice]
          }
        }
      }
    case "TurnDecided":
      return {
        ...state,
        pending: Pending.Decided({ entry }),
        verdict: Option.orElse(entry.verdict, () => state.verdict),
        finalText: Option.orElse(entry.finalText, () => state.finalText)
      }
    case "TurnSettled": {
      if (state.pending._tag !== "Decided") return state
      const decided = state.pending.entry
      const loop = afterTurn(state.loop, nextOf(decided.next), {
        usage: decided.usage,
        trace: traceOf(decided.trace),
        stuck: stuckOf(entry.stuck),
        diffStat: decided.diffStat,
        messages: decided.messages,
        contextTokens: decided.contextTokens,
        contextWindow: decided.contextWindow,
        focus: decided.focus,
        rolledBack: entry.rolledBack
      })
      return { ...state, loop, pending: Pending.Nothing() }
    }
    case "CompactionDue": {
      const { focus, reason } = entry
      return {
        ...state,
        loop: { ...state.loop, compaction: { ...state.loop.compaction, due: Option.some({ focus, reason }) } }
      }
    }
    case "CompactionBegun":
      return { ...state, pending: Pending.Compaction({ metered: Option.none() }) }
    case "CompactionEnded":
      return { ...state, pending: Pending.Nothing(), loop: afterCompaction(state.loop, entry) }
    case "SleepBegun": {
      const { parked, reason, since, tick, until } = entry
      const duration = Duration.millis(Math.max(0, until - since))
      const phase = Phase.Sleeping({ duration, reason, tick, parked, begun: Option.some({ since, until }) })
      return { ...state, loop: { ...state.loop, phase } }
    }
    case "SleepEnded": {
      const { phase } = state.loop
      return phase._tag === "Sleeping"
        ? { ...state, loop: afterSleep(state.loop, entry.slept, phase.reason, phase.tick) }
        : state
    }
    case "BudgetReached":
      return {
        ...state,
        loop: {
          ...state.loop,
          usage: entry.usage,
          phase: Phase.Ended({ outcome: new BudgetExhausted({ axis: entry.axis }) })
        }
      }
    case "AlreadyMet":
      return {
        ...state,
        alreadyMet: true,
        verdict: Option.some(entry.verdict),
        loop: { ...state.loop, phase: Phase.Ended({ outcome: new Done({}) }) }
      }
    case "TurnLimitRaised":
      // It only grows, also when it was raised before what was raised earlier was known.
      return {
        ...state,
        maxTurns: Option.some(
          Math.max(
            entry.maxTurns,
            Option.getOrElse(state.maxTurns, () => 0)
          )
        )
      }
    case "CancelAsked":
      return { ...state, cancelAsked: true }
    case "WorkDelivered":
      return { ...state, delivery: Option.some(entry.delivery) }
    case "CommandHandled":
      return { ...state, handled: new Set([...state.handled, entry.commandId]) }
    case "GoalPaused":
      return { ...state, paused: true }
    case "GoalResumed":
      return { ...state, paused: false }
    case "OperatorMessage": {
      if (Option.isNone(entry.messageId)) return state
      const id = entry.messageId.value
      if (entry.delivery === "queued") {
        return { ...state, messages: [...state.messages, { id, text: entry.message }] }
      }
      const { pending } = state
      return {
        ...state,
        messages: state.messages.filter((it) => it.id !== id),
        pending: pending._tag === "Turn" ? { ...pending, messages: [...pending.messages, entry.message] } : pending
      }
    }
    case "DecisionMade": {
      const { choice } = entry.decision
      if (choice._tag === "Observe") return state
      return { ...state, consecutiveDenies: choice._tag === "Deny" ? state.consecutiveDenies + 1 : 0 }
    }
    case "AcceptanceEvaluated":
      return { ...state, verdict: Option.some(entry.verdict) }
    default:
      return state
  }
}

/** What the operator has said to the turn that is under way, with its prompt and since: said again when it comes to nothing. */
export const toldTo = ({ loop, pending }: GoalFold): ReadonlyArray<string> =>
  pending._tag === "Turn" ? pending.messages : loop.carry.messages

/** All that the goal is known to have used, with what is under way. */
export const usageSoFar = ({ loop, pending }: GoalFold): Usage =>
  Pending.$match(pending, {
    Nothing: () => loop.usage,
    Turn: ({ metered }) => usageOfCut(loop.usage, metered),
    Compaction: ({ metered }) => usageOfCut(loop.usage, metered),
    Decided: ({ entry }) => entry.usage
  })

/** The usage with what a turn that was cut off is known to have used. */
export const usageOfCut = (usage: Usage, metered: Option.Option<Metered>): Usage =>
  Option.match(metered, {
    onNone: () => usage,
    onSome: ({ costUsd, tokens, wallTime }) => {
      const charged = charge(usage, tokens, costUsd)
      return updateUsage(charged, { wallTime: Duration.sum(charged.wallTime, wallTime) })
    }
  })
