/**
 * git as the snapshots run it: on the driver's own git directories (`raw`, `plain`), on the objects alone,
 * and on the repository itself for references.
 *
 * Owns `raw` and `plain` in a goal's state directory and how references are changed. Why there are two is
 * said in `snapshots.ts`; what is in the index beside them is `snapshotIndex.ts`'s.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { encodeText, Git, type GitCall, type GitError, type GitOutput, type GitScript } from "../Git.js"
import type { SnapshotStore } from "./snapshotStore.js"

/** Runs git, and makes the directories it needs for that. */
export const makePrivateGit = Effect.gen(function* () {
  const git = yield* Git
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path

  const rawEnv = (store: SnapshotStore) => ({
    GIT_DIR: path.join(store.state, "raw"),
    GIT_WORK_TREE: store.workTree,
    GIT_OBJECT_DIRECTORY: path.join(store.common, "objects"),
    GIT_INDEX_FILE: path.join(store.state, "index")
  })

  /** git as the snapshots run it: our configuration, bytes as they are. */
  const raw = (store: SnapshotStore, call: Omit<GitCall, "cwd">) =>
    git.run({ ...call, cwd: store.workTree, env: { ...rawEnv(store), ...call.env } })

  /** The same with one of `gitScripts.ts`. None when the case is not the usual one, or there is no shell. */
  const rawScript = (store: SnapshotStore, script: Omit<GitScript, "cwd">): Effect.Effect<Option.Option<GitOutput>> =>
    git
      .script({
        // As long as its commands may take one by one.
        timeout: "3 minutes",
        ...script,
        cwd: store.workTree,
        env: { ...rawEnv(store), ...script.env }
      })
      .pipe(Effect.option, Effect.map(Option.filter(({ truncated }) => !truncated)))

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

  return {
    raw,
    rawScript,
    plain,
    real,
    objects,
    updateRefs,
    writeAtomically,
    prepare
  }
})

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
