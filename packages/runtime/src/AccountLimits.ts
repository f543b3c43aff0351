/**
 * Usage limits of accounts, shared by all goals on one: when one goal meets the
 * limit, all of them park until it resets, and then one asks first.
 *
 *   open ─ limited(until) ─▶ closed until t ─ t passes ─▶ one probe ─┬─ ok ─────▶ open
 *                               ▲                                    └─ limited ─┐
 *                               └────────────────────────────────────────────────┘
 *
 * Kept in the store, so that a restart does not ask again.
 */
import type { GoalId } from "@driver/domain/Goal"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { StoreError } from "./StoreError.js"

export type Admission = Data.TaggedEnum<{
  /** Ask the agent. `probe`: the first one since the limit reset; the others wait for what it finds. */
  Go: { readonly probe: boolean }
  /** Do not ask the agent before `until` (milliseconds since the epoch), then be admitted again. */
  Park: { readonly until: number; readonly reason: string }
}>
export const Admission = Data.taggedEnum<Admission>()

export interface AccountState {
  readonly account: string
  /** Milliseconds since the epoch. */
  readonly until: number
  readonly reason: string
}

export class AccountLimits extends Context.Tag("@driver/runtime/AccountLimits")<
  AccountLimits,
  {
    /** Asked before each call of the agent. A probe that says nothing for 2 minutes is given to another goal. */
    readonly admit: (account: string, goalId: GoalId) => Effect.Effect<Admission, StoreError>
    /** The account's limit is reached until then (milliseconds since the epoch). A later moment wins over an earlier one. */
    readonly limited: (account: string, until: number, reason: string) => Effect.Effect<void, StoreError>
    /** A call went through: the account is open for all. Cheap when it was. */
    readonly open: (account: string) => Effect.Effect<void, StoreError>
    /** Accounts that are closed now. */
    readonly list: Effect.Effect<ReadonlyArray<AccountState>, StoreError>
  }
>() {}
