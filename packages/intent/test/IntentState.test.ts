/** The table of the path, walked at random: whatever happens, it ends, and nothing is done out of turn. */
import { Budget } from "@driver/domain/Goal"
import { Clarify, Conversation, Directive, IntentContext, ReviewVerdict, Task } from "@driver/intent/Directive"
import { ExecEnv } from "@driver/intent/ExecEnv"
import { FailureClass } from "@driver/intent/GoalExecutor"
import { goalOfDirective } from "@driver/intent/GoalOfDirective"
import * as Records from "@driver/intent/IntentRecord"
import { costOf, Reply } from "@driver/intent/IntentResponse"
import { advance, type IntentState, initialState, nextStep, replay, type Step } from "@driver/intent/IntentState"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, FastCheck as fc, Option } from "effect"
import { whichColor } from "./support/path.js"
import { goalIdOf, intentIdOf, resultOf, sessionId } from "./support/values.js"

const directive = Directive.fromMessage("do it")
const goalOf = (n: number, agent: Option.Option<string> = Option.none()) =>
  goalOfDirective(directive, ExecEnv.empty, {
    id: goalIdOf(n),
    budget: Budget.defaults,
    agent,
    feedback: Option.none()
  })

/** What the world does, one entry per phase. */
const anyChance = fc.record({
  pick: fc.nat(9),
  failure: Arbitrary.make(FailureClass),
  score: fc.integer({ min: 0, max: 10 })
})
interface Chance {
  readonly pick: number
  readonly failure: FailureClass
  readonly score: number
}

const recordOf = (state: IntentState, step: Step, { failure, pick, score }: Chance): Records.IntentRecord => {
  switch (step._tag) {
    case "Assess": {
      const assessment =
        pick === 0
          ? new Conversation({ reply: "hi" })
          : pick === 1
            ? new Clarify({ questions: [whichColor] })
            : new Task({ scope: pick < 4 ? "trivial" : "substantial" })
      return new Records.Assessed({ assessment, request: "do it", followUp: "none" })
    }
    case "ResolveEnvironment":
      return new Records.EnvironmentResolved({ env: ExecEnv.empty })
    case "Crystallize":
      return new Records.Crystallized({ directive })
    case "CheckGoal":
      return pick < 5 && Option.isNone(state.refused)
        ? new Records.GoalRefused({ goal: goalOf(1), complaints: [] })
        : new Records.GoalChecked({ goal: goalOf(1), directive })
    case "StartRun":
      return new Records.RunStarted({ goal: goalOf(2 + state.runs.length, step.agent), because: step.because })
    case "AwaitRun":
      return new Records.RunEnded({
        result: resultOf({
          goalId: step.run.goal.id,
          ended: pick < 4 ? "done" : pick < 9 ? "escalated" : "cancelled",
          ...(pick > 5 ? { failure } : {})
        })
      })
    case "Review":
      return new Records.Reviewed({
        verdict: new ReviewVerdict({
          passed: pick < 3,
          score: score / 10,
          gaps: pick < 8 ? ["more"] : [],
          by: "mechanical"
        })
      })
    case "Finish":
      return new Records.Finished({
        response: new Reply({ intentId: intentIdOf(1), sessionId, cost: costOf([], []), text: "over" })
      })
    case "ShowPlan":
    case "Stop":
      throw new Error("nothing is written there")
  }
}

const received = (maxRetries: number) =>
  new Records.Received({ message: "do it", context: new IntentContext({ sessionId }), maxRetries })

const walk = (
  chances: ReadonlyArray<Chance>,
  maxRetries: number,
  maxRecoveries: number,
  otherAgents: ReadonlyArray<string>
) => {
  const first = received(maxRetries)
  const records: Array<Records.IntentRecord> = [first]
  const steps: Array<Step> = []
  let state = initialState(first)
  for (const chance of chances) {
    const step = nextStep(state, { planOnly: false, maxRecoveries, otherAgents })
    if (step._tag === "Stop") break
    steps.push(step)
    const record = recordOf(state, step, chance)
    records.push(record)
    state = advance(state, record)
  }
  return { records, state, steps }
}

const chances = fc.array(anyChance, { minLength: 80, maxLength: 80 })
const agents = fc.subarray(["b", "c"])

const isFinal = (failure: FailureClass): boolean => failure !== "transient" && failure !== "unknown"

