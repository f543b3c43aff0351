import { type ModelCharge, ModelLedger } from "@driver/agent/ModelLedger"
import { askModel, ModelError, retryAfterOf } from "@driver/agent/ModelQuestion"
import * as AiError from "@effect/ai/AiError"
import * as LanguageModel from "@effect/ai/LanguageModel"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, FastCheck as fc, Layer, Option, Ref, Schema, Stream, TestClock } from "effect"

const request = { method: "POST", url: "http://127.0.0.1/", urlParams: [], hash: Option.none(), headers: {} } as const

const refusal = (status: number, headers: Record<string, string>) =>
  new AiError.HttpResponseError({
    module: "Test",
    method: "generateText",
    reason: "StatusCode",
    request,
    response: { status, headers }
  })

/** Fails with each of these, then answers; keeps the times at which it was asked. */
const failing = (errors: ReadonlyArray<AiError.AiError>) =>
  Effect.gen(function* () {
    const asked = yield* Ref.make<ReadonlyArray<number>>([])
    const model = Layer.effect(
      LanguageModel.LanguageModel,
      LanguageModel.make({
        generateText: () =>
          Effect.gen(function* () {
            const now = yield* Clock.currentTimeMillis
            const error = errors[(yield* Ref.updateAndGet(asked, (it) => [...it, now])).length - 1]
            return error === undefined ? [{ type: "text" as const, text: '{"ok":true}' }] : yield* error
          }),
        streamText: () => Stream.die("not streamed")
      })
    )
    const ask = askModel({
      instructions: "x",
      text: "x",
      schema: Schema.Struct({ ok: Schema.Boolean }),
      name: "x",
      timeout: "1 minute"
    }).pipe(Effect.provide(model))
    return { ask, asked: Ref.get(asked) }
  })

describe("askModel", () => {
  it.effect("asks again no sooner than the provider wants", () =>
    Effect.gen(function* () {
      const { ask, asked } = yield* failing([
        refusal(429, { "retry-after": "20" }),
        refusal(503, { "retry-after": "7" })
      ])
      const fiber = yield* Effect.fork(ask)
      yield* TestClock.adjust("50 seconds")
      assert.deepStrictEqual(yield* Fiber.join(fiber), { ok: true })
      assert.deepStrictEqual(yield* asked, [0, 20_000, 27_000])
    })
  )

  it.effect("asks again by itself when the provider wants less or says nothing", () =>
    Effect.gen(function* () {
      const { ask, asked } = yield* failing([refusal(429, { "retry-after": "0" }), refusal(500, {})])
      const fiber = yield* Effect.fork(ask)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* Fiber.join(fiber), { ok: true })
      const [first = 0, second = 0, third = 0] = yield* asked
      assert.isAtLeast(second - first, 400)
      assert.isAtLeast(third - second, 800)
      assert.isAtMost(third, 2_000)
    })
  )

  it.effect("does not wait for a provider that wants longer than there is time", () =>
    Effect.gen(function* () {
      const { ask, asked } = yield* failing([
        refusal(429, { "retry-after": "30" }),
        refusal(429, { "retry-after": "30" })
      ])
      const fiber = yield* Effect.fork(Effect.flip(ask))
      yield* TestClock.adjust("30 seconds")
      const failed = yield* Fiber.join(fiber)
      assert.instanceOf(failed, ModelError)
      assert.deepInclude(failed, { reason: "limited", retryable: true, retryAfter: Duration.seconds(30) })
      assert.match(failed.message, /status 429 and asks to wait 30s/)
      assert.deepStrictEqual(yield* asked, [0, 30_000])
    })
  )
})

/** Answers in turn, each with these figures; then it never answers. */
const saying = (
  texts: ReadonlyArray<string>,
  usage: { readonly inputTokens?: number; readonly outputTokens?: number }
) =>
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.flatMap(Ref.make(0), (asked) =>
      LanguageModel.make({
        generateText: () =>
          Effect.flatMap(
            Ref.getAndUpdate(asked, (it) => it + 1),
            (index) => {
              const text = texts[index]
              const { inputTokens, outputTokens } = usage
              return text === undefined
                ? Effect.never
                : Effect.succeed([
                    { type: "text" as const, text },
                    {
                      type: "finish" as const,
                      reason: "stop" as const,
                      usage: { inputTokens, outputTokens, totalTokens: undefined }
                    }
                  ])
            }
          ),
        streamText: () => Stream.die("not streamed")
      })
    )
  )

