/**
 * A `GoalExecutor` that divides a goal where that is of use, and runs it as one
 * otherwise. Whoever asks it cannot tell: there is one result, with the usage of all
 * runs, and it is reviewed like any other.
 */
import type { Goal } from "@driver/domain/Goal"
import { GoalOutcome } from "@driver/domain/Outcome"
import { charge } from "@driver/domain/Usage"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Delegation } from "./Delegation.js"
import { DelegationPlanner, type Spent } from "./DelegationPlanner.js"
import { DelegationStore } from "./DelegationStore.js"
import { ExecutionError, GoalExecutor, GoalResult } from "./GoalExecutor.js"
import type { IntentStoreError } from "./IntentStore.js"
import { RemoteAgents } from "./RemoteAgents.js"

/** The executor that it needs runs one goal here. */
export const layer: Layer.Layer<
  GoalExecutor,
  never,
  GoalExecutor | Delegation | DelegationPlanner | DelegationStore | RemoteAgents
> = Layer.effect(
  GoalExecutor,
  Effect.gen(function* () {
    const inner = yield* GoalExecutor
    const delegation = yield* Delegation
    const planner = yield* DelegationPlanner
    const store = yield* DelegationStore
    const { agents } = yield* RemoteAgents
    const capabilities = [...new Set(agents.flatMap((it) => it.capabilities))]

    const decide = Effect.fnUntraced(function* (goal: Goal) {
      const { plan, problem, spent } = yield* planner.plan(goal, capabilities)
      if (Option.isSome(problem)) yield* Effect.logWarning(`The goal is run as one: ${problem.value}`)
      return { plan: yield* store.savePlan(goal.id, plan).pipe(Effect.mapError(storeFailed)), spent }
    })

    return {
      run: Effect.fn("DelegatingExecutor.run")(function* (goal, env, options) {
        // What is left to do after a review is one piece of work.
        if (Option.isSome(options.previous)) return yield* inner.run(goal, env, options)
        const known = yield* store.plan(goal.id).pipe(Effect.mapError(storeFailed))
        const { plan, spent } = Option.isSome(known)
          ? { plan: known.value, spent: Option.none<Spent>() }
          : yield* decide(goal)
        if (plan.subtasks.length === 0) return charged(yield* inner.run(goal, env, options), spent)
        const { result } = yield* delegation.run(goal, plan, env).pipe(
          Effect.catchTags({
            PlanError: (error) => new ExecutionError({ class: "unknown", detail: error.message }),
            IntentStoreError: (error) => storeFailed(error)
          })
        )
        return charged(result, spent)
      })
    }
  })
)

const storeFailed = (error: IntentStoreError): ExecutionError =>
  new ExecutionError({ class: error.retryable ? "transient" : "unknown", detail: error.message })

/** With what the question for a plan took. */
const charged = (result: GoalResult, spent: Option.Option<Spent>): GoalResult =>
  Option.match(spent, {
    onNone: () => result,
    onSome: ({ costUsd, tokens }) =>
      new GoalResult({
        ...result,
        outcome: new GoalOutcome({ ...result.outcome, usage: charge(result.outcome.usage, tokens, costUsd) })
      })
  })
