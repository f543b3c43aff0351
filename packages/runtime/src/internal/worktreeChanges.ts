/**
 * What a goal's worktree holds that its base, HEAD or the other branches do not.
 *
 * Only reads: nothing of the agent's is changed, and merges are tried in memory.
 */
import type { GoalId } from "@driver/domain/Goal"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { decodeName, records } from "../Git.js"
import type { Repositories } from "./repositories.js"
import type { SnapshotStore } from "./snapshotStore.js"
import { makeSnapshots } from "./snapshots.js"
import type { Failure } from "./workspaceFailure.js"
import { fullBranch, shortBranch, type WorktreeRecord, type WorktreeRecords } from "./worktreeRecords.js"

export type WorktreeChanges = Effect.Effect.Success<ReturnType<typeof makeWorktreeChanges>>

/** Looks at worktrees. */
export const makeWorktreeChanges = Effect.fnUntraced(function* (
  { inRepository, isDirectory }: Repositories,
  { openDirectory, storeOf }: WorktreeRecords
) {
  const path = yield* Path.Path
  const snapshots = yield* makeSnapshots

  const changedPaths = Effect.fnUntraced(function* (goalId: GoalId): Effect.fn.Return<ReadonlyArray<string>, Failure> {
    const { record, store } = yield* openDirectory("changedPaths", goalId)
    const working = yield* snapshots.workingTree(store)
    const changes = [...(yield* snapshots.compareTrees(store, record.base, working.tree))]
    if (Option.isSome(working.head.commit) && working.head.commit.value !== record.base) {
      changes.push(...(yield* snapshots.compareTrees(store, record.base, working.head.commit.value)))
    }
    return [...new Set([...changes.map((change) => decodeName(change.name)), ...working.skipped])].sort()
  })

  const diff = Effect.fnUntraced(function* (goalId: GoalId, maxBytes: number): Effect.fn.Return<string, Failure> {
    const { record, store } = yield* openDirectory("diff", goalId)
    const working = yield* snapshots.workingTree(store)
    return yield* snapshots.diff(store, record.base, working.tree, maxBytes)
  })

  /** True when the agent's index is HEAD's tree. */
  const nothingStaged = Effect.fnUntraced(function* (record: WorktreeRecord, commit: string) {
    const output = yield* snapshots.raw(storeOf(record), {
      args: ["diff-index", "--cached", "--quiet", commit],
      env: { GIT_INDEX_FILE: path.join(record.admin, "index") },
      answers: [0, 1]
    })
    return output.exitCode === 0
  })

  const isClean = Effect.fnUntraced(function* (goalId: GoalId): Effect.fn.Return<boolean, Failure> {
    const { record, store } = yield* openDirectory("isClean", goalId)
    const working = yield* snapshots.workingTree(store)
    if (working.changes.length > 0 || working.skipped.length > 0) {
      return false
    }
    const commit = Option.isSome(working.head.commit) ? working.head.commit.value : yield* snapshots.emptyTree(store)
    return yield* nothingStaged(record, commit)
  })

  /** Merges in memory: the tree, or the paths in conflict. */
  const mergeTrees = Effect.fnUntraced(function* (store: SnapshotStore, into: string, from: string) {
    const output = yield* snapshots.objects(store, {
      args: ["merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", into, from],
      answers: [0, 1, 128]
    })
    if (output.exitCode === 128) {
      return { tree: "", conflicts: [output.stderr.trim()] }
    }
    const [tree = "", ...paths] = records(output)
    return { tree, conflicts: output.exitCode === 0 ? [] : paths.map(decodeName) }
  })

  /** Commits that no branch or tag but the goal's own has. The goal's base is not its work. */
  const commitsElsewhere = Effect.fnUntraced(function* (
    record: WorktreeRecord,
    tips: ReadonlyArray<string>,
    options: { readonly countOwnBranch: boolean }
  ) {
    if (tips.length === 0) {
      return true
    }
    const output = yield* inRepository(record.common, [
      "rev-list",
      "-n",
      "1",
      ...tips,
      "--not",
      record.base,
      ...(options.countOwnBranch ? [] : [`--exclude=${shortBranch(record.goalId)}`]),
      "--branches",
      "--remotes",
      "--tags"
    ])
    return output.stdout.length === 0
  })

  /** True when merging these commits into the repository's HEAD would change nothing: they were squashed or picked. */
  const contentDelivered = Effect.fnUntraced(function* (record: WorktreeRecord, tips: ReadonlyArray<string>) {
    const target = yield* snapshots.resolveBranch(record, "HEAD")
    if (Option.isNone(target)) {
      return false
    }
    const tree = yield* snapshots.treeOf(storeOf(record), target.value)
    const merged = yield* Effect.forEach(tips, (tip) => mergeTrees(storeOf(record), target.value, tip))
    return merged.every((result) => result.conflicts.length === 0 && result.tree === tree)
  })

  const hasUndeliveredWork = Effect.fnUntraced(function* (record: WorktreeRecord): Effect.fn.Return<boolean, Failure> {
    const store = storeOf(record)
    const tips: Array<string> = [...Option.toArray(yield* snapshots.resolveBranch(store, fullBranch(record.goalId)))]
    if (yield* isDirectory(record.path)) {
      const working = yield* snapshots.workingTree(store)
      if (working.changes.length > 0 || working.skipped.length > 0) {
        return true
      }
      tips.push(...Option.toArray(working.head.commit))
    } else {
      // The directory vanished: what it held that was not committed is in the last checkpoint.
      const last = (yield* snapshots.list(store)).at(-1)
      if (last !== undefined) {
        const parent = Option.getOrElse(last.head.commit, () => record.base)
        const changed = yield* snapshots.compareTrees(store, parent, last.commit)
        if (changed.length > 0) {
          return true
        }
        tips.push(...Option.toArray(last.head.commit))
      }
    }
    const distinct = [...new Set(tips)]
    return !(
      (yield* commitsElsewhere(record, distinct, { countOwnBranch: false })) ||
      (yield* contentDelivered(record, distinct))
    )
  })

  return {
    changedPaths,
    diff,
    isClean,
    mergeTrees,
    commitsElsewhere,
    hasUndeliveredWork
  }
})
