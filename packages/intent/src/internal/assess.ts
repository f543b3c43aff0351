/** What a message is, as the path takes it: the model's opinion, and what is decided without it. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { type Assessment, Degradation, type IntentStep, type Question, Task } from "../Directive.js"
import { combinedRequest, decideFollowUp } from "../FollowUp.js"
import type { AssessAnswer, IntentModel } from "../IntentModel.js"
import { Assessed, type Received } from "../IntentRecord.js"
import { routeScope } from "../ScopeRouting.js"

/** Asks the model exactly once. */
export const assess = (
  model: IntentModel["Type"],
  { answers, canAsk, context, message, open }: Received,
  { maxClarifications }: { readonly maxClarifications: number }
): Effect.Effect<Assessed> =>
  Effect.gen(function* () {
    const said = [message.trim(), ...answers.map(({ question, value }) => `${question}: ${value}`)]
      .filter((line) => line !== "")
      .join("\n")
    const { answer, calls } = yield* model.assess({ message: said, context, open })
    const modelSays = Option.flatMap(Either.getRight(answer), ({ followUp }) => followUp)
    const followUp = decideFollowUp({ open, message, answers, modelSays })
    const continued = followUp === "answer" ? open : Option.none()
    const request = Option.match(continued, {
      onNone: () => message,
      onSome: (it) => combinedRequest(it, message, answers)
    })
    const round = Option.match(continued, { onNone: () => 1, onSome: (it) => it.round + 1 })
    const { assessment, problem, unasked } = settleAssessment(
      answer,
      request,
      canAsk && round <= maxClarifications,
      model.isConfigured
    )
    return new Assessed({
      assessment,
      request,
      followUp,
      unasked,
      calls,
      degradations: degradationsOf("assess", problem)
    })
  })

interface SettledAssessment {
  readonly assessment: Assessment
  /** Questions that nobody is asked. */
  readonly unasked: ReadonlyArray<Question>
  readonly problem: string | undefined
}

/** What the message is taken for: without an answer that can be used it is a task, and that is said. */
const settleAssessment = (
  answer: Either.Either<AssessAnswer, string>,
  request: string,
  canAsk: boolean,
  isConfigured: boolean
): SettledAssessment => {
  if (Either.isLeft(answer)) {
    const problem = isConfigured
      ? `the message could not be assessed (${answer.left}): it is taken for a task that is not trivial`
      : `${answer.left}: the message is taken for a task as it stands, without questions, criteria and review`
    return { assessment: new Task({ scope: isConfigured ? "substantial" : "trivial" }), unasked: [], problem }
  }
  const { assessment } = answer.right
  if (assessment._tag === "Clarify" && !canAsk) {
    return { assessment: new Task({ scope: "substantial" }), unasked: assessment.questions, problem: undefined }
  }
  return {
    assessment:
      assessment._tag === "Task" ? new Task({ scope: routeScope(assessment.scope, request).scope }) : assessment,
    unasked: [],
    problem: undefined
  }
}

export const degradationsOf = (
  step: IntentStep,
  ...reasons: ReadonlyArray<string | undefined>
): ReadonlyArray<Degradation> =>
  reasons.flatMap((reason) => (reason === undefined ? [] : [new Degradation({ step, reason: reason.trim() })]))
