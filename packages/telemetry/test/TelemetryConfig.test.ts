import { assert, describe, it } from "@effect/vitest"
import { Duration, Either, Option, Redacted, Schema } from "effect"
import * as fc from "effect/FastCheck"
import { defaults, settingsOf, TelemetryConfig, type TelemetrySettings } from "../src/TelemetryConfig.js"

const decode = Schema.decodeUnknownSync(TelemetryConfig)

const settings = (environment: Record<string, string | undefined>, config = defaults) =>
  settingsOf({ config, environment, version: "1.2.3" })

const on = (environment: Record<string, string | undefined>, config = defaults): TelemetrySettings =>
  Option.getOrThrow(Either.getOrThrow(settings(environment, config)))

const problem = (environment: Record<string, string>, config = defaults): string =>
  Either.match(settings(environment, config), {
    onLeft: (error) => error.message,
    onRight: () => assert.fail("it was accepted")
  })

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" }

describe("TelemetryConfig", () => {
  it("is off while nobody names an endpoint", () => {
    assert.deepStrictEqual(settings({ OTEL_SERVICE_NAME: "night" }), Either.right(Option.none()))
    assert.deepStrictEqual(settings({ OTEL_EXPORTER_OTLP_ENDPOINT: "" }), Either.right(Option.none()))
  })

  it("is off when the environment disables it, whatever else is said", () => {
    assert.deepStrictEqual(settings({ ...endpoint, OTEL_SDK_DISABLED: "TRUE" }), Either.right(Option.none()))
    assert.deepStrictEqual(
      settings({ OTEL_SDK_DISABLED: "true" }, decode({ endpoint: "http://x" })),
      Either.right(Option.none())
    )
  })

  it("reads the section of driver.yaml", () => {
    const config = decode({
      endpoint: "https://collector.example/otlp/",
      headers: { "X-Key": "geheim" },
      service_name: "night",
      attributes: { "deployment.environment.name": "test" },
      metric_interval: "2 minutes",
      include_content: true,
      logs: true
    })
    const it = on({}, config)
    assert.strictEqual(it.endpoint, "https://collector.example/otlp")
    assert.strictEqual(it.serviceName, "night")
    assert.strictEqual(it.serviceVersion, "1.2.3")
    assert.deepStrictEqual(it.attributes, { "deployment.environment.name": "test" })
    assert.deepStrictEqual(Object.keys(it.headers), ["x-key"])
    assert.strictEqual(Redacted.value(it.headers["x-key"] ?? assert.fail()), "geheim")
    assert.notInclude(JSON.stringify(it), "geheim")
    assert.strictEqual(Duration.toSeconds(it.metricInterval), 120)
    assert.isTrue(it.logs)
  })

  it("lets the environment win over the file", () => {
    const it = on(
      {
        OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318/",
        OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20abc,x-team=one",
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
        OTEL_EXPORTER_OTLP_TIMEOUT: "2500",
        OTEL_SERVICE_NAME: "from-environment",
        OTEL_RESOURCE_ATTRIBUTES: "service.name=ignored,service.version=9,host.name=a%2Cb",
        OTEL_METRICS_EXPORTER: "none",
        OTEL_METRIC_EXPORT_INTERVAL: "1000",
        OTEL_BSP_SCHEDULE_DELAY: "250"
      },
      decode({ endpoint: "http://file:4318", headers: { "x-key": "of the file" }, service_name: "from-file" })
    )
    assert.strictEqual(it.endpoint, "http://collector:4318")
    assert.deepStrictEqual(
      Object.entries(it.headers).map(([name, value]) => [name, Redacted.value(value)]),
      [
        ["authorization", "Bearer abc"],
        ["x-team", "one"]
      ]
    )
    assert.strictEqual(it.protocol, "http/protobuf")
    assert.strictEqual(Duration.toMillis(it.timeout), 2_500)
    assert.strictEqual(it.serviceName, "from-environment")
    assert.strictEqual(it.serviceVersion, "9")
    assert.deepStrictEqual(it.attributes, { "host.name": "a,b" })
    assert.isTrue(it.traces)
    assert.isFalse(it.metrics)
    assert.strictEqual(Duration.toMillis(it.metricInterval), 1_000)
    assert.strictEqual(Duration.toMillis(it.traceInterval), 250)
  })

  it("says where and what is wrong, and never the value of a header", () => {
    assert.include(problem({ OTEL_EXPORTER_OTLP_ENDPOINT: "localhost:4317" }), "OTEL_EXPORTER_OTLP_ENDPOINT")
    assert.include(problem({}, decode({ endpoint: "not a url" })), "telemetry.endpoint")
    assert.include(problem({}, decode({ endpoint: "http://me:geheim@host" })), "headers")
    assert.include(problem({ ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }), "grpc")
    assert.include(problem({ ...endpoint, OTEL_EXPORTER_OTLP_TIMEOUT: "0" }), "OTEL_EXPORTER_OTLP_TIMEOUT")
    assert.include(problem({}, decode({ endpoint: "http://x", trace_interval: 0 })), "telemetry.trace_interval")
    assert.include(problem({}, decode({ endpoint: "http://x", logs: true })), "include_content")
    const headers = problem({ ...endpoint, OTEL_EXPORTER_OTLP_HEADERS: "geheim" })
    assert.include(headers, "OTEL_EXPORTER_OTLP_HEADERS")
    assert.notInclude(headers, "geheim")
  })

  it("never throws, whatever the environment says", () => {
    const text = fc.oneof(fc.string(), fc.webUrl(), fc.constantFrom("%", "%zz=", "a=%E0%A4%A", "=", ",,"))
    const names = [
      "OTEL_EXPORTER_OTLP_ENDPOINT",
      "OTEL_EXPORTER_OTLP_HEADERS",
      "OTEL_EXPORTER_OTLP_PROTOCOL",
      "OTEL_EXPORTER_OTLP_TIMEOUT",
      "OTEL_SERVICE_NAME",
      "OTEL_RESOURCE_ATTRIBUTES",
      "OTEL_SDK_DISABLED",
      "OTEL_METRIC_EXPORT_INTERVAL"
    ]
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), text), (environment) => {
        const it = settings(environment)
        return Either.isLeft(it) || Option.isNone(it.right) || /^https?:\/\/[^/].*[^/]$/.test(it.right.value.endpoint)
      })
    )
  })

  it("keeps headers that come percent-encoded", () => {
    const header = fc.record({
      name: fc.stringMatching(/^[a-z][a-z-]{0,20}$/),
      value: fc.string({ unit: "grapheme", minLength: 1 }).filter((it) => it === it.trim())
    })
    fc.assert(
      fc.property(fc.uniqueArray(header, { selector: (it) => it.name, minLength: 1 }), (headers) => {
        const text = headers.map(({ name, value }) => `${name}=${encodeURIComponent(value)}`).join(",")
        const read = on({ ...endpoint, OTEL_EXPORTER_OTLP_HEADERS: text }).headers
        assert.deepStrictEqual(
          Object.entries(read).map(([name, value]) => ({ name, value: Redacted.value(value) })),
          headers
        )
      })
    )
  })
})
