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
 * Owns the goal's state directory and `refs/driver/<goal>`. One caller at a time per goal.
 */

import type { GoalId } from "@driver/domain/Goal"
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import {
  decodeName,
  encodeRecords,
  encodeText,
  fromBinary,
  Git,
  type GitCall,
  type GitError,
  records,
  text,
  toBinary
} from "../Git.js"
import { type Checkpoint, CheckpointId, type DiffStat, WorkspaceError } from "../Workspace.js"
import { makeDirectories } from "./directories.js"

/** Where the snapshots of one goal are taken and kept. All paths are absolute. */
export interface SnapshotStore {
  readonly goalId: GoalId
  /** The driver's own directory for this goal. */
  readonly state: string
  /** What is looked at. */
  readonly workTree: string
  /** The git directory that has the references and the objects. */
  readonly common: string
  /** The worktree's own part of it, with the agent's HEAD and index. None: a plain directory. */
  readonly admin: Option.Option<string>
  /** The goal's branch, as `refs/heads/…`. */
  readonly branch: Option.Option<string>
  readonly objectFormat: ObjectFormat
}

export const ObjectFormat = Schema.Literal("sha1", "sha256")
export type ObjectFormat = typeof ObjectFormat.Type

/** Where HEAD stands: on a branch that may have no commit yet, or on a commit. */
export interface Head {
  readonly branch: Option.Option<string>
  readonly commit: Option.Option<string>
}

/** A checkpoint with what it says about HEAD. */
export interface StoredCheckpoint extends Checkpoint {
  readonly head: Head
  /** Branches and what they pointed to; none = they had no commit. */
  readonly branches: ReadonlyArray<{ readonly name: string; readonly commit: Option.Option<string> }>
}

/** One path that differs between two trees. Names have one character per byte. */
export interface Change {
  readonly oldMode: string
  readonly newMode: string
  readonly name: string
}

/** What the directory holds, as git would commit it, next to HEAD. */
export interface WorkingTree {
  readonly tree: string
  readonly head: Head
  /** What differs from HEAD's tree. */
  readonly changes: ReadonlyArray<Change>
  /** Nested repositories without a commit, unreadable files: in no snapshot. */
  readonly skipped: ReadonlyArray<string>
}

type Failure = GitError | PlatformError | WorkspaceError

/** What HEAD says where references are not files (reftable). */
const undefinedBranch = "refs/heads/.invalid"

const gitlinkMode = "160000"
const absentMode = "000000"

/** Facts about the last snapshot that save work. Everything here can be found out again. */
const Memory = Schema.Struct({
  /** Stands for the agent's index and the ignore file as they were when ignored files were last looked at. */
  signature: Schema.String,
  /** Ignored files that the agent tracks and that were absent. */
  pending: Schema.Array(Schema.String),
  /** The tree of our index, and what stands for the index file that had it. */
  tree: Schema.optionalWith(Schema.Struct({ id: Schema.String, index: Schema.String }), { exact: true }),
  last: Schema.optionalWith(
    Schema.Struct({ id: CheckpointId, commit: Schema.String, tree: Schema.String, head: Schema.String }),
    { exact: true }
  )
})
type Memory = typeof Memory.Type
const MemoryJson = Schema.parseJson(Memory)
const noMemory: Memory = { signature: "", pending: [] }

/** A snapshot, with what was known before and what is known now. */
interface Taken {
  readonly known: Memory
  readonly memory: Memory
  readonly tree: string
  readonly skipped: ReadonlyArray<string>
}

/** Stands for a file that is not there. */
const noFile = "none"

export type Snapshots = Effect.Effect.Success<typeof makeSnapshots>

