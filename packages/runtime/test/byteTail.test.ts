import { assert, describe, it } from "@effect/vitest"
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
      assert.deepStrictEqual([...tail.bytes()], limit === 0 ? [] : all.slice(-limit))
      assert.strictEqual(tail.truncated(), all.length > limit)
    }
  )

  it("grows past its first size, and goes round", () => {
    const tail = makeByteTail(100_000)
    const chunks = Array.from({ length: 41 }, (_, index) => filled(7_001, index * 7_001))
    for (const chunk of chunks) tail.add(chunk)
    const all = filled(41 * 7_001)
    assert.deepStrictEqual(tail.bytes(), all.slice(-100_000))
  })

  it("gives a copy", () => {
    const tail = makeByteTail(4)
    tail.add(filled(4))
    const before = tail.bytes()
    tail.add(filled(4, 9))
    assert.deepStrictEqual(before, filled(4))
  })
})
