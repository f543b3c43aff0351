/**
 * What an operator can do with goals: the one service behind the daemon's API and
 * the commands. All calls are idempotent; a goal that is not there is a typed error.
 */
import type { ApprovalQuestion } from "@driver/domain/Approval"
import type { StoredEvent } from "@driver/domain/DriverEvent"
import { Goal, GoalId } from "@driver/domain/Goal"
import { GoalOutcome } from "@driver/domain/Outcome"
import { Usage } from "@driver/domain/Usage"
import { AcceptanceVerdict } from "@driver/domain/Verdict"
import { key, optional, WireTime, withDefault } from "@driver/domain/Wire"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { SteerMode } from "./GoalStore.js"
import { GoalState } from "./GoalStore.js"

/** A goal to be run. */
export class Submission extends Schema.Class<Submission>("Submission")({
  goal: Goal,
  /** Absolute path of the repository or directory. */
  repository: Schema.String,
  /** Absolute path of the configuration; absent: found from the repository. */
  config: optional(Schema.String, "config"),
  priority: withDefault(Schema.Int, "priority", () => 0),
  dependsOn: withDefault(Schema.Array(GoalId), "depends_on", () => []),
  account: withDefault(Schema.String, "account", () => "default")
}) {}

/** A line of `driver list`. */
export class GoalSummary extends Schema.Class<GoalSummary>("GoalSummary")({
  goalId: key(GoalId, "goal_id"),
  description: Schema.String,
  state: GoalState,
  /** `Ready`, `Working`, `Compacting`, `Sleeping`, `Ended`; `Registered` before it starts; for people. */
  phase: Schema.String,
  paused: Schema.Boolean,
  priority: Schema.Int,
  repository: Schema.String,
  dependsOn: key(Schema.Array(GoalId), "depends_on"),
  turns: Schema.NonNegativeInt,
  maxTurns: key(Schema.NonNegativeInt, "max_turns"),
  usage: Usage,
  /** Messages of the operator that have not reached the agent. */
  queued: Schema.NonNegativeInt,
  /** What it waits for: a dependency, its turn, a usage limit, the end of a sleep. */
  waitsFor: optional(Schema.String, "waits_for"),
  submittedAt: key(WireTime, "submitted_at"),
  endedAt: optional(WireTime, "ended_at"),
  /** `accepted`, `cancelled`, … of a goal that has ended. */
  outcome: optional(GoalOutcome, "outcome")
}) {}

/** `driver show`. */
export class GoalDetail extends Schema.Class<GoalDetail>("GoalDetail")({
  summary: GoalSummary,
  goal: Goal,
  verdict: optional(AcceptanceVerdict, "verdict"),
  branch: optional(Schema.String, "branch"),
  worktree: optional(Schema.String, "worktree"),
  /** The last sequence of its journal. */
  head: Schema.NonNegativeInt,
  /** The driver that works on it. */
  owner: optional(Schema.String, "owner")
}) {}

/** No goal has this id, or none whose id begins so. */
export class UnknownGoal extends Schema.TaggedError<UnknownGoal>()("UnknownGoal", { name: Schema.String }) {
  override get message() {
    return `There is no goal whose id begins with ${JSON.stringify(this.name)}: \`driver list --all\` shows those there are`
  }
}

export class AmbiguousGoal extends Schema.TaggedError<AmbiguousGoal>()("AmbiguousGoal", {
  name: Schema.String,
  candidates: Schema.Array(GoalId)
}) {
  override get message() {
    return `${JSON.stringify(this.name)} is the beginning of several goals' ids, give more of it: ${this.candidates.join(", ")}`
  }
}

