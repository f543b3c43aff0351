/**
 * Tells readers in this process that something is new, so that they look at the
 * store at once instead of now and then.
 *
 * Each reader has a set of what it has not read yet: one that is slow misses
 * repetitions, never a value, and whoever tells never waits for it.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export interface Notices<A> {
  /** Synchronous and cheap: for the end of an effect that has done what is told. */
  readonly tell: (value: A) => void
  /** What is told from the moment it runs; ends with the scope of the notices. Values are compared by identity. */
  readonly stream: Stream.Stream<A>
}

interface Reader<A> {
  readonly unread: Set<A>
  readonly bell: Queue.Queue<void>
}

export const make = <A>(): Effect.Effect<Notices<A>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const readers = new Set<Reader<A>>()
    let closed = false
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        return Effect.forEach([...readers], ({ bell }) => Queue.shutdown(bell), { discard: true })
      })
    )

    const join = Effect.acquireRelease(
      Effect.gen(function* () {
        const reader: Reader<A> = { unread: new Set(), bell: yield* Queue.dropping<void>(1) }
        if (closed) yield* Queue.shutdown(reader.bell)
        else readers.add(reader)
        return reader
      }),
      (reader) =>
        Effect.zipRight(
          Effect.sync(() => readers.delete(reader)),
          Queue.shutdown(reader.bell)
        )
    )

    return {
      tell: (value) => {
        for (const { bell, unread } of readers) {
          unread.add(value)
          bell.unsafeOffer(undefined)
        }
      },
      stream: Stream.unwrapScoped(
        Effect.map(join, ({ bell, unread }) =>
          Stream.fromQueue(bell).pipe(
            Stream.mapChunks(() => {
              const values = Chunk.fromIterable(unread)
              unread.clear()
              return values
            })
          )
        )
      )
    }
  })
