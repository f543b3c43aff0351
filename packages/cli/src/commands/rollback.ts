/** `driver rollback`: a goal's workspace as it was at a checkpoint. Undoable: a checkpoint is made first. */
import { CheckpointId, Workspace } from "@driver/runtime/Workspace"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as GoalLock from "../GoalLock.js"
import { findGoal } from "../GoalNames.js"
import { Host } from "../Host.js"

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

/** Refused while a driver is working on the goal: `stateDirectory` has its lock. */
export const rollback = ({ goal, json, to }: RollbackArguments, stateDirectory: string) =>
  Effect.gen(function* () {
    const { stdout } = yield* Host
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
    yield* stdout.write(
      json
        ? `${JSON.stringify({ goal_id: goalId, rolled_back_to: checkpoint.value, undo: undo.id })}\n`
        : `The workspace of ${goalId} is as it was at checkpoint ${checkpoint.value}.\nTo undo this: driver rollback ${goalId} --to ${undo.id}\n`
    )
  }).pipe(Effect.scoped)
