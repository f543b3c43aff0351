/**
 * Checkpoints: a directory's tree as a commit, with the branches and HEAD of that moment in its message,
 * under the goal's next number.
 *
 * Owns `refs/driver/<goal>/<n>` and the format of those messages. Putting one back is `restore.ts`'s;
 * none is ever changed, and only pruning the goal removes them.
 */
import type { GoalId } from "@driver/domain/Goal"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { decodeName, toBinary } from "../Git.js"
import { CheckpointId, WorkspaceError } from "../Workspace.js"
import { makePrivateGit } from "./privateGit.js"
import { makeSnapshotIndex, type Taken } from "./snapshotIndex.js"
import type { Head, SnapshotStore, StoredCheckpoint } from "./snapshotStore.js"
import { datedAt, makeTrees } from "./trees.js"
import type { Failure } from "./workspaceFailure.js"
import { headText, makeWorktreeHead } from "./worktreeHead.js"

/** What a checkpoint says, but for the tree. */
interface Draft {
  readonly at: Head
  readonly branches: StoredCheckpoint["branches"]
  readonly createdAt: number
  readonly line: string
  readonly message: string
  readonly parents: ReadonlyArray<string>
}

/** Makes, lists and finds checkpoints. */
export const makeCheckpoints = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { real, updateRefs } = yield* makePrivateGit
  const { head, resolveBranch } = yield* makeWorktreeHead
  const { commitSame, remember, startingOver, take } = yield* makeSnapshotIndex
  const { commitTree } = yield* makeTrees

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

  const draftOf = Effect.fnUntraced(function* (
    store: SnapshotStore,
    label: string,
    also: ReadonlyArray<string> = []
  ): Effect.fn.Return<Draft, Failure> {
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
    return { at, branches, createdAt, line, message, parents }
  })

  const commitOf = (store: SnapshotStore, tree: string, { createdAt, message, parents }: Draft) =>
    commitTree(store, tree, parents, message, createdAt).pipe(
      // HEAD of the agent's may name what is no commit. The files are worth keeping all the same.
      Effect.catchIf(
        (error) => error.reason === "exit" && parents.length > 0,
        () => commitTree(store, tree, [], message, createdAt)
      )
    )

  const record = Effect.fnUntraced(function* (
    store: SnapshotStore,
    label: string,
    taken: Taken,
    /** Branches to write down beside HEAD's and the goal's own. */
    also: ReadonlyArray<string> = []
  ): Effect.fn.Return<StoredCheckpoint, Failure> {
    const draft = yield* draftOf(store, label, also)
    return yield* keep(store, draft, taken, yield* commitOf(store, taken.tree, draft))
  })

  /** Makes the commit the goal's next checkpoint. */
  const keep = Effect.fnUntraced(function* (
    store: SnapshotStore,
    draft: Draft,
    taken: Taken,
    commit: string
  ): Effect.fn.Return<StoredCheckpoint, Failure> {
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
    return yield* noted(store, draft, taken, commit, yield* nextNumber(store).pipe(Effect.flatMap(claim)))
  })

  const noted = Effect.fnUntraced(function* (
    store: SnapshotStore,
    { at, branches, createdAt, line }: Draft,
    { memory, tree }: Taken,
    commit: string,
    number: number
  ): Effect.fn.Return<StoredCheckpoint, Failure> {
    const id = CheckpointId.make(String(number))
    yield* remember(store, { ...memory, last: { id, commit, tree, head: headText(at) } })
    return { id, commit, createdAt, label: line, head: at, branches }
  })

  /** Saves the directory and HEAD as the next checkpoint. Usually the directory was looked at a moment ago and is still the same. */
  const checkpoint = (store: SnapshotStore, label: string) => {
    const attempt = Effect.gen(function* () {
      const draft = yield* draftOf(store, label)
      const number = yield* nextNumber(store)
      const same = yield* commitSame(store, {
        reference: `${namespace(store)}/${number}`,
        parents: draft.parents,
        message: draft.message,
        env: datedAt(draft.createdAt)
      })
      if (Option.isSome(same)) return yield* noted(store, draft, same.value.taken, same.value.commit, number)
      const taken = yield* take(store)
      return yield* keep(store, draft, taken, yield* commitOf(store, taken.tree, draft))
    })
    // A tree that was known may have been pruned behind our back.
    return attempt.pipe(startingOver(store, attempt))
  }

  return {
    list,
    find,
    record,
    checkpoint
  }
})

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
