/** `GoalLoop`'s compact turn: one that shrinks the agent's context and is no work. */
import {
  BudgetExhaustedEvent,
  CompactCompleted,
  CompactRequested,
  CompactSummaryStored
} from "@driver/domain/DriverEvent"
import { charge, updateUsage } from "@driver/domain/Usage"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CompactSummaryStore } from "../CompactSummaryStore.js"
import type { GoalRun } from "../GoalRun.js"
import * as GoalSpans from "../GoalSpans.js"
import type { JournalError } from "../Journal.js"
import { BudgetReached, CompactionBegun, CompactionEnded } from "../LoopEntry.js"
import type { Compaction, LoopState } from "../LoopState.js"
import { drainTurn } from "./drainTurn.js"

type Due = Option.Option.Value<Compaction["due"]>

export const compactingStep = (
  run: GoalRun,
  state: LoopState,
  { focus, reason }: Due
): Effect.Effect<void, JournalError, CompactSummaryStore> =>
  Effect.gen(function* () {
    const { control, goal } = run
    const goalId = goal.id
    const turn = state.usage.turns
    yield* control.journal.write(
      new CompactionBegun({ focus, reason }),
      new CompactRequested({ goalId, turn, focus, reason })
    )

    const [report, elapsed] = yield* run.metered(state.usage, (watch) =>
      drainTurn(
        run,
        turn,
        watch,
        Effect.map(run.sessions.acquire, ({ session }) => session.compact(control.redactor.text(focus)))
      )
    )
    const charged = charge((yield* control.journal.state).loop.usage, report.tokens, report.costUsd)
    const usage = updateUsage(charged, {
      wallTime: Duration.sum(charged.wallTime, elapsed),
      consecutiveDenies: state.usage.consecutiveDenies
    })
    yield* control.progress.update((it) => ({ ...it, usage, activeSince: Option.none() }))

    const succeeded = Option.exists(report.compacted, (it) => it.succeeded)
    yield* GoalSpans.compacted(succeeded)
    const summary = Option.filter(
      Option.flatMap(report.compacted, (it) => it.summary),
      (text) => succeeded && text.trim() !== ""
    ).pipe(Option.map(control.redactor.text))
    if (Option.isSome(summary)) yield* storeSummary(run, turn, summary.value)
    const before = Option.orElse(
      Option.flatMap(report.compacted, (it) => it.before),
      () => state.compaction.contextTokens
    )
    const after = Option.flatMap(report.compacted, (it) => it.after)
    const error = Option.flatMap(report.compacted, (it) => it.error).pipe(
      Option.orElse(() => (report.end._tag === "Failed" ? Option.some(report.end.message) : Option.none())),
      Option.filter(() => !succeeded)
    )
    yield* control.journal.write(
      new CompactionEnded({ usage, succeeded, contextTokens: after }),
      new CompactCompleted({ goalId, turn, succeeded, before, after, error }),
      ...(report.end._tag === "BudgetReached"
        ? [
            new BudgetReached({ axis: report.end.axis, usage }),
            new BudgetExhaustedEvent({ goalId, axis: report.end.axis, usage })
          ]
        : [])
    )
    // A process whose compaction failed is not trusted with the next turn: the conversation is resumed by a new one.
    if (!succeeded) yield* run.sessions.close
  }).pipe(GoalSpans.ofCompaction(run.goal.id, state.usage.turns))

const storeSummary = (run: GoalRun, turn: number, summary: string) =>
  Effect.gen(function* () {
    const store = yield* CompactSummaryStore
    const stored = yield* store.store(run.goal.id, turn, summary)
    if (stored) {
      yield* run.control.publish(new CompactSummaryStored({ goalId: run.goal.id, turn, length: summary.length }))
    }
  }).pipe(Effect.catchAll((error) => Effect.logError("Could not store the compact summary", error)))
