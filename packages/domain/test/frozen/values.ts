/** One value of each kind that is written to journals, sockets and streams: what the frozen lines stand for. */
import { ApprovalId, ApprovalQuestion, Approve, Reject } from "@driver/domain/Approval"
import { Binding, SessionId } from "@driver/domain/Binding"
import * as Event from "@driver/domain/DriverEvent"
import { Budget, Custom, FileMatches, Goal, GoalId, LlmJudge, Shell } from "@driver/domain/Goal"
import {
  AttemptResult,
  BudgetExhausted,
  Cancelled,
  Continue,
  Delivery,
  Done,
  Escalate,
  GoalOutcome,
  NeedsRetry,
  Sleep
} from "@driver/domain/Outcome"
import {
  AllowOnce,
  AllowSession,
  ChoiceAllow,
  ChoiceDeny,
  ChoiceObserve,
  Decision,
  DecisionId,
  Deny,
  PermissionCancelled,
  PermissionRequest,
  Unavailable
} from "@driver/domain/Permission"
import { TokenUsage, Usage } from "@driver/domain/Usage"
import { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { DateTime, Duration, Option } from "effect"

const goalId = GoalId.make("7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f")
const at = DateTime.unsafeMake("2026-01-02T03:04:05.678Z")
const turn = 2

export const goal = new Goal({
  id: goalId,
  description: "Grüße 👋 allen",
  acceptance: [
    new Shell({
      command: "npm test",
      expectedExit: 3,
      stdoutMustMatch: Option.some("(?i)ok"),
      timeout: Option.some(Duration.minutes(2))
    }),
    new FileMatches({ path: "src/a.ts", regex: "b", required: false }),
    new Custom({ name: "no_paths_touched", args: { prefixes: ["vendor"] } }),
    new LlmJudge({ criterion: "It is polite." })
  ],
  budget: new Budget({
    maxTurns: 5,
    maxWallTime: Duration.minutes(10),
    maxTokens: 200_000,
    maxCostUsd: Option.some(1.5),
    maxConsecutiveDenies: 4,
    maxConsecutiveErrors: 3,
    maxConsecutivePromptTooLong: 1
  }),
  workspace: Option.some("here"),
  agent: Option.some("claude-code"),
  metadata: { agent_id: "a", "worktree.source_repo": "/srv/repo", more: [1, null] }
})

export const usage = new Usage({
  turns: 2,
  wallTime: Duration.millis(61_001),
  tokens: new TokenUsage({ input: 1, output: 2, cacheRead: 3, cacheCreation: 4 }),
  costUsd: 0.25,
  costComplete: false,
  consecutiveDenies: 1,
  consecutiveErrors: 2,
  consecutivePromptTooLong: 0
})

export const result = new CriterionResult({
  index: 0,
  criterion: "`npm test`",
  passed: false,
  message: "exited with 1, expected 3",
  evidence: Option.some("1 failing ✗"),
  elapsed: Duration.millis(1_234)
})

export const verdict = new AcceptanceVerdict({
  met: false,
  results: [result],
  evaluatedAt: at,
  elapsed: Duration.seconds(2)
})

export const reported = new Escalate({ reason: "no login", failure: Option.some("auth") })

export const outcomes = {
  done: new Done({}),
  needs_retry: new NeedsRetry({ failures: [result] }),
  continue: new Continue({ reason: "turn timeout" }),
  sleep: new Sleep({ duration: Duration.minutes(30), reason: "waiting for CI" }),
  budget_exhausted: new BudgetExhausted({ axis: "cost_usd" }),
  cancelled: new Cancelled({}),
  escalate: new Escalate({ reason: "look here" })
}

export const attemptResult = new AttemptResult({
  goalId,
  turn,
  outcome: outcomes.needs_retry,
  usage,
  verdict: Option.some(verdict),
  finalText: Option.some("I am done"),
  decisionsRecorded: 3,
  extras: { session_id: "s", diff_stat: " a | 1 +", checkpoint: "7" }
})

export const goalOutcome = new GoalOutcome({
  goalId,
  outcome: outcomes.done,
  totalTurns: 2,
  usage,
  finalText: Option.some("Done."),
  acceptance: Option.some(verdict),
  branch: Option.some("driver/7f2c8a1e"),
  worktree: Option.some("/srv/worktrees/7f2c8a1e"),
  delivery: Option.some(new Delivery({ mode: "squash", delivered: true, summary: "One commit on main." })),
  elapsed: Duration.hours(1)
})

export const decisions = {
  allow: new ChoiceAllow({}),
  deny: new ChoiceDeny({ message: "Use npm." }),
  observe: new ChoiceObserve({ note: "would deny" })
}

export const decision = new Decision({
  id: DecisionId.make("0b54de5e-93d6-4d4b-a8a7-6d2f5f0a9d11"),
  goalId,
  turn,
  tool: "Bash",
  input: { command: "yarn", nested: { a: [true] } },
  choice: decisions.deny,
  rationale: "rule 3",
  decidedAt: at
})

export const permissionRequest = new PermissionRequest({
  goalId,
  turn,
  workspace: "/srv/worktrees/7f2c8a1e",
  tool: "Bash",
  input: { command: "yarn" },
  toolUseId: Option.some("toolu_1"),
  agentId: Option.some("sub_1"),
  advisories: ["writes outside"]
})

export const permissionOutcomes = {
  allow_once: new AllowOnce({ updatedInput: Option.some({ command: "npm ci" }), rationale: "rule 1" }),
  allow_session: new AllowSession({ scope: "turn", updatedInput: Option.none(), rationale: "rule 2" }),
  deny: new Deny({ message: "Use npm.", rationale: "rule 3" }),
  unavailable: new Unavailable({ reason: "nobody there" }),
  cancelled: new PermissionCancelled({})
}

export const binding = new Binding({
  goalId,
  sessionId: SessionId.make("session-1"),
  model: Option.some("some-model"),
  workspace: "/srv/worktrees/7f2c8a1e",
  originChannel: Option.some("chat:1"),
  dispatcher: Option.some("me"),
  live: false,
  invalidReason: Option.some("session expired"),
  createdAt: at,
  updatedAt: at,
  lastActiveAt: at
})

export const approvalQuestion = new ApprovalQuestion({
  id: ApprovalId.make("a1b2c3d4-93d6-4d4b-a8a7-6d2f5f0a9d11"),
  goalId,
  turn,
  tool: "Bash",
  input: { command: "npm publish" },
  why: "rule 3",
  advisories: ["writes outside"],
  askedAt: at,
  expiresAt: DateTime.add(at, { minutes: 10 })
})

export const approvalAnswers = {
  approve: new Approve({ scope: "session" }),
  reject: new Reject({ message: Option.some("Use the staging registry.") })
}

/** By `kind`, in the order of the union. */
export const events: { readonly [kind: string]: Event.DriverEvent } = {
  goal_started: new Event.GoalStarted({ goalId, goal }),
  goal_recovered: new Event.GoalRecovered({ goalId, turn, cut: true, driver: "host 12 34" }),
  goal_completed: new Event.GoalCompleted({ goalId, outcome: goalOutcome }),
  attempt_started: new Event.AttemptStarted({ goalId, turn, usage }),
  attempt_completed: new Event.AttemptCompleted({ goalId, result: attemptResult }),
  decision: new Event.DecisionMade({ goalId, decision }),
  acceptance: new Event.AcceptanceEvaluated({ goalId, turn, verdict }),
  criterion_evaluated: new Event.CriterionEvaluated({ goalId, turn, result }),
  budget_exhausted: new Event.BudgetExhaustedEvent({ goalId, axis: "wall_time", usage }),
  escalate: new Event.Escalated({ goalId, turn, reason: "look here" }),
  replay_decision: new Event.ReplayDecided({ goalId, turn, decision: "next_turn", error: "turn timeout" }),
  compact_requested: new Event.CompactRequested({ goalId, turn, focus: "continue goal: x", reason: "token_pressure" }),
  compact_completed: new Event.CompactCompleted({
    goalId,
    turn,
    succeeded: false,
    before: Option.some(150_000),
    after: Option.some(20_000),
    error: Option.some("exhausted")
  }),
  compact_summary_stored: new Event.CompactSummaryStored({ goalId, turn, length: 321 }),
  progress: new Event.Progress({ goalId, turn, usage }),
  extract_memories_completed: new Event.ExtractMemoriesCompleted({ goalId, turn, saved: 3 }),
  extract_memories_skipped: new Event.ExtractMemoriesSkipped({ goalId, turn, reason: "nothing new" }),
  auto_dream_outcome: new Event.AutoDreamOutcome({ goalId, turn, outcome: "ran" }),
  goal_paused: new Event.GoalPaused({ goalId }),
  goal_resumed: new Event.GoalResumed({ goalId }),
  operator_message: new Event.OperatorMessage({ goalId, message: "stop that", delivery: "steered" }),
  loop_noticed: new Event.LoopNoticed({
    goalId,
    turn,
    loop: "denied",
    count: 3,
    action: "told",
    tool: "Bash",
    call: "Bash curl x",
    toolUseId: Option.some("toolu_1")
  }),
  agent_activity: new Event.AgentActivity({ goalId, turn, activity: "tool", text: "Bash npm test" }),
  permission_requested: new Event.PermissionRequested({
    goalId,
    turn,
    tool: "Bash",
    toolUseId: Option.some("toolu_1")
  }),
  approval_requested: new Event.ApprovalRequested({ goalId, question: approvalQuestion }),
  approval_answered: new Event.ApprovalAnswered({
    goalId,
    turn,
    approvalId: approvalQuestion.id,
    answer: "timed_out"
  }),
  goal_sleeping: new Event.GoalSleeping({ goalId, turn, duration: Duration.minutes(5), reason: "limit" })
}

export const storedEvent = new Event.StoredEvent({
  goalId,
  sequence: 4,
  messageId: "7f2c8a1e:1:4",
  at,
  event: new Event.GoalPaused({ goalId })
})
