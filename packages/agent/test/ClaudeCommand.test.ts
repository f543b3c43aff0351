import * as ClaudeCommand from "@driver/agent/ClaudeCommand"
import type * as ClaudeEvents from "@driver/agent/ClaudeEvents"
import { AllowOnce, AllowSession, Deny, PermissionCancelled, Unavailable } from "@driver/domain/Permission"
import { describe, it } from "@effect/vitest"
import { Option } from "effect"
import { assert } from "./support/assert.js"
import * as captures from "./support/captures.js"
import { sessionId } from "./support/claude.js"

const resolve = (settings?: Partial<ClaudeCommand.ClaudeCodeSettings>) =>
  ClaudeCommand.resolve({ env: {}, ...settings })

const program = { serverName: "driver_gate", toolName: "permission_prompt", mcpConfigPath: "/state/mcp.json" }

const commandLine = (
  settings?: Partial<ClaudeCommand.ClaudeCodeSettings>,
  options?: Partial<Parameters<typeof ClaudeCommand.commandLine>[1]>
) =>
  ClaudeCommand.commandLine(resolve(settings), {
    gate: Option.some(program),
    resume: Option.none(),
    promptFile: Option.none(),
    ...options
  })

const after = (argv: ReadonlyArray<string>, flag: string) => argv[argv.indexOf(flag) + 1]

type Init = Extract<ClaudeEvents.ClaudeEvent, { readonly _tag: "Init" }>

const initOf = (name: string): Init => {
  const init = captures.events(name).find((event): event is Init => event._tag === "Init")
  if (init === undefined) throw new Error(`${name} has no init`)
  return init
}

