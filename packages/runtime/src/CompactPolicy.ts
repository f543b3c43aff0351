/**
 * When to ask the agent to compact its context. The decision is the pure function
 * `decide`; the service carries its settings.
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"

export interface CompactInput {
  /** The goal's description: the focus is made of it. */
  readonly description: string
  /** Turns of work done. */
  readonly turn: number
  /** The value of `turn` when the last compaction happened. */
  readonly lastCompactTurn: Option.Option<number>
  /** Size of the last request's context, in tokens: never a sum over turns. */
  readonly contextTokens: Option.Option<number>
  /** The model's window as the agent reports it, in tokens. */
  readonly contextWindow: Option.Option<number>
  readonly sessionAge: Duration.Duration
  /** Failed compactions in a row, of this goal. */
  readonly consecutiveFailures: number
}

export interface CompactRequest {
  readonly reason: "token_pressure" | "session_age"
  /** Follows `/compact ` in the prompt. */
  readonly focus: string
}

export interface CompactSettings {
  /** False: never. Default true. */
  readonly enabled: boolean
  /**
   * The model's window in tokens; 0 switches token pressure off. Default none: the
   * window that the agent reports, and no token pressure while it reports none.
   */
  readonly contextWindow: Option.Option<number>
  /** Compact once this share of the window is used: above 0, up to 1. Default 0.7: leaves room for one long turn and for the compaction itself. */
  readonly threshold: number
  /** Turns of work between two compactions. Default 5: each one loses detail and costs a call. */
  readonly minTurnsBetween: number
  /** Compact a session that is this old. Default 0 = off: age alone does no harm. */
  readonly maxAge: Duration.Duration
  /** The breaker: after this many failures in a row, no more compactions until one succeeds. 0 = off. Default 3. */
  readonly maxConsecutiveFailures: number
}

export const defaults: CompactSettings = {
  enabled: true,
  contextWindow: Option.none(),
  threshold: 0.7,
  minTurnsBetween: 5,
  maxAge: Duration.zero,
  maxConsecutiveFailures: 3
}

/** Token pressure first, else the session's age; both wait for the gap and stop at the breaker. Total and pure. */
export const decide = (input: CompactInput, settings: CompactSettings): Option.Option<CompactRequest> => {
  const tripped = settings.maxConsecutiveFailures > 0 && input.consecutiveFailures >= settings.maxConsecutiveFailures
  const tooSoon = Option.exists(input.lastCompactTurn, (last) => input.turn - last < settings.minTurnsBetween)
  if (!settings.enabled || tripped || tooSoon) return Option.none()
  const focus = focusOf(input.description)
  if (fill(input, settings) >= settings.threshold) return Option.some({ reason: "token_pressure", focus })
  const aged =
    Duration.greaterThan(settings.maxAge, Duration.zero) &&
    Duration.greaterThanOrEqualTo(input.sessionAge, settings.maxAge)
  return aged ? Option.some({ reason: "session_age", focus }) : Option.none()
}

/** The used share of the window; below every threshold when the window or the context is unknown or the window is 0. */
const fill = (input: CompactInput, settings: CompactSettings): number => {
  const window = Option.getOrElse(
    Option.orElse(settings.contextWindow, () => input.contextWindow),
    () => 0
  )
  // Divided, not multiplied: 0.55 * 100 is more than 55, and exactly at the threshold has to fire.
  return window > 0 ? Option.match(input.contextTokens, { onNone: () => -1, onSome: (used) => used / window }) : -1
}

/** What a compaction has to keep in view: the beginning of the goal, on one line, cut between characters. */
export const focusOf = (description: string): string =>
  `continue goal: ${Array.from(description.trim().replace(/\s+/g, " ")).slice(0, 140).join("")}`

const count = (name: string): Config.Config<number> =>
  Config.integer(name).pipe(Config.validate({ message: "expected a number of at least 0", validation: (n) => n >= 0 }))

export class CompactPolicy extends Context.Tag("@driver/runtime/CompactPolicy")<
  CompactPolicy,
  {
    /** Total and pure. None: no compaction now. */
    readonly decide: (input: CompactInput) => Option.Option<CompactRequest>
    /** The focus for a compaction that the replay policy forces. */
    readonly focus: (description: string) => string
  }
>() {
  static readonly layer = (settings?: Partial<CompactSettings>): Layer.Layer<CompactPolicy> =>
    Layer.succeed(CompactPolicy, {
      decide: (input) => decide(input, { ...defaults, ...settings }),
      focus: focusOf
    })

  /**
   * Reads `DRIVER_COMPACT_ENABLED`, `DRIVER_COMPACT_CONTEXT_WINDOW`, `DRIVER_COMPACT_THRESHOLD`,
   * `DRIVER_COMPACT_MIN_TURNS_BETWEEN`, `DRIVER_COMPACT_MAX_AGE`, `DRIVER_COMPACT_MAX_CONSECUTIVE_FAILURES`.
   */
  static readonly layerConfig: Layer.Layer<CompactPolicy, ConfigError.ConfigError> = Layer.unwrapEffect(
    Effect.map(
      Config.all({
        enabled: Config.boolean("DRIVER_COMPACT_ENABLED").pipe(Config.withDefault(defaults.enabled)),
        contextWindow: Config.option(count("DRIVER_COMPACT_CONTEXT_WINDOW")),
        threshold: Config.number("DRIVER_COMPACT_THRESHOLD").pipe(
          Config.validate({ message: "expected a ratio above 0, up to 1", validation: (n) => n > 0 && n <= 1 }),
          Config.withDefault(defaults.threshold)
        ),
        minTurnsBetween: count("DRIVER_COMPACT_MIN_TURNS_BETWEEN").pipe(Config.withDefault(defaults.minTurnsBetween)),
        maxAge: Config.duration("DRIVER_COMPACT_MAX_AGE").pipe(Config.withDefault(defaults.maxAge)),
        maxConsecutiveFailures: count("DRIVER_COMPACT_MAX_CONSECUTIVE_FAILURES").pipe(
          Config.withDefault(defaults.maxConsecutiveFailures)
        )
      }),
      (settings) => CompactPolicy.layer(settings)
    )
  )

  /** Never asks for a compaction; one that the replay policy forces still has its focus. */
  static readonly layerNever: Layer.Layer<CompactPolicy> = CompactPolicy.layer({ enabled: false })
}
