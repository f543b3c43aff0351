import { checkPattern, compile } from "@driver/runtime/BoundedRegex"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either } from "effect"

const search = (pattern: string, text: string) => Effect.map(compile(pattern), (regex) => regex.search(text))

describe("BoundedRegex", () => {
  it.effect.each([
    ["hello", "say hello", "match"],
    ["hello", "say Hello", "no_match"],
    ["(?i)hello", "say HeLLo", "match"],
    ["^b$", "a\nb\nc", "no_match"],
    ["(?m)^b$", "a\nb\nc", "match"],
    ["a.c", "a\nc", "no_match"],
    ["(?s)a.c", "a\nc", "match"],
    ["", "", "match"],
    ["^$", "", "match"],
    ["\\d{3,}", "in 1234", "match"],
    ["\\p{Greek}+", "αβγ", "match"],
    ["^.{2}$", "😀é", "match"],
    ["(?P<name>x)", "x", "match"],
    ["\\x{1F600}", "😀", "match"]
  ] as const)("searches %j in %j: %s", ([pattern, text, expected]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* search(pattern, text), expected)
    })
  )

  it.effect.each([
    ["a(?=b)", "(?=", "look-ahead"],
    ["a(?!b)", "(?!", "look-ahead"],
    ["(?<=a)b", "(?<=", "look-behind"],
    ["(?<!a)b", "(?<!", "look-behind"],
    ["(a)\\1", "\\1", "back reference"],
    ["(?P<a>x)\\k<a>", "\\k", "back reference"],
    ["(?>a)", "(?>", "atomic"],
    ["a++", "++", "possessive"],
    ["a\\Z", "\\Z", "\\z"],
    ["(a", "", "missing closing )"],
    ["[a", "", "missing closing ]"],
    ["x[b-a]y", "b-a", "invalid character class range"],
    ["a**", "**", "invalid nested repetition"],
    ["a{1001}", "{1001}", "invalid repeat count"]
  ] as const)("refuses %j and names %j", ([pattern, construct, detail]) =>
    Effect.gen(function* () {
      const result = yield* Effect.either(checkPattern(pattern))
      if (Either.isRight(result)) return assert.fail("it was accepted")
      assert.strictEqual(result.left.construct, construct)
      assert.include(result.left.message, detail)
      assert.include(result.left.message, pattern)
    })
  )

  it.effect("refuses a pattern that no person writes, quickly", () =>
    Effect.gen(function* () {
      for (const pattern of ["x".repeat(10_001), "(".repeat(9_000), `${"(".repeat(4_000)}${")".repeat(4_000)}`]) {
        const started = performance.now()
        const result = yield* Effect.either(checkPattern(pattern))
        assert.isBelow(performance.now() - started, 10_000)
        assert.isTrue(Either.isLeft(result) && result.left.message.length < 400)
      }
    })
  )

  it.effect.each(["(a+)+$", "(a|aa)+$", "(a*)*b", "(.*)*=", "^(a|a)*$", "^([a-z]+)*$", "(a?){60}a{60}b"])(
    "searches %j in a long line in linear time",
    (pattern) =>
      Effect.gen(function* () {
        yield* checkPattern(pattern)
        const started = performance.now()
        assert.strictEqual(yield* search(pattern, `${"a".repeat(1_000_000)}!`), "no_match")
        assert.isBelow(performance.now() - started, 20_000)
      })
  )

  it.effect("does not begin a search that could take long", () =>
    Effect.gen(function* () {
      const regex = yield* compile("[ab]*a[ab]{901}$")
      assert.strictEqual(regex.search("ab".repeat(1_000)), "match")
      assert.strictEqual(regex.search("ab".repeat(1_000_000)), "too_costly")
    })
  )
})
