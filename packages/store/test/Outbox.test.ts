import { GoalPaused, StoredEvent } from "@driver/domain/DriverEvent"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Journal } from "@driver/runtime/Journal"
import { Outbox } from "@driver/runtime/Outbox"
import { assert, describe, it } from "@effect/vitest"
import { Context, DateTime, Effect, Fiber, Option, Stream } from "effect"
import { backends, places } from "./support/backends.js"
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

    it.effect("has one driver deliver for a consumer, until that one gives it back or is taken for dead", () =>
      Effect.gen(function* () {
        const { claim, unclaim } = yield* Outbox
        const first = yield* claim("nats", "a", Option.none())
        assert.strictEqual(first.owner, "a")
        assert.deepStrictEqual(yield* claim("nats", "b", Option.none()), first)
        // Each consumer has a claim of its own.
        assert.strictEqual((yield* claim("hook:chat", "b", Option.none())).owner, "b")
        const second = yield* claim("nats", "a", Option.none())
        assert.isAbove(second.heartbeat, first.heartbeat)
        assert.deepStrictEqual(yield* claim("nats", "b", Option.some(first)), second)
        yield* unclaim("nats", "b")
        assert.deepStrictEqual(yield* claim("nats", "b", Option.none()), second)
        const third = yield* claim("nats", "b", Option.some(second))
        assert.strictEqual(third.owner, "b")
        assert.deepStrictEqual(yield* claim("nats", "a", Option.none()), third)
        yield* unclaim("nats", "b")
        yield* unclaim("nats", "b")
        const fourth = yield* claim("nats", "a", Option.some(third))
        assert.strictEqual(fourth.owner, "a")
        // No claim is taken for an earlier one.
        assert.isAbove(fourth.heartbeat, third.heartbeat)
      }).pipe(Effect.provide(stores()))
    )

    it.effect("names those for whom something waits, and forgets it", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        const outbox = yield* Outbox
        assert.deepStrictEqual(yield* outbox.consumers, [])
        yield* journal.append([record(1, 1, { entry: event(goalIdOf(1)) })])
        assert.deepStrictEqual(yield* outbox.consumers, ["hooks", "nats"])
        yield* outbox.forget("hooks")
        yield* outbox.forget("nobody")
        assert.deepStrictEqual(yield* outbox.consumers, ["nats"])
        yield* journal.append([record(1, 2, { entry: event(goalIdOf(1)) })])
        assert.deepStrictEqual([yield* outbox.count("nats"), yield* outbox.count("hooks")], [2, 1])
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

for (const { available, name, open } of places) {
  it.scopedLive.skipIf(!available)(`Outbox on ${name} gives a claim to one of many drivers that want it at once`, () =>
    Effect.gen(function* () {
      const { driver } = yield* open
      const outboxes = yield* Effect.all(
        Array.from({ length: 4 }, () => Effect.map(driver, (context) => Context.get(context, Outbox)))
      )
      const claims = yield* Effect.forEach(
        Array.from({ length: 16 }, (_, at) => at),
        (at) => Effect.flatMap(Effect.fromNullable(outboxes[at % 4]), (it) => it.claim("nats", `${at}`, Option.none())),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(claims.map(({ heartbeat, owner }) => `${owner} ${heartbeat}`)).size, 1)
    })
  )
}
