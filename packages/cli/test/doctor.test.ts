import {
  agentVersionCheck,
  gitVersionCheck,
  nodeCheck,
  sandboxCheck,
  spaceCheck,
  versionIn
} from "@driver/cli/commands/doctor"
import { type Check, ProbeError, SystemProbes } from "@driver/cli/SystemProbes"
import { FileSystem } from "@effect/platform"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { runCli } from "./support/cli.js"
import { directoryWith } from "./support/files.js"
import type { TestHostOptions } from "./support/TestHost.js"

const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)

const said = (stdout: string, exitCode = 0) => ({ exitCode, stdout, stderr: "" })

const healthy: NonNullable<TestHostOptions["programs"]> = {
  git: said("a1b2c3d4e5f6\n"),
  "git --version": said("git version 2.39.5\n"),
  claude: said("2.1.329 (Claude Code)\n")
}

const probesOf = (fields: Partial<SystemProbes["Type"]> = {}) =>
  Layer.succeed(SystemProbes, {
    containment: Effect.succeed({ contained: true, kind: "namespaces", reason: "unshare works" }),
    sandbox: Effect.succeed({ kind: "bubblewrap" as const, detail: "bubblewrap 0.8.0 at /usr/bin/bwrap" }),
    database: Effect.succeed("/state/driver.sqlite"),
    socket: Effect.succeed("/state/gate.sock"),
    outward: Effect.succeed([]),
    ...fields
  })

/** Runs the doctor with JSON in a repository on a healthy machine, changed by `options`. */
const doctor = (
  options: Partial<TestHostOptions> & {
    readonly files?: Record<string, string>
    readonly probes?: Partial<SystemProbes["Type"]>
    readonly prepare?: (root: string) => Effect.Effect<unknown, unknown, FileSystem.FileSystem>
    readonly args?: ReadonlyArray<string>
  } = {}
) =>
  Effect.gen(function* () {
    const root = yield* directoryWith({ "repo/.git/HEAD": "", ...options.files })
    if (options.prepare !== undefined) yield* options.prepare(root)
    const { files: _files, prepare: _prepare, probes, args, ...host } = options
    const ran = yield* runCli(
      ["doctor", ...(args ?? ["--json"])],
      {
        directory: `${root}/repo`,
        home: `${root}/home`,
        programs: healthy,
        ...host,
        environment: {
          PATH: "/bin",
          ANTHROPIC_API_KEY: "k",
          ...host.environment,
          XDG_STATE_HOME: `${root}/state`
        }
      },
      { probes: () => probesOf(probes) }
    )
    return { ...ran, root }
  }).pipe(Effect.scoped, Effect.provide(platform))

const checksOf = (ran: { readonly stdout: string }): ReadonlyArray<Check> => JSON.parse(ran.stdout).checks

const notFine = (ran: { readonly stdout: string }) =>
  checksOf(ran).flatMap(({ detail, mend, name, status }) => (status === "fine" ? [] : [{ name, status, detail, mend }]))

