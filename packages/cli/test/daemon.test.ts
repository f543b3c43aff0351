/** `driver serve` as people run it, and the commands that ask it: the bundle, a real socket, SQLite, git, and the stand-in agent. */
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { join } from "node:path"
import type { DriverEvent } from "@driver/domain/DriverEvent"
import { assert, describe, it } from "@effect/vitest"
import { type Ended, makeWorld, type Running, type World } from "./support/process.js"

const [first, second] = ["1a2b3c4d-0000-4000-8000-000000000001", "5e6f7a8b-0000-4000-8000-000000000001"]

/** The agent hangs in its first turn, and writes the file in the next. */
const hanging = {
  turns: [
    { steps: [{ say: "I wait" }, { hang: "forever" }] },
    { steps: [{ tool: "Write", input: { file_path: "hello.txt", content: "Hello\n" } }] }
  ]
}

const goal = (id: string) => `id: ${id}\ndescription: Create hello.txt\nacceptance: [{ shell: test -s hello.txt }]\n`

const config = (more = "") =>
  `agent: { kind: stub, scenario: scenario.json }\nsandbox: { mode: "off" }\nevents: [{ jsonl: events.jsonl }]\n${more}`

interface DaemonWorld extends World {
  /** Starts the daemon and resolves when it listens. */
  readonly serve: (...args: ReadonlyArray<string>) => Promise<Running & { readonly said: string }>
  /** The command's answer, which must be a success. */
  readonly ask: (...args: ReadonlyArray<string>) => Promise<Ended>
  readonly list: () => Promise<ReadonlyArray<Record<string, unknown>>>
  /** Resolves when there is an event of the goal that begins so, and is what is looked for. */
  readonly seen: (id: string, kind: DriverEvent["_tag"], text?: RegExp) => Promise<void>
  readonly socket: string
}

const worldWith = (context: Parameters<typeof makeWorld>[0], more = ""): DaemonWorld => {
  const world = makeWorld(context)
  const socket = join(world.directory, "state.d", "driver.sock")
  world.write("driver.yaml", config(`state_dir: ${join(world.directory, "state.d")}\n${more}`))
  world.scenario(hanging)
  world.write("a.yaml", goal(first))
  world.write("b.yaml", goal(second))
  const ask = async (...args: ReadonlyArray<string>) => {
    const ended = await world.driver(args)
    assert.strictEqual(ended.code, 0, `driver ${args.join(" ")}\n${ended.stderr}`)
    return ended
  }
  return {
    ...world,
    socket,
    ask,
    serve: async (...args) => {
      const running = world.start(["serve", ...args])
      let said = ""
      running.child.stdout?.on("data", (text: string) => {
        said += text
      })
      await world.until("the daemon", () => said.includes("driver serves on") || running.child.exitCode !== null)
      return { ...running, said }
    },
    list: async () => JSON.parse((await ask("list", "--all", "--json")).stdout),
    seen: (id, kind, text = /^/) =>
      world.until(`${kind} of ${id}`, () =>
        world
          .events(join(world.repository, "events.jsonl"))
          .some(({ event, goalId }) => goalId === id && event._tag === kind && text.test(JSON.stringify(event)))
      )
  }
}

