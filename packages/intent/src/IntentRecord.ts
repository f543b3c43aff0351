/**
 * The journal of one intent: a record at each boundary between two phases, written
 * before the next phase begins. An intent goes on from its records, and what a record
 * holds is neither asked nor run again.
 *
 * A record that was ever written must be readable for ever: fields are only added,
 * with defaults.
 */
import { Goal } from "@driver/domain/Goal"
import { key, optional, tag, WireTime, withDefault } from "@driver/domain/Wire"
import * as Schema from "effect/Schema"
import {
  Answer,
  Assessment,
  Degradation,
  Directive,
  IntentContext,
  IntentId,
  ModelCall,
  Question,
  ReviewVerdict
} from "./Directive.js"
import { ExecEnv } from "./ExecEnv.js"
import { Complaint, GoalResult } from "./GoalExecutor.js"
import { IntentResponse } from "./IntentResponse.js"

/** Questions that wait for their answers, and what they were asked about. */
export class OpenClarification extends Schema.Class<OpenClarification>("OpenClarification")({
  /** The request so far, verbatim, with the answers of earlier rounds. */
  request: Schema.String,
  questions: Schema.NonEmptyArray(Question),
  /** From 1. */
  round: Schema.Int.pipe(Schema.positive())
}) {}

const paid = {
  calls: withDefault(Schema.Array(ModelCall), "calls", () => []),
  degradations: withDefault(Schema.Array(Degradation), "degradations", () => [])
}

/** The message has arrived: the first record of every intent. */
export class Received extends Schema.Class<Received>("Received")({
  _tag: tag("Received", "received"),
  /** Verbatim. */
  message: Schema.String,
  answers: withDefault(Schema.Array(Answer), "answers", () => []),
  context: IntentContext,
  /** What the session waited for when the message came. */
  open: optional(OpenClarification, "open"),
  /** False: nobody is there to answer questions, so assumptions are made. */
  canAsk: withDefault(Schema.Boolean, "can_ask", () => true),
  /** Further runs after a review that failed with gaps. */
  maxRetries: withDefault(Schema.NonNegativeInt, "max_retries", () => 1)
}) {}

export class Assessed extends Schema.Class<Assessed>("Assessed")({
  _tag: tag("Assessed", "assessed"),
  assessment: Assessment,
  /** What is asked, after answers were added or an older request was dropped. */
  request: Schema.String,
  /** Whether the message answered what the session waited for. */
  followUp: key(Schema.Literal("none", "answer", "new_topic"), "follow_up"),
  /** Questions that nobody could be asked. */
  unasked: withDefault(Schema.Array(Question), "unasked", () => []),
  ...paid
}) {}

export class Crystallized extends Schema.Class<Crystallized>("Crystallized")({
  _tag: tag("Crystallized", "crystallized"),
  directive: Directive,
  ...paid
}) {}

export class EnvironmentResolved extends Schema.Class<EnvironmentResolved>("EnvironmentResolved")({
  _tag: tag("EnvironmentResolved", "environment_resolved"),
  env: ExecEnv
}) {}

/** The goal is refused and the directive goes back with the complaints, once. */
export class GoalRefused extends Schema.Class<GoalRefused>("GoalRefused")({
  _tag: tag("GoalRefused", "goal_refused"),
  goal: Goal,
  complaints: Schema.Array(Complaint)
}) {}

/** The goal is as it will be run. */
export class GoalChecked extends Schema.Class<GoalChecked>("GoalChecked")({
  _tag: tag("GoalChecked", "goal_checked"),
  goal: Goal,
  /** Without the criteria that were refused. */
  directive: Directive,
  ...paid
}) {}

/** Written before the goal is run: after a crash the same goal is asked for again. */
export class RunStarted extends Schema.Class<RunStarted>("RunStarted")({
  _tag: tag("RunStarted", "run_started"),
  goal: Goal,
  /** `first`: as checked. `gaps`: after a review. `recovery`: after a failure of the run. */
  because: Schema.Literal("first", "gaps", "recovery")
}) {}

export class RunEnded extends Schema.Class<RunEnded>("RunEnded")({
  _tag: tag("RunEnded", "run_ended"),
  result: GoalResult
}) {}

/** Of the last run. */
export class Reviewed extends Schema.Class<Reviewed>("Reviewed")({
  _tag: tag("Reviewed", "reviewed"),
  verdict: ReviewVerdict,
  ...paid
}) {}

/** Somebody goes on with the intent: whoever had it before finds the place taken, and stops. */
export class Resumed extends Schema.Class<Resumed>("Resumed")({ _tag: tag("Resumed", "resumed") }) {}

/** The last record, unless it is `Abandoned`. */
export class Finished extends Schema.Class<Finished>("Finished")({
  _tag: tag("Finished", "finished"),
  response: IntentResponse
}) {}

/** Nobody wants the intent any more. */
export class Abandoned extends Schema.Class<Abandoned>("Abandoned")({
  _tag: tag("Abandoned", "abandoned"),
  reason: Schema.String
}) {}

export const IntentRecord = Schema.Union(
  Received,
  Assessed,
  Crystallized,
  EnvironmentResolved,
  GoalRefused,
  GoalChecked,
  RunStarted,
  RunEnded,
  Reviewed,
  Resumed,
  Finished,
  Abandoned
)
export type IntentRecord = typeof IntentRecord.Type

/** A record with its place in the journal. */
export class StoredIntentRecord extends Schema.Class<StoredIntentRecord>("StoredIntentRecord")({
  /** Of this form. A reader refuses a newer one. */
  version: Schema.Literal(1).pipe(
    Schema.propertySignature,
    Schema.withConstructorDefault(() => 1 as const)
  ),
  intentId: key(IntentId, "intent_id"),
  /** From 0, without gaps. */
  sequence: Schema.NonNegativeInt,
  at: WireTime,
  record: IntentRecord
}) {
  static readonly FromJson = Schema.parseJson(StoredIntentRecord)
}
