import { makeWindow, settingsOf } from "@driver/server/EventFeed"
import { readBlocks } from "@driver/server/Sse"
import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import { goalA, longEventOf } from "./support/scriptedGoals.js"

/** The sequences that a client gets that asks until there is nothing more. */
const walk = (window: ReturnType<typeof makeWindow>, from: number): ReadonlyArray<number> => {
  const next = window.after(from)
  if (Option.isNone(next) || next.value._tag !== "Bytes") return []
  const { bytes, cursor } = next.value
  const ids = readBlocks("", new TextDecoder().decode(bytes))[1].map(({ id }) => Number(id))
  assert.strictEqual(ids.at(-1), cursor)
  return [...ids, ...walk(window, cursor)]
}

describe("The window of a feed", () => {
  it.prop(
    "holds what came last, in order, and not more than it may",
    {
      head: FastCheck.integer({ min: 1, max: 50 }),
      steps: FastCheck.array(
        FastCheck.record({ gap: FastCheck.integer({ min: 0, max: 3 }), length: FastCheck.nat(900) }),
        {
          maxLength: 60
        }
      ),
      windowEvents: FastCheck.integer({ min: 1, max: 20 }),
      windowBytes: FastCheck.integer({ min: 1, max: 8_000 }),
      chunkBytes: FastCheck.integer({ min: 1, max: 3_000 }),
      looks: FastCheck.array(FastCheck.nat(200), { maxLength: 5 })
    },
    ({ head, looks, steps, ...settings }) => {
      const window = makeWindow(head, settingsOf(settings))
      const pushed: Array<number> = []
      let sequence = head
      for (const { gap, length } of steps) {
        sequence += gap
        window.push(longEventOf(goalA, sequence, length))
        // A gap of nothing is an event that is there already.
        if (gap > 0) pushed.push(sequence)
        assert.isAtMost(window.held(), Math.max(1, settings.windowEvents * 1.25))
        for (const look of [0, ...looks]) {
          const cursor = Math.max(window.start(), look)
          assert.deepStrictEqual(
            walk(window, cursor),
            pushed.filter((it) => it > cursor)
          )
        }
      }
    }
  )
})
