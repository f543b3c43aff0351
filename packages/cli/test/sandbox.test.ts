/**
 * `driver run` with its sandbox: what the agent's commands, the criteria and the agent itself can reach, and what is
 * said where there is none. Where bubblewrap does not work it is skipped, unless DRIVER_TEST_REQUIRE_SANDBOX=1.
 */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Sandbox } from "@driver/agent/Sandbox"
import { sandboxNotes } from "@driver/cli/sandboxLayer"
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { makeWorld, outcomeOf, type World } from "./support/process.js"

// Real processes on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000 })

const bwrap = ["/usr/bin/bwrap", "/bin/bwrap"].find((it) => existsSync(it))

const works = (() => {
  try {
    execFileSync(bwrap ?? "", ["--unshare-all", "--unshare-user", "--ro-bind", "/", "/", "true"], { stdio: "pipe" })
    return true
  } catch (error) {
    if (process.env["DRIVER_TEST_REQUIRE_SANDBOX"] === "1") throw error
    console.warn(`skipped: bubblewrap does not work here: ${error instanceof Error ? error.message : error}`)
    return false
  }
})()

/** A directory beside the repository that nobody may touch, and a key in the home directory. */
const outsideOf = (world: World) => {
  const outside = join(world.directory, "outside")
  mkdirSync(outside)
  mkdirSync(join(world.directory, "home", ".ssh"))
  writeFileSync(join(world.directory, "home", ".ssh", "id"), "very secret")
  return outside
}

const configuration = (sandbox: string) =>
  `agent: { kind: stub, scenario: scenario.json }\npermission: { decider: allow_all }\nsandbox: ${sandbox}\n`

const escape = (world: World, outside: string) => ({
  tool: "Bash",
  input: {
    command: `echo x > "${outside}/bash"; cat "${world.directory}/home/.ssh/id" > loot; env > env.txt; pwd > pwd.txt; echo hello > hello.txt; git add -A; git -c user.name=t -c user.email=t@example.org commit -qm "agent's work"`,
    description: "Work"
  }
})

const goal = (outside: string) =>
  `description: x\nacceptance:\n  - shell: "test -s hello.txt; touch ${outside}/criterion; test ! -e ${outside}/criterion"\n  - shell: "! touch ${outside}/criterion"\nbudget: { max_turns: 2 }\n`

/** Runs driver where there is no bubblewrap: inside one, in which its program cannot be seen. */
const withoutBubblewrap = (world: World, args: ReadonlyArray<string>) => {
  const inner = `exec "${process.execPath}" "$0" "$@"`
  const hidden = [
    ...["--dev-bind", "/", "/", "--tmpfs", "/mnt"],
    ...["--ro-bind", "/dev/null", bwrap ?? "", "--", "/bin/sh", "-c", inner]
  ]
  return {
    program: bwrap ?? "",
    args: [...hidden, join(import.meta.dirname, "../dist/driver.mjs"), ...args],
    cwd: world.repository
  }
}

