/**
 * One question of the intent path to a language model:
 *
 *   question ─▶ answer ─▶ JSON, mended ─▶ schema ─┬─ fits ───────────────▶ answer
 *                            ▲                    └─ does not ─┬─ first ──▶ asked again with the error
 *                            └─────────────────────────────────┘  second ▶ problem
 *
 * A model that has no quota, no login or is not there is followed by the next one.
 * Transient failures are tried again within the time of the question; every answer,
 * usable or not, is in the calls. Secrets are taken out of what the model is shown.
 */
import { chargeOfAnswer, chargeOfFailure, type ModelCharge, type ModelPrices } from "@driver/agent/ModelLedger"
import { askModelText, type ModelText } from "@driver/agent/ModelQuestion"
import { Redactor, type RedactorService } from "@driver/domain/Redactor"
import * as LanguageModel from "@effect/ai/LanguageModel"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import type * as Schema from "effect/Schema"
import { repairText } from "../IntentPrompts.js"
import { parseModelJson } from "../ModelJson.js"

export interface PricedModel {
  readonly model: LanguageModel.Service
  /** None: the cost of calls is unknown where the provider does not say it. */
  readonly prices: Option.Option<ModelPrices>
}

export interface AskedSettings {
  /** For one call with all its attempts. */
  readonly timeout: Duration.DurationInput
  /** Of one call, where another one may help. */
  readonly attempts: number
  /** Of the model in the context. */
  readonly prices: Option.Option<ModelPrices>
  /** Asked in this order where the one before has no quota, no login or no such model. */
  readonly others: ReadonlyArray<PricedModel>
}

export interface AskedModel extends Pick<AskedSettings, "attempts" | "timeout"> {
  readonly models: readonly [PricedModel, ...ReadonlyArray<PricedModel>]
  readonly redactor: RedactorService
  /** Where those begin that have not failed so. */
  readonly current: Ref.Ref<number>
}

export interface RepairableQuestion<A, B, I extends Record<string, unknown>> {
  /** Names the answer for the provider: letters, digits and `_`. */
  readonly name: string
  readonly instructions: string
  /** `marker` is random for each question, so that nobody can write one in advance. */
  readonly text: (marker: string) => string
  readonly schema: Schema.Schema<B, I>
  /** Left: what does not fit, in a sentence that the model can act on. */
  readonly read: (value: unknown) => Either.Either<A, string>
}

export interface Call extends ModelCharge {
  /** Why the answer could not be used. */
  readonly problem: Option.Option<string>
}

export interface Answered<A> {
  /** Left: why there is no answer that can be used, in one sentence. */
  readonly answer: Either.Either<A, string>
  readonly calls: ReadonlyArray<Call>
}

/** A model with who it is asked for, and what it costs. */
export const makeAsked = ({ others, prices, ...settings }: AskedSettings) =>
  Effect.gen(function* () {
    const model = yield* LanguageModel.LanguageModel
    const redactor = yield* Redactor
    const current = yield* Ref.make(0)
    return { ...settings, models: [{ model, prices }, ...others] as const, redactor, current } satisfies AskedModel
  })

/** Never fails. Interrupting it withdraws the question. */
export const askRepaired = <A, B, I extends Record<string, unknown>>(
  asked: AskedModel,
  question: RepairableQuestion<A, B, I>
): Effect.Effect<Answered<A>> =>
  Effect.gen(function* () {
    const from = yield* Ref.get(asked.current)
    const calls: Array<Call> = []
    let answer: Either.Either<A, string> = Either.left("no model was asked")
    for (const [index, priced] of asked.models.entries()) {
      if (index < from) continue
      const said = yield* askOne(asked, priced, question)
      calls.push(...said.calls)
      answer = said.answer
      if (!said.mayOthers) break
      // Whoever comes next in this process need not find out again.
      if (index + 1 < asked.models.length) yield* Ref.update(asked.current, (it) => Math.max(it, index + 1))
    }
    return { answer, calls }
  })

interface AnsweredByOne<A> extends Answered<A> {
  /** It has no quota, no login or no such model, which another one may have. */
  readonly mayOthers: boolean
}

const askOne = <A, B, I extends Record<string, unknown>>(
  { attempts, redactor, timeout }: AskedModel,
  { model, prices }: PricedModel,
  { instructions, name, read, schema, text: textWith }: RepairableQuestion<A, B, I>
): Effect.Effect<AnsweredByOne<A>> =>
  Effect.gen(function* () {
    const once = (text: string): Effect.Effect<Once<A>> =>
      askModelText({ instructions, text, schema, name, timeout, attempts }).pipe(
        Effect.provideService(LanguageModel.LanguageModel, model),
        Effect.match({
          onFailure: (error) => ({
            said: Option.none(),
            value: Either.left(error.message),
            call: { ...chargeOfFailure(error), problem: Option.some(error.message) },
            mayOthers: error.reason === "limited" || error.reason === "unauthorized" || error.reason === "rejected"
          }),
          onSuccess: (said) => {
            const value = understand(said, read)
            return {
              said: Option.some(said),
              value,
              call: { ...chargeOfAnswer(said, prices), problem: Either.getLeft(value) },
              mayOthers: false
            }
          }
        })
      )
    const marker = yield* newMarker
    const text = redactor.text(textWith(marker))
    const first = yield* once(text)
    if (Either.isRight(first.value) || Option.isNone(first.said)) {
      return { answer: first.value, calls: [first.call], mayOthers: first.mayOthers }
    }
    const second = yield* once(repairText(text, redactor.text(first.said.value.text), first.value.left, marker))
    return {
      answer: Either.mapLeft(second.value, (problem) =>
        Option.isNone(second.said) ? problem : `its answer could not be used, also when it was asked again: ${problem}`
      ),
      calls: [first.call, second.call],
      mayOthers: second.mayOthers
    }
  })

interface Once<A> {
  readonly said: Option.Option<ModelText>
  readonly value: Either.Either<A, string>
  readonly call: Call
  readonly mayOthers: boolean
}

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
