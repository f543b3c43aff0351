import { GoalPaused, StoredEvent } from "@driver/domain/DriverEvent"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Journal } from "@driver/runtime/Journal"
import { Outbox } from "@driver/runtime/Outbox"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Fiber, Option, Stream } from "effect"
import { backends } from "./support/backends.js"
import { event, otherEvent, record } from "./support/journalValues.js"
import { goalIdOf } from "./support/values.js"

const placesOf = (entries: ReadonlyArray<{ readonly event: StoredEvent }>) =>
  entries.map(({ event }) => `${Number(event.goalId.slice(-4))}:${event.sequence}`)

for (const { available, name, stores } of backends) {
  describe.skipIf(!available)(`Outbox on ${name}`, () => {
    it.effect("has the events of the journal, for each consumer, and not the steps", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        const outbox = yield* Outbox
        const [one, two] = [goalIdOf(1), goalIdOf(2)]
        yield* journal.append([
          record(1, 1),
          record(1, 2, { entry: event(one) }),
          record(1, 3),
          record(1, 4, { entry: otherEvent(one) })
        ])
        yield* journal.append([record(2, 1, { entry: event(two) })])
        yield* journal.append([record(1, 5, { entry: event(one) })])
        const [first, ...rest] = yield* outbox.pending("nats", 100)
        assert.deepStrictEqual(
          first?.event,
          new StoredEvent({
            goalId: one,
            sequence: 2,
            messageId: "1:a:2",
            at: DateTime.unsafeMake(1_700_000_000_002),
            event: new GoalPaused({ goalId: one })
          })
        )
        assert.deepStrictEqual(placesOf(rest), ["1:4", "2:1", "1:5"])
        assert.deepStrictEqual(placesOf(yield* outbox.pending("hooks", 2)), ["1:2", "1:4"])
        assert.deepStrictEqual(yield* outbox.pending("nobody", 2), [])
        assert.deepStrictEqual(
          [yield* outbox.count("nats"), yield* outbox.count("hooks"), yield* outbox.count("nobody")],
          [4, 4, 0]
        )
      }).pipe(Effect.provide(stores()))
    )

    it.effect("keeps each entry until that consumer has delivered it, and a repetition changes nothing", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        const outbox = yield* Outbox
        const all = [1, 2, 3].map((sequence) => record(1, sequence, { entry: event(goalIdOf(1)) }))
        for (const each of all) yield* journal.append([each])
        const [first, second, third] = yield* outbox.pending("nats", 100)
        const position = second?.position ?? 0
        assert.isBelow(first?.position ?? 0, position)
        assert.isBelow(position, third?.position ?? 0)
        yield* outbox.delivered("nats", [position])
        yield* outbox.delivered("nats", [position])
        yield* outbox.delivered("nats", [])
        yield* outbox.delivered("nobody", [position])
        assert.deepStrictEqual(placesOf(yield* outbox.pending("nats", 100)), ["1:1", "1:3"])
        assert.deepStrictEqual(placesOf(yield* outbox.pending("hooks", 100)), ["1:1", "1:2", "1:3"])
        // Said again, it is not published again.
        for (const each of all) yield* journal.append([each])
        assert.deepStrictEqual([yield* outbox.count("nats"), yield* outbox.count("hooks")], [2, 3])
      }).pipe(Effect.provide(stores()))
    )

    it.effect("has nothing of an append that was refused", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        const outbox = yield* Outbox
        yield* (yield* GoalStore).acquire(goalIdOf(1), "a driver", Option.none())
        yield* Effect.flip(journal.append([record(1, 1, { entry: event(goalIdOf(1)) })]))
        yield* Effect.flip(journal.append([record(2, 2, { entry: event(goalIdOf(2)) })]))
        assert.strictEqual(yield* outbox.count("nats"), 0)
      }).pipe(Effect.provide(stores()))
    )

    it.effect("tells this process when there is more", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        const outbox = yield* Outbox
        const told = yield* Effect.fork(Stream.runHead(outbox.written))
        let sequence = 0
        // Until the reader has begun to read.
        yield* Effect.repeat(
          Effect.suspend(() => journal.append([record(1, ++sequence, { entry: event(goalIdOf(1)) })])).pipe(
            Effect.zipRight(Effect.yieldNow())
          ),
          { until: () => Effect.map(Fiber.poll(told), Option.isSome) }
        )
        assert.isTrue(Option.isSome(yield* Fiber.join(told)))
      }).pipe(Effect.provide(stores()))
    )
  })
}
