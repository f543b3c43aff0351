/**
 * The journal of one goal in the hands of the driver that has its lease: numbers
 * what it is given, folds it, writes it in order, and tells sinks of the events.
 *
 * What is only noted is told at once and written at the latest `flushEvery` later,
 * or with the next write. What is to be written is told when it is durable, and
 * holds back what comes after it. What could not be written stays, and is written
 * again with the same ids.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import type { RedactorService } from "@driver/domain/Redactor"
import { isNonEmptyReadonlyArray } from "effect/Array"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { EventSink } from "../EventSink.js"
import { empty, fold, type GoalFold } from "../GoalFold.js"
import type { Lease } from "../GoalStore.js"
import { type Journal, type JournalEntry, type JournalError, JournalRecord, storedEventOf } from "../Journal.js"

export interface GoalJournal {
  /** What has been noted and written so far comes to. */
  readonly state: Effect.Effect<GoalFold>
  /** Numbers the entries, tells sinks of those that are events, and has them written soon. Never fails; before `open` they wait. */
  readonly note: (...entries: ReadonlyArray<JournalEntry>) => Effect.Effect<void>
  /** The same, and durable when it resolves, with everything noted before. */
  readonly write: (...entries: ReadonlyArray<JournalEntry>) => Effect.Effect<void, JournalError>
  /**
   * Goes on with a journal under a lease, whose last state this is; then the entries, and after them what waited. Owns
   * the fiber that writes what is noted, until the scope closes.
   */
  readonly open: (
    lease: Lease,
    state: GoalFold,
    ...entries: ReadonlyArray<JournalEntry>
  ) => Effect.Effect<void, JournalError, Scope.Scope>
}

/** What is noted is written after this time at the latest. */
const flushEvery = "50 millis"

/** A store that is busy or away is waited for so long; then the goal stops where it is, and can be resumed. */
const patience = Schedule.spaced("250 millis").pipe(Schedule.intersect(Schedule.recurs(240)))

const trusted = { disableValidation: true }

interface Untold {
  readonly event: StoredEvent
  /** Told when this sequence is durable; 0: at once. */
  readonly after: number
}

interface Opened {
  readonly lease: Lease
  /** Distinguishes the message ids of two drivers of the same goal. */
  readonly incarnation: string
}

export const make = (options: {
  readonly goalId: GoalId
  readonly journal: Journal["Type"]
  readonly sink: EventSink["Type"]
  readonly redactor: RedactorService
}): Effect.Effect<GoalJournal> =>
  Effect.gen(function* () {
    const { goalId, journal, redactor, sink } = options
    const state = yield* Ref.make(empty)
    const opened = yield* Ref.make(Option.none<Opened>())
    /** Noted before `open`. */
    const early = yield* Ref.make<ReadonlyArray<JournalEntry>>([])
    /** Numbered and not known to be durable. */
    const unwritten = yield* Ref.make<ReadonlyArray<JournalRecord>>([])
    const some = yield* Effect.makeLatch(false)
    const numbering = yield* Effect.makeSemaphore(1)
    const writing = yield* Effect.makeSemaphore(1)

    /** Events that sinks have not been told of, and the sequence that has to be durable before. */
    const untold = yield* Ref.make<ReadonlyArray<Untold>>([])
    /** The last sequence that is known to be durable. */
    const durableUpTo = yield* Ref.make(0)
    const telling = yield* Effect.makeSemaphore(1)

    const tell: Effect.Effect<void> = Effect.gen(function* () {
      const upTo = yield* Ref.get(durableUpTo)
      const due = yield* Ref.modify(untold, (all) => {
        const held = all.findIndex(({ after }) => after > upTo)
        return held === -1 ? [all, []] : [all.slice(0, held), all.slice(held)]
      })
      yield* Effect.forEach(due, ({ event }) => sink.publish(event), { discard: true })
    }).pipe(telling.withPermits(1), Effect.uninterruptible)

    const number = (
      { incarnation, lease }: Opened,
      entries: ReadonlyArray<JournalEntry>,
      { isDurableFirst }: { readonly isDurableFirst: boolean }
    ) =>
      Effect.gen(function* () {
        const at = yield* DateTime.now
        const records: Array<JournalRecord> = []
        let after = yield* Ref.get(state)
        for (const given of entries) {
          const sequence = after.sequence + 1
          const id = `${goalId}:${incarnation}:${sequence}`
          const entry = redactor.value(given)
          // Made of values that were checked when they were made.
          const record = new JournalRecord({ goalId, sequence, id, at, epoch: lease.epoch, entry }, trusted)
          after = fold(after, record)
          records.push(record)
        }
        yield* Ref.set(state, after)
        // All at once, so that they are written together.
        yield* Ref.update(unwritten, (all) => [...all, ...records])
        const events = records.flatMap((it) => Option.toArray(storedEventOf(it)))
        const must = isDurableFirst ? after.sequence : 0
        yield* Ref.update(untold, (all) => [...all, ...events.map((event) => ({ event, after: must }))])
        yield* some.open
      })

    const add = (entries: ReadonlyArray<JournalEntry>, how: { readonly isDurableFirst: boolean }) =>
      Effect.flatMap(
        Ref.get(opened),
        Option.match({
          onNone: () => Ref.update(early, (all) => [...all, ...entries]),
          onSome: (it) => number(it, entries, how)
        })
      ).pipe(numbering.withPermits(1), Effect.uninterruptible)

    const flush = Effect.gen(function* () {
      const records = yield* Ref.get(unwritten)
      if (!isNonEmptyReadonlyArray(records)) return
      yield* journal.append(records)
      // What was noted meanwhile stays.
      yield* Ref.update(unwritten, (all) => all.slice(records.length))
      yield* Ref.set(durableUpTo, records[records.length - 1]?.sequence ?? 0)
      yield* tell
    }).pipe(writing.withPermits(1))

    const durable = Effect.retry(flush, {
      schedule: patience,
      while: (error) => error._tag === "StoreError" && error.retryable
    })

    const flushing = Effect.gen(function* () {
      yield* some.await
      yield* Effect.sleep(flushEvery)
      yield* some.close
      yield* flush
    }).pipe(
      // The next write says it.
      Effect.catchAll((error) => Effect.logDebug("The journal could not be written, this is tried again", error)),
      Effect.forever
    )

    return {
      state: Ref.get(state),
      note: (...entries) => Effect.zipRight(add(entries, { isDurableFirst: false }), tell),
      write: (...entries) => Effect.zipRight(add(entries, { isDurableFirst: true }), durable),
      open: (lease, from, ...entries) =>
        Effect.gen(function* () {
          const incarnation = `${(yield* Clock.currentTimeMillis).toString(36)}${(yield* Random.nextIntBetween(0, 2 ** 31)).toString(36)}`
          const it: Opened = { lease, incarnation }
          yield* Effect.gen(function* () {
            yield* Ref.set(state, from)
            yield* Ref.set(opened, Option.some(it))
            yield* number(it, [...entries, ...(yield* Ref.getAndSet(early, []))], { isDurableFirst: true })
          }).pipe(numbering.withPermits(1), Effect.uninterruptible)
          yield* durable
          yield* Effect.forkScoped(Effect.interruptible(flushing))
        })
    }
  })
