/** The end of a goal as its journal has it, and the end of one that nobody has begun. */
import { GoalCompleted } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import { Cancelled, GoalOutcome } from "@driver/domain/Outcome"
import { Usage } from "@driver/domain/Usage"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Journal, type JournalError, JournalRecord } from "@driver/runtime/Journal"
import { type GoalHeld, Leases } from "@driver/runtime/Leases"
import type { StoreError } from "@driver/runtime/StoreError"
import * as Arr from "effect/Array"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** The last event of a goal is its last record, or nearly so: what was handled at the end may follow it. */
const tails = [1, 32]

/** How the goal ended, when its journal says that it has and was not begun anew. */
export const endOf = (goalId: GoalId): Effect.Effect<Option.Option<GoalOutcome>, StoreError, Journal> =>
  Effect.gen(function* () {
    const journal = yield* Journal
    const head = yield* journal.head(goalId)
    if (head === 0) return Option.none()
    for (const tail of tails) {
      const records = yield* journal.read(goalId, { after: Math.max(0, head - tail) })
      const last = Arr.findLast(records, ({ entry }) => entry._tag === "GoalCompleted" || entry._tag === "RunStarted")
      if (Option.isNone(last)) continue
      const { entry } = last.value
      return entry._tag === "GoalCompleted" ? Option.some(entry.outcome) : Option.none()
    }
    return Option.none()
  })

/**
 * Cancels a goal that is queued and that nobody works on: journal, then row. Resolves with false, and changes nothing,
 * when it was begun meanwhile. Fails with `GoalHeld` while another driver has it.
 */
export const cancelUnbegun = (
  goalId: GoalId
): Effect.Effect<boolean, GoalHeld | JournalError, GoalStore | Journal | Leases> =>
  Effect.gen(function* () {
    const store = yield* GoalStore
    const journal = yield* Journal
    const lease = yield* Effect.flatMap(Leases, (leases) => leases.hold(goalId))
    const row = yield* store.get(goalId)
    if (!Option.exists(row, ({ state }) => state === "queued")) return false
    // The one that was written before a crash counts.
    const known = yield* endOf(goalId)
    const outcome = Option.getOrElse(known, () => cancelled(goalId))
    if (Option.isNone(known)) {
      const { epoch } = lease
      const sequence = (yield* journal.head(goalId)) + 1
      const entry = new GoalCompleted({ goalId, outcome })
      const id = `${goalId}:${epoch}:${sequence}`
      yield* journal.append([new JournalRecord({ goalId, sequence, id, at: yield* DateTime.now, epoch, entry })])
    }
    yield* store.setState(goalId, "ended", { outcome })
    yield* forgetCommands(goalId)
    return true
  }).pipe(Effect.uninterruptible, Effect.scoped)

/** What was asked of a goal that is over must not reach it when it is run anew. */
export const forgetCommands = (goalId: GoalId): Effect.Effect<void, StoreError, GoalStore> =>
  Effect.gen(function* () {
    const store = yield* GoalStore
    const left = yield* store.commands([goalId])
    if (left.length > 0) yield* store.handled(left.map(({ id }) => id))
  })

const cancelled = (goalId: GoalId) =>
  new GoalOutcome({
    goalId,
    outcome: new Cancelled({}),
    totalTurns: 0,
    usage: Usage.zero,
    elapsed: Duration.zero
  })
