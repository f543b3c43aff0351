/**
 * One turn: plays a plan's steps as a model would take them, and ends with what the result has to say.
 *
 * A step that speaks opens an API call (one message id, one event per content block); tools end the call; what is said
 * after their results belongs to the next one. Owns the parts that a turn is made of and how it ends. Does not print the
 * result, since results may be held back, and does not read stdin: `Conversation` does both.
 */
import { ActiveTools } from "./ActiveTools.js"
import { ApiCalls } from "./ApiCalls.js"
import { type Ending, makeEnding, Over } from "./Ending.js"
import { showFailure } from "./Failures.js"
import { requestId } from "./Ids.js"
import { mainLane } from "./Lane.js"
import { system, writeAll } from "./Output.js"
import { rateLimitEvent } from "./rateLimitEvent.js"
import type { ApiFailure, Turn as Plan } from "./Scenario.js"
import { StepPlayer } from "./StepPlayer.js"
import { type Interruption, Stopped, StopSwitch } from "./StopSwitch.js"
import { Subagents } from "./Subagents.js"
import { estimate } from "./Tokens.js"
import { ToolCalls } from "./ToolCalls.js"
import { Transcript } from "./Transcript.js"
import type { World } from "./World.js"

export interface TurnRequest {
  readonly plan: Plan
  readonly prompt: string
  /** The uuid that the prompt's message brought along. */
  readonly messageUuid: string | undefined
}

export class Turn {
  private readonly startedAt = Date.now()
  private readonly lane = mainLane()
  private readonly stop: StopSwitch
  private readonly calls: ApiCalls
  private readonly transcript: Transcript
  private readonly active: ActiveTools
  private readonly subagents: Subagents
  private readonly steps: StepPlayer

  constructor(
    private readonly world: World,
    private readonly request: TurnRequest
  ) {
    this.stop = new StopSwitch(() => this.active.kill())
    this.calls = new ApiCalls(world, request.plan, this.startedAt)
    this.transcript = new Transcript(world, this.calls, this.stop, request.messageUuid)
    this.active = new ActiveTools(world, this.transcript)
    this.subagents = new Subagents(world, this.calls, this.transcript, this.active, (lane, steps) =>
      this.steps.play(lane, steps)
    )
    const tools = new ToolCalls(world, this.calls, this.transcript, this.active, this.stop)
    this.steps = new StepPlayer(world, this.calls, this.transcript, tools, this.subagents, this.stop)
  }

  /** Stops the turn; `play` then ends with an interrupted result. */
  interrupt(by: Interruption): void {
    this.stop.interrupt(by)
  }

  /** The process is being killed: stops what runs, and says so for tools that had begun. */
  terminate(): void {
    this.active.terminate()
  }

  /** Resolves when the turn is over, whatever ended it. */
  async play(): Promise<Ending> {
    const { plan, prompt } = this.request
    try {
      await this.stop.abortable(
        this.world.hooks.run("UserPromptSubmit", "", { session_id: this.world.session.current.id, prompt })
      )
      if (plan.expectPrompt !== undefined && !plan.expectPrompt.test(prompt)) return this.mismatch(plan.expectPrompt)
      this.world.session.update((session) => ({ ...session, contextTokens: session.contextTokens + estimate(prompt) }))
      await this.steps.play(this.lane, plan.steps)
      if (plan.error !== undefined) return await this.fail(plan.error)
      const text = await this.finalText(plan)
      this.calls.end(this.lane, "end_turn")
      await this.world.hooks.run("Stop", "", { session_id: this.world.session.current.id })
      const notifications = await this.stop.abortable(this.subagents.finished())
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
      this.stop.end()
    }
  }

  private ending(said: Partial<Ending> & Pick<Ending, "subtype">): Ending {
    return makeEnding({
      numTurns: this.transcript.numTurns,
      usage: this.calls.usage,
      denials: this.active.denials,
      hideCost: this.request.plan.costUsd === null,
      startedAt: this.startedAt,
      firstTokenAt: this.transcript.firstTokenAt,
      ...said
    })
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
    if (spoken !== text) await this.transcript.say(this.lane, text, 0)
    return text
  }

  private async fail(failure: ApiFailure): Promise<Ending> {
    this.calls.end(this.lane, "end_turn")
    const { output } = this.world
    if (failure.resetsAt !== undefined)
      output.event(rateLimitEvent("rejected", failure.resetsAt, "five_hour", undefined))
    if (failure.class === "prompt_too_long" && this.world.session.current.turnsPlayed > 1) {
      output.event(system("status", { status: "compacting", compact_output_chars: 0 }))
      output.event(system("status", { status: null, compact_result: "failed", compact_error: "exhausted" }))
    }
    const { text, error, status, terminalReason, shared } = showFailure(failure)
    this.transcript.synthetic(text, "stop_sequence", "", {
      error,
      request_id: requestId(),
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
    const inTools = this.active.reject(this.stop.by)
    if (!inTools) this.transcript.cut(this.lane)
    this.transcript.user(this.lane, [
      { type: "text", text: `[Request interrupted by user${inTools ? " for tool use" : ""}]` }
    ])
    const stopReason = inTools ? "tool_use" : null
    return this.ending({
      subtype: "error_during_execution",
      isError: true,
      stopReason,
      terminalReason: inTools ? "aborted_tools" : "aborted_streaming",
      errors: [`[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=${stopReason}`]
    })
  }
}
