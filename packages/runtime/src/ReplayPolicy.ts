/**
 * What to do after a turn that ended in an error. The decision is the pure
 * function `decide`; the service carries its settings.
 */
import type { AgentFailure } from "@driver/agent/Agent"
import type { GoalId } from "@driver/domain/Goal"
import type { ReportedFailure } from "@driver/domain/Outcome"
import type { Usage } from "@driver/domain/Usage"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
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
  /** `because`: what the agent or its provider reported, where that is why. */
  Escalate: { readonly reason: string; readonly because?: ErrorClass }
}>
export const ReplayDecision = Data.taggedEnum<ReplayDecision>()

export interface ReplaySettings {
  /** Fresh sessions in a row for errors that may pass by themselves. Default 1; then a person is asked. */
  readonly maxFreshSessionRetries: number
  /** The longest sleep for a provider's limit; the turn is tried again after it, and sleeps again if it must. Default 6 hours: a limit is looked at again at least that often. */
  readonly maxSleep: Duration.Duration
  /** A usage limit ends the goal and is not waited for: another agent can take over. Default false. */
  readonly endAtLimit: boolean
  /** Slept beyond the moment at which a limit resets, since the provider's clock is not ours. Default 5 seconds. */
  readonly resetMargin: Duration.Duration
  /** The first wait of the exponential backoff, doubled with every error in a row. Default 1 second. */
  readonly backoffBase: Duration.Duration
  /** The longest wait of the backoff. Default 1 minute. The wait itself is drawn from zero to this bound, so that goals do not come back all at once. */
  readonly backoffCap: Duration.Duration
}

export const defaults: ReplaySettings = {
  maxFreshSessionRetries: 1,
  maxSleep: Duration.hours(6),
  endAtLimit: false,
  resetMargin: Duration.seconds(5),
  backoffBase: Duration.seconds(1),
  backoffCap: Duration.minutes(1)
}

/**
 * What an error is, in the order in which rows are tried: the first match wins.
 * `model_unavailable` is no row of text: only an agent that says so is believed.
 */
export type ErrorClass = ReportedFailure

/** HTTP codes where a message has them as such: `503: …`, `API Error: 503`, `HTTP/1.1 503`, `(503)`, `503 Service Unavailable`; not `503 files`. */
const status = (codes: string): RegExp =>
  new RegExp(
    [
      `^(?:${codes})\\s*(?:$|[:{(-])`,
      `(?<![a-z])(?:api|https?|status|error|code|returned|responded|response|got|received|with)(?:/\\d(?:\\.\\d)?)?[^a-z0-9]{1,4}(?:error |code |status )?(?:${codes})(?!\\w|\\.\\d)`,
      `\\((?:${codes})\\)`,
      `(?<![\\w.])(?:${codes})[ :-]{1,3}(?:unauthori[sz]ed|forbidden|payment|request|payload|content|too many|internal|bad gateway|service|gateway|overloaded)`
    ].join("|")
  )

/** How messages are read, in lower case. Every pattern is linear on the 4,000 characters it sees. */
const rows: ReadonlyArray<{ readonly class: ErrorClass; readonly seenAs: ReadonlyArray<RegExp> }> = [
  {
    class: "prompt_too_long",
    seenAs: [
      /prompt is too long/,
      /prompt too long/,
      /context_length_exceeded/,
      /payload_too_large/,
      /payload too large/,
      status("413")
    ]
  },
  {
    class: "session_dead",
    seenAs: [
      // Not the session of a log-in: a fresh conversation does not renew that.
      /(?<!log-?in |oauth |auth |authentication )session[^\n]{0,200}?(?:not found|expired|invalid|does not exist)/,
      /(?:not found|expired|invalid|unknown|no such)[^\n]{0,40}?(?<!log-?in |oauth |auth |authentication )session/,
      /no (?:conversation|session) (?:was )?found/
    ]
  },
  { class: "usage_limit", seenAs: [/usage limit/, /limit reached\|\d{10}/, /hit your (?:[a-z0-9-]+ )?limit/] },
  {
    class: "auth",
    seenAs: [
      /invalid (?:x-)?api[ -_]?key/,
      /invalid (?:authentication|credentials|token|bearer)/,
      /authentication[_ ](?:error|failed)/,
      /permission_error/,
      /unauthori[sz]ed/,
      /\bforbidden\b/,
      /logged out/,
      /not logged in/,
      /please run \/login/,
      /log ?in again/,
      /(?:log-?in|oauth|auth|authentication) session[^\n]{0,40}?(?:expired|invalid)/,
      /oauth token (?:has )?(?:expired|been revoked)/,
      status("401|403")
    ]
  },
  {
    class: "billing",
    seenAs: [
      /credit balance/,
      /(?:out of|insufficient|no) credits?\b/,
      /insufficient_quota/,
      /quota (?:is )?(?:exceeded|exhausted|used up)/,
      /exceeded your (?:current )?quota/,
      /billing_error/,
      /payment required/,
      status("402")
    ]
  },
  {
    class: "transient",
    seenAs: [
      /time-?out/,
      /timed out/,
      /etimedout/,
      /rate[ _-]?limit/,
      /too many requests/,
      /overloaded/,
      /unavailable/,
      /temporarily/,
      /connection (?:was |has been )?(?:reset|refused|closed|aborted|error)/,
      /econn(?:reset|refused|aborted)/,
      /epipe|eai_again|enetunreach|ehostunreach/,
      /socket hang up/,
      /fetch failed/,
      /network (?:error|is unreachable)/,
      /internal server error/,
      /bad gateway/,
      status("408|429|5\\d\\d")
    ]
  }
]

