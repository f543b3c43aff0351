/**
 * What a goal needs to be worked on, made by the composition: one runtime per
 * repository and configuration, shared by the goals on it.
 *
 * The queue and the operator's service use it and know nothing of agents, gates
 * or configuration files.
 */
import type { Goal } from "@driver/domain/Goal"
import type { Driver } from "@driver/runtime/Driver"
import type { GoalRow } from "@driver/runtime/GoalStore"
import type { DriverTrouble, SubmitRefused } from "@driver/runtime/Goals"
import type { Workspace } from "@driver/runtime/Workspace"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export interface GoalRunner {
  /** Shared by the goals of one repository and configuration; lives at least as long as the scope it was asked for in. */
  readonly driver: Driver["Type"]
  readonly workspace: Workspace["Type"]
  /** Hands the goal's work over as its configuration says. Resolves with one sentence for people. */
  readonly deliver: (goal: Goal) => Effect.Effect<string, DriverTrouble>
}

export class GoalRunners extends Context.Tag("@driver/server/GoalRunners")<
  GoalRunners,
  {
    /** The runtime of the goal's repository and configuration; made when it is the first to ask. Released with the scope. */
    readonly forRow: (row: GoalRow) => Effect.Effect<GoalRunner, DriverTrouble, Scope.Scope>
    /** Whether `forRow` would find the repository and a configuration that can be read. Cheap; asked when a goal is submitted. */
    readonly check: (row: GoalRow) => Effect.Effect<void, SubmitRefused | DriverTrouble>
  }
>() {}
