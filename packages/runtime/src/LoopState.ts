/**
 * The state of the goal loop and its arrows, all pure: what a turn's end means
 * (`routeOf`), and which state follows (`afterTurn`, `afterCompaction`, …).
 * `GoalLoop` carries them out.
 */
import {
  type AttemptOutcome,
  BudgetExhausted,
  Continue,
  Done,
  Escalate,
  NeedsRetry,
  Sleep
} from "@driver/domain/Outcome"
import { Usage, updateUsage } from "@driver/domain/Usage"
import { type AcceptanceVerdict, type CriterionResult, failuresOf } from "@driver/domain/Verdict"
import { trusted } from "@driver/domain/Wire"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { AttemptEnd } from "./Attempt.js"
import { cutOffNotice, redirectedNotice, tickPrompt } from "./Prompt.js"
import type { ReplayDecision } from "./ReplayPolicy.js"
import { StuckDecision, type TurnTrace } from "./StuckPolicy.js"
import type { CheckpointId } from "./Workspace.js"

export type CompactReason = "token_pressure" | "session_age" | "prompt_too_long"

export type Phase = Data.TaggedEnum<{
  /** Between turns: where a pause holds and budgets are looked at, and from where a turn of work or a compact turn begins. */
  Ready: {}
  /** `tick`: the next prompt says how long it was and why. */
  Sleeping: {
    readonly duration: Duration.Duration
    readonly reason: string
    readonly tick: boolean
    /** Waits for the usage limit of its account: asks whether that is open before it goes on. */
    readonly parked: boolean
    /** Set once the sleep has begun. Milliseconds since the epoch. */
    readonly begun: Option.Option<{ readonly since: number; readonly until: number }>
  }
  Ended: { readonly outcome: AttemptOutcome }
}>
export const Phase = Data.taggedEnum<Phase>()

/** What the next prompt has to carry. */
export interface Carry {
  /** Messages of the operator whose turn came to nothing, oldest first. */
  readonly messages: ReadonlyArray<string>
  readonly notices: ReadonlyArray<string>
  readonly tick: Option.Option<string>
  readonly failures: ReadonlyArray<CriterionResult>
  readonly diffStat: string
}

export interface Compaction {
  /** What is to be compacted before the next turn. */
  readonly due: Option.Option<{ readonly focus: string; readonly reason: CompactReason }>
  /** Turns done when the last compaction happened. */
  readonly lastTurn: Option.Option<number>
  /** The goal's circuit breaker. */
  readonly consecutiveFailures: number
  readonly contextTokens: Option.Option<number>
  readonly contextWindow: Option.Option<number>
}

export interface LoopState {
  readonly phase: Phase
  readonly usage: Usage
  readonly carry: Carry
  readonly compaction: Compaction
  /** The turns so far, oldest first. */
  readonly traces: ReadonlyArray<TurnTrace>
  /** Nudges given since the goal last made progress. */
  readonly nudges: number
}

export const initial: LoopState = {
  phase: Phase.Ready(),
  usage: Usage.zero,
  carry: { messages: [], notices: [], tick: Option.none(), failures: [], diffStat: "" },
  compaction: {
    due: Option.none(),
    lastTurn: Option.none(),
    consecutiveFailures: 0,
    contextTokens: Option.none(),
    contextWindow: Option.none()
  },
  traces: [],
  nudges: 0
}

const done = new Done({})

/** Where a turn leads. */
export type Next = Data.TaggedEnum<{
  Accept: {}
  /** The criteria disagree with the agent. */
  Retry: { readonly failures: ReadonlyArray<CriterionResult> }
  /** After an error, as if the turn had just ended. */
  Advance: { readonly rollbackTo: Option.Option<CheckpointId> }
  FreshSession: { readonly rollbackTo: Option.Option<CheckpointId>; readonly delay: Duration.Duration }
  CompactFirst: {}
  SameTurn: {}
  /** `sameTurn`: the turn did not happen, the provider refused it. */
  SleepThen: { readonly duration: Duration.Duration; readonly reason: string; readonly sameTurn: boolean }
  /** The operator has something else in mind: its message comes first in the next prompt. */
  Redirect: {}
  Stop: { readonly outcome: AttemptOutcome }
}>
export const Next = Data.taggedEnum<Next>()

