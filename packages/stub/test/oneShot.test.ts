import { assert, describe, it } from "vitest"
import { assertShapes, capture, directory, kinds, run, start, streamJson } from "./harness.js"

const write = (file: string, content = "hello\n") => ({ tool: "Write", input: { file_path: file, content } })

const happy = {
  turns: [{ steps: [{ say: "Writing." }, write("hello.txt"), { say: "done" }] }, { steps: [{ say: "again" }] }]
}

describe.concurrent("driver-stub, one prompt", () => {
  it("plays a turn that writes a file, in the shapes of the real agent", async () => {
    const ran = await run({ scenario: happy, gate: [] })
    assert.deepEqual(ran.exit, { code: 0, signal: null })
    assert.deepEqual(kinds(ran.events), kinds(capture("happy-tool-use")))
    assertShapes("happy-tool-use", ran.events)
    assert.strictEqual(ran.at.read("hello.txt"), "hello\n")
    const [init, said, used, , done] = ran.events
    assert.strictEqual(init.cwd, ran.at.cwd)
    assert.deepEqual(init.mcp_servers, [{ name: "gate", status: "connected", source: "dynamic" }])
    assert.strictEqual(init.permissionMode, "default")
    assert.strictEqual(said.message.id, used.message.id)
    assert.notStrictEqual(used.message.id, done.message.id)
    assert.strictEqual(used.message.content[0].input.file_path, ran.at.path("hello.txt"))
    assert.include(ran.result, {
      subtype: "success",
      is_error: false,
      terminal_reason: "completed",
      num_turns: 2,
      result: "done",
      stop_reason: "end_turn"
    })
    assert.strictEqual(new Set(ran.events.map(({ session_id }) => session_id)).size, 1)
  })

  it("resumes a session at the next turn, and counts usage and cost over both", async () => {
    const at = directory()
    const first = await run({ at, scenario: happy, gate: [] })
    const second = await run({
      at,
      scenario: happy,
      args: [...streamJson, "--resume", first.result.session_id],
      gate: []
    })
    assertShapes("happy-resume", second.events)
    assertShapes("cost-A2-resume", second.events)
    assert.strictEqual(second.result.result, "again")
    assert.strictEqual(second.result.session_id, first.result.session_id)
    assert.strictEqual(second.result.result_index, 0)
    const model = "claude-stub-1"
    const delta = second.result.model_usage_since_last_result[model]
    assert.strictEqual(delta.inputTokens, 10)
    assert.strictEqual(second.result.modelUsage[model].inputTokens, 30)
    assert.closeTo(second.result.total_cost_usd, first.result.total_cost_usd + delta.costUSD, 1e-12)
    assert.strictEqual(second.result.usage.input_tokens, 10)
  })

  it("says when the session to resume is unknown", async () => {
    const ran = await run({
      scenario: happy,
      args: [...streamJson, "--resume", "00000000-0000-4000-8000-000000000000"]
    })
    assert.strictEqual(ran.exit.code, 1)
    assert.deepEqual(
      ran.events.map(({ uuid, ...event }) => event),
      capture("resume-unknown-session").map(({ uuid, ...event }) => event)
    )
    assert.include(ran.stderr(), "No conversation found with session ID")
  })

  it("gives a fresh id to the refusal of a resume that names no uuid", async () => {
    const ran = await run({ scenario: happy, args: [...streamJson, "--resume", "not-a-uuid"] })
    assert.strictEqual(ran.exit.code, 1)
    assert.match(ran.result.session_id, /^[0-9a-f-]{36}$/)
    assert.include(ran.result.errors[0], `"not-a-uuid" is not a UUID`)
  })

  it("takes a session id once", async () => {
    const at = directory()
    const id = "11111111-1111-4111-8111-111111111111"
    const first = await run({
      at,
      scenario: happy,
      args: [...streamJson, "--session-id", id, "--allowedTools", "Write"]
    })
    assert.strictEqual(first.result.session_id, id)
    const second = await run({ at, scenario: happy, args: [...streamJson, "--session-id", id] })
    assert.deepEqual(second.exit, { code: 1, signal: null })
    assert.deepEqual(second.events, [])
    assert.include(second.stderr(), `Session ID ${id} is already in use`)
  })

  it("forks a session under a new id, from where it stood", async () => {
    const at = directory()
    const first = await run({ at, scenario: happy, args: [...streamJson, "--allowedTools", "Write"] })
    const fork = await run({
      at,
      scenario: happy,
      args: [...streamJson, "--resume", first.result.session_id, "--fork-session"]
    })
    assert.notStrictEqual(fork.result.session_id, first.result.session_id)
    assert.strictEqual(fork.result.result, "again")
    assert.isAbove(fork.result.total_cost_usd, first.result.total_cost_usd)
  })

  it("goes on with the model of the last turn unless told otherwise", async () => {
    const at = directory()
    const args = [...streamJson, "--allowedTools", "Write"]
    const first = await run({ at, scenario: happy, args: [...args, "--model", "one"] })
    const resume = ["--resume", first.result.session_id]
    assert.strictEqual((await run({ at, scenario: happy, args: [...args, ...resume] })).events[0].model, "one")
    const other = await run({ at, scenario: happy, args: [...args, ...resume, "--model", "two"] })
    assert.strictEqual(other.events[0].model, "two")
    assert.deepEqual(Object.keys(other.result.modelUsage), ["one", "two"])
    assert.deepEqual(Object.keys(other.result.model_usage_since_last_result), ["two"])
  })

  it("keeps nothing with --no-session-persistence", async () => {
    const at = directory()
    const args = [...streamJson, "--allowedTools", "Write", "--no-session-persistence"]
    const ran = await run({ at, scenario: happy, args })
    assert.strictEqual(ran.exit.code, 0)
    const resumed = await run({ at, scenario: happy, args: [...streamJson, "--resume", ran.result.session_id] })
    assert.strictEqual(resumed.exit.code, 1)
  })

  it("says that it cannot keep sessions where nothing can be written", async () => {
    const at = directory()
    at.write("config", "a file")
    const ran = await run({ at, scenario: happy, env: { CLAUDE_CONFIG_DIR: at.path("config") } })
    assert.strictEqual(ran.exit.code, 1)
    assert.deepEqual(ran.events, [])
    assert.match(ran.stderr(), /cannot keep sessions in .*Set CLAUDE_CONFIG_DIR to a directory that can be written/)
  })

  it("says Nothing left to do after the last turn, or repeats it", async () => {
    const at = directory()
    const scenario = { turns: [{ result: "only" }] }
    const first = await run({ at, scenario })
    const resume = [...streamJson, "--resume", first.result.session_id]
    assert.strictEqual((await run({ at, scenario, args: resume })).result.result, "Nothing left to do.")
    assert.strictEqual(
      (await run({ at, scenario: { ...scenario, repeat_last: true }, args: resume })).result.result,
      "only"
    )
    assert.strictEqual(
      (await run({ at, scenario: { ...scenario, default: { result: "mine" } }, args: resume })).result.result,
      "mine"
    )
  })

  it("answers questions to the model alone by what they say, and other prompts by its turns", async () => {
    const scenario = {
      turns: [{ result: "worked" }],
      questions: [
        { when: "(?i)JUDGE.*the cat", result: "judged" },
        { when: "^be brief", steps: [{ say: "brief" }] }
      ]
    }
    const asked = async (prompt: string, ...args: ReadonlyArray<string>) =>
      (await run({ scenario, args: [...streamJson, ...args], prompt })).result.result
    assert.strictEqual(await asked("of the cat", "--system-prompt", "You judge"), "judged")
    assert.strictEqual(await asked("anything", "--system-prompt", "be brief"), "brief")
    assert.strictEqual(await asked("anything", "--system-prompt", "be long"), "worked")
    assert.strictEqual(await asked("You judge the cat"), "worked")
  })

  it("joins the prompt of the command line with stdin", async () => {
    const scenario = { turns: [{ expect_prompt: "^argv part\nstdin part$", result: "ok" }] }
    assert.strictEqual(
      (await run({ scenario, args: [...streamJson, "argv part"], prompt: "stdin part\n" })).result.result,
      "ok"
    )
  })

  it("fails visibly when the prompt is not the expected one", async () => {
    const ran = await run({
      scenario: { turns: [{ expect_prompt: "(?i)PREVIOUS attempt", result: "ok" }] },
      prompt: "something else"
    })
    assert.strictEqual(ran.exit.code, 1)
    assert.include(ran.result, { is_error: true, subtype: "error_during_execution" })
    assert.include(ran.result.errors[0], "the prompt does not match /PREVIOUS attempt/is")
    assert.include(ran.result.errors[0], "something else")
  })

  it("stops at --max-turns, after the tools of the last one", async () => {
    const ran = await run({
      scenario: { turns: [{ steps: [write("a.txt"), write("b.txt")] }] },
      args: [...streamJson, "--max-turns", "1"],
      gate: []
    })
    assert.strictEqual(ran.exit.code, 1)
    assertShapes("max-turns-1", ran.events)
    assert.include(ran.result, {
      subtype: "error_max_turns",
      terminal_reason: "max_turns",
      num_turns: 2,
      stop_reason: "tool_use"
    })
    assert.deepEqual(ran.result.errors, ["Reached maximum number of turns (1)"])
    assert.isTrue(ran.at.has("a.txt"))
    assert.isFalse(ran.at.has("b.txt"))
  })

  it("stops at --max-budget-usd before a tool runs", async () => {
    const ran = await run({
      scenario: { turns: [{ steps: [write("a.txt")], cost_usd: 0.5 }] },
      args: [...streamJson, "--max-budget-usd", "0.4"],
      gate: []
    })
    assert.strictEqual(ran.exit.code, 1)
    assertShapes("max-budget-usd", ran.events)
    assert.include(ran.result, {
      subtype: "error_max_budget_usd",
      terminal_reason: "budget_exhausted",
      num_turns: 1,
      total_cost_usd: 0.5
    })
    assert.isFalse(ran.at.has("a.txt"))
  })

  it("reports the figures that the scenario gives, call by call", async () => {
    const usage = [
      { input: 1200, output: 300, cache_read: 50, cache_creation: 7 },
      { input: 1, output: 2 }
    ]
    const ran = await run({
      scenario: { turns: [{ steps: [write("a.txt"), { say: "x" }], usage, cost_usd: 0.25 }] },
      gate: []
    })
    assert.include(ran.result.usage, {
      input_tokens: 1201,
      output_tokens: 302,
      cache_read_input_tokens: 50,
      cache_creation_input_tokens: 7
    })
    assert.strictEqual(ran.result.total_cost_usd, 0.25)
    assert.strictEqual(ran.result.model_usage_since_last_result["claude-stub-1"].costUSD, 0.25)
    const [first, , second] = ran.events.filter(({ type }) => type === "assistant" || type === "user")
    assert.strictEqual(first.message.usage.input_tokens, 1200)
    assert.strictEqual(second.message.usage.input_tokens, 1)
  })

  it("leaves an unknown cost out", async () => {
    const ran = await run({ scenario: { turns: [{ result: "x", cost_usd: null }] } })
    assert.notProperty(ran.result, "total_cost_usd")
    assert.notProperty(ran.result.modelUsage["claude-stub-1"], "costUSD")
    assert.notProperty(ran.result.model_usage_since_last_result["claude-stub-1"], "costUSD")
  })

  it("sends a context of the size that the scenario gives", async () => {
    const ran = await run({
      scenario: {
        context_window: 100_000,
        turns: [{ result: "x", usage: { input: 100, cache_creation: 400 }, context_tokens: 90_000 }]
      }
    })
    const { usage } = ran.events.find(({ type }) => type === "assistant").message
    assert.strictEqual(usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens, 90_000)
    assert.strictEqual(ran.result.modelUsage["claude-stub-1"].contextWindow, 100_000)
  })

  it("thinks in blocks of the same message", async () => {
    const ran = await run({ scenario: { turns: [{ steps: [{ think: "Let me see." }, { say: "answer" }] }] }, gate: [] })
    assert.deepEqual(kinds(ran.events), kinds(capture("thinking-blocks")))
    assertShapes("thinking-blocks", ran.events)
  })

  it("streams its messages in parts with --include-partial-messages", async () => {
    const ran = await run({
      scenario: {
        turns: [{ steps: [{ say: { text: "Writing the file now.", over: "10ms" } }, write("a.txt"), { say: "done" }] }]
      },
      args: [...streamJson, "--include-partial-messages"],
      gate: []
    })
    assertShapes("partial-messages", ran.events)
    const text = ran.events
      .filter(({ event }) => event?.delta?.type === "text_delta")
      .map(({ event }) => event.delta.text)
      .join("")
    assert.strictEqual(text, "Writing the file now.done")
  })

  it("runs a subagent in the foreground, whose events name it and whose tokens only the models' totals count", async () => {
    const steps = [
      { subagent: { prompt: "SUBTASK", steps: [write("sub.txt"), { say: "sub done" }] } },
      { say: "main done" }
    ]
    const ran = await run({ scenario: { turns: [{ steps }] }, gate: [] })
    assertShapes("subagent-foreground-with-write", ran.events)
    assert.isTrue(ran.at.has("sub.txt"))
    assert.include(ran.result, { num_turns: 2, result: "main done" })
    assert.strictEqual(ran.result.usage.input_tokens, 20)
    assert.strictEqual(ran.result.modelUsage["claude-stub-1"].inputTokens, 40)
  })

  it("holds the result back until a background subagent has ended", async () => {
    const steps = [
      { subagent: { background: true, steps: [write("sub.txt"), { delay: "20ms" }, { say: "sub done" }] } },
      { say: "main done" }
    ]
    const ran = await run({ scenario: { turns: [{ steps }] }, gate: [] })
    assertShapes("subagent-with-write", ran.events)
    const results = ran.events.filter(({ type }) => type === "result")
    assert.deepEqual(
      results.map(({ result, result_index }) => [result, result_index]),
      [
        ["main done", 0],
        ["The subagent has finished.", 1]
      ]
    )
    assert.strictEqual(results[1].origin.kind, "task-notification")
    assert.deepEqual(kinds(ran.events.slice(-2)), ["result/success", "result/success"])
    assert.deepEqual(results[1].model_usage_since_last_result, {})
  })

  it("stays alive while a background command runs, then answers its end with a second result", async () => {
    const steps = [
      { say: "bg" },
      { background: { command: "touch made", notify_after: "50ms", then: [{ say: "second" }] } },
      { say: "first" }
    ]
    const ran = await run({ scenario: { turns: [{ steps }] }, gate: [] })
    assert.deepEqual(kinds(ran.events), kinds(capture("bash-run-in-background-finishes")))
    assertShapes("bash-run-in-background-finishes", ran.events)
    assert.isTrue(ran.at.has("made"))
    const lists = ran.events
      .filter(({ subtype }) => subtype === "background_tasks_changed")
      .map(({ tasks }) => tasks.length)
    assert.deepEqual(lists, [1, 0])
    assert.include(ran.result, { result: "second", result_index: 1 })
  })

  it("compacts in the middle of a turn", async () => {
    const ran = await run({
      scenario: {
        turns: [
          {
            steps: [
              { say: "Writing." },
              write("a.txt"),
              { compact_auto: { summary: "SUM", post_tokens: 1000 } },
              { say: "after" }
            ]
          }
        ]
      },
      gate: []
    })
    assert.deepEqual(kinds(ran.events), kinds(capture("autocompact-in-turn")))
    assertShapes("autocompact-in-turn", ran.events)
    const boundary = ran.events.find(({ subtype }) => subtype === "compact_boundary").compact_metadata
    assert.include(boundary, { trigger: "auto", post_tokens: 1000 })
    assert.isAbove(boundary.pre_tokens, 13_000)
    const last = ran.events.filter(({ type }) => type === "assistant").at(-1).message.usage
    assert.strictEqual(last.input_tokens + last.cache_read_input_tokens, 1000)
    assert.strictEqual(ran.result.num_turns, 3)
  })

  it("answers /compact on a resumed session", async () => {
    const at = directory()
    const first = await run({ at, scenario: happy, gate: [] })
    const resume = [...streamJson, "--resume", first.result.session_id]
    const scenario = {
      ...happy,
      compact: [{ summary: "SUM", post_tokens: 900 }, { result: "failed" }, { result: "nothing" }]
    }
    const ran = await run({ at, scenario, args: resume, gate: [], prompt: "/compact keep the file names" })
    assert.strictEqual(ran.exit.code, 0)
    assert.deepEqual(kinds(ran.events), kinds(capture("compact-1-slash-compact")))
    assertShapes("compact-1-slash-compact", ran.events)
    assert.include(ran.result, { local_command: "compact", result: "", num_turns: 0 })
    assert.include(ran.events.find(({ type }) => type === "user").message.content, "SUM")
    assert.strictEqual(ran.result.usage.input_tokens, 0)
    assert.isAbove(ran.result.total_cost_usd, first.result.total_cost_usd)

    const refused = await run({ at, scenario, args: resume, gate: [], prompt: "/compact foo" })
    assert.deepEqual(kinds(refused.events), kinds(capture("compact-fail-1")))
    assertShapes("compact-fail-1", refused.events)
    assert.deepEqual(
      [refused.exit.code, refused.result.is_error, refused.events[1].compact_result],
      [0, false, "failed"]
    )

    const next = await run({ at, scenario, args: resume, gate: [] })
    assert.strictEqual(next.result.result, "again")
  })

  it("has nothing to compact in a fresh session", async () => {
    const ran = await run({ scenario: happy, gate: [], prompt: "/compact foo" })
    assert.deepEqual(kinds(ran.events), kinds(capture("compact-fresh-session")))
    assertShapes("compact-fresh-session", ran.events)
    assert.include(ran.events[1].message.content[0].text, "No messages to compact")
    assert.strictEqual(ran.exit.code, 0)
  })

  it("announces rate limits, retries and a fallback of the model", async () => {
    const steps = [
      { rate_limit: { status: "allowed_warning", resets_at: "1h", utilization: 0.9 } },
      { api_retry: { attempt: 1, delay: "1ms" } },
      { api_retry: { attempt: 2, delay: "1ms", error_status: null, error: "unknown" } },
      { model_fallback: { to: "claude-small" } },
      { api_retry: { delay: 0 } },
      { say: "from fallback" }
    ]
    const before = Date.now() / 1000
    const ran = await run({ scenario: { turns: [{ steps }] }, gate: [] })
    assertShapes("fallback-model", ran.events)
    const { rate_limit_info: info } = ran.events.find(({ type }) => type === "rate_limit_event")
    assert.include(info, { status: "allowed_warning", rateLimitType: "five_hour", utilization: 0.9 })
    assert.closeTo(info.resetsAt, before + 3600, 5)
    assert.strictEqual(ran.events.find(({ attempt }) => attempt === 2).error_status, null)
    assert.deepEqual(Object.keys(ran.result.modelUsage), ["claude-small"])
  })

  it("records its starts and prompts when the scenario asks for it", async () => {
    const at = directory()
    await run({ at, scenario: { record: "record.jsonl", turns: [] }, prompt: "hello", env: { SOME_NAME: "secret" } })
    const lines = at
      .read("../record.jsonl")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
    assert.deepEqual(
      lines.map(({ event }) => event),
      ["start", "prompt", "result"]
    )
    assert.isTrue(lines.every(({ at }, index) => index === 0 || at >= lines[index - 1].at))
    assert.include(lines[0].env, "SOME_NAME")
    assert.notInclude(JSON.stringify(lines), "secret")
    assert.strictEqual(lines[1].prompt, "hello")
    assert.isTrue(lines[0].at <= lines[1].read_at && lines[1].read_at <= lines[1].at)
  })
})