/**
 * Reads an error's text; none when no row is seen in it. A torn line quotes what
 * the agent was writing, which says nothing about why it was torn.
 */
export const classify = (message: string): Option.Option<ErrorClass> => {
  const text = message.slice(0, 4_000).toLowerCase().trim()
  if (text.startsWith("the agent's output was cut off in the middle of a line")) return Option.none()
  return Option.fromNullable(rows.find((row) => row.seenAs.some((pattern) => pattern.test(text)))?.class)
}

/** The class that the agent gave, else the provider's status, else the text. */
const classOf = (input: ReplayInput): Option.Option<ErrorClass> =>
  Option.match(input.failure, {
    onNone: () => classify(input.message),
    onSome: (failure) =>
      failure.class === "unknown" || failure.class === "invalid_request"
        ? Option.orElse(
            Option.flatMap(failure.status, (code) => classify(`status ${code}`)),
            () => classify(failure.message)
          )
        : Option.some(failure.class)
  })

/** The table of the specification, row by row. Total and pure. */
export const decide = (input: ReplayInput, settings: ReplaySettings): ReplayDecision => {
  const found = classOf(input)
  // Where the loop itself gave up (no program, no gate, no protocol) words in the message cannot mend it.
  if (input.hint === "Escalate" && Option.isNone(input.failure)) {
    return ReplayDecision.Escalate({ reason: reasonOf(found, input) })
  }
  switch (Option.getOrUndefined(found)) {
    case "prompt_too_long":
      return ReplayDecision.CompactAndRetry()
    case "session_dead":
      return ReplayDecision.FreshSessionRetry({
        rollbackTo: input.checkpoint,
        // A new session that is dead as well is no bad luck: wait, while the budget counts the errors.
        delay: input.usage.consecutiveErrors === 0 ? Duration.zero : backoff(input, settings)
      })
    case "usage_limit":
      return settings.endAtLimit
        ? ReplayDecision.Escalate({ reason: reasonOf(found, input), because: "usage_limit" })
        : Option.getOrElse(sleepUntilReset(input, settings), () => transient(input, settings, "usage_limit"))
    case "transient":
      return Option.getOrElse(sleepUntilReset(input, settings), () => transient(input, settings, "transient"))
    case "auth":
      return ReplayDecision.Escalate({ reason: reasonOf(found, input), because: "auth" })
    case "billing":
      return ReplayDecision.Escalate({ reason: reasonOf(found, input), because: "billing" })
    case "model_unavailable":
      return ReplayDecision.Escalate({ reason: reasonOf(found, input), because: "model_unavailable" })
    case undefined:
      if (input.restartedMidTurn) return ReplayDecision.SameTurn({ note: restartedNote })
      return input.hint === "Escalate"
        ? ReplayDecision.Escalate({ reason: reasonOf(found, input) })
        : ReplayDecision.NextTurn({ rollbackTo: Option.none() })
  }
}

const restartedNote = "The driver was restarted in the middle of this turn; the work that was done is kept."

/** None when the provider named no reset, or one that has passed. */
const sleepUntilReset = (input: ReplayInput, settings: ReplaySettings): Option.Option<ReplayDecision> =>
  Option.flatMap(input.failure, (failure) => failure.resetsAt).pipe(
    Option.orElse(() => resetInText(input.message)),
    Option.filter((resetsAt) => resetsAt > input.now),
    Option.map((resetsAt) =>
      ReplayDecision.Sleep({
        duration: Duration.min(
          settings.maxSleep,
          Duration.sum(Duration.millis(resetsAt - input.now), settings.resetMargin)
        ),
        reason: `the provider's limit resets then: ${excerpt(input.message)}`
      })
    )
  )

