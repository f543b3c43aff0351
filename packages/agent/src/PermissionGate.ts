/**
 * The gate that an agent's tool calls pass, as the goal loop and the agents see
 * it: a goal registers, and gets a ticket with which its agent asks.
 *
 * It does not decide: deciders do, in `@driver/permission`. This module owns
 * only the words between the two.
 */
import type { ApprovalAnswered, ApprovalRequested } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import {
  ChoiceAllow,
  ChoiceDeny,
  Decision,
  type DecisionChoice,
  DecisionId,
  Deny,
  type PermissionOutcome,
  PermissionRequest,
  type ToolInput,
  Unavailable
} from "@driver/domain/Permission"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { ModelCharge } from "./ModelLedger.js"
import * as ToolSpans from "./ToolSpans.js"

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
  /** The spans of the goal's tool calls, to be told of each turn. Absent: decisions are told where they are asked for. */
  readonly spans?: ToolSpans.ToolSpans
}

/** The operator's messages that go to the agent with one answer. The first of the two effects counts. */
export interface RidingMessages {
  /** Oldest first, at least one. */
  readonly texts: ReadonlyArray<string>
  /** The answer to this call was handed over. */
  readonly delivered: (toolUseId: Option.Option<string>) => Effect.Effect<void>
  /** It was not: the messages wait for another way. */
  readonly giveBack: Effect.Effect<void>
}

export interface GateRegistration {
  readonly goalId: GoalId
  /** Absolute path of the workspace. */
  readonly workspace: string
  /** Commands of the goal's own criteria: the default rules allow them. */
  readonly criteriaCommands: ReadonlyArray<string>
  /** What the goal is, in its own words: calls are judged by it. */
  readonly description: string
  /** Called when a question arrives, before it is decided. */
  readonly onRequest: (request: PermissionRequest) => Effect.Effect<void>
  /**
   * Called with every call and what was decided about it, before that is recorded; resolves with what is answered. It
   * may refuse and say more, never allow what was refused. `key` is equal for equal calls. When it fails, the call is
   * refused.
   */
  readonly review: (
    request: PermissionRequest,
    key: string,
    outcome: PermissionOutcome
  ) => Effect.Effect<PermissionOutcome>
  /** The operator's messages that wait: asked for when a call is refused, or would be put to a person. Resolves at once. */
  readonly claimMessages: Effect.Effect<Option.Option<RidingMessages>>
  /** Called when a person is asked about a call, and when that is over. */
  readonly onApproval: (event: ApprovalRequested | ApprovalAnswered) => Effect.Effect<void>
  /** Called with what a model took that was asked about a call. Absent: nobody keeps it. */
  readonly onModelCharge?: (charge: ModelCharge) => Effect.Effect<void>
  /** Called with the record of every answered question, before the agent gets the answer. */
  readonly onDecision: (decision: Decision) => Effect.Effect<void>
}

export class PermissionGate extends Context.Tag("@driver/agent/PermissionGate")<
  PermissionGate,
  {
    /** Opens the gate for a goal. When the scope closes, the token is worth nothing and open questions are withdrawn. */
    readonly register: (registration: GateRegistration) => Effect.Effect<GateTicket, GateError, Scope.Scope>
  }
>() {
  /**
   * Answers in this process, by a function: for tests and rehearsals. Records and
   * reports like the real gate, but has no door for an external program, no cache
   * and no time limit.
   */
  static readonly layerScripted = (
    answer: (call: ToolCall, registration: GateRegistration) => PermissionOutcome
  ): Layer.Layer<PermissionGate> => Layer.succeed(this, { register: (it) => registerScripted(it, answer) })
}

const registerScripted = (
  registration: GateRegistration,
  answer: (call: ToolCall, registration: GateRegistration) => PermissionOutcome
): Effect.Effect<GateTicket> =>
  Effect.gen(function* () {
    const turn = yield* Ref.make(0)
    const spans = yield* ToolSpans.make
    const { goalId, workspace } = registration
    const decide = (call: ToolCall) =>
      Effect.gen(function* () {
        const at = yield* Ref.get(turn)
        const span = yield* spans.deciding(call, { goalId, turn: at })
        return yield* Effect.tap(span.within(decideAt(call, at)), span.end)
      })
    const decideAt = (call: ToolCall, now: number) =>
      Effect.gen(function* () {
        const { agentId, input, tool, toolUseId } = call
        const request = new PermissionRequest({
          goalId,
          turn: now,
          workspace,
          tool,
          input,
          toolUseId,
          agentId,
          advisories: []
        })
        yield* registration.onRequest(request)
        const outcome = yield* registration.review(request, JSON.stringify([tool, input]), answer(call, registration))
        yield* registration.onDecision(
          new Decision({
            id: DecisionId.make(yield* randomUuid),
            goalId,
            turn: now,
            tool,
            input,
            choice: choiceOf(outcome),
            rationale: "scripted",
            decidedAt: yield* DateTime.now
          })
        )
        if (outcome._tag !== "Deny") return outcome
        const riding = yield* registration.claimMessages
        if (Option.isNone(riding)) return outcome
        yield* riding.value.delivered(toolUseId)
        return withMessages(outcome, riding.value.texts)
      }).pipe(
        // Like the real gate: what cannot be decided or recorded is refused.
        Effect.catchAllCause((cause) =>
          Effect.as(
            Effect.logError("A scripted decision failed", cause),
            new Unavailable({ reason: "the decision failed" })
          )
        )
      )
    return {
      program: Option.none(),
      socket: Option.none(),
      decide,
      startTurn: (number) => Ref.set(turn, number),
      startSession: Effect.void,
      spans
    }
  })

/** The denial with the operator's words after it, marked as such. */
export const withMessages = (denial: Deny, texts: ReadonlyArray<string>): Deny =>
  new Deny({ ...denial, message: `${denial.message}\n\n${operatorBlock(texts)}` }, { disableValidation: true })

/** How the operator's words are marked wherever an agent reads them. */
export const operatorBlock = (texts: ReadonlyArray<string>): string =>
  `[OPERATOR INTERRUPT]\n${texts.join("\n")}\n[END OPERATOR INTERRUPT]`

/** How an outcome is recorded. */
const allowed = new ChoiceAllow({})

export const choiceOf = (outcome: PermissionOutcome): DecisionChoice => {
  switch (outcome._tag) {
    case "AllowOnce":
    case "AllowSession":
      return allowed
    case "Deny":
      return new ChoiceDeny({ message: outcome.message })
    case "Unavailable":
      return new ChoiceDeny({ message: outcome.reason })
    case "Cancelled":
      return new ChoiceDeny({ message: "the question was withdrawn" })
  }
}

/** A version 4 UUID from the `Random` service: deterministic in tests, and no secret. */
export const randomUuid: Effect.Effect<string> = Effect.map(
  Effect.all(Array.from({ length: 16 }, () => Random.nextIntBetween(0, 256))),
  (bytes) => {
    const hex = bytes.map((byte, index) => {
      const value = index === 6 ? (byte & 0x0f) | 0x40 : index === 8 ? (byte & 0x3f) | 0x80 : byte
      return value.toString(16).padStart(2, "0")
    })
    return [hex.slice(0, 4), hex.slice(4, 6), hex.slice(6, 8), hex.slice(8, 10), hex.slice(10)]
      .map((it) => it.join(""))
      .join("-")
  }
)
