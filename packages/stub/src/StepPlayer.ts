/**
 * Plays the steps of a plan, one after the other: what each kind of step does.
 *
 * Owns the order, and the small steps themselves; what is said, tools and subagents have modules of their own.
 */
import { randomUUID } from "node:crypto"
import type { ApiCalls } from "./ApiCalls.js"
import { compacted, summaryText } from "./Compaction.js"
import type { Lane } from "./Lane.js"
import { system, writeAll } from "./Output.js"
import { spawnLeftover } from "./Processes.js"
import { rateLimitEvent } from "./rateLimitEvent.js"
import type { Compact, Step } from "./Step.js"
import type { StopSwitch } from "./StopSwitch.js"
import type { Subagents } from "./Subagents.js"
import type { ToolCalls } from "./ToolCalls.js"
import type { Transcript } from "./Transcript.js"
import type { World } from "./World.js"

/** Blocks until all of it is read, like a program that writes to a full pipe. */
const floodStderr = (bytes: number): void => {
  const line = `${"driver-stub floods stderr ".repeat(40)}\n`
  const full = Math.floor(bytes / line.length)
  for (let i = 0; i < full; i++) writeAll(2, line)
  writeAll(2, line.slice(0, bytes - full * line.length))
}

export class StepPlayer {
  constructor(
    private readonly world: World,
    private readonly calls: ApiCalls,
    private readonly transcript: Transcript,
    private readonly tools: ToolCalls,
    private readonly subagents: Subagents,
    private readonly stop: StopSwitch
  ) {}

  /** Plays the steps, or those that a denial puts in place of the rest. */
  async play(lane: Lane, steps: ReadonlyArray<Step>): Promise<void> {
    for (const step of steps) {
      this.stop.check()
      const instead = await this.playStep(lane, step)
      if (instead !== undefined) return this.play(lane, instead)
    }
  }

  private async playStep(lane: Lane, step: Step): Promise<ReadonlyArray<Step> | undefined> {
    const { output } = this.world
    switch (step.kind) {
      case "tools":
        return this.tools.play(lane, step.calls)
      case "background":
        return this.tools.play(
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
        await this.transcript.say(lane, step.text, step.over)
        return
      case "think":
        await this.transcript.think(lane, step.text)
        return
      case "delay":
      case "hang":
        await this.stop.sleep(step.for)
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
        await this.stop.sleep(step.delay)
        return
      case "rate_limit":
        output.event(rateLimitEvent(step.status, step.resetsAt, step.type, step.utilization))
        return
      case "model_fallback":
        this.calls.end(lane, "end_turn")
        output.event(
          system("model_fallback", {
            trigger: step.trigger,
            original_model: this.world.session.model,
            fallback_model: step.to,
            content: `Switched to ${step.to} due to high demand for ${this.world.session.model}`
          })
        )
        this.world.session.model = step.to
        return
      case "subagent":
        await this.subagents.play(lane, step)
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
        await this.transcript.say(lane, "x".repeat(step.bytes), 0)
        // The result names what is said after it, not ten megabytes again.
        if (lane.call !== undefined) lane.call.text = undefined
        return
      case "flood_stderr":
        floodStderr(step.bytes)
        return
      case "spawn_leftover":
        spawnLeftover(step.leftover, this.world.cwd, this.world.session.commandEnv())
        return
      case "steer_echo": {
        const message = await this.world.inbox.nextFolded(step.within, this.stop.signal)
        this.stop.check()
        this.calls.end(lane, "end_turn")
        await this.transcript.say(lane, message === undefined ? "No message came." : `Understood: ${message}`, 0)
        return
      }
      case "exit":
        return this.world.exit(step.code, step.stderr)
      case "kill":
        process.kill(process.pid, step.signal)
        // The signal arrives between two turns of the event loop.
        await this.stop.sleep(Number.POSITIVE_INFINITY)
        return
      case "torn":
        output.raw(
          `{"type":"assistant","message":{"id":"msg_torn","type":"message","role":"assistant","content":[{"type":"text","te`
        )
        return this.world.exit(1)
    }
  }
  private compactAuto(lane: Lane, compact: Compact): void {
    const { output } = this.world
    this.calls.end(lane, "end_turn")
    const since = Date.now()
    const session = this.world.session.current
    output.event(system("status", { status: "compacting", compact_output_chars: 0 }))
    if (compact.result !== "success") {
      output.event(system("status", { status: null, compact_result: "failed", compact_error: compact.error }))
      return
    }
    const { usage, metadata, after } = compacted(session, compact)
    this.calls.charge(usage)
    output.event(system("status", { status: null, compact_result: "success" }))
    output.event(
      system("compact_boundary", { compact_metadata: metadata("auto", since), logical_parent_uuid: randomUUID() })
    )
    this.transcript.user(lane, [{ type: "text", text: summaryText(compact.summary, session) }], {
      isSynthetic: true
    })
    this.world.session.update(after)
  }
}
