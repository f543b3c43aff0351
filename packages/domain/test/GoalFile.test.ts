import { Budget, Custom, FileMatches, Goal, GoalId, LlmJudge, Shell } from "@driver/domain/Goal"
import { decodeGoalFile, goalFileIssues, goalFileJsonSchema, goalOf } from "@driver/domain/GoalFile"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Arbitrary, Duration, Either, FastCheck, Option, Schema } from "effect"

const minted = GoalId.make("7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f")
const given = "0b54de5e-93d6-4d4b-a8a7-6d2f5f0a9d11"

const read = (input: unknown): Goal => {
  const file = decodeGoalFile(input)
  if (Either.isLeft(file)) assert.fail(file.left.map((issue) => issue.message).join("\n"))
  return goalOf(file.right, minted)
}

/** Path, expected, got, suggestion of each issue. */
const told = (input: unknown) =>
  goalFileIssues(input).map((issue) => [issue.path, issue.expected, issue.got, Option.getOrNull(issue.suggestion)])

const aCriterion = 'a criterion like { shell: "npm test" } or { file: README.md, matches: "(?i)usage" }'
const kinds = '"shell_command", "file_matches", "custom" or "llm_judge"'
const shellKeys = '"shell", "expected_exit", "stdout_must_match" or "timeout"'

