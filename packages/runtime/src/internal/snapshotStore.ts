/**
 * The words of the snapshots: where one goal's are kept, where HEAD stands, what a checkpoint says.
 *
 * Values only. What is done with them is in `snapshots.ts` and the modules it names.
 */
import type { GoalId } from "@driver/domain/Goal"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Checkpoint } from "../Workspace.js"

/** Where the snapshots of one goal are taken and kept. All paths are absolute. */
export interface SnapshotStore {
  readonly goalId: GoalId
  /** The driver's own directory for this goal. */
  readonly state: string
  /** What is looked at. */
  readonly workTree: string
  /** The git directory that has the references and the objects. */
  readonly common: string
  /** The worktree's own part of it, with the agent's HEAD and index. None: a plain directory. */
  readonly admin: Option.Option<string>
  /** The goal's branch, as `refs/heads/…`. */
  readonly branch: Option.Option<string>
  readonly objectFormat: ObjectFormat
}

export const ObjectFormat = Schema.Literal("sha1", "sha256")
export type ObjectFormat = typeof ObjectFormat.Type

/** Where HEAD stands: on a branch that may have no commit yet, or on a commit. */
export interface Head {
  readonly branch: Option.Option<string>
  readonly commit: Option.Option<string>
}

/** A checkpoint with what it says about HEAD. */
export interface StoredCheckpoint extends Checkpoint {
  readonly head: Head
  /** Branches and what they pointed to; none = they had no commit. */
  readonly branches: ReadonlyArray<{ readonly name: string; readonly commit: Option.Option<string> }>
}
