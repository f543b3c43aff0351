/**
 * `Workspace` over git: one worktree per goal below a root, on branch `driver/<goal-id>`.
 *
 *     <root>/<goal-id>                         the worktree; nothing of the driver's own lies in it
 *     refs/heads/driver/<goal-id>              the branch, never reset by `ensure`
 *     refs/driver/<goal-id>/base               the commit the goal started from
 *     refs/driver/<goal-id>/<n>                checkpoint n
 *     <stateDirectory>/workspaces/<goal-id>/   which repository and directory; our index of it
 *
 * Owns those, and the worktree's registration in the repository. Where the worktree's git directory is
 * it asks the main repository, not the worktree's `.git` file, which an agent can rewrite.
 * How snapshots are taken, and why nothing that a repository configures runs, is said in `internal/snapshots.ts`.
 *
 * Filters (`git lfs`, `git-crypt`) are programs that a repository names, so none is run: such files are
 * checked out as they are stored.
 */
import { type Goal, GoalId, metadataText } from "@driver/domain/Goal"
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { decodeName, encodeRecords, Git, type GitError, records, text } from "./Git.js"
import { makeDirectories } from "./internal/directories.js"
import { makeKeyedMutex, makeRepositoryLock } from "./internal/repositoryLock.js"
import {
  type Change,
  isNewGitlink,
  makeSnapshots,
  ObjectFormat,
  retryingLocks,
  type SnapshotStore,
  toCheckpoint,
  toTheEnd
} from "./internal/snapshots.js"
import { failingAs } from "./internal/workspaceErrors.js"
import {
  type Delivered,
  type Delivery,
  Workspace,
  type WorkspaceEntry,
  WorkspaceError,
  type WorkspaceInfo
} from "./Workspace.js"

export interface WorkspaceGitOptions {
  /** A directory in the repository to work on, or a bare one. A goal's `worktree.source_repo` is relative to it. */
  readonly repository: string
  /** Where the worktrees lie. Made when absent; not inside a work tree, unless ignored there. */
  readonly root: string
  /** The driver's own directory. */
  readonly stateDirectory: string
  /** What new goals start from: anything `git rev-parse` takes. Default `HEAD`. */
  readonly base?: string
}

type Failure = WorkspaceError | GitError | PlatformError

/** What is known about a goal's worktree, kept in the state directory. */
class WorktreeRecord extends Schema.Class<WorktreeRecord>("WorktreeRecord")({
  goalId: Schema.propertySignature(GoalId).pipe(Schema.fromKey("goal_id")),
  path: Schema.String,
  /** Absolute path of the git directory with the references and objects. */
  common: Schema.String,
  /** Absolute path of the worktree's own part of it. */
  admin: Schema.String,
  base: Schema.String,
  objectFormat: Schema.propertySignature(ObjectFormat).pipe(Schema.fromKey("object_format"))
}) {
  static readonly Json = Schema.parseJson(WorktreeRecord)
}

/** A repository as found from a directory in it. */
interface Repository {
  readonly directory: string
  /** Absolute, symlinks resolved. */
  readonly common: string
  /** Where its HEAD is. */
  readonly gitDirectory: string
  readonly objectFormat: ObjectFormat
}

export const layer = (
  options: WorkspaceGitOptions
): Layer.Layer<Workspace, never, Git | FileSystem.FileSystem | Path.Path> => Layer.scoped(Workspace, make(options))