describe("IntentState", () => {
  it.prop(
    "comes to its end, whatever happens, within its retries",
    [chances, fc.nat(3), fc.nat(2), agents],
    ([all, maxRetries, maxRecoveries, others]) => {
      const { state, steps } = walk(all, maxRetries, maxRecoveries, others)
      assert.isTrue(Option.isSome(state.response))
      const count = (tag: Step["_tag"]) => steps.filter(({ _tag }) => _tag === tag).length
      assert.strictEqual(count("Assess"), 1)
      assert.strictEqual(count("Finish"), 1)
      assert.isAtMost(count("ResolveEnvironment"), 1)
      assert.isAtMost(count("Crystallize"), 2)
      const because = (reason: string) => state.runs.filter(({ started }) => started.because === reason).length
      assert.isAtMost(because("first"), 1)
      assert.isAtMost(because("gaps"), maxRetries)
      assert.isAtMost(because("recovery"), maxRecoveries * (1 + others.length) + others.length)
      assert.strictEqual(count("AwaitRun"), state.runs.length)
    }
  )

  it.prop(
    "runs nothing that was not checked, reviews nothing trivial, and runs no more after a pass",
    [chances, fc.nat(3)],
    ([all, maxRetries]) => {
      const { state, steps } = walk(all, maxRetries, 1, [])
      const at = (tag: Step["_tag"]) => steps.findIndex(({ _tag }) => _tag === tag)
      if (state.runs.length > 0) assert.isTrue(at("CheckGoal") >= 0 && at("CheckGoal") < at("StartRun"))
      const isTrivial = Option.exists(
        state.assessed,
        ({ assessment }) => assessment._tag === "Task" && assessment.scope === "trivial"
      )
      if (isTrivial) assert.strictEqual(at("Review"), -1)
      for (const run of state.runs.slice(0, -1)) {
        assert.isFalse(Option.exists(run.verdict, ({ passed }) => passed))
        assert.isFalse(Option.exists(run.result, ({ outcome }) => outcome.outcome._tag === "Cancelled"))
      }
    }
  )

  it.prop(
    "runs nothing again with an agent that had no quota, no login, no model, or no room",
    [chances, fc.nat(3), fc.nat(2), agents],
    ([all, maxRetries, maxRecoveries, others]) => {
      const { runs } = walk(all, maxRetries, maxRecoveries, others).state
      runs.slice(1).forEach(({ started }, index) => {
        const before = runs[index]
        if (before === undefined || !Option.exists(before.result, ({ failure }) => Option.exists(failure, isFinal)))
          return
        assert.strictEqual(started.because, "recovery")
        assert.notStrictEqual(Option.getOrNull(started.goal.agent), Option.getOrNull(before.started.goal.agent))
      })
    }
  )

  it.prop("is the same when it is read from the journal, cut anywhere", [chances, fc.nat(60)], ([all, cut]) => {
    const { records, state } = walk(all, 2, 1, ["b"])
    assert.deepStrictEqual(replay(records), Option.some(state))
    const [head, tail] = [records.slice(0, 1 + cut), records.slice(1 + cut)]
    const cutOff = replay(head)
    assert.deepStrictEqual(
      Option.map(cutOff, (it) => tail.reduce(advance, it)),
      Option.some(state)
    )
  })

  it("is of an intent that begins with its message", () => {
    assert.deepStrictEqual(replay([]), Option.none())
    assert.deepStrictEqual(replay([new Records.Resumed()]), Option.none())
  })

  it("shows a plan instead of the first run, and only then", () => {
    const options = { planOnly: true, maxRecoveries: 1, otherAgents: [] }
    const checked = replay([
      received(1),
      new Records.Assessed({ assessment: new Task({ scope: "trivial" }), request: "do it", followUp: "none" }),
      new Records.EnvironmentResolved({ env: ExecEnv.empty }),
      new Records.Crystallized({ directive }),
      new Records.GoalChecked({ goal: goalOf(1), directive })
    ])
    assert.strictEqual(nextStep(Option.getOrThrow(checked), options)._tag, "ShowPlan")
    const running = advance(Option.getOrThrow(checked), new Records.RunStarted({ goal: goalOf(2), because: "first" }))
    assert.strictEqual(nextStep(running, options)._tag, "AwaitRun")
    const abandoned = advance(running, new Records.Abandoned({ reason: "no" }))
    assert.strictEqual(nextStep(abandoned, options)._tag, "Stop")
  })
})
