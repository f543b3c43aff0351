/**
 * Many deadlines with one fiber that sleeps. A timer of its own for every question
 * would cost more than to decide it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Both functions are called between two steps of a fiber, and cost no step themselves: every question needs them. */
export interface Deadlines {
  /** When this many milliseconds have passed, `action` is run in a fiber of its own. Replaces the key's earlier deadline. */
  readonly set: (key: object, inMillis: number, action: Effect.Effect<void>) => void
  /** These keys have no deadline any more. */
  readonly clear: (...keys: ReadonlyArray<object>) => void
}

interface Entry {
  readonly at: number
  readonly action: Effect.Effect<void>
}

/** Watches until the scope closes. */
export const makeDeadlines: Effect.Effect<Deadlines, never, Scope.Scope> = Effect.gen(function* () {
  // Both change only between two steps of a fiber.
  const entries = new Map<object, Entry>()
  let wakesAt = Number.POSITIVE_INFINITY
  const clock = yield* Effect.clock
  const wake = yield* Effect.makeLatch(false)

  const watch: Effect.Effect<void> = Effect.gen(function* () {
    yield* wake.close
    const now = clock.unsafeCurrentTimeMillis()
    const due: Array<Effect.Effect<void>> = []
    wakesAt = Number.POSITIVE_INFINITY
    for (const [key, { action, at }] of entries) {
      if (at <= now) {
        entries.delete(key)
        due.push(action)
      } else wakesAt = Math.min(wakesAt, at)
    }
    yield* Effect.forEach(due, Effect.forkDaemon, { discard: true })
    yield* Number.isFinite(wakesAt) ? Effect.raceFirst(Effect.sleep(wakesAt - now), wake.await) : wake.await
  })
  // Also when it is made where nothing can be interrupted: the loser of the race must be.
  yield* Effect.forkScoped(Effect.interruptible(Effect.forever(watch)))

  return {
    set: (key, inMillis, action) => {
      const at = clock.unsafeCurrentTimeMillis() + inMillis
      entries.set(key, { action, at })
      if (at < wakesAt) wake.unsafeOpen()
    },
    clear: (...keys) => {
      for (const key of keys) entries.delete(key)
    }
  }
})
