import { DelegationPlan, Subtask, SubtaskId, SubtaskResult } from "@driver/intent/DelegationPlan"
import { DelegationStore } from "@driver/intent/DelegationStore"
import { GoalResults } from "@driver/intent/GoalResults"
import { assert, describe, it } from "@effect/vitest"
import { Layer, Option, Schema } from "effect"
import { delegationStoreContract } from "./support/delegationStoreContract.js"

delegationStoreContract("memory", () => Layer.merge(DelegationStore.layerMemory, GoalResults.layerMemory))

describe("what was once written of parts", () => {
  it("is read for ever: a plan", () => {
    const line =
      '{"subtasks":[{"id":"api","description":"Build the API","role":"worker","capability":"backend","depends_on":[],"criteria":[0,2]},{"id":"join","description":"Join it","role":"manager","depends_on":["api"],"criteria":[]}]}'
    const plan = new DelegationPlan({
      subtasks: [
        new Subtask({
          id: SubtaskId.make("api"),
          description: "Build the API",
          capability: Option.some("backend"),
          criteria: [0, 2]
        }),
        new Subtask({
          id: SubtaskId.make("join"),
          description: "Join it",
          role: "manager",
          dependsOn: [SubtaskId.make("api")]
        })
      ]
    })
    assert.deepStrictEqual(Schema.decodeSync(DelegationPlan.FromJson)(line), plan)
    assert.strictEqual(Schema.encodeSync(DelegationPlan.FromJson)(plan), line)
  })

  it("is read for ever: what came of a part", () => {
    const line =
      '{"id":"api","role":"worker","capability":"backend","success":true,"result":"done","agent":"rita","skipped":false,"fallback":"away","branch":"work/api"}'
    const result = new SubtaskResult({
      id: SubtaskId.make("api"),
      role: "worker",
      capability: Option.some("backend"),
      success: true,
      result: "done",
      agent: Option.some("rita"),
      fallback: Option.some("away"),
      branch: Option.some("work/api")
    })
    assert.deepStrictEqual(Schema.decodeSync(SubtaskResult.FromJson)(line), result)
    assert.strictEqual(Schema.encodeSync(SubtaskResult.FromJson)(result), line)
  })
})
