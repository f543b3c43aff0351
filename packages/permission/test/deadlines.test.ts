import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Ref, Scope, TestClock } from "effect"
import { makeDeadlines } from "../src/internal/deadlines.js"

const world = Effect.gen(function* () {
  const log = yield* Ref.make<ReadonlyArray<string>>([])
  const deadlines = yield* makeDeadlines
  const note = (text: string) => Ref.update(log, (it) => [...it, text])
  return { deadlines, note, log: Ref.get(log) }
})

describe("deadlines", () => {
  it.scoped("act when their time has come, also one that is set after a later one", () =>
    Effect.gen(function* () {
      const { deadlines, log, note } = yield* world
      const [a, b, c] = [{}, {}, {}]
      deadlines.set(a, 30_000, note("a"))
      yield* TestClock.adjust("1 second")
      deadlines.set(b, 10_000, note("b"))
      deadlines.set(c, 40_000, note("c"))
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(yield* log, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* log, ["b"])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* log, ["b", "a", "c"])
    })
  )

  it.scoped("can be moved and taken back", () =>
    Effect.gen(function* () {
      const { deadlines, log, note } = yield* world
      const [a, b] = [{}, {}]
      deadlines.set(a, 1_000, note("early"))
      deadlines.set(a, 5_000, note("late"))
      deadlines.set(b, 2_000, note("never"))
      deadlines.clear(b)
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(yield* log, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* log, ["late"])
      deadlines.set(b, 1_000, note("again"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* log, ["late", "again"])
    })
  )

  it.scoped("do not wait for what they do, also when they are made where nothing can be interrupted", () =>
    Effect.gen(function* () {
      const { deadlines, log, note } = yield* Effect.uninterruptible(world)
      deadlines.set({}, 1_000, Effect.never)
      deadlines.set({}, 60_000, note("x"))
      deadlines.set({}, 2_000, note("a"))
      yield* TestClock.adjust("1 second")
      deadlines.set({}, 500, note("b"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* log, ["b", "a"])
    })
  )

  it.scoped("end with their scope", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { deadlines, log, note } = yield* Scope.extend(world, scope)
      deadlines.set({}, 1_000, note("a"))
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* log, [])
    })
  )
})
