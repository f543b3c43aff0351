/**
 * The errors of the API as they are sent: `_tag` names the error, `message` is the
 * sentence for people, the other fields are for programs. What the API's client
 * decodes is the same class, with the same message, as on the other side.
 */
import { GoalId } from "@driver/domain/Goal"
import { key } from "@driver/domain/Wire"
import {
  AmbiguousGoal,
  DriverTrouble,
  NotPossible,
  SubmitRefused,
  UnknownApproval,
  UnknownGoal
} from "@driver/runtime/Goals"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as Schema from "effect/Schema"

/** 404 */
export const UnknownGoalOnWire = Schema.transform(
  Schema.Struct({ _tag: Schema.Literal("UnknownGoal"), name: Schema.String, message: Schema.String }),
  Schema.typeSchema(UnknownGoal),
  {
    strict: true,
    decode: ({ name }) => new UnknownGoal({ name }),
    encode: ({ message, name }) => ({ _tag: "UnknownGoal" as const, name, message })
  }
).annotations(HttpApiSchema.annotations({ status: 404 }))

/** 409 */
export const AmbiguousGoalOnWire = Schema.transform(
  Schema.Struct({
    _tag: Schema.Literal("AmbiguousGoal"),
    name: Schema.String,
    candidates: Schema.Array(GoalId),
    message: Schema.String
  }),
  Schema.typeSchema(AmbiguousGoal),
  {
    strict: true,
    decode: ({ candidates, name }) => new AmbiguousGoal({ name, candidates }),
    encode: ({ candidates, message, name }) => ({ _tag: "AmbiguousGoal" as const, name, candidates, message })
  }
).annotations(HttpApiSchema.annotations({ status: 409 }))

/** 422 */
export const SubmitRefusedOnWire = Schema.transform(
  Schema.Struct({
    _tag: Schema.Literal("SubmitRefused"),
    reason: SubmitRefused.fields.reason,
    message: Schema.String
  }),
  Schema.typeSchema(SubmitRefused),
  {
    strict: true,
    decode: ({ message, reason }) => new SubmitRefused({ reason, detail: message }),
    encode: ({ detail, reason }) => ({ _tag: "SubmitRefused" as const, reason, message: detail })
  }
).annotations(HttpApiSchema.annotations({ status: 422 }))

/** 409 */
export const NotPossibleOnWire = Schema.transform(
  Schema.Struct({ _tag: Schema.Literal("NotPossible"), goalId: key(GoalId, "goal_id"), message: Schema.String }),
  Schema.typeSchema(NotPossible),
  {
    strict: true,
    decode: ({ goalId, message }) => new NotPossible({ goalId, detail: message }),
    encode: ({ detail, goalId }) => ({ _tag: "NotPossible" as const, goalId, message: detail })
  }
).annotations(HttpApiSchema.annotations({ status: 409 }))

/** 503 */
export const DriverTroubleOnWire = Schema.transform(
  Schema.Struct({ _tag: Schema.Literal("DriverTrouble"), message: Schema.String }),
  Schema.typeSchema(DriverTrouble),
  {
    strict: true,
    decode: ({ message }) => new DriverTrouble({ detail: message }),
    encode: ({ detail }) => ({ _tag: "DriverTrouble" as const, message: detail })
  }
).annotations(HttpApiSchema.annotations({ status: 503 }))

/** 404 */
export const UnknownApprovalOnWire = Schema.transform(
  Schema.Struct({ _tag: Schema.Literal("UnknownApproval"), message: Schema.String }),
  Schema.typeSchema(UnknownApproval),
  {
    strict: true,
    decode: ({ message }) => new UnknownApproval({ detail: message }),
    encode: ({ detail }) => ({ _tag: "UnknownApproval" as const, message: detail })
  }
).annotations(HttpApiSchema.annotations({ status: 404 }))

/** What ends a stream of events, in an `error` frame. */
export const StreamError = Schema.Union(UnknownGoalOnWire, NotPossibleOnWire, DriverTroubleOnWire)

/** The token is missing or is not the daemon's. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()(
  "Unauthorized",
  { message: Schema.String },
  HttpApiSchema.annotations({ status: 401 })
) {}

/** The request names another host, or comes from a page of another one: a browser was made to send it. */
export class Forbidden extends Schema.TaggedError<Forbidden>()(
  "Forbidden",
  { message: Schema.String },
  HttpApiSchema.annotations({ status: 403 })
) {}

/** The body is larger than the daemon reads. */
export class BodyTooLarge extends Schema.TaggedError<BodyTooLarge>()(
  "BodyTooLarge",
  { message: Schema.String },
  HttpApiSchema.annotations({ status: 413 })
) {}

/** There is no such endpoint. */
export class UnknownPath extends Schema.TaggedError<UnknownPath>()(
  "UnknownPath",
  { message: Schema.String },
  HttpApiSchema.annotations({ status: 404 })
) {}

/** The daemon has a bug: its log says more. */
export class InternalError extends Schema.TaggedError<InternalError>()(
  "InternalError",
  { message: Schema.String },
  HttpApiSchema.annotations({ status: 500 })
) {}
