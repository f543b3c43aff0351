import { assert, describe, it } from "vitest"
import { assertShapes, capture, directory, kinds, run, start, warm } from "./harness.js"

const write = (file: string) => ({ tool: "Write", input: { file_path: file, content: "x\n" } })

const three = {
  turns: [{ steps: [{ say: "w" }, write("a.txt"), { say: "one" }] }, { result: "two" }, { result: "three" }]
}

const uuid = "11111111-2222-4333-8444-555555555555"

describe.concurrent("driver-stub, kept warm", () => {
  it("plays a turn per message, and ends with 0 at the end of input", async () => {
    const stub = start({ scenario: three, args: warm, gate: [] })
    for (const [i, text] of ["first", "second", "third"].entries()) {
      stub.user(text)
      await stub.result(i)
    }
    stub.end()
    assert.deepEqual(await stub.exit, { code: 0, signal: null })
    assert.deepEqual(kinds(stub.events), kinds(capture("stream-warm-3-turns")))
    assertShapes("stream-warm-3-turns", stub.events)
    const results = stub.events.filter(({ type }) => type === "result")
    assert.deepEqual(
      results.map(({ result }) => result),
      ["one", "two", "three"]
    )
    assert.deepEqual(
      results.map(({ model_usage_since_last_result: delta }) => delta["claude-stub-1"].inputTokens),
      [20, 10, 10]
    )
    assert.deepEqual(
      results.map(({ modelUsage }) => modelUsage["claude-stub-1"].inputTokens),
      [20, 30, 40]
    )
  })

  it("finishes the running turn when input ends", async () => {
    const ran = await run({
      scenario: { turns: [{ steps: [{ delay: "50ms" }, { say: "done" }] }] },
      args: warm,
      prompt: `${JSON.stringify({ type: "user", message: { role: "user", content: "go" } })}\n`
    })
    assert.deepEqual([ran.exit.code, ran.result.result], [0, "done"])
  })

  it("ends with 1 when the last result is an error, and goes on after one that is not the last", async () => {
    const scenario = {
      turns: [{ error: { class: "overloaded" } }, { result: "ok now" }, { error: { class: "rate_limit" } }]
    }
    const stub = start({ scenario, args: warm, gate: [] })
    stub.user("a")
    assert.isTrue((await stub.result(0)).is_error)
    stub.user("b")
    assert.strictEqual((await stub.result(1)).result, "ok now")
    stub.user("c")
    await stub.result(2)
    stub.end()
    assert.strictEqual((await stub.exit).code, 1)
  })

  it("compacts and goes on", async () => {
    const stub = start({ scenario: three, args: warm, gate: [] })
    stub.user("first")
    await stub.result(0)
    stub.user("/compact")
    await stub.result(1)
    stub.user("after")
    await stub.result(2)
    stub.end()
    await stub.exit
    assert.deepEqual(kinds(stub.events), kinds(capture("stream-compact")))
    assertShapes("stream-compact", stub.events)
    assert.strictEqual((await stub.result(2)).result, "two")
  })

  it("begins a new session after /clear", async () => {
    const stub = start({ scenario: three, args: warm, gate: [] })
    stub.user("first")
    const first = await stub.result(0)
    stub.user("/clear")
    const cleared = await stub.result(1)
    assert.notStrictEqual(cleared.session_id, first.session_id)
    assert.strictEqual(
      (await stub.event(({ type }) => type === "conversation_reset")).new_conversation_id,
      cleared.session_id
    )
    stub.user("again")
    assert.include(await stub.result(2), { result: "one", session_id: cleared.session_id })
    stub.end()
    await stub.exit
  })

  it("folds a message that comes in mid-turn into the turn", async () => {
    const at = directory()
    const scenario = { turns: [{ steps: [{ say: "working" }, write("a.txt"), { say: "first done" }] }] }
    const stub = start({
      at,
      scenario,
      args: [...warm, "--replay-user-messages"],
      gate: [{ match: "", file: at.path("go") }]
    })
    stub.user("first")
    await stub.event(({ type }) => type === "assistant")
    stub.user("second, sent mid-turn", uuid)
    await stub.event(({ state }) => state === "queued")
    at.write("go", "")
    stub.end()
    await stub.exit
    const events = stub.events.filter(({ type }) => type !== "command_lifecycle")
    assert.deepEqual(kinds(events), kinds(capture("stream-second-message-mid-turn")))
    assertShapes("stream-second-message-mid-turn", events)
    const replayed = stub.events.filter(({ isReplay }) => isReplay).map(({ message }) => message.content[0].text)
    assert.deepEqual(replayed, ["first", "second, sent mid-turn"])
    assert.strictEqual((await stub.result()).num_turns, 2)
  })

  it("plays a message that came too late to be folded as the next turn", async () => {
    const stub = start({
      scenario: { turns: [{ steps: [{ say: "a" }, { delay: "50ms" }] }, { result: "b" }] },
      args: warm
    })
    stub.user("first")
    await stub.event(({ type }) => type === "assistant")
    stub.user("second")
    assert.strictEqual((await stub.result(1)).result, "b")
    stub.end()
    await stub.exit
  })

  it("repeats what it was told mid-turn", async () => {
    const stub = start({
      scenario: { turns: [{ steps: [{ say: "working" }, { steer_echo: { within: "5s" } }] }] },
      args: warm
    })
    stub.user("first")
    await stub.event(({ type }) => type === "assistant")
    stub.user("use tabs", uuid)
    assert.strictEqual((await stub.result()).result, "Understood: use tabs")
    stub.end()
    await stub.exit
    assert.deepEqual(
      stub.events.filter(({ type }) => type === "command_lifecycle").map(({ state }) => state),
      ["queued", "started", "completed"]
    )
  })

  it("says so when nobody told it anything", async () => {
    const ran = await run({ scenario: { turns: [{ steps: [{ steer_echo: { within: "10ms" } }] }] } })
    assert.strictEqual(ran.result.result, "No message came.")
  })

  it("tells when it runs and when it is idle, and follows messages by their uuid", async () => {
    const stub = start({
      scenario: { turns: [{ steps: [write("a.txt"), { say: "one" }] }] },
      args: [...warm, "--replay-user-messages"],
      env: { CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1" },
      gate: []
    })
    stub.user("first", uuid)
    await stub.event(({ state }) => state === "idle")
    stub.end()
    await stub.exit
    assert.deepEqual(kinds(stub.events), kinds(capture("stream-session-state-events")))
    assertShapes("stream-session-state-events", stub.events)
    assert.deepEqual(
      stub.events.map(({ state }) => state).filter((state) => state !== undefined),
      ["running", "queued", "started", "completed", "idle"]
    )
    assert.strictEqual((await stub.result()).user_message_uuid, uuid)
  })

  it("is busy until its background command has ended", async () => {
    const steps = [{ background: { command: "sleep 0.1" } }, { say: "first" }]
    const stub = start({
      scenario: { turns: [{ steps }] },
      args: warm,
      env: { CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1" },
      gate: []
    })
    stub.user("go")
    await stub.event(({ state }) => state === "idle")
    assert.strictEqual(stub.events.filter(({ type }) => type === "result").length, 2)
    stub.end()
    assert.strictEqual((await stub.exit).code, 0)
  })

  it("answers control requests", async () => {
    const stub = start({ scenario: three, args: warm, gate: [] })
    const ask = (id: string, subtype: string, more = {}) =>
      stub.send({ type: "control_request", request_id: id, request: { subtype, ...more } })
    const answer = async (id: string) => (await stub.event(({ response }) => response?.request_id === id)).response
    ask("1", "initialize")
    ask("2", "mcp_status")
    ask("3", "get_context_usage")
    ask("4", "get_session_cost")
    ask("5", "get_binary_version")
    assert.include((await answer("1")).response, { pid: stub.child.pid, current_permission_mode: "default" })
    assert.strictEqual((await answer("2")).response.mcpServers[0].name, "gate")
    assert.include((await answer("3")).response, { maxTokens: 200_000 })
    assert.include((await answer("5")).response, { version: "2.1.329" })
    stub.user("first")
    await stub.result(0)
    ask("6", "set_permission_mode", { mode: "acceptEdits" })
    ask("7", "set_model", { model: "claude-other" })
    stub.user("second")
    await stub.result(1)
    const again = stub.events.filter(({ subtype }) => subtype === "init")[1]
    assert.include(again, { permissionMode: "acceptEdits", model: "claude-other" })
    assert.include(await stub.event(({ subtype }) => subtype === "status"), { permissionMode: "acceptEdits" })
    ask("8", "nonsense")
    assert.deepEqual(await answer("8"), {
      subtype: "error",
      request_id: "8",
      error: "Unsupported control request subtype: nonsense",
      error_code: "unsupported_request"
    })
    ask("9", "set_permission_mode", { mode: "yolo" })
    assert.strictEqual((await answer("9")).subtype, "error")
    stub.end()
    await stub.exit
    for (const id of ["1", "2", "3", "4"]) {
      const theirs = capture("stream-initialize-and-controls").find(
        ({ response }) => response?.request_id === `req-${id}`
      )
      assert.containsAllKeys(
        (await answer(id)).response,
        Object.keys(theirs.response.response).filter((key) =>
          (id === "1"
            ? [
                "commands",
                "agents",
                "models",
                "account",
                "pid",
                "claude_code_version",
                "current_permission_mode",
                "session_state",
                "capabilities"
              ]
            : ["mcpServers", "totalTokens", "maxTokens", "rawMaxTokens", "percentage", "categories", "model", "text"]
          ).includes(key)
        )
      )
    }
  })

  it("dies of a line that is not JSON", async () => {
    const stub = start({ scenario: three, args: warm, gate: [] })
    stub.user("first")
    await stub.result(0)
    stub.send("this is not json")
    assert.strictEqual((await stub.exit).code, 1)
    assert.include(stub.stderr(), "Error parsing streaming input line (type=unknown, 16 chars): SyntaxError")
  })

  it("refuses an unknown session before any message", async () => {
    const stub = start({ scenario: three, args: [...warm, "--resume", "00000000-0000-4000-8000-000000000000"] })
    assert.strictEqual((await stub.exit).code, 1)
    assertShapes("stream-resume-unknown", stub.events)
    assert.deepEqual(kinds(stub.events), ["result/error_during_execution"])
  })

  it("resumes a session that a warm process left", async () => {
    const at = directory()
    const first = start({ at, scenario: three, args: warm, gate: [] })
    first.user("first")
    const { session_id } = await first.result(0)
    first.end()
    await first.exit
    const second = start({ at, scenario: three, args: [...warm, "--resume", session_id], gate: [] })
    second.user("go on")
    assert.include(await second.result(0), { result: "two", session_id })
    second.end()
    await second.exit
  })
})
