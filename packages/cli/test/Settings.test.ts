import { defaults } from "@driver/cli/Config"
import { loadGoal } from "@driver/cli/Goals"
import type { Host } from "@driver/cli/Host"
import type { InputError } from "@driver/cli/InputError"
import { type LoadOptions, loadSettings, requireRepository, type Settings } from "@driver/cli/Settings"
import { configText } from "@driver/cli/Templates"
import type { FileSystem, Path } from "@effect/platform"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Option, Redacted } from "effect"
import { directoryWith } from "./support/files.js"
import * as TestHost from "./support/TestHost.js"

const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)

/** A directory with these files; `host` and `settings` as they are from a directory below it. */
const inDirectory = <A, E>(
  files: Record<string, string>,
  use: (root: string) => Effect.Effect<A, E, Host | FileSystem.FileSystem | Path.Path>,
  options: { readonly below?: string; readonly environment?: Record<string, string> } = {}
) =>
  Effect.gen(function* () {
    const root = yield* directoryWith(files)
    const host = TestHost.layer({
      directory: options.below === undefined ? root : `${root}/${options.below}`,
      environment: options.environment ?? {}
    })
    return yield* Effect.provide(use(root), host)
  }).pipe(Effect.provide(platform), Effect.scoped)

const load = (options: Partial<LoadOptions> = {}) => loadSettings({ config: Option.none(), ...options })

const complaint = (root: string) => (error: InputError) => error.message.replaceAll(`${root}/`, "")

const git = { ".git/HEAD": "ref: refs/heads/main" }

