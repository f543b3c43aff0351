import { SessionId } from "@driver/domain/Binding"
import { BindingStore } from "@driver/runtime/BindingStore"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, FastCheck as fc, Option, TestClock } from "effect"
import { backends, memory } from "./support/backends.js"
import { anyText, bindingInput, goalIdOf, sampled } from "./support/values.js"

const other = SessionId.make("another session")
const at = (millis: number) => DateTime.unsafeMake(millis)

for (const { available, name, stores } of backends) {
  describe.skipIf(!available)(`BindingStore on ${name}`, () => {
    it.effect("gives back the live binding that was put in", () =>
      Effect.gen(function* () {
        const store = yield* BindingStore
        yield* TestClock.setTime(1_700_000_000_123)
        const input = bindingInput(1, {
          model: Option.some("opus"),
          originChannel: Option.some("#ops"),
          dispatcher: Option.some("cron")
        })
        const stored = yield* store.upsert(input)
        assert.deepInclude(stored, {
          ...input,
          live: true,
          invalidReason: Option.none(),
          createdAt: at(1_700_000_000_123),
          updatedAt: at(1_700_000_000_123),
          lastActiveAt: at(1_700_000_000_123)
        })
        assert.deepStrictEqual(yield* store.get(goalIdOf(1)), Option.some(stored))
        assert.deepStrictEqual(yield* store.get(goalIdOf(2)), Option.none())
      }).pipe(Effect.provide(stores()))
    )

    it.effect("keeps the creation time for the same session and starts anew for another", () =>
      Effect.gen(function* () {
        const store = yield* BindingStore
        yield* TestClock.setTime(1_000)
        yield* store.upsert(bindingInput(1, { model: Option.some("opus") }))
        yield* TestClock.setTime(2_000)
        const again = yield* store.upsert(bindingInput(1, { workspace: "/elsewhere" }))
        assert.deepInclude(again, {
          createdAt: at(1_000),
          updatedAt: at(2_000),
          lastActiveAt: at(2_000),
          workspace: "/elsewhere",
          model: Option.none()
        })
        yield* TestClock.setTime(3_000)
        assert.deepInclude(yield* store.upsert(bindingInput(1, { sessionId: other })), {
          sessionId: other,
          createdAt: at(3_000)
        })
        assert.strictEqual((yield* store.listAll).length, 1)
      }).pipe(Effect.provide(stores()))
    )

    it.effect("keeps an invalid binding for forensics, with its first reason, until it is put in again", () =>
      Effect.gen(function* () {
        const store = yield* BindingStore
        yield* store.upsert(bindingInput(1))
        yield* TestClock.setTime(5_000)
        yield* store.markInvalid(goalIdOf(1), "the agent does not know the session")
        yield* TestClock.setTime(6_000)
        yield* store.markInvalid(goalIdOf(1), "later")
        yield* store.touch(goalIdOf(1))
        yield* store.markInvalid(goalIdOf(9), "never bound")
        assert.deepStrictEqual(yield* store.get(goalIdOf(1)), Option.none())
        assert.deepStrictEqual(yield* store.listActive, [])
        const [row, ...more] = yield* store.listAll
        assert.deepStrictEqual(more, [])
        assert.deepInclude(row, {
          live: false,
          invalidReason: Option.some("the agent does not know the session"),
          updatedAt: at(5_000),
          lastActiveAt: at(0)
        })
        assert.deepInclude(yield* store.upsert(bindingInput(1)), {
          live: true,
          invalidReason: Option.none(),
          createdAt: at(0)
        })
        assert.isTrue(Option.isSome(yield* store.get(goalIdOf(1))))
      }).pipe(Effect.provide(stores()))
    )

    it.effect("removes a binding on clear, and minds none that is not there", () =>
      Effect.gen(function* () {
        const store = yield* BindingStore
        yield* store.upsert(bindingInput(1))
        yield* store.upsert(bindingInput(2))
        yield* store.clear(goalIdOf(1))
        yield* store.clear(goalIdOf(1))
        yield* store.touch(goalIdOf(1))
        assert.deepStrictEqual(
          (yield* store.listAll).map(({ goalId }) => goalId),
          [goalIdOf(2)]
        )
      }).pipe(Effect.provide(stores()))
    )

    it.effect("expires a binding that was idle for the idle TTL, and not one that was touched", () =>
      Effect.gen(function* () {
        const store = yield* BindingStore
        yield* store.upsert(bindingInput(1))
        yield* store.upsert(bindingInput(2))
        yield* TestClock.adjust("59 minutes")
        yield* store.touch(goalIdOf(2))
        yield* TestClock.adjust(Duration.millis(59_999))
        assert.isTrue(Option.isSome(yield* store.get(goalIdOf(1))))
        yield* TestClock.adjust("1 millis")
        assert.isTrue(Option.isNone(yield* store.get(goalIdOf(1))))
        assert.isTrue(Option.isSome(yield* store.get(goalIdOf(2))))
        assert.deepStrictEqual(
          (yield* store.listActive).map(({ goalId }) => goalId),
          [goalIdOf(2)]
        )
        assert.strictEqual((yield* store.listAll).length, 2)
      }).pipe(Effect.provide(stores({ idleTtl: Duration.hours(1), maxAge: Duration.zero })))
    )

    it.effect("expires a binding at its maximum age however active it is, and never without limits", () =>
      Effect.gen(function* () {
        const store = yield* BindingStore
        yield* store.upsert(bindingInput(1))
        yield* TestClock.adjust("23 hours")
        yield* store.upsert(bindingInput(1))
        yield* TestClock.adjust("1 hours")
        yield* store.touch(goalIdOf(1))
        assert.isTrue(Option.isNone(yield* store.get(goalIdOf(1))))
      }).pipe(
        Effect.provide(stores({ maxAge: Duration.days(1) })),
        Effect.zipRight(
          Effect.gen(function* () {
            const store = yield* BindingStore
            yield* store.upsert(bindingInput(1))
            yield* TestClock.adjust("10000 days")
            assert.isTrue(Option.isSome(yield* store.get(goalIdOf(1))))
          }).pipe(Effect.provide(stores({ idleTtl: Duration.zero, maxAge: Duration.infinity })))
        )
      )
    )

    it.effect("purges what was last active before a moment, and says how many", () =>
      Effect.gen(function* () {
        const store = yield* BindingStore
        for (const goal of [1, 2, 3, 4]) {
          yield* TestClock.setTime(goal * 1_000)
          yield* store.upsert(bindingInput(goal))
        }
        yield* store.markInvalid(goalIdOf(1), "old")
        for (const none of [Number.NaN, Number.NEGATIVE_INFINITY, -1, 0.5, 1_000]) {
          assert.strictEqual(yield* store.purgeOlderThan(none), 0)
        }
        assert.strictEqual(yield* store.purgeOlderThan(2_000.5), 2)
        assert.deepStrictEqual(
          (yield* store.listAll).map(({ goalId }) => goalId),
          [goalIdOf(4), goalIdOf(3)]
        )
        assert.strictEqual(yield* store.purgeOlderThan(Number.POSITIVE_INFINITY), 2)
      }).pipe(Effect.provide(stores()))
    )

    it.effect("lists the latest activity first, and by goal where that is equal", () =>
      Effect.gen(function* () {
        const store = yield* BindingStore
        for (const goal of [12, 3, 10, 2]) yield* store.upsert(bindingInput(goal))
        yield* TestClock.setTime(7)
        yield* store.touch(goalIdOf(10))
        const order = [10, 2, 3, 12].map(goalIdOf)
        assert.deepStrictEqual(
          (yield* store.listActive).map(({ goalId }) => goalId),
          order
        )
        assert.deepStrictEqual(
          (yield* store.listAll).map(({ goalId }) => goalId),
          order
        )
      }).pipe(Effect.provide(stores()))
    )

    it.effect("keeps any text as it is", () =>
      Effect.gen(function* () {
        const store = yield* BindingStore
        for (const text of sampled(anyText, 150)) {
          const stored = yield* store.upsert(
            bindingInput(1, {
              sessionId: SessionId.make(`s${text}`),
              model: Option.some(text),
              workspace: text,
              originChannel: Option.some(text),
              dispatcher: Option.some(text)
            })
          )
          assert.deepStrictEqual(yield* store.get(goalIdOf(1)), Option.some(stored))
          assert.strictEqual(stored.workspace, text)
          yield* store.markInvalid(goalIdOf(1), text)
          assert.deepStrictEqual((yield* store.listAll)[0]?.invalidReason, Option.some(text))
        }
      }).pipe(Effect.provide(stores()))
    )

    it.effect("keeps one row per goal under concurrent upserts", () =>
      Effect.gen(function* () {
        const store = yield* BindingStore
        yield* Effect.forEach(
          Array.from({ length: 60 }, (_, index) => index),
          (index) => store.upsert(bindingInput((index % 3) + 1, { workspace: `/w/${index}` })),
          { concurrency: "unbounded" }
        )
        assert.strictEqual((yield* store.listAll).length, 3)
      }).pipe(Effect.provide(stores()))
    )

    it.effect("answers any sequence of calls as the memory does", () =>
      Effect.gen(function* () {
        const call = fc.tuple(
          fc.constantFrom("upsert", "clear", "markInvalid", "touch", "purge", "get", "wait"),
          fc.integer({ min: 1, max: 4 }),
          fc.integer({ min: 0, max: 2 })
        )
        const expiry = { idleTtl: Duration.seconds(50), maxAge: Duration.seconds(200) }
        const run = (calls: ReadonlyArray<readonly [string, number, number]>) =>
          Effect.gen(function* () {
            const store = yield* BindingStore
            const answers: Array<unknown> = []
            yield* TestClock.setTime(1_000_000)
            for (const [what, goal, n] of calls) {
              const now = yield* DateTime.now
              answers.push(
                yield* what === "upsert"
                  ? store.upsert(bindingInput(goal, { sessionId: SessionId.make(`s${n}`) }))
                  : what === "clear"
                    ? store.clear(goalIdOf(goal))
                    : what === "markInvalid"
                      ? store.markInvalid(goalIdOf(goal), `reason ${n}`)
                      : what === "touch"
                        ? store.touch(goalIdOf(goal))
                        : what === "purge"
                          ? store.purgeOlderThan(now.epochMillis - n * 40_000)
                          : what === "get"
                            ? store.get(goalIdOf(goal))
                            : TestClock.setTime(now.epochMillis + (n + 1) * 13_000)
              )
              answers.push(yield* store.listActive, yield* store.listAll)
            }
            return answers
          })
        for (const calls of sampled(fc.array(call, { minLength: 10, maxLength: 40 }), 6)) {
          const expected = yield* run(calls).pipe(Effect.provide(memory.stores(expiry)))
          assert.deepStrictEqual(yield* run(calls).pipe(Effect.provide(stores(expiry))), expected)
        }
      })
    )
  })
}
