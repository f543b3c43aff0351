/**
 * One turn: plays a plan's steps as a model would take them, and ends with what the result has to say.
 *
 * A step that speaks opens an API call (one message id, one event per content block); tools end the call; what is said
 * after their results belongs to the next one. An interruption arrives through one AbortController: everything that
 * waits, waits for it too. Owns the calls, tools and subagents of the turn. Does not print the result, since results
 * may be held back, and does not read stdin: `Conversation` does both.
 */
import { randomBytes, randomUUID } from "node:crypto"
import { showFailure } from "./Failures.js"
import type { Answer, Gate } from "./Gate.js"
import { type Output, system, timestamp, writeAll } from "./Output.js"
import {
  decide,
  type Grounds,
  type PermissionContext,
  publicName,
  type ToolInput,
  type Verdict
} from "./Permissions.js"
import { runCommand, spawnLeftover } from "./Processes.js"
import type {
  ApiFailure,
  Compact,
  Moment,
  PermissionMode,
  Turn as Plan,
  Scenario,
  Step,
  ToolCall,
  Usage
} from "./Scenario.js"
import type { Session } from "./Session.js"
import type { HookRunner } from "./Settings.js"
import { addUsage, contextOf, costOf, estimate, messageUsage, noUsage } from "./Tokens.js"
import {
  bashResult,
  completeInput,
  failed,
  inputProblem,
  questionResult,
  runFileTool,
  type ToolResult,
  toolUseError
} from "./Tools.js"

type StepOf<K extends Step["kind"]> = Extract<Step, { readonly kind: K }>

/** What a turn needs of the process it is played in. */
export interface World {
  readonly scenario: Scenario
  readonly cwd: string
  readonly output: Output
  readonly gate: Gate
  readonly hooks: HookRunner
  readonly maxTurns: number | undefined
  readonly maxBudgetUsd: number | undefined
  readonly includePartialMessages: boolean
  session(): Session
  update(change: (session: Session) => Session): void
  model(): string
  setModel(model: string): void
  permissions(): PermissionContext
  addRules(rules: ReadonlyArray<string>): void
  setMode(mode: PermissionMode): void
  /** Adds to the session's figures and to those since the last result. */
  charge(usage: Usage, costUsd: number): void
  /** USD spent by the session so far. */
  spent(): number
  /** The environment of commands. */
  commandEnv(): NodeJS.ProcessEnv
  /** Starts a command that outlives the turn; its end is announced and answered with `then`. */
  startBackground(task: BackgroundCommand): { readonly taskId: string; readonly outputFile: string }
  /** Keeps a subagent in the list of background tasks until it is done. */
  listAgent(task: Readonly<Record<string, unknown>> & { readonly task_id: string }): () => void
  /** Messages that arrived since, to be folded into this turn. */
  takeSteering(): void
  /** The next such message that was not asked for yet, or `undefined` when none comes in time. */
  nextSteering(within: number, signal: AbortSignal): Promise<string | undefined>
  /** Ends the process without a result. */
  exit(code: number, stderr?: string): never
}

export interface BackgroundCommand {
  readonly command: string
  readonly description: string
  readonly toolUseId: string
  readonly notifyAfter: number
  readonly then: ReadonlyArray<Step>
}

/** A turn that follows by itself: somebody announced that a task is done. */
export interface Notification {
  readonly runId: string
  readonly then: ReadonlyArray<Step>
}

/** Everything the result says of the turn itself; the session's totals are added when it is printed. */
export interface Ending {
  readonly subtype: "success" | "error_during_execution" | "error_max_turns" | "error_max_budget_usd"
  readonly isError: boolean
  readonly stopReason: string | null
  readonly terminalReason: string | undefined
  /** Absent for the error subtypes. */
  readonly result: string | undefined
  readonly errors: ReadonlyArray<string> | undefined
  readonly extra: Readonly<Record<string, unknown>>
  readonly numTurns: number
  readonly usage: Usage
  readonly denials: ReadonlyArray<unknown>
  /** Whether the result leaves the cost out. */
  readonly hideCost: boolean
  readonly startedAt: number
  readonly firstTokenAt: number | undefined
  /** Turns that have to be played before the result may be printed. */
  readonly notifications: ReadonlyArray<Notification>
}

/** Who stopped a turn: a control request, a signal, or a denial that said so. */
export type Interruption = "control" | "signal" | "denied"

/** The turn was interrupted while something waited. */
class Stopped extends Error {}

/** The turn is over before its steps are. */
class Over extends Error {
  constructor(readonly ending: Pick<Ending, "subtype" | "terminalReason" | "errors"> & { readonly usage?: Usage }) {
    super(ending.subtype)
  }
}

/** One request to the model. */
interface Call {
  readonly id: string
  readonly requestId: string
  readonly usage: Usage
  /** All that was said, from which its output tokens are estimated. */
  said: string
  /** The last text. */
  text: string | undefined
  blocks: number
}

/** Who speaks: the main conversation, or a subagent with its own calls. */
interface Lane {
  readonly main: boolean
  readonly agentId: string | undefined
  /** Fields of every event of the lane. */
  readonly labels: Readonly<Record<string, unknown>>
  /** The API call that is open. */
  call: Call | undefined
  calls: number
  lastText: string | undefined
  /** What has been streamed of a text that is not complete. */
  partial: string
  tools: number
  tokens: number
}

