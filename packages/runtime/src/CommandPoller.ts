/**
 * Hands what other processes ask of goals (`GoalStore.command`) to whoever drives
 * them, in order per goal, each goal at its own pace.
 *
 * A command is taken out of the store after it was carried out. A driver that dies
 * in between is given it again: that it is not carried out twice is what `handle`
 * sees to, by the goal's journal.
 */
import type { GoalId } from "@driver/domain/Goal"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { GoalStore, type PendingCommand } from "./GoalStore.js"
import { keepLooking } from "./Looking.js"
import type { StoreError } from "./StoreError.js"

export interface CommandPollerOptions {
  /** The goals that are driven here now. */
  readonly goals: Effect.Effect<ReadonlyArray<GoalId>>
  /** Resolves when the command was carried out or can never be. Fails where trying again may help. */
  readonly handle: (command: PendingCommand) => Effect.Effect<void, { readonly message: string }>
  /** Looks also when this ticks: a goal was taken up. */
  readonly ticks?: Stream.Stream<void>
  /** How often to look for what other processes wrote. Default 1 second. */
  readonly every?: Duration.DurationInput
}

/** Polls until the scope closes. */
export const poll = (options: CommandPollerOptions): Effect.Effect<void, never, GoalStore | Scope.Scope> =>
  Effect.gen(function* () {
    const store = yield* GoalStore
    const busy = yield* FiberMap.make<GoalId>()

    const carryOut = (command: PendingCommand) => Effect.zipRight(options.handle(command), store.handled([command.id]))

    const look = (tick: Effect.Effect<void>) =>
      Effect.gen(function* () {
        const goalIds = yield* options.goals
        if (goalIds.length === 0) return
        const byGoal = new Map<GoalId, Array<PendingCommand>>()
        for (const command of yield* store.commands(goalIds)) {
          byGoal.set(command.goalId, [...(byGoal.get(command.goalId) ?? []), command])
        }
        for (const [goalId, commands] of byGoal) {
          const work = Effect.forEach(commands, carryOut, { discard: true }).pipe(
            Effect.zipRight(tick),
            Effect.catchAll((error) =>
              Effect.logWarning(`What was asked of goal ${goalId} could not be done yet: ${error.message}`)
            )
          )
          // One that is at it is let be: it ticks when it is done.
          yield* FiberMap.run(busy, goalId, work, { onlyIfMissing: true })
        }
      }).pipe(
        Effect.catchAll((error: StoreError) =>
          Effect.logWarning(`What is asked of goals could not be read, this is tried again: ${error.message}`)
        )
      )
    yield* keepLooking({
      look,
      ticks: options.ticks === undefined ? store.changed : Stream.merge(store.changed, options.ticks),
      every: options.every ?? Duration.seconds(1)
    })
  })
