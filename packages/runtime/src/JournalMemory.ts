/**
 * `Journal`, `Outbox` and `GoalStore` in memory: one state for the three, since an
 * append looks at the lease and writes the outbox. Nothing survives the process.
 *
 * The state is changed inside single steps of a fiber only, so no call sees half
 * of another. Made to be cheap: a simulation appends millions of records.
 */
import type { GoalId } from "@driver/domain/Goal"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { onlyFolded } from "./GoalFold.js"
import { GoalStore } from "./GoalStore.js"
import * as GoalStoreMemory from "./GoalStoreMemory.js"
import { Journal, type JournalConflict, type JournalRecord, type LeaseLost, missing, storedEventOf } from "./Journal.js"
import * as Notices from "./Notices.js"
import { Outbox, type OutboxEntry } from "./Outbox.js"
import * as OutboxClaims from "./OutboxClaims.js"

export interface JournalMemoryOptions {
  /** Who delivers events (`nats`, `hooks`): each has an outbox. Default: nobody, and events stay in the journal only. */
  readonly consumers?: ReadonlyArray<string>
}

/** Forgets everything with its scope. */
export const layer = (options: JournalMemoryOptions = {}): Layer.Layer<Journal | Outbox | GoalStore> =>
  Layer.scopedContext(
    Effect.gen(function* () {
      const leases: GoalStoreMemory.Leases = new Map()
      const appended = yield* Notices.make<GoalId>()
      const written = yield* Notices.make<void>()
      const outboxes: Outboxes = new Map((options.consumers ?? []).map((consumer) => [consumer, new Map()]))
      return Context.make(Journal, makeJournal(leases, outboxes, appended, written)).pipe(
        Context.add(Outbox, makeOutbox(outboxes, written)),
        Context.add(GoalStore, yield* GoalStoreMemory.make(leases))
      )
    })
  )

/** By consumer and position. */
type Outboxes = ReadonlyMap<string, Map<number, OutboxEntry>>

const makeJournal = (
  leases: GoalStoreMemory.Leases,
  outboxes: Outboxes,
  appended: Notices.Notices<GoalId>,
  written: Notices.Notices<void>
) => {
  const journals = new Map<GoalId, Array<JournalRecord>>()
  const ids = new Set<string>()
  let position = 0

  const journalOf = (goalId: GoalId) => {
    const known = journals.get(goalId)
    if (known !== undefined) return known
    const begun: Array<JournalRecord> = []
    journals.set(goalId, begun)
    return begun
  }

  const put = (record: JournalRecord) => {
    if (outboxes.size === 0) return false
    const event = storedEventOf(record)
    if (Option.isNone(event)) return false
    position += 1
    for (const outbox of outboxes.values()) outbox.set(position, { position, event: event.value })
    return true
  }

  return Journal.of({
    append: (records) =>
      Effect.suspend((): Effect.Effect<void, LeaseLost | JournalConflict> => {
        const { goalId } = records[0]
        const journal = journalOf(goalId)
        const added = missing(records, {
          epoch: GoalStoreMemory.epochOf(leases, goalId),
          head: journal.length,
          idAt: (sequence) => journal[sequence - 1]?.id,
          isUsed: (id) => ids.has(id)
        })
        if (Either.isLeft(added)) return Effect.fail(added.left)
        let events = false
        for (const record of added.right) {
          ids.add(record.id)
          journal.push(record)
          events = put(record) || events
        }
        if (added.right.length > 0) appended.tell(goalId)
        if (events) written.tell()
        return Effect.void
      }),
    read: (goalId, { after = 0, folded = false, limit } = {}) =>
      Effect.sync(() => {
        const records = (journals.get(goalId) ?? []).slice(Math.max(0, after))
        return (folded ? onlyFolded(records) : records).slice(0, limit)
      }),
    head: (goalId) => Effect.sync(() => journals.get(goalId)?.length ?? 0),
    appended: appended.stream
  })
}

const makeOutbox = (outboxes: Outboxes, written: Notices.Notices<void>) =>
  Outbox.of({
    pending: (consumer, limit) =>
      Effect.sync(() => {
        const entries: Array<OutboxEntry> = []
        for (const entry of outboxes.get(consumer)?.values() ?? []) {
          if (entries.length >= limit) break
          entries.push(entry)
        }
        return entries
      }),
    delivered: (consumer, positions) =>
      Effect.sync(() => {
        for (const position of positions) outboxes.get(consumer)?.delete(position)
      }),
    count: (consumer) => Effect.sync(() => outboxes.get(consumer)?.size ?? 0),
    consumers: Effect.sync(() =>
      [...outboxes].flatMap(([consumer, entries]) => (entries.size > 0 ? [consumer] : [])).sort()
    ),
    forget: (consumer) => Effect.sync(() => outboxes.get(consumer)?.clear()),
    ...OutboxClaims.makeMemory(),
    written: written.stream
  })