describe("loadSettings", () => {
  it.live("gives each model its key from the environment, and what is not said elsewhere", () =>
    inDirectory(
      {
        ...git,
        "driver.yaml": `model: { provider: openai, name: m, base_url: "http://127.0.0.1:1/v1" }
permission: { llm: { model: { provider: anthropic, name: n, api_key_env: MINE } } }
intent: { other_models: [{ provider: scripted, script: s.yaml }] }`,
        "agent.yaml": "agent: { binary: ./claude, model: opus }\nmodel: { provider: agent }"
      },
      (root) =>
        Effect.gen(function* () {
          const apis: Settings["models"] = {
            judge: Option.some({
              provider: "openai",
              name: "m",
              baseUrl: Option.some("http://127.0.0.1:1/v1"),
              api: "chat",
              apiKeyEnv: "OPENAI_API_KEY",
              apiKey: Option.none(),
              proxy: Option.none()
            }),
            llm: Option.some({
              provider: "anthropic",
              name: "n",
              baseUrl: Option.none(),
              apiKeyEnv: "MINE",
              apiKey: Option.some(Redacted.make("of the test")),
              proxy: Option.none()
            }),
            others: [{ provider: "scripted", file: `${root}/s.yaml` }]
          }
          assert.deepStrictEqual((yield* load()).models, apis)
          assert.includeMembers((yield* load()).secrets.map(Redacted.value), ["of the test"])
          const { models, stateDirectory } = yield* load({ config: Option.some("agent.yaml") })
          const agent: Settings["models"]["llm"] = Option.some({
            provider: "agent",
            name: Option.some("opus"),
            binary: Option.some(`${root}/claude`),
            environment: { ANTHROPIC_AUTH_TOKEN: "x" },
            directory: stateDirectory
          })
          assert.deepStrictEqual(models, { judge: agent, llm: agent, others: [] })
          const none = yield* load({ config: Option.some("none.yaml") }).pipe(Effect.flip)
          assert.match(none.message, /none\.yaml/)
        }),
      { environment: { MINE: "of the test", ANTHROPIC_AUTH_TOKEN: "x", UNRELATED: "y" } }
    )
  )

  it.live("needs no file: the repository around, a state directory outside of it, SQLite", () =>
    inDirectory(
      { ...git, "sub/deep/x": "" },
      (root) =>
        Effect.gen(function* () {
          const settings = yield* load()
          const name = root.split("/").at(-1)
          assert.deepStrictEqual(settings.repository, Option.some(root))
          assert.match(settings.stateDirectory, new RegExp(`^/home/ada/.local/state/driver/${name}-[0-9a-f]{8}$`))
          assert.strictEqual(settings.worktreeRoot, `${settings.stateDirectory}/worktrees`)
          assert.deepStrictEqual(settings.store, {
            kind: "sqlite",
            filename: `${settings.stateDirectory}/driver.sqlite`
          })
          assert.deepStrictEqual(settings.file, Option.none())
          assert.strictEqual(settings.agent.kind, "claude-code")
          assert.deepStrictEqual(settings.deliver, { mode: "branch" })
        }),
      { below: "sub/deep" }
    )
  )

  it.live("keeps its state below XDG_STATE_HOME when that is absolute", () =>
    Effect.gen(function* () {
      const stateWith = (value: string) =>
        inDirectory(git, () => Effect.map(load(), ({ stateDirectory }) => stateDirectory), {
          environment: { XDG_STATE_HOME: value }
        })
      assert.match(yield* stateWith("/var/xdg"), /^\/var\/xdg\/driver\//)
      assert.match(yield* stateWith("relative"), /^\/home\/ada\/\.local\/state\/driver\//)
    })
  )

  it.live("has no repository outside of one, and says how to have one", () =>
    inDirectory({}, () =>
      Effect.gen(function* () {
        const settings = yield* load()
        assert.deepStrictEqual(settings.repository, Option.none())
        const error = yield* Effect.flip(requireRepository(settings))
        assert.match(error.message, /is not inside a git repository: go to one, run `git init`, or set `repository`/)
      })
    )
  )

  it.live("finds driver.yaml here, else in the repository's root", () =>
    inDirectory(
      { ...git, "driver.yaml": "base: root", "sub/driver.yml": "base: sub", "other/x": "" },
      (root) =>
        Effect.gen(function* () {
          const here = yield* load()
          assert.strictEqual(here.config.base, "sub")
          assert.deepStrictEqual(here.file, Option.some(`${root}/sub/driver.yml`))
          const other = yield* load().pipe(Effect.provide(TestHost.layer({ directory: `${root}/other` })))
          assert.strictEqual(other.config.base, "root")
          const named = yield* load({ config: Option.some("../driver.yaml") })
          assert.strictEqual(named.config.base, "root")
        }),
      { below: "sub" }
    )
  )

  it.live("takes a file of comments, as init writes it, and an empty one for no file", () =>
    Effect.gen(function* () {
      for (const text of [configText(), ""]) {
        yield* inDirectory({ ...git, "driver.yaml": text }, (root) =>
          Effect.gen(function* () {
            const settings = yield* load()
            assert.deepStrictEqual(settings.config, defaults)
            assert.deepStrictEqual(settings.file, Option.some(`${root}/driver.yaml`))
            assert.deepStrictEqual(settings.repository, Option.some(root))
          })
        )
      }
    })
  )

  it.live("refuses to guess between two files", () =>
    inDirectory({ "driver.yaml": "base: a", "driver.json": "{}" }, (root) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(load())
        assert.strictEqual(
          complaint(root)(error),
          "driver.yaml: stands beside driver.json: keep one of them, or name it with --config"
        )
      })
    )
  )

  it.live("reads paths relative to the file they stand in, and ~ as the home directory", () =>
    inDirectory(
      {
        "repo/.git/HEAD": "",
        "conf/driver.yaml": [
          "repository: ../repo",
          "state_dir: ~/state",
          "worktree_root: trees",
          "agent: { binary: ./bin/claude, kind: stub, scenario: play.yaml }",
          "events: [{ jsonl: log/events.jsonl }]",
          "store: { sqlite: db.sqlite }",
          "deliver: { mode: patch, target: out.patch }"
        ].join("\n")
      },
      (root) =>
        Effect.gen(function* () {
          const settings = yield* load({
            config: Option.some("conf/driver.yaml"),
            events: Option.some("here.jsonl")
          })
          assert.deepStrictEqual(settings.repository, Option.some(`${root}/repo`))
          assert.strictEqual(settings.stateDirectory, "/home/ada/state")
          assert.strictEqual(settings.worktreeRoot, `${root}/conf/trees`)
          assert.deepStrictEqual(settings.agent.binary, Option.some(`${root}/conf/bin/claude`))
          assert.deepStrictEqual(settings.agent.scenario, Option.some(`${root}/conf/play.yaml`))
          assert.deepStrictEqual(settings.eventFiles, [`${root}/conf/log/events.jsonl`, `${root}/here.jsonl`])
          assert.deepStrictEqual(settings.store, { kind: "sqlite", filename: `${root}/conf/db.sqlite` })
          assert.deepStrictEqual(settings.deliver, { mode: "patch", file: `${root}/conf/out.patch` })
        })
    )
  )

  it.live("leaves a program's name to the PATH, and keeps a database's password out of sight", () =>
    inDirectory(
      { "driver.yaml": "agent: { binary: claude-next }\nstore: { postgres: 'postgres://u:${PW}@h/d' }" },
      () =>
        Effect.gen(function* () {
          const settings = yield* load()
          assert.deepStrictEqual(settings.agent.binary, Option.some("claude-next"))
          assert.notInclude(JSON.stringify(settings.store), "hunter2")
          assert.strictEqual(
            settings.store.kind === "postgres" ? Redacted.value(settings.store.url) : "",
            "postgres://u:hunter2@h/d"
          )
        }),
      { environment: { PW: "hunter2" } }
    )
  )

  it.live("takes the agent from the command line before the file's", () =>
    inDirectory({ "driver.yaml": "agent: { scenario: a.yaml }" }, () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* load({ agent: Option.some("stub") })).agent.kind, "stub")
      })
    )
  )

  it.live("gives the agent what the configuration names, and criteria no keys", () =>
    inDirectory(
      { "driver.yaml": "agent: { pass_env: [MY_TOKEN] }\nacceptance: { pass_env: [DB_PASSWORD] }" },
      () =>
        Effect.gen(function* () {
          const settings = yield* load()
          assert.deepStrictEqual(settings.agent.environment, { PATH: "/bin", ANTHROPIC_API_KEY: "k", MY_TOKEN: "t" })
          assert.deepStrictEqual(settings.criteriaEnvironment, { PATH: "/bin", DB_PASSWORD: "p" })
        }),
      { environment: { PATH: "/bin", ANTHROPIC_API_KEY: "k", MY_TOKEN: "t", DB_PASSWORD: "p", OTHER: "o" } }
    )
  )

  const wrong: ReadonlyArray<readonly [string, string, ReadonlyArray<string>]> = [
    [
      "keys that nobody knows",
      "agent:\n  idle_limt: 5m\nbudgt: {}",
      [
        "driver.yaml:3:1: budgt is not a known key; did you mean budget?",
        "driver.yaml:2:3: agent.idle_limt is not a known key; did you mean idle_limit?"
      ]
    ],
    [
      "a repository that is none",
      "base: x\nrepository: ./nowhere",
      [
        "driver.yaml:2:1: repository: <root>/nowhere is not inside a git repository: run `git init` there, or mend the path"
      ]
    ],
    [
      "merging into nothing, a stub without a scenario, and a door that is shut",
      "deliver: { mode: merge }\nagent: { kind: stub, mode: one_shot, permission_door: stdio }",
      [
        "driver.yaml:1:1: deliver.target: is missing: with mode merge it names the branch to merge into",
        "driver.yaml:2:1: agent.scenario: is missing: the stub agent needs a scenario file to play",
        "driver.yaml:2:38: agent.permission_door: stdio works in warm mode only: set agent.mode to warm, or the door to socket"
      ]
    ],
    [
      "models without a name",
      "model: { provider: openai }\npermission: { llm: { model: { provider: anthropic } } }",
      [
        "driver.yaml:1:1: model.name: is missing: the provider has several models",
        "driver.yaml:2:22: permission.llm.model.name: is missing: the provider has several models"
      ]
    ],
    [
      "a model with an API of another provider",
      "model: { provider: agent, api: chat }",
      ["driver.yaml:1:27: model.api: goes with the provider openai only: take it out"]
    ],
    [
      "a variable that is not set",
      "base: ${BRANCH}",
      [
        "driver.yaml:1:1: base: the variable BRANCH is not set: set it, write ${BRANCH:-default}, or $${BRANCH} when the shell should see it"
      ]
    ]
  ]
  for (const [what, text, expected] of wrong) {
    it.live(`reports ${what}`, () =>
      inDirectory({ "driver.yaml": text }, (root) =>
        Effect.gen(function* () {
          const message = (yield* Effect.flip(load())).message
            .replaceAll(`${root}/driver`, "driver")
            .replaceAll(root, "<root>")
          assert.sameMembers(message.split("\n"), expected as Array<string>)
        })
      )
    )
  }

  it.live("says that a named file is not there", () =>
    inDirectory({}, (root) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(load({ config: Option.some("other.yaml") }))
        assert.strictEqual(complaint(root)(error), "other.yaml: there is no such file")
      })
    )
  )
})

