/**
 * What an account's limit means for a call of the agent: pure functions on the
 * account's state, the same for every store. No state is an open account.
 */
import type { GoalId } from "@driver/domain/Goal"
import * as Data from "effect/Data"
import * as Option from "effect/Option"

export type Admission = Data.TaggedEnum<{
  /** Ask the agent. `probe`: the first one since the limit reset; the others wait for what it finds. */
  Go: { readonly probe: boolean }
  /** Do not ask the agent before `until` (milliseconds since the epoch), then be admitted again. */
  Park: { readonly until: number; readonly reason: string }
}>
export const Admission = Data.taggedEnum<Admission>()

/** All times are whole milliseconds since the epoch. */
export interface ClosedAccount {
  readonly until: number
  readonly reason: string
  /** Who asks the agent first, since the limit reset, and since when. */
  readonly probe: Option.Option<{ readonly goalId: GoalId; readonly since: number }>
}

/** A probe that has said nothing for so long, in milliseconds, is given to another goal. */
export const probePatience = 120_000

/** Goals that wait for a probe ask again after so many milliseconds: it may be another process that finds out. */
export const probeLook = 10_000

/** Whether the goal may ask the agent now, and the account's state after that. */
export const admit = (
  account: Option.Option<ClosedAccount>,
  now: number,
  goalId: GoalId
): readonly [Admission, Option.Option<ClosedAccount>] => {
  if (Option.isNone(account)) return [Admission.Go({ probe: false }), account]
  const { probe, reason, until } = account.value
  if (now < until) return [Admission.Park({ until, reason }), account]
  // A clock that was set back does not make a probe last longer.
  const left = Option.match(probe, {
    onNone: () => 0,
    onSome: ({ since }) => Math.min(since, now) + probePatience - now
  })
  const held = Option.filter(probe, (it) => it.goalId !== goalId && left > 0)
  if (Option.isNone(held)) {
    return [Admission.Go({ probe: true }), Option.some({ until, reason, probe: Option.some({ goalId, since: now }) })]
  }
  return [
    Admission.Park({ until: now + Math.min(left, probeLook), reason: `another goal asks first: ${reason}` }),
    held.value.since <= now
      ? account
      : Option.some({ until, reason, probe: Option.some({ ...held.value, since: now }) })
  ]
}

/** A goal has met the limit. The later moment stays; a probe that found the account closed for longer is over. */
export const limited = (account: Option.Option<ClosedAccount>, until: number, reason: string): ClosedAccount => {
  const whole = Math.min(Math.max(Math.ceil(until), 0), Number.MAX_SAFE_INTEGER)
  return Option.match(account, {
    onNone: () => ({ until: whole, reason, probe: Option.none() }),
    onSome: (known) => (whole > known.until ? { until: whole, reason, probe: Option.none() } : known)
  })
}

/** A call went through. Before the limit has reset that was one that had begun earlier, and says nothing. */
export const open = (account: Option.Option<ClosedAccount>, now: number): Option.Option<ClosedAccount> =>
  Option.filter(account, ({ until }) => now < until)

export const isClosed = (account: ClosedAccount, now: number): boolean => now < account.until
