/** What follows from one try of a hook. Pure. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

export type Tried = Data.TaggedEnum<{
  Taken: {}
  /** Trying again does not help. */
  Refused: { readonly reason: string }
  /** It may work later, at the earliest `after` this long. */
  Failed: { readonly reason: string; readonly after: Option.Option<Duration.Duration> }
}>
export const Tried = Data.taggedEnum<Tried>()

/** `retryAfter` as the header has it: seconds or a date. `now` in milliseconds since the epoch. */
export const judgeAnswer = (status: number, retryAfter: string | undefined, text: string, now: number): Tried => {
  if (status >= 200 && status < 300) return Tried.Taken()
  const said = text.trim() === "" ? "" : `: ${text.trim()}`
  const reason = `it answered with status ${status}${said}`
  if (status >= 500 || status === 408 || status === 429) {
    return Tried.Failed({ reason, after: parseRetryAfter(retryAfter, now) })
  }
  return Tried.Refused({ reason: status >= 300 && status < 400 ? `${reason}; redirects are not followed` : reason })
}

/** No server makes an event wait for longer. */
const longestAfter = Duration.hours(1)

export const parseRetryAfter = (text: string | undefined, now: number): Option.Option<Duration.Duration> => {
  const given = text?.trim() ?? ""
  const millis = /^\d+$/.test(given) ? Number(given) * 1_000 : Date.parse(given) - now
  return Number.isNaN(millis)
    ? Option.none()
    : Option.some(Duration.min(Duration.millis(Math.max(0, millis)), longestAfter))
}

export interface Patience {
  readonly firstDelay: Duration.Duration
  readonly maxDelay: Duration.Duration
}

/**
 * Before the try that follows `tries` of them. `random` from 0 to 1 spreads it by a fifth, so that what failed together
 * does not come again together. Never before the server said.
 */
export const delayAfter = (
  tries: number,
  { firstDelay, maxDelay }: Patience,
  after: Option.Option<Duration.Duration>,
  random: number
): Duration.Duration => {
  const doubled = Duration.toMillis(firstDelay) * 2 ** Math.min(tries - 1, 30)
  const spread = Duration.millis(Math.min(doubled, Duration.toMillis(maxDelay)) * (0.8 + 0.4 * random))
  return Option.match(after, { onNone: () => spread, onSome: (least) => Duration.max(spread, least) })
}