/** What the turn's end means. `replay` is asked for failed turns only. */
export const routeOf = (
  end: AttemptEnd,
  verdict: Option.Option<AcceptanceVerdict>,
  replay: (failed: Extract<AttemptEnd, { _tag: "Failed" }>) => ReplayDecision
): { readonly next: Next; readonly outcome: AttemptOutcome; readonly replay: Option.Option<ReplayDecision> } => {
  switch (end._tag) {
    case "Claimed": {
      const failures = Option.match(verdict, { onNone: () => [], onSome: failuresOf })
      return failures.length === 0
        ? { next: Next.Accept(), outcome: done, replay: Option.none() }
        : { next: Next.Retry({ failures }), outcome: new NeedsRetry({ failures }, trusted), replay: Option.none() }
    }
    case "SleepAsked": {
      const { duration, reason } = end
      const next = Next.SleepThen({ duration, reason, sameTurn: false })
      return { next, outcome: new Sleep({ duration, reason }), replay: Option.none() }
    }
    case "Redirected":
      return {
        next: Next.Redirect(),
        outcome: new Continue({ reason: "the operator redirected the turn" }),
        replay: Option.none()
      }
    case "BudgetReached": {
      const outcome = new BudgetExhausted({ axis: end.axis })
      return { next: Next.Stop({ outcome }), outcome, replay: Option.none() }
    }
    case "Failed": {
      const decision = replay(end)
      const outcome =
        end.hint === "Continue" ? new Continue({ reason: end.message }) : new Escalate({ reason: end.message })
      return { next: nextOfReplay(decision, end.by), outcome, replay: Option.some(decision) }
    }
  }
}

export const nextOfReplay = (decision: ReplayDecision, by: "policy" | "driver"): Next => {
  switch (decision._tag) {
    case "FreshSessionRetry":
      return Next.FreshSession({ rollbackTo: decision.rollbackTo, delay: decision.delay })
    case "NextTurn":
      return Next.Advance({ rollbackTo: decision.rollbackTo })
    case "CompactAndRetry":
      return Next.CompactFirst()
    case "SameTurn":
      return Next.SameTurn()
    case "Sleep":
      return Next.SleepThen({ duration: decision.duration, reason: decision.reason, sameTurn: true })
    case "Escalate":
      return Next.Stop({
        outcome: new Escalate({ reason: decision.reason, by, failure: Option.fromNullable(decision.because) })
      })
  }
}

/** Whether the attempt was a turn of work: the others are tried again with the same number. */
export const countsAsTurn = (next: Next): boolean => {
  switch (next._tag) {
    case "FreshSession":
    case "CompactFirst":
    case "SameTurn":
      return false
    case "SleepThen":
      return !next.sameTurn
    default:
      return true
  }
}

/** The usage after the turn: its number, and the rows of errors that this end continues or breaks. */
export const countTurn = (usage: Usage, next: Next): Usage => {
  const turns = countsAsTurn(next) ? usage.turns + 1 : usage.turns
  switch (next._tag) {
    case "Accept":
    case "Retry":
      return updateUsage(usage, { turns, consecutiveErrors: 0, consecutivePromptTooLong: 0 })
    case "FreshSession":
    case "Advance":
      return updateUsage(usage, { turns, consecutiveErrors: usage.consecutiveErrors + 1 })
    case "CompactFirst":
      return updateUsage(usage, { turns, consecutivePromptTooLong: usage.consecutivePromptTooLong + 1 })
    case "SleepThen":
      return next.sameTurn ? usage : updateUsage(usage, { turns, consecutiveErrors: 0, consecutivePromptTooLong: 0 })
    default:
      return updateUsage(usage, { turns })
  }
}

/** What a turn has shown. */
export interface TurnFacts {
  /** As `countTurn` gave it. */
  readonly usage: Usage
  readonly trace: TurnTrace
  readonly stuck: StuckDecision
  readonly diffStat: string
  /** What the operator said to the turn, with its prompt and while it ran. */
  readonly messages: ReadonlyArray<string>
  readonly contextTokens: Option.Option<number>
  readonly contextWindow: Option.Option<number>
  /** The focus of a compaction that this turn made necessary. */
  readonly focus: string
  /** Set when the workspace was rolled back. */
  readonly rolledBack: boolean
}

