/** Summaries of compacted sessions: what a new session of the same goal is told about the old one. */
import type { GoalId } from "@driver/domain/Goal"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { StoreError } from "./StoreError.js"

export interface CompactSummary {
  readonly goalId: GoalId
  readonly turn: number
  readonly summary: string
  /** Milliseconds since the epoch. */
  readonly storedAt: number
}

export class CompactSummaryStore extends Context.Tag("@driver/runtime/CompactSummaryStore")<
  CompactSummaryStore,
  {
    /** Idempotent per goal and turn: the first summary stays. Resolves with `false` when there was one. */
    readonly store: (goalId: GoalId, turn: number, summary: string) => Effect.Effect<boolean, StoreError>
    /** The summary of the highest turn. */
    readonly loadLatest: (goalId: GoalId) => Effect.Effect<Option.Option<CompactSummary>, StoreError>
    readonly forget: (goalId: GoalId) => Effect.Effect<void, StoreError>
  }
>() {}
