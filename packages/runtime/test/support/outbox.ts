/** An outbox for one consumer, in memory, that a test fills and looks into. */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import { Outbox, type OutboxEntry } from "@driver/runtime/Outbox"
import * as OutboxClaims from "@driver/runtime/OutboxClaims"
import { StoreError } from "@driver/runtime/StoreError"
import { Effect, PubSub, Stream } from "effect"

export const makeOutbox = Effect.gen(function* () {
  const entries = new Map<number, OutboxEntry>()
  const writes = yield* PubSub.sliding<void>(1)
  let position = 0
  let away = false
  /** How often entries were read, and the most that were asked for at once. */
  const reads = { calls: 0, largest: 0 }
  const { claim, unclaim } = OutboxClaims.makeMemory()
  const guarded = <A>(read: () => A) =>
    Effect.suspend(() =>
      away
        ? Effect.fail(new StoreError({ operation: "Outbox", detail: "database is away", retryable: true }))
        : Effect.sync(read)
    )
  const put = (events: ReadonlyArray<StoredEvent>) =>
    Effect.sync(() => {
      for (const event of events) entries.set(++position, { position, event })
    })
  return {
    outbox: Outbox.of({
      pending: (_, limit) =>
        guarded(() => {
          reads.calls++
          reads.largest = Math.max(reads.largest, limit)
          return [...entries.values()].slice(0, limit)
        }),
      delivered: (_, positions) => guarded(() => positions.forEach((it) => entries.delete(it))),
      count: () => guarded(() => entries.size),
      consumers: guarded(() => (entries.size > 0 ? ["test"] : [])),
      forget: () => guarded(() => entries.clear()),
      claim: (...args) =>
        Effect.zipRight(
          guarded(() => undefined),
          claim(...args)
        ),
      unclaim: (...args) =>
        Effect.zipRight(
          guarded(() => undefined),
          unclaim(...args)
        ),
      written: Stream.fromPubSub(writes)
    }),
    /** As this process writes. */
    write: (...events: ReadonlyArray<StoredEvent>) => Effect.zipRight(put(events), PubSub.publish(writes, undefined)),
    /** As another process writes: nobody is told. */
    writeElsewhere: (...events: ReadonlyArray<StoredEvent>) => put(events),
    /** Whether the database can be reached. */
    setAway: (is: boolean) =>
      Effect.sync(() => {
        away = is
      }),
    messageIds: Effect.sync(() => [...entries.values()].map(({ event }) => event.messageId)),
    reads: Effect.sync(() => ({ ...reads }))
  }
})
