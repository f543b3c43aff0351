/**
 * Drives an agent until a goal's acceptance criteria pass, or until the goal ends
 * for a reason that has a name.
 *
 * ```text
 *             ┌──────────────────────────────────────────────────────────┐
 *             ▼                                                          │
 *  start ─▶ Ready ─┬─ compaction due ─▶ Compacting ──────────────────────┤
 *                  │                                                     │
 *                  ├─▶ Working ─┬─ rejected, next turn, same turn ───────┤
 *                  │            ├─ sleep, back off ─▶ Sleeping ──────────┘
 *                  │            ├─ accepted ─────────────▶ Ended
 *                  │            └─ escalate, stuck ──────▶ Ended
 *                  └─ budget used up ────────────────────▶ Ended
 * ```
 *
 * Pause holds the loop in `Ready`, never inside a turn. Cancel is interruption: it
 * works anywhere, the goal's scope cleans up, and the goal still gets its outcome
 * and its last event. The arrows are pure and live in `LoopState`.
 */
import type { Agent } from "@driver/agent/Agent"
import type { GateError, PermissionGate } from "@driver/agent/PermissionGate"
import { BudgetExhaustedEvent, Escalated, GoalCompleted, GoalSleeping, GoalStarted } from "@driver/domain/DriverEvent"
import type { Goal } from "@driver/domain/Goal"
import {
  type AttemptOutcome,
  BudgetExhausted,
  Cancelled,
  Delivery,
  Done,
  Escalate,
  GoalOutcome
} from "@driver/domain/Outcome"
import { exhaustedAxis, updateUsage } from "@driver/domain/Usage"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { Acceptance, AcceptanceError } from "./Acceptance.js"
import type { BindingStore } from "./BindingStore.js"
import type { CompactPolicy } from "./CompactPolicy.js"
import type { CompactSummaryStore } from "./CompactSummaryStore.js"
import type { DecisionStore } from "./DecisionStore.js"
import * as GoalControl from "./GoalControl.js"
import { defaults, deliveryOf, type GoalLoopSettings } from "./GoalLoopSettings.js"
import * as GoalRun from "./GoalRun.js"
import { compactingStep } from "./internal/compactingStep.js"
import { workingStep } from "./internal/workingStep.js"
import { afterSleep, initial, type LoopState, Phase } from "./LoopState.js"
import type { PostTurnHooks } from "./PostTurnHooks.js"
import type { ReplayPolicy } from "./ReplayPolicy.js"
import type { StuckPolicy } from "./StuckPolicy.js"
import { Workspace, type WorkspaceError } from "./Workspace.js"

/** What the driver itself could not do. It ends the goal with `Escalate` by `driver`. */
export type DriverFault = WorkspaceError | GateError | AcceptanceError

/** Everything a goal needs while it runs. */
export type GoalServices =
  | Acceptance
  | Agent
  | BindingStore
  | CompactPolicy
  | CompactSummaryStore
  | DecisionStore
  | PermissionGate
  | PostTurnHooks
  | ReplayPolicy
  | StuckPolicy
  | Workspace

export class GoalLoop extends Context.Tag("@driver/runtime/GoalLoop")<
  GoalLoop,
  {
    /**
     * Drives the goal to its end and resolves with how it ended; never fails.
     * Interrupting it cancels the goal: `control.outcome` is set to `Cancelled` and
     * the last event is published before the fiber ends. By then nothing that the
     * goal started is left.
     */
    readonly run: (goal: Goal, control: GoalControl.GoalControl) => Effect.Effect<GoalOutcome>
  }
>() {
  static readonly layer = (settings?: Partial<GoalLoopSettings>): Layer.Layer<GoalLoop, never, GoalServices> =>
    Layer.effect(
      this,
      Effect.map(Effect.context<GoalServices>(), (services) => ({
        run: (goal, control) =>
          Effect.provide(run(goal, control, { ...defaults, ...settings }), services).pipe(
            Effect.withSpan("GoalLoop.run", { attributes: { goalId: goal.id } }),
            Effect.annotateLogs({ goalId: goal.id })
          )
      }))
    )
}

const run = (
  goal: Goal,
  control: GoalControl.GoalControl,
  settings: GoalLoopSettings
): Effect.Effect<GoalOutcome, never, GoalServices> =>
  Effect.gen(function* () {
    const startedAt = yield* Clock.currentTimeMillis
    yield* SubscriptionRef.update(control.progress, (it) => ({ ...it, phase: "Ready", startedAt }))
    yield* control.publish(new GoalStarted({ goalId: goal.id, goal }))
    const exit = yield* drive(goal, control, settings).pipe(Effect.scoped, Effect.interruptible, Effect.exit)
    if (Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)) {
      yield* Effect.logError("The goal could not go on", exit.cause)
    }
    const outcome = control.redactor.value(yield* outcomeOf(goal, control, exit))
    yield* control.publish(new GoalCompleted({ goalId: goal.id, outcome }))
    yield* SubscriptionRef.update(control.progress, (it) => ({ ...it, phase: "Ended" }))
    yield* Deferred.succeed(control.outcome, outcome)
    return outcome
  }).pipe(Effect.uninterruptible)

interface Ending {
  readonly outcome: AttemptOutcome
  readonly delivery: Option.Option<Delivery>
}

