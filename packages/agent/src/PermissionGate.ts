/**
 * The gate that an agent's tool calls pass, as the goal loop and the agents see
 * it: a goal registers, and gets a ticket with which its agent asks.
 *
 * It does not decide: deciders do, in `@driver/permission`. This module owns
 * only the words between the two.
 */
import type { GoalId } from "@driver/domain/Goal"
import type { Decision, PermissionOutcome, PermissionRequest, ToolInput } from "@driver/domain/Permission"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

/** The gate could not be set up for a goal. */
export class GateError extends Schema.TaggedError<GateError>()("GateError", {
  goalId: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `The permission gate could not be opened for goal ${this.goalId}: ${this.detail}`
  }
}

/** One question of the agent. */
export interface ToolCall {
  readonly tool: string
  readonly input: ToolInput
  readonly toolUseId: Option.Option<string>
  readonly agentId: Option.Option<string>
}

/** How an external program asks: the agent starts `command` as an MCP server and calls its one tool. */
export interface GateProgram {
  /** Name of the server, which is also its key in the MCP configuration. */
  readonly serverName: string
  /** `permission_prompt`. */
  readonly toolName: string
  /** Absolute path of a JSON file for `--mcp-config`, mode 0600, outside the workspace. Holds the goal's token. */
  readonly mcpConfigPath: string
}

export interface GateTicket {
  /** Absent when the gate only serves agents of this process. */
  readonly program: Option.Option<GateProgram>
  /** The socket of the gate and the goal's secret, for agents that ask directly. */
  readonly socket: Option.Option<{ readonly path: string; readonly token: Redacted.Redacted<string> }>
  /** Decides one call in this process: the door for the agent's control protocol and for scripted agents. Never fails: what cannot be decided is refused. */
  readonly decide: (call: ToolCall) => Effect.Effect<PermissionOutcome>
  /** Called by the loop at the start of each turn: clears what was allowed for the turn only. */
  readonly startTurn: (turn: number) => Effect.Effect<void>
  /** Called by the loop when the agent has a new session: clears what was allowed for the session. */
  readonly startSession: Effect.Effect<void>
}

export interface GateRegistration {
  readonly goalId: GoalId
  /** Absolute path of the workspace. */
  readonly workspace: string
  /** Commands of the goal's own criteria: the default rules allow them. */
  readonly criteriaCommands: ReadonlyArray<string>
  /** Called when a question arrives, before it is decided. */
  readonly onRequest: (request: PermissionRequest) => Effect.Effect<void>
  /** Called with the record of every answered question, before the agent gets the answer. */
  readonly onDecision: (decision: Decision) => Effect.Effect<void>
}

export class PermissionGate extends Context.Tag("@driver/agent/PermissionGate")<
  PermissionGate,
  {
    /** Opens the gate for a goal. When the scope closes, the token is worth nothing and open questions are withdrawn. */
    readonly register: (registration: GateRegistration) => Effect.Effect<GateTicket, GateError, Scope.Scope>
  }
>() {}
