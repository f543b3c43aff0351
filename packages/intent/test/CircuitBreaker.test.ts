import {
  admit,
  type BreakerState,
  breakerDefaults,
  CircuitOpen,
  closed,
  make,
  record
} from "@driver/intent/CircuitBreaker"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, FastCheck as fc, TestClock } from "effect"

const failing = Effect.fail("no" as const)
const fine = Effect.succeed("yes" as const)

describe("CircuitBreaker", () => {
  it.effect("opens after five failures in a row, for 30 seconds, and lets one try then", () =>
    Effect.gen(function* () {
      const { guard, state } = yield* make("a")
      for (let n = 0; n < 4; n++) yield* Effect.flip(guard(failing))
      // A success in between starts the count anew.
      yield* guard(fine)
      for (let n = 0; n < 4; n++) yield* Effect.flip(guard(failing))
      assert.strictEqual((yield* state)._tag, "Closed")
      assert.strictEqual(yield* Effect.flip(guard(failing)), "no")
      assert.deepStrictEqual(yield* Effect.flip(guard(Effect.die("is not called"))), new CircuitOpen({ name: "a" }))
      yield* TestClock.adjust(Duration.millis(29_999))
      assert.instanceOf(yield* Effect.flip(guard(fine)), CircuitOpen)
      yield* TestClock.adjust(Duration.millis(1))
      const probe = yield* Effect.fork(guard(Effect.zipRight(Effect.sleep("10 seconds"), fine)))
      yield* TestClock.adjust("5 seconds")
      assert.instanceOf(yield* Effect.flip(guard(fine)), CircuitOpen)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(probe), "yes")
      assert.strictEqual(yield* guard(fine), "yes")
    })
  )

  it.effect("stays open for as long again when the try fails", () =>
    Effect.gen(function* () {
      const { guard } = yield* make("a")
      for (let n = 0; n < 5; n++) yield* Effect.flip(guard(failing))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* Effect.flip(guard(failing)), "no")
      yield* TestClock.adjust(Duration.millis(29_999))
      assert.instanceOf(yield* Effect.flip(guard(fine)), CircuitOpen)
      yield* TestClock.adjust(Duration.millis(1))
      assert.strictEqual(yield* guard(fine), "yes")
    })
  )

  it.effect("lets another one try when the try was interrupted", () =>
    Effect.gen(function* () {
      const { guard } = yield* make("a")
      for (let n = 0; n < 5; n++) yield* Effect.flip(guard(failing))
      yield* TestClock.adjust("30 seconds")
      const probe = yield* Effect.fork(guard(Effect.never))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(probe)
      assert.strictEqual(yield* guard(fine), "yes")
    })
  )

  it.effect("ignores what comes of a call that began before it opened", () =>
    Effect.gen(function* () {
      const { guard, state } = yield* make("a")
      const late = yield* Effect.fork(guard(Effect.zipRight(Effect.sleep("10 seconds"), fine)))
      yield* Effect.yieldNow()
      for (let n = 0; n < 5; n++) yield* Effect.flip(guard(failing))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(late)
      assert.strictEqual((yield* state)._tag, "Open")
    })
  )

  it.effect("is not closed by a call that began before it opened, while another one tries", () =>
    Effect.gen(function* () {
      const { guard, state } = yield* make("a")
      const late = yield* Effect.fork(guard(Effect.zipRight(Effect.sleep("40 seconds"), fine)))
      yield* Effect.yieldNow()
      for (let n = 0; n < 5; n++) yield* Effect.flip(guard(failing))
      yield* TestClock.adjust("30 seconds")
      const probe = yield* Effect.fork(guard(Effect.never))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(late)
      assert.strictEqual((yield* state)._tag, "HalfOpen")
      yield* Fiber.interrupt(probe)
    })
  )
})

/** What the drawing says, in other words: how many failures in a row, since when nobody calls, and who is trying. */
class Model {
  inARow = 0
  silentUntil: number | undefined
  probing = false
  /** Calls that were let through since the last change between open and closed. */
  era = 0

  admits(now: number): boolean {
    if (this.silentUntil === undefined) return true
    if (this.probing || now < this.silentUntil) return false
    this.probing = true
    this.era++
    return true
  }

  ended(era: number, end: "succeeded" | "failed" | "interrupted", now: number, max: number, openFor: number) {
    if (era !== this.era || (this.silentUntil !== undefined && !this.probing)) return
    if (this.silentUntil !== undefined) {
      this.probing = false
      this.era++
      if (end === "succeeded") {
        this.silentUntil = undefined
        this.inARow = 0
      } else this.silentUntil = end === "failed" ? now + openFor : now
    } else if (end === "succeeded") this.inARow = 0
    else if (end === "failed" && ++this.inARow >= max) {
      this.silentUntil = now + openFor
      this.era++
    }
  }
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ do: "begin" as const }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("end" as const),
      which: fc.nat(5),
      how: fc.constantFrom("succeeded" as const, "failed" as const, "failed" as const, "interrupted" as const)
    })
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("wait" as const), millis: fc.integer({ min: 0, max: 300 }) }) }
)

describe("the breaker's state", () => {
  it("is what its model says, whatever happens in whatever order", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), (maxFailures, steps) => {
        const settings = { maxFailures, openFor: Duration.millis(100) }
        const model = new Model()
        let state: BreakerState = closed
        let now = 0
        const running: Array<{ readonly epoch: number; readonly era: number }> = []
        for (const it of steps) {
          if (it.do === "wait") now += it.millis
          else if (it.do === "begin") {
            const expected = model.admits(now)
            const admitted = admit(state, now)
            state = admitted.state
            assert.strictEqual(admitted.admitted, expected)
            if (expected) running.push({ epoch: state.epoch, era: model.era })
          } else {
            const [call] = running.splice(it.which % Math.max(1, running.length), 1)
            if (call === undefined) continue
            model.ended(call.era, it.how, now, maxFailures, 100)
            state = record(state, call.epoch, it.how, now, settings)
          }
          assert.strictEqual(
            state._tag,
            model.silentUntil === undefined ? "Closed" : model.probing ? "HalfOpen" : "Open"
          )
        }
      }),
      { numRuns: 1_000 }
    )
  })

  it("never lets two try at once, and is never open for longer than it may be", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let state: BreakerState = closed
        let now = 0
        const running: Array<number> = []
        for (const it of steps) {
          if (it.do === "wait") now += it.millis * 1_000
          else if (it.do === "begin") {
            const before = state
            const admitted = admit(state, now)
            state = admitted.state
            if (before._tag === "HalfOpen") assert.isFalse(admitted.admitted)
            if (before._tag === "Open") assert.isAtMost(before.until - now, 30_000)
            if (admitted.admitted) running.push(state.epoch)
          } else {
            const [epoch] = running.splice(it.which % Math.max(1, running.length), 1)
            if (epoch !== undefined) state = record(state, epoch, it.how, now, breakerDefaults)
          }
        }
        if (state._tag === "HalfOpen") return assert.include(running, state.epoch)
        assert.isTrue(admit(state, now + 30_000).admitted)
      })
    )
  })
})

it("takes the defaults that the specification names", () => {
  assert.strictEqual(breakerDefaults.maxFailures, 5)
  assert.isTrue(Duration.equals(breakerDefaults.openFor, Duration.seconds(30)))
})