/** `… usage limit reached|1767225600`: seconds since the epoch. */
const resetInText = (message: string): Option.Option<number> =>
  Option.map(
    Option.fromNullable(/limit reached\|(\d{10})(?!\d)/i.exec(message.slice(0, 4_000))?.[1]),
    (seconds) => Number(seconds) * 1_000
  )

const transient = (input: ReplayInput, settings: ReplaySettings, because: ErrorClass): ReplayDecision =>
  input.usage.consecutiveErrors < settings.maxFreshSessionRetries
    ? ReplayDecision.FreshSessionRetry({ rollbackTo: input.checkpoint, delay: backoff(input, settings) })
    : ReplayDecision.Escalate({
        reason: `The same kind of error came back after ${errors(input.usage.consecutiveErrors)}: ${excerpt(input.message)}. Run the goal again when the cause has passed.`,
        because
      })

const backoff = (input: ReplayInput, settings: ReplaySettings): Duration.Duration => {
  const bound = Math.min(
    Duration.toMillis(settings.backoffCap),
    Duration.toMillis(settings.backoffBase) * 2 ** Math.min(input.usage.consecutiveErrors, 52)
  )
  return Duration.millis(Math.floor(bound * input.random))
}

const reasonOf = (found: Option.Option<ErrorClass>, input: ReplayInput): string => {
  const said = excerpt(input.message)
  switch (Option.getOrUndefined(found)) {
    case "auth":
      return `The agent may not use its provider: ${said}. Log the agent in again or renew its key, then run the goal again.`
    case "billing":
      return `The provider's credit or quota is used up: ${said}. Top it up, then run the goal again.`
    case "usage_limit":
      return `The provider's usage limit is reached: ${said}. Run the goal again when it has reset.`
    case "model_unavailable":
      return `The model cannot be used: ${said}. Configure another one, then run the goal again.`
    default:
      return said
  }
}

const errors = (count: number): string => (count === 1 ? "1 error in a row" : `${count} errors in a row`)

/** At most 500 characters, on one line, without the full stop. */
const excerpt = (message: string): string => {
  const points = Array.from(message.slice(0, 4_000).replace(/\s+/g, " ").trim().replace(/\.$/, ""))
  return points.length > 500 ? `${points.slice(0, 499).join("")}…` : points.join("")
}

export class ReplayPolicy extends Context.Tag("@driver/runtime/ReplayPolicy")<
  ReplayPolicy,
  {
    /** Total and pure: same input, same answer. */
    readonly decide: (input: ReplayInput) => ReplayDecision
  }
>() {
  static readonly layer = (settings?: Partial<ReplaySettings>): Layer.Layer<ReplayPolicy> =>
    Layer.succeed(ReplayPolicy, { decide: (input) => decide(input, { ...defaults, ...settings }) })

  /**
   * Reads `DRIVER_REPLAY_MAX_FRESH_SESSION_RETRIES`, `DRIVER_REPLAY_MAX_SLEEP`, `DRIVER_REPLAY_RESET_MARGIN`,
   * `DRIVER_REPLAY_BACKOFF_BASE`, `DRIVER_REPLAY_BACKOFF_CAP`.
   */
  static readonly layerConfig: Layer.Layer<ReplayPolicy, ConfigError.ConfigError> = Layer.unwrapEffect(
    Effect.map(
      Config.all({
        maxFreshSessionRetries: Config.integer("DRIVER_REPLAY_MAX_FRESH_SESSION_RETRIES").pipe(
          Config.validate({ message: "expected a number of at least 0", validation: (n) => n >= 0 }),
          Config.withDefault(defaults.maxFreshSessionRetries)
        ),
        maxSleep: Config.duration("DRIVER_REPLAY_MAX_SLEEP").pipe(Config.withDefault(defaults.maxSleep)),
        resetMargin: Config.duration("DRIVER_REPLAY_RESET_MARGIN").pipe(Config.withDefault(defaults.resetMargin)),
        backoffBase: Config.duration("DRIVER_REPLAY_BACKOFF_BASE").pipe(Config.withDefault(defaults.backoffBase)),
        backoffCap: Config.duration("DRIVER_REPLAY_BACKOFF_CAP").pipe(Config.withDefault(defaults.backoffCap))
      }),
      (settings) => ReplayPolicy.layer(settings)
    )
  )

  /** Never tries again: every error goes to a person. */
  static readonly layerNever: Layer.Layer<ReplayPolicy> = Layer.succeed(ReplayPolicy, {
    decide: (input) => ReplayDecision.Escalate({ reason: reasonOf(classOf(input), input) })
  })
}
