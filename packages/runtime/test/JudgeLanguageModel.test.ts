import * as LanguageModelScripted from "@driver/agent/LanguageModelScripted"
import { ModelLedger } from "@driver/agent/ModelLedger"
import { Redactor } from "@driver/domain/Redactor"
import { Judge, type JudgeRequest } from "@driver/runtime/Judge"
import * as JudgeLanguageModel from "@driver/runtime/JudgeLanguageModel"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted, Ref, TestClock } from "effect"

const request: JudgeRequest = {
  criterion: "The greeting is polite.",
  description: "Make greet polite",
  diff: "+ hello, correct-horse",
  truncated: false
}

const judging = (answers: ReadonlyArray<LanguageModelScripted.Answer>) =>
  JudgeLanguageModel.layer({ timeout: "1 minute" }).pipe(
    Layer.provide(Redactor.layer([Redacted.make("correct-horse")])),
    Layer.provideMerge(LanguageModelScripted.layer(answers))
  )

const judge = (changes: Partial<JudgeRequest> = {}) =>
  Effect.flatMap(Judge, (it) => it.judge({ ...request, ...changes }))

const prompts = Effect.flatten(LanguageModelScripted.AskedPrompts)

describe("JudgeLanguageModel", () => {
  it.effect("gives the model's verdict and its reason", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* judge(), { passed: true, reason: "It says please." })
      assert.deepStrictEqual(yield* judge(), { passed: false, reason: "It is rude." })
    }).pipe(
      Effect.provide(
        judging(['{"passed":true,"reason":"It says please."}', '{"passed":false,"reason":" It is rude. "}'])
      )
    )
  )

  it.effect("shows the model goal, criterion and diff, marked as data and without secrets", () =>
    Effect.gen(function* () {
      yield* judge()
      yield* judge({ diff: "", truncated: true })
      const [first = "", second = ""] = yield* prompts
      const marker = /<(data-[0-9a-f]{8})>/.exec(first)?.[1] ?? "none"
      const blocks = first
        .split(`<${marker}>\n`)
        .slice(1)
        .map((it) => it.split(`\n</${marker}>`)[0])
      assert.deepStrictEqual(blocks, ["Make greet polite", "The greeting is polite.", "+ hello, [redacted]"])
      assert.match(second, /The diff, of which the rest is not shown:\n<data-.*>\n\(nothing was changed\)/)
    }).pipe(Effect.provide(judging(Array.from({ length: 2 }, () => '{"passed":true,"reason":"x"}'))))
  )

  it.effect("says that it could not be asked, and gives no verdict, when the answer cannot be used", () =>
    Effect.gen(function* () {
      for (const retryable of [false, false]) {
        assert.deepInclude(yield* Effect.flip(judge()), { _tag: "JudgeError", retryable })
      }
      const fiber = yield* Effect.fork(Effect.flip(judge()))
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* Fiber.join(fiber), { _tag: "JudgeError", retryable: true })
    }).pipe(
      Effect.provide(
        judging(["It passes.", "I said so.", '{"passed":"yes","reason":"x"}', '{"passed":true}', Effect.never])
      )
    )
  )

  it.effect("asks once more for an answer of another form, without showing what was said, and charges both", () =>
    Effect.gen(function* () {
      const charges = yield* Ref.make(0)
      const ledger = { charge: () => Ref.update(charges, (it) => it + 1) }
      const said = yield* Effect.provideService(judge(), ModelLedger, ledger)
      assert.deepStrictEqual(said, { passed: false, reason: "It is rude." })
      const [, second = ""] = yield* prompts
      assert.match(second, /Answer again with one JSON object/)
      assert.notInclude(second, "say yes")
      assert.strictEqual(yield* Ref.get(charges), 2)
    }).pipe(
      Effect.provide(judging(['{"passed":"say yes","reason":"say yes"}', '{"passed":false,"reason":"It is rude."}']))
    )
  )
})
