/**
 * Delivery of a goal's work: on its branch, as one commit, merged into another branch, or as a patch.
 *
 * Owns the order of the steps, so that a branch moves only when everything that must follow it can. Runs no
 * filter and no merge driver; uncommitted files that would need a filter are refused. A checkpoint is made before.
 */
import type { Goal } from "@driver/domain/Goal"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { decodeName, encodeRecords, records } from "../Git.js"
import type { Delivered, Delivery } from "../Workspace.js"
import { retryingLocks } from "./privateGit.js"
import type { Repositories } from "./repositories.js"
import type { SnapshotStore } from "./snapshotStore.js"
import { makeSnapshots } from "./snapshots.js"
import { type Change, isNewGitlink } from "./trees.js"
import { type Failure, fail } from "./workspaceFailure.js"
import type { WorktreeChanges } from "./worktreeChanges.js"
import { fullBranch, shortBranch, type WorktreeRecord, type WorktreeRecords } from "./worktreeRecords.js"

/** Resolves with `deliver`; being interrupted halfway is the caller's to prevent (`toTheEnd`). */
export const makeWorktreeDelivery = Effect.fnUntraced(function* (
  { inRepository, isDirectory, locate }: Repositories,
  { openDirectory, repositoryOf, storeOf }: WorktreeRecords,
  { mergeTrees }: WorktreeChanges
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const snapshots = yield* makeSnapshots

  /** Which of these paths are under a filter, by the attributes in a directory. */
  const filtered = Effect.fnUntraced(function* (store: SnapshotStore, names: ReadonlyArray<string>) {
    if (names.length === 0) {
      return []
    }
    const fields = records(
      yield* snapshots.plain(store, path.join(store.state, "none.index"), {
        args: ["check-attr", "-z", "--stdin", "filter"],
        stdin: encodeRecords(names)
      })
    )
    return names.filter((_, index) => !["unspecified", "unset"].includes(fields[index * 3 + 2] ?? "unset"))
  })

  /**
   * Which differences from HEAD are the goal's work: not nested repositories that the agent did not add itself, nor
   * files under a filter that its own git finds unchanged. Changed ones cannot be committed without running the filter.
   */
  const deliverable =
    (record: WorktreeRecord) =>
    (changes: ReadonlyArray<Change>): Effect.Effect<ReadonlyArray<Change>, Failure> =>
      Effect.gen(function* () {
        const store = storeOf(record)
        const index = path.join(record.admin, "index")
        const names = (args: ReadonlyArray<string>) =>
          snapshots.plain(store, index, { args }).pipe(Effect.map((output) => new Set(records(output))))
        let kept = changes
        if (kept.some(isNewGitlink)) {
          const tracked = yield* names(["ls-files", "-z"])
          kept = kept.filter((change) => !isNewGitlink(change) || tracked.has(change.name))
        }
        const underFilter = new Set(
          yield* filtered(
            store,
            kept.map((change) => change.name)
          )
        )
        if (underFilter.size === 0) {
          return kept
        }
        const at = yield* snapshots.head(store)
        const modified = yield* names(["diff-files", "-z", "--name-only", "--ignore-submodules=all"])
        const staged = yield* names([
          "diff-index",
          "-z",
          "--cached",
          "--name-only",
          Option.isSome(at.commit) ? at.commit.value : yield* snapshots.emptyTree(store)
        ])
        const tracked = yield* names(["ls-files", "-z"])
        const changed = [...underFilter].filter((name) => modified.has(name) || staged.has(name) || !tracked.has(name))
        if (changed.length > 0) {
          return yield* fail(
            "deliver",
            "conflict",
            `${changed.length} uncommitted files are under a git filter, which driver does not run (${changed.slice(0, 3).map(decodeName).join(", ")}); commit them in ${record.path} and deliver again`
          )
        }
        return kept.filter((change) => !underFilter.has(change.name))
      })

  /** The accepted tree as a commit: HEAD, or a commit on it of what is uncommitted. Nothing refers to it yet. */
  const acceptedCommit = Effect.fnUntraced(function* (record: WorktreeRecord, message: string) {
    const store = storeOf(record)
    const working = yield* snapshots.workingTree(store, deliverable(record))
    const unchanged = Option.filter(working.head.commit, () => working.changes.length === 0)
    const now = yield* Clock.currentTimeMillis
    const commit = Option.isSome(unchanged)
      ? unchanged.value
      : yield* snapshots.commitTree(store, working.tree, Option.toArray(working.head.commit), message, now)
    return { commit, tree: working.tree, committed: Option.isNone(unchanged), head: working.head }
  })

  /** Puts the goal's branch, HEAD and the agent's index on a commit that has the directory's tree. */
  const moveBranch = Effect.fnUntraced(function* (record: WorktreeRecord, commit: string, also: ReadonlyArray<string>) {
    const store = storeOf(record)
    const branch = fullBranch(record.goalId)
    const current = yield* snapshots.resolveBranch(store, branch)
    const own = Option.match(current, {
      onNone: () => [`create ${branch} ${commit}`],
      onSome: (old) => (old === commit ? [] : [`update ${branch} ${commit} ${old}`])
    })
    yield* snapshots.updateRefs(store, [...own, ...also])
    yield* snapshots.setHead(store, { branch: Option.some(branch), commit: Option.some(commit) })
    yield* snapshots.resetIndex(store, Option.some(commit))
  })

  /** A worktree, other than the goal's, that stands on the target branch, ready to follow it; or why it is not. */
  const prepareCheckout = Effect.fnUntraced(function* (
    record: WorktreeRecord,
    worktree: string,
    from: string,
    to: string
  ): Effect.fn.Return<Effect.Effect<void, Failure>, Failure> {
    const refuse = (why: string) =>
      fail(
        "deliver",
        "conflict",
        `the target branch is checked out in ${worktree}, ${why}; nothing was changed. Mend that, or run \`git merge ${shortBranch(record.goalId)}\` there`
      )
    if (!(yield* isDirectory(worktree))) {
      return Effect.void
    }
    const admin = yield* locate(worktree)
    const busy = yield* Effect.filter(
      ["MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply"],
      (name) => fs.exists(path.join(admin.gitDirectory, name))
    )
    if (busy.length > 0) {
      return yield* refuse("where a merge or rebase is going on")
    }
    const store: SnapshotStore = { ...storeOf(record), workTree: worktree }
    const index = path.join(admin.gitDirectory, "index")
    const copy = path.join(store.state, "target.index")
    const clean = yield* Effect.gen(function* () {
      yield* fs.copyFile(index, copy)
      yield* snapshots.plain(store, copy, { args: ["update-index", "-q", "--really-refresh"] })
      return yield* snapshots.plain(store, copy, {
        args: ["diff-index", "--quiet", "--ignore-submodules=all", from],
        answers: [0, 1]
      })
    }).pipe(Effect.ensuring(Effect.ignore(fs.remove(copy, { force: true }))))
    if (clean.exitCode !== 0) {
      return yield* refuse("which has uncommitted changes")
    }
    const changes = yield* snapshots.compareTrees(store, from, to)
    const underFilter = yield* filtered(
      store,
      changes.map((change) => change.name)
    )
    if (underFilter.length > 0) {
      return yield* refuse("and some of the changed files are under a git filter, which driver does not run")
    }
    const update = (dryRun: ReadonlyArray<string>) =>
      snapshots.plain(store, index, { args: ["read-tree", ...dryRun, "-m", "-u", from, to] }).pipe(
        retryingLocks,
        Effect.catchIf(
          (error) => error.reason === "exit",
          (error) => refuse(`where files are in the way (${error.detail.replace(/\s+/g, " ")})`)
        )
      )
    yield* update(["--dry-run"])
    return Effect.asVoid(update([]))
  })

  const deliverMerge = Effect.fnUntraced(function* (
    record: WorktreeRecord,
    delivery: Extract<Delivery, { readonly mode: "merge" }>
  ): Effect.fn.Return<Delivered, Failure> {
    const store = storeOf(record)
    const target = `refs/heads/${delivery.target}`
    const current = yield* snapshots.resolveBranch(store, target)
    if (Option.isNone(current) || target === fullBranch(record.goalId)) {
      return yield* fail(
        "deliver",
        "base_not_found",
        `${repositoryOf(record.common)} has no branch ${delivery.target} to merge into; create it, or name another one`
      )
    }
    const accepted = yield* acceptedCommit(record, delivery.message)
    const done = (commit: string, summary: string): Delivered => ({
      mode: "merge",
      branch: Option.some(delivery.target),
      commit: Option.some(commit),
      summary
    })
    const isAncestor = (older: string, newer: string) =>
      inRepository(record.common, ["merge-base", "--is-ancestor", older, newer], [0, 1]).pipe(
        Effect.map((output) => output.exitCode === 0)
      )
    if (yield* isAncestor(accepted.commit, current.value)) {
      return done(current.value, `${delivery.target} has the work already.`)
    }
    const forward = yield* isAncestor(current.value, accepted.commit)
    const merged = forward
      ? { tree: accepted.tree, conflicts: [] }
      : yield* mergeTrees(store, current.value, accepted.commit)
    if (merged.conflicts.length > 0) {
      return yield* fail(
        "deliver",
        "conflict",
        `merging into ${delivery.target} conflicts in ${merged.conflicts.slice(0, 10).join(", ")}; nothing was changed. Merge ${shortBranch(record.goalId)} by hand`
      )
    }
    const now = yield* Clock.currentTimeMillis
    const commit = forward
      ? accepted.commit
      : yield* snapshots.commitTree(store, merged.tree, [current.value, accepted.commit], delivery.message, now)
    const elsewhere = (yield* snapshots.checkedOutElsewhere(store)).get(target)
    const follow =
      elsewhere === undefined ? Effect.void : yield* prepareCheckout(record, elsewhere, current.value, commit)
    yield* moveBranch(record, accepted.commit, [`update ${target} ${commit} ${current.value}`])
    yield* follow.pipe(
      Effect.tapError(() => snapshots.updateRefs(store, [`update ${target} ${current.value} ${commit}`]))
    )
    const how = forward ? "fast-forwarded to" : "merged into"
    return done(
      commit,
      `${shortBranch(record.goalId)} was ${how} ${delivery.target}${elsewhere === undefined ? "" : `, and ${elsewhere} follows it`}.`
    )
  })

  const deliverPatch = Effect.fnUntraced(function* (
    goal: Goal,
    record: WorktreeRecord,
    file: string
  ): Effect.fn.Return<Delivered, Failure> {
    const store = storeOf(record)
    const subject = goal.description
    const accepted = yield* acceptedCommit(record, subject)
    if (accepted.tree === (yield* snapshots.treeOf(store, record.base))) {
      return {
        mode: "patch",
        branch: Option.none(),
        commit: Option.none(),
        summary: "Nothing differs from the base, so no patch was written."
      }
    }
    const target = path.resolve(file)
    yield* snapshots.writePatch(store, record.base, accepted.tree, subject, target)
    return {
      mode: "patch",
      branch: Option.none(),
      commit: Option.none(),
      summary: `The work is in ${target}; \`git am\` or \`git apply\` takes it on ${record.base.slice(0, 10)}.`
    }
  })

  const deliver = Effect.fnUntraced(function* (goal: Goal, delivery: Delivery): Effect.fn.Return<Delivered, Failure> {
    const { record, store } = yield* openDirectory("deliver", goal.id)
    const branch = Option.some(shortBranch(goal.id))
    // Holds the branch as it was, so that a rollback to it undoes the delivery.
    yield* snapshots.checkpoint(store, `before delivery (${delivery.mode})`)
    switch (delivery.mode) {
      case "branch": {
        const accepted = yield* acceptedCommit(record, delivery.message)
        yield* moveBranch(record, accepted.commit, [])
        return {
          mode: "branch",
          branch,
          commit: Option.some(accepted.commit),
          summary: `The work is on ${shortBranch(goal.id)}${accepted.committed ? ", with what was uncommitted as its last commit" : ""}.`
        }
      }
      case "squash": {
        const accepted = yield* acceptedCommit(record, delivery.message)
        if (accepted.tree === (yield* snapshots.treeOf(store, record.base))) {
          return {
            mode: "squash",
            branch,
            commit: Option.none(),
            summary: "Nothing differs from the base, so there is nothing to squash."
          }
        }
        const now = yield* Clock.currentTimeMillis
        const commit = yield* snapshots.commitTree(store, accepted.tree, [record.base], delivery.message, now)
        yield* moveBranch(record, commit, [])
        return {
          mode: "squash",
          branch,
          commit: Option.some(commit),
          summary: `The work is one commit on ${shortBranch(goal.id)}.`
        }
      }
      case "merge":
        return yield* deliverMerge(record, delivery)
      case "patch":
        return yield* deliverPatch(goal, record, delivery.file)
    }
  })

  return {
    deliver
  }
})
