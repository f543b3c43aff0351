/**
 * What a scenario file says: the types, and the decoder from parsed YAML or JSON to them.
 *
 * The decoder is strict. A key nobody knows, a wrong type or a missing value is a `ScenarioError` that lists every
 * problem with its path, what was expected and what was found. Reading the file is not done here (`loadScenario`).
 */

/** A length of time in milliseconds. In a file: `"200ms"`, `"1.5s"`, `"2m"`, `"1h"`, a number of milliseconds, `forever`. */
export type Millis = number

/** One API call's token figures. */
export interface Usage {
  readonly input: number
  readonly output: number
  readonly cacheRead: number
  readonly cacheCreation: number
}

/** A moment: seconds since 1970, or so many milliseconds after the event that names it is printed. */
export type Moment = { readonly epochSeconds: number } | { readonly inMillis: Millis }

export interface ToolCall {
  /** Write, Edit, Read and Bash are really executed, any other name answers with `result`. */
  readonly tool: string
  readonly input: Readonly<Record<string, unknown>>
  /** Played instead of the rest of the turn when the tool was not permitted. */
  readonly onDeny: ReadonlyArray<Step> | undefined
  /** What a tool that is not really executed answers. */
  readonly result: string
  /** Whether that answer is an error. */
  readonly isError: boolean
}

export type LeftoverKind = "setsid" | "nohup" | "double_fork" | "ignore_sigterm" | "hold_pipe"

export interface Leftover {
  readonly kind: LeftoverKind
  /** Run by `sh` in place of the sleep. */
  readonly command: string | undefined
  /** How long the default command sleeps, so that a failed test leaves nothing for ever. */
  readonly lifetime: Millis
  /** Where the process writes its id. */
  readonly pidFile: string | undefined
}

export type RateLimitStatus = "allowed" | "allowed_warning" | "rejected"

export type Step =
  | { readonly kind: "say"; readonly text: string; readonly over: Millis }
  | { readonly kind: "think"; readonly text: string }
  | { readonly kind: "tools"; readonly calls: ReadonlyArray<ToolCall> }
  | { readonly kind: "delay"; readonly for: Millis }
  | { readonly kind: "hang"; readonly for: Millis }
  | {
      readonly kind: "api_retry"
      readonly attempt: number
      readonly maxRetries: number
      readonly delay: Millis
      readonly errorStatus: number | null
      readonly error: string
    }
  | {
      readonly kind: "rate_limit"
      readonly status: RateLimitStatus
      readonly resetsAt: Moment | undefined
      readonly type: string
      readonly utilization: number | undefined
    }
  | { readonly kind: "model_fallback"; readonly to: string; readonly trigger: string }
  | {
      readonly kind: "background"
      readonly command: string
      readonly description: string
      readonly notifyAfter: Millis
      readonly then: ReadonlyArray<Step>
    }
  | {
      readonly kind: "subagent"
      readonly description: string
      readonly prompt: string
      readonly background: boolean
      readonly steps: ReadonlyArray<Step>
      readonly then: ReadonlyArray<Step>
    }
  | { readonly kind: "compact_auto"; readonly compact: Compact }
  | { readonly kind: "print_raw"; readonly text: string; readonly times: number }
  | { readonly kind: "print_event"; readonly event: Readonly<Record<string, unknown>> }
  | { readonly kind: "huge_line"; readonly bytes: number }
  | { readonly kind: "flood_stderr"; readonly bytes: number }
  | { readonly kind: "spawn_leftover"; readonly leftover: Leftover }
  | { readonly kind: "steer_echo"; readonly within: Millis }
  | { readonly kind: "exit"; readonly code: number; readonly stderr: string }
  | { readonly kind: "kill"; readonly signal: NodeJS.Signals }
  | { readonly kind: "torn" }

export type StepKind = Step["kind"]

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

export interface Compact {
  readonly result: "success" | "failed" | "nothing"
  readonly summary: string
  readonly preTokens: number | undefined
  readonly postTokens: number
  readonly error: string
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
  /** The answers to the first, second, … `/compact`; the last entry serves all further ones. */
  readonly compact: readonly [Compact, ...ReadonlyArray<Compact>]
  readonly startup: Startup
  readonly ignoreSigterm: boolean
  /** A file that gets one JSON line per start and per prompt. */
  readonly record: string | undefined
}

/** One thing wrong in a scenario: where, what belongs there, what stands there. */
export interface Problem {
  readonly path: string
  readonly expected: string
  readonly got: string
}

/** The scenario cannot be played. Lists every problem; the file has to be corrected. */
export class ScenarioError extends Error {
  override readonly name = "ScenarioError"
  constructor(readonly problems: ReadonlyArray<Problem>) {
    super(
      problems.map((p) => `${p.path === "" ? "scenario" : p.path}: expected ${p.expected}, got ${p.got}`).join("\n")
    )
  }
}

