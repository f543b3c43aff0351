/**
 * The words of the Claude Code CLI: what its stream-json lines say (`decode`), and what a turn of them amounts to
 * (`begin`, `step`, `result`). Pure: no process, no clock.
 *
 * The CLI prints more than it documents, and more with every version. So an event or a block that we do not know, or
 * that has lost a field we need, becomes an `Other` with its type, which the fold counts as `Ignored`; a single field
 * of the wrong type is as good as absent. Nothing that is printed can make this module throw.
 *
 * A turn is more than the lines up to a `result`: background tasks and messages that were sent in mid-turn give
 * further ones. `isDrained` says when the last has come. Sums over a turn are sums of
 * `model_usage_since_last_result`; the other totals of a result are cumulative over the session.
 */
import { SessionId } from "@driver/domain/Binding"
import type { ToolInput } from "@driver/domain/Permission"
import { addTokens, TokenUsage, totalTokens } from "@driver/domain/Usage"
import * as Duration from "effect/Duration"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import {
  AgentEvent,
  type AgentFailure,
  type CompactResult,
  type FailureClass,
  TurnEnd,
  type TurnResult
} from "./Agent.js"
import { excerpt } from "./JsonLines.js"

// Reading fields. A schema for each kind of line costs more than the parser of the line (8 µs against 4 for a message of
// the agent, measured), and would refuse a line for one field that does not matter. These give `undefined` instead.

type Json = { readonly [key: string]: unknown }

const isRecord = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const record = (value: unknown): Json | undefined => (isRecord(value) ? value : undefined)

const nothing: Json = {}

const string = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

const nonEmpty = (value: unknown): string | undefined => (value === "" ? undefined : string(value))

const list = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

/** A whole number from 0 that can be summed for long without leaving the safe integers. */
const count = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 1e12 ? value : undefined

const amount = (value: unknown): number | undefined =>
  typeof value === "number" && value >= 0 && value <= 1e15 ? value : undefined

// What the lines say. Field names are the program's, not ours.

/** A part of what the agent said. */
export type Block =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Thinking"; readonly text: string }
  | { readonly _tag: "ToolUse"; readonly id: string; readonly name: string; readonly input: ToolInput }
  | { readonly _tag: "OtherBlock"; readonly type: string }

/** What a tool answered, or why it did not run. */
export interface ToolResult {
  readonly toolUseId: string
  readonly failed: boolean
  readonly text: string
  /** The permission to run it was refused, or taken back by an interruption. */
  readonly denied: boolean
}

export interface McpServerStatus {
  readonly name: string
  /** `connected`, `failed`, `pending`, … */
  readonly status: string
}

/** Tokens of one provider call, as many lines say them; `TokenUsage` is made of them once they count. */
export interface TokenCounts {
  readonly input: number
  readonly output: number
  readonly cacheRead: number
  readonly cacheCreation: number
}

/** Tokens that were used and what they cost. */
export interface Spent {
  readonly tokens: TokenUsage
  /** US dollars. `undefined`: not reported. */
  readonly costUsd: number | undefined
}

export interface ModelWindow {
  readonly names: ReadonlyArray<string | undefined>
  /** Tokens. */
  readonly contextWindow: number
}

/** One line, decoded. Fields that the program left out are `undefined`. */
export type ClaudeEvent =
  | {
      readonly _tag: "Init"
      readonly sessionId: SessionId
      readonly model: string | undefined
      readonly version: string | undefined
      readonly permissionMode: string | undefined
      readonly mcpServers: ReadonlyArray<McpServerStatus>
    }
  | {
      readonly _tag: "Assistant"
      readonly messageId: string | undefined
      readonly model: string | undefined
      readonly blocks: ReadonlyArray<Block>
      readonly usage: TokenCounts | undefined
      readonly parent: string | undefined
      /** `authentication_failed`, `billing_error`, … on the message that stands in for a failed call. */
      readonly error: string | undefined
    }
  | {
      readonly _tag: "User"
      readonly results: ReadonlyArray<ToolResult>
      /** Its text, when it is no tool result. */
      readonly text: string | undefined
      readonly synthetic: boolean
    }
  | {
      readonly _tag: "Result"
      readonly subtype: string | undefined
      readonly isError: boolean
      readonly terminalReason: string | undefined
      readonly text: string
      readonly errors: ReadonlyArray<string>
      readonly status: number | undefined
      readonly errorType: string | undefined
      readonly apiError: string | undefined
      readonly localCommand: string | undefined
      /** Messages that wait for their turn: as many results are still to come. */
      readonly queued: number
      readonly windows: ReadonlyArray<ModelWindow>
      /** Of this result alone, all models, subagents and compaction included. */
      readonly spent: Spent | undefined
    }
  | {
      readonly _tag: "Retry"
      readonly attempt: number
      readonly maxAttempts: number
      readonly delayMillis: number
      readonly status: number | undefined
      readonly error: string
    }
  | {
      readonly _tag: "Status"
      readonly status: string | undefined
      readonly compactResult: string | undefined
      readonly compactError: string | undefined
      readonly permissionMode: string | undefined
    }
  | {
      readonly _tag: "CompactBoundary"
      readonly trigger: "auto" | "manual"
      readonly before: number | undefined
      readonly after: number | undefined
    }
  | { readonly _tag: "BackgroundTasks"; readonly running: number }
  /** A background task has ended by itself, or was stopped. */
  | { readonly _tag: "TaskEnded"; readonly stopped: boolean }
  | { readonly _tag: "SessionState"; readonly state: string }
  /** What became of a message that we gave: `queued`, `started`, `completed`, `cancelled`. */
  | { readonly _tag: "Message"; readonly uuid: string; readonly state: string }
  | { readonly _tag: "RateLimit"; readonly status: string; readonly resetsAt: number | undefined }
  /** A provider call has begun. */
  | {
      readonly _tag: "CallStarted"
      readonly messageId: string
      readonly usage: TokenCounts
      readonly parent: string | undefined
    }
  /** A provider call has ended; its output tokens are final. */
  | { readonly _tag: "CallEnded"; readonly messageId: string; readonly output: number }
  | {
      readonly _tag: "CanUseTool"
      readonly requestId: string
      readonly tool: string
      readonly input: ToolInput
      readonly toolUseId: string | undefined
      readonly agentId: string | undefined
    }
  | { readonly _tag: "CancelRequest"; readonly requestId: string }
  /** A question of the program that we do not know: it waits for an answer all the same. */
  | { readonly _tag: "OtherRequest"; readonly requestId: string; readonly subtype: string }
  | {
      readonly _tag: "ControlResponse"
      readonly requestId: string | undefined
      readonly error: string | undefined
      readonly mcpServers: ReadonlyArray<McpServerStatus> | undefined
      readonly version: string | undefined
      readonly permissionMode: string | undefined
    }
  /** A sign of life that says nothing else. */
  | { readonly _tag: "Heartbeat" }
  /** What we do not know, or could not read. `type` or `type/subtype`. */
  | { readonly _tag: "Other"; readonly type: string }

