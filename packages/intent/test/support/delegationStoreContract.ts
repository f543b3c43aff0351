/** What every `DelegationStore` and every `GoalResults` does: run on memory here, on databases where their layers are. */
import { DelegationPlan, Subtask, SubtaskId, SubtaskResult } from "@driver/intent/DelegationPlan"
import { DelegationStore } from "@driver/intent/DelegationStore"
import { GoalResults } from "@driver/intent/GoalResults"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, Option } from "effect"
import { goalIdOf, resultOf } from "./values.js"

const part = (id: string, description = "Do it") => new Subtask({ id: SubtaskId.make(id), description })

const ended = (id: string, success: boolean, result = "") =>
  new SubtaskResult({ id: SubtaskId.make(id), role: "worker", success, result, run: Option.some(resultOf()) })

/** `layer` gives empty stores with every build. */
export const delegationStoreContract = <E>(
  name: string,
  layer: () => Layer.Layer<DelegationStore | GoalResults, E>,
  options: { readonly available?: boolean } = {}
): unknown =>
  describe.skipIf(options.available === false)(`DelegationStore on ${name}`, () => {
    it.effect("keeps the first plan of a goal", () =>
      Effect.gen(function* () {
        const store = yield* DelegationStore
        assert.deepStrictEqual(yield* store.plan(goalIdOf(1)), Option.none())
        const first = new DelegationPlan({ subtasks: [part("a", "Zażółć 🏪\n\u0000"), part("b")] })
        assert.deepStrictEqual(yield* store.savePlan(goalIdOf(1), first), first)
        assert.deepStrictEqual(yield* store.savePlan(goalIdOf(1), new DelegationPlan({ subtasks: [] })), first)
        assert.deepStrictEqual(yield* store.plan(goalIdOf(1)), Option.some(first))
        assert.deepStrictEqual(yield* store.plan(goalIdOf(2)), Option.none())
      }).pipe(Effect.provide(layer()))
    )

    it.effect("keeps the first result of each part, in the order in which they came", () =>
      Effect.gen(function* () {
        const store = yield* DelegationStore
        const b = ended("b", false, "no \ud800")
        yield* store.saveResult(goalIdOf(1), b)
        yield* store.saveResult(goalIdOf(1), ended("a", true))
        yield* store.saveResult(goalIdOf(1), ended("b", true, "after all"))
        yield* store.saveResult(goalIdOf(2), ended("c", true))
        assert.deepStrictEqual(yield* store.results(goalIdOf(1)), [b, ended("a", true)])
        assert.deepStrictEqual(yield* store.results(goalIdOf(3)), [])
      }).pipe(Effect.provide(layer()))
    )

    it.effect("keeps the first result of a goal", () =>
      Effect.gen(function* () {
        const results = yield* GoalResults
        const first = resultOf({ diff: "+ü", acceptance: [{ passed: true }], finalText: "fertig" })
        assert.deepStrictEqual(yield* results.get(goalIdOf(1)), Option.none())
        yield* results.save(goalIdOf(1), first)
        yield* results.save(goalIdOf(1), resultOf({ ended: "escalated" }))
        assert.deepStrictEqual(yield* results.get(goalIdOf(1)), Option.some(first))
      }).pipe(Effect.provide(layer()))
    )
  })
