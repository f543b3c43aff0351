/**
 * The gate program: a small MCP server on stdio that an agent starts, and which asks
 * the driver through its socket.
 *
 *   agent ─ stdin/stdout, JSON-RPC ─▶ this ─ unix socket, lines of JSON ─▶ driver
 *
 * It runs in a process of its own and starts with every agent, so it is plain Node
 * without any dependency. It decides nothing: whatever goes wrong between here and
 * the driver becomes a denial with a reason, never silence and never a crash. The
 * words on the socket are those of `GateProtocol`.
 *
 * From the environment: DRIVER_GATE_SOCKET (path), DRIVER_GATE_TOKEN, DRIVER_GATE_SERVER
 * (name, default `driver`), DRIVER_GATE_TIMEOUT_MS (default 45,000), DRIVER_GATE_MAX_FRAME
 * (bytes, default 16 MiB), DRIVER_GATE_PROGRESS_MS (between signs of life, default 15,000).
 */
import { connect as connectSocket, type Socket } from "node:net"

type Json = Record<string, unknown>
type RpcId = string | number

const number = (text: string | undefined, otherwise: number): number => {
  const value = Number(text)
  return text !== undefined && Number.isFinite(value) && value > 0 ? value : otherwise
}

const socketPath = process.env["DRIVER_GATE_SOCKET"] ?? ""
const token = process.env["DRIVER_GATE_TOKEN"] ?? ""
const serverName = process.env["DRIVER_GATE_SERVER"] ?? "driver"
const timeoutMs = number(process.env["DRIVER_GATE_TIMEOUT_MS"], 45_000)
const maxFrame = number(process.env["DRIVER_GATE_MAX_FRAME"], 16 * 1024 * 1024)
/** Keeps an agent that gives up on silent tools from doing so while a person thinks. */
const progressMs = number(process.env["DRIVER_GATE_PROGRESS_MS"], 15_000)
// It needs nothing else of what its agent has handed on.
for (const name of Object.keys(process.env)) delete process.env[name]

const toolName = "permission_prompt"
/** Newest first. A client that asks for another one gets the newest. */
const protocolVersions = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
/** Between attempts to reach the driver: its socket may just be about to be made. */
const retriesMs = [50, 150, 400]
/** The agent rejects longer replies. Characters. */
const longestReply = 95_000
/** Bytes. Longer lines are nothing that an agent says. */
const longestLine = 256 * 1024 * 1024

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const isId = (value: unknown): value is RpcId => typeof value === "string" || typeof value === "number"

/** Calls back with every complete line; a character may be split over chunks. `null`: the line was too long. */
const lines = (limit: number, onLine: (line: string | null) => void) => {
  let parts: Array<Buffer> = []
  let size = 0
  return (chunk: Buffer) => {
    let from = 0
    while (from < chunk.length) {
      const end = chunk.indexOf(10, from)
      const part = chunk.subarray(from, end === -1 ? chunk.length : end)
      size += part.length
      if (size <= limit) parts.push(part)
      else parts = []
      if (end === -1) return
      const line = size <= limit ? Buffer.concat(parts).toString("utf8").trim() : null
      parts = []
      size = 0
      from = end + 1
      if (line !== "") onLine(line)
    }
  }
}

// ── asking the driver ───────────────────────────────────────────────────────────────────────────

interface Question {
  readonly answer: (reply: Json) => void
  /** The connection on which it was asked, once it was. */
  socket: Socket | undefined
  timer: NodeJS.Timeout | undefined
}

const allow = (updatedInput: Json | undefined): Json =>
  updatedInput === undefined ? { behavior: "allow" } : { behavior: "allow", updatedInput }

const deny = (message: string): Json => ({ behavior: "deny", message })

const unreachable = (why: string) =>
  deny(
    `The driver that decides about tool calls could not be asked (${why}), so this call was not run. Try it once more; if it is refused again, stop and say so.`
  )

const notUnderstood = "its answer was not understood"

/** Open questions by the id under which the driver knows them. */
const questions = new Map<number, Question>()
let lastId = 0

const settle = (id: number, reply: Json) => {
  const question = questions.get(id)
  if (question === undefined) return
  questions.delete(id)
  clearTimeout(question.timer)
  question.answer(reply)
}

const setTimer = (id: number, ms: number) => {
  const question = questions.get(id)
  if (question === undefined) return
  clearTimeout(question.timer)
  // Node's timers fire at once when they are longer than this.
  question.timer = setTimeout(() => settle(id, unreachable("it did not answer in time")), Math.min(ms, 2 ** 31 - 1))
}

