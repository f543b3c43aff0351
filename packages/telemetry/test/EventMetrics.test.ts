import { ApprovalId } from "@driver/domain/Approval"
import {
  AcceptanceEvaluated,
  ApprovalAnswered,
  AttemptCompleted,
  AttemptStarted,
  BudgetExhaustedEvent,
  CompactCompleted,
  CompactRequested,
  CriterionEvaluated,
  DecisionMade,
  type DriverEvent,
  GoalCompleted,
  GoalRecovered,
  GoalSleeping,
  GoalStarted,
  ReplayDecided,
  StoredEvent
} from "@driver/domain/DriverEvent"
import { FileMatches, Goal, GoalId, Shell } from "@driver/domain/Goal"
import { AttemptResult, Done, GoalOutcome, NeedsRetry } from "@driver/domain/Outcome"
import { ChoiceDeny, Decision, DecisionId } from "@driver/domain/Permission"
import { TokenUsage, Usage, updateUsage } from "@driver/domain/Usage"
import { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { EventSink } from "@driver/runtime/EventSink"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, DateTime, Duration, Effect, HashMap, Metric, Option } from "effect"
import * as fc from "effect/FastCheck"
import * as EventMetrics from "../src/EventMetrics.js"
import { initial, type Measurement, measure } from "../src/internal/measure.js"

const goalIdOf = (n: number) => GoalId.make(`00000000-0000-4000-8000-${String(n).padStart(12, "0")}`)
const goalId = goalIdOf(1)
const approvalId = ApprovalId.make("44444444-4444-4444-8444-444444444444")

const goal = new Goal({
  id: goalId,
  description: "secret words",
  acceptance: [new Shell({ command: "npm test" }), new FileMatches({ path: "a.txt", regex: "b" })]
})

/** At seconds from the first one. */
const at = (second: number, event: DriverEvent) =>
  new StoredEvent({
    goalId: event.goalId,
    sequence: second + 1,
    messageId: `${event.goalId}:${second}`,
    at: DateTime.unsafeMake(1_700_000_000_000 + second * 1_000),
    event
  })

const measured = (events: ReadonlyArray<StoredEvent>): ReadonlyArray<Measurement> => {
  let state = initial
  return events.flatMap((event) => {
    const [next, found] = measure(state, event)
    state = next
    return found
  })
}

/** `name{tags} value`, in order. */
const told = (events: ReadonlyArray<StoredEvent>) =>
  measured(events).map(
    ({ name, tags, value }) =>
      `${name}{${Object.entries(tags)
        .map(([key, tag]) => `${key}=${tag}`)
        .join(",")}} ${value}`
  )

const usage = (turns: number, tokens: number, costUsd = 0) =>
  updateUsage(Usage.zero, {
    turns,
    costUsd,
    tokens: new TokenUsage({ input: tokens, output: 2 * tokens, cacheRead: 0, cacheCreation: 3 * tokens })
  })

const started = (turn: number, before: Usage) => new AttemptStarted({ goalId, turn, usage: before })

const completed = (turn: number, after: Usage, outcome: AttemptResult["outcome"]) =>
  new AttemptCompleted({
    goalId,
    result: new AttemptResult({
      goalId,
      turn,
      outcome,
      usage: after,
      verdict: Option.none(),
      finalText: Option.some("secret words"),
      decisionsRecorded: 1,
      extras: {}
    })
  })

const ended = (last: Usage) =>
  new GoalCompleted({
    goalId,
    outcome: new GoalOutcome({
      goalId,
      outcome: new Done({}),
      totalTurns: last.turns,
      usage: last,
      finalText: Option.none(),
      acceptance: Option.none(),
      elapsed: Duration.seconds(90)
    })
  })

const criterion = (index: number, passed: boolean, seconds: number) =>
  new CriterionEvaluated({
    goalId,
    turn: 1,
    result: new CriterionResult({
      index,
      criterion: "secret words",
      passed,
      message: "secret words",
      elapsed: Duration.seconds(seconds)
    })
  })

