/**
 * The API calls of a turn, and what they cost: a call is opened by the first thing said in it, and charged when it ends.
 *
 * Owns the figures of the turn; those of the session are in `CurrentSession`. What is said in a call is in `Transcript`.
 */
import { Over } from "./Ending.js"
import { messageId, requestId } from "./Ids.js"
import type { Json } from "./Json.js"
import type { Call, Lane } from "./Lane.js"
import { system } from "./Output.js"
import type { Turn as Plan, Usage } from "./Scenario.js"
import { addUsage, contextOf, costOf, estimate, messageUsage, noUsage } from "./Tokens.js"
import type { World } from "./World.js"

export class ApiCalls {
  private total: Usage = noUsage
  private charged = false

  constructor(
    private readonly world: World,
    private readonly plan: Plan,
    private readonly startedAt: number
  ) {}

  /** What the main lane's calls have used so far. */
  get usage(): Usage {
    return this.total
  }

  /** The lane's open call, or a new one. Throws `Over` when the turn may make no more calls. */
  open(lane: Lane): Call {
    if (lane.call !== undefined) return lane.call
    if (lane.main && lane.calls > 0) {
      this.world.inbox.fold()
      const { maxTurns } = this.world
      if (maxTurns !== undefined && lane.calls >= maxTurns) {
        throw new Over({
          subtype: "error_max_turns",
          terminalReason: "max_turns",
          errors: [`Reached maximum number of turns (${maxTurns})`]
        })
      }
    }
    const usage = this.nextUsage(lane)
    lane.calls += 1
    const call: Call = { id: messageId(), requestId: requestId(), usage, said: "", text: undefined, blocks: 0 }
    lane.call = call
    this.partial(
      lane,
      call,
      {
        type: "message_start",
        message: {
          id: call.id,
          type: "message",
          role: "assistant",
          model: this.world.session.model,
          content: [],
          stop_reason: null,
          stop_sequence: null,
          usage: messageUsage(usage)
        }
      },
      true
    )
    return call
  }

  /** Ends the open call, if there is one, and charges it. */
  end(lane: Lane, stopReason: string | null): void {
    const { call } = lane
    if (call === undefined) return
    lane.call = undefined
    const usage = { ...call.usage, output: call.usage.output || estimate(call.said) }
    if (lane.main) {
      this.total = addUsage(this.total, usage)
      this.world.session.update((session) => ({ ...session, contextTokens: contextOf(usage) + usage.output }))
    }
    lane.tokens += contextOf(usage) + usage.output
    this.charge(usage)
    this.partial(lane, call, {
      type: "message_delta",
      delta: { stop_reason: stopReason, stop_sequence: null },
      usage: messageUsage(usage, usage.output)
    })
    this.partial(lane, call, { type: "message_stop" })
  }

  /** Ends a call that was cut: charged to the model, and missing from the turn's usage, as in the real agent. */
  cut(lane: Lane): void {
    const finished = this.total
    this.end(lane, null)
    this.total = finished
  }

  /** A cost that the plan gives is charged with the first call; subagents and compactions are in it. */
  charge(usage: Usage): void {
    const { costUsd } = this.plan
    this.world.session.charge(usage, costUsd === undefined ? costOf(usage) : this.charged ? 0 : (costUsd ?? 0))
    this.charged = true
  }

  /** Throws `Over` when the session has cost more than it may. */
  checkBudget(): void {
    const { maxBudgetUsd } = this.world
    if (maxBudgetUsd === undefined || this.world.session.spent() <= maxBudgetUsd) return
    throw new Over({
      subtype: "error_max_budget_usd",
      terminalReason: "budget_exhausted",
      errors: [`Reached maximum budget ($${maxBudgetUsd})`],
      usage: noUsage
    })
  }

  /** A piece of the call as it streams; printed with --include-partial-messages only. */
  partial(lane: Lane, call: Call, event: Json, first = false): void {
    if (!this.world.includePartialMessages) return
    if (first) this.world.output.event(system("status", { status: "requesting" }))
    this.world.output.event({
      type: "stream_event",
      event,
      ...lane.labels,
      ...(first ? { ttft_ms: Date.now() - this.startedAt, thinking_display: "updates" } : {}),
      api_message_id: call.id
    })
  }

  private nextUsage(lane: Lane): Usage {
    const { plan } = this
    const context = plan.contextTokens
    const planned = lane.main ? (plan.usage[lane.calls] ?? plan.usage.at(-1)) : undefined
    if (planned === undefined) {
      const total = (lane.main ? context : undefined) ?? this.world.session.current.contextTokens
      return { input: Math.min(10, total), output: 0, cacheRead: Math.max(0, total - 10), cacheCreation: 0 }
    }
    const usage = { ...noUsage, ...planned }
    return context === undefined
      ? usage
      : { ...usage, cacheRead: Math.max(0, context - usage.input - usage.cacheCreation) }
  }
}
