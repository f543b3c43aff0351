import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Watched from "../src/internal/watched.js"

describe("a watched value", () => {
  it.effect("is what it was set to, and gives what a change gives beside it", () =>
    Effect.gen(function* () {
      const it = yield* Watched.make(1)
      yield* it.update((value) => value + 1)
      assert.strictEqual(yield* it.modify((value) => [`was ${value}`, value * 10]), "was 2")
      assert.strictEqual(yield* it.get, 20)
      yield* it.set(3)
      assert.strictEqual(yield* it.get, 3)
    })
  )

  it.effect("lets everybody go on who waits for it, each when it is as they want it", () =>
    Effect.gen(function* () {
      const it = yield* Watched.make(0)
      const at = (value: number) => Effect.fork(it.until((now) => now >= value))
      const [now, two, five] = yield* Effect.all([at(0), at(2), at(5)])
      assert.strictEqual(yield* Fiber.join(now), 0)
      yield* Effect.yieldNow()
      yield* it.set(1)
      yield* it.set(3)
      assert.strictEqual(yield* Fiber.join(two), 3)
      assert.strictEqual((yield* Fiber.status(five))._tag, "Suspended")
      // The value that was waited for, not what it is when the fiber comes to it.
      yield* it.set(6)
      yield* it.set(0)
      assert.strictEqual(yield* Fiber.join(five), 6)
    })
  )

  it.effect("forgets who does not wait any more", () =>
    Effect.gen(function* () {
      const it = yield* Watched.make(false)
      let looked = 0
      const waiting = yield* Effect.fork(
        it.until((value) => {
          looked += 1
          return value
        })
      )
      yield* Effect.yieldNow()
      yield* it.set(false)
      const before = looked
      yield* Fiber.interrupt(waiting)
      yield* it.set(false)
      assert.isAbove(before, 0)
      assert.strictEqual(looked, before)
    })
  )

  it.effect("shows where it is and every place it goes to, to each reader at its own pace", () =>
    Effect.gen(function* () {
      const it = yield* Watched.make(0)
      const reading = yield* Effect.fork(Stream.runCollect(Stream.take(it.changes, 4)))
      const other = yield* Effect.fork(Stream.runCollect(Stream.takeUntil(it.changes, (value) => value === 2)))
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      for (const value of [1, 2, 3]) yield* it.set(value)
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Fiber.join(reading)), [0, 1, 2, 3])
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Fiber.join(other)), [0, 1, 2])
    })
  )
})
