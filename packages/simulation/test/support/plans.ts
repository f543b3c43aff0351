/** Plans written by hand: what a test does not say has a plain default. */
import * as Option from "effect/Option"
import * as Plan from "../../src/Plan.js"

export const plannedGoal = (fields: Partial<Omit<Plan.PlannedGoal, "_tag">> = {}) =>
  Plan.Item.Goal({
    goal: 0,
    need: 2,
    pace: 1,
    criteria: 1,
    maxTurns: 12,
    maxTokens: 5_000_000,
    maxWallMinutes: 600,
    maxCostUsd: Option.none(),
    startsAfter: 0,
    appetite: 9_000,
    seed: 7,
    ...fields
  })

export const planWith = (items: ReadonlyArray<Plan.Item>, fields: Partial<Plan.Plan> = {}): Plan.Plan => ({
  seed: 42,
  crashesOnly: false,
  shuffle: false,
  maxOps: 2_048,
  sameMachine: true,
  items,
  ...fields
})
