/** Whoever works on goals in this process, as the operator's service needs it. */
import type { GoalId } from "@driver/domain/Goal"
import type { GoalRow } from "@driver/runtime/GoalStore"
import type { DriverTrouble, NotPossible, SubmitRefused } from "@driver/runtime/Goals"
import type { GoalHeld } from "@driver/runtime/Leases"
import type { Wait } from "@driver/runtime/Queue"
import type { StoreError } from "@driver/runtime/StoreError"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { GoalRunner } from "../GoalRunners.js"

export interface Hands {
  /** The runtime of a goal that is at work here. */
  readonly runner: (goalId: GoalId) => Effect.Effect<Option.Option<GoalRunner>>
  /** All goals at work here; none while one is being taken up. */
  readonly atWork: Effect.Effect<ReadonlyMap<GoalId, Option.Option<GoalRunner>>>
  /** What those of the rows wait for that are not at work. */
  readonly waits: (rows: ReadonlyArray<GoalRow>) => Effect.Effect<ReadonlyMap<GoalId, Wait>, StoreError>
  /** The runtime of a goal that is not at work here. */
  readonly runnerFor: (row: GoalRow) => Effect.Effect<GoalRunner, NotPossible | DriverTrouble, Scope.Scope>
  /** Keeps other drivers from the goal. */
  readonly hold: (goalId: GoalId) => Effect.Effect<unknown, GoalHeld | StoreError, Scope.Scope>
  /** Whether a goal that is submitted could begin. */
  readonly check: (row: GoalRow) => Effect.Effect<void, SubmitRefused | DriverTrouble>
  /** Ends a goal that was never begun; resolves with false when it was, or somebody has it. */
  readonly cancelQueued: (goalId: GoalId) => Effect.Effect<boolean, DriverTrouble>
  /** Resolves when the goal is not at work here and its row says what became of it. */
  readonly settled: (goalId: GoalId) => Effect.Effect<void>
}
