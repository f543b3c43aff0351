import * as CompactPolicy from "@driver/runtime/CompactPolicy"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { ConfigProvider, Duration, Effect, Exit, FastCheck, Layer, Option } from "effect"

const input = (fields: Partial<CompactPolicy.CompactInput> = {}): CompactPolicy.CompactInput => ({
  description: "Make the tests pass",
  turn: 10,
  lastCompactTurn: Option.none(),
  contextTokens: Option.none(),
  contextWindow: Option.none(),
  sessionAge: Duration.zero,
  consecutiveFailures: 0,
  ...fields
})
const pressed = { contextTokens: Option.some(70), contextWindow: Option.some(100) }

const reasonOf = (
  fields: Partial<CompactPolicy.CompactInput>,
  settings: Partial<CompactPolicy.CompactSettings> = {}
): string | undefined =>
  Option.getOrUndefined(CompactPolicy.decide(input(fields), { ...CompactPolicy.defaults, ...settings }))?.reason

type Case = [
  string,
  Partial<CompactPolicy.CompactInput>,
  Partial<CompactPolicy.CompactSettings>,
  "token_pressure" | "session_age" | undefined
]
const hour = Duration.hours(1)
const justUnder = Duration.millis(3_599_999)

/** Half of a character outside the basic plane. */
const loneSurrogate = /\p{Surrogate}/u

