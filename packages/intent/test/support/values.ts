/** Values that several tests need. */
import { GoalId } from "@driver/domain/Goal"
import { Cancelled, Done, Escalate, GoalOutcome } from "@driver/domain/Outcome"
import { Usage } from "@driver/domain/Usage"
import { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { IntentId, IntentSessionId } from "@driver/intent/Directive"
import { GoalResult } from "@driver/intent/GoalExecutor"
import { assert } from "@effect/vitest"
import { DateTime, Duration, Option } from "effect"

export const sessionId = IntentSessionId.make("s-1")

/** Intent ids that differ in their number. */
export const intentIdOf = (n: number): IntentId =>
  IntentId.make(`00000000-0000-4000-8000-${String(n).padStart(12, "0")}`)

export const goalIdOf = (n: number): GoalId => GoalId.make(`00000000-0000-4000-9000-${String(n).padStart(12, "0")}`)

export const at = (millis: number): DateTime.Utc => DateTime.unsafeMake(millis)

/** These fields, compared as Node does: chai's own `deepInclude` takes any two Options for equal. */
export const includes = <A extends object>(actual: A, expected: Readonly<Record<string, unknown>>): void => {
  const fields = new Map<string, unknown>(Object.entries(actual))
  assert.deepStrictEqual(Object.fromEntries(Object.keys(expected).map((key) => [key, fields.get(key)])), {
    ...expected
  })
}

/** One result per criterion: whether it passed, and what was seen. */
export const acceptanceOf = (
  results: ReadonlyArray<{ readonly passed: boolean; readonly message?: string; readonly evidence?: string }>
): AcceptanceVerdict =>
  new AcceptanceVerdict({
    met: results.every(({ passed }) => passed),
    results: results.map(
      ({ evidence, message, passed }, index) =>
        new CriterionResult({
          index,
          criterion: `criterion ${index}`,
          passed,
          message: message ?? (passed ? "passed" : `criterion ${index} failed`),
          evidence: Option.fromNullable(evidence),
          elapsed: Duration.millis(1)
        })
    ),
    evaluatedAt: at(1_000),
    elapsed: Duration.millis(1)
  })

export interface ResultParts {
  readonly goalId?: GoalId
  readonly ended?: "done" | "escalated" | "cancelled"
  readonly acceptance?: ReadonlyArray<{
    readonly passed: boolean
    readonly message?: string
    readonly evidence?: string
  }>
  readonly finalText?: string
  readonly diff?: string
  readonly failure?: NonNullable<Option.Option.Value<GoalResult["failure"]>>
  readonly costUsd?: number
}

export const resultOf = (parts: ResultParts = {}): GoalResult =>
  new GoalResult({
    outcome: new GoalOutcome({
      goalId: parts.goalId ?? goalIdOf(1),
      outcome:
        parts.ended === "escalated"
          ? new Escalate({ reason: "stuck" })
          : parts.ended === "cancelled"
            ? new Cancelled()
            : new Done(),
      totalTurns: 1,
      usage: new Usage({ ...Usage.zero, turns: 1, costUsd: parts.costUsd ?? 0.5 }),
      finalText: Option.fromNullable(parts.finalText),
      acceptance: Option.map(Option.fromNullable(parts.acceptance), acceptanceOf),
      branch: Option.some("driver/1"),
      worktree: Option.some("/work"),
      elapsed: Duration.seconds(1)
    }),
    diff: Option.fromNullable(parts.diff),
    failure: Option.fromNullable(parts.failure)
  })
