/**
 * Notices a goal that gets nowhere: the same failures with nothing changed, or the
 * same tool call over and over. The decisions are pure functions: `decide` looks at
 * whole turns when one has ended, `decideCall` at each call of the running one.
 */
import * as Arr from "effect/Array"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"

/** One turn as this policy sees it. */
export interface TurnTrace {
  /** Which criteria failed and how: equal strings are equal failures. Empty when none was evaluated. */
  readonly failures: ReadonlyArray<string>
  readonly diffEmpty: boolean
  /** One string per tool call, tool and input: equal strings are equal calls. In order. */
  readonly toolCalls: ReadonlyArray<string>
}

export type StuckDecision = Data.TaggedEnum<{
  Fine: {}
  /** Goes into the next prompt like an operator's message; it names the repetition. */
  Nudge: { readonly message: string }
  Escalate: { readonly reason: string }
}>
export const StuckDecision = Data.taggedEnum<StuckDecision>()

export interface StuckInput {
  /** The goal's turns so far, oldest first. */
  readonly turns: ReadonlyArray<TurnTrace>
  /** Nudges given since the goal last made progress. */
  readonly nudges: number
}

/** One call as this policy sees it when it has been decided, before the agent is answered. */
export interface CallInput {
  /** Tool and input, at most 200 characters. */
  readonly call: string
  /** Times that this call was made in this turn with no other one between, this one included. */
  readonly inARow: number
  /** Times that it was denied in this turn, this one included. */
  readonly denied: number
  readonly isDenied: boolean
}

export type CallDecision = Data.TaggedEnum<{
  Fine: {}
  /** The agent reads `message` after its denial. `isNew`: it was not told of this before. */
  Tell: { readonly message: string; readonly loop: "denied" | "repeated"; readonly isNew: boolean }
  /** The call is refused with `message`, though it would have been allowed. */
  Refuse: { readonly message: string; readonly loop: "denied" | "repeated"; readonly isNew: boolean }
  /** The same, and the turn is stopped for a person to look at. */
  Stop: { readonly message: string; readonly loop: "denied" | "repeated"; readonly reason: string }
}>
export const CallDecision = Data.taggedEnum<CallDecision>()

export interface StuckSettings {
  /** Denials of the same call within one turn. 0 = off. Default 3: the first may be tried again, as the gate says. */
  readonly sameDenials: number
  /** Turns in a row with the same failures and no change to the files. 0 = off. Default 3: two may be bad luck. */
  readonly sameFailures: number
  /**
   * Times the same tool call is made within `window` while no file changes, or within one turn with no other call
   * between. 0 = off. Default 5.
   */
  readonly repeatedCalls: number
  /** How many of the last tool calls are looked at. Default 20. */
  readonly window: number
}

export const defaults: StuckSettings = { sameDenials: 3, sameFailures: 3, repeatedCalls: 5, window: 20 }

/**
 * Nudges as soon as a repetition is there and as long as it lasts; escalates when
 * as much again has followed the first nudge. Total and pure.
 */
export const decide = (input: StuckInput, settings: StuckSettings): StuckDecision => {
  const failing = stuckOnFailures(input, settings)
  const calling = stuckOnCalls(input, settings)
  if (failing._tag === "Escalate") return failing
  if (calling._tag === "Escalate") return calling
  return failing._tag === "Nudge" ? failing : calling
}

/**
 * Tells the agent from the `sameDenials`th denial of a call on, and stops the turn when as many again have followed. A
 * call that is allowed is refused every `repeatedCalls`th time in a row, so that the agent hears of it; it may go on
 * after that, until such refusals are as many as denials may be. Total and pure.
 */
export const decideCall = (input: CallInput, { repeatedCalls, sameDenials }: StuckSettings): CallDecision => {
  const { denied, inARow, isDenied } = input
  if (isDenied && sameDenials > 0 && denied >= sameDenials) {
    const what = `this same call has now been denied ${denied} times in this turn`
    return denied >= 2 * sameDenials
      ? CallDecision.Stop({
          loop: "denied",
          message: `The turn ends here: ${what}.`,
          reason: `Stuck: the same call was denied ${denied} times in one turn: ${input.call}`
        })
      : CallDecision.Tell({
          loop: "denied",
          isNew: denied === sameDenials,
          message: `You are repeating yourself: ${what}, and the answer will not change. Do not make it again: reach the goal in another way that you are allowed, or end your turn and say what you need and why.`
        })
  }
  if (!isDenied && repeatedCalls > 0 && inARow > 1 && inARow % repeatedCalls === 0) {
    return CallDecision.Refuse({
      loop: "repeated",
      isNew: true,
      message: `This call was not run this time. You are repeating yourself: it was made ${inARow} times in a row, and its answer will not change by itself. Use what it said, or try another way; if you wait for something, wait longer with one call.`
    })
  }
  return CallDecision.Fine()
}

const stuckOnFailures = ({ nudges, turns }: StuckInput, { sameFailures }: StuckSettings): StuckDecision => {
  const last = turns.at(-1)
  if (sameFailures <= 0 || last === undefined || last.failures.length === 0) return StuckDecision.Fine()
  const key = setKey(last.failures)
  const row = trailing(turns, (turn) => turn.diffEmpty && turn.failures.length > 0 && setKey(turn.failures) === key)
  if (row.length < sameFailures) return StuckDecision.Fine()
  const what = `${row.length} turns in a row have ended with the same failures and no change to the files: ${listed(last.failures)}`
  if (nudges > 0 && row.length >= 2 * sameFailures) return StuckDecision.Escalate({ reason: `Stuck: ${what}` })
  return StuckDecision.Nudge({
    message: `You are repeating yourself: ${what}. Do not claim completion again before something has changed. Read the evidence, find out why these fail, and try another way.`
  })
}

