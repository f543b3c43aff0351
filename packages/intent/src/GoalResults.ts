/** The results of goals that have ended: whoever asks for the same goal again, after a crash, gets the one it had. */
import type { GoalId } from "@driver/domain/Goal"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type { GoalResult } from "./GoalExecutor.js"
import type { IntentStoreError } from "./IntentStore.js"

export class GoalResults extends Context.Tag("@driver/intent/GoalResults")<
  GoalResults,
  {
    readonly get: (goalId: GoalId) => Effect.Effect<Option.Option<GoalResult>, IntentStoreError>
    /** The first result of a goal stays. */
    readonly save: (goalId: GoalId, result: GoalResult) => Effect.Effect<void, IntentStoreError>
  }
>() {
  /** Forgets everything with its scope. */
  static readonly layerMemory: Layer.Layer<GoalResults> = Layer.effect(
    this,
    Effect.map(Ref.make(HashMap.empty<GoalId, GoalResult>()), (results) => ({
      get: (goalId) => Effect.map(Ref.get(results), HashMap.get(goalId)),
      save: (goalId, result) =>
        Ref.update(results, (all) => (HashMap.has(all, goalId) ? all : HashMap.set(all, goalId, result)))
    }))
  )
}
