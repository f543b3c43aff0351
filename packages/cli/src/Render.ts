/**
 * What a person is shown of a goal: a fold over its events. Pure.
 *
 * `step` says which lines are worth keeping and what the goal is doing now;
 * `RenderTerminal.ts` and `RenderPlain.ts` put that on a screen or into a log. All
 * text of the agent and of programs passes `printable` here.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import { describeCriterion, type Goal, type GoalId } from "@driver/domain/Goal"
import type { AttemptResult, GoalOutcome } from "@driver/domain/Outcome"
import { knownCost, totalTokens, Usage } from "@driver/domain/Usage"
import type { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { fit, printable, printableLines } from "./Text.js"

/** Where the lines of a goal go. */
export interface Renderer {
  /** In the order in which they happened. */
  readonly onEvent: (event: StoredEvent) => Effect.Effect<void>
  /** Everything that is pending is on the screen when it resolves, and nothing of the renderer is left there. */
  readonly finish: Effect.Effect<void>
}

export type Tone = "title" | "good" | "bad" | "warn" | "faint" | "plain"

/** A line that stays. */
export interface Line {
  /** Levels of two blanks. */
  readonly indent: number
  readonly tone: Tone
  /** Stands before the text. */
  readonly mark?: "ok" | "failed"
  readonly text: string
  /** What the agent is doing at the moment: a log keeps it, a screen shows it only while it is so. */
  readonly passing: boolean
}

export type CriterionState = "waiting" | "running" | "passed" | "failed"

export interface RenderState {
  /** Milliseconds since the epoch. */
  readonly startedAt: Option.Option<number>
  readonly goal: Option.Option<Goal>
  readonly turn: number
  readonly phase: "starting" | "working" | "judging" | "compacting" | "sleeping" | "ended"
  readonly paused: boolean
  /** One line. */
  readonly doing: string
  /** As of the last turn that ended. */
  readonly usage: Usage
  /** Tokens of the turn that runs, as far as the agent has reported them. */
  readonly metered: number
  readonly criteria: ReadonlyArray<CriterionState>
  /** Of the last verdict: they go into the next prompt. */
  readonly failures: ReadonlyArray<CriterionResult>
}

export const initial: RenderState = {
  startedAt: Option.none(),
  goal: Option.none(),
  turn: 0,
  phase: "starting",
  paused: false,
  doing: "",
  usage: Usage.zero,
  metered: 0,
  criteria: [],
  failures: []
}

export interface Step {
  readonly state: RenderState
  readonly lines: ReadonlyArray<Line>
}

const line = (indent: number, tone: Tone, text: string): Line => ({ indent, tone, text, passing: false })
const marked = (indent: number, mark: "ok" | "failed", text: string): Line => ({
  ...line(indent, mark === "ok" ? "good" : "bad", text),
  mark
})
const passing = (text: string): Line => ({ indent: 1, tone: "faint", text, passing: true })