interface ActiveTool {
  readonly id: string
  readonly name: string
  readonly input: ToolInput
  readonly lane: Lane
  phase: "asking" | "running"
  kill: (() => void) | undefined
}

const hex = (bytes: number): string => randomBytes(bytes).toString("hex")

/** An id as tasks have them: a letter and base 36 digits. */
export const taskId = (letter: string): string =>
  letter +
  BigInt(`0x${hex(6)}`)
    .toString(36)
    .padStart(8, "0")
    .slice(-8)

export const runId = (): string => `0${Date.now().toString(36)}-${hex(4)}`

const rejectedText =
  "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the new_string was NOT written to the file). STOP what you are doing and wait for the user to tell you how to proceed."

const stoppedWhileRunning =
  " Correction to the text above: this call was stopped while running, not refused before it ran. It may have run in part or in full, and its changes may have been written."

/** The synthetic message that stands in for what a compaction has dropped. */
export const summaryText = (summary: string, tools: ReadonlyArray<string>, session: Session): string =>
  "This session is being continued from a previous conversation that ran out of context. The summary below covers the earlier portion of the conversation.\n\n" +
  `<system-reminder>\n<tools-used-before-summary>${tools.join(", ")}</tools-used-before-summary>\n</system-reminder>\nSummary:\n${summary}\n\n` +
  `If you need specific details from before compaction, they are in session ${session.id}.\n` +
  "Continue the conversation from where it left off without asking the user any further questions."

/** What a compaction costs and leaves behind. */
export const compacted = (session: Session, compact: Compact) => {
  const before = compact.preTokens ?? session.contextTokens
  const usage: Usage = { input: 10, output: estimate(compact.summary) + 20, cacheRead: before, cacheCreation: 0 }
  const dropped = session.droppedTokens + Math.max(0, before - compact.postTokens)
  const metadata = (trigger: "manual" | "auto", since: number) => ({
    trigger,
    pre_tokens: before,
    post_tokens: compact.postTokens,
    cumulative_dropped_tokens: dropped,
    duration_ms: Date.now() - since
  })
  const after = (current: Session): Session => ({
    ...current,
    contextTokens: compact.postTokens,
    compactions: current.compactions + 1,
    droppedTokens: dropped,
    toolsUsed: []
  })
  return { usage, metadata, after }
}

/** Waits; an endless wait keeps the process alive. */
const sleep = (millis: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new Stopped())
    const longest = 2 ** 30
    let left = millis
    const next = () => {
      const now = Math.min(left, longest)
      left -= now
      timer = setTimeout(() => (left > 0 ? next() : done()), now)
    }
    const stop = () => {
      clearTimeout(timer)
      reject(new Stopped())
    }
    const done = () => {
      signal.removeEventListener("abort", stop)
      resolve()
    }
    let timer: NodeJS.Timeout
    signal.addEventListener("abort", stop)
    next()
  })

const epochSeconds = (moment: Moment): number =>
  "epochSeconds" in moment ? moment.epochSeconds : Math.ceil((Date.now() + moment.inMillis) / 1000)

const newLane = (main: boolean, agentId: string | undefined, labels: Lane["labels"]): Lane => ({
  main,
  agentId,
  labels,
  call: undefined,
  calls: 0,
  lastText: undefined,
  partial: "",
  tools: 0,
  tokens: 0
})

export interface TurnRequest {
  readonly plan: Plan
  readonly prompt: string
  /** The uuid that the prompt's message brought along. */
  readonly messageUuid: string | undefined
}

export class Turn {
  private readonly controller = new AbortController()
  private readonly lane = newLane(true, undefined, { parent_tool_use_id: null })
  private readonly active = new Map<string, ActiveTool>()
  private readonly denials: Array<unknown> = []
  private readonly subagents: Array<Promise<Notification>> = []
  private readonly startedAt = Date.now()
  private interruption: Interruption | undefined
  private usage: Usage = noUsage
  private userEvents = 0
  private charged = false
  private firstTokenAt: number | undefined
  private labelled = false

  constructor(
    private readonly world: World,
    private readonly request: TurnRequest
  ) {}

  /** Stops the turn; `play` then ends with an interrupted result. */
  interrupt(by: Interruption): void {
    if (this.interruption !== undefined) return
    this.interruption = by
    for (const tool of this.active.values()) tool.kill?.()
    this.controller.abort()
  }

  /** The process is being killed: stops what runs, and says so for tools that had begun. */
  terminate(): void {
    for (const tool of this.active.values()) {
      tool.kill?.()
      if (tool.name === "Bash" && tool.phase === "running") {
        this.toolResult(tool, failed("Exit code 137"), { decision: "accept", source: "user_temporary" })
      } else if (tool.phase === "asking") {
        this.toolResult(tool, toolUseError(`Error calling tool (${tool.name}): Connection closed`))
      }
    }
  }

