import { content, SpanAttribute, SpanContentAttribute } from "@driver/domain/Spans"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import {
  ConfigProvider,
  Deferred,
  Duration,
  Effect,
  Fiber,
  Layer,
  Logger,
  Metric,
  Option,
  Redacted,
  Schedule,
  TestClock
} from "effect"
import * as Telemetry from "../src/Telemetry.js"
import { attributesOf, makeCollector } from "./support/collector.js"
import { settingsFor } from "./support/settings.js"

const layer = (settings: ReturnType<typeof settingsFor>, client = NodeHttpClient.layer) =>
  Layer.provide(Telemetry.layer(Option.some(settings)), client)

const attempts = Effect.annotateCurrentSpan({
  [SpanAttribute.turn]: 1,
  [SpanAttribute.costUsd]: 0.25,
  [SpanContentAttribute.prompt]: content(() => "Rename everything")
}).pipe(
  Effect.zipRight(Effect.withSpan(Effect.fail({ _tag: "AcceptanceError" }), "driver.criterion")),
  Effect.ignore,
  Effect.withSpan("driver.attempt"),
  Effect.withSpan("driver.goal", { root: true, attributes: { [SpanAttribute.outcome]: "done" } })
)

/** Log messages from warnings on. */
const makeLog = () => {
  const messages: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    if (logLevel.ordinal >= 30_000) messages.push(String(message))
  })
  return { messages, layer: Logger.replace(Logger.defaultLogger, logger) }
}

