/**
 * Putting a checkpoint back: files first, or nothing at all when something stands in the way; then branches,
 * HEAD and the agent's index.
 *
 * Owns the order of these steps, and that what they overwrite is in a checkpoint made before. What is ignored
 * stays, and so do nested repositories. Not being interrupted halfway is the caller's part (`toTheEnd`).
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { decodeName, records } from "../Git.js"
import { WorkspaceError } from "../Workspace.js"
import { makeCheckpoints } from "./checkpoints.js"
import { makePrivateGit, retryingLocks } from "./privateGit.js"
import { makeSnapshotIndex } from "./snapshotIndex.js"
import type { SnapshotStore, StoredCheckpoint } from "./snapshotStore.js"
import type { Failure } from "./workspaceFailure.js"
import { makeWorktreeHead } from "./worktreeHead.js"

/** What git keeps of a merge, rebase, … in progress. It would not fit the HEAD that is put back. */
const unfinishedWork = [
  "MERGE_HEAD",
  "MERGE_MODE",
  "MERGE_MSG",
  "MERGE_RR",
  "AUTO_MERGE",
  "SQUASH_MSG",
  "CHERRY_PICK_HEAD",
  "REVERT_HEAD",
  "REBASE_HEAD",
  "rebase-merge",
  "rebase-apply",
  "sequencer"
]

/** Puts checkpoints back, into a directory in use or one checked out anew. */
export const makeRestore = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { raw, updateRefs } = yield* makePrivateGit
  const { checkedOutElsewhere, resetIndex, resolveBranch, setHead } = yield* makeWorktreeHead
  const { addPaths, forgetIndex, recall, remember, take, writeTree } = yield* makeSnapshotIndex
  const { record } = yield* makeCheckpoints

  /**
   * What stands where the checkpoint has a file and is in no snapshot: ignored files. They are overwritten, so
   * they become part of the checkpoint that is made before.
   */
  const saveWhatIsInTheWay = Effect.fnUntraced(function* (store: SnapshotStore, target: string) {
    const missing = records(
      yield* raw(store, {
        args: ["diff-index", "--cached", "--no-renames", "--diff-filter=D", "--name-only", "-z", target]
      })
    )
    const occupied = new Set<string>()
    const seen = new Set<string>()
    for (const name of missing) {
      const parts = name.split("/")
      for (let depth = 1; depth <= parts.length; depth++) {
        const candidate = parts.slice(0, depth).join("/")
        if (seen.has(candidate)) {
          continue
        }
        seen.add(candidate)
        const kind = yield* kindOf(path.join(store.workTree, decodeName(candidate)))
        if (kind === "other") {
          occupied.add(candidate)
        }
        if (kind === "directory" && depth === parts.length) {
          yield* refuseUnknownFiles(store, candidate)
        }
        if (kind !== "directory") {
          break
        }
      }
    }
    yield* addPaths((call) => raw(store, call), [...occupied])
    return occupied.size > 0
  })

  /** git would remove ignored files together with a directory that becomes a file. */
  const refuseUnknownFiles = Effect.fnUntraced(function* (store: SnapshotStore, directory: string) {
    const unknown = records(
      yield* raw(store, {
        args: ["ls-files", "-z", "--others", "--", decodeName(directory)],
        env: { GIT_LITERAL_PATHSPECS: "1" }
      })
    )
    if (unknown.length > 0) {
      return yield* new WorkspaceError({
        operation: "rollback",
        reason: "conflict",
        detail: `the checkpoint has a file ${decodeName(directory)} where a directory with ignored files stands now (${unknown.slice(0, 3).map(decodeName).join(", ")}); move it away and try again. Nothing was changed`
      })
    }
  })

  const kindOf = (file: string): Effect.Effect<"directory" | "other" | "none"> =>
    fs.readLink(file).pipe(
      Effect.as("other" as const),
      Effect.orElse(() =>
        fs
          .stat(file)
          .pipe(Effect.map((info) => (info.type === "Directory" ? ("directory" as const) : ("other" as const))))
      ),
      Effect.orElseSucceed(() => "none" as const)
    )

  /** Turns the files from what our index holds, tree `from`, into tree `to`. Nothing is changed when something stands in the way. */
  const putFiles = Effect.fnUntraced(function* (store: SnapshotStore, from: string, to: string) {
    const { tree: _, ...memory } = yield* recall(store)
    yield* remember(store, { ...memory, signature: "" })
    yield* raw(store, { args: ["read-tree", "-m", "-u", from, to] }).pipe(
      retryingLocks,
      Effect.catchIf(
        (error) =>
          error.reason === "exit" && /not uptodate|would be overwritten|would lose|would be removed/.test(error.detail),
        (error) =>
          new WorkspaceError({
            operation: "rollback",
            reason: "conflict",
            detail: `${error.detail.replace(/\s+/g, " ")}; nothing was changed. Move what stands in the way, see that nobody writes in ${store.workTree}, and try again`
          })
      )
    )
  })

  /** Gives a directory that was checked out anew the uncommitted files of a checkpoint, and its HEAD. */
  const refill = Effect.fnUntraced(function* (store: SnapshotStore, from: StoredCheckpoint) {
    yield* forgetIndex(store)
    const { tree } = yield* take(store)
    yield* putFiles(store, tree, from.commit)
    yield* setHead(store, from.head)
    yield* resetIndex(store, from.head.commit)
  })

  /**
   * Restores files, HEAD and the goal's branch from a checkpoint; resolves with the checkpoint made before.
   * What is ignored stays, and so do nested repositories.
   */
  const restore = Effect.fnUntraced(function* (
    store: SnapshotStore,
    to: StoredCheckpoint,
    label: string
  ): Effect.fn.Return<StoredCheckpoint, Failure> {
    const first = yield* take(store)
    const taken = (yield* saveWhatIsInTheWay(store, to.commit)) ? { ...first, tree: yield* writeTree(store) } : first
    const before = yield* record(
      store,
      label,
      taken,
      to.branches.map((branch) => branch.name)
    )
    yield* putFiles(store, taken.tree, to.commit)
    if (Option.isSome(store.admin)) {
      const elsewhere = yield* checkedOutElsewhere(store)
      const movable = to.branches.filter(
        (branch) => branch.name.startsWith("refs/heads/") && !elsewhere.has(branch.name)
      )
      const commands: Array<string> = []
      for (const branch of movable) {
        const current = yield* resolveBranch(store, branch.name)
        const wanted = branch.commit
        if (Option.isSome(wanted) && !Option.contains(current, wanted.value)) {
          commands.push(
            Option.match(current, {
              onNone: () => `create ${branch.name} ${wanted.value}`,
              onSome: (old) => `update ${branch.name} ${wanted.value} ${old}`
            })
          )
        } else if (Option.isNone(wanted) && Option.isSome(current)) {
          commands.push(`delete ${branch.name} ${current.value}`)
        }
      }
      yield* updateRefs(store, commands)
      const onItsBranch = Option.exists(to.head.branch, (name) => movable.some((branch) => branch.name === name))
      yield* setHead(store, onItsBranch ? to.head : { branch: Option.none(), commit: to.head.commit })
      yield* Effect.forEach(unfinishedWork, (name) =>
        fs.remove(
          path.join(
            Option.getOrElse(store.admin, () => ""),
            name
          ),
          { force: true, recursive: true }
        )
      )
      yield* resetIndex(store, to.head.commit)
    }
    return before
  })

  return {
    refill,
    restore
  }
})
