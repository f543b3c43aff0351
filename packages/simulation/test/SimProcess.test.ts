import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Prng from "../src/Prng.js"
import * as SimClock from "../src/SimClock.js"
import * as SimProcess from "../src/SimProcess.js"

const make = (options: { readonly seed?: number; readonly shuffle?: boolean; readonly maxOps?: number } = {}) => {
  const { maxOps = 2_048, seed = 1, shuffle = false } = options
  const timeline = SimClock.makeTimeline()
  const clock = SimClock.make(timeline, 0)
  const process = SimProcess.make({ clock, prng: Prng.make(seed), seed, shuffle, maxOps })
  const settle = () => {
    do while (process.step());
    while (timeline.advance())
  }
  return { process, clock, settle }
}

/** Ten fibers that write their names, letting each other go on in between. */
const chorus = (lines: Array<string>) =>
  Effect.forEach(
    Array.from({ length: 10 }, (_, index) => index),
    (index) =>
      Effect.repeatN(
        Effect.zipRight(
          Effect.sync(() => lines.push(`${index}`)),
          Effect.yieldNow()
        ),
        3
      ),
    { concurrency: "unbounded", discard: true }
  )

const sung = (seed: number, shuffle: boolean) => {
  const lines: Array<string> = []
  const { process, settle } = make({ seed, shuffle })
  process.start(chorus(lines))
  settle()
  return lines.join("")
}

describe("a simulated process", () => {
  it("does nothing before its first step, and one fiber's part in each", () => {
    const { process } = make()
    const seen: Array<string> = []
    process.start(Effect.sync(() => seen.push("ran")))
    assert.deepStrictEqual([seen, process.isReady()], [[], true])
    assert.isTrue(process.step())
    assert.deepStrictEqual([seen, process.isReady(), process.step()], [["ran"], false, false])
  })

  it("lets fibers go on in turn, or in an order that follows from the seed", () => {
    assert.strictEqual(sung(1, false), "0123456789".repeat(4))
    assert.strictEqual(sung(1, true), sung(1, true))
    assert.notStrictEqual(sung(1, true), sung(2, true))
    assert.notStrictEqual(sung(1, true), sung(1, false))
    assert.strictEqual([...sung(2, true)].sort().join(""), [...sung(1, false)].sort().join(""))
  })

  it("gives every fiber its share, also one that yields at a lower priority", () => {
    const { process } = make()
    const seen: Array<string> = []
    process.start(Effect.forever(Effect.yieldNow()))
    process.start(
      Effect.zipRight(
        Effect.yieldNow({ priority: 10 }),
        Effect.sync(() => seen.push("had its share"))
      )
    )
    for (let steps = 0; steps < 200; steps++) process.step()
    assert.deepStrictEqual(seen, ["had its share"])
  })

  it("has random numbers that follow from its seed, in all its fibers", () => {
    const numbers = (seed: number) => {
      const { process, settle } = make({ seed })
      const drawn: Array<number> = []
      const draw = Effect.map(Random.nextInt, (n) => drawn.push(n))
      process.start(draw)
      process.start(draw)
      settle()
      return drawn
    }
    assert.deepStrictEqual(numbers(1), numbers(1))
    assert.notDeepEqual(numbers(1), numbers(2))
    assert.strictEqual(new Set(numbers(1)).size, 2)
  })

  it("dies at any operation: no finalizer runs, no timer comes, nothing can be started", () => {
    for (const after of [0, 1, 10, 25]) {
      const { clock, process, settle } = make()
      const seen: Array<string> = []
      const work = Effect.forever(Effect.sync(() => seen.push("work")))
      process.start(
        Effect.ensuring(
          work,
          Effect.sync(() => seen.push("finalizer"))
        )
      )
      process.start(
        Effect.ensuring(
          Effect.sleep("1 minute"),
          Effect.sync(() => seen.push("woken"))
        )
      )
      for (let steps = 0; steps < 3; steps++) process.step()
      const before = seen.length
      process.killAfter(after)
      settle()
      assert.isFalse(process.alive())
      assert.isAtMost(seen.length - before, after)
      assert.notInclude(seen, "finalizer")
      assert.notInclude(seen, "woken")
      process.start(Effect.sync(() => seen.push("after death")))
      settle()
      assert.notInclude(seen, "after death")
      assert.strictEqual(clock.waiting(), 0)
    }
  })

  it("counts the fibers that have not ended, daemons too", () => {
    const { process, settle } = make()
    const main = process.start(
      Effect.gen(function* () {
        const daemon = yield* Effect.forkDaemon(Effect.never)
        yield* Effect.fork(Effect.never)
        return daemon
      })
    )
    settle()
    // The child ends with its parent, the daemon does not.
    assert.strictEqual(process.fibers(), 1)
    const exit = main.unsafePoll()
    if (exit?._tag === "Success") process.start(Fiber.interrupt(exit.value))
    settle()
    assert.strictEqual(process.fibers(), 0)
  })
})
