import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Prng from "../src/Prng.js"

describe("numbers from a seed", () => {
  it("are the same for the same seed, and within their bounds", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.integer(), FastCheck.integer({ min: 1, max: 1_000 }), (seed, bound) => {
        const [one, other] = [Prng.make(seed), Prng.make(seed)]
        for (let n = 0; n < 20; n++) {
          const drawn = one.below(bound)
          assert.strictEqual(drawn, other.below(bound))
          assert.isTrue(Number.isInteger(drawn) && drawn >= 0 && drawn < bound)
        }
      })
    )
  })

  it("come as often as they should", () => {
    const prng = Prng.make(3)
    const counts = { often: 0, seldom: 0, never: 0 }
    for (let n = 0; n < 10_000; n++) {
      counts[
        prng.weighted([
          [9, "often"],
          [1, "seldom"],
          [0, "never"]
        ] as const)
      ] += 1
    }
    assert.isTrue(counts.never === 0 && counts.seldom > 850 && counts.seldom < 1_150, JSON.stringify(counts))
  })

  it("differ for seeds that are mixed of different parts", () => {
    const seeds = new Set<number>()
    for (let a = 0; a < 100; a++) for (let b = 0; b < 100; b++) seeds.add(Prng.seedOf(a, b))
    assert.isAtLeast(seeds.size, 9_990)
  })
})
