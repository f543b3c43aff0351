/**
 * What one run of a goal works with: its workspace, its gate, its agent session,
 * and the budget as it stands. Made once per run, in the goal's scope.
 */
import type { Agent } from "@driver/agent/Agent"
import { type ModelCharge, ModelLedger } from "@driver/agent/ModelLedger"
import { type GateError, type GateTicket, PermissionGate } from "@driver/agent/PermissionGate"
import { AcceptanceEvaluated, CriterionEvaluated, DecisionMade, PermissionRequested } from "@driver/domain/DriverEvent"
import { Budget, type Goal } from "@driver/domain/Goal"
import type { Decision } from "@driver/domain/Permission"
import { charge, TokenUsage, totalTokens, type Usage } from "@driver/domain/Usage"
import type { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { trusted } from "@driver/domain/Wire"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import { Acceptance, type AcceptanceError } from "./Acceptance.js"
import { AttemptEnd } from "./Attempt.js"
import type { BindingStore } from "./BindingStore.js"
import { DecisionStore } from "./DecisionStore.js"
import { claimMessages, type GoalControl, stopTurn } from "./GoalControl.js"
import type { GoalLoopSettings } from "./GoalLoopSettings.js"
import * as CallReview from "./internal/callReview.js"
import { ModelCharged, TurnMetered } from "./LoopEntry.js"
import * as Sessions from "./Sessions.js"
import type { StoreError } from "./StoreError.js"
import { StuckPolicy } from "./StuckPolicy.js"
import { Workspace, type WorkspaceError, type WorkspaceInfo } from "./Workspace.js"

export interface GoalRun {
  readonly goal: Goal
  readonly control: GoalControl
  readonly settings: GoalLoopSettings
  readonly workspace: WorkspaceInfo
  readonly ticket: GateTicket
  readonly sessions: Sessions.Sessions
  /** The goal's budget with the operator's limit on turns. */
  readonly budget: Effect.Effect<Budget>
  /** Decisions of the gate since the run began. */
  readonly decisions: Effect.Effect<number>
  /** The operator has woken the goal from waiting for its account: the agent is asked once, whatever is known of the limit. */
  readonly forced: Ref.Ref<boolean>
  /** Background work of the goal: interrupted when it ends. */
  readonly hooks: FiberSet.FiberSet
  /** Runs the criteria, tries again when they could not be evaluated, publishes and keeps the verdict. */
  readonly evaluate: (turn: number) => Effect.Effect<AcceptanceVerdict, AcceptanceError, Acceptance>
  /**
   * Runs the agent part of a turn under its budget: charges active time and
   * tokens while it runs, and completes the deferred when it is to be stopped.
   */
  readonly metered: <A, E, R>(
    base: Usage,
    work: (watch: BudgetWatch) => Effect.Effect<A, E, R>
  ) => Effect.Effect<readonly [A, Duration.Duration], E, R>
}

export interface BudgetWatch {
  /** Completed with the turn's end when it is to be stopped. */
  readonly stopped: Deferred.Deferred<AttemptEnd>
  /** What the turn has used so far. Its cost, in US dollars, is known when the agent has ended it. */
  readonly onMetered: (tokens: TokenUsage, costUsd: Option.Option<number>) => Effect.Effect<void>
  /** The shorter of the turn's limit and what is left of the wall time. */
  readonly timeout: Duration.Duration
  /** True when `timeout` is what is left of the budget. */
  readonly timeoutIsBudget: boolean
}

const isAway = ({ retryable }: StoreError) => retryable

/** A store that is away for a moment keeps a call waiting; one that is away for ten seconds has it refused. */
const whileAway = { while: isAway, times: 98 }

export const make = (
  goal: Goal,
  control: GoalControl,
  settings: GoalLoopSettings
): Effect.Effect<
  GoalRun,
  WorkspaceError | GateError,
  Agent | BindingStore | DecisionStore | PermissionGate | StuckPolicy | Workspace | Scope.Scope
> =>
  Effect.gen(function* () {
    const workspace = yield* Effect.flatMap(Workspace, (it) => it.ensure(goal))
    yield* control.progress.update((it) => ({ ...it, workspace: Option.some(workspace) }))
    const decisions = yield* DecisionStore
    const decided = yield* Ref.make(0)
    const budget = Effect.map(Ref.get(control.maxTurns), (override) => effectiveBudget(goal.budget, override))

    const onDecision = (made: Decision) =>
      Effect.gen(function* () {
        const decision = control.redactor.value(made)
        // A decision that cannot be recorded must not let a tool run: the gate turns this into a denial.
        const record = decisions.record(decision)
        yield* record.pipe(
          Effect.catchIf(isAway, () => Effect.retry(Effect.delay(record, "100 millis"), whileAway)),
          Effect.orDie
        )
        yield* Ref.update(decided, (count) => count + 1)
        yield* control.publish(new DecisionMade({ goalId: goal.id, decision }, trusted))
        const max = goal.budget.maxConsecutiveDenies
        if (max > 0 && (yield* control.journal.state).consecutiveDenies >= max) {
          yield* stopTurn(control, AttemptEnd.BudgetReached({ axis: "consecutive_denies" }))
        }
      })

    const calls = yield* CallReview.make({
      policy: yield* StuckPolicy,
      publish: control.publish,
      clean: control.redactor.value,
      stop: (message) =>
        stopTurn(control, AttemptEnd.Failed({ failure: Option.none(), message, hint: "Escalate", by: "policy" }))
    })

    // When the gate is closed its last answers may still be on their way.
    yield* Effect.addFinalizer(() => control.messages.close)
    const gate = yield* PermissionGate
    const ticket = yield* gate.register({
      goalId: goal.id,
      workspace: workspace.path,
      criteriaCommands: goal.acceptance.flatMap((it) => (it._tag === "Shell" ? [it.command] : [])),
      description: goal.description,
      onApproval: control.publish,
      onModelCharge: chargeTo(control, "gate"),
      onRequest: (request) =>
        control.publish(
          new PermissionRequested(
            {
              goalId: goal.id,
              turn: request.turn,
              tool: request.tool,
              toolUseId: request.toolUseId
            },
            trusted
          )
        ),
      review: calls.review,
      claimMessages: claimMessages(control),
      onDecision
    })
    const sessions = yield* Sessions.make({ goal, control, workspace, ticket })
    const hooks = yield* FiberSet.make()
    const forced = yield* Ref.make(false)

    return {
      goal,
      control,
      settings,
      workspace,
      ticket,
      sessions,
      budget,
      decisions: Ref.get(decided),
      hooks,
      forced,
      evaluate: (turn) => evaluate(goal, control, workspace, turn),
      metered: (base, work) =>
        Effect.gen(function* () {
          const startedAt = yield* Clock.currentTimeMillis
          const stopped = yield* Deferred.make<AttemptEnd>()
          yield* calls.startTurn
          yield* Ref.set(control.turn, Option.some(stopped))
          yield* control.progress.update((it) => ({
            ...it,
            usage: base,
            activeSince: Option.some(startedAt)
          }))
          const limits = yield* budget
          const left = Duration.subtract(limits.maxWallTime, base.wallTime)
          const timeoutIsBudget = Duration.lessThan(left, settings.turnTimeout)
          const result = yield* work({
            stopped,
            timeout: timeoutIsBudget ? left : settings.turnTimeout,
            timeoutIsBudget,
            onMetered: (tokens, costUsd) =>
              Effect.gen(function* () {
                // With what models were asked meanwhile.
                const usage = charge((yield* control.journal.state).loop.usage, tokens, costUsd)
                yield* control.progress.update((it) => ({ ...it, usage }))
                const wallTime = Duration.millis(Math.max(0, (yield* Clock.currentTimeMillis) - startedAt))
                yield* control.journal.note(new TurnMetered({ tokens, wallTime, costUsd }, trusted))
                if (totalTokens(usage.tokens) >= limits.maxTokens) {
                  yield* Deferred.succeed(stopped, AttemptEnd.BudgetReached({ axis: "tokens" }))
                }
              })
          })
          const elapsed = Duration.millis(Math.max(0, (yield* Clock.currentTimeMillis) - startedAt))
          yield* Ref.set(control.turn, Option.none())
          return [result, elapsed] as const
        })
    }
  })

/** The operator can only grow the limit. */
export const effectiveBudget = (budget: Budget, maxTurns: Option.Option<number>): Budget =>
  Option.match(maxTurns, {
    onNone: () => budget,
    onSome: (turns) => new Budget({ ...budget, maxTurns: Math.max(budget.maxTurns, turns) })
  })

const evaluate = (goal: Goal, control: GoalControl, workspace: WorkspaceInfo, turn: number) =>
  Effect.gen(function* () {
    const acceptance = yield* Acceptance
    const onResult = (result: CriterionResult) =>
      control.publish(new CriterionEvaluated({ goalId: goal.id, turn, result }, trusted))
    const once = acceptance
      .evaluate(goal, workspace, { onResult })
      .pipe(
        Effect.provideService(ModelLedger, { charge: chargeTo(control, "judge") }),
        Effect.map(control.redactor.value)
      )
    const later = Effect.delay(once, "2 seconds")
    // A machine that is short of something for a moment must not end a night's work.
    const verdict = yield* once.pipe(Effect.catchAll(() => Effect.catchAll(later, () => later)))
    yield* control.progress.update((it) => ({ ...it, verdict: Option.some(verdict) }))
    yield* control.publish(new AcceptanceEvaluated({ goalId: goal.id, turn, verdict }, trusted))
    return verdict
  })

/** What a model that is asked for the goal takes is the goal's, and in its journal. */
const chargeTo =
  (control: GoalControl, by: ModelCharged["by"]) =>
  ({ costUsd, inputTokens, outputTokens }: ModelCharge): Effect.Effect<void> => {
    const count = Option.getOrElse(() => 0)
    const tokens = new TokenUsage({
      input: count(inputTokens),
      output: count(outputTokens),
      cacheRead: 0,
      cacheCreation: 0
    })
    return Effect.zipRight(
      control.journal.note(new ModelCharged({ by, tokens, costUsd })),
      control.progress.update((it) => ({ ...it, usage: charge(it.usage, tokens, costUsd) }))
    )
  }
