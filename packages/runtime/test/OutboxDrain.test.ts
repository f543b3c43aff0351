import type { StoredEvent } from "@driver/domain/DriverEvent"
import { Outbox } from "@driver/runtime/Outbox"
import * as OutboxDrain from "@driver/runtime/OutboxDrain"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, FastCheck, Fiber, Option, TestClock } from "effect"
import { activity, goalIdOf, message, paused } from "./support/events.js"
import { makeOutbox } from "./support/outbox.js"

/** A drain over an outbox of the test's own, and what it delivered. */
const world = (options: Partial<OutboxDrain.DrainOptions> = {}) =>
  Effect.gen(function* () {
    const store = yield* makeOutbox
    const drain = yield* OutboxDrain.make({ consumer: "test", ...options }).pipe(
      Effect.provideService(Outbox, store.outbox)
    )
    const delivered: Array<string> = []
    const take = (event: StoredEvent) =>
      Effect.sync((): OutboxDrain.Delivered => {
        delivered.push(event.messageId)
        return "delivered"
      })
    return { ...store, drain, delivered, take }
  })

const ofGoal = (goal: number, ids: ReadonlyArray<string>) => ids.filter((id) => id.startsWith(`${goal}:`))

describe("OutboxDrain", () => {
  it.scoped("delivers what is there and what comes, and removes it", () =>
    Effect.gen(function* () {
      const { delivered, drain, messageIds, take, write } = yield* world()
      yield* write(message(1, 1), message(2, 1))
      yield* Effect.forkScoped(drain.run(take))
      yield* drain.settled
      yield* write(message(1, 2))
      yield* drain.settled
      assert.deepStrictEqual(delivered, ["1:1", "2:1", "1:2"])
      assert.deepStrictEqual(yield* messageIds, [])
      assert.deepStrictEqual(yield* drain.counts, { delivered: 3, givenUp: 0 })
    })
  )

  it.scoped("finds what another process has written by looking now and then", () =>
    Effect.gen(function* () {
      const { delivered, drain, take, writeElsewhere } = yield* world({ pollEvery: "2 seconds" })
      yield* Effect.forkScoped(drain.run(take))
      yield* drain.settled
      yield* writeElsewhere(message(1, 1))
      yield* TestClock.adjust("1900 millis")
      assert.deepStrictEqual(delivered, [])
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(delivered, ["1:1"])
    })
  )

  it.scoped("begins an event only when the one before it of its goal was delivered", () =>
    Effect.gen(function* () {
      const { drain, write } = yield* world()
      const begun: Array<string> = []
      const first = yield* Deferred.make<void>()
      yield* write(message(1, 1), message(1, 2), message(2, 1), message(2, 2))
      yield* Effect.forkScoped(
        drain.run((event) =>
          Effect.suspend(() => {
            begun.push(event.messageId)
            return event.messageId === "1:1" ? Deferred.await(first) : Effect.void
          }).pipe(Effect.as("delivered" as const))
        )
      )
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(begun, ["1:1", "2:1", "2:2"])
      yield* Deferred.succeed(first, undefined)
      yield* drain.settled
      assert.deepStrictEqual(begun, ["1:1", "2:1", "2:2", "1:2"])
    })
  )

  it.scoped("ends with the first failure, after what was delivered beside it is removed", () =>
    Effect.gen(function* () {
      const { delivered, drain, messageIds, take, write } = yield* world()
      yield* write(message(1, 1), message(2, 1), message(1, 2), message(2, 2))
      const exit = yield* Effect.exit(
        drain.run((event) => (event.messageId === "1:1" ? Effect.fail("no") : take(event)))
      )
      assert.deepStrictEqual(exit, Exit.fail("no"))
      assert.deepStrictEqual(delivered[0], "2:1")
      const left = yield* messageIds
      assert.deepStrictEqual(ofGoal(1, left), ["1:1", "1:2"])
      assert.isFalse(left.includes("2:1"))
      // The next run goes on in order.
      yield* Effect.forkScoped(drain.run(take))
      yield* drain.settled
      assert.deepStrictEqual(ofGoal(1, delivered), ["1:1", "1:2"])
      assert.deepStrictEqual(yield* messageIds, [])
    })
  )

  it.scoped("leaves a goal alone whose event is for later, until the next run", () =>
    Effect.gen(function* () {
      const { delivered, drain, messageIds, take, write } = yield* world()
      yield* write(message(1, 1), message(1, 2), message(2, 1))
      const run = yield* Effect.fork(
        drain.run((event) => (event.goalId === goalIdOf(1) ? Effect.succeed("later") : take(event)))
      )
      yield* drain.settled
      assert.deepStrictEqual(delivered, ["2:1"])
      assert.deepStrictEqual(yield* messageIds, ["1:1", "1:2"])
      yield* Fiber.interrupt(run)
      yield* Effect.forkScoped(drain.run(take))
      yield* drain.settled
      assert.deepStrictEqual(delivered, ["2:1", "1:1", "1:2"])
    })
  )

  it.scoped("removes what is given up, and counts it", () =>
    Effect.gen(function* () {
      const { drain, messageIds, write } = yield* world()
      yield* write(message(1, 1), message(1, 2))
      yield* Effect.forkScoped(
        drain.run((event) => Effect.succeed(event.messageId === "1:1" ? "given_up" : "delivered"))
      )
      yield* drain.settled
      assert.deepStrictEqual(yield* messageIds, [])
      assert.deepStrictEqual(yield* drain.counts, { delivered: 1, givenUp: 1 })
    })
  )

  it.scoped("removes what nobody wants, however much it is, and delivers the rest", () =>
    Effect.gen(function* () {
      const { delivered, drain, messageIds, take, write } = yield* world({
        wants: ({ event }) => event._tag === "GoalPaused"
      })
      yield* write(...Array.from({ length: 2_000 }, (_, at) => activity(1, at + 1)), paused(1, 2_001))
      yield* Effect.forkScoped(drain.run(take))
      yield* drain.settled
      assert.deepStrictEqual(delivered, ["1:2001"])
      assert.deepStrictEqual(yield* messageIds, [])
    })
  )

  it.scoped("sees other goals behind one that has much to deliver and hangs", () =>
    Effect.gen(function* () {
      const { delivered, drain, reads, take, write } = yield* world()
      yield* write(...Array.from({ length: 1_000 }, (_, at) => message(1, at + 1)), message(2, 1))
      yield* Effect.forkScoped(drain.run((event) => (event.goalId === goalIdOf(1) ? Effect.never : take(event))))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(delivered, ["2:1"])
      assert.isAtMost((yield* reads).largest, 2_048)
    })
  )

  it.scoped("does not read all of a backlog again for every event that comes", () =>
    Effect.gen(function* () {
      const { drain, reads, write } = yield* world()
      yield* write(...Array.from({ length: 1_000 }, (_, at) => message(1, at + 1)))
      yield* Effect.forkScoped(drain.run(() => Effect.never))
      yield* TestClock.adjust("1 millis")
      const before = (yield* reads).calls
      yield* Effect.forEach(Array.from({ length: 50 }), (_, at) =>
        Effect.zipRight(write(message(1, 1_001 + at)), Effect.yieldNow())
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* reads).calls, before)
    })
  )

  it.scoped("waits for a database that is away, and repeats nothing", () =>
    Effect.gen(function* () {
      const { delivered, drain, setAway, take, write } = yield* world()
      yield* write(message(1, 1))
      yield* setAway(true)
      yield* Effect.forkScoped(drain.run(take))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(delivered, [])
      yield* setAway(false)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(delivered, ["1:1"])
      yield* setAway(true)
      yield* write(message(1, 2))
      yield* TestClock.adjust("1 minute")
      yield* setAway(false)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(delivered, ["1:1", "1:2"])
    })
  )

  it.scoped("delivers to no more goals at once than it may", () =>
    Effect.gen(function* () {
      const { drain, write } = yield* world({ concurrency: 3 })
      let now = 0
      let most = 0
      yield* write(...Array.from({ length: 20 }, (_, at) => message(at % 10, at + 1)))
      yield* Effect.forkScoped(
        drain.run(() =>
          Effect.acquireUseRelease(
            Effect.sync(() => (most = Math.max(most, ++now))),
            () => Effect.yieldNow(),
            () => Effect.sync(() => now--)
          ).pipe(Effect.as("delivered" as const))
        )
      )
      yield* drain.settled
      assert.strictEqual(most, 3)
      assert.strictEqual((yield* drain.counts).delivered, 20)
    })
  )

  it.scoped(
    "keeps the order of every goal, loses and repeats nothing, whatever fails and whenever it is run anew",
    () =>
      Effect.gen(function* () {
        const script = FastCheck.record({
          goals: FastCheck.array(FastCheck.integer({ min: 1, max: 4 }), { maxLength: 40 }),
          outcomes: FastCheck.array(FastCheck.constantFrom("delivered", "later", "fail"), { maxLength: 25 })
        })
        const samples = FastCheck.sample(script, { numRuns: 30 })
        for (const { goals, outcomes } of samples) {
          const { delivered, drain, messageIds, take, write } = yield* world({ concurrency: 2 })
          const rest = [...outcomes]
          const sequences = new Map<number, number>()
          const events = goals.map((goal) => {
            const sequence = (sequences.get(goal) ?? 0) + 1
            sequences.set(goal, sequence)
            return message(goal, sequence)
          })
          yield* write(...events)
          // Each run ends by a failure, or by being stopped when it has done what it can.
          for (let runs = 0; runs <= outcomes.length; runs++) {
            yield* Effect.raceFirst(
              drain.run((event) => {
                const outcome = rest.shift() ?? "delivered"
                if (outcome === "fail") return Effect.fail("scripted")
                return outcome === "later" ? Effect.succeed("later") : take(event)
              }),
              drain.settled
            ).pipe(Effect.ignore)
          }
          assert.deepStrictEqual(yield* messageIds, [])
          for (const [goal, count] of sequences) {
            assert.deepStrictEqual(
              ofGoal(goal, delivered),
              Array.from({ length: count }, (_, at) => `${goal}:${at + 1}`)
            )
          }
        }
      })
  )
})

