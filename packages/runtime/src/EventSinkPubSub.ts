/**
 * Events to whoever listens in this process: a UI, a stream over HTTP, a test.
 *
 * Each subscriber has its own bounded queue; one that is slow loses its oldest
 * events, `AgentActivity` first, and nobody else notices. Nothing is kept for those
 * who come later.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { SinkReport } from "./EventSink.js"
import { deliveredMetric, droppedMetric } from "./internal/delivery.js"
import { makeEventBuffer } from "./internal/eventBuffer.js"

export interface SubscribeOptions {
  /** Only this goal's events. Absent: all goals'. */
  readonly goalId?: GoalId
  /** Events that wait for this subscriber; beyond, its oldest go. Default: the layer's. */
  readonly maxQueued?: number
}

/** One subscriber's end of the feed. */
export interface EventSubscription {
  /** Everything that waits, oldest first; waits for at least one. Fails once the feed has ended and all was taken. */
  readonly take: Effect.Effect<Arr.NonEmptyReadonlyArray<StoredEvent>, Cause.NoSuchElementException>
  /** The same as a stream; ends with the feed. */
  readonly events: Stream.Stream<StoredEvent>
  /** How many events this subscriber has lost because it was slow. */
  readonly dropped: Effect.Effect<number>
}

export class EventFeed extends Context.Tag("@driver/runtime/EventSink/EventFeed")<
  EventFeed,
  {
    /** Once this has resolved, no event is missed until the scope closes. */
    readonly subscribe: (options?: SubscribeOptions) => Effect.Effect<EventSubscription, never, Scope.Scope>
    /** Subscribes when it is run. */
    readonly stream: (options?: SubscribeOptions) => Stream.Stream<StoredEvent>
    /** How many there are at the moment. */
    readonly subscribers: Effect.Effect<number>
  }
>() {}

export interface FeedOptions {
  /** Events that wait for one subscriber; beyond, its oldest go, `AgentActivity` first. Default 4,096. */
  readonly maxQueued?: number
  /** Estimated size of the events that wait for one subscriber, in bytes. Default 16 MiB. */
  readonly maxQueuedBytes?: number
}

/** The sink and the feed of `EventSink.layerPubSub`. The feed ends with the scope; what waits can still be taken. */
export const makePubSub = Effect.fnUntraced(function* (options: FeedOptions) {
  const counts = { delivered: 0, dropped: 0, droppedActivity: 0 }
  const delivered = Metric.tagged(deliveredMetric, "sink", "pubsub")
  const dropped = Metric.tagged(droppedMetric, "sink", "pubsub")
  const subscribers = new Set<Subscriber>()
  let ended = false

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      ended = true
      for (const subscriber of subscribers) subscriber.wake()
    })
  )

  const publish = (event: StoredEvent) =>
    Effect.suspend(() => {
      let lost = 0
      for (const subscriber of ended ? [] : subscribers) {
        if (subscriber.goalId !== undefined && subscriber.goalId !== event.goalId) continue
        const { activity, other } = subscriber.offer(event)
        lost += activity + other
        counts.droppedActivity += activity
      }
      counts.dropped += lost
      return lost === 0 ? Effect.void : Metric.incrementBy(dropped, lost)
    })

  const subscribe = Effect.fn("EventFeed.subscribe")(function* (own: SubscribeOptions = {}) {
    const buffer = makeEventBuffer({
      events: Math.max(1, own.maxQueued ?? options.maxQueued ?? 4_096),
      bytes: options.maxQueuedBytes ?? 16 * 2 ** 20
    })
    const waiting = yield* Effect.makeLatch(ended)
    let lost = 0
    const subscriber: Subscriber = {
      goalId: own.goalId,
      offer: (event) => {
        const gone = buffer.offer(event)
        lost += gone.activity + gone.other
        waiting.unsafeOpen()
        return gone
      },
      wake: () => waiting.unsafeOpen(),
      queued: buffer.size
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => subscribers.add(subscriber)),
      () => Effect.sync(() => subscribers.delete(subscriber))
    )

    const take: EventSubscription["take"] = Effect.suspend(() => {
      const events = buffer.take({ events: Infinity, bytes: Infinity })
      if (Arr.isNonEmptyReadonlyArray(events)) {
        counts.delivered += events.length
        return Effect.as(Metric.incrementBy(delivered, events.length), events)
      }
      if (ended) return Effect.fail(new Cause.NoSuchElementException("the feed of events has ended"))
      waiting.unsafeClose()
      return Effect.zipRight(waiting.await, take)
    })
    return {
      take,
      events: Stream.repeatEffectChunkOption(
        Effect.mapBoth(take, { onFailure: () => Option.none(), onSuccess: Chunk.unsafeFromArray })
      ),
      dropped: Effect.sync(() => lost)
    } satisfies EventSubscription
  })

  return {
    publish,
    feed: Context.make(EventFeed, {
      subscribe,
      stream: (own) => Stream.unwrapScoped(Effect.map(subscribe(own), ({ events }) => events)),
      subscribers: Effect.sync(() => subscribers.size)
    }),
    report: Effect.sync((): SinkReport => {
      const queued = Arr.fromIterable(subscribers).reduce((sum, subscriber) => sum + subscriber.queued(), 0)
      return { sink: "pubsub", queued, ...counts, lastError: Option.none() }
    })
  }
})

interface Subscriber {
  readonly goalId: GoalId | undefined
  readonly offer: (event: StoredEvent) => { readonly activity: number; readonly other: number }
  readonly wake: () => void
  readonly queued: () => number
}
