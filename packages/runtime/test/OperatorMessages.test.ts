import * as OperatorMessages from "@driver/runtime/OperatorMessages"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, FastCheck, Fiber, Option, TestClock } from "effect"

const texts = (messages: ReadonlyArray<OperatorMessages.Message>) => messages.map(({ text }) => text)

describe("OperatorMessages", () => {
  it.effect("hold others back while some are claimed, and give them back to the front", () =>
    Effect.gen(function* () {
      const messages = yield* OperatorMessages.make
      yield* messages.add("a")
      yield* messages.add("b")
      const claim = Option.getOrThrow(yield* messages.claim)
      assert.deepStrictEqual(texts(claim.messages), ["a", "b"])
      assert.deepStrictEqual((yield* messages.add("c")).waiting, 1)
      assert.isTrue(Option.isNone(yield* messages.claim))
      assert.strictEqual(yield* messages.size, 3)
      const taking = yield* Effect.fork(messages.take)
      yield* Effect.yieldNow()
      assert.isTrue(Option.isNone(yield* Fiber.poll(taking)))
      yield* claim.giveBack
      assert.deepStrictEqual(texts(yield* Fiber.join(taking)), ["a", "b", "c"])
      // Too late to count.
      assert.isFalse(yield* claim.delivered)
      assert.strictEqual(yield* messages.size, 0)
    })
  )

  it.effect("are given back when the goal closes and nobody said that they were delivered", () =>
    Effect.gen(function* () {
      const messages = yield* OperatorMessages.make
      yield* messages.add("a")
      const claim = Option.getOrThrow(yield* messages.claim)
      const closing = yield* Effect.fork(messages.close)
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
      assert.isFalse(yield* claim.delivered)
      assert.deepStrictEqual(texts(yield* messages.take), ["a"])
    })
  )

  it.effect("do not hold up a goal that closes when nothing is claimed", () =>
    Effect.gen(function* () {
      const messages = yield* OperatorMessages.make
      const [took] = yield* Effect.timed(messages.close)
      assert.strictEqual(Duration.toMillis(took), 0)
    })
  )

  it.effect("leave exactly once and in order, however they leave", () =>
    Effect.forEach(
      FastCheck.sample(
        FastCheck.array(
          FastCheck.constantFrom(
            "add" as const,
            "claim" as const,
            "deliver" as const,
            "giveBack" as const,
            "take" as const
          ),
          { maxLength: 60 }
        ),
        { numRuns: 500, seed: 20_261_121 }
      ),
      (commands) =>
        Effect.gen(function* () {
          const messages = yield* OperatorMessages.make
          const added: Array<string> = []
          const left: Array<string> = []
          let claim: OperatorMessages.Claim | undefined
          for (const command of commands) {
            switch (command) {
              case "add":
                yield* messages.add(String(added.length))
                added.push(String(added.length))
                break
              case "claim": {
                const claimed = yield* messages.claim
                assert.strictEqual(Option.isSome(claimed), claim === undefined && left.length < added.length)
                claim = Option.getOrElse(claimed, () => claim)
                break
              }
              case "deliver":
                if (claim === undefined) break
                assert.isTrue(yield* claim.delivered)
                left.push(...texts(claim.messages))
                claim = undefined
                break
              case "giveBack":
                yield* claim?.giveBack ?? Effect.void
                claim = undefined
                break
              case "take": {
                const taking = yield* Effect.fork(messages.take)
                yield* Effect.yieldNow()
                assert.strictEqual(Option.isNone(yield* Fiber.poll(taking)), claim !== undefined)
                yield* claim?.giveBack ?? Effect.void
                claim = undefined
                left.push(...texts(yield* Fiber.join(taking)))
              }
            }
            assert.strictEqual(yield* messages.size, added.length - left.length)
          }
          yield* claim?.giveBack ?? Effect.void
          left.push(...texts(yield* messages.take))
          assert.deepStrictEqual(left, added)
        }),
      { discard: true }
    )
  )
})
