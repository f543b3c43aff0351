/**
 * Which agent session and workspace serve a goal. A binding that is live is
 * resumed after a restart; one that is invalid stays as a row for forensics.
 */
import type { Binding, SessionId } from "@driver/domain/Binding"
import type { GoalId } from "@driver/domain/Goal"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { StoreError } from "./StoreError.js"

/** What the caller knows; times are the store's. */
export interface BindingInput {
  readonly goalId: GoalId
  readonly sessionId: SessionId
  readonly model: Option.Option<string>
  readonly workspace: string
  readonly originChannel: Option.Option<string>
  readonly dispatcher: Option.Option<string>
}

/** When a binding is too old to resume. Zero = off. */
export interface BindingExpiry {
  /** Since `lastActiveAt`. Default 0: agents keep their sessions for weeks. */
  readonly idleTtl: Duration.Duration
  /** Since `createdAt`. */
  readonly maxAge: Duration.Duration
}

export class BindingStore extends Context.Tag("@driver/runtime/BindingStore")<
  BindingStore,
  {
    /** The live binding of a goal that has not expired. */
    readonly get: (goalId: GoalId) => Effect.Effect<Option.Option<Binding>, StoreError>
    /** Inserts or replaces; makes it live; keeps `createdAt` of an existing row with the same session, else starts anew. */
    readonly upsert: (input: BindingInput) => Effect.Effect<Binding, StoreError>
    /** Deletes the row. */
    readonly clear: (goalId: GoalId) => Effect.Effect<void, StoreError>
    /** The row stays, but `get` no longer gives it. */
    readonly markInvalid: (goalId: GoalId, reason: string) => Effect.Effect<void, StoreError>
    /** Moves `lastActiveAt` to now. */
    readonly touch: (goalId: GoalId) => Effect.Effect<void, StoreError>
    /** Deletes rows whose `lastActiveAt` is before this moment (milliseconds since the epoch); resolves with their number. */
    readonly purgeOlderThan: (millis: number) => Effect.Effect<number, StoreError>
    /** Live, unexpired bindings, latest activity first. */
    readonly listActive: Effect.Effect<ReadonlyArray<Binding>, StoreError>
    /** Every row, invalid and expired ones too, latest activity first. */
    readonly listAll: Effect.Effect<ReadonlyArray<Binding>, StoreError>
  }
>() {}