describe("driver doctor", () => {
  it.live("finds everything fine on a machine that is", () =>
    Effect.gen(function* () {
      const ran = yield* doctor()
      assert.deepStrictEqual(notFine(ran), [])
      assert.strictEqual(ran.code, 0)
      assert.deepStrictEqual(
        checksOf(ran).map(({ name }) => name),
        [
          "node",
          "git",
          "configuration",
          "repository",
          "agent",
          "login",
          "state directory",
          "worktree root",
          "free space",
          "containment",
          "sandbox",
          "database",
          "socket"
        ]
      )
    })
  )

  it.live("prints one line per check and how to mend what is broken", () =>
    Effect.gen(function* () {
      const { code, root, stdout } = yield* doctor({ args: [], programs: { ...healthy, claude: "not_found" } })
      assert.strictEqual(code, 1)
      assert.include(stdout, "✓ node: 20.19.0\n")
      assert.include(
        stdout,
        "✗ agent: claude: it is not_found\n    install Claude Code (npm install -g @anthropic-ai/claude-code), or set `agent.binary` in driver.yaml\n"
      )
      assert.include(stdout, `✓ repository: ${root}/repo, goals start from HEAD (a1b2c3d4e5)\n`)
      assert.match(stdout, /\n1 thing is broken: `driver run` will not work before that is mended\.\n$/)
    })
  )

  it.live("ends with 0 when there are only warnings", () =>
    Effect.gen(function* () {
      const ran = yield* doctor({
        probes: {
          containment: Effect.succeed({ contained: false, kind: "process groups", reason: "no user namespaces" })
        }
      })
      assert.strictEqual(ran.code, 0)
      assert.deepStrictEqual(
        notFine(ran).map(({ name, status }) => [name, status]),
        [["containment", "warning"]]
      )
    })
  )

  const broken: ReadonlyArray<readonly [string, Parameters<typeof doctor>[0], string, RegExp]> = [
    ["an old node", { nodeVersion: "18.20.0" }, "node", /18\.20\.0 is too old/],
    ["no git", { programs: { ...healthy, "git --version": "not_found" } }, "git", /not_found/],
    [
      "a repository without a commit",
      { programs: { ...healthy, git: said("", 1) } },
      "repository",
      /HEAD names no commit/
    ],
    [
      "a base that is no commit",
      { files: { "repo/driver.yaml": "base: release" }, programs: { ...healthy, git: said("", 1) } },
      "repository",
      /release names no commit/
    ],
    [
      "a configuration that is wrong",
      { files: { "repo/driver.yaml": "bse: x" } },
      "configuration",
      /bse is not a known key/
    ],
    [
      "a worktree root inside the repository",
      { files: { "repo/driver.yaml": "worktree_root: trees" }, programs: { ...healthy, git: said("", 1) } },
      "worktree root",
      /is inside the repository/
    ],
    ["no login", { environment: { ANTHROPIC_API_KEY: "" } }, "login", /neither ANTHROPIC_API_KEY/],
    [
      "an agent that is something else",
      { programs: { ...healthy, claude: said("hello", 3) } },
      "agent",
      /ended with 3 and said: hello/
    ],
    [
      "a state directory that cannot be written",
      {
        prepare: (root) => Effect.flatMap(FileSystem.FileSystem, (fs) => fs.writeFileString(`${root}/state`, "a file"))
      },
      "state directory",
      /cannot be written to/
    ],
    ["a full disk", { freeBytes: 1024 }, "free space", /only 0 MiB/],
    [
      "a database that does not open",
      { probes: { database: new ProbeError({ detail: "it is locked", mend: "wait" }) } },
      "database",
      /it is locked/
    ],
    [
      "a socket that cannot be bound",
      { probes: { socket: new ProbeError({ detail: "the path is too long", mend: "shorten it" }) } },
      "socket",
      /too long/
    ],
    [
      "a stub without its scenario",
      { files: { "repo/driver.yaml": "agent: { kind: stub, scenario: gone.yaml }" } },
      "scenario",
      /gone\.yaml is not there/
    ]
  ]
  for (const [what, options, name, detail] of broken) {
    it.live(`ends with 1 for ${what}`, () =>
      Effect.gen(function* () {
        const ran = yield* doctor(options)
        assert.strictEqual(ran.code, 1)
        const found = notFine(ran).find((it) => it.name === name)
        assert.strictEqual(found?.status, "broken", ran.stdout)
        assert.match(found?.detail ?? "", detail)
        assert.notStrictEqual(found?.mend, "")
      })
    )
  }

  it.live("looks for a login in the agent's own files", () =>
    Effect.gen(function* () {
      const nobody = { environment: { ANTHROPIC_API_KEY: "" } }
      const login = (options: Parameters<typeof doctor>[0]) =>
        Effect.map(doctor({ ...nobody, ...options }), (ran) => checksOf(ran).find(({ name }) => name === "login"))
      const oauth = '{"claudeAiOauth":{"accessToken":"t"}}'
      assert.strictEqual((yield* login({ files: { "home/.claude/.credentials.json": oauth } }))?.status, "fine")
      assert.strictEqual((yield* login({ files: { "home/.claude/.credentials.json": "{ torn" } }))?.status, "broken")
      assert.strictEqual(
        (yield* login({ files: { "home/.claude/settings.json": '{"apiKeyHelper":"x"}' } }))?.status,
        "fine"
      )
      assert.strictEqual((yield* login({ files: { "home/.claude.json": '{"oauthAccount":{}}' } }))?.status, "warning")
      assert.strictEqual((yield* login({ platform: "darwin" }))?.status, "warning")
      assert.strictEqual(
        (yield* login({ environment: { ANTHROPIC_API_KEY: "", CLAUDE_CODE_OAUTH_TOKEN: "t" } }))?.status,
        "fine"
      )
      assert.strictEqual(
        (yield* login({ environment: { ANTHROPIC_API_KEY: "", CLAUDE_CODE_USE_BEDROCK: "1" } }))?.status,
        "fine"
      )
    })
  )

  it.live("leaves nothing behind in the directories that it tries", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const root = yield* directoryWith({
        ".git/HEAD": "",
        "driver.yaml": "state_dir: ./own\nworktree_root: /tmp/driver-doctor-trees"
      })
      yield* runCli(["doctor"], { directory: root, programs: healthy }, { probes: () => probesOf() })
      assert.deepStrictEqual(yield* fs.readDirectory(`${root}/own`), [])
      yield* fs.remove("/tmp/driver-doctor-trees", { recursive: true, force: true })
    }).pipe(Effect.scoped, Effect.provide(platform))
  )
})

