/**
 * The half of a sink that keeps the goal loop free: a bounded buffer that `publish`
 * fills without waiting, and one fiber that empties it in order.
 *
 * Owns the buffer, the fiber and the count of what was lost. How a batch is
 * delivered, retries included, is the sink's own.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { SinkReport } from "../EventSink.js"
import { type BufferLimits, makeEventBuffer } from "./eventBuffer.js"

export interface DeliveryOptions {
  /** Names the sink in logs, metrics and reports. */
  readonly name: string
  readonly buffer: BufferLimits
  readonly batch: BufferLimits
  readonly flushTimeout: Duration.Duration
  readonly closeTimeout: Duration.Duration
}

/** What became of a batch. */
export interface BatchOutcome {
  readonly delivered: number
  /** Given up. */
  readonly failed: number
  /** Why, when something failed: for the report, and in full for the log. */
  readonly error: Option.Option<string>
  readonly cause?: Cause.Cause<unknown>
}

export interface Delivery {
  readonly publish: (event: StoredEvent) => Effect.Effect<void>
  readonly flush: Effect.Effect<void>
  readonly report: Effect.Effect<SinkReport>
}

export const deliveredMetric = Metric.counter("driver_events_delivered", {
  description: "Events that a sink delivered",
  incremental: true
})
export const droppedMetric = Metric.counter("driver_events_dropped", {
  description: "Events that a sink dropped or gave up",
  incremental: true
})

/**
 * `open` is run in the delivering fiber, in a scope that ends with it: what it acquires is released only when no
 * delivery is going on. When the caller's scope closes, what was accepted is delivered first, for at most
 * `closeTimeout`.
 */
