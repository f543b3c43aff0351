/**
 * `GoalLoop`'s step `Working`: one attempt, from the checkpoint before it to the
 * state after it. The order is the specification's: checkpoint, attempt, diff
 * stat, criteria, events, compaction, route.
 */
import {
  AttemptCompleted,
  AttemptStarted,
  BudgetExhaustedEvent,
  Progress,
  ReplayDecided
} from "@driver/domain/DriverEvent"
import { AttemptResult } from "@driver/domain/Outcome"
import { charge, updateUsage } from "@driver/domain/Usage"
import type { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { failuresOf } from "@driver/domain/Verdict"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { Acceptance, AcceptanceError } from "../Acceptance.js"
import type * as Attempt from "../Attempt.js"
import { CompactPolicy } from "../CompactPolicy.js"
import { CompactSummaryStore } from "../CompactSummaryStore.js"
import type { GoalRun } from "../GoalRun.js"
import { afterTurn, countsAsTurn, countTurn, type LoopState, Next, Phase, routeOf } from "../LoopState.js"
import { PostTurnHooks } from "../PostTurnHooks.js"
import { attemptPrompt } from "../Prompt.js"
import { ReplayPolicy } from "../ReplayPolicy.js"
import { StuckDecision, StuckPolicy, type TurnTrace } from "../StuckPolicy.js"
import { type Checkpoint, type CheckpointId, type DiffStat, Workspace } from "../Workspace.js"
import { drainTurn } from "./drainTurn.js"
import { turnOf } from "./turnOf.js"

type WorkingServices =
  | Acceptance
  | CompactPolicy
  | CompactSummaryStore
  | PostTurnHooks
  | ReplayPolicy
  | StuckPolicy
  | Workspace

export const workingStep = (
  run: GoalRun,
  state: LoopState
): Effect.Effect<LoopState, AcceptanceError, WorkingServices> =>
  Effect.gen(function* () {
    const { control, goal } = run
    const goalId = goal.id
    const turn = state.usage.turns + 1
    const messages = [...state.carry.messages, ...(yield* control.messages.take).map(({ text }) => text)]
    const decisionsBefore = (yield* run.denials).decisions

    const [{ checkpoint, judged, report }, elapsed] = yield* run.metered(state.usage, (watch) =>
      Effect.gen(function* () {
        // The agent starts while the checkpoint is made; it does nothing before it has its prompt.
        yield* run.sessions.prepare
        const checkpoint = yield* makeCheckpoint(run, turn)
        yield* control.publish(new AttemptStarted({ goalId, turn, usage: state.usage }))
        yield* run.ticket.startTurn(turn)
        const report = yield* drainTurn(
          run,
          turn,
          watch,
          turnOf(run.sessions.acquire, (open) =>
            Effect.map(promptOf(run, state, { messages, turn, fresh: open.fresh }), (prompt) =>
              open.session.turn({ prompt: control.redactor.text(prompt), turn })
            )
          )
        )
        const judged = yield* judge(run, turn, checkpoint, report)
        return { checkpoint, report, judged }
      })
    )
    const charged = updateUsage(charge(state.usage, report.tokens, report.costUsd), {
      wallTime: Duration.sum(state.usage.wallTime, elapsed),
      consecutiveDenies: (yield* run.denials).consecutive
    })

    const replayPolicy = yield* ReplayPolicy
    const now = yield* Clock.currentTimeMillis
    const random = yield* Random.next
    const route = routeOf(report.end, judged.verdict, (failed) =>
      replayPolicy.decide({
        goalId,
        turn,
        checkpoint: Option.map(checkpoint, (it) => it.id),
        usage: charged,
        failure: failed.failure,
        message: failed.message,
        hint: failed.hint,
        restartedMidTurn: false,
        now,
        random
      })
    )
    const usage = countTurn(charged, route.next)
    const finalText =
      report.end._tag === "Claimed" ? Option.some(control.redactor.text(report.end.text)) : Option.none()
    yield* SubscriptionRef.update(control.progress, (it) => ({
      ...it,
      usage,
      activeSince: Option.none(),
      finalText: Option.orElse(finalText, () => it.finalText)
    }))

    const result = new AttemptResult({
      goalId,
      turn,
      outcome: route.outcome,
      usage,
      verdict: judged.verdict,
      finalText,
      decisionsRecorded: (yield* run.denials).decisions - decisionsBefore,
      extras: extrasOf(report, judged.diff, checkpoint)
    })
    yield* publishTurn(run, result, countsAsTurn(route.next))
    if (Option.isSome(route.replay)) {
      const error = report.end._tag === "Failed" ? report.end.message : ""
      const decision = snakeCase(route.replay.value._tag)
      yield* control.publish(new ReplayDecided({ goalId, turn, decision, error }))
    }
    if (report.end._tag === "BudgetReached") {
      yield* control.publish(new BudgetExhaustedEvent({ goalId, axis: report.end.axis, usage }))
    }

    const rolledBack = yield* carryOut(run, route.next, report)
    const trace = traceOf(report, judged)
    const stuckPolicy = yield* StuckPolicy
    const stuck =
      countsAsTurn(route.next) && !Next.$is("Accept")(route.next)
        ? stuckPolicy.decide({ turns: [...state.traces, trace], nudges: state.nudges })
        : StuckDecision.Fine()
    const compactPolicy = yield* CompactPolicy
    const next = afterTurn(state, route.next, {
      usage,
      trace,
      stuck,
      diffStat: Option.match(judged.diff, { onNone: () => "", onSome: (it) => it.text }),
      messages,
      contextTokens: report.contextTokens,
      contextWindow: report.contextWindow,
      focus: compactPolicy.focus(goal.description),
      rolledBack
    })
    return yield* withCompaction(run, next)
  })

/** A turn without a checkpoint has no rollback point, which is bad luck and no reason to stop. */
const makeCheckpoint = (run: GoalRun, turn: number) =>
  Effect.flatMap(Workspace, (workspace) => workspace.checkpoint(run.goal.id, `before turn ${turn}`)).pipe(
    Effect.asSome,
    Effect.catchAll((error) =>
      Effect.as(Effect.logWarning("The turn has no rollback point", error), Option.none<Checkpoint>())
    )
  )

/** `fresh`: the session knows nothing yet, so it is told what an earlier one had come to. */
const promptOf = (
  run: GoalRun,
  state: LoopState,
  now: { readonly messages: ReadonlyArray<string>; readonly turn: number; readonly fresh: boolean }
): Effect.Effect<string, never, CompactSummaryStore> =>
  Effect.gen(function* () {
    const summary = now.fresh ? yield* loadSummary(run) : Option.none()
    const budget = yield* run.budget
    return attemptPrompt({
      ...state.carry,
      operatorMessages: now.messages,
      summary,
      description: run.goal.description,
      turn: now.turn,
      maxTurns: budget.maxTurns
    })
  })

const loadSummary = (run: GoalRun): Effect.Effect<Option.Option<string>, never, CompactSummaryStore> =>
  Effect.flatMap(CompactSummaryStore, (summaries) => summaries.loadLatest(run.goal.id)).pipe(
    Effect.map(Option.map((it) => it.summary)),
    Effect.catchAll((error) =>
      Effect.as(Effect.logError("Could not load the compact summary", error), Option.none<string>())
    )
  )

interface Judged {
  readonly diff: Option.Option<DiffStat>
  readonly verdict: Option.Option<AcceptanceVerdict>
}

/**
 * Measures what changed and, on a claim, runs the criteria. A claim that passed is
 * believed only when nothing moved meanwhile: the agent is ended, and when the
 * files are no longer those that were judged, they are judged again.
 */
const judge = (run: GoalRun, turn: number, checkpoint: Option.Option<Checkpoint>, report: Attempt.AttemptReport) =>
  Effect.gen(function* () {
    const measure = diffSince(run, checkpoint)
    const diff = yield* measure
    if (report.end._tag !== "Claimed") return { diff, verdict: Option.none<AcceptanceVerdict>() }
    const verdict = yield* run.evaluate(turn)
    if (!verdict.met || run.goal.acceptance.length === 0) return { diff, verdict: Option.some(verdict) }
    yield* run.sessions.close
    const after = yield* measure
    const unmoved = Option.isSome(diff) && Option.isSome(after) && diff.value.fingerprint === after.value.fingerprint
    return { diff: after, verdict: Option.some(unmoved ? verdict : yield* run.evaluate(turn)) }
  })

const diffSince = (run: GoalRun, checkpoint: Option.Option<Checkpoint>) =>
  Option.match(checkpoint, {
    onNone: () => Effect.succeed(Option.none<DiffStat>()),
    onSome: ({ id }) =>
      Effect.flatMap(Workspace, (workspace) => workspace.diffStat(run.goal.id, id)).pipe(
        Effect.asSome,
        Effect.catchAll((error) =>
          Effect.as(Effect.logWarning("What the turn changed is unknown", error), Option.none<DiffStat>())
        )
      )
  })

const publishTurn = (run: GoalRun, result: AttemptResult, counted: boolean) =>
  Effect.gen(function* () {
    const { control, goal, settings } = run
    yield* control.publish(new AttemptCompleted({ goalId: goal.id, result }))
    if (!counted) return
    const every = settings.progressEveryTurns
    if (every > 0 && result.turn % every === 0) {
      yield* control.publish(new Progress({ goalId: goal.id, turn: result.turn, usage: result.usage }))
    }
    const { hooks } = yield* PostTurnHooks
    yield* Effect.forEach(
      hooks,
      (hook) =>
        FiberSet.run(
          run.hooks,
          hook.run(result, control.publish).pipe(
            Effect.catchAllCause((cause) => Effect.logWarning(`The post-turn hook ${hook.name} failed`, cause)),
            Effect.interruptible
          )
        ),
      { discard: true }
    )
  })

/** What the route asks of the session and the workspace. Resolves with whether the workspace was rolled back. */
const carryOut = (run: GoalRun, next: Next, report: Attempt.AttemptReport) =>
  Effect.gen(function* () {
    const message = report.end._tag === "Failed" ? report.end.message : ""
    if (next._tag === "FreshSession") yield* run.sessions.abandon(message)
    if (next._tag === "Stop") yield* run.sessions.close
    const rollbackTo = next._tag === "FreshSession" || next._tag === "Advance" ? next.rollbackTo : Option.none()
    return Option.isSome(rollbackTo) ? yield* rollback(run, rollbackTo.value) : false
  })

const rollback = (run: GoalRun, to: CheckpointId) =>
  Effect.flatMap(Workspace, (workspace) => workspace.rollback(run.goal.id, to)).pipe(
    Effect.as(true),
    Effect.catchAll((error) => Effect.as(Effect.logError("The workspace could not be rolled back", error), false))
  )

/** Asks the policy whether the next iteration is a compact turn. */
const withCompaction = (run: GoalRun, state: LoopState): Effect.Effect<LoopState, never, CompactPolicy> =>
  Effect.gen(function* () {
    if (Phase.$is("Ended")(state.phase) || Option.isSome(state.compaction.due)) return state
    const policy = yield* CompactPolicy
    const since = yield* run.sessions.since
    const now = yield* Clock.currentTimeMillis
    const due = policy.decide({
      description: run.goal.description,
      turn: state.usage.turns,
      lastCompactTurn: state.compaction.lastTurn,
      contextTokens: state.compaction.contextTokens,
      contextWindow: state.compaction.contextWindow,
      sessionAge: Duration.millis(Option.match(since, { onNone: () => 0, onSome: (it) => Math.max(0, now - it) })),
      consecutiveFailures: state.compaction.consecutiveFailures
    })
    return { ...state, compaction: { ...state.compaction, due } }
  })

const traceOf = (report: Attempt.AttemptReport, judged: Judged): TurnTrace => ({
  failures: Option.match(judged.verdict, { onNone: () => [], onSome: (it) => failuresOf(it).map(failureKey) }),
  diffEmpty: Option.exists(judged.diff, (it) => it.filesChanged === 0),
  toolCalls: report.toolCalls
})

const failureKey = (failure: CriterionResult): string => `${failure.index} ${failure.criterion}: ${failure.message}`

const extrasOf = (
  report: Attempt.AttemptReport,
  diff: Option.Option<DiffStat>,
  checkpoint: Option.Option<Checkpoint>
): Record<string, unknown> => ({
  ...(Option.isSome(report.sessionId) ? { session_id: report.sessionId.value } : {}),
  ...(Option.isSome(diff) ? { diff_stat: diff.value.text } : {}),
  ...(Option.isSome(checkpoint) ? { checkpoint: checkpoint.value.id } : {})
})

const snakeCase = (tag: string): string => tag.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase()
