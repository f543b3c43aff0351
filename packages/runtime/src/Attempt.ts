/**
 * One turn of the agent, drained: what it used, what it called, how it ended.
 *
 * It does not judge and does not decide what comes next. Nothing here fails: an
 * agent that could not do its turn is an `AttemptEnd` like any other.
 */
import type { AgentError, AgentEvent, AgentFailure, CompactResult, TurnResult } from "@driver/agent/Agent"
import type { SessionId } from "@driver/domain/Binding"
import { addTokens, type BudgetAxis, TokenUsage } from "@driver/domain/Usage"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type * as Stream from "effect/Stream"
import { firstOf } from "./internal/firstOf.js"
import { forEachPulled } from "./internal/forEachPulled.js"
import { parseSleepSentinel } from "./Prompt.js"

export type AttemptEnd = Data.TaggedEnum<{
  /** The agent says that it has finished. */
  Claimed: { readonly text: string }
  SleepAsked: { readonly duration: Duration.Duration; readonly reason: string }
  /** The turn came to no claim. `hint` says whether the same again makes sense. */
  Failed: {
    readonly failure: Option.Option<AgentFailure>
    readonly message: string
    readonly hint: "Continue" | "Escalate"
    /** Whose fault it is when it ends the goal: the agent cannot be used, or is not what we think it is. */
    readonly by: "policy" | "driver"
  }
  /** The operator ended the turn to give the work another direction. */
  Redirected: {}
  /** A budget was used up in the middle of the turn, which was stopped for it. */
  BudgetReached: { readonly axis: BudgetAxis }
}>
export const AttemptEnd = Data.taggedEnum<AttemptEnd>()

export interface AttemptReport {
  readonly end: AttemptEnd
  readonly tokens: TokenUsage
  /** US dollars; none when the agent did not say. */
  readonly costUsd: Option.Option<number>
  readonly contextTokens: Option.Option<number>
  readonly contextWindow: Option.Option<number>
  readonly sessionId: Option.Option<SessionId>
  /** Tool and input of each call, in order. */
  readonly toolCalls: ReadonlyArray<string>
  readonly compacted: Option.Option<CompactResult>
}

export interface AttemptOptions {
  readonly timeout: Duration.Duration
  /** What the end means when `timeout` is what is left of the budget, not the turn's own limit. */
  readonly timeoutIsBudget: boolean
  /** Completed, with the turn's end, by whoever notices that the turn has to stop. */
  readonly stopped: Deferred.Deferred<AttemptEnd>
  /** Takes the secrets out of events and errors, first of all: whatever is cut short later is not cut in the middle of one. */
  readonly clean: <A>(value: A) => A
  /** Called with each event, in order, before the next one is read. */
  readonly onEvent: (event: AgentEvent) => Effect.Effect<void>
  /** Called after each provider call with what the turn has used so far. */
  readonly onMetered: (tokens: TokenUsage) => Effect.Effect<void>
}

interface Meter {
  readonly tokens: TokenUsage
  readonly contextTokens: Option.Option<number>
  readonly sessionId: Option.Option<SessionId>
  readonly toolCalls: ReadonlyArray<string>
  readonly compacted: Option.Option<CompactResult>
  readonly result: Option.Option<TurnResult>
}

