/**
 * The tool calls of a turn that have no result yet: they can be stopped, refused or answered.
 *
 * Owns the list of denials for the result. What a call is for, and whether it may run, is decided in `ToolCalls`.
 */
import type { Lane } from "./Lane.js"
import { type Grounds, publicName, type ToolInput } from "./Permissions.js"
import type { Interruption } from "./StopSwitch.js"
import { estimate } from "./Tokens.js"
import { failed, type ToolResult, toolUseError } from "./Tools.js"
import type { Transcript } from "./Transcript.js"
import type { World } from "./World.js"

export interface ActiveTool {
  readonly id: string
  readonly name: string
  readonly input: ToolInput
  readonly lane: Lane
  phase: "asking" | "running"
  kill: (() => void) | undefined
}

const rejectedText =
  "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the new_string was NOT written to the file). STOP what you are doing and wait for the user to tell you how to proceed."

const stoppedWhileRunning =
  " Correction to the text above: this call was stopped while running, not refused before it ran. It may have run in part or in full, and its changes may have been written."

/** The permission decision of a result that says no, for the given reason. */
export const rejection = ({ source, reasonType }: Grounds): Readonly<Record<string, unknown>> => ({
  decision: "reject",
  source,
  ...(reasonType === undefined ? {} : { reason_type: reasonType })
})

export class ActiveTools {
  private readonly active = new Map<string, ActiveTool>()
  private readonly denied: Array<unknown> = []

  constructor(
    private readonly world: World,
    private readonly transcript: Transcript
  ) {}

  /** The calls that were not permitted, as the result lists them. */
  get denials(): ReadonlyArray<unknown> {
    return this.denied
  }

  add(tool: ActiveTool): void {
    this.active.set(tool.id, tool)
  }

  /** Kills the commands that run. Their calls stay active. */
  kill(): void {
    for (const tool of this.active.values()) tool.kill?.()
  }

  /** The process is being killed: stops what runs, and says so for tools that had begun. */
  terminate(): void {
    for (const tool of this.active.values()) {
      tool.kill?.()
      if (tool.name === "Bash" && tool.phase === "running") {
        this.result(tool, failed("Exit code 137"), { decision: "accept", source: "user_temporary" })
      } else if (tool.phase === "asking") {
        this.result(tool, toolUseError(`Error calling tool (${tool.name}): Connection closed`))
      }
    }
  }

  /** The turn was interrupted: answers every call that is left. Gives whether there was one. */
  reject(by: Interruption | undefined): boolean {
    const left = [...this.active.values()]
    for (const tool of left) {
      const wasRunning = tool.phase === "running"
      if (!wasRunning) this.deny(tool)
      const text = rejectedText + (wasRunning && by === "control" ? stoppedWhileRunning : "")
      this.result(
        tool,
        { content: text, structured: "User rejected tool use", isError: true },
        undefined,
        "user-rejected"
      )
    }
    return left.length > 0
  }

  /** Adds the call to the denials; its result is given apart from this. */
  deny({ id, name, input }: ActiveTool): void {
    this.denied.push({ tool_name: publicName(name), tool_use_id: id, tool_input: input })
  }

  /** Gives the call its result; it is not active any more. */
  result(
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
    this.transcript.user(tool.lane, [block], {
      ...(tool.lane.main ? { tool_use_result: structured } : {}),
      ...(permissionDecision === undefined && nonExecution === undefined ? {} : { tool_result_meta: [meta] })
    })
    if (tool.lane.main) {
      this.world.session.update((session) => ({
        ...session,
        contextTokens: session.contextTokens + estimate(JSON.stringify(content))
      }))
    }
  }
}
