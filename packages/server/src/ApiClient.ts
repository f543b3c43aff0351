/**
 * The API from the other side: a typed client for applications, made of `Api`.
 *
 * `HttpClient` is given: over a unix socket, TCP or whatever else carries HTTP. What
 * the transport or the server's refusal says is put into words by `clientTrouble`.
 */
import { DriverTrouble } from "@driver/runtime/Goals"
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Api, type Health } from "./Api.js"
import { BodyTooLarge, Forbidden, InternalError, Unauthorized, UnknownPath } from "./ApiErrors.js"

export interface ApiClientOptions {
  /** Where the daemon is, for people: the path of its socket, or its URL. */
  readonly address: string
  /** Of the daemon's root. Default `http://localhost`, which a client of a unix socket does not look at. */
  readonly baseUrl?: string
  /** Over TCP. */
  readonly token?: Redacted.Redacted
}

/** Nobody answers there: no daemon runs, or it has just gone. */
export class DaemonUnreachable extends Schema.TaggedError<DaemonUnreachable>()("DaemonUnreachable", {
  address: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `No daemon answers at ${this.address} (${this.detail}): start one with \`driver serve\``
  }
}

/** What a call can fail with besides the errors of its endpoint. */
export type ClientFailure =
  | HttpClientError.HttpClientError
  | ParseResult.ParseError
  | HttpApiDecodeError
  | Unauthorized
  | Forbidden
  | BodyTooLarge
  | UnknownPath
  | InternalError

type Endpoints = Effect.Effect.Success<ReturnType<typeof makeEndpoints>>

export class ApiClient extends Context.Tag("@driver/server/ApiClient")<
  ApiClient,
  {
    /** `endpoints.goals.list({ urlParams: { all: true } })`, … */
    readonly endpoints: Endpoints
    /** Knows the root and the token. */
    readonly http: HttpClient.HttpClient
    readonly address: string
    /** Asks whether the daemon is there, within two seconds or what is given. */
    readonly probe: (within?: Duration.DurationInput) => Effect.Effect<Health, DaemonUnreachable | DriverTrouble>
  }
>() {
  static readonly layer = (options: ApiClientOptions): Layer.Layer<ApiClient, never, HttpClient.HttpClient> =>
    Layer.effect(
      this,
      Effect.gen(function* () {
        const http = HttpClient.mapRequest(yield* HttpClient.HttpClient, (request) => {
          const rooted = HttpClientRequest.prependUrl(request, options.baseUrl ?? "http://localhost")
          return options.token === undefined ? rooted : HttpClientRequest.bearerToken(rooted, options.token)
        })
        const { address } = options
        const endpoints = yield* makeEndpoints(http)
        return {
          endpoints,
          http,
          address,
          probe: (within = "2 seconds") =>
            endpoints.daemon.health({}).pipe(
              Effect.timeoutFail({
                duration: within,
                onTimeout: () => new DaemonUnreachable({ address, detail: "it did not answer in time" })
              }),
              Effect.catchIf(isClientFailure, (failure) => Effect.flip(clientTrouble(address, failure)))
            )
        }
      })
    )
}

const makeEndpoints = (httpClient: HttpClient.HttpClient) => HttpApiClient.makeWith(Api, { httpClient })

const isRefusal = Schema.is(
  Schema.Union(Unauthorized, Forbidden, BodyTooLarge, UnknownPath, InternalError, HttpApiDecodeError)
)

export const isClientFailure = (error: unknown): error is ClientFailure =>
  HttpClientError.isHttpClientError(error) || ParseResult.isParseError(error) || isRefusal(error)

/** Resolves with what is told to whoever asked. */
export const clientTrouble = (
  address: string,
  failure: ClientFailure
): Effect.Effect<DaemonUnreachable | DriverTrouble, never> => {
  switch (failure._tag) {
    case "RequestError":
      return Effect.succeed(
        failure.reason === "Transport"
          ? new DaemonUnreachable({ address, detail: causeOf(failure) })
          : new DriverTrouble({
              detail: `The request to the daemon at ${address} could not be made: ${failure.message}`
            })
      )
    case "ResponseError":
      return failure.response.text.pipe(
        Effect.map(saidIn),
        Effect.orElseSucceed(() => failure.message),
        Effect.map(
          (said) =>
            new DriverTrouble({
              detail: `The daemon at ${address} answered with status ${failure.response.status}: ${said}. Is it of another version?`
            })
        )
      )
    case "ParseError":
      return Effect.succeed(
        new DriverTrouble({
          detail: `What the daemon at ${address} answered could not be read, is it of another version? ${failure.message}`
        })
      )
    case "HttpApiDecodeError":
      return Effect.succeed(
        new DriverTrouble({ detail: `The daemon at ${address} could not read the request: ${failure.message}` })
      )
    case "UnknownPath":
      return Effect.succeed(
        new DriverTrouble({ detail: `The daemon at ${address} is of another version: ${failure.message}` })
      )
    default:
      return Effect.succeed(new DriverTrouble({ detail: failure.message }))
  }
}

const causeOf = (error: HttpClientError.RequestError): string =>
  error.cause instanceof Error ? error.cause.message : error.message

const saidIn = (body: string): string => {
  const decoded = decodeMessage(body)
  return decoded._tag === "Right" ? decoded.right.message : body.slice(0, 200)
}

const decodeMessage = Schema.decodeEither(Schema.parseJson(Schema.Struct({ message: Schema.String })))

/** The failures of the transport become the one error that every call of `Goals` has. */
export const withTrouble =
  (address: string) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, Exclude<E, ClientFailure> | DriverTrouble, R> =>
    Effect.catchAll(
      effect,
      (error): Effect.Effect<never, Exclude<E, ClientFailure> | DriverTrouble> =>
        isClientFailure(error)
          ? Effect.flatMap(clientTrouble(address, error), (trouble) => Effect.fail(asTrouble(trouble)))
          : // The guard has taken the others away, which the compiler does not see through the type parameter.
            Effect.fail(error as Exclude<E, ClientFailure>)
    )

export const asTrouble = (error: DaemonUnreachable | DriverTrouble): DriverTrouble =>
  Predicate.isTagged(error, "DriverTrouble") ? error : new DriverTrouble({ detail: error.message })