export type Event<Tag extends ClaudeEvent["_tag"]> = Extract<ClaudeEvent, { readonly _tag: Tag }>

const heartbeat: ClaudeEvent = { _tag: "Heartbeat" }

const other = (type: string): ClaudeEvent => ({ _tag: "Other", type: excerpt(type, 100) })

/** A kind of line that we know, without a field that it needs. */
const unreadable = (type: string): ClaudeEvent => other(`${type} (unreadable)`)

/** What one line says. Total: every value gives an event. */
export const decode = (line: unknown): ClaudeEvent => {
  if (!isRecord(line)) return other("(no object)")
  const type = line["type"]
  switch (type) {
    case "assistant":
      return decodeAssistant(line)
    case "user":
      return decodeUser(line)
    case "result":
      return decodeResult(line)
    case "system":
      return decodeSystem(line)
    case "stream_event":
      return decodeStream(line)
    case "control_request":
      return decodeControlRequest(line)
    case "control_cancel_request": {
      const requestId = string(line["request_id"])
      return requestId === undefined ? unreadable(type) : { _tag: "CancelRequest", requestId }
    }
    case "control_response":
      return decodeControlResponse(line)
    case "rate_limit_event":
      return decodeRateLimit(line)
    case "command_lifecycle": {
      const uuid = string(line["command_uuid"])
      return uuid === undefined
        ? unreadable(type)
        : { _tag: "Message", uuid, state: string(line["state"]) ?? "unknown" }
    }
    case "keep_alive":
      return heartbeat
    default:
      return other(typeof type === "string" ? type : "(no type)")
  }
}

const decodeSystem = (line: Json): ClaudeEvent => {
  const subtype = line["subtype"]
  switch (subtype) {
    case "init":
      return decodeInit(line)
    case "api_retry":
      return decodeRetry(line)
    case "status":
      return {
        _tag: "Status",
        status: string(line["status"]),
        compactResult: string(line["compact_result"]),
        compactError: string(line["compact_error"]),
        permissionMode: string(line["permissionMode"])
      }
    case "compact_boundary": {
      const metadata = record(line["compact_metadata"]) ?? nothing
      return {
        _tag: "CompactBoundary",
        trigger: metadata["trigger"] === "manual" ? "manual" : "auto",
        before: count(metadata["pre_tokens"]),
        after: count(metadata["post_tokens"])
      }
    }
    case "background_tasks_changed":
      return Array.isArray(line["tasks"])
        ? { _tag: "BackgroundTasks", running: line["tasks"].length }
        : unreadable("system/background_tasks_changed")
    case "task_notification":
      return { _tag: "TaskEnded", stopped: line["status"] === "stopped" || line["status"] === "killed" }
    case "session_state_changed":
      return { _tag: "SessionState", state: string(line["state"]) ?? "unknown" }
    default:
      return other(typeof subtype === "string" ? `system/${subtype}` : "system")
  }
}

const decodeInit = (line: Json): ClaudeEvent => {
  const sessionId = toSessionId(line["session_id"])
  return sessionId === undefined
    ? unreadable("system/init")
    : {
        _tag: "Init",
        sessionId,
        model: string(line["model"]),
        version: string(line["claude_code_version"]),
        permissionMode: string(line["permissionMode"]),
        mcpServers: servers(line["mcp_servers"])
      }
}

