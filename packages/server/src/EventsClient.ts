/**
 * A goal's events over the API, as a stream that survives the connection: when it is
 * lost, the stream reconnects and goes on after the last event it has seen.
 */
import { StoredEvent } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import { DriverTrouble, type GoalsError } from "@driver/runtime/Goals"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type ApiClient, asTrouble, clientTrouble } from "./ApiClient.js"
import { StreamError } from "./ApiErrors.js"
import { type Block, readBlocks } from "./Sse.js"

export interface EventsOptions {
  readonly after: number
  readonly follow: boolean
  /** How long it is tried to reconnect. Default 30 seconds. */
  readonly reconnectFor?: Duration.DurationInput
  /** So long without even a heartbeat, the connection counts as lost. Default 45 seconds, three heartbeats. */
  readonly silence?: Duration.DurationInput
}

/** The connection broke off: worth another try once there was one. */
class Lost extends Data.TaggedError("Lost")<{ readonly trouble: DriverTrouble }> {}

const decodeEvent = Schema.decode(StoredEvent.FromJson)
const decodeFailure = Schema.decode(Schema.parseJson(StreamError))

export const events = (
  client: ApiClient["Type"],
  goalId: GoalId,
  options: EventsOptions
): Stream.Stream<StoredEvent, GoalsError> =>
  Stream.suspend(() => {
    let cursor = options.after
    let connected = false
    const once = Stream.suspend(() => connect(client, goalId, cursor, options)).pipe(
      Stream.tap((item) =>
        Effect.sync(() => {
          connected = true
          if (item !== "open") cursor = item.sequence
        })
      )
    )
    return once.pipe(
      Stream.retry(
        Schedule.exponential("100 millis").pipe(
          Schedule.union(Schedule.spaced("2 seconds")),
          Schedule.upTo(options.reconnectFor ?? "30 seconds"),
          Schedule.whileInput((error: Lost | GoalsError) => connected && error._tag === "Lost")
        )
      ),
      Stream.filter((item) => item !== "open"),
      Stream.catchTag("Lost", ({ trouble }) => Stream.fail(trouble))
    )
  })

/** `open` once the daemon has answered, then the events of one connection. */
const connect = (
  client: ApiClient["Type"],
  goalId: GoalId,
  after: number,
  options: EventsOptions
): Stream.Stream<StoredEvent | "open", Lost | GoalsError> => {
  const lost = (detail: string) =>
    new Lost({
      trouble: new DriverTrouble({ detail: `The connection to the daemon at ${client.address} was lost: ${detail}` })
    })
  const fromTransport = (error: HttpClientError.HttpClientError) =>
    Effect.map(clientTrouble(client.address, error), (trouble) => new Lost({ trouble: asTrouble(trouble) }))

  const request = HttpClientRequest.get(`/goals/${goalId}/events`, {
    urlParams: { after, follow: options.follow },
    acceptJson: false
  })
  const opened = client.http.execute(request).pipe(
    Effect.catchAll((error) => Effect.flip(fromTransport(error))),
    Effect.flatMap((response) => (response.status === 200 ? Effect.succeed(response) : refused(client, response)))
  )
  const blocks = (response: HttpClientResponse.HttpClientResponse) =>
    response.stream.pipe(
      Stream.mapError((error) => lost(detailOf(error))),
      Stream.timeoutFail(() => lost("it has gone silent"), options.silence ?? "45 seconds"),
      Stream.decodeText(),
      Stream.mapAccum("", readBlocks),
      Stream.mapConcat((found) => found)
    )
  return Stream.unwrap(
    Effect.map(opened, (response) =>
      Stream.concat(
        Stream.make("open" as const),
        blocks(response).pipe(
          // One that breaks off without a last block was cut.
          Stream.concat(Stream.fail(lost("it broke off"))),
          Stream.takeWhile((block) => block.event !== "end"),
          Stream.mapEffect(eventOf(client.address))
        )
      )
    )
  )
}

const eventOf =
  (address: string) =>
  (block: Block): Effect.Effect<StoredEvent, GoalsError> => {
    const unreadable = (error: { readonly message: string }) =>
      new DriverTrouble({
        detail: `An event of the daemon at ${address} could not be read, is it of another version? ${error.message}`
      })
    return block.event === "failed"
      ? Effect.flatMap(Effect.mapError(decodeFailure(block.data), unreadable), (error) => Effect.fail(error))
      : Effect.mapError(decodeEvent(block.data), unreadable)
  }

/** An answer other than a stream. A daemon that is stopping may be back soon. */
const refused = (
  client: ApiClient["Type"],
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<never, Lost | GoalsError> =>
  Effect.gen(function* () {
    const said = yield* Effect.option(Effect.flatMap(response.text, decodeFailure))
    if (said._tag === "Some") {
      return yield* response.status === 503 && said.value._tag === "DriverTrouble"
        ? new Lost({ trouble: said.value })
        : said.value
    }
    const { address } = client
    const error = new HttpClientError.ResponseError({ request: response.request, response, reason: "StatusCode" })
    return yield* Effect.flatMap(clientTrouble(address, error), (trouble) => Effect.fail(asTrouble(trouble)))
  })

const detailOf = (error: HttpClientError.ResponseError): string =>
  error.cause instanceof Error ? error.cause.message : error.message
