/**
 * The coding agent, seen from the driver: something that opens a session on a
 * directory, takes one prompt after the other, and reports what it does until
 * each turn ends.
 *
 * Everything that differs between one agent program and the next stays behind
 * this interface. An agent does not own the directory it works in, and it does
 * not decide whether the work is any good.
 */
import type { SessionId } from "@driver/domain/Binding"
import type { GoalId } from "@driver/domain/Goal"
import type { ToolInput } from "@driver/domain/Permission"
import type { TokenUsage } from "@driver/domain/Usage"
import { WireDuration } from "@driver/domain/Wire"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { type AgentScript, layerScripted, type ScriptedAgentLog, type ScriptedAgentOptions } from "./AgentScripted.js"
import type { GateTicket } from "./PermissionGate.js"

/** The agent program could not be started at all. `hint` says what to do: install it, log in, fix the path. */
export class AgentUnavailable extends Schema.TaggedError<AgentUnavailable>()("AgentUnavailable", {
  /** The program as it was looked for. */
  program: Schema.String,
  reason: Schema.Literal(
    "not_found",
    "not_executable",
    "not_logged_in",
    "wrong_version",
    "bad_workspace",
    "spawn_failed"
  ),
  detail: Schema.String,
  hint: Schema.String
}) {
  override get message() {
    return `The agent program ${this.program} could not be used: ${this.detail}. ${this.hint}`
  }
}

/** The agent runs, but not under our gate: somebody switched it off. The turn was stopped before any tool ran. */
export class AgentUnsafe extends Schema.TaggedError<AgentUnsafe>()("AgentUnsafe", {
  /** `permission_mode` or `gate_not_connected`. */
  problem: Schema.Literal("permission_mode", "gate_not_connected"),
  detail: Schema.String
}) {
  override get message() {
    return `The agent would not have asked for permission (${this.detail}), so the turn was stopped. Look for settings of the agent that change its permission mode or its servers.`
  }
}

/** The agent printed nothing for the whole idle limit. */
export class AgentStalled extends Schema.TaggedError<AgentStalled>()("AgentStalled", {
  idleFor: WireDuration
}) {
  override get message() {
    return `The agent printed nothing for ${Duration.format(this.idleFor)}`
  }
}

/** The agent program ended in the middle of a turn, without a result. */
export class AgentExited extends Schema.TaggedError<AgentExited>()("AgentExited", {
  /** `code 1`, `signal SIGKILL`. */
  exit: Schema.String,
  /** The last of standard error, redacted. */
  stderrTail: Schema.String
}) {
  override get message() {
    const tail = this.stderrTail.trim()
    return `The agent ended (${this.exit}) in the middle of a turn${tail === "" ? "" : `; it said: ${tail}`}`
  }
}

/** The agent's output stopped in the middle of a line. */
export class AgentTornLine extends Schema.TaggedError<AgentTornLine>()("AgentTornLine", {
  /** The beginning of what was read. */
  excerpt: Schema.String,
  exit: Schema.String
}) {
  override get message() {
    return `The agent's output was cut off in the middle of a line (${this.exit}): ${this.excerpt}`
  }
}

/** A line of the agent's output was no JSON: this is not the program we think it is, or it is broken. */
export class AgentNotJson extends Schema.TaggedError<AgentNotJson>()("AgentNotJson", {
  excerpt: Schema.String
}) {
  override get message() {
    return `The agent printed a line that is not JSON: ${this.excerpt}`
  }
}

/** The agent printed a line longer than the limit. */
export class AgentLineTooLong extends Schema.TaggedError<AgentLineTooLong>()("AgentLineTooLong", {
  /** Bytes. */
  limit: Schema.NonNegativeInt
}) {
  override get message() {
    return `The agent printed a line of more than ${this.limit} bytes`
  }
}

export type AgentError =
  | AgentUnavailable
  | AgentUnsafe
  | AgentStalled
  | AgentExited
  | AgentTornLine
  | AgentNotJson
  | AgentLineTooLong

/** What kind of failure the provider or the agent reported; policies decide on this, not on text. */
export type FailureClass =
  | "prompt_too_long"
  | "session_dead"
  | "usage_limit"
  | "auth"
  | "billing"
  | "transient"
  | "model_unavailable"
  | "invalid_request"
  | "unknown"

export interface AgentFailure {
  readonly class: FailureClass
  /** As the agent said it. */
  readonly message: string
  /** HTTP status of the provider, when there was one. */
  readonly status: Option.Option<number>
  /** When the provider says its limit resets: milliseconds since the epoch. */
  readonly resetsAt: Option.Option<number>
}

/** How a turn ended, as far as the agent is concerned. */
export type TurnEnd = Data.TaggedEnum<{
  /** The agent says that it has finished. Only the criteria decide whether it has. */
  Completed: { readonly text: string }
  Failed: { readonly failure: AgentFailure }
  /** We, or a denial that said so, interrupted it. */
  Interrupted: {}
  /** The agent's own limit on its inner steps or its cost. */
  LimitReached: { readonly limit: "max_turns" | "max_budget" }
}>
export const TurnEnd = Data.taggedEnum<TurnEnd>()

