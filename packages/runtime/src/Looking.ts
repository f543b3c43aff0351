/** Looks again and again: at once when somebody in this process says that something is new, else now and then. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { forEachPulled } from "./internal/forEachPulled.js"

/**
 * Looks now, after every tick, and `every` so often for what other processes wrote; never twice at once. However many
 * ticks there are during a look, one look follows; a look can ask for another one. Ends with the scope.
 */
export const keepLooking = (options: {
  readonly look: (tick: Effect.Effect<void>) => Effect.Effect<void>
  readonly ticks: Stream.Stream<unknown>
  readonly every: Duration.DurationInput
  /** Least time between a look's end and the next one. Default none. */
  readonly gap?: Duration.DurationInput
}): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const due = yield* Effect.makeLatch(false)
    const tick = Effect.asVoid(due.open)
    const look = Effect.zipRight(due.close, options.look(tick))
    yield* Effect.forkScoped(forEachPulled(options.ticks, () => tick))
    const pause = options.gap === undefined ? Effect.void : Effect.sleep(options.gap)
    yield* Effect.forkScoped(
      Effect.forever(Effect.all([look, pause, Effect.timeoutOption(due.await, options.every)], { discard: true }))
    )
  })