describe("ClaudeCommand", () => {
  describe("on the command line", () => {
    it("asks for everything, of the gate's server, and takes nothing from the repository", () => {
      assert.deepStrictEqual(commandLine(), [
        "claude",
        "-p",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
        "--mcp-config",
        "/state/mcp.json",
        "--permission-prompt-tool",
        "mcp__driver_gate__permission_prompt",
        "--strict-mcp-config",
        "--permission-mode",
        "default",
        "--setting-sources",
        "user",
        "--settings",
        '{"disableAllHooks":true,"permissions":{"defaultMode":"default","ask":["Bash","Read","Write","Edit","NotebookEdit","WebFetch","WebSearch"]}}',
        "--disallowedTools",
        "EnterPlanMode,CronCreate,ScheduleWakeup,Monitor,EnterWorktree"
      ])
    })

    it("asks by the control protocol without a server, still without the repository's", () => {
      const argv = commandLine({ permissionDoor: "stdio" }, { gate: Option.none() })
      assert.strictEqual(after(argv, "--permission-prompt-tool"), "stdio")
      assert.include(argv, "--strict-mcp-config")
      assert.notInclude(argv, "--mcp-config")
    })

    it("takes text on standard input when it is one-shot, unless it must answer questions there", () => {
      assert.notInclude(commandLine({ mode: "one_shot" }), "--input-format")
      assert.include(
        commandLine({ mode: "one_shot", permissionDoor: "stdio" }, { gate: Option.none() }),
        "--input-format"
      )
    })

    it("gives what is set, and extra arguments last", () => {
      const argv = commandLine(
        { model: "opus", extraArgs: ["--max-turns", "3"], disallowedTools: [] },
        { resume: Option.some(sessionId("abc")), promptFile: Option.some("/tmp/p.md") }
      )
      assert.strictEqual(after(argv, "--model"), "opus")
      assert.strictEqual(after(argv, "--resume"), "abc")
      assert.strictEqual(after(argv, "--append-system-prompt-file"), "/tmp/p.md")
      assert.notInclude(argv, "--disallowedTools")
      assert.deepStrictEqual(argv.slice(-2), ["--max-turns", "3"])
    })
  })

  describe("on the environment", () => {
    it("adds what the driver needs, and takes out what an outer agent left", () => {
      const env = ClaudeCommand.environment(
        resolve({
          env: { PATH: "/bin", CLAUDECODE: "1", CLAUDE_CODE_SESSION_ID: "x", DISABLE_AUTOUPDATER: "0" },
          maxRetries: 2
        }),
        "/workspace"
      )
      assert.deepStrictEqual(env, {
        PATH: "/bin",
        PWD: "/workspace",
        CLAUDE_CODE_MAX_RETRIES: "2",
        DISABLE_AUTOUPDATER: "1",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
        CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1",
        CLAUDE_CODE_MCP_ALLOWLIST_ENV: "1",
        CLAUDE_CODE_MCP_TOOL_IDLE_TIMEOUT: "0",
        CLAUDE_CODE_DISABLE_CRON: "1"
      })
    })

    it("leaves the number of retries to the user who sets it", () => {
      const env = ClaudeCommand.environment(resolve({ env: { CLAUDE_CODE_MAX_RETRIES: "9" } }), "/workspace")
      assert.strictEqual(env["CLAUDE_CODE_MAX_RETRIES"], "9")
    })
  })

  describe("on what it writes", () => {
    it("writes a message as the program reads it, on one line", () => {
      const line = ClaudeCommand.userLine("one\ntwo", "uuid-1")
      assert.isTrue(line.endsWith("\n") && !line.slice(0, -1).includes("\n"))
      assert.deepStrictEqual(JSON.parse(line), {
        type: "user",
        message: { role: "user", content: [{ type: "text", text: "one\ntwo" }] },
        parent_tool_use_id: null,
        session_id: "",
        uuid: "uuid-1"
      })
    })

    it("keeps a prompt from being taken for a command of the program", () => {
      assert.strictEqual(ClaudeCommand.promptText("/clear the table"), "The task:\n\n/clear the table")
      assert.strictEqual(ClaudeCommand.promptText("clear /tmp"), "clear /tmp")
      assert.strictEqual(ClaudeCommand.compactText("keep names"), "/compact keep names")
      assert.strictEqual(ClaudeCommand.compactText(""), "/compact")
    })

    it("answers questions: allowed with an input, refused with a message, always", () => {
      const answer = (outcome: Parameters<typeof ClaudeCommand.answerLine>[2]) =>
        JSON.parse(ClaudeCommand.answerLine("q1", { a: 1 }, outcome)).response
      const none = Option.none<{ b: number }>()
      const rationale = "test"
      assert.deepStrictEqual(answer(new AllowOnce({ updatedInput: none, rationale })), {
        subtype: "success",
        request_id: "q1",
        response: { behavior: "allow", updatedInput: { a: 1 } }
      })
      const updatedInput = Option.some({ b: 2 })
      assert.deepStrictEqual(answer(new AllowSession({ scope: "turn", updatedInput, rationale })).response, {
        behavior: "allow",
        updatedInput: { b: 2 }
      })
      for (const refused of [
        new Deny({ message: "no", rationale }),
        new Unavailable({ reason: "" }),
        new PermissionCancelled({})
      ]) {
        const { behavior, message } = answer(refused).response
        assert.strictEqual(behavior, "deny")
        assert.notStrictEqual(message, "")
      }
    })
  })

  describe("on the first event", () => {
    it("takes the versions that are supported, and says what to do about others", () => {
      const problem = (version: string | undefined) => ClaudeCommand.versionProblem(resolve(), version)
      for (const version of ["2.1.0", "2.1.329", "2.10.3 (Claude Code)", "2.99.0"]) {
        assert.deepStrictEqual(problem(version), Option.none(), version)
      }
      for (const version of ["2.0.77", "1.0.128", "3.0.0", "30.1.0", "nonsense", undefined]) {
        const error = Option.getOrThrow(problem(version))
        assert.strictEqual(error.reason, "wrong_version")
        assert.include(error.message, "npm install --global @anthropic-ai/claude-code@2")
      }
    })

    it("takes the captures that ask for what they are, and refuses those that do not", () => {
      const gate = Option.some("gate")
      const problem = (name: string) =>
        Option.map(ClaudeCommand.safetyProblem(initOf(name), gate), (error) => error.problem)
      assert.deepStrictEqual(problem("happy-tool-use"), Option.none())
      for (const name of [
        "permission-mode-acceptEdits",
        "permission-mode-auto",
        "permission-mode-dontAsk",
        "permission-mode-plan",
        "project-settings-defaultMode-acceptEdits"
      ]) {
        assert.deepStrictEqual(problem(name), Option.some("permission_mode"), name)
      }
      assert.deepStrictEqual(problem("permission-mcp-missing-binary"), Option.some("gate_not_connected"))
      assert.deepStrictEqual(problem("permission-tool-name-wrong"), Option.some("gate_not_connected"))
      assert.deepStrictEqual(problem("project-settings-ignored-by-setting-sources"), Option.none())
      assert.deepStrictEqual(problem("project-settings-defaultMode-vs-flag"), Option.none())
    })

    it("needs no server where the program asks by the control protocol", () => {
      const init = initOf("stream-permission-prompt-tool-stdio")
      assert.deepStrictEqual(ClaudeCommand.safetyProblem(init, Option.none()), Option.none())
      assert.isTrue(Option.isSome(ClaudeCommand.safetyProblem(init, Option.some("gate"))))
    })

    it("lets a server that is still connecting go on for now", () => {
      const init = { ...initOf("happy-tool-use"), mcpServers: [{ name: "gate", status: "pending" }] }
      assert.deepStrictEqual(ClaudeCommand.safetyProblem(init, Option.some("gate")), Option.none())
    })

    it("does not take an unknown mode on trust", () => {
      const init = { ...initOf("happy-tool-use"), permissionMode: undefined }
      assert.isTrue(Option.isSome(ClaudeCommand.safetyProblem(init, Option.none())))
    })
  })

  describe("on its end", () => {
    const exit = (name: string) => {
      const { code, signal, stderr } = captures.exits[name] ?? { code: null, signal: null, stderr: "" }
      const ended =
        code === null ? ({ _tag: "Signaled", signal: signal ?? "" } as const) : ({ _tag: "Exited", code } as const)
      return ClaudeCommand.exitError("claude", Option.some(ended), stderr)
    }

    it("makes an error of every capture that ends without a result", () => {
      const found = captures.names
        .filter((name) => !captures.events(name).some(({ _tag }) => _tag === "Result"))
        .map((name) => {
          const error = exit(name)
          return [
            name,
            error._tag === "AgentExited"
              ? error.exit
              : `${error._tag} ${"reason" in error ? error.reason : error.problem}`
          ]
        })
      assert.deepStrictEqual(Object.fromEntries(found), {
        "api-401": "signal SIGKILL",
        "argv-dash-prompt": "AgentUnavailable wrong_version",
        "kill9-during-api-call": "signal SIGKILL",
        "permission-mcp-missing-binary": "AgentUnsafe gate_not_connected",
        "permission-mode-bypass-as-root": "code 1",
        "permission-tool-name-wrong": "AgentUnsafe gate_not_connected",
        "session-id-flag-reuse": "code 1",
        "sighup-bash-sleep": "code 129 (SIGHUP)",
        "sigkill-bash-sleep": "signal SIGKILL",
        "sigkill-bash-with-bg-children": "signal SIGKILL",
        "sigterm-bash-sleep": "code 143 (SIGTERM)",
        "sigterm-bash-with-bg-children": "code 143 (SIGTERM)",
        "sigterm-during-permission-prompt": "code 143 (SIGTERM)",
        "sigterm-midstream": "code 143 (SIGTERM)",
        "stdin-empty": "code 1",
        "stream-stall": "signal SIGKILL",
        "subprocess-env-scrub": "code 1"
      })
    })

    it("shows what the program said last", () => {
      assert.include(exit("subprocess-env-scrub").message, "bubblewrap is required")
    })

    it("finds an installation that was left half done", () => {
      const error = ClaudeCommand.exitError("claude", Option.none(), "Error: claude native binary not installed\n")
      assert.deepInclude(error, { _tag: "AgentUnavailable", reason: "not_executable" })
    })

    it("gives each way of not starting a sentence that says what to do", () => {
      for (const reason of [
        "not_found",
        "not_executable",
        "bad_cwd",
        "too_many_files",
        "argument_list_too_long",
        "other"
      ] as const) {
        const error = ClaudeCommand.spawnError("claude", "/workspace", reason, "because")
        assert.match(error.message, /could not be used: .+\. [A-Z].+/)
      }
    })
  })

  describe("on secrets", () => {
    const env = {
      ANTHROPIC_API_KEY: "sk-ant-0123456789",
      GITHUB_TOKEN: "ghp_abcdefgh",
      DB_PASSWORD: "line one\nline two",
      HTTPS_PROXY: "http://user:hunter22@proxy:3128",
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: "32000",
      EMPTY_KEY: "",
      PATH: "/usr/bin"
    }
    const redact = ClaudeCommand.redact(ClaudeCommand.secretsOf(env))

    it("takes out the values of names that look like keys, and passwords in addresses", () => {
      assert.strictEqual(redact("key sk-ant-0123456789 and ghp_abcdefgh!"), "key [redacted] and [redacted]!")
      assert.strictEqual(redact("it says: line two"), "it says: [redacted]")
      assert.strictEqual(redact("via http://user:hunter22@proxy:3128"), "via http://user:[redacted]@proxy:3128")
    })

    it("leaves everything else as it is", () => {
      assert.strictEqual(redact("32000 tokens in /usr/bin"), "32000 tokens in /usr/bin")
    })

    it("takes out what is left of a secret at a cut", () => {
      assert.strictEqual(redact("the key is sk-ant-0123…"), "the key is [redacted]")
      assert.strictEqual(redact("t-0123456789 was refused"), "[redacted] was refused")
    })
  })
})