const isSessionId = Schema.is(SessionId)
const toSessionId = (value: unknown): SessionId | undefined => (isSessionId(value) ? value : undefined)

const servers = (value: unknown): ReadonlyArray<McpServerStatus> =>
  list(value).flatMap((server) => {
    const name = string(record(server)?.["name"])
    return name === undefined ? [] : [{ name, status: string(record(server)?.["status"]) ?? "unknown" }]
  })

const decodeRetry = (line: Json): ClaudeEvent => ({
  _tag: "Retry",
  attempt: count(line["attempt"]) ?? 0,
  maxAttempts: count(line["max_retries"]) ?? 0,
  delayMillis: amount(line["retry_delay_ms"]) ?? 0,
  status: count(line["error_status"]),
  error: string(line["error"]) ?? "unknown"
})

/** The model that the CLI names when it wrote a message itself. */
const synthetic = "<synthetic>"

const decodeAssistant = (line: Json): ClaudeEvent => {
  const message = record(line["message"])
  if (message === undefined) return unreadable("assistant")
  return {
    _tag: "Assistant",
    messageId: string(message["id"]),
    model: string(message["model"]),
    blocks: list(message["content"]).map(block),
    usage: tokensOf(message["usage"]),
    parent: nonEmpty(line["parent_tool_use_id"]),
    error: string(line["error"]) ?? (line["is_api_error_message"] === true ? "unknown" : undefined)
  }
}

const block = (value: unknown): Block => {
  const fields = record(value) ?? nothing
  const type = string(fields["type"]) ?? ""
  switch (type) {
    case "text": {
      const text = string(fields["text"])
      if (text !== undefined) return { _tag: "Text", text }
      break
    }
    case "thinking": {
      const text = string(fields["thinking"])
      if (text !== undefined) return { _tag: "Thinking", text }
      break
    }
    case "tool_use": {
      const id = string(fields["id"])
      const name = string(fields["name"])
      if (id !== undefined && name !== undefined) {
        return { _tag: "ToolUse", id, name, input: record(fields["input"]) ?? nothing }
      }
      break
    }
  }
  return { _tag: "OtherBlock", type }
}

/** None when input or output are missing: half a figure would be a wrong one. */
const tokensOf = (value: unknown): TokenCounts | undefined => {
  const usage = record(value)
  if (usage === undefined) return undefined
  const input = count(usage["input_tokens"])
  const output = count(usage["output_tokens"])
  if (input === undefined || output === undefined) return undefined
  const cacheRead = count(usage["cache_read_input_tokens"]) ?? 0
  const cacheCreation = count(usage["cache_creation_input_tokens"]) ?? 0
  return { input, output, cacheRead, cacheCreation }
}

/** The counts are checked already. */
const usageOf = (counts: TokenCounts): TokenUsage => new TokenUsage(counts, { disableValidation: true })

const decodeUser = (line: Json): ClaudeEvent => {
  const content = record(line["message"])?.["content"]
  const isSynthetic = line["isSynthetic"] === true
  if (typeof content === "string") return { _tag: "User", results: [], text: content, synthetic: isSynthetic }
  if (!Array.isArray(content)) return unreadable("user")
  const results = content.flatMap((part) => toolResult(part, line["tool_result_meta"]))
  const text = results.length === 0 ? answerText(content) : undefined
  return { _tag: "User", results, text, synthetic: isSynthetic }
}

/** Characters of a tool's answer that an event carries. */
const toolTextLength = 2_000

const toolResult = (value: unknown, metas: unknown): ReadonlyArray<ToolResult> => {
  const part = record(value)
  const toolUseId = string(part?.["tool_use_id"])
  if (part === undefined || part["type"] !== "tool_result" || toolUseId === undefined) return []
  const meta = record(list(metas).find((one) => record(one)?.["id"] === toolUseId)) ?? nothing
  return [
    {
      toolUseId,
      failed: part["is_error"] === true,
      text: excerpt(answerText(part["content"]), toolTextLength),
      denied:
        nonEmpty(meta["non_execution_kind"]) !== undefined ||
        record(meta["permission_decision"])?.["decision"] === "reject"
    }
  ]
}

/** The text of a tool's answer: a string, or the text blocks of a list. */
const answerText = (content: unknown): string =>
  typeof content === "string"
    ? content
    : list(content)
        .flatMap((part) => {
          const fields = record(part) ?? nothing
          return fields["type"] === "text" ? (string(fields["text"]) ?? []) : []
        })
        .join("\n")

const decodeResult = (line: Json): ClaudeEvent => {
  const isError = line["is_error"]
  const total = record(line["modelUsage"])
  return {
    _tag: "Result",
    subtype: string(line["subtype"]),
    // Without the field, only a success without a reason to doubt it counts as one.
    isError: typeof isError === "boolean" ? isError : line["subtype"] !== "success",
    terminalReason: string(line["terminal_reason"]),
    text: string(line["result"]) ?? "",
    errors: list(line["errors"]).filter((error) => typeof error === "string"),
    status: count(line["api_error_status"]),
    errorType: string(line["api_error_type"]),
    apiError: string(line["api_error"]),
    localCommand: string(line["local_command"]),
    queued: count(line["queued_turn_count"]) ?? 0,
    windows: windowsOf(total),
    // A session in which no model was called has nothing to report since its last result either.
    spent: spentOf(
      record(line["model_usage_since_last_result"]) ?? (total !== undefined && isEmpty(total) ? total : undefined)
    )
  }
}

