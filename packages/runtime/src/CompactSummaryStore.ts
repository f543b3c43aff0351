/** Summaries of compacted sessions: what a new session of the same goal is told about the old one. */
import type { GoalId } from "@driver/domain/Goal"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
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
    /** Deletes all summaries of the goal. */
    readonly forget: (goalId: GoalId) => Effect.Effect<void, StoreError>
  }
>() {
  /** Forgets everything with its scope. */
  static readonly layerMemory: Layer.Layer<CompactSummaryStore> = Layer.effect(
    this,
    Effect.map(Ref.make(HashMap.empty<GoalId, ReadonlyArray<CompactSummary>>()), (rows) => makeMemory(rows))
  )
}

/** Without spans, as the memory it is: a simulation asks it more often than anything else. */
const makeMemory = (rows: Ref.Ref<HashMap.HashMap<GoalId, ReadonlyArray<CompactSummary>>>) =>
  CompactSummaryStore.of({
    store: Effect.fnUntraced(function* (goalId, turn, summary) {
      const storedAt = Math.floor(yield* Clock.currentTimeMillis)
      return yield* Ref.modify(rows, (map) => {
        const known = Option.getOrElse(HashMap.get(map, goalId), () => [])
        return known.some((row) => row.turn === turn)
          ? [false, map]
          : [true, HashMap.set(map, goalId, [...known, { goalId, turn, summary, storedAt }])]
      })
    }),
    loadLatest: (goalId) =>
      Effect.map(Ref.get(rows), (map) =>
        Option.flatMap(HashMap.get(map, goalId), (known) =>
          Option.fromNullable(
            known.reduce<CompactSummary | undefined>(
              (best, row) => (best === undefined || row.turn > best.turn ? row : best),
              undefined
            )
          )
        )
      ),
    forget: (goalId) => Ref.update(rows, HashMap.remove(goalId))
  })
