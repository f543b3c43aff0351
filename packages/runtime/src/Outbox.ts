/**
 * Events on their way out: written in the same transaction as the journal's
 * records, and kept until each consumer has delivered them.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type { StoreError } from "./StoreError.js"

export interface OutboxEntry {
  /** Grows with every entry of the database; no order between goals is promised. */
  readonly position: number
  readonly event: StoredEvent
}

/** Who delivers for a consumer, as it was read: that one lives as long as `heartbeat` moves. */
export interface OutboxClaim {
  /** As the driver names itself. */
  readonly owner: string
  readonly heartbeat: number
}

export class Outbox extends Context.Tag("@driver/runtime/Outbox")<
  Outbox,
  {
    /** What the consumer (`nats`, `hooks`) has not delivered, by position: in order per goal. At most `limit`. */
    readonly pending: (consumer: string, limit: number) => Effect.Effect<ReadonlyArray<OutboxEntry>, StoreError>
    /** Removes what was delivered. Idempotent. */
    readonly delivered: (consumer: string, positions: ReadonlyArray<number>) => Effect.Effect<void, StoreError>
    readonly count: (consumer: string) => Effect.Effect<number, StoreError>
    /** All for whom something waits, those that nobody delivers for any more included. By name. */
    readonly consumers: Effect.Effect<ReadonlyArray<string>, StoreError>
    /** Removes all that waits for the consumer. What comes later is kept again, where it is configured. */
    readonly forget: (consumer: string) => Effect.Effect<void, StoreError>
    /**
     * Makes `owner` the one that delivers for the consumer, where nobody does, `owner` does already, or still `expected`
     * does, and moves the heartbeat on. Resolves with the claim that there is then: another's, where that one keeps it.
     */
    readonly claim: (
      consumer: string,
      owner: string,
      expected: Option.Option<OutboxClaim>
    ) => Effect.Effect<OutboxClaim, StoreError>
    /** Gives the claim back. Another's is not touched. */
    readonly unclaim: (consumer: string, owner: string) => Effect.Effect<void, StoreError>
    /** Ticks when this process has written entries. Those of other processes are found by looking now and then. */
    readonly written: Stream.Stream<void>
  }
>() {}