const isEmpty = (fields: Json): boolean => Object.keys(fields).length === 0

/** Tokens and cost of all models. A model without tokens makes all of it unknown, one without a cost the cost. */
const spentOf = (models: Json | undefined): Spent | undefined => {
  if (models === undefined) return undefined
  let input = 0
  let output = 0
  let cacheRead = 0
  let cacheCreation = 0
  let costUsd: number | undefined = 0
  for (const value of Object.values(models)) {
    const model = record(value)
    const ownInput = count(model?.["inputTokens"])
    const ownOutput = count(model?.["outputTokens"])
    if (model === undefined || ownInput === undefined || ownOutput === undefined) return undefined
    input += ownInput
    output += ownOutput
    cacheRead += count(model["cacheReadInputTokens"]) ?? 0
    cacheCreation += count(model["cacheCreationInputTokens"]) ?? 0
    const cost = amount(model["costUSD"])
    costUsd = cost === undefined || costUsd === undefined ? undefined : costUsd + cost
  }
  return { tokens: usageOf({ input, output, cacheRead, cacheCreation }), costUsd }
}

const windowsOf = (models: Json | undefined): ReadonlyArray<ModelWindow> =>
  Object.entries(models ?? nothing).flatMap(([name, value]) => {
    const model = record(value) ?? nothing
    const contextWindow = count(model["contextWindow"]) ?? 0
    return contextWindow === 0 ? [] : [{ names: [name, string(model["canonicalModel"])], contextWindow }]
  })

/** The CLI gives seconds since the epoch; a number too large for that is taken for milliseconds. */
const epochMillis = (moment: number): number => Math.round(moment < 1e11 ? moment * 1_000 : moment)

const decodeRateLimit = (line: Json): ClaudeEvent => {
  const info = record(line["rate_limit_info"])
  if (info === undefined) return unreadable("rate_limit_event")
  const resetsAt = amount(info["resetsAt"])
  return {
    _tag: "RateLimit",
    status: string(info["status"]) ?? "unknown",
    resetsAt: resetsAt === undefined ? undefined : epochMillis(resetsAt)
  }
}

const decodeStream = (line: Json): ClaudeEvent => {
  const event = record(line["event"]) ?? nothing
  const message = record(event["message"]) ?? nothing
  const messageId = string(message["id"]) ?? string(line["api_message_id"])
  if (messageId === undefined) return heartbeat
  if (event["type"] === "message_start") {
    const usage = tokensOf(message["usage"])
    if (usage === undefined) return heartbeat
    return { _tag: "CallStarted", messageId, usage, parent: nonEmpty(line["parent_tool_use_id"]) }
  }
  if (event["type"] === "message_delta") {
    const output = count(record(event["usage"])?.["output_tokens"])
    return output === undefined ? heartbeat : { _tag: "CallEnded", messageId, output }
  }
  return heartbeat
}

const decodeControlRequest = (line: Json): ClaudeEvent => {
  const requestId = string(line["request_id"])
  const request = record(line["request"])
  if (requestId === undefined || request === undefined) return unreadable("control_request")
  const subtype = string(request["subtype"]) ?? "unknown"
  const tool = string(request["tool_name"])
  const input = record(request["input"])
  if (subtype !== "can_use_tool" || tool === undefined || input === undefined) {
    return { _tag: "OtherRequest", requestId, subtype }
  }
  return {
    _tag: "CanUseTool",
    requestId,
    tool,
    input,
    toolUseId: string(request["tool_use_id"]),
    agentId: string(request["agent_id"])
  }
}

const decodeControlResponse = (line: Json): ClaudeEvent => {
  const response = record(line["response"])
  if (response === undefined) return unreadable("control_response")
  const said = record(response["response"]) ?? nothing
  const mcpServers = said["mcpServers"]
  return {
    _tag: "ControlResponse",
    requestId: string(response["request_id"]),
    error: response["subtype"] === "error" ? (string(response["error"]) ?? "unknown") : undefined,
    mcpServers: Array.isArray(mcpServers) ? servers(mcpServers) : undefined,
    version: string(said["claude_code_version"]),
    permissionMode: string(said["current_permission_mode"])
  }
}

// What a turn amounts to.