  /** Resolves when the turn is over, whatever ended it. */
  async play(): Promise<Ending> {
    const { plan, prompt } = this.request
    try {
      await this.abortable(
        this.world.hooks.run("UserPromptSubmit", "", { session_id: this.world.session().id, prompt })
      )
      if (plan.expectPrompt !== undefined && !plan.expectPrompt.test(prompt)) return this.mismatch(plan.expectPrompt)
      this.world.update((session) => ({ ...session, contextTokens: session.contextTokens + estimate(prompt) }))
      await this.playSteps(this.lane, plan.steps)
      if (plan.error !== undefined) return await this.fail(plan.error)
      const text = await this.finalText(plan)
      this.endCall(this.lane, "end_turn")
      await this.world.hooks.run("Stop", "", { session_id: this.world.session().id })
      const notifications = await this.abortable(Promise.all(this.subagents))
      return this.ending({
        subtype: "success",
        stopReason: "end_turn",
        terminalReason: "completed",
        result: text,
        notifications
      })
    } catch (error) {
      if (error instanceof Over) return this.ending({ isError: true, stopReason: "tool_use", ...error.ending })
      if (error instanceof Stopped) return this.interrupted()
      throw error
    } finally {
      // Nothing of the turn goes on after its end.
      this.controller.abort()
    }
  }

  // ---- endings ------------------------------------------------------------------------------------------------------

  private ending(said: Partial<Ending> & Pick<Ending, "subtype">): Ending {
    return {
      isError: false,
      stopReason: null,
      terminalReason: undefined,
      result: undefined,
      errors: undefined,
      extra: {},
      numTurns: 1 + this.userEvents,
      usage: this.usage,
      denials: this.denials,
      hideCost: this.request.plan.costUsd === null,
      startedAt: this.startedAt,
      firstTokenAt: this.firstTokenAt,
      notifications: [],
      ...said
    }
  }

  private mismatch(expected: RegExp): Ending {
    const text = `driver-stub: the prompt does not match ${expected}: ${JSON.stringify(this.request.prompt.slice(0, 400))}`
    writeAll(2, `${text}\n`)
    return this.ending({ subtype: "error_during_execution", isError: true, errors: [text], result: text })
  }

  /** The real model never stops at a tool's result: it says something last. */
  private async finalText({ result }: Plan): Promise<string> {
    const spoken = this.lane.call?.text
    const text = result ?? spoken ?? "Done."
    if (spoken !== text) await this.say(this.lane, text, 0)
    return text
  }

  private async fail(failure: ApiFailure): Promise<Ending> {
    this.endCall(this.lane, "end_turn")
    const { output } = this.world
    if (failure.resetsAt !== undefined) this.rateLimit("rejected", failure.resetsAt, "five_hour", undefined)
    if (failure.class === "prompt_too_long" && this.world.session().turnsPlayed > 1) {
      output.event(system("status", { status: "compacting", compact_output_chars: 0 }))
      output.event(system("status", { status: null, compact_result: "failed", compact_error: "exhausted" }))
    }
    const { text, error, status, terminalReason, shared } = showFailure(failure)
    this.synthetic(text, "stop_sequence", "", {
      error,
      request_id: `req_${hex(12)}`,
      is_api_error_message: true,
      ...(status === null ? {} : { api_error_status: status }),
      ...shared
    })
    return this.ending({
      subtype: "success",
      isError: true,
      stopReason: "stop_sequence",
      terminalReason,
      result: text,
      extra: { api_error_status: status, ...shared }
    })
  }

  private interrupted(): Ending {
    const inTools = this.active.size > 0
    for (const tool of [...this.active.values()]) {
      const wasRunning = tool.phase === "running"
      if (!wasRunning) this.deny(tool)
      const text = rejectedText + (wasRunning && this.interruption === "control" ? stoppedWhileRunning : "")
      this.toolResult(
        tool,
        { content: text, structured: "User rejected tool use", isError: true },
        undefined,
        "user-rejected"
      )
    }
    if (!inTools) this.abortText()
    this.userEvent([{ type: "text", text: `[Request interrupted by user${inTools ? " for tool use" : ""}]` }])
    const stopReason = inTools ? "tool_use" : null
    return this.ending({
      subtype: "error_during_execution",
      isError: true,
      stopReason,
      terminalReason: inTools ? "aborted_tools" : "aborted_streaming",
      errors: [`[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=${stopReason}`]
    })
  }

  /** The call that was cut is charged to the model, and is missing from the turn's usage, as in the real agent. */
  private abortText(): void {
    const { lane } = this
    if (lane.partial !== "") {
      this.assistant(lane, { type: "text", text: lane.partial }, { aborted: true })
      lane.partial = ""
    }
    const finished = this.usage
    this.endCall(lane, null)
    this.usage = finished
  }

  // ---- API calls ----------------------------------------------------------------------------------------------------

  private nextUsage(lane: Lane): Usage {
    const { plan } = this.request
    const context = plan.contextTokens
    const planned = lane.main ? (plan.usage[lane.calls] ?? plan.usage.at(-1)) : undefined
    if (planned === undefined) {
      const total = (lane.main ? context : undefined) ?? this.world.session().contextTokens
      return { input: Math.min(10, total), output: 0, cacheRead: Math.max(0, total - 10), cacheCreation: 0 }
    }
    const usage = { ...noUsage, ...planned }
    return context === undefined
      ? usage
      : { ...usage, cacheRead: Math.max(0, context - usage.input - usage.cacheCreation) }
  }

