/**
 * Brings the events that wait in the outbox to a stream of NATS JetStream.
 *
 *     away ──(connects, finds or makes the stream)──▶ relaying ──(anything fails)──▶ away, for longer each time
 *
 * In order per goal, at least once: the next event of a goal is published when the one
 * before it was acknowledged, an acknowledged one is removed from the outbox, and one
 * whose acknowledgement was lost is published again under the same id, which the
 * server drops. Goals do not wait for each other. While the server is away nobody
 * waits: events stay in the outbox.
 *
 * An event that the server can never take, being too large even with its texts cut,
 * is given up with an error in the log, so that it does not hold up those behind it.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import type { SinkReport } from "@driver/runtime/EventSink"
import { Outbox } from "@driver/runtime/Outbox"
import type { Claimant } from "@driver/runtime/OutboxClaims"
import * as OutboxDrain from "@driver/runtime/OutboxDrain"
import { JetStreamApiError, jetstream } from "@nats-io/jetstream"
import { headers, type NatsConnection } from "@nats-io/transport-node"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as NatsConnectionOf from "./NatsConnection.js"
import { messageOf, type NatsMessage } from "./NatsMessage.js"
import { type NatsSettings, plainAddress, type SettingsInput, settingsOf } from "./NatsSettings.js"
import * as NatsStream from "./NatsStream.js"

/** The consumer under which the outbox has to be kept: the store's layer is told its name. */
export const consumer = "nats"

/** `queued` is what is in the outbox, `dropped` what was given up; both since the relay was built, but for `queued`. */
export interface NatsReport extends SinkReport {
  readonly connected: boolean
  /** Published again under an id that the server had seen, and dropped by it. */
  readonly duplicates: number
  /** Published with texts cut. */
  readonly cut: number
}

export type NatsError = NatsConnectionOf.NatsUnavailable | NatsStream.NatsStreamUnfit

export interface NatsRelayOptions {
  /** As whom this driver claims the relay: of several with one store, one publishes. */
  readonly claimant?: Claimant
}

export class NatsRelay extends Context.Tag("@driver/nats/NatsRelay")<
  NatsRelay,
  {
    readonly report: Effect.Effect<NatsReport>
  }
>() {
  /**
   * Relays for as long as the layer lives. Building it does not wait for the server. Closing it waits, for at most
   * `closeTimeout`, until a server that is there has what is in the outbox.
   */
  static readonly layer = (
    settings: SettingsInput,
    options: NatsRelayOptions = {}
  ): Layer.Layer<NatsRelay, never, Outbox> => Layer.scoped(this, make(settingsOf(settings), options))
}

/** Connects and looks for the stream, once: for `driver doctor`. Makes the stream when there is none. */
export const check = (settings: SettingsInput): Effect.Effect<NatsStream.StreamInUse, NatsError> => {
  const whole = settingsOf(settings)
  return Effect.scoped(Effect.flatMap(NatsConnectionOf.open(whole), (it) => NatsStream.ensure(whole, it)))
}

/** Before the n-th try in a row, n from 1. `random` from 0 to 1 spreads drivers that lost the same server by a fifth. */
export const delayBefore = (
  failures: number,
  { first, longest }: NatsSettings["retry"],
  random: number
): Duration.Duration => {
  const doubled = Duration.toMillis(first) * 2 ** Math.min(failures - 1, 30)
  return Duration.millis(Math.min(doubled, Duration.toMillis(longest)) * (0.8 + 0.4 * random))
}

