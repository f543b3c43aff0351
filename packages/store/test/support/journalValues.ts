/** Records and goals to store. */
import { GoalPaused, GoalResumed } from "@driver/domain/DriverEvent"
import { Goal, type GoalId } from "@driver/domain/Goal"
import { GoalRow } from "@driver/runtime/GoalStore"
import { type JournalEntry, JournalRecord } from "@driver/runtime/Journal"
import { CommandHandled } from "@driver/runtime/LoopEntry"
import { DateTime, Option, Schema } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { goalIdOf } from "./values.js"

export const step = (text: string): JournalEntry => new CommandHandled({ commandId: text })
export const event = (goalId: GoalId): JournalEntry => new GoalPaused({ goalId })
export const otherEvent = (goalId: GoalId): JournalEntry => new GoalResumed({ goalId })

export const record = (
  goal: number,
  sequence: number,
  changes: Partial<ConstructorParameters<typeof JournalRecord>[0]> = {}
) =>
  new JournalRecord({
    goalId: goalIdOf(goal),
    sequence,
    id: `${goal}:a:${sequence}`,
    at: DateTime.unsafeMake(1_700_000_000_000 + sequence),
    epoch: 0,
    entry: step(`step ${sequence}`),
    ...changes
  })

/** Steps from one place to another. */
export const records = (
  goal: number,
  from: number,
  to: number,
  changes: Partial<ConstructorParameters<typeof JournalRecord>[0]> = {}
): NonEmptyReadonlyArray<JournalRecord> => {
  const all = Array.from({ length: to - from + 1 }, (_, index) => record(goal, from + index, changes))
  const [first, ...rest] = all
  if (first === undefined) throw new Error("no records")
  return [first, ...rest]
}

const goalOf = (n: number) =>
  Schema.decodeUnknownSync(Goal)({
    id: goalIdOf(n),
    description: `Goal ${n}`,
    acceptance: [{ kind: "shell_command", command: "true" }]
  })

export const goalRow = (n: number, changes: Partial<ConstructorParameters<typeof GoalRow>[0]> = {}) =>
  new GoalRow({
    goal: goalOf(n),
    state: "queued",
    repository: `/repositories/${n}`,
    config: Option.none(),
    submittedAt: DateTime.unsafeMake(1_700_000_000_000 + n),
    ...changes
  })
