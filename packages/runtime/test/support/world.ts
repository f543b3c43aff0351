/**
 * The real loop and driver on a scripted world: an agent that plays turns, criteria that answer from a list, policies
 * that are functions, memory for stores and events. What a test does not say has a plain default.
 */
import { type AgentScript, layerScripted, type ScriptedAgentOptions } from "@driver/agent/AgentScripted"
import { type ModelCharge, ModelLedger } from "@driver/agent/ModelLedger"
import { type GateRegistration, PermissionGate, type ToolCall } from "@driver/agent/PermissionGate"
import type { DriverEvent } from "@driver/domain/DriverEvent"
import { Budget, Goal, GoalId, Shell } from "@driver/domain/Goal"
import { AllowOnce, type PermissionOutcome } from "@driver/domain/Permission"
import { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { Acceptance, type AcceptanceError } from "@driver/runtime/Acceptance"
import { AccountLimits } from "@driver/runtime/AccountLimits"
import { BindingStore } from "@driver/runtime/BindingStore"
import { type CompactInput, CompactPolicy, type CompactRequest } from "@driver/runtime/CompactPolicy"
import { CompactSummaryStore } from "@driver/runtime/CompactSummaryStore"
import { DecisionStore } from "@driver/runtime/DecisionStore"
import { Driver } from "@driver/runtime/Driver"
import { EventSink, RecordedEvents } from "@driver/runtime/EventSink"
import { GoalLoop } from "@driver/runtime/GoalLoop"
import type { GoalLoopSettings } from "@driver/runtime/GoalLoopSettings"
import * as JournalMemory from "@driver/runtime/JournalMemory"
import { Leases } from "@driver/runtime/Leases"
import { type PostTurnHook, PostTurnHooks } from "@driver/runtime/PostTurnHooks"
import { ReplayDecision, type ReplayInput, ReplayPolicy } from "@driver/runtime/ReplayPolicy"
import { CallDecision, type CallInput, StuckDecision, type StuckInput, StuckPolicy } from "@driver/runtime/StuckPolicy"
import { Workspace, type WorkspaceError } from "@driver/runtime/Workspace"
import * as WorkspaceMemory from "@driver/runtime/WorkspaceMemory"
import { Context, DateTime, Duration, Effect, Layer, Option, Ref } from "effect"

export const goalId = GoalId.make("11111111-1111-4111-8111-111111111111")
export const otherGoalId = GoalId.make("22222222-2222-4222-8222-222222222222")

/** One shell criterion, five turns; ids in `goalId`'s form. */
export const goalWith = (fields: Partial<ConstructorParameters<typeof Goal>[0]> = {}) =>
  new Goal({
    id: goalId,
    description: "Create hello.txt",
    acceptance: [new Shell({ command: "test -s hello.txt" })],
    budget: new Budget({ maxTurns: 5 }),
    ...fields
  })

/** `true`: every criterion passes; a text: the first one fails with it; an error: they cannot be evaluated. */
export type ScriptedVerdict = true | string | AcceptanceError

export interface World {
  readonly script?: AgentScript
  readonly agent?: ScriptedAgentOptions
  /** What a model took that each evaluation asks. Default: none is asked. */
  readonly judging?: ModelCharge
  /** In order; when they run out everything passes. */
  readonly verdicts?: ReadonlyArray<ScriptedVerdict>
  readonly answer?: (call: ToolCall, registration: GateRegistration) => PermissionOutcome
  readonly diffs?: ReadonlyArray<string | ReadonlyArray<string>>
  readonly replay?: (input: ReplayInput) => ReplayDecision
  readonly compact?: (input: CompactInput) => Option.Option<CompactRequest>
  readonly stuck?: (input: StuckInput) => StuckDecision
  readonly stuckCall?: (input: CallInput) => CallDecision
  /** Default: in memory. */
  readonly decisions?: Layer.Layer<DecisionStore>
  /** Why accepted work cannot be handed over. */
  readonly undeliverable?: WorkspaceError
  /** What stands in for the workspace's own. */
  readonly workspace?: Partial<Workspace["Type"]>
  readonly settings?: Partial<GoalLoopSettings>
  readonly hooks?: ReadonlyArray<PostTurnHook>
}

const scriptedAcceptance = (verdicts: ReadonlyArray<ScriptedVerdict>, judging: ModelCharge | undefined) =>
  Layer.effect(
    Acceptance,
    Effect.map(Ref.make(verdicts), (rest) => ({
      evaluate: (goal) =>
        Effect.gen(function* () {
          if (judging !== undefined) yield* Effect.flatMap(ModelLedger, (it) => it.charge(judging))
          const next = yield* Ref.modify(rest, (all) => [all[0] ?? true, all.slice(1)] as const)
          if (typeof next === "object") return yield* Effect.fail(next)
          const results = goal.acceptance.map(
            (_, index) =>
              new CriterionResult({
                index,
                criterion: `criterion ${index}`,
                passed: next === true || index > 0,
                message: next === true || index > 0 ? "passed" : next,
                evidence: next === true ? Option.none() : Option.some(`evidence of ${next}`),
                elapsed: Duration.zero
              })
          )
          return new AcceptanceVerdict({
            met: next === true,
            results,
            evaluatedAt: yield* DateTime.now,
            elapsed: Duration.zero
          })
        })
    }))
  )

export const services = (world: World) =>
  Layer.mergeAll(
    layerScripted(world.script ?? [], world.agent),
    PermissionGate.layerScripted(
      world.answer ?? (() => new AllowOnce({ updatedInput: Option.none(), rationale: "test" }))
    ),
    scriptedAcceptance(world.verdicts ?? [], world.judging),
    WorkspaceMemory.layer({ diffs: world.diffs ?? [] }).pipe(
      Layer.map((context) => {
        const { undeliverable } = world
        return Context.add(context, Workspace, {
          ...Context.get(context, Workspace),
          ...(undeliverable === undefined ? {} : { deliver: () => Effect.fail(undeliverable) }),
          ...world.workspace
        })
      })
    ),
    Layer.succeed(ReplayPolicy, {
      decide: world.replay ?? (() => ReplayDecision.NextTurn({ rollbackTo: Option.none() }))
    }),
    Layer.succeed(CompactPolicy, {
      decide: world.compact ?? (() => Option.none()),
      focus: (description) => `continue goal: ${description}`
    }),
    Layer.succeed(StuckPolicy, {
      decide: world.stuck ?? (() => StuckDecision.Fine()),
      decideCall: world.stuckCall ?? (() => CallDecision.Fine())
    }),
    PostTurnHooks.layer(world.hooks ?? []),
    BindingStore.layerMemory(),
    CompactSummaryStore.layerMemory,
    world.decisions ?? DecisionStore.layerMemory,
    AccountLimits.layerMemory,
    EventSink.layerMemory
  )

/** Journal and goal store in memory, and this driver's leases. */
export const journal = Leases.layer({ owner: "test", heartbeatEvery: Duration.days(30) }).pipe(
  Layer.provideMerge(JournalMemory.layer())
)

/** Everything together; the fakes stay visible to the test. */
export const TestDriver = (world: World) =>
  Driver.layer.pipe(
    Layer.provideMerge(GoalLoop.layer(world.settings)),
    Layer.provideMerge(services(world)),
    Layer.provideMerge(journal)
  )

/** The events so far, oldest first. */
export const published: Effect.Effect<ReadonlyArray<DriverEvent>, never, RecordedEvents> = Effect.flatMap(
  RecordedEvents,
  (recorded) => Effect.map(recorded.all, (events) => events.map((it) => it.event))
)

/** Their names, without those that only say what the agent is doing. */
export const publishedTags = Effect.map(published, (events) =>
  events.map((it) => it._tag).filter((tag) => tag !== "AgentActivity" && tag !== "Progress")
)