/** The operations, over the git and the file system of the caller. */
export const makeSnapshots = Effect.gen(function* () {
  const git = yield* Git
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directories = yield* makeDirectories

  /** git as the snapshots run it: our configuration, bytes as they are. */
  const raw = (store: SnapshotStore, call: Omit<GitCall, "cwd">) =>
    git.run({
      ...call,
      cwd: store.workTree,
      env: {
        GIT_DIR: path.join(store.state, "raw"),
        GIT_WORK_TREE: store.workTree,
        GIT_OBJECT_DIRECTORY: path.join(store.common, "objects"),
        GIT_INDEX_FILE: path.join(store.state, "index"),
        ...call.env
      }
    })

  /** git with our configuration and the tree's own attributes: line ends are converted, filters do not exist. */
  const plain = (store: SnapshotStore, index: string, call: Omit<GitCall, "cwd">) =>
    raw(store, { ...call, env: { GIT_DIR: path.join(store.state, "plain"), GIT_INDEX_FILE: index, ...call.env } })

  /** git on the repository itself, for references. Its configuration is read; nothing in it can run. */
  const real = (store: Pick<SnapshotStore, "common">, call: Omit<GitCall, "cwd">) =>
    git.run({ ...call, cwd: store.common, env: { GIT_DIR: store.common, ...call.env } })

  /** git on the objects alone, with our configuration: merges without merge drivers, diffs without diff drivers. */
  const objects = (store: Pick<SnapshotStore, "common" | "state">, call: Omit<GitCall, "cwd">) =>
    git.run({
      ...call,
      cwd: store.state,
      env: {
        GIT_DIR: path.join(store.state, "raw"),
        GIT_OBJECT_DIRECTORY: path.join(store.common, "objects"),
        ...call.env
      }
    })

  /** Changes references in one transaction: `create <ref> <new>`, `update <ref> <new> <old>`, … */
  const updateRefs = (store: Pick<SnapshotStore, "common">, commands: ReadonlyArray<string>) =>
    commands.length === 0
      ? Effect.void
      : git
          .run({
            // Not through symbolic references: the agent may have made the goal's branch one that stands for another.
            args: ["update-ref", "--no-deref", "--stdin"],
            cwd: store.common,
            env: { GIT_DIR: store.common },
            stdin: encodeText(commands.map((command) => command + "\n").join(""))
          })
          .pipe(retryingLocks, Effect.asVoid)

  // --- the driver's own directory -------------------------------------------------------------

  /** For directories that the agent may write in. */
  const writeAtomically = Effect.fnUntraced(function* (file: string, content: string) {
    const temporary = `${file}.new`
    // A link that somebody put there would be written through.
    yield* fs.remove(temporary, { force: true })
    yield* fs.writeFileString(temporary, content, { flag: "wx" })
    yield* fs.rename(temporary, file)
  })

  const linkTo = (target: string, link: string) =>
    fs.readLink(link).pipe(
      Effect.orElseSucceed(() => ""),
      Effect.flatMap((current) =>
        current === target
          ? Effect.void
          : fs.remove(link, { force: true }).pipe(Effect.zipRight(fs.symlink(target, link)))
      )
    )

  /** Makes `raw` and `plain`. */
  const prepare = Effect.fnUntraced(function* (
    store: SnapshotStore,
    /** Lines of `[core]`. */
    settings: ReadonlyArray<string>
  ) {
    const format = store.objectFormat
    const config = [
      "[core]",
      `\trepositoryformatversion = ${format === "sha1" ? 0 : 1}`,
      "\tbare = false",
      ...settings.map((line) => `\t${line}`),
      ...(format === "sha1" ? [] : ["[extensions]", `\tobjectFormat = ${format}`]),
      ""
    ].join("\n")
    for (const name of ["raw", "plain"]) {
      const directory = path.join(store.state, name)
      yield* fs.makeDirectory(path.join(directory, "refs"), { recursive: true })
      yield* fs.makeDirectory(path.join(directory, "objects"), { recursive: true })
      yield* fs.makeDirectory(path.join(directory, "info"), { recursive: true })
      yield* writeAtomically(path.join(directory, "HEAD"), "ref: refs/heads/none\n")
      yield* writeAtomically(path.join(directory, "config"), config)
      yield* linkTo(path.join(store.common, "info", "exclude"), path.join(directory, "info", "exclude"))
      yield* linkTo(path.join(store.common, "shallow"), path.join(directory, "shallow"))
    }
    yield* writeAtomically(
      path.join(store.state, "raw", "info", "attributes"),
      "* -text !eol !crlf -ident -filter !working-tree-encoding !diff !merge\n"
    )
  })

  const memoryFile = (store: SnapshotStore) => path.join(store.state, "snapshot.json")

  const recall = (store: SnapshotStore): Effect.Effect<Memory> =>
    fs.readFileString(memoryFile(store)).pipe(
      Effect.flatMap(Schema.decode(MemoryJson)),
      Effect.orElseSucceed(() => noMemory)
    )

  /** Not atomic: half a file is as good as none, see `recall`. */
  const remember = (store: SnapshotStore, memory: Memory) =>
    Schema.encode(MemoryJson)(memory).pipe(
      // Only a schema that cannot print its own type fails here.
      Effect.orDie,
      Effect.flatMap((json) => fs.writeFileString(memoryFile(store), json))
    )

  // --- HEAD -----------------------------------------------------------------------------------

  const commitPattern = /^([0-9a-f]{40}|[0-9a-f]{64})$/

  /** What a branch points to. Reads the file where there is one, since this is asked on each turn. */
  const resolveBranch = Effect.fnUntraced(function* (store: Pick<SnapshotStore, "common">, name: string) {
    const loose = /^refs\/[A-Za-z0-9._/-]+$/.test(name) && !name.includes("..")
    const content = loose ? yield* directories.readNote(path.join(store.common, name)) : ""
    if (commitPattern.test(content.trim())) {
      return Option.some(content.trim())
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

  const headText = (at: Head) =>
    `${Option.getOrElse(at.branch, () => "detached")} ${Option.getOrElse(at.commit, () => "unborn")}`

  // --- our index ------------------------------------------------------------------------------

  const signatureOf = (file: string) =>
    fs.stat(file).pipe(
      Effect.map(
        (info) =>
          `${Option.match(info.mtime, { onNone: () => 0, onSome: (time) => time.getTime() })}:${info.size}:${Option.getOrElse(info.ino, () => 0)}`
      ),
      Effect.orElseSucceed(() => noFile)
    )

  /** What decides which ignored files are tracked: the agent's index and the repository's ignore file. */
  const signature = (store: SnapshotStore) =>
    Effect.all([
      Option.match(store.admin, {
        onNone: () => Effect.succeed(noFile),
        onSome: (admin) => signatureOf(path.join(admin, "index"))
      }),
      signatureOf(path.join(store.common, "info", "exclude"))
    ]).pipe(Effect.map((parts) => parts.join(" ")))

  const seed = Effect.fnUntraced(function* (store: SnapshotStore) {
    const at = yield* head(store)
    yield* raw(store, { args: ["read-tree", Option.getOrElse(at.commit, () => "--empty")] }).pipe(retryingLocks)
    yield* raw(store, { args: ["update-index", "-q", "--refresh"] })
  })

  const updateIndexArgs = ["update-index", "-q", "--refresh", "--add", "--remove", "--replace", "-z", "--stdin"]

  /**
   * Brings an index up to date with these paths and resolves with those git could not read.
   * One bad path fails the whole call, so it is left out and the rest tried again.
   */
  const addPaths = Effect.fnUntraced(function* (
    run: (call: Omit<GitCall, "cwd">) => Effect.Effect<unknown, GitError>,
    names: ReadonlyArray<string>
  ) {
    let left = names
    const skipped: Array<string> = []
    while (left.length > 0) {
      const refused = yield* run({ args: updateIndexArgs, stdin: encodeRecords(left) }).pipe(
        retryingLocks,
        Effect.as(undefined),
        Effect.catchIf(
          (error) => error.reason === "exit" && refusedPath(error.detail) !== undefined,
          (error) => Effect.succeed(refusedPath(error.detail))
        )
      )
      if (refused === undefined) {
        break
      }
      const remaining = left.filter((name) => decodeName(name) !== refused)
      if (remaining.length === left.length || skipped.length === maxRefused) {
        return yield* new WorkspaceError({
          operation: "read the directory",
          reason: "io_failed",
          detail: `git cannot read ${refused}; make it readable or remove it`
        })
      }
      skipped.push(...left.filter((name) => decodeName(name) === refused))
      left = remaining
    }
    return skipped
  })

  const listIgnored = (store: SnapshotStore, index: string) =>
    raw(store, {
      args: ["ls-files", "-z", "--cached", "--ignored", "--exclude-standard"],
      env: { GIT_INDEX_FILE: index }
    }).pipe(Effect.map(records))

  /** Our index keeps an ignored file exactly when the agent's index does. Resolves with those the agent tracks and that are absent. */
  const reconcileIgnored = Effect.fnUntraced(function* (store: SnapshotStore) {
    const ours = new Set(yield* listIgnored(store, path.join(store.state, "index")))
    const agents = Option.isNone(store.admin)
      ? new Set<string>()
      : yield* listIgnored(store, path.join(store.admin.value, "index")).pipe(
          Effect.map((names) => new Set(names)),
          // A split or damaged index of the agent's: what we track stays tracked.
          Effect.catchIf(
            (error) => error.reason === "exit",
            (error) =>
              Effect.logWarning(`The index of ${store.workTree} cannot be read: ${error.detail}`).pipe(Effect.as(ours))
          )
        )
    const dropped = [...ours].filter((name) => !agents.has(name))
    if (dropped.length > 0) {
      yield* raw(store, { args: ["update-index", "-z", "--index-info"], stdin: removals(store, dropped) })
    }
    const missing = [...agents].filter((name) => !ours.has(name))
    const skipped = yield* addPaths((call) => raw(store, call), missing)
    const pending: Array<string> = []
    for (const name of missing) {
      if (!(yield* fs.exists(path.join(store.workTree, decodeName(name))))) {
        pending.push(name)
      }
    }
    return { pending, skipped }
  })

  const indexOf = (store: SnapshotStore) => path.join(store.state, "index")

  /** Looks at every file once and brings our index up to date. Resolves with what was found out. */
  const refresh = Effect.fnUntraced(function* (
    store: SnapshotStore,
    known: Memory
  ): Effect.fn.Return<
    {
      readonly signature: string
      readonly pending: ReadonlyArray<string>
      /** The tree of our index, when it is the one that was known. */
      readonly tree: Option.Option<string>
      /** What could not be read. */
      readonly skipped: ReadonlyArray<string>
    },
    Failure
  > {
    const before = yield* signatureOf(indexOf(store))
    if (before === noFile) {
      yield* seed(store)
    }
    const now = yield* signature(store)
    const { changed, nested } = sortListing(
      records(yield* raw(store, { args: ["ls-files", "-z", "-t", "-m", "-o", "--exclude-standard"] }))
    )
    const ignoreChanged =
      now !== known.signature ||
      known.pending.length > 0 ||
      changed.some((name) => name === ".gitignore" || name.endsWith("/.gitignore"))
    if (changed.length === 0 && nested.length === 0 && !ignoreChanged) {
      const tree = Option.fromNullable(known.tree).pipe(
        Option.filter(({ index }) => index === before),
        Option.map(({ id }) => id)
      )
      return { signature: now, pending: known.pending, tree, skipped: [] }
    }
    const skipped = [...(yield* addPaths((call) => raw(store, call), changed))]
    for (const name of nested) {
      // One by one: a repository without a commit is refused, and must not keep the others out.
      skipped.push(...(yield* addPaths((call) => raw(store, call), [name])))
    }
    const ignored = ignoreChanged ? yield* reconcileIgnored(store) : { pending: known.pending, skipped: [] }
    return {
      signature: now,
      pending: ignored.pending,
      tree: Option.none(),
      skipped: [...skipped, ...ignored.skipped].map(decodeName)
    }
  })

  const writeTree = (store: SnapshotStore) => raw(store, { args: ["write-tree"] }).pipe(retryingLocks, Effect.map(text))

  /**
   * The tree of the directory, in our index and as an object. An index that git cannot use (damaged,
   * its objects pruned) is made anew, once; so is a lock that a killed git left.
   */
  const take = Effect.fnUntraced(function* (store: SnapshotStore): Effect.fn.Return<Taken, Failure> {
    const attempt = Effect.gen(function* () {
      const known = yield* recall(store)
      const found = yield* refresh(store, known)
      const tree = Option.isSome(found.tree) ? found.tree.value : yield* writeTree(store)
      const memory: Memory = { ...known, signature: found.signature, pending: found.pending }
      if (Option.isSome(found.tree)) {
        return { known, memory, tree, skipped: found.skipped }
      }
      // After `write-tree`, which keeps what it found out in the index.
      const index = yield* signatureOf(indexOf(store))
      return { known, memory: { ...memory, tree: { id: tree, index } }, tree, skipped: found.skipped }
    })
    const taken = yield* attempt.pipe(startingOver(store, attempt))
    if (taken.skipped.length > 0) {
      yield* Effect.logWarning(
        `Not part of the snapshot of ${store.workTree}, since git cannot read them: ${taken.skipped.slice(0, 10).join(", ")}`
      )
    }
    return taken
  })

  /** When git fails, without our index the second time. */
  const startingOver =
    <A>(store: SnapshotStore, again: Effect.Effect<A, Failure>) =>
    (effect: Effect.Effect<A, Failure>): Effect.Effect<A, Failure> =>
      Effect.catchIf(
        effect,
        (error) => error._tag === "GitError" && error.reason === "exit",
        () => forgetIndex(store).pipe(Effect.zipRight(again))
      )

  /** Keeps what a snapshot found out, when that is news. */
  const settle = (store: SnapshotStore, { known, memory }: Taken) =>
    known.tree?.id === memory.tree?.id &&
    known.tree?.index === memory.tree?.index &&
    known.signature === memory.signature &&
    known.pending.length === 0 &&
    memory.pending.length === 0
      ? Effect.void
      : remember(store, memory)

  const forgetIndex = (store: SnapshotStore) =>
    Effect.forEach(["index", "index.lock", "snapshot.json"], (name) =>
      fs.remove(path.join(store.state, name), { force: true })
    )

  // --- checkpoints ----------------------------------------------------------------------------

  const namespace = (store: Pick<SnapshotStore, "goalId">) => `refs/driver/${store.goalId}`

  /** All checkpoints, oldest first. */
  const list = Effect.fnUntraced(function* (store: Pick<SnapshotStore, "common" | "goalId">) {
    const output = yield* real(store, {
      args: ["for-each-ref", "--format=%(refname)%00%(objectname)%00%(contents)%00", `${namespace(store)}/*`]
    })
    const fields = toBinary(output.stdout).split("\0")
    const found: Array<StoredCheckpoint> = []
    for (let index = 0; index + 2 < fields.length; index += 3) {
      const parsed = parseCheckpoint(
        (fields[index] ?? "").trim(),
        fields[index + 1] ?? "",
        decodeName(fields[index + 2] ?? "")
      )
      if (Option.isSome(parsed)) {
        found.push(parsed.value)
      }
    }
    return found.sort((left, right) => Number(left.id) - Number(right.id))
  })

  const find = Effect.fnUntraced(function* (store: SnapshotStore, id: CheckpointId, operation: string) {
    const all = yield* list(store)
    const found = all.find((checkpoint) => checkpoint.id === id)
    if (found !== undefined) {
      return found
    }
    return yield* new WorkspaceError({
      operation,
      reason: "unknown_checkpoint",
      detail: `goal ${store.goalId} has no checkpoint ${id}; ${
        all.length === 0 ? "it has none" : `it has ${all.map((checkpoint) => checkpoint.id).join(", ")}`
      }`
    })
  })

  /** The number after the highest one that is a file. Packed references are found when the number is taken. */
  const nextNumber = (store: SnapshotStore) =>
    fs.readDirectory(path.join(store.common, namespace(store))).pipe(
      Effect.map((names) =>
        names.filter((name) => /^[1-9][0-9]*$/.test(name)).reduce((max, name) => Math.max(max, Number(name)), 0)
      ),
      Effect.orElseSucceed(() => 0),
      Effect.map((highest) => highest + 1)
    )

  const commitTree = (
    store: SnapshotStore,
    tree: string,
    parents: ReadonlyArray<string>,
    message: string,
    at: number
  ) =>
    objects(store, {
      args: ["commit-tree", tree, ...parents.flatMap((parent) => ["-p", parent])],
      stdin: encodeText(message.endsWith("\n") ? message : `${message}\n`),
      env: {
        GIT_AUTHOR_DATE: `@${Math.floor(at / 1000)} +0000`,
        GIT_COMMITTER_DATE: `@${Math.floor(at / 1000)} +0000`
      }
    }).pipe(Effect.map(text))

  const record = Effect.fnUntraced(function* (
    store: SnapshotStore,
    label: string,
    taken: Taken,
    /** Branches to write down beside HEAD's and the goal's own. */
    also: ReadonlyArray<string> = []
  ): Effect.fn.Return<StoredCheckpoint, Failure> {
    const at = yield* head(store)
    const names = new Set([...Option.toArray(store.branch), ...Option.toArray(at.branch), ...also])
    const branches = yield* Effect.forEach(names, (name) =>
      (Option.contains(at.branch, name) ? Effect.succeed(at.commit) : resolveBranch(store, name)).pipe(
        Effect.map((commit) => ({ name, commit }))
      )
    )
    const createdAt = yield* Clock.currentTimeMillis
    const line = label.replace(/[\s\0]+/g, " ").trim()
    const message = printCheckpoint(store.goalId, line, createdAt, at, branches)
    const parents = [...new Set([at.commit, ...branches.map((branch) => branch.commit)].flatMap(Option.toArray))]
    const commit = yield* commitTree(store, taken.tree, parents, message, createdAt).pipe(
      // HEAD of the agent's may name what is no commit. The files are worth keeping all the same.
      Effect.catchIf(
        (error) => error.reason === "exit" && parents.length > 0,
        () => commitTree(store, taken.tree, [], message, createdAt)
      )
    )
    const claim = (number: number): Effect.Effect<number, Failure> =>
      updateRefs(store, [`create ${namespace(store)}/${number} ${commit}`]).pipe(
        Effect.as(number),
        Effect.catchIf(
          (error) => error.reason === "exit" && /already exists/.test(error.detail),
          () =>
            list(store).pipe(
              Effect.map((all) => all.reduce((max, each) => Math.max(max, Number(each.id)), number)),
              Effect.flatMap((highest) => claim(highest + 1))
            )
        )
      )
    const number = yield* nextNumber(store).pipe(Effect.flatMap(claim))
    const id = CheckpointId.make(String(number))
    yield* remember(store, { ...taken.memory, last: { id, commit, tree: taken.tree, head: headText(at) } })
    return { id, commit, createdAt, label: line, head: at, branches }
  })

  /** The directory's tree, byte for byte. */
  const exactTree = (store: SnapshotStore) =>
    take(store).pipe(
      Effect.tap((taken) => settle(store, taken)),
      Effect.map(({ skipped, tree }) => ({ skipped, tree }))
    )

  /** Saves the directory and HEAD as the next checkpoint. */
  const checkpoint = (store: SnapshotStore, label: string) => {
    const attempt = take(store).pipe(Effect.flatMap((taken) => record(store, label, taken)))
    // A tree that was known may have been pruned behind our back.
    return attempt.pipe(startingOver(store, attempt))
  }

  /** What changed since a checkpoint. One git process when nothing did. */
  const diffStat = Effect.fnUntraced(function* (
    store: SnapshotStore,
    since: CheckpointId
  ): Effect.fn.Return<DiffStat, Failure> {
    const taken = yield* take(store)
    yield* settle(store, taken)
    const { known, tree } = taken
    const from =
      known.last?.id === since
        ? known.last
        : yield* find(store, since, "diffStat").pipe(
            Effect.map((found) => ({ commit: found.commit, tree: undefined, head: headText(found.head) }))
          )
    const moved = yield* describeMove(store, from.head, headText(yield* head(store)))
    if (tree === from.tree) {
      return { text: formatDiffStat("", moved), filesChanged: 0, fingerprint: tree }
    }
    const stat = yield* raw(store, {
      args: ["diff-tree", "-r", "-M", "--stat=76,50,20", from.commit, tree],
      maxOutputBytes: 64 * 1024
    }).pipe(Effect.map(text))
    const total = /^ (\d+) files? changed/.exec(stat.slice(stat.lastIndexOf("\n") + 1))
    return {
      text: formatDiffStat(stat, moved),
      filesChanged: total === null ? 0 : Number(total[1]),
      fingerprint: tree
    }
  })

  /** One line about HEAD, empty when it stands where it stood. */
  const describeMove = Effect.fnUntraced(function* (store: SnapshotStore, from: string, to: string) {
    if (from === to) {
      return ""
    }
    const [fromBranch = "", fromCommit = ""] = from.split(" ")
    const [toBranch = "", toCommit = ""] = to.split(" ")
    const where = fromBranch === toBranch ? "" : ` on ${toBranch.replace(/^refs\/heads\//, "")}`
    if (!commitPattern.test(toCommit) || fromCommit === toCommit) {
      return ` HEAD is ${toCommit.slice(0, 10)}${where}`
    }
    const counted = yield* raw(store, {
      args: ["rev-list", "--count", toCommit, ...(commitPattern.test(fromCommit) ? [`^${fromCommit}`] : [])],
      answers: [0, 128]
    })
    const count = counted.exitCode === 0 ? Number(text(counted)) : 0
    return ` ${count} ${count === 1 ? "commit" : "commits"}, HEAD is ${toCommit.slice(0, 10)}${where}`
  })

  // --- putting a checkpoint back ---------------------------------------------------------------

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

  // --- the working tree as git would commit it --------------------------------------------------

  const treeOf = (store: SnapshotStore, commit: string) =>
    objects(store, { args: ["rev-parse", "--verify", "--end-of-options", `${commit}^{tree}`] }).pipe(Effect.map(text))

  const emptyTree = (store: SnapshotStore) =>
    objects(store, { args: ["hash-object", "-t", "tree", "-w", "--stdin"] }).pipe(Effect.map(text))

  /** Paths that differ between two trees. */
  const compareTrees = (store: SnapshotStore, from: string, to: string) =>
    objects(store, { args: ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", from, to] }).pipe(
      Effect.map((output) => parseChanges(records(output)))
    )

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

  /** Writes the difference between a tree and its base as a mail that `git am` and `git apply` take. */
  const writePatch = Effect.fnUntraced(function* (
    store: SnapshotStore,
    base: string,
    tree: string,
    message: string,
    file: string
  ) {
    const now = yield* Clock.currentTimeMillis
    const commit = yield* commitTree(store, tree, [base], message, now)
    yield* fs.makeDirectory(path.dirname(file), { recursive: true })
    yield* objects(store, {
      args: ["format-patch", "-1", "--binary", "--full-index", "--no-signature", `--output=${file}`, commit]
    })
  })

  /** The unified diff between two trees, renames found. At most `maxBytes` of UTF-8, cut between characters. */
  const diff = (store: SnapshotStore, from: string, to: string, maxBytes: number) =>
    objects(store, {
      args: ["diff-tree", "-r", "-p", "-M", "--no-ext-diff", "--no-textconv", from, to],
      maxOutputBytes: maxBytes
    }).pipe(Effect.map((output) => cutText(output.stdout, maxBytes)))

  return {
    raw,
    plain,
    real,
    objects,
    updateRefs,
    prepare,
    writeAtomically,
    head,
    resolveBranch,
    list,
    find,
    exactTree,
    checkpoint,
    diffStat,
    restore,
    refill,
    forgetIndex,
    setHead,
    resetIndex,
    clearStaleLock,
    checkedOutElsewhere,
    treeOf,
    emptyTree,
    compareTrees,
    commitTree,
    workingTree,
    writePatch,
    diff
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

// --- pure parts ---------------------------------------------------------------------------------

/** More unreadable paths than this in one directory is a failure of its own. */
const maxRefused = 200

/** Milliseconds after which an `index.lock` has no owner: git holds one for as long as it writes the index. */
const staleLockAge = 10_000

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

/** True for failures that go away by themselves: another git holds a lock. */
export const isLockFailure = (error: GitError): boolean =>
  error.reason === "exit" &&
  /Unable to create '.*\.lock': File exists|cannot lock ref .*\.lock|could not lock/s.test(error.detail)

/** Tries again for about five seconds while another git holds a lock. */
export const retryingLocks = <A, R>(effect: Effect.Effect<A, GitError, R>): Effect.Effect<A, GitError, R> =>
  Effect.retry(effect, {
    while: isLockFailure,
    schedule: Schedule.exponential("20 millis", 1.7).pipe(Schedule.jittered, Schedule.intersect(Schedule.recurs(9)))
  })

/** The path that `update-index` gave up on. */
const refusedPath = (detail: string): string | undefined => /fatal: Unable to process path ([\s\S]+)$/.exec(detail)?.[1]

/**
 * `ls-files -t -m -o` as work to do. A tracked path below something new that is no directory any more is left
 * to `--replace`; untracked repositories end in a slash.
 */
export const sortListing = (
  listing: ReadonlyArray<string>
): { readonly changed: ReadonlyArray<string>; readonly nested: ReadonlyArray<string> } => {
  const untracked: Array<string> = []
  const nested: Array<string> = []
  const modified: Array<string> = []
  for (const entry of listing) {
    const name = entry.slice(2)
    if (!entry.startsWith("? ")) {
      modified.push(name)
    } else if (name.endsWith("/")) {
      nested.push(name.slice(0, -1))
    } else {
      untracked.push(name)
    }
  }
  const replaced = new Set(untracked)
  const covered = (name: string): boolean => {
    for (let slash = name.indexOf("/"); slash !== -1; slash = name.indexOf("/", slash + 1)) {
      if (replaced.has(name.slice(0, slash))) {
        return true
      }
    }
    return false
  }
  return { changed: [...untracked, ...modified.filter((name) => !covered(name))], nested }
}

/** Input for `update-index -z --index-info` that takes these paths out. */
const removals = (store: SnapshotStore, names: ReadonlyArray<string>): Uint8Array => {
  const none = "0".repeat(store.objectFormat === "sha1" ? 40 : 64)
  return fromBinary(names.map((name) => `0 ${none}\t${name}\0`).join(""))
}

/** `diff-tree --raw -z`: pairs of `:old new sha sha status` and name. */
const parseChanges = (parts: ReadonlyArray<string>): ReadonlyArray<Change> => {
  const changes: Array<Change> = []
  for (let index = 0; index + 1 < parts.length; index += 2) {
    const [oldMode = "", newMode = ""] = (parts[index] ?? "").slice(1).split(" ")
    changes.push({ oldMode, newMode, name: parts[index + 1] ?? "" })
  }
  return changes
}

/** True for a nested repository that HEAD does not have. */
export const isNewGitlink = (change: Change): boolean =>
  change.newMode === gitlinkMode && change.oldMode !== gitlinkMode

const printCheckpoint = (
  goalId: GoalId,
  label: string,
  createdAt: number,
  at: Head,
  branches: StoredCheckpoint["branches"]
): string =>
  [
    label,
    "",
    `Driver-Goal: ${goalId}`,
    `Driver-Created-At: ${createdAt}`,
    `Driver-Head: ${Option.getOrElse(at.commit, () => "unborn")} ${Option.getOrElse(at.branch, () => "detached")}`,
    ...branches.map((branch) => `Driver-Branch: ${Option.getOrElse(branch.commit, () => "unborn")} ${branch.name}`),
    ""
  ].join("\n")

/** None for a reference that is not a checkpoint of ours. */
const parseCheckpoint = (reference: string, commit: string, message: string): Option.Option<StoredCheckpoint> => {
  const id = /\/([1-9][0-9]*)$/.exec(reference)?.[1]
  const [label = "", ...rest] = message.split("\n")
  const values = (name: string) =>
    rest.flatMap((line) => (line.startsWith(`${name}: `) ? [line.slice(name.length + 2)] : []))
  const created = /^[0-9]+$/.exec(values("Driver-Created-At")[0] ?? "")
  const pair = (value: string) => {
    const space = value.indexOf(" ")
    return {
      commit: Option.liftPredicate((word: string) => word !== "unborn")(value.slice(0, space)),
      name: value.slice(space + 1)
    }
  }
  const headLine = values("Driver-Head")[0]
  if (id === undefined || created === null || headLine === undefined) {
    return Option.none()
  }
  const at = pair(headLine)
  return Option.some({
    id: CheckpointId.make(id),
    commit,
    createdAt: Number(created[0]),
    label,
    head: { branch: Option.liftPredicate((name: string) => name !== "detached")(at.name), commit: at.commit },
    branches: values("Driver-Branch").map(pair)
  })
}

/** At most 1 KiB of UTF-8. */
export const maxDiffStatBytes = 1024

/** git's `--stat` and a line about HEAD. What does not fit is left out of the list of files; the totals stay. */
export const formatDiffStat = (stat: string, moved: string): string => {
  const lines = stat === "" ? [] : stat.split("\n")
  const totals = [...lines.splice(-1), ...(moved === "" ? [] : [moved])]
  const size = (parts: ReadonlyArray<string>) => encodeText(parts.join("\n")).length
  if (size([...lines, ...totals]) <= maxDiffStatBytes) {
    return [...lines, ...totals].join("\n")
  }
  const kept: Array<string> = []
  for (const line of lines) {
    if (size([...kept, line, " ...", ...totals]) > maxDiffStatBytes) {
      break
    }
    kept.push(line)
  }
  return cutText(encodeText([...kept, " ...", ...totals].join("\n")), maxDiffStatBytes)
}

/** The first `maxBytes` as text, cut between characters. */
export const cutText = (bytes: Uint8Array, maxBytes: number): string => {
  let end = Math.min(bytes.length, maxBytes)
  // A continuation byte at the cut means that a character was cut: step back to where it begins.
  if (bytes.length >= maxBytes) {
    let start = end - 1
    while (start >= 0 && end - start < 4 && ((bytes[start] ?? 0) & 0xc0) === 0x80) {
      start--
    }
    const lead = bytes[start] ?? 0
    const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1
    if (start >= 0 && start + length > end) {
      end = start
    }
  }
  return new TextDecoder().decode(bytes.subarray(0, end))
}
