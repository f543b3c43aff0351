import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { FastCheck } from "effect"
import { makeByteTail } from "../src/internal/byteTail.js"

const filled = (length: number, first = 0) => Uint8Array.from({ length }, (_, index) => (first + index) % 251)

describe("byteTail", () => {
  it.prop(
    "keeps the last bytes of any chunks",
    [FastCheck.nat({ max: 50 }), FastCheck.array(FastCheck.uint8Array({ maxLength: 120 }), { maxLength: 20 })],
    ([limit, chunks]) => {
      const tail = makeByteTail(limit)
      for (const chunk of chunks) tail.add(chunk)
      const all = chunks.flatMap((chunk) => [...chunk])
      deepStrictEqual([...tail.bytes()], limit === 0 ? [] : all.slice(-limit))
      assert.strictEqual(tail.truncated(), all.length > limit)
    }
  )

  it("grows past its first size, and goes round", () => {
    const tail = makeByteTail(100_000)
    const chunks = Array.from({ length: 41 }, (_, index) => filled(7_001, index * 7_001))
    for (const chunk of chunks) tail.add(chunk)
    const all = filled(41 * 7_001)
    deepStrictEqual(tail.bytes(), all.slice(-100_000))
  })

  it("stays in order when a chunk is longer than the limit and the ring has turned", () => {
    const tail = makeByteTail(10)
    for (const length of [13, 27, 4, 10, 31]) tail.add(filled(length, length))
    deepStrictEqual(tail.bytes(), filled(31, 31).slice(-10))
    tail.add(filled(3, 100))
    deepStrictEqual(tail.bytes(), Uint8Array.from([...filled(31, 31).slice(-7), 100, 101, 102]))
  })

  it("gives a copy", () => {
    const tail = makeByteTail(4)
    tail.add(filled(4))
    const before = tail.bytes()
    tail.add(filled(4, 9))
    deepStrictEqual(before, filled(4))
  })
})
