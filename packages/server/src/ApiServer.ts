/**
 * Serves the API, on a unix socket or on TCP.
 *
 * The composition gives the listening `HttpServer`. On a unix socket the mode of its
 * file says who may ask; over TCP whoever has the token, from no page of a browser:
 * a request that names a foreign host or origin is refused, and there is no CORS.
 * When the layer's scope closes, streams end and calls that wait are answered.
 */
import { sameSecret } from "@driver/permission/TokenSource"
import { DriverTrouble, type Goals } from "@driver/runtime/Goals"
import type * as Headers from "@effect/platform/Headers"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { HttpApiDecodeError } from "@effect/platform/HttpApiError"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import type * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Api } from "./Api.js"
import { BodyTooLarge, DriverTroubleOnWire, Forbidden, InternalError, Unauthorized, UnknownPath } from "./ApiErrors.js"
import * as ApiHandlers from "./ApiHandlers.js"
import type { Daemon } from "./Daemon.js"
import { EventHub } from "./EventHub.js"

/** Who may ask. */
export type Access = Data.TaggedEnum<{
  /** Whoever may open the socket's file. */
  Socket: {}
  /** Whoever has the token. `hosts`: names of this machine besides `localhost`, `127.0.0.1` and `[::1]`. */
  Token: { readonly token: Redacted.Redacted; readonly hosts: ReadonlyArray<string> }
}>
export const Access = Data.taggedEnum<Access>()

/** The whole API, to be served at one or more addresses. */
export class ApiApp extends Context.Tag("@driver/server/ApiServer/ApiApp")<
  ApiApp,
  {
    readonly app: HttpApp.Default<unknown, Scope.Scope>
    /** Resolves when the daemon stops. */
    readonly stopped: Effect.Effect<void>
    /** Ends the streams and answers the calls that wait. */
    readonly stop: Effect.Effect<void>
  }
>() {
  static readonly layer: Layer.Layer<ApiApp, never, Goals | EventHub | Daemon | HttpRouter.HttpRouter.DefaultServices> =
    Layer.effect(
      this,
      Effect.gen(function* () {
        const hub = yield* EventHub
        const services = yield* Effect.context<HttpRouter.HttpRouter.DefaultServices>()
        const app = yield* HttpApiBuilder.httpApp
        const stopping = yield* Deferred.make<void>()
        return {
          app: Effect.mapInputContext(
            app,
            (request: Context.Context<HttpServerRequest.HttpServerRequest | Scope.Scope>) =>
              // The request's own scope wins over that of the layer.
              Context.merge(services, request)
          ),
          stopped: Deferred.await(stopping),
          stop: Effect.zipRight(Deferred.succeed(stopping, undefined), hub.close)
        }
      })
    ).pipe(
      Layer.provide(HttpApiBuilder.middlewareOpenApi({ path: "/openapi.json" })),
      Layer.provide(Layer.provide(HttpApiBuilder.api(Api), ApiHandlers.layer)),
      Layer.provide([HttpApiBuilder.Router.Live, HttpApiBuilder.Middleware.layer])
    )
}

/** Serves at one address until the scope closes. */
export const layer = (access: Access): Layer.Layer<never, never, ApiApp | HttpServer.HttpServer> =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      const { app, stop, stopped } = yield* ApiApp
      yield* HttpServer.serveEffect(guard(app, access, stopped))
      // Closed before the server is: it waits for its connections.
      yield* Effect.addFinalizer(() => stop)
    })
  )

/** The largest body that is read. */
export const maxBodyBytes = 2 ** 20

const guard = (
  app: HttpApp.Default<unknown, Scope.Scope>,
  access: Access,
  stopped: Effect.Effect<void>
): HttpApp.Default<never, Scope.Scope> => {
  const served = app.pipe(
    HttpIncomingMessage.withMaxBodySize(Option.some(maxBodyBytes)),
    Effect.raceFirst(Effect.zipRight(stopped, answer(503, stopping))),
    // The server runs its handlers without: whoever is gone, or waits for a daemon that stops, would wait on.
    Effect.interruptible
  )
  return HttpServerRequest.HttpServerRequest.pipe(
    Effect.flatMap(({ headers }) =>
      Option.match(refusal(access, headers), {
        onNone: () => served,
        onSome: ({ error, status }) => answer(status, error)
      })
    ),
    Effect.catchAllCause(answerTo)
  )
}

