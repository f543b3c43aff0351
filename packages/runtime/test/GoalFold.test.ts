import { empty, fold, foldAll, type GoalFold, onlyFolded, unfolded } from "@driver/runtime/GoalFold"
import { JournalEntry, JournalRecord } from "@driver/runtime/Journal"
import { RunStarted } from "@driver/runtime/LoopEntry"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, FastCheck, Schema } from "effect"
import { eventLines } from "../../domain/test/frozen/lines.js"
import { goal } from "../../domain/test/frozen/values.js"
import { stepLines } from "./frozen/journalLines.js"

const read = Schema.decodeUnknownSync(Schema.parseJson(JournalEntry))

/** One entry of every kind. */
const entries = Object.values({ ...eventLines, ...stepLines }).map((line) => read(line))

const recordsOf = (all: ReadonlyArray<JournalEntry>): ReadonlyArray<JournalRecord> =>
  all.map(
    (entry, index) =>
      new JournalRecord({
        goalId: goal.id,
        sequence: index + 1,
        id: `${index + 1}`,
        at: DateTime.unsafeMake(1_000 * (index + 1)),
        epoch: 1,
        entry
      })
  )

const states: ReadonlyArray<GoalFold> = [
  empty,
  foldAll(recordsOf([new RunStarted({ goal, driver: "a", continued: false })])),
  foldAll(recordsOf(entries)),
  foldAll(recordsOf([...entries].reverse()))
]

describe("GoalFold", () => {
  it("has every kind that may be left out, under the name that it has outside", () => {
    const names = Object.fromEntries(entries.map((entry) => [entry._tag, Schema.encodeSync(JournalEntry)(entry).kind]))
    for (const [tag, kind] of Object.entries(unfolded)) assert.strictEqual(names[tag], kind)
  })

  it("is not changed by what may be left out, in whatever state", () => {
    for (const entry of entries.filter(({ _tag }) => Object.hasOwn(unfolded, _tag))) {
      for (const before of states) {
        const [record] = recordsOf([entry])
        if (record === undefined) return assert.fail("no record")
        assert.deepStrictEqual(fold(before, record), { ...before, sequence: 1 }, entry._tag)
      }
    }
  })

  it("comes to the same without what may be left out", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(FastCheck.constantFrom(...entries), { maxLength: 60 }), (all) => {
        const records = recordsOf(all)
        const left = onlyFolded(records)
        assert.deepStrictEqual(foldAll(left), foldAll(records))
        assert.strictEqual(left.at(-1), records.at(-1))
      })
    )
  })
})
