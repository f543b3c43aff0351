import { assert, describe, it } from "@effect/vitest"
import { approximateBytes, makeEventBuffer } from "../src/internal/eventBuffer.js"
import { activity, message } from "./support/events.js"

const everything = { events: Infinity, bytes: Infinity }
const sequences = (events: ReadonlyArray<{ readonly sequence: number }>) => events.map((event) => event.sequence)

describe("eventBuffer", () => {
  it("gives events of both kinds back in the order they came", () => {
    const buffer = makeEventBuffer({ events: 5_000, bytes: Infinity })
    for (let n = 1; n <= 3_000; n++) buffer.offer(n % 3 === 0 ? activity(1, n) : message(1, n))
    const first = buffer.take({ events: 1_234, bytes: Infinity })
    for (let n = 3_001; n <= 4_000; n++) buffer.offer(n % 3 === 0 ? activity(1, n) : message(1, n))
    assert.deepStrictEqual(
      sequences([...first, ...buffer.take(everything)]),
      Array.from({ length: 4_000 }, (_, index) => index + 1)
    )
    assert.strictEqual(buffer.size(), 0)
  })

  it("drops the oldest activity first, then the oldest of the rest, never new activity for it", () => {
    const buffer = makeEventBuffer({ events: 3, bytes: Infinity })
    buffer.offer(message(1, 1))
    buffer.offer(activity(1, 2))
    buffer.offer(activity(1, 3))
    assert.deepStrictEqual(buffer.offer(activity(1, 4)), { activity: 1, other: 0 })
    assert.deepStrictEqual(buffer.offer(message(1, 5)), { activity: 1, other: 0 })
    assert.deepStrictEqual(buffer.offer(message(1, 6)), { activity: 1, other: 0 })
    assert.deepStrictEqual(buffer.offer(activity(1, 7)), { activity: 1, other: 0 })
    assert.deepStrictEqual(buffer.offer(message(1, 8)), { activity: 0, other: 1 })
    assert.deepStrictEqual(sequences(buffer.take(everything)), [5, 6, 8])
  })

  it("is bounded in bytes, and one huge event does not empty it", () => {
    const small = approximateBytes(message(1, 1, "x"))
    const buffer = makeEventBuffer({ events: Infinity, bytes: 8 * small })
    for (let n = 1; n <= 8; n++) assert.strictEqual(buffer.offer(message(1, n, "x")).other, 0)
    assert.strictEqual(buffer.offer(message(1, 9, "x".repeat(5_000_000))).other, 2)
    assert.deepStrictEqual(sequences(buffer.take(everything)), [3, 4, 5, 6, 7, 8, 9])
    assert.strictEqual(buffer.offer(message(1, 10, "x")).other, 0)
    assert.strictEqual(buffer.offer(message(1, 11, "x")).other, 0)
  })

  it("bounds a batch by size, but never to nothing", () => {
    const buffer = makeEventBuffer({ events: Infinity, bytes: Infinity })
    for (let n = 1; n <= 3; n++) buffer.offer(message(1, n, "x".repeat(10_000)))
    assert.deepStrictEqual(sequences(buffer.take({ events: 100, bytes: 1 })), [1])
    assert.deepStrictEqual(sequences(buffer.take({ events: 100, bytes: 20_001 })), [2])
    assert.strictEqual(buffer.oldest(), 2)
    assert.strictEqual(buffer.next(), 3)
  })

  it("sees what makes an event large", () => {
    assert.isAbove(approximateBytes(message(1, 1, "x".repeat(1_000_000))), 2_000_000)
    assert.isBelow(approximateBytes(message(1, 1, "x")), 2_000)
  })
})
