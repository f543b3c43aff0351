/**
 * Drives an agent until a goal's acceptance criteria pass, or until the goal ends
 * for a reason that has a name.
 *
 * ```text
 *             ┌─────────────────────────────────────────────────────────┐
 *             ▼                                                         │
 *  start ─▶ Ready ─┬─ compaction due ─▶ a compact turn ─────────────────┤
 *                  │                                                    │
 *                  ├─▶ a turn of work ─┬─ rejected, next turn, the same ┤
 *                  │                   ├─ sleep, back off ─▶ Sleeping ──┤
 *                  │                   ├─ accepted ────────▶ Ended      │
 *                  │                   └─ escalate, stuck ─▶ Ended      │
 *                  ├─ the account's limit is met ──────────▶ Sleeping ──┘
 *                  └─ budget used up ──────────────────────▶ Ended
 * ```
 *
 * The state is a fold over the goal's journal, where each step is written before
 * anything acts on it: a driver that dies anywhere is followed by one that knows
 * the same. The arrows are pure and live in `GoalFold` and `LoopState`.
 *
 * Pause holds the loop in `Ready`, never inside a turn. Cancel is interruption: it
 * works anywhere but in the delivery of accepted work, which is finished first, the
 * goal's scope cleans up, and the goal still gets its outcome and its last event.
 */
import type { Agent } from "@driver/agent/Agent"
import type { GateError, PermissionGate } from "@driver/agent/PermissionGate"
import { BudgetExhaustedEvent, GoalCompleted, GoalRecovered, GoalStarted } from "@driver/domain/DriverEvent"
import type { Goal } from "@driver/domain/Goal"
import { type AttemptOutcome, Cancelled, Continue, Delivery, Done, Escalate, GoalOutcome } from "@driver/domain/Outcome"
import { exhaustedAxis, updateUsage } from "@driver/domain/Usage"
import { trusted } from "@driver/domain/Wire"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { Acceptance, AcceptanceError } from "./Acceptance.js"
import type { AccountLimits } from "./AccountLimits.js"
import type { BindingStore } from "./BindingStore.js"
import type { CompactPolicy } from "./CompactPolicy.js"
import type { CompactSummaryStore } from "./CompactSummaryStore.js"
import type { DecisionStore } from "./DecisionStore.js"
import * as GoalControl from "./GoalControl.js"
import { empty, type GoalFold, usageSoFar } from "./GoalFold.js"
import { defaults, deliveryOf, type GoalLoopSettings } from "./GoalLoopSettings.js"
import * as GoalRun from "./GoalRun.js"
import * as GoalSpans from "./GoalSpans.js"
import { compactingStep } from "./internal/compactingStep.js"
import { firstOf } from "./internal/firstOf.js"
import { goOn, isCut } from "./internal/goOn.js"
import { accountClosed, fallAsleep, sleepingStep } from "./internal/sleepingStep.js"
import { workingStep } from "./internal/workingStep.js"
import type { JournalError } from "./Journal.js"
import type { HeldLease, LeaseLapsed } from "./Leases.js"
import { AlreadyMet, BudgetReached, RunStarted, WorkDelivered } from "./LoopEntry.js"
import { type LoopState, Phase } from "./LoopState.js"
import type { PostTurnHooks } from "./PostTurnHooks.js"
import type { ReplayPolicy } from "./ReplayPolicy.js"
import type { StuckPolicy } from "./StuckPolicy.js"
import { Workspace, type WorkspaceError } from "./Workspace.js"

/** What the driver itself could not do. It ends the run with `Escalate` by `driver`. */
export type DriverFault = WorkspaceError | GateError | AcceptanceError | JournalError | LeaseLapsed

/** A goal in the hands of this driver. */
export interface Claim {
  readonly lease: HeldLease
  /** What the goal's journal comes to. */
  readonly before: GoalFold
  /** Names this driver. */
  readonly driver: string
  /** Run once the goal's journal is open, or is known not to open. */
  readonly onOpen: Effect.Effect<void>
}

