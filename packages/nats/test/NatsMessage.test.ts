import { StoredEvent } from "@driver/domain/DriverEvent"
import { messageOf } from "@driver/nats/NatsMessage"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Either, FastCheck, Schema } from "effect"
import { completed, goalIdOf, message } from "./support/outbox.js"

const arbitraryEvent = Arbitrary.make(StoredEvent)
const decode = Schema.decodeUnknownSync(StoredEvent.FromJson)
const encode = Schema.encodeSync(StoredEvent.FromJson)
const textOf = (body: Uint8Array) => new TextDecoder("utf-8", { fatal: true }).decode(body)

describe("messageOf", () => {
  it("has the event's subject, id and JSON", () => {
    const event = completed(1, 9)
    const made = Either.getOrThrow(messageOf(event, { limit: 1_000_000, prefix: "" }))
    assert.deepStrictEqual(
      { ...made, body: textOf(made.body) },
      {
        subject: "agent.driver.goal.completed",
        id: "1:9",
        headers: [
          ["Driver-Goal-Id", goalIdOf(1)],
          ["Driver-Sequence", "9"]
        ],
        body: encode(event),
        cut: []
      }
    )
  })

  it("leaves every event that fits as it is", () => {
    FastCheck.assert(
      FastCheck.property(arbitraryEvent, (event) => {
        const made = Either.getOrThrow(messageOf(event, { limit: 10_000_000, prefix: "" }))
        assert.strictEqual(textOf(made.body), encode(event))
        assert.deepStrictEqual(made.cut, [])
      }),
      { numRuns: 50 }
    )
  })

  it("makes every large text fit: an event still, cut as little as needed, between characters", () => {
    const texts = FastCheck.record({
      unit: FastCheck.constantFrom("x", "ż", "日", "👩", "\\", "\u0001"),
      length: FastCheck.integer({ min: 1, max: 60_000 }),
      limit: FastCheck.integer({ min: 6_000, max: 70_000 })
    })
    FastCheck.assert(
      FastCheck.property(texts, ({ length, limit, unit }) => {
        const event = message(1, 1, unit.repeat(length))
        const made = Either.getOrThrow(messageOf(event, { limit, prefix: "" }))
        const text = textOf(made.body)
        assert.isAtMost(made.body.length, limit - 1_024)
        const back = decode(text)
        assert.deepStrictEqual([back.goalId, back.messageId, back.sequence], [event.goalId, event.messageId, 1])
        if (made.cut.length === 0) return assert.strictEqual(text, encode(event))
        assert.deepStrictEqual(made.cut, ["event.message"])
        assert.notMatch(text, /\\ud8/i)
        // Not much room is left unused: a character can be six bytes of JSON.
        assert.isAtLeast(made.body.length, (limit - 1_024) * 0.9 - 512)
      }),
      { numRuns: 80 }
    )
  })

  it("says why an event cannot be published", () => {
    assert.deepStrictEqual(
      messageOf(completed(1, 1), { limit: 1_100, prefix: "" }).pipe(Either.mapLeft(({ detail }) => detail)),
      Either.left(`it has ${encode(completed(1, 1)).length} bytes, and the server takes 1100`)
    )
  })
})
