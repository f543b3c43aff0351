/** A run that waits for a person, and the person in another process. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { makeWorld, outcomeOf, writeHello } from "./support/process.js"

// An agent that waits for a person is not idle, however long that takes. The limit is more than an agent needs to start.
const config = (timeout: string) => `agent: { kind: stub, scenario: scenario.json, idle_limit: 5 seconds }
sandbox: { mode: "off" }
permission:
  ask: { timeout: ${timeout} }
  rules:
    - { verdict: ask, tool: Write, path: "*.lock" }
`

const lock = (more: Record<string, unknown>) => ({
  tool: "Write",
  input: { file_path: "hello.lock", content: "locked\n" },
  ...more
})

const asking = {
  turns: [{ steps: [lock({ on_deny: [{ say: "so it is denied" }, writeHello] }), { say: "I go on" }, writeHello] }]
}

describe.concurrent("driver approvals", () => {
  const start = (context: Parameters<typeof makeWorld>[0], timeout = "10 minutes") => {
    const world = makeWorld(context)
    world.write("driver.yaml", config(timeout))
    world.scenario(asking)
    const run = world.start(["run", "hello.yaml", "--events", "events.jsonl"])
    const events = () => world.events(join(world.repository, "events.jsonl")).map(({ event }) => event)
    const asked = async () => {
      await world.until("the question", () => events().some(({ _tag }) => _tag === "ApprovalRequested"))
      const found = events().find(({ _tag }) => _tag === "ApprovalRequested")
      if (found?._tag !== "ApprovalRequested") throw new Error("there is no question")
      return found.question
    }
    const ends = () => events().flatMap((it) => (it._tag === "ApprovalAnswered" ? [it.answer] : []))
    return { ...world, run, events, asked, ends }
  }

  it("lists what waits, and an approval from another process lets the call be made", async (context) => {
    const { asked, driver, ends, git, run } = start(context)
    const question = await asked()
    const { id } = question
    const listed = JSON.parse((await driver(["approvals", "--json"])).stdout)
    assert.strictEqual(listed.length, 1)
    assert.deepInclude(listed[0], { id, tool: "Write", why: question.why, turn: 1 })
    assert.match(listed[0].input.file_path, /\/hello\.lock$/)
    const shown = await driver(["approvals"])
    assert.include(shown.stdout, `${id.slice(0, 8)}  Write hello.lock`)
    assert.include(shown.stdout, `driver approve ${id.slice(0, 8)}`)
    const approved = await driver(["approve", id.slice(0, 4)])
    assert.deepStrictEqual([approved.code, approved.stdout], [0, "Approved: Write hello.lock\n"], approved.stderr)
    const late = await driver(["deny", id.slice(0, 8), "--message", "no"])
    assert.strictEqual(late.code, 2)
    assert.match(late.stderr, /is over, this answer has no effect: it was approved before/)
    const ended = await run.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.include(
      ended.stdout,
      `waiting for approval ${id.slice(0, 4)}: Write hello.lock · driver approve ${id.slice(0, 4)}`
    )
    assert.deepStrictEqual(ends(), ["approved"])
    const branch =
      git("branch", "--format=%(refname:short)")
        .split("\n")
        .find((name) => name.includes("driver")) ?? ""
    assert.strictEqual(git("show", `${branch}:hello.lock`), "locked\n")
    assert.strictEqual((await driver(["approvals"])).stdout, "Nobody waits for an approval.\n")
  })

  it("tells the agent what a person who denies says", async (context) => {
    const { asked, driver, ends, events, run } = start(context)
    const { id } = await asked()
    const denied = await driver(["deny", id, "--message", "lock files are generated", "--json"])
    assert.deepInclude(JSON.parse(denied.stdout), { id, answer: "reject" })
    const ended = await run.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.deepStrictEqual(ends(), ["denied"])
    const messages = events().flatMap((it) =>
      it._tag === "DecisionMade" && it.decision.choice._tag === "Deny" ? [it.decision.choice.message] : []
    )
    assert.deepStrictEqual(messages, ["A person has denied this Write call: lock files are generated"])
  })

  it("denies when nobody answers in time", async (context) => {
    const { asked, driver, ends, events, run } = start(context, "6 seconds")
    const { id } = await asked()
    const ended = await run.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.deepStrictEqual(ends(), ["timed_out"])
    assert.strictEqual(events().filter(({ _tag }) => _tag === "AttemptStarted").length, 1)
    const rationales = events().flatMap((it) => (it._tag === "DecisionMade" ? [it.decision.rationale] : []))
    assert.include(rationales, "ask: nobody answered within 6s")
    const late = await driver(["approve", id])
    assert.match(late.stderr, /nobody answered in time, and the call was denied/)
  })

  it("withdraws the question when the run is stopped", async (context) => {
    const { asked, driver, ends, run } = start(context)
    const { id } = await asked()
    run.child.kill("SIGINT")
    assert.strictEqual((await run.ended).code, 130)
    assert.deepStrictEqual(ends(), ["withdrawn"])
    assert.strictEqual((await driver(["approvals"])).stdout, "Nobody waits for an approval.\n")
    assert.match((await driver(["approve", id])).stderr, /it was withdrawn/)
  })

  it("forgets what a driver that was killed has asked, when the goal goes on", async (context) => {
    const world = makeWorld(context)
    world.write("driver.yaml", config("10 minutes"))
    world.write(
      "hello.yaml",
      `id: 3c0d0c1e-5a0f-4f0e-9d0c-0b2e1b8f7a44\n${readFileSync(join(world.repository, "hello.yaml"), "utf8")}`
    )
    world.scenario({ turns: [...asking.turns, { steps: [writeHello] }] })
    const run = world.start(["run", "hello.yaml", "--events", "events.jsonl"])
    const waits = async () => JSON.parse((await world.driver(["approvals", "--json"])).stdout).length
    await world.until("the question", () =>
      world.events(join(world.repository, "events.jsonl")).some(({ event }) => event._tag === "ApprovalRequested")
    )
    run.child.kill("SIGKILL")
    await run.ended
    assert.strictEqual(await waits(), 1)
    const again = await world.driver(["run", "hello.yaml", "--json"])
    assert.strictEqual(again.code, 0, again.stderr)
    assert.strictEqual(await waits(), 0)
  })

  it("says what is wrong with a name that names nothing", async (context) => {
    const world = makeWorld(context)
    const ended = await world.driver(["approve", "abcd"])
    assert.strictEqual(ended.code, 2)
    assert.match(ended.stderr, /There is no question whose id begins with "abcd"/)
  })
})

describe("driver run with its answer on standard output", () => {
  it("waits for a person in silence", async (context) => {
    const world = makeWorld(context)
    world.write("driver.yaml", config("1 second"))
    world.scenario(asking)
    const ended = await world.driver(["run", "hello.yaml", "--json"])
    assert.strictEqual(outcomeOf(ended).outcome._tag, "Done")
  })
})