  private openCall(lane: Lane): Call {
    if (lane.call !== undefined) return lane.call
    if (lane.main && lane.calls > 0) {
      this.world.takeSteering()
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
    const call: Call = {
      id: `msg_01${hex(12)}`,
      requestId: `req_${hex(12)}`,
      usage,
      said: "",
      text: undefined,
      blocks: 0
    }
    lane.call = call
    this.partialEvent(
      lane,
      call,
      {
        type: "message_start",
        message: {
          id: call.id,
          type: "message",
          role: "assistant",
          model: this.world.model(),
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
  private endCall(lane: Lane, stopReason: string | null): void {
    const { call } = lane
    if (call === undefined) return
    lane.call = undefined
    const usage = { ...call.usage, output: call.usage.output || estimate(call.said) }
    if (lane.main) {
      this.usage = addUsage(this.usage, usage)
      this.world.update((session) => ({ ...session, contextTokens: contextOf(usage) + usage.output }))
    }
    lane.tokens += contextOf(usage) + usage.output
    this.charge(usage)
    this.partialEvent(lane, call, {
      type: "message_delta",
      delta: { stop_reason: stopReason, stop_sequence: null },
      usage: messageUsage(usage, usage.output)
    })
    this.partialEvent(lane, call, { type: "message_stop" })
  }

  /** A cost that the plan gives is charged with the first call; subagents and compactions are in it. */
  private charge(usage: Usage): void {
    const { costUsd } = this.request.plan
    this.world.charge(usage, costUsd === undefined ? costOf(usage) : this.charged ? 0 : (costUsd ?? 0))
    this.charged = true
  }

  private partialEvent(lane: Lane, call: Call, event: Readonly<Record<string, unknown>>, first = false): void {
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

  /** Fields that the first assistant event of a turn carries when its prompt had a uuid. */
  private promptLabels(): Readonly<Record<string, unknown>> {
    const uuid = this.request.messageUuid
    if (uuid === undefined || this.labelled) return {}
    this.labelled = true
    return { user_message_uuid: uuid, user_message_uuids: [uuid] }
  }

  private assistant(
    lane: Lane,
    block: Readonly<Record<string, unknown>>,
    extra: Readonly<Record<string, unknown>> = {}
  ): void {
    const call = this.openCall(lane)
    this.firstTokenAt ??= Date.now()
    this.world.output.event({
      type: "assistant",
      message: {
        id: call.id,
        type: "message",
        role: "assistant",
        model: this.world.model(),
        content: [block],
        stop_reason: null,
        stop_sequence: null,
        usage: messageUsage(call.usage),
        context_management: null
      },
      ...lane.labels,
      timestamp: timestamp(),
      request_id: call.requestId,
      ...extra,
      ...(lane.main ? this.promptLabels() : {})
    })
    call.said += JSON.stringify(block)
  }

  /** A content block: its start, its parts (spread over `over` milliseconds), the event itself, its end. */
  private async block(
    lane: Lane,
    empty: Readonly<Record<string, unknown>>,
    parts: ReadonlyArray<Readonly<Record<string, unknown>>>,
    whole: Readonly<Record<string, unknown>>,
    over = 0,
    extra: Readonly<Record<string, unknown>> = {}
  ): Promise<void> {
    const call = this.openCall(lane)
    const index = call.blocks++
    this.partialEvent(lane, call, { type: "content_block_start", index, content_block: empty })
    for (const delta of parts) {
      if (over > 0) await sleep(over / parts.length, this.controller.signal)
      if (typeof delta["text"] === "string") lane.partial += delta["text"]
      this.partialEvent(lane, call, { type: "content_block_delta", index, delta })
    }
    lane.partial = ""
    this.assistant(lane, whole, extra)
    this.partialEvent(lane, call, { type: "content_block_stop", index })
  }

  private say(lane: Lane, text: string, over: number): Promise<void> {
    this.openCall(lane).text = text
    lane.lastText = text
    const size = Math.max(1, Math.ceil(text.length / 10))
    const parts =
      over === 0
        ? [text]
        : Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size))
    return this.block(
      lane,
      { type: "text", text: "" },
      parts.map((part) => ({ type: "text_delta", text: part })),
      { type: "text", text },
      over
    )
  }

  /** An assistant message that no model wrote. */
  private synthetic(
    text: string,
    stopReason: string,
    stopSequence: string | null,
    extra: Readonly<Record<string, unknown>>
  ): void {
    this.world.output.event(syntheticMessage(text, stopReason, stopSequence, { ...extra, ...this.promptLabels() }))
  }

  private userEvent(content: unknown, extra: Readonly<Record<string, unknown>> = {}, lane = this.lane): void {
    if (lane.main) this.userEvents += 1
    this.world.output.event({
      type: "user",
      message: { role: "user", content },
      ...lane.labels,
      timestamp: timestamp(),
      ...extra
    })
  }

  // ---- steps --------------------------------------------------------------------------------------------------------

  private abortable<A>(promise: Promise<A>): Promise<A> {
    const { signal } = this.controller
    return new Promise((resolve, reject) => {
      const stop = () => reject(new Stopped())
      if (signal.aborted) return stop()
      signal.addEventListener("abort", stop)
      promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop))
    })
  }

  /** Plays the steps, or those that a denial puts in place of the rest. */
  private async playSteps(lane: Lane, steps: ReadonlyArray<Step>): Promise<void> {
    for (const step of steps) {
      if (this.controller.signal.aborted) throw new Stopped()
      const instead = await this.playStep(lane, step)
      if (instead !== undefined) return this.playSteps(lane, instead)
    }
  }

  private async playStep(lane: Lane, step: Step): Promise<ReadonlyArray<Step> | undefined> {
    const { output } = this.world
    const { signal } = this.controller
    switch (step.kind) {
      case "tools":
        return this.playTools(lane, step.calls)
      case "background":
        return this.playTools(
          lane,
          [
            {
              tool: "Bash",
              input: { command: step.command, description: step.description, run_in_background: true },
              onDeny: undefined,
              result: "",
              isError: false
            }
          ],
          step
        )
      case "say":
        await this.say(lane, step.text, step.over)
        return
      case "think":
        await this.think(lane, step.text)
        return
      case "delay":
      case "hang":
        await sleep(step.for, signal)
        return
      case "api_retry":
        output.event(
          system("api_retry", {
            attempt: step.attempt,
            max_retries: step.maxRetries,
            retry_delay_ms: step.delay,
            error_status: step.errorStatus,
            error: step.error
          })
        )
        await sleep(step.delay, signal)
        return
      case "rate_limit":
        this.rateLimit(step.status, step.resetsAt, step.type, step.utilization)
        return
      case "model_fallback":
        this.endCall(lane, "end_turn")
        output.event(
          system("model_fallback", {
            trigger: step.trigger,
            original_model: this.world.model(),
            fallback_model: step.to,
            content: `Switched to ${step.to} due to high demand for ${this.world.model()}`
          })
        )
        this.world.setModel(step.to)
        return
      case "subagent":
        await this.subagent(lane, step)
        return
      case "compact_auto":
        this.compactAuto(lane, step.compact)
        return
      case "print_raw":
        output.raw(step.text.repeat(step.times))
        return
      case "print_event":
        output.raw(`${JSON.stringify(step.event)}\n`)
        return
      case "huge_line":
        await this.say(lane, "x".repeat(step.bytes), 0)
        // The result names what is said after it, not ten megabytes again.
        if (lane.call !== undefined) lane.call.text = undefined
        return
      case "flood_stderr":
        this.floodStderr(step.bytes)
        return
      case "spawn_leftover":
        spawnLeftover(step.leftover, this.world.cwd, this.world.commandEnv())
        return
      case "steer_echo": {
        const message = await this.world.nextSteering(step.within, signal)
        if (signal.aborted) throw new Stopped()
        this.endCall(lane, "end_turn")
        await this.say(lane, message === undefined ? "No message came." : `Understood: ${message}`, 0)
        return
      }
      case "exit":
        return this.world.exit(step.code, step.stderr)
      case "kill":
        process.kill(process.pid, step.signal)
        // The signal arrives between two turns of the event loop.
        await sleep(Number.POSITIVE_INFINITY, signal)
        return
      case "torn":
        output.raw(
          `{"type":"assistant","message":{"id":"msg_torn","type":"message","role":"assistant","content":[{"type":"text","te`
        )
        return this.world.exit(1)
    }
  }

  private think(lane: Lane, text: string): Promise<void> {
    const tokens = estimate(text)
    this.world.output.event(system("thinking_tokens", { estimated_tokens: tokens, estimated_tokens_delta: tokens }))
    return this.block(
      lane,
      { type: "thinking", thinking: "", signature: "" },
      [{ type: "thinking_delta", thinking: text }],
      { type: "thinking", thinking: text, signature: "c3R1Yg==" },
      0,
      { thinking_duration_ms: 1, thinking_display: "updates" }
    )
  }

  private rateLimit(
    status: StepOf<"rate_limit">["status"],
    resetsAt: Moment | undefined,
    type: string,
    utilization: number | undefined
  ): void {
    this.world.output.event({
      type: "rate_limit_event",
      rate_limit_info: {
        status,
        ...(resetsAt === undefined ? {} : { resetsAt: epochSeconds(resetsAt) }),
        rateLimitType: type,
        ...(utilization === undefined ? {} : { utilization }),
        isUsingOverage: false
      }
    })
  }

  /** Blocks until all of it is read, like a program that writes to a full pipe. */
  private floodStderr(bytes: number): void {
    const line = `${"driver-stub floods stderr ".repeat(40)}\n`
    const full = Math.floor(bytes / line.length)
    for (let i = 0; i < full; i++) writeAll(2, line)
    writeAll(2, line.slice(0, bytes - full * line.length))
  }

  private compactAuto(lane: Lane, compact: Compact): void {
    const { output } = this.world
    this.endCall(lane, "end_turn")
    const since = Date.now()
    const session = this.world.session()
    output.event(system("status", { status: "compacting", compact_output_chars: 0 }))
    if (compact.result !== "success") {
      output.event(system("status", { status: null, compact_result: "failed", compact_error: compact.error }))
      return
    }
    const { usage, metadata, after } = compacted(session, compact)
    this.charge(usage)
    output.event(system("status", { status: null, compact_result: "success" }))
    output.event(
      system("compact_boundary", { compact_metadata: metadata("auto", since), logical_parent_uuid: randomUUID() })
    )
    this.userEvent([{ type: "text", text: summaryText(compact.summary, session.toolsUsed, session) }], {
      isSynthetic: true
    })
    this.world.update(after)
  }

  // ---- tools --------------------------------------------------------------------------------------------------------

  private async playTools(
    lane: Lane,
    calls: ReadonlyArray<ToolCall>,
    background?: StepOf<"background">
  ): Promise<ReadonlyArray<Step> | undefined> {
    const tools: Array<readonly [ActiveTool, ToolCall]> = []
    for (const call of calls) {
      const input = completeInput(call.tool, call.input, this.world.cwd)
      const id = `toolu_01${hex(12)}`
      await this.toolUse(lane, id, call.tool, input)
      lane.tools += 1
      tools.push([{ id, name: call.tool, input, lane, phase: "asking", kill: undefined }, call])
    }
    this.endCall(lane, "tool_use")
    this.checkBudget()
    for (const [tool] of tools) this.active.set(tool.id, tool)
    this.world.update((session) => ({
      ...session,
      toolsUsed: [...new Set([...session.toolsUsed, ...calls.map(({ tool }) => tool)])]
    }))
    const ran = await Promise.all(tools.map(([tool, call]) => this.runTool(tool, call, background)))
    return calls.find(({ onDeny }, i) => ran[i] === false && onDeny !== undefined)?.onDeny
  }

  private toolUse(lane: Lane, id: string, name: string, input: ToolInput): Promise<void> {
    const json = JSON.stringify(input)
    const half = Math.ceil(json.length / 2)
    return this.block(
      lane,
      { type: "tool_use", id, name, input: {} },
      [json.slice(0, half), json.slice(half)].map((part) => ({ type: "input_json_delta", partial_json: part })),
      { type: "tool_use", id, name, input }
    )
  }

  private checkBudget(): void {
    const { maxBudgetUsd } = this.world
    if (maxBudgetUsd === undefined || this.world.spent() <= maxBudgetUsd) return
    throw new Over({
      subtype: "error_max_budget_usd",
      terminalReason: "budget_exhausted",
      errors: [`Reached maximum budget ($${maxBudgetUsd})`],
      usage: noUsage
    })
  }

  /** Whether the tool was permitted to run. */
  private async runTool(
    tool: ActiveTool,
    call: ToolCall,
    background: StepOf<"background"> | undefined
  ): Promise<boolean> {
    const problem = inputProblem(tool.name, tool.input)
    if (problem !== undefined) {
      this.toolResult(tool, toolUseError(`InputValidationError: ${problem}`))
      return true
    }
    const verdict = await this.judge(tool)
    if (verdict.kind === "deny") {
      this.deny(tool)
      this.toolResult(tool, failed(verdict.message), rejection(verdict.grounds), verdict.nonExecution)
      return false
    }
    if (verdict.kind === "allow") return this.execute(tool, tool.input, call, verdict.grounds, background)
    const answer = await this.abortable(
      this.world.gate.ask(
        { tool: tool.name, input: tool.input, toolUseId: tool.id, agentId: tool.lane.agentId },
        this.controller.signal
      )
    )
    if (answer.kind !== "allow") return this.refused(tool, answer)
    this.world.addRules(answer.addRules)
    const input =
      answer.updatedInput === undefined ? tool.input : completeInput(tool.name, answer.updatedInput, this.world.cwd)
    const broken = inputProblem(tool.name, input)
    if (broken !== undefined) {
      this.toolResult(
        tool,
        {
          content: `<tool_use_error>The permission handler returned updatedInput for ${tool.name} that failed schema validation: ${broken}\nThis is a configuration issue in your canUseTool callback, PermissionRequest hook, or permission-prompt tool — updatedInput must satisfy the tool's input schema. The tool input from the model was valid.</tool_use_error>`,
          structured: `InputValidationError: permission handler updatedInput failed schema for ${tool.name}`,
          isError: true
        },
        { decision: "reject", source: "permission_updated_input_invalid" }
      )
      return false
    }
    return this.execute(tool, input, call, { source: "user_temporary" }, background)
  }

  /** The rules and modes, over which a PreToolUse hook has the last word. */
  private async judge(tool: ActiveTool): Promise<Verdict> {
    const hook = await this.abortable(
      this.world.hooks.run("PreToolUse", tool.name, {
        session_id: this.world.session().id,
        tool_name: tool.name,
        tool_input: tool.input,
        tool_use_id: tool.id
      })
    )
    const grounds: Grounds = { source: "hook", reasonType: "hook" }
    switch (hook.decision) {
      case "allow":
        return { kind: "allow", grounds }
      case "deny":
        return { kind: "deny", message: hook.reason, grounds, nonExecution: "permission-rule" }
      case "ask":
        return { kind: "ask" }
      case undefined:
        return decide(tool.name, tool.input, this.world.permissions())
    }
  }

  private refused(tool: ActiveTool, answer: Exclude<Answer, { readonly kind: "allow" }>): boolean {
    switch (answer.kind) {
      case "deny":
        if (answer.interrupt) {
          this.interrupt("denied")
          throw new Stopped()
        }
        this.deny(tool)
        this.toolResult(tool, failed(answer.message), { decision: "reject", source: "user_reject" }, "permission-rule")
        break
      case "invalid":
        this.deny(tool)
        this.toolResult(
          tool,
          failed(answer.message),
          rejection({ source: "config", reasonType: "other" }),
          "permission-rule"
        )
        break
      case "failed":
        this.toolResult(tool, toolUseError(`Error calling tool (${tool.name}): ${answer.reason}`))
        break
      case "missing":
        this.toolResult(tool, toolUseError(`Error calling tool (${tool.name}): ${answer.message}`))
        return this.world.exit(1, answer.message)
      case "nobody": {
        const target =
          typeof tool.input["file_path"] === "string" ? `write to ${tool.input["file_path"]}` : `use ${tool.name}`
        const message = `Claude requested permissions to ${target}, but you haven't granted it yet.`
        this.world.output.event(system("permission_denied", { tool_name: tool.name, tool_use_id: tool.id, message }))
        this.deny(tool)
        this.toolResult(tool, failed(message), rejection({ source: "config" }), "user-rejected")
        break
      }
    }
    return false
  }

  private deny({ id, name, input }: ActiveTool): void {
    this.denials.push({ tool_name: publicName(name), tool_use_id: id, tool_input: input })
  }

  private async execute(
    tool: ActiveTool,
    input: ToolInput,
    call: ToolCall,
    grounds: Grounds,
    background: StepOf<"background"> | undefined
  ): Promise<boolean> {
    tool.phase = "running"
    const result =
      tool.name === "Bash"
        ? await this.bash(tool, input, background)
        : (runFileTool(tool.name, input) ?? this.otherTool(tool.name, input, call))
    this.toolResult(tool, result, {
      decision: "accept",
      source: grounds.source,
      ...(grounds.reasonType === undefined ? {} : { reason_type: grounds.reasonType })
    })
    await this.abortable(
      this.world.hooks.run("PostToolUse", tool.name, {
        session_id: this.world.session().id,
        tool_name: tool.name,
        tool_input: input
      })
    )
    return true
  }

  private async bash(
    tool: ActiveTool,
    input: ToolInput,
    background: StepOf<"background"> | undefined
  ): Promise<ToolResult> {
    const command = String(input["command"])
    if (input["run_in_background"] === true) return this.bashInBackground(tool, command, input, background)
    const running = runCommand(command, this.world.cwd, this.world.commandEnv())
    tool.kill = running.kill
    const limit = typeof input["timeout"] === "number" ? input["timeout"] : 120_000
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      running.kill()
    }, limit)
    try {
      const finished = await this.abortable(running.finished)
      return timedOut ? failed(`Command timed out after ${limit / 1000}s`) : bashResult(finished)
    } finally {
      clearTimeout(timer)
    }
  }