describe.concurrent("driver-stub's command line", () => {
  const refusals: ReadonlyArray<readonly [string, ReadonlyArray<string>, RegExp, string?]> = [
    ["an unknown flag", [...streamJson, "--nonsense"], /^error: unknown option '--nonsense'/],
    ["a prompt that looks like a flag", [...streamJson, "--help me"], /^error: unknown option '--help me'/],
    ["stream-json without --verbose", ["-p", "--output-format", "stream-json"], /requires --verbose/],
    [
      "stream-json input with text output",
      ["-p", "--input-format", "stream-json"],
      /requires output-format=stream-json/
    ],
    ["an unknown output format", ["-p", "--output-format", "xml"], /Allowed choices are text, json, stream-json/],
    ["an unknown permission mode", [...streamJson, "--permission-mode", "yolo"], /argument 'yolo' is invalid/],
    ["a flag without its value", [...streamJson, "--model"], /argument missing/],
    ["a number that is none", [...streamJson, "--max-turns", "many"], /must be a positive number/],
    ["a missing MCP config", [...streamJson, "--mcp-config", "nowhere.json"], /MCP config file not found/],
    ["a broken MCP config", [...streamJson, "--mcp-config", "{oops"], /not a valid JSON/],
    ["a broken --settings", [...streamJson, "--settings", "{oops"], /Invalid JSON in --settings/],
    ["an unknown setting source", [...streamJson, "--setting-sources", "aliens"], /Invalid setting source: aliens/],
    ["a missing prompt file", [...streamJson, "--append-system-prompt-file", "nowhere.md"], /prompt file not found/],
    ["an empty prompt", streamJson, /Input must be provided either through stdin or as a prompt argument/, ""]
  ]
  for (const [what, args, expected, prompt] of refusals) {
    it(`refuses ${what}`, async () => {
      const ran = await run({ scenario: { turns: [] }, args, prompt: prompt ?? "x" })
      assert.strictEqual(ran.exit.code, 1)
      assert.deepEqual(ran.events, [])
      assert.match(ran.stderr(), expected)
    })
  }

  it("accepts the flags a driver passes", async () => {
    const at = directory()
    at.write("../prompt.md", "be brief")
    const ran = await run({
      at,
      scenario: { turns: [{ result: "ok" }] },
      args: [
        ...streamJson,
        "--model=m",
        "--permission-mode",
        "default",
        "--setting-sources",
        "",
        "--append-system-prompt",
        "x",
        "--append-system-prompt-file",
        at.path("../prompt.md"),
        "--system-prompt-snapshot",
        "off",
        "--max-turns",
        "9",
        "--max-budget-usd",
        "1.5",
        "--allowedTools",
        "Read",
        "Bash(git log:*)",
        "--disallowedTools",
        "WebFetch",
        "--add-dir",
        "..",
        "--fallback-model",
        "n",
        "--include-partial-messages",
        "--settings",
        "{}",
        "--strict-mcp-config"
      ]
    })
    assert.deepEqual([ran.exit.code, ran.result.result, ran.events[0].model], [0, "ok", "m"])
  })

  it("prints its version, which a scenario can change", async () => {
    const plain = await run({ args: ["--version"] })
    assert.deepEqual(plain.torn, ["2.1.329 (driver-stub)"])
    const old = await run({ scenario: { turns: [], startup: { version: "1.0.0" } }, args: ["--version"] })
    assert.deepEqual(old.torn, ["1.0.0 (driver-stub)"])
  })

  it("prints its help", async () => {
    const ran = await run({ args: ["--help"] })
    assert.strictEqual(ran.exit.code, 0)
    assert.include(ran.torn[0], "Usage: driver-stub")
  })

  it("takes the scenario from the environment", async () => {
    const at = directory()
    at.write("../mine.yaml", "turns: [{ result: from the environment }]\n")
    const ran = await run({ at, env: { DRIVER_STUB_SCENARIO: at.path("../mine.yaml") } })
    assert.strictEqual(ran.result.result, "from the environment")
  })

  it("says what is wrong with a scenario, and where", async () => {
    const none = await run({})
    assert.match(none.stderr(), /no scenario\. Pass --scenario <file>, or set DRIVER_STUB_SCENARIO/)
    const wrong = await run({ scenario: { turns: [{ step: [] }, { steps: [{ delay: "soon" }] }] } })
    assert.strictEqual(wrong.exit.code, 1)
    assert.match(
      wrong.stderr(),
      /turns\[0\]\.step: expected one of .* got the unknown key "step" \(did you mean "steps"\?\)/
    )
    assert.match(wrong.stderr(), /turns\[1\]\.steps\[0\]\.delay: expected a duration .* got "soon"/)
    const missing = await run({ scenario: "nowhere.yaml" })
    assert.match(missing.stderr(), /cannot read the scenario nowhere\.yaml/)
  })

  it("prints only the last result in the text and json formats", async () => {
    const scenario = { turns: [{ steps: [{ say: "one" }], result: "the end" }] }
    assert.deepEqual((await run({ scenario, args: ["-p"] })).torn, ["the end"])
    const json = await run({ scenario, args: ["-p", "--output-format", "json"] })
    assert.deepEqual(
      json.events.map(({ type, result }) => [type, result]),
      [["result", "the end"]]
    )
  })

  it("gives a silent stdin up after three seconds when it has a prompt already", async () => {
    const started = start({ scenario: { turns: [{ result: "ok" }] }, args: [...streamJson, "argv prompt"] })
    assert.strictEqual((await started.result()).result, "ok")
    assert.include(started.stderr(), "no stdin data received in 3s")
    assert.strictEqual((await started.exit).code, 0)
  })
})