/** One event further. */
export const step = (state: RenderState, stored: StoredEvent): Step => {
  const event = stored.event
  switch (event._tag) {
    case "GoalStarted": {
      const { acceptance, budget, description, id } = event.goal
      const limits = [
        plural(acceptance.length, "criterion", "criteria"),
        `at most ${plural(budget.maxTurns, "turn")}`,
        elapsedText(Duration.toMillis(budget.maxWallTime)),
        `${grouped(budget.maxTokens)} tokens`,
        ...Option.match(budget.maxCostUsd, { onNone: () => [], onSome: (cost) => [dollars(cost)] })
      ]
      const [first = "", ...rest] = printableLines(description).filter((text) => text !== "")
      return {
        state: {
          ...state,
          startedAt: Option.some(DateTime.toEpochMillis(stored.at)),
          goal: Option.some(event.goal),
          criteria: acceptance.map(() => "waiting" as const)
        },
        lines: [
          line(0, "title", `goal ${id.slice(0, 8)}: ${first}${rest.length > 0 ? " …" : ""}`),
          line(1, "faint", limits.join(" · "))
        ]
      }
    }
    case "GoalRecovered":
      return {
        state: {
          ...state,
          startedAt: Option.orElse(state.startedAt, () => Option.some(DateTime.toEpochMillis(stored.at)))
        },
        lines: [
          line(0, "title", `goal ${event.goalId.slice(0, 8)} goes on after ${plural(event.turn, "turn")}`),
          ...(event.cut ? [line(1, "plain", "a turn was cut off: it is done again")] : [])
        ]
      }
    case "AttemptStarted": {
      const told =
        state.failures.length === 0
          ? []
          : [
              line(
                1,
                "plain",
                `the prompt says what failed: ${plural(state.failures.length, "criterion", "criteria")}, with the evidence`
              )
            ]
      return {
        state: {
          ...state,
          turn: event.turn,
          phase: "working",
          doing: "",
          usage: event.usage,
          metered: 0,
          criteria: state.criteria.map(() => "waiting" as const)
        },
        lines: [line(0, "title", turnText(event.turn, state.goal)), ...told]
      }
    }
    case "AgentActivity":
      return activity(state, event.activity, withoutWorkspace(event.goalId, printable(event.text)))
    case "PermissionRequested":
      return { state: { ...state, doing: `asks for ${printable(event.tool)}` }, lines: [] }
    case "ApprovalRequested": {
      const { id, input, tool } = event.question
      const called = withoutWorkspace(event.goalId, printable(`${tool} ${argumentOf(input)}`.trim()))
      const text = `waiting for approval ${shortApproval(id)}: ${fit(called, maxMessage)} · driver approve ${shortApproval(id)}`
      return { state: { ...state, doing: text }, lines: [line(1, "warn", text)] }
    }
    case "ApprovalAnswered":
      return {
        state: { ...state, doing: "" },
        lines: [line(1, "faint", `approval ${shortApproval(event.approvalId)}: ${event.answer.replaceAll("_", " ")}`)]
      }
    case "DecisionMade": {
      const { choice, input, rationale, tool } = event.decision
      if (choice._tag === "Allow") return { state, lines: [] }
      const called = withoutWorkspace(event.goalId, printable(`${tool} ${argumentOf(input)}`))
      return {
        state,
        lines:
          choice._tag === "Deny"
            ? [line(1, "warn", `denied: ${called}`), line(2, "faint", fit(printable(choice.message), maxMessage))]
            : [line(1, "faint", `observed: ${called}: ${printable(choice.note === "" ? rationale : choice.note)}`)]
      }
    }
    case "AttemptCompleted":
      return {
        state: {
          ...state,
          usage: event.result.usage,
          metered: 0,
          phase: awaitsVerdict(event.result, state) ? "judging" : "working",
          doing: "",
          failures: failuresAfter(event.result, state)
        },
        lines: attemptLines(event.result, state)
      }
    case "CriterionEvaluated":
      return criterionStep(state, event.result)
    case "AcceptanceEvaluated":
      return verdictStep(state, event.verdict)
    case "BudgetExhausted":
      return { state, lines: [line(1, "bad", `the budget is used up: ${axisText(event.axis)}`)] }
    case "Escalated":
      return { state, lines: [line(1, "bad", `a person has to look: ${printable(event.reason)}`)] }
    case "ReplayDecided":
      return {
        state,
        lines: [line(1, "warn", `${printable(event.error)}; ${replayText(event.decision)}`)]
      }
    case "CompactRequested":
      return {
        state: { ...state, phase: "compacting", doing: "the agent compacts its context" },
        lines: [line(1, "faint", `compacting the agent's context (${event.reason.replaceAll("_", " ")})`)]
      }
    case "CompactCompleted": {
      const sizes = Option.match(Option.all([event.before, event.after]), {
        onNone: () => "",
        onSome: ([before, after]) => `: ${grouped(before)} to ${grouped(after)} tokens`
      })
      const reason = Option.match(event.error, { onNone: () => "", onSome: (error) => `: ${printable(error)}` })
      return {
        state: { ...state, phase: "working", doing: "" },
        lines: [event.succeeded ? line(1, "faint", `compacted${sizes}`) : line(1, "warn", `not compacted${reason}`)]
      }
    }
    case "GoalSleeping":
      return {
        state: { ...state, phase: "sleeping", doing: `sleeps: ${printable(event.reason)}` },
        lines: [
          line(1, "plain", `sleeps for ${elapsedText(Duration.toMillis(event.duration))}: ${printable(event.reason)}`)
        ]
      }
    case "GoalPaused":
      return { state: { ...state, paused: true }, lines: [line(0, "plain", "paused: no new turn until it is resumed")] }
    case "GoalResumed":
      return { state: { ...state, paused: false }, lines: [line(0, "plain", "resumed")] }
    case "OperatorMessage":
      return {
        state,
        lines: [line(1, "plain", `operator (${event.delivery}): ${printable(event.message)}`)]
      }
    case "LoopNoticed": {
      const what = event.loop === "denied" ? "denied" : "made in a row"
      const then = event.action === "stopped" ? "the turn is stopped" : "the agent is told"
      return {
        state,
        lines: [
          line(1, "warn", `loop: the same call was ${what} ${event.count} times, ${then}: ${printable(event.call)}`)
        ]
      }
    }
    case "GoalCompleted":
      return { state: { ...state, phase: "ended", usage: event.outcome.usage, metered: 0, doing: "" }, lines: [] }
    case "Progress":
      return { state: { ...state, usage: event.usage, metered: 0 }, lines: [] }
    case "CompactSummaryStored":
    case "ExtractMemoriesCompleted":
    case "ExtractMemoriesSkipped":
    case "AutoDreamOutcome":
      return { state, lines: [] }
  }
}