  private bashInBackground(
    tool: ActiveTool,
    command: string,
    input: ToolInput,
    background: StepOf<"background"> | undefined
  ): ToolResult {
    const { taskId: id, outputFile } = this.world.startBackground({
      command,
      description: String(input["description"] ?? "run"),
      toolUseId: tool.id,
      notifyAfter: background?.notifyAfter ?? 0,
      then: background?.then ?? [{ kind: "say", text: "The background task has finished.", over: 0 }]
    })
    return {
      content: `Command running in background with ID: ${id}. Output is being written to: ${outputFile}. You will be notified when it completes. To check interim output, use Read on that file path.`,
      structured: {
        stdout: "",
        stderr: "",
        interrupted: false,
        isImage: false,
        noOutputExpected: false,
        backgroundTaskId: id
      },
      isError: false
    }
  }

  private otherTool(name: string, input: ToolInput, call: ToolCall): ToolResult {
    switch (name) {
      case "AskUserQuestion":
        return questionResult(input)
      case "EnterPlanMode":
        this.world.setMode("plan")
        return { content: "Entered plan mode.", structured: { message: "Entered plan mode." }, isError: undefined }
      case "ExitPlanMode":
        this.world.setMode("default")
        return {
          content: "User has approved exiting plan mode. You can now proceed.",
          structured: { plan: input["plan"] ?? null, isAgent: false },
          isError: undefined
        }
      default:
        return {
          content: call.result,
          structured: call.isError ? `Error: ${call.result}` : call.result,
          isError: call.isError ? true : undefined
        }
    }
  }

