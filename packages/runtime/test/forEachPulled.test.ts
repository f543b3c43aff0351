import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { forEachPulled } from "../src/internal/forEachPulled.js"

/** A stream of chunks that says when it is released. */
const watched = (seen: Array<string>, ...chunks: ReadonlyArray<ReadonlyArray<number>>) =>
  Stream.fromChunks(...chunks.map((chunk) => Chunk.fromIterable(chunk))).pipe(
    Stream.ensuring(Effect.sync(() => seen.push("released")))
  )

describe("forEachPulled", () => {
  it.effect(
    "does it with every element in order, whatever the chunks, and releases the stream before it resolves",
    () =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        yield* forEachPulled(watched(seen, [1], [2, 3], [], [4]), (n) => Effect.sync(() => seen.push(`${n}`)))
        assert.deepStrictEqual(seen, ["1", "2", "3", "4", "released"])
      })
  )

  it.effect("fails as the stream does, after what came before", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const stream = Stream.concat(watched(seen, [1]), Stream.fail("broken"))
      const exit = yield* Effect.exit(forEachPulled(stream, (n) => Effect.sync(() => seen.push(`${n}`))))
      assert.deepStrictEqual([exit, seen], [Exit.fail("broken"), ["1", "released"]])
    })
  )

  it.effect("pulls nothing more after a failure of its own, and releases the stream", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const stream = watched(seen, [1], [2], [3])
      const exit = yield* Effect.exit(
        forEachPulled(stream, (n) => (n === 2 ? Effect.fail("enough") : Effect.sync(() => seen.push(`${n}`))))
      )
      assert.deepStrictEqual([exit, seen], [Exit.fail("enough"), ["1", "released"]])
    })
  )

  it.effect("releases the stream when it is interrupted while it waits", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const stream = Stream.concat(watched(seen, [1]), Stream.never).pipe(
        Stream.ensuring(Effect.sync(() => seen.push("all released")))
      )
      const fiber = yield* Effect.fork(forEachPulled(stream, (n) => Effect.sync(() => seen.push(`${n}`))))
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      assert.deepStrictEqual(seen, ["1", "released"])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(seen, ["1", "released", "all released"])
    })
  )
})