/** Everything a goal needs while it runs. */
export type GoalServices =
  | Acceptance
  | AccountLimits
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
     * Drives the goal to its end and resolves with how it ended; never fails. A goal that another driver left in the
     * middle goes on there.
     *
     * Interrupting it cancels the goal: `control.outcome` is set to `Cancelled`, or to `Done` when its work was handed
     * over already, and the last event is published before the fiber ends. By then nothing that the goal started is left.
     *
     * A goal that has not ended, and is gone on with when it is resumed, has no last event and an outcome of `Continue`:
     * when `control.suspending` is set as it is interrupted, and when its journal or its lease cannot be kept.
     */
    readonly run: (goal: Goal, control: GoalControl.GoalControl, claim: Claim) => Effect.Effect<GoalOutcome>
  }
>() {
  static readonly layer = (settings?: Partial<GoalLoopSettings>): Layer.Layer<GoalLoop, never, GoalServices> =>
    Layer.effect(
      this,
      Effect.map(Effect.context<GoalServices>(), (services) => ({
        run: (goal, control, claim) =>
          run(goal, control, claim, { ...defaults, ...settings }).pipe(
            GoalSpans.ofGoal(goal, { continued: claim.before.status === "running" }),
            Effect.provide(services),
            Effect.annotateLogs({ goalId: goal.id })
          )
      }))
    )
}

const run = (
  goal: Goal,
  control: GoalControl.GoalControl,
  claim: Claim,
  settings: GoalLoopSettings
): Effect.Effect<GoalOutcome, never, GoalServices> =>
  Effect.gen(function* () {
    const { before, driver, lease } = claim
    const continued = before.status === "running"
    const startedAt = continued ? before.startedAt : yield* Clock.currentTimeMillis
    yield* restore(control, before, startedAt)
    const started = continued
      ? new GoalRecovered({ goalId: goal.id, turn: before.loop.usage.turns, cut: isCut(before), driver })
      : new GoalStarted({ goalId: goal.id, goal }, trusted)
    // Not interruptible: a goal that is cancelled before it starts has its first and its last event all the same.
    const opened = yield* Effect.exit(
      control.journal.open(lease, before, new RunStarted({ goal, driver, continued }, trusted), started)
    )
    yield* claim.onOpen
    const exit: Exit.Exit<Ending, DriverFault> = Exit.isFailure(opened)
      ? Exit.failCause(opened.cause)
      : yield* firstOf(
          Effect.scoped(drive(goal, control, continued, settings)),
          Effect.flatMap(lease.lost, Effect.fail)
        ).pipe(Effect.interruptible, Effect.exit)
    // What is expected is in the outcome, in words.
    if (Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)) {
      const log = Option.isSome(Cause.failureOption(exit.cause)) ? Effect.logDebug : Effect.logError
      yield* log("The goal could not go on", exit.cause)
    }
    const outcomeWith = (unfinished: Option.Option<string>) =>
      Effect.map(outcomeOf(goal, control, exit, unfinished), control.redactor.value)
    const unfinished = yield* whyUnfinished(control, exit)
    const foreseen = yield* outcomeWith(unfinished)
    const written = yield* Effect.either(
      Option.isSome(unfinished)
        ? leave(control, exit)
        : control.journal.write(new GoalCompleted({ goalId: goal.id, outcome: foreseen }, trusted))
    )
    const outcome = Either.isRight(written) ? foreseen : yield* outcomeWith(Option.some(stopped(written.left)))
    yield* control.progress.update((it) => ({ ...it, phase: "Ended" }))
    yield* Deferred.succeed(control.outcome, outcome)
    return outcome
  }).pipe(Effect.scoped, Effect.uninterruptible)

/** What the operator did before the driver that had the goal went away. */
const restore = (control: GoalControl.GoalControl, before: GoalFold, startedAt: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    const kept = before.status === "ended" ? empty : before
    if (kept.paused) yield* SubscriptionRef.set(control.paused, true)
    yield* control.messages.restore(kept.messages)
    yield* Ref.update(control.maxTurns, (own) => largest(own, kept.maxTurns))
    yield* control.progress.update((it) => ({
      ...it,
      phase: "Ready",
      startedAt,
      usage: usageSoFar(kept),
      verdict: kept.verdict,
      finalText: kept.finalText
    }))
  })

