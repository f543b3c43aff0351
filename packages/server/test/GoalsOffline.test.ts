import { BudgetExhausted } from "@driver/domain/Outcome"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Goals, NotPossible } from "@driver/runtime/Goals"
import * as GoalsOffline from "@driver/server/GoalsOffline"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Layer, Option, Stream, TestClock } from "effect"
import { daemon, id, leasesOf, runningUntil, Script, stores, submission, until } from "./support/queueWorld.js"

/** A command without a daemon; drivers in other processes work on the same stores. */
const World = Layer.provideMerge(
  Layer.provideMerge(
    GoalsOffline.layer,
    leasesOf("command", { liveness: (owner) => Effect.succeed(owner === "dead" ? "gone" : "unknown") })
  ),
  stores
)

const driverElsewhere = Effect.map(Layer.build(Layer.fresh(daemon())), (context) => ({
  run: <A, E, R>(effect: Effect.Effect<A, E, R | Script>) => Effect.provide(effect, context)
}))
const submit = (...numbers: ReadonlyArray<number>) =>
  Effect.flatMap(Goals, (goals) => goals.submit(numbers.map((n) => submission(n))))
const commandsOf = (n: number) =>
  Effect.flatMap(GoalStore, (store) =>
    Effect.map(store.commands([id(n)]), (all) => all.map(({ command }) => command._tag))
  )

describe("GoalsOffline", () => {
  it.scoped(
    "takes goals into the queue, where a driver that starts later finds them, pauses and messages included",
    () =>
      Effect.gen(function* () {
        const goals = yield* Goals
        const [first] = yield* submit(1, 2)
        assert.deepStrictEqual(
          first?.waitsFor,
          Option.some("a driver: start `driver serve`, or give it to `driver resume`")
        )
        yield* goals.pause(id(2))
        assert.deepStrictEqual(yield* goals.steer(id(1), "use tabs", "turn"), { delivery: "stored", queued: 1 })
        const { summary } = yield* goals.show(id(2))
        assert.deepStrictEqual([summary.paused, summary.waitsFor], [true, Option.some("the end of a pause")])

        const { run } = yield* driverElsewhere
        yield* run(runningUntil(1))
        yield* TestClock.adjust("1 second")
        yield* run(
          until(
            Effect.flatMap(Script, (it) => it.log),
            (log) => log.includes("handle 1 Steer")
          )
        )
        yield* goals.resume(id(2))
        yield* TestClock.adjust("1 second")
        yield* run(runningUntil(1, 2))
      }).pipe(Effect.provide(World))
  )

  it.scoped("ends a queued goal that is cancelled, and leaves the rest to the driver that has the goal", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      yield* submit(1, 2)
      yield* goals.cancel(id(2))
      assert.strictEqual((yield* goals.show(id(2))).summary.state, "ended")
      const { run } = yield* driverElsewhere
      yield* run(runningUntil(1))
      yield* until(goals.show(id(1)), ({ summary }) => summary.state === "running")
      assert.deepStrictEqual((yield* goals.show(id(1))).owner, Option.some("here"))

      yield* goals.pause(id(1))
      assert.strictEqual((yield* goals.show(id(1))).summary.paused, true)
      yield* TestClock.adjust("1 second")
      yield* run(
        until(
          Effect.flatMap(Script, (it) => it.log),
          (log) => log.includes("pause 1")
        )
      )
      // From its journal now.
      assert.deepStrictEqual(yield* commandsOf(1), [])
      assert.strictEqual((yield* goals.show(id(1))).summary.paused, true)

      yield* goals.cancel(id(1))
      assert.strictEqual((yield* goals.show(id(1))).summary.state, "running")
      yield* TestClock.adjust("1 second")
      yield* until(goals.show(id(1)), ({ summary }) => summary.state === "ended")
    }).pipe(Effect.provide(World))
  )

  it.scoped("reads what became of goals, and follows their events until the last", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      yield* submit(1)
      const { run } = yield* driverElsewhere
      yield* run(runningUntil(1))
      yield* run(Effect.flatMap(Script, (it) => it.end(1, new BudgetExhausted({ axis: "turns" }))))
      const { summary } = yield* until(goals.show(id(1)), ({ summary }) => summary.state === "ended")
      assert.strictEqual(summary.turns, 2)
      const events = yield* Stream.runCollect(goals.events(id(1), { after: 0, follow: true }))
      assert.deepStrictEqual(
        Chunk.toReadonlyArray(events).map(({ event }) => event._tag),
        ["GoalCompleted"]
      )
      assert.strictEqual((yield* goals.list({ all: false })).length, 0)
    }).pipe(Effect.provide(World))
  )

  it.scoped("says of a goal that its driver has left that it waits for one, and not of one that is worked on", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      const store = yield* GoalStore
      yield* submit(1, 2)
      for (const n of [1, 2]) yield* store.setState(id(n), "running")
      yield* store.acquire(id(1), "dead", Option.none())
      yield* store.acquire(id(2), "lives", Option.none())
      assert.deepStrictEqual(
        (yield* goals.list({ all: false })).map(({ waitsFor }) => waitsFor),
        [Option.some("a driver: start `driver serve`, or give it to `driver resume`"), Option.none()]
      )
    }).pipe(Effect.provide(World))
  )

  it.scoped("says of what needs a daemon that it does, and what to do", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      yield* submit(1)
      yield* goals.cancel(id(1))
      for (const asked of [goals.rollback(id(1), "1"), goals.deliver(id(1))]) {
        const refused = yield* Effect.flip(asked)
        assert.instanceOf(refused, NotPossible)
        assert.include(refused.message, "start `driver serve`")
      }
    }).pipe(Effect.provide(World))
  )
})