const decided = (tool: string) =>
  new DecisionMade({
    goalId,
    decision: new Decision({
      id: DecisionId.make("33333333-3333-4333-8333-333333333333"),
      goalId,
      turn: 1,
      tool,
      input: { command: "secret words" },
      choice: new ChoiceDeny({ message: "secret words" }),
      rationale: "secret words",
      decidedAt: DateTime.unsafeMake(0)
    })
  })

describe("EventMetrics", () => {
  it("measures a goal's life", () => {
    const first = usage(1, 10, 0.5)
    const second = usage(2, 15, 0.75)
    const events = [
      at(0, new GoalStarted({ goalId, goal })),
      at(1, started(1, Usage.zero)),
      at(2, decided("Bash")),
      at(3, decided("mcp__github__delete")),
      at(4, decided("secret words")),
      at(5, criterion(0, false, 2)),
      at(6, criterion(1, true, 0.5)),
      at(
        7,
        new AcceptanceEvaluated({
          goalId,
          turn: 1,
          verdict: new AcceptanceVerdict({
            met: false,
            results: [],
            evaluatedAt: DateTime.unsafeMake(0),
            elapsed: Duration.zero
          })
        })
      ),
      at(11, completed(1, first, new NeedsRetry({ failures: [] }))),
      at(12, new ReplayDecided({ goalId, turn: 1, decision: "sleep", error: "secret words" })),
      at(13, new GoalSleeping({ goalId, turn: 1, duration: Duration.minutes(5), reason: "secret words" })),
      at(14, new CompactRequested({ goalId, turn: 1, focus: "secret words", reason: "token_pressure" })),
      at(
        15,
        new CompactCompleted({
          goalId,
          turn: 1,
          succeeded: true,
          before: Option.none(),
          after: Option.none(),
          error: Option.none()
        })
      ),
      at(16, started(2, first)),
      at(17, completed(2, second, new Done({}))),
      at(18, new BudgetExhaustedEvent({ goalId, axis: "turns", usage: second })),
      at(19, ended(second))
    ]
    assert.deepStrictEqual(told(events), [
      "driver.goals.started{driver.goal.continued=false} 1",
      "driver.goals.active{} 1",
      "driver.decisions{gen_ai.tool.name=Bash,driver.decision.verdict=deny} 1",
      "driver.decisions{gen_ai.tool.name=mcp,driver.decision.verdict=deny} 1",
      "driver.decisions{gen_ai.tool.name=other,driver.decision.verdict=deny} 1",
      "driver.criterion.duration{driver.criterion.kind=shell,driver.criterion.passed=false} 2",
      "driver.criterion.duration{driver.criterion.kind=file_matches,driver.criterion.passed=true} 0.5",
      "driver.tokens{driver.token.class=input} 10",
      "driver.tokens{driver.token.class=output} 20",
      "driver.tokens{driver.token.class=cache_creation} 30",
      "driver.cost{} 0.5",
      "driver.turns{driver.outcome=needs_retry} 1",
      "driver.turn.duration{driver.outcome=needs_retry} 10",
      "driver.replays{driver.replay.decision=sleep} 1",
      "driver.sleep.duration{} 300",
      "driver.compactions{driver.compaction.reason=token_pressure,driver.compaction.succeeded=true} 1",
      "driver.tokens{driver.token.class=input} 5",
      "driver.tokens{driver.token.class=output} 10",
      "driver.tokens{driver.token.class=cache_creation} 15",
      "driver.cost{} 0.25",
      "driver.turns{driver.outcome=done} 1",
      "driver.turn.duration{driver.outcome=done} 1",
      "driver.budget.exhausted{driver.budget.axis=turns} 1",
      "driver.goals.ended{driver.outcome=done} 1",
      "driver.goal.duration{driver.outcome=done} 90",
      "driver.goals.active{} 0"
    ])
  })

  it("charges a goal that is gone on with for what this process used, and for a compaction between turns", () => {
    const tokens = told([
      at(0, new GoalRecovered({ goalId, turn: 3, cut: true, driver: "other" })),
      at(1, started(4, usage(3, 100))),
      at(2, completed(4, usage(4, 101), new NeedsRetry({ failures: [] }))),
      // A compaction charges tokens and tells of none.
      at(3, started(5, usage(4, 103))),
      at(4, ended(usage(4, 103)))
    ]).filter((it) => it.includes("input"))
    assert.deepStrictEqual(tokens, [
      "driver.tokens{driver.token.class=input} 1",
      "driver.tokens{driver.token.class=input} 2"
    ])
  })

  it("survives a clock that jumps back", () => {
    const [, , duration] = told([at(100, started(1, Usage.zero)), at(0, completed(1, Usage.zero, new Done({})))])
    assert.isUndefined(duration)
    assert.include(
      told([at(100, started(1, Usage.zero)), at(0, completed(1, Usage.zero, new Done({})))]),
      "driver.turn.duration{driver.outcome=done} 0"
    )
  })

  it("keeps nothing of a goal that has ended, and a bounded number of those that never do", () => {
    const [before] = measure(initial, at(0, new GoalStarted({ goalId, goal })))
    const [after] = measure(before, at(1, ended(Usage.zero)))
    assert.deepStrictEqual([HashMap.size(after.goals), after.active], [0, 0])
    let state = initial
    const event = at(0, new GoalStarted({ goalId, goal }))
    for (let n = 0; n < 10_100; n++) [state] = measure(state, { ...event, goalId: goalIdOf(n) })
    assert.deepStrictEqual([HashMap.size(state.goals), state.active], [10_000, 10_000])
  })

  it("has few tags, whatever the events say", () => {
    const seen = new Map<string, Set<string>>()
    fc.assert(
      fc.property(fc.array(Arbitrary.make(StoredEvent), { maxLength: 10 }), (events) => {
        for (const { name, tags, value } of measured(events)) {
          assert.isTrue(Number.isFinite(value) && value >= 0, name)
          const key = JSON.stringify(tags)
          assert.match(Object.values(tags).join(), /^[A-Za-z_,]*$/)
          seen.set(name, (seen.get(name) ?? new Set()).add(key))
        }
      }),
      { numRuns: 150 }
    )
    for (const [name, tags] of seen) assert.isBelow(tags.size, 100, name)
  })

  it.effect("records them as metrics that can be read", () =>
    Effect.gen(function* () {
      const sink = yield* EventSink
      const count = (name: string) =>
        Metric.unsafeSnapshot()
          .filter((it) => it.metricKey.name === name)
          .map((it) => [
            Object.fromEntries([...it.metricKey.tags].map((tag) => [tag.key, tag.value])),
            "count" in it.metricState
              ? it.metricState.count
              : "value" in it.metricState
                ? it.metricState.value
                : undefined
          ])
      yield* sink.publish(at(0, new GoalStarted({ goalId, goal })))
      yield* sink.publish(at(1, criterion(0, true, 2)))
      yield* sink.publish(at(2, criterion(0, true, 4)))
      yield* sink.publish(at(3, new ApprovalAnswered({ goalId, turn: 1, approvalId, answer: "approved" })))
      assert.deepStrictEqual(count("driver.goals.active"), [[{ unit: "{goal}" }, 1]])
      assert.deepStrictEqual(count("driver.criterion.duration"), [
        [{ unit: "s", "driver.criterion.kind": "shell", "driver.criterion.passed": "true" }, 2]
      ])
      assert.deepStrictEqual(count("driver.approvals"), [
        [{ unit: "{approval}", "driver.approval.answer": "approved" }, 1]
      ])
      yield* sink.flush
    }).pipe(Effect.provide(EventMetrics.layer))
  )
})
