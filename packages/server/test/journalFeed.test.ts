import { GoalCompleted, Progress } from "@driver/domain/DriverEvent"
import { Done } from "@driver/domain/Outcome"
import { Usage } from "@driver/domain/Usage"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Journal, type JournalEntry, JournalRecord } from "@driver/runtime/Journal"
import * as JournalMemory from "@driver/runtime/JournalMemory"
import { TurnMetered } from "@driver/runtime/LoopEntry"
import { StoreError } from "@driver/runtime/StoreError"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, DateTime, Duration, Effect, Fiber, Option, Ref, Stream, TestClock } from "effect"
import * as JournalFeed from "../src/internal/journalFeed.js"
import { id, outcomeOf, rowOf } from "./support/queueWorld.js"

const goalId = id(1)
const progress = (turn: number) => new Progress({ goalId, turn, usage: Usage.zero })
const metered = new TurnMetered({ tokens: Usage.zero.tokens, wallTime: Duration.zero })
const completed = new GoalCompleted({ goalId, outcome: outcomeOf(goalId, new Done({})) })

const append = (...entries: ReadonlyArray<JournalEntry>) =>
  Effect.gen(function* () {
    const journal = yield* Journal
    for (const entry of entries) {
      const sequence = (yield* journal.head(goalId)) + 1
      const at = DateTime.unsafeMake(sequence)
      yield* journal.append([new JournalRecord({ goalId, sequence, id: `r${sequence}`, at, epoch: 0, entry })])
    }
  })

const sequences = (events: Iterable<{ readonly sequence: number }>) => [...events].map(({ sequence }) => sequence)
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

describe("the feed of a goal's events", () => {
  it.scoped("serves a hundred followers with one read per batch, each everything in order", () =>
    Effect.gen(function* () {
      const journal = yield* Journal
      const reads = yield* Ref.make(0)
      const counted = Journal.of({
        ...journal,
        read: (goal, options) =>
          Effect.zipRight(
            Ref.update(reads, (n) => n + 1),
            journal.read(goal, options)
          )
      })
      yield* append(progress(1))
      const feed = yield* Effect.provideService(JournalFeed.make(), Journal, counted)
      const followers = yield* Effect.forEach(range(1, 100), () =>
        Effect.fork(Stream.runCollect(feed.events(goalId, { after: 1, follow: true })))
      )
      yield* TestClock.adjust("1 second")
      const before = yield* Ref.get(reads)
      yield* append(...range(2, 200).map(progress), completed)
      yield* TestClock.adjust("1 second")
      for (const follower of followers) assert.deepStrictEqual(sequences(yield* Fiber.join(follower)), range(2, 201))
      assert.isAtMost((yield* Ref.get(reads)) - before, 4)
    }).pipe(Effect.provide(JournalMemory.layer()))
  )

  it.scoped("lets a follower fall behind what is kept, and gives it everything from the journal", () =>
    Effect.gen(function* () {
      const feed = yield* JournalFeed.make({ kept: 5, page: 4 })
      const gate = yield* Effect.makeLatch(false)
      const slow = yield* Effect.fork(
        Stream.runCollect(Stream.tap(feed.events(goalId, { after: 0, follow: true }), () => gate.await))
      )
      const fast = yield* Effect.fork(Stream.runCollect(feed.events(goalId, { after: 0, follow: true })))
      yield* TestClock.adjust("1 second")
      yield* append(progress(1), metered, progress(3))
      yield* TestClock.adjust("1 second")
      yield* append(...range(4, 40).map((n) => (n % 3 === 0 ? metered : progress(n))))
      yield* TestClock.adjust("5 seconds")
      yield* append(completed)
      yield* TestClock.adjust("1 second")
      const expected = [...range(1, 40).filter((n) => n !== 2 && (n <= 3 || n % 3 !== 0)), 41]
      assert.deepStrictEqual(sequences(yield* Fiber.join(fast)), expected)
      yield* gate.open
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(sequences(yield* Fiber.join(slow)), expected)
    }).pipe(Effect.provide(JournalMemory.layer()))
  )

  it.scoped("finds what another process wrote within a second", () =>
    Effect.gen(function* () {
      const journal = yield* Journal
      const deaf = Journal.of({ ...journal, appended: Stream.empty })
      const feed = yield* Effect.provideService(JournalFeed.make(), Journal, deaf)
      const first = yield* Effect.fork(Stream.runHead(feed.events(goalId, { after: 0, follow: true })))
      yield* TestClock.adjust("10 seconds")
      yield* append(progress(1))
      yield* TestClock.adjust("1020 millis")
      assert.deepStrictEqual(
        Option.map(yield* Fiber.join(first), ({ sequence }) => sequence),
        Option.some(1)
      )
    }).pipe(Effect.provide(JournalMemory.layer()))
  )

  it.scoped("goes through a journal of two runs, and ends where the second does", () =>
    Effect.gen(function* () {
      yield* append(progress(1), completed, progress(3), progress(4), progress(5), completed)
      const feed = yield* JournalFeed.make({ page: 2 })
      const all = yield* Stream.runCollect(feed.events(goalId, { after: 0, follow: true }))
      assert.deepStrictEqual(sequences(all), range(1, 6))
      const past = yield* Stream.runCollect(feed.events(goalId, { after: 1, follow: false }))
      assert.deepStrictEqual(sequences(past), range(2, 6))
    }).pipe(Effect.provide(JournalMemory.layer()))
  )

  it.scoped("ends for a goal that is over without a last event", () =>
    Effect.gen(function* () {
      const store = yield* GoalStore
      yield* store.submit([rowOf(1)])
      const feed = yield* JournalFeed.make()
      const follower = yield* Effect.fork(Stream.runCollect(feed.events(goalId, { after: 0, follow: true })))
      yield* TestClock.adjust("3 seconds")
      yield* store.setState(goalId, "skipped", { reason: "test" })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(Chunk.size(yield* Fiber.join(follower)), 0)
    }).pipe(Effect.provide(JournalMemory.layer()))
  )

  it.scoped("tells followers that the journal cannot be read, and serves those who come back", () =>
    Effect.gen(function* () {
      const journal = yield* Journal
      const broken = yield* Ref.make(false)
      const error = new StoreError({ operation: "Journal.read", detail: "the disk is full", retryable: true })
      const frail = Journal.of({
        ...journal,
        read: (goal, options) =>
          Effect.flatMap(Ref.get(broken), (is) => (is ? Effect.fail(error) : journal.read(goal, options)))
      })
      const feed = yield* Effect.provideService(JournalFeed.make(), Journal, frail)
      const follower = yield* Effect.fork(Stream.runCollect(feed.events(goalId, { after: 0, follow: true })))
      yield* TestClock.adjust("1 second")
      yield* Ref.set(broken, true)
      yield* append(progress(1))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* Effect.flip(Fiber.join(follower)), error)
      yield* Ref.set(broken, false)
      const again = yield* Effect.fork(Stream.runCollect(feed.events(goalId, { after: 0, follow: true })))
      yield* append(completed)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(sequences(yield* Fiber.join(again)), [1, 2])
    }).pipe(Effect.provide(JournalMemory.layer()))
  )
})
