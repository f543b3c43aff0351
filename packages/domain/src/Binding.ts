/** Which agent session and workspace serve a goal: durable, so that a restart finds them again. */
import * as Schema from "effect/Schema"
import { GoalId } from "./Goal.js"
import { key, optional, WireTime } from "./Wire.js"

/** The agent program's own id of its conversation. Opaque: claude's is a UUID, others differ. */
export const SessionId = Schema.NonEmptyString.pipe(Schema.brand("@driver/SessionId"))
export type SessionId = typeof SessionId.Type

export class Binding extends Schema.Class<Binding>("Binding")({
  goalId: key(GoalId, "goal_id"),
  sessionId: key(SessionId, "session_id"),
  model: optional(Schema.String, "model"),
  /** Absolute path. */
  workspace: Schema.String,
  originChannel: optional(Schema.String, "origin_channel"),
  dispatcher: optional(Schema.String, "dispatcher"),
  /** False: kept for forensics, never resumed. */
  live: Schema.Boolean,
  /** Why it is not live. */
  invalidReason: optional(Schema.String, "invalid_reason"),
  createdAt: key(WireTime, "created_at"),
  updatedAt: key(WireTime, "updated_at"),
  lastActiveAt: key(WireTime, "last_active_at")
}) {}
