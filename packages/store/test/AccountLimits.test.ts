import { AccountLimits, Admission } from "@driver/runtime/AccountLimits"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc, TestClock } from "effect"
import { backends, places } from "./support/backends.js"
import { anyText, goalIdOf, sampled } from "./support/values.js"

const go = Admission.Go({ probe: false })
const probe = Admission.Go({ probe: true })
const [one, two, three] = [goalIdOf(1), goalIdOf(2), goalIdOf(3)]

for (const { available, name, runs, stores } of backends) {
  describe.skipIf(!available)(`AccountLimits on ${name}`, () => {
    it.effect("parks every goal on a limited account until it resets, and no other account's", () =>
      Effect.gen(function* () {
        const limits = yield* AccountLimits
        assert.deepStrictEqual(yield* limits.admit("a", one), go)
        yield* limits.limited("a", 60_000, "five hours are used up")
        const park = Admission.Park({ until: 60_000, reason: "five hours are used up" })
        assert.deepStrictEqual([yield* limits.admit("a", one), yield* limits.admit("a", two)], [park, park])
        assert.deepStrictEqual(yield* limits.admit("b", one), go)
        assert.deepStrictEqual(yield* limits.list, [{ account: "a", until: 60_000, reason: "five hours are used up" }])
        yield* TestClock.setTime(59_999)
        assert.deepStrictEqual(yield* limits.admit("a", one), park)
      }).pipe(Effect.provide(stores()))
    )

    it.effect("lets one goal ask first, and all when it went through", () =>
      Effect.gen(function* () {
        const limits = yield* AccountLimits
        yield* limits.limited("a", 60_000, "used up")
        yield* TestClock.setTime(60_000)
        assert.deepStrictEqual(yield* limits.list, [])
        assert.deepStrictEqual(yield* limits.admit("a", two), probe)
        // It is asked again, so that it hears soon what the probe has found, also that of another process.
        assert.deepStrictEqual(
          yield* limits.admit("a", one),
          Admission.Park({ until: 70_000, reason: "another goal asks first: used up" })
        )
        // The same goal, after a restart.
        assert.deepStrictEqual(yield* limits.admit("a", two), probe)
        yield* limits.open("a")
        assert.deepStrictEqual([yield* limits.admit("a", one), yield* limits.admit("a", three)], [go, go])
        yield* limits.open("a")
      }).pipe(Effect.provide(stores()))
    )

    it.effect("parks all again when the probe meets the limit", () =>
      Effect.gen(function* () {
        const limits = yield* AccountLimits
        yield* limits.limited("a", 60_000, "used up")
        yield* TestClock.setTime(60_000)
        yield* limits.admit("a", one)
        yield* limits.limited("a", 90_000, "still used up")
        const park = Admission.Park({ until: 90_000, reason: "still used up" })
        assert.deepStrictEqual([yield* limits.admit("a", one), yield* limits.admit("a", two)], [park, park])
        yield* TestClock.setTime(90_000)
        assert.deepStrictEqual(yield* limits.admit("a", two), probe)
      }).pipe(Effect.provide(stores()))
    )

    it.effect("gives a probe that says nothing for two minutes to another goal", () =>
      Effect.gen(function* () {
        const limits = yield* AccountLimits
        yield* limits.limited("a", 1, "used up")
        yield* TestClock.setTime(1_000)
        assert.deepStrictEqual(yield* limits.admit("a", one), probe)
        yield* TestClock.setTime(120_500)
        // No longer than what is left of its time.
        assert.deepInclude(yield* limits.admit("a", two), { _tag: "Park", until: 121_000 })
        yield* TestClock.setTime(121_000)
        assert.deepStrictEqual(yield* limits.admit("a", two), probe)
        assert.deepInclude(yield* limits.admit("a", one), { _tag: "Park", until: 131_000 })
      }).pipe(Effect.provide(stores()))
    )

    it.effect("keeps the later of two moments, and is not opened by a call that had begun before", () =>
      Effect.gen(function* () {
        const limits = yield* AccountLimits
        yield* limits.limited("a", 60_000, "the later")
        yield* limits.limited("a", 50_000, "the earlier")
        yield* limits.open("a")
        assert.deepStrictEqual(yield* limits.admit("a", one), Admission.Park({ until: 60_000, reason: "the later" }))
        yield* limits.limited("a", 70_000.5, "the last")
        assert.deepInclude(yield* limits.admit("a", one), { _tag: "Park", until: 70_001 })
        yield* limits.limited("b", Number.POSITIVE_INFINITY, "for ever")
        assert.deepStrictEqual(
          (yield* limits.list).map(({ account }) => account),
          ["a", "b"]
        )
      }).pipe(Effect.provide(stores()))
    )

    it.effect("does not hold a probe longer because the clock was set back", () =>
      Effect.gen(function* () {
        const limits = yield* AccountLimits
        yield* limits.limited("a", 1_000, "used up")
        yield* TestClock.setTime(10_000_000)
        assert.deepStrictEqual(yield* limits.admit("a", one), probe)
        yield* TestClock.setTime(5_000)
        assert.deepInclude(yield* limits.admit("a", two), { _tag: "Park" })
        yield* TestClock.setTime(125_000)
        assert.deepStrictEqual(yield* limits.admit("a", two), probe)
      }).pipe(Effect.provide(stores()))
    )

    it.effect("keeps any text", () =>
      Effect.gen(function* () {
        const limits = yield* AccountLimits
        for (const [n, text] of new Set(sampled(anyText, 30)).entries()) {
          yield* limits.limited(`${n}${text}`, 60_000, text)
          assert.deepInclude(yield* limits.admit(`${n}${text}`, one), { reason: text })
        }
      }).pipe(Effect.provide(stores()))
    )

    it.effect("never has two probes within two minutes, and no call in a closed window", () =>
      Effect.gen(function* () {
        const limits = yield* AccountLimits
        let now = 1_000
        for (const [run, operations] of sampled(operationsArbitrary, Math.ceil(runs / 4)).entries()) {
          const account = `account ${run}`
          let closedUntil = 0
          let probing = { goal: 0, since: -1 }
          for (const { action, goal, millis } of operations) {
            now += millis
            yield* TestClock.setTime(now)
            if (action === "open") {
              yield* limits.open(account)
              if (now >= closedUntil) {
                closedUntil = 0
                probing = { goal: 0, since: -1 }
              }
            } else if (action === "limited") {
              yield* limits.limited(account, now + millis, "used up")
              if (now + millis > closedUntil) {
                closedUntil = now + millis
                probing = { goal: 0, since: -1 }
              }
            } else {
              const admission = yield* limits.admit(account, goalIdOf(goal))
              if (closedUntil === 0) assert.deepStrictEqual(admission, go)
              else if (now < closedUntil) assert.deepInclude(admission, { _tag: "Park", until: closedUntil })
              else if (probing.since < 0 || probing.goal === goal || now - probing.since >= 120_000) {
                assert.deepStrictEqual(admission, probe)
                probing = { goal, since: now }
              } else {
                assert.strictEqual(admission._tag, "Park")
              }
            }
          }
        }
      }).pipe(Effect.provide(stores()))
    )
  })
}

const operationsArbitrary = fc.array(
  fc.record({
    action: fc.constantFrom("admit" as const, "admit" as const, "admit" as const, "limited" as const, "open" as const),
    goal: fc.integer({ min: 1, max: 3 }),
    millis: fc.constantFrom(1, 1_000, 40_000, 130_000)
  }),
  { maxLength: 20 }
)

for (const { available, name, open } of places) {
  describe.skipIf(!available)(`Two drivers on ${name}`, () => {
    it.scopedLive("have one probe between them, however many goals ask", () =>
      Effect.gen(function* () {
        const { driver } = yield* open
        const [first, second] = yield* Effect.all([driver, driver])
        yield* Effect.provide(
          Effect.flatMap(AccountLimits, (limits) => limits.limited("a", 1, "used up")),
          first
        )
        const admissions = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, n) => n + 1),
          (n) =>
            Effect.provide(
              Effect.flatMap(AccountLimits, (limits) => limits.admit("a", goalIdOf(n))),
              n % 2 === 0 ? first : second
            ),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(admissions.filter(({ _tag }) => _tag === "Go").length, 1)
      })
    )
  })
}
