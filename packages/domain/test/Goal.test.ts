import {
  Budget,
  Custom,
  describeCriterion,
  FileMatches,
  Goal,
  GoalId,
  LlmJudge,
  metadataText,
  Shell
} from "@driver/domain/Goal"
import { failuresOf } from "@driver/domain/Verdict"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Either, Option, Schema } from "effect"
import * as frozen from "./frozen/values.js"

const id = GoalId.make("7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f")

describe("Goal", () => {
  it.each([
    "",
    "goal-1",
    "00000000-0000-0000-0000-000000000000",
    "7F2C8A1E-5B0D-4C36-9E8F-0A1B2C3D4E5F",
    "7f2c8a1e5b0d4c369e8f0a1b2c3d4e5f"
  ])("refuses the id %j", (wrong) => {
    assert.isTrue(Either.isLeft(Schema.decodeUnknownEither(GoalId)(wrong)))
  })

  it("has the defaults of the specification, also outside", () => {
    const goal = Schema.decodeUnknownSync(Goal)({ id, description: "x" })
    deepStrictEqual(goal, new Goal({ id, description: "x" }))
    deepStrictEqual(goal.budget, Budget.defaults)
    deepStrictEqual(Schema.encodeSync(Goal)(goal), {
      id,
      description: "x",
      acceptance: [],
      budget: {
        max_turns: 20,
        max_wall_time: Duration.toMillis("2 hours"),
        max_tokens: 5_000_000,
        max_consecutive_denies: 10,
        max_consecutive_errors: 5,
        max_consecutive_prompt_too_long: 2
      },
      metadata: {}
    })
  })

  it.each([
    ["an empty description", { id, description: "" }],
    ["no id", { description: "x" }],
    ["no turns", { id, description: "x", budget: { max_turns: 0 } }],
    ["a negative cost", { id, description: "x", budget: { max_cost_usd: -1 } }],
    ["an unknown kind of criterion", { id, description: "x", acceptance: [{ kind: "hope" }] }],
    [
      "an exit code that no process has",
      { id, description: "x", acceptance: [{ kind: "shell_command", command: "x", expected_exit: 256 }] }
    ]
  ])("refuses %s", (_, wire) => {
    assert.isTrue(Either.isLeft(Schema.decodeUnknownEither(Goal)(wire)))
  })

  it.each([
    [new Shell({ command: "npm test" }), "`npm test`"],
    [new FileMatches({ path: "a.txt", regex: "b" }), "a.txt matches /b/"],
    [new Custom({ name: "git_clean" }), "git_clean"],
    [new LlmJudge({ criterion: "It is polite." }), "judged: It is polite."]
  ])("describes %o in one line", (criterion, expected) => {
    assert.strictEqual(describeCriterion(criterion), expected)
  })

  it("gives text from the metadata, and only text", () => {
    const goal = new Goal({ id, description: "x", metadata: { agent_id: "a", dispatcher: 3, origin_channel: "" } })
    assert.strictEqual(metadataText(goal, "agent_id"), "a")
    assert.strictEqual(metadataText(goal, "dispatcher"), undefined)
    assert.strictEqual(metadataText(goal, "origin_channel"), undefined)
    assert.strictEqual(metadataText(goal, "toString"), undefined)
  })
})

describe("AcceptanceVerdict", () => {
  it("knows its failures", () => {
    deepStrictEqual(failuresOf(frozen.verdict), [frozen.result])
    assert.isTrue(Option.isSome(frozen.result.evidence))
  })
})
