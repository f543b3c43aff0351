/**
 * Where the agent's worktree stands: its HEAD, the branches it may name, and the agent's own index.
 * Read as the agent left them, damaged or not, and put where a checkpoint or a delivery wants them.
 *
 * Owns none of it: HEAD and index are the agent's, and are put only for `restore.ts` and the worktrees.
 * A plain directory has neither; there is nothing to do for it then.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { decodeName, Git, records, text } from "../Git.js"
import { WorkspaceError } from "../Workspace.js"
import { makeDirectories } from "./directories.js"
import { makePrivateGit, retryingLocks } from "./privateGit.js"
import type { Head, SnapshotStore } from "./snapshotStore.js"
import type { Failure } from "./workspaceFailure.js"

/** What HEAD says where references are not files (reftable). */
const undefinedBranch = "refs/heads/.invalid"

/** A whole object name, of either format. */
export const commitPattern = /^([0-9a-f]{40}|[0-9a-f]{64})$/

/** Milliseconds after which an `index.lock` has no owner: git holds one for as long as it writes the index. */
const staleLockAge = 10_000

/** `<branch or detached> <commit or unborn>`: equal exactly when HEAD stands at the same place. */
export const headText = (at: Head) =>
  `${Option.getOrElse(at.branch, () => "detached")} ${Option.getOrElse(at.commit, () => "unborn")}`

