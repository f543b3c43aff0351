/** What events measure. Pure: a state per goal that is running, and what each event adds. */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import type { Goal, GoalId } from "@driver/domain/Goal"
import { SpanAttribute } from "@driver/domain/Spans"
import type { Usage } from "@driver/domain/Usage"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"

export type Tags = Readonly<Record<string, string>>

/** One thing to count or measure; the metrics by these names are in `EventMetrics`. */
export interface Measurement {
  readonly name: MetricName
  readonly value: number
  readonly tags: Tags
}

export type MetricName =
  | "driver.goals.started"
  | "driver.goals.ended"
  | "driver.goals.active"
  | "driver.goal.duration"
  | "driver.turns"
  | "driver.turn.duration"
  | "driver.tokens"
  | "driver.cost"
  | "driver.decisions"
  | "driver.approvals"
  | "driver.criterion.duration"
  | "driver.sleep.duration"
  | "driver.compactions"
  | "driver.replays"
  | "driver.budget.exhausted"

interface GoalState {
  /** Begun here and not ended. */
  readonly active: boolean
  /** Kinds of its criteria, by position. */
  readonly criteria: ReadonlyArray<string>
  /** Milliseconds since the epoch, of the running turn. */
  readonly turnStarted: Option.Option<number>
  /** What has been counted, and what was used before this process came. */
  readonly usage: Option.Option<Usage>
  /** Why the goal is compacted at the moment. */
  readonly compacting: string
}

export interface MeasureState {
  readonly goals: HashMap.HashMap<GoalId, GoalState>
  /** How many of them are active. */
  readonly active: number
}

export const initial: MeasureState = { goals: HashMap.empty(), active: 0 }

/** Goals that are kept at a time. One whose end nobody tells of, because another driver took it over, stays. */
const mostGoals = 10_000

const unknownGoal: GoalState = {
  active: false,
  criteria: [],
  turnStarted: Option.none(),
  usage: Option.none(),
  compacting: "unknown"
}

export const measure = (
  state: MeasureState,
  { at, event, goalId }: StoredEvent
): readonly [MeasureState, ReadonlyArray<Measurement>] => {
  const known = HashMap.get(state.goals, goalId)
  const goal = Option.getOrElse(known, () => unknownGoal)
  const now = DateTime.toEpochMillis(at)
  const keep = (next: GoalState): MeasureState =>
    Option.isSome(known) || HashMap.size(state.goals) < mostGoals
      ? {
          goals: HashMap.set(state.goals, goalId, next),
          active: state.active + Number(next.active) - Number(goal.active)
        }
      : state
  const used = (usage: Usage) => ({ usage: Option.some(usage), measured: sinceThen(goal.usage, usage) })

  switch (event._tag) {
    case "GoalStarted":
    case "GoalRecovered": {
      const criteria = event._tag === "GoalStarted" ? kindsOf(event.goal) : goal.criteria
      const next = keep({ ...goal, criteria, active: true })
      const continued = String(event._tag === "GoalRecovered")
      return [next, [one("driver.goals.started", { [SpanAttribute.goalContinued]: continued }), activeOf(next)]]
    }
    case "GoalCompleted": {
      const next = { goals: HashMap.remove(state.goals, goalId), active: state.active - Number(goal.active) }
      const { elapsed, outcome, usage } = event.outcome
      const tags = { [SpanAttribute.outcome]: snakeCase(outcome._tag) }
      return [
        next,
        [
          ...used(usage).measured,
          one("driver.goals.ended", tags),
          { name: "driver.goal.duration", value: Duration.toSeconds(elapsed), tags },
          activeOf(next)
        ]
      ]
    }
    case "AttemptStarted": {
      const { measured, usage } = used(event.usage)
      return [keep({ ...goal, usage, turnStarted: Option.some(now) }), measured]
    }
    case "AttemptCompleted": {
      const { measured, usage } = used(event.result.usage)
      const tags = { [SpanAttribute.outcome]: snakeCase(event.result.outcome._tag) }
      const duration = Option.map(
        goal.turnStarted,
        (since): Measurement => ({ name: "driver.turn.duration", value: Math.max(0, now - since) / 1_000, tags })
      )
      return [
        keep({ ...goal, usage, turnStarted: Option.none() }),
        [...measured, one("driver.turns", tags), ...Option.toArray(duration)]
      ]
    }
    case "Progress": {
      const { measured, usage } = used(event.usage)
      return [keep({ ...goal, usage }), measured]
    }
    case "BudgetExhausted": {
      const { measured, usage } = used(event.usage)
      const tags = { [SpanAttribute.budgetAxis]: event.axis }
      return [keep({ ...goal, usage }), [...measured, one("driver.budget.exhausted", tags)]]
    }
    case "DecisionMade": {
      const { choice, tool } = event.decision
      const tags = {
        [SpanAttribute.toolName]: toolFamily(tool),
        [SpanAttribute.decisionVerdict]: snakeCase(choice._tag)
      }
      return [state, [one("driver.decisions", tags)]]
    }
    case "ApprovalAnswered":
      return [state, [one("driver.approvals", { "driver.approval.answer": event.answer })]]
    case "CriterionEvaluated": {
      const { elapsed, index, passed } = event.result
      const tags = {
        [SpanAttribute.criterionKind]: goal.criteria[index] ?? "unknown",
        [SpanAttribute.criterionPassed]: String(passed)
      }
      return [state, [{ name: "driver.criterion.duration", value: Duration.toSeconds(elapsed), tags }]]
    }
    case "GoalSleeping":
      return [state, [{ name: "driver.sleep.duration", value: Duration.toSeconds(event.duration), tags: {} }]]
    case "CompactRequested":
      return [keep({ ...goal, compacting: oneOf(compactReasons, event.reason) }), []]
    case "CompactCompleted": {
      const tags = {
        "driver.compaction.reason": goal.compacting,
        [SpanAttribute.compactionSucceeded]: String(event.succeeded)
      }
      return [state, [one("driver.compactions", tags)]]
    }
    case "ReplayDecided":
      return [state, [one("driver.replays", { "driver.replay.decision": oneOf(replayDecisions, event.decision) })]]
    default:
      return [state, []]
  }
}

