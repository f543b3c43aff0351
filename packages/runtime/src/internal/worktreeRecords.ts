/**
 * Which worktree belongs to which goal: a record per goal in the state directory, and the references in the
 * repository from which a lost record is written again.
 *
 * Owns `workspace.json` and the names of a goal's references. The references themselves and the worktree are
 * made and removed by `worktrees.ts` and `worktreeCleanup.ts`.
 */
import { GoalId } from "@driver/domain/Goal"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { text } from "../Git.js"
import type { WorkspaceInfo } from "../Workspace.js"
import { makeDirectories } from "./directories.js"
import type { Repositories } from "./repositories.js"
import { ObjectFormat, type SnapshotStore } from "./snapshotStore.js"
import { makeSnapshots } from "./snapshots.js"
import { type Failure, fail } from "./workspaceFailure.js"

/** What is known about a goal's worktree, kept in the state directory. */
export class WorktreeRecord extends Schema.Class<WorktreeRecord>("WorktreeRecord")({
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

/** The goal's branch as people name it, the same in full, and the reference to where the goal started. */
export const shortBranch = (goalId: GoalId) => `driver/${goalId}`
export const fullBranch = (goalId: GoalId) => `refs/heads/driver/${goalId}`
export const baseReference = (goalId: GoalId) => `refs/driver/${goalId}/base`

export type WorktreeRecords = Effect.Effect.Success<ReturnType<typeof makeWorktreeRecords>>

/** Opens goals' worktrees: `open` fails with `unknown_goal` when neither record nor references know it. */
export const makeWorktreeRecords = Effect.fnUntraced(function* (
  options: {
    /** Where goals are looked for that have no record. */
    readonly repository: string
    /** Where their worktrees lie. */
    readonly root: string
    readonly stateDirectory: string
  },
  { checkoutSettings, inRepository, isDirectory, locate }: Repositories
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const snapshots = yield* makeSnapshots
  const directories = yield* makeDirectories
  const states = path.resolve(options.stateDirectory, "workspaces")

  const stateOf = (goalId: GoalId) => path.join(states, goalId)
  const repositoryOf = (common: string) => (path.basename(common) === ".git" ? path.dirname(common) : common)

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

  return {
    stateOf,
    repositoryOf,
    findAdmin,
    readRecord,
    writeRecord,
    storeOf,
    open,
    openDirectory,
    infoOf,
    knownGoals
  }
})
