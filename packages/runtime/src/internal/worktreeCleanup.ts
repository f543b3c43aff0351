/**
 * The list of goals' worktrees, and which of them may go: `cleanup` takes the directory, `prune` also the
 * references and the state. Neither takes work that is nowhere else, unless forced.
 *
 * Owns that decision. How a worktree is taken down is said in `worktrees.ts`, what counts as delivered in
 * `worktreeChanges.ts`.
 */
import type { GoalId } from "@driver/domain/Goal"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { decodeName, text } from "../Git.js"
import type { WorkspaceEntry } from "../Workspace.js"
import { makeDirectories } from "./directories.js"
import type { Repositories } from "./repositories.js"
import { makeSnapshots, toCheckpoint } from "./snapshots.js"
import { type Failure, fail } from "./workspaceFailure.js"
import type { WorktreeChanges } from "./worktreeChanges.js"
import { fullBranch, shortBranch, type WorktreeRecords } from "./worktreeRecords.js"
import type { Worktrees } from "./worktrees.js"

/** Lists worktrees, and removes them where nothing is lost. */
export const makeWorktreeCleanup = Effect.fnUntraced(function* (
  { inRepository, isDirectory }: Repositories,
  { infoOf, open, repositoryOf, stateOf }: WorktreeRecords,
  { removeWorktree }: Worktrees,
  { commitsElsewhere, hasUndeliveredWork }: WorktreeChanges
) {
  const fs = yield* FileSystem.FileSystem
  const snapshots = yield* makeSnapshots
  const directories = yield* makeDirectories

  const cleanup = Effect.fnUntraced(function* (goalId: GoalId, force: boolean): Effect.fn.Return<void, Failure> {
    const { record, store } = yield* open("cleanup", goalId)
    if (yield* isDirectory(record.path)) {
      if (!force) {
        const working = yield* snapshots.workingTree(store)
        const lost = [...working.changes.map((change) => decodeName(change.name)), ...working.skipped]
        if (lost.length > 0) {
          return yield* fail(
            "cleanup",
            "undelivered_work",
            `${record.path} has ${lost.length} uncommitted ${lost.length === 1 ? "file" : "files"} (${lost.slice(0, 3).join(", ")}); deliver the work, or force`
          )
        }
        if (!(yield* commitsElsewhere(record, Option.toArray(working.head.commit), { countOwnBranch: true }))) {
          return yield* fail(
            "cleanup",
            "undelivered_work",
            `HEAD of ${record.path} has commits that are on no branch; create a branch there, or force`
          )
        }
      }
      // What `ensure` brings back.
      yield* snapshots.checkpoint(store, "before cleanup").pipe(
        Effect.catchIf(
          () => force,
          (error) => Effect.logWarning(`No checkpoint before the forced removal of ${record.path}: ${error.message}`)
        )
      )
    }
    yield* removeWorktree(record)
  })

  const pruneOne = Effect.fnUntraced(function* (
    goalId: GoalId,
    force: boolean
  ): Effect.fn.Return<string | undefined, Failure> {
    const { record, store } = yield* open("prune", goalId)
    if (!(yield* isDirectory(record.common))) {
      if (!force) {
        return `its repository ${repositoryOf(record.common)} is gone, so nobody can tell whether ${record.path} was delivered; force`
      }
      yield* directories.remove(record.path)
      yield* fs.remove(stateOf(goalId), { force: true, recursive: true })
      return undefined
    }
    if (!force && (yield* hasUndeliveredWork(record))) {
      return `${shortBranch(goalId)} holds work that is on no other branch; deliver it, or force`
    }
    const elsewhere = (yield* snapshots.checkedOutElsewhere(store)).get(fullBranch(goalId))
    if (elsewhere !== undefined) {
      return `${shortBranch(goalId)} is checked out in ${elsewhere}; switch to another branch there`
    }
    yield* removeWorktree(record)
    const references = yield* inRepository(record.common, [
      "for-each-ref",
      "--format=delete %(refname) %(objectname)",
      fullBranch(goalId),
      `refs/driver/${goalId}/`
    ])
    yield* snapshots.updateRefs(
      store,
      text(references)
        .split("\n")
        .filter((line) => line !== "")
    )
    yield* fs.remove(stateOf(goalId), { force: true, recursive: true })
    return undefined
  })

  const entryOf = Effect.fnUntraced(function* (
    goalId: GoalId
  ): Effect.fn.Return<Option.Option<WorkspaceEntry>, Failure> {
    const opened = yield* open("list", goalId).pipe(
      Effect.asSome,
      Effect.catchIf(
        (error) => error._tag === "WorkspaceError" && error.reason === "unknown_goal",
        () => Effect.succeedNone
      )
    )
    if (Option.isNone(opened)) {
      return Option.none()
    }
    const { record, store } = opened.value
    // With its repository gone, nobody can tell.
    const known = yield* isDirectory(record.common)
    const entry: WorkspaceEntry = {
      ...infoOf(record, true),
      checkpoints: known ? (yield* snapshots.list(store)).map(toCheckpoint) : [],
      undelivered: !known || (yield* hasUndeliveredWork(record))
    }
    return Option.some(entry)
  })

  return {
    cleanup,
    pruneOne,
    entryOf
  }
})
