/** `driver rollback`: a goal's workspace as it was at a checkpoint. Undoable: a checkpoint is made first. */
import type { GoalId } from "@driver/domain/Goal"
import { Goals } from "@driver/runtime/Goals"
import { CheckpointId, Workspace } from "@driver/runtime/Workspace"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as GoalLock from "../GoalLock.js"
import { findGoal } from "../GoalNames.js"
import { answer, named } from "./goals/named.js"

export interface RollbackArguments {
  /** The id, or the beginning of it. */
  readonly goal: string
  /** A checkpoint's number. */
  readonly to: string
  readonly json: boolean
}

/** The goal has no checkpoint with this number. */
export class NoSuchCheckpoint extends Data.TaggedError("NoSuchCheckpoint")<{
  readonly to: string
  readonly known: ReadonlyArray<string>
}> {
  override get message() {
    return `There is no checkpoint ${JSON.stringify(this.to)} of this goal: ${this.known.length === 0 ? "it has none" : `it has ${this.known.join(", ")}`}`
  }
}

const decodeId = Schema.decodeUnknownOption(CheckpointId)

/** Through the daemon, which works on the goals and knows when one is not in a turn. Resolves with false when it does not know the goal. */
export const rollbackRemote = ({ goal, json, to }: RollbackArguments) =>
  Effect.gen(function* () {
    const goals = yield* Goals
    const goalId = yield* named(goal)
    const undo = yield* goals.rollback(goalId, to.trim())
    yield* report({ goalId, json, to: to.trim(), undo })
    return true
  }).pipe(Effect.catchTag("UnknownGoal", () => Effect.succeed(false)))

/** Refused while a driver is working on the goal: `stateDirectory` has its lock. */
export const rollback = ({ goal, json, to }: RollbackArguments, stateDirectory: string) =>
  Effect.gen(function* () {
    const workspace = yield* Workspace
    const entries = yield* workspace.list
    const goalId = yield* findGoal(
      goal,
      entries.map((entry) => entry.goalId)
    )
    const known = entries.filter((entry) => entry.goalId === goalId).flatMap(({ checkpoints }) => checkpoints)
    const checkpoint = Option.filter(decodeId(to.trim()), (id) => known.some((it) => it.id === id))
    if (Option.isNone(checkpoint)) {
      return yield* new NoSuchCheckpoint({ to, known: known.map(({ id }) => id) })
    }
    yield* GoalLock.acquire(stateDirectory, goalId)
    const undo = yield* workspace.rollback(goalId, checkpoint.value)
    yield* report({ goalId, json, to: checkpoint.value, undo: undo.id })
  }).pipe(Effect.scoped)

interface RolledBack {
  readonly goalId: GoalId
  readonly to: string
  /** The checkpoint made just before. */
  readonly undo: string
  readonly json: boolean
}

const report = ({ goalId, json, to, undo }: RolledBack) =>
  answer(
    json,
    { goal_id: goalId, rolled_back_to: to, undo },
    `The workspace of ${goalId} is as it was at checkpoint ${to}.\nTo undo this: driver rollback ${goalId} --to ${undo}`
  )
