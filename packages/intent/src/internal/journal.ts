/** The journal of an intent, written and read: each record once, in its place, and told to whoever watches. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { IntentId, IntentSessionId } from "../Directive.js"
import { IntentEvents, ModelAsked, RecordWritten, WorkDegraded } from "../IntentEvents.js"
import { type IntentRecord, type Received, StoredIntentRecord } from "../IntentRecord.js"
import { advance, type IntentState, replay } from "../IntentState.js"
import { type IntentConflict, IntentStore, type IntentStoreError } from "../IntentStore.js"

export interface Names {
  readonly intentId: IntentId
  readonly sessionId: IntentSessionId
}

export interface Journal {
  readonly begin: (names: Names, received: Received) => Effect.Effect<void, IntentStoreError | IntentConflict>
  /** Resolves with the state after the record. */
  readonly append: (
    names: Names,
    state: IntentState,
    record: IntentRecord
  ) => Effect.Effect<IntentState, IntentStoreError | IntentConflict>
  readonly load: (id: IntentId) => Effect.Effect<Option.Option<IntentState>, IntentStoreError>
}

/** A database that is busy is asked again for about a second. */
const patience = Schedule.intersect(Schedule.exponential("50 millis"), Schedule.recurs(4))

export const make: Effect.Effect<Journal, never, IntentStore | IntentEvents> = Effect.gen(function* () {
  const store = yield* IntentStore
  const events = yield* IntentEvents

  const write = (names: Names, sequence: number, record: IntentRecord) =>
    Effect.gen(function* () {
      const at = yield* wholeMillisNow
      yield* store.append(new StoredIntentRecord({ intentId: names.intentId, sequence, at, record })).pipe(
        Effect.retry({
          schedule: patience,
          while: (error) => error._tag === "IntentStoreError" && error.retryable
        })
      )
      const common = { ...names, at }
      if ("calls" in record) {
        for (const call of record.calls) yield* events.publish(new ModelAsked({ ...common, call }))
        for (const degradation of record.degradations) {
          yield* events.publish(new WorkDegraded({ ...common, degradation }))
        }
      }
      yield* events.publish(new RecordWritten({ ...common, record }))
    })

  return {
    begin: (names, received) => write(names, 0, received),
    append: (names, state, record) => Effect.as(write(names, state.length, record), advance(state, record)),
    load: (id) => Effect.map(store.records(id), (stored) => replay(stored.map(({ record }) => record)))
  }
})

/** Stores keep whole milliseconds. */
export const wholeMillisNow = Effect.map(DateTime.now, (now) => DateTime.unsafeMake(Math.floor(now.epochMillis)))
