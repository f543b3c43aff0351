/**
 * Traces and metrics to a collector, by OTLP over HTTP.
 *
 * Provided outermost: what runs, and whatever is built, inside of it is traced. It
 * owns the exporters, their bounded queues and the requests on their way, and
 * sends what is left when its scope closes. It decides what leaves the process:
 * names, counts and verdicts, and content only where `include_content` says so.
 * A collector that is away costs nothing but the spans that it does not get.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { TelemetrySettings } from "./TelemetryConfig.js"

/** None: nothing is loaded, and spans stay what they are without it. The `Redactor` that is there cleans content. */
export const layer = (settings: Option.Option<TelemetrySettings>): Layer.Layer<never, never, HttpClient.HttpClient> =>
  Option.match(settings, {
    onNone: () => Layer.empty,
    onSome: (it) =>
      Layer.unwrapEffect(
        Effect.map(
          Effect.promise(() => import("./internal/otlp.js")),
          (otlp) => otlp.layer(it)
        )
      )
  })
