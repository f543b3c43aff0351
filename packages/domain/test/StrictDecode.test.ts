import { decodeStrict, editDistance, expecting, nearest } from "@driver/domain/StrictDecode"
import { optional, WireDuration, withDefault } from "@driver/domain/Wire"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Either, FastCheck, Option, Schema } from "effect"

const Limits = Schema.Struct({
  maxTurns: withDefault(Schema.Int.pipe(Schema.positive()), "max_turns", () => 20),
  timeout: optional(WireDuration, "timeout")
})
const Settings = Schema.Struct({
  root: Schema.NonEmptyString,
  keep: withDefault(Schema.Literal("always", "on_done"), "keep", () => "always" as const),
  limits: optional(Limits, "limits"),
  ports: withDefault(Schema.Array(Schema.Int.pipe(Schema.between(1, 65_535))), "ports", () => []),
  secret: optional(Schema.String, "secret"),
  ratio: optional(Schema.Number.pipe(Schema.lessThanOrEqualTo(1)), "ratio"),
  shade: optional(Schema.String.pipe(Schema.pattern(/^#/)).annotations(expecting("a colour like #fff")), "shade"),
  verbose: optional(Schema.Boolean, "verbose"),
  either: optional(Schema.Union(Schema.Boolean, Schema.NonNegativeInt), "either")
})
const decode = decodeStrict(Settings)

const issuesOf = (input: unknown) => Either.match(decode(input), { onLeft: (issues) => issues, onRight: () => [] })
const told = (input: unknown) =>
  issuesOf(input).map(({ expected, got, path, suggestion }) => [path, expected, got, Option.getOrNull(suggestion)])

describe("StrictDecode", () => {
  it("gives the value when nothing is wrong", () => {
    const value = Either.getOrThrow(decode({ root: "/srv", limits: { timeout: "1h 30m" } }))
    assert.strictEqual(value.root, "/srv")
    deepStrictEqual(value.ports, [])
    assert.strictEqual(Option.getOrThrow(value.limits).maxTurns, 20)
  })

  it.each<[string, unknown, ReadonlyArray<ReadonlyArray<string | null>>]>([
    ["not an object", "x", [["", "an object", '"x"', null]]],
    ["nothing at all", undefined, [["", "an object", "nothing", null]]],
    ["a list", [1], [["", "an object", "a list", null]]],
    ["a missing key", {}, [["root", "text that is not empty", "nothing", null]]],
    ["an empty text", { root: "" }, [["root", "text that is not empty", '""', null]]],
    ["a wrong type", { root: { a: 1 } }, [["root", "text that is not empty", "an object with a", null]]],
    ["null for a value", { root: null }, [["root", "text that is not empty", "null", null]]],
    ["a literal", { root: "r", keep: "on_don" }, [["keep", '"always" or "on_done"', '"on_don"', "on_done"]]],
    [
      "a number out of bounds",
      { root: "r", limits: { max_turns: -1 } },
      [["limits.max_turns", "a whole number above 0", "-1", null]]
    ],
    [
      "a fraction",
      { root: "r", limits: { max_turns: 1.5 } },
      [["limits.max_turns", "a whole number above 0", "1.5", null]]
    ],
    [
      "a number written as text",
      { root: "r", ports: [80, "443"] },
      [["ports[1]", "a whole number from 1 to 65535", '"443"', null]]
    ],
    ["a list that is none", { root: "r", ports: 80 }, [["ports", "a list", "80", null]]],
    ["a number too large", { root: "r", ratio: 2 }, [["ratio", "a number of at most 1", "2", null]]],
    ["a schema with its own words", { root: "r", shade: "red" }, [["shade", "a colour like #fff", '"red"', null]]],
    ["not a boolean", { root: "r", verbose: "yes" }, [["verbose", "true or false", '"yes"', null]]],
    [
      "a union of values",
      { root: "r", either: "yes" },
      [["either", "true or false or a whole number of at least 0", '"yes"', null]]
    ],
    [
      "a duration that is none",
      { root: "r", limits: { timeout: "soon" } },
      [["limits.timeout", 'a duration like "30 minutes", "1h 30m" or milliseconds', '"soon"', null]]
    ],
    [
      "an unknown key with nothing near it",
      { root: "r", limits: { colour: 1 } },
      [["limits.colour", '"max_turns" or "timeout"', '"colour"', null]]
    ],
    [
      "a key in another spelling",
      { root: "r", limits: { maxTurns: 1 } },
      [["limits.maxTurns", '"max_turns" or "timeout"', '"maxTurns"', "max_turns"]]
    ],
    [
      "a misspelled key beside the right one",
      { root: "r", limits: { max_turns: 1, max_tunrs: 2 } },
      [["limits.max_tunrs", '"max_turns" or "timeout"', '"max_tunrs"', "max_turns"]]
    ]
  ])("tells of %s", (_, input, expected) => {
    deepStrictEqual(told(input), expected)
  })

  it("tells of all mistakes at once", () => {
    const paths = issuesOf({ root: 1, keep: "x", ports: [0, 1, 70_000], limits: { max_turns: 0, tmeout: 1 } }).map(
      (issue) => issue.path
    )
    deepStrictEqual([...paths].sort(), ["keep", "limits.max_turns", "limits.tmeout", "ports[0]", "ports[2]", "root"])
  })

  it("reports a misspelled required key once, as misspelled", () => {
    const issues = issuesOf({ rooot: "r" })
    deepStrictEqual(
      issues.map((issue) => [issue.path, issue.message]),
      [["rooot", "rooot is not a known key; did you mean root?"]]
    )
  })

  it("never shows the value under an unknown key, which may be a secret", () => {
    const [issue] = issuesOf({ root: "r", secrt: "hunter2" })
    assert.notInclude(JSON.stringify(issue), "hunter2")
    deepStrictEqual(issue?.suggestion, Option.some("secret"))
  })

  it("shortens what it shows, between characters", () => {
    const [issue] = issuesOf({ root: "r", verbose: "😀".repeat(100_000) })
    assert.strictEqual(issue?.got, `"${"😀".repeat(60)}" (shortened)`)
  })

  it("writes keys that are no words in brackets", () => {
    deepStrictEqual(
      issuesOf({ root: "r", "a b": 1 }).map((issue) => issue.path),
      ['["a b"]']
    )
  })

  it("says each thing in one sentence that holds path, expected and got", () => {
    deepStrictEqual(
      issuesOf({ limits: { max_turns: "3", x: 1 }, keep: "alwais" }).map((issue) => issue.message),
      [
        "root is missing: expected text that is not empty",
        'keep: expected "always" or "on_done", got "alwais"; did you mean always?',
        'limits.x is not a known key; expected "max_turns" or "timeout"',
        'limits.max_turns: expected a whole number above 0, got "3"'
      ]
    )
  })

  it.prop(
    "answers any JSON without throwing, and has an issue for whatever it refuses",
    [FastCheck.json()],
    ([json]) => {
      const result = decode(JSON.parse(json))
      if (Either.isLeft(result)) assert.isNotEmpty(result.left)
    }
  )

  it("talks about the member of a union that fits best, not the first", () => {
    const Box = Schema.Union(
      Schema.Struct({ size: Schema.Number, depth: Schema.Number, lid: Schema.Boolean }),
      Schema.Struct({ size: Schema.Number, colour: Schema.optional(Schema.String) })
    )
    const issues = Either.match(decodeStrict(Box)({ size: "large" }), { onLeft: (all) => all, onRight: () => [] })
    deepStrictEqual(
      issues.map((issue) => issue.message),
      ['size: expected a number, got "large"']
    )
  })

  describe("nearest", () => {
    it.each([
      ["max_tunrs", ["max_turns", "max_tokens"], "max_turns"],
      ["MAX-TURNS", ["max_turns"], "max_turns"],
      ["maxWallTime", ["max_turns", "max_wall_time"], "max_wall_time"],
      ["wall_time", ["max_turns", "max_wall_time"], "max_wall_time"],
      ["shell", ["shell_command", "file_matches"], "shell_command"],
      ["agnet", ["agent", "budget"], "agent"],
      ["max", ["max_turns", "max_tokens"], null],
      ["cmd", ["command"], null],
      ["x", ["y"], null],
      ["", ["a"], null],
      ["a".repeat(100_000), ["agent"], null]
    ])("of %s among %j is %s", (name, candidates, expected) => {
      assert.strictEqual(Option.getOrNull(nearest(name, candidates)), expected)
    })
  })

  describe("editDistance", () => {
    it.each([
      ["", "", 0],
      ["", "abc", 3],
      ["abc", "abc", 0],
      ["abc", "abd", 1],
      ["abc", "acb", 1],
      ["kitten", "sitting", 3]
    ])("of %j and %j is %i", (a, b, expected) => {
      assert.strictEqual(editDistance(a, b), expected)
    })

    const word = FastCheck.string({ maxLength: 8 })
    it.prop("is symmetric, and at most the longer length", [word, word], ([a, b]) => {
      assert.strictEqual(editDistance(a, b), editDistance(b, a))
      assert.isAtMost(editDistance(a, b), Math.max(a.length, b.length))
      assert.strictEqual(editDistance(a, b) === 0, a === b)
    })
  })
})