/** A turn so far. */
export interface Turn {
  /** A `/compact` turn, whose failure shows nowhere else than in `Compacted`. */
  readonly compacts: boolean
  /** The id that `SessionStarted` has announced, in this turn or before. */
  readonly sessionId: Option.Option<SessionId>
  readonly inits: number
  /** How many `init`s there will be at least: a late message or the end of a background task starts the agent again. */
  readonly awaitedInits: number
  readonly results: number
  readonly lastResult: Option.Option<Event<"Result">>
  /** Summed over the results; `undefined` as soon as one did not report it. */
  readonly spent: Spent | undefined
  readonly backgroundTasks: number
  /** `running`, `idle`, …; none until the program says it. */
  readonly sessionState: Option.Option<string>
  /** Messages that were given in mid-turn and of which the program has not said that it took them. */
  readonly steers: HashSet.HashSet<string>
  /** Tool calls that have not ended. While there are any, silence is not suspicious. */
  readonly openTools: HashSet.HashSet<string>
  /** Output tokens that were metered, by provider message. */
  readonly metered: HashMap.HashMap<string, number>
  readonly contextTokens: Option.Option<number>
  readonly contextWindow: Option.Option<number>
  /** The model of the last call of the main loop, or of the session. */
  readonly model: Option.Option<string>
  /** What the stand-in message of a failed call says: `authentication_failed`, … */
  readonly lastError: Option.Option<string>
  /** What the program itself said last, in the agent's place. */
  readonly lastSynthetic: Option.Option<string>
  /** When a limit of the provider that was reached resets: milliseconds since the epoch. */
  readonly limitResetsAt: Option.Option<number>
  /** A compaction that has succeeded and of which not all is told yet. */
  readonly compaction: Option.Option<Compaction>
  readonly compactionReported: boolean
  readonly compactionFailed: boolean
  /** A failure in which the program would persist: stop the turn. */
  readonly fatal: Option.Option<AgentFailure>
}

interface Compaction {
  readonly trigger: "auto" | "manual"
  readonly before: Option.Option<number>
  readonly after: Option.Option<number>
}

/** A turn before its first line. `sessionId` is what was announced before. */
export const begin = (options: { readonly sessionId: Option.Option<SessionId>; readonly compacts: boolean }): Turn => ({
  compacts: options.compacts,
  sessionId: options.sessionId,
  inits: 0,
  awaitedInits: 0,
  results: 0,
  lastResult: Option.none(),
  spent: { tokens: TokenUsage.zero, costUsd: 0 },
  backgroundTasks: 0,
  sessionState: Option.none(),
  steers: HashSet.empty(),
  openTools: HashSet.empty(),
  metered: HashMap.empty(),
  contextTokens: Option.none(),
  contextWindow: Option.none(),
  model: Option.none(),
  lastError: Option.none(),
  lastSynthetic: Option.none(),
  limitResetsAt: Option.none(),
  compaction: Option.none(),
  compactionReported: false,
  compactionFailed: false,
  fatal: Option.none()
})

/** The turn after one more line, and what there is to tell. Total. */
export const step = (turn: Turn, event: ClaudeEvent): readonly [Turn, ReadonlyArray<AgentEvent>] => {
  switch (event._tag) {
    case "Init":
      return onInit(turn, event)
    case "Assistant":
      return onAssistant(turn, event)
    case "User":
      return onUser(turn, event)
    case "Result":
      return onResult(turn, event)
    case "Status":
      return onStatus(turn, event)
    case "CompactBoundary": {
      const compaction = Option.some({
        trigger: event.trigger,
        before: Option.fromNullable(event.before),
        after: Option.fromNullable(event.after)
      })
      // The context that was measured before is gone.
      return [{ ...turn, compaction, contextTokens: Option.none() }, []]
    }
    case "Retry":
      return onRetry(turn, event)
    case "RateLimit": {
      const resetsAt = Option.fromNullable(event.resetsAt)
      const reached = event.status === "rejected" ? resetsAt : turn.limitResetsAt
      return [{ ...turn, limitResetsAt: reached }, [AgentEvent.RateLimited({ status: event.status, resetsAt })]]
    }
    case "BackgroundTasks":
      return [{ ...turn, backgroundTasks: event.running }, [AgentEvent.BackgroundTasks({ running: event.running })]]
    case "TaskEnded":
      return [event.stopped ? turn : restarted(turn), []]
    case "Message": {
      if (!HashSet.has(turn.steers, event.uuid)) return [turn, []]
      const taken = { ...turn, steers: HashSet.remove(turn.steers, event.uuid) }
      return event.state === "queued" ? [turn, []] : [event.state === "started" ? restarted(taken) : taken, []]
    }
    case "SessionState":
      return [{ ...turn, sessionState: Option.some(event.state) }, []]
    case "CallStarted":
      return meter(turn, event.messageId, event.usage, event.parent)
    case "CallEnded":
      return meterOutput(turn, event)
    case "Other":
      return [turn, [AgentEvent.Ignored({ type: event.type })]]
    case "CanUseTool":
    case "CancelRequest":
    case "OtherRequest":
    case "ControlResponse":
    case "Heartbeat":
      return [turn, []]
  }
}

/** A message was given in mid-turn, under this id. */
export const steered = (turn: Turn, uuid: string): Turn => ({ ...turn, steers: HashSet.add(turn.steers, uuid) })

/** An agent at work takes news in passing; one that has stopped is started again by them. */
const restarted = (turn: Turn): Turn =>
  turn.results > 0 && turn.results >= turn.inits ? { ...turn, awaitedInits: turn.inits + 1 } : turn