const one = (name: MetricName, tags: Tags): Measurement => ({ name, value: 1, tags })

const activeOf = (state: MeasureState): Measurement => ({
  name: "driver.goals.active",
  value: state.active,
  tags: {}
})

/**
 * Tokens and dollars since the last event that told of usage. What the first one of a goal tells was used before: by
 * another process, or not at all.
 */
const sinceThen = (before: Option.Option<Usage>, now: Usage): ReadonlyArray<Measurement> =>
  Option.match(before, {
    onNone: () => [],
    onSome: (was) => {
      const tokens = tokenClasses.map(
        ([field, tag]): Measurement => ({
          name: "driver.tokens",
          value: now.tokens[field] - was.tokens[field],
          tags: { "driver.token.class": tag }
        })
      )
      const cost: Measurement = { name: "driver.cost", value: now.costUsd - was.costUsd, tags: {} }
      return [...tokens, cost].filter(({ value }) => value > 0)
    }
  })

const tokenClasses = [
  ["input", "input"],
  ["output", "output"],
  ["cacheRead", "cache_read"],
  ["cacheCreation", "cache_creation"]
] as const

const kindsOf = (goal: Goal): ReadonlyArray<string> => goal.acceptance.map(({ _tag }) => snakeCase(_tag))

/** The agent's tools by name, all of MCP's as one: a model can ask for any. */
export const toolFamily = (tool: string): string => (tool.startsWith("mcp__") ? "mcp" : oneOf(tools, tool))

const tools = [
  ..."Agent Bash BashOutput Edit EnterPlanMode ExitPlanMode Glob Grep KillShell LS MultiEdit NotebookEdit NotebookRead".split(
    " "
  ),
  ..."Read Skill SlashCommand Task TodoRead TodoWrite ToolSearch WebFetch WebSearch Write".split(" ")
]
const compactReasons = ["token_pressure", "session_age", "prompt_too_long"]
const replayDecisions = ["fresh_session_retry", "next_turn", "compact_and_retry", "sleep", "same_turn", "escalate"]

const oneOf = (known: ReadonlyArray<string>, value: string): string => (known.includes(value) ? value : "other")

const snakeCase = (tag: string): string => tag.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase()
