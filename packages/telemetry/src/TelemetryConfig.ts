/**
 * What telemetry is sent where: the section `telemetry` of `driver.yaml`, the standard variables of OpenTelemetry, and
 * the settings that both come to. Pure: the composition gives the environment.
 *
 * The environment belongs to the machine and the file to a repository, so that the environment wins. Nothing is sent
 * unless one of them names an endpoint.
 */
import { configKey as key, configMaybe as maybe } from "@driver/domain/ConfigKey"
import { WireDuration } from "@driver/domain/Wire"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

const texts = Schema.Record({ key: Schema.String, value: Schema.String })

export const TelemetryConfig = Schema.Struct({
  endpoint: maybe(
    "endpoint",
    Schema.NonEmptyString,
    "http://127.0.0.1:4318",
    "Base URL of a collector that takes OTLP over HTTP. Traces and metrics are sent there. Default: nothing is sent. OTEL_EXPORTER_OTLP_ENDPOINT."
  ),
  headers: key(
    "headers",
    texts,
    () => ({}),
    "{}",
    "Sent with each request; a key of the collector stands here. OTEL_EXPORTER_OTLP_HEADERS adds to them."
  ),
  protocol: key(
    "protocol",
    Schema.Literal("http/json", "http/protobuf"),
    () => "http/json" as const,
    "http/json",
    "How it is written. OTEL_EXPORTER_OTLP_PROTOCOL."
  ),
  serviceName: key(
    "service_name",
    Schema.NonEmptyString,
    () => "driver",
    "driver",
    "The service's name in traces and metrics. OTEL_SERVICE_NAME."
  ),
  attributes: key(
    "attributes",
    texts,
    () => ({}),
    "{}",
    "More attributes of the service, such as deployment.environment.name. OTEL_RESOURCE_ATTRIBUTES adds to them."
  ),
  traces: key("traces", Schema.Boolean, () => true, "true", "Send traces. OTEL_TRACES_EXPORTER=none sends none."),
  metrics: key("metrics", Schema.Boolean, () => true, "true", "Send metrics. OTEL_METRICS_EXPORTER=none sends none."),
  logs: key(
    "logs",
    Schema.Boolean,
    () => false,
    "false",
    "Send the log too. It tells what agents and commands said, so that it needs include_content."
  ),
  detail: key(
    "detail",
    Schema.Literal("goal", "all"),
    () => "goal" as const,
    "goal",
    "goal: goals, attempts, agent calls, tools, decisions, criteria. all: what the driver does inside as well."
  ),
  includeContent: key(
    "include_content",
    Schema.Boolean,
    () => false,
    "false",
    "Put prompts, answers, tool inputs and commands into traces, without the secrets that are known."
  ),
  traceInterval: key(
    "trace_interval",
    WireDuration,
    () => Duration.seconds(5),
    "5 seconds",
    "How often spans are sent. OTEL_BSP_SCHEDULE_DELAY, in milliseconds."
  ),
  metricInterval: key(
    "metric_interval",
    WireDuration,
    () => Duration.seconds(60),
    "60 seconds",
    "How often metrics are sent. OTEL_METRIC_EXPORT_INTERVAL, in milliseconds."
  ),
  timeout: key(
    "timeout",
    WireDuration,
    () => Duration.seconds(10),
    "10 seconds",
    "How long one request may take. OTEL_EXPORTER_OTLP_TIMEOUT, in milliseconds."
  ),
  shutdownTimeout: key(
    "shutdown_timeout",
    WireDuration,
    () => Duration.seconds(3),
    "3 seconds",
    "How long the end of the driver waits for what is left to be sent."
  )
}).annotations({ identifier: "Telemetry" })
export type TelemetryConfig = typeof TelemetryConfig.Type

export const defaults: TelemetryConfig = Schema.decodeSync(TelemetryConfig)({})

/** What `Telemetry.layer` needs. Intervals and timeouts are longer than 0. */
export interface TelemetrySettings extends Omit<TelemetryConfig, "endpoint" | "headers"> {
  /** Without a slash at its end. */
  readonly endpoint: string
  readonly headers: Readonly<Record<string, Redacted.Redacted<string>>>
  readonly serviceVersion: string
}

