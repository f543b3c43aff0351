import type { StoredEvent } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import { DriverTrouble, Goals } from "@driver/runtime/Goals"
import type { FeedOptions } from "@driver/server/EventFeed"
import { EventHub } from "@driver/server/EventHub"
import { readBlocks } from "@driver/server/Sse"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Fiber, Layer, Option, Queue, Stream, TestClock } from "effect"
import { completedOf, eventOf, goalA, goalB, layer, Script } from "./support/scriptedGoals.js"

const hub = (options: FeedOptions = {}) => Layer.provideMerge(EventHub.layer(options), layer())

/** Everything that a client is sent, in the order of arrival: sequences, and the kind of what has none. */
const received = (goalId: GoalId, after = 0, follow = true) =>
  Effect.flatMap(EventHub, ({ frames }) =>
    frames(goalId, { after, follow }).pipe(
      Stream.decodeText(),
      Stream.runFold("", (all, text) => all + text)
    )
  ).pipe(Effect.map(namesIn))

const namesIn = (text: string): ReadonlyArray<number | string> =>
  readBlocks("", text)[1].map(({ event, id }) => (id === undefined ? event : Number(id)))

const numbered = (from: number, to: number): ReadonlyArray<StoredEvent> =>
  Array.from({ length: to - from + 1 }, (_, index) => eventOf(goalA, from + index))

const upTo = (to: number) => Array.from({ length: to }, (_, index) => index + 1)

/** A client that is read from by hand. */
const slowly = (goalId: GoalId, after = 0) =>
  Effect.gen(function* () {
    const { frames } = yield* EventHub
    const pull = yield* Stream.toPull(frames(goalId, { after, follow: true }).pipe(Stream.decodeText()))
    return Effect.map(pull, (chunk) => Chunk.join(chunk, ""))
  })

