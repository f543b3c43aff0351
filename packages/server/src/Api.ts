/**
 * The daemon's HTTP API: what can be asked, with what, and what is answered. Server
 * and client are made of this one value.
 *
 * A goal is named in a path by its id or by a unique beginning of it. JSON is in
 * snake_case, as in events and goal files; a key that is not known is refused.
 */
import { ApprovalQuestion } from "@driver/domain/Approval"
import { StoredEvent } from "@driver/domain/DriverEvent"
import { GoalId } from "@driver/domain/Goal"
import { key, optional, WireDuration, WireTime, withDefault } from "@driver/domain/Wire"
import { SteerMode } from "@driver/runtime/GoalStore"
import { GoalDetail, GoalSummary, SteerReceipt, Submission } from "@driver/runtime/Goals"
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Schema from "effect/Schema"
import {
  AmbiguousGoalOnWire,
  BodyTooLarge,
  DriverTroubleOnWire,
  Forbidden,
  InternalError,
  NotPossibleOnWire,
  SubmitRefusedOnWire,
  Unauthorized,
  UnknownApprovalOnWire,
  UnknownGoalOnWire,
  UnknownPath
} from "./ApiErrors.js"

/** Every mistake of a request is named, also a key that nobody knows. */
const strictly = { parseOptions: { errors: "all", onExcessProperty: "error" } } as const

/** Part of a path: the client escapes it, the server's router has read it back. */
const PathPart = Schema.transform(Schema.String, Schema.String, {
  strict: true,
  decode: (text) => text,
  encode: encodeURIComponent
})

const GoalPath = Schema.Struct({
  goal: PathPart.annotations({ description: "The goal's id, or a unique beginning of it (at least 4 characters)" })
})

const ApprovalPath = Schema.Struct({
  approval: PathPart.annotations({ description: "The question's id, or a unique beginning of it" })
})

const Sequence = Schema.NumberFromString.pipe(
  Schema.int(),
  Schema.nonNegative(),
  Schema.annotations({ jsonSchema: { type: "integer", minimum: 0 } })
)

const Flag = Schema.BooleanFromString.annotations({ jsonSchema: { type: "boolean" } })

/** `logs` answers with at most so many events when it is not told how many. */
export const defaultLogs = 1_000
export const maxLogs = 10_000

const ListParams = Schema.Struct({ all: Schema.optionalWith(Flag, { default: () => false }) })

export const EventsParams = Schema.Struct({
  after: Schema.optional(Sequence),
  follow: Schema.optionalWith(Flag, { default: () => true })
})

const LogsParams = Schema.Struct({
  after: Schema.optionalWith(Sequence, { default: () => 0 }),
  limit: Schema.optionalWith(
    Schema.NumberFromString.pipe(
      Schema.int(),
      Schema.between(1, maxLogs),
      Schema.annotations({ jsonSchema: { type: "integer", minimum: 1, maximum: maxLogs } })
    ),
    { default: () => defaultLogs }
  )
})

/** Which goal was meant. */
export class GoalNamed extends Schema.Class<GoalNamed>("GoalNamed")({ goalId: key(GoalId, "goal_id") }) {}

export class SubmitRequest extends Schema.Class<SubmitRequest>("SubmitRequest")({
  /** Taken all or none, so that they may depend on each other. */
  goals: Schema.Array(Submission)
}) {}

export class SteerRequest extends Schema.Class<SteerRequest>("SteerRequest")({
  message: Schema.NonEmptyTrimmedString,
  mode: withDefault(SteerMode, "mode", () => "queue" as const)
}) {}

/** Asked: at least so many turns. Answered: the limit now in force. */
export class TurnBudget extends Schema.Class<TurnBudget>("TurnBudget")({
  maxTurns: key(Schema.Int.pipe(Schema.positive()), "max_turns")
}) {}

/** Asked: the checkpoint to go back to. Answered: the one that undoes it. */
export class Checkpoint extends Schema.Class<Checkpoint>("Checkpoint")({ checkpoint: Schema.NonEmptyString }) {}

