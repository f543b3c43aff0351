// A scripted stand-in for the provider's Messages API on loopback: what the real agent program talks to in
// `npm run test:real-agent`. It answers each request by a function of the conversation and keeps what it was asked.
import { createServer } from "node:http"

/**
 * What a reply consists of: texts and tool calls.
 * @typedef {{ text: string } | { tool: string, input: Record<string, unknown> }} Block
 *
 * What the script gets to see of a request.
 * @typedef {{ prompt: string, toolResults: ReadonlyArray<{ text: string, isError: boolean }>, workspace: string | undefined, body: any }} Asked
 */

const textOf = (content) =>
  typeof content === "string"
    ? content
    : (content ?? [])
        .map((block) =>
          block.type === "text" ? block.text : block.type === "tool_result" ? textOf(block.content) : ""
        )
        .join("\n")

/** The last prompt of a person, and the tool results that came after it. */
const askedOf = (body) => {
  const messages = body.messages.filter((message) => message.role === "user")
  const isPrompt = (message) =>
    typeof message.content === "string" ||
    message.content.some((block) => block.type === "text" && !/^<system-reminder>/.test(block.text))
  const results = []
  let prompt = ""
  for (const message of [...messages].reverse()) {
    const blocks = typeof message.content === "string" ? [] : message.content
    const toolResults = blocks.filter((block) => block.type === "tool_result")
    results.unshift(...toolResults.map((block) => ({ text: textOf(block.content), isError: block.is_error === true })))
    if (toolResults.length === 0 && isPrompt(message)) {
      prompt = textOf(message.content)
      break
    }
  }
  const everything = JSON.stringify(body)
  const workspace = /[Ww]orking directory:? ?(\/[^\s"\\<]+)/.exec(everything)?.[1]
  return { prompt, toolResults: results, workspace, body }
}

const usage = (input, output) => ({
  input_tokens: input,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  output_tokens: output
})

let serial = 0

const stream = (response, model, blocks) => {
  serial += 1
  const send = (type, data) => response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`)
  response.writeHead(200, { "content-type": "text/event-stream", "request-id": `req_${serial}` })
  const id = `msg_${serial}`
  send("message_start", {
    message: {
      id,
      type: "message",
      role: "assistant",
      model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: usage(100, 1)
    }
  })
  blocks.forEach((block, index) => {
    if ("text" in block) {
      send("content_block_start", { index, content_block: { type: "text", text: "" } })
      send("content_block_delta", { index, delta: { type: "text_delta", text: block.text } })
    } else {
      send("content_block_start", {
        index,
        content_block: { type: "tool_use", id: `toolu_${serial}_${index}`, name: block.tool, input: {} }
      })
      send("content_block_delta", {
        index,
        delta: { type: "input_json_delta", partial_json: JSON.stringify(block.input) }
      })
    }
    send("content_block_stop", { index })
  })
  const stop = blocks.some((block) => "tool" in block) ? "tool_use" : "end_turn"
  send("message_delta", { delta: { stop_reason: stop, stop_sequence: null }, usage: usage(100, 20) })
  send("message_stop", {})
  response.end()
}

/**
 * Serves until `close` is called.
 * @param {(asked: Asked) => ReadonlyArray<Block> | { status: number, type: string, message: string }} script
 */
export const startEndpoint = async (script) => {
  const requests = []
  const server = createServer((request, response) => {
    const chunks = []
    request.on("data", (chunk) => chunks.push(chunk))
    request.on("end", () => {
      const url = new URL(request.url ?? "/", "http://localhost")
      if (request.method !== "POST" || url.pathname !== "/v1/messages") {
        response.writeHead(404, { "content-type": "application/json" })
        response.end(JSON.stringify({ type: "error", error: { type: "not_found_error", message: url.pathname } }))
        return
      }
      const body = JSON.parse(Buffer.concat(chunks).toString("utf8"))
      const asked = askedOf(body)
      requests.push({ ...asked, headers: request.headers })
      const answer = script(asked)
      if (!Array.isArray(answer)) {
        response.writeHead(answer.status, { "content-type": "application/json" })
        response.end(JSON.stringify({ type: "error", error: { type: answer.type, message: answer.message } }))
        return
      }
      stream(response, body.model, answer)
    })
  })
  await new Promise((done) => server.listen(0, "127.0.0.1", done))
  const { port } = server.address()
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    close: () =>
      new Promise((done) => {
        server.close(done)
        server.closeAllConnections()
      })
  }
}
