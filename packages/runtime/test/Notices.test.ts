import * as Notices from "@driver/runtime/Notices"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"

/** Reads until the end, and waits after its first value until it may go on. */
const reader = <A>(notices: Notices.Notices<A>) =>
  Effect.gen(function* () {
    const reading = yield* Deferred.make<void>()
    const goOn = yield* Deferred.make<void>()
    const seen: Array<A> = []
    const fiber = yield* notices.stream.pipe(
      Stream.tap((value) => Effect.sync(() => seen.push(value))),
      Stream.tap(() => Effect.zipRight(Deferred.succeed(reading, undefined), Deferred.await(goOn))),
      Stream.runCollect,
      Effect.map(Chunk.toReadonlyArray),
      Effect.fork
    )
    return { reading, goOn: Deferred.succeed(goOn, undefined), values: Fiber.join(fiber), seen }
  })

describe("Notices", () => {
  it.scoped("miss repetitions only, for each reader by itself, and end with their scope", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const notices = yield* Notices.make<string>().pipe(Scope.extend(scope))
      // Nobody reads.
      notices.tell("lost")
      const [one, two] = [yield* reader(notices), yield* reader(notices)]
      const both = Effect.zipWith(Deferred.isDone(one.reading), Deferred.isDone(two.reading), (a, b) => a && b)
      yield* Effect.repeat(
        Effect.zipRight(
          Effect.sync(() => notices.tell("first")),
          Effect.yieldNow()
        ),
        { until: () => both }
      )
      for (let n = 0; n < 1_000; n++) notices.tell("first")
      for (const value of ["b", "c", "b"]) notices.tell(value)
      yield* one.goOn
      yield* Effect.repeat(
        Effect.sync(() => notices.tell("last")),
        { times: 2 }
      )
      yield* two.goOn
      yield* Effect.repeat(Effect.yieldNow(), {
        until: () => Effect.sync(() => [one, two].every(({ seen }) => seen.includes("last")))
      })
      yield* Scope.close(scope, Exit.void)
      const [ones, twos] = [yield* one.values, yield* two.values]
      assert.deepStrictEqual([...new Set(ones)], ["first", "b", "c", "last"])
      assert.deepStrictEqual(twos, ["first", "first", "b", "c", "last"])
      assert.isBelow(ones.length, 10)
      // Who comes too late finds the end.
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Stream.runCollect(notices.stream)), [])
    })
  )
})