describe("OutboxDrain of several drivers with one outbox", () => {
  /** Drivers of whose lives is known what `lives` says. */
  const drivers = (lives: Readonly<Record<string, "alive" | "gone">> = {}) =>
    Effect.gen(function* () {
      const store = yield* makeOutbox
      const log: Array<string> = []
      const driver = (owner: string) =>
        Effect.gen(function* () {
          const drain = yield* OutboxDrain.make({
            consumer: "test",
            claimant: { owner, liveness: (it) => Effect.succeed(lives[it] ?? "unknown") }
          }).pipe(Effect.provideService(Outbox, store.outbox))
          const take = (event: StoredEvent) =>
            Effect.sync((): OutboxDrain.Delivered => {
              log.push(`${owner} ${event.messageId}`)
              return "delivered"
            })
          return { drain, run: drain.run(take) }
        })
      return { ...store, driver, log }
    })

  it.scoped("has one of them deliver, and the next when that one ends", () =>
    Effect.gen(function* () {
      const { driver, log, write } = yield* drivers()
      const [a, b] = [yield* driver("a"), yield* driver("b")]
      const runA = yield* Effect.fork(a.run)
      yield* a.drain.settled
      yield* Effect.forkScoped(b.run)
      yield* write(message(1, 1), message(2, 1))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(log, ["a 1:1", "a 2:1"])
      yield* Fiber.interrupt(runA)
      yield* write(message(1, 2))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(log, ["a 1:1", "a 2:1", "b 1:2"])
    })
  )

  it.scoped("waits for another's deliveries before it says that all is delivered", () =>
    Effect.gen(function* () {
      const { driver, outbox, write } = yield* drivers({ other: "alive" })
      yield* outbox.claim("test", "other", Option.none())
      const { drain, run } = yield* driver("a")
      yield* Effect.forkScoped(run)
      yield* write(message(1, 1))
      const settled = yield* Effect.fork(drain.settled)
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(Option.isNone(yield* Fiber.poll(settled)))
      yield* outbox.delivered("test", [1])
      yield* TestClock.adjust("100 millis")
      assert.isTrue(Option.isSome(yield* Fiber.poll(settled)))
    })
  )

  it.scoped("takes over from one that is known to be gone, at once", () =>
    Effect.gen(function* () {
      const { driver, log, outbox, write } = yield* drivers({ dead: "gone" })
      yield* outbox.claim("test", "dead", Option.none())
      yield* write(message(1, 1))
      const { drain, run } = yield* driver("a")
      yield* Effect.forkScoped(run)
      yield* drain.settled
      assert.deepStrictEqual(log, ["a 1:1"])
    })
  )

  it.scoped("takes over from one of whom nothing is known when its heartbeat has stood still for 20 seconds", () =>
    Effect.gen(function* () {
      const { driver, log, outbox, write } = yield* drivers()
      yield* outbox.claim("test", "other", Option.none())
      yield* write(message(1, 1))
      yield* Effect.forkScoped((yield* driver("a")).run)
      yield* TestClock.adjust("19 seconds")
      yield* outbox.claim("test", "other", Option.none())
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(log, [])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(log, ["a 1:1"])
    })
  )

  it.scoped("stops when another has taken over, and goes on when that one has ended", () =>
    Effect.gen(function* () {
      const { driver, log, outbox, write } = yield* drivers({ other: "alive" })
      const { drain, run } = yield* driver("a")
      yield* Effect.forkScoped(run)
      yield* drain.settled
      // Taken for dead by a machine on which this one's clock stood still.
      yield* outbox.claim("test", "other", Option.some(yield* outbox.claim("test", "a", Option.none())))
      yield* TestClock.adjust("5 seconds")
      yield* write(message(1, 1))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(log, [])
      yield* outbox.unclaim("test", "other")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(log, ["a 1:1"])
    })
  )

  it.scoped("delivers every event once, in order, while drivers come and go", () =>
    Effect.gen(function* () {
      const step = FastCheck.record({
        driver: FastCheck.constantFrom("a", "b", "c"),
        does: FastCheck.constantFrom("run", "end", "write"),
        millis: FastCheck.integer({ min: 0, max: 3_000 })
      })
      for (const steps of FastCheck.sample(FastCheck.array(step, { maxLength: 30 }), { numRuns: 20 })) {
        const { driver, log, outbox, write } = yield* drivers()
        const running = new Map<string, Fiber.RuntimeFiber<unknown>>()
        let written = 0
        for (const { does, driver: name, millis } of steps) {
          const at = running.get(name)
          if (does === "write") yield* write(message(1, ++written))
          if (does === "run" && at === undefined) running.set(name, yield* Effect.fork((yield* driver(name)).run))
          if (does === "end" && at !== undefined) {
            yield* Fiber.interrupt(at)
            running.delete(name)
          }
          yield* TestClock.adjust(Duration.millis(millis))
        }
        const last = yield* driver("last")
        yield* Effect.forEach(running.values(), Fiber.interrupt)
        yield* Effect.raceFirst(last.run, last.drain.settled)
        assert.strictEqual(yield* outbox.count("test"), 0)
        assert.deepStrictEqual(
          log.map((line) => line.split(" ")[1]),
          Array.from({ length: written }, (_, at) => `1:${at + 1}`)
        )
      }
    })
  )
})

describe("plan", () => {
  const entries = FastCheck.array(FastCheck.integer({ min: 1, max: 5 }), { maxLength: 30 }).map((goals) =>
    goals.map((goal, at) => ({ position: at + 1, event: message(goal, at + 1) }))
  )
  const busyGoals = FastCheck.subarray([1, 2, 3, 4, 5]).map((goals) => new Set(goals.map(goalIdOf)))

  it("takes the oldest entry of each goal that is free, oldest first, and no more than there is room for", () => {
    FastCheck.assert(
      FastCheck.property(entries, busyGoals, FastCheck.integer({ min: 0, max: 6 }), (window, busy, room) => {
        const free = window.filter(({ event }) => !busy.has(event.goalId))
        const heads = free.filter(
          ({ event, position }) =>
            !free.some((other) => other.event.goalId === event.goalId && other.position < position)
        )
        assert.deepStrictEqual(OutboxDrain.plan(window, busy, room), heads.slice(0, room))
      })
    )
  })
})