/** What the agent gets for the driver's response: nothing but what it understands. */
const replyFor = (response: unknown): Json => {
  if (isObject(response)) {
    const { behavior, message, updatedInput } = response
    if (behavior === "allow" && (updatedInput === undefined || isObject(updatedInput))) return allow(updatedInput)
    if (behavior === "deny" && typeof message === "string" && message !== "") return deny(message)
  }
  return unreachable(notUnderstood)
}

/** Takes one line of the driver; says what is wrong with it when no driver speaks like that. */
const onDriverLine = (line: string | null): string | undefined => {
  let frame: unknown
  try {
    frame = JSON.parse(line ?? "")
  } catch {
    return notUnderstood
  }
  if (!isObject(frame)) return notUnderstood
  const { id, kind, message } = frame
  const said = `it said: ${typeof message === "string" ? message.slice(0, 500) : "nothing"}`
  if (kind === "error" && id === null) return said
  if (typeof id !== "number") return notUnderstood
  switch (kind) {
    case "welcome":
      return undefined
    case "waiting":
      setTimer(id, typeof frame["timeout_ms"] === "number" ? frame["timeout_ms"] : timeoutMs)
      return undefined
    case "decision":
      settle(id, replyFor(frame["response"]))
      return undefined
    case "error":
      // The greeting has id 0: refused, nothing that follows on this connection can be answered.
      if (id === 0) return said
      settle(id, unreachable(said))
      return undefined
    default:
      return notUnderstood
  }
}

const codeOf = (error: NodeJS.ErrnoException): string => error.code ?? error.message

const open = (): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connectSocket(socketPath)
    const drop = (why: string) => {
      if (current === socket) current = undefined
      socket.destroy()
      for (const [id, question] of [...questions]) {
        if (question.socket === socket) settle(id, unreachable(why))
      }
    }
    socket.once("error", reject)
    socket.once("connect", () => {
      socket.off("error", reject)
      socket.on("error", (error) => drop(`the connection broke: ${codeOf(error)}`))
      socket.on("close", () => drop("it has gone away"))
      socket.on(
        "data",
        lines(longestLine, (line) => {
          const wrong = socket.destroyed ? undefined : onDriverLine(line)
          if (wrong !== undefined) drop(wrong)
        })
      )
      // Long questions are only taken from who has shown the token.
      socket.write(`${JSON.stringify({ kind: "hello", id: 0, token })}\n`)
      resolve(socket)
    })
  })

const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

const openWithRetries = async (): Promise<Socket> => {
  for (const ms of retriesMs) {
    try {
      return await open()
    } catch {
      await later(ms)
    }
  }
  return open()
}

let current: Socket | undefined
let opening: Promise<Socket> | undefined

/** The connection, made when there is none: also again after it has broken. */
const connected = (): Promise<Socket> => {
  if (current !== undefined) return Promise.resolve(current)
  opening ??= openWithRetries()
    .then((socket) => {
      if (!socket.destroyed) current = socket
      return socket
    })
    .finally(() => {
      opening = undefined
    })
  return opening
}

/** Asks; `answer` is called once, unless the question is withdrawn. Returns the question's id. */
const ask = (request: Json, answer: (reply: Json) => void): number => {
  const id = ++lastId
  const question: Question = { answer, socket: undefined, timer: undefined }
  questions.set(id, question)
  setTimer(id, timeoutMs)
  if (socketPath === "" || token === "") {
    settle(id, unreachable("the gate program was started without its socket or token"))
    return id
  }
  const frame = `${JSON.stringify({ kind: "decide", id, token, request })}\n`
  const size = Buffer.byteLength(frame)
  if (size > maxFrame) {
    settle(
      id,
      deny(
        `The arguments of this call are too long (${size} bytes, at most ${maxFrame}), so it was not run. Make several smaller calls of it.`
      )
    )
    return id
  }
  connected().then(
    (socket) => {
      if (questions.get(id) !== question) return
      if (socket.destroyed) return settle(id, unreachable("it has gone away"))
      question.socket = socket
      socket.write(frame)
    },
    (error) => settle(id, unreachable(`there is no connection: ${codeOf(error)}`))
  )
  return id
}

const withdraw = (id: number) => {
  const question = questions.get(id)
  if (question === undefined) return
  questions.delete(id)
  clearTimeout(question.timer)
  question.socket?.write(`${JSON.stringify({ kind: "cancel", id, token })}\n`)
}

// ── answering the agent ─────────────────────────────────────────────────────────────────────────