/** One sentence for people. */
export class Said extends Schema.Class<Said>("Said")({ summary: Schema.String }) {}

export class ApproveRequest extends Schema.Class<ApproveRequest>("ApproveRequest")({
  /** `session`: the same call is not asked about again in this session. */
  scope: withDefault(Schema.Literal("once", "session"), "scope", () => "once" as const)
}) {}

export class DenyRequest extends Schema.Class<DenyRequest>("DenyRequest")({
  /** What the agent reads: what to do instead. */
  message: optional(Schema.NonEmptyTrimmedString, "message")
}) {}

export class Health extends Schema.Class<Health>("Health")({
  version: Schema.String,
  pid: Schema.NonNegativeInt,
  startedAt: key(WireTime, "started_at"),
  uptime: WireDuration,
  goalsRunning: key(Schema.NonNegativeInt, "goals_running"),
  goalsQueued: key(Schema.NonNegativeInt, "goals_queued")
}) {}

const EventStream = Schema.String.pipe(
  HttpApiSchema.withEncoding({ kind: "Text", contentType: "text/event-stream" }),
  Schema.annotations({
    description:
      "Server-sent events: `id` is the event's sequence, `event` its kind, `data` a StoredEvent as JSON. After the last one comes `event: end`; when the goal cannot be read on, `event: error`"
  })
)

/** A verb on one goal. */
const verb = <const Name extends string>(name: Name) =>
  HttpApiEndpoint.post(name, `/goals/:goal/${name}`)
    .setPath(GoalPath)
    .addError(UnknownGoalOnWire)
    .addError(AmbiguousGoalOnWire)
    .addError(NotPossibleOnWire)

export class GoalsGroup extends HttpApiGroup.make("goals")
  .add(
    HttpApiEndpoint.post("submit", "/goals")
      .setPayload(SubmitRequest.annotations(strictly))
      .addSuccess(Schema.Array(GoalSummary), { status: 201 })
      .addError(SubmitRefusedOnWire)
      .annotate(OpenApi.Summary, "Take goals into the queue, all or none")
  )
  .add(
    HttpApiEndpoint.get("list", "/goals")
      .setUrlParams(ListParams)
      .addSuccess(Schema.Array(GoalSummary))
      .annotate(OpenApi.Summary, "The goals, without those that have ended unless `all`")
  )
  .add(
    HttpApiEndpoint.get("find", "/goals/:goal/id")
      .setPath(GoalPath)
      .addError(UnknownGoalOnWire)
      .addError(AmbiguousGoalOnWire)
      .addSuccess(GoalNamed)
      .annotate(OpenApi.Summary, "The goal whose id begins so")
  )
  .add(
    HttpApiEndpoint.get("show", "/goals/:goal")
      .setPath(GoalPath)
      .addError(UnknownGoalOnWire)
      .addError(AmbiguousGoalOnWire)
      .addError(NotPossibleOnWire)
      .addSuccess(GoalDetail)
      .annotate(OpenApi.Summary, "Everything about one goal")
  )
  .add(
    HttpApiEndpoint.get("events", "/goals/:goal/events")
      .setPath(GoalPath)
      .addError(UnknownGoalOnWire)
      .addError(AmbiguousGoalOnWire)
      .addError(NotPossibleOnWire)
      .setUrlParams(EventsParams)
      .setHeaders(Schema.Struct({ "last-event-id": Schema.optional(Schema.String) }))
      .addSuccess(EventStream)
      .annotate(
        OpenApi.Summary,
        "The goal's events after a sequence (`after`, or the header Last-Event-ID), those that are there and, unless `follow=false`, those to come"
      )
  )
  .add(
    HttpApiEndpoint.get("logs", "/goals/:goal/logs")
      .setPath(GoalPath)
      .addError(UnknownGoalOnWire)
      .addError(AmbiguousGoalOnWire)
      .addError(NotPossibleOnWire)
      .setUrlParams(LogsParams)
      .addSuccess(Schema.Array(StoredEvent))
      .annotate(OpenApi.Summary, "A page of the goal's events, oldest first")
  )
  .add(verb("pause").addSuccess(GoalNamed).annotate(OpenApi.Summary, "Hold the goal before its next step"))
  .add(verb("resume").addSuccess(GoalNamed).annotate(OpenApi.Summary, "Let a paused goal go on"))
  .add(verb("cancel").addSuccess(GoalNamed).annotate(OpenApi.Summary, "End the goal; answers when it has ended"))
  .add(verb("wake").addSuccess(GoalNamed).annotate(OpenApi.Summary, "End the goal's sleep"))
  .add(
    verb("steer")
      .setPayload(SteerRequest.annotations(strictly))
      .addSuccess(SteerReceipt)
      .annotate(OpenApi.Summary, "Say something to the agent: with its next prompt, now, or instead of the turn")
  )
  .add(
    verb("budget")
      .setPayload(TurnBudget.annotations(strictly))
      .addSuccess(TurnBudget)
      .annotate(OpenApi.Summary, "Raise the limit on turns; it is never lowered")
  )
  .add(
    verb("rollback")
      .setPayload(Checkpoint.annotations(strictly))
      .addSuccess(Checkpoint)
      .annotate(OpenApi.Summary, "Put the worktree back to a checkpoint")
  )
  .add(verb("deliver").addSuccess(Said).annotate(OpenApi.Summary, "Hand the work of a goal that has ended over"))
  .addError(DriverTroubleOnWire) {}

