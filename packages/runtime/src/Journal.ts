/**
 * The append-only journal of each goal: one sequence per goal, of the events that
 * are published and of the steps of its loop. The loop's state is a fold over it.
 *
 * What is appended is durable when the call resolves. A record has an id, so that
 * one that is appended again is the same one, and the fencing token of the lease
 * under which it was written, so that a driver that lost the goal cannot write.
 */
import { DriverEvent, isDriverEvent, StoredEvent } from "@driver/domain/DriverEvent"
import { GoalId } from "@driver/domain/Goal"
import { key, WireTime } from "@driver/domain/Wire"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import { LoopEntry } from "./LoopEntry.js"
import type { StoreError } from "./StoreError.js"

export const JournalEntry = Schema.Union(LoopEntry, DriverEvent)
export type JournalEntry = typeof JournalEntry.Type

/** Of the records that this driver writes. Older ones are read; newer ones are refused by name. */
export const journalVersion = 1

export class JournalRecord extends Schema.Class<JournalRecord>("JournalRecord")({
  goalId: key(GoalId, "goal_id"),
  /** From 1, without gaps per goal. */
  sequence: Schema.Int.pipe(Schema.positive()),
  /** Unique over goals and restarts: an event's message id. */
  id: Schema.NonEmptyString,
  at: WireTime,
  /** The fencing token of the lease under which it was written. */
  epoch: Schema.NonNegativeInt,
  entry: JournalEntry
}) {
  static readonly FromJson = Schema.parseJson(JournalRecord)
}

/** The goal belongs to another driver now: whoever gets this stops at once and writes nothing more. */
export class LeaseLost extends Schema.TaggedError<LeaseLost>()("LeaseLost", {
  goalId: GoalId,
  /** The token that was used. */
  epoch: Schema.NonNegativeInt
}) {
  override get message() {
    return `The goal ${this.goalId} was taken over by another driver`
  }
}

/** Another record has this place in the sequence, or a place was left out. Nothing was written. */
export class JournalConflict extends Schema.TaggedError<JournalConflict>()("JournalConflict", {
  goalId: GoalId,
  sequence: Schema.Int,
  detail: Schema.String
}) {
  override get message() {
    return `The journal of goal ${this.goalId} does not go on with record ${this.sequence}: ${this.detail}`
  }
}

export type JournalError = StoreError | LeaseLost | JournalConflict

export interface ReadOptions {
  /** Only records with a greater sequence. Default 0. */
  readonly after?: number
  /** At most so many. Default: all. */
  readonly limit?: number
  /**
   * Only what `GoalFold` looks at, and the journal's last record: enough to go on with the goal, and much less than all
   * there is to read. Default false.
   */
  readonly folded?: boolean
}

export class Journal extends Context.Tag("@driver/runtime/Journal")<
  Journal,
  {
    /**
     * Writes records of one goal that follow each other, all or none; durable when it resolves. Records that are there
     * already, with the same id, are skipped. Fails with `LeaseLost` when `epoch` is not that of the goal's lease.
     */
    readonly append: (records: NonEmptyReadonlyArray<JournalRecord>) => Effect.Effect<void, JournalError>
    /** Oldest first. */
    readonly read: (goalId: GoalId, options?: ReadOptions) => Effect.Effect<ReadonlyArray<JournalRecord>, StoreError>
    /** The last sequence; 0 for a goal without a journal. */
    readonly head: (goalId: GoalId) => Effect.Effect<number, StoreError>
    /** The goal of each append of this process, once it is durable. A reader that is slow misses repetitions only. */
    readonly appended: Stream.Stream<GoalId>
  }
>() {}

/** True for a step of the loop, false for what is published. */
export const isLoopEntry = (entry: JournalEntry): entry is LoopEntry => !isDriverEvent(entry)

/** The record as an event on its way out: with the journal's sequence, and the record's id as the message's. */
export const storedEventOf = (record: JournalRecord): Option.Option<StoredEvent> =>
  isLoopEntry(record.entry)
    ? Option.none()
    : Option.some(
        // Every field is one of the record's: to check them again costs more than the rest of an append.
        new StoredEvent(
          {
            goalId: record.goalId,
            sequence: record.sequence,
            messageId: record.id,
            at: record.at,
            event: record.entry
          },
          { disableValidation: true }
        )
      )

/** What an append has to know of the journal as it is. */
export interface JournalPlaces {
  /** The token of the goal's lease; 0: nobody has ever held it. */
  readonly epoch: number
  /** The last sequence. */
  readonly head: number
  /** The id of the record at this place, from 1 to `head`. */
  readonly idAt: (sequence: number) => string | undefined
  /** True when a record of any goal has the id. */
  readonly isUsed: (id: string) => boolean
}

/** Which of the records are to be written; the others are there already. The same for every store. */
export const missing = (
  records: NonEmptyReadonlyArray<JournalRecord>,
  { epoch, head, idAt, isUsed }: JournalPlaces
): Either.Either<ReadonlyArray<JournalRecord>, LeaseLost | JournalConflict> => {
  const [{ goalId, sequence: first }] = records
  const conflict = (sequence: number, detail: string) => Either.left(new JournalConflict({ goalId, sequence, detail }))
  const stale = records.find((record) => record.epoch !== epoch)
  if (stale !== undefined) return Either.left(new LeaseLost({ goalId, epoch: stale.epoch }))
  if (first > head + 1) return conflict(first, `its last record is ${head}`)
  const added: Array<JournalRecord> = []
  const own = new Set<string>()
  for (const [index, record] of records.entries()) {
    const { id, sequence } = record
    if (record.goalId !== goalId) return conflict(sequence, `it was given with a record of goal ${record.goalId}`)
    if (sequence !== first + index) return conflict(sequence, `it was given after record ${first + index - 1}`)
    if (sequence <= head) {
      const there = idAt(sequence)
      if (there !== id) return conflict(sequence, `record ${there} is there already`)
    } else {
      if (own.has(id) || isUsed(id)) return conflict(sequence, `its id ${id} is that of another record`)
      own.add(id)
      added.push(record)
    }
  }
  return Either.right(added)
}
