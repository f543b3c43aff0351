/** The exporters, loaded only where telemetry is on. */
import { Redactor, type RedactorService } from "@driver/domain/Redactor"
import * as OtlpLogger from "@effect/opentelemetry/OtlpLogger"
import * as OtlpMetrics from "@effect/opentelemetry/OtlpMetrics"
import * as OtlpSerialization from "@effect/opentelemetry/OtlpSerialization"
import * as OtlpTracer from "@effect/opentelemetry/OtlpTracer"
import * as HttpClient from "@effect/platform/HttpClient"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { TelemetrySettings } from "../TelemetryConfig.js"
import * as ExportClient from "./exportClient.js"
import * as GoalTracer from "./goalTracer.js"
import * as Payload from "./payload.js"

/** Spans of one request, and requests at a time: together what a collector that hangs can cost in memory. */
const batch = 512
const atOnce = 8

export const layer = (settings: TelemetrySettings): Layer.Layer<never, never, HttpClient.HttpClient> =>
  Layer.unwrapEffect(
    Effect.map(Redactor, (redactor) => {
      const resource = {
        serviceName: settings.serviceName,
        serviceVersion: settings.serviceVersion,
        attributes: settings.attributes
      }
      const shared = { resource, shutdownTimeout: settings.shutdownTimeout }
      const signals = [
        ...(settings.traces ? [tracerLayer(settings, shared, redactor)] : []),
        ...(settings.metrics
          ? [
              OtlpMetrics.layer({
                ...shared,
                url: `${settings.endpoint}/v1/metrics`,
                exportInterval: settings.metricInterval
              })
            ]
          : []),
        ...(settings.logs
          ? [
              OtlpLogger.layer({
                ...shared,
                url: `${settings.endpoint}/v1/logs`,
                exportInterval: settings.traceInterval,
                maxBatchSize: batch
              })
            ]
          : [])
      ]
      const [first, ...others] = signals
      return first === undefined
        ? Layer.empty
        : Layer.mergeAll(first, ...others).pipe(
            Layer.provide([clientLayer(settings), serializationLayer(settings, redactor)]),
            // The library would look into the environment of the process by itself.
            Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map())))
          )
    })
  )

interface Shared {
  readonly resource: {
    readonly serviceName: string
    readonly serviceVersion: string
    readonly attributes: Record<string, unknown>
  }
  readonly shutdownTimeout: TelemetrySettings["shutdownTimeout"]
}

const tracerLayer = (settings: TelemetrySettings, shared: Shared, redactor: RedactorService) =>
  Layer.unwrapScoped(
    Effect.map(
      OtlpTracer.make({
        ...shared,
        url: `${settings.endpoint}/v1/traces`,
        exportInterval: settings.traceInterval,
        maxBatchSize: batch
      }),
      (tracer) =>
        Layer.setTracer(
          GoalTracer.make(tracer, {
            detail: settings.detail,
            includeContent: settings.includeContent,
            redactor
          })
        )
    )
  )

const clientLayer = (settings: TelemetrySettings): Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient> =>
  Layer.scoped(
    HttpClient.HttpClient,
    Effect.flatMap(HttpClient.HttpClient, (client) => ExportClient.make(client, { ...settings, most: atOnce }))
  )

const serializationLayer = (
  settings: TelemetrySettings,
  redactor: RedactorService
): Layer.Layer<OtlpSerialization.OtlpSerialization> =>
  (settings.protocol === "http/json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf).pipe(
    Layer.map((context) => {
      const written = Context.get(context, OtlpSerialization.OtlpSerialization)
      // The exporters say that they give unknown data; these are their shapes, which the tests look at.
      return Context.make(OtlpSerialization.OtlpSerialization, {
        traces: (data) => written.traces(Payload.traces(data as Payload.Traces)),
        metrics: (data) => written.metrics(Payload.metrics(data as Payload.Metrics)),
        logs: (data) => written.logs(Payload.logs(data as Payload.Logs, redactor))
      })
    })
  )
