/** The time that processes keep, also under a `TestClock`. */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

export const wallClock = Effect.withClock(Clock.make())

/** Waits for `effect`, at most so long, also where interruption is off. Resolves with whether it came. */
export const within = <A>(effect: Effect.Effect<A>, duration: Duration.DurationInput): Effect.Effect<boolean> =>
  effect.pipe(Effect.interruptible, Effect.timeoutOption(duration), Effect.map(Option.isSome), wallClock)

/** How long a process that got SIGKILL may take to disappear before we go on without it. */
export const patience = "2 seconds"
