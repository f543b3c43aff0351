import { Cancelled, Done } from "@driver/domain/Outcome"
import { AccountLimits } from "@driver/runtime/AccountLimits"
import { Cancel, GoalRow, GoalStore, Pause, RaiseTurns, Resume } from "@driver/runtime/GoalStore"
import { Journal } from "@driver/runtime/Journal"
import { Leases } from "@driver/runtime/Leases"
import { Dispatcher } from "@driver/server/Dispatcher"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Option, Scope, Stream, TestClock } from "effect"
import { daemon, type Fields, id, leasesOf, rowOf, runningUntil, Script, stores, until } from "./support/queueWorld.js"

const submit = (...rows: ReadonlyArray<readonly [number, Fields?]>) =>
  Effect.gen(function* () {
    // The queue listens from here on.
    yield* TestClock.adjust("1 second")
    yield* (yield* GoalStore).submit(rows.map(([n, fields]) => rowOf(n, fields)))
  })
const rowIs = (n: number, state: GoalRow["state"]) =>
  Effect.gen(function* () {
    const store = yield* GoalStore
    return yield* until(Effect.map(store.get(id(n)), Option.getOrThrow), (row) => row.state === state)
  })
const waitsOf = (n: number) =>
  Effect.flatMap(Dispatcher, (it) => Effect.map(it.waits, (waits) => waits.get(id(n))?._tag))
const running = (n: number) => new GoalRow({ ...rowOf(n), state: "running" })

/** As if another process had written. */
const tellingNobody = <R>(context: Context.Context<R | GoalStore>) =>
  Context.add(context, GoalStore, { ...Context.get(context, GoalStore), changed: Stream.empty })

