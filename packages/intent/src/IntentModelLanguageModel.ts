/**
 * `IntentModel` over a language model.
 *
 *   question ─▶ answer ─▶ JSON, mended ─▶ schema ─┬─ fits ───────────────▶ answer
 *                            ▲                    └─ does not ─┬─ first ──▶ asked again with the error
 *                            └─────────────────────────────────┘  second ▶ problem
 *
 * Transient failures are tried again within the time of the question; every answer,
 * usable or not, is in the calls. Secrets are taken out of what the model is shown.
 */
import { askModelText, type ModelError, type ModelText } from "@driver/agent/ModelQuestion"
import { Redactor } from "@driver/domain/Redactor"
import * as LanguageModel from "@effect/ai/LanguageModel"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Schema from "effect/Schema"
import { type IntentStep, ModelCall } from "./Directive.js"
import { type Answered, IntentModel } from "./IntentModel.js"
import * as Prompts from "./IntentPrompts.js"
import * as Answers from "./ModelAnswers.js"
import { parseModelJson } from "./ModelJson.js"

export interface Settings {
  /** For one call with all its attempts. Default 2 minutes: directives take a while. */
  readonly timeout: Duration.DurationInput
  /** Of one call, where another one may help. Default 3. */
  readonly attempts: number
  /** US dollars per million tokens. None: the cost of calls is unknown. */
  readonly prices: Option.Option<{ readonly input: number; readonly output: number }>
}

export const defaults: Settings = { timeout: "2 minutes", attempts: 3, prices: Option.none() }

export const layer = (settings: Partial<Settings> = {}): Layer.Layer<IntentModel, never, LanguageModel.LanguageModel> =>
  Layer.effect(
    IntentModel,
    Effect.gen(function* () {
      const model = yield* LanguageModel.LanguageModel
      const redactor = yield* Redactor
      const { attempts, prices, timeout } = { ...defaults, ...settings }

      const ask = <A, B, I extends Record<string, unknown>>(question: {
        readonly step: IntentStep
        readonly instructions: string
        readonly text: (marker: string) => string
        readonly schema: Schema.Schema<B, I>
        readonly read: (value: unknown) => Either.Either<A, string>
      }): Effect.Effect<Answered<A>> =>
        Effect.gen(function* () {
          const { instructions, read, schema, step } = question
          const once = (text: string) =>
            askModelText({ instructions, text, schema, name: step, timeout, attempts }).pipe(
              Effect.provideService(LanguageModel.LanguageModel, model),
              Effect.either
            )
          const marker = yield* newMarker
          const text = redactor.text(question.text(marker))
          const first = yield* once(text)
          if (Either.isLeft(first))
            return { answer: Either.left(first.left.message), calls: [failedCall(step, first.left)] }
          const value = understand(first.right, read)
          const call = answeredCall(step, first.right, prices, value)
          if (Either.isRight(value)) return { answer: value, calls: [call] }
          const second = yield* once(Prompts.repairText(text, redactor.text(first.right.text), value.left, marker))
          if (Either.isLeft(second)) {
            return { answer: Either.left(second.left.message), calls: [call, failedCall(step, second.left)] }
          }
          const mended = understand(second.right, read)
          return {
            answer: Either.mapLeft(
              mended,
              (problem) => `its answer could not be used, also when it was asked again: ${problem}`
            ),
            calls: [call, answeredCall(step, second.right, prices, mended)]
          }
        })

      return {
        isConfigured: true,
        assess: Effect.fn("IntentModel.assess")((request) =>
          ask({
            step: "assess",
            instructions: Prompts.assessInstructions,
            text: (marker) => Prompts.assessText(request, marker),
            schema: Answers.AskedAssessment,
            read: Answers.toAssessment
          })
        ),
        crystallize: Effect.fn("IntentModel.crystallize")((request) =>
          ask({
            step: "crystallize",
            instructions: Prompts.crystallizeInstructions,
            text: (marker) => Prompts.crystallizeText(request, marker),
            schema: Answers.AskedDirective,
            read: Answers.toDirective(request.request)
          })
        ),
        review: Effect.fn("IntentModel.review")((request) =>
          ask({
            step: "review",
            instructions: Prompts.reviewInstructions,
            text: (marker) => Prompts.reviewText(request, marker),
            schema: Answers.AskedReview,
            read: Answers.toSemanticReview(request.directive.acceptanceCriteria.length)
          })
        )
      }
    })
  )

const newMarker = Effect.map(
  Effect.all([Random.nextIntBetween(0, 2 ** 31), Random.nextIntBetween(0, 2 ** 31)]),
  (parts) => `data-${parts.map((part) => part.toString(16).padStart(8, "0")).join("")}`
)

const understand = <A>(
  said: ModelText,
  read: (value: unknown) => Either.Either<A, string>
): Either.Either<A, string> => {
  const value = Either.flatMap(parseModelJson(said.text), read)
  // What is whole although the limit was reached counts; what is not, has this reason.
  return said.cutOff
    ? Either.mapLeft(value, (problem) => `the answer reached the limit on its length: answer shorter (${problem})`)
    : value
}

const answeredCall = (
  step: IntentStep,
  { costUsd, inputTokens, outputTokens }: ModelText,
  prices: Settings["prices"],
  value: Either.Either<unknown, string>
): ModelCall => {
  const input = Option.filter(inputTokens, isCount)
  const output = Option.filter(outputTokens, isCount)
  return new ModelCall({
    step,
    inputTokens: input,
    outputTokens: output,
    costUsd: Option.orElse(costUsd, () =>
      Option.map(
        Option.all({ prices, input, output }),
        (it) => (it.input * it.prices.input + it.output * it.prices.output) / 1_000_000
      )
    ),
    problem: Either.getLeft(value)
  })
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

/** Where the provider did not take the question, nothing was paid; otherwise nobody can say. */
const failedCall = (step: IntentStep, { message, reason }: ModelError): ModelCall =>
  new ModelCall({
    step,
    problem: Option.some(message),
    costUsd: reason === "unauthorized" || reason === "limited" || reason === "rejected" ? Option.some(0) : Option.none()
  })
