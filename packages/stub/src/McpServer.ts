/**
 * A client of one MCP server over stdio, with the real agent's handshake and habits: the `server/discover` probe, then
 * initialize, notifications/initialized, tools/list; tool calls with a progress token; a timeout for a call as a whole
 * and one for silence, which progress resets; a server that died is started again by the next call.
 *
 * Owns the server's process. Does not judge what a tool answers (see `Gate`).
 */
import { type ChildProcessByStdio, spawn } from "node:child_process"
import type { Readable, Writable } from "node:stream"
import { type Json, mapping } from "./Json.js"

export interface McpServerConfig {
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
}

export type McpStatus = "pending" | "connected" | "failed"

/** What `tools/call` gave: the text of its first text block, or the reason why there is none. */
export type McpReply =
  | { readonly kind: "text"; readonly text: string; readonly isError: boolean }
  | { readonly kind: "failed"; readonly reason: string }

export interface McpServer {
  readonly config: McpServerConfig
  /** How the last attempt to connect ended. */
  status(): McpStatus
  /** Tool names, as the server gave them when it last connected. */
  tools(): ReadonlyArray<string>
  /** Connects unless connected. Resolves when the status is known. */
  connect(): Promise<void>
  /** Connects first when the server is not running. Never rejects. An abort withdraws the call. */
  call(tool: string, args: unknown, toolUseId: string, signal: AbortSignal): Promise<McpReply>
  close(): void
}

/** Milliseconds. */
export interface McpTimeouts {
  readonly connect: number
  readonly discover: number
  readonly call: number
  readonly idle: number
}

const positive = (text: string | undefined, fallback: number): number => {
  const value = Number(text)
  return text !== undefined && Number.isFinite(value) && value > 0 ? value : fallback
}

/** The variables by which the real agent's limits are set. An idle limit of 0 means none. */
export const timeoutsFrom = (env: NodeJS.ProcessEnv): McpTimeouts => ({
  connect: positive(env["MCP_TIMEOUT"], 30_000),
  discover: 3_000,
  call: positive(env["MCP_TOOL_TIMEOUT"], 100_000_000),
  idle:
    env["CLAUDE_CODE_MCP_TOOL_IDLE_TIMEOUT"] === "0"
      ? 100_000_000
      : positive(env["CLAUDE_CODE_MCP_TOOL_IDLE_TIMEOUT"], 1_800_000)
})

const items = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

/** A request was answered with an error, or cannot be answered any more. */
class RpcError extends Error {
  constructor(
    message: string,
    readonly closed: boolean
  ) {
    super(message)
  }
}

interface Pending {
  readonly resolve: (result: Json) => void
  readonly reject: (error: RpcError) => void
  readonly onProgress: () => void
}

/** One process of the server. */
interface Connection {
  /** `params` may depend on the request's id. */
  request(
    method: string,
    params: Json | ((id: number | string) => Json),
    options?: { readonly id?: string; readonly onProgress?: () => void }
  ): {
    readonly id: number | string
    readonly reply: Promise<Json>
  }
  notify(method: string, params: Json): void
  isOpen(): boolean
  close(): void
}

