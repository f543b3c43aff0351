/**
 * The control protocol's requests on stdin, and their answers: interrupt, change mode or model, tell figures.
 *
 * Does not read stdin (`Conversation`), and does not ask anything itself (`Gate` does, when it is asked on stdio).
 */
import type { CurrentSession } from "./CurrentSession.js"
import type { Inbox } from "./Inbox.js"
import { apiKeySource, capabilities } from "./InitEvent.js"
import type { Json } from "./Json.js"
import { userMessage } from "./Messages.js"
import { permissionModes } from "./Scenario.js"
import type { Setup } from "./Setup.js"
import type { Interruption } from "./StopSwitch.js"

export class ControlRequests {
  /** `state` gives the session's state as session_state_changed shows it. */
  constructor(
    private readonly setup: Setup,
    private readonly session: CurrentSession,
    private readonly inbox: Inbox,
    private readonly interrupt: (by: Interruption) => void,
    private readonly state: () => string
  ) {}

  /** Answers the request of this id; each is answered exactly once. */
  answer(id: string, request: Json): void {
    const answer = (response: Json) =>
      this.setup.output.control({
        type: "control_response",
        response: { subtype: "success", request_id: id, response }
      })
    switch (request["subtype"]) {
      case "interrupt":
        this.interrupt("control")
        answer({ still_queued: this.inbox.uuids() })
        return
      case "initialize":
        answer(this.initializeResponse())
        return
      case "set_permission_mode": {
        const mode = permissionModes.find((mode) => mode === request["mode"])
        if (mode === undefined) {
          this.refuse(id, `Invalid permission mode: ${request["mode"]}`)
          return
        }
        answer({ mode })
        this.session.setMode(mode)
        return
      }
      case "set_model": {
        const model = typeof request["model"] === "string" ? request["model"] : this.setup.scenario.model
        this.session.model = model
        this.setup.output.event(
          userMessage(`<local-command-stdout>Set model to \`${model}\`</local-command-stdout>`, { isReplay: true })
        )
        answer({ model })
        return
      }
      case "mcp_status":
        answer({
          mcpServers: this.setup.servers.map(({ config, status }) => ({
            name: config.name,
            status: status(),
            config: { type: "stdio", command: config.command, args: config.args },
            transport: "stdio",
            scope: "dynamic",
            source: "dynamic"
          }))
        })
        return
      case "get_context_usage":
        answer(this.contextUsage())
        return
      case "get_session_cost":
        answer({ text: `Estimated cost:        $${this.session.spent().toFixed(4)}` })
        return
      case "get_binary_version":
        answer({ version: this.setup.scenario.startup.version })
        return
      default:
        this.refuse(id, `Unsupported control request subtype: ${request["subtype"]}`, "unsupported_request")
        return
    }
  }

  private refuse(id: string, error: string, code?: string): void {
    this.setup.output.control({
      type: "control_response",
      response: { subtype: "error", request_id: id, error, ...(code === undefined ? {} : { error_code: code }) }
    })
  }

  private initializeResponse(): Json {
    return {
      commands: [
        { name: "compact", description: "Summarise the conversation so far", argumentHint: "<focus>", builtin: true }
      ],
      agents: [{ name: "general-purpose", description: "For research and multi-step work" }],
      output_style: "default",
      available_output_styles: ["default"],
      models: [
        {
          value: "default",
          resolvedModel: this.session.model,
          displayName: this.session.model,
          description: "driver-stub"
        }
      ],
      account: { tokenSource: "none", apiKeySource: apiKeySource(this.setup), apiProvider: "firstParty" },
      pid: process.pid,
      claude_code_version: this.setup.scenario.startup.version,
      current_permission_mode: this.session.mode,
      session_state: this.state(),
      capabilities
    }
  }

  private contextUsage(): Json {
    const total = this.session.current.contextTokens
    const most = this.setup.scenario.contextWindow
    return {
      categories: [
        { id: "messages", name: "Messages", tokens: total, color: "purple_FOR_SUBAGENTS_ONLY", kind: "used" },
        { id: "free_space", name: "Free space", tokens: Math.max(0, most - total), color: "promptBorder", kind: "free" }
      ],
      totalTokens: total,
      maxTokens: most,
      rawMaxTokens: most,
      autocompactSource: "model-default",
      percentage: Math.round((100 * total) / most),
      model: this.session.model
    }
  }
}
