/**
 * The tools that the model calls: asked about, permitted or refused, and run.
 *
 * Owns the way from a call to its result. The rules are in `Permissions`, the question in `Gate`, the work of the file
 * tools in `Tools`, the processes in `Processes`.
 */
import { type ActiveTool, type ActiveTools, rejection } from "./ActiveTools.js"
import type { ApiCalls } from "./ApiCalls.js"
import type { Answer } from "./Gate.js"
import { toolUseId } from "./Ids.js"
import type { Lane } from "./Lane.js"
import { system } from "./Output.js"
import { decide, type Grounds, type ToolInput, type Verdict } from "./Permissions.js"
import { runCommand } from "./Processes.js"
import type { Step, StepOf, ToolCall } from "./Step.js"
import { Stopped, type StopSwitch } from "./StopSwitch.js"
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
import type { Transcript } from "./Transcript.js"
import type { World } from "./World.js"

export class ToolCalls {
  constructor(
    private readonly world: World,
    private readonly calls: ApiCalls,
    private readonly transcript: Transcript,
    private readonly active: ActiveTools,
    private readonly stop: StopSwitch
  ) {}

  /**
   * Asks for the tools in one message and runs them side by side. `background` is the step behind a background command.
   * Resolves with the steps that a denial puts in place of the rest, if one does.
   */
  async play(
    lane: Lane,
    calls: ReadonlyArray<ToolCall>,
    background?: StepOf<"background">
  ): Promise<ReadonlyArray<Step> | undefined> {
    const tools: Array<readonly [ActiveTool, ToolCall]> = []
    for (const call of calls) {
      const input = completeInput(call.tool, call.input, this.world.cwd)
      const id = toolUseId()
      await this.transcript.toolUse(lane, id, call.tool, input)
      lane.tools += 1
      tools.push([{ id, name: call.tool, input, lane, phase: "asking", kill: undefined }, call])
    }
    this.calls.end(lane, "tool_use")
    this.calls.checkBudget()
    for (const [tool] of tools) this.active.add(tool)
    this.world.session.update((session) => ({
      ...session,
      toolsUsed: [...new Set([...session.toolsUsed, ...calls.map(({ tool }) => tool)])]
    }))
    const ran = await Promise.all(tools.map(([tool, call]) => this.runTool(tool, call, background)))
    return calls.find(({ onDeny }, i) => ran[i] === false && onDeny !== undefined)?.onDeny
  }

  /** Whether the tool was permitted to run. */
  private async runTool(
    tool: ActiveTool,
    call: ToolCall,
    background: StepOf<"background"> | undefined
  ): Promise<boolean> {
    const problem = inputProblem(tool.name, tool.input)
    if (problem !== undefined) {
      this.active.result(tool, toolUseError(`InputValidationError: ${problem}`))
      return true
    }
    const verdict = await this.judge(tool)
    if (verdict.kind === "deny") {
      this.active.deny(tool)
      this.active.result(tool, failed(verdict.message), rejection(verdict.grounds), verdict.nonExecution)
      return false
    }
    if (verdict.kind === "allow") return this.execute(tool, tool.input, call, verdict.grounds, background)
    const answer = await this.stop.abortable(
      this.world.gate.ask(
        { tool: tool.name, input: tool.input, toolUseId: tool.id, agentId: tool.lane.agentId },
        this.stop.signal
      )
    )
    if (answer.kind !== "allow") return this.refused(tool, answer)
    this.world.session.addRules(answer.addRules)
    const input =
      answer.updatedInput === undefined ? tool.input : completeInput(tool.name, answer.updatedInput, this.world.cwd)
    const broken = inputProblem(tool.name, input)
    if (broken !== undefined) {
      this.active.result(
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
    const hook = await this.stop.abortable(
      this.world.hooks.run("PreToolUse", tool.name, {
        session_id: this.world.session.current.id,
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
        return decide(tool.name, tool.input, this.world.session.permissions())
    }
  }

  private refused(tool: ActiveTool, answer: Exclude<Answer, { readonly kind: "allow" }>): boolean {
    switch (answer.kind) {
      case "deny":
        if (answer.interrupt) {
          this.stop.interrupt("denied")
          throw new Stopped()
        }
        this.active.deny(tool)
        this.active.result(
          tool,
          failed(answer.message),
          { decision: "reject", source: "user_reject" },
          "permission-rule"
        )
        break
      case "invalid":
        this.active.deny(tool)
        this.active.result(
          tool,
          failed(answer.message),
          rejection({ source: "config", reasonType: "other" }),
          "permission-rule"
        )
        break
      case "failed":
        this.active.result(tool, toolUseError(`Error calling tool (${tool.name}): ${answer.reason}`))
        break
      case "missing":
        this.active.result(tool, toolUseError(`Error calling tool (${tool.name}): ${answer.message}`))
        return this.world.exit(1, answer.message)
      case "nobody": {
        const target =
          typeof tool.input["file_path"] === "string" ? `write to ${tool.input["file_path"]}` : `use ${tool.name}`
        const message = `Claude requested permissions to ${target}, but you haven't granted it yet.`
        this.world.output.event(system("permission_denied", { tool_name: tool.name, tool_use_id: tool.id, message }))
        this.active.deny(tool)
        this.active.result(tool, failed(message), rejection({ source: "config" }), "user-rejected")
        break
      }
    }
    return false
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
    this.active.result(tool, result, {
      decision: "accept",
      source: grounds.source,
      ...(grounds.reasonType === undefined ? {} : { reason_type: grounds.reasonType })
    })
    await this.stop.abortable(
      this.world.hooks.run("PostToolUse", tool.name, {
        session_id: this.world.session.current.id,
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
    const running = runCommand(command, this.world.cwd, this.world.session.commandEnv())
    tool.kill = running.kill
    const limit = typeof input["timeout"] === "number" ? input["timeout"] : 120_000
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      running.kill()
    }, limit)
    try {
      const finished = await this.stop.abortable(running.finished)
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
    const { taskId: id, outputFile } = this.world.tasks.start(
      {
        command,
        description: String(input["description"] ?? "run"),
        toolUseId: tool.id,
        notifyAfter: background?.notifyAfter ?? 0,
        then: background?.then ?? [{ kind: "say", text: "The background task has finished.", over: 0 }]
      },
      this.world.session.commandEnv()
    )
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
        this.world.session.setMode("plan")
        return { content: "Entered plan mode.", structured: { message: "Entered plan mode." }, isError: undefined }
      case "ExitPlanMode":
        this.world.session.setMode("default")
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
}
