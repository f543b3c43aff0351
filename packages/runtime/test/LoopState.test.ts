import { BudgetExhausted, Continue, Done, Escalate, NeedsRetry, Sleep } from "@driver/domain/Outcome"
import { TokenUsage, Usage, updateUsage } from "@driver/domain/Usage"
import { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { AttemptEnd } from "@driver/runtime/Attempt"
import {
  afterCompaction,
  afterSleep,
  afterTurn,
  countTurn,
  initial,
  type LoopState,
  Next,
  Phase,
  routeOf,
  type TurnFacts
} from "@driver/runtime/LoopState"
import { ReplayDecision } from "@driver/runtime/ReplayPolicy"
import { StuckDecision } from "@driver/runtime/StuckPolicy"
import { CheckpointId } from "@driver/runtime/Workspace"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Option } from "effect"

const failure = new CriterionResult({
  index: 0,
  criterion: "`false`",
  passed: false,
  message: "exit code 1, expected 0",
  evidence: Option.some("boom"),
  elapsed: Duration.zero
})
const verdict = (...results: ReadonlyArray<CriterionResult>) =>
  new AcceptanceVerdict({
    met: results.every((it) => it.passed),
    results,
    evaluatedAt: DateTime.unsafeMake(0),
    elapsed: Duration.zero
  })
const checkpoint = CheckpointId.make("3")
const never = () => assert.fail("the replay policy is asked for failed turns only")

describe("routeOf", () => {
  it("accepts a claim that every criterion confirms", () => {
    const route = routeOf(AttemptEnd.Claimed({ text: "done" }), Option.some(verdict()), never)
    assert.deepStrictEqual(route, { next: Next.Accept(), outcome: new Done({}), replay: Option.none() })
  })

  it("does not believe a claim that a criterion contradicts", () => {
    const route = routeOf(AttemptEnd.Claimed({ text: "done" }), Option.some(verdict(failure)), never)
    assert.deepStrictEqual(route.next, Next.Retry({ failures: [failure] }))
    assert.deepStrictEqual(route.outcome, new NeedsRetry({ failures: [failure] }))
  })

  it("sleeps when the agent asks for it, and counts the turn", () => {
    const end = AttemptEnd.SleepAsked({ duration: Duration.minutes(5), reason: "CI" })
    const route = routeOf(end, Option.none(), never)
    assert.deepStrictEqual(route.outcome, new Sleep({ duration: Duration.minutes(5), reason: "CI" }))
    assert.deepStrictEqual(route.next, Next.SleepThen({ duration: Duration.minutes(5), reason: "CI", sameTurn: false }))
  })

  it("ends with the axis that was used up in mid-turn", () => {
    const route = routeOf(AttemptEnd.BudgetReached({ axis: "tokens" }), Option.none(), never)
    assert.deepStrictEqual(route.next, Next.Stop({ outcome: new BudgetExhausted({ axis: "tokens" }) }))
  })

  it.each([
    [ReplayDecision.NextTurn({ rollbackTo: Option.none() }), Next.Advance({ rollbackTo: Option.none() })],
    [
      ReplayDecision.FreshSessionRetry({ rollbackTo: Option.some(checkpoint), delay: Duration.seconds(1) }),
      Next.FreshSession({ rollbackTo: Option.some(checkpoint), delay: Duration.seconds(1) })
    ],
    [ReplayDecision.CompactAndRetry(), Next.CompactFirst()],
    [ReplayDecision.SameTurn({ note: "cut" }), Next.SameTurn()],
    [
      ReplayDecision.Sleep({ duration: Duration.hours(1), reason: "limit" }),
      Next.SleepThen({ duration: Duration.hours(1), reason: "limit", sameTurn: true })
    ],
    [ReplayDecision.Escalate({ reason: "no key" }), Next.Stop({ outcome: new Escalate({ reason: "no key" }) })],
    [
      ReplayDecision.Escalate({ reason: "no key", because: "auth" }),
      Next.Stop({ outcome: new Escalate({ reason: "no key", failure: Option.some("auth") }) })
    ]
  ])("carries the replay policy's %s out", (decision, next) => {
    const end = AttemptEnd.Failed({ failure: Option.none(), message: "boom", hint: "Continue", by: "policy" })
    const route = routeOf(end, Option.none(), () => decision)
    assert.deepStrictEqual(route, {
      next,
      outcome: new Continue({ reason: "boom" }),
      replay: Option.some(decision)
    })
  })
})

describe("routeOf an agent that cannot be used", () => {
  it("ends by the driver's fault, not by a policy's wisdom", () => {
    const end = AttemptEnd.Failed({ failure: Option.none(), message: "not there", hint: "Escalate", by: "driver" })
    const route = routeOf(end, Option.none(), () => ReplayDecision.Escalate({ reason: "not there" }))
    assert.deepStrictEqual(route.next, Next.Stop({ outcome: new Escalate({ reason: "not there", by: "driver" }) }))
  })
})

describe("countTurn", () => {
  const used = updateUsage(Usage.zero, { turns: 2, consecutiveErrors: 3, consecutivePromptTooLong: 1 })
  const counted = (next: Next) => {
    const { consecutiveErrors, consecutivePromptTooLong, turns } = countTurn(used, next)
    return [turns, consecutiveErrors, consecutivePromptTooLong]
  }

  it.each([
    [Next.Accept(), [3, 0, 0]],
    [Next.Retry({ failures: [] }), [3, 0, 0]],
    [Next.Advance({ rollbackTo: Option.none() }), [3, 4, 1]],
    [Next.FreshSession({ rollbackTo: Option.none(), delay: Duration.zero }), [2, 4, 1]],
    [Next.CompactFirst(), [2, 3, 2]],
    [Next.SameTurn(), [2, 3, 1]],
    [Next.SleepThen({ duration: Duration.zero, reason: "", sameTurn: true }), [2, 3, 1]],
    [Next.SleepThen({ duration: Duration.zero, reason: "", sameTurn: false }), [3, 0, 0]],
    [Next.Stop({ outcome: new Done({}) }), [3, 3, 1]]
  ])("of %s", (next, expected) => {
    assert.deepStrictEqual(counted(next), expected)
  })
})

