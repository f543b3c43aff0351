import { AgentActivity, DecisionMade, DriverEvent, GoalCompleted, GoalStarted } from "@driver/domain/DriverEvent"
import { Goal, GoalId, Shell } from "@driver/domain/Goal"
import { Escalate, GoalOutcome } from "@driver/domain/Outcome"
import { ChoiceDeny, Decision, DecisionId } from "@driver/domain/Permission"
import { mark } from "@driver/domain/Redaction"
import * as Redactor from "@driver/domain/Redactor"
import { Usage } from "@driver/domain/Usage"
import { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Layer, Option, Redacted, Schema } from "effect"

const secret = "correct horse battery staple"
const redactor = Redactor.make([Redacted.make(secret)])
const goalId = GoalId.make("7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f")
const text = `before ${secret} after`
const cleanText = `before ${mark} after`

const verdict = new AcceptanceVerdict({
  met: false,
  results: [
    new CriterionResult({
      index: 0,
      criterion: text,
      passed: false,
      message: text,
      evidence: Option.some(text),
      elapsed: Duration.millis(3)
    })
  ],
  evaluatedAt: DateTime.unsafeMake(0),
  elapsed: Duration.millis(5)
})

const events: ReadonlyArray<DriverEvent> = [
  new AgentActivity({ goalId, turn: 1, activity: "said", text }),
  new GoalStarted({
    goalId,
    goal: new Goal({
      id: goalId,
      description: text,
      acceptance: [new Shell({ command: text })],
      metadata: { [text]: { deep: [text, { password: "hunter22" }] } }
    })
  }),
  new DecisionMade({
    goalId,
    decision: new Decision({
      id: DecisionId.make("a1b2c3d4-93d6-4d4b-a8a7-6d2f5f0a9d11"),
      goalId,
      turn: 1,
      tool: "Bash",
      input: { command: text, list: [[text]], n: 7, nothing: null },
      choice: new ChoiceDeny({ message: text }),
      rationale: text,
      decidedAt: DateTime.unsafeMake(0)
    })
  }),
  new GoalCompleted({
    goalId,
    outcome: new GoalOutcome({
      goalId,
      outcome: new Escalate({ reason: text }),
      totalTurns: 1,
      usage: Usage.zero,
      finalText: Option.some(text),
      acceptance: Option.some(verdict),
      branch: Option.none(),
      worktree: Option.none(),
      delivery: Option.none(),
      elapsed: Duration.zero
    })
  })
]

const json = (event: DriverEvent) => JSON.stringify(Schema.encodeSync(DriverEvent)(event))

describe("Redactor", () => {
  it.each(events.map((event) => [event._tag, event] as const))(
    "leaves no secret in the event %s, which stays one",
    (_, event) => {
      const clean = redactor.value(event)
      assert.include(json(event), secret)
      assert.notInclude(json(clean), secret)
      assert.notInclude(json(clean), "hunter22")
      assert.include(json(clean), cleanText)
      // Nothing else has changed, and it can be read back.
      assert.strictEqual(json(clean), json(event).replaceAll(secret, mark).replaceAll("hunter22", mark))
      assert.deepStrictEqual(Schema.decodeUnknownSync(DriverEvent)(JSON.parse(json(clean))), clean)
    }
  )

  it.prop("gives back what has no secret, untouched", [DriverEvent], ([event]) => {
    const clean = Redactor.make([Redacted.make("\u0000no text has this\u0000")]).value(event)
    const before = json(event)
    if (!before.includes(mark) && !json(clean).includes(mark)) assert.strictEqual(clean, event)
  })

  it("does not look twice at what it has cleaned", () => {
    const clean = redactor.value({ text })
    assert.strictEqual(redactor.value(clean), clean)
    assert.strictEqual(redactor.value({ clean }).clean, clean)
  })

  it("takes keys by their shape, and what stands under a secret's name", () => {
    const key = ["sk-ant", "api03", "a1b2c3d4e5f6"].join("-")
    assert.deepStrictEqual(
      Redactor.make([]).value({ a: `x ${key}`, api_key: "whatever it is", token_count: "123456" }),
      {
        a: `x ${mark}`,
        api_key: mark,
        token_count: "123456"
      }
    )
  })

  it("cannot be led to another class by a key of a record", () => {
    const input = JSON.parse(`{"__proto__": {"evil": "${secret}"}, "a": "${secret}"}`)
    const clean = redactor.value(input)
    assert.strictEqual(Object.getPrototypeOf(clean), Object.prototype)
    assert.strictEqual(JSON.stringify(clean), `{"__proto__":{"evil":"${mark}"},"a":"${mark}"}`)
  })

  it.effect("is there without a layer, and knows values with one", () =>
    Effect.gen(function* () {
      const clean = Effect.map(Redactor.Redactor, (it) => it.text(text))
      assert.strictEqual(yield* clean, text)
      assert.strictEqual(yield* Effect.provide(clean, Redactor.Redactor.layer([Redacted.make(secret)])), cleanText)
      assert.strictEqual(yield* Effect.provide(clean, Layer.empty), text)
    })
  )
})