describe.skipIf(!works)("driver run with a sandbox", () => {
  it("confines the agent's commands and the criteria, and the work still gets done", async (context) => {
    const world = makeWorld(context)
    const outside = outsideOf(world)
    world.write("driver.yaml", configuration("{ mode: required }"))
    world.write("hello.yaml", goal(outside))
    world.scenario({ turns: [{ steps: [escape(world, outside)] }] })
    const ended = await world.driver(["run", "hello.yaml", "--json"], {
      MY_TOKEN: "token-of-mine",
      ANTHROPIC_API_KEY: "key"
    })
    const outcome = outcomeOf(ended)
    assert.deepStrictEqual([ended.code, outcome.outcome._tag], [0, "Done"], ended.stderr)
    assert.notInclude(ended.stderr, "not confined")
    const branch = Option.getOrThrow(outcome.branch)
    const shown = (file: string) => world.git("show", `${branch}:${file}`)
    assert.isFalse(existsSync(join(outside, "bash")))
    assert.isFalse(existsSync(join(outside, "criterion")))
    assert.strictEqual(shown("loot"), "")
    assert.strictEqual(shown("pwd.txt").trim(), Option.getOrThrow(outcome.worktree))
    assert.notInclude(shown("env.txt"), "ANTHROPIC_API_KEY")
    assert.include(world.git("log", "--format=%s", branch), "agent's work")
    assert.deepStrictEqual(world.processes(), [])
  })

  it("does what the agent's commands say when it is off", async (context) => {
    const world = makeWorld(context)
    const outside = outsideOf(world)
    world.write("driver.yaml", configuration("{ mode: off }"))
    world.write("hello.yaml", "description: x\nacceptance: [{ shell: test -s hello.txt }]\nbudget: { max_turns: 2 }\n")
    world.scenario({ turns: [{ steps: [escape(world, outside)] }] })
    const ended = await world.driver(["run", "hello.yaml", "--json"])
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.isTrue(existsSync(join(outside, "bash")))
    assert.include(world.git("show", `${Option.getOrThrow(outcomeOf(ended).branch)}:loot`), "very secret")
  })

  it("confines the whole agent, which still speaks to the gate", async (context) => {
    const world = makeWorld(context)
    const outside = outsideOf(world)
    world.write("driver.yaml", configuration("{ mode: required, agent: true }"))
    world.write("hello.yaml", goal(outside))
    world.scenario({
      turns: [
        {
          steps: [
            // The stand-in writes this itself, not by a command.
            { tool: "Write", input: { file_path: join(outside, "agent"), content: "x" } },
            escape(world, outside)
          ]
        }
      ]
    })
    const ended = await world.driver(["run", "hello.yaml", "--json", "--events", "events.jsonl"])
    const outcome = outcomeOf(ended)
    assert.deepStrictEqual([ended.code, outcome.outcome._tag], [0, "Done"], ended.stderr)
    assert.isFalse(existsSync(join(outside, "agent")))
    assert.isFalse(existsSync(join(outside, "bash")))
    const asked = world
      .events(join(world.repository, "events.jsonl"))
      .flatMap(({ event }) => (event._tag === "DecisionMade" ? [event.decision.tool] : []))
    assert.deepStrictEqual(asked, ["Write", "Bash"])
    assert.strictEqual(world.git("show", `${Option.getOrThrow(outcome.branch)}:loot`), "")
    assert.deepStrictEqual(world.processes(), [])
  })

  it("reaches a listed host through the proxy, and no other", async (context) => {
    const world = makeWorld(context)
    world.write("driver.yaml", configuration("{ mode: required, network: [example.invalid] }"))
    world.write("hello.yaml", "description: x\nacceptance: [{ shell: test -s hello.txt }]\nbudget: { max_turns: 2 }\n")
    const ask = (host: string) =>
      `node -e 'const s=require("net").connect(3128,"127.0.0.1");s.on("data",d=>console.log(String(d).split("\\r\\n")[0]));s.write("CONNECT ${host}:443 HTTP/1.1\\r\\n\\r\\n")'`
    world.scenario({
      turns: [
        {
          steps: [
            {
              tool: "Bash",
              input: { command: `(echo "$HTTPS_PROXY"; ${ask("example.invalid")}; ${ask("example.org")}) > hello.txt` }
            }
          ]
        }
      ]
    })
    const ended = await world.driver(["run", "hello.yaml", "--json"])
    const branch = Option.getOrThrow(outcomeOf(ended).branch)
    const said = world.git("show", `${branch}:hello.txt`)
    assert.match(said, /^http:\/\/127\.0\.0\.1:3128\nHTTP\/1\.1 502 .*\nHTTP\/1\.1 403 /, ended.stderr)
  })

  it("ends with 2 and what to install when it is required and there is none, before anything starts", async (context) => {
    const world = makeWorld(context)
    world.write("driver.yaml", configuration("{ mode: required }"))
    world.scenario({ turns: [{ steps: [{ say: "done" }] }] })
    const { args, cwd, program } = withoutBubblewrap(world, ["run", "hello.yaml"])
    const { code, stderr, stdout } = await world.run(program, args, cwd)
    assert.strictEqual(code, 2, stderr)
    assert.include(stderr, "bubblewrap is not installed")
    assert.include(stderr, "Install the package `bubblewrap`")
    assert.strictEqual(stdout, "")
    assert.strictEqual(world.git("branch", "--list", "driver/*"), "")
  })

  it("says in the first line that nothing is confined where it does not work, and goes on", async (context) => {
    const world = makeWorld(context)
    world.write("driver.yaml", configuration("{ mode: auto }"))
    world.scenario({ turns: [{ steps: [{ tool: "Write", input: { file_path: "hello.txt", content: "Hello\n" } }] }] })
    const { args, cwd, program } = withoutBubblewrap(world, ["run", "hello.yaml", "--json"])
    const { code, stderr } = await world.run(program, args, cwd)
    assert.strictEqual(code, 0, stderr)
    assert.match(stderr, /^warning: .*not confined: bubblewrap is not installed/m)
  })
})

describe("the notes before a run", () => {
  for (const [state, count] of [
    [{ kind: "off" }, 0],
    [{ kind: "bubblewrap", detail: "x" }, 0],
    [{ kind: "missing", reason: "r", mend: "m" }, 1]
  ] as const) {
    it.effect(`are ${count} where the sandbox is ${state.kind}`, () =>
      Effect.gen(function* () {
        const sandbox = yield* Sandbox
        assert.strictEqual((yield* sandboxNotes(sandbox)).length, count)
      }).pipe(Effect.provide(Layer.mock(Sandbox, { state: Effect.succeed(state) })))
    )
  }
})
