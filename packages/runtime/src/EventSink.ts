/**
 * Where a goal's events go: nowhere, memory, a JSONL file, a process-wide
 * PubSub, or several of them.
 *
 * Publishing never fails, never waits for whoever listens and never reorders. What
 * a sink could not deliver it counts and logs; `SinkHealth` tells how much that is.
 * Under pressure `AgentActivity` is dropped first: it is for people who watch.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { type JsonlOptions, makeJsonl } from "./EventSinkJsonl.js"
import { type EventFeed, type FeedOptions, makePubSub } from "./EventSinkPubSub.js"
import { type CombineOptions, combineSinks } from "./internal/combine.js"

export class EventSink extends Context.Tag("@driver/runtime/EventSink")<
  EventSink,
  {
    /** Hands the event over and returns at once. Events of one goal arrive in the order of these calls. */
    readonly publish: (event: StoredEvent) => Effect.Effect<void>
    /** Resolves when what was published before has been delivered or given up. Bounded by the sink's own timeout. */
    readonly flush: Effect.Effect<void>
  }
>() {
  /** Events go nowhere. */
  static readonly layerNoop: Layer.Layer<EventSink> = Layer.succeed(this, {
    publish: () => Effect.void,
    flush: Effect.void
  })

  /** Keeps every event, without bound, and lets tests read them back through `RecordedEvents`. */
  static readonly layerMemory: Layer.Layer<EventSink | RecordedEvents> = Layer.effectContext(
    Effect.sync(() => {
      const { publish, recorded } = makeRecorder()
      return Context.make(EventSink, { publish, flush: Effect.void }).pipe(Context.add(RecordedEvents, recorded))
    })
  )

  /**
   * Appends to a file, one `StoredEvent.FromJson` per line. A file that cannot be written is tried again for
   * `retryFor`, while later events are buffered. `flush` resolves when the lines are in the file.
   */
  static readonly layerJsonl = (
    options: string | JsonlOptions
  ): Layer.Layer<EventSink | SinkHealth, never, FileSystem.FileSystem | Path.Path> =>
    Layer.scopedContext(
      Effect.map(makeJsonl(typeof options === "string" ? { path: options } : options), (delivery) =>
        Context.make(EventSink, delivery).pipe(
          Context.add(SinkHealth, { reports: Effect.map(delivery.report, (report) => [report]) })
        )
      )
    )

  /** Hands every event to whoever has subscribed to the `EventFeed`. A subscriber that is slow loses events, the loop no time. */
  static readonly layerPubSub = (options: FeedOptions = {}): Layer.Layer<EventSink | EventFeed | SinkHealth> =>
    Layer.scopedContext(
      Effect.map(makePubSub(options), ({ feed, publish, report }) =>
        Context.merge(
          feed,
          Context.make(EventSink, { publish, flush: Effect.void }).pipe(
            Context.add(SinkHealth, { reports: Effect.map(report, (one) => [one]) })
          )
        )
      )
    )

  /**
   * Several sinks as one; whatever else their layers provide stays available. Each has its own bounded buffer and
   * fiber: one that dies or hangs does not touch the others. When the scope closes, every sink gets what was accepted
   * before it closes itself.
   */
  static readonly layerAll = <const Layers extends ReadonlyArray<Layer.Layer<EventSink, unknown, unknown>>>(
    layers: Layers,
    options: CombineOptions = {}
  ): Layer.Layer<
    EventSink | SinkHealth | { readonly [K in keyof Layers]: Layer.Layer.Success<Layers[K]> }[number],
    { readonly [K in keyof Layers]: Layer.Layer.Error<Layers[K]> }[number],
    { readonly [K in keyof Layers]: Layer.Layer.Context<Layers[K]> }[number]
  > => {
    const built = Effect.gen(function* () {
      // The map of the composition: a layer that is used elsewhere too is built once.
      const memoMap = yield* Layer.CurrentMemoMap
      const scope = yield* Effect.scope
      const contexts = yield* Effect.forEach(layers, (layer) => Layer.buildWithMemoMap(layer, memoMap, scope))
      const combined = yield* combineSinks(
        contexts.map((context) => Context.get(context, EventSink)),
        options
      )
      const members = contexts.flatMap((context) => Option.toArray(Context.getOption(context, SinkHealth)))
      const reports = Effect.map(Effect.all([combined.reports, ...members.map((member) => member.reports)]), (all) =>
        all.flat()
      )
      return contexts
        .reduce<Context.Context<EventSink>>(
          (all, context) => Context.merge(all, context),
          Context.make(EventSink, combined)
        )
        .pipe(Context.add(EventSink, combined), Context.add(SinkHealth, { reports }))
    })
    // The compiler cannot see through the list; each of the three types is the union of the members'.
    return Layer.scopedContext(built) as Layer.Layer<
      EventSink | SinkHealth | { readonly [K in keyof Layers]: Layer.Layer.Success<Layers[K]> }[number],
      { readonly [K in keyof Layers]: Layer.Layer.Error<Layers[K]> }[number],
      { readonly [K in keyof Layers]: Layer.Layer.Context<Layers[K]> }[number]
    >
  }

  /** Several sinks as one, each isolated as by `layerAll`; the buffers belong to the scope. */
  static readonly combine = (
    sinks: ReadonlyArray<EventSink["Type"]>,
    options: CombineOptions = {}
  ): Effect.Effect<EventSink["Type"], never, Scope.Scope> => combineSinks(sinks, options)
}