describe("the checks", () => {
  const bubblewrap = { kind: "bubblewrap", detail: "bubblewrap 0.8.0 at /usr/bin/bwrap" } as const
  const missing = { kind: "missing", reason: "bubblewrap is not installed", mend: "Install it." } as const
  const wanted = {
    mode: "auto",
    agent: false,
    hosts: [],
    home: "/home/me",
    writable: [],
    readable: [],
    mask: []
  } as const

  it("of the sandbox: fine where it works, a warning where it does not, broken where it must", () => {
    const statusOf = (...args: Parameters<typeof sandboxCheck>) => sandboxCheck(...args).status
    assert.deepStrictEqual(
      [
        statusOf(wanted, bubblewrap),
        statusOf({ ...wanted, mode: "required" }, bubblewrap),
        statusOf(wanted, missing),
        statusOf({ ...wanted, mode: "required" }, missing),
        statusOf({ ...wanted, mode: "off" }, bubblewrap)
      ],
      ["fine", "fine", "warning", "broken", "warning"]
    )
    assert.deepStrictEqual(sandboxCheck({ ...wanted, mode: "required" }, missing), {
      name: "sandbox",
      status: "broken",
      detail: "it is required, and bubblewrap is not installed",
      mend: "Install it."
    })
    assert.include(sandboxCheck({ ...wanted, hosts: ["example.org"] }, bubblewrap).detail, "network to example.org")
  })

  it.each([
    ["20.19.0", "fine"],
    ["20.18.9", "broken"],
    ["22.1.0", "fine"],
    ["19.99.0", "broken"],
    ["", "broken"]
  ])("of node %s: %s", (version, status) => {
    assert.strictEqual(nodeCheck(version).status, status)
  })

  it.each([
    ["git version 2.39.5 (Apple Git-154)", false, "fine"],
    ["git version 2.38.0", true, "fine"],
    ["git version 2.37.9", false, "warning"],
    ["git version 2.37.9", true, "broken"],
    ["git version 2.30.2", false, "broken"],
    ["git version 3.0.0", false, "fine"],
    ["nonsense", false, "warning"]
  ])("of %s, merging: %s, is %s", (text, merges, status) => {
    assert.strictEqual(gitVersionCheck(text, merges).status, status)
  })

  it.each([
    ["2.1.329 (Claude Code)", "fine"],
    ["2.0.76 (Claude Code)", "broken"],
    ["3.0.1 (Claude Code)", "warning"],
    ["hello", "broken"]
  ])("of an agent that says %s: %s", (stdout, status) => {
    assert.strictEqual(agentVersionCheck("claude", said(stdout)).status, status)
  })

  it.each([
    [Option.none(), "warning"],
    [Option.some(1024), "broken"],
    [Option.some(100 * 2 ** 20), "warning"],
    [Option.some(2 ** 31), "fine"]
  ])("of free space %#", (free, status) => {
    assert.strictEqual(spaceCheck("/x", free).status, status)
  })

  it("reads versions", () => {
    assert.deepStrictEqual(versionIn("v1.22"), [1, 22, 0])
    assert.isUndefined(versionIn("none"))
  })
})