export const makeDelivery = Effect.fnUntraced(function* <R>(
  options: DeliveryOptions,
  open: Effect.Effect<
    (events: Arr.NonEmptyReadonlyArray<StoredEvent>) => Effect.Effect<BatchOutcome>,
    never,
    R | Scope.Scope
  >
) {
  const buffer = makeEventBuffer(options.buffer)
  const waiting = yield* Effect.makeLatch(false)
  const delivered = Metric.tagged(deliveredMetric, "sink", options.name)
  const dropped = Metric.tagged(droppedMetric, "sink", options.name)
  const flushes: Array<{ readonly until: number; readonly done: Deferred.Deferred<void> }> = []
  const counts = { delivered: 0, dropped: 0, droppedActivity: 0 }
  let lastError: string | undefined
  let inFlight: { readonly position: number; readonly events: number } | undefined
  let closed = false
  // How many events were given up since the last delivery.
  let failing = 0
  // What was dropped since the sink last kept up; undefined while it does.
  let pressure: { activity: number; other: number } | undefined

  const lose = (activity: number, other: number) => {
    counts.dropped += activity + other
    counts.droppedActivity += activity
    return Metric.incrementBy(dropped, activity + other)
  }

  const settle = Effect.suspend(() => {
    const outstanding = Math.min(inFlight?.position ?? Infinity, buffer.oldest())
    const done = flushes.filter(({ until }) => until <= outstanding)
    for (const flush of done) flushes.splice(flushes.indexOf(flush), 1)
    return Effect.forEach(done, (flush) => Deferred.succeed(flush.done, undefined), { discard: true })
  })

  const publish = (event: StoredEvent) =>
    Effect.suspend(() => {
      if (closed) {
        const activity = event.event._tag === "AgentActivity"
        return lose(activity ? 1 : 0, activity ? 0 : 1)
      }
      const lost = buffer.offer(event)
      waiting.unsafeOpen()
      if (lost.activity + lost.other === 0) return Effect.void
      const first = pressure === undefined
      pressure = { activity: (pressure?.activity ?? 0) + lost.activity, other: (pressure?.other ?? 0) + lost.other }
      const counted = lose(lost.activity, lost.other)
      return first
        ? Effect.zipRight(
            counted,
            Effect.logWarning(`Event sink ${options.name} does not keep up: events are dropped, agent activity first`)
          )
        : counted
    })

  const run = (
    deliver: (events: Arr.NonEmptyReadonlyArray<StoredEvent>) => Effect.Effect<BatchOutcome>,
    events: Arr.NonEmptyReadonlyArray<StoredEvent>
  ) =>
    deliver(events).pipe(
      Effect.catchAllCause((cause) => Effect.succeed<BatchOutcome>(failedBatch(events.length, cause))),
      Effect.flatMap((outcome) => {
        inFlight = undefined
        counts.delivered += outcome.delivered
        const counted = Metric.incrementBy(delivered, outcome.delivered)
        return Effect.zipRight(counted, outcome.failed > 0 ? gaveUp(outcome) : works)
      })
    )

  // A sink that is broken for hours says so once, and once more when it works again.
  const gaveUp = ({ cause = Cause.empty, error, failed }: BatchOutcome) => {
    const reason = Option.getOrElse(error, () => "no reason given")
    lastError = reason
    const first = failing === 0
    failing += failed
    return Effect.zipRight(
      lose(0, failed),
      first ? Effect.logError(`Event sink ${options.name} gave up on ${failed} events: ${reason}`, cause) : Effect.void
    )
  }
  const works = Effect.suspend(() => {
    if (failing === 0) return Effect.void
    const failed = failing
    failing = 0
    return Effect.logWarning(`Event sink ${options.name} works again; it gave up on ${failed} events`)
  })

  const keptUp = Effect.suspend(() => {
    if (pressure === undefined || buffer.size() > 0) return Effect.void
    const { activity, other } = pressure
    pressure = undefined
    return Effect.logWarning(
      `Event sink ${options.name} keeps up again; it dropped ${activity} events of agent activity and ${other} others`
    )
  })

  const loop = Effect.gen(function* () {
    const deliver = yield* open
    return yield* Effect.forever(
      Effect.gen(function* () {
        yield* waiting.await
        const position = buffer.oldest()
        const events = buffer.take(options.batch)
        if (!Arr.isNonEmptyReadonlyArray(events)) {
          waiting.unsafeClose()
          return
        }
        inFlight = { position, events: events.length }
        yield* run(deliver, events)
        yield* settle
        yield* keptUp
      })
    )
  }).pipe(Effect.scoped)

  const flushWithin = (timeout: Duration.Duration) =>
    Effect.gen(function* () {
      const done = yield* Deferred.make<void>()
      flushes.push({ until: buffer.next(), done })
      yield* settle
      return yield* Deferred.await(done)
    }).pipe(Effect.timeoutOption(timeout), Effect.map(Option.isSome))

  // Not `forkScoped`: that waits without limit for a fiber that is stuck in a system call.
  yield* Effect.acquireRelease(Effect.forkDaemon(Effect.interruptible(loop)), (fiber) =>
    Effect.gen(function* () {
      closed = true
      const inTime = yield* flushWithin(options.closeTimeout)
      yield* Fiber.interrupt(fiber).pipe(Effect.disconnect, Effect.timeoutOption(options.closeTimeout))
      if (inTime) return
      // What the fiber held and what it had not reached.
      const rest = buffer.take({ events: Infinity, bytes: Infinity })
      const activity = rest.filter(({ event }) => event._tag === "AgentActivity").length
      const lost = rest.length + (inFlight?.events ?? 0)
      inFlight = undefined
      yield* settle
      yield* lose(activity, lost - activity)
      yield* Effect.logError(
        `Event sink ${options.name} was closed with ${lost} events undelivered after ${Duration.format(options.closeTimeout)}`
      )
    }).pipe(Effect.interruptible)
  )

  const delivery: Delivery = {
    publish,
    flush: Effect.flatMap(flushWithin(options.flushTimeout), (inTime) =>
      inTime
        ? Effect.void
        : Effect.logWarning(
            `Event sink ${options.name} has not delivered everything within ${Duration.format(options.flushTimeout)}`
          )
    ),
    report: Effect.sync(() => ({
      sink: options.name,
      queued: buffer.size() + (inFlight?.events ?? 0),
      ...counts,
      lastError: Option.fromNullable(lastError)
    }))
  }
  return delivery
})

/** Nothing of a batch was delivered. */
export const failedBatch = (events: number, cause: Cause.Cause<unknown>): BatchOutcome => ({
  delivered: 0,
  failed: events,
  error: Option.some(String(Cause.squash(cause))),
  cause
})
