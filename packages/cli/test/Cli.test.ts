import { makeCli } from "@driver/cli/Cli"
import { exitCode } from "@driver/cli/exitCode"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { runCli } from "./support/cli.js"
import * as TestHost from "./support/TestHost.js"

const host = { directory: "/nowhere" }

const commands = [
  ...["run", "demo", "init", "lint", "doctor", "serve", "submit", "list", "show", "logs", "pause", "resume", "cancel"],
  ...[
    "wake",
    "steer",
    "budget",
    "approvals",
    "deliver",
    "journal",
    "sessions",
    "worktrees",
    "rollback",
    "prune",
    "schema"
  ]
]

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
        "ask [(-c, --config file)] [(-s, --session text)] --answer text... --mount text... [--project text] [(-y, --yes)] [--plan] [--out file] [--assume] [(-a, --agent claude-code | stub)] [--events file] [--json] [<message>]: Say what you want in your words: it is made a goal with criteria, run and reviewed",
        "demo [--json] [--keep]: See a run on a sample repository with a stand-in agent: no keys, no network",
        "init [--force]: Write driver.yaml and an example goal with criteria that fit this repository",
        "lint [(-c, --config file)] [--no-run] [--strict] [--json] <goal.yaml>: Say what is wrong with a goal file and the configuration, and what is probably not meant",
        "doctor [(-c, --config file)] [--json]: Check the agent, git, containment, database, sockets, the daemon and where events go, and say how to mend them",
        "serve [(-c, --config file)] [--socket text] [--listen text] [--token-file text] [--max-concurrent integer] [--per-repository integer]: Work on the goals of the queue, and answer the commands, until it is stopped",
        "submit [(-c, --config file)] [(-p, --priority integer)] --after text... [--account text] [--json] <goal.yaml>...: Put goals into the queue: `driver serve` works on them when it is their turn",
        "list [(-c, --config file)] [(-a, --all)] [--json]: List the goals: how far they are, and what they wait for",
        "show [(-c, --config file)] [--json] <goal>: Show all that is known of a goal",
        "logs [(-c, --config file)] [(-f, --follow)] [--after integer] [--json] <goal>: Print what happened to a goal",
        "pause [(-c, --config file)] [--json] <goal>: Hold a goal before its next turn; the one in flight goes on",
        "resume [(-c, --config file)] [(-a, --all)] [--json] <goal>...: Let paused goals go on; without a daemon, go on here with goals that a driver left, until they end",
        "cancel [(-c, --config file)] [--json] <goal>: End a goal; its worktree and branch stay",
        "wake [(-c, --config file)] [--json] <goal>: End a goal's sleep early",
        "steer [(-c, --config file)] [--now] [--redirect] [--json] <goal> <message>: Tell a goal's agent something",
        "budget [(-c, --config file)] --max-turns integer [--json] <goal>: Raise a goal's limit on turns",
        "approvals [(-c, --config file)] [--watch] [--json]: List the tool calls that wait for a person's approval",
        "approve [(-c, --config file)] [--session] [--json] <id>: Allow a tool call that waits for approval",
        "deny [(-c, --config file)] [(-m, --message text)] [--json] <id>: Deny a tool call that waits for approval, and say what to do instead",
        "deliver [(-c, --config file)] [--json] <goal>: Hand over the work of a goal that has ended, as its configuration says",
        "journal [(-c, --config file)] [--verify] [--after integer] [--json] <goal>: Show the records that a goal's state is made of",
        "sessions [(-c, --config file)] [--all] [--json]: List the goals' agent sessions and workspaces",
        "worktrees [(-c, --config file)] [--json]: List the goals' worktrees, whether their work was delivered, and their checkpoints",
        "rollback [(-c, --config file)] --to text [--json] <goal>: Put a goal's worktree back to a checkpoint; this can be undone",
        "prune [(-c, --config file)] [--force] --events-of text... [--json] <goal>...: Remove worktrees, branches and checkpoints of goals that are over, or events that wait",
        "policy: Explain, test and compare what agents may do",
        "policy check [(-c, --config file)] [--policy file] [--preset strict | default | open] [--cwd directory] --criterion text... [--json] <tool> <json>: Say which rule decides about a tool call, and why",
        "policy classify [(-c, --config file)] [--policy file] [--cwd text] [--home text] [<command>]: Say what shell commands would do, without running them: one line of JSON for each",
        "policy test [(-c, --config file)] [--policy file] [--preset strict | default | open] [--json] <cases.yaml>: Run the cases of a policy file; ends with 1 when one does not hold",
        "policy show [(-c, --config file)] [--policy file] [--json] [<preset> strict | default | open]: Print the policy in force, or a preset, as a policy file",
        "policy diff --against text [(-c, --config file)] [--policy file] [--preset strict | default | open] [--cwd text] [--exit-code] [--json]: Decide past tool calls again, and list those that would be decided otherwise",
        "policy report [(-c, --config file)] [--json] <of>: Compare what the shadow decider would have decided with what was decided",
        "mount: The directories that messages of `driver ask` speak of, by name",
        "mount add [--name text] [(-c, --config file)] [--json] <path>: Give a directory a name",
        "mount list [(-c, --config file)] [--json]: List the mounts",
        "mount remove [(-c, --config file)] [--json] <name>: Forget a mount; the directory stays",
        "project: Mounts that belong together, and the instructions for work on them",
        "project add --mount text... [--instructions text] [--instructions-file file] [(-c, --config file)] [--json] <name>: Put mounts together, with instructions",
        "project list [(-c, --config file)] [--json]: List the projects",
        "project remove [(-c, --config file)] [--json] <name>: Forget a project; its mounts stay",
        "schema <of> goal | config | policy: Print the JSON Schema of a goal file, a policy file or the configuration, for editors"
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
