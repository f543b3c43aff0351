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
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import type { Admission, ClosedAccount } from "./AccountDecisions.js"
import * as AccountDecisions from "./AccountDecisions.js"
import type { StoreError } from "./StoreError.js"

export { Admission } from "./AccountDecisions.js"

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
    /** Accounts that are closed now, by name. */
    readonly list: Effect.Effect<ReadonlyArray<AccountState>, StoreError>
  }
>() {
  /** Forgets everything with its scope. */
  static readonly layerMemory: Layer.Layer<AccountLimits> = Layer.sync(this, () => makeMemory())
}

const makeMemory = () => {
  const accounts = new Map<string, ClosedAccount>()
  const known = (account: string) => Option.fromNullable(accounts.get(account))
  const set = (account: string, state: Option.Option<ClosedAccount>) => {
    if (Option.isSome(state)) accounts.set(account, state.value)
    else accounts.delete(account)
  }
  return AccountLimits.of({
    admit: (account, goalId) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const [admission, state] = AccountDecisions.admit(known(account), Math.floor(now), goalId)
        set(account, state)
        return admission
      }),
    limited: (account, until, reason) =>
      Effect.sync(() => set(account, Option.some(AccountDecisions.limited(known(account), until, reason)))),
    open: (account) =>
      Effect.map(Clock.currentTimeMillis, (now) =>
        set(account, AccountDecisions.open(known(account), Math.floor(now)))
      ),
    list: Effect.map(Clock.currentTimeMillis, (now) =>
      [...accounts]
        .filter(([, state]) => AccountDecisions.isClosed(state, now))
        .map(([account, { reason, until }]) => ({ account, until, reason }))
        .sort(Order.mapInput(Order.string, ({ account }: AccountState) => account))
    )
  })
}
