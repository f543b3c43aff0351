/**
 * A goal's worktree: made, found again, mended and removed, together with its branch, its base and its
 * registration in the repository.
 *
 * Owns those, and the lock under which the repository's list of worktrees is changed. Whether a worktree may
 * go is decided by `worktreeCleanup.ts`; what is in it is the agent's.
 */
import { type Goal, type GoalId, metadataText } from "@driver/domain/Goal"
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type GitError, text } from "../Git.js"
import type { WorkspaceInfo } from "../Workspace.js"
import { makeDirectories } from "./directories.js"
import { retryingLocks } from "./privateGit.js"
import type { Repositories, Repository } from "./repositories.js"
import { makeRepositoryLock } from "./repositoryLock.js"
import type { SnapshotStore } from "./snapshotStore.js"
import { makeSnapshots } from "./snapshots.js"
import { type Failure, fail } from "./workspaceFailure.js"
import { baseReference, fullBranch, shortBranch, WorktreeRecord, type WorktreeRecords } from "./worktreeRecords.js"

export type Worktrees = Effect.Effect.Success<ReturnType<typeof makeWorktrees>>

/** Makes worktrees (`ensure`) and takes them down. One instance per layer: it holds the repository lock. */
export const makeWorktrees = Effect.fnUntraced(function* (
  options: {
    /** What a goal's `worktree.source_repo` is relative to. */
    readonly repository: string
  },
  { checkoutSettings, inRepository, isDirectory, locate, prepareRoot, startingPoint }: Repositories,
  { findAdmin, infoOf, readRecord, repositoryOf, stateOf, storeOf, writeRecord }: WorktreeRecords
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const snapshots = yield* makeSnapshots
  const directories = yield* makeDirectories
  const withRepositoryLock = yield* makeRepositoryLock

  /** The branch, the base and what they are when some of it exists. References are made in one transaction. */
  const ensureBranch = Effect.fnUntraced(function* (
    repository: Repository,
    goalId: GoalId
  ): Effect.fn.Return<{ readonly tip: string; readonly base: string; readonly existed: boolean }, Failure> {
    const [branch, base] = yield* Effect.all(
      [
        snapshots.resolveBranch(repository, fullBranch(goalId)),
        snapshots.resolveBranch(repository, baseReference(goalId))
      ],
      { concurrency: 2 }
    )
    if (Option.isSome(branch) && Option.isSome(base)) {
      return { tip: branch.value, base: base.value, existed: true }
    }
    if (Option.isSome(base)) {
      // Somebody deleted the branch. The last checkpoint knows where it was.
      const all = yield* snapshots.list({ goalId, common: repository.common })
      const last = all.at(-1)?.branches.find((each) => each.name === fullBranch(goalId))
      const tip = last === undefined ? base.value : Option.getOrElse(last.commit, () => base.value)
      yield* snapshots.updateRefs(repository, [`create ${fullBranch(goalId)} ${tip}`])
      return { tip, base: base.value, existed: true }
    }
    if (Option.isSome(branch)) {
      // A branch of somebody else's making: the goal started where it left the base.
      const start = yield* startingPoint(repository)
      const fork = yield* inRepository(repository.common, ["merge-base", branch.value, start], [0, 1])
      const from = fork.exitCode === 0 ? text(fork) : branch.value
      yield* snapshots.updateRefs(repository, [`create ${baseReference(goalId)} ${from}`])
      return { tip: branch.value, base: from, existed: true }
    }
    const start = yield* startingPoint(repository)
    yield* snapshots.updateRefs(repository, [
      `create ${fullBranch(goalId)} ${start}`,
      `create ${baseReference(goalId)} ${start}`
    ])
    return { tip: start, base: start, existed: false }
  })

  /** What a `.git` file says, as a real path; empty when it says nothing usable. */
  const gitFileTarget = (worktree: string) =>
    directories.readNote(path.join(worktree, ".git")).pipe(
      Effect.map((content) => path.resolve(worktree, content.replace(/^gitdir: /, "").trim())),
      Effect.flatMap((target) => fs.realPath(target).pipe(Effect.orElseSucceed(() => target))),
      Effect.orElseSucceed(() => "")
    )

  /** Makes the worktree's `.git` file name its git directory again, should somebody have changed it. */
  const mendGitFile = Effect.fnUntraced(function* (worktree: string, admin: string) {
    const file = path.join(worktree, ".git")
    const linked = yield* Effect.isSuccess(fs.readLink(file))
    if (!linked && (yield* gitFileTarget(worktree)) === admin) {
      return
    }
    if (!linked && (yield* isDirectory(file))) {
      return yield* fail(
        "ensure",
        "conflict",
        `${file} has become a repository of its own; move it away so that the goal's worktree can be used again`
      )
    }
    yield* Effect.logWarning(`${file} did not name the worktree's git directory; it does now`)
    yield* snapshots.writeAtomically(file, `gitdir: ${admin}\n`)
  })

  const addWorktree = (common: string, goalId: GoalId, worktree: string) =>
    inRepository(common, ["worktree", "add", "--no-checkout", worktree, shortBranch(goalId)]).pipe(
      retryingLocks,
      Effect.catchIf(
        (error) => /already checked out at|already used by worktree at/.test(error.detail),
        (error) =>
          fail(
            "ensure",
            "conflict",
            `the goal's branch is in use elsewhere (${error.detail.split("\n").at(-1) ?? ""}); switch to another branch there`
          )
      )
    )

  const forgetWorktree = (common: string, worktree: string) =>
    // Twice: also when it is locked, as one is that a killed git was making.
    inRepository(common, ["worktree", "remove", "--force", "--force", worktree]).pipe(retryingLocks)

  /** Registers the worktree; resolves with its git directory and whether its files are there. */
  const registerWorktree = Effect.fnUntraced(function* (
    repository: Repository,
    goalId: GoalId,
    worktree: string
  ): Effect.fn.Return<{ readonly admin: string; readonly files: "present" | "to write" | "to index" }, Failure> {
    const { common } = repository
    const register = Effect.gen(function* () {
      yield* addWorktree(common, goalId, worktree)
      const admin = yield* findAdmin(common, goalId, worktree)
      if (Option.isNone(admin)) {
        return yield* fail(
          "ensure",
          "git_failed",
          `git did not register the worktree ${worktree}; see \`git worktree list\``
        )
      }
      return admin.value
    })
    const names = yield* fs.readDirectory(worktree).pipe(Effect.orElseSucceed((): Array<string> => []))
    const known = yield* findAdmin(common, goalId, worktree)
    if (names.length === 0) {
      if (Option.isSome(known)) {
        yield* fs.remove(worktree, { force: true, recursive: true })
        yield* forgetWorktree(common, worktree)
      }
      // First, so that a root that cannot be written leaves no trace in the repository.
      yield* fs.makeDirectory(worktree, { recursive: true })
      return { admin: yield* register, files: "to write" }
    }
    if (Option.isSome(known)) {
      yield* mendGitFile(worktree, known.value)
      return { admin: known.value, files: "present" }
    }
    if (!(yield* gitFileTarget(worktree)).startsWith(path.join(common, "worktrees") + path.sep)) {
      return yield* fail(
        "ensure",
        "conflict",
        `${worktree} exists and is not the worktree of goal ${goalId}; move it away`
      )
    }
    // A worktree of ours that `git worktree prune` forgot. It is registered again around the files it has.
    const aside = `${worktree}.files`
    yield* fs.rename(worktree, aside)
    const admin = yield* register.pipe(
      Effect.tap(() => fs.rename(path.join(worktree, ".git"), path.join(aside, ".git"))),
      Effect.ensuring(
        Effect.ignoreLogged(
          fs.remove(worktree, { force: true, recursive: true }).pipe(Effect.zipRight(fs.rename(aside, worktree)))
        )
      )
    )
    return { admin, files: "to index" }
  })

  /** A file system that is full makes git fail without saying why. */
  const explainFullDisk =
    (directory: string) =>
    <A, E, R>(effect: Effect.Effect<A, E | GitError, R>): Effect.Effect<A, E | GitError | PlatformError, R> => {
      const probe = path.join(directory, ".driver-probe")
      return Effect.tapError(effect, () =>
        fs.writeFile(probe, new Uint8Array(256 * 1024)).pipe(
          Effect.ensuring(Effect.ignore(fs.remove(probe, { force: true }))),
          Effect.catchIf(
            (error) => !/ENOSPC|EDQUOT/.test(error.message),
            () => Effect.void
          )
        )
      )
    }

  const removeWhenEmpty = (directory: string) =>
    fs
      .readDirectory(directory)
      .pipe(Effect.flatMap((names) => (names.length === 0 ? fs.remove(directory, { recursive: true }) : Effect.void)))

  const ensure = Effect.fn("WorkspaceGit.ensure")(function* (goal: Goal): Effect.fn.Return<WorkspaceInfo, Failure> {
    const goalId = goal.id
    const source = path.resolve(options.repository, metadataText(goal, "worktree.source_repo") ?? ".")
    const repository = yield* locate(source)
    const known = yield* readRecord(goalId)
    if (Option.isSome(known) && known.value.common !== repository.common) {
      return yield* fail(
        "ensure",
        "conflict",
        `goal ${goalId} has its workspace in ${repositoryOf(known.value.common)}, not in ${source}; prune it, or give the goal a new id`
      )
    }
    // A workspace stays where it is when the configured root moves.
    const worktree =
      Option.isSome(known) && (yield* isDirectory(known.value.path))
        ? known.value.path
        : path.join(yield* prepareRoot(), goalId)
    const state = stateOf(goalId)
    yield* fs.makeDirectory(state, { recursive: true, mode: 0o700 })
    // There from before the worktree is made until its files are complete; the agent has not worked in between.
    const unfinished = path.join(state, "unfinished")
    const resumed = yield* fs.exists(unfinished)
    const fresh = !(yield* isDirectory(worktree))
    if (fresh) {
      yield* fs.writeFileString(unfinished, "")
      yield* fs.makeDirectory(worktree)
    }
    const register = Effect.gen(function* () {
      const branch = yield* ensureBranch(repository, goalId)
      return { ...branch, ...(yield* registerWorktree(repository, goalId, worktree)) }
    }).pipe(
      withRepositoryLock(repository.common),
      Effect.tapError(() => (fresh ? Effect.ignore(removeWhenEmpty(worktree)) : Effect.void))
    )
    const [registered, settings] = yield* Effect.all([register, checkoutSettings(repository.common)], {
      concurrency: 2
    })
    const record = new WorktreeRecord({
      goalId,
      path: worktree,
      common: repository.common,
      admin: registered.admin,
      base: registered.base,
      objectFormat: repository.objectFormat
    })
    const store = storeOf(record)
    yield* snapshots.prepare(store, settings)
    if (registered.files === "to write" || resumed) {
      yield* fs.writeFileString(unfinished, "")
      yield* snapshots.forgetIndex(store)
      yield* checkOut(store, path.join(record.admin, "index"), registered.tip).pipe(
        explainFullDisk(path.dirname(worktree))
      )
      if (registered.existed) {
        yield* bringBack(store)
      } else if (registered.files === "to write" && !resumed) {
        yield* snapshots.adoptIndex(store, record.admin, settings)
      }
    } else if (registered.files === "to index") {
      yield* snapshots.resetIndex(store, Option.some(registered.tip))
    }
    yield* writeRecord(record)
    yield* fs.remove(unfinished, { force: true })
    return infoOf(record, registered.existed)
  })

  /** Writes all files, by as many processes as there are processors. What stands in the way only one of them can say. */
  const checkOut = (store: SnapshotStore, index: string, commit: string) => {
    const readTree = (workers: number) =>
      snapshots.plain(store, index, {
        args: ["-c", `checkout.workers=${workers}`, "read-tree", "--reset", "-u", commit],
        timeout: "10 minutes"
      })
    return Effect.catchIf(
      readTree(0),
      (error) => error._tag === "GitError" && error.reason === "exit",
      () => readTree(1)
    )
  }

  /** Uncommitted files of a directory that vanished, when the branches still stand where the last checkpoint saw them. */
  const bringBack = Effect.fnUntraced(function* (store: SnapshotStore) {
    const last = (yield* snapshots.list(store)).at(-1)
    if (last === undefined) {
      return
    }
    const unmoved = yield* Effect.forEach(last.branches, (branch) =>
      snapshots
        .resolveBranch(store, branch.name)
        .pipe(Effect.map((commit) => Option.getOrElse(commit, () => "") === Option.getOrElse(branch.commit, () => "")))
    )
    const elsewhere = yield* snapshots.checkedOutElsewhere(store)
    if (unmoved.includes(false) || Option.exists(last.head.branch, (name) => elsewhere.has(name))) {
      yield* Effect.logWarning(
        `The branch of goal ${store.goalId} has moved since checkpoint ${last.id}; files that were not committed can be had by a rollback to it`
      )
      return
    }
    yield* snapshots.refill(store, last)
  })

  const removeWorktree = Effect.fnUntraced(function* (record: WorktreeRecord) {
    yield* directories.remove(record.path)
    const admin = yield* findAdmin(record.common, record.goalId, record.path)
    if (Option.isSome(admin)) {
      yield* forgetWorktree(record.common, record.path).pipe(withRepositoryLock(record.common))
    }
    yield* snapshots.forgetIndex(storeOf(record))
  })

  return {
    ensure,
    removeWorktree
  }
})
