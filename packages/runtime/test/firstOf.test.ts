import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { firstOf } from "../src/internal/firstOf.js"

/** Works for an hour, and takes a second to end. */
const slow = (seen: Array<string>, name: string) =>
  Effect.ensuring(
    Effect.sleep("1 hour"),
    Effect.zipRight(
      Effect.sleep("1 second"),
      Effect.sync(() => seen.push(`${name} ended`))
    )
  )

describe("firstOf", () => {
  it.effect("ends as the first of the two does, a failure too", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* firstOf(Effect.succeed(1), Effect.never), 1)
      assert.strictEqual(yield* firstOf(Effect.never, Effect.succeed(2)), 2)
      assert.deepStrictEqual(yield* Effect.exit(firstOf(Effect.fail("no"), Effect.never)), Exit.fail("no"))
      assert.deepStrictEqual(yield* Effect.exit(firstOf(Effect.never, Effect.die("bug"))), Exit.die("bug"))
    })
  )

  it.effect("resolves when the other one has ended", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const fiber = yield* Effect.fork(firstOf(slow(seen, "work"), Effect.sleep("1 minute")))
      yield* TestClock.adjust("1 minute")
      assert.isNull(yield* Effect.sync(() => fiber.unsafePoll()))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(seen, ["work ended"])
    })
  )

  it.effect("lets nothing follow before both have ended, when it is interrupted", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const work = firstOf(slow(seen, "one"), slow(seen, "other")).pipe(
        Effect.interruptible,
        Effect.exit,
        Effect.zipRight(Effect.sync(() => seen.push("what follows"))),
        Effect.uninterruptible
      )
      const fiber = yield* Effect.fork(work)
      yield* TestClock.adjust("1 minute")
      yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.await(fiber)
      assert.deepStrictEqual([...seen].sort().slice(0, 2), ["one ended", "other ended"].sort())
      assert.strictEqual(seen.at(-1), "what follows")
    })
  )
})
