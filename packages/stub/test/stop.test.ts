import { assert, describe, it } from "vitest"
import {
  assertShapes,
  capture,
  directory,
  eventually,
  isAlive,
  kinds,
  run,
  start,
  streamJson,
  warm
} from "./harness.js"

const turn = (...steps: ReadonlyArray<unknown>) => ({ turns: [{ steps }, { result: "after" }] })
/** A command that says that it has begun, notes the ids of its shell and of a child, and never ends. */
const endless = { tool: "Bash", input: { command: "sleep 100 & echo $$ $! > pids.tmp; mv pids.tmp pids; wait" } }
const sleeping = turn({ say: "Sleeping." }, endless, { say: "unreached" })
const allowBash = [...streamJson, "--allowedTools", "Bash"]

const started = async (options: Parameters<typeof start>[0]) => {
  const stub = start({ prompt: "go", ...options })
  await eventually(() => stub.at.has("pids"), "the command has begun")
  return { stub, pids: stub.at.read("pids").trim().split(" ").map(Number) }
}

const dead = (pids: ReadonlyArray<number>) => eventually(() => pids.every((pid) => !isAlive(pid)), `${pids} have ended`)

const interrupt = { type: "control_request", request_id: "req-2", request: { subtype: "interrupt" } }

describe.concurrent("driver-stub, stopped", () => {
  it("by SIGTERM in a command ends with 143, kills the command's group and gives no result", async () => {
    const { stub, pids } = await started({ scenario: sleeping, args: allowBash })
    assert.isTrue(pids.every(isAlive))
    stub.child.kill("SIGTERM")
    assert.deepEqual(await stub.exit, { code: 143, signal: null })
    assert.deepEqual(kinds(stub.events), kinds(capture("sigterm-bash-sleep")))
    assertShapes("sigterm-bash-sleep", stub.events, ["system/init"])
    assert.include(stub.events.at(-1).message.content[0], { content: "Exit code 137", is_error: true })
    await dead(pids)
  })

  it("by SIGHUP ends with 129", async () => {
    const { stub, pids } = await started({ scenario: sleeping, args: allowBash })
    stub.child.kill("SIGHUP")
    assert.strictEqual((await stub.exit).code, 129)
    await dead(pids)
  })

  it("by SIGINT in a command ends with 0 and an interrupted result", async () => {
    const { stub, pids } = await started({ scenario: sleeping, args: allowBash })
    stub.child.kill("SIGINT")
    assert.strictEqual((await stub.exit).code, 0)
    assert.deepEqual(kinds(stub.events), kinds(capture("sigint-bash-sleep")))
    assertShapes("sigint-bash-sleep", stub.events, ["system/init"])
    assert.include(stub.events.at(-1), {
      subtype: "error_during_execution",
      terminal_reason: "aborted_tools",
      num_turns: 3,
      stop_reason: "tool_use"
    })
    assert.deepEqual(stub.events.at(-1).permission_denials, [])
    await dead(pids)
  })

  it("by SIGINT while it speaks prints what it has said so far", async () => {
    const stub = start({
      scenario: turn({ say: { text: "streaming ".repeat(20), over: "20s" } }),
      args: [...streamJson, "--include-partial-messages"],
      prompt: "go"
    })
    await stub.event(({ event }) => event?.type === "content_block_start")
    stub.child.kill("SIGINT")
    assert.strictEqual((await stub.exit).code, 0)
    assert.include(stub.events.at(-1), {
      subtype: "error_during_execution",
      terminal_reason: "aborted_streaming",
      stop_reason: null,
      num_turns: 2
    })
    assert.strictEqual(stub.events.at(-1).usage.input_tokens, 0)
    assert.strictEqual(stub.events.at(-1).model_usage_since_last_result["claude-stub-1"].inputTokens, 10)
  })

  it("by SIGINT or SIGTERM while idle ends with 0 or 143", async () => {
    for (const [signal, code] of [
      ["SIGINT", 0],
      ["SIGTERM", 143]
    ] as const) {
      const stub = start({ scenario: turn({ say: "one" }), args: warm })
      stub.user("first")
      await stub.result()
      stub.child.kill(signal)
      assert.deepEqual(await stub.exit, { code, signal: null })
      assert.deepEqual(kinds(stub.events), ["system/init", "assistant", "result/success"])
    }
  })

  it("by SIGTERM during a permission prompt tells of the closed connection", async () => {
    const stub = start({ scenario: sleeping, gate: [{ match: "", hang: true }], prompt: "go" })
    await eventually(() => stub.gateLog().some(({ method }) => method === "tools/call"), "the gate is asked")
    stub.child.kill("SIGTERM")
    assert.strictEqual((await stub.exit).code, 143)
    assert.include(stub.events.at(-1).tool_use_result, "Connection closed")
    assert.isFalse(stub.at.has("pids"))
  })

  it("by SIGTERM with a background task ends the task and says so", async () => {
    const scenario = turn(
      { say: "bg" },
      { background: { command: "echo $$ > pids; exec tail -f /dev/null" } },
      { say: "over" }
    )
    const stub = start({ scenario, gate: [], prompt: "go" })
    await stub.result()
    await eventually(() => stub.at.has("pids") && stub.at.read("pids") !== "", "the task has begun")
    stub.child.kill("SIGTERM")
    assert.strictEqual((await stub.exit).code, 143)
    assert.deepEqual(kinds(stub.events), kinds(capture("bash-bg-sigterm-after-result")))
    assertShapes("bash-bg-sigterm-after-result", stub.events)
    await dead([Number(stub.at.read("pids"))])
  })

  it("by SIGTERM does not stop when the scenario says that it ignores it", async () => {
    const stub = start({
      scenario: { ...turn({ say: "on" }, { hang: "forever" }), ignore_sigterm: true },
      prompt: "go"
    })
    await stub.event(({ type }) => type === "assistant")
    stub.child.kill("SIGTERM")
    await new Promise((done) => setTimeout(done, 100))
    assert.isTrue(isAlive(stub.child.pid ?? 0))
    stub.child.kill("SIGKILL")
    assert.strictEqual((await stub.exit).signal, "SIGKILL")
  })

  it("keeps its place and its costs over a SIGTERM, and its place over a SIGKILL", async () => {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const at = directory()
      const { stub, pids } = await started({ at, scenario: sleeping, args: allowBash })
      stub.child.kill(signal)
      await new Promise((done) => stub.child.once("exit", done))
      if (signal === "SIGKILL") {
        // Like the real agent's, its commands are in groups of their own and survive that.
        assert.isTrue(pids.every(isAlive))
        process.kill(-(pids[0] ?? 0), "SIGKILL")
      }
      const resumed = await run({
        at,
        scenario: sleeping,
        args: [...streamJson, "--resume", stub.events[0].session_id]
      })
      assert.strictEqual(resumed.result.result, "after")
      const calls = signal === "SIGTERM" ? 2 : 1
      assert.strictEqual(resumed.result.modelUsage["claude-stub-1"].inputTokens, 10 * calls)
    }
  })
})