describe("what askModel charges", () => {
  const prices = Option.some({ input: 1, output: 10 })
  const question = { instructions: "x", text: "x", schema: Schema.Struct({ ok: Schema.Boolean }), name: "x", prices }

  const charging = <A, E, R>(answer: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const charges = yield* Ref.make<ReadonlyArray<ModelCharge>>([])
      const ledger = { charge: (it: ModelCharge) => Ref.update(charges, (before) => [...before, it]) }
      const fiber = yield* Effect.fork(Effect.exit(Effect.provideService(answer, ModelLedger, ledger)))
      yield* TestClock.adjust("2 minutes")
      yield* Fiber.interrupt(fiber)
      return (yield* Ref.get(charges)).map(({ costUsd, inputTokens, outputTokens }) =>
        [inputTokens, outputTokens, costUsd].map(Option.getOrNull)
      )
    })
  const usage = { inputTokens: 1_000, outputTokens: 100 }
  const unknown = [null, null, null]

  const cases: ReadonlyArray<
    readonly [
      string,
      Effect.Effect<unknown, ModelError, LanguageModel.LanguageModel>,
      Layer.Layer<LanguageModel.LanguageModel>,
      ReadonlyArray<ReadonlyArray<number | null>>
    ]
  > = [
    ["an answer by its tokens", askModel(question), saying(['{"ok":true}'], usage), [[1_000, 100, 0.002]]],
    ["an answer that does not fit", askModel(question), saying(["no"], usage), [[1_000, 100, 0.002]]],
    [
      "both answers when it asks once more",
      askModel({ ...question, mends: true }),
      saying(["no", '{"ok":true}'], usage),
      [
        [1_000, 100, 0.002],
        [1_000, 100, 0.002]
      ]
    ],
    ["unknown without figures", askModel(question), saying(['{"ok":true}'], {}), [unknown]],
    [
      "unknown without prices",
      askModel({ ...question, prices: Option.none() }),
      saying(['{"ok":true}'], usage),
      [[1_000, 100, null]]
    ],
    ["unknown where the time was over", askModel(question), saying([], usage), [unknown]],
    ["unknown where it was withdrawn", askModel({ ...question, timeout: "1 hour" }), saying([], usage), [unknown]]
  ]
  for (const [name, answer, model, expected] of cases) {
    it.effect(name, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* charging(Effect.provide(answer, model)), expected)
      })
    )
  }

  it.effect("nothing where the provider refused the question", () =>
    Effect.gen(function* () {
      const { ask } = yield* failing([refusal(401, {})])
      assert.deepStrictEqual(yield* charging(ask), [[null, null, 0]])
    })
  )
})

describe("retryAfterOf", () => {
  it("reads seconds, and dates by the server's clock", () => {
    const date = "Sat, 21 Nov 2026 14:00:00 GMT"
    assert.deepStrictEqual(
      [
        { "retry-after": "90" },
        { "retry-after": " 1.5 " },
        { "retry-after": "Sat, 21 Nov 2026 14:02:00 GMT", date }
      ].map((headers) => retryAfterOf(headers)),
      [Duration.seconds(90), Duration.millis(1500), Duration.minutes(2)]
    )
    for (const headers of [
      {},
      { "retry-after": "" },
      { "retry-after": "-5" },
      { "retry-after": "soon", date },
      { "retry-after": "Sat, 21 Nov 2026 14:02:00 GMT" },
      { "retry-after": "Sat, 21 Nov 2026 13:00:00 GMT", date }
    ]) {
      assert.isUndefined(retryAfterOf(headers as Record<string, string>), JSON.stringify(headers))
    }
  })

  it("gives a finite, positive time or none for whatever is said", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.integer().map(String), fc.date().map(String)), fc.string(), (said, date) => {
        const found = retryAfterOf({ "retry-after": said, date })
        assert.isTrue(found === undefined || (Duration.isFinite(found) && Duration.toMillis(found) > 0))
      })
    )
  })
})
