import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Exclusive from "../src/internal/exclusive.js"

describe("an exclusive section", () => {
  it.effect("has one inside at a time, and everybody comes to it", () =>
    Effect.gen(function* () {
      const exclusive = (yield* Exclusive.make).run
      let inside = 0
      let most = 0
      const came: Array<number> = []
      const visit = (index: number) =>
        Effect.gen(function* () {
          inside += 1
          most = Math.max(most, inside)
          yield* Effect.yieldNow()
          came.push(index)
          inside -= 1
        })
      const all = Array.from({ length: 20 }, (_, index) => index)
      yield* Effect.forEach(all, (index) => exclusive(visit(index)), { concurrency: "unbounded", discard: true })
      assert.strictEqual(most, 1)
      assert.deepStrictEqual(
        [...came].sort((a, b) => a - b),
        all
      )
    })
  )

  it.effect("is free again after a failure, a defect and an interruption", () =>
    Effect.gen(function* () {
      const exclusive = (yield* Exclusive.make).run
      assert.deepStrictEqual(yield* Effect.exit(exclusive(Effect.fail("no"))), Exit.fail("no"))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(exclusive(Effect.die("bug")))))
      const fiber = yield* Effect.fork(exclusive(Effect.never))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* exclusive(Effect.succeed(1)), 1)
    })
  )

  it.effect("lets go of whoever is interrupted while it waits, and runs nothing of it", () =>
    Effect.gen(function* () {
      const exclusive = (yield* Exclusive.make).run
      const done = yield* Deferred.make<void>()
      let ran = false
      const holder = yield* Effect.fork(exclusive(Deferred.await(done)))
      const waiter = yield* Effect.fork(
        exclusive(
          Effect.sync(() => {
            ran = true
          })
        )
      )
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(waiter)
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(holder)
      assert.isFalse(ran)
      assert.strictEqual(yield* exclusive(Effect.succeed(2)), 2)
    })
  )

  it.effect("is not let go of when the work may not be interrupted", () =>
    Effect.gen(function* () {
      const exclusive = (yield* Exclusive.make).run
      const done = yield* Deferred.make<void>()
      const holder = yield* Effect.fork(exclusive(Effect.uninterruptible(Deferred.await(done))))
      yield* Effect.yieldNow()
      const interrupting = yield* Effect.fork(Fiber.interrupt(holder))
      const next = yield* Effect.fork(exclusive(Effect.succeed("next")))
      yield* Effect.yieldNow()
      assert.strictEqual((yield* Fiber.status(next))._tag, "Suspended")
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(interrupting)
      assert.strictEqual(yield* Fiber.join(next), "next")
    })
  )

  it.effect("has one inside at a time also when the one may not be interrupted", () =>
    Effect.gen(function* () {
      const { run, runWhole } = yield* Exclusive.make
      const done = yield* Deferred.make<void>()
      const seen: Array<string> = []
      const note = (name: string) => Effect.sync(() => seen.push(name))
      const holder = yield* Effect.fork(runWhole(Effect.zipRight(Deferred.await(done), note("whole"))))
      yield* Effect.yieldNow()
      const other = yield* Effect.fork(run(note("run")))
      const third = yield* Effect.fork(runWhole(note("third")))
      const interrupting = yield* Effect.fork(Fiber.interrupt(holder))
      yield* Effect.yieldNow()
      assert.deepStrictEqual(seen, [])
      yield* Deferred.succeed(done, undefined)
      yield* Effect.all([Fiber.join(other), Fiber.join(third), Fiber.join(interrupting)])
      assert.deepStrictEqual(seen, ["whole", "run", "third"])
    })
  )
})
