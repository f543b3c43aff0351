/**
 * The events of goals for those who follow them, read from the journal.
 *
 * Per goal that is followed there is one reader, shared by all followers: it keeps
 * the last events and tells of new ones. A follower takes them at its own pace; one
 * that falls behind what is kept reads the journal itself, so that nothing is lost,
 * nothing grows, and the goal's loop waits for nobody.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Journal, type JournalRecord, storedEventOf } from "@driver/runtime/Journal"
import type { StoreError } from "@driver/runtime/StoreError"
import * as Arr from "effect/Array"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as RcMap from "effect/RcMap"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { isOver } from "./goalRows.js"

export interface JournalFeed {
  /** As `Goals.events`, for a goal that is there. */
  readonly events: (
    goalId: GoalId,
    options: { readonly after: number; readonly follow: boolean }
  ) => Stream.Stream<StoredEvent, StoreError>
}

export interface JournalFeedSettings {
  /** Events per goal that are kept for all followers. Default 1,000. */
  readonly kept: number
  /** Records that are read at once. Default 250. */
  readonly page: number
  /** How often to look for what other processes wrote. Default 1 second. */
  readonly lookEvery: Duration.Duration
  /** Least time between two reads of a goal's journal: a busy loop is read in batches. Default 20 milliseconds. */
  readonly gather: Duration.Duration
}

/** What a goal's reader has. */
interface Kept {
  /** Covers the records after this sequence … */
  readonly from: number
  /** … up to this one. */
  readonly to: number
  readonly events: ReadonlyArray<StoredEvent>
  /** Nothing more comes, unless the goal is begun anew. */
  readonly over: boolean
  /** Completed when this is no longer what the reader has; fails with what kept it from reading. */
  readonly changed: Deferred.Deferred<void, StoreError>
}

export const make = (
  settings?: Partial<JournalFeedSettings>
): Effect.Effect<JournalFeed, never, GoalStore | Journal | Scope.Scope> =>
  Effect.gen(function* () {
    const {
      gather,
      kept: most,
      lookEvery,
      page
    } = {
      kept: 1_000,
      page: 250,
      lookEvery: Duration.seconds(1),
      gather: Duration.millis(20),
      ...settings
    }
    const journal = yield* Journal
    const store = yield* GoalStore
    /** Rung when this process has appended to the journal of a goal that is followed. */
    const bells = new Map<GoalId, Effect.Latch>()
    yield* Effect.forkScoped(Stream.runForEach(journal.appended, (goalId) => bells.get(goalId)?.open ?? Effect.void))

    const readOn = (goalId: GoalId, kept: Kept) =>
      Effect.gen(function* () {
        const records = yield* journal.read(goalId, { after: kept.to, limit: page })
        const last = Arr.last(records)
        if (Option.isNone(last)) {
          // A goal that was skipped has no last event.
          return { ...kept, over: kept.over || Option.exists(yield* store.get(goalId), isOver) }
        }
        const all = [...kept.events, ...Arr.filterMap(records, storedEventOf)]
        const events = all.slice(Math.max(0, all.length - most))
        const dropped = all.length - events.length
        return {
          ...kept,
          from: dropped === 0 ? kept.from : (all[dropped - 1]?.sequence ?? kept.from),
          to: last.value.sequence,
          events,
          // After a full page there may be another run of the goal.
          over: records.length < page && endsGoal(last.value)
        }
      })

    /** Reads a goal's journal on as long as somebody follows it. */
    const reader = (goalId: GoalId) =>
      Effect.gen(function* () {
        // What was before is in the journal, for whoever wants it.
        const from = yield* journal.head(goalId)
        const [last] = from === 0 ? [] : yield* journal.read(goalId, { after: from - 1, limit: 1 })
        const state = yield* Ref.make<Kept>({
          from,
          to: from,
          events: [],
          over: last !== undefined && endsGoal(last),
          changed: yield* Deferred.make<void, StoreError>()
        })
        yield* Effect.addFinalizer(() => Effect.flatMap(Ref.get(state), ({ changed }) => Deferred.interrupt(changed)))
        const bell = yield* Effect.acquireRelease(
          Effect.tap(Effect.makeLatch(false), (latch) => Effect.sync(() => bells.set(goalId, latch))),
          () => Effect.sync(() => bells.delete(goalId))
        )
        const step = Effect.gen(function* () {
          yield* bell.close
          const before = yield* Ref.get(state)
          const read = yield* Effect.exit(readOn(goalId, before))
          if (Exit.isFailure(read)) {
            // Whoever waits hears of it; whoever comes then waits for the next try.
            const changed = yield* Deferred.make<void, StoreError>()
            yield* Ref.set(state, { ...before, changed })
            yield* Deferred.failCause(before.changed, read.cause)
            yield* Effect.sleep(lookEvery)
            return
          }
          const after = read.value
          if (after.to !== before.to || after.over !== before.over) {
            yield* Ref.set(state, { ...after, changed: yield* Deferred.make<void, StoreError>() })
            yield* Deferred.succeed(before.changed, undefined)
          }
          // A full page: there is more.
          if (after.to - before.to >= page) return
          yield* Effect.sleep(gather)
          yield* Effect.timeoutOption(bell.await, lookEvery)
        })
        yield* Effect.forkScoped(Effect.forever(step))
        return Ref.get(state)
      })

    const readers = yield* RcMap.make({ lookup: reader, idleTimeToLive: Duration.seconds(5) })

    const past = (goalId: GoalId, after: number) =>
      Stream.paginateChunkEffect(after, (position) =>
        Effect.map(journal.read(goalId, { after: position, limit: page }), (records) => [
          Chunk.unsafeFromArray(Arr.filterMap(records, storedEventOf)),
          records.length < page ? Option.none() : Option.map(Arr.last(records), ({ sequence }) => sequence)
        ])
      )

    const following = (goalId: GoalId, after: number) =>
      Stream.unwrapScoped(
        Effect.map(RcMap.get(readers, goalId), (kept) =>
          Stream.unfoldChunkEffect(after, (position) =>
            Effect.flatMap(kept, (it) => nextOf(goalId, position, it, kept))
          )
        )
      )

    const nextOf = (
      goalId: GoalId,
      position: number,
      it: Kept,
      again: Effect.Effect<Kept>
    ): Effect.Effect<Option.Option<readonly [Chunk.Chunk<StoredEvent>, number]>, StoreError> => {
      if (position < it.from) {
        return Effect.map(journal.read(goalId, { after: position, limit: page }), (records) =>
          Option.some([
            Chunk.unsafeFromArray(Arr.filterMap(records, storedEventOf)),
            Option.match(Arr.last(records), { onNone: () => it.from, onSome: ({ sequence }) => sequence })
          ])
        )
      }
      if (position < it.to) {
        return Effect.succeedSome([Chunk.unsafeFromArray(it.events.slice(firstAfter(it.events, position))), it.to])
      }
      if (it.over) return Effect.succeedNone
      return Effect.zipRight(
        Deferred.await(it.changed),
        Effect.flatMap(again, (now) => nextOf(goalId, position, now, again))
      )
    }

    return {
      events: (goalId, { after, follow }) =>
        follow ? following(goalId, Math.max(0, after)) : past(goalId, Math.max(0, after))
    }
  })

const endsGoal = ({ entry }: JournalRecord): boolean => entry._tag === "GoalCompleted"

/** Where the events with a greater sequence begin. From the end: most followers are near it. */
const firstAfter = (events: ReadonlyArray<StoredEvent>, position: number): number => {
  let index = events.length
  while (index > 0 && (events[index - 1]?.sequence ?? 0) > position) index -= 1
  return index
}
