/**
 * Subagents: lanes of their own within a turn, with the events that tell of their progress.
 *
 * Owns those that work in the background, which the turn waits for at its end. Their steps are played by `StepPlayer`,
 * like everybody's.
 */
import type { ActiveTool, ActiveTools } from "./ActiveTools.js"
import type { ApiCalls } from "./ApiCalls.js"
import type { Notification } from "./Ending.js"
import { agentId, runId, toolUseId } from "./Ids.js"
import { type Lane, subagentLane } from "./Lane.js"
import { system } from "./Output.js"
import type { Step, StepOf } from "./Step.js"
import type { Transcript } from "./Transcript.js"
import type { World } from "./World.js"

export class Subagents {
  private readonly inBackground: Array<Promise<Notification>> = []

  constructor(
    private readonly world: World,
    private readonly calls: ApiCalls,
    private readonly transcript: Transcript,
    private readonly active: ActiveTools,
    private readonly playSteps: (lane: Lane, steps: ReadonlyArray<Step>) => Promise<void>
  ) {}

  /** Resolves when all that work in the background are done, with the turns that follow from it. */
  finished(): Promise<ReadonlyArray<Notification>> {
    return Promise.all(this.inBackground)
  }

  /** Plays the step. A subagent in the foreground is done when this resolves, one in the background goes on. */
  async play(lane: Lane, step: StepOf<"subagent">): Promise<void> {
    const { output } = this.world
    const { description, prompt, background } = step
    const type = "general-purpose"
    const toolUse = toolUseId()
    const agent = agentId()
    const task = { task_id: agent, run_id: runId() }
    const input = { description, prompt, subagent_type: type, ...(background ? {} : { run_in_background: false }) }
    await this.transcript.toolUse(lane, toolUse, "Agent", input)
    this.calls.end(lane, "tool_use")
    this.calls.checkBudget()
    const parent: ActiveTool = { id: toolUse, name: "Agent", input, lane, phase: "running", kill: undefined }
    this.active.add(parent)
    const unlist = background
      ? this.world.tasks.listAgent({ ...task, task_type: "local_agent", subagent_type: type, description })
      : () => {}
    const started = {
      ...task,
      tool_use_id: toolUse,
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
      this.active.result(
        parent,
        {
          content: [{ type: "text", text: `Async agent launched successfully.\nagentId: ${agent}` }],
          structured: {
            isAsync: true,
            status: "async_launched",
            agentId: agent,
            description,
            resolvedModel: this.world.session.model,
            prompt
          },
          isError: undefined
        },
        accepted
      )
    }
    const inner = subagentLane(agent, {
      parent_tool_use_id: toolUse,
      agent_id: agent,
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
      if (!background) this.transcript.user(inner, [{ type: "text", text: prompt }])
      for (const innerStep of step.steps) {
        if (innerStep.kind === "tools") {
          const names = innerStep.calls.map(({ tool }) => tool)
          output.event(
            system("task_progress", {
              ...task,
              tool_use_id: toolUse,
              description: `Running ${names.join(", ")}`,
              subagent_type: type,
              usage: usage(),
              last_tool_name: names.at(-1)
            })
          )
        }
        await this.playSteps(inner, [innerStep])
      }
      if (inner.call?.text === undefined) await this.transcript.say(inner, "Done.", 0)
      this.calls.end(inner, "end_turn")
      output.event(system("task_updated", { ...task, patch: { status: "completed", end_time: Date.now() } }))
      output.event(
        system("task_notification", {
          ...task,
          tool_use_id: toolUse,
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
      this.inBackground.push(working)
      return
    }
    await work()
    this.active.result(
      parent,
      {
        content: [{ type: "text", text: inner.lastText }],
        structured: {
          status: "completed",
          prompt,
          agentId: agent,
          agentType: type,
          content: [{ type: "text", text: inner.lastText }],
          resolvedModel: this.world.session.model,
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
