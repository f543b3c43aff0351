/**
 * The way to the collector: an `HttpClient` whose requests have a deadline, of which only a few run at a time, and which
 * outlive whoever asked for them until the scope closes, so that what was being sent at the end is sent.
 *
 * Whoever asks is never more than one batch ahead: a request too many fails at once, and its batch is gone. The log says
 * so once, and once more when the collector is back.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export interface ExportOptions {
  /** For people. */
  readonly endpoint: string
  readonly headers: Readonly<Record<string, Redacted.Redacted<string>>>
  readonly timeout: Duration.Duration
  readonly shutdownTimeout: Duration.Duration
  /** Requests at a time. */
  readonly most: number
}

export const make = (
  client: HttpClient.HttpClient,
  options: ExportOptions
): Effect.Effect<HttpClient.HttpClient, never, Scope.Scope> =>
  Effect.gen(function* () {
    const running = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
    let reached = true

    // Its own, to be closed after the wait.
    const own = yield* Scope.make()
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => Fiber.awaitAll(running)).pipe(
        Effect.interruptible,
        Effect.timeoutOption(options.shutdownTimeout),
        Effect.zipRight(Scope.close(own, Exit.void))
      )
    )

    const told = (exit: Exit.Exit<unknown, HttpClientError.HttpClientError>) =>
      Effect.suspend(() => {
        const now = Exit.isSuccess(exit)
        if (now === reached || (Exit.isFailure(exit) && Exit.isInterrupted(exit))) return Effect.void
        reached = now
        return Exit.match(exit, {
          onSuccess: () => Effect.logInfo(`Telemetry reaches ${options.endpoint} again`),
          onFailure: (cause) =>
            Effect.logWarning(
              `Telemetry does not reach ${options.endpoint} and is dropped until it does: ${reasonOf(cause)}`
            )
        })
      })

    const headers = Object.entries(options.headers)
    return HttpClient.make((given) =>
      Effect.suspend(() => {
        const request = headers.reduce(
          (it, [name, value]) => HttpClientRequest.setHeader(it, name, Redacted.value(value)),
          given
        )
        if (running.size >= options.most) {
          // Of a kind that is not tried again.
          return Effect.fail(
            new HttpClientError.RequestError({
              request: given,
              reason: "Encode",
              description: `${running.size} exports are on their way already`
            })
          )
        }
        const sent: Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> = client
          .execute(request)
          .pipe(
            // Read, or the connection is not used again.
            Effect.tap((response) => Stream.runDrain(response.stream)),
            Effect.timeoutFail({
              duration: options.timeout,
              onTimeout: () =>
                new HttpClientError.RequestError({
                  request: given,
                  reason: "Transport",
                  description: "no answer in time"
                })
            }),
            Effect.flatMap((response) =>
              response.status >= 200 && response.status < 300
                ? Effect.succeed(response)
                : Effect.fail(new HttpClientError.ResponseError({ request: given, response, reason: "StatusCode" }))
            ),
            Effect.onExit((exit) => told(exit)),
            Effect.withTracerEnabled(false),
            Effect.interruptible
          )
        return Effect.forkIn(sent, own).pipe(
          Effect.tap((fiber) =>
            Effect.sync(() => {
              running.add(fiber)
              fiber.addObserver(() => running.delete(fiber))
            })
          ),
          Effect.uninterruptible,
          Effect.flatMap((fiber) => Fiber.join(fiber))
        )
      })
    )
  })

/** Of a request nothing but why: its headers hold keys. */
const reasonOf = (cause: Cause.Cause<HttpClientError.HttpClientError>): string =>
  Option.match(Cause.failureOption(cause), {
    onNone: () => "an unexpected failure",
    onSome: (error) =>
      error._tag === "ResponseError"
        ? `it answers with status ${error.response.status}`
        : (error.description ?? "no connection")
  })