export class ApprovalsGroup extends HttpApiGroup.make("approvals")
  .add(
    HttpApiEndpoint.get("approvals", "/approvals")
      .addSuccess(Schema.Array(ApprovalQuestion))
      .annotate(OpenApi.Summary, "The questions that wait for a person")
  )
  .add(
    HttpApiEndpoint.post("approve", "/approvals/:approval/approve")
      .setPath(ApprovalPath)
      .addError(UnknownApprovalOnWire)
      .setPayload(ApproveRequest.annotations(strictly))
      .addSuccess(ApprovalQuestion)
      .annotate(OpenApi.Summary, "Allow the call, once or for the session")
  )
  .add(
    HttpApiEndpoint.post("deny", "/approvals/:approval/deny")
      .setPath(ApprovalPath)
      .addError(UnknownApprovalOnWire)
      .setPayload(DenyRequest.annotations(strictly))
      .addSuccess(ApprovalQuestion)
      .annotate(OpenApi.Summary, "Refuse the call, with what to do instead")
  )
  .addError(DriverTroubleOnWire) {}

export class DaemonGroup extends HttpApiGroup.make("daemon")
  .add(
    HttpApiEndpoint.get("health", "/health")
      .addSuccess(Health)
      .annotate(OpenApi.Summary, "Which daemon this is, and how busy")
  )
  .add(
    HttpApiEndpoint.post("shutdown", "/shutdown")
      .addSuccess(Said, { status: 202 })
      .annotate(OpenApi.Summary, "Stop the daemon; its goals go on when it is started again")
  )
  .addError(DriverTroubleOnWire) {}

export class Api extends HttpApi.make("driver")
  .add(GoalsGroup)
  .add(ApprovalsGroup)
  .add(DaemonGroup)
  .addError(Unauthorized)
  .addError(Forbidden)
  .addError(BodyTooLarge)
  .addError(UnknownPath)
  .addError(InternalError)
  .annotate(OpenApi.Title, "driver")
  .annotate(OpenApi.Version, "1")
  .annotate(OpenApi.Description, "Goals, and whoever operates them. Over TCP every request carries the daemon's token.")
  .annotate(OpenApi.Transform, (spec) => ({
    ...spec,
    components: { ...spec["components"], securitySchemes: { token: { type: "http", scheme: "bearer" } } },
    // On the unix socket the file's mode is the permission.
    security: [{ token: [] }, {}]
  })) {}