describe.concurrent("driver-stub, interrupted by a control request", () => {
  it("kills the command, gives a result and stays usable", async () => {
    const stub = start({ scenario: turn(endless), args: [...warm, "--allowedTools", "Bash"] })
    stub.user("first")
    await eventually(() => stub.at.has("pids"), "the command has begun")
    const pids = stub.at.read("pids").trim().split(" ").map(Number)
    stub.send(interrupt)
    await stub.result(0)
    stub.user("go on")
    await stub.result(1)
    stub.end()
    assert.strictEqual((await stub.exit).code, 0)
    assert.deepEqual(kinds(stub.events), kinds(capture("stream-interrupt-bash")))
    assertShapes("stream-interrupt-bash", stub.events, ["system/init"])
    assert.include(
      stub.events.find(({ type }) => type === "user").message.content[0].content,
      "this call was stopped while running"
    )
    assert.deepEqual((await stub.event(({ type }) => type === "control_response")).response.response, {
      still_queued: []
    })
    await dead(pids)
  })

  it("cancels the message that it was answering", async () => {
    const uuid = "11111111-2222-4333-8444-555555555555"
    const stub = start({
      scenario: turn({ say: { text: "streaming ".repeat(20), over: "1s" } }, { hang: "forever" }),
      args: [...warm, "--include-partial-messages"]
    })
    stub.user("first", uuid)
    await stub.event(({ event }) => event?.type === "content_block_delta")
    stub.send(interrupt)
    await stub.result(0)
    stub.user("go on")
    await stub.result(1)
    stub.end()
    await stub.exit
    const events = stub.events.filter(({ type, status }) => type !== "stream_event" && status !== "requesting")
    assert.deepEqual(kinds(events), kinds(capture("stream-interrupt-midstream")))
    assertShapes("stream-interrupt-midstream", events, ["system/init"])
    assert.deepEqual(
      events.filter(({ type }) => type === "command_lifecycle").map(({ state }) => state),
      ["queued", "started", "cancelled"]
    )
    assert.include(events.find(({ aborted }) => aborted).message.content[0].text, "streaming")
  })

  it("ends a silence that would last for ever", async () => {
    const stub = start({ scenario: turn({ hang: "forever" }), args: warm })
    stub.user("first")
    await stub.event(({ subtype }) => subtype === "init")
    stub.send(interrupt)
    assert.include(await stub.result(), { subtype: "error_during_execution", terminal_reason: "aborted_streaming" })
    stub.end()
    assert.strictEqual((await stub.exit).code, 1)
  })

  it("rejects each of several calls that were being asked about", async () => {
    const calls = ["a", "b"].map((file) => ({ tool: "Write", input: { file_path: file, content: "x" } }))
    const stub = start({ scenario: turn({ parallel: calls }), args: warm, gate: [{ match: "", hang: true }] })
    stub.user("first")
    await eventually(
      () => stub.gateLog().filter(({ method }) => method === "tools/call").length === 2,
      "both are asked"
    )
    stub.send(interrupt)
    const result = await stub.result()
    assert.strictEqual(result.permission_denials.length, 2)
    assert.strictEqual(result.num_turns, 4)
    await eventually(
      () => stub.gateLog().filter(({ method }) => method === "notifications/cancelled").length === 2,
      "both are withdrawn"
    )
    stub.end()
    await stub.exit
  })

  it("stops a subagent with its turn", async () => {
    const steps = [{ subagent: { background: true, steps: [{ delay: "10s" }] } }, { say: "main done" }]
    const stub = start({ scenario: turn(...steps), args: warm })
    stub.user("first")
    await stub.event(({ message }) => message?.content[0].text === "main done")
    stub.send(interrupt)
    await stub.result()
    stub.end()
    await stub.exit
    assert.deepEqual(stub.events.filter(({ subtype }) => subtype === "background_tasks_changed").at(-1).tasks, [])
  })

  it("ends a turn that had not begun yet", async () => {
    const stub = start({ scenario: { turns: [{ result: "unreached" }] }, args: warm, gate: [{ handshake: 200 }] })
    stub.user("first", "11111111-2222-4333-8444-555555555555")
    await stub.event(({ state }) => state === "started")
    stub.send(interrupt)
    assert.include(await stub.result(), { subtype: "error_during_execution", terminal_reason: "aborted_streaming" })
    stub.end()
    await stub.exit
  })

  it("is answered when nothing runs, too", async () => {
    const stub = start({ scenario: turn(), args: warm })
    stub.send(interrupt)
    assert.strictEqual((await stub.event(({ type }) => type === "control_response")).response.subtype, "success")
    stub.end()
    assert.strictEqual((await stub.exit).code, 0)
  })
})
