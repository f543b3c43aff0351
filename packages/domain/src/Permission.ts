/** One tool call that the agent wants to make, what was answered, and the record that is kept of it. */
import * as Schema from "effect/Schema"
import { GoalId } from "./Goal.js"
import { key, OpenRecord, optional, tag, WireTime } from "./Wire.js"

/** A tool's arguments, as the agent sent them: whatever the agent's tool wants. */
export const ToolInput = OpenRecord
export type ToolInput = typeof ToolInput.Type

export class PermissionRequest extends Schema.Class<PermissionRequest>("PermissionRequest")({
  goalId: key(GoalId, "goal_id"),
  /** The turn in which it is asked, from 1. */
  turn: Schema.NonNegativeInt,
  /** Absolute path of the goal's workspace. */
  workspace: Schema.String,
  /** The agent's own name of the tool: `Write`, `Bash`, … */
  tool: Schema.String,
  input: ToolInput,
  /** Joins the request with the agent's event of the same tool call. */
  toolUseId: optional(Schema.String, "tool_use_id"),
  /** Set when a subagent asks, where the backend says so. */
  agentId: optional(Schema.String, "agent_id"),
  /** Warnings of advisors, oldest first. */
  advisories: Schema.Array(Schema.String)
}) {}

/** Runs this call. `updatedInput` only when the input was changed. */
export class AllowOnce extends Schema.Class<AllowOnce>("AllowOnce")({
  _tag: tag("AllowOnce", "allow_once"),
  updatedInput: optional(ToolInput, "updated_input"),
  rationale: Schema.String
}) {}

/** Runs this call and the same tool with the same input again, for the turn or the session. */
export class AllowSession extends Schema.Class<AllowSession>("AllowSession")({
  _tag: tag("AllowSession", "allow_session"),
  scope: Schema.Literal("turn", "session"),
  updatedInput: optional(ToolInput, "updated_input"),
  rationale: Schema.String
}) {}

/** Refuses. The agent reads `message`: it says what to do instead. */
export class Deny extends Schema.Class<Deny>("Deny")({
  _tag: tag("Deny", "deny"),
  message: Schema.NonEmptyString,
  rationale: Schema.String
}) {}

/** Nobody could decide. The call is refused. */
export class Unavailable extends Schema.Class<Unavailable>("Unavailable")({
  _tag: tag("Unavailable", "unavailable"),
  reason: Schema.String
}) {}

/** The question was withdrawn: the turn or the goal ended meanwhile. The call is refused. */
export class PermissionCancelled extends Schema.Class<PermissionCancelled>("PermissionCancelled")({
  _tag: tag("Cancelled", "cancelled")
}) {}

export const PermissionOutcome = Schema.Union(AllowOnce, AllowSession, Deny, Unavailable, PermissionCancelled)
export type PermissionOutcome = typeof PermissionOutcome.Type

export const isAllowed = (outcome: PermissionOutcome): outcome is AllowOnce | AllowSession =>
  outcome._tag === "AllowOnce" || outcome._tag === "AllowSession"

export class ChoiceAllow extends Schema.Class<ChoiceAllow>("ChoiceAllow")({ _tag: tag("Allow", "allow") }) {}
export class ChoiceDeny extends Schema.Class<ChoiceDeny>("ChoiceDeny")({
  _tag: tag("Deny", "deny"),
  message: Schema.String
}) {}
/** Recorded, not enforced: what a shadow decider would have said. */
export class ChoiceObserve extends Schema.Class<ChoiceObserve>("ChoiceObserve")({
  _tag: tag("Observe", "observe"),
  note: Schema.String
}) {}
export const DecisionChoice = Schema.Union(ChoiceAllow, ChoiceDeny, ChoiceObserve)
export type DecisionChoice = typeof DecisionChoice.Type

/** A UUID, minted by the gate. */
export const DecisionId = Schema.UUID.pipe(Schema.brand("@driver/DecisionId"))
export type DecisionId = typeof DecisionId.Type

/** The record of one answered tool call. */
export class Decision extends Schema.Class<Decision>("Decision")({
  id: DecisionId,
  goalId: key(GoalId, "goal_id"),
  turn: Schema.NonNegativeInt,
  tool: Schema.String,
  input: ToolInput,
  choice: DecisionChoice,
  /** Which rule or decider said so, and why. */
  rationale: Schema.String,
  decidedAt: key(WireTime, "decided_at")
}) {}