/** Drains the events of `turn`, which fails when the agent cannot be started. Interrupting it interrupts the turn and gives no report: what was used was told to `onMetered`. */
export const drain = <R>(
  turn: Effect.Effect<Stream.Stream<AgentEvent, AgentError>, AgentError, R>,
  options: AttemptOptions
): Effect.Effect<AttemptReport, never, R> =>
  Effect.gen(function* () {
    const meter = yield* Ref.make<Meter>({
      tokens: TokenUsage.zero,
      contextTokens: Option.none(),
      sessionId: Option.none(),
      toolCalls: [],
      compacted: Option.none(),
      result: Option.none()
    })
    const see = (event: AgentEvent) =>
      Effect.flatMap(
        Ref.updateAndGet(meter, (state) => fold(state, event)),
        ({ tokens }) => {
          const seen = options.onEvent(event)
          return event._tag === "Metered" ? Effect.zipRight(options.onMetered(tokens), seen) : seen
        }
      )
    const consume = turn.pipe(
      Effect.flatMap((events) => forEachPulled(events, (event) => see(options.clean(event)))),
      Effect.mapError(options.clean)
    )
    const timedOut = options.timeoutIsBudget
      ? AttemptEnd.BudgetReached({ axis: "wall_time" })
      : AttemptEnd.Failed({ failure: Option.none(), message: "turn timeout", hint: "Continue", by: "policy" })

    const stopped = Effect.timeoutTo(Deferred.await(options.stopped), {
      duration: options.timeout,
      onSuccess: (end) => end,
      onTimeout: () => timedOut
    })
    const cut = yield* Effect.either(firstOf(Effect.as(consume, Option.none<AttemptEnd>()), Effect.asSome(stopped)))
    const state = yield* Ref.get(meter)
    const result = state.result
    const end = Either.match(cut, {
      onLeft: endOfError,
      onRight: Option.getOrElse(() => endOfResult(result))
    })
    const reported = Option.flatMap(result, (it) => it.usage)
    return {
      end,
      tokens: Option.getOrElse(reported, () => state.tokens),
      costUsd: neverStarted(cut) ? Option.some(0) : Option.flatMap(result, (it) => it.costUsd),
      contextTokens: Option.orElse(
        Option.flatMap(result, (it) => it.contextTokens),
        () => state.contextTokens
      ),
      contextWindow: Option.flatMap(result, (it) => it.contextWindow),
      sessionId: Option.orElse(
        Option.flatMap(result, (it) => it.sessionId),
        () => state.sessionId
      ),
      toolCalls: state.toolCalls,
      compacted: state.compacted
    }
  })

/** A program that could not be started has cost nothing. */
const neverStarted = (cut: Either.Either<unknown, AgentError>): boolean =>
  Either.isLeft(cut) && cut.left._tag === "AgentUnavailable"

const fold = (meter: Meter, event: AgentEvent): Meter => {
  switch (event._tag) {
    case "SessionStarted":
      return { ...meter, sessionId: Option.some(event.sessionId) }
    case "Metered":
      return {
        ...meter,
        tokens: addTokens(meter.tokens, event.tokens),
        contextTokens: Option.orElse(event.contextTokens, () => meter.contextTokens)
      }
    case "ToolCalled":
      return {
        ...meter,
        toolCalls: [...meter.toolCalls, `${event.name} ${JSON.stringify(event.input)}`.slice(0, 2_000)]
      }
    case "Compacted":
      return { ...meter, compacted: Option.some(event.result) }
    case "TurnEnded":
      return { ...meter, result: Option.some(event.result) }
    default:
      return meter
  }
}

/** What the agent's own end of the turn means to the goal. */
const endOfResult = Option.match<AttemptEnd, TurnResult, AttemptEnd>({
  onNone: () =>
    AttemptEnd.Failed({
      failure: Option.none(),
      message: "the agent's stream ended without a result",
      hint: "Continue",
      by: "policy"
    }),
  onSome: ({ end }) => {
    switch (end._tag) {
      case "Completed":
        return Option.match(parseSleepSentinel(end.text), {
          onNone: () => AttemptEnd.Claimed({ text: end.text }),
          onSome: (sleep) => AttemptEnd.SleepAsked(sleep)
        })
      case "Failed":
        return AttemptEnd.Failed({
          failure: Option.some(end.failure),
          message: end.failure.message,
          hint: "Continue",
          by: "policy"
        })
      case "Interrupted":
        return AttemptEnd.Failed({
          failure: Option.none(),
          message: "the turn was interrupted",
          hint: "Continue",
          by: "policy"
        })
      case "LimitReached":
        return AttemptEnd.Failed({
          failure: Option.none(),
          message: `the agent reached its own limit (${end.limit})`,
          hint: "Continue",
          by: "policy"
        })
    }
  }
})

/** An agent that broke off may do better the next time; one that is not what we think it is will not. */
const endOfError = (error: AgentError): AttemptEnd => {
  switch (error._tag) {
    case "AgentUnavailable":
    case "AgentUnsafe":
    case "AgentNotJson":
    case "AgentLineTooLong":
      return AttemptEnd.Failed({ failure: Option.none(), message: error.message, hint: "Escalate", by: "driver" })
    case "AgentStalled":
    case "AgentExited":
    case "AgentTornLine":
      return AttemptEnd.Failed({ failure: Option.none(), message: error.message, hint: "Continue", by: "policy" })
  }
}
