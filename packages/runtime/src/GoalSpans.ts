/**
 * The spans of a goal, of its attempts and of its compactions, for the loop to put around what it does. What is below
 * them is opened where it happens: `internal/drainTurn`, `Acceptance`, the gate.
 */
import type { Goal, GoalId } from "@driver/domain/Goal"
import type { AttemptOutcome, AttemptResult, GoalOutcome } from "@driver/domain/Outcome"
import { content, SpanAttribute, SpanContentAttribute, SpanName } from "@driver/domain/Spans"
import { knownCost, type Usage } from "@driver/domain/Usage"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { tokenAttributes } from "./internal/agentSpan.js"

/**
 * The goal's own trace: it begins here, whoever asked for the goal. It has to be inside of what provides services: they
 * may have been built below a span of their own, and would bring it along.
 */
export const ofGoal =
  (goal: Goal, options?: { readonly continued?: boolean }) =>
  <E, R>(run: Effect.Effect<GoalOutcome, E, R>): Effect.Effect<GoalOutcome, E, R> =>
    Effect.useSpan(
      SpanName.goal,
      {
        root: true,
        captureStackTrace: false,
        attributes: {
          [SpanAttribute.goalId]: goal.id,
          [SpanAttribute.goalCriteria]: goal.acceptance.length,
          [SpanAttribute.goalMaxTurns]: goal.budget.maxTurns,
          [SpanAttribute.goalContinued]: options?.continued ?? false,
          [SpanContentAttribute.description]: content(() => goal.description)
        }
      },
      (span) =>
        Effect.tap(Effect.withParentSpan(run, span), (ended) =>
          Effect.sync(() => {
            const attributes = {
              ...outcomeAttributes(ended.outcome),
              ...usageAttributes(ended.usage),
              [SpanAttribute.goalTurns]: ended.totalTurns
            }
            for (const [name, value] of Object.entries(attributes)) span.attribute(name, value)
          })
        )
    )

/** One turn of work, from its checkpoint to its route. `attempted` says, inside, what it came to. */
export const ofAttempt =
  (goalId: GoalId, turn: number) =>
  <A, E, R>(step: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.useSpan(SpanName.attempt, turnOptions(goalId, turn), (span) => Effect.withParentSpan(step, span))

/** Says on the current span, which is the attempt's, what the attempt came to. */
export const attempted = (result: AttemptResult): Effect.Effect<void> =>
  Effect.annotateCurrentSpan({
    ...outcomeAttributes(result.outcome),
    [SpanAttribute.turnDecisions]: result.decisionsRecorded
  })

/** One compact turn. `compacted` says, inside, whether it succeeded. */
export const ofCompaction =
  (goalId: GoalId, turn: number) =>
  <A, E, R>(step: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.useSpan(SpanName.compaction, turnOptions(goalId, turn), (span) => Effect.withParentSpan(step, span))

/** Says on the current span, which is the compaction's, whether it succeeded. */
export const compacted = (succeeded: boolean): Effect.Effect<void> =>
  Effect.annotateCurrentSpan(SpanAttribute.compactionSucceeded, succeeded)

/** The prompt, for the current span, where content is asked for. */
export const prompted = (prompt: string): Effect.Effect<void> =>
  Effect.annotateCurrentSpan(
    SpanContentAttribute.prompt,
    content(() => prompt)
  )

const turnOptions = (goalId: GoalId, turn: number) => ({
  captureStackTrace: false,
  attributes: { [SpanAttribute.goalId]: goalId, [SpanAttribute.turn]: turn }
})

const outcomeAttributes = (outcome: AttemptOutcome): Record<string, unknown> => {
  const name = outcome._tag.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase()
  switch (outcome._tag) {
    case "BudgetExhausted":
      return { [SpanAttribute.outcome]: name, [SpanAttribute.budgetAxis]: outcome.axis }
    case "Escalate":
      return {
        [SpanAttribute.outcome]: name,
        [SpanAttribute.errorType]: `escalated_by_${outcome.by}`,
        [SpanContentAttribute.errorMessage]: content(() => outcome.reason)
      }
    default:
      return { [SpanAttribute.outcome]: name }
  }
}

const usageAttributes = (usage: Usage): Record<string, unknown> => ({
  ...tokenAttributes(usage.tokens),
  ...Option.match(knownCost(usage), { onNone: () => ({}), onSome: (usd) => ({ [SpanAttribute.costUsd]: usd }) })
})
