/**
 * The driver's index of a directory, and the tree that it makes: every file looked at once, what git
 * ignores left out unless the agent tracks it, what git cannot read named.
 *
 * Owns `index` and `snapshot.json` in a goal's state directory, both of which can be made anew from the
 * directory. The agent's index is only read here, to learn which ignored files it tracks.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import {
  decodeName,
  encodeRecords,
  encodeText,
  fromBinary,
  type GitCall,
  type GitError,
  records,
  text,
  toBinary
} from "../Git.js"
import { CheckpointId, WorkspaceError } from "../Workspace.js"
import { checkpointOfSame, indexAndTree } from "./gitScripts.js"
import { makePrivateGit, retryingLocks } from "./privateGit.js"
import type { SnapshotStore } from "./snapshotStore.js"
import type { Failure } from "./workspaceFailure.js"
import { commitPattern, makeWorktreeHead } from "./worktreeHead.js"

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
export type Memory = typeof Memory.Type
const MemoryJson = Schema.parseJson(Memory)
const noMemory: Memory = { signature: "", pending: [] }

/** A snapshot, with what was known before and what is known now. */
export interface Taken {
  readonly known: Memory
  readonly memory: Memory
  readonly tree: string
  /** What changed since the commit that was asked about, as git's `--stat`, where that was found out on the way. */
  readonly stat: Option.Option<string>
  readonly skipped: ReadonlyArray<string>
}

/** What looking at the directory came to. */
interface Found {
  readonly signature: string
  readonly pending: ReadonlyArray<string>
  /** The tree of our index, when it is the one that was known. */
  readonly tree: Option.Option<string>
  /** The tree of our index, when it was made on the way. */
  readonly made: Option.Option<{ readonly tree: string; readonly stat: Option.Option<string> }>
  /** What could not be read. */
  readonly skipped: ReadonlyArray<string>
}

/** Stands for a file that is not there. */
const noFile = "none"

/** More unreadable paths than this in one directory is a failure of its own. */
const maxRefused = 200

