/**
 * What a scenario file says: the types, and the decoder from parsed YAML or JSON to them.
 *
 * The decoder is strict. A key nobody knows, a wrong type or a missing value is a `ScenarioError` that lists every
 * problem with its path, what was expected and what was found. The steps of a turn are in `Step`, the building blocks in
 * `Decoder`. Reading the file is not done here (`loadScenario`).
 */
import {
  amount,
  count,
  type Decoded,
  type Decoder,
  duration,
  fail,
  flag,
  list,
  type Millis,
  type Moment,
  moment,
  nullable,
  oneOf,
  oneOrMany,
  optional,
  regex,
  required,
  struct,
  text,
  withDefault
} from "./Decoder.js"
import { type Compact, decodeCompact, decodeSteps, type Step } from "./Step.js"

export { type Millis, type Moment, type Problem, ScenarioError } from "./Decoder.js"
export type {
  Compact,
  Leftover,
  LeftoverKind,
  RateLimitStatus,
  Step,
  StepKind,
  ToolCall
} from "./Step.js"

/** One API call's token figures. */
export interface Usage {
  readonly input: number
  readonly output: number
  readonly cacheRead: number
  readonly cacheCreation: number
}

export const errorClasses = [
  "rate_limit",
  "authentication_failed",
  "billing_error",
  "server_error",
  "overloaded",
  "invalid_request",
  "model_not_found",
  "prompt_too_long",
  "payload_too_large",
  "not_logged_in",
  "connection_failed"
] as const

export type ErrorClass = (typeof errorClasses)[number]

export interface ApiFailure {
  readonly class: ErrorClass
  /** Stands in for the class's own HTTP status. */
  readonly status: number | undefined
  /** Stands in for the class's own text. */
  readonly text: string | undefined
  /** When the limit is lifted; announced by a rate_limit_event before the failure. */
  readonly resetsAt: Moment | undefined
}

export interface Turn {
  /** The prompt must match, else the turn fails and says so. */
  readonly expectPrompt: RegExp | undefined
  readonly steps: ReadonlyArray<Step>
  /** Figures of the turn's first, second, … API call; the last entry serves all further calls. Empty: computed. */
  readonly usage: ReadonlyArray<Partial<Usage>>
  /** What the turn costs. `undefined`: computed from the tokens. `null`: unknown, the fields are left out. */
  readonly costUsd: number | null | undefined
  /** Size of the context that each of the turn's API calls sends: its cache reads are set so that it comes out. */
  readonly contextTokens: number | undefined
  /** The final text. */
  readonly result: string | undefined
  /** The turn ends with this API failure. */
  readonly error: ApiFailure | undefined
}

export interface Question {
  /** What system prompt and prompt together must match. `undefined`: any does. */
  readonly when: RegExp | undefined
  readonly turn: Turn
}

export interface Startup {
  /** Waited before anything else. */
  readonly delay: Millis
  readonly version: string
  readonly notLoggedIn: boolean
  /** `failed`: the gate's server is not started and reported so. */
  readonly gateStatus: "connected" | "failed"
  /** In force and reported, whatever flags and settings say. */
  readonly permissionMode: PermissionMode | undefined
  readonly exit: { readonly code: number; readonly stderr: string } | undefined
}

export const permissionModes = ["default", "acceptEdits", "auto", "bypassPermissions", "dontAsk", "plan"] as const

export type PermissionMode = (typeof permissionModes)[number]

export interface Scenario {
  readonly model: string
  readonly contextWindow: number
  /** One entry per prompt of a session. */
  readonly turns: ReadonlyArray<Turn>
  /** Played when `turns` is used up, unless `repeatLast`. */
  readonly afterwards: Turn
  readonly repeatLast: boolean
  /** For prompts under a system prompt of the caller's own, which are questions to the model alone: the first that fits. */
  readonly questions: ReadonlyArray<Question>
  /** The answers to the first, second, … `/compact`; the last entry serves all further ones. */
  readonly compact: readonly [Compact, ...ReadonlyArray<Compact>]
  readonly startup: Startup
  readonly ignoreSigterm: boolean
  /**
   * A file that gets one JSON line per start, prompt and result of a turn, each with its time in milliseconds since the
   * epoch. A prompt also has the time when it was read: before the first one is played, the servers are connected.
   */
  readonly record: string | undefined
}