describe("driver serve", () => {
  it("works on goals in their order, obeys the operator, and suspends them when it is stopped", async (context) => {
    const { ask, list, seen, serve, socket, driver } = worldWith(context)
    const daemon = await serve()
    assert.strictEqual(statSync(socket).mode & 0o777, 0o600)
    assert.match(
      (await ask("submit", "a.yaml", "b.yaml", "--after", "a.yaml")).stdout,
      /driver logs -f 1a2b3c4d follows/
    )
    await seen(first, "AgentActivity", /I wait/)
    assert.deepStrictEqual(
      (await list()).map((it) => [it["goal_id"], it["state"], it["phase"]]),
      [
        [first, "running", "Working"],
        [second, "queued", "Registered"]
      ]
    )
    const again = await driver(["submit", "a.yaml"])
    assert.strictEqual(again.code, 2)
    assert.match(again.stderr, /was submitted before/)
    await ask("pause", "1a2b")
    await ask("budget", "1a2b", "--max-turns", "33")
    assert.match((await ask("steer", "1a2b", "Mind the file")).stdout, /goes to the agent with its next prompt/)

    daemon.child.kill("SIGTERM")
    const ended = await daemon.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.match(ended.stdout, /driver has stopped; goals that have not ended go on at the next start\.\n$/)
    assert.isFalse(existsSync(socket))

    // Without a daemon the stores are asked.
    assert.match((await ask("show", "1a2b")).stdout, /turns {7}0 of 33/)
    await serve()
    await seen(first, "GoalRecovered")
    assert.match((await ask("show", "1a2b")).stdout, /state +between turns, paused/)
    const follower = driver(["logs", "-f", "5e6f", "--json"])
    await ask("resume", "1a2b")
    await seen(second, "AgentActivity", /I wait/)
    await ask("steer", "5e6f", "--redirect", "Write it")
    const events = (await follower).stdout
      .trimEnd()
      .split("\n")
      .map((it) => JSON.parse(it))
    assert.deepStrictEqual([events[0].event.kind, events.at(-1).event.kind], ["goal_started", "goal_completed"])
    assert.deepStrictEqual(
      (await list()).map((it) => [it["goal_id"], it["state"], Object(it["outcome"]).outcome.kind]),
      [
        [first, "ended", "done"],
        [second, "ended", "done"]
      ]
    )
    const { stdout } = await ask("logs", "1a2b")
    assert.match(stdout, /operator \(queued\): Mind the file/)
    assert.match(stdout, /goes on after 0 turns\n {2}a turn was cut off: it is done again/)
    assert.match((await ask("journal", "1a2b", "--verify")).stdout, /holds together/)
  })

  it("is one per state directory, and what a killed one leaves is taken up by the next", async (context) => {
    const { ask, driver, list, processes, seen, serve, socket } = worldWith(context)
    const daemon = await serve()
    const other = await driver(["serve"])
    assert.strictEqual(other.code, 2)
    assert.match(other.stderr, /A daemon works on this state directory already \(process \d+/)
    await ask("submit", "a.yaml", "b.yaml")
    await seen(first, "AgentActivity", /I wait/)
    daemon.child.kill("SIGKILL")
    await daemon.ended
    assert.isTrue(existsSync(socket))
    await serve("--max-concurrent", "1")
    await seen(first, "GoalCompleted")
    await ask("cancel", "5e6f")
    const kinds = (await list()).map((it) => Object(it["outcome"]).outcome.kind)
    assert.deepStrictEqual(kinds[0], "done")
    assert.include(["cancelled", "done"], kinds[1])
    assert.deepStrictEqual(
      processes().filter((it) => !/ serve|pg-|list/.test(it)),
      []
    )
  })

  it("says something to a running turn, denies, wakes a sleeper, rolls it back and hands its work over", async (context) => {
    const world = worldWith(context, 'permission: { rules: [{ verdict: ask, tool: Write, path: "no.txt" }] }\n')
    const { ask, driver, repository, scenario, seen, serve } = world
    scenario({
      turns: [
        {
          steps: [
            { say: "I wait" },
            { steer_echo: { within: "30s" } },
            { tool: "Write", input: { file_path: "hello.txt", content: "" } },
            { tool: "Write", input: { file_path: "no.txt", content: "No" }, on_deny: [{ say: "I see" }] }
          ],
          result: JSON.stringify({ __driver_sleep__: true, duration_ms: 3_600_000, reason: "CI runs" })
        },
        hanging.turns[1]
      ]
    })
    await serve()
    await ask("submit", "a.yaml")
    await seen(first, "AgentActivity", /I wait/)
    assert.match((await ask("steer", "1a2b", "--now", "Mind the tests")).stdout, /^The message for 1a2b3c4d/)
    await seen(first, "OperatorMessage", /"steered"/)
    await seen(first, "AgentActivity", /Understood: [\s\S]*Mind the tests/)
    await seen(first, "ApprovalRequested")
    const id = /(\w{8}) {2}Write no\.txt/.exec((await ask("approvals")).stdout)?.[1] ?? ""
    assert.match((await ask("deny", id.slice(0, 4), "--message", "Not that file")).stdout, /^Denied: Write no\.txt/)
    await seen(first, "DecisionMade", /Not that file/)

    await seen(first, "GoalSleeping")
    assert.match((await ask("list")).stdout, /sleeping +1\/20 .* the end of its sleep/)
    const worktree = join(world.directory, "state.d", "worktrees", first)
    assert.isTrue(existsSync(join(worktree, "hello.txt")))
    const early = await driver(["rollback", "1a2b", "--to", "1"])
    assert.strictEqual(early.code, 2)
    assert.match(early.stderr, /is at work: `driver pause 1a2b3c4d`/)
    await ask("pause", "1a2b")
    assert.match((await ask("rollback", "1a2b", "--to", "1")).stdout, /is as it was at checkpoint 1/)
    assert.isFalse(existsSync(join(worktree, "hello.txt")))
    assert.match((await driver(["deliver", "1a2b"])).stderr, /has not ended/)
    await ask("resume", "1a2b")
    await ask("wake", "1a2b")
    await seen(first, "GoalCompleted", /"Done"/)
    assert.match((await ask("deliver", "1a2b")).stdout, new RegExp(`The work is on driver/${first}`))
    assert.match((await ask("journal", "1a2b", "--verify")).stdout, /holds together/)
    assert.isFalse(existsSync(join(repository, "hello.txt")))
  })

  it("redirects a turn, lets calls be approved, and listens on the loopback for whoever has the token", async (context) => {
    const world = worldWith(context, 'permission: { rules: [{ verdict: ask, tool: Write, path: "*.txt" }] }\n')
    const { ask, driver, seen, serve, write } = world
    const token = join(world.directory, "token")
    const daemon = await serve("--listen", "127.0.0.1:0", "--token-file", token)
    await ask("submit", "a.yaml")
    await seen(first, "AgentActivity", /I wait/)
    assert.match((await ask("steer", "1a2b", "--redirect", "Write it")).stdout, /ends the running turn/)
    await seen(first, "ApprovalRequested")
    const id = /(\w{8}) {2}Write hello\.txt/.exec((await ask("approvals")).stdout)?.[1] ?? ""
    assert.match((await ask("approve", id)).stdout, /^Approved: Write hello\.txt/)
    const { code, stdout } = await driver(["logs", "-f", "1a2b"])
    assert.strictEqual(code, 0)
    assert.match(stdout, /✓ accepted/)

    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(daemon.said)?.[0] ?? ""
    assert.strictEqual(statSync(token).mode & 0o777, 0o600)
    assert.strictEqual(await statusOf(`${url}/goals`, "wrong"), 401)
    assert.strictEqual(await statusOf(`${url}/goals`, readFileSync(token, "utf8").trim()), 200)
    writeFileSync(token, "x\n")
    write("driver.yaml", config("state_dir: ../other\n"))
    const refused = await driver(["serve", "--listen", "127.0.0.1:0", "--token-file", token])
    assert.match(refused.stderr, /The token file .* cannot be used: it has to have at least 16 characters/)
    const taken = await driver([
      "serve",
      "--listen",
      new URL(url).host,
      "--token-file",
      join(world.directory, "other-token")
    ])
    assert.match(taken.stderr, /cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE.*Name another address with --listen/)
    const outside = await driver(["serve", "--listen", "0.0.0.0:1"])
    assert.match(outside.stderr, /driver listens on the loopback only/)
  })
})

const statusOf = (url: string, token: string): Promise<number> =>
  new Promise((resolve, reject) => {
    request(url, { headers: { authorization: `Bearer ${token}` } }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
      .once("error", reject)
      .end()
  })