describe("GoalFile", () => {
  it("reads the shortest goal, and fills in id and budget", () => {
    deepStrictEqual(read({ description: "Do it" }), new Goal({ id: minted, description: "Do it" }))
  })

  it("keeps the id it is given", () => {
    assert.strictEqual(read({ id: given, description: "Do it" }).id, GoalId.make(given))
  })

  it("reads the goal of the documentation", () => {
    deepStrictEqual(
      read({
        description: "Create hello.txt with a greeting",
        acceptance: [
          { kind: "shell_command", command: "test -s hello.txt" },
          { kind: "file_matches", path: "hello.txt", regex: "(?i)hello" }
        ],
        budget: { max_turns: 5, max_wall_time: "10 minutes", max_tokens: 200_000 }
      }),
      new Goal({
        id: minted,
        description: "Create hello.txt with a greeting",
        acceptance: [
          new Shell({ command: "test -s hello.txt" }),
          new FileMatches({ path: "hello.txt", regex: "(?i)hello" })
        ],
        budget: new Budget({ maxTurns: 5, maxWallTime: Duration.minutes(10), maxTokens: 200_000 })
      })
    )
  })

  it("reads the short forms as their long ones", () => {
    const short = read({
      description: "x",
      acceptance: [
        { shell: "npm test", expected_exit: 3, stdout_must_match: "ok", timeout: "2m" },
        { file: "a.txt", matches: "b", required: false },
        { custom: "no_paths_touched", args: { prefixes: ["vendor"] } },
        { judge: "It is polite." }
      ]
    })
    deepStrictEqual(short.acceptance, [
      new Shell({
        command: "npm test",
        expectedExit: 3,
        stdoutMustMatch: Option.some("ok"),
        timeout: Option.some(Duration.minutes(2))
      }),
      new FileMatches({ path: "a.txt", regex: "b", required: false }),
      new Custom({ name: "no_paths_touched", args: { prefixes: ["vendor"] } }),
      new LlmJudge({ criterion: "It is polite." })
    ])
    deepStrictEqual(
      read({
        description: "x",
        acceptance: [
          { kind: "shell_command", command: "npm test", expected_exit: 3, stdout_must_match: "ok", timeout: 120_000 },
          { kind: "file_matches", path: "a.txt", regex: "b", required: false },
          { kind: "custom", name: "no_paths_touched", args: { prefixes: ["vendor"] } },
          { kind: "llm_judge", criterion: "It is polite." }
        ]
      }),
      short
    )
  })

  it("takes the white space of YAML blocks off, and reads keys left empty as absent", () => {
    const goal = read({
      description: "Say grüße 👋\nto everyone\n",
      acceptance: [{ shell: "set -e\nnpm test\n" }],
      budget: null,
      metadata: null,
      workspace: null,
      agent: null,
      id: null
    })
    assert.strictEqual(goal.description, "Say grüße 👋\nto everyone")
    deepStrictEqual(goal.acceptance, [new Shell({ command: "set -e\nnpm test" })])
    deepStrictEqual(goal.budget, Budget.defaults)
    deepStrictEqual(goal.metadata, {})
  })

  it("keeps metadata as it is", () => {
    const metadata = { "worktree.source_repo": "/srv/repo", nested: { a: [1, null] } }
    deepStrictEqual(read({ description: "x", metadata }).metadata, metadata)
  })

  it.prop("reads every goal that Goal reads, to the same goal", [Goal], ([goal]) => {
    const json = JSON.parse(JSON.stringify(Schema.encodeSync(Goal)(goal)))
    deepStrictEqual(read(json), Schema.decodeUnknownSync(Goal)(json))
  })

  it.each<[string, unknown, ReadonlyArray<ReadonlyArray<string | null>>]>([
    ["no description", {}, [["description", "text that is not empty", "nothing", null]]],
    ["an empty description", { description: " \n" }, [["description", "text that is not empty", '" \\n"', null]]],
    ["a description of another type", { description: 3 }, [["description", "text that is not empty", "3", null]]],
    ["a document that is no goal", "Do it", [["", "an object", '"Do it"', null]]],
    [
      "an unknown key",
      { description: "x", budgt: {} },
      [
        [
          "budgt",
          '"id", "description", "acceptance", "budget", "workspace", "agent" or "metadata"',
          '"budgt"',
          "budget"
        ]
      ]
    ],
    [
      "an id that is none",
      { description: "x", id: "goal-1" },
      [["id", "a UUID in lower case that is not the nil UUID", '"goal-1"', null]]
    ],
    [
      "an id in upper case",
      { description: "x", id: given.toUpperCase() },
      [["id", "a UUID in lower case that is not the nil UUID", JSON.stringify(given.toUpperCase()), null]]
    ],
    [
      "the nil id",
      { description: "x", id: "00000000-0000-0000-0000-000000000000" },
      [["id", "a UUID in lower case that is not the nil UUID", '"00000000-0000-0000-0000-000000000000"', null]]
    ],
    [
      "negative and nonsensical budgets",
      {
        description: "x",
        budget: {
          max_turns: 0,
          max_wall_time: -5,
          max_tokens: "200_000",
          max_cost_usd: -1,
          max_consecutive_denies: -1,
          max_consecutive_errors: 1.5,
          max_consecutive_prompt_too_long: true
        }
      },
      [
        ["budget.max_turns", "a whole number above 0", "0", null],
        ["budget.max_wall_time", 'a duration like "30 minutes", "1h 30m" or milliseconds', "-5", null],
        ["budget.max_tokens", "a whole number above 0", '"200_000"', null],
        ["budget.max_cost_usd", "a number above 0", "-1", null],
        ["budget.max_consecutive_denies", "a whole number of at least 0", "-1", null],
        ["budget.max_consecutive_errors", "a whole number of at least 0", "1.5", null],
        ["budget.max_consecutive_prompt_too_long", "a whole number of at least 0", "true", null]
      ]
    ],
    [
      "a cost without end, which YAML can write",
      { description: "x", budget: { max_cost_usd: Number.POSITIVE_INFINITY } },
      [["budget.max_cost_usd", "a number above 0", "Infinity", null]]
    ],
    ["a budget that is none", { description: "x", budget: 5 }, [["budget", "an object", "5", null]]],
    ["criteria that are no list", { description: "x", acceptance: "true" }, [["acceptance", "a list", '"true"', null]]],
    ["criteria left empty", { description: "x", acceptance: null }, [["acceptance", "a list", "null", null]]],
    [
      "a kind that is misspelled",
      { description: "x", acceptance: [{ kind: "shell_comand", command: "true" }] },
      [["acceptance[0].kind", kinds, '"shell_comand"', "shell_command"]]
    ],
    [
      "a kind that is shortened",
      { description: "x", acceptance: [{ kind: "shell", command: "true" }] },
      [["acceptance[0].kind", kinds, '"shell"', "shell_command"]]
    ],
    [
      "a criterion without its kind",
      { description: "x", acceptance: [{ command: "true" }] },
      [["acceptance[0].kind", kinds, "nothing", null]]
    ],
    [
      "a missing part of a criterion",
      {
        description: "x",
        acceptance: [
          { kind: "file_matches", path: "a" },
          { file: "a" },
          { kind: "shell_command" },
          { kind: "custom" },
          { kind: "llm_judge" }
        ]
      },
      [
        ["acceptance[0].regex", "text", "nothing", null],
        ["acceptance[1].matches", "text", "nothing", null],
        ["acceptance[2].command", "text that is not empty", "nothing", null],
        ["acceptance[3].name", "text that is not empty", "nothing", null],
        ["acceptance[4].criterion", "text that is not empty", "nothing", null]
      ]
    ],
    [
      "criteria that are nothing",
      { description: "x", acceptance: ["npm test", {}, { foo: 1 }, null, []] },
      [
        ["acceptance[0]", aCriterion, '"npm test"', null],
        ["acceptance[1]", aCriterion, "an empty object", null],
        ["acceptance[2]", aCriterion, "an object with foo", null],
        ["acceptance[3]", aCriterion, "null", null],
        ["acceptance[4]", aCriterion, "an empty list", null]
      ]
    ],
    [
      "short forms with a mistake, in the words of that form",
      {
        description: "x",
        acceptance: [
          { shel: "true" },
          { shell: 3 },
          { shell: "true", timeout: "soon", stdout_must_match: 1, foo: 1 },
          { shell: "true", file: "a" },
          { file: "a", match: "b" },
          { custom: "x", args: [] },
          { judge: "" },
          { shell: "true", expected_exit: 256 }
        ]
      },
      [
        ["acceptance[0].shel", shellKeys, '"shel"', "shell"],
        ["acceptance[1].shell", "text that is not empty", "3", null],
        ["acceptance[2].foo", shellKeys, '"foo"', null],
        ["acceptance[2].stdout_must_match", "text", "1", null],
        ["acceptance[2].timeout", 'a duration like "30 minutes", "1h 30m" or milliseconds', '"soon"', null],
        ["acceptance[3].file", shellKeys, '"file"', null],
        ["acceptance[4].match", '"file", "matches" or "required"', '"match"', "matches"],
        ["acceptance[5].args", "an object", "an empty list", null],
        ["acceptance[6].judge", "text that is not empty", '""', null],
        ["acceptance[7].expected_exit", "a whole number from 0 to 255", "256", null]
      ]
    ],
    ["an empty workspace", { description: "x", workspace: "" }, [["workspace", "text that is not empty", '""', null]]],
    [
      "metadata that is no record",
      { description: "x", metadata: [] },
      [["metadata", "an object", "an empty list", null]]
    ]
  ])("tells of %s", (_, input, expected) => {
    const byPath = (a: ReadonlyArray<unknown>, b: ReadonlyArray<unknown>) => String(a[0]).localeCompare(String(b[0]))
    deepStrictEqual([...told(input)].sort(byPath), [...expected].sort(byPath))
  })

  it.prop("answers any JSON without throwing", [FastCheck.json()], ([json]) => {
    const input: unknown = JSON.parse(json)
    assert.strictEqual(goalFileIssues(input).length === 0, Either.isRight(decodeGoalFile(input)))
  })

  it.prop("answers any broken goal without throwing", [Arbitrary.make(Goal), FastCheck.json()], ([goal, json]) => {
    const encoded: Record<string, unknown> = { ...Schema.encodeSync(Goal)(goal) }
    for (const name of Object.keys(encoded)) {
      const broken = { ...encoded, [name]: JSON.parse(json) }
      for (const issue of goalFileIssues(broken)) assert.match(issue.path, new RegExp(`^${name}`))
    }
  })

  describe("goalFileJsonSchema", () => {
    // Plain data: a view wide enough to walk it.
    type Node = { readonly [key: string]: Node } & { readonly description?: string; readonly $ref?: string }
    const schema = JSON.parse(JSON.stringify(goalFileJsonSchema()))

    it("describes every property that a person can write", () => {
      const undescribed: Array<string> = []
      const walk = (node: unknown, path: string): void => {
        if (typeof node !== "object" || node === null) return
        for (const [key, value] of Object.entries(node)) {
          if (key === "properties") {
            for (const [name, property] of Object.entries(value as Record<string, Node>)) {
              if (name !== "kind" && property.description === undefined) undescribed.push(`${path}.${name}`)
            }
          }
          walk(value, `${path}.${key}`)
        }
      }
      walk(schema, "")
      deepStrictEqual(undescribed, [])
    })

    it("refuses unknown keys at the top, in criteria and in the budget", () => {
      assert.isFalse(schema.additionalProperties)
      assert.isFalse(schema.properties.budget.anyOf[0].additionalProperties)
      for (const criterion of schema.properties.acceptance.items.anyOf) assert.isFalse(criterion.additionalProperties)
    })

    it("wants a description and nothing else", () => {
      deepStrictEqual(schema.required, ["description"])
    })

    it("has no $id twice, which validators refuse", () => {
      assert.notInclude(JSON.stringify(schema), '"$id"')
    })
  })
})
