/**
 * `driver prune`: removes worktrees, branches, checkpoints and bindings of goals that
 * are over, or the events that wait for somebody who will not fetch them.
 */
import type { GoalId } from "@driver/domain/Goal"
import { BindingStore } from "@driver/runtime/BindingStore"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Outbox } from "@driver/runtime/Outbox"
import { Workspace } from "@driver/runtime/Workspace"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as GoalLock from "../GoalLock.js"
import { findGoal, shortIds } from "../GoalNames.js"
import { Host } from "../Host.js"
import { fileError } from "../InputError.js"
import { plural } from "../Render.js"
import { printable } from "../Text.js"

export interface PruneArguments {
  /** Ids, or beginnings of ids. None: all goals that have a workspace. */
  readonly goals: ReadonlyArray<string>
  /** Undelivered work as well. */
  readonly force: boolean
  readonly json: boolean
}

type Kept = { readonly goalId: GoalId; readonly reason: string }

/**
 * `stateDirectory` has the locks: a goal that a driver is working on, in whatever process, is left alone, also when it is named.
 * One that has not ended, whose driver was killed or which is paused, goes only when it is named and that is forced.
 */
export const prune = ({ force, goals, json }: PruneArguments, stateDirectory: string) =>
  Effect.gen(function* () {
    const { stdout } = yield* Host
    const workspace = yield* Workspace
    const store = yield* BindingStore
    const entries = yield* workspace.list
    const bindings = yield* store.listAll
    const known = [...entries.map(({ goalId }) => goalId), ...bindings.map(({ goalId }) => goalId)]
    const wanted =
      goals.length > 0
        ? [...new Set(yield* Effect.forEach(goals, (name) => findGoal(name, known)))]
        : entries.map(({ goalId }) => goalId)
    const locked = yield* Effect.forEach(wanted, (goalId) =>
      Effect.map(Effect.either(GoalLock.acquire(stateDirectory, goalId)), (lock) => ({ goalId, lock }))
    )
    const rows = yield* (yield* GoalStore).list(["queued", "running"])
    const unfinished = new Set(force && goals.length > 0 ? [] : rows.map(({ goal }) => goal.id))
    const idle = locked.flatMap(({ goalId, lock }) => (Either.isRight(lock) && !unfinished.has(goalId) ? [goalId] : []))
    const kept: ReadonlyArray<Kept> = locked.flatMap(({ goalId, lock }) => {
      if (Either.isLeft(lock)) return [{ goalId, reason: lock.left.message }]
      return unfinished.has(goalId) ? [{ goalId, reason: notEnded(goalId) }] : []
    })
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
  }).pipe(Effect.scoped)

const notEnded = (goalId: GoalId): string =>
  `it has not ended: \`driver resume ${goalId}\` goes on with it, \`driver cancel ${goalId}\` before that ends it; name it with --force to drop it with its work`

export interface ForgetArguments {
  /** Consumers of the outbox: `hook:NAME`, `nats`. */
  readonly consumers: ReadonlyArray<string>
  /** Also events that a driver of this configuration would still deliver. */
  readonly force: boolean
  readonly json: boolean
}

/** Forgets the events that wait for these consumers; all or none. `configured`: those that are delivered to. */
export const forget = ({ consumers, force, json }: ForgetArguments, configured: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { stdout } = yield* Host
    const outbox = yield* Outbox
    const waiting = yield* outbox.consumers
    const wanted = [...new Set(consumers)]
    const unknown = wanted.find((it) => !waiting.includes(it))
    if (unknown !== undefined) {
      const others = waiting.length === 0 ? "no events wait at all" : `events wait for ${waiting.join(", ")}`
      return yield* fileError("--events-of", `nothing waits for ${JSON.stringify(unknown)}: ${others}`)
    }
    const kept = wanted.find((it) => !force && configured.includes(it))
    if (kept !== undefined) {
      const detail = `${kept} is configured, and is told of what waits: --force forgets it all the same`
      return yield* fileError("--events-of", detail)
    }
    const forgotten = yield* Effect.forEach(wanted, (consumer) =>
      Effect.map(Effect.zipLeft(outbox.count(consumer), outbox.forget(consumer)), (events) => ({ consumer, events }))
    )
    yield* stdout.write(
      json
        ? `${JSON.stringify({ forgotten }, null, 2)}\n`
        : forgotten
            .map(({ consumer, events }) => `Forgot ${plural(events, "event")} that waited for ${consumer}.\n`)
            .join("")
    )
  })
