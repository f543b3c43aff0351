/** Gathers what is known of goals, from the stores and from whoever works on them here. */
import type { GoalId } from "@driver/domain/Goal"
import { Approvals } from "@driver/permission/Approvals"
import { AccountLimits } from "@driver/runtime/AccountLimits"
import type { Driver, GoalStatus } from "@driver/runtime/Driver"
import { empty, fold, type GoalFold } from "@driver/runtime/GoalFold"
import { type GoalRow, GoalStore } from "@driver/runtime/GoalStore"
import { DriverTrouble, type GoalDetail, type GoalSummary } from "@driver/runtime/Goals"
import { Journal } from "@driver/runtime/Journal"
import type { StoreError } from "@driver/runtime/StoreError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import { isOver } from "./goalRows.js"
import type { Hands } from "./hands.js"
import { commandsByGoal, detailOf, type Known, summaryOf } from "./summaries.js"

export interface Insight {
  readonly summaries: (
    rows: ReadonlyArray<GoalRow>
  ) => Effect.Effect<ReadonlyArray<GoalSummary>, StoreError | DriverTrouble>
  readonly detail: (row: GoalRow) => Effect.Effect<GoalDetail, StoreError | DriverTrouble>
}

export const make = (hands: Hands): Effect.Effect<Insight, never, AccountLimits | Approvals | GoalStore | Journal> =>
  Effect.gen(function* () {
    const store = yield* GoalStore
    const journal = yield* Journal
    const accounts = yield* AccountLimits
    const approvals = yield* Approvals
    /** Of goals that are begun and not at work here; read on from where they were. */
    const folds = yield* Ref.make<ReadonlyMap<GoalId, GoalFold>>(new Map())

    const foldOf = (goalId: GoalId) =>
      Effect.gen(function* () {
        const before = (yield* Ref.get(folds)).get(goalId) ?? empty
        const records = yield* journal.read(goalId, { after: before.sequence })
        const after = records.reduce(fold, before)
        yield* Ref.update(folds, (all) => new Map(all).set(goalId, after))
        return after
      })

    /** What works on goals here says of them. One that ended meanwhile is left out. */
    const alive = Effect.gen(function* () {
      const lives = new Map<GoalId, GoalStatus>()
      const drivers = new Set<Driver["Type"]>()
      for (const runner of (yield* hands.atWork).values()) if (Option.isSome(runner)) drivers.add(runner.value.driver)
      for (const driver of drivers) {
        for (const status of yield* driver.list) {
          if (Option.isSome(status.goal)) lives.set(status.goalId, status)
        }
      }
      return lives
    })

    const knowAll = (rows: ReadonlyArray<GoalRow>) =>
      Effect.gen(function* () {
        const lives = yield* alive
        const open = rows.filter((row) => !isOver(row))
        const idle = open.filter(({ goal }) => !lives.has(goal.id))
        const commands = commandsByGoal(idle.length === 0 ? [] : yield* store.commands(idle.map(({ goal }) => goal.id)))
        const waits = yield* hands.waits(idle)
        const closed = new Map((yield* accounts.list).map(({ account, until }) => [account, until]))
        const questions = new Map<GoalId, number>()
        for (const { goalId } of yield* Effect.mapError(
          approvals.list,
          ({ message }) => new DriverTrouble({ detail: message })
        )) {
          questions.set(goalId, (questions.get(goalId) ?? 0) + 1)
        }
        const begun = new Map<GoalId, GoalFold>()
        for (const { goal, state } of idle) if (state === "running") begun.set(goal.id, yield* foldOf(goal.id))
        // Of those that are over or at work again nothing is kept.
        yield* Ref.update(folds, (all) => new Map([...all].filter(([id]) => begun.has(id))))
        return rows.map(
          (row): Known => ({
            row,
            live: Option.fromNullable(lives.get(row.goal.id)),
            fold: Option.fromNullable(begun.get(row.goal.id)),
            commands: commands.get(row.goal.id) ?? [],
            wait: Option.fromNullable(waits.get(row.goal.id)),
            questions: questions.get(row.goal.id) ?? 0,
            closed
          })
        )
      })

    return {
      summaries: (rows) => Effect.map(knowAll(rows), (known) => known.map(summaryOf)),
      detail: (row) =>
        Effect.gen(function* () {
          const head = yield* journal.head(row.goal.id)
          const owner = Option.map(yield* store.holder(row.goal.id), (it) => it.owner)
          const [known] = yield* knowAll([row])
          if (known === undefined) return yield* Effect.dieMessage("what is known of a goal was not said")
          // What is not in the list of a goal that is over is in its journal.
          const fold = isOver(row) && head > 0 ? Option.some(yield* foldOf(row.goal.id)) : known.fold
          return detailOf({ ...known, fold }, { head, owner })
        })
    }
  })
