/**
 * Keeps calls from somebody who does not answer: after some failures in a row nobody
 * calls for a while, then one caller tries.
 *
 * ```text
 *            maxFailures in a row            openFor is over, one call
 *   Closed ───────────────────────▶ Open ─────────────────────────────▶ HalfOpen
 *     ▲                              ▲                                     │  │
 *     │                              └───────────── it failed ─────────────┘  │
 *     └───────────────────────────────── it succeeded ────────────────────────┘
 * ```
 *
 * What comes of a call that began before the last change of state is ignored. A call
 * that is interrupted has neither failed nor succeeded: another one may try at once.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Ref from "effect/Ref"

export interface BreakerSettings {
  /** Failures in a row that open it. At least 1. */
  readonly maxFailures: number
  /** How long nobody calls then. */
  readonly openFor: Duration.Duration
}

export const breakerDefaults: BreakerSettings = { maxFailures: 5, openFor: Duration.seconds(30) }

export type BreakerState = Data.TaggedEnum<{
  Closed: { readonly epoch: number; readonly failures: number }
  /** Milliseconds since the epoch. */
  Open: { readonly epoch: number; readonly until: number }
  HalfOpen: { readonly epoch: number }
}>
export const BreakerState = Data.taggedEnum<BreakerState>()

/** The call was not made. */
export class CircuitOpen extends Data.TaggedError("CircuitOpen")<{ readonly name: string }> {
  override get message() {
    return `${this.name} is not called: it has failed too often, and is tried again later`
  }
}

export const closed: BreakerState = BreakerState.Closed({ epoch: 0, failures: 0 })

/** Whether a call may be made now, and the state while it is. */
export const admit = (
  state: BreakerState,
  now: number
): { readonly admitted: boolean; readonly state: BreakerState } => {
  switch (state._tag) {
    case "Closed":
      return { admitted: true, state }
    case "Open":
      return now >= state.until
        ? { admitted: true, state: BreakerState.HalfOpen({ epoch: state.epoch + 1 }) }
        : { admitted: false, state }
    case "HalfOpen":
      return { admitted: false, state }
  }
}

export type CallEnd = "succeeded" | "failed" | "interrupted"

/** The state after a call that was admitted in this epoch. */
export const record = (
  state: BreakerState,
  epoch: number,
  end: CallEnd,
  now: number,
  { maxFailures, openFor }: BreakerSettings
): BreakerState => {
  if (state._tag === "Open" || state.epoch !== epoch) return state
  const opened = BreakerState.Open({ epoch: epoch + 1, until: now + Duration.toMillis(openFor) })
  if (state._tag === "HalfOpen") {
    if (end === "succeeded") return BreakerState.Closed({ epoch: epoch + 1, failures: 0 })
    return end === "failed" ? opened : BreakerState.Open({ epoch: epoch + 1, until: now })
  }
  if (end === "interrupted") return state
  if (end === "succeeded") return BreakerState.Closed({ epoch, failures: 0 })
  return state.failures + 1 >= maxFailures ? opened : BreakerState.Closed({ epoch, failures: state.failures + 1 })
}

export interface CircuitBreaker {
  readonly state: Effect.Effect<BreakerState>
  /** Makes the call, or fails with `CircuitOpen` without making it. */
  readonly guard: <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitOpen, R>
}

/** A breaker for one that is called `name`. */
export const make = (name: string, settings: BreakerSettings = breakerDefaults): Effect.Effect<CircuitBreaker> =>
  Effect.map(
    Ref.make<BreakerState>(closed),
    (ref): CircuitBreaker => ({
      state: Ref.get(ref),
      guard: (call) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.gen(function* () {
            const now = yield* Clock.currentTimeMillis
            const { admitted, state } = yield* Ref.modify(ref, (before) => {
              const it = admit(before, now)
              return [it, it.state]
            })
            if (!admitted) return yield* new CircuitOpen({ name })
            const exit = yield* Effect.exit(restore(call))
            const ended = yield* Clock.currentTimeMillis
            yield* Ref.update(ref, (it) => record(it, state.epoch, endOf(exit), ended, settings))
            return yield* exit
          })
        )
    })
  )

const endOf = (exit: Exit.Exit<unknown, unknown>): CallEnd =>
  Exit.isSuccess(exit) ? "succeeded" : Exit.isInterrupted(exit) ? "interrupted" : "failed"
