/**
 * Where the cost of questions to language models goes. Whoever asks a model for
 * somebody else (a judge, a permission reviewer) charges the ledger in its context;
 * whoever has the goal puts one there.
 *
 * There is one in every context: without a goal around it, it keeps nothing.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ModelError } from "./ModelQuestion.js"

/** US dollars per million tokens. */
export interface ModelPrices {
  readonly input: number
  readonly output: number
}

/** What one question took. */
export interface ModelCharge {
  /** As the provider counts. None: not reported. */
  readonly inputTokens: Option.Option<number>
  readonly outputTokens: Option.Option<number>
  /** US dollars. None: unknown, never 0. */
  readonly costUsd: Option.Option<number>
}

export class ModelLedger extends Context.Reference<ModelLedger>()("@driver/agent/ModelLedger", {
  defaultValue: (): ModelLedgerService => ({ charge: () => Effect.void })
}) {}

export interface ModelLedgerService {
  /** Takes note of one question, also of one whose answer could not be used. Never fails and never waits. */
  readonly charge: (charge: ModelCharge) => Effect.Effect<void>
}

/** Of an answer, whether or not it could be used: what the provider says it cost, else by its tokens. */
export const chargeOfAnswer = (
  { costUsd, inputTokens, outputTokens }: ModelCharge,
  prices: Option.Option<ModelPrices>
): ModelCharge => {
  const input = Option.filter(inputTokens, isCount)
  const output = Option.filter(outputTokens, isCount)
  return {
    inputTokens: input,
    outputTokens: output,
    costUsd: Option.orElse(costUsd, () =>
      Option.map(
        Option.all({ prices, input, output }),
        (it) => (it.input * it.prices.input + it.output * it.prices.output) / 1_000_000
      )
    )
  }
}

/** Of a question without an answer: where the provider did not take it nothing was paid, otherwise nobody can say. */
export const chargeOfFailure = ({ reason }: Pick<ModelError, "reason">): ModelCharge => ({
  inputTokens: Option.none(),
  outputTokens: Option.none(),
  costUsd: reason === "unauthorized" || reason === "limited" || reason === "rejected" ? Option.some(0) : Option.none()
})

/** Of a question that was withdrawn. */
export const unknownCharge: ModelCharge = {
  inputTokens: Option.none(),
  outputTokens: Option.none(),
  costUsd: Option.none()
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0
