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
