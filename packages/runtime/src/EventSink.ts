/**
 * Where a goal's events go: nowhere, memory, a JSONL file, a process-wide
 * PubSub, or several of them.
 *
 * Publishing never fails, never waits for whoever listens and never reorders. What
 * a sink could not deliver it counts and logs.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

export class EventSink extends Context.Tag("@driver/runtime/EventSink")<
  EventSink,
  {
    /** Hands the event over and returns at once. Events of one goal arrive in the order of these calls. */
    readonly publish: (event: StoredEvent) => Effect.Effect<void>
    /** Resolves when what was published before has been delivered or given up. Bounded by the sink's own timeout. */
    readonly flush: Effect.Effect<void>
  }
>() {}