describe("CompactPolicy", () => {
  it.each<Case>([
    ["below the threshold", { ...pressed, contextTokens: Option.some(69) }, {}, undefined],
    ["exactly at the threshold", pressed, {}, "token_pressure"],
    [
      "exactly at a threshold that rounds badly when multiplied",
      { contextTokens: Option.some(55), contextWindow: Option.some(100) },
      { threshold: 0.55 },
      "token_pressure"
    ],
    ["above the threshold", { ...pressed, contextTokens: Option.some(1_000) }, {}, "token_pressure"],
    ["a threshold of 1, full", { ...pressed, contextTokens: Option.some(100) }, { threshold: 1 }, "token_pressure"],
    ["a threshold of 1, not full", { ...pressed, contextTokens: Option.some(99) }, { threshold: 1 }, undefined],
    ["no window known", { contextTokens: Option.some(1_000_000) }, {}, undefined],
    ["no context known", { contextWindow: Option.some(100) }, {}, undefined],
    ["a reported window of 0", { ...pressed, contextWindow: Option.some(0) }, {}, undefined],
    ["a configured window of 0, though one is reported", pressed, { contextWindow: Option.some(0) }, undefined],
    [
      "a configured window, none reported",
      { contextTokens: Option.some(70) },
      { contextWindow: Option.some(100) },
      "token_pressure"
    ],
    ["a configured window that is larger", pressed, { contextWindow: Option.some(101) }, undefined],
    ["one turn short of the gap", { ...pressed, lastCompactTurn: Option.some(6) }, {}, undefined],
    ["the gap exactly reached", { ...pressed, lastCompactTurn: Option.some(5) }, {}, "token_pressure"],
    ["in the first turns, never compacted", { ...pressed, turn: 1 }, {}, "token_pressure"],
    ["a gap of 0", { ...pressed, lastCompactTurn: Option.some(10) }, { minTurnsBetween: 0 }, "token_pressure"],
    ["switched off", pressed, { enabled: false }, undefined],
    ["one failure short of the breaker", { ...pressed, consecutiveFailures: 2 }, {}, "token_pressure"],
    ["the breaker tripped", { ...pressed, consecutiveFailures: 3 }, {}, undefined],
    ["after a success", { ...pressed, consecutiveFailures: 0 }, {}, "token_pressure"],
    [
      "the breaker switched off",
      { ...pressed, consecutiveFailures: 99 },
      { maxConsecutiveFailures: 0 },
      "token_pressure"
    ],
    ["an old session, age switched off", { sessionAge: Duration.weeks(9) }, {}, undefined],
    ["one millisecond short of the age", { sessionAge: justUnder }, { maxAge: hour }, undefined],
    ["the age exactly reached", { sessionAge: hour }, { maxAge: hour }, "session_age"],
    [
      "an old session within the gap",
      { sessionAge: hour, lastCompactTurn: Option.some(6) },
      { maxAge: hour },
      undefined
    ],
    ["an old session, breaker tripped", { sessionAge: hour, consecutiveFailures: 3 }, { maxAge: hour }, undefined],
    ["both", { ...pressed, sessionAge: hour }, { maxAge: hour }, "token_pressure"]
  ])("decides: %s", (_, fields, settings, expected) => {
    assert.strictEqual(reasonOf(fields, settings), expected)
  })

  it("focuses on the beginning of the description, on one line, cut between characters", () => {
    assert.strictEqual(CompactPolicy.focusOf("Make the tests pass"), "continue goal: Make the tests pass")
    assert.strictEqual(CompactPolicy.focusOf("  a\n\n  b\r\nc "), "continue goal: a b c")
    assert.strictEqual(CompactPolicy.focusOf("x".repeat(141)), `continue goal: ${"x".repeat(140)}`)
    assert.strictEqual(CompactPolicy.focusOf("😀".repeat(141)), `continue goal: ${"😀".repeat(140)}`)
    deepStrictEqual(
      Option.map(CompactPolicy.decide(input(pressed), CompactPolicy.defaults), ({ focus }) => focus),
      Option.some("continue goal: Make the tests pass")
    )
  })

  it.prop(
    "never makes a lone surrogate of a whole character",
    [FastCheck.string({ unit: "binary", maxLength: 300 })],
    ([description]) => {
      assert.notMatch(CompactPolicy.focusOf(description), loneSurrogate)
    }
  )

  const natural = FastCheck.nat({ max: 1_000 })
  it.prop("keeps firing when the context grows", [natural, natural, natural], ([window, context, more]) => {
    const at = (used: number) =>
      reasonOf({ contextWindow: Option.some(window), contextTokens: Option.some(used) }) === "token_pressure"
    if (at(context)) assert.isTrue(at(context + more))
    if (window === 0) assert.isFalse(at(context))
  })

  it.prop("never fires on a tripped breaker", [natural, natural, natural], ([window, context, failures]) => {
    const fields = { contextWindow: Option.some(window), contextTokens: Option.some(context), sessionAge: hour }
    assert.strictEqual(reasonOf({ ...fields, consecutiveFailures: 3 + failures }, { maxAge: hour }), undefined)
  })

  it.effect("layer takes settings over the defaults", () =>
    Effect.gen(function* () {
      const policy = yield* CompactPolicy.CompactPolicy
      assert.isTrue(Option.isSome(policy.decide(input({ ...pressed, contextTokens: Option.some(50) }))))
      assert.strictEqual(policy.focus("x"), "continue goal: x")
    }).pipe(Effect.provide(CompactPolicy.CompactPolicy.layer({ threshold: 0.5 })))
  )

  it.effect("layerNever asks for nothing, and still has a focus", () =>
    Effect.gen(function* () {
      const policy = yield* CompactPolicy.CompactPolicy
      deepStrictEqual(policy.decide(input(pressed)), Option.none())
      assert.strictEqual(policy.focus("x"), "continue goal: x")
    }).pipe(Effect.provide(CompactPolicy.CompactPolicy.layerNever))
  )

  const configured = (entries: Record<string, string>) =>
    CompactPolicy.CompactPolicy.layerConfig.pipe(
      Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(entries)))))
    )

  it.effect("layerConfig reads every setting from the environment", () =>
    Effect.gen(function* () {
      const policy = yield* CompactPolicy.CompactPolicy
      const decided = (fields: Partial<CompactPolicy.CompactInput>) => Option.isSome(policy.decide(input(fields)))
      assert.isTrue(decided({ contextTokens: Option.some(500) }))
      assert.isFalse(decided({ contextTokens: Option.some(499) }))
      assert.isFalse(decided({ contextTokens: Option.some(500), lastCompactTurn: Option.some(9) }))
      assert.isTrue(decided({ contextTokens: Option.some(500), lastCompactTurn: Option.some(8) }))
      assert.isFalse(decided({ contextTokens: Option.some(500), consecutiveFailures: 1 }))
      assert.isTrue(decided({ sessionAge: Duration.minutes(90) }))
    }).pipe(
      Effect.provide(
        configured({
          DRIVER_COMPACT_ENABLED: "true",
          DRIVER_COMPACT_CONTEXT_WINDOW: "1000",
          DRIVER_COMPACT_THRESHOLD: "0.5",
          DRIVER_COMPACT_MIN_TURNS_BETWEEN: "2",
          DRIVER_COMPACT_MAX_AGE: "90 minutes",
          DRIVER_COMPACT_MAX_CONSECUTIVE_FAILURES: "1"
        })
      )
    )
  )

  it.effect("layerConfig refuses a threshold that can not be meant, and names it", () =>
    Effect.gen(function* () {
      for (const wrong of ["0", "1.1", "70%"]) {
        const exit = yield* Effect.exit(Layer.build(configured({ DRIVER_COMPACT_THRESHOLD: wrong })))
        assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("DRIVER_COMPACT_THRESHOLD"))
      }
    }).pipe(Effect.scoped)
  )
})