/** What plain data says, as a scenario. Throws `ScenarioError`. */
export const decodeScenario = (value: unknown): Scenario => scenario(value, "")

// ---- how decoders are made ------------------------------------------------------------------------------------------

type Decoder<A> = (value: unknown, path: string) => A

interface Field<A> {
  readonly decode: Decoder<A>
  /** What an absent key means; without it the key is required. */
  readonly absent?: { readonly value: A }
}

type Fields = Readonly<Record<string, Field<unknown>>>
type Decoded<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer A> ? A : never }

const required = <A>(decode: Decoder<A>): Field<A> => ({ decode })
const withDefault = <A>(decode: Decoder<A>, value: A): Field<A> => ({ decode, absent: { value } })
const optional = <A>(decode: Decoder<A>): Field<A | undefined> => ({ decode, absent: { value: undefined } })

const show = (value: unknown): string => {
  if (value === undefined) return "nothing"
  const text = JSON.stringify(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

const fail = (path: string, expected: string, value: unknown): never => {
  throw new ScenarioError([{ path, expected, got: show(value) }])
}

const at = (path: string, key: string): string => (path === "" ? key : `${path}.${key}`)

/** Runs all of them and reports the problems of all that fail. */
const gather = <A>(runs: ReadonlyArray<() => A>): ReadonlyArray<A> => {
  const problems: Array<Problem> = []
  const values: Array<A> = []
  for (const run of runs) {
    try {
      values.push(run())
    } catch (error) {
      if (!(error instanceof ScenarioError)) throw error
      problems.push(...error.problems)
    }
  }
  if (problems.length > 0) throw new ScenarioError(problems)
  return values
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const record: Decoder<Readonly<Record<string, unknown>>> = (value, path) =>
  isRecord(value) ? value : fail(path, "a mapping", value)

const distance = (a: string, b: string): number => {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(substituted, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
    previous = row
  }
  return previous[b.length] ?? 0
}

const unknownKey = (path: string, key: string, known: ReadonlyArray<string>): Problem => {
  const near = known
    .map((name) => ({ name, away: distance(key, name) }))
    .sort((a, b) => a.away - b.away)
    .find(({ away, name }) => away <= Math.max(1, Math.floor(name.length / 3)))
  return {
    path: at(path, key),
    expected: known.length === 0 ? "no keys here" : `one of ${known.join(", ")}`,
    got: `the unknown key "${key}"${near === undefined ? "" : ` (did you mean "${near.name}"?)`}`
  }
}

const struct =
  <F extends Fields>(fields: F): Decoder<Decoded<F>> =>
  (value, path) => {
    const given = record(value, path)
    const known = Object.keys(fields)
    const entries = gather<readonly [string, unknown]>([
      ...Object.keys(given)
        .filter((key) => !known.includes(key))
        .map((key) => () => {
          throw new ScenarioError([unknownKey(path, key, known)])
        }),
      ...Object.entries(fields).map(([key, field]) => () => {
        const inner = given[key]
        if (inner !== undefined) return [key, field.decode(inner, at(path, key))] as const
        if (field.absent !== undefined) return [key, field.absent.value] as const
        throw new ScenarioError([{ path: at(path, key), expected: "a value", got: "nothing" }])
      })
    ])
    // Each field was decoded by the decoder its type is read from.
    return Object.fromEntries(entries) as Decoded<F>
  }

const list =
  <A>(decode: Decoder<A>): Decoder<ReadonlyArray<A>> =>
  (value, path) =>
    Array.isArray(value)
      ? gather(value.map((inner: unknown, i) => () => decode(inner, `${path}[${i}]`)))
      : fail(path, "a list", value)

const oneOrMany =
  <A>(decode: Decoder<A>): Decoder<ReadonlyArray<A>> =>
  (value, path) =>
    Array.isArray(value) ? list(decode)(value, path) : [decode(value, path)]

const text: Decoder<string> = (value, path) => (typeof value === "string" ? value : fail(path, "text", value))

const flag: Decoder<boolean> = (value, path) =>
  typeof value === "boolean" ? value : fail(path, "true or false", value)

const marker: Decoder<true> = (value, path) => (value === true ? value : fail(path, "true", value))

const count: Decoder<number> = (value, path) =>
  typeof value === "number" && Number.isInteger(value) && value >= 0
    ? value
    : fail(path, "a whole number from 0", value)

const amount: Decoder<number> = (value, path) =>
  typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : fail(path, "a number from 0", value)

const oneOf =
  <const A extends ReadonlyArray<string>>(names: A): Decoder<A[number]> =>
  (value, path) =>
    names.find((name) => name === value) ?? fail(path, `one of ${names.join(", ")}`, value)

const nullable =
  <A>(decode: Decoder<A>): Decoder<A | null> =>
  (value, path) =>
    value === null ? null : decode(value, path)

const unitMillis: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

const duration: Decoder<Millis> = (value, path) => {
  if (value === "forever") return Number.POSITIVE_INFINITY
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value
  const found = typeof value === "string" ? /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)$/.exec(value) : null
  const unit = unitMillis[found?.[2] ?? ""]
  return unit === undefined
    ? fail(path, `a duration ("200ms", "1.5s", "2m", milliseconds or forever)`, value)
    : Number(found?.[1]) * unit
}

const moment: Decoder<Moment> = (value, path) => {
  if (typeof value === "number" && Number.isInteger(value) && value > 0) return { epochSeconds: value }
  if (typeof value === "string") {
    if (/^\d+(\.\d+)?\s*(ms|s|m|h)$/.test(value)) return { inMillis: duration(value, path) }
    const parsed = Date.parse(value)
    if (!Number.isNaN(parsed)) return { epochSeconds: Math.ceil(parsed / 1000) }
  }
  return fail(path, `a time (ISO text, seconds since 1970, or a duration from then on)`, value)
}

/** A JavaScript regular expression in which `.` spans lines; `(?i)` in front makes it ignore case. */
const regex: Decoder<RegExp> = (value, path) => {
  const source = text(value, path)
  const ignoreCase = source.startsWith("(?i)")
  try {
    return new RegExp(ignoreCase ? source.slice(4) : source, ignoreCase ? "is" : "s")
  } catch {
    return fail(path, "a regular expression", value)
  }
}

// ---- the parts ------------------------------------------------------------------------------------------------------

const later =
  <A>(make: () => Decoder<A>): Decoder<A> =>
  (value, path) =>
    make()(value, path)

const steps: Decoder<ReadonlyArray<Step>> = later(() => list(step))

const toolFields = {
  tool: required(text),
  input: withDefault(record, {}),
  on_deny: optional(steps),
  result: withDefault(text, "ok"),
  is_error: withDefault(flag, false)
}

const toolCall: Decoder<ToolCall> = (value, path) => {
  const { tool, input, on_deny, result, is_error } = struct(toolFields)(value, path)
  return { tool, input, onDeny: on_deny, result, isError: is_error }
}

const compactFields = {
  result: withDefault(oneOf(["success", "failed", "nothing"]), "success"),
  summary: withDefault(text, "The work so far went as the scenario says."),
  pre_tokens: optional(count),
  post_tokens: withDefault(count, 2_675),
  error: withDefault(text, "Compaction failed · conversation could not be reduced below the context limit")
}

const compact: Decoder<Compact> = (value, path) => {
  const { result, summary, pre_tokens, post_tokens, error } = struct(compactFields)(value, path)
  return { result, summary, preTokens: pre_tokens, postTokens: post_tokens, error }
}

const signals = ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGSEGV", "SIGABRT", "SIGPIPE"] as const

/** What stands behind each key that makes a step. A key's value decides the whole step, except for `tool`. */
const stepDecoders: Readonly<Record<string, Decoder<Step>>> = {
  say: (value, path) => {
    if (typeof value === "string") return { kind: "say", text: value, over: 0 }
    const { text: said, over } = struct({ text: required(text), over: withDefault(duration, 0) })(value, path)
    return { kind: "say", text: said, over }
  },
  think: (value, path) => ({ kind: "think", text: text(value, path) }),
  parallel: (value, path) => ({ kind: "tools", calls: list(toolCall)(value, path) }),
  delay: (value, path) => ({ kind: "delay", for: duration(value, path) }),
  hang: (value, path) => ({ kind: "hang", for: duration(value, path) }),
  api_retry: (value, path) => {
    const decoded = struct({
      attempt: withDefault(count, 1),
      max_retries: withDefault(count, 10),
      delay: withDefault(duration, 20),
      error_status: withDefault(nullable(count), 529),
      error: withDefault(text, "overloaded")
    })(value, path)
    return {
      kind: "api_retry",
      attempt: decoded.attempt,
      maxRetries: decoded.max_retries,
      delay: decoded.delay,
      errorStatus: decoded.error_status,
      error: decoded.error
    }
  },
  rate_limit: (value, path) => {
    const decoded = struct({
      status: withDefault(oneOf(["allowed", "allowed_warning", "rejected"]), "allowed_warning"),
      resets_at: optional(moment),
      type: withDefault(text, "five_hour"),
      utilization: optional(amount)
    })(value, path)
    return {
      kind: "rate_limit",
      status: decoded.status,
      resetsAt: decoded.resets_at,
      type: decoded.type,
      utilization: decoded.utilization
    }
  },
  model_fallback: (value, path) => {
    const decoded = struct({ to: required(text), trigger: withDefault(text, "overloaded") })(value, path)
    return { kind: "model_fallback", to: decoded.to, trigger: decoded.trigger }
  },
  background: (value, path) => {
    const decoded = struct({
      command: withDefault(text, "true"),
      description: withDefault(text, "background task"),
      notify_after: withDefault(duration, 0),
      then: withDefault(steps, [{ kind: "say", text: "The background task has finished.", over: 0 }])
    })(value, path)
    return {
      kind: "background",
      command: decoded.command,
      description: decoded.description,
      notifyAfter: decoded.notify_after,
      then: decoded.then
    }
  },
  subagent: (value, path) => {
    const decoded = struct({
      description: withDefault(text, "sub"),
      prompt: withDefault(text, "Do the subtask."),
      background: withDefault(flag, false),
      steps: withDefault(steps, []),
      then: withDefault(steps, [{ kind: "say", text: "The subagent has finished.", over: 0 }])
    })(value, path)
    return { kind: "subagent", ...decoded }
  },
  compact_auto: (value, path) => ({ kind: "compact_auto", compact: compact(value === true ? {} : value, path) }),
  print_raw: (value, path) => ({ kind: "print_raw", text: `${text(value, path)}\n`, times: 1 }),
  print_raw_repeat: (value, path) => {
    const decoded = struct({ text: required(text), times: required(count) })(value, path)
    return { kind: "print_raw", ...decoded }
  },
  print_event: (value, path) => ({ kind: "print_event", event: record(value, path) }),
  huge_line: (value, path) => ({ kind: "huge_line", bytes: count(value, path) }),
  flood_stderr: (value, path) => ({ kind: "flood_stderr", bytes: count(value, path) }),
  spawn_leftover: (value, path) => {
    const decoded = struct({
      kind: required(oneOf(["setsid", "nohup", "double_fork", "ignore_sigterm", "hold_pipe"])),
      command: optional(text),
      lifetime: withDefault(duration, 60_000),
      pid_file: optional(text)
    })(value, path)
    return {
      kind: "spawn_leftover",
      leftover: {
        kind: decoded.kind,
        command: decoded.command,
        lifetime: decoded.lifetime,
        pidFile: decoded.pid_file
      }
    }
  },
  steer_echo: (value, path) => {
    const decoded = struct({ within: withDefault(duration, 5_000) })(value === true ? {} : value, path)
    return { kind: "steer_echo", within: decoded.within }
  },
  exit: (value, path) => ({
    kind: "exit",
    ...struct({ code: withDefault(count, 1), stderr: withDefault(text, "") })(value, path)
  }),
  no_result: (value, path) => {
    marker(value, path)
    return { kind: "exit", code: 0, stderr: "" }
  },
  kill: (value, path) => ({ kind: "kill", signal: oneOf(signals)(value, path) }),
  torn: (value, path) => {
    marker(value, path)
    return { kind: "torn" }
  }
}

const stepKeys = ["tool", ...Object.keys(stepDecoders)]

const step: Decoder<Step> = (value, path) => {
  const given = record(value, path)
  if ("tool" in given) return { kind: "tools", calls: [toolCall(given, path)] }
  const keys = Object.keys(given)
  const [key] = keys
  if (key === undefined || keys.length > 1) return fail(path, "a step with exactly one key (or a tool call)", value)
  const decode = stepDecoders[key]
  if (decode === undefined) throw new ScenarioError([unknownKey(path, key, stepKeys)])
  return decode(given[key], at(path, key))
}

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

const turn: Decoder<Turn> = (value, path) => {
  const decoded = struct({
    expect_prompt: optional(regex),
    steps: withDefault(steps, []),
    usage: withDefault(oneOrMany(usage), []),
    cost_usd: optional(nullable(amount)),
    context_tokens: optional(count),
    result: optional(text),
    error: optional(apiFailure)
  })(value, path)
  return {
    expectPrompt: decoded.expect_prompt,
    steps: decoded.steps,
    usage: decoded.usage,
    costUsd: decoded.cost_usd,
    contextTokens: decoded.context_tokens,
    result: decoded.result,
    error: decoded.error
  }
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
  const [first, ...rest] = oneOrMany(compact)(value, path)
  return first === undefined ? fail(path, "at least one answer", value) : [first, ...rest]
}

const scenario: Decoder<Scenario> = (value, path) => {
  const decoded = struct({
    model: withDefault(text, "claude-stub-1"),
    context_window: withDefault(count, 200_000),
    turns: required(list(turn)),
    default: withDefault(turn, turn({ steps: [{ say: "Nothing left to do." }] }, "default")),
    repeat_last: withDefault(flag, false),
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
    compact: decoded.compact,
    startup: decoded.startup,
    ignoreSigterm: decoded.ignore_sigterm,
    record: decoded.record
  }
}