/** What plain data says, as a scenario. Throws `ScenarioError`. */
export const decodeScenario = (value: unknown): Scenario => scenario(value, "")

// ---- decoders -------------------------------------------------------------------------------------------------------

const usageFields = {
  input: optional(count),
  output: optional(count),
  cache_read: optional(count),
  cache_creation: optional(count)
}

const usage: Decoder<Partial<Usage>> = (value, path) => {
  const { input, output, cache_read, cache_creation } = struct(usageFields)(value, path)
  return {
    ...(input === undefined ? {} : { input }),
    ...(output === undefined ? {} : { output }),
    ...(cache_read === undefined ? {} : { cacheRead: cache_read }),
    ...(cache_creation === undefined ? {} : { cacheCreation: cache_creation })
  }
}

const apiFailure: Decoder<ApiFailure> = (value, path) => {
  const decoded = struct({
    class: required(oneOf(errorClasses)),
    status: optional(count),
    text: optional(text),
    resets_at: optional(moment)
  })(value, path)
  return { class: decoded.class, status: decoded.status, text: decoded.text, resetsAt: decoded.resets_at }
}

const turnFields = {
  expect_prompt: optional(regex),
  steps: withDefault(decodeSteps, []),
  usage: withDefault(oneOrMany(usage), []),
  cost_usd: optional(nullable(amount)),
  context_tokens: optional(count),
  result: optional(text),
  error: optional(apiFailure)
}

const turnOf = (decoded: Decoded<typeof turnFields>): Turn => ({
  expectPrompt: decoded.expect_prompt,
  steps: decoded.steps,
  usage: decoded.usage,
  costUsd: decoded.cost_usd,
  contextTokens: decoded.context_tokens,
  result: decoded.result,
  error: decoded.error
})

const turn: Decoder<Turn> = (value, path) => turnOf(struct(turnFields)(value, path))

const question: Decoder<Question> = (value, path) => {
  const { when, ...decoded } = struct({ when: optional(regex), ...turnFields })(value, path)
  return { when, turn: turnOf(decoded) }
}

const startup: Decoder<Startup> = (value, path) => {
  const decoded = struct({
    delay: withDefault(duration, 0),
    version: withDefault(text, "2.1.329"),
    not_logged_in: withDefault(flag, false),
    gate_status: withDefault(oneOf(["connected", "failed"]), "connected"),
    permission_mode: optional(oneOf(permissionModes)),
    exit: optional(struct({ code: withDefault(count, 1), stderr: withDefault(text, "") }))
  })(value, path)
  return {
    delay: decoded.delay,
    version: decoded.version,
    notLoggedIn: decoded.not_logged_in,
    gateStatus: decoded.gate_status,
    permissionMode: decoded.permission_mode,
    exit: decoded.exit
  }
}

/** At least one `/compact` answer, so that the last one can serve all further ones. */
const compacts: Decoder<readonly [Compact, ...ReadonlyArray<Compact>]> = (value, path) => {
  const [first, ...rest] = oneOrMany(decodeCompact)(value, path)
  return first === undefined ? fail(path, "at least one answer", value) : [first, ...rest]
}

const scenario: Decoder<Scenario> = (value, path) => {
  const decoded = struct({
    model: withDefault(text, "claude-stub-1"),
    context_window: withDefault(count, 200_000),
    turns: required(list(turn)),
    default: withDefault(turn, turn({ steps: [{ say: "Nothing left to do." }] }, "default")),
    repeat_last: withDefault(flag, false),
    questions: withDefault(list(question), []),
    compact: withDefault(compacts, compacts({}, "compact")),
    startup: withDefault(startup, startup({}, "startup")),
    ignore_sigterm: withDefault(flag, false),
    record: optional(text)
  })(value, path)
  return {
    model: decoded.model,
    contextWindow: decoded.context_window,
    turns: decoded.turns,
    afterwards: decoded.default,
    repeatLast: decoded.repeat_last,
    questions: decoded.questions,
    compact: decoded.compact,
    startup: decoded.startup,
    ignoreSigterm: decoded.ignore_sigterm,
    record: decoded.record
  }
}
