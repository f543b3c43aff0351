/**
 * Lets one in at a time. As a semaphore with one permit does; but that one asks the
 * scheduler even when nobody else is there, which is most of what a write to the
 * journal costs.
 *
 * Whoever comes while nobody waits goes in at once. Those who wait are let go on
 * together, and the first of them goes in.
 */
import * as Effect from "effect/Effect"

export interface Exclusive {
  /** Runs the work when nobody else is at it. Can be interrupted where the caller can, also while it waits. */
  readonly run: <A, E, R>(work: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** The same, cheaper, and not to be interrupted. */
  readonly runWhole: <A, E, R>(work: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

export const make: Effect.Effect<Exclusive> = Effect.sync(() => {
  // Changed inside single steps of a fiber only.
  let isTaken = false
  const free = Effect.unsafeMakeLatch(true)
  const leave = () => {
    isTaken = false
    free.unsafeOpen()
  }
  /** In an uninterruptible region. */
  const enter = <A, E, R>(wait: Effect.Effect<void>, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      if (isTaken) return Effect.zipRight(wait, enter(wait, work))
      isTaken = true
      free.unsafeClose()
      return Effect.matchCauseEffect(work, {
        onFailure: (cause) => {
          leave()
          return Effect.failCause(cause)
        },
        onSuccess: (value) => {
          leave()
          return Effect.succeed(value)
        }
      })
    })
  return {
    run: (work) => Effect.uninterruptibleMask((restore) => enter(restore(free.await), restore(work))),
    runWhole: (work) => Effect.uninterruptible(enter(free.await, work))
  }
})
