import { CriterionResult } from "@driver/domain/Verdict"
import { attemptPrompt, type PromptParts, parseSleepSentinel, tickPrompt } from "@driver/runtime/Prompt"
import { assert, describe, it } from "@effect/vitest"
import { Duration, FastCheck as fc, Option } from "effect"

const nothing: PromptParts = {
  operatorMessages: [],
  notices: [],
  tick: Option.none(),
  summary: Option.none(),
  description: "Create hello.txt",
  failures: [],
  diffStat: "",
  turn: 1,
  maxTurns: 5
}

const failure = (index: number, evidence: Option.Option<string>) =>
  new CriterionResult({
    index,
    criterion: `\`check ${index}\``,
    passed: false,
    message: "exit code 1, expected 0",
    evidence,
    elapsed: Duration.millis(5)
  })

describe("attemptPrompt", () => {
  it("is the description and the turn when there is nothing else to say", () => {
    assert.strictEqual(attemptPrompt(nothing), "Create hello.txt\n\n[Turn 1/5]")
  })

  it("has every part in the order of the specification", () => {
    const prompt = attemptPrompt({
      operatorMessages: ["use spaces", "and be quick"],
      notices: ["You repeat yourself."],
      tick: Option.some(tickPrompt(Duration.minutes(5), "waiting for CI")),
      summary: Option.some("half of it is done"),
      description: "Create hello.txt",
      failures: [failure(0, Option.some("line 1\nline 2\n")), failure(1, Option.none())],
      diffStat: " hello.txt | 1 +",
      turn: 3,
      maxTurns: 5
    })
    assert.strictEqual(
      prompt,
      `[OPERATOR INTERRUPT]
use spaces
and be quick
[END OPERATOR INTERRUPT]

[DRIVER NOTICE]
You repeat yourself.
[END DRIVER NOTICE]

You slept for 5m (waiting for CI). Look at what has changed, then go on.

Summary of the work in an earlier session:
half of it is done

Create hello.txt

Previous attempt failed:
1. \`check 0\`: exit code 1, expected 0
   | line 1
   | line 2
2. \`check 1\`: exit code 1, expected 0

What the last turn changed:
 hello.txt | 1 +

[Turn 3/5]`
    )
  })
})

describe("parseSleepSentinel", () => {
  const parsed = (text: string) =>
    Option.getOrNull(Option.map(parseSleepSentinel(text), (it) => [Duration.toMillis(it.duration), it.reason]))

  it.each([
    [`{"__driver_sleep__": true, "duration_ms": 300000, "reason": "CI runs"}`, [300000, "CI runs"]],
    [`  {"__nexo_sleep__":true,"duration_ms":1,"reason":"x"}\n`, [1, "x"]],
    ['```json\n{"__driver_sleep__": true, "duration_ms": 5}\n```', [5, "no reason given"]],
    [`{"__driver_sleep__": false, "duration_ms": 5}`, null],
    [`{"__driver_sleep__": true, "duration_ms": -1}`, null],
    [`{"__driver_sleep__": true, "duration_ms": "5"}`, null],
    [`{"__driver_sleep__": true}`, null],
    [`I will print {"__driver_sleep__": true, "duration_ms": 5}`, null],
    ["{", null],
    ["[]", null],
    ["null", null],
    ["", null]
  ])("reads %s", (text, expected) => {
    assert.deepStrictEqual(parsed(text), expected)
  })

  it("never throws, whatever the text", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => Option.isOption(parseSleepSentinel(text))))
  })
})
