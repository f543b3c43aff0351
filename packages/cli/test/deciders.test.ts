/** Runs whose calls are judged by a model on loopback, beside a shadow; and the report of what the shadow said. */
import { createServer } from "node:http"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import type { TestContext } from "vitest"
import { makeWorld, writeHello } from "./support/process.js"

/** Speaks as the provider does; answers with these judgements in turn, then with the last one. */
const serveModel = async ({ onTestFinished }: Pick<TestContext, "onTestFinished">, said: ReadonlyArray<unknown>) => {
  const prompts: Array<string> = []
  const server = createServer((request, response) => {
    let text = ""
    request.setEncoding("utf8").on("data", (part: string) => {
      text += part
    })
    request.on("end", () => {
      const input = said[Math.min(prompts.length, said.length - 1)]
      prompts.push(text)
      const answer = {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model: "claude-test",
        content: [{ type: "tool_use", id: "toolu_1", name: "judgement", input }],
        stop_reason: "tool_use",
        stop_sequence: null,
        container: null,
        context_management: null,
        usage: {
          input_tokens: 1,
          output_tokens: 1,
          cache_creation: null,
          cache_creation_input_tokens: 0,
          cache_read_input_tokens: 0,
          server_tool_use: null,
          service_tier: "standard"
        }
      }
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer))
    })
  })
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  return { prompts, url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}` }
}

const id = "5d0d0c1e-5a0f-4f0e-9d0c-0b2e1b8f7a33"

const goal = `id: ${id}
description: Create hello.txt with a greeting
acceptance:
  - shell: test -s hello.txt
  - { kind: llm_judge, criterion: The greeting is friendly. }
budget: { max_turns: 5 }
`

const lock = (name: string, on_deny: ReadonlyArray<unknown> = []) => ({
  tool: "Write",
  input: { file_path: name, content: "the password is correct-horse-battery\n" },
  on_deny
})

describe.concurrent("driver run with a model", () => {
  it("has it judge what rules leave to it and what no command can check, and never shows it a secret", async (context) => {
    const judgements = [
      { verdict: "allow", reason: "a lock file is needed", message: "" },
      { verdict: "deny", reason: "one is enough", message: "Keep one lock file." },
      { passed: true, reason: "It says hello." }
    ]
    const model = await serveModel(context, judgements)
    const world = makeWorld(context)
    world.write("hello.yaml", goal)
    world.write(
      "driver.yaml",
      `agent: { kind: stub, scenario: scenario.json }
sandbox: { mode: "off" }
model: { provider: anthropic, name: some-model, base_url: "${model.url}", api_key_env: MY_KEY }
permission:
  rules:
    - { verdict: llm, tool: Write, path: "*.lock" }
  shadow: { rules: [{ verdict: ask, tool: Write, path: "one.lock" }], preset: strict }
`
    )
    world.scenario({ turns: [{ steps: [lock("one.lock"), lock("two.lock", [{ say: "all right" }, writeHello])] }] })
    const ended = await world.driver(["run", "hello.yaml", "--json", "--events", "events.jsonl"], {
      MY_KEY: "key-of-the-test",
      MY_PASSWORD: "correct-horse-battery"
    })
    assert.strictEqual(ended.code, 0, ended.stderr + ended.stdout)
    assert.strictEqual(model.prompts.length, 3)
    for (const prompt of model.prompts) {
      assert.notInclude(prompt, "correct-horse-battery")
      assert.notInclude(prompt, "key-of-the-test")
    }
    assert.include(model.prompts[0], "Create hello.txt with a greeting")
    assert.include(model.prompts[2], "The greeting is friendly.")
    const decisions = world
      .events(join(world.repository, "events.jsonl"))
      .flatMap(({ event }) => (event._tag === "DecisionMade" ? [event.decision] : []))
    const real = decisions.filter(({ choice }) => choice._tag !== "Observe")
    assert.deepStrictEqual(
      real.map(({ choice }) => choice._tag),
      ["Allow", "Deny", "Allow"]
    )
    assert.deepStrictEqual(
      real.slice(0, 2).map(({ rationale }) => rationale),
      ["llm: a lock file is needed", "llm: one is enough"]
    )

    for (const of of [id.slice(0, 8), "events.jsonl"]) {
      const report = await world.driver(["policy", "report", of])
      assert.strictEqual(report.code, 0, report.stderr)
      assert.match(report.stdout, /The shadow agrees on 1 of 3 calls\./, report.stdout)
      assert.match(
        report.stdout,
        /allowed, the shadow would ask {2}Write .*one\.lock\n {2}decided {2}llm: a lock file is needed/
      )
      assert.match(report.stdout, /denied, the shadow would allow {2}Write .*two\.lock/)
    }
    const json = JSON.parse((await world.driver(["policy", "report", id, "--json"])).stdout)
    assert.deepStrictEqual(
      [json.observed, json.table.allow.ask, json.table.deny.allow, json.differences.length],
      [3, 1, 1, 2]
    )
  })

  it("denies what is left to a model that does not answer, and goes on", async (context) => {
    const world = makeWorld(context)
    world.write(
      "driver.yaml",
      `agent: { kind: stub, scenario: scenario.json }
sandbox: { mode: "off" }
permission:
  rules:
    - { verdict: llm, tool: Write, path: "*.lock" }
  llm:
    model: { provider: openai, name: some-model, base_url: "http://127.0.0.1:9/v1" }
    timeout: 2 seconds
`
    )
    world.scenario({ turns: [{ steps: [lock("one.lock", [{ say: "all right" }, writeHello])] }] })
    const ended = await world.driver(["run", "hello.yaml", "--json", "--events", "events.jsonl"])
    assert.strictEqual(ended.code, 0, ended.stderr + ended.stdout)
    const rationales = world
      .events(join(world.repository, "events.jsonl"))
      .flatMap(({ event }) => (event._tag === "DecisionMade" ? [event.decision.rationale] : []))
    assert.match(rationales[0] ?? "", /^llm: no usable answer \((unavailable|timeout)/)
  })

  it("says which key is missing before anything starts", async (context) => {
    const world = makeWorld(context)
    world.write(
      "driver.yaml",
      "agent: { kind: stub, scenario: scenario.json }\nmodel: { provider: anthropic, name: some-model }\n"
    )
    world.scenario({ turns: [{ steps: [writeHello] }] })
    const ended = await world.driver(["run", "hello.yaml"])
    assert.strictEqual(ended.code, 2)
    assert.match(ended.stderr, /there is no key: set ANTHROPIC_API_KEY in the environment/)
  })
})
