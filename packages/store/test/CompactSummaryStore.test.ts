import { CompactSummaryStore } from "@driver/runtime/CompactSummaryStore"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, TestClock } from "effect"
import { backends } from "./support/backends.js"
import { anyText, goalIdOf, sampled } from "./support/values.js"

for (const { available, name, stores } of backends) {
  describe.skipIf(!available)(`CompactSummaryStore on ${name}`, () => {
    it.effect("keeps the first summary of a turn and says so", () =>
      Effect.gen(function* () {
        const store = yield* CompactSummaryStore
        yield* TestClock.setTime(1_700_000_000_000)
        assert.isTrue(yield* store.store(goalIdOf(1), 3, "first"))
        yield* TestClock.setTime(1_700_000_000_999)
        assert.isFalse(yield* store.store(goalIdOf(1), 3, "second"))
        assert.isTrue(yield* store.store(goalIdOf(2), 3, "another goal's"))
        assert.deepStrictEqual(
          yield* store.loadLatest(goalIdOf(1)),
          Option.some({ goalId: goalIdOf(1), turn: 3, summary: "first", storedAt: 1_700_000_000_000 })
        )
      }).pipe(Effect.provide(stores()))
    )

    it.effect("loads the summary of the highest turn, in whatever order they came", () =>
      Effect.gen(function* () {
        const store = yield* CompactSummaryStore
        assert.deepStrictEqual(yield* store.loadLatest(goalIdOf(1)), Option.none())
        for (const turn of [2, 10, 9]) yield* store.store(goalIdOf(1), turn, `turn ${turn}`)
        assert.strictEqual(Option.getOrThrow(yield* store.loadLatest(goalIdOf(1))).summary, "turn 10")
      }).pipe(Effect.provide(stores()))
    )

    it.effect("forgets all summaries of one goal only", () =>
      Effect.gen(function* () {
        const store = yield* CompactSummaryStore
        for (const goal of [1, 2]) {
          for (const turn of [1, 2]) yield* store.store(goalIdOf(goal), turn, "…")
        }
        yield* store.forget(goalIdOf(1))
        yield* store.forget(goalIdOf(3))
        assert.deepStrictEqual(yield* store.loadLatest(goalIdOf(1)), Option.none())
        assert.strictEqual(Option.getOrThrow(yield* store.loadLatest(goalIdOf(2))).turn, 2)
        assert.isTrue(yield* store.store(goalIdOf(1), 1, "anew"))
      }).pipe(Effect.provide(stores()))
    )

    it.effect("keeps any text as it is, megabytes too", () =>
      Effect.gen(function* () {
        const store = yield* CompactSummaryStore
        const texts = [...sampled(anyText, 150), "żółć\u0000".repeat(400_000)]
        for (const [turn, text] of texts.entries()) {
          yield* store.store(goalIdOf(1), turn, text)
          assert.strictEqual(Option.getOrThrow(yield* store.loadLatest(goalIdOf(1))).summary, text)
        }
      }).pipe(Effect.provide(stores()))
    )

    it.effect("stores once however many try at once", () =>
      Effect.gen(function* () {
        const store = yield* CompactSummaryStore
        const answers = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, n) => `writer ${n}`),
          (text) => store.store(goalIdOf(1), 1, text),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(answers.filter((stored) => stored).length, 1)
      }).pipe(Effect.provide(stores()))
    )
  })
}
