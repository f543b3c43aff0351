/** Several sinks behind one: what `EventSink.layerAll` and `EventSink.combine` are made of. */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { EventSink } from "../EventSink.js"
import { failedBatch, makeDelivery } from "./delivery.js"

export interface CombineOptions {
  /** Buffered events per sink. Default 10,000. */
  readonly maxQueued?: number
  /** Estimated size of the buffered events per sink, in bytes. Default 64 MiB. */
  readonly maxQueuedBytes?: number
  /** A sink that does not take an event within this time has lost it. Default 10 seconds. */
  readonly publishTimeout?: Duration.DurationInput
  /** The longest that `flush` waits: once for the buffers, once for the sinks' own `flush`. Default 10 seconds. */
  readonly flushTimeout?: Duration.DurationInput
  /** The longest that the scope's close waits for what was accepted. Default 5 seconds. */
  readonly closeTimeout?: Duration.DurationInput
}

export const combineSinks = Effect.fnUntraced(function* (
  sinks: ReadonlyArray<EventSink["Type"]>,
  options: CombineOptions
) {
  const publishTimeout = Duration.decode(options.publishTimeout ?? "10 seconds")
  const flushTimeout = Duration.decode(options.flushTimeout ?? "10 seconds")

  const members = yield* Effect.forEach(sinks, (sink, index) => {
    const name = `${index + 1} of ${sinks.length}`
    const deliver = (event: StoredEvent) =>
      Effect.suspend(() => sink.publish(event)).pipe(
        // A sink that cannot be interrupted is left behind.
        Effect.disconnect,
        Effect.timeoutFail({
          duration: publishTimeout,
          onTimeout: () => `it did not take an event within ${Duration.format(publishTimeout)}`
        }),
        Effect.exit
      )
    return makeDelivery(
      {
        name,
        buffer: { events: Math.max(1, options.maxQueued ?? 10_000), bytes: options.maxQueuedBytes ?? 64 * 2 ** 20 },
        // One by one: what a hanging sink has not taken yet stays in the buffer, and counts there.
        batch: { events: 1, bytes: 1 },
        flushTimeout,
        closeTimeout: Duration.decode(options.closeTimeout ?? "5 seconds")
      },
      Effect.succeed(([event]) =>
        Effect.map(deliver(event), (exit) =>
          Exit.isSuccess(exit) ? { delivered: 1, failed: 0, error: Option.none() } : failedBatch(1, exit.cause)
        )
      )
    ).pipe(
      Effect.map((delivery) => ({
        ...delivery,
        flush: Effect.zipRight(
          delivery.flush,
          Effect.suspend(() => sink.flush).pipe(
            Effect.disconnect,
            Effect.timeoutOption(flushTimeout),
            Effect.catchAllCause((cause) => Effect.logWarning(`Event sink ${name} failed to flush`, cause))
          )
        )
      }))
    )
  })

  return {
    publish: (event: StoredEvent) => Effect.forEach(members, (member) => member.publish(event), { discard: true }),
    flush: Effect.forEach(members, (member) => member.flush, { concurrency: "unbounded", discard: true }),
    reports: Effect.all(members.map((member) => member.report))
  }
})
