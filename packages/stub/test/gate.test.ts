import { assert, describe, it } from "vitest"
import { asks, assertShapes, capture, eventually, kinds, run, start, streamJson, warm } from "./harness.js"

const write = (file = "a.txt", content = "x\n") => ({ tool: "Write", input: { file_path: file, content } })
const bash = (command: string) => ({ tool: "Bash", input: { command } })
const turn = (...steps: ReadonlyArray<unknown>) => ({ turns: [{ steps }] })
const deny = { behavior: "deny", message: "policy says no" }

describe.concurrent("driver-stub's gate over MCP", () => {
  it("shakes hands like the real client", async () => {
    const ran = await run({ scenario: turn(write()), gate: [] })
    const [start, ...messages] = ran.gateLog()
    assert.strictEqual(start.session, ran.result.session_id)
    assert.deepEqual(
      messages.map(({ method }) => method),
      ["server/discover", "initialize", "notifications/initialized", "tools/list", "tools/call"]
    )
    assert.strictEqual(messages[0].id, "server-discover-probe-1")
    assert.strictEqual(messages[1].params.protocolVersion, "2025-11-25")
    const used = ran.events.find(({ message }) => message?.content[0].type === "tool_use").message.content[0]
    const { id, params } = messages[4]
    assert.deepEqual(params, {
      name: "permission_prompt",
      arguments: {
        tool_name: "Write",
        input: { file_path: ran.at.path("a.txt"), content: "x\n" },
        tool_use_id: used.id
      },
      _meta: { "claudecode/toolUseId": used.id, progressToken: id }
    })
  })

  it("keeps a denied tool from running, tells the model why, and lists the denial", async () => {
    const ran = await run({ scenario: turn(write(), { say: "I was denied" }), gate: [{ match: "", reply: deny }] })
    assert.deepEqual(kinds(ran.events), kinds(capture("permission-denied")))
    assertShapes("permission-denied", ran.events)
    assert.isFalse(ran.at.has("a.txt"))
    const result = ran.events.find(({ type }) => type === "user")
    assert.include(result.message.content[0], { content: "policy says no", is_error: true })
    assert.deepEqual(
      ran.result.permission_denials.map(({ tool_name }: { tool_name: string }) => tool_name),
      ["Write"]
    )
    assert.strictEqual(ran.exit.code, 0)
  })

  it("plays on_deny in place of the rest", async () => {
    const steps = [{ ...write(), on_deny: [{ say: "Then I will not." }] }, write("b.txt"), { say: "unreached" }]
    const ran = await run({ scenario: turn(...steps), gate: [{ match: "a.txt", reply: deny }] })
    assert.strictEqual(ran.result.result, "Then I will not.")
    assert.isFalse(ran.at.has("b.txt"))
  })

  it("goes on with the rest after a denial without on_deny", async () => {
    const ran = await run({ scenario: turn(write(), write("b.txt")), gate: [{ match: "a.txt", reply: deny }] })
    assert.isTrue(ran.at.has("b.txt"))
  })

  it("runs the input that the gate put in place", async () => {
    const updatedInput = { file_path: "a.txt", content: "REWRITTEN\n" }
    const ran = await run({
      scenario: turn(write()),
      gate: [{ match: "", reply: { behavior: "allow", updatedInput } }]
    })
    assert.strictEqual(ran.at.read("a.txt"), "REWRITTEN\n")
  })

  it("does not run an updated input that breaks the tool's schema", async () => {
    const ran = await run({
      scenario: turn(write()),
      gate: [{ match: "", reply: { behavior: "allow", updatedInput: {} } }]
    })
    assertShapes("permission-updatedInput-invalid", ran.events)
    assert.isFalse(ran.at.has("a.txt"))
    assert.deepEqual(ran.result.permission_denials, [])
    assert.strictEqual(
      ran.events.find(({ type }) => type === "user").tool_result_meta[0].permission_decision.source,
      "permission_updated_input_invalid"
    )
  })

  it("stops asking for what the gate allowed for the session", async () => {
    const updatedPermissions = [
      { type: "addRules", rules: [{ toolName: "Write" }], behavior: "allow", destination: "session" }
    ]
    const ran = await run({
      scenario: turn(write(), write("b.txt")),
      gate: [{ match: "", reply: { behavior: "allow", updatedPermissions } }]
    })
    assert.strictEqual(asks(ran).length, 1)
    const metas = ran.events
      .filter(({ type }) => type === "user")
      .map(({ tool_result_meta }) => tool_result_meta[0].permission_decision)
    assert.deepEqual(metas[1], { decision: "accept", source: "user_temporary", reason_type: "rule" })
  })

  const unclear: ReadonlyArray<readonly [string, unknown]> = [
    ["a deny without a message", { behavior: "deny" }],
    ["text that is not JSON", "yes!"],
    ["an unknown behavior", { behavior: "perhaps" }]
  ]
  for (const [what, reply] of unclear) {
    it(`takes ${what} for a denial`, async () => {
      const ran = await run({ scenario: turn(write()), gate: [{ match: "", reply }] })
      assertShapes("permission-malformed-json", ran.events)
      assert.isFalse(ran.at.has("a.txt"))
      assert.strictEqual(ran.result.permission_denials.length, 1)
      assert.include(
        ran.events.find(({ type }) => type === "user").tool_use_result,
        "returned an invalid permission result"
      )
    })
  }

  const failures: ReadonlyArray<readonly [string, object, string]> = [
    ["isError", { isError: true, reply: "no" }, "Error calling tool (Write): no"],
    [
      "a JSON-RPC error",
      { rpcError: "gate socket unavailable" },
      "Error calling tool (Write): gate socket unavailable"
    ],
    ["a server that dies", { die: true }, "Error calling tool (Write): Connection closed"],
    ["a reply above 100,000 characters", { pad: 100_001 }, "Permission prompt tool returned an invalid result"]
  ]
  for (const [what, rule, expected] of failures) {
    it(`fails closed on ${what}, which is no denial`, async () => {
      const ran = await run({ scenario: turn(write()), gate: [{ match: "", ...rule }] })
      assertShapes("permission-isError", ran.events)
      assert.isFalse(ran.at.has("a.txt"))
      assert.deepEqual(ran.result.permission_denials, [])
      assert.include(ran.events.find(({ type }) => type === "user").tool_use_result, expected)
      assert.strictEqual(ran.exit.code, 0)
    })
  }

  it("accepts a reply of 100,000 characters", async () => {
    const ran = await run({ scenario: turn(write()), gate: [{ match: "", pad: 100_000 }] })
    assert.isTrue(ran.at.has("a.txt"))
  })

  it("starts a server that died again at the next ask", async () => {
    const ran = await run({ scenario: turn(write(), write("b.txt")), gate: [{ match: "a.txt", die: true }] })
    assert.isFalse(ran.at.has("a.txt"))
    assert.isTrue(ran.at.has("b.txt"))
    assert.strictEqual(ran.gateLog().filter(({ started }) => started !== undefined).length, 2)
  })

  it("gives up on a gate that does not answer in MCP_TOOL_TIMEOUT", async () => {
    const stub = start({
      scenario: turn(write()),
      args: warm,
      gate: [{ match: "", hang: true }],
      env: { MCP_TOOL_TIMEOUT: "150" }
    })
    stub.user("go")
    assert.deepEqual((await stub.result()).permission_denials, [])
    assert.include(stub.events.find(({ type }) => type === "user").tool_use_result, "timed out after 0.15s")
    assert.isFalse(stub.at.has("a.txt"))
    await eventually(
      () => stub.gateLog().some(({ method }) => method === "notifications/cancelled"),
      "the call is withdrawn"
    )
    stub.end()
    await stub.exit
  })

  it("gives up on a silent gate, but not on one that reports progress", async () => {
    const env = { CLAUDE_CODE_MCP_TOOL_IDLE_TIMEOUT: "500" }
    const silent = await run({ scenario: turn(write()), gate: [{ match: "", delay: 3_000 }], env })
    assert.isFalse(silent.at.has("a.txt"))
    const lively = await run({ scenario: turn(write()), gate: [{ match: "", delay: 1_000, progress: 30 }], env })
    assert.isTrue(lively.at.has("a.txt"))
  })

  it("ends the turn at a denial that interrupts", async () => {
    const ran = await run({
      scenario: turn(write(), { say: "unreached" }),
      gate: [{ match: "", reply: { ...deny, interrupt: true } }]
    })
    assert.strictEqual(ran.exit.code, 1)
    assert.deepEqual(kinds(ran.events), kinds(capture("permission-denied-interrupt")))
    assertShapes("permission-denied-interrupt", ran.events)
    assert.include(ran.result, { subtype: "error_during_execution", terminal_reason: "aborted_tools", num_turns: 3 })
    assert.strictEqual(ran.result.permission_denials.length, 1)
  })

  it("asks for parallel calls at the same time", async () => {
    const files = ["a.txt", "b.txt", "c.txt", "d.txt"]
    const ran = await run({
      scenario: turn({ parallel: files.map((file) => write(file)) }),
      gate: [{ match: "", calls: 4 }]
    })
    assert.strictEqual(asks(ran).length, 4)
    assert.isTrue(files.every((file) => ran.at.has(file)))
    assert.strictEqual(
      new Set(
        ran.events
          .filter(({ type }) => type === "assistant")
          .slice(0, 4)
          .map(({ message }) => message.id)
      ).size,
      1
    )
    assert.strictEqual(ran.result.num_turns, 5)
  })

  it("ends with 1 and without a result when the permission tool does not exist", async () => {
    const mcp = JSON.stringify({ mcpServers: { gate: { command: "/nonexistent/gate" } } })
    const ran = await run({
      scenario: turn(write()),
      args: [...streamJson, "--mcp-config", mcp, "--permission-prompt-tool", "mcp__gate__permission_prompt"]
    })
    assert.strictEqual(ran.exit.code, 1)
    assertShapes("permission-mcp-missing-binary", ran.events)
    assert.deepEqual(kinds(ran.events), ["system/init", "assistant", "user"])
    assert.strictEqual(ran.events[0].mcp_servers[0].status, "failed")
    assert.match(ran.stderr(), /MCP tool mcp__gate__permission_prompt .* not found\. Available MCP tools: none/)
  })

  it("does the same for a wrong tool of a connected server", async () => {
    const ran = await run({
      scenario: turn(write()),
      args: [...streamJson, "--permission-prompt-tool", "mcp__gate__nope"]
    })
    assert.strictEqual(ran.exit.code, 1)
    assert.isUndefined(ran.result)
  })

  it("reports the gate as failed when the scenario says so", async () => {
    const ran = await run({ scenario: { ...turn(write()), startup: { gate_status: "failed" } }, gate: [] })
    assert.strictEqual(ran.events[0].mcp_servers[0].status, "failed")
    assert.strictEqual(ran.exit.code, 1)
    assert.deepEqual(ran.gateLog(), [])
  })

  it("refuses what would have to be asked when there is nobody to ask", async () => {
    const ran = await run({ scenario: turn(write()) })
    assertShapes("no-permission-tool", ran.events)
    assert.isFalse(ran.at.has("a.txt"))
    assert.strictEqual(ran.result.permission_denials.length, 1)
  })

  it("leaves no gate behind", async () => {
    const ran = await run({ scenario: turn(write()), gate: [] })
    const [{ started }] = ran.gateLog()
    await eventually(() => {
      try {
        process.kill(started, 0)
        return false
      } catch {
        return true
      }
    }, "the gate's process ends")
  })

  it("asks by default about everything but reading in the working directory", async () => {
    const ran = await run({
      scenario: turn(
        write(),
        { tool: "Read", input: { file_path: "a.txt" } },
        { tool: "Read", input: { file_path: "/etc/hostname" } },
        { tool: "Edit", input: { file_path: "a.txt", old_string: "x", new_string: "y" } },
        bash("ls -la"),
        bash("cat a.txt"),
        bash("cat /etc/hostname"),
        bash("echo hi > f.txt"),
        bash("curl -s http://127.0.0.1:1/"),
        { tool: "WebFetch", input: { url: "http://127.0.0.1:1/" }, result: "fetched" }
      ),
      gate: [{ match: "curl|hostname", reply: deny }]
    })
    assert.deepEqual(
      asks(ran).map(({ tool_name, input }) => `${tool_name} ${input.command ?? input.file_path ?? input.url}`),
      [
        `Write ${ran.at.path("a.txt")}`,
        "Read /etc/hostname",
        `Edit ${ran.at.path("a.txt")}`,
        "Bash cat /etc/hostname",
        "Bash echo hi > f.txt",
        "Bash curl -s http://127.0.0.1:1/",
        "WebFetch http://127.0.0.1:1/"
      ]
    )
    assert.strictEqual(ran.at.read("a.txt"), "y\n")
    assert.strictEqual(ran.at.read("f.txt"), "hi\n")
    const contents = ran.events.filter(({ type }) => type === "user").map(({ message }) => message.content[0].content)
    assert.strictEqual(contents[1], "1\tx\n2\t")
    assert.strictEqual(contents[5], "y")
    assert.strictEqual(contents[9], "fetched")
  })

  it("tells the model of tools that fail, without asking about inputs that cannot be right", async () => {
    const ran = await run({
      scenario: turn(
        { tool: "Write", input: { path: "x" } },
        { tool: "Edit", input: { file_path: "none.txt", old_string: "a", new_string: "b" } },
        bash("echo out; echo err >&2; exit 7"),
        { tool: "Custom", input: {}, result: "broken", is_error: true },
        { ...bash("sleep 5"), input: { command: "sleep 5", timeout: 50 } }
      ),
      gate: []
    })
    const results = ran.events.filter(({ type }) => type === "user")
    assert.deepEqual(
      results.map(({ message }) => message.content[0].is_error),
      [true, true, true, true, true]
    )
    assert.include(results[0].message.content[0].content, "The required parameter `file_path` is missing")
    assert.strictEqual(results[2].message.content[0].content, "Exit code 7\nout\nerr")
    assert.strictEqual(results[2].tool_use_result, "Error: Exit code 7\nout\nerr")
    assert.include(results[4].message.content[0].content, "timed out after 0.05s")
    assert.strictEqual(asks(ran).length, 4)
  })

  it("shows what an edit changed", async () => {
    const ran = await run({
      scenario: turn(
        write("a.txt", "1\n2\n3\n4\n5\n6\n7\n8\n"),
        { tool: "Edit", input: { file_path: "a.txt", old_string: "5", new_string: "five" } },
        write("a.txt", "new\n")
      ),
      gate: []
    })
    const [, edited, written] = ran.events
      .filter(({ type }) => type === "user")
      .map(({ tool_use_result }) => tool_use_result)
    assert.deepEqual(edited.structuredPatch, [
      { oldStart: 2, oldLines: 7, newStart: 2, newLines: 7, lines: [" 2", " 3", " 4", "-5", "+five", " 6", " 7", " 8"] }
    ])
    assert.include(written, { type: "update", originalFile: "1\n2\n3\n4\nfive\n6\n7\n8\n" })
  })

  it("lets the gate answer a question to the user", async () => {
    const questions = [
      { question: "Which?", header: "H", options: [{ label: "A" }, { label: "B" }], multiSelect: false }
    ]
    const ran = await run({
      scenario: turn({ tool: "AskUserQuestion", input: { questions } }),
      gate: [{ match: "", reply: { behavior: "allow", updatedInput: { questions, answers: { "Which?": "B" } } } }]
    })
    assert.include(ran.events.find(({ type }) => type === "user").message.content[0].content, `"Which?"="B"`)
  })

  it("enters plan mode unasked, and says so", async () => {
    const ran = await run({ scenario: turn({ tool: "EnterPlanMode" }, write()), gate: [] })
    assert.include(
      ran.events.find(({ subtype }) => subtype === "status"),
      { permissionMode: "plan" }
    )
    assert.deepEqual(
      asks(ran).map(({ tool_name }) => tool_name),
      ["Write"]
    )
    assert.isTrue(ran.at.has("a.txt"))
  })

  it("marks the environment of commands", async () => {
    const ran = await run({ scenario: turn(bash("echo $CLAUDECODE $CLAUDE_CODE_SESSION_ID")), gate: [] })
    assert.strictEqual(
      ran.events.find(({ type }) => type === "user").message.content[0].content,
      `1 ${ran.result.session_id}`
    )
  })
})

