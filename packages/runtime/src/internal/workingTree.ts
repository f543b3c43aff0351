/**
 * The directory as git would commit it: line ends converted by the tree's own attributes, next to HEAD.
 *
 * Owns the index it needs for that, for as long as it takes. Byte for byte is `exactTree` in `snapshotIndex.ts`.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { text } from "../Git.js"
import { makePrivateGit } from "./privateGit.js"
import { makeSnapshotIndex, removals } from "./snapshotIndex.js"
import type { Head, SnapshotStore } from "./snapshotStore.js"
import { type Change, makeTrees } from "./trees.js"
import type { Failure } from "./workspaceFailure.js"
import { makeWorktreeHead } from "./worktreeHead.js"

/** What the directory holds, as git would commit it, next to HEAD. */
export interface WorkingTree {
  readonly tree: string
  readonly head: Head
  /** What differs from HEAD's tree. */
  readonly changes: ReadonlyArray<Change>
  /** Nested repositories without a commit, unreadable files: in no snapshot. */
  readonly skipped: ReadonlyArray<string>
}

const absentMode = "000000"

/** Makes the tree that a commit of the directory would have. */
export const makeWorkingTree = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { plain } = yield* makePrivateGit
  const { head } = yield* makeWorktreeHead
  const { addPaths, settle, take } = yield* makeSnapshotIndex
  const { compareTrees, emptyTree, treeOf } = yield* makeTrees

  /**
   * The directory's tree with line ends as git commits them. `admit` says which of the changes against HEAD
   * belong to it.
   */
  const workingTree = Effect.fnUntraced(function* (
    store: SnapshotStore,
    admit: (changes: ReadonlyArray<Change>) => Effect.Effect<ReadonlyArray<Change>, Failure> = Effect.succeed
  ): Effect.fn.Return<WorkingTree, Failure> {
    const taken = yield* take(store)
    yield* settle(store, taken)
    const at = yield* head(store)
    const from = Option.isSome(at.commit) ? yield* treeOf(store, at.commit.value) : yield* emptyTree(store)
    const differing = yield* admit(yield* compareTrees(store, from, taken.tree))
    if (differing.length === 0) {
      return { tree: from, head: at, changes: [], skipped: taken.skipped }
    }
    const index = path.join(store.state, "commit.index")
    const tree = yield* Effect.gen(function* () {
      yield* fs.remove(`${index}.lock`, { force: true })
      yield* plain(store, index, { args: ["read-tree", from] })
      const removed = differing.filter((change) => change.newMode === absentMode).map((change) => change.name)
      if (removed.length > 0) {
        yield* plain(store, index, { args: ["update-index", "-z", "--index-info"], stdin: removals(store, removed) })
      }
      yield* addPaths(
        (call) => plain(store, index, call),
        differing.filter((change) => change.newMode !== absentMode).map((change) => change.name)
      )
      return text(yield* plain(store, index, { args: ["write-tree"] }))
    }).pipe(Effect.ensuring(Effect.ignore(fs.remove(index, { force: true }))))
    return { tree, head: at, changes: yield* compareTrees(store, from, tree), skipped: taken.skipped }
  })

  return {
    workingTree
  }
})