describe("Dispatcher", () => {
  it.effect("begins what has a place, and the next when one ends", () =>
    Effect.gen(function* () {
      const script = yield* Script
      yield* submit([1], [2, { priority: 1 }], [3])
      yield* runningUntil(1, 2)
      assert.strictEqual((yield* rowIs(1, "running")).state, "running")
      yield* script.end(2)
      yield* runningUntil(1, 3)
      const ended = yield* rowIs(2, "ended")
      assert.deepStrictEqual(
        Option.map(ended.outcome, (it) => it.outcome),
        Option.some(new Done({}))
      )
      assert.deepStrictEqual(yield* script.log, ["spawn 2", "spawn 1", "spawn 3"])
      assert.strictEqual(yield* script.runtimes, 2)
    }).pipe(Effect.provide(Layer.provideMerge(daemon({ maxConcurrent: 2 }), stores)))
  )

  it.effect("begins a goal after those it depends on, and skips it when one of them fails", () =>
    Effect.gen(function* () {
      const script = yield* Script
      yield* submit([1], [2, { after: [1] }], [3], [4, { after: [2, 3] }], [5, { after: [4] }])
      yield* runningUntil(1, 3)
      yield* script.end(1)
      yield* runningUntil(2, 3)
      yield* script.end(3, new Cancelled({}))
      const skipped = yield* rowIs(4, "skipped")
      assert.deepStrictEqual(skipped.reason, Option.some(`it depends on goal ${id(3)}, which was cancelled`))
      assert.include(Option.getOrThrow((yield* rowIs(5, "skipped")).reason), `${id(4)}, which was skipped`)
      yield* runningUntil(2)
    }).pipe(Effect.provide(Layer.provideMerge(daemon(), stores)))
  )

  it.effect("skips a goal whose dependency had failed before it was submitted, and begins one whose was accepted", () =>
    Effect.gen(function* () {
      const script = yield* Script
      yield* submit([1], [2])
      yield* runningUntil(1, 2)
      yield* script.end(1, new Cancelled({}))
      yield* script.end(2)
      yield* Effect.zipRight(rowIs(1, "ended"), rowIs(2, "ended"))
      yield* submit([3, { after: [1] }], [4, { after: [2] }])
      assert.deepStrictEqual(
        (yield* rowIs(3, "skipped")).reason,
        Option.some(`it depends on goal ${id(1)}, which was cancelled`)
      )
      yield* runningUntil(4)
    }).pipe(Effect.provide(Layer.provideMerge(daemon(), stores)))
  )

  it.effect("works on as many goals of a repository as it may, and on others meanwhile", () =>
    Effect.gen(function* () {
      const script = yield* Script
      yield* submit([1], [2], [3, { repository: "/other" }])
      yield* runningUntil(1, 3)
      assert.strictEqual(yield* waitsOf(2), "Repository")
      yield* script.end(1)
      yield* runningUntil(2, 3)
    }).pipe(Effect.provide(Layer.provideMerge(daemon({ perRepository: 1 }), stores)))
  )

  it.effect("takes goals that another process has submitted, within a second", () =>
    Effect.gen(function* () {
      const script = yield* Script
      yield* submit([1])
      yield* TestClock.adjust("900 millis")
      assert.deepStrictEqual(yield* script.running, [])
      yield* TestClock.adjust("100 millis")
      yield* runningUntil(1)
    }).pipe(Effect.provide(Layer.provideMerge(daemon(), Layer.map(stores, tellingNobody))))
  )

  it.effect("holds a paused goal back, also when it is told from elsewhere, until it is resumed", () =>
    Effect.gen(function* () {
      const store = yield* GoalStore
      yield* store.command(id(1), new Pause())
      yield* submit([1], [2])
      yield* runningUntil(2)
      yield* until(waitsOf(1), (it) => it === "Pause")
      yield* store.command(id(1), new Resume())
      yield* runningUntil(1, 2)
      assert.deepStrictEqual(yield* store.commands([id(1)]), [])
    }).pipe(Effect.provide(Layer.provideMerge(daemon(), stores)))
  )

  it.effect("ends a queued goal that is cancelled, without a run, once", () =>
    Effect.gen(function* () {
      const store = yield* GoalStore
      const journal = yield* Journal
      yield* submit([1], [2], [3, { after: [2] }])
      yield* runningUntil(1)
      yield* store.command(id(2), new Cancel())
      const row = yield* rowIs(2, "ended")
      assert.deepStrictEqual(
        Option.map(row.outcome, (it) => it.outcome),
        Option.some(new Cancelled({}))
      )
      assert.deepStrictEqual(
        (yield* journal.read(id(2))).map(({ entry }) => entry._tag),
        ["GoalCompleted"]
      )
      assert.deepStrictEqual(yield* store.commands([id(2)]), [])
      assert.deepStrictEqual(yield* store.holder(id(2)), Option.none())
      yield* rowIs(3, "skipped")
    }).pipe(Effect.provide(Layer.provideMerge(daemon({ maxConcurrent: 1 }), stores)))
  )

  it.effect("gives goals at work the commands of other processes, in order, and takes them out of the store", () =>
    Effect.gen(function* () {
      const store = yield* GoalStore
      const script = yield* Script
      yield* submit([1], [2])
      yield* runningUntil(1, 2)
      yield* store.command(id(1), new RaiseTurns({ maxTurns: 30 }))
      yield* store.command(id(1), new Pause())
      yield* store.command(id(2), new Cancel())
      yield* rowIs(2, "ended")
      yield* until(store.commands([id(1), id(2)]), (left) => left.length === 0)
      assert.deepStrictEqual(
        (yield* script.log).filter((line) => line.startsWith("handle 1")),
        ["handle 1 RaiseTurns", "handle 1 Pause"]
      )
    }).pipe(Effect.provide(Layer.provideMerge(daemon(), stores)))
  )

  it.effect("forgets what was asked of a goal that is over, so that it does not reach it when it is run anew", () =>
    Effect.gen(function* () {
      const store = yield* GoalStore
      const script = yield* Script
      const dispatcher = yield* Dispatcher
      yield* submit([1])
      yield* runningUntil(1)
      yield* script.end(1)
      yield* store.command(id(1), new Cancel())
      yield* dispatcher.settled(id(1))
      assert.strictEqual((yield* rowIs(1, "ended")).state, "ended")
      assert.deepStrictEqual(yield* store.commands([id(1)]), [])
    }).pipe(Effect.provide(Layer.provideMerge(daemon(), stores)))
  )

  it.effect("does not begin goals of an account whose limit is reached, and does when it has reset", () =>
    Effect.gen(function* () {
      const accounts = yield* AccountLimits
      yield* accounts.limited("team", 5_000, "limit reached")
      yield* submit([1, { account: "team" }], [2])
      yield* runningUntil(2)
      yield* until(waitsOf(1), (it) => it === "Account")
      yield* TestClock.adjust("6 seconds")
      yield* runningUntil(1, 2)
    }).pipe(Effect.provide(Layer.provideMerge(daemon({ maxConcurrent: 2 }), stores)))
  )

  it.effect("leaves a goal that cannot be begun alone for a while, and gives its place to others", () =>
    Effect.gen(function* () {
      yield* submit([1, { repository: "/gone" }], [2])
      yield* runningUntil(2)
      yield* until(waitsOf(1), (it) => it === "Trouble")
      const store = yield* GoalStore
      yield* store.put(rowOf(1))
      yield* Effect.flatMap(Script, (script) => script.end(2))
      yield* TestClock.adjust("14 seconds")
      yield* runningUntil()
      yield* TestClock.adjust("2 seconds")
      yield* runningUntil(1)
    }).pipe(Effect.provide(Layer.provideMerge(daemon({ maxConcurrent: 1 }), stores)))
  )

  it.effect("suspends goals when it closes and goes on with them at the next start", () =>
    Effect.gen(function* () {
      yield* submit([1], [2], [3])
      const first = yield* Scope.make()
      const one = yield* Layer.buildWithScope(daemon({ maxConcurrent: 2 }), first)
      yield* Effect.provide(runningUntil(1, 2), one)
      yield* Scope.close(first, Exit.void)
      assert.sameMembers(
        (yield* Effect.provide(
          Effect.flatMap(Script, (it) => it.log),
          one
        )).slice(2),
        ["suspend 1", "suspend 2"]
      )
      assert.strictEqual((yield* rowIs(1, "running")).state, "running")

      const two = yield* Layer.build(daemon({ maxConcurrent: 2 }))
      yield* Effect.provide(runningUntil(1, 2), two)
      assert.deepStrictEqual(
        yield* Effect.provide(
          Effect.flatMap(Script, (it) => it.log),
          two
        ),
        ["continue 1", "continue 2"]
      )
    }).pipe(Effect.scoped, Effect.provide(stores))
  )

  it.effect("writes the end down that a driver before it had in the journal only", () =>
    Effect.gen(function* () {
      const store = yield* GoalStore
      yield* submit([1])
      const first = yield* Scope.make()
      const one = yield* Layer.buildWithScope(daemon(), first)
      yield* Effect.provide(runningUntil(1), one)
      yield* Effect.provide(
        Effect.flatMap(Script, (it) => it.end(1)),
        one
      )
      yield* rowIs(1, "ended")
      yield* Scope.close(first, Exit.void)
      yield* store.setState(id(1), "running")

      const two = yield* Layer.build(daemon())
      assert.deepStrictEqual(
        Option.map((yield* rowIs(1, "ended")).outcome, (it) => it.outcome),
        Option.some(new Done({}))
      )
      assert.deepStrictEqual(
        yield* Effect.provide(
          Effect.flatMap(Script, (it) => it.log),
          two
        ),
        []
      )
    }).pipe(Effect.scoped, Effect.provide(stores))
  )

  it.effect("goes on with a goal whose driver stopped without an end in the journal", () =>
    Effect.gen(function* () {
      const script = yield* Script
      yield* submit([1])
      yield* runningUntil(1)
      yield* script.end(1, new Done({}), { lost: true })
      yield* until(waitsOf(1), (it) => it === "Trouble")
      assert.strictEqual((yield* rowIs(1, "running")).state, "running")
      yield* TestClock.adjust("16 seconds")
      yield* runningUntil(1)
      assert.deepStrictEqual(yield* script.log, ["spawn 1", "continue 1"])
    }).pipe(Effect.provide(Layer.provideMerge(daemon(), stores)))
  )

  it.effect("leaves goals of another driver to it while its heart beats, and takes them over after", () =>
    Effect.gen(function* () {
      const store = yield* GoalStore
      const script = yield* Script
      const other = yield* Scope.make()
      const leases = yield* Layer.buildWithScope(leasesOf("other"), other)
      yield* Effect.provide(
        Effect.flatMap(Leases, (it) => it.hold(id(1))),
        leases
      ).pipe(Scope.extend(other))
      yield* store.put(running(1))
      yield* submit([2])
      yield* runningUntil(2)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* script.running, [2])
      yield* Scope.close(other, Exit.void)
      yield* TestClock.adjust("3 seconds")
      yield* runningUntil(1, 2)
    }).pipe(Effect.provide(Layer.provideMerge(daemon({ maxConcurrent: 5 }), stores)))
  )

  it.effect("takes the goal of a driver of which nothing is known over when its heartbeat has stood still", () =>
    Effect.gen(function* () {
      const script = yield* Script
      yield* abandoned
      yield* TestClock.adjust("89 seconds")
      assert.deepStrictEqual(yield* script.running, [])
      // It was watched for as long as it has to be, and is not watched once more by whoever takes it.
      yield* TestClock.adjust("2 seconds")
      yield* runningUntil(1)
    }).pipe(Effect.provide(Layer.provideMerge(daemon(), stores)))
  )

  it.effect("takes the goal of a driver that is known to be gone over at once, and never that of one that lives", () =>
    Effect.gen(function* () {
      const script = yield* Script
      yield* abandoned
      yield* (yield* GoalStore).acquire(id(2), "lives", Option.none())
      yield* (yield* GoalStore).put(running(2))
      yield* TestClock.adjust("1 second")
      yield* runningUntil(1)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* script.running, [1])
    }).pipe(
      Effect.provide(
        Layer.provideMerge(daemon({ liveness: (owner) => Effect.succeed(owner === "dead" ? "gone" : "alive") }), stores)
      )
    )
  )

  it.effect("lets a driver that has just written a goal down take it", () =>
    Effect.gen(function* () {
      const store = yield* GoalStore
      const script = yield* Script
      yield* TestClock.adjust("1 second")
      yield* store.put(running(1))
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* script.log, [])
      yield* store.acquire(id(1), "other", Option.none())
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* script.log, [])
    }).pipe(Effect.provide(Layer.provideMerge(daemon(), stores)))
  )
})

/** Goal 1, left in the middle by a driver that holds it and will never be heard of again. */
const abandoned = Effect.gen(function* () {
  const store = yield* GoalStore
  yield* store.acquire(id(1), "dead", Option.none())
  yield* store.put(running(1))
})
