/**
 * The decider that asks a language model.
 *
 * Rules hand on to it what they will not judge themselves. What it is unsure of goes to
 * a person; whatever it says that cannot be used is a denial.
 */
import { Deny, type PermissionOutcome, type PermissionRequest } from "@driver/domain/Permission"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { DecisionContext } from "./PermissionDecider.js"

export class LlmDecider extends Context.Tag("@driver/permission/LlmDecider")<
  LlmDecider,
  {
    /** `why` says who handed the question on and for what reason. Never fails: what goes wrong is a denial. */
    readonly decide: (
      request: PermissionRequest,
      context: DecisionContext,
      why: string
    ) => Effect.Effect<PermissionOutcome>
  }
>() {
  /** No model is there: denies. */
  static readonly layerNone: Layer.Layer<LlmDecider> = Layer.succeed(this, {
    decide: (request, _, why) =>
      Effect.succeed(
        new Deny({
          message: `A reviewer would have to judge this ${request.tool} call, and none is there in this run. Go on without it, or reach the goal another way and say so in your answer.`,
          rationale: `llm: no model is configured (${why})`
        })
      )
  })
}
