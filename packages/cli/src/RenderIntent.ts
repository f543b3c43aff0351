/**
 * What a person is shown of a message on its way: questions, the plan before it runs,
 * and the result with its verdict. Pure; all text of people, models and agents passes
 * `printable` here.
 */
import { describeCriterion } from "@driver/domain/Goal"
import type { SubtaskResult } from "@driver/intent/DelegationPlan"
import type { Assumption, Degradation, Question, Scope } from "@driver/intent/Directive"
import type { IntentEvent, IntentPhase } from "@driver/intent/IntentEvents"
import { type IntentCost, isAccepted, type Plan, type TaskResult } from "@driver/intent/IntentResponse"
import * as Option from "effect/Option"
import { dollars, type Line, outcomeLines, plural } from "./Render.js"
import { fit, printable, printableLines } from "./Text.js"

const line = (indent: number, tone: Line["tone"], text: string, mark?: Line["mark"]): Line => ({
  indent,
  tone,
  text,
  passing: false,
  ...(mark === undefined ? {} : { mark })
})

/** Longer texts of models are cut: `--json` has them whole. */
const longest = 500

const short = (text: string): string => fit(printable(text), longest)

/** What is done in a phase, while it is done. Undefined: nothing that takes time, as with a trivial task's own words. */
export const phaseText = (phase: IntentPhase, scope: Option.Option<Scope>): string | undefined => {
  const isTrivial = Option.contains(scope, "trivial")
  switch (phase) {
    case "assess":
      return "reading the message"
    case "crystallize":
      return isTrivial ? undefined : "writing the directive"
    case "check":
      return isTrivial ? undefined : "trying the criteria on the base"
    case "review":
      return "reviewing the work"
    case "environment":
    case "run":
    case "finish":
      return undefined
  }
}

/** Why a goal is run once more. Undefined: it is not what happens. */
export const runText = (event: IntentEvent): string | undefined => {
  if (event._tag !== "RecordWritten" || event.record._tag !== "RunStarted") return undefined
  const { because, goal } = event.record
  if (because === "first") return undefined
  if (because === "gaps") return "working on what is missing"
  return Option.match(goal.agent, { onNone: () => "trying again", onSome: (name) => `${name} takes over` })
}

const degradationLines = (degradations: ReadonlyArray<Degradation>): ReadonlyArray<Line> =>
  degradations.map(({ reason, step }) => line(0, "warn", `degraded (${step}): ${short(reason)}`))

const assumptionLines = (assumptions: ReadonlyArray<Assumption>): ReadonlyArray<Line> =>
  assumptions.length === 0
    ? []
    : [
        line(0, "warn", "assumed, because nobody could be asked:"),
        ...assumptions.map(({ assumed, by, subject }) =>
          line(1, "plain", `${short(subject)}: ${short(assumed)} (${by})`)
        )
      ]

const costText = ({ complete, knownCostUsd, modelCalls, runs }: IntentCost): string => {
  const known = dollars(knownCostUsd)
  const cost = complete ? known : knownCostUsd > 0 ? `at least ${known}` : "unknown"
  return `cost ${cost} · ${plural(modelCalls.length, "question")} to the model · ${plural(runs.length, "run")}`
}

export const questionLines = (questions: ReadonlyArray<Question>): ReadonlyArray<Line> =>
  questions.flatMap(({ id, options, text }) => [
    line(0, "title", `${printable(text)}  [${id}]`),
    ...options.map(({ label, value }) => line(1, "plain", `${printable(value)}: ${printable(label)}`))
  ])

export const replyLines = (text: string, degradations: ReadonlyArray<Degradation>): ReadonlyArray<Line> => [
  ...degradationLines(degradations),
  ...printableLines(text).map((it) => line(0, "plain", it))
]

/** Before anything is run. */
export const planLines = ({
  assumptions,
  cost,
  degradations,
  directive,
  env,
  goal,
  scope
}: Plan): ReadonlyArray<Line> => [
  ...degradationLines(degradations),
  line(0, "title", `${scope}: ${short(directive.goal)}`),
  ...directive.constraints.map((it) => line(1, "plain", `keep to: ${short(it)}`)),
  line(0, "plain", goal.acceptance.length === 0 ? "no criteria: the agent's word is taken for it" : "accepted when:"),
  ...goal.acceptance.map((it) => line(1, "plain", short(describeCriterion(it)))),
  ...assumptionLines(assumptions),
  ...env.mounts.map(({ name, path }, index) =>
    line(0, "faint", `${index === 0 ? "works in" : "knows of"} ${printable(name)}: ${printable(path)}`)
  ),
  line(0, "faint", `goal ${goal.id.slice(0, 8)} · ${costText(cost)}`)
]

const partLines = (parts: ReadonlyArray<SubtaskResult>): ReadonlyArray<Line> =>
  parts.map(({ agent, capability, fallback, id, result, role, skipped, success }) => {
    const who = Option.match(agent, { onNone: () => "", onSome: (name) => ` by ${printable(name)}` })
    const why = Option.match(fallback, { onNone: () => "", onSome: (it) => ` here, because ${short(it)}` })
    const needs = Option.match(capability, { onNone: () => "", onSome: (it) => `, ${printable(it)}` })
    const how = skipped ? "skipped" : success ? "done" : "failed"
    const text = `part ${id} (${role}${needs}) ${how}${who}${why}${success ? "" : `: ${short(result)}`}`
    return line(1, success ? "good" : "bad", text, success ? "ok" : "failed")
  })

/** The better result of what was run, with its own verdict. */
export const resultLines = (result: TaskResult, parts: ReadonlyArray<SubtaskResult>): ReadonlyArray<Line> => {
  const verdict = Option.match(result.verdict, {
    onNone: () => [],
    onSome: ({ by, gaps, notes, passed, score }) => [
      line(
        0,
        passed ? "good" : "bad",
        `review ${passed ? "passed" : "not passed"}, score ${score.toFixed(2)} (${by.replaceAll("_", " ")})`,
        passed ? "ok" : "failed"
      ),
      ...gaps.map((it) => line(1, "bad", `missing: ${short(it)}`)),
      ...notes.map((it) => line(1, "plain", short(it)))
    ]
  })
  return [
    ...degradationLines(result.degradations),
    ...outcomeLines(result.result.outcome),
    ...Option.toArray(Option.map(result.result.agent, (name) => line(1, "plain", `by ${printable(name)}`))),
    ...partLines(parts),
    ...verdict,
    ...assumptionLines(result.assumptions),
    line(0, isAccepted(result) ? "good" : "bad", isAccepted(result) ? "accepted" : "not accepted"),
    line(0, "faint", costText(result.cost))
  ]
}
