import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { parse } from "yaml"
import { decodeScenario, type Step, type StepKind } from "../src/Scenario.js"
import { type Directory, directory, run, scenarios, start, streamJson, warm } from "./harness.js"

const file = (name: string) => join(scenarios, name)

/** The repository that `driver demo` makes. */
const sample = (): Directory => {
  const at = directory()
  at.write("package.json", `{ "name": "greet", "type": "module" }\n`)
  at.write("greet.js", `export const greet = (name) => "Hello " + name\n`)
  at.write(
    "test.js",
    `import { greet } from "./greet.js"\nprocess.exit(greet("Ada") === "Hello, Ada!" && greet("") === "Hello, stranger!" ? 0 : 1)\n`
  )
  at.write("README.md", "# greet\n\nGreets people by name.\n")
  return at
}

const passes = (at: Directory): boolean => spawnSync(process.execPath, ["test.js"], { cwd: at.cwd }).status === 0

const denyCurl = [{ match: "curl", reply: { behavior: "deny", message: "outside" } }]

describe.concurrent("the demo's scenario", () => {
  it("fails the acceptance first, is denied once, and succeeds when told what failed", async () => {
    const at = sample()
    assert.isFalse(passes(at))
    const stub = start({ at, scenario: file("demo.yaml"), args: warm, gate: denyCurl })
    stub.user("Fix greet")
    const first = await stub.result(0)
    assert.isFalse(passes(at))
    assert.deepEqual(
      first.permission_denials.map(({ tool_name }: { tool_name: string }) => tool_name),
      ["Bash"]
    )
    assert.include(first.result, "done")
    stub.user("Fix greet\nPrevious attempt failed:\n1. node test.js")
    const second = await stub.result(1)
    assert.isFalse(second.is_error)
    assert.isTrue(passes(at))
    assert.match(at.read("README.md"), /usage/i)
    stub.end()
    assert.strictEqual((await stub.exit).code, 0)
  })

  it("fails visibly when the second prompt does not say what failed", async () => {
    const at = sample()
    const first = await run({ at, scenario: file("demo.yaml"), gate: denyCurl })
    const second = await run({
      at,
      scenario: file("demo.yaml"),
      args: [...streamJson, "--resume", first.result.session_id],
      gate: denyCurl
    })
    assert.strictEqual(second.exit.code, 1)
    assert.isTrue(second.result.is_error)
  })
})

describe.concurrent("the example scenarios", () => {
  it("decode", () => {
    const names = readdirSync(scenarios)
    assert.includeMembers(names, ["all-keys.yaml", "bad-day.yaml", "demo.yaml", "hello.yaml"])
    for (const name of names) assert.doesNotThrow(() => decodeScenario(parse(readFileSync(file(name), "utf8"))), name)
  })

  it("name every step there is", () => {
    const source = readFileSync(file("all-keys.yaml"), "utf8")
    const used = new Set<StepKind>()
    const visit = (steps: ReadonlyArray<Step>) => {
      for (const step of steps) used.add(step.kind)
    }
    for (const turn of decodeScenario(parse(source)).turns) visit(turn.steps)
    const keys: Readonly<Record<StepKind, string>> = {
      say: "say",
      think: "think",
      tools: "parallel",
      delay: "delay",
      hang: "hang",
      api_retry: "api_retry",
      rate_limit: "rate_limit",
      model_fallback: "model_fallback",
      background: "background",
      subagent: "subagent",
      compact_auto: "compact_auto",
      print_raw: "print_raw",
      print_event: "print_event",
      huge_line: "huge_line",
      flood_stderr: "flood_stderr",
      spawn_leftover: "spawn_leftover",
      steer_echo: "steer_echo",
      exit: "exit",
      kill: "kill",
      torn: "torn"
    }
    for (const [kind, key] of Object.entries(keys)) {
      const isCommented = new RegExp(`# - ${key}:`).test(source)
      assert.isTrue(isCommented || [...used].some((it) => it === kind), `all-keys.yaml shows ${key}`)
    }
  })

  it("are played to their end: all the keys", async () => {
    const ran = await run({ scenario: file("all-keys.yaml"), prompt: "Hello", gate: [] })
    assert.strictEqual(ran.exit.code, 0)
    assert.deepEqual(ran.torn, ["not json"])
    assert.strictEqual(ran.at.read("hello.txt"), "goodbye\n")
    const [first, second] = ran.events.filter(({ type }) => type === "result")
    assert.include(first, { result: "The final text.", total_cost_usd: 0.01 })
    assert.strictEqual(second.result, "The background task has finished.")
  })

  it("are played to their end: hello", async () => {
    const ran = await run({ scenario: file("hello.yaml"), args: [...streamJson, "--allowedTools", "Write"] })
    assert.strictEqual(ran.at.read("hello.txt"), "Hello, world!\n")
  })

  it("are played to their end: a bad day, over several processes", async () => {
    const at = directory()
    const first = await run({ at, scenario: file("bad-day.yaml") })
    const resume = [...streamJson, "--resume", first.result.session_id]
    const endings: Array<unknown> = [first.result.result]
    for (let i = 0; i < 6; i++) {
      const ran = await run({ at, scenario: file("bad-day.yaml"), args: resume })
      endings.push(ran.result?.terminal_reason)
    }
    assert.deepEqual(endings, [
      "That took a while.",
      "completed",
      "prompt_too_long",
      "api_error",
      "api_error",
      undefined,
      "completed"
    ])
  })
})