/** Enough to name a question among those that are open. */
const shortApproval = (id: string): string => id.slice(0, 4)

/** What a denied agent is told can be long; people get the beginning. */
const maxMessage = 240

/** Paths of the workspace read better relative to it. It is named after the goal. */
export const withoutWorkspace = (goalId: GoalId, text: string): string =>
  text.replace(new RegExp(`[^\\s"'=:]*/${goalId}/`, "g"), "")

/** A criterion has been evaluated, while others may still run. */
const criterionStep = (state: RenderState, result: CriterionResult): Step => {
  if (state.criteria[result.index] === "passed" || state.criteria[result.index] === "failed")
    return { state, lines: [] }
  return {
    state: {
      ...state,
      phase: "judging",
      criteria: state.criteria.map((it, index) => (index === result.index ? (result.passed ? "passed" : "failed") : it))
    },
    lines: criterionLines(result)
  }
}

/** A second evaluation in the same turn does not happen; what was shown as it came is not shown twice. */
const verdictStep = (state: RenderState, verdict: AcceptanceVerdict): Step => {
  const shown = state.criteria.map((it) => it === "passed" || it === "failed")
  const failed = verdict.results.filter((result) => !result.passed)
  return {
    state: {
      ...state,
      phase: "judging",
      criteria: verdict.results.map((result) => (result.passed ? "passed" : "failed")),
      failures: failed
    },
    lines: [
      ...verdict.results.filter((result) => shown[result.index] !== true).flatMap(criterionLines),
      ...(verdict.met || verdict.results.length === 0
        ? []
        : [
            line(
              1,
              "bad",
              `not accepted: ${failed.length} of ${plural(verdict.results.length, "criterion", "criteria")} failed`
            )
          ])
    ]
  }
}

/** Evidence is long; its end tells most. */
const evidenceLines = 8

const criterionLines = (result: CriterionResult): ReadonlyArray<Line> => {
  const name = printable(result.criterion)
  if (result.passed) return [marked(1, "ok", name)]
  const evidence = Option.match(result.evidence, {
    onNone: () => [],
    onSome: (text) => printableLines(text.trim()).filter((it) => it.trim() !== "")
  })
  const shown = evidence.slice(-evidenceLines)
  return [
    marked(1, "failed", `${name}: ${printable(result.message)}`),
    ...(shown.length < evidence.length
      ? [line(3, "faint", `… ${plural(evidence.length - shown.length, "line")} above`)]
      : []),
    ...shown.map((text) => line(3, "faint", text))
  ]
}

