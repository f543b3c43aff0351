/**
 * Keeps two drivers from working on one goal at once: a file per goal in the state
 * directory that names its owner's process. A file whose owner is dead is replaced.
 *
 * Within one process the runtime's `Driver` refuses a second goal by itself.
 */
import { join } from "node:path"
import type { GoalId } from "@driver/domain/Goal"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ProcessLock from "./ProcessLock.js"
import { RunError } from "./RunGoal.js"

/** Holds the goal until the scope closes. */
export const acquire = (directory: string, goalId: GoalId): Effect.Effect<void, RunError, Scope.Scope> =>
  Effect.mapError(
    ProcessLock.acquire(join(directory, "locks", `${goalId}.lock`)),
    ({ detail, pid }) =>
      new RunError({
        detail:
          pid === undefined
            ? `The state directory ${directory} cannot be written: ${detail}`
            : `The goal ${goalId} is being worked on by another driver (process ${pid}): wait for it, cancel it with Ctrl-C there, or give this goal another id`
      })
  )
