/** The real loop, gate and criteria around a scripted agent and stores in memory. */
import { type AgentScript, layerScripted } from "@driver/agent/AgentScripted"
import { Sandbox } from "@driver/agent/Sandbox"
import { Containment } from "@driver/agent/Subprocess"
import { type AcceptanceCriterion, Budget, Custom, Goal, GoalId } from "@driver/domain/Goal"
import type { PermissionOutcome, PermissionRequest } from "@driver/domain/Permission"
import * as InProcessGate from "@driver/permission/InProcessGate"
import { PermissionDecider } from "@driver/permission/PermissionDecider"
import { Acceptance } from "@driver/runtime/Acceptance"
import { AccountLimits } from "@driver/runtime/AccountLimits"
import { BindingStore } from "@driver/runtime/BindingStore"
import { CompactPolicy } from "@driver/runtime/CompactPolicy"
import { CompactSummaryStore } from "@driver/runtime/CompactSummaryStore"
import { CriterionRegistry } from "@driver/runtime/CriterionRegistry"
import { DecisionStore } from "@driver/runtime/DecisionStore"
import { Driver } from "@driver/runtime/Driver"
import { EventSink } from "@driver/runtime/EventSink"
import { GoalLoop } from "@driver/runtime/GoalLoop"
import * as JournalMemory from "@driver/runtime/JournalMemory"
import { Judge } from "@driver/runtime/Judge"
import { Leases } from "@driver/runtime/Leases"
import { PostTurnHooks } from "@driver/runtime/PostTurnHooks"
import { ReplayPolicy } from "@driver/runtime/ReplayPolicy"
import { StuckPolicy } from "@driver/runtime/StuckPolicy"
import { Workspace } from "@driver/runtime/Workspace"
import * as WorkspaceMemory from "@driver/runtime/WorkspaceMemory"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { Context, Duration, Effect, Layer, Option, Ref } from "effect"

export const goalId = GoalId.make("11111111-1111-4111-8111-111111111111")

export const goalOf = (acceptance: ReadonlyArray<AcceptanceCriterion>, description = "Create hello.txt", id = goalId) =>
  new Goal({ id, description, acceptance, budget: new Budget({ maxTurns: 5 }) })

/** A criterion that fails until it was asked this often. */
export const passesAt = (time: number) => new Custom({ name: "passes_at", args: { time } })

export interface World {
  readonly script: AgentScript
  readonly decide: (request: PermissionRequest) => Effect.Effect<PermissionOutcome>
  /** Default: in memory. */
  readonly sink?: Layer.Layer<EventSink>
}

const passesAtLayer = Layer.unwrapEffect(
  Effect.map(Ref.make(0), (asked) =>
    CriterionRegistry.layer({
      passes_at: ({ args }) =>
        Effect.map(
          Ref.updateAndGet(asked, (n) => n + 1),
          (n) => ({
            passed: n >= Number(args["time"]),
            message: `asked ${n} times`,
            evidence: Option.some(`evidence ${n}`)
          })
        )
    })
  )
)

/** Its goals work in a directory that is there, for criteria that look at it. */
const workspaceLayer = WorkspaceMemory.layer().pipe(
  Layer.map((context) => {
    const memory = Context.get(context, Workspace)
    return Context.add(context, Workspace, {
      ...memory,
      ensure: (goal) => Effect.map(memory.ensure(goal), (info) => ({ ...info, path: "/tmp" }))
    })
  })
)

const acceptanceLayer = Acceptance.layer({ env: { PATH: "/usr/bin:/bin" } }).pipe(
  Layer.provide([passesAtLayer, Judge.layerNone, Sandbox.layerOff, Containment.layer]),
  Layer.provideMerge(workspaceLayer),
  Layer.provide(NodeContext.layer)
)

const gateLayer = (decide: World["decide"]) =>
  InProcessGate.layer().pipe(Layer.provide(Layer.succeed(PermissionDecider, { decide })))

/** Built once per `Effect.provide`. */
export const layerWorld = ({ decide, script, sink }: World): Layer.Layer<Driver> =>
  Driver.layer.pipe(
    Layer.provide(GoalLoop.layer()),
    Layer.provide([
      layerScripted(script),
      gateLayer(decide),
      acceptanceLayer,
      ReplayPolicy.layer(),
      CompactPolicy.layer(),
      StuckPolicy.layer(),
      PostTurnHooks.layerNone,
      BindingStore.layerMemory(),
      CompactSummaryStore.layerMemory,
      DecisionStore.layerMemory,
      AccountLimits.layerMemory,
      sink ?? EventSink.layerNoop
    ]),
    Layer.provide(Leases.layer({ owner: "test", heartbeatEvery: Duration.days(30) })),
    Layer.provide(JournalMemory.layer())
  )

/** Drives the goal to its end in such a world. */
export const drive = (world: World, goal: Goal) =>
  Effect.provide(
    Effect.flatMap(Driver, (driver) => driver.run(goal)),
    layerWorld(world)
  )