const open = (config: McpServerConfig, cwd: string, env: NodeJS.ProcessEnv): Connection => {
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(config.command, [...config.args], {
    cwd,
    env: { ...env, ...config.env },
    stdio: ["pipe", "pipe", "ignore"]
  })
  const pending = new Map<number | string, Pending>()
  let isOpen = true
  let nextId = 0
  const closed = (reason: string) => {
    isOpen = false
    for (const { reject } of pending.values()) reject(new RpcError(reason, true))
    pending.clear()
  }
  child.on("error", (error) => closed(error.message))
  child.on("close", () => closed("Connection closed"))
  // A dead server is noticed by "close"; what was being written to it is lost with it.
  child.stdin.on("error", () => {})
  const write = (message: Json) => {
    if (isOpen) child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`)
  }
  const receive = (message: Json) => {
    const { id, method } = message
    if (typeof method === "string") {
      if (method === "notifications/progress") {
        const token = mapping(message["params"])["progressToken"]
        if (typeof token === "number" || typeof token === "string") pending.get(token)?.onProgress()
      } else if (typeof id === "number" || typeof id === "string") {
        write(
          method === "ping"
            ? { id, result: {} }
            : { id, error: { code: -32601, message: `Method not found: ${method}` } }
        )
      }
      return
    }
    if (typeof id !== "number" && typeof id !== "string") return
    const waiting = pending.get(id)
    pending.delete(id)
    if (message["error"] === undefined) waiting?.resolve(mapping(message["result"]))
    else waiting?.reject(new RpcError(String(mapping(message["error"])["message"] ?? "unknown error"), false))
  }
  let parts: Array<string> = []
  child.stdout.setEncoding("utf8")
  child.stdout.on("data", (chunk: string) => {
    const lines = chunk.split("\n")
    const rest = lines.pop() ?? ""
    for (const line of lines) {
      const whole = [...parts, line].join("")
      parts = []
      try {
        receive(mapping(JSON.parse(whole)))
      } catch {
        // A line that is not JSON is no message; the real client skips it too.
      }
    }
    if (rest !== "") parts.push(rest)
  })
  return {
    request: (method, params, options = {}) => {
      const id = options.id ?? nextId++
      const reply = new Promise<Json>((resolve, reject) => {
        if (!isOpen) return reject(new RpcError("Connection closed", true))
        pending.set(id, { resolve, reject, onProgress: options.onProgress ?? (() => {}) })
        write({ id, method, params: typeof params === "function" ? params(id) : params })
      })
      return { id, reply }
    },
    notify: (method, params) => write({ method, params }),
    isOpen: () => isOpen,
    close: () => {
      child.stdin.end()
      child.kill("SIGINT")
    }
  }
}

/** Fails when `promise` takes longer. */
const within = <A>(promise: Promise<A>, millis: number, message: string): Promise<A> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new RpcError(message, false)), millis)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })

const shakeHands = async (
  connection: Connection,
  version: string,
  timeouts: McpTimeouts
): Promise<ReadonlyArray<string>> => {
  const clientInfo = { name: "claude-code", title: "Claude Code", version }
  const meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": clientInfo
  }
  const probe = connection.request("server/discover", { _meta: meta }, { id: "server-discover-probe-1" })
  await within(probe.reply, timeouts.discover, "no answer").catch((error: unknown) => {
    // Only an end of the connection matters: an unknown method or silence is what today's servers answer.
    if (error instanceof RpcError && error.closed) throw error
  })
  await connection.request("initialize", {
    protocolVersion: "2025-11-25",
    capabilities: { roots: {}, elicitation: {} },
    clientInfo
  }).reply
  connection.notify("notifications/initialized", {})
  const { tools } = await connection.request("tools/list", {}).reply
  return items(tools).map((tool) => String(mapping(tool)["name"]))
}

const textIn = (result: Json): string => {
  const block = items(result["content"])
    .map(mapping)
    .find(({ type }) => type === "text")
  return String(block?.["text"] ?? "")
}

export const makeMcpServer = (
  config: McpServerConfig,
  cwd: string,
  env: () => NodeJS.ProcessEnv,
  version: string,
  timeouts: McpTimeouts
): McpServer => {
  let connection: Connection | undefined
  let connecting: Promise<void> | undefined
  let status: McpStatus = "pending"
  let tools: ReadonlyArray<string> = []

  const connect = (): Promise<void> => {
    if (connecting !== undefined) return connecting
    if (connection?.isOpen() === true) return Promise.resolve()
    const opened = open(config, cwd, env())
    connection = opened
    connecting = within(shakeHands(opened, version, timeouts), timeouts.connect, "timed out")
      .then(
        (names) => {
          tools = names
          status = "connected"
        },
        () => {
          tools = []
          status = "failed"
          opened.close()
        }
      )
      .finally(() => {
        connecting = undefined
      })
    return connecting
  }

  const call = async (tool: string, args: unknown, toolUseId: string, signal: AbortSignal): Promise<McpReply> => {
    await connect()
    const current = connection
    if (current === undefined || !current.isOpen()) return { kind: "failed", reason: "Connection closed" }
    return new Promise((resolve) => {
      let idle: NodeJS.Timeout | undefined
      const settle = (reply: McpReply) => {
        clearTimeout(idle)
        clearTimeout(total)
        signal.removeEventListener("abort", withdraw)
        resolve(reply)
      }
      const giveUp = (reason: string) => {
        current.notify("notifications/cancelled", { requestId: id, reason })
        settle({ kind: "failed", reason })
      }
      const watchSilence = () => {
        clearTimeout(idle)
        idle = setTimeout(
          () => giveUp(`MCP server "${config.name}" tool "${tool}" sent nothing for ${timeouts.idle / 1000}s`),
          timeouts.idle
        )
      }
      const withdraw = () => giveUp("AbortError: The operation was aborted.")
      const { id, reply } = current.request(
        "tools/call",
        (token) => ({
          name: tool,
          arguments: args,
          _meta: { "claudecode/toolUseId": toolUseId, progressToken: token }
        }),
        { onProgress: watchSilence }
      )
      const total = setTimeout(
        () => giveUp(`MCP server "${config.name}" tool "${tool}" timed out after ${timeouts.call / 1000}s`),
        timeouts.call
      )
      watchSilence()
      signal.addEventListener("abort", withdraw)
      reply.then(
        (result) => settle({ kind: "text", text: textIn(result), isError: result["isError"] === true }),
        (error: unknown) => settle({ kind: "failed", reason: error instanceof Error ? error.message : String(error) })
      )
      if (signal.aborted) withdraw()
    })
  }

  return {
    config,
    status: () => status,
    tools: () => tools,
    connect,
    call,
    close: () => connection?.close()
  }
}
