/**
 * `Workspace` over plain directories below a root, without a repository: `goal.workspace`, or a
 * directory named after the goal. A path that would leave the root (`..`, absolute, through a
 * symlink) is refused.
 *
 *     <root>/<goal.workspace or goal-id>       the directory; nothing of the driver's own lies in it
 *     <stateDirectory>/directories/<goal-id>/  which directory, and a git store of its own for checkpoints
 *
 * Checkpoints need git on the machine. Without it `ensure` works all the same and says so in
 * the log; what needs a checkpoint fails. A directory that was there before the goal is never removed.
 */
import { type Goal, GoalId } from "@driver/domain/Goal"
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { decodeName, type Git, type GitError } from "./Git.js"
import { makeDirectories } from "./internal/directories.js"
import { makeKeyedMutex } from "./internal/repositoryLock.js"
import { makeSnapshots, type SnapshotStore, toCheckpoint, toTheEnd } from "./internal/snapshots.js"
import { failingAs } from "./internal/workspaceErrors.js"
import {
  type Delivered,
  type Delivery,
  Workspace,
  type WorkspaceEntry,
  WorkspaceError,
  type WorkspaceInfo
} from "./Workspace.js"

export interface WorkspaceDirectoryOptions {
  /** Made when absent. */
  readonly root: string
  /** The driver's own directory, outside of the root. */
  readonly stateDirectory: string
}

type Failure = WorkspaceError | GitError | PlatformError

/** What is known about a goal's directory. */
class DirectoryRecord extends Schema.Class<DirectoryRecord>("DirectoryRecord")({
  goalId: Schema.propertySignature(GoalId).pipe(Schema.fromKey("goal_id")),
  path: Schema.String,
  /** True when the driver made the directory. */
  created: Schema.Boolean
}) {
  static readonly Json = Schema.parseJson(DirectoryRecord)
}

export const layer = (
  options: WorkspaceDirectoryOptions
): Layer.Layer<Workspace, never, Git | FileSystem.FileSystem | Path.Path> => Layer.scoped(Workspace, make(options))