const make = Effect.fnUntraced(function* (options: WorkspaceGitOptions) {
  const git = yield* Git
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const snapshots = yield* makeSnapshots
  const directories = yield* makeDirectories
  const exclusively = yield* makeKeyedMutex
  const withRepositoryLock = yield* makeRepositoryLock
  const states = path.resolve(options.stateDirectory, "workspaces")

  const stateOf = (goalId: GoalId) => path.join(states, goalId)
  const shortBranch = (goalId: GoalId) => `driver/${goalId}`
  const fullBranch = (goalId: GoalId) => `refs/heads/driver/${goalId}`
  const baseReference = (goalId: GoalId) => `refs/driver/${goalId}/base`
  const repositoryOf = (common: string) => (path.basename(common) === ".git" ? path.dirname(common) : common)

  const fail = (operation: string, reason: WorkspaceError["reason"], detail: string) =>
    new WorkspaceError({ operation, reason, detail })

  /** git on the repository, for references and worktrees. */
  const inRepository = (common: string, args: ReadonlyArray<string>, answers: ReadonlyArray<number> = [0]) =>
    git.run({ args, cwd: common, env: { GIT_DIR: common }, answers })

  const isDirectory = (directory: string) =>
    fs.stat(directory).pipe(
      Effect.map((info) => info.type === "Directory"),
      Effect.orElseSucceed(() => false)
    )

  // --- finding things -------------------------------------------------------------------------

  const locate = Effect.fnUntraced(function* (directory: string): Effect.fn.Return<Repository, Failure> {
    if (!(yield* isDirectory(directory))) {
      return yield* fail(
        "ensure",
        "not_a_repository",
        `there is no directory ${directory}; name the repository to work on`
      )
    }
    const found = yield* git.run({
      args: ["rev-parse", "--path-format=absolute", "--git-common-dir", "--absolute-git-dir", "--show-object-format"],
      cwd: directory,
      answers: [0, 128]
    })
    const lines = text(found).split("\n")
    const [common, gitDirectory, format] = lines
    if (found.exitCode !== 0 || lines.length !== 3 || common === undefined || gitDirectory === undefined) {
      return yield* fail(
        "ensure",
        "not_a_repository",
        `${directory} is not in a git repository that can be used (${found.stderr.trim().split("\n")[0] ?? ""}); run \`git init\` there, or use directory mode`
      )
    }
    return {
      directory,
      common: yield* fs.realPath(common),
      gitDirectory: yield* fs.realPath(gitDirectory),
      objectFormat: format === "sha256" ? "sha256" : "sha1"
    }
  })

  /** Value-only settings that decide how files are written, for our own configuration. */
  const checkoutSettings = (common: string) =>
    inRepository(common, ["config", "--local", "--list", "-z"]).pipe(
      Effect.map((output) =>
        records(output).flatMap((entry) => {
          const match = /^core\.(autocrlf|eol|symlinks|filemode|ignorecase|precomposeunicode)\n([a-z0-9]+)$/i.exec(
            entry
          )
          return match === null ? [] : [`${match[1]} = ${match[2]}`]
        })
      )
    )

  /** The directory that worktrees lie in, made when absent, refused where it would pollute somebody's `git status`. */
  const prepareRoot = Effect.fnUntraced(function* (): Effect.fn.Return<string, Failure> {
    const wanted = path.resolve(options.root)
    yield* fs.makeDirectory(wanted, { recursive: true }).pipe(
      Effect.catchIf(
        (error) => error._tag === "SystemError" && (error.reason === "AlreadyExists" || error.reason === "BadResource"),
        () => fail("ensure", "bad_root", `the worktree root ${wanted} is not a directory; choose another one`)
      )
    )
    const root = yield* fs.realPath(wanted)
    const inside = yield* git.run({
      args: ["rev-parse", "--is-inside-work-tree", "--is-inside-git-dir"],
      cwd: root,
      answers: [0, 128]
    })
    const [inWorkTree, inGitDirectory] = text(inside).split("\n")
    if (inside.exitCode !== 0) {
      return root
    }
    if (inGitDirectory === "true") {
      return yield* fail(
        "ensure",
        "bad_root",
        `the worktree root ${root} is inside a git directory; choose another one`
      )
    }
    if (inWorkTree === "true") {
      const ignored = yield* git.run({
        args: ["check-ignore", "--quiet", "--", "worktree"],
        cwd: root,
        answers: [0, 1]
      })
      if (ignored.exitCode !== 0) {
        const top = text(yield* git.run({ args: ["rev-parse", "--show-toplevel"], cwd: root }))
        return yield* fail(
          "ensure",
          "bad_root",
          `the worktree root ${root} is inside the repository ${top}, whose status would show every worktree; choose a root outside of it, or add the root to its .gitignore`
        )
      }
    }
    return root
  })

  /** The worktree's own git directory, by what the main repository has on record. */
  const findAdmin = Effect.fnUntraced(function* (common: string, goalId: GoalId, worktree: string) {
    const parent = path.join(common, "worktrees")
    const names = yield* fs.readDirectory(parent).pipe(Effect.orElseSucceed(() => []))
    for (const name of names.filter((each) => each.startsWith(goalId)).sort()) {
      const gitdir = yield* directories.readNote(path.join(parent, name, "gitdir"))
      if (gitdir.trim() === path.join(worktree, ".git")) {
        return Option.some(path.join(parent, name))
      }
    }
    return Option.none<string>()
  })

  const recordFile = (goalId: GoalId) => path.join(stateOf(goalId), "workspace.json")

  const readRecord = (goalId: GoalId) =>
    fs.readFileString(recordFile(goalId)).pipe(Effect.flatMap(Schema.decode(WorktreeRecord.Json)), Effect.option)

  const writeRecord = (record: WorktreeRecord) =>
    Schema.encode(WorktreeRecord.Json)(record).pipe(
      // Only a schema that cannot print its own type fails here.
      Effect.orDie,
      Effect.flatMap((json) => snapshots.writeAtomically(recordFile(record.goalId), json))
    )

  /** The record of a goal whose state was lost, from the configured repository's references. */
  const recover = Effect.fnUntraced(function* (goalId: GoalId) {
    const repository = yield* locate(path.resolve(options.repository))
    const base = yield* snapshots.resolveBranch(repository, baseReference(goalId))
    if (Option.isNone(base)) {
      return Option.none<WorktreeRecord>()
    }
    const root = yield* fs
      .realPath(path.resolve(options.root))
      .pipe(Effect.orElseSucceed(() => path.resolve(options.root)))
    const worktree = path.join(root, goalId)
    const admin = yield* findAdmin(repository.common, goalId, worktree)
    const record = new WorktreeRecord({
      goalId,
      path: worktree,
      common: repository.common,
      admin: Option.getOrElse(admin, () => path.join(repository.common, "worktrees", goalId)),
      base: base.value,
      objectFormat: repository.objectFormat
    })
    yield* fs.makeDirectory(stateOf(goalId), { recursive: true })
    yield* snapshots.prepare(storeOf(record), yield* checkoutSettings(repository.common))
    yield* writeRecord(record)
    return Option.some(record)
  })

  const storeOf = (record: WorktreeRecord): SnapshotStore => ({
    goalId: record.goalId,
    state: stateOf(record.goalId),
    workTree: record.path,
    common: record.common,
    admin: Option.some(record.admin),
    branch: Option.some(fullBranch(record.goalId)),
    objectFormat: record.objectFormat
  })

  const open = Effect.fnUntraced(function* (
    operation: string,
    goalId: GoalId
  ): Effect.fn.Return<{ readonly record: WorktreeRecord; readonly store: SnapshotStore }, Failure> {
    const known = yield* readRecord(goalId)
    const record = Option.isSome(known) ? known : yield* recover(goalId)
    if (Option.isNone(record)) {
      return yield* fail(operation, "unknown_goal", `goal ${goalId} has no workspace here; \`ensure\` makes one`)
    }
    return { record: record.value, store: storeOf(record.value) }
  })

  /** As `open`, for what needs the directory. */
  const openDirectory = Effect.fnUntraced(function* (operation: string, goalId: GoalId) {
    const opened = yield* open(operation, goalId)
    if (!(yield* isDirectory(opened.record.path))) {
      return yield* fail(
        operation,
        "io_failed",
        `the worktree ${opened.record.path} of goal ${goalId} is gone; \`ensure\` brings it back from its branch`
      )
    }
    return opened
  })

  const infoOf = (record: WorktreeRecord, reused: boolean): WorkspaceInfo => ({
    goalId: record.goalId,
    path: record.path,
    branch: Option.some(shortBranch(record.goalId)),
    base: Option.some(record.base),
    repository: Option.some(repositoryOf(record.common)),
    reused
  })

  // --- ensure -----------------------------------------------------------------------------------

  /** The commit new work starts from. A repository without a commit gets an empty one, on the goal's branch only. */
  const startingPoint = Effect.fnUntraced(function* (repository: Repository): Effect.fn.Return<string, Failure> {
    const base = options.base ?? "HEAD"
    const inGitDirectory = (args: ReadonlyArray<string>, answers: ReadonlyArray<number> = [0]) =>
      git.run({ args, cwd: repository.gitDirectory, env: { GIT_DIR: repository.gitDirectory }, answers })
    const resolved = yield* inGitDirectory(
      ["rev-parse", "--verify", "--quiet", "--end-of-options", `${base}^{commit}`],
      [0, 1, 128]
    )
    if (resolved.exitCode === 0) {
      return text(resolved)
    }
    const unborn = (yield* inGitDirectory(["rev-list", "-n", "1", "--all"])).stdout.length === 0
    if (base !== "HEAD" || !unborn) {
      return yield* fail(
        "ensure",
        "base_not_found",
        `${repository.directory} has no commit ${base} to start from; name a branch, tag or commit that exists`
      )
    }
    const tree = text(yield* inGitDirectory(["hash-object", "-t", "tree", "-w", "--stdin"]))
    return text(yield* inGitDirectory(["commit-tree", "-m", "Start from an empty repository", tree]))
  })

  /** The branch, the base and what they are when some of it exists. References are made in one transaction. */
  const ensureBranch = Effect.fnUntraced(function* (
    repository: Repository,
    goalId: GoalId
  ): Effect.fn.Return<{ readonly tip: string; readonly base: string; readonly existed: boolean }, Failure> {
    const branch = yield* snapshots.resolveBranch(repository, fullBranch(goalId))
    const base = yield* snapshots.resolveBranch(repository, baseReference(goalId))
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
    const registered = yield* Effect.gen(function* () {
      const branch = yield* ensureBranch(repository, goalId)
      return { ...branch, ...(yield* registerWorktree(repository, goalId, worktree)) }
    }).pipe(
      withRepositoryLock(repository.common),
      Effect.tapError(() => (fresh ? Effect.ignore(removeWhenEmpty(worktree)) : Effect.void))
    )
    const record = new WorktreeRecord({
      goalId,
      path: worktree,
      common: repository.common,
      admin: registered.admin,
      base: registered.base,
      objectFormat: repository.objectFormat
    })
    const store = storeOf(record)
    yield* snapshots.prepare(store, yield* checkoutSettings(repository.common))
    if (registered.files === "to write" || resumed) {
      yield* fs.writeFileString(unfinished, "")
      yield* snapshots.forgetIndex(store)
      yield* snapshots
        .plain(store, path.join(record.admin, "index"), {
          args: ["read-tree", "--reset", "-u", registered.tip],
          timeout: "10 minutes"
        })
        .pipe(explainFullDisk(path.dirname(worktree)))
      if (registered.existed) {
        yield* bringBack(store)
      }
    } else if (registered.files === "to index") {
      yield* snapshots.resetIndex(store, Option.some(registered.tip))
    }
    yield* writeRecord(record)
    yield* fs.remove(unfinished, { force: true })
    return infoOf(record, registered.existed)
  })

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

  // --- what changed -------------------------------------------------------------------------------

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

  // --- delivery -------------------------------------------------------------------------------------

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

  // --- clean-up -------------------------------------------------------------------------------------

  const removeWorktree = Effect.fnUntraced(function* (record: WorktreeRecord) {
    yield* directories.remove(record.path)
    const admin = yield* findAdmin(record.common, record.goalId, record.path)
    if (Option.isSome(admin)) {
      yield* forgetWorktree(record.common, record.path).pipe(withRepositoryLock(record.common))
    }
    yield* snapshots.forgetIndex(storeOf(record))
  })

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

  /** Goals with a record, and those that only the configured repository's references know. */
  const knownGoals = Effect.gen(function* () {
    const recorded = yield* fs.readDirectory(states).pipe(Effect.orElseSucceed(() => []))
    const referenced = yield* locate(path.resolve(options.repository)).pipe(
      Effect.flatMap((repository) =>
        inRepository(repository.common, ["for-each-ref", "--format=%(refname)", "refs/driver/*/base"])
      ),
      Effect.map((output) =>
        text(output)
          .split("\n")
          .map((name) => name.split("/")[2] ?? "")
      ),
      Effect.catchIf(
        (error) => error._tag === "WorkspaceError",
        () => Effect.succeed([])
      )
    )
    return [...new Set([...recorded, ...referenced])].sort().filter(Schema.is(GoalId))
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

  const within =
    (operation: string, goalId: GoalId) =>
    <A>(effect: Effect.Effect<A, Failure>) =>
      effect.pipe(exclusively(goalId), failingAs(operation))

  return Workspace.of({
    ensure: (goal) => ensure(goal).pipe(within("ensure", goal.id)),
    checkpoint: Effect.fn("WorkspaceGit.checkpoint")((goalId: GoalId, label: string) =>
      openDirectory("checkpoint", goalId).pipe(
        Effect.flatMap(({ store }) => snapshots.checkpoint(store, label)),
        Effect.map(toCheckpoint),
        within("checkpoint", goalId)
      )
    ),
    rollback: Effect.fn("WorkspaceGit.rollback")((goalId: GoalId, to) =>
      openDirectory("rollback", goalId).pipe(
        Effect.flatMap(({ store }) =>
          snapshots
            .find(store, to, "rollback")
            .pipe(Effect.flatMap((target) => toTheEnd(snapshots.restore(store, target, `before rollback to ${to}`))))
        ),
        Effect.map(toCheckpoint),
        within("rollback", goalId)
      )
    ),
    diffStat: Effect.fn("WorkspaceGit.diffStat")((goalId: GoalId, since) =>
      openDirectory("diffStat", goalId).pipe(
        Effect.flatMap(({ store }) => snapshots.diffStat(store, since)),
        within("diffStat", goalId)
      )
    ),
    changedPaths: (goalId) => changedPaths(goalId).pipe(within("changedPaths", goalId)),
    diff: (goalId, maxBytes) => diff(goalId, maxBytes).pipe(within("diff", goalId)),
    isClean: (goalId) => isClean(goalId).pipe(within("isClean", goalId)),
    deliver: Effect.fn("WorkspaceGit.deliver")((goal: Goal, delivery) =>
      toTheEnd(deliver(goal, delivery)).pipe(within("deliver", goal.id))
    ),
    cleanup: Effect.fn("WorkspaceGit.cleanup")((goalId: GoalId, cleanupOptions) =>
      cleanup(goalId, cleanupOptions?.force ?? false).pipe(within("cleanup", goalId))
    ),
    list: knownGoals.pipe(
      Effect.flatMap((goalIds) =>
        Effect.forEach(goalIds, (goalId) => entryOf(goalId).pipe(within("list", goalId)), { concurrency: 4 })
      ),
      Effect.map((entries) => entries.flatMap(Option.toArray)),
      failingAs("list")
    ),
    prune: Effect.fn("WorkspaceGit.prune")(function* (goalIds, pruneOptions) {
      const outcomes = yield* Effect.forEach(
        goalIds,
        (goalId) =>
          pruneOne(goalId, pruneOptions?.force ?? false).pipe(
            within("prune", goalId),
            // One goal's trouble does not keep the others.
            Effect.catchAll((error) => Effect.succeed(error.detail)),
            Effect.map((reason) => ({ goalId, reason }))
          ),
        { concurrency: 4 }
      )
      return {
        removed: outcomes.flatMap(({ goalId, reason }) => (reason === undefined ? [goalId] : [])),
        kept: outcomes.flatMap(({ goalId, reason }) => (reason === undefined ? [] : [{ goalId, reason }]))
      }
    })
  })
})