const send = (message: Json) => {
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`)
}

const fail = (id: RpcId | null, code: number, message: string) => send({ id, error: { code, message } })

const tool = {
  name: toolName,
  description: "Asks the driver whether a tool call may be made.",
  inputSchema: {
    type: "object",
    properties: {
      tool_name: { type: "string", description: "Name of the tool" },
      input: { type: "object", description: "Arguments of the call", additionalProperties: true },
      tool_use_id: { type: "string", description: "Id of the call" }
    },
    required: ["tool_name", "input"]
  }
}

interface Call {
  readonly question: number
  readonly progress: NodeJS.Timeout | undefined
}

/** Calls that are not answered yet, by their JSON-RPC id: `1` and `"1"` are two. */
const calls = new Map<RpcId, Call>()

const finish = (id: RpcId, reply: Json) => {
  clearInterval(calls.get(id)?.progress)
  calls.delete(id)
  const text = JSON.stringify(reply)
  const fitting =
    text.length <= longestReply
      ? text
      : JSON.stringify(
          deny(
            "This call would have been allowed with changed arguments, but those are too long to be carried to you, so it was not run. Make several smaller calls of it."
          )
        )
  send({ id, result: { content: [{ type: "text", text: fitting }] } })
}

const onCall = (id: RpcId, params: Json) => {
  if (calls.has(id)) return fail(id, -32600, "A request with this id is still open")
  if (params["name"] !== toolName) return fail(id, -32602, `Unknown tool: ${String(params["name"]).slice(0, 200)}`)
  const { arguments: args, _meta: meta } = params
  const { input, tool_name: name, tool_use_id: given } = isObject(args) ? args : {}
  if (typeof name !== "string" || name === "" || !isObject(input)) {
    return finish(
      id,
      deny("The question about this call was not understood (tool_name or input is missing), so it was not run.")
    )
  }
  const details = isObject(meta) ? meta : {}
  const toolUseId = typeof given === "string" ? given : details["claudecode/toolUseId"]
  const { progressToken } = details
  let progress = 0
  const timer = isId(progressToken)
    ? setInterval(() => {
        progress++
        send({
          method: "notifications/progress",
          params: { progressToken, progress, message: "Waiting for a decision" }
        })
      }, progressMs)
    : undefined
  // The entry comes first: a question can be answered before `ask` returns.
  calls.set(id, { question: lastId + 1, progress: timer })
  ask({ tool: name, input, ...(typeof toolUseId === "string" ? { tool_use_id: toolUseId } : {}) }, (reply) =>
    finish(id, reply)
  )
}

const onRequest = (id: RpcId, method: string, params: Json) => {
  switch (method) {
    case "initialize": {
      const asked = params["protocolVersion"]
      return send({
        id,
        result: {
          protocolVersion: protocolVersions.find((it) => it === asked) ?? protocolVersions[0],
          capabilities: { tools: {} },
          serverInfo: { name: serverName, version: "1" }
        }
      })
    }
    case "ping":
      return send({ id, result: {} })
    case "tools/list":
      return send({ id, result: { tools: [tool] } })
    case "tools/call":
      return onCall(id, params)
    default:
      // At once: an agent that probes for newer methods waits seconds for silence.
      return fail(id, -32601, `Method not found: ${method.slice(0, 200)}`)
  }
}

const onNotification = (method: string, params: Json) => {
  const { requestId } = params
  if (method !== "notifications/cancelled" || !isId(requestId)) return
  const call = calls.get(requestId)
  if (call === undefined) return
  clearInterval(call.progress)
  calls.delete(requestId)
  withdraw(call.question)
}

const onAgentLine = (line: string | null) => {
  if (line === null) return fail(null, -32600, "The line is too long")
  let message: unknown
  try {
    message = JSON.parse(line)
  } catch {
    return fail(null, -32700, "Parse error")
  }
  if (!isObject(message)) return fail(null, -32600, "Invalid request")
  const { id, method } = message
  const params = isObject(message["params"]) ? message["params"] : {}
  if (typeof method !== "string") {
    // An answer to something that we never ask.
    if ("result" in message || "error" in message) return
    return fail(isId(id) ? id : null, -32600, "Invalid request")
  }
  if (id === undefined) return onNotification(method, params)
  if (!isId(id)) return fail(null, -32600, "Invalid request")
  onRequest(id, method, params)
}

process.stdin.on("data", lines(longestLine, onAgentLine))
// Without its agent it has nothing to do; the driver sees the connection end and withdraws what is open.
process.stdin.on("end", () => process.exit(0))
process.stdin.on("error", () => process.exit(0))
process.stdout.on("error", () => process.exit(0))
process.on("SIGINT", () => process.exit(130))
process.on("SIGTERM", () => process.exit(143))
process.on("uncaughtException", (error) => {
  process.stderr.write(`driver-gate: ${error.message}\n`)
  for (const id of [...questions.keys()]) settle(id, unreachable("the gate program failed"))
})