/** What a sink did with the events it was given, since it was built. */
export interface SinkReport {
  readonly sink: string
  /** Accepted and not yet delivered. */
  readonly queued: number
  readonly delivered: number
  /** For want of room, given up after retries, or published after the end. Events, or for subscribers: deliveries. */
  readonly dropped: number
  /** How many of those were `AgentActivity`. */
  readonly droppedActivity: number
  /** The last reason for which something was given up. */
  readonly lastError: Option.Option<string>
}

/** How the sinks do. The same numbers are the metrics `driver_events_delivered` and `driver_events_dropped`, tagged `sink`. */
export class SinkHealth extends Context.Tag("@driver/runtime/EventSink/SinkHealth")<
  SinkHealth,
  {
    /** One report per sink; of sinks in a combination first the combination's own, one per member. */
    readonly reports: Effect.Effect<ReadonlyArray<SinkReport>>
  }
>() {}

/** What was published to `EventSink.layerMemory`. */
export class RecordedEvents extends Context.Tag("@driver/runtime/EventSink/RecordedEvents")<
  RecordedEvents,
  {
    /** Everything so far, oldest first. */
    readonly all: Effect.Effect<ReadonlyArray<StoredEvent>>
    /** Resolves with the first event, already published or to come, that satisfies the predicate. */
    readonly waitFor: (predicate: (event: StoredEvent) => boolean) => Effect.Effect<StoredEvent>
    /** Resolves with everything so far, as soon as that satisfies the predicate. */
    readonly waitUntil: (
      predicate: (events: ReadonlyArray<StoredEvent>) => boolean
    ) => Effect.Effect<ReadonlyArray<StoredEvent>>
  }
>() {}

const makeRecorder = () => {
  const events: Array<StoredEvent> = []
  const waiters = new Set<() => Effect.Effect<void>>()

  /** `look` is asked now and after every event, until it finds something. */
  const wait = <A>(look: () => Option.Option<A>) =>
    Effect.gen(function* () {
      const found = look()
      if (Option.isSome(found)) return found.value
      const done = yield* Deferred.make<A>()
      const waiter = () =>
        Option.match(look(), {
          onNone: () => Effect.void,
          onSome: (value) => {
            waiters.delete(waiter)
            return Effect.asVoid(Deferred.succeed(done, value))
          }
        })
      waiters.add(waiter)
      return yield* Effect.ensuring(
        Deferred.await(done),
        Effect.sync(() => waiters.delete(waiter))
      )
    })

  return {
    publish: (event: StoredEvent) =>
      Effect.suspend(() => {
        events.push(event)
        return Effect.forEach([...waiters], (waiter) => waiter(), { discard: true })
      }),
    recorded: RecordedEvents.of({
      all: Effect.sync(() => [...events]),
      waitFor: (predicate) => {
        let seen = 0
        return wait(() => {
          for (; seen < events.length; seen++) {
            const event = events[seen]
            if (event !== undefined && predicate(event)) return Option.some(event)
          }
          return Option.none()
        })
      },
      waitUntil: (predicate) => wait(() => (predicate(events) ? Option.some([...events]) : Option.none()))
    })
  }
}
