// What leaves the process of a goal whose every text is marked, and what it costs the goal when nobody takes it.
import { asks, ended, failed, said } from "@driver/agent/AgentScripted"
import { AllowOnce, Deny } from "@driver/domain/Permission"
import * as Redactor from "@driver/domain/Redactor"
import { SpanAttribute, SpanContentAttribute } from "@driver/domain/Spans"
import { TokenUsage } from "@driver/domain/Usage"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Logger, Option, Redacted, TestClock } from "effect"
import * as fc from "effect/FastCheck"
import * as EventMetrics from "../src/EventMetrics.js"
import * as Telemetry from "../src/Telemetry.js"
import type { TelemetrySettings } from "../src/TelemetryConfig.js"
import { settingsFor } from "./support/settings.js"
import { drive, goalOf, passesAt, type World } from "./support/world.js"

const secret = "sk-live-0123456789abcdefghij"

/** Every text that somebody says in the course of a goal, and its tools' names. */
const worldOf = (text: (what: string) => string): World => ({
  decide: ({ tool }) =>
    Effect.succeed(
      tool === "Bash"
        ? new AllowOnce({ updatedInput: Option.none(), rationale: text("rationale") })
        : new Deny({ message: text("denial"), rationale: text("rationale") })
    ),
  script: [
    [
      said(text("said")),
      asks("Bash", { command: text("command") }, { toolUseId: text("id"), run: () => Effect.succeed(text("answer")) }),
      asks(text("tool"), { file_path: text("path") }),
      ended({ text: text("claim"), usage: new TokenUsage({ input: 1, output: 1, cacheRead: 1, cacheCreation: 1 }) })
    ],
    [failed({ class: "transient", message: text("failure") })],
    [ended({ text: text("claim") })]
  ],
  sink: EventMetrics.layer
})

const goalAbout = (text: (what: string) => string) => goalOf([passesAt(2)], text("description"))

const silent = Logger.remove(Logger.defaultLogger)

/** Moves the time on until the fiber has ended: by as much at a time as whatever it waits for takes. */
const untilDone = <A, E>(fiber: Fiber.RuntimeFiber<A, E>, step: Duration.DurationInput) =>
  TestClock.adjust(step).pipe(
    Effect.zipRight(Fiber.poll(fiber)),
    Effect.repeat({ until: Option.isSome }),
    Effect.zipRight(Fiber.join(fiber))
  )

/** Runs such a goal under telemetry, and answers with everything that was sent. */
const sent = (text: (what: string) => string, changes: Partial<TelemetrySettings>) =>
  Effect.gen(function* () {
    const bodies: Array<string> = []
    const client = HttpClient.make((request) =>
      Effect.sync(() => {
        if (request.body._tag === "Uint8Array") bodies.push(new TextDecoder().decode(request.body.body))
        return HttpClientResponse.fromWeb(request, new Response("{}"))
      })
    )
    const running = yield* drive(worldOf(text), goalAbout(text)).pipe(
      Effect.provide(
        Layer.provide(
          Telemetry.layer(
            Option.some(
              settingsFor("http://collector:4318", {
                traceInterval: Duration.hours(1),
                metricInterval: Duration.hours(1),
                ...changes
              })
            )
          ),
          Layer.merge(Layer.succeed(HttpClient.HttpClient, client), Redactor.Redactor.layer([Redacted.make(secret)]))
        )
      ),
      Effect.provide(silent),
      Effect.fork
    )
    const outcome = yield* untilDone(running, "1 minute")
    return { outcome, all: bodies.join("\n") }
  })

const text = fc
  .string({ minLength: 1, maxLength: 60, unit: fc.constantFrom("ж", "щ", "a", " ", "/", "\n", '"') })
  .map((it) => `ж${it}щ`)

describe("content", () => {
  it.effect.prop(
    "is in nothing that leaves the process, unless it is asked for",
    [fc.array(text, { minLength: 3, maxLength: 3 }), fc.constantFrom("goal" as const, "all" as const)],
    ([texts, detail]) =>
      Effect.gen(function* () {
        let n = 0
        const { all, outcome } = yield* sent(() => texts[n++ % texts.length] ?? "ж", { detail })
        assert.strictEqual(outcome.outcome._tag, "Done")
        assert.include(all, "driver.criterion")
        assert.include(all, "execute_tool other")
        assert.include(all, "driver.decisions")
        assert.notMatch(all, /[жщ]|\\u04/)
      }),
    { fastCheck: { numRuns: 4 } }
  )

  it.effect("is there where it is asked for, without the secrets", () =>
    Effect.gen(function* () {
      const { all } = yield* sent((what) => `the ${what} is ${secret}`, { includeContent: true })
      for (const what of ["command", "answer", "rationale", "claim", "failure"]) {
        assert.include(all, `the ${what} is`)
      }
      for (const name of [SpanContentAttribute.toolArguments, SpanContentAttribute.answer]) assert.include(all, name)
      assert.notInclude(all, secret)
    })
  )

  // Whoever waited for the collector would do so for an hour. The same on virtual time: `Telemetry.test.ts`.
  it.live("costs a goal no time when the collector hangs", () =>
    Effect.gen(function* () {
      let asked = 0
      const hanging = HttpClient.make(() =>
        Effect.zipRight(
          Effect.sync(() => asked++),
          Effect.never
        )
      )
      const settings = settingsFor("http://collector:4318", {
        detail: "all",
        traceInterval: Duration.millis(1),
        metricInterval: Duration.millis(1),
        timeout: Duration.hours(1),
        shutdownTimeout: Duration.millis(50)
      })
      const outcome = yield* drive(
        { ...worldOf((what) => what), script: [[["20 millis", said("…")], ended()], [ended()]] },
        goalAbout((what) => what)
      ).pipe(
        Effect.provide(
          Layer.provide(Telemetry.layer(Option.some(settings)), Layer.succeed(HttpClient.HttpClient, hanging))
        ),
        Effect.provide(silent)
      )
      assert.strictEqual(outcome.outcome._tag, "Done")
      assert.isAbove(asked, 0)
    })
  )

  it("has names that are no content", () => {
    const plain = new Set<string>(Object.values(SpanAttribute))
    for (const name of Object.values(SpanContentAttribute)) assert.isFalse(plain.has(name))
  })
})
