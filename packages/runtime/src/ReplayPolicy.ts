/**
 * What to do after a turn that ended in an error. The decision is the pure
 * function `decide`; the service carries its settings.
 */
import type { AgentFailure } from "@driver/agent/Agent"
import type { GoalId } from "@driver/domain/Goal"
import type { Usage } from "@driver/domain/Usage"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type * as Option from "effect/Option"
import type { CheckpointId } from "./Workspace.js"

export interface ReplayInput {
  readonly goalId: GoalId
  readonly turn: number
  /** Made before the turn that failed. */
  readonly checkpoint: Option.Option<CheckpointId>
  readonly usage: Usage
  /** The agent's own class, when it gave one; else `message` is classified. */
  readonly failure: Option.Option<AgentFailure>
  readonly message: string
  readonly hint: "Continue" | "Escalate"
  /** The journal says that the driver was restarted in the middle of this turn. */
  readonly restartedMidTurn: boolean
  /** Milliseconds since the epoch. */
  readonly now: number
  /** From [0, 1), for the jitter: sampled by the caller, so that the decision stays pure. */
  readonly random: number
}

export type ReplayDecision = Data.TaggedEnum<{
  /** After `delay`: the binding is marked invalid, the workspace optionally rolled back, the same turn tried in a new session. */
  FreshSessionRetry: { readonly rollbackTo: Option.Option<CheckpointId>; readonly delay: Duration.Duration }
  NextTurn: { readonly rollbackTo: Option.Option<CheckpointId> }
  /** A compact turn is forced, then the same turn again. */
  CompactAndRetry: {}
  /** The same turn again in the same session, work kept; the prompt says that it was cut off. */
  SameTurn: { readonly note: string }
  /** The same turn again after this time. */
  Sleep: { readonly duration: Duration.Duration; readonly reason: string }
  Escalate: { readonly reason: string }
}>
export const ReplayDecision = Data.taggedEnum<ReplayDecision>()

export class ReplayPolicy extends Context.Tag("@driver/runtime/ReplayPolicy")<
  ReplayPolicy,
  {
    /** Total and pure: same input, same answer. */
    readonly decide: (input: ReplayInput) => ReplayDecision
  }
>() {}