/** The goal cannot be taken: `detail` says why and what to do. Nothing was stored. */
export class SubmitRefused extends Schema.TaggedError<SubmitRefused>()("SubmitRefused", {
  reason: Schema.Literal("exists", "unknown_dependency", "cycle", "bad_repository", "bad_configuration"),
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

/** What was asked makes no sense in the state that the goal is in: `detail` says why. */
export class NotPossible extends Schema.TaggedError<NotPossible>()("NotPossible", {
  goalId: GoalId,
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

/** The store, the workspace or another part of the driver failed: `detail` says which and what to do. */
export class DriverTrouble extends Schema.TaggedError<DriverTrouble>()("DriverTrouble", { detail: Schema.String }) {
  override get message() {
    return this.detail
  }
}

export type GoalsError = UnknownGoal | NotPossible | DriverTrouble

/** How a message of the operator goes to the agent. */
export const SteerReceipt = Schema.Struct({
  /** `stored`: nobody works on the goal now; its driver will find it. */
  delivery: Schema.Literal("queued", "steered", "redirected", "stored"),
  /** Messages that wait now. */
  queued: Schema.NonNegativeInt
})
export type SteerReceipt = typeof SteerReceipt.Type

export interface ListOptions {
  /** Also those that have ended. */
  readonly all: boolean
}

export class Goals extends Context.Tag("@driver/runtime/Goals")<
  Goals,
  {
    /** Takes goals into the queue, all or none: so that they may depend on each other. */
    readonly submit: (
      submissions: ReadonlyArray<Submission>
    ) => Effect.Effect<ReadonlyArray<GoalSummary>, SubmitRefused | DriverTrouble>
    readonly list: (options: ListOptions) => Effect.Effect<ReadonlyArray<GoalSummary>, DriverTrouble>
    /** The goal whose id is this or, alone, begins so (at least four characters). */
    readonly find: (name: string) => Effect.Effect<GoalId, UnknownGoal | AmbiguousGoal | DriverTrouble>
    readonly show: (goalId: GoalId) => Effect.Effect<GoalDetail, GoalsError>
    /** The goal's events after this sequence, those that are there and those to come; ends after `goal_completed`. */
    readonly events: (
      goalId: GoalId,
      options: { readonly after: number; readonly follow: boolean }
    ) => Stream.Stream<StoredEvent, GoalsError>
    readonly pause: (goalId: GoalId) => Effect.Effect<void, GoalsError>
    readonly resume: (goalId: GoalId) => Effect.Effect<void, GoalsError>
    /** Resolves when the goal has ended, or, where nobody works on it, when that is stored. */
    readonly cancel: (goalId: GoalId) => Effect.Effect<void, GoalsError>
    readonly wake: (goalId: GoalId) => Effect.Effect<void, GoalsError>
    readonly steer: (goalId: GoalId, message: string, mode: SteerMode) => Effect.Effect<SteerReceipt, GoalsError>
    /** Raises the limit on turns; never lowers it. Resolves with the limit now in force. */
    readonly setMaxTurns: (goalId: GoalId, maxTurns: number) => Effect.Effect<number, GoalsError>
    readonly approvals: Effect.Effect<ReadonlyArray<ApprovalQuestion>, DriverTrouble>
    /** By the beginning of the question's id. */
    readonly approve: (id: string, session: boolean) => Effect.Effect<ApprovalQuestion, UnknownApproval | DriverTrouble>
    readonly deny: (
      id: string,
      message: Option.Option<string>
    ) => Effect.Effect<ApprovalQuestion, UnknownApproval | DriverTrouble>
    /** Puts the worktree of a goal that is not in a turn back; resolves with the checkpoint that undoes it. */
    readonly rollback: (goalId: GoalId, checkpoint: string) => Effect.Effect<string, GoalsError>
    /** Hands the work of a goal that has ended over as its configuration says; resolves with one sentence. */
    readonly deliver: (goalId: GoalId) => Effect.Effect<string, GoalsError>
  }
>() {}

/** No open question has an id that begins so, several have, or it was answered before: `detail` says which. */
export class UnknownApproval extends Schema.TaggedError<UnknownApproval>()("UnknownApproval", {
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}