const make = Effect.fnUntraced(function* (options: WorkspaceDirectoryOptions) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const snapshots = yield* makeSnapshots
  const directories = yield* makeDirectories
  const exclusively = yield* makeKeyedMutex
  const states = path.resolve(options.stateDirectory, "directories")

  const stateOf = (goalId: GoalId) => path.join(states, goalId)
  const recordFile = (goalId: GoalId) => path.join(stateOf(goalId), "workspace.json")
  const baseReference = (goalId: GoalId) => `refs/driver/${goalId}/base`

  const fail = (operation: string, reason: WorkspaceError["reason"], detail: string) =>
    new WorkspaceError({ operation, reason, detail })

  const isDirectory = (directory: string) =>
    fs.stat(directory).pipe(
      Effect.map((info) => info.type === "Directory"),
      Effect.orElseSucceed(() => false)
    )

  const storeOf = (record: DirectoryRecord): SnapshotStore => ({
    goalId: record.goalId,
    state: stateOf(record.goalId),
    workTree: record.path,
    common: path.join(stateOf(record.goalId), "store"),
    admin: Option.none(),
    branch: Option.none(),
    objectFormat: "sha1"
  })

  const readRecord = (goalId: GoalId) =>
    fs.readFileString(recordFile(goalId)).pipe(Effect.flatMap(Schema.decode(DirectoryRecord.Json)), Effect.option)

  const open = Effect.fnUntraced(function* (operation: string, goalId: GoalId) {
    const record = yield* readRecord(goalId)
    if (Option.isNone(record)) {
      return yield* fail(operation, "unknown_goal", `goal ${goalId} has no directory here; \`ensure\` makes one`)
    }
    return { record: record.value, store: storeOf(record.value) }
  })

  const openDirectory = Effect.fnUntraced(function* (operation: string, goalId: GoalId) {
    const opened = yield* open(operation, goalId)
    if (!(yield* isDirectory(opened.record.path))) {
      return yield* fail(
        operation,
        "io_failed",
        `the directory ${opened.record.path} is gone; \`ensure\` brings it back`
      )
    }
    return opened
  })

  const prepareRoot = Effect.fnUntraced(function* (): Effect.fn.Return<string, Failure> {
    const wanted = path.resolve(options.root)
    yield* fs.makeDirectory(wanted, { recursive: true }).pipe(
      Effect.catchIf(
        (error) => error._tag === "SystemError" && (error.reason === "AlreadyExists" || error.reason === "BadResource"),
        () => fail("ensure", "bad_root", `the workspace root ${wanted} is not a directory; choose another one`)
      )
    )
    return yield* fs.realPath(wanted)
  })

  /** Where a path below the root really is, looking through the symlinks that exist. Nothing is made. */
  const resolveInside = Effect.fnUntraced(function* (
    root: string,
    wanted: string
  ): Effect.fn.Return<string, WorkspaceError> {
    const outside = (why: string) =>
      fail("ensure", "outside_root", `the workspace ${wanted} ${why} the root ${root}; name a directory below it`)
    const inside = (candidate: string) => candidate.startsWith(root + path.sep)
    if (path.isAbsolute(wanted)) {
      return yield* outside("is absolute, not below")
    }
    if (wanted.includes("\0") || !inside(path.join(root, wanted))) {
      return yield* outside("is not below")
    }
    const parts = path
      .normalize(wanted)
      .split(path.sep)
      .filter((part) => part !== "" && part !== ".")
    let current = root
    for (const part of parts) {
      const next = path.join(current, part)
      const linked = yield* Effect.isSuccess(fs.readLink(next))
      if (!linked) {
        current = next
        continue
      }
      const target = yield* fs.realPath(next).pipe(Effect.orElseSucceed(() => ""))
      if (!inside(target)) {
        return yield* outside("leads by a symlink out of")
      }
      current = target
    }
    return current
  })

  const infoOf = (record: DirectoryRecord, reused: boolean): WorkspaceInfo => ({
    goalId: record.goalId,
    path: record.path,
    branch: Option.none(),
    base: Option.none(),
    repository: Option.none(),
    reused
  })

  /** An empty git directory: what `git init --bare` makes, without templates. */
  const prepareStore = Effect.fnUntraced(function* (store: SnapshotStore) {
    yield* fs.makeDirectory(path.join(store.common, "objects"), { recursive: true })
    yield* fs.makeDirectory(path.join(store.common, "refs"), { recursive: true })
    yield* snapshots.writeAtomically(path.join(store.common, "HEAD"), "ref: refs/heads/none\n")
    yield* snapshots.writeAtomically(
      path.join(store.common, "config"),
      "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
    )
    yield* snapshots.prepare(store, [])
  })

  const baseOf = (store: SnapshotStore) => snapshots.resolveBranch(store, baseReference(store.goalId))

  const needBase = Effect.fnUntraced(function* (
    operation: string,
    store: SnapshotStore
  ): Effect.fn.Return<string, Failure> {
    const base = yield* baseOf(store)
    if (Option.isNone(base)) {
      return yield* fail(
        operation,
        "git_failed",
        `no snapshot of ${store.workTree} was made when goal ${store.goalId} started; install git and start the goal anew`
      )
    }
    return base.value
  })

  const ensure = Effect.fn("WorkspaceDirectory.ensure")(function* (
    goal: Goal
  ): Effect.fn.Return<WorkspaceInfo, Failure> {
    const known = yield* readRecord(goal.id)
    const root = yield* prepareRoot()
    const wanted = yield* resolveInside(
      root,
      Option.getOrElse(goal.workspace, () => goal.id)
    )
    const kept = Option.filter(known, (record) => record.path === wanted)
    const existed = yield* isDirectory(wanted)
    if (!existed) {
      yield* fs.makeDirectory(wanted, { recursive: true }).pipe(
        Effect.catchIf(
          (error) =>
            error._tag === "SystemError" && (error.reason === "AlreadyExists" || error.reason === "BadResource"),
          () => fail("ensure", "bad_root", `${wanted}, or something above it, is a file; choose another workspace`)
        )
      )
    }
    if ((yield* fs.realPath(wanted)) !== wanted) {
      return yield* fail(
        "ensure",
        "outside_root",
        `${wanted} was replaced by a symlink just now; see who writes in ${root}`
      )
    }
    const record = Option.getOrElse(
      kept,
      () => new DirectoryRecord({ goalId: goal.id, path: wanted, created: !existed })
    )
    const store = storeOf(record)
    yield* fs.makeDirectory(store.state, { recursive: true, mode: 0o700 })
    yield* prepareStore(store)
    yield* snapshotAtStart(store, Option.isSome(kept) && !existed).pipe(
      Effect.catchTag("GitError", (error) => Effect.logWarning(`${record.path} has no checkpoints: ${error.message}`))
    )
    const json = yield* Effect.orDie(Schema.encode(DirectoryRecord.Json)(record))
    yield* snapshots.writeAtomically(recordFile(goal.id), json)
    return infoOf(record, Option.isSome(kept))
  })

  /** What the goal is compared with; or, for a directory that vanished, its files as they were last seen. */
  const snapshotAtStart = Effect.fnUntraced(function* (store: SnapshotStore, vanished: boolean) {
    if (vanished) {
      const last = (yield* snapshots.list(store)).at(-1)
      if (last !== undefined) {
        yield* snapshots.refill(store, last)
        return
      }
    }
    if (Option.isNone(yield* baseOf(store))) {
      yield* snapshots.forgetIndex(store)
      const { tree } = yield* snapshots.exactTree(store)
      const now = yield* Clock.currentTimeMillis
      const commit = yield* snapshots.commitTree(store, tree, [], "Start of the goal", now)
      yield* snapshots.updateRefs(store, [`create ${baseReference(store.goalId)} ${commit}`])
    }
  })

  /** Names that differ from the directory as the goal found it. */
  const changedPaths = Effect.fnUntraced(function* (
    operation: string,
    goalId: GoalId
  ): Effect.fn.Return<ReadonlyArray<string>, Failure> {
    const { store } = yield* openDirectory(operation, goalId)
    const base = yield* needBase(operation, store)
    const { skipped, tree } = yield* snapshots.exactTree(store)
    const changes = yield* snapshots.compareTrees(store, base, tree)
    return [...new Set([...changes.map((change) => decodeName(change.name)), ...skipped])].sort()
  })

  const hasUndeliveredWork = Effect.fnUntraced(function* (record: DirectoryRecord): Effect.fn.Return<boolean, Failure> {
    const store = storeOf(record)
    if (yield* isDirectory(record.path)) {
      return Option.isNone(yield* baseOf(store)) || (yield* changedPaths("list", record.goalId)).length > 0
    }
    const last = (yield* snapshots.list(store)).at(-1)
    const base = yield* baseOf(store)
    return (
      last !== undefined &&
      Option.isSome(base) &&
      (yield* snapshots.compareTrees(store, base.value, last.commit)).length > 0
    )
  })

  const deliver = Effect.fnUntraced(function* (goal: Goal, delivery: Delivery): Effect.fn.Return<Delivered, Failure> {
    const { record, store } = yield* openDirectory("deliver", goal.id)
    const result = (summary: string): Delivered => ({
      mode: delivery.mode,
      branch: Option.none(),
      commit: Option.none(),
      summary
    })
    switch (delivery.mode) {
      case "branch":
        return result(`The work is in ${record.path}.`)
      case "patch": {
        const base = yield* needBase("deliver", store)
        const { tree } = yield* snapshots.exactTree(store)
        if ((yield* snapshots.compareTrees(store, base, tree)).length === 0) {
          return result("Nothing differs from the start, so no patch was written.")
        }
        const target = path.resolve(delivery.file)
        yield* snapshots.writePatch(store, base, tree, goal.description, target)
        return result(`The work is in ${target}; \`git apply\` takes it.`)
      }
      case "squash":
      case "merge":
        return yield* fail(
          "deliver",
          "not_a_repository",
          `${record.path} is a plain directory, so there is no branch to ${delivery.mode}; deliver a patch, or leave the files where they are`
        )
    }
  })

  const remove = Effect.fnUntraced(function* (record: DirectoryRecord) {
    if (record.created) {
      yield* directories.remove(record.path)
    }
    yield* snapshots.forgetIndex(storeOf(record))
  })

  const cleanup = Effect.fnUntraced(function* (goalId: GoalId, force: boolean): Effect.fn.Return<void, Failure> {
    const { record, store } = yield* open("cleanup", goalId)
    if (!(yield* isDirectory(record.path))) {
      return
    }
    if (!record.created) {
      return yield* fail(
        "cleanup",
        "undelivered_work",
        `${record.path} was there before goal ${goalId}, so driver does not remove it; remove it yourself`
      )
    }
    if (!force && (yield* hasUndeliveredWork(record))) {
      return yield* fail("cleanup", "undelivered_work", `${record.path} holds the goal's work; copy it away, or force`)
    }
    // What `ensure` brings back.
    yield* snapshots.checkpoint(store, "before cleanup").pipe(
      Effect.catchIf(
        () => force,
        (error) => Effect.logWarning(`No checkpoint before the forced removal of ${record.path}: ${error.message}`)
      )
    )
    yield* remove(record)
  })

  const pruneOne = Effect.fnUntraced(function* (
    goalId: GoalId,
    force: boolean
  ): Effect.fn.Return<string | undefined, Failure> {
    const { record } = yield* open("prune", goalId)
    if (!force && (yield* hasUndeliveredWork(record))) {
      return `${record.path} holds the goal's work; copy it away, or force`
    }
    yield* remove(record)
    yield* fs.remove(stateOf(goalId), { force: true, recursive: true })
    return undefined
  })

  const within =
    (operation: string, goalId: GoalId) =>
    <A>(effect: Effect.Effect<A, Failure>) =>
      effect.pipe(exclusively(goalId), failingAs(operation))

  const entryOf = Effect.fnUntraced(function* (
    goalId: GoalId
  ): Effect.fn.Return<Option.Option<WorkspaceEntry>, Failure> {
    const record = yield* readRecord(goalId)
    if (Option.isNone(record)) {
      return Option.none()
    }
    return Option.some({
      ...infoOf(record.value, true),
      checkpoints: (yield* snapshots.list(storeOf(record.value))).map(toCheckpoint),
      undelivered: yield* hasUndeliveredWork(record.value)
    })
  })

  return Workspace.of({
    ensure: (goal) => ensure(goal).pipe(within("ensure", goal.id)),
    checkpoint: Effect.fn("WorkspaceDirectory.checkpoint")((goalId: GoalId, label: string) =>
      openDirectory("checkpoint", goalId).pipe(
        Effect.flatMap(({ store }) => snapshots.checkpoint(store, label)),
        Effect.map(toCheckpoint),
        within("checkpoint", goalId)
      )
    ),
    rollback: Effect.fn("WorkspaceDirectory.rollback")((goalId: GoalId, to) =>
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
    diffStat: Effect.fn("WorkspaceDirectory.diffStat")((goalId: GoalId, since) =>
      openDirectory("diffStat", goalId).pipe(
        Effect.flatMap(({ store }) => snapshots.diffStat(store, since)),
        within("diffStat", goalId)
      )
    ),
    changedPaths: (goalId) => changedPaths("changedPaths", goalId).pipe(within("changedPaths", goalId)),
    diff: (goalId, maxBytes) =>
      openDirectory("diff", goalId).pipe(
        Effect.flatMap(({ store }) =>
          Effect.gen(function* () {
            const base = yield* needBase("diff", store)
            const { tree } = yield* snapshots.exactTree(store)
            return yield* snapshots.diff(store, base, tree, maxBytes)
          })
        ),
        within("diff", goalId)
      ),
    isClean: (goalId) =>
      changedPaths("isClean", goalId).pipe(
        Effect.map((names) => names.length === 0),
        within("isClean", goalId)
      ),
    deliver: (goal, delivery) => toTheEnd(deliver(goal, delivery)).pipe(within("deliver", goal.id)),
    cleanup: (goalId, cleanupOptions) =>
      cleanup(goalId, cleanupOptions?.force ?? false).pipe(within("cleanup", goalId)),
    list: fs.readDirectory(states).pipe(
      Effect.orElseSucceed((): Array<string> => []),
      Effect.flatMap((names) =>
        Effect.forEach(names.sort().filter(Schema.is(GoalId)), (goalId) => entryOf(goalId).pipe(within("list", goalId)))
      ),
      Effect.map((entries) => entries.flatMap(Option.toArray))
    ),
    prune: Effect.fn("WorkspaceDirectory.prune")(function* (goalIds, pruneOptions) {
      const outcomes = yield* Effect.forEach(goalIds, (goalId) =>
        pruneOne(goalId, pruneOptions?.force ?? false).pipe(
          within("prune", goalId),
          // One goal's trouble does not keep the others.
          Effect.catchAll((error) => Effect.succeed(error.detail)),
          Effect.map((reason) => ({ goalId, reason }))
        )
      )
      return {
        removed: outcomes.flatMap(({ goalId, reason }) => (reason === undefined ? [goalId] : [])),
        kept: outcomes.flatMap(({ goalId, reason }) => (reason === undefined ? [] : [{ goalId, reason }]))
      }
    })
  })
})
