/**
 * What can happen in a turn, step by step: the types, and the decoder of a scenario file's `steps`.
 *
 * A new kind of step begins here; `StepPlayer` plays it. Turns and everything around them are in `Scenario`.
 */
import {
  amount,
  at,
  count,
  type Decoder,
  duration,
  fail,
  flag,
  later,
  list,
  type Millis,
  type Moment,
  marker,
  moment,
  nullable,
  oneOf,
  optional,
  record,
  required,
  ScenarioError,
  struct,
  text,
  unknownKey,
  withDefault
} from "./Decoder.js"

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

export type StepOf<K extends StepKind> = Extract<Step, { readonly kind: K }>

export interface Compact {
  readonly result: "success" | "failed" | "nothing"
  readonly summary: string
  readonly preTokens: number | undefined
  readonly postTokens: number
  readonly error: string
}

// ---- decoders -------------------------------------------------------------------------------------------------------

export const decodeSteps: Decoder<ReadonlyArray<Step>> = later(() => list(step))

const toolFields = {
  tool: required(text),
  input: withDefault(record, {}),
  on_deny: optional(decodeSteps),
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

export const decodeCompact: Decoder<Compact> = (value, path) => {
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
      then: withDefault(decodeSteps, [{ kind: "say", text: "The background task has finished.", over: 0 }])
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
      steps: withDefault(decodeSteps, []),
      then: withDefault(decodeSteps, [{ kind: "say", text: "The subagent has finished.", over: 0 }])
    })(value, path)
    return { kind: "subagent", ...decoded }
  },
  compact_auto: (value, path) => ({ kind: "compact_auto", compact: decodeCompact(value === true ? {} : value, path) }),
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
