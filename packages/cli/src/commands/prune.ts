/** `driver prune`: removes worktrees, branches, checkpoints and bindings of goals that are over. */
import type { Binding } from "@driver/domain/Binding"
import type { GoalId } from "@driver/domain/Goal"
import { BindingStore } from "@driver/runtime/BindingStore"
import { Workspace, type WorkspaceEntry } from "@driver/runtime/Workspace"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { findGoal, shortIds } from "../GoalNames.js"
import { Host } from "../Host.js"
import { elapsedText, plural } from "../Render.js"
import { printable } from "../Text.js"

export interface PruneArguments {
  /** Ids, or beginnings of ids. None: all goals that are not active. */
  readonly goals: ReadonlyArray<string>
  /** Undelivered work as well. */
  readonly force: boolean
  readonly json: boolean
}

type Kept = { readonly goalId: GoalId; readonly reason: string }

/**
 * Without names, a goal that was active within the longest turn is left alone: a
 * driver may be at work on it right now, in another process. Pure.
 */
export const selectIdle = (
  entries: ReadonlyArray<Pick<WorkspaceEntry, "goalId">>,
  bindings: ReadonlyArray<Pick<Binding, "goalId" | "lastActiveAt" | "live">>,
  now: number,
  longestTurn: Duration.Duration
): { readonly idle: ReadonlyArray<GoalId>; readonly kept: ReadonlyArray<Kept> } => {
  const kept = entries.flatMap(({ goalId }) => {
    const ages = bindings
      .filter((binding) => binding.goalId === goalId && binding.live)
      .map(({ lastActiveAt }) => Math.max(0, now - DateTime.toEpochMillis(lastActiveAt)))
    const age = Math.min(...ages)
    return age < Duration.toMillis(longestTurn)
      ? [{ goalId, reason: `it was active ${elapsedText(age)} ago and may be running: name it to remove it` }]
      : []
  })
  const active = new Set(kept.map(({ goalId }) => goalId))
  return { idle: entries.map(({ goalId }) => goalId).filter((goalId) => !active.has(goalId)), kept }
}

export const prune = ({ force, goals, json }: PruneArguments, longestTurn: Duration.Duration) =>
  Effect.gen(function* () {
    const { stdout } = yield* Host
    const workspace = yield* Workspace
    const store = yield* BindingStore
    const entries = yield* workspace.list
    const bindings = yield* store.listAll
    const known = [...entries.map(({ goalId }) => goalId), ...bindings.map(({ goalId }) => goalId)]
    const { idle, kept } =
      goals.length > 0
        ? { idle: [...new Set(yield* Effect.forEach(goals, (name) => findGoal(name, known)))], kept: [] }
        : selectIdle(entries, bindings, yield* Clock.currentTimeMillis, longestTurn)
    const withWorkspace = idle.filter((goalId) => entries.some((entry) => entry.goalId === goalId))
    const result =
      withWorkspace.length === 0 ? { removed: [], kept: [] } : yield* workspace.prune(withWorkspace, { force })
    const stays = [...kept, ...result.kept]
    // A goal without a workspace has nothing but its binding left.
    const removed = idle.filter((goalId) => !stays.some((it) => it.goalId === goalId))
    yield* Effect.forEach(removed, (goalId) => store.clear(goalId), { discard: true })
    if (json) {
      return yield* stdout.write(
        `${JSON.stringify({ removed, kept: stays.map(({ goalId, reason }) => ({ goal_id: goalId, reason })) }, null, 2)}\n`
      )
    }
    const short = shortIds(known)
    const name = (goalId: GoalId) => short.get(goalId) ?? goalId
    yield* stdout.write(
      [
        removed.length === 0
          ? "Nothing was removed."
          : `Removed ${plural(removed.length, "goal")}: ${removed.map(name).join(", ")}`,
        ...stays.map(({ goalId, reason }) => `Kept ${name(goalId)}: ${printable(reason)}`)
      ]
        .map((line) => `${line}\n`)
        .join("")
    )
  })
