import { Budget } from "@driver/domain/Goal"
import {
  type BudgetAxis,
  charge,
  exhaustedAxis,
  knownCost,
  TokenUsage,
  totalTokens,
  Usage,
  updateUsage
} from "@driver/domain/Usage"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Either, Option, Schema } from "effect"

const tokens = (input: number, output = 0, cacheRead = 0, cacheCreation = 0) =>
  new TokenUsage({ input, output, cacheRead, cacheCreation })
const used = (fields: Parameters<typeof updateUsage>[1]) => updateUsage(Usage.zero, fields)

const budget = new Budget({
  maxTurns: 3,
  maxWallTime: Duration.minutes(1),
  maxTokens: 100,
  maxCostUsd: Option.some(2),
  maxConsecutiveDenies: 4,
  maxConsecutiveErrors: 5,
  maxConsecutivePromptTooLong: 2
})

describe("exhaustedAxis", () => {
  it.each<[string, Usage, Budget, BudgetAxis | undefined]>([
    ["nothing used", Usage.zero, budget, undefined],
    ["one turn left", used({ turns: 2 }), budget, undefined],
    ["the last turn used", used({ turns: 3 }), budget, "turns"],
    ["more turns than allowed", used({ turns: 9 }), budget, "turns"],
    ["a millisecond left", used({ wallTime: Duration.millis(59_999) }), budget, undefined],
    ["exactly the time", used({ wallTime: Duration.minutes(1) }), budget, "wall_time"],
    ["one token left", used({ tokens: tokens(99) }), budget, undefined],
    ["exactly the tokens, of all four classes", used({ tokens: tokens(25, 25, 25, 25) }), budget, "tokens"],
    ["a cent left", used({ costUsd: 1.99 }), budget, undefined],
    ["exactly the cost", used({ costUsd: 2 }), budget, "cost_usd"],
    ["the known part of an unknown cost is too much", used({ costUsd: 2, costComplete: false }), budget, "cost_usd"],
    ["the known part of an unknown cost is not too much", used({ costComplete: false }), budget, undefined],
    ["a cost that is not limited", used({ costUsd: 1e9 }), new Budget({}), undefined],
    ["one denial left", used({ consecutiveDenies: 3 }), budget, undefined],
    ["the last denial", used({ consecutiveDenies: 4 }), budget, "consecutive_denies"],
    ["one error left", used({ consecutiveErrors: 4 }), budget, undefined],
    ["the last error", used({ consecutiveErrors: 5 }), budget, "consecutive_errors"],
    ["one long prompt left", used({ consecutivePromptTooLong: 1 }), budget, undefined],
    ["the last long prompt", used({ consecutivePromptTooLong: 2 }), budget, "consecutive_prompt_too_long"],
    [
      "axes that are switched off",
      used({ consecutiveDenies: 999, consecutiveErrors: 999, consecutivePromptTooLong: 999 }),
      new Budget({ maxConsecutiveDenies: 0, maxConsecutiveErrors: 0, maxConsecutivePromptTooLong: 0 }),
      undefined
    ],
    ["the defaults: 5 errors", used({ consecutiveErrors: 5 }), Budget.defaults, "consecutive_errors"],
    [
      "the defaults: 2 long prompts",
      used({ consecutivePromptTooLong: 2 }),
      Budget.defaults,
      "consecutive_prompt_too_long"
    ]
  ])("with %s", (_, usage, limits, expected) => {
    assert.strictEqual(Option.getOrUndefined(exhaustedAxis(limits, usage)), expected)
  })

  it("names the first of several, in the order of the axes", () => {
    const steps: ReadonlyArray<[BudgetAxis, Parameters<typeof updateUsage>[1]]> = [
      ["turns", { turns: 0 }],
      ["wall_time", { wallTime: Duration.zero }],
      ["tokens", { tokens: TokenUsage.zero }],
      ["cost_usd", { costUsd: 0 }],
      ["consecutive_denies", { consecutiveDenies: 0 }],
      ["consecutive_errors", { consecutiveErrors: 0 }],
      ["consecutive_prompt_too_long", { consecutivePromptTooLong: 0 }]
    ]
    let usage = used({
      turns: 9,
      wallTime: Duration.hours(9),
      tokens: tokens(999),
      costUsd: 9,
      consecutiveDenies: 9,
      consecutiveErrors: 9,
      consecutivePromptTooLong: 9
    })
    for (const [axis, relief] of steps) {
      deepStrictEqual(exhaustedAxis(budget, usage), Option.some(axis))
      usage = updateUsage(usage, relief)
    }
    deepStrictEqual(exhaustedAxis(budget, usage), Option.none())
  })
})

describe("Usage", () => {
  it("adds up all four classes of tokens", () => {
    assert.strictEqual(totalTokens(tokens(1, 10, 100, 1_000)), 1_111)
    const twice = charge(
      charge(Usage.zero, tokens(1, 2, 3, 4), Option.some(1)),
      tokens(10, 20, 30, 40),
      Option.some(0.5)
    )
    deepStrictEqual(twice, used({ tokens: tokens(11, 22, 33, 44), costUsd: 1.5 }))
  })

  it("does not know the total cost once a part of it is unknown, and keeps the known part", () => {
    const usage = charge(charge(Usage.zero, TokenUsage.zero, Option.none()), TokenUsage.zero, Option.some(1))
    deepStrictEqual(knownCost(usage), Option.none())
    assert.strictEqual(usage.costUsd, 1)
    deepStrictEqual(knownCost(Usage.zero), Option.some(0))
  })

  it("refuses a cost that JSON cannot write", () => {
    const wire = Schema.encodeSync(Usage)(Usage.zero)
    for (const known_cost_usd of [Number.POSITIVE_INFINITY, Number.NaN, -1]) {
      assert.isTrue(Either.isLeft(Schema.decodeUnknownEither(Usage)({ ...wire, known_cost_usd })))
    }
  })

  it("replaces only the fields that are named", () => {
    deepStrictEqual(updateUsage(used({ turns: 1, costUsd: 2 }), { turns: 3 }), used({ turns: 3, costUsd: 2 }))
  })
})
