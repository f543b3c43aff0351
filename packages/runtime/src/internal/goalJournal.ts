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
import { trusted } from "@driver/domain/Wire"
import { isNonEmptyReadonlyArray } from "effect/Array"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import type { EventSink } from "../EventSink.js"
import { empty, fold, type GoalFold } from "../GoalFold.js"
import type { Lease } from "../GoalStore.js"
import {
  isLoopEntry,
  type Journal,
  type JournalEntry,
  type JournalError,
  JournalRecord,
  storedEventOf
} from "../Journal.js"
import * as Exclusive from "./exclusive.js"

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

/** A store that is busy or away is tried again so often; then the goal stops where it is, and can be resumed. */
const retryEvery = "250 millis"
const retries = 239

const isBusy = (error: JournalError): boolean => error._tag === "StoreError" && error.retryable

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

/** What is known of the journal here. It changes in single steps, so that no fiber sees half of another's. */
interface Book {
  readonly opened: Option.Option<Opened>
  readonly state: GoalFold
  /** Noted before `open`. */
  readonly early: ReadonlyArray<JournalEntry>
  /** Numbered and not known to be durable. */
  readonly unwritten: ReadonlyArray<JournalRecord>
  /** Events that sinks have not been told of, and the sequence that has to be durable before. */
  readonly untold: ReadonlyArray<Untold>
  /** The last sequence that is known to be durable. */
  readonly durableUpTo: number
}

const blank: Book = { opened: Option.none(), state: empty, early: [], unwritten: [], untold: [], durableUpTo: 0 }

/** The book with the entries numbered, or kept until it is open. */
const withEntries = (
  book: Book,
  added: {
    readonly goalId: GoalId
    readonly entries: ReadonlyArray<JournalEntry>
    readonly at: DateTime.Utc
    readonly isDurableFirst: boolean
  }
): Book => {
  const { at, goalId, isDurableFirst } = added
  const entries = fitting(book, added.entries)
  if (Option.isNone(book.opened)) return { ...book, early: [...book.early, ...entries] }
  const { incarnation, lease } = book.opened.value
  const unwritten = [...book.unwritten]
  const events: Array<StoredEvent> = []
  let { state } = book
  for (const entry of entries) {
    const sequence = state.sequence + 1
    const id = `${goalId}:${incarnation}:${sequence}`
    // Made of values that were checked when they were made.
    const record = new JournalRecord({ goalId, sequence, id, at, epoch: lease.epoch, entry }, trusted)
    state = fold(state, record)
    unwritten.push(record)
    const event = storedEventOf(record)
    if (Option.isSome(event)) events.push(event.value)
  }
  const after = isDurableFirst ? state.sequence : 0
  const untold = events.length === 0 ? book.untold : [...book.untold, ...events.map((event) => ({ event, after }))]
  return { ...book, state, unwritten, untold }
}

/** Without what an operator does in the moment in which the goal ends: nothing follows its last event, until it is begun anew. */
const fitting = ({ state }: Book, entries: ReadonlyArray<JournalEntry>): ReadonlyArray<JournalEntry> =>
  state.status !== "ended" || entries[0]?._tag === "RunStarted"
    ? entries
    : entries.filter(({ _tag }) => _tag === "CommandHandled")

/** The events that sinks are to be told now, and the book without them. */
const takeDue = (book: Book): [ReadonlyArray<Untold>, Book] => {
  const held = book.untold.findIndex(({ after }) => after > book.durableUpTo)
  return held === -1
    ? [book.untold, { ...book, untold: [] }]
    : [book.untold.slice(0, held), { ...book, untold: book.untold.slice(held) }]
}

/** The book after these records, the oldest that were not, have become durable. What was noted meanwhile stays. */
const withDurable = (book: Book, records: ReadonlyArray<JournalRecord>): Book => ({
  ...book,
  unwritten: book.unwritten.slice(records.length),
  durableUpTo: records[records.length - 1]?.sequence ?? 0
})

export const make = (options: {
  readonly goalId: GoalId
  readonly journal: Journal["Type"]
  readonly sink: EventSink["Type"]
  readonly redactor: RedactorService
}): Effect.Effect<GoalJournal> =>
  Effect.gen(function* () {
    const { goalId, journal, redactor, sink } = options
    const book = yield* Ref.make(blank)
    const telling = yield* Exclusive.make
    const writing = yield* Exclusive.make
    /** Open while something is noted that nobody has begun to write. */
    const some = yield* Effect.makeLatch(false)

    const tellDue = Effect.flatMap(Ref.modify(book, takeDue), (due) => {
      const [first, ...rest] = due
      if (first === undefined) return Effect.void
      const told = sink.publish(first.event)
      return rest.length === 0
        ? told
        : Effect.zipRight(
            told,
            Effect.forEach(rest, ({ event }) => sink.publish(event), { discard: true })
          )
    })
    const tell = telling.runWhole(tellDue)

    const add = (entries: ReadonlyArray<JournalEntry>, isDurableFirst: boolean) =>
      Effect.clockWith((clock) => {
        const at = DateTime.unsafeMake(clock.unsafeCurrentTimeMillis())
        return Ref.update(book, (it) =>
          withEntries(it, { goalId, entries: entries.map(redactor.value), at, isDurableFirst })
        )
      })

    const flush = writing.run(
      Effect.flatMap(Ref.get(book), ({ unwritten }) =>
        isNonEmptyReadonlyArray(unwritten)
          ? journal
              .append(unwritten)
              .pipe(Effect.zipRight(Ref.update(book, (it) => withDurable(it, unwritten))), Effect.zipRight(tell))
          : Effect.void
      )
    )

    // A schedule is made when it is needed: almost every write is done at once.
    const durable = flush.pipe(
      Effect.catchIf(isBusy, () => Effect.retry(Effect.delay(flush, retryEvery), { times: retries, while: isBusy })),
      // What could not be written is tried again also when nothing more is noted.
      Effect.onError(() => some.open)
    )

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
      state: Effect.map(Ref.get(book), ({ state }) => state),
      note: (...entries) =>
        Effect.uninterruptible(
          Effect.zipRight(
            add(entries, false),
            entries.every(isLoopEntry) ? some.open : Effect.zipRight(some.open, tell)
          )
        ),
      write: (...entries) => Effect.zipRight(Effect.uninterruptible(add(entries, true)), durable),
      open: (lease, from, ...entries) =>
        Effect.gen(function* () {
          const incarnation = `${(yield* Clock.currentTimeMillis).toString(36)}${(yield* Random.nextIntBetween(0, 2 ** 31)).toString(36)}`
          const at = yield* DateTime.now
          yield* Ref.update(book, (it) =>
            withEntries(
              { ...it, opened: Option.some({ lease, incarnation }), state: from, early: [] },
              { goalId, entries: [...entries, ...it.early].map(redactor.value), at, isDurableFirst: true }
            )
          )
          yield* durable
          yield* Effect.forkScoped(Effect.interruptible(flushing))
        })
    }
  })
