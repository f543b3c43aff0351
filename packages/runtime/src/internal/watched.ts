/**
 * A value that changes and that others may wait for. A `SubscriptionRef` does the
 * same with a lock and a channel, for changes that take their time; here a change is
 * pure and one step, so that a loop can tell where it is without noticing.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Subscribable from "effect/Subscribable"

export interface Watched<A> extends Subscribable.Subscribable<A> {
  readonly set: (value: A) => Effect.Effect<void>
  readonly update: (change: (value: A) => A) => Effect.Effect<void>
  /** Resolves with what the change gives beside the new value. */
  readonly modify: <B>(change: (value: A) => readonly [B, A]) => Effect.Effect<B>
  /** Resolves with the first value that is so; at once when it is so now. */
  readonly until: (isSo: (value: A) => boolean) => Effect.Effect<A>
}

/** `changes` begins with the value as it is, and misses none after it, however slow its reader is. */
export const make = <A>(initial: A): Effect.Effect<Watched<A>> =>
  Effect.sync(() => {
    // Changed inside single steps of a fiber only.
    let current = initial
    const watchers = new Set<(value: A) => void>()
    const put = (value: A) => {
      current = value
      for (const watcher of [...watchers]) watcher(value)
    }
    const watch = (watcher: (value: A) => void) => {
      watchers.add(watcher)
      return Effect.sync(() => {
        watchers.delete(watcher)
      })
    }
    const next = (isSo: (value: A) => boolean) =>
      Effect.async<A>((resume) => {
        // It may have changed since the caller looked.
        if (isSo(current)) return resume(Effect.succeed(current))
        const watcher = (value: A) => {
          if (!isSo(value)) return
          watchers.delete(watcher)
          resume(Effect.succeed(value))
        }
        return watch(watcher)
      })

    return Object.assign(
      Subscribable.make({
        get: Effect.sync(() => current),
        changes: Stream.asyncPush<A>(
          (emit) =>
            Effect.acquireRelease(
              Effect.sync(() => {
                emit.single(current)
                return watch((value) => emit.single(value))
              }),
              (leave) => leave
            ),
          { bufferSize: "unbounded" }
        )
      }),
      {
        set: (value: A) => Effect.sync(() => put(value)),
        update: (change: (value: A) => A) => Effect.sync(() => put(change(current))),
        modify: <B>(change: (value: A) => readonly [B, A]) =>
          Effect.sync(() => {
            const [result, value] = change(current)
            put(value)
            return result
          }),
        until: (isSo: (value: A) => boolean) =>
          Effect.suspend(() => (isSo(current) ? Effect.succeed(current) : next(isSo)))
      }
    )
  })
