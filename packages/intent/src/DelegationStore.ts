/** What has been decided and done of goals in parts: a driver that is started again goes on with the same plan. */
import type { GoalId } from "@driver/domain/Goal"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type { DelegationPlan, SubtaskResult } from "./DelegationPlan.js"
import type { IntentStoreError } from "./IntentStore.js"

export class DelegationStore extends Context.Tag("@driver/intent/DelegationStore")<
  DelegationStore,
  {
    /** How the goal is divided; a plan without parts says that it is not. None: nobody has decided. */
    readonly plan: (goalId: GoalId) => Effect.Effect<Option.Option<DelegationPlan>, IntentStoreError>
    /** The first plan of a goal stays: resolves with it. */
    readonly savePlan: (goalId: GoalId, plan: DelegationPlan) => Effect.Effect<DelegationPlan, IntentStoreError>
    /** Of the parts that have ended, in the order in which they did. */
    readonly results: (goalId: GoalId) => Effect.Effect<ReadonlyArray<SubtaskResult>, IntentStoreError>
    /** The first result of a part stays. */
    readonly saveResult: (goalId: GoalId, result: SubtaskResult) => Effect.Effect<void, IntentStoreError>
  }
>() {
  /** Forgets everything with its scope. */
  static readonly layerMemory: Layer.Layer<DelegationStore> = Layer.effect(
    this,
    Effect.map(Ref.make(HashMap.empty<GoalId, Entry>()), makeMemory)
  )
}

interface Entry {
  readonly plan: Option.Option<DelegationPlan>
  readonly results: ReadonlyArray<SubtaskResult>
}

function makeMemory(entries: Ref.Ref<HashMap.HashMap<GoalId, Entry>>): DelegationStore["Type"] {
  const entryOf = (all: HashMap.HashMap<GoalId, Entry>, goalId: GoalId): Entry =>
    Option.getOrElse(HashMap.get(all, goalId), () => ({ plan: Option.none(), results: [] }))
  return {
    plan: (goalId) => Effect.map(Ref.get(entries), (all) => entryOf(all, goalId).plan),
    savePlan: (goalId, plan) =>
      Ref.modify(entries, (all) => {
        const entry = entryOf(all, goalId)
        const kept = Option.getOrElse(entry.plan, () => plan)
        return [kept, HashMap.set(all, goalId, { ...entry, plan: Option.some(kept) })]
      }),
    results: (goalId) => Effect.map(Ref.get(entries), (all) => entryOf(all, goalId).results),
    saveResult: (goalId, result) =>
      Ref.update(entries, (all) => {
        const entry = entryOf(all, goalId)
        return entry.results.some(({ id }) => id === result.id)
          ? all
          : HashMap.set(all, goalId, { ...entry, results: [...entry.results, result] })
      })
  }
}
