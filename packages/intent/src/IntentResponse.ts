/** What becomes of a message: the answers of the intent path, and what they cost. */

import { Goal } from "@driver/domain/Goal"
import { Usage } from "@driver/domain/Usage"
import { key, optional, tag, Usd, withDefault } from "@driver/domain/Wire"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import {
  Assumption,
  Degradation,
  Directive,
  IntentId,
  IntentSessionId,
  ModelCall,
  Question,
  ReviewVerdict,
  Scope
} from "./Directive.js"
import { ExecEnv } from "./ExecEnv.js"
import { GoalResult } from "./GoalExecutor.js"

/** The ledger of one intent. */
export class IntentCost extends Schema.Class<IntentCost>("IntentCost")({
  /** Every question to the model for this intent, oldest first. */
  modelCalls: key(Schema.Array(ModelCall), "model_calls"),
  /** What each run of a goal used, oldest first; also of the run whose result was not taken. */
  runs: Schema.Array(Usage),
  /** US dollars that are known: a lower bound while `complete` is false. */
  knownCostUsd: key(Usd, "known_cost_usd"),
  /** False as soon as the cost of one call or one run is not known. */
  complete: Schema.Boolean
}) {}

const common = {
  intentId: key(IntentId, "intent_id"),
  sessionId: key(IntentSessionId, "session_id"),
  /** What was done with less than it should have been: shown to whoever asked. */
  degradations: withDefault(Schema.Array(Degradation), "degradations", () => []),
  cost: IntentCost
}

/** An answer, and nothing was run. */
export class Reply extends Schema.Class<Reply>("Reply")({
  _tag: tag("Reply", "reply"),
  ...common,
  text: Schema.NonEmptyTrimmedString
}) {}

/** The intent waits for answers: the next message of the session, or `answers` with it. */
export class ClarifyResponse extends Schema.Class<ClarifyResponse>("ClarifyResponse")({
  _tag: tag("ClarifyResponse", "clarify"),
  ...common,
  questions: Schema.NonEmptyArray(Question),
  /** What the questions are about: the request so far, verbatim, with the answers of earlier rounds. */
  request: Schema.String,
  /** From 1. */
  round: Schema.Int.pipe(Schema.positive())
}) {}

/** What would be run. It is run by `Intent.resume`, and forgotten by `Intent.abandon`. */
export class Plan extends Schema.Class<Plan>("Plan")({
  _tag: tag("Plan", "plan"),
  ...common,
  scope: Scope,
  directive: Directive,
  env: ExecEnv,
  goal: Goal,
  assumptions: Schema.Array(Assumption)
}) {}

/** The better result of what was run, with its own verdict. */
export class TaskResult extends Schema.Class<TaskResult>("TaskResult")({
  _tag: tag("TaskResult", "task_result"),
  ...common,
  scope: Scope,
  directive: Directive,
  env: ExecEnv,
  result: GoalResult,
  /** Of this result. Absent for a trivial task. */
  verdict: optional(ReviewVerdict, "verdict"),
  /** The verdict's. Absent for a trivial task. */
  passed: optional(Schema.Boolean, "passed"),
  assumptions: Schema.Array(Assumption),
  /** How often a goal was run for it. */
  runs: Schema.Int.pipe(Schema.positive())
}) {}

export const IntentResponse = Schema.Union(Reply, ClarifyResponse, Plan, TaskResult)
export type IntentResponse = typeof IntentResponse.Type

/** Whether the work was accepted: by the review, or where there is none by the goal loop. */
export const isAccepted = (result: TaskResult): boolean =>
  result.result.outcome.outcome._tag === "Done" && Option.getOrElse(result.passed, () => true)

/** Adds up what is known; one unknown part makes the total a lower bound. */
export const costOf = (modelCalls: ReadonlyArray<ModelCall>, runs: ReadonlyArray<Usage>): IntentCost =>
  new IntentCost({
    modelCalls,
    runs,
    knownCostUsd:
      modelCalls.reduce((sum, call) => sum + Option.getOrElse(call.costUsd, () => 0), 0) +
      runs.reduce((sum, usage) => sum + usage.costUsd, 0),
    complete: modelCalls.every((call) => Option.isSome(call.costUsd)) && runs.every((usage) => usage.costComplete)
  })
