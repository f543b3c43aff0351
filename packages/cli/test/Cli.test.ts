import { makeCli } from "@driver/cli/Cli"
import { exitCode } from "@driver/cli/exitCode"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { runCli } from "./support/cli.js"
import * as TestHost from "./support/TestHost.js"

const host = { directory: "/nowhere" }

const commands = ["run", "demo", "init", "lint", "doctor", "list", "worktrees", "rollback", "prune", "schema"]

describe("driver", () => {
  it.live("names all its commands with --help", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* runCli(["--help"], host)
      assert.strictEqual(code, 0)
      assert.strictEqual(stderr, "")
      const listed = stdout
        .slice(stdout.indexOf("COMMANDS"))
        .split("\n")
        .flatMap((line) => {
          const found = /^\s+- (\w+)(.*?)\s{2,}(.*)$/.exec(line)
          return found === null ? [] : [`${found[1]}${found[2]}: ${found[3]}`]
        })
      assert.deepStrictEqual(listed, [
        "run [(-c, --config file)] [--json] [--events file] [(-a, --agent claude-code | stub)] <goal.yaml>: Drive an agent until the goal's criteria pass, or the goal ends for another reason",
        "demo [--json] [--keep]: See a run on a sample repository with a stand-in agent: no keys, no network",
        "init [--force]: Write driver.yaml and an example goal with criteria that fit this repository",
        "lint [(-c, --config file)] [--no-run] [--strict] [--json] <goal.yaml>: Say what is wrong with a goal file and the configuration, and what is probably not meant",
        "doctor [(-c, --config file)] [--json]: Check the agent, git, containment, database and sockets, and say how to mend them",
        "list [(-c, --config file)] [--all] [--json]: List the goals' agent sessions and workspaces",
        "worktrees [(-c, --config file)] [--json]: List the goals' worktrees, whether their work was delivered, and their checkpoints",
        "rollback [(-c, --config file)] --to text [--json] <goal>: Put a goal's worktree back to a checkpoint; this can be undone",
        "prune [(-c, --config file)] [--force] [--json] <goal>...: Remove worktrees, branches and checkpoints of goals that are over",
        "schema <of> goal | config: Print the JSON Schema of a goal file or of the configuration, for editors"
      ])
    })
  )

  it.live("loads and builds nothing for --help, --version, a command's help, completions and usage errors", () =>
    Effect.gen(function* () {
      const cli = makeCli<never, never>(Effect.die("the composition was loaded"))
      const calls = [
        ["--help"],
        ["--version"],
        ["--completions", "bash"],
        ...commands.map((command) => [command, "--help"]),
        [],
        ["nonsense"],
        ["run"]
      ]
      for (const args of calls) {
        const exit = yield* Effect.exit(cli(["node", "driver", ...args]))
        assert.isTrue(exit._tag === "Success" || exitCode(exit) === 2, args.join(" "))
        assert.notInclude(JSON.stringify(exit), "the composition was loaded")
      }
    }).pipe(Effect.provide(TestHost.layerWithFiles(host)))
  )

  it.live("prints its version on standard output", () =>
    Effect.gen(function* () {
      const ran = yield* runCli(["--version"], host)
      assert.deepStrictEqual(ran, { code: 0, stdout: "0.0.0-source\n", stderr: "" })
    })
  )

  for (const shell of ["bash", "fish", "zsh"]) {
    it.live(`prints completions for ${shell} that know every command`, () =>
      Effect.gen(function* () {
        const { code, stdout } = yield* runCli(["--completions", shell], host)
        assert.strictEqual(code, 0)
        for (const command of commands) assert.include(stdout, command)
      })
    )
  }

  const wrong: ReadonlyArray<readonly [string, ReadonlyArray<string>, RegExp]> = [
    ["an unknown command", ["nonsense"], /Invalid subcommand for driver/],
    ["a missing argument", ["run"], /goal\.yaml/],
    ["an unknown option", ["run", "--bogus", "goal.yaml"], /bogus/],
    ["a choice that is none", ["run", "--agent", "gpt", "goal.yaml"], /claude-code.*stub/s],
    ["a schema of something else", ["schema", "events"], /goal.*config/s],
    ["a rollback to nowhere", ["rollback", "7c9e"], /--to/]
  ]
  for (const [what, args, expected] of wrong) {
    it.live(`ends with 2 for ${what}, and says so on standard error only`, () =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* runCli(args, host)
        assert.strictEqual(code, 2)
        assert.strictEqual(stdout, "")
        assert.match(stderr, expected)
      })
    )
  }

  it.live("prints in colours on a terminal and without elsewhere", () =>
    Effect.gen(function* () {
      assert.notInclude((yield* runCli(["--help"], host)).stdout, "\x1b")
      const terminal = { ...host, terminal: { columns: 80, rows: 24 } }
      assert.include((yield* runCli(["--help"], terminal)).stdout, "\x1b[")
      assert.notInclude((yield* runCli(["--help"], { ...terminal, environment: { NO_COLOR: "1" } })).stdout, "\x1b")
    })
  )

  it.live("prints a JSON Schema", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* runCli(["schema", "goal"], host)
      assert.strictEqual(code, 0)
      assert.include(Object.keys(JSON.parse(stdout)), "$schema")
    })
  )
})
