import { Config, defaults, type KeyDoc, keyDocs } from "@driver/cli/Config"
import { schemaOf } from "@driver/cli/commands/schema"
import { configText, goalText } from "@driver/cli/Templates"
import { goalFileIssues } from "@driver/domain/GoalFile"
import { decodeStrict } from "@driver/domain/StrictDecode"
import { defaults as acceptanceDefaults } from "@driver/runtime/Acceptance"
import * as CompactPolicy from "@driver/runtime/CompactPolicy"
import * as GoalLoopSettings from "@driver/runtime/GoalLoopSettings"
import * as ReplayPolicy from "@driver/runtime/ReplayPolicy"
import * as StuckPolicy from "@driver/runtime/StuckPolicy"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Either, Option } from "effect"
import { parse } from "yaml"

const decode = decodeStrict(Config)

const all = keyDocs.flatMap((doc) => (doc.children.length === 0 ? [doc] : doc.children))

/** The template with every commented setting switched on, or those that `keep` allows. */
const uncommented = configText().replace(/^# /gm, "")

describe("Config", () => {
  it("assumes what the policies themselves assume", () => {
    assert.deepStrictEqual({ ...defaults.compact }, { ...CompactPolicy.defaults })
    // Whether somebody else can take over is not for `replay` to say.
    assert.deepStrictEqual({ ...defaults.replay, endAtLimit: false }, { ...ReplayPolicy.defaults })
    assert.deepStrictEqual({ ...defaults.stuck }, { ...StuckPolicy.defaults })
    const { concurrency, evidenceBytes, timeout } = acceptanceDefaults
    assert.deepInclude({ ...defaults.acceptance }, { concurrency, evidenceBytes, timeout })
    const loop = GoalLoopSettings.defaults
    assert.deepStrictEqual(defaults.agent.turnTimeout, loop.turnTimeout)
    assert.deepStrictEqual(defaults.agent.maxSleep, loop.maxSleep)
    assert.strictEqual(defaults.progressEveryTurns, loop.progressEveryTurns)
    assert.strictEqual(defaults.acceptance.preflight, loop.preflight)
    assert.strictEqual(defaults.cleanup, loop.cleanup)
    assert.strictEqual(defaults.deliver.mode, loop.delivery.mode)
  })

  it("explains every key, with a default or an example", () => {
    for (const doc of all) {
      assert.isAbove(doc.description.length, 10, doc.path)
      assert.isTrue(Option.isSome(doc.shown), doc.path)
    }
  })

  it("shows for each key the default that it has", () => {
    const shown = all.filter((doc) => !doc.isExample)
    for (const doc of shown) {
      const text = Option.getOrThrow(doc.shown)
      const [section, name] = doc.path.split(".")
      const document = name === undefined ? `${section}: ${text}` : `${section}:\n  ${name}: ${text}`
      assert.deepStrictEqual(Either.getOrThrow(decode(parse(document))), defaults, doc.path)
    }
  })

  it.each([
    ["an unknown key", "agnet: {}", /^agnet is not a known key; did you mean agent\?$/],
    [
      "an unknown key in a section",
      "agent: { idle_limt: 1m }",
      /^agent\.idle_limt is not a known key; did you mean idle_limit\?$/
    ],
    ["camel case", "agent: { idleLimit: 1m }", /^agent\.idleLimit is not a known key; did you mean idle_limit\?$/],
    ["a duration that is none", "agent: { idle_limit: soon }", /^agent\.idle_limit: expected a duration/],
    [
      "a choice that is none",
      "agent: { kind: claude }",
      /^agent\.kind: expected "claude-code" or "stub", got "claude"/
    ],
    ["a number where a text belongs", "base: 5", /^base: expected text that is not empty, got 5$/],
    ["a number out of range", "compact: { threshold: 1.5 }", /^compact\.threshold: expected .*, got 1\.5$/],
    ["a fraction", "acceptance: { concurrency: 1.5 }", /^acceptance\.concurrency: expected .*whole number/],
    ["a list where a map belongs", "agent: []", /^agent: expected an object, got an empty list$/],
    ["an unknown store", "store: { mysql: x }", /^store: expected/],
    [
      "a rule without its verdict",
      "permission: { rules: [{ tool: Bash }] }",
      /^permission\.rules\[0\]\.verdict is missing/
    ],
    ["an event sink that is a text", "events: [events.jsonl]", /^events\[0\]: expected an object/],
    ["a list as the whole", "[]", /^the document: expected an object, got an empty list$/]
  ])("refuses %s", (_, text, expected) => {
    const issues = Either.match(decode(parse(text)), { onLeft: (found) => found, onRight: () => [] })
    assert.strictEqual(issues.length, 1, JSON.stringify(issues))
    assert.match(issues[0]?.message ?? "", expected)
  })

  it("takes a section with nothing in it for none", () => {
    assert.deepStrictEqual(Either.getOrThrow(decode(parse("agent:\nbudget:\n"))), defaults)
  })

  it("reports all mistakes at once", () => {
    const issues = Either.match(decode(parse("base: 5\nagent: { kind: x, mode: y }\nfoo: 1")), {
      onLeft: (found) => found.map(({ path }) => path).sort(),
      onRight: () => []
    })
    assert.deepStrictEqual(issues, ["agent.kind", "agent.mode", "base", "foo"])
  })
})

describe("the driver.yaml that init writes", () => {
  it("says nothing as it stands", () => {
    assert.isNull(parse(configText()))
  })

  it("is valid with every key taken in, and then has every key", () => {
    const value: unknown = parse(uncommented)
    assert.isTrue(Either.isRight(decode(value)), JSON.stringify(Either.getLeft(decode(value))))
    const keysOf = (docs: ReadonlyArray<KeyDoc>): ReadonlyArray<string> => docs.map(({ name }) => name)
    assert.deepStrictEqual(Object.keys(value as object), keysOf(keyDocs))
  })

  it("has no line longer than 120 characters", () => {
    for (const line of configText().split("\n")) assert.isAtMost(line.length, 120, line)
  })
})

describe("the goal that init writes", () => {
  it.each([
    [
      "with criteria",
      { kinds: ["x"], criteria: [{ command: 'a "b" && c: d # e', reason: "the tests" }] },
      'a "b" && c: d # e'
    ],
    ["without", { kinds: [], criteria: [] }, "test -s hello.txt"]
  ])("is a valid goal file %s", (_, proposal, command) => {
    const value = parse(goalText(proposal))
    assert.deepStrictEqual(goalFileIssues(value), [])
    assert.strictEqual(value.acceptance[0].shell, command)
  })
})

describe("driver schema", () => {
  it("describes every key of the configuration", () => {
    const root = schemaOf("config")
    const definitions = [root, ...Object.values(root.$defs ?? {})]
    const described = definitions.flatMap((definition) =>
      "properties" in definition
        ? Object.entries(definition.properties as Record<string, { description?: string }>)
        : []
    )
    for (const { description, name } of all) {
      assert.isTrue(
        described.some(([key, value]) => key === name && value.description === description),
        name
      )
    }
  })

  it.each(["goal", "config"] as const)("is a draft-07 schema of a %s", (of) => {
    assert.strictEqual(schemaOf(of).$schema, "http://json-schema.org/draft-07/schema#")
  })

  it("allows no unknown keys", () => {
    assert.notInclude(JSON.stringify(schemaOf("config")), '"additionalProperties":true')
    assert.isAbove(Duration.toMillis(defaults.agent.turnTimeout), 0)
  })
})
