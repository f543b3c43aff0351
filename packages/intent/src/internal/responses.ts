/** What the records of an intent come to: its response. Pure. */
import * as Option from "effect/Option"
import type { Degradation, Directive } from "../Directive.js"
import { ClarifyResponse, costOf, type IntentResponse, isAccepted, Plan, Reply, TaskResult } from "../IntentResponse.js"
import { type IntentState, reviewedResults, scopeOf } from "../IntentState.js"
import { bestOf } from "../Review.js"
import type { Names } from "./journal.js"

const commonOf = (names: Names, { calls, degradations, runs }: IntentState) => ({
  ...names,
  degradations: distinct(degradations),
  cost: costOf(
    calls,
    runs.flatMap(({ result }) => Option.toArray(Option.map(result, ({ outcome }) => outcome.usage)))
  )
})

const distinct = (degradations: ReadonlyArray<Degradation>): ReadonlyArray<Degradation> =>
  degradations.filter(
    ({ reason, step }, index) => degradations.findIndex((it) => it.step === step && it.reason === reason) === index
  )

/** The plan of an intent whose goal is checked. */
export const planOf = (names: Names, state: IntentState): Option.Option<Plan> =>
  Option.map(
    Option.all({ checked: state.checked, environment: state.environment, scope: scopeOf(state) }),
    ({ checked: { directive, goal }, environment: { env }, scope }) =>
      new Plan({ ...commonOf(names, state), scope, directive, env, goal, assumptions: directive.assumptions })
  )

/** The response of an intent that has come to its end; none while something is missing. */
export const responseOf = (names: Names, state: IntentState): Option.Option<IntentResponse> =>
  Option.flatMap(state.assessed, ({ assessment, request }): Option.Option<IntentResponse> => {
    switch (assessment._tag) {
      case "Conversation":
        return Option.some(new Reply({ ...commonOf(names, state), text: assessment.reply }))
      case "Clarify": {
        const { questions } = assessment
        return Option.some(
          new ClarifyResponse({
            ...commonOf(names, state),
            questions,
            request,
            round: roundOf(state)
          })
        )
      }
      case "Task":
        return taskResultOf(names, state)
    }
  })

/** The round of questions that this message begins, from 1. */
export const roundOf = ({ assessed, received }: IntentState): number =>
  Option.exists(assessed, ({ followUp }) => followUp === "answer")
    ? Option.match(received.open, { onNone: () => 1, onSome: ({ round }) => round + 1 })
    : 1

const taskResultOf = (names: Names, state: IntentState): Option.Option<TaskResult> =>
  Option.gen(function* () {
    const scope = yield* scopeOf(state)
    const { env } = yield* state.environment
    const { directive } = yield* state.checked
    const [first, ...rest] = reviewedResults(state)
    const best = first === undefined ? undefined : bestOf([first, ...rest])
    const result = best?.result ?? (yield* Option.flatMap(Option.fromNullable(state.runs.at(-1)), (run) => run.result))
    const verdict = Option.map(Option.fromNullable(best), (it) => it.verdict)
    return new TaskResult({
      ...commonOf(names, state),
      scope,
      directive,
      env,
      result,
      verdict,
      passed: Option.map(verdict, ({ passed }) => passed),
      assumptions: directive.assumptions,
      runs: state.runs.length
    })
  })

/** The response as it stands in the session's messages. */
export const answerText = (response: IntentResponse): string => {
  switch (response._tag) {
    case "Reply":
      return response.text
    case "ClarifyResponse":
      return response.questions.map(({ text }) => text).join("\n")
    case "Plan":
      return planText(response.directive)
    case "TaskResult": {
      const { directive, result, verdict } = response
      const gaps = Option.match(verdict, { onNone: () => [], onSome: (it) => it.gaps })
      return [
        `${isAccepted(response) ? "Done" : "Not done"}: ${directive.goal}`,
        ...Option.toArray(result.outcome.finalText),
        ...gaps.map((gap) => `- ${gap}`)
      ].join("\n")
    }
  }
}

const planText = ({ acceptanceCriteria, goal }: Directive): string =>
  [`Planned: ${goal}`, ...acceptanceCriteria.map(({ statement }) => `- ${statement}`)].join("\n")
