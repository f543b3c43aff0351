import { StoredEvent } from "@driver/domain/DriverEvent"
import { DriverTrouble, NotPossible, UnknownGoal } from "@driver/runtime/Goals"
import { StreamError } from "@driver/server/ApiErrors"
import { type Block, heartbeat, opening, readBlocks, writeEnd, writeEvent, writeFailure } from "@driver/server/Sse"
import { assert, describe, it } from "@effect/vitest"
import { FastCheck, Schema } from "effect"
import { goalA } from "./support/scriptedGoals.js"

/** Reads the text as it arrives: cut at these places. */
const readInPieces = (text: string, cuts: ReadonlyArray<number>): ReadonlyArray<Block> => {
  const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length]
  let left = ""
  return places.slice(1).flatMap((end, index) => {
    const [rest, blocks] = readBlocks(left, text.slice(places[index], end))
    left = rest
    return blocks
  })
}

describe("Server-sent events", () => {
  it.prop(
    "are read as they were written, wherever the text is cut",
    { event: StoredEvent, cuts: FastCheck.array(FastCheck.nat(), { maxLength: 12 }) },
    ({ cuts, event }) => {
      const text = `${opening}${writeEvent(event)}${heartbeat}${writeEvent(event)}${writeEnd}`
      const blocks = readInPieces(text, cuts)
      assert.deepStrictEqual(
        blocks.map((block) => block.event),
        [kindOf(event), kindOf(event), "end"]
      )
      assert.strictEqual(blocks[0]?.id, String(event.sequence))
      assert.deepStrictEqual(Schema.decodeSync(StoredEvent.FromJson)(blocks[1]?.data ?? ""), event)
    }
  )

  it("say why they end", () => {
    for (const error of [
      new UnknownGoal({ name: "a\nb" }),
      new NotPossible({ goalId: goalA, detail: "no\n\nevent: end" }),
      new DriverTrouble({ detail: "\r\n\r\n" })
    ]) {
      const [left, [block]] = readBlocks("", writeFailure(error))
      assert.strictEqual(left, "")
      assert.strictEqual(block?.event, "failed")
      assert.deepStrictEqual(Schema.decodeSync(Schema.parseJson(StreamError))(block?.data ?? ""), error)
    }
  })

  it("may be written by others", () => {
    assert.deepStrictEqual(readBlocks("", ": hello\r\n\r\ndata:one\r\ndata: two\r\nid\r\n\r\nevent: x\n\nda"), [
      "da",
      [{ event: "message", data: "one\ntwo", id: "" }]
    ])
  })
})

const kindOf = (event: StoredEvent) => Schema.encodeSync(StoredEvent)(event).event.kind
