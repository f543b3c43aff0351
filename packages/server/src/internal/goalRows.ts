/** Rows of goals, as the queue looks at them. */
import type { GoalId } from "@driver/domain/Goal"
import { type GoalRow, GoalStore } from "@driver/runtime/GoalStore"
import type { StoreError } from "@driver/runtime/StoreError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** What the queued ones depend on and is not among the rows. `known` is not read again: what is over stays so for them. */
export const dependenciesOf = (
  rows: ReadonlyArray<GoalRow>,
  known: ReadonlyMap<GoalId, GoalRow> = new Map()
): Effect.Effect<ReadonlyMap<GoalId, GoalRow>, StoreError, GoalStore> =>
  Effect.gen(function* () {
    const store = yield* GoalStore
    const there = new Set(rows.map(({ goal }) => goal.id))
    const found = new Map<GoalId, GoalRow>()
    for (const { dependsOn, state } of rows) {
      if (state !== "queued") continue
      for (const id of dependsOn) {
        if (there.has(id) || found.has(id)) continue
        const row = known.get(id) ?? Option.getOrUndefined(yield* store.get(id))
        if (row !== undefined) found.set(id, row)
      }
    }
    return found
  })

/** Ended or skipped: nobody works on it any more. */
export const isOver = ({ state }: GoalRow): boolean => state === "ended" || state === "skipped"
