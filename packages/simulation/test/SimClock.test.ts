import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Prng from "../src/Prng.js"
import * as SimClock from "../src/SimClock.js"
import * as SimProcess from "../src/SimProcess.js"

const world = () => {
  const timeline = SimClock.makeTimeline()
  const clock = SimClock.make(timeline, 1_000)
  const process = SimProcess.make({ clock, prng: Prng.make(1), seed: 1, shuffle: false, maxOps: 2_048 })
  /** Lets everything happen that can, for ever. */
  const settle = () => {
    do while (process.step());
    while (timeline.advance())
  }
  return { timeline, clock, process, settle }
}

describe("the timeline", () => {
  it("wakes sleepers by moment, and those of one moment in the order in which they asked", () => {
    const timeline = SimClock.makeTimeline()
    const woken: Array<string> = []
    const sleep = (name: string, millis: number) =>
      timeline.sleep(millis, () => woken.push(`${name}@${timeline.now()}`))
    sleep("c", 20)
    sleep("a", 10)
    sleep("b", 10)
    sleep("now", 0)
    while (timeline.advance());
    assert.deepStrictEqual(woken, ["now@0", "a@10", "b@10", "c@20"])
    assert.strictEqual(timeline.waiting(), 0)
  })

  it("does not wake whoever was forgotten, not even by one of the same moment", () => {
    const timeline = SimClock.makeTimeline()
    const woken: Array<string> = []
    timeline.sleep(5, () => {
      woken.push("first")
      timeline.forget(second)
    })
    const second = timeline.sleep(5, () => woken.push("second"))
    const third = timeline.sleep(1, () => woken.push("third"))
    timeline.forget(third)
    timeline.forget(third)
    assert.strictEqual(timeline.waiting(), 2)
    while (timeline.advance());
    assert.deepStrictEqual([woken, timeline.now(), timeline.waiting()], [["first"], 5, 0])
  })

  it("wakes any sleepers as sorting them would, whatever is forgotten", () => {
    const sleepers = FastCheck.array(FastCheck.tuple(FastCheck.nat(50), FastCheck.boolean()))
    FastCheck.assert(
      FastCheck.property(sleepers, (asked) => {
        const timeline = SimClock.makeTimeline()
        const woken: Array<number> = []
        const made = asked.map(([millis], index) => timeline.sleep(millis, () => woken.push(index)))
        asked.forEach(([, forgotten], index) => {
          const sleeper = made[index]
          if (forgotten && sleeper !== undefined) timeline.forget(sleeper)
        })
        while (timeline.advance());
        const expected = asked
          .flatMap(([millis, forgotten], index) => (forgotten ? [] : [{ millis, index }]))
          .sort((a, b) => a.millis - b.millis || a.index - b.index)
          .map(({ index }) => index)
        assert.deepStrictEqual(woken, expected)
      })
    )
  })
})

describe("a process's clock", () => {
  it("moves on by itself when every fiber waits", () => {
    const { process, settle } = world()
    const seen: Array<number> = []
    const note = Effect.map(Clock.currentTimeMillis, (now) => seen.push(now))
    process.start(
      Effect.gen(function* () {
        yield* note
        yield* Effect.sleep("3 hours")
        yield* note
        yield* Effect.sleep(0.5)
        yield* note
      })
    )
    settle()
    // Node's shortest timer is one millisecond.
    assert.deepStrictEqual(seen, [1_000, 10_801_000, 10_801_001])
    assert.strictEqual(process.fibers(), 0)
  })

  it("times out, races and repeats like any clock", () => {
    const { process, settle, timeline } = world()
    const fiber = process.start(
      Effect.gen(function* () {
        const late = yield* Effect.timeoutOption(Effect.sleep("2 minutes"), "1 minute")
        const first = yield* Effect.race(Effect.as(Effect.sleep(20), "slow"), Effect.as(Effect.sleep(10), "fast"))
        return [late._tag, first]
      })
    )
    settle()
    const exit = fiber.unsafePoll()
    assert.deepStrictEqual(exit?._tag === "Success" ? exit.value : exit, ["None", "fast"])
    assert.deepStrictEqual([timeline.now(), timeline.waiting()], [60_010, 0])
  })

  it("forgets a sleeper that is interrupted", () => {
    const { clock, process, settle, timeline } = world()
    process.start(
      Effect.gen(function* () {
        const sleeper = yield* Effect.fork(Effect.sleep("1 day"))
        yield* Effect.sleep("1 minute")
        yield* Fiber.interrupt(sleeper)
      })
    )
    settle()
    assert.deepStrictEqual([timeline.now(), clock.waiting(), process.fibers()], [60_000, 0, 0])
  })

  it("has timers go on when the time of day jumps", () => {
    const { clock, process, settle, timeline } = world()
    const fiber = process.start(Effect.zipRight(Effect.sleep("1 minute"), Clock.currentTimeMillis))
    timeline.sleep(1_000, () => clock.jump(-86_400_000))
    settle()
    const exit = fiber.unsafePoll()
    assert.strictEqual(exit?._tag === "Success" && exit.value, 61_000 - 86_400_000)
    assert.strictEqual(timeline.now(), 60_000)
  })

  it("never comes to the end of a sleep that is longer than Node's longest timer", () => {
    const { clock, process, settle } = world()
    const fiber = process.start(Effect.sleep(Duration.millis(SimClock.longestTimer + 1)))
    settle()
    assert.deepStrictEqual([fiber.unsafePoll(), clock.waiting(), process.fibers()], [null, 1, 1])
  })
})