export interface TurnResult {
  readonly end: TurnEnd
  readonly sessionId: Option.Option<SessionId>
  /** All calls of this turn, subagents and compaction included. None: the agent did not report it; charge what was metered. */
  readonly usage: Option.Option<TokenUsage>
  /** US dollars of this turn alone. None: unknown. */
  readonly costUsd: Option.Option<number>
  /** Size of the last request's context, in tokens. */
  readonly contextTokens: Option.Option<number>
  /** Size of the model's window, in tokens. */
  readonly contextWindow: Option.Option<number>
  /** Background tasks that were still running when we stopped waiting for them. */
  readonly abandonedTasks: number
}

/** What a compaction did. */
export interface CompactResult {
  readonly succeeded: boolean
  /** The summary that the agent goes on with, when it shows it. */
  readonly summary: Option.Option<string>
  readonly before: Option.Option<number>
  readonly after: Option.Option<number>
  /** Why it failed. */
  readonly error: Option.Option<string>
}

export type AgentEvent = Data.TaggedEnum<{
  /** The session has an id, or a new one. Comes before the first work of a turn. */
  SessionStarted: {
    readonly sessionId: SessionId
    readonly model: Option.Option<string>
    readonly version: Option.Option<string>
  }
  Said: { readonly text: string; readonly parentToolUseId: Option.Option<string> }
  Thought: { readonly text: string }
  ToolCalled: {
    readonly toolUseId: string
    readonly name: string
    readonly input: ToolInput
    readonly parentToolUseId: Option.Option<string>
  }
  ToolEnded: {
    readonly toolUseId: string
    readonly failed: boolean
    /** Beginning of what the tool answered. */
    readonly text: string
    /** Why it did not run, when permission was refused. */
    readonly denied: boolean
  }
  /** Tokens of one provider call that has ended or was cut: the charge of a turn that ends without a result is their sum. */
  Metered: { readonly tokens: TokenUsage; readonly contextTokens: Option.Option<number> }
  /** The agent retries a failed provider call by itself. */
  Retrying: {
    readonly attempt: number
    readonly maxAttempts: number
    readonly delay: Duration.Duration
    readonly error: string
    readonly status: Option.Option<number>
  }
  /** The provider's limits, where it reports them. `resetsAt` in milliseconds since the epoch. */
  RateLimited: { readonly status: string; readonly resetsAt: Option.Option<number> }
  BackgroundTasks: { readonly running: number }
  Compacting: { readonly trigger: "auto" | "manual" }
  Compacted: { readonly trigger: "auto" | "manual"; readonly result: CompactResult }
  /** Something the agent prints and we have no use for. Counted, never fatal. */
  Ignored: { readonly type: string }
  /** The last event of a turn, exactly once. */
  TurnEnded: { readonly result: TurnResult }
}>
export const AgentEvent = Data.taggedEnum<AgentEvent>()

export interface SessionOptions {
  readonly goalId: GoalId
  /** Absolute path. The agent may change anything below it that the gate allows. */
  readonly workspace: string
  /** Continue this session of the agent. An id it does not know ends the first turn with `session_dead`. */
  readonly resume: Option.Option<SessionId>
  /** Where tool calls are decided. */
  readonly gate: GateTicket
}

export interface TurnInput {
  readonly prompt: string
  /** Identifies the turn in events of the agent. Unique per session. */
  readonly turn: number
}

/** A conversation with the agent. It lives as long as the scope it was opened in; turns run one at a time. */
export interface AgentSession {
  /**
   * Runs one turn: events, the last of which is `TurnEnded`. Interrupting the
   * stream ends the turn; what the agent had started is stopped before the
   * interruption returns. The session stays usable for another turn, by a new
   * process if it must.
   */
  readonly turn: (input: TurnInput) => Stream.Stream<AgentEvent, AgentError>
  /** Shrinks the agent's context: a turn whose events include `Compacted`. */
  readonly compact: (focus: string) => Stream.Stream<AgentEvent, AgentError>
  /**
   * Gives the running turn another message. Resolves with `false` when there is
   * no running turn or the backend cannot be steered: queue the message then.
   */
  readonly steer: (message: string) => Effect.Effect<boolean>
  /** Ends the running turn in good order: its stream ends with `Interrupted`. Does nothing between turns. */
  readonly interrupt: Effect.Effect<void>
}

export class Agent extends Context.Tag("@driver/agent/Agent")<
  Agent,
  {
    /** Names the backend: `claude-code`, `scripted`. */
    readonly kind: string
    /** Opens a session. Programs are started here or with the first turn, and end with the scope. */
    readonly open: (options: SessionOptions) => Effect.Effect<AgentSession, AgentError, Scope.Scope>
  }
>() {
  /**
   * Plays a script instead of a program, with delays on the `Clock`. `ScriptedAgentLog` says what it was asked.
   * The words of scripts are in `AgentScripted`.
   */
  static readonly layerScripted = (
    script: AgentScript,
    options?: ScriptedAgentOptions
  ): Layer.Layer<Agent | ScriptedAgentLog> => layerScripted(script, options)
}