/** The configuration, or a variable, says what cannot be. Name it to whoever wrote it. */
export class TelemetryConfigError extends Schema.TaggedError<TelemetryConfigError>()("TelemetryConfigError", {
  /** `telemetry.endpoint`, `OTEL_EXPORTER_OTLP_PROTOCOL`. */
  where: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.where}: ${this.detail}`
  }
}

export interface SettingsSource {
  readonly config: TelemetryConfig
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The driver's. */
  readonly version: string
}

/** None: telemetry is off. */
export const settingsOf = ({
  config,
  environment,
  version
}: SettingsSource): Either.Either<Option.Option<TelemetrySettings>, TelemetryConfigError> => {
  const given = (name: string): string | undefined => {
    const value = environment[name]?.trim()
    return value === "" ? undefined : value
  }
  const fromFile = Option.getOrUndefined(config.endpoint)
  const endpoint = given("OTEL_EXPORTER_OTLP_ENDPOINT") ?? fromFile
  if (given("OTEL_SDK_DISABLED")?.toLowerCase() === "true" || endpoint === undefined) {
    return Either.right(Option.none())
  }
  return Either.gen(function* () {
    const fromEnvironment = given("OTEL_EXPORTER_OTLP_ENDPOINT") !== undefined
    const headers = yield* pairs("OTEL_EXPORTER_OTLP_HEADERS", given("OTEL_EXPORTER_OTLP_HEADERS"))
    const attributes = yield* pairs("OTEL_RESOURCE_ATTRIBUTES", given("OTEL_RESOURCE_ATTRIBUTES"))
    const { "service.name": name, "service.version": ownVersion, ...others } = { ...config.attributes, ...attributes }
    const wanted = (signal: boolean, variable: string) => signal && given(variable)?.toLowerCase() !== "none"
    const settings: TelemetrySettings = {
      endpoint: yield* baseUrl(fromEnvironment ? "OTEL_EXPORTER_OTLP_ENDPOINT" : "telemetry.endpoint", endpoint),
      // A key of one collector is not told to another one: the file's headers go with the file's endpoint.
      headers: {
        ...redacted(fromEnvironment && fromFile !== endpoint ? {} : config.headers),
        ...redacted(headers)
      },
      protocol: yield* protocolOf(given("OTEL_EXPORTER_OTLP_PROTOCOL"), config.protocol),
      serviceName: given("OTEL_SERVICE_NAME") ?? attributes["service.name"] ?? name ?? config.serviceName,
      serviceVersion: ownVersion ?? version,
      attributes: others,
      traces: wanted(config.traces, "OTEL_TRACES_EXPORTER"),
      metrics: wanted(config.metrics, "OTEL_METRICS_EXPORTER"),
      logs: wanted(config.logs, "OTEL_LOGS_EXPORTER"),
      detail: config.detail,
      includeContent: config.includeContent,
      traceInterval: yield* millis("OTEL_BSP_SCHEDULE_DELAY", given, config.traceInterval, "trace_interval"),
      metricInterval: yield* millis("OTEL_METRIC_EXPORT_INTERVAL", given, config.metricInterval, "metric_interval"),
      timeout: yield* millis("OTEL_EXPORTER_OTLP_TIMEOUT", given, config.timeout, "timeout"),
      shutdownTimeout: config.shutdownTimeout
    }
    if (settings.logs && !settings.includeContent) {
      return yield* fail("telemetry.logs", "the log holds content: set telemetry.include_content to true as well")
    }
    return Option.some(settings)
  })
}

const fail = (where: string, detail: string): Either.Either<never, TelemetryConfigError> =>
  Either.left(new TelemetryConfigError({ where, detail }))

const redacted = (record: Readonly<Record<string, string>>): Readonly<Record<string, Redacted.Redacted<string>>> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name.toLowerCase(), Redacted.make(value)]))

const baseUrl = (where: string, text: string): Either.Either<string, TelemetryConfigError> => {
  const url = Either.getOrUndefined(Either.try(() => new URL(text)))
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    return fail(where, 'expected a URL like "http://127.0.0.1:4318"')
  }
  // It is told to people when the collector cannot be reached.
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    return fail(where, "keys do not belong into the URL: give them as headers")
  }
  return Either.right(`${url.origin}${url.pathname}`.replace(/\/+$/, ""))
}

const protocolOf = (
  text: string | undefined,
  otherwise: TelemetryConfig["protocol"]
): Either.Either<TelemetryConfig["protocol"], TelemetryConfigError> => {
  switch (text) {
    case undefined:
      return Either.right(otherwise)
    case "http/json":
    case "http/protobuf":
      return Either.right(text)
    default:
      return fail("OTEL_EXPORTER_OTLP_PROTOCOL", "expected http/json or http/protobuf; the driver does not speak grpc")
  }
}

const millis = (
  variable: string,
  given: (name: string) => string | undefined,
  otherwise: Duration.Duration,
  name: string
): Either.Either<Duration.Duration, TelemetryConfigError> => {
  const text = given(variable)
  if (text !== undefined && !/^[1-9]\d{0,8}$/.test(text)) return fail(variable, "expected milliseconds, from 1")
  const duration = text === undefined ? otherwise : Duration.millis(Number(text))
  return Duration.toMillis(duration) >= 1 ? Either.right(duration) : fail(`telemetry.${name}`, "expected more than 0")
}

/** `name=value,name=value`, values percent-encoded. The value is not told in the error: it may be a key. */
const pairs = (
  variable: string,
  text: string | undefined
): Either.Either<Readonly<Record<string, string>>, TelemetryConfigError> =>
  Either.gen(function* () {
    const found: Array<readonly [string, string]> = []
    for (const part of (text ?? "").split(",")) {
      if (part.trim() === "") continue
      const at = part.indexOf("=")
      const name = part.slice(0, Math.max(0, at)).trim()
      const value = Either.try(() => decodeURIComponent(part.slice(at + 1).trim()))
      if (name === "" || Either.isLeft(value)) {
        return yield* fail(variable, "expected name=value,name=value with percent-encoded values")
      }
      found.push([name, value.right])
    }
    return Object.fromEntries(found)
  })