const stuckOnCalls = (input: StuckInput, settings: StuckSettings): StuckDecision => {
  const repeated = repeatedCall(input.turns, settings)
  if (repeated === undefined) return StuckDecision.Fine()
  const what = `the same tool call was made ${repeated.count} times among the last ${settings.window} while no file changed: ${oneLine(repeated.call)}`
  // The loop forgets its nudges when a turn is fine, so the last `nudges` turns have each been told of something.
  const told = Array.from({ length: Math.min(input.nudges, input.turns.length) }, (_, index) => index + 1).filter(
    (ago) => repeatedCall(input.turns.slice(0, -ago), settings)?.call === repeated.call
  )
  const since = input.turns.slice(input.turns.length - Math.max(0, ...told))
  const again = since.flatMap((turn) => turn.toolCalls).filter((call) => call === repeated.call).length
  if (again >= settings.repeatedCalls) return StuckDecision.Escalate({ reason: `Stuck: ${what}` })
  return StuckDecision.Nudge({
    message: `You are repeating yourself: ${what}. Its answer will not change by itself. Use what it said, or try another way.`
  })
}

/**
 * The most frequent call of the window, when it is frequent enough and the last
 * turn made it too. Only turns at the end that left the files alone are looked at:
 * running the tests five times between edits is work.
 */
const repeatedCall = (
  turns: ReadonlyArray<TurnTrace>,
  { repeatedCalls, window }: StuckSettings
): { readonly call: string; readonly count: number } | undefined => {
  const last = turns.at(-1)
  if (repeatedCalls <= 0 || window <= 0 || last === undefined) return undefined
  const calls = trailing(turns, (turn) => turn.diffEmpty)
    .flatMap((turn) => turn.toolCalls)
    .slice(-window)
  const counts = new Map<string, number>()
  for (const call of calls) counts.set(call, (counts.get(call) ?? 0) + 1)
  const [first] = [...counts]
    .filter(([call, count]) => count >= repeatedCalls && last.toolCalls.includes(call))
    .sort(([, a], [, b]) => b - a)
  return first === undefined ? undefined : { call: first[0], count: first[1] }
}

/** The turns at the end that all satisfy `holds`, oldest first. */
const trailing = (turns: ReadonlyArray<TurnTrace>, holds: (turn: TurnTrace) => boolean): ReadonlyArray<TurnTrace> =>
  turns.slice(
    Option.getOrElse(
      Arr.findLastIndex(turns, (turn) => !holds(turn)),
      () => -1
    ) + 1
  )

const setKey = (failures: ReadonlyArray<string>): string => JSON.stringify([...new Set(failures)].sort())

const listed = (failures: ReadonlyArray<string>): string => {
  const all = [...new Set(failures)]
  const more = all.length > 3 ? `; and ${all.length - 3} more` : ""
  return all.slice(0, 3).map(oneLine).join("; ") + more
}

/** At most 200 characters, on one line. */
export const oneLine = (text: string): string => {
  const points = Array.from(text.replace(/\s+/g, " ").trim())
  return points.length > 200 ? `${points.slice(0, 199).join("")}…` : points.join("")
}

const count = (name: string, fallback: number): Config.Config<number> =>
  Config.integer(name).pipe(
    Config.validate({ message: "expected a number of at least 0", validation: (n) => n >= 0 }),
    Config.withDefault(fallback)
  )

export class StuckPolicy extends Context.Tag("@driver/runtime/StuckPolicy")<
  StuckPolicy,
  {
    /** Total and pure. */
    readonly decide: (input: StuckInput) => StuckDecision
    /** Total and pure. */
    readonly decideCall: (input: CallInput) => CallDecision
  }
>() {
  static readonly layer = (settings?: Partial<StuckSettings>): Layer.Layer<StuckPolicy> =>
    Layer.succeed(StuckPolicy, {
      decide: (input) => decide(input, { ...defaults, ...settings }),
      decideCall: (input) => decideCall(input, { ...defaults, ...settings })
    })

  /** Reads `DRIVER_STUCK_SAME_DENIALS`, `DRIVER_STUCK_SAME_FAILURES`, `DRIVER_STUCK_REPEATED_CALLS`, `DRIVER_STUCK_WINDOW`. */
  static readonly layerConfig: Layer.Layer<StuckPolicy, ConfigError.ConfigError> = Layer.unwrapEffect(
    Effect.map(
      Config.all({
        sameDenials: count("DRIVER_STUCK_SAME_DENIALS", defaults.sameDenials),
        sameFailures: count("DRIVER_STUCK_SAME_FAILURES", defaults.sameFailures),
        repeatedCalls: count("DRIVER_STUCK_REPEATED_CALLS", defaults.repeatedCalls),
        window: count("DRIVER_STUCK_WINDOW", defaults.window)
      }),
      (settings) => StuckPolicy.layer(settings)
    )
  )

  /** Finds everything fine. */
  static readonly layerNever: Layer.Layer<StuckPolicy> = Layer.succeed(StuckPolicy, {
    decide: () => StuckDecision.Fine(),
    decideCall: () => CallDecision.Fine()
  })
}