const activity = (state: RenderState, kind: string, text: string): Step => {
  const shows = (doing: string, lines: ReadonlyArray<Line> = [passing(doing)]): Step => ({
    state: { ...state, doing },
    lines
  })
  switch (kind) {
    case "tokens": {
      const tokens = Number(text)
      return {
        state: Number.isFinite(tokens) && tokens > 0 ? { ...state, metered: state.metered + tokens } : state,
        lines: []
      }
    }
    case "said":
      return text === "" ? { state, lines: [] } : shows(`says: ${text}`)
    case "tool":
      return shows(`uses ${text}`)
    case "tool_result":
    case "session":
      return { state, lines: [] }
    // The decision was shown already, with its reason.
    case "tool_denied":
      return { state: { ...state, doing: "was denied a tool" }, lines: [] }
    case "tool_failed":
      return shows(`a tool failed: ${text}`)
    case "retrying":
      return shows(`the agent tries again: ${text}`)
    case "rate_limited":
      return text === "allowed" ? { state, lines: [] } : shows(`rate limit: ${text}`)
    case "background":
      return text === "0" ? { state, lines: [] } : shows(`waits for ${text} in the background`)
    case "compacting":
      return shows("the agent compacts its context")
    case "compacted":
      return text === "failed"
        ? shows("the agent could not compact its context")
        : shows("the agent compacted its context")
    default:
      return shows(text === "" ? kind : `${printable(kind)}: ${text}`)
  }
}

/** The verdict may come before the end of the attempt is told, or after. */
const awaitsVerdict = ({ outcome }: AttemptResult, state: RenderState): boolean =>
  (outcome._tag === "Done" || outcome._tag === "NeedsRetry") && state.criteria.includes("waiting")

const failuresAfter = (result: AttemptResult, state: RenderState): ReadonlyArray<CriterionResult> => {
  switch (result.outcome._tag) {
    case "NeedsRetry":
      return result.outcome.failures
    case "Done":
      return []
    default:
      return state.failures
  }
}

const attemptLines = (result: AttemptResult, state: RenderState): ReadonlyArray<Line> => {
  const spent = totalTokens(result.usage.tokens) - totalTokens(state.usage.tokens)
  const figures = spent > 0 ? ` (${grouped(spent)} tokens)` : ""
  const outcome = result.outcome
  switch (outcome._tag) {
    case "Done":
    case "NeedsRetry":
      return spent > 0 ? [{ ...line(1, "faint", `the turn took ${grouped(spent)} tokens`), passing: true }] : []
    case "Continue":
      return [line(1, "warn", `the turn ended without a result: ${printable(outcome.reason)}${figures}`)]
    case "Escalate":
      return [line(1, "bad", `the turn failed: ${printable(outcome.reason)}${figures}`)]
    case "Sleep":
      return [line(1, "faint", `the agent asks for a pause${figures}`)]
    case "BudgetExhausted":
    case "Cancelled":
      return []
  }
}

/** What is said when a goal has ended, one text per line, the first is the headline. */
export const outcomeLines = (outcome: GoalOutcome): ReadonlyArray<Line> => {
  const figures = [
    plural(outcome.totalTurns, "turn"),
    ...usageTexts(outcome.usage, 0),
    elapsedText(Duration.toMillis(outcome.elapsed))
  ].join(" · ")
  const failed = Option.match(outcome.acceptance, {
    onNone: () => [],
    onSome: ({ results }) => results.filter(({ passed }) => !passed)
  })
  const how = outcome.outcome
  const headline = (): Line => {
    switch (how._tag) {
      case "Done":
        return marked(0, "ok", "accepted")
      case "Cancelled":
        return line(0, "warn", "cancelled")
      case "BudgetExhausted":
        return marked(0, "failed", `not accepted: the budget is used up: ${axisText(how.axis)}`)
      case "Escalate":
        return how.by === "driver"
          ? marked(0, "failed", `the driver could not do its part: ${printable(how.reason)}`)
          : marked(0, "failed", `not accepted, a person has to look: ${printable(how.reason)}`)
      case "NeedsRetry":
        return marked(0, "failed", `not accepted: ${plural(how.failures.length, "criterion", "criteria")} failed`)
      case "Continue":
        return marked(0, "failed", `not ended: ${printable(how.reason)}`)
      case "Sleep":
        return marked(0, "failed", `not accepted: it wants to sleep: ${printable(how.reason)}`)
    }
  }
  const first = headline()
  const place = (name: string, value: Option.Option<string>) =>
    Option.match(value, { onNone: () => [], onSome: (it) => [line(1, "plain", `${name} ${printable(it)}`)] })
  return [
    { ...first, text: `${first.text} · ${figures}` },
    ...(how._tag === "Done"
      ? []
      : failed.map((result) => marked(1, "failed", `${printable(result.criterion)}: ${printable(result.message)}`))),
    ...Option.match(outcome.delivery, {
      onNone: () => [],
      onSome: ({ delivered, summary }) => [line(1, delivered ? "plain" : "warn", printable(summary))]
    }),
    ...place("branch  ", outcome.branch),
    ...place("worktree", outcome.worktree)
  ]
}