describe("Telemetry", () => {
  it.scopedLive("sends what is left when its scope closes, as OTLP in JSON", () =>
    Effect.gen(function* () {
      const collector = yield* makeCollector()
      const settings = settingsFor(collector.endpoint, {
        headers: { "x-key": Redacted.make("geheim") },
        attributes: { "deployment.environment.name": "test" }
      })
      yield* Effect.provide(
        Effect.zipRight(
          attempts,
          Metric.increment(Metric.tagged(Metric.counter("driver.test.sent", { description: "d" }), "unit", "{it}"))
        ),
        layer(settings)
      )

      const [traces, ...moreTraces] = collector.received().filter((it) => it.path === "/v1/traces")
      assert.lengthOf(moreTraces, 0)
      assert.strictEqual(traces?.headers["x-key"], "geheim")
      assert.strictEqual(traces?.headers["content-type"], "application/json")
      assert.deepStrictEqual(JSON.parse(traces?.body ?? "").resourceSpans[0].resource.attributes, [
        { key: "deployment.environment.name", value: { stringValue: "test" } },
        { key: "service.name", value: { stringValue: "driver" } },
        { key: "service.version", value: { stringValue: "1.2.3" } }
      ])

      const spans = new Map(collector.spans().map((span) => [span.name, span]))
      assert.deepStrictEqual([...spans.keys()].sort(), ["driver.attempt", "driver.criterion", "driver.goal"])
      const [goal, attempt, criterion] = ["driver.goal", "driver.attempt", "driver.criterion"].map(
        (name) => spans.get(name) ?? assert.fail(name)
      )
      assert.isUndefined(goal?.parentSpanId)
      assert.strictEqual(attempt?.parentSpanId, goal?.spanId)
      assert.strictEqual(criterion?.parentSpanId, attempt?.spanId)
      for (const span of spans.values()) {
        assert.match(span.traceId, /^[0-9a-f]{32}$/)
        assert.match(span.spanId, /^[0-9a-f]{16}$/)
        assert.strictEqual(span.traceId, goal?.traceId)
        assert.isTrue(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano))
        assert.isAbove(Number(BigInt(span.startTimeUnixNano) / 1_000_000n), 1_700_000_000_000)
      }
      assert.deepStrictEqual(attributesOf(attempt ?? assert.fail()), {
        [SpanAttribute.turn]: 1,
        [SpanAttribute.costUsd]: 0.25
      })
      // Failed, and not called interrupted.
      assert.deepStrictEqual(criterion?.status, { code: 2, message: "AcceptanceError" })
      assert.deepStrictEqual(attributesOf(criterion ?? assert.fail()), { [SpanAttribute.errorType]: "AcceptanceError" })

      const metrics = collector.received().filter((it) => it.path === "/v1/metrics")
      const sent = metrics.flatMap((it) => JSON.parse(it.body).resourceMetrics[0].scopeMetrics[0].metrics)
      const [mine] = sent.filter((it) => it.name === "driver.test.sent")
      assert.deepInclude(mine, { description: "d", unit: "{it}" })
      assert.deepInclude(mine.sum.dataPoints[0], { attributes: [], asDouble: 1 })
      assert.isTrue(sent.every((it) => /^driver[._]/.test(it.name)))
      assert.isFalse(collector.received().some((it) => it.body.includes("Rename everything")))
    })
  )

  it.scopedLive("writes protobuf where it is asked for", () =>
    Effect.gen(function* () {
      const collector = yield* makeCollector()
      yield* Effect.provide(attempts, layer(settingsFor(collector.endpoint, { protocol: "http/protobuf" })))
      const [request] = collector.received().filter((it) => it.path === "/v1/traces")
      assert.strictEqual(request?.headers["content-type"], "application/x-protobuf")
      assert.include(request?.body, "driver.criterion")
      assert.notInclude(request?.body, "Rename everything")
    })
  )

  it.scopedLive("sends only the signals that are wanted, and nothing of the process's environment", () =>
    Effect.gen(function* () {
      const collector = yield* makeCollector()
      yield* Effect.provide(attempts, layer(settingsFor(collector.endpoint, { traces: false }))).pipe(
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["OTEL_RESOURCE_ATTRIBUTES", "leak=1"]])))
      )
      assert.deepStrictEqual(
        collector.received().map((it) => it.path),
        ["/v1/metrics"]
      )
      assert.notInclude(collector.received()[0]?.body, "leak")
    })
  )

  it.scopedLive("sends the log without secrets where that is asked for", () =>
    Effect.gen(function* () {
      const collector = yield* makeCollector()
      yield* Effect.provide(
        Effect.logInfo("the key is ghp_0123456789abcdefghijABCDEFGHIJ012345"),
        Layer.merge(
          layer(settingsFor(collector.endpoint, { includeContent: true, logs: true, traces: false, metrics: false })),
          Logger.remove(Logger.defaultLogger)
        )
      )
      const [request] = collector.received()
      assert.strictEqual(request?.path, "/v1/logs")
      assert.include(request?.body, "the key is")
      assert.notInclude(request?.body, "ghp_0123456789abcdefghij")
    })
  )

  it.scopedLive("goes on without a collector, says so once, and once more when there is one", () =>
    Effect.gen(function* () {
      const log = makeLog()
      let isUp = false
      const collector = yield* makeCollector(() => (isUp ? 200 : 503))
      const settings = settingsFor(collector.endpoint, { metrics: false, traceInterval: Duration.millis(20) })
      yield* Effect.gen(function* () {
        const started = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        yield* Effect.repeatN(attempts, 20)
        const took = (yield* Effect.clockWith((clock) => clock.currentTimeMillis)) - started
        assert.isBelow(took, 1_000)
        yield* collector.requests(1)
        yield* Effect.sync(() => log.messages.length).pipe(
          Effect.repeat({ until: (count) => count > 0, schedule: Schedule.spaced("5 millis") })
        )
        isUp = true
      }).pipe(Effect.provide(layer(settings)), Effect.provide(log.layer))
      assert.lengthOf(log.messages, 1)
      assert.include(log.messages[0], collector.endpoint)
      assert.include(log.messages[0], "503")
    })
  )

  it.scopedLive("does not wait for a port that nobody listens on", () =>
    Effect.gen(function* () {
      const log = makeLog()
      // A port that was free a moment ago.
      const endpoint = yield* Effect.scoped(Effect.map(makeCollector(), (it) => it.endpoint))
      const settings = settingsFor(endpoint, { shutdownTimeout: Duration.millis(100) })
      const [took] = yield* attempts.pipe(
        Effect.provide(layer(settings, FetchHttpClient.layer)),
        Effect.provide(log.layer),
        Effect.timed
      )
      assert.isBelow(Duration.toMillis(took), 2_000)
      assert.lengthOf(log.messages, 1)
    })
  )

  /** A client that notes requests and answers when it is told to. */
  const makeSlow = Effect.gen(function* () {
    const answering = yield* Deferred.make<void>()
    const counts = { started: 0, answered: 0, stopped: 0, running: 0, mostAtOnce: 0 }
    const client = HttpClient.make((request) =>
      Effect.gen(function* () {
        counts.started++
        counts.running++
        counts.mostAtOnce = Math.max(counts.mostAtOnce, counts.running)
        yield* Deferred.await(answering)
        counts.answered++
        return HttpClientResponse.fromWeb(request, new Response("{}"))
      }).pipe(
        Effect.onInterrupt(() => Effect.sync(() => counts.stopped++)),
        Effect.ensuring(Effect.sync(() => counts.running--))
      )
    )
    return {
      answer: Deferred.succeed(answering, undefined),
      counts,
      layer: Layer.succeed(HttpClient.HttpClient, client)
    }
  })

  it.effect("costs no time and bounded memory while the collector hangs", () =>
    Effect.gen(function* () {
      const slow = yield* makeSlow
      const log = makeLog()
      const settings = settingsFor("http://collector:4318", { metrics: false })
      const worked = yield* Deferred.make<void>()
      const closing = yield* Effect.fork(
        Effect.gen(function* () {
          const started = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
          // 12,000 spans: 23 batches.
          for (let round = 0; round < 40; round++) {
            yield* Effect.repeatN(attempts, 99)
            yield* Effect.yieldNow()
          }
          assert.strictEqual(yield* Effect.clockWith((clock) => clock.currentTimeMillis), started)
          assert.strictEqual(slow.counts.started, 8)
          yield* Deferred.succeed(worked, undefined)
        }).pipe(Effect.provide(layer(settings, slow.layer)), Effect.provide(log.layer))
      )
      yield* Effect.raceFirst(Deferred.await(worked), Fiber.join(closing))
      yield* Effect.repeatN(TestClock.adjust("1 second"), 20)
      yield* Fiber.join(closing)
      assert.strictEqual(slow.counts.mostAtOnce, 8)
      assert.strictEqual(slow.counts.running, 0)
      assert.strictEqual(slow.counts.stopped, slow.counts.started)
    })
  )

  it.effect("waits for what is on its way when it closes", () =>
    Effect.gen(function* () {
      const slow = yield* makeSlow
      const settings = settingsFor("http://collector:4318", { metrics: false })
      const working = yield* Deferred.make<void>()
      const closed = yield* Effect.fork(
        Effect.provide(
          Effect.gen(function* () {
            // 512 spans: one full batch, and nothing that is left for the end.
            yield* Effect.repeatN(attempts, 169)
            yield* Effect.void.pipe(Effect.withSpan("driver.attempt"), Effect.withSpan("driver.goal"))
            yield* Effect.repeatN(Effect.yieldNow(), 100)
            assert.strictEqual(slow.counts.started, 1)
            yield* Deferred.succeed(working, undefined)
          }),
          layer(settings, slow.layer)
        )
      )
      yield* Effect.raceFirst(Deferred.await(working), Fiber.join(closed))
      yield* Effect.repeatN(Effect.yieldNow(), 100)
      assert.isTrue(Option.isNone(yield* Fiber.poll(closed)))
      yield* slow.answer
      yield* Fiber.join(closed)
      assert.deepInclude(slow.counts, { started: 1, answered: 1, stopped: 0 })
    })
  )

  it.effect("does nothing while it is off", () =>
    Effect.gen(function* () {
      const before = yield* Effect.tracer
      const inside = yield* Effect.provide(
        Effect.zipLeft(Effect.tracer, attempts),
        Layer.provide(
          Telemetry.layer(Option.none()),
          Layer.succeed(
            HttpClient.HttpClient,
            HttpClient.make(() => Effect.dieMessage("something was sent"))
          )
        )
      )
      assert.strictEqual(inside, before)
    })
  )
})
