/**
 * The first of two to end, like `Effect.raceFirst`; but whoever interrupts it waits
 * for both. That one passes the interruption on and goes its way: what follows it
 * would run beside what is still being released.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

/** Ends as the first of them does, and resolves when the other one is over too. */
export const firstOf = <A, E, R, A2, E2, R2>(
  one: Effect.Effect<A, E, R>,
  other: Effect.Effect<A2, E2, R2>
): Effect.Effect<A | A2, E | E2, R | R2> =>
  Effect.scoped(
    Effect.flatMap(Deferred.make<A | A2, E | E2>(), (ended) =>
      Effect.forkScoped(Effect.intoDeferred(one, ended)).pipe(
        Effect.zipRight(Effect.forkScoped(Effect.intoDeferred(other, ended))),
        Effect.zipRight(Deferred.await(ended))
      )
    )
  )
