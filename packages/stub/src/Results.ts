/**
 * The `result` events: what a turn's ending says, with the totals of the session.
 *
 * Owns their numbering, and what the exit code depends on. What happened in the turn is told by its `Ending`.
 */
import type { CurrentSession } from "./CurrentSession.js"
import type { Ending } from "./Ending.js"
import type { Inbox } from "./Inbox.js"
import type { Json } from "./Json.js"
import type { Output } from "./Output.js"
import type { Setup } from "./Setup.js"
import { modelUsage, noUsage, resultUsage } from "./Tokens.js"

const noSubagents = {
  spawned: 0,
  requested: { background: 0, foreground: 0, unset: 0 },
  started_in_background: 0,
  max_depth: 0,
  spawned_by_subagents: 0,
  completed: 0,
  failed: 0,
  killed: { parent: 0, user: 0, system: 0 },
  refused: { depth_limit: 0, concurrency_limit: 0, budget: 0 },
  by_type: {}
}

export class Results {
  private index = 0
  private isError = false

  constructor(
    private readonly setup: Setup,
    private readonly session: CurrentSession,
    private readonly inbox: Inbox
  ) {}

  /** Whether the last result was an error. */
  get lastIsError(): boolean {
    return this.isError
  }

  /** Prints the result of a turn or local command, with its own fields and `extra`, and saves the session. */
  print(ending: Ending, extra: Json): void {
    const millis = Date.now() - ending.startedAt
    const { contextWindow } = this.setup.scenario
    this.session.update((session) => ({
      ...session,
      apiMillis: session.apiMillis + (ending.numTurns === 0 ? 0 : millis)
    }))
    this.session.save()
    const ttft = ending.firstTokenAt === undefined ? undefined : ending.firstTokenAt - ending.startedAt
    const times =
      ttft === undefined || ending.subtype !== "success"
        ? {}
        : { ttft_ms: ttft, ttft_stream_ms: ttft, time_to_request_ms: 0, first_content_frame_ms: ttft }
    this.setup.output.event({
      type: "result",
      subtype: ending.subtype,
      is_error: ending.isError,
      duration_ms: millis,
      duration_api_ms: this.session.current.apiMillis,
      num_turns: ending.numTurns,
      ...(ending.result === undefined ? {} : { result: ending.result }),
      ...(ending.errors === undefined ? {} : { errors: ending.errors }),
      ...(ending.subtype === "success" && extra["local_command"] === undefined ? { api_error_status: null } : {}),
      ...ending.extra,
      stop_reason: ending.stopReason,
      ...(ending.terminalReason === undefined ? {} : { terminal_reason: ending.terminalReason }),
      ...(ending.hideCost ? {} : { total_cost_usd: this.session.spent() }),
      usage: resultUsage(ending.usage),
      modelUsage: modelUsage(this.session.current.totals, contextWindow, !ending.hideCost),
      model_usage_since_last_result: modelUsage(this.session.sinceLastResult, contextWindow, !ending.hideCost),
      permission_denials: ending.denials,
      fast_mode_state: "off",
      fast_mode_disabled_reason: "sdk_opt_in_required",
      subagent_stats: noSubagents,
      safety_stops: 0,
      queued_turn_count: this.inbox.size,
      result_index: this.index,
      ...times,
      ...extra
    })
    this.session.resultPrinted()
    this.index += 1
    this.isError = ending.isError
  }
}

/** The one event of a run that cannot begin: the session to resume does not exist. */
export const cannotResume = (output: Output, sessionId: string, error: string): void => {
  output.setSession(sessionId)
  output.event({
    type: "result",
    subtype: "error_during_execution",
    duration_ms: 0,
    duration_api_ms: 0,
    is_error: true,
    num_turns: 0,
    stop_reason: null,
    total_cost_usd: 0,
    usage: resultUsage(noUsage),
    modelUsage: {},
    permission_denials: [],
    errors: [error],
    result_index: 0
  })
}
