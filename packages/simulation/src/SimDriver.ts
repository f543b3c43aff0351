/**
 * A driver of a simulated world: the real one, with its loop, leases and policies,
 * on services that are simulated, and what its process does with it.
 */
import { Agent } from "@driver/agent/Agent"
import { PermissionGate } from "@driver/agent/PermissionGate"
import { Acceptance } from "@driver/runtime/Acceptance"
import * as CommandPoller from "@driver/runtime/CommandPoller"
import { Driver } from "@driver/runtime/Driver"
import { EventSink } from "@driver/runtime/EventSink"
import { GoalLoop } from "@driver/runtime/GoalLoop"
import type { GoalStore } from "@driver/runtime/GoalStore"
import { Journal, type JournalRecord } from "@driver/runtime/Journal"
import { Leases } from "@driver/runtime/Leases"
import * as Policies from "@driver/runtime/Policies"
import { Workspace } from "@driver/runtime/Workspace"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as SimAgent from "./SimAgent.js"
import type * as SimProcess from "./SimProcess.js"
import * as SimServices from "./SimServices.js"
import * as SimStores from "./SimStores.js"
import type * as World from "./World.js"

/** What is not the real thing. */
export type Simulated = SimStores.Stores | Acceptance | Agent | PermissionGate | Workspace

/** How a driver is named in leases. */
export const ownerOf = (process: number): string => `driver ${process}`

/** What decides without knowing anything, and a sink that keeps nothing: the same for all drivers of a world. */
export type Pure = EventSink | Layer.Layer.Success<typeof Policies.layer>

export const makePure: Effect.Effect<Context.Context<Pure>, never, Scope.Scope> = Effect.zipWith(
  Layer.build(Policies.layer),
  Layer.build(EventSink.layerNoop),
  (policies, sink) => Context.merge(policies, sink)
)

const loop = GoalLoop.layer()

/** Everything of one driver, until the scope closes: what is real, on what is not. */
export const make = (
  world: World.World,
  holdings: World.Holdings,
  process: SimProcess.SimProcess,
  stores: Context.Context<SimStores.Stores>,
  pure: Context.Context<Pure>,
  sabotage: (services: Context.Context<Simulated>) => Context.Context<Simulated>,
  onAppended: (records: ReadonlyArray<JournalRecord>) => void
): Effect.Effect<Context.Context<Driver | Simulated>, never, Scope.Scope> => {
  const { clock } = process
  const simulated = SimStores.withFaults(world, holdings.process, stores, onAppended).pipe(
    Context.add(Agent, SimAgent.make(world, holdings, clock)),
    Context.add(PermissionGate, SimServices.makeGate(world, holdings, clock)),
    Context.add(Workspace, SimServices.makeWorkspace(world, clock)),
    Context.add(Acceptance, SimServices.makeAcceptance(world, clock))
  )
  const rushed = world.plan.items.some((it) => it._tag === "Rival" || it._tag === "Crash")
  const leases = Leases.layer({
    owner: ownerOf(holdings.process),
    heartbeatEvery: Duration.minutes(rushed ? 2 : 120),
    patience: Duration.minutes(rushed ? 7 : 400),
    ttl: Duration.minutes(rushed ? 9 : 500),
    liveness: (owner) =>
      Effect.sync(() =>
        !world.plan.sameMachine ? "unknown" : world.dead.has(Number(owner.slice("driver ".length))) ? "gone" : "alive"
      )
  })
  const given = Context.merge(pure, sabotage(simulated))
  // One layer after the other, as in `SimStores.make`.
  return Effect.gen(function* () {
    const held = Context.merge(given, yield* Effect.provide(Layer.build(leases), given))
    const looped = Context.merge(held, yield* Effect.provide(Layer.build(loop), held))
    return Context.merge(looped, yield* Effect.provide(Layer.build(Driver.layerSuspending), looped))
  })
}

/** Takes up every goal that has not ended, and is at it until all have. */
export const driveAll = (world: World.World): Effect.Effect<void, never, Driver | Journal | GoalStore> =>
  Effect.scoped(
    Effect.gen(function* () {
      const driver = yield* Driver
      yield* CommandPoller.poll({
        goals: Effect.map(driver.list, (all) => all.map(({ goalId }) => goalId)),
        handle: driver.handle,
        every: Duration.minutes(30)
      })
      yield* Effect.forEach(world.goals.values(), (goal) => driveOne(world, goal), {
        concurrency: "unbounded",
        discard: true
      })
    })
  )

const driveOne = (world: World.World, goal: World.GoalWorld): Effect.Effect<void, never, Driver | Journal> =>
  Effect.gen(function* () {
    const driver = yield* Driver
    const journal = yield* Journal
    const wait = goal.planned.startsAfter - world.timeline.now()
    if (wait > 0) yield* Effect.sleep(Duration.millis(wait))
    while (true) {
      const known = yield* Effect.option(journal.read(goal.goal.id))
      if (Option.exists(known, hasEnded)) return
      // A goal that is held by another driver, or whose journal cannot be written, is looked at again.
      yield* driver.spawn(goal.goal, { unlessEnded: true }).pipe(
        Effect.flatMap((handle) => handle.await),
        Effect.catchAll((error) => Effect.logInfo("The goal could not be taken up", error)),
        Effect.zipRight(Effect.sleep(Duration.minutes(3)))
      )
    }
  })

/** What the fold calls ended, without folding it. */
const hasEnded = (records: ReadonlyArray<JournalRecord>): boolean => {
  for (let at = records.length - 1; at >= 0; at--) {
    const tag = records[at]?.entry._tag
    if (tag === "GoalCompleted" || tag === "RunStarted") return tag === "GoalCompleted"
  }
  return false
}