const largest = (a: Option.Option<number>, b: Option.Option<number>): Option.Option<number> =>
  Option.isSome(a) && Option.isSome(b) ? Option.some(Math.max(a.value, b.value)) : Option.orElse(a, () => b)

/** Why the goal has not ended, though nobody works on it any more: it goes on where it is when it is resumed. */
const whyUnfinished = (
  control: GoalControl.GoalControl,
  exit: Exit.Exit<unknown, DriverFault>
): Effect.Effect<Option.Option<string>> =>
  Effect.gen(function* () {
    if (Exit.isSuccess(exit)) return Option.none()
    if (Cause.isInterruptedOnly(exit.cause)) {
      return (yield* Ref.get(control.suspending)) ? Option.some(`the driver was stopped${goesOn}`) : Option.none()
    }
    return Option.map(Option.filter(Cause.failureOption(exit.cause), isStoreFault), stopped)
  })

const goesOn = ": the goal goes on when it is resumed"

const stopped = (error: JournalError | LeaseLapsed): string => `${error.message}${goesOn}`

/** What was noted last; the next driver can do without it, so a store that is away is not waited for as for a step. */
const leave = (control: GoalControl.GoalControl, exit: Exit.Exit<unknown, DriverFault>): Effect.Effect<void> =>
  Exit.isFailure(exit) && Option.exists(Cause.failureOption(exit.cause), isStoreFault)
    ? // It was waited for already.
      Effect.void
    : control.journal.write().pipe(
        Effect.interruptible,
        Effect.timeoutFail({ duration: "5 seconds", onTimeout: () => new Error("the store did not take them") }),
        Effect.catchAll((error) => Effect.logWarning("The last events were not written", error))
      )

/** Of the store or of the lease: the goal is where the journal has it. */
const isStoreFault = (error: DriverFault): error is JournalError | LeaseLapsed =>
  error._tag === "StoreError" ||
  error._tag === "LeaseLost" ||
  error._tag === "LeaseLapsed" ||
  error._tag === "JournalConflict"

interface Ending {
  readonly outcome: AttemptOutcome
  readonly delivery: Option.Option<Delivery>
}

const drive = (
  goal: Goal,
  control: GoalControl.GoalControl,
  continued: boolean,
  settings: GoalLoopSettings
): Effect.Effect<Ending, DriverFault, GoalServices | Scope.Scope> =>
  Effect.gen(function* () {
    const { journal } = control
    if ((yield* journal.state).cancelAsked) return yield* Effect.interrupt
    const run = yield* GoalRun.make(goal, control, settings)
    yield* goOn(run)
    if (settings.preflight && !continued) yield* alreadyMet(run)

    const state = Effect.map(journal.state, (it) => it.loop)
    const last = yield* Effect.iterate(yield* state, {
      while: ({ phase }: LoopState) => !Phase.$is("Ended")(phase),
      body: (before) =>
        Effect.zipRight(step(run, before), state).pipe(Effect.tap((after) => showProgress(control, after)))
    })
    if (!Phase.$is("Ended")(last.phase)) return yield* Effect.dieMessage("the loop stopped before it ended")

    const { outcome } = last.phase
    yield* run.sessions.close
    yield* FiberSet.clear(run.hooks)
    return { outcome, delivery: outcome._tag === "Done" ? yield* deliver(run) : Option.none() }
  })

const showProgress = (control: GoalControl.GoalControl, { phase, usage }: LoopState) =>
  Effect.flatMap(control.journal.state, ({ finalText, verdict }) =>
    control.progress.update((it) => ({ ...it, phase: phase._tag, usage, finalText, verdict }))
  )

/** The drawing as a table. */
const step = (run: GoalRun.GoalRun, state: LoopState) =>
  Phase.$match(state.phase, {
    Ready: () => readyStep(run, state),
    Sleeping: (phase) => sleepingStep(run, state, phase),
    Ended: () => Effect.void
  })

