/**
 * Trees of a goal's directory, exactly as its bytes are: taken, compared, kept as
 * checkpoints and put back. Shared by git worktrees and plain directories.
 *
 * git runs here with a `GIT_DIR` of the driver's own (`raw`), beside the worktree's:
 *
 *     state/raw      config of ours, attributes that switch every conversion off
 *     state/plain    config of ours, the tree's own attributes (line ends), no filters
 *     state/index    our index of the directory; the agent's is never written by a checkpoint
 *     GIT_OBJECT_DIRECTORY = the repository's objects, so commits can be referred to from there
 *
 * So nothing that the repository's configuration names can run (filters, merge, diff and
 * textconv drivers, fsmonitor, hooks), flags in the agent's index cannot hide a change
 * (`assume-unchanged`), and files come back byte for byte. `git add` and `git status` are
 * not used at all: they run `git status` inside submodules, with the submodule's configuration.
 *
 * What is done is in modules of its own; this one puts them together:
 *
 *     snapshotStore   where one goal's snapshots are; HEAD and checkpoints as values
 *     privateGit      git on the directories above; references in one transaction
 *     snapshotIndex   our index and the tree it makes
 *     worktreeHead    the agent's HEAD, branches and index, read and put
 *     trees           trees and commits as objects: made, compared, printed
 *     checkpoints     commits under `refs/driver/<goal>`: made, listed, found
 *     diffStat        what changed since a checkpoint, in 1 KiB
 *     workingTree     the directory as git would commit it
 *     restore         a checkpoint put back
 *
 * Owns the goal's state directory and `refs/driver/<goal>`. One caller at a time per goal.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Checkpoint } from "../Workspace.js"
import { makeCheckpoints } from "./checkpoints.js"
import { makeDiffStat } from "./diffStat.js"
import { makePrivateGit } from "./privateGit.js"
import { makeRestore } from "./restore.js"
import { makeSnapshotIndex } from "./snapshotIndex.js"
import type { StoredCheckpoint } from "./snapshotStore.js"
import { makeTrees } from "./trees.js"
import { makeWorkingTree } from "./workingTree.js"
import { makeWorktreeHead } from "./worktreeHead.js"

export { formatDiffStat, maxDiffStatBytes } from "./diffStat.js"
export { isLockFailure } from "./privateGit.js"
export { sortListing } from "./snapshotIndex.js"
export type { SnapshotStore } from "./snapshotStore.js"
export { cutText } from "./trees.js"

export type Snapshots = Effect.Effect.Success<typeof makeSnapshots>

/** The operations, over the git and the file system of the caller. */
export const makeSnapshots = Effect.gen(function* () {
  const git = yield* makePrivateGit
  const worktree = yield* makeWorktreeHead
  const index = yield* makeSnapshotIndex
  const trees = yield* makeTrees
  const checkpoints = yield* makeCheckpoints
  const diffStat = yield* makeDiffStat
  const working = yield* makeWorkingTree
  const restoring = yield* makeRestore
  return {
    raw: git.raw,
    plain: git.plain,
    real: git.real,
    objects: git.objects,
    updateRefs: git.updateRefs,
    prepare: git.prepare,
    writeAtomically: git.writeAtomically,
    head: worktree.head,
    resolveBranch: worktree.resolveBranch,
    list: checkpoints.list,
    find: checkpoints.find,
    exactTree: index.exactTree,
    checkpoint: checkpoints.checkpoint,
    diffStat: diffStat.diffStat,
    restore: restoring.restore,
    refill: restoring.refill,
    adoptIndex: index.adopt,
    forgetIndex: index.forgetIndex,
    setHead: worktree.setHead,
    resetIndex: worktree.resetIndex,
    clearStaleLock: worktree.clearStaleLock,
    checkedOutElsewhere: worktree.checkedOutElsewhere,
    treeOf: trees.treeOf,
    emptyTree: trees.emptyTree,
    compareTrees: trees.compareTrees,
    commitTree: trees.commitTree,
    workingTree: working.workingTree,
    writePatch: trees.writePatch,
    diff: trees.diff
  }
})

/**
 * Not interrupted between two steps, which would leave files and HEAD apart. In a fiber of its own, since the
 * time limits of the steps work only where they may interrupt.
 */
export const toTheEnd = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptible(Effect.flatMap(Effect.fork(Effect.interruptible(effect)), Fiber.join))

export const toCheckpoint = ({ commit, createdAt, id, label }: StoredCheckpoint): Checkpoint => ({
  id,
  commit,
  createdAt,
  label
})