const onInit = (turn: Turn, event: Event<"Init">): readonly [Turn, ReadonlyArray<AgentEvent>] => {
  const sessionId = Option.some(event.sessionId)
  const model = Option.fromNullable(event.model)
  const next = {
    ...turn,
    inits: turn.inits + 1,
    sessionId,
    model: Option.orElse(model, () => turn.model),
    // What was idle is at work again.
    sessionState: Option.filter(turn.sessionState, (state) => state !== "idle")
  }
  if (Option.contains(turn.sessionId, event.sessionId)) return [next, []]
  const version = Option.fromNullable(event.version)
  return [next, [AgentEvent.SessionStarted({ sessionId: event.sessionId, model, version })]]
}

const onAssistant = (before: Turn, event: Event<"Assistant">): readonly [Turn, ReadonlyArray<AgentEvent>] => {
  const [told, events] = flushCompaction(before)
  if (event.model === synthetic) {
    const said = event.blocks.flatMap((part) => (part._tag === "Text" ? [part.text] : [])).join("\n")
    const lastError = Option.orElse(Option.fromNullable(event.error), () => told.lastError)
    return [{ ...told, lastError, lastSynthetic: Option.some(said) }, events]
  }
  const parentToolUseId = Option.fromNullable(event.parent)
  const metered: readonly [Turn, ReadonlyArray<AgentEvent>] =
    event.usage === undefined || event.messageId === undefined
      ? [told, []]
      : meter(told, event.messageId, event.usage, event.parent)
  const main = event.parent === undefined && event.model !== undefined
  let openTools = told.openTools
  const said: Array<AgentEvent> = []
  for (const part of event.blocks) {
    switch (part._tag) {
      case "Text":
        if (part.text !== "") said.push(AgentEvent.Said({ text: part.text, parentToolUseId }))
        break
      case "Thinking":
        said.push(AgentEvent.Thought({ text: part.text }))
        break
      case "ToolUse":
        openTools = HashSet.add(openTools, part.id)
        said.push(AgentEvent.ToolCalled({ toolUseId: part.id, name: part.name, input: part.input, parentToolUseId }))
        break
      case "OtherBlock":
        said.push(AgentEvent.Ignored({ type: `assistant/${excerpt(part.type, 100)}` }))
        break
    }
  }
  const [turn, charged] = metered
  const isSame = openTools === turn.openTools && (!main || Option.contains(turn.model, event.model))
  const next = isSame ? turn : { ...turn, model: main ? Option.fromNullable(event.model) : turn.model, openTools }
  return [next, events.length + charged.length === 0 ? said : [...events, ...charged, ...said]]
}

/** Charges a provider call once, however many lines it gives. */
const meter = (
  turn: Turn,
  messageId: string,
  used: TokenCounts,
  parent: string | undefined
): readonly [Turn, ReadonlyArray<AgentEvent>] => {
  if (HashMap.has(turn.metered, messageId)) return [turn, []]
  // Only the main loop's context is the session's.
  const contextTokens = parent === undefined ? Option.some(totalTokens(used)) : Option.none()
  return [
    {
      ...turn,
      metered: HashMap.set(turn.metered, messageId, used.output),
      contextTokens: Option.orElse(contextTokens, () => turn.contextTokens)
    },
    [AgentEvent.Metered({ tokens: usageOf(used), contextTokens })]
  ]
}

/** The lines of a call carry a placeholder for its output; where partial messages are on, its end corrects it. */
const meterOutput = (turn: Turn, event: Event<"CallEnded">): readonly [Turn, ReadonlyArray<AgentEvent>] => {
  const counted = HashMap.get(turn.metered, event.messageId)
  if (Option.isNone(counted) || event.output <= counted.value) return [turn, []]
  const output = event.output - counted.value
  return [
    { ...turn, metered: HashMap.set(turn.metered, event.messageId, event.output) },
    [
      AgentEvent.Metered({
        tokens: usageOf({ input: 0, output, cacheRead: 0, cacheCreation: 0 }),
        contextTokens: Option.none()
      })
    ]
  ]
}

const onUser = (before: Turn, event: Event<"User">): readonly [Turn, ReadonlyArray<AgentEvent>] => {
  if (event.results.length > 0) {
    const [turn, events] = flushCompaction(before)
    const ended = event.results.map((result) => AgentEvent.ToolEnded(result))
    const openTools = event.results.reduce((open, { toolUseId }) => HashSet.remove(open, toolUseId), turn.openTools)
    return [{ ...turn, openTools }, [...events, ...ended]]
  }
  if (event.synthetic && Option.isSome(before.compaction)) {
    return flushCompaction(before, Option.fromNullable(event.text))
  }
  return [before, [AgentEvent.Ignored({ type: "user/text" })]]
}

const onStatus = (turn: Turn, event: Event<"Status">): readonly [Turn, ReadonlyArray<AgentEvent>] => {
  const trigger = turn.compacts ? ("manual" as const) : ("auto" as const)
  if (event.status === "compacting") return [turn, [AgentEvent.Compacting({ trigger })]]
  if (event.compactResult === "success") {
    return [{ ...turn, compaction: Option.some({ trigger, before: Option.none(), after: Option.none() }) }, []]
  }
  if (event.compactResult !== undefined) {
    return reportCompaction(turn, trigger, compactFailure(event.compactError ?? event.compactResult))
  }
  return [turn, []]
}