describe.concurrent("driver-stub's gate over stdio", () => {
  const args = [...warm, "--permission-prompt-tool", "stdio"]
  const two = turn({ say: "w" }, { parallel: [write("a.txt"), write("b.txt")] }, { say: "one" })

  it("asks by control requests and obeys the responses", async () => {
    const stub = start({ scenario: two, args })
    stub.send({ type: "control_request", request_id: "req-1", request: { subtype: "initialize" } })
    stub.user("first")
    for (const file of ["a.txt", "b.txt"]) {
      const asked = await stub.event(
        ({ type, request }) => type === "control_request" && request.input.file_path.endsWith(file)
      )
      const response = file === "a.txt" ? { behavior: "allow" } : { behavior: "deny", message: "no b" }
      stub.send({ type: "control_response", response: { subtype: "success", request_id: asked.request_id, response } })
    }
    const result = await stub.result()
    stub.end()
    await stub.exit
    assertShapes("stream-permission-prompt-tool-stdio", stub.events, ["control_response/success", "system/init"])
    assert.isTrue(stub.at.has("a.txt"))
    assert.isFalse(stub.at.has("b.txt"))
    assert.strictEqual(result.permission_denials.length, 1)
    assert.deepEqual(stub.events.find(({ subtype }) => subtype === "init").mcp_servers, [])
  })

  it("withdraws the question when it is interrupted", async () => {
    const stub = start({ scenario: turn(write()), args })
    stub.user("first")
    await stub.event(({ type }) => type === "control_request")
    stub.send({ type: "control_request", request_id: "req-2", request: { subtype: "interrupt" } })
    await stub.result()
    stub.end()
    assert.strictEqual((await stub.exit).code, 1)
    assert.deepEqual(kinds(stub.events), kinds(capture("stream-stdio-permission-interrupt")))
    assertShapes("stream-stdio-permission-interrupt", stub.events)
    assert.strictEqual((await stub.result()).permission_denials.length, 1)
  })

  it("fails the tool when the answer is an error, or when nobody can answer any more", async () => {
    const stub = start({ scenario: turn(write(), write("b.txt")), args })
    stub.user("first")
    const first = await stub.event(({ type }) => type === "control_request")
    stub.send({
      type: "control_response",
      response: { subtype: "error", request_id: first.request_id, error: "callback broke" }
    })
    await stub.event(({ type, request_id }) => type === "control_request" && request_id !== first.request_id)
    stub.end()
    await stub.exit
    const results = stub.events.filter(({ type }) => type === "user").map(({ tool_use_result }) => tool_use_result)
    assert.deepEqual(results, [
      "Error calling tool (Write): callback broke",
      "Error calling tool (Write): Stream closed"
    ])
    assert.isFalse(stub.at.has("a.txt") || stub.at.has("b.txt"))
  })
})