/** The arrows out of a turn of work. */
export const afterTurn = (state: LoopState, next: Next, facts: TurnFacts): LoopState => {
  const kept: LoopState = {
    ...state,
    phase: Phase.Ready(),
    usage: facts.usage,
    compaction: {
      ...state.compaction,
      contextTokens: facts.contextTokens,
      contextWindow: Option.orElse(facts.contextWindow, () => state.compaction.contextWindow)
    }
  }
  const carry: Carry = { ...initial.carry, failures: state.carry.failures, diffStat: facts.diffStat }
  const again: Carry = {
    ...state.carry,
    messages: facts.messages,
    notices: facts.rolledBack ? [rolledBackNotice] : state.carry.notices
  }
  switch (next._tag) {
    case "Accept":
      return { ...kept, phase: Phase.Ended({ outcome: done }) }
    case "Stop":
      return { ...kept, phase: Phase.Ended({ outcome: next.outcome }) }
    case "Retry":
      return withStuck({ ...kept, carry: { ...carry, failures: next.failures } }, state, facts)
    case "Advance":
      return withStuck(
        { ...kept, carry: { ...carry, messages: facts.messages, notices: facts.rolledBack ? [rolledBackNotice] : [] } },
        state,
        facts
      )
    case "SleepThen":
      return {
        ...kept,
        carry: next.sameTurn ? again : carry,
        traces: next.sameTurn ? state.traces : [...state.traces, facts.trace],
        phase: sleeping({ duration: next.duration, reason: next.reason, tick: !next.sameTurn, parked: next.sameTurn })
      }
    case "Redirect":
      return { ...kept, carry: { ...carry, notices: [redirectedNotice] }, traces: [...state.traces, facts.trace] }
    case "FreshSession":
      return {
        ...kept,
        carry: again,
        compaction: { ...kept.compaction, contextTokens: Option.none(), lastTurn: Option.none() },
        phase: Duration.greaterThan(next.delay, Duration.zero)
          ? sleeping({ duration: next.delay, reason: "waiting before a new session", tick: false, parked: false })
          : Phase.Ready()
      }
    case "CompactFirst":
      return {
        ...kept,
        carry: again,
        compaction: {
          ...kept.compaction,
          due: Option.some({ focus: facts.focus, reason: "prompt_too_long" })
        }
      }
    case "SameTurn":
      return { ...kept, carry: { ...again, notices: [cutOffNotice] } }
  }
}

const sleeping = (sleep: {
  readonly duration: Duration.Duration
  readonly reason: string
  readonly tick: boolean
  readonly parked: boolean
}): Phase => Phase.Sleeping({ ...sleep, begun: Option.none() })

const rolledBackNotice = "The last turn failed and its changes were rolled back."

const withStuck = (next: LoopState, before: LoopState, facts: TurnFacts): LoopState => {
  const traces = [...before.traces, facts.trace]
  return StuckDecision.$match(facts.stuck, {
    Fine: () => ({ ...next, traces, nudges: 0 }),
    Nudge: ({ message }) => ({
      ...next,
      traces,
      nudges: before.nudges + 1,
      carry: { ...next.carry, notices: [...next.carry.notices, message] }
    }),
    Escalate: ({ reason }) => ({ ...next, traces, phase: Phase.Ended({ outcome: new Escalate({ reason }) }) })
  })
}

/** The arrows out of a compact turn. The usage is charged, the turn is not counted. */
export const afterCompaction = (
  state: LoopState,
  result: { readonly usage: Usage; readonly succeeded: boolean; readonly contextTokens: Option.Option<number> }
): LoopState => ({
  ...state,
  phase: Phase.Ready(),
  usage: result.usage,
  compaction: {
    ...state.compaction,
    due: Option.none(),
    lastTurn: Option.some(result.usage.turns),
    consecutiveFailures: result.succeeded ? 0 : state.compaction.consecutiveFailures + 1,
    contextTokens: result.contextTokens
  }
})

/** The arrow out of `Sleeping`. */
export const afterSleep = (state: LoopState, slept: Duration.Duration, reason: string, tick: boolean): LoopState => ({
  ...state,
  phase: Phase.Ready(),
  carry: tick ? { ...state.carry, tick: Option.some(tickPrompt(slept, reason)) } : state.carry
})