/** Takes snapshots: `take` looks at the directory, `settle` keeps what that found out for the next time. */
export const makeSnapshotIndex = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { raw, rawScript } = yield* makePrivateGit
  const { head } = yield* makeWorktreeHead

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

  /**
   * Takes over the agent's index as ours, right after git has written it together with the files: what it says of them
   * is true then, and nothing has to be read. Not where git may write a file otherwise than it is stored: our index
   * stands for the bytes. Without it, the first snapshot makes our index.
   */
  const adopt = Effect.fnUntraced(function* (store: SnapshotStore, admin: string, settings: ReadonlyArray<string>) {
    if (settings.some((line) => /^(autocrlf|eol) /i.test(line))) return
    const theirs = path.join(admin, "index")
    const { mtime } = yield* fs.stat(theirs)
    const bytes = yield* fs.readFile(theirs)
    if (Option.isNone(mtime) || mayConvert(bytes)) return
    yield* fs.writeFile(indexOf(store), bytes)
    // git looks again at files that are not older than its index.
    yield* fs.utimes(indexOf(store), mtime.value, mtime.value)
    yield* remember(store, { ...noMemory, signature: yield* signature(store) })
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
    const [ourNames, agentNames] = yield* Effect.all(
      [
        listIgnored(store, path.join(store.state, "index")),
        Option.match(store.admin, {
          onNone: () => Effect.succeed<ReadonlyArray<string> | undefined>([]),
          onSome: (admin) =>
            listIgnored(store, path.join(admin, "index")).pipe(
              // A split or damaged index of the agent's: what we track stays tracked.
              Effect.catchIf(
                (error) => error.reason === "exit",
                (error) =>
                  Effect.logWarning(`The index of ${store.workTree} cannot be read: ${error.detail}`).pipe(
                    Effect.as(undefined)
                  )
              )
            )
        })
      ],
      { concurrency: 2 }
    )
    const ours = new Set(ourNames)
    const agents = new Set(agentNames ?? ourNames)
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

  /** The changed paths into our index, its tree, and what that changes since the commit. None when it has to be done in steps. */
  const indexAtOnce = (store: SnapshotStore, changed: ReadonlyArray<string>, since: string | undefined) =>
    Effect.map(
      rawScript(store, {
        name: "index and tree",
        text: indexAndTree,
        args: [since ?? ""],
        stdin: encodeRecords(changed)
      }),
      Option.flatMap((output) => {
        const printed = text(output)
        const end = printed.lastIndexOf("\n")
        const tree = printed.slice(end + 1)
        const stat = since === undefined ? Option.none<string>() : Option.some(printed.slice(0, end).replace(/\n$/, ""))
        return commitPattern.test(tree) ? Option.some({ tree, stat }) : Option.none()
      })
    )

  /** Looks at every file once and brings our index up to date. */
  const refresh = Effect.fnUntraced(function* (
    store: SnapshotStore,
    known: Memory,
    since: string | undefined
  ): Effect.fn.Return<Found, Failure> {
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
      return { signature: now, pending: known.pending, tree, made: Option.none(), skipped: [] }
    }
    if (changed.length > 0 && nested.length === 0 && !ignoreChanged) {
      const made = yield* indexAtOnce(store, changed, since)
      if (Option.isSome(made)) {
        return { signature: now, pending: [], tree: Option.none(), made, skipped: [] }
      }
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
      made: Option.none(),
      skipped: [...skipped, ...ignored.skipped].map(decodeName)
    }
  })

  /**
   * A directory that is as it was when it was looked at last, kept as a commit under the reference. None when it is not,
   * or when that has to be found out in steps: then nothing is kept.
   */
  const commitSame = Effect.fnUntraced(function* (
    store: SnapshotStore,
    commit: {
      readonly reference: string
      readonly parents: ReadonlyArray<string>
      readonly message: string
      readonly env: Readonly<Record<string, string>>
    }
  ): Effect.fn.Return<Option.Option<{ readonly taken: Taken; readonly commit: string }>> {
    const known = yield* recall(store)
    const before = yield* signatureOf(indexOf(store))
    const now = yield* signature(store)
    if (before === noFile || now !== known.signature || known.pending.length > 0) return Option.none()
    const tree = known.tree?.index === before ? known.tree.id : undefined
    const done = yield* rawScript(store, {
      name: "checkpoint of what is the same",
      text: checkpointOfSame,
      args: [commit.reference, store.common, tree ?? "", ...commit.parents.flatMap((parent) => ["-p", parent])],
      stdin: encodeText(commit.message),
      env: commit.env
    })
    const [id = "", made = ""] = Option.match(done, { onNone: () => "", onSome: text }).split(":")
    if (!commitPattern.test(id) || !commitPattern.test(made)) return Option.none()
    const index = tree === undefined ? yield* signatureOf(indexOf(store)) : before
    const memory: Memory = { ...known, tree: { id, index } }
    return Option.some({ taken: { known, memory, tree: id, stat: Option.none(), skipped: [] }, commit: made })
  })

  const writeTree = (store: SnapshotStore) => raw(store, { args: ["write-tree"] }).pipe(retryingLocks, Effect.map(text))

  /**
   * The tree of the directory, in our index and as an object. An index that git cannot use (damaged,
   * its objects pruned) is made anew, once; so is a lock that a killed git left.
   */
  const take = Effect.fnUntraced(function* (
    store: SnapshotStore,
    /** A commit that the directory will be compared with. */
    since?: string
  ): Effect.fn.Return<Taken, Failure> {
    const attempt = Effect.gen(function* () {
      const known = yield* recall(store)
      const found = yield* refresh(store, known, since)
      const { made, skipped } = found
      const memory: Memory = { ...known, signature: found.signature, pending: found.pending }
      const stat = Option.flatMap(made, (it) => it.stat)
      if (Option.isSome(found.tree)) {
        return { known, memory, tree: found.tree.value, stat, skipped }
      }
      const tree = Option.isSome(made) ? made.value.tree : yield* writeTree(store)
      // After `write-tree`, which keeps what it found out in the index.
      const index = yield* signatureOf(indexOf(store))
      return { known, memory: { ...memory, tree: { id: tree, index } }, tree, stat, skipped }
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

  /** The directory's tree, byte for byte. */
  const exactTree = (store: SnapshotStore) =>
    take(store).pipe(
      Effect.tap((taken) => settle(store, taken)),
      Effect.map(({ skipped, tree }) => ({ skipped, tree }))
    )

  return {
    recall,
    remember,
    addPaths,
    writeTree,
    commitSame,
    take,
    startingOver,
    settle,
    adopt,
    forgetIndex,
    exactTree
  }
})

/** Whether an index names attributes, which may ask for conversions, or has a form in which that cannot be seen. */
const mayConvert = (index: Uint8Array): boolean => {
  const binary = toBinary(index)
  return !/^DIRC\0\0\0[\x02\x03]/.test(binary) || binary.includes(".gitattributes")
}

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
export const removals = (store: SnapshotStore, names: ReadonlyArray<string>): Uint8Array => {
  const none = "0".repeat(store.objectFormat === "sha1" ? 40 : 64)
  return fromBinary(names.map((name) => `0 ${none}\t${name}\0`).join(""))
}