/** Why a request is not looked at. */
export const refusal = (
  access: Access,
  headers: Headers.Headers
): Option.Option<{ readonly status: number; readonly error: ApiProblem }> => {
  const host = headers["host"]
  const origin = headers["origin"]
  if (origin !== undefined && (host === undefined || origin.toLowerCase() !== `http://${host.toLowerCase()}`)) {
    return Option.some({ status: 403, error: new Forbidden({ message: foreignOrigin }) })
  }
  if (access._tag === "Token") {
    if (host === undefined || ![...ownHosts, ...access.hosts].includes(nameOf(host))) {
      return Option.some({ status: 403, error: new Forbidden({ message: foreignHost }) })
    }
    const [scheme = "", presented = ""] = (headers["authorization"] ?? "").split(" ", 2)
    if (scheme.toLowerCase() !== "bearer" || !sameSecret(presented, Redacted.value(access.token))) {
      return Option.some({ status: 401, error: new Unauthorized({ message: noToken }) })
    }
  }
  if (Number(headers["content-length"] ?? 0) > maxBodyBytes) {
    return Option.some({ status: 413, error: new BodyTooLarge({ message: tooLarge }) })
  }
  return Option.none()
}

const ownHosts = ["localhost", "127.0.0.1", "[::1]"]

/** Without the port. */
const nameOf = (host: string): string => host.toLowerCase().replace(/:\d*$/, "")

const foreignOrigin =
  "This request comes from a web page of another origin: the daemon's API is not for browsers' pages"
const foreignHost = "This request names another host: ask the daemon as localhost, 127.0.0.1 or [::1]"
const noToken = "The daemon's token is missing or wrong: send it as `Authorization: Bearer <token>`"
const tooLarge = `The body is larger than ${maxBodyBytes} bytes: submit fewer goals at once`
const stopping = new DriverTrouble({ detail: "The daemon is stopping: ask again when it runs" })

/** What goes wrong outside of the endpoints. */
const ApiProblem = Schema.Union(
  Unauthorized,
  Forbidden,
  BodyTooLarge,
  DriverTroubleOnWire,
  HttpApiDecodeError,
  UnknownPath,
  InternalError
)
type ApiProblem = typeof ApiProblem.Type

const encodeProblem = Schema.encodeSync(ApiProblem)

const answer = (status: number, problem: ApiProblem): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.sync(() => HttpServerResponse.unsafeJson(encodeProblem(problem), { status }))

/** A failure that no endpoint has: of the router, of a body that is no JSON, or our own. */
const answerTo = (
  cause: Cause.Cause<unknown>
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest> => {
  if (Cause.isInterruptedOnly(cause)) return Effect.interrupt
  const error = Cause.squash(cause)
  // Schemas read what is nested by calls that are nested.
  if (error instanceof RangeError && error.message === "Maximum call stack size exceeded") {
    return answer(400, new HttpApiDecodeError({ issues: [], message: "The body is nested too deeply to be read" }))
  }
  if (!HttpServerError.isServerError(error)) return internalError(cause)
  switch (error._tag) {
    case "RouteNotFound":
      return answer(
        404,
        new UnknownPath({
          message: `There is nothing at ${error.request.method} ${error.request.url}: /openapi.json shows what there is`
        })
      )
    case "RequestError": {
      const detail = error.cause instanceof Error ? error.cause.message : error.message
      return detail === "maxBytes exceeded"
        ? answer(413, new BodyTooLarge({ message: tooLarge }))
        : answer(400, new HttpApiDecodeError({ issues: [], message: `The body could not be read: ${detail}` }))
    }
    default:
      return internalError(cause)
  }
}

const internalError = (cause: Cause.Cause<unknown>) =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ method, url }) =>
    Effect.zipRight(
      Effect.logError(`${method} ${url} failed`, cause),
      answer(500, new InternalError({ message: "The daemon failed: its log says how" }))
    )
  )
