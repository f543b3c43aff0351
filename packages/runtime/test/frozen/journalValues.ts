/** One value of each kind of step, and one record: what the frozen lines stand for. */

import { GoalPaused } from "@driver/domain/DriverEvent"
import { BudgetExhausted, Delivery } from "@driver/domain/Outcome"
import { TokenUsage } from "@driver/domain/Usage"
import { JournalRecord } from "@driver/runtime/Journal"
import * as Step from "@driver/runtime/LoopEntry"
import { CheckpointId } from "@driver/runtime/Workspace"
import { DateTime, Duration, Option } from "effect"
import { goal, result, usage, verdict } from "../../../domain/test/frozen/values.js"

const trace = { failures: ["`npm test`"], diff_empty: false, tool_calls: ["Bash", "Edit"] }

const decided = (next: Step.NextOnWire) =>
  new Step.TurnDecided({
    turn: 2,
    next,
    usage,
    trace,
    diffStat: " a | 1 +",
    messages: ["mind the gap"],
    contextTokens: Option.some(150_000),
    contextWindow: Option.some(200_000),
    focus: "continue goal: x",
    verdict: Option.some(verdict),
    finalText: Option.some("I am done"),
    error: "turn timeout"
  })

/** By kind. */
export const steps: { readonly [kind: string]: Step.LoopEntry } = {
  run_started: new Step.RunStarted({ goal, driver: "host 4711", continued: true }),
  turn_begun: new Step.TurnBegun({
    turn: 2,
    messageIds: ["0b54de5e-93d6-4d4b-a8a7-6d2f5f0a9d11"],
    checkpoint: Option.some(CheckpointId.make("7"))
  }),
  turn_metered: new Step.TurnMetered({
    tokens: new TokenUsage({ input: 1, output: 2, cacheRead: 3, cacheCreation: 4 }),
    wallTime: Duration.millis(40_001)
  }),
  model_charged: new Step.ModelCharged({
    by: "judge",
    tokens: new TokenUsage({ input: 1, output: 2, cacheRead: 0, cacheCreation: 0 }),
    costUsd: Option.some(0.25)
  }),
  turn_cut: new Step.TurnCut({ usage }),
  turn_decided: decided({ kind: "retry", failures: [result] }),
  turn_settled: new Step.TurnSettled({ rolledBack: true, stuck: { kind: "nudge", message: "Try another way." } }),
  compaction_due: new Step.CompactionDue({ focus: "continue goal: x", reason: "token_pressure" }),
  compaction_begun: new Step.CompactionBegun({ focus: "continue goal: x", reason: "session_age" }),
  compaction_ended: new Step.CompactionEnded({ usage, succeeded: false, contextTokens: Option.some(20_000) }),
  sleep_begun: new Step.SleepBegun({
    since: 1_767_323_045_678,
    until: 1_767_323_105_678,
    reason: "usage limit",
    tick: true,
    parked: true
  }),
  sleep_ended: new Step.SleepEnded({ slept: Duration.minutes(1) }),
  budget_reached: new Step.BudgetReached({ axis: "turns", usage }),
  turn_limit_raised: new Step.TurnLimitRaised({ maxTurns: 40 }),
  cancel_asked: new Step.CancelAsked(),
  work_delivered: new Step.WorkDelivered({
    delivery: new Delivery({ mode: "squash", delivered: true, summary: "One commit on main." })
  }),
  already_met: new Step.AlreadyMet({ verdict }),
  command_handled: new Step.CommandHandled({ commandId: "0b54de5e-93d6-4d4b-a8a7-6d2f5f0a9d11" })
}

/** `turn_decided`, by what follows. */
export const decisions: { readonly [kind: string]: Step.LoopEntry } = {
  accept: decided({ kind: "accept" }),
  advance: decided({ kind: "advance", rollback_to: null }),
  fresh_session: decided({
    kind: "fresh_session",
    rollback_to: CheckpointId.make("7"),
    delay: Duration.seconds(5)
  }),
  compact_first: decided({ kind: "compact_first" }),
  same_turn: decided({ kind: "same_turn" }),
  sleep_then: decided({
    kind: "sleep_then",
    duration: Duration.minutes(30),
    reason: "waiting for CI",
    same_turn: false
  }),
  redirect: decided({ kind: "redirect" }),
  stop: decided({ kind: "stop", outcome: new BudgetExhausted({ axis: "cost_usd" }) })
}

export const record = new JournalRecord({
  goalId: goal.id,
  sequence: 4,
  id: `${goal.id}:mi5x2k9abcd:4`,
  at: DateTime.unsafeMake("2026-01-02T03:04:05.678Z"),
  epoch: 2,
  entry: new GoalPaused({ goalId: goal.id })
})
