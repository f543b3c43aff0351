/**
 * The append-only journal of each goal: one sequence per goal, of the events that
 * are published and of the steps of its loop. The loop's state is a fold over it.
 *
 * What is appended is durable when the call resolves. A record has an id, so that
 * one that is appended again is the same one, and the fencing token of the lease
 * under which it was written, so that a driver that lost the goal cannot write.
 */
import { DriverEvent } from "@driver/domain/DriverEvent"
import { GoalId } from "@driver/domain/Goal"
import { key, WireTime } from "@driver/domain/Wire"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
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