const drive = (
  goal: Goal,
  control: GoalControl.GoalControl,
  settings: GoalLoopSettings
): Effect.Effect<Ending, DriverFault, GoalServices | Scope.Scope> =>
  Effect.gen(function* () {
    const run = yield* GoalRun.make(goal, control, settings)
    if (settings.preflight && (yield* alreadyMet(run))) return { outcome: new Done({}), delivery: Option.none() }

    const last = yield* Effect.iterate(initial, {
      while: (state: LoopState) => !Phase.$is("Ended")(state.phase),
      body: (state) =>
        Effect.tap(step(run, state), (next) =>
          SubscriptionRef.update(control.progress, (it) => ({ ...it, phase: next.phase._tag, usage: next.usage }))
        )
    })
    if (!Phase.$is("Ended")(last.phase)) return yield* Effect.dieMessage("the loop stopped before it ended")

    const { outcome } = last.phase
    if (outcome._tag === "Escalate") {
      yield* control.publish(new Escalated({ goalId: goal.id, turn: last.usage.turns, reason: outcome.reason }))
    }
    yield* run.sessions.close
    yield* FiberSet.clear(run.hooks)
    return { outcome, delivery: outcome._tag === "Done" ? yield* deliver(run) : Option.none() }
  })

/** The drawing as a table. */
const step = (run: GoalRun.GoalRun, state: LoopState) =>
  Phase.$match(state.phase, {
    Ready: () => readyStep(run, state),
    Compacting: (phase) => compactingStep(run, state, phase),
    Working: () => workingStep(run, state),
    Sleeping: (phase) => sleepingStep(run, state, phase),
    Ended: () => Effect.succeed(state)
  })

/** Holds while paused, then looks at the budget, then at what is due. */
const readyStep = (run: GoalRun.GoalRun, state: LoopState): Effect.Effect<LoopState> =>
  Effect.gen(function* () {
    yield* GoalControl.whenRunning(run.control)
    const usage = updateUsage(state.usage, { consecutiveDenies: (yield* run.denials).consecutive })
    const axis = exhaustedAxis(yield* run.budget, usage)
    if (Option.isSome(axis)) {
      yield* run.control.publish(new BudgetExhaustedEvent({ goalId: run.goal.id, axis: axis.value, usage }))
      return { ...state, usage, phase: Phase.Ended({ outcome: new BudgetExhausted({ axis: axis.value }) }) }
    }
    return {
      ...state,
      usage,
      phase: Option.match(state.compaction.due, { onNone: () => Phase.Working(), onSome: Phase.Compacting })
    }
  })

/** Waits, unless the operator wakes the goal or has something to say. */
const sleepingStep = (
  run: GoalRun.GoalRun,
  state: LoopState,
  phase: Extract<Phase, { _tag: "Sleeping" }>
): Effect.Effect<LoopState> =>
  Effect.gen(function* () {
    const duration = Duration.min(phase.duration, run.settings.maxSleep)
    const { reason } = phase
    yield* run.control.publish(new GoalSleeping({ goalId: run.goal.id, turn: state.usage.turns, duration, reason }))
    const [slept] = yield* Effect.timed(Effect.raceFirst(Effect.sleep(duration), GoalControl.woken(run.control)))
    return afterSleep(state, slept, reason, phase.tick)
  })

/** Evaluates the criteria before the first turn. */
const alreadyMet = (run: GoalRun.GoalRun): Effect.Effect<boolean, AcceptanceError, Acceptance> =>
  Effect.gen(function* () {
    if (run.goal.acceptance.length === 0) return false
    const verdict = yield* run.evaluate(0)
    return verdict.met
  })

const deliver = (run: GoalRun.GoalRun): Effect.Effect<Option.Option<Delivery>, never, Workspace> =>
  Effect.gen(function* () {
    const { goal, settings } = run
    const workspace = yield* Workspace
    const { mode } = settings.delivery
    const delivery = yield* workspace.deliver(goal, deliveryOf(settings.delivery, goal.description)).pipe(
      Effect.map(({ summary }) => new Delivery({ mode, delivered: true, summary })),
      Effect.catchAll((error) => Effect.succeed(new Delivery({ mode, delivered: false, summary: error.message })))
    )
    if (delivery.delivered && settings.cleanup === "on_done") {
      yield* Effect.catchAll(workspace.cleanup(goal.id), (error) =>
        Effect.logWarning("Could not clean the workspace up", error)
      )
    }
    return Option.some(delivery)
  })

/** How the goal ended, made of what the loop last knew. */
const outcomeOf = (
  goal: Goal,
  control: GoalControl.GoalControl,
  exit: Exit.Exit<Ending, DriverFault>
): Effect.Effect<GoalOutcome> =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const progress = yield* SubscriptionRef.get(control.progress)
    const running = Option.match(progress.activeSince, { onNone: () => 0, onSome: (since) => Math.max(0, now - since) })
    const ending: Ending = Exit.match(exit, {
      onSuccess: (it) => it,
      onFailure: (cause) => ({ outcome: outcomeOfCause(cause), delivery: Option.none() })
    })
    return new GoalOutcome({
      goalId: goal.id,
      outcome: ending.outcome,
      totalTurns: progress.usage.turns,
      usage: updateUsage(progress.usage, { wallTime: Duration.sum(progress.usage.wallTime, Duration.millis(running)) }),
      finalText: progress.finalText,
      acceptance: progress.verdict,
      branch: Option.flatMap(progress.workspace, (it) => it.branch),
      worktree: Option.map(progress.workspace, (it) => it.path),
      delivery: ending.delivery,
      elapsed: Duration.millis(Math.max(0, now - progress.startedAt))
    })
  })

/** Interruption is a cancel; a fault or a broken promise of ours is for a person to look at. */
const outcomeOfCause = (cause: Cause.Cause<DriverFault>): AttemptOutcome => {
  const failure = Cause.failureOption(cause)
  if (Option.isSome(failure)) return new Escalate({ reason: failure.value.message, by: "driver" })
  if (Cause.isInterruptedOnly(cause)) return new Cancelled({})
  return new Escalate({
    reason: `the driver broke a promise of its own: ${Cause.pretty(cause).split("\n")[0]}`,
    by: "driver"
  })
}
