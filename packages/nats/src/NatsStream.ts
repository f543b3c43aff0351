/** The stream of JetStream that takes the events: made when it is not there, never changed when it is. */
import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo
} from "@nats-io/jetstream"
import { type NatsConnection, nanos } from "@nats-io/transport-node"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type NatsUnavailable, unavailable } from "./NatsConnection.js"
import { type NatsSettings, subjectsOf } from "./NatsSettings.js"

/** The stream that is there does not take the driver's events, or cannot be made. Somebody has to change it. */
export class NatsStreamUnfit extends Schema.TaggedError<NatsStreamUnfit>()("NatsStreamUnfit", {
  stream: Schema.String,
  /** Says what to do, without a full stop. */
  detail: Schema.String
}) {
  override get message() {
    return `The stream ${this.stream} cannot take the driver's events: ${this.detail}.`
  }
}

/** What of the stream matters here. */
export interface StreamInUse {
  /** Bytes; none where the stream sets no limit of its own. */
  readonly maxMessageSize: Option.Option<number>
  readonly duplicateWindow: Duration.Duration
}

/** Looks for the stream and makes it when there is none. */
export const ensure = Effect.fn("NatsStream.ensure")(function* (
  settings: NatsSettings,
  connection: NatsConnection
): Effect.fn.Return<StreamInUse, NatsUnavailable | NatsStreamUnfit> {
  const manager = yield* Effect.tryPromise({
    try: () => jetstreamManager(connection, { checkAPI: false, timeout: Duration.toMillis(settings.ackTimeout) }),
    catch: unavailable(settings, "JetStream")
  })
  const { name } = settings.stream
  const found = yield* Effect.tryPromise({
    try: () => manager.streams.info(name),
    catch: (cause) => (isCode(cause, JetStreamApiCodes.StreamNotFound) ? ("none" as const) : cause)
  }).pipe(
    Effect.map(Option.some),
    Effect.catchAll((cause) =>
      cause === "none" ? Effect.succeedNone : Effect.fail(unavailable(settings, `stream ${name}`)(cause))
    )
  )
  const { config } = Option.isSome(found) ? found.value : yield* add(settings, manager)
  const wanted = subjectsOf(settings)
  if (!config.subjects?.some((subject) => covers(subject, wanted))) {
    const all = [...(config.subjects ?? []), wanted].join(",")
    return yield* new NatsStreamUnfit({
      stream: name,
      detail:
        `it does not have the subjects ${wanted}. Add them (nats stream edit ${name} --subjects "${all}"), ` +
        "or name a stream of the driver's own in the configuration"
    })
  }
  if (config.sealed) {
    return yield* new NatsStreamUnfit({ stream: name, detail: "it is sealed. Name another one in the configuration" })
  }
  return {
    maxMessageSize: config.max_msg_size > 0 ? Option.some(config.max_msg_size) : Option.none(),
    duplicateWindow: Duration.nanos(BigInt(config.duplicate_window))
  }
})

/** Whether every subject that `wanted` stands for is one of `pattern`; both may have `*` and `>`. */
export const covers = (pattern: string, wanted: string): boolean => {
  const parts = pattern.split(".")
  const others = wanted.split(".")
  for (let at = 0; at < others.length; at++) {
    const part = parts[at]
    if (part === ">") return true
    // `*` stands for one part, `>` for one or more.
    if (part === undefined || others[at] === ">" || (part !== "*" && part !== others[at])) return false
  }
  return parts.length === others.length
}

const add = (
  settings: NatsSettings,
  manager: JetStreamManager
): Effect.Effect<StreamInfo, NatsUnavailable | NatsStreamUnfit> => {
  const { name } = settings.stream
  return Effect.tryPromise({ try: () => manager.streams.add(configOf(settings)), catch: (cause) => cause }).pipe(
    Effect.tap(() => Effect.logInfo(`Made the stream ${name} for the subjects ${subjectsOf(settings)}`)),
    Effect.catchAll((cause): Effect.Effect<StreamInfo, NatsUnavailable | NatsStreamUnfit> => {
      // Another driver made it in the meantime, with limits of its own.
      if (isCode(cause, nameInUse)) {
        return Effect.tryPromise({
          try: () => manager.streams.info(name),
          catch: unavailable(settings, `stream ${name}`)
        })
      }
      if (!(cause instanceof JetStreamApiError) || cause.status >= 500) {
        return Effect.fail(unavailable(settings, `making the stream ${name}`)(cause))
      }
      return Effect.flatMap(ownerOf(manager, subjectsOf(settings)), (owner) =>
        Effect.fail(
          new NatsStreamUnfit({
            stream: name,
            detail: isCode(cause, subjectsOverlap)
              ? `${owner} takes such subjects already. Name that one in the configuration, or give the driver a prefix`
              : `it cannot be made (${cause.message}). Change its limits in the configuration, or make it yourself`
          })
        )
      )
    })
  )
}

const nameInUse = 10058
const subjectsOverlap = 10065

const isCode = (cause: unknown, code: number) => cause instanceof JetStreamApiError && cause.code === code

const ownerOf = (manager: JetStreamManager, subjects: string) =>
  Effect.tryPromise(() => manager.streams.find(subjects.replace(/>$/, "goal.completed"))).pipe(
    Effect.map((name) => `the stream ${name}`),
    Effect.orElseSucceed(() => "another stream")
  )

const configOf = (settings: NatsSettings): Partial<StreamConfig> & { readonly name: string } => {
  const { duplicateWindow, maxAge, maxBytes, name, replicas } = settings.stream
  const age = nanos(Duration.toMillis(maxAge))
  const window = nanos(Duration.toMillis(duplicateWindow))
  return {
    name,
    description: "Events of driver",
    subjects: [subjectsOf(settings)],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    max_age: age,
    max_bytes: Option.getOrElse(maxBytes, () => -1),
    num_replicas: replicas,
    // The server refuses to remember ids for longer than it keeps messages.
    duplicate_window: age === 0 ? window : Math.min(window, age)
  }
}
