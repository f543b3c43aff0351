/** What was asked of goals that have not begun: it waits as commands, and is meant for the queue. */
import type { GoalId } from "@driver/domain/Goal"
import { GoalStore, type PendingCommand } from "@driver/runtime/GoalStore"
import type { StoreError } from "@driver/runtime/StoreError"
import * as Effect from "effect/Effect"

export interface HeldBack {
  /** Do not begin before a `Resume`. */
  readonly paused: ReadonlySet<GoalId>
  readonly cancelled: ReadonlySet<GoalId>
}

/** The last of pause and resume counts; the rest (messages, limits) is for the driver that begins the goal. */
export const heldBackBy = (commands: ReadonlyArray<PendingCommand>): HeldBack => {
  const paused = new Set<GoalId>()
  const cancelled = new Set<GoalId>()
  for (const { command, goalId } of commands) {
    if (command._tag === "Pause") paused.add(goalId)
    if (command._tag === "Resume") paused.delete(goalId)
    if (command._tag === "Cancel") cancelled.add(goalId)
  }
  return { paused, cancelled }
}

/** Takes what is done with out of the store: what a resume has undone, and a wake of what does not sleep. */
export const heldBack = (goalIds: ReadonlyArray<GoalId>): Effect.Effect<HeldBack, StoreError, GoalStore> =>
  Effect.gen(function* () {
    if (goalIds.length === 0) return heldBackBy([])
    const store = yield* GoalStore
    const commands = yield* store.commands(goalIds)
    const result = heldBackBy(commands)
    const done = commands.filter(
      ({ command, goalId }) =>
        command._tag === "Wake" ||
        command._tag === "Resume" ||
        // Only the pause of a goal that goes on: a later one may have come meanwhile.
        (command._tag === "Pause" && !result.paused.has(goalId))
    )
    if (done.length > 0) yield* store.handled(done.map(({ id }) => id))
    return result
  })