const compactFailure = (error: string): CompactResult => ({
  succeeded: false,
  summary: Option.none(),
  before: Option.none(),
  after: Option.none(),
  error: Option.some(error)
})

const reportCompaction = (
  turn: Turn,
  trigger: "auto" | "manual",
  compacted: CompactResult
): readonly [Turn, ReadonlyArray<AgentEvent>] => [
  { ...turn, compaction: Option.none(), compactionReported: true, compactionFailed: !compacted.succeeded },
  [AgentEvent.Compacted({ trigger, result: compacted })]
]

/** Tells of a compaction that has succeeded, when there is one to tell of. */
const flushCompaction = (
  turn: Turn,
  summary: Option.Option<string> = Option.none()
): readonly [Turn, ReadonlyArray<AgentEvent>] =>
  Option.match(turn.compaction, {
    onNone: () => [turn, []] as const,
    onSome: ({ after, before, trigger }) =>
      reportCompaction(turn, trigger, { succeeded: true, summary, before, after, error: Option.none() })
  })

const onRetry = (turn: Turn, event: Event<"Retry">): readonly [Turn, ReadonlyArray<AgentEvent>] => {
  const { attempt, delayMillis, error, maxAttempts } = event
  const status = Option.fromNullable(event.status)
  const retrying = AgentEvent.Retrying({ attempt, maxAttempts, delay: Duration.millis(delayMillis), error, status })
  if (error !== "authentication_failed") return [turn, [retrying]]
  // The CLI retries this up to ten times, over minutes, although no retry can help.
  const fatal: AgentFailure = {
    class: "auth",
    message: `The provider refused the login${Option.match(status, { onNone: () => "", onSome: (code) => ` (${code})` })}`,
    status,
    resetsAt: Option.none()
  }
  return [{ ...turn, fatal: Option.some(fatal) }, [retrying]]
}

const onResult = (before: Turn, event: Event<"Result">): readonly [Turn, ReadonlyArray<AgentEvent>] => {
  const [told, events] = flushCompaction(before)
  const [turn, compacted] =
    told.compacts && !told.compactionReported
      ? reportCompaction(told, "manual", compactFailure(compactComplaint(told, event)))
      : ([told, []] as const)
  return [
    {
      ...turn,
      results: turn.results + 1,
      lastResult: Option.some(event),
      spent: turn.results === 0 ? event.spent : turn.spent && event.spent && addSpent(turn.spent, event.spent),
      contextWindow: Option.orElse(windowOf(event.windows, turn.model), () => turn.contextWindow),
      // A result ends its calls, also those that were cut off.
      openTools: HashSet.empty()
    },
    [...events, ...compacted]
  ]
}

const compactComplaint = (turn: Turn, event: Event<"Result">): string =>
  Option.getOrElse(turn.lastSynthetic, () => event.text || event.errors.join("; ") || "The agent did not compact")

const addSpent = (a: Spent, b: Spent): Spent => ({
  tokens: addTokens(a.tokens, b.tokens),
  costUsd: a.costUsd === undefined || b.costUsd === undefined ? undefined : a.costUsd + b.costUsd
})

/** The window of the model that the main loop talks to; of the smallest one when that is not clear. */
const windowOf = (all: ReadonlyArray<ModelWindow>, model: Option.Option<string>): Option.Option<number> => {
  const own = all.filter(({ names }) => Option.exists(model, (wanted) => names.includes(wanted)))
  const windows = (own.length === 0 ? all : own).map(({ contextWindow }) => contextWindow)
  return windows.length === 0 ? Option.none() : Option.some(Math.min(...windows))
}

/** At least one result has come. */
export const hasResult = (turn: Turn): boolean => Option.isSome(turn.lastResult)

/** No tool call is open. */
export const waitsForProvider = (turn: Turn): boolean => HashSet.size(turn.openTools) === 0

/**
 * All results have come: one for each `init`, none queued, and nobody in the background who would bring another. The
 * program holds a result back while a subagent runs, so its `init` can come long before it.
 */
export const isDrained = (turn: Turn): boolean =>
  Option.exists(turn.lastResult, ({ queued }) => queued === 0) &&
  turn.results >= turn.awaitedInits &&
  turn.backgroundTasks === 0 &&
  !isWorking(turn)

/**
 * The program is still at work, or may not have seen a message yet. Where it says such things, a turn is not over
 * before it says `idle` and has taken all messages; programs that say nothing of the kind are not busy.
 */
export const isBusy = (turn: Turn): boolean =>
  Option.exists(turn.sessionState, (state) => state !== "idle") || HashSet.size(turn.steers) > 0

/** Some work is under way that will give a result, unless the program has said after a result that it is idle. */
export const isWorking = (turn: Turn): boolean =>
  turn.results === 0 || (turn.results < turn.inits && !Option.contains(turn.sessionState, "idle"))

/**
 * The process can run another turn after this one. Not when it works on in the background or has messages left to
 * work on, when a compaction failed (its context is full, and it would fail again), or when its session is gone.
 */
export const canGoOn = (turn: Turn): boolean =>
  turn.backgroundTasks === 0 &&
  !turn.compactionFailed &&
  Option.exists(turn.lastResult, ({ queued }) => queued === 0) &&
  turn.inits > 0