/** Reads and puts HEAD, branches and the agent's index. */
export const makeWorktreeHead = Effect.gen(function* () {
  const git = yield* Git
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directories = yield* makeDirectories
  const { plain, real, writeAtomically } = yield* makePrivateGit

  /** True when references are files here and none is called so. False when only git can tell. */
  const isAbsent = Effect.fnUntraced(
    function* (common: string, name: string) {
      const packed = path.join(common, "packed-refs")
      if ((yield* fs.exists(path.join(common, name))) || (yield* fs.exists(path.join(common, "reftable")))) {
        return false
      }
      // After the file itself: a reference that is being packed is in one of the two.
      return !(yield* fs.exists(packed)) || !(yield* fs.readFileString(packed)).includes(name)
    },
    Effect.orElseSucceed(() => false)
  )

  /** What a branch points to. Reads the file where there is one, since this is asked on each turn. */
  const resolveBranch = Effect.fnUntraced(function* (store: Pick<SnapshotStore, "common">, name: string) {
    const loose = /^refs\/[A-Za-z0-9._/-]+$/.test(name) && !name.includes("..")
    const content = loose ? yield* directories.readNote(path.join(store.common, name)) : ""
    if (commitPattern.test(content.trim())) {
      return Option.some(content.trim())
    }
    if (loose && content === "" && (yield* isAbsent(store.common, name))) {
      return Option.none<string>()
    }
    const output = yield* git.run({
      args: ["rev-parse", "--verify", "--quiet", "--end-of-options", `${name}^{commit}`],
      cwd: store.common,
      env: { GIT_DIR: store.common },
      answers: [0, 1, 128]
    })
    return output.exitCode === 0 ? Option.some(text(output)) : Option.none<string>()
  })

  const worktreeEnv = (store: SnapshotStore, admin: string) => ({ GIT_DIR: admin, GIT_COMMON_DIR: store.common })

  /** HEAD where references are not files. */
  const askHead = Effect.fnUntraced(function* (store: SnapshotStore, admin: string): Effect.fn.Return<Head, Failure> {
    const ask = (args: ReadonlyArray<string>) =>
      real(store, { args, env: worktreeEnv(store, admin), answers: [0, 1, 128] }).pipe(
        Effect.map((output) => (output.exitCode === 0 ? Option.some(text(output)) : Option.none<string>()))
      )
    return {
      branch: yield* ask(["symbolic-ref", "--quiet", "HEAD"]),
      commit: yield* ask(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
    }
  })

  /** The agent's HEAD. A plain directory has none. */
  const head = Effect.fnUntraced(function* (store: SnapshotStore): Effect.fn.Return<Head, Failure> {
    if (Option.isNone(store.admin)) {
      return { branch: Option.none(), commit: Option.none() }
    }
    const content = (yield* directories.readNote(path.join(store.admin.value, "HEAD"))).trim()
    if (commitPattern.test(content)) {
      return { branch: Option.none(), commit: Option.some(content) }
    }
    const branch = /^ref: (refs\/heads\/[^\s~^:?*[\\]+)$/.exec(content)?.[1]
    if (branch === undefinedBranch) {
      return yield* askHead(store, store.admin.value)
    }
    if (branch !== undefined) {
      return { branch: Option.some(branch), commit: yield* resolveBranch(store, branch) }
    }
    if (content === "") {
      return yield* new WorkspaceError({
        operation: "read HEAD",
        reason: "io_failed",
        detail: `HEAD of the worktree ${store.workTree} cannot be read in ${store.admin.value}; see that its repository is there, and run \`ensure\``
      })
    }
    return yield* new WorkspaceError({
      operation: "read HEAD",
      reason: "git_failed",
      detail: `HEAD of the worktree ${store.workTree} names neither a branch nor a commit; run \`git checkout\` there`
    })
  })

  /** Branches that another worktree of the repository stands on. */
  const checkedOutElsewhere = Effect.fnUntraced(function* (store: SnapshotStore) {
    const output = yield* real(store, { args: ["worktree", "list", "--porcelain", "-z"] })
    const elsewhere = new Map<string, string>()
    let current = ""
    for (const line of records(output)) {
      if (line.startsWith("worktree ")) {
        current = decodeName(line.slice("worktree ".length))
      } else if (line.startsWith("branch ") && current !== store.workTree) {
        elsewhere.set(decodeName(line.slice("branch ".length)), current)
      }
    }
    return elsewhere
  })

  /** A lock that no living git holds. Nobody else works in the directory while it is rolled back; 10 s is patience. */
  const clearStaleLock = Effect.fnUntraced(function* (file: string) {
    const age = Effect.gen(function* () {
      const info = yield* fs.stat(file)
      const now = yield* Clock.currentTimeMillis
      return now - Option.match(info.mtime, { onNone: () => 0, onSome: (time) => time.getTime() })
    }).pipe(Effect.option)
    const waited = yield* age.pipe(
      Effect.repeat({
        while: (found) => Option.isSome(found) && found.value < staleLockAge,
        schedule: Schedule.spaced("200 millis").pipe(Schedule.intersect(Schedule.recurs(50)))
      }),
      Effect.zipRight(age)
    )
    if (Option.isSome(waited)) {
      yield* Effect.logWarning(`Removed ${file}: the git process that made it is gone`)
      yield* fs.remove(file, { force: true })
    }
  })

  /** The agent's index becomes HEAD's tree, with nothing staged. */
  const resetIndex = Effect.fnUntraced(function* (store: SnapshotStore, commit: Option.Option<string>) {
    if (Option.isNone(store.admin)) {
      return
    }
    const index = path.join(store.admin.value, "index")
    yield* clearStaleLock(`${index}.lock`)
    // git would write through a link that the agent put there.
    if (yield* Effect.isSuccess(fs.readLink(index))) {
      yield* fs.remove(index, { force: true })
    }
    const run = (args: ReadonlyArray<string>) => plain(store, index, { args }).pipe(retryingLocks)
    const tree = Option.match(commit, { onNone: () => ["--empty"], onSome: (at) => ["--reset", at] })
    yield* run(["read-tree", ...tree]).pipe(
      // The agent's index may be damaged.
      Effect.catchIf(
        (error) => error.reason === "exit",
        () => fs.remove(index, { force: true }).pipe(Effect.zipRight(run(["read-tree", ...tree])))
      )
    )
    yield* run(["update-index", "-q", "--refresh"])
  })

  /** Puts HEAD on a branch, or on a commit. */
  const setHead = Effect.fnUntraced(function* (store: SnapshotStore, at: Head) {
    if (Option.isNone(store.admin)) {
      return
    }
    const admin = store.admin.value
    const file = path.join(admin, "HEAD")
    if (yield* Effect.isSuccess(fs.readLink(file))) {
      // git would write through a link that the agent put there.
      yield* writeAtomically(file, "ref: refs/heads/none\n")
    }
    const args = Option.match(at.branch, {
      onSome: (branch) => Option.some(["symbolic-ref", "HEAD", branch]),
      onNone: () => Option.map(at.commit, (commit) => ["update-ref", "--no-deref", "HEAD", commit])
    })
    if (Option.isSome(args)) {
      yield* clearStaleLock(`${file}.lock`)
      yield* real(store, { args: args.value, env: worktreeEnv(store, admin) }).pipe(retryingLocks)
    }
  })

  return {
    head,
    resolveBranch,
    checkedOutElsewhere,
    clearStaleLock,
    resetIndex,
    setHead
  }
})
