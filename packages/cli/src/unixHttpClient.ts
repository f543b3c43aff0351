/**
 * HTTP over a unix socket, for the commands that ask a daemon. The platform's own
 * client does it as well and loads a tenth of a second of code that is not needed here.
 */
import * as Http from "node:http"
import * as Cookies from "@effect/platform/Cookies"
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import * as UrlParams from "@effect/platform/UrlParams"
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/** The URL's host is not looked at. Interrupting a request cuts its connection. */
export const layer = (socketPath: string): Layer.Layer<HttpClient.HttpClient> =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url, signal) => send(socketPath, request, url, signal))
  )

const send = (
  socketPath: string,
  request: HttpClientRequest.HttpClientRequest,
  url: URL,
  signal: AbortSignal
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.RequestError> =>
  Effect.flatMap(bodyOf(request), (body) =>
    Effect.async((resume) => {
      const fail = (cause: unknown) =>
        resume(Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport", cause })))
      const outgoing = Http.request(
        {
          socketPath,
          // A connection for each: one that is kept may be closed by the daemon just when it is used again.
          agent: false,
          path: `${url.pathname}${url.search}`,
          method: request.method,
          headers: { host: url.host, ...request.headers },
          signal
        },
        (message) => resume(Effect.succeed(new UnixResponse(request, message)))
      )
      // Also after the response has begun: then its body fails.
      outgoing.on("error", fail)
      outgoing.end(body)
    })
  )

const bodyOf = (
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<Uint8Array, HttpClientError.RequestError> => {
  const { body } = request
  switch (body._tag) {
    case "Empty":
      return Effect.succeed(new Uint8Array())
    case "Uint8Array":
      return Effect.succeed(body.body)
    default:
      return new HttpClientError.RequestError({
        request,
        reason: "Encode",
        description: `a body of kind ${body._tag} is not sent to a daemon`
      })
  }
}

class UnixResponse extends Inspectable.Class implements HttpClientResponse.HttpClientResponse {
  readonly [HttpIncomingMessage.TypeId]: HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly [HttpClientResponse.TypeId]: HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly status: number
  readonly headers: Headers.Headers
  readonly cookies = Cookies.empty
  readonly remoteAddress = Option.none<string>()

  constructor(
    readonly request: HttpClientRequest.HttpClientRequest,
    private readonly message: Http.IncomingMessage
  ) {
    super()
    this.status = message.statusCode ?? 0
    this.headers = Headers.fromInput(
      Object.entries(message.headers).map(([name, value]) => [name, [value ?? []].flat().join(", ")] as const)
    )
  }

  private readonly failed = (cause: unknown) =>
    new HttpClientError.ResponseError({ request: this.request, response: this, reason: "Decode", cause })

  get stream(): Stream.Stream<Uint8Array, HttpClientError.ResponseError> {
    return NodeStream.fromReadable(() => this.message, this.failed)
  }

  get text(): Effect.Effect<string, HttpClientError.ResponseError> {
    return Stream.mkString(Stream.decodeText(this.stream))
  }

  get json(): Effect.Effect<unknown, HttpClientError.ResponseError> {
    return Effect.flatMap(this.text, (text) =>
      Effect.try({ try: (): unknown => (text === "" ? null : JSON.parse(text)), catch: this.failed })
    )
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, HttpClientError.ResponseError> {
    return Effect.map(this.text, (text) => UrlParams.fromInput(new URLSearchParams(text)))
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, HttpClientError.ResponseError> {
    return Effect.map(Stream.runCollect(this.stream), (chunks) => {
      const bytes = new Uint8Array(Buffer.concat([...chunks]))
      return bytes.buffer
    })
  }

  get formData(): Effect.Effect<FormData, HttpClientError.ResponseError> {
    return this.failed("a daemon answers with no form")
  }

  toJSON(): unknown {
    return HttpIncomingMessage.inspect(this, { _id: "UnixResponse", status: this.status })
  }
}