/** How the turn ended, by its last result. None without a result. */
export const result = (turn: Turn, abandonedTasks: number): Option.Option<TurnResult> =>
  Option.map(turn.lastResult, (last) => resultOf(turn, endOf(turn, last), abandonedTasks))

/** The result of a turn that we ended, whatever the program says: what it reported counts all the same. */
export const resultOf = (turn: Turn, end: TurnEnd, abandonedTasks: number): TurnResult => {
  // Without any result nothing was reported; the sum of none would claim that nothing was spent.
  const spent = hasResult(turn) ? turn.spent : undefined
  return {
    end,
    sessionId: turn.sessionId,
    usage: Option.fromNullable(spent?.tokens),
    costUsd: Option.fromNullable(spent?.costUsd),
    contextTokens: turn.contextTokens,
    contextWindow: turn.contextWindow,
    abandonedTasks
  }
}

/** Never from the subtype alone: `success` with `is_error` is a failed call. */
const endOf = (turn: Turn, last: Event<"Result">): TurnEnd => {
  if (Option.isSome(turn.fatal)) return TurnEnd.Failed({ failure: turn.fatal.value })
  if (last.subtype === "success" && !last.isError) return TurnEnd.Completed({ text: last.text })
  if (last.subtype === "error_max_turns") return TurnEnd.LimitReached({ limit: "max_turns" })
  if (last.subtype === "error_max_budget_usd") return TurnEnd.LimitReached({ limit: "max_budget" })
  if (last.terminalReason === "aborted_streaming" || last.terminalReason === "aborted_tools") {
    return TurnEnd.Interrupted()
  }
  const message = [last.text, ...last.errors].filter((said) => said !== "").join("; ")
  const report: FailureReport = {
    message: message === "" ? (last.subtype ?? "The agent reported an error and did not say which") : message,
    status: last.status,
    error: Option.getOrUndefined(turn.lastError),
    errorType: last.errorType,
    apiError: last.apiError,
    terminalReason: last.terminalReason
  }
  return TurnEnd.Failed({ failure: failureOf(report, turn.limitResetsAt) })
}

/** All that the CLI says about a failure. */
export interface FailureReport {
  readonly message: string
  /** HTTP status. */
  readonly status?: number | undefined
  /** `error` of the stand-in message: `billing_error`, `rate_limit`, … */
  readonly error?: string | undefined
  /** The provider's own type: `overloaded_error`, … */
  readonly errorType?: string | undefined
  /** `connection_failed`, … when no answer came at all. */
  readonly apiError?: string | undefined
  readonly terminalReason?: string | undefined
}

/** What kind of failure it is, from the most telling sign to the least: the words come last. */
export const classify = (report: FailureReport, limitResets: boolean): FailureClass => {
  const { apiError, error, errorType, message, status, terminalReason } = report
  if (terminalReason === "prompt_too_long" || /prompt is too long/i.test(message)) return "prompt_too_long"
  // Too much in the conversation as well, though counted in bytes: compacting is what the agent itself advises.
  if (status === 413 || errorType === "request_too_large") return "prompt_too_long"
  if (/no conversation found|--resume requires a valid session/i.test(message)) return "session_dead"
  if (
    error === "billing_error" ||
    status === 402 ||
    errorType === "billing_error" ||
    /credit balance|quota|billing/i.test(message)
  ) {
    return "billing"
  }
  if (/usage limit|hit your .{0,20}limit|limit reached/i.test(message)) return "usage_limit"
  if (error === "rate_limit" || status === 429 || errorType === "rate_limit_error") {
    return limitResets ? "usage_limit" : "transient"
  }
  if (error === "authentication_failed" || status === 401 || status === 403) return "auth"
  if (/not logged in|please run \/login|invalid api key/i.test(message)) return "auth"
  if (error === "model_not_found" || (errorType === "not_found_error" && /model/i.test(message))) {
    return "model_unavailable"
  }
  if (status !== undefined && (status >= 500 || status === 408 || status === 409)) return "transient"
  if (error === "server_error" || error === "overloaded" || apiError !== undefined) return "transient"
  if (errorType === "overloaded_error" || errorType === "api_error" || errorType === "timeout_error") return "transient"
  if (error === "invalid_request" || (status !== undefined && status >= 400)) return "invalid_request"
  if (/ECONNREFUSED|ECONNRESET|ENOTFOUND|ETIMEDOUT|network|connection error|overloaded/i.test(message))
    return "transient"
  return "unknown"
}

/** `limitResetsAt`: when a limit that was reached resets, as the program reported it beside the failure. */
export const failureOf = (report: FailureReport, limitResetsAt: Option.Option<number>): AgentFailure => {
  // An older form of the message carries the moment itself: "Claude AI usage limit reached|1755806400".
  const written = /limit reached\|(\d{9,13})/i.exec(report.message)?.[1]
  const resetsAt = written === undefined ? limitResetsAt : Option.some(epochMillis(Number(written)))
  const kind = classify(report, Option.isSome(resetsAt))
  return {
    class: kind,
    message: report.message,
    status: Option.fromNullable(report.status),
    resetsAt: kind === "usage_limit" ? resetsAt : Option.none()
  }
}