const facts: TurnFacts = {
  usage: updateUsage(Usage.zero, { turns: 1 }),
  trace: { failures: [], diffEmpty: false, toolCalls: ["Write {}"] },
  stuck: StuckDecision.Fine(),
  diffStat: " a | 1 +",
  messages: ["be quick"],
  contextTokens: Option.some(100),
  contextWindow: Option.some(1000),
  focus: "continue goal: x",
  rolledBack: false
}
const working: LoopState = { ...initial, nudges: 2 }

describe("afterTurn", () => {
  it("takes the failures and what changed into the next prompt, and not the messages that were delivered", () => {
    const state = afterTurn(working, Next.Retry({ failures: [failure] }), facts)
    assert.deepStrictEqual(state.phase, Phase.Ready())
    assert.deepStrictEqual(state.carry, {
      messages: [],
      notices: [],
      tick: Option.none(),
      failures: [failure],
      diffStat: " a | 1 +"
    })
    assert.deepStrictEqual(state.traces, [facts.trace])
    assert.strictEqual(state.nudges, 0)
    assert.deepStrictEqual(state.compaction.contextTokens, Option.some(100))
  })

  it("says the operator's messages again when their turn came to nothing", () => {
    const fresh = Next.FreshSession({ rollbackTo: Option.none(), delay: Duration.zero })
    assert.deepStrictEqual(afterTurn(working, fresh, facts).carry.messages, ["be quick"])
    assert.deepStrictEqual(afterTurn(working, Next.CompactFirst(), facts).carry.messages, ["be quick"])
    const advance = Next.Advance({ rollbackTo: Option.none() })
    assert.deepStrictEqual(afterTurn(working, advance, facts).carry.messages, ["be quick"])
  })

  it("tells the agent when its changes were rolled back", () => {
    const next = Next.Advance({ rollbackTo: Option.some(checkpoint) })
    const state = afterTurn(working, next, { ...facts, rolledBack: true })
    assert.deepStrictEqual(state.carry.notices, ["The last turn failed and its changes were rolled back."])
  })

  it("puts a nudge into the next prompt and counts it", () => {
    const stuck = StuckDecision.Nudge({ message: "the same failure three times" })
    const state = afterTurn(working, Next.Retry({ failures: [failure] }), { ...facts, stuck })
    assert.deepStrictEqual(state.carry.notices, ["the same failure three times"])
    assert.strictEqual(state.nudges, 3)
  })

  it("ends when the stuck policy gives up", () => {
    const stuck = StuckDecision.Escalate({ reason: "stuck" })
    const state = afterTurn(working, Next.Retry({ failures: [failure] }), { ...facts, stuck })
    assert.deepStrictEqual(state.phase, Phase.Ended({ outcome: new Escalate({ reason: "stuck" }) }))
  })

  it("waits before a new session when the policy says so", () => {
    const next = Next.FreshSession({ rollbackTo: Option.none(), delay: Duration.seconds(2) })
    const { phase } = afterTurn(working, next, facts)
    assert.deepStrictEqual(
      phase,
      Phase.Sleeping({
        duration: Duration.seconds(2),
        reason: "waiting before a new session",
        tick: false,
        parked: false,
        begun: Option.none()
      })
    )
  })

  it("makes a compaction due when the prompt was too long", () => {
    const { compaction } = afterTurn(working, Next.CompactFirst(), facts)
    assert.deepStrictEqual(
      compaction.due,
      Option.some({ focus: "continue goal: x", reason: "prompt_too_long" as const })
    )
  })

  it("forgets the size of a context that is gone", () => {
    const next = Next.FreshSession({ rollbackTo: Option.none(), delay: Duration.zero })
    assert.deepStrictEqual(afterTurn(working, next, facts).compaction.contextTokens, Option.none())
  })
})

describe("afterCompaction", () => {
  const usage = updateUsage(Usage.zero, { turns: 4, tokens: new TokenUsage({ ...TokenUsage.zero, input: 10 }) })
  const tripped: LoopState = { ...initial, compaction: { ...initial.compaction, consecutiveFailures: 2 } }

  it("counts failures in a row, and a success resets them", () => {
    const failed = afterCompaction(tripped, { usage, succeeded: false, contextTokens: Option.none() })
    assert.strictEqual(failed.compaction.consecutiveFailures, 3)
    const succeeded = afterCompaction(failed, { usage, succeeded: true, contextTokens: Option.some(5) })
    assert.strictEqual(succeeded.compaction.consecutiveFailures, 0)
    assert.deepStrictEqual(succeeded.compaction.contextTokens, Option.some(5))
  })

  it("charges the usage and counts no turn", () => {
    const state = afterCompaction(tripped, { usage, succeeded: true, contextTokens: Option.none() })
    assert.deepStrictEqual(state.usage, usage)
    assert.deepStrictEqual(state.compaction.lastTurn, Option.some(4))
  })
})

describe("afterSleep", () => {
  it("says how long it was and why, when the agent had asked for it", () => {
    const told = afterSleep(initial, Duration.minutes(2), "CI", true)
    assert.deepStrictEqual(told.carry.tick, Option.some("You slept for 2m (CI). Look at what has changed, then go on."))
    assert.deepStrictEqual(afterSleep(initial, Duration.minutes(2), "limit", false).carry.tick, Option.none())
  })
})
