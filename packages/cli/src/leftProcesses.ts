import { sweepOrphans } from "@driver/agent/Subprocess"
import type { GoalId } from "@driver/domain/Goal"
import { Journal } from "@driver/runtime/Journal"
import * as Effect from "effect/Effect"

/**
 * Kills what a driver left that was killed in the middle of this goal. A goal without a journal was never begun: nothing
 * is started before its first entry, and all processes of the machine need not be looked at.
 */
export const sweepLeft = (goalId: GoalId): Effect.Effect<void, never, Journal> =>
  Effect.gen(function* () {
    const { head } = yield* Journal
    // One that cannot be read may have been begun.
    const written = yield* Effect.orElseSucceed(head(goalId), () => 1)
    if (written > 0) yield* sweepOrphans({ markers: [goalId] })
  })
