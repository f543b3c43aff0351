/**
 * How well a model assesses: labelled messages, taken the way that the path takes them,
 * and what of it agrees with the labels.
 */
import { key, optional, withDefault } from "@driver/domain/Wire"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type Assessment, Exchange, IntentContext, IntentSessionId, Question, Scope } from "./Directive.js"
import { IntentModel } from "./IntentModel.js"
import { type Assessed, OpenClarification, Received } from "./IntentRecord.js"
import { assess } from "./internal/assess.js"

export const EvaluationCategory = Schema.Literal(
  "conversation",
  "clarify",
  "trivial",
  "substantial",
  "answer",
  "topic_shift",
  "injection"
)
export type EvaluationCategory = typeof EvaluationCategory.Type

export class Expectation extends Schema.Class<Expectation>("Expectation")({
  /** Any of these. */
  kinds: Schema.NonEmptyArray(Schema.Literal("conversation", "clarify", "task")),
  /** Of a task. Absent: either. */
  scope: optional(Scope, "scope"),
  followUp: optional(Schema.Literal("answer", "new_topic"), "follow_up")
}) {}

/** One line of `eval/messages.jsonl`. */
export class LabelledMessage extends Schema.Class<LabelledMessage>("LabelledMessage")({
  id: Schema.NonEmptyTrimmedString,
  category: EvaluationCategory,
  /** As BCP 47 has it. */
  language: Schema.NonEmptyTrimmedString,
  message: Schema.NonEmptyString,
  history: withDefault(Schema.Array(Exchange), "history", () => []),
  /** What the session waits for. */
  open: optional(Schema.Struct({ request: Schema.String, questions: Schema.NonEmptyArray(Question) }), "open"),
  expect: key(Expectation, "expect")
}) {
  static readonly FromJson = Schema.parseJson(LabelledMessage)
}

export interface Outcome {
  readonly label: LabelledMessage
  readonly agrees: boolean
  /** `task substantial, answer`. */
  readonly got: string
  /** The model's answer could not be used. */
  readonly degraded: boolean
  readonly assessed: Assessed
}

export interface Score {
  readonly total: number
  readonly right: number
}

export interface EvaluationReport {
  readonly overall: Score
  readonly categories: ReadonlyMap<EvaluationCategory, Score>
  readonly languages: ReadonlyMap<string, Score>
  readonly wrong: ReadonlyArray<Outcome>
  /** Answers that could not be used. */
  readonly degraded: number
  /** US dollars; none when one call's is not known. */
  readonly costUsd: Option.Option<number>
}

/** Every line of a JSONL text; blank lines are none. Fails with the number of the first that is wrong. */
export const parseMessages = (
  jsonl: string
): Effect.Effect<ReadonlyArray<LabelledMessage>, { readonly line: number }> =>
  Effect.forEach(
    jsonl.split("\n").flatMap((text, index) => (text.trim() === "" ? [] : [{ text, line: index + 1 }])),
    ({ line, text }) => Effect.mapError(Schema.decode(LabelledMessage.FromJson)(text), () => ({ line }))
  )

/** Asks the model about each message once, some at a time. */
export const evaluate = (
  messages: ReadonlyArray<LabelledMessage>,
  options: { readonly concurrency?: number } = {}
): Effect.Effect<EvaluationReport, never, IntentModel> =>
  Effect.gen(function* () {
    const model = yield* IntentModel
    const outcomes = yield* Effect.forEach(
      messages,
      (label) =>
        Effect.map(assess(model, receivedOf(label), { maxClarifications: 2 }), (assessed) =>
          outcomeOf(label, assessed)
        ),
      { concurrency: options.concurrency ?? 4 }
    )
    return reportOf(outcomes)
  })

const receivedOf = ({ history, id, message, open }: LabelledMessage): Received =>
  new Received({
    message,
    context: new IntentContext({ sessionId: IntentSessionId.make(`evaluation-${id}`), history }),
    open: Option.map(open, (it) => new OpenClarification({ ...it, round: 1 }))
  })

const kindOf = (assessment: Assessment): "conversation" | "clarify" | "task" =>
  assessment._tag === "Conversation" ? "conversation" : assessment._tag === "Clarify" ? "clarify" : "task"

const outcomeOf = (label: LabelledMessage, assessed: Assessed): Outcome => {
  const { assessment, degradations, followUp } = assessed
  const { expect } = label
  const kind = kindOf(assessment)
  const scopeFits =
    assessment._tag !== "Task" || Option.getOrElse(expect.scope, () => assessment.scope) === assessment.scope
  const followUpFits = Option.getOrElse(expect.followUp, () => followUp) === followUp
  return {
    label,
    assessed,
    degraded: degradations.length > 0,
    // What was only made of a missing answer is no agreement.
    agrees: degradations.length === 0 && expect.kinds.includes(kind) && scopeFits && followUpFits,
    got: [
      assessment._tag === "Task" ? `${kind} ${assessment.scope}` : kind,
      ...(followUp === "none" ? [] : [followUp])
    ].join(", ")
  }
}

const reportOf = (outcomes: ReadonlyArray<Outcome>): EvaluationReport => {
  const costs = outcomes.flatMap(({ assessed }) => assessed.calls.map(({ costUsd }) => costUsd))
  return {
    overall: scoreOf(outcomes),
    categories: scoresBy(outcomes, ({ label }) => label.category),
    languages: scoresBy(outcomes, ({ label }) => label.language),
    wrong: outcomes.filter(({ agrees }) => !agrees),
    degraded: outcomes.filter(({ degraded }) => degraded).length,
    costUsd: Option.map(Option.all(costs), (all) => all.reduce((sum, cost) => sum + cost, 0))
  }
}

const scoreOf = (outcomes: ReadonlyArray<Outcome>): Score => ({
  total: outcomes.length,
  right: outcomes.filter(({ agrees }) => agrees).length
})

const scoresBy = <K>(outcomes: ReadonlyArray<Outcome>, by: (outcome: Outcome) => K): ReadonlyMap<K, Score> => {
  const groups = new Map<K, Array<Outcome>>()
  for (const outcome of outcomes) {
    const group = groups.get(by(outcome))
    if (group === undefined) groups.set(by(outcome), [outcome])
    else group.push(outcome)
  }
  return new Map([...groups].map(([name, group]) => [name, scoreOf(group)]))
}