  private toolResult(
    tool: ActiveTool,
    { content, structured, isError }: ToolResult,
    permissionDecision?: Readonly<Record<string, unknown>>,
    nonExecution?: string
  ): void {
    this.active.delete(tool.id)
    const meta = {
      id: tool.id,
      ...(nonExecution === undefined ? {} : { non_execution_kind: nonExecution }),
      ...(permissionDecision === undefined ? {} : { permission_decision: permissionDecision })
    }
    const block = {
      tool_use_id: tool.id,
      type: "tool_result",
      content,
      ...(isError === undefined ? {} : { is_error: isError })
    }
    this.userEvent(
      [block],
      {
        ...(tool.lane.main ? { tool_use_result: structured } : {}),
        ...(permissionDecision === undefined && nonExecution === undefined ? {} : { tool_result_meta: [meta] })
      },
      tool.lane
    )
    if (tool.lane.main) {
      this.world.update((session) => ({
        ...session,
        contextTokens: session.contextTokens + estimate(JSON.stringify(content))
      }))
    }
  }

  // ---- subagents ----------------------------------------------------------------------------------------------------

  private async subagent(lane: Lane, step: StepOf<"subagent">): Promise<void> {
    const { output } = this.world
    const { description, prompt, background } = step
    const type = "general-purpose"
    const toolUseId = `toolu_01${hex(12)}`
    const agentId = `a${hex(8)}`
    const task = { task_id: agentId, run_id: runId() }
    const input = { description, prompt, subagent_type: type, ...(background ? {} : { run_in_background: false }) }
    await this.toolUse(lane, toolUseId, "Agent", input)
    this.endCall(lane, "tool_use")
    this.checkBudget()
    const parent: ActiveTool = { id: toolUseId, name: "Agent", input, lane, phase: "running", kill: undefined }
    this.active.set(toolUseId, parent)
    const unlist = background
      ? this.world.listAgent({ ...task, task_type: "local_agent", subagent_type: type, description })
      : () => {}
    const started = {
      ...task,
      tool_use_id: toolUseId,
      description,
      subagent_type: type,
      is_backgrounded: background,
      spawn_depth: 1,
      task_type: "local_agent",
      prompt
    }
    output.event(system("task_started", started))
    const accepted = { decision: "accept", source: "config" }
    if (background) {
      this.toolResult(
        parent,
        {
          content: [{ type: "text", text: `Async agent launched successfully.\nagentId: ${agentId}` }],
          structured: {
            isAsync: true,
            status: "async_launched",
            agentId,
            description,
            resolvedModel: this.world.model(),
            prompt
          },
          isError: undefined
        },
        accepted
      )
    }
    const inner = newLane(false, agentId, {
      parent_tool_use_id: toolUseId,
      agent_id: agentId,
      subagent_type: type,
      task_description: description
    })
    const since = Date.now()
    const usage = () => ({ total_tokens: inner.tokens, tool_uses: inner.tools, duration_ms: Date.now() - since })
    const work = async (): Promise<Notification> => {
      try {
        return await play()
      } finally {
        unlist()
      }
    }
    const play = async (): Promise<Notification> => {
      if (!background) this.userEvent([{ type: "text", text: prompt }], {}, inner)
      for (const innerStep of step.steps) {
        if (innerStep.kind === "tools") {
          const names = innerStep.calls.map(({ tool }) => tool)
          output.event(
            system("task_progress", {
              ...task,
              tool_use_id: toolUseId,
              description: `Running ${names.join(", ")}`,
              subagent_type: type,
              usage: usage(),
              last_tool_name: names.at(-1)
            })
          )
        }
        await this.playSteps(inner, [innerStep])
      }
      if (inner.call?.text === undefined) await this.say(inner, "Done.", 0)
      this.endCall(inner, "end_turn")
      output.event(system("task_updated", { ...task, patch: { status: "completed", end_time: Date.now() } }))
      output.event(
        system("task_notification", {
          ...task,
          tool_use_id: toolUseId,
          status: "completed",
          output_file: "",
          summary: inner.lastText,
          summary_is_report: true,
          usage: usage()
        })
      )
      return { runId: task.run_id, then: step.then }
    }
    if (background) {
      const working = work()
      // Reported where the turn waits for it.
      working.catch(() => {})
      this.subagents.push(working)
      return
    }
    await work()
    this.toolResult(
      parent,
      {
        content: [{ type: "text", text: inner.lastText }],
        structured: {
          status: "completed",
          prompt,
          agentId,
          agentType: type,
          content: [{ type: "text", text: inner.lastText }],
          resolvedModel: this.world.model(),
          totalDurationMs: Date.now() - since,
          totalTokens: inner.tokens,
          totalToolUseCount: inner.tools
        },
        isError: undefined
      },
      accepted
    )
  }
}

const rejection = ({ source, reasonType }: Grounds): Readonly<Record<string, unknown>> => ({
  decision: "reject",
  source,
  ...(reasonType === undefined ? {} : { reason_type: reasonType })
})

/** An assistant message that no model wrote: API failures and answers of local commands. */
export const syntheticMessage = (
  text: string,
  stopReason: string,
  stopSequence: string | null,
  extra: Readonly<Record<string, unknown>>
) => ({
  type: "assistant",
  message: {
    id: randomUUID(),
    type: "message",
    role: "assistant",
    model: "<synthetic>",
    content: [{ type: "text", text }],
    stop_reason: stopReason,
    stop_sequence: stopSequence,
    stop_details: null,
    diagnostics: null,
    container: null,
    usage: {
      input_tokens: 0,
      output_tokens: 0,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
      output_tokens_details: null,
      server_tool_use: { web_search_requests: 0, web_fetch_requests: 0 },
      service_tier: null,
      cache_creation: { ephemeral_1h_input_tokens: 0, ephemeral_5m_input_tokens: 0 },
      inference_geo: null,
      iterations: null,
      speed: null,
      fallback_credit: null
    },
    context_management: null
  },
  parent_tool_use_id: null,
  timestamp: timestamp(),
  ...extra
})
