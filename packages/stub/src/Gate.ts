/**
 * Asking for permission: through the tool of an MCP server, through the control protocol on stdio, or not at all.
 *
 * Owns the rules by which a reply is read. Anything that is not a clear yes keeps the tool from running.
 */
import { randomUUID } from "node:crypto"
import { basename } from "node:path"
import type { McpServer } from "./McpServer.js"
import type { Output } from "./Output.js"
import type { ToolInput } from "./Permissions.js"

export interface Question {
  readonly tool: string
  readonly input: ToolInput
  readonly toolUseId: string
  /** Set for a subagent's call. */
  readonly agentId: string | undefined
}

export type Answer =
  | { readonly kind: "allow"; readonly updatedInput: ToolInput | undefined; readonly addRules: ReadonlyArray<string> }
  | { readonly kind: "deny"; readonly message: string; readonly interrupt: boolean }
  /** A reply that cannot be understood: counts as a denial. */
  | { readonly kind: "invalid"; readonly message: string }
  /** No reply to be had: the tool fails, and it is no denial. */
  | { readonly kind: "failed"; readonly reason: string }
  /** There is no such permission tool: the program ends. */
  | { readonly kind: "missing"; readonly message: string }
  /** Nobody can be asked. */
  | { readonly kind: "nobody" }

export interface Gate {
  /** Never rejects. After an abort its answer is of no interest. */
  ask(question: Question, signal: AbortSignal): Promise<Answer>
}

const invalidResult =
  "The permission prompt tool returned an invalid permission result. Expected {behavior: 'allow', updatedInput?: object} or {behavior: 'deny', message: string}."

const isRecord = (value: unknown): value is ToolInput =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const rulesIn = (updates: unknown): ReadonlyArray<string> =>
  (Array.isArray(updates) ? updates : [])
    .filter(isRecord)
    .flatMap(({ type, behavior, rules }) =>
      type === "addRules" && behavior === "allow" && Array.isArray(rules)
        ? rules
            .filter(isRecord)
            .map(({ toolName, ruleContent }) =>
              ruleContent === undefined ? String(toolName) : `${toolName}(${ruleContent})`
            )
        : []
    )

/** What a reply's object means. */
export const readReply = (reply: unknown): Answer => {
  if (isRecord(reply)) {
    const { behavior, updatedInput, updatedPermissions, message, interrupt } = reply
    if (behavior === "allow" && (updatedInput === undefined || isRecord(updatedInput))) {
      return { kind: "allow", updatedInput, addRules: rulesIn(updatedPermissions) }
    }
    if (behavior === "deny" && typeof message === "string")
      return { kind: "deny", message, interrupt: interrupt === true }
  }
  return { kind: "invalid", message: invalidResult }
}

/** The real agent takes tool output of 25,000 tokens at most, at four characters each. */
const longestReply = (env: NodeJS.ProcessEnv): number => 4 * (Number(env["MAX_MCP_OUTPUT_TOKENS"]) || 25_000)

/** Asks the tool `mcp__<server>__<tool>`; connects a server that died. */
export const mcpGate = (name: string, servers: ReadonlyArray<McpServer>, env: NodeJS.ProcessEnv): Gate => {
  const found = servers
    .map((server) => ({ server, prefix: `mcp__${server.config.name}__` }))
    .find(({ prefix }) => name.startsWith(prefix))
  const available = () =>
    servers.flatMap((server) => server.tools().map((tool) => `mcp__${server.config.name}__${tool}`)).join(", ") ||
    "none"
  const missing = (): Answer => ({
    kind: "missing",
    message: `Error: MCP tool ${name} (passed via --permission-prompt-tool) not found. Available MCP tools: ${available()}`
  })
  return {
    ask: async ({ tool, input, toolUseId }, signal) => {
      if (found === undefined || found.server.status() !== "connected") return missing()
      const promptTool = name.slice(found.prefix.length)
      if (!found.server.tools().includes(promptTool)) return missing()
      const args = { tool_name: tool, input, tool_use_id: toolUseId }
      const reply = await found.server.call(promptTool, args, toolUseId, signal)
      if (reply.kind === "failed") return reply
      if (reply.isError) return { kind: "failed", reason: reply.text }
      if (reply.text.length > longestReply(env)) {
        return {
          kind: "failed",
          reason: "Permission prompt tool returned an invalid result. The reply exceeds the maximum allowed tokens."
        }
      }
      try {
        return readReply(JSON.parse(reply.text))
      } catch {
        return { kind: "invalid", message: invalidResult }
      }
    }
  }
}

export interface StdioGate extends Gate {
  /** Takes a control_response; ignores one that nobody waits for. */
  receive(response: ToolInput): void
  /** Nobody can answer any more. */
  close(): void
}

/** Asks by control_request on stdout and is answered by control_response on stdin. */
export const stdioGate = (output: Output): StdioGate => {
  const pending = new Map<string, (answer: Answer) => void>()
  return {
    ask: ({ tool, input, toolUseId, agentId }, signal) =>
      new Promise((resolve) => {
        const id = randomUUID()
        const withdraw = () => {
          output.control({ type: "control_cancel_request", request_id: id })
          settle({ kind: "failed", reason: "Request was aborted." })
        }
        const settle = (answer: Answer) => {
          pending.delete(id)
          signal.removeEventListener("abort", withdraw)
          resolve(answer)
        }
        pending.set(id, settle)
        signal.addEventListener("abort", withdraw)
        output.control({
          type: "control_request",
          request_id: id,
          request: {
            subtype: "can_use_tool",
            tool_name: tool,
            display_name: tool,
            input,
            description:
              typeof input["file_path"] === "string"
                ? basename(input["file_path"])
                : String(input["description"] ?? input["command"] ?? ""),
            permission_suggestions:
              tool === "Write" || tool === "Edit"
                ? [{ type: "setMode", mode: "acceptEdits", destination: "session" }]
                : [],
            tool_use_id: toolUseId,
            ...(agentId === undefined ? {} : { agent_id: agentId })
          }
        })
        if (signal.aborted) withdraw()
      }),
    receive: (response) => {
      const settle = pending.get(String(response["request_id"]))
      if (settle === undefined) return
      if (response["subtype"] === "success") settle(readReply(response["response"]))
      else settle({ kind: "failed", reason: String(response["error"] ?? "unknown error") })
    },
    close: () => {
      for (const settle of [...pending.values()]) settle({ kind: "failed", reason: "Stream closed" })
    }
  }
}

/** No --permission-prompt-tool: what would have to be asked is refused. */
export const noGate: Gate = { ask: () => Promise.resolve({ kind: "nobody" }) }
