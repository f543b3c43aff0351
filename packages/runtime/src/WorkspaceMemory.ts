/**
 * A `Workspace` without files: goals get a path that need not exist, and what a
 * turn "changed" is said by a script. For tests of whatever works with a
 * workspace, and for rehearsals.
 */
import type { GoalId } from "@driver/domain/Goal"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import {
  type Checkpoint,
  type CheckpointId,
  CheckpointId as CheckpointIdSchema,
  type Delivered,
  type DiffStat,
  Workspace,
  WorkspaceError,
  type WorkspaceInfo
} from "./Workspace.js"

/** What was asked of the workspace, oldest first: `ensure`, `checkpoint 1`, `rollback 1`, `deliver branch`, … */
export class WorkspaceLog extends Context.Tag("@driver/runtime/WorkspaceLog")<
  WorkspaceLog,
  Ref.Ref<ReadonlyArray<string>>
>() {}

interface Entry {
  readonly info: WorkspaceInfo
  readonly checkpoints: ReadonlyArray<Checkpoint>
}

/**
 * `diffs[n - 1]` is what `diffStat` says of checkpoint `n`; a list is
 * said in order, its last for ever; when it is absent, nothing has changed since.
 */
export const layer = (options?: {
  readonly diffs?: ReadonlyArray<string | ReadonlyArray<string>>
}): Layer.Layer<Workspace | WorkspaceLog> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const log = yield* Ref.make<ReadonlyArray<string>>([])
      const entries = yield* Ref.make(HashMap.empty<GoalId, Entry>())
      const diffs = options?.diffs ?? []
      const measured = yield* Ref.make(HashMap.empty<CheckpointId, number>())
      const put = (goalId: GoalId, entry: Entry) => Ref.update(entries, HashMap.set(goalId, entry))
      const note = (line: string) => Ref.update(log, (lines) => [...lines, line])

      const find = (operation: string, goalId: GoalId) =>
        Effect.flatMap(Ref.get(entries), (known) =>
          Option.match(HashMap.get(known, goalId), {
            onNone: () =>
              new WorkspaceError({
                operation,
                reason: "unknown_goal",
                detail: `there is no workspace of goal ${goalId}`
              }),
            onSome: Effect.succeed
          })
        )

      const add = (goalId: GoalId, entry: Entry, label: string) =>
        Effect.gen(function* () {
          const number = entry.checkpoints.length + 1
          const checkpoint: Checkpoint = {
            id: CheckpointIdSchema.make(String(number)),
            commit: String(number).padStart(40, "0"),
            createdAt: yield* Clock.currentTimeMillis,
            label
          }
          yield* put(goalId, { ...entry, checkpoints: [...entry.checkpoints, checkpoint] })
          return checkpoint
        })

      const findCheckpoint = (operation: string, entry: Entry, id: CheckpointId) =>
        entry.checkpoints.some((it) => it.id === id)
          ? Effect.void
          : new WorkspaceError({
              operation,
              reason: "unknown_checkpoint",
              detail: `goal ${entry.info.goalId} has no checkpoint ${id}`
            })

      const workspace = Workspace.of({
        ensure: (goal) =>
          Effect.gen(function* () {
            yield* note("ensure")
            const known = HashMap.get(yield* Ref.get(entries), goal.id)
            if (Option.isSome(known)) return { ...known.value.info, reused: true }
            const info: WorkspaceInfo = {
              goalId: goal.id,
              path: `/workspace/${goal.id}`,
              branch: Option.some(`driver/${goal.id}`),
              base: Option.none(),
              repository: Option.none(),
              reused: false
            }
            yield* put(goal.id, { info, checkpoints: [] })
            return info
          }),
        checkpoint: (goalId, label) =>
          Effect.gen(function* () {
            const checkpoint = yield* add(goalId, yield* find("checkpoint", goalId), label)
            yield* note(`checkpoint ${checkpoint.id}`)
            return checkpoint
          }),
        rollback: (goalId, to) =>
          Effect.gen(function* () {
            const entry = yield* find("rollback", goalId)
            yield* findCheckpoint("rollback", entry, to)
            yield* note(`rollback ${to}`)
            return yield* add(goalId, entry, `before rollback to ${to}`)
          }),
        diffStat: (goalId, since) =>
          Effect.gen(function* () {
            yield* findCheckpoint("diffStat", yield* find("diffStat", goalId), since)
            const asked = yield* Ref.modify(measured, (counts) => {
              const count = Option.getOrElse(HashMap.get(counts, since), () => 0)
              return [count, HashMap.set(counts, since, count + 1)] as const
            })
            const said = [diffs[Number(since) - 1] ?? ""].flat()
            const text = said[Math.min(asked, said.length - 1)] ?? ""
            const stat: DiffStat = { text, filesChanged: text === "" ? 0 : 1, fingerprint: text }
            return stat
          }),
        changedPaths: (goalId) => Effect.as(find("changedPaths", goalId), []),
        diff: (goalId) => Effect.as(find("diff", goalId), ""),
        isClean: (goalId) => Effect.as(find("isClean", goalId), true),
        deliver: (goal, delivery) =>
          Effect.gen(function* () {
            const { info } = yield* find("deliver", goal.id)
            yield* note(`deliver ${delivery.mode}`)
            const delivered: Delivered = {
              mode: delivery.mode,
              branch: info.branch,
              commit: Option.none(),
              summary: `delivered as ${delivery.mode}`
            }
            return delivered
          }),
        cleanup: (goalId) => Effect.zipRight(find("cleanup", goalId), note("cleanup")),
        list: Effect.map(Ref.get(entries), (known) =>
          Array.from(HashMap.values(known), ({ checkpoints, info }) => ({ ...info, checkpoints, undelivered: false }))
        ),
        prune: (goalIds) =>
          Effect.gen(function* () {
            yield* Ref.update(entries, HashMap.removeMany(goalIds))
            return { removed: goalIds, kept: [] }
          })
      })
      return Context.make(Workspace, workspace).pipe(Context.add(WorkspaceLog, log))
    })
  )
