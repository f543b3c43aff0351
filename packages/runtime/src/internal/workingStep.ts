/**
 * `GoalLoop`'s turn of work: one attempt, from the checkpoint before it to what
 * follows from it. The order is the specification's: checkpoint, attempt, diff
 * stat, criteria, events, compaction, route.
 *
 * The journal has `TurnBegun` before the prompt is sent and `TurnDecided` before
 * anything follows from the turn; `settle` carries that out and writes `TurnSettled`.
 */
import {
  AttemptCompleted,
  AttemptStarted,
  BudgetExhaustedEvent,
  Escalated,
  Progress,
  ReplayDecided
} from "@driver/domain/DriverEvent"
import type { Goal, GoalId } from "@driver/domain/Goal"
import { AttemptResult } from "@driver/domain/Outcome"
import { charge, totalTokens, type Usage, updateUsage } from "@driver/domain/Usage"
import type { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { failuresOf } from "@driver/domain/Verdict"
import { trusted } from "@driver/domain/Wire"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import type { Acceptance, AcceptanceError } from "../Acceptance.js"
import { AccountLimits } from "../AccountLimits.js"
import type * as Attempt from "../Attempt.js"
import { CompactPolicy } from "../CompactPolicy.js"
import { CompactSummaryStore } from "../CompactSummaryStore.js"
import type { GoalControl } from "../GoalControl.js"
import { toldTo } from "../GoalFold.js"
import type { GoalRun } from "../GoalRun.js"
import * as GoalSpans from "../GoalSpans.js"
import type { JournalEntry, JournalError } from "../Journal.js"
import { CompactionDue, TurnBegun, TurnDecided, TurnSettled } from "../LoopEntry.js"
import {
  afterTurn,
  type Compaction,
  countsAsTurn,
  countTurn,
  type LoopState,
  Next,
  Phase,
  routeOf
} from "../LoopState.js"
import { PostTurnHooks } from "../PostTurnHooks.js"
import { attemptPrompt } from "../Prompt.js"
import { type ReplayDecision, ReplayPolicy } from "../ReplayPolicy.js"
import { StuckDecision, StuckPolicy, type TurnTrace } from "../StuckPolicy.js"
import { type Checkpoint, type CheckpointId, type DiffStat, Workspace } from "../Workspace.js"
import { drainTurn } from "./drainTurn.js"
import { nextOf, nextOnWire, stuckOnWire, traceOf as traceFrom, traceOnWire } from "./onWire.js"

type WorkingServices =
  | Acceptance
  | AccountLimits
  | CompactPolicy
  | CompactSummaryStore
  | PostTurnHooks
  | ReplayPolicy
  | StuckPolicy
  | Workspace

export const workingStep = (
  run: GoalRun,
  state: LoopState
): Effect.Effect<void, AcceptanceError | JournalError, WorkingServices> =>
  Effect.gen(function* () {
    const { control, goal } = run
    const goalId = goal.id
    const turn = state.usage.turns + 1
    const taken = yield* control.messages.take
    const messages = [...state.carry.messages, ...taken.map(({ text }) => text)]
    const decisionsBefore = yield* run.decisions

    const [{ checkpoint, judged, report }, elapsed] = yield* run.metered(state.usage, (watch) =>
      Effect.gen(function* () {
        // The agent starts while the checkpoint is made; it does nothing before it has its prompt.
        yield* run.sessions.prepare
        const checkpoint = yield* makeCheckpoint(run, turn)
        yield* control.journal.write(
          new TurnBegun(
            {
              turn,
              messageIds: taken.map(({ id }) => id),
              checkpoint: Option.map(checkpoint, (it) => it.id)
            },
            trusted
          ),
          new AttemptStarted({ goalId, turn, usage: state.usage }, trusted)
        )
        yield* run.ticket.startTurn(turn)
        const report = yield* drainTurn(
          run,
          turn,
          watch,
          Effect.flatMap(run.sessions.acquire, (open) =>
            Effect.map(
              Effect.tap(promptOf(run, state, { messages, turn, fresh: open.fresh }), GoalSpans.prompted),
              (prompt) => open.session.turn({ prompt: control.redactor.text(prompt), turn })
            )
          )
        )
        const judged = yield* judge(run, turn, checkpoint, report)
        return { checkpoint, report, judged }
      })
    )
    const now = yield* control.journal.state
    // With what models were asked meanwhile, to judge calls and criteria.
    const charged = updateUsage(charge(now.loop.usage, report.tokens, report.costUsd), {
      wallTime: Duration.sum(state.usage.wallTime, elapsed),
      consecutiveDenies: now.consecutiveDenies
    })
    const decide = yield* replayOf(run, { turn, checkpoint: Option.map(checkpoint, (it) => it.id), usage: charged })
    const route = routeOf(report.end, judged.verdict, (failed) => decide(failed, false))
    yield* tellAccount(control, report, route.replay)
    const usage = countTurn(charged, route.next)
    const finalText =
      report.end._tag === "Claimed" ? Option.some(control.redactor.text(report.end.text)) : Option.none()
    yield* control.progress.update((it) => ({ ...it, usage, activeSince: Option.none() }))

    const result = new AttemptResult(
      {
        goalId,
        turn,
        outcome: route.outcome,
        usage,
        verdict: judged.verdict,
        finalText,
        decisionsRecorded: (yield* run.decisions) - decisionsBefore,
        extras: extrasOf(report, judged.diff, checkpoint)
      },
      trusted
    )
    const error = report.end._tag === "Failed" ? report.end.message : ""
    const compactPolicy = yield* CompactPolicy
    const decided = new TurnDecided(
      {
        turn,
        next: nextOnWire(route.next),
        usage,
        trace: traceOnWire(traceOf(goal, report, judged)),
        diffStat: Option.match(judged.diff, { onNone: () => "", onSome: (it) => it.text }),
        messages: toldTo(now),
        contextTokens: report.contextTokens,
        contextWindow: report.contextWindow,
        focus: compactPolicy.focus(goal.description),
        verdict: judged.verdict,
        finalText,
        error
      },
      trusted
    )
    yield* GoalSpans.attempted(result)
    const counted = countsAsTurn(route.next)
    yield* settle(run, state, decided, [
      decided,
      new AttemptCompleted({ goalId, result }, trusted),
      ...progressOf(run, result, counted),
      ...Option.toArray(Option.map(route.replay, (it) => replayEvent(goalId, turn, it, error))),
      ...(report.end._tag === "BudgetReached"
        ? [new BudgetExhaustedEvent({ goalId, axis: report.end.axis, usage })]
        : [])
    ])
    if (counted) yield* startHooks(run, result)
  }).pipe(GoalSpans.ofAttempt(run.goal.id, state.usage.turns + 1))

/** The replay policy on a turn of this run that ended in an error. */
export const replayOf = (
  run: GoalRun,
  at: { readonly turn: number; readonly checkpoint: Option.Option<CheckpointId>; readonly usage: Usage }
): Effect.Effect<
  (failed: Extract<Attempt.AttemptEnd, { _tag: "Failed" }>, restartedMidTurn: boolean) => ReplayDecision,
  never,
  ReplayPolicy
> =>
  Effect.gen(function* () {
    const policy = yield* ReplayPolicy
    const now = yield* Clock.currentTimeMillis
    const random = yield* Random.next
    return ({ failure, hint, message }, restartedMidTurn) =>
      policy.decide({ goalId: run.goal.id, ...at, failure, message, hint, restartedMidTurn, now, random })
  })

export const replayEvent = (goalId: GoalId, turn: number, decision: ReplayDecision, error: string): ReplayDecided =>
  new ReplayDecided({ goalId, turn, decision: snakeCase(decision._tag), error })

/** Other goals of the account learn that its usage limit is met, or that it is open. */
const tellAccount = (control: GoalControl, report: Attempt.AttemptReport, replay: Option.Option<ReplayDecision>) =>
  Effect.gen(function* () {
    const limits = yield* AccountLimits
    const account = yield* Ref.get(control.account)
    if (Option.isSome(replay) && replay.value._tag === "Sleep") {
      const { duration, reason } = replay.value
      const now = yield* Clock.currentTimeMillis
      return yield* limits.limited(account, now + Duration.toMillis(duration), reason)
    }
    if (Option.isSome(replay) && replay.value._tag === "Escalate" && replay.value.because === "usage_limit") {
      const failure = report.end._tag === "Failed" ? report.end.failure : Option.none()
      const until = Option.flatMap(failure, (it) => it.resetsAt)
      // Without a moment nobody could say when to ask again.
      if (Option.isSome(until)) yield* limits.limited(account, until.value, replay.value.reason)
      return
    }
    if (report.end._tag !== "Failed" || totalTokens(report.tokens) > 0) yield* limits.open(account)
  }).pipe(
    Effect.catchAll((error) => Effect.logWarning("The account's usage limit was not shared with other goals", error))
  )

/**
 * Does what the decided turn asks of session and workspace, and writes that it is
 * done; `entries` go before, and are durable before anything is done. Called again,
 * without them, for a turn that a driver decided and did not settle.
 */
export const settle = (
  run: GoalRun,
  state: LoopState,
  decided: TurnDecided,
  entries: ReadonlyArray<JournalEntry>
): Effect.Effect<void, JournalError, CompactPolicy | StuckPolicy | Workspace> =>
  Effect.gen(function* () {
    const { goal, control } = run
    const next = nextOf(decided.next)
    const trace = traceFrom(decided.trace)
    const stuckPolicy = yield* StuckPolicy
    const stuck =
      countsAsTurn(next) && !Next.$is("Accept")(next) && !Next.$is("Redirect")(next)
        ? stuckPolicy.decide({ turns: [...state.traces, trace], nudges: state.nudges })
        : StuckDecision.Fine()

    const ending = (rolledBack: boolean) =>
      Effect.gen(function* () {
        const { diffStat, messages, contextTokens, contextWindow, focus, usage } = decided
        const facts = { usage, trace, stuck, diffStat, messages, contextTokens, contextWindow, focus, rolledBack }
        const after = afterTurn(state, next, facts)
        const due = yield* compactionDue(run, after)
        return [
          new TurnSettled({ rolledBack, stuck: stuckOnWire(stuck) }, trusted),
          ...Option.toArray(Option.map(due, (it) => new CompactionDue(it))),
          ...(after.phase._tag === "Ended" && after.phase.outcome._tag === "Escalate"
            ? [new Escalated({ goalId: goal.id, turn: usage.turns, reason: after.phase.outcome.reason })]
            : [])
        ]
      })

    const rollbackTo = next._tag === "FreshSession" || next._tag === "Advance" ? next.rollbackTo : Option.none()
    if (next._tag !== "FreshSession" && Option.isNone(rollbackTo)) {
      yield* control.journal.write(...entries, ...(yield* ending(false)))
      if (next._tag === "Stop") yield* run.sessions.close
      return
    }
    yield* control.journal.write(...entries)
    if (next._tag === "FreshSession") yield* run.sessions.abandon(decided.error)
    const rolledBack = Option.isSome(rollbackTo) ? yield* rollback(run, rollbackTo.value) : false
    yield* control.journal.write(...(yield* ending(rolledBack)))
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

const progressOf = (run: GoalRun, result: AttemptResult, counted: boolean): ReadonlyArray<Progress> => {
  const every = run.settings.progressEveryTurns
  return counted && every > 0 && result.turn % every === 0
    ? [new Progress({ goalId: run.goal.id, turn: result.turn, usage: result.usage }, trusted)]
    : []
}

const startHooks = (run: GoalRun, result: AttemptResult): Effect.Effect<void, never, PostTurnHooks> =>
  Effect.flatMap(PostTurnHooks, ({ hooks }) =>
    Effect.forEach(
      hooks,
      (hook) =>
        FiberSet.run(
          run.hooks,
          hook.run(result, run.control.publish).pipe(
            Effect.catchAllCause((cause) => Effect.logWarning(`The post-turn hook ${hook.name} failed`, cause)),
            Effect.interruptible
          )
        ),
      { discard: true }
    )
  )

const rollback = (run: GoalRun, to: CheckpointId) =>
  Effect.flatMap(Workspace, (workspace) => workspace.rollback(run.goal.id, to)).pipe(
    Effect.as(true),
    Effect.catchAll((error) => Effect.as(Effect.logError("The workspace could not be rolled back", error), false))
  )

/** Asks the policy whether the next iteration is a compact turn. */
const compactionDue = (run: GoalRun, state: LoopState): Effect.Effect<Compaction["due"], never, CompactPolicy> =>
  Effect.gen(function* () {
    if (Phase.$is("Ended")(state.phase) || Option.isSome(state.compaction.due)) return Option.none()
    const policy = yield* CompactPolicy
    const since = yield* run.sessions.since
    const now = yield* Clock.currentTimeMillis
    return policy.decide({
      description: run.goal.description,
      turn: state.usage.turns,
      lastCompactTurn: state.compaction.lastTurn,
      contextTokens: state.compaction.contextTokens,
      contextWindow: state.compaction.contextWindow,
      sessionAge: Duration.millis(Option.match(since, { onNone: () => 0, onSome: (it) => Math.max(0, now - it) })),
      consecutiveFailures: state.compaction.consecutiveFailures
    })
  })

const traceOf = (goal: Goal, report: Attempt.AttemptReport, judged: Judged): TurnTrace => ({
  failures: Option.match(judged.verdict, { onNone: () => [], onSome: (it) => failuresOf(it).map(failureKey(goal)) }),
  diffEmpty: Option.exists(judged.diff, (it) => it.filesChanged === 0),
  toolCalls: report.toolCalls
})

/** The same for the same failure: a model has other words for it each time. */
const failureKey =
  ({ acceptance }: Goal) =>
  ({ criterion, index, message }: CriterionResult): string =>
    acceptance[index]?._tag === "LlmJudge" ? `${index} ${criterion}` : `${index} ${criterion}: ${message}`

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
