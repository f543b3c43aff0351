/** The queue with the real driver and loop; only the agent, the gate and the workspace are scripted. */
import { ended, layerScripted } from "@driver/agent/AgentScripted"
import { PermissionGate } from "@driver/agent/PermissionGate"
import { AllowOnce } from "@driver/domain/Permission"
import { Acceptance } from "@driver/runtime/Acceptance"
import { AccountLimits } from "@driver/runtime/AccountLimits"
import { Driver } from "@driver/runtime/Driver"
import { EventSink } from "@driver/runtime/EventSink"
import { GoalLoop } from "@driver/runtime/GoalLoop"
import { Cancel, GoalStore, Pause } from "@driver/runtime/GoalStore"
import { Goals } from "@driver/runtime/Goals"
import { Journal } from "@driver/runtime/Journal"
import * as MemoryStores from "@driver/runtime/MemoryStores"
import * as Policies from "@driver/runtime/Policies"
import { Workspace } from "@driver/runtime/Workspace"
import * as WorkspaceMemory from "@driver/runtime/WorkspaceMemory"
import { Dispatcher } from "@driver/server/Dispatcher"
import { GoalRunners } from "@driver/server/GoalRunners"
import * as GoalsLive from "@driver/server/GoalsLive"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Scope, TestClock } from "effect"
import { id, leasesOf, stores, submission, until } from "./support/queueWorld.js"

/** What of the machine outlives a driver, beside the stores. */
const machine = Layer.mergeAll(
  layerScripted(() => [[["10 seconds", ended()]], [["10 seconds", ended()]]]),
  PermissionGate.layerScripted(() => new AllowOnce({ updatedInput: Option.none(), rationale: "test" })),
  WorkspaceMemory.layer(),
  MemoryStores.layer
)

const runners = Layer.effect(
  GoalRunners,
  Effect.gen(function* () {
    const driver = yield* Driver
    const workspace = yield* Workspace
    return {
      forRow: () => Effect.succeed({ driver, workspace, deliver: () => Effect.succeed("delivered") }),
      check: () => Effect.void
    }
  })
)

const daemon = GoalsLive.layer.pipe(
  Layer.provideMerge(Dispatcher.layer()),
  Layer.provideMerge(runners),
  Layer.provideMerge(Driver.layerSuspending),
  Layer.provideMerge(GoalLoop.layer()),
  Layer.provideMerge(
    Layer.mergeAll(Acceptance.layerScripted([]), Policies.layer, EventSink.layerNoop, leasesOf("here"))
  )
)

/** One goal, suspended in the middle of its first turn. */
const suspended = Effect.gen(function* () {
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(daemon, scope)
  yield* TestClock.adjust("1 second")
  yield* Effect.provide(
    Effect.flatMap(Goals, (goals) => goals.submit([submission(1)])),
    context
  )
  yield* TestClock.adjust("5 seconds")
  yield* Scope.close(scope, Exit.void)
})

describe("Dispatcher and Driver", () => {
  it.effect("brings goals to their end over a restart in the middle of a turn, each ended once", () =>
    Effect.gen(function* () {
      const store = yield* GoalStore
      const journal = yield* Journal
      const state = (n: number) =>
        Effect.map(store.get(id(n)), (row) => Option.getOrThrow(Option.map(row, (it) => it.state)))

      const first = yield* Scope.make()
      const one = yield* Layer.buildWithScope(daemon, first)
      yield* TestClock.adjust("1 second")
      yield* Effect.provide(
        Effect.flatMap(Goals, (goals) => goals.submit([submission(1), submission(2, { after: [1] })])),
        one
      )
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual([yield* state(1), yield* state(2)], ["running", "queued"])
      yield* Effect.provide(
        Effect.flatMap(Goals, (goals) => goals.steer(id(1), "use tabs", "queue")),
        one
      )
      yield* Scope.close(first, Exit.void)
      assert.deepStrictEqual(yield* store.holder(id(1)), Option.none())

      const two = yield* Layer.build(daemon)
      yield* TestClock.adjust("12 seconds")
      assert.deepStrictEqual([yield* state(1), yield* state(2)], ["ended", "running"])
      yield* TestClock.adjust("12 seconds")
      yield* until(state(2), (it) => it === "ended")
      const goals = yield* Effect.provide(Goals, two)
      assert.deepStrictEqual(
        (yield* goals.list({ all: true })).map(({ outcome, turns }) => [
          Option.map(outcome, (it) => it.outcome._tag),
          turns
        ]),
        [
          [Option.some("Done"), 1],
          [Option.some("Done"), 1]
        ]
      )
      const tags = (yield* journal.read(id(1))).map(({ entry }) => entry._tag)
      assert.strictEqual(tags.filter((it) => it === "RunStarted").length, 2)
      assert.strictEqual(tags.filter((it) => it === "GoalStarted").length, 1)
      assert.strictEqual(tags.filter((it) => it === "GoalCompleted").length, 1)
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(machine, Layer.merge(stores, AccountLimits.layerMemory))))
  )

  it.effect("holds a goal that was paused while nobody worked on it before its next turn", () =>
    Effect.gen(function* () {
      const store = yield* GoalStore
      const journal = yield* Journal
      yield* suspended
      const turns = Effect.map(
        journal.read(id(1)),
        (records) => records.filter(({ entry }) => entry._tag === "TurnBegun").length
      )
      assert.strictEqual(yield* turns, 1)
      yield* store.command(id(1), new Pause())
      const goals = yield* Effect.provide(Goals, yield* Layer.build(daemon))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* turns, 1)
      const { summary } = yield* goals.show(id(1))
      assert.deepStrictEqual([summary.state, summary.paused], ["running", true])
      assert.deepStrictEqual(yield* store.commands([id(1)]), [])
      yield* goals.resume(id(1))
      yield* TestClock.adjust("12 seconds")
      yield* until(goals.show(id(1)), (it) => it.summary.state === "ended")
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(machine, Layer.merge(stores, AccountLimits.layerMemory))))
  )

  it.effect("cancels a goal that was to be cancelled while nobody worked on it, without another turn", () =>
    Effect.gen(function* () {
      const store = yield* GoalStore
      const journal = yield* Journal
      yield* suspended
      yield* store.command(id(1), new Cancel())
      const goals = yield* Effect.provide(Goals, yield* Layer.build(daemon))
      yield* TestClock.adjust("2 seconds")
      const { summary } = yield* until(goals.show(id(1)), (it) => it.summary.state === "ended")
      assert.deepStrictEqual(
        Option.map(summary.outcome, (it) => it.outcome._tag),
        Option.some("Cancelled")
      )
      const tags = (yield* journal.read(id(1))).map(({ entry }) => entry._tag)
      assert.deepStrictEqual(
        [tags.filter((it) => it === "TurnBegun").length, tags.filter((it) => it === "GoalCompleted").length],
        [1, 1]
      )
      assert.deepStrictEqual(yield* store.commands([id(1)]), [])
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(machine, Layer.merge(stores, AccountLimits.layerMemory))))
  )
})
