/** Work beside a goal's questions whose results are recorded and enforce nothing. Owned by the goal's scope. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { Observation } from "../PermissionDecider.js"

export interface Limits {
  /** Observations of one goal at once; more are dropped. */
  readonly atOnce: number
  /** How long one may take. */
  readonly timeout: Duration.DurationInput
  /** How long keeping the record of one may take. */
  readonly recordTimeout: Duration.DurationInput
}

/** Starts the work and resolves at once. What was started is interrupted when the scope closes; a record under way is kept. */
export const makeObservations = (
  limits: Limits
): Effect.Effect<
  (work: Effect.Effect<Observation>, record: (it: Observation) => Effect.Effect<void>) => Effect.Effect<void>,
  never,
  Scope.Scope
> =>
  Effect.map(
    FiberSet.make<void>(),
    (fibers) => (work, record) =>
      Effect.flatMap(FiberSet.size(fibers), (running) =>
        running >= limits.atOnce
          ? Effect.logDebug(`An observation is dropped: ${running} are under way`)
          : Effect.asVoid(
              FiberSet.run(
                fibers,
                work.pipe(
                  // Work that cannot be interrupted must not hold up the end of the goal.
                  Effect.disconnect,
                  Effect.timeout(limits.timeout),
                  Effect.flatMap((it) =>
                    Effect.uninterruptible(Effect.timeout(Effect.disconnect(record(it)), limits.recordTimeout))
                  ),
                  Effect.catchAllCause((cause) => Effect.logWarning("An observation of a tool call failed", cause))
                )
              )
            )
      )
  )
