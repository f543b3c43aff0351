/**
 * `IntentModel` over a language model: what it is asked is in `IntentPrompts`, what its
 * answers mean in `ModelAnswers`, how it is asked, and once more, in `askRepaired`.
 */
import type * as LanguageModel from "@effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { type IntentStep, ModelCall } from "./Directive.js"
import { type Answered, IntentModel } from "./IntentModel.js"
import * as Prompts from "./IntentPrompts.js"
import { type AskedSettings, askRepaired, makeAsked, type RepairableQuestion } from "./internal/askRepaired.js"
import * as Answers from "./ModelAnswers.js"

export type { PricedModel } from "./internal/askRepaired.js"

/** Default of `timeout` 2 minutes, since directives take a while; of `attempts` 3. */
export type Settings = AskedSettings

export const defaults: Settings = { timeout: "2 minutes", attempts: 3, prices: Option.none(), others: [] }

export const layer = (settings: Partial<Settings> = {}): Layer.Layer<IntentModel, never, LanguageModel.LanguageModel> =>
  Layer.effect(
    IntentModel,
    Effect.gen(function* () {
      const asked = yield* makeAsked({ ...defaults, ...settings })

      const ask = <A, B, I extends Record<string, unknown>>(
        step: IntentStep,
        question: Omit<RepairableQuestion<A, B, I>, "name">
      ): Effect.Effect<Answered<A>> =>
        Effect.map(askRepaired(asked, { ...question, name: step }), ({ answer, calls }) => ({
          answer,
          calls: calls.map((call) => new ModelCall({ step, ...call }))
        }))

      return {
        isConfigured: true,
        assess: Effect.fn("IntentModel.assess")((request) =>
          ask("assess", {
            instructions: Prompts.assessInstructions,
            text: (marker) => Prompts.assessText(request, marker),
            schema: Answers.AskedAssessment,
            read: Answers.toAssessment
          })
        ),
        crystallize: Effect.fn("IntentModel.crystallize")((request) =>
          ask("crystallize", {
            instructions: Prompts.crystallizeInstructions,
            text: (marker) => Prompts.crystallizeText(request, marker),
            schema: Answers.AskedDirective,
            read: Answers.toDirective(request.request)
          })
        ),
        review: Effect.fn("IntentModel.review")((request) =>
          ask("review", {
            instructions: Prompts.reviewInstructions,
            text: (marker) => Prompts.reviewText(request, marker),
            schema: Answers.AskedReview,
            read: Answers.toSemanticReview(request.directive.acceptanceCriteria.length)
          })
        )
      }
    })
  )
