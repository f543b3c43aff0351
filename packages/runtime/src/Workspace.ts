/**
 * The directory a goal is worked on in, its checkpoints, and what becomes of the
 * work: git worktrees (`WorkspaceGit.ts`) or plain directories
 * (`WorkspaceDirectory.ts`).
 *
 * A workspace outlives the goal's run on purpose: it holds the work. Nothing of
 * the driver's own lies in it.
 */
import type { Goal, GoalId } from "@driver/domain/Goal"
import type * as Brand from "effect/Brand"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** A checkpoint's number within its goal, from 1, as text: `3` stands for `refs/driver/<goal>/3`. */
export type CheckpointId = string & Brand.Brand<"@driver/CheckpointId">
export const CheckpointId = Schema.String.pipe(Schema.pattern(/^[1-9][0-9]*$/), Schema.brand("@driver/CheckpointId"))

/** Something about the workspace could not be done. One `reason` per different reaction. */
export class WorkspaceError extends Schema.TaggedError<WorkspaceError>()("WorkspaceError", {
  /** `ensure`, `checkpoint`, `rollback`, … */
  operation: Schema.String,
  reason: Schema.Literal(
    /** The path resolves outside the root: `..`, absolute, or through a symlink. */
    "outside_root",
    /** The root is inside another repository, or is no directory we may use. */
    "bad_root",
    "not_a_repository",
    "base_not_found",
    "unknown_goal",
    "unknown_checkpoint",
    "read_only",
    "disk_full",
    "conflict",
    "undelivered_work",
    "timeout",
    "git_failed",
    "io_failed"
  ),
  /** One sentence: what was wrong, where, and what to do. */
  detail: Schema.String
}) {
  override get message() {
    return `Workspace ${this.operation} failed: ${this.detail}`
  }
}

export interface WorkspaceInfo {
  readonly goalId: GoalId
  /** Absolute path, symlinks resolved. */
  readonly path: string
  /** `driver/<goal-id>` in git mode. */
  readonly branch: Option.Option<string>
  /** The commit the goal started from, in git mode. */
  readonly base: Option.Option<string>
  /** Absolute path of the repository that the worktree belongs to. */
  readonly repository: Option.Option<string>
  /** True when an earlier run's workspace was found and kept. */
  readonly reused: boolean
}

export interface Checkpoint {
  readonly id: CheckpointId
  /** The checkpoint's commit. */
  readonly commit: string
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** What it was made for: `before turn 2`, `before rollback to 1`. */
  readonly label: string
}

export interface DiffStat {
  /** At most 1 KiB of UTF-8, cut on a character boundary. Empty when nothing changed. */
  readonly text: string
  /** Files changed, added, removed or renamed, untracked ones and the agent's own commits included. */
  readonly filesChanged: number
  /** Names the content of the working tree: equal fingerprints, equal files. */
  readonly fingerprint: string
}

/** What to do with finished work. */
export type Delivery =
  /** The work stays on the goal's branch; what is uncommitted is committed with `message`. */
  | { readonly mode: "branch"; readonly message: string }
  | { readonly mode: "squash"; readonly message: string }
  | { readonly mode: "patch"; readonly file: string }
  | { readonly mode: "merge"; readonly target: string; readonly message: string }

export interface Delivered {
  readonly mode: Delivery["mode"]
  readonly branch: Option.Option<string>
  readonly commit: Option.Option<string>
  /** One sentence for people. */
  readonly summary: string
}

export interface WorkspaceEntry extends WorkspaceInfo {
  readonly checkpoints: ReadonlyArray<Checkpoint>
  /** True when the branch or the working tree holds work that is on no other branch. */
  readonly undelivered: boolean
}

export interface PruneResult {
  readonly removed: ReadonlyArray<GoalId>
  /** Kept, with the reason. */
  readonly kept: ReadonlyArray<{ readonly goalId: GoalId; readonly reason: string }>
}

export class Workspace extends Context.Tag("@driver/runtime/Workspace")<
  Workspace,
  {
    /** Gives the goal's workspace, making it when there is none. An existing one keeps its branch and its work. */
    readonly ensure: (goal: Goal) => Effect.Effect<WorkspaceInfo, WorkspaceError>
    /** Saves every tracked and untracked, not ignored file and the agent's HEAD, touching neither index, branch nor files. */
    readonly checkpoint: (goalId: GoalId, label: string) => Effect.Effect<Checkpoint, WorkspaceError>
    /** Restores exactly that tree and HEAD; ignored files stay. Resolves with the checkpoint made just before, which undoes it. */
    readonly rollback: (goalId: GoalId, to: CheckpointId) => Effect.Effect<Checkpoint, WorkspaceError>
    /** What changed since the checkpoint: working tree, untracked files and commits of the agent. */
    readonly diffStat: (goalId: GoalId, since: CheckpointId) => Effect.Effect<DiffStat, WorkspaceError>
    /** Paths, relative to the root, that differ from the goal's base: committed, uncommitted and untracked. */
    readonly changedPaths: (goalId: GoalId) => Effect.Effect<ReadonlyArray<string>, WorkspaceError>
    /** The unified diff against the goal's base, untracked files included, cut at `maxBytes`. */
    readonly diff: (goalId: GoalId, maxBytes: number) => Effect.Effect<string, WorkspaceError>
    /** True when nothing is modified, staged or untracked. */
    readonly isClean: (goalId: GoalId) => Effect.Effect<boolean, WorkspaceError>
    /**
     * Hands the work over. A conflict is reported as `conflict` and changes nothing. It has to end by itself: the loop
     * does not interrupt it, so that a merge that was made is known of.
     */
    readonly deliver: (goal: Goal, delivery: Delivery) => Effect.Effect<Delivered, WorkspaceError>
    /** Removes the directory; the branch and the checkpoints stay. Refused as `undelivered_work` when files would be lost, unless forced. */
    readonly cleanup: (goalId: GoalId, options?: { readonly force?: boolean }) => Effect.Effect<void, WorkspaceError>
    readonly list: Effect.Effect<ReadonlyArray<WorkspaceEntry>, WorkspaceError>
    /** Removes directories, branches and checkpoints of these goals, never undelivered work unless forced. */
    readonly prune: (
      goalIds: ReadonlyArray<GoalId>,
      options?: { readonly force?: boolean }
    ) => Effect.Effect<PruneResult, WorkspaceError>
  }
>() {}
