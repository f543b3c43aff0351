/** A tool call that a person is asked about, and what the person says. */
import * as Schema from "effect/Schema"
import { GoalId } from "./Goal.js"
import { ToolInput } from "./Permission.js"
import { key, optional, tag, WireTime } from "./Wire.js"

/** A UUID, minted by whoever asks. People name it by its beginning. */
export const ApprovalId = Schema.UUID.pipe(Schema.brand("@driver/ApprovalId"))
export type ApprovalId = typeof ApprovalId.Type

export class ApprovalQuestion extends Schema.Class<ApprovalQuestion>("ApprovalQuestion")({
  id: ApprovalId,
  goalId: key(GoalId, "goal_id"),
  turn: Schema.NonNegativeInt,
  tool: Schema.String,
  /** As the agent sent it, redacted. */
  input: ToolInput,
  /** Who handed the question on to a person, and for what reason. */
  why: Schema.String,
  /** Warnings of advisors, oldest first. */
  advisories: Schema.Array(Schema.String),
  askedAt: key(WireTime, "asked_at"),
  /** From then on nobody can answer it any more, and the call is denied. */
  expiresAt: key(WireTime, "expires_at")
}) {}

export class Approve extends Schema.Class<Approve>("Approve")({
  _tag: tag("Approve", "approve"),
  /** `session`: the same tool with the same input is not asked about again in this session. */
  scope: Schema.Literal("once", "session")
}) {}

export class Reject extends Schema.Class<Reject>("Reject")({
  _tag: tag("Reject", "reject"),
  /** What the agent reads: what to do instead. */
  message: optional(Schema.NonEmptyTrimmedString, "message")
}) {}

export const ApprovalAnswer = Schema.Union(Approve, Reject)
export type ApprovalAnswer = typeof ApprovalAnswer.Type

/** How a question ended. */
export const ApprovalEnd = Schema.Literal("approved", "approved_for_session", "denied", "timed_out", "withdrawn")
export type ApprovalEnd = typeof ApprovalEnd.Type
