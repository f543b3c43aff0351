/** The memory of permission decisions: every one of them, with goal, turn, reason and time. */
import type { GoalId } from "@driver/domain/Goal"
import type { Decision } from "@driver/domain/Permission"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { StoreError } from "./StoreError.js"

export interface RecallQuery {
  readonly tool: string
  /** Words to look for in the input and the rationale. */
  readonly text: string
  /** Only this goal's decisions; absent: all goals'. */
  readonly goalId?: GoalId
  /** At most this many, best first. */
  readonly limit: number
}

export class DecisionStore extends Context.Tag("@driver/runtime/DecisionStore")<
  DecisionStore,
  {
    /** Idempotent per decision id. */
    readonly record: (decision: Decision) => Effect.Effect<void, StoreError>
    /** Decisions of a goal, oldest first. */
    readonly list: (goalId: GoalId) => Effect.Effect<ReadonlyArray<Decision>, StoreError>
    /** Earlier decisions that resemble this request. */
    readonly recall: (query: RecallQuery) => Effect.Effect<ReadonlyArray<Decision>, StoreError>
  }
>() {}