/** Holds while paused, then looks at the budget and the account, then does what is due. */
const readyStep = (run: GoalRun.GoalRun, before: LoopState) =>
  Effect.gen(function* () {
    const { control, goal } = run
    yield* GoalControl.whenRunning(control)
    const usage = updateUsage(before.usage, { consecutiveDenies: (yield* control.journal.state).consecutiveDenies })
    const axis = exhaustedAxis(yield* run.budget, usage)
    if (Option.isSome(axis)) {
      return yield* control.journal.write(
        new BudgetReached({ axis: axis.value, usage }),
        new BudgetExhaustedEvent({ goalId: goal.id, axis: axis.value, usage })
      )
    }
    const isForced = yield* Ref.getAndSet(run.forced, false)
    const closed = isForced ? Option.none() : yield* accountClosed(control)
    if (Option.isSome(closed)) return yield* fallAsleep(run, before, { ...closed.value, tick: false, parked: true })
    const state = { ...before, usage }
    const { due } = state.compaction
    yield* control.progress.update((it) => ({
      ...it,
      phase: Option.isSome(due) ? "Compacting" : "Working"
    }))
    return yield* Option.isSome(due) ? compactingStep(run, state, due.value) : workingStep(run, state)
  })

/** Evaluates the criteria before the first turn. */
const alreadyMet = (run: GoalRun.GoalRun): Effect.Effect<void, AcceptanceError | JournalError, Acceptance> =>
  Effect.gen(function* () {
    if (run.goal.acceptance.length === 0) return
    const verdict = yield* run.evaluate(0)
    if (!verdict.met) return
    yield* run.control.journal.write(new AlreadyMet({ verdict }))
    // Judging it may have cost something.
    yield* showProgress(run.control, (yield* run.control.journal.state).loop)
  })

/** Hands accepted work over, once. Not interruptible until it is known what came of it: a merge that is done is never forgotten. */
const deliver = (run: GoalRun.GoalRun): Effect.Effect<Option.Option<Delivery>, JournalError, Workspace> =>
  Effect.gen(function* () {
    const { control, goal, settings } = run
    const { alreadyMet, delivery: done } = yield* control.journal.state
    if (alreadyMet || Option.isSome(done)) return done
    const workspace = yield* Workspace
    const { mode } = settings.delivery
    const delivery = yield* workspace.deliver(goal, deliveryOf(settings.delivery, goal.description)).pipe(
      Effect.map(({ summary }) => new Delivery({ mode, delivered: true, summary })),
      Effect.catchAll((error) => Effect.succeed(new Delivery({ mode, delivered: false, summary: error.message }))),
      Effect.tap((delivery) => control.journal.write(new WorkDelivered({ delivery }, trusted))),
      Effect.uninterruptible
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
  exit: Exit.Exit<Ending, DriverFault>,
  unfinished: Option.Option<string>
): Effect.Effect<GoalOutcome> =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const progress = yield* control.progress.get
    const { delivery } = yield* control.journal.state
    const running = Option.match(progress.activeSince, { onNone: () => 0, onSome: (since) => Math.max(0, now - since) })
    const ending: Ending = Exit.match(exit, {
      onSuccess: (it) =>
        Option.match(unfinished, {
          onNone: () => it,
          onSome: (reason) => ({ ...it, outcome: new Continue({ reason }) })
        }),
      onFailure: (cause) => ({
        outcome: Option.match(unfinished, {
          // Cancelled when its work was accepted and handed over already.
          onNone: () => (Cause.isInterrupted(cause) && Option.isSome(delivery) ? new Done({}) : outcomeOfCause(cause)),
          onSome: (reason) => new Continue({ reason })
        }),
        delivery
      })
    })
    return new GoalOutcome(
      {
        goalId: goal.id,
        outcome: ending.outcome,
        totalTurns: progress.usage.turns,
        usage: updateUsage(progress.usage, {
          wallTime: Duration.sum(progress.usage.wallTime, Duration.millis(running))
        }),
        finalText: progress.finalText,
        acceptance: progress.verdict,
        branch: Option.flatMap(progress.workspace, (it) => it.branch),
        worktree: Option.map(progress.workspace, (it) => it.path),
        delivery: ending.delivery,
        elapsed: Duration.millis(Math.max(0, now - progress.startedAt))
      },
      trusted
    )
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