const make = Effect.fnUntraced(function* (settings: NatsSettings, { claimant }: NatsRelayOptions) {
  const outbox = yield* Outbox
  const drain = yield* OutboxDrain.make({
    consumer,
    concurrency: settings.maxInFlight,
    pollEvery: settings.pollEvery,
    ...(claimant === undefined ? {} : { claimant })
  })
  const state = { connected: false, duplicates: 0, cut: 0, queued: 0, failures: 0 }
  let lastError: string | undefined

  const recovered = Effect.sync(() => {
    state.failures = 0
  })

  const publish = (relaying: Relaying) => (event: StoredEvent) =>
    Either.match(messageOf(event, { limit: relaying.limit, prefix: settings.prefix }), {
      onLeft: ({ detail }) => giveUp(event, detail),
      onRight: (message) =>
        Effect.gen(function* () {
          const ack = yield* relaying.publish(message)
          if (ack === "refused") return yield* giveUp(event, "it is larger than the stream takes")
          if (ack === "duplicate") state.duplicates++
          if (message.cut.length > 0) {
            state.cut++
            yield* Effect.logWarning(
              `Event ${event.messageId} of goal ${event.goalId} is too large for NATS, and was published with these texts cut: ${message.cut.slice(0, 5).join(", ")}`
            )
          }
          yield* recovered
          return "delivered" as const
        })
    })

  const giveUp = (event: StoredEvent, detail: string) => {
    lastError = `event ${event.messageId} of goal ${event.goalId} cannot be published: ${detail}`
    return Effect.as(
      Effect.logError(
        `Event ${event.messageId} (${event.event._tag}) of goal ${event.goalId} cannot be published to NATS and is left out: ${detail}. It stays in the goal's journal.`
      ),
      "given_up" as const
    )
  }

  const relay = Effect.gen(function* () {
    const connection = yield* NatsConnectionOf.open(settings)
    const stream = yield* NatsStream.ensure(settings, connection)
    if (Duration.lessThan(stream.duplicateWindow, settings.stream.duplicateWindow)) {
      yield* Effect.logDebug(
        `The stream ${settings.stream.name} remembers message ids for ${Duration.format(stream.duplicateWindow)}: an event can appear twice when NATS is away for longer`
      )
    }
    state.connected = true
    yield* Effect.addFinalizer(() => Effect.sync(() => (state.connected = false)))
    yield* Effect.logInfo(
      `${state.failures > 0 ? "NATS is back: events" : "Events"} go to the stream ${settings.stream.name} at ${plainAddress(connection.getServer())}`
    )
    // A server that takes connections and no events is asked less and less often, one that works is asked at once again.
    yield* Effect.forkScoped(Effect.delay(recovered, settledAfter))
    return yield* Effect.raceFirst(
      drain.run(publish(relayingOver(settings, connection, stream))),
      NatsConnectionOf.broken(settings, connection)
    )
  }).pipe(Effect.scoped)

  // An outage of hours is one line in the log, until the reason changes.
  const failed = (error: NatsError) =>
    Effect.gen(function* () {
      state.failures++
      const told = lastError === error.message && state.failures > 1
      lastError = error.message
      yield* told
        ? Effect.logDebug(`${error.message} (${state.failures} tries)`)
        : Effect.logWarning(`${error.message} The driver tries again for as long as it runs.`)
      yield* Effect.sleep(delayBefore(state.failures, settings.retry, yield* Random.next))
    })

  const forever = relay.pipe(
    Effect.catchAll(failed),
    // A defect of the client ends this run, not the relay.
    Effect.catchAllDefect((defect) =>
      Effect.zipRight(
        Effect.logError("The NATS relay met a defect and begins anew", defect),
        failed(NatsConnectionOf.unavailable(settings, "defect")(defect))
      )
    ),
    Effect.forever
  )

  const report = Effect.gen(function* () {
    state.queued = yield* Effect.orElseSucceed(outbox.count(consumer), () => state.queued)
    const { delivered, givenUp } = yield* drain.counts
    return {
      sink: consumer,
      connected: state.connected,
      queued: state.queued,
      delivered,
      dropped: givenUp,
      droppedActivity: 0,
      duplicates: state.duplicates,
      cut: state.cut,
      lastError: Option.fromNullable(lastError)
    }
  })

  yield* Effect.acquireRelease(Effect.forkDaemon(Effect.interruptible(forever)), (fiber) =>
    Effect.gen(function* () {
      if (state.connected) yield* Effect.timeoutOption(drain.settled, settings.closeTimeout)
      const { queued } = yield* report
      if (queued > 0) yield* Effect.logInfo(`${queued} events wait in the outbox for NATS, until a driver runs again`)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.interruptible)
  )
  return NatsRelay.of({ report })
})

/** A connection that held for so long counts as one that works. */
const settledAfter = "5 seconds"

interface Relaying {
  /** Bytes of one message. */
  readonly limit: number
  readonly publish: (
    message: NatsMessage
  ) => Effect.Effect<"stored" | "duplicate" | "refused", NatsConnectionOf.NatsUnavailable>
}

const relayingOver = (settings: NatsSettings, connection: NatsConnection, stream: NatsStream.StreamInUse): Relaying => {
  const client = jetstream(connection, { timeout: Duration.toMillis(settings.ackTimeout) })
  const ofServer = connection.info?.max_payload ?? smallestPayload
  return {
    limit: Math.min(
      ofServer,
      Option.getOrElse(stream.maxMessageSize, () => ofServer)
    ),
    publish: (message) =>
      Effect.tryPromise({
        try: () => {
          const lines = headers()
          for (const [name, value] of message.headers) lines.set(name, value)
          return client.publish(message.subject, message.body, {
            msgID: message.id,
            headers: lines,
            // A stream of somebody else's that took over the subjects is not where the events belong.
            expect: { streamName: settings.stream.name }
          })
        },
        catch: (cause) => cause
      }).pipe(
        Effect.map(({ duplicate }) => (duplicate ? ("duplicate" as const) : ("stored" as const))),
        Effect.catchAll((cause) =>
          isTooLarge(cause)
            ? Effect.succeed("refused" as const)
            : Effect.fail(NatsConnectionOf.unavailable(settings, "publish")(cause))
        )
      )
  }
}

/** Bytes, where the server does not say. */
const smallestPayload = 64 * 1024

/** `message size exceeds maximum allowed`, of the stream. */
const isTooLarge = (cause: unknown) => cause instanceof JetStreamApiError && cause.code === 10054