describe("EventHub", () => {
  it.scoped("sends what is there and what comes, and ends with the goal", () =>
    Effect.gen(function* () {
      const { publish } = yield* Script
      yield* publish(...numbered(1, 3))
      const client = yield* Effect.fork(received(goalA))
      const later = yield* Effect.fork(received(goalA, 2))
      yield* TestClock.adjust("1 second")
      yield* publish(...numbered(4, 5), eventOf(goalB, 1))
      yield* TestClock.adjust("1 second")
      yield* publish(completedOf(goalA, 6), eventOf(goalA, 7))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(client), [1, 2, 3, 4, 5, 6, "end"])
      assert.deepStrictEqual(yield* Fiber.join(later), [3, 4, 5, 6, "end"])
    }).pipe(Effect.provide(hub()))
  )

  it.scoped("ends after what is there when nobody wants to follow", () =>
    Effect.gen(function* () {
      const { publish } = yield* Script
      yield* publish(...numbered(1, 3))
      assert.deepStrictEqual(yield* received(goalA, 1, false), [2, 3, "end"])
      assert.deepStrictEqual(yield* received(goalA, 3, false), ["end"])
    }).pipe(Effect.provide(hub()))
  )

  it.scoped("ends at once for a goal that has ended, whatever was seen before", () =>
    Effect.gen(function* () {
      const { publish, setState } = yield* Script
      yield* publish(...numbered(1, 2), completedOf(goalA, 3))
      yield* setState(goalA, "ended")
      assert.deepStrictEqual(yield* received(goalA), [1, 2, 3, "end"])
      assert.deepStrictEqual(yield* received(goalA, 3), ["end"])
      assert.deepStrictEqual(yield* received(goalA, 99), ["end"])
    }).pipe(Effect.provide(hub()))
  )

  it.scoped("ends with the goal's last event also when its state is not yet known", () =>
    Effect.gen(function* () {
      const { publish } = yield* Script
      yield* publish(...numbered(1, 2), completedOf(goalA, 3))
      assert.deepStrictEqual(yield* received(goalA), [1, 2, 3, "end"])
    }).pipe(Effect.provide(hub()))
  )

  it.scoped("finds that a goal was skipped, which has no last event", () =>
    Effect.gen(function* () {
      const { setState } = yield* Script
      const client = yield* Effect.fork(received(goalA))
      yield* TestClock.adjust("1 second")
      yield* setState(goalA, "skipped")
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(yield* Fiber.join(client), ["end"])
    }).pipe(Effect.provide(hub()))
  )

  it.scoped("follows a goal that began anew past its first end", () =>
    Effect.gen(function* () {
      const { publish } = yield* Script
      yield* publish(eventOf(goalA, 1), completedOf(goalA, 2), eventOf(goalA, 3))
      const client = yield* Effect.fork(received(goalA))
      yield* TestClock.adjust("1 second")
      yield* publish(completedOf(goalA, 4))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(client), [1, 2, 3, 4, "end"])
    }).pipe(Effect.provide(hub()))
  )

  it.scoped("reads the journal once for all who follow", () =>
    Effect.gen(function* () {
      const { publish, read } = yield* Script
      const clients = yield* Effect.forEach(upTo(50), () => Effect.fork(received(goalA)))
      yield* TestClock.adjust("1 second")
      yield* publish(...numbered(1, 9), completedOf(goalA, 10))
      yield* TestClock.adjust("1 second")
      for (const client of clients) assert.deepStrictEqual(yield* Fiber.join(client), [...upTo(10), "end"])
      assert.strictEqual(yield* read, 10)
    }).pipe(Effect.provide(hub()))
  )

  it.scoped("lets a client that was away read on from the journal, and keeps only its window", () =>
    Effect.gen(function* () {
      const { publish, read } = yield* Script
      const next = yield* slowly(goalA)
      yield* next
      const waiting = yield* Effect.fork(next)
      yield* TestClock.adjust("1 second")
      for (let at = 0; at < 20; at++) {
        yield* publish(...numbered(at * 50 + 1, at * 50 + 50))
        yield* TestClock.adjust("1 second")
      }
      yield* publish(completedOf(goalA, 1_001))
      yield* TestClock.adjust("1 second")
      // The first piece was taken from the window before it moved on.
      let text = yield* Fiber.join(waiting)
      assert.isBelow(namesIn(text).length, 60)
      const before = yield* read
      text += yield* rest(next)
      assert.deepStrictEqual(namesIn(text), [...upTo(1_001), "end"])
      assert.isAbove(yield* read, before)
    }).pipe(Effect.provide(hub({ windowEvents: 20, chunkBytes: 2_000 })))
  )

  it.scoped("says that it lives when nothing happens", () =>
    Effect.gen(function* () {
      const next = yield* slowly(goalA)
      assert.strictEqual(yield* next, "retry: 1000\n\n")
      for (const _ of upTo(3)) {
        const waiting = yield* Effect.fork(next)
        yield* TestClock.adjust("14900 millis")
        assert.deepStrictEqual(yield* Fiber.poll(waiting), Option.none())
        yield* TestClock.adjust("100 millis")
        assert.strictEqual(yield* Fiber.join(waiting), ":\n\n")
      }
    }).pipe(Effect.provide(hub()))
  )

  it.scoped("tells each client why the events cannot be read", () =>
    Effect.gen(function* () {
      const failures = yield* Queue.unbounded<DriverTrouble>()
      const goals = yield* Goals
      const failing = Layer.provide(
        EventHub.layer(),
        Layer.succeed(Goals, {
          ...goals,
          events: (_, { follow }) =>
            follow ? Stream.fail(0).pipe(Stream.catchAll(() => take(failures))) : Stream.empty
        })
      )
      yield* Effect.gen(function* () {
        const clients = yield* Effect.forEach([1, 2], () => Effect.fork(received(goalA)))
        yield* TestClock.adjust("1 second")
        yield* Queue.offer(failures, new DriverTrouble({ detail: "the disk is full" }))
        yield* TestClock.adjust("1 second")
        for (const client of clients) assert.deepStrictEqual(yield* Fiber.join(client), ["failed"])
      }).pipe(Effect.provide(failing))
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("ends everything when it is closed, also what comes later", () =>
    Effect.gen(function* () {
      const { close } = yield* EventHub
      const client = yield* Effect.fork(received(goalA))
      yield* TestClock.adjust("1 second")
      yield* close
      assert.deepStrictEqual(yield* Fiber.join(client), [])
      assert.deepStrictEqual(yield* received(goalB), [])
    }).pipe(Effect.provide(hub()))
  )

  it.scoped("knows who has gone", () =>
    Effect.gen(function* () {
      const { clients } = yield* EventHub
      const fibers = yield* Effect.forEach(upTo(3), () => Effect.fork(received(goalA)))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* clients, 3)
      yield* Fiber.interruptAll(fibers)
      assert.strictEqual(yield* clients, 0)
    }).pipe(Effect.provide(hub()))
  )
})

const take = (failures: Queue.Dequeue<DriverTrouble>) =>
  Stream.unwrap(Effect.map(Queue.take(failures), (error) => Stream.fail(error)))

/** What is left of a client's stream. */
const rest = <E>(next: Effect.Effect<string, Option.Option<E>>): Effect.Effect<string> =>
  next.pipe(
    Effect.flatMap((text) => Effect.map(rest(next), (more) => text + more)),
    Effect.orElseSucceed(() => "")
  )
