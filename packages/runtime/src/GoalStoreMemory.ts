/** `GoalStore` in memory. Its leases are looked at by the journal too, so `JournalMemory` puts the two together. */
import { randomUuid } from "@driver/agent/PermissionGate"
import type { GoalId } from "@driver/domain/Goal"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { GoalExists, GoalRow, type GoalState, GoalStore, type Lease, type PendingCommand } from "./GoalStore.js"
import { LeaseLost } from "./Journal.js"
import * as Notices from "./Notices.js"

/** `owner` is undefined after a release: the token is remembered. */
interface LeaseRow {
  readonly owner: string | undefined
  readonly epoch: number
  readonly heartbeat: number
}

/** Changed inside single steps of a fiber only. */
export type Leases = Map<GoalId, LeaseRow>

/** The token that a record must carry. 0: nobody has ever held the goal. */
export const epochOf = (leases: Leases, goalId: GoalId): number => leases.get(goalId)?.epoch ?? 0

/** What `setState` makes of a row; the first end of the same state stays. `now` in whole milliseconds since the epoch. */
export const withState = (
  row: GoalRow,
  state: GoalState,
  end: Parameters<GoalStore["Type"]["setState"]>[2],
  now: number
): GoalRow => {
  const over = state === "ended" || state === "skipped"
  const before =
    over && row.state === state ? row : { endedAt: Option.none(), outcome: Option.none(), reason: Option.none() }
  return new GoalRow({
    ...row,
    state,
    endedAt: over ? Option.orElseSome(before.endedAt, () => DateTime.unsafeMake(now)) : Option.none(),
    outcome: Option.orElse(Option.fromNullable(end?.outcome), () => before.outcome),
    reason: Option.orElse(Option.fromNullable(end?.reason), () => before.reason)
  })
}

/** True for what can be the beginning of a goal's id. */
export const isPrefix = (text: string): boolean => /^[0-9a-f-]+$/.test(text)

export const make = (leases: Leases): Effect.Effect<GoalStore["Type"], never, Scope.Scope> =>
  Effect.map(Notices.make<void>(), (changed) => {
    const rows = new Map<GoalId, GoalRow>()
    const pending = new Map<string, PendingCommand>()

    const held = ({ epoch, goalId }: Lease) => {
      const row = leases.get(goalId)
      return row !== undefined && row.epoch === epoch && row.owner !== undefined ? row : undefined
    }

    return GoalStore.of({
      submit: (added) =>
        Effect.suspend(() => {
          const known = new Set(rows.keys())
          for (const { goal } of added) {
            if (known.has(goal.id)) return Effect.fail(new GoalExists({ goalId: goal.id }))
            known.add(goal.id)
          }
          for (const row of added) rows.set(row.goal.id, row)
          changed.tell()
          return Effect.void
        }),
      put: (row) =>
        Effect.sync(() => {
          rows.set(row.goal.id, row)
          changed.tell()
        }),
      get: (goalId) => Effect.sync(() => Option.fromNullable(rows.get(goalId))),
      list: (states) =>
        Effect.sync(() => [...rows.values()].filter(({ state }) => states === undefined || states.includes(state))),
      withPrefix: (prefix) =>
        Effect.sync(() =>
          isPrefix(prefix)
            ? [...rows.keys()]
                .filter((id) => id.startsWith(prefix))
                .sort()
                .slice(0, 10)
            : []
        ),
      setState: (goalId, state, end) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const row = rows.get(goalId)
          if (row === undefined) return
          rows.set(goalId, withState(row, state, end, Math.floor(now)))
          changed.tell()
        }),

      acquire: (goalId, owner, expected) =>
        Effect.sync(() => {
          const row = leases.get(goalId)
          const free =
            row?.owner === undefined ||
            Option.exists(
              expected,
              (it) => it.owner === row.owner && it.epoch === row.epoch && it.heartbeat === row.heartbeat
            )
          if (!free) return Option.none()
          const epoch = (row?.epoch ?? 0) + 1
          leases.set(goalId, { owner, epoch, heartbeat: 0 })
          return Option.some({ goalId, epoch })
        }),
      holder: (goalId) =>
        Effect.sync(() => {
          const row = leases.get(goalId)
          return row?.owner === undefined
            ? Option.none()
            : Option.some({ owner: row.owner, epoch: row.epoch, heartbeat: row.heartbeat })
        }),
      heartbeat: (mine) =>
        Effect.sync(() =>
          mine.flatMap((lease) => {
            const row = held(lease)
            if (row === undefined) return [new LeaseLost(lease)]
            leases.set(lease.goalId, { ...row, heartbeat: row.heartbeat + 1 })
            return []
          })
        ),
      release: (lease) =>
        Effect.sync(() => {
          const row = held(lease)
          if (row !== undefined) leases.set(lease.goalId, { ...row, owner: undefined })
        }),

      command: (goalId, command) =>
        Effect.map(randomUuid, (id) => {
          pending.set(id, { id, goalId, command })
          changed.tell()
          return id
        }),
      commands: (goalIds) =>
        Effect.sync(() => {
          const wanted = new Set(goalIds)
          return [...pending.values()].filter(({ goalId }) => wanted.has(goalId))
        }),
      handled: (commandIds) =>
        Effect.sync(() => {
          for (const id of commandIds) pending.delete(id)
        }),
      changed: changed.stream
    })
  })
