/**
 * Events on their way out: written in the same transaction as the journal's
 * records, and kept until each consumer has delivered them.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { StoreError } from "./StoreError.js"

export interface OutboxEntry {
  /** Grows with every entry of the database; no order between goals is promised. */
  readonly position: number
  readonly event: StoredEvent
}

export class Outbox extends Context.Tag("@driver/runtime/Outbox")<
  Outbox,
  {
    /** What the consumer (`nats`, `hooks`) has not delivered, by position: in order per goal. At most `limit`. */
    readonly pending: (consumer: string, limit: number) => Effect.Effect<ReadonlyArray<OutboxEntry>, StoreError>
    /** Removes what was delivered. Idempotent. */
    readonly delivered: (consumer: string, positions: ReadonlyArray<number>) => Effect.Effect<void, StoreError>
    readonly count: (consumer: string) => Effect.Effect<number, StoreError>
    /** Ticks when this process has written entries. Those of other processes are found by looking now and then. */
    readonly written: Stream.Stream<void>
  }
>() {}