/** Tokens and cost, as far as they are known. Empty while nothing was used. */
export const usageTexts = (usage: Usage, metered: number): ReadonlyArray<string> => {
  const tokens = totalTokens(usage.tokens) + metered
  if (tokens === 0 && usage.costUsd === 0) return []
  const cost = Option.match(knownCost(usage), {
    onNone: () => (usage.costUsd > 0 ? `cost unknown, at least ${dollars(usage.costUsd)}` : "cost unknown"),
    // Charged when the turn ends: until then what was metered has no price.
    onSome: (known) => (known === 0 && metered > 0 ? "cost not yet known" : dollars(known))
  })
  return [`${grouped(tokens)} tokens`, cost]
}

export const turnText = (turn: number, goal: Option.Option<Goal>): string =>
  Option.match(goal, {
    onNone: () => `turn ${turn}`,
    onSome: ({ budget }) => `turn ${turn}/${Math.max(turn, budget.maxTurns)}`
  })

/** The names of the goal's criteria, each on one line. */
export const criterionNames = (goal: Goal): ReadonlyArray<string> =>
  goal.acceptance.map((criterion) => printable(describeCriterion(criterion)))

const axisText = (axis: string): string => axis.replaceAll("_", " ")

const replayTexts: { readonly [decision: string]: string } = {
  fresh_session_retry: "the turn is tried again in a new session",
  next_turn: "goes on with the next turn",
  compact_and_retry: "compacts the context and tries again",
  sleep: "waits and tries again",
  same_turn: "the turn is tried again",
  escalate: "a person has to look"
}

const replayText = (decision: string): string => replayTexts[decision] ?? printable(decision)

/** The argument of a tool call that tells a person most. */
/** What a call is mostly about: its command, its file, its address. */
export const argumentOf = (input: Readonly<Record<string, unknown>>): string => {
  const value = input["command"] ?? input["file_path"] ?? input["path"] ?? input["pattern"] ?? input["url"]
  return typeof value === "string" ? value.slice(0, 300) : ""
}

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${grouped(count)} ${count === 1 ? one : many}`

/** `1,234,567` */
export const grouped = (count: number): string => String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ",")

/** `$0.0123`, `$12.30`: more places for small amounts. */
export const dollars = (amount: number): string => `$${amount.toFixed(amount < 1 ? 4 : 2)}`

/** `850ms`, `4.2s`, `1m 12s`, `2h 03m`, `3d 4h`. */
export const elapsedText = (millis: number): string => {
  if (millis < 1_000) return `${Math.round(millis)}ms`
  const seconds = millis / 1_000
  if (seconds < 59.95) return `${Number(seconds.toFixed(1))}s`
  const whole = Math.round(seconds)
  const [days, hours, minutes] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3_600) % 24,
    Math.floor(whole / 60) % 60
  ]
  if (days > 0) return `${days}d${hours > 0 ? ` ${hours}h` : ""}`
  if (hours > 0) return `${hours}h${minutes > 0 ? ` ${String(minutes).padStart(2, "0")}m` : ""}`
  const rest = whole % 60
  return `${minutes}m${rest > 0 ? ` ${String(rest).padStart(2, "0")}s` : ""}`
}

/** `5m 02s ago` */
export const agoText = (now: number, then: number): string => `${elapsedText(Math.max(0, now - then))} ago`