const goalIn = (files: Record<string, string>, name = "goal.yaml") =>
  inDirectory({ ...git, ...files }, (root) =>
    Effect.gen(function* () {
      const settings = yield* load()
      return yield* loadGoal(name, settings).pipe(
        Effect.map(({ warnings, ...rest }) => ({
          ...rest,
          root,
          warnings: warnings.map(({ message }) => message)
        })),
        Effect.mapError(complaint(root))
      )
    })
  )

describe("loadGoal", () => {
  it.live("reads the goal of the manual, and makes an id", () =>
    Effect.gen(function* () {
      const { goal, warnings } = yield* goalIn({
        "goal.yaml": [
          "description: Create hello.txt with a greeting",
          "acceptance:",
          "  - kind: shell_command",
          "    command: test -s hello.txt",
          '  - { kind: file_matches, path: hello.txt, regex: "(?i)hello" }',
          "budget: { max_turns: 5, max_wall_time: 10 minutes, max_tokens: 200000 }"
        ].join("\n")
      })
      assert.strictEqual(goal.id, "00000000-0000-4000-8000-000000000001")
      assert.deepStrictEqual(
        goal.acceptance.map(({ _tag }) => _tag),
        ["Shell", "FileMatches"]
      )
      assert.strictEqual(goal.budget.maxTurns, 5)
      assert.deepStrictEqual(goal.budget.maxWallTime, Duration.minutes(10))
      assert.deepStrictEqual(warnings, [])
    })
  )

  it.live("keeps the id that the file has", () =>
    Effect.gen(function* () {
      const id = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
      const { goal } = yield* goalIn({ "goal.yaml": `id: ${id}\ndescription: x\nacceptance: [{ shell: npm test }]` })
      assert.strictEqual(goal.id, id)
    })
  )

  it.live("inherits the configuration's budget key by key", () =>
    Effect.gen(function* () {
      const files = { "driver.yaml": "budget: { max_turns: 3, max_cost_usd: 2, max_wall_time: 5m }" }
      const own = yield* goalIn({
        ...files,
        "goal.yaml": "description: x\nacceptance: [{ shell: a }]\nbudget: { max_turns: 9 }"
      })
      assert.strictEqual(own.goal.budget.maxTurns, 9)
      assert.deepStrictEqual(own.goal.budget.maxCostUsd, Option.some(2))
      assert.deepStrictEqual(own.goal.budget.maxWallTime, Duration.minutes(5))
      const none = yield* goalIn({ ...files, "goal.yaml": "description: x\nacceptance: [{ shell: a }]" })
      assert.strictEqual(none.goal.budget.maxTurns, 3)
    })
  )

  it.live("reads a repository of its own relative to its file", () =>
    Effect.gen(function* () {
      const { goal, root } = yield* goalIn(
        { "goals/g.yaml": "description: x\nacceptance: [{ shell: a }]\nmetadata: { worktree.source_repo: ../lib }" },
        "goals/g.yaml"
      )
      assert.strictEqual(goal.metadata["worktree.source_repo"], `${root}/lib`)
    })
  )

  const weak: ReadonlyArray<readonly [string, string, ReadonlyArray<RegExp>]> = [
    ["no criteria", "", [/no acceptance criteria: the agent's word/]],
    ["true", "acceptance: [{ shell: 'true' }]", [/always succeeds/, /no criterion can fail/]],
    ["exit 0", "acceptance: [{ shell: 'exit 0' }]", [/always succeeds/, /no criterion can fail/]],
    ["|| true", "acceptance: [{ shell: 'npm test || true' }]", [/goes unnoticed/, /no criterion can fail/]],
    ["; exit 0", "acceptance: [{ shell: 'npm test; exit 0;' }]", [/goes unnoticed/, /no criterion can fail/]],
    ["echo", "acceptance: [{ shell: 'echo done' }]", [/only prints/, /no criterion can fail/]],
    [
      "a pattern for anything in a file that need not be",
      "acceptance: [{ file: a, matches: '.*', required: false }]",
      [/matches any text, and the file need not be there/, /no criterion can fail/]
    ],
    ["an empty pattern", "acceptance: [{ file: a, matches: '' }]", [/only says that the file is there/]],
    [
      "a file that need not be",
      "acceptance: [{ file: a, matches: 'x', required: false }]",
      [/passes as well when the file is missing/]
    ],
    [
      "a file above the workspace",
      "acceptance: [{ file: ../a, matches: x }]",
      [/\.\.\/a lies outside of the workspace/]
    ],
    ["a file above it by a detour", "acceptance: [{ file: a/../../b, matches: x }]", [/lies outside of the workspace/]],
    ["a file inside by a detour", "acceptance: [{ file: ./a/../..b, matches: x }]", []],
    ["a file by its absolute path", "acceptance: [{ file: /a, matches: x }]", [/\/a lies outside of the workspace/]],
    ["one good criterion among others", "acceptance: [{ shell: 'true' }, { shell: npm test }]", [/always succeeds/]],
    ["expecting a failure", "acceptance: [{ shell: 'true', expected_exit: 1 }]", []],
    ["expecting output", "acceptance: [{ shell: 'echo $X', stdout_must_match: y }]", []],
    ["echo into a test", "acceptance: [{ shell: 'echo x | grep y' }]", []],
    ["a name that begins with true", "acceptance: [{ shell: 'truecheck' }]", []]
  ]
  for (const [what, text, expected] of weak) {
    it.live(`${expected.length === 0 ? "does not warn" : "warns"} of ${what}`, () =>
      Effect.gen(function* () {
        const { warnings } = yield* goalIn({ "goal.yaml": `description: x\n${text}` })
        assert.strictEqual(warnings.length, expected.length, warnings.join("\n"))
        for (const [index, pattern] of expected.entries()) assert.match(warnings[index] ?? "", pattern)
      })
    )
  }

  const wrong: ReadonlyArray<readonly [string, string, ReadonlyArray<RegExp>]> = [
    ["no description", "acceptance: []", [/^goal\.yaml: description is missing: expected text/]],
    ["an empty description", "description: '  '", [/^goal\.yaml:1:1: description: expected text that is not empty/]],
    [
      "a misspelled key",
      "descripton: x",
      [/^goal\.yaml:1:1: descripton is not a known key; did you mean description\?$/]
    ],
    ["a nil id", "id: 00000000-0000-0000-0000-000000000000\ndescription: x", [/^goal\.yaml:1:1: id: .*nil/]],
    ["an id that is none", "id: abc\ndescription: x", [/^goal\.yaml:1:1: id: expected/]],
    ["a criterion of no kind", "description: x\nacceptance:\n  - kind: shel\n", [/^goal\.yaml:3:\d+: acceptance\[0\]/]],
    [
      "a misspelled key of a criterion",
      "description: x\nacceptance:\n  - kind: shell_command\n    comand: npm test",
      [/^goal\.yaml:4:5: acceptance\[0\]\.comand is not a known key; did you mean command\?$/]
    ],
    [
      "a criterion that is a text",
      "description: x\nacceptance: [npm test]",
      [/^goal\.yaml:2:\d+: acceptance\[0\]: expected a criterion like/]
    ],
    [
      "no turns at all",
      "description: x\nbudget: { max_turns: 0 }",
      [/^goal\.yaml:2:\d+: budget\.max_turns: expected a whole number/]
    ],
    ["a budget that is a number", "description: x\nbudget: 5", [/^goal\.yaml:2:1: budget: expected an object, got 5$/]],
    ["a list of goals", "- description: x", [/^goal\.yaml: the document: expected an object, got a list$/]],
    ["a text", "make it so", [/^goal\.yaml: the document: expected an object, got "make it so"$/]],
    [
      "several at once",
      "descripton: x\nbudget: { max_turns: -1, max_wall_time: soon }",
      [/descripton/, /budget\.max_turns/, /budget\.max_wall_time: .*duration/]
    ]
  ]
  for (const [what, text, expected] of wrong) {
    it.live(`refuses ${what}`, () =>
      Effect.gen(function* () {
        const message = String(yield* Effect.flip(goalIn({ "goal.yaml": text })))
        const lines = message.split("\n")
        assert.strictEqual(lines.length, expected.length, message)
        for (const pattern of expected)
          assert.isTrue(
            lines.some((line) => pattern.test(line)),
            `${pattern} in ${message}`
          )
      })
    )
  }
})
