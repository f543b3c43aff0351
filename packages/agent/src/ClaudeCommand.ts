/**
 * How the Claude Code CLI is started and told things, and what its way of starting or ending amounts to: settings,
 * command line, environment, the lines that go to its standard input, the checks of its first event, and the words for
 * its failures. Pure; `ClaudeCode` does it.
 */
import type { SessionId } from "@driver/domain/Binding"
import { isAllowed, type PermissionOutcome, type ToolInput } from "@driver/domain/Permission"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { AgentExited, AgentUnavailable, AgentUnsafe } from "./Agent.js"
import type { ClaudeEvent } from "./ClaudeEvents.js"
import type { GateProgram } from "./PermissionGate.js"

export interface ClaudeCodeSettings {
  /** The program: a name on the PATH of `env`, or an absolute path. Default `claude`. */
  readonly binary?: string
  /**
   * The complete environment of the program. The driver adds what it needs (`environment`) and removes what would
   * tell the program that it runs inside another one of its kind.
   */
  readonly env: Readonly<Record<string, string>>
  /** Always given when set: a resumed session would otherwise keep the model of its last turn. */
  readonly model?: string
  /**
   * `warm` (default): one process per session, which saves half a second per turn and can be steered. `one_shot`: one
   * process per turn, for programs that do not take their input as a stream.
   */
  readonly mode?: "warm" | "one_shot"
  /**
   * How the program asks for permission. `socket` (default): by the gate's own MCP server, which needs nothing of the
   * driver but its socket. `stdio`: by its control protocol, in this process; no second program, and questions carry
   * the id of the subagent that asks.
   */
  readonly permissionDoor?: "socket" | "stdio"
  /**
   * Tools that are asked for although the program thinks that they are harmless or the user's own settings allow them.
   * Default: all tools that read, write, run or fetch, so that the gate sees everything.
   */
  readonly askFor?: ReadonlyArray<string>
  /**
   * Tools that the agent does not get. Default: those that the program never asks for and that leave the gate's sight:
   * plan mode (another judge decides in it), schedules and monitors (they work between turns), other worktrees.
   */
  readonly disallowedTools?: ReadonlyArray<string>
  /** Retries of a failed provider call by the program itself. Default 4, about 8 s: then the driver decides. */
  readonly maxRetries?: number
  /**
   * How long the program may print nothing while it waits for its provider. Default 7 minutes: it waits for up to 6
   * without a word. Silence during a tool call, or while somebody thinks about a permission, does not count.
   */
  readonly idleLimit?: Duration.DurationInput
  /** How long a turn waits for background tasks after its result. Default 2 minutes; then they are abandoned. */
  readonly backgroundDeadline?: Duration.DurationInput
  /** How long the program gets to interrupt its work before it is killed. Default 1 second; it takes 0.2. */
  readonly interruptGrace?: Duration.DurationInput
  /** How long a one-shot process may go on after its result before it is stopped. Default 2 seconds; it takes 0.1. */
  readonly exitGrace?: Duration.DurationInput
  /** Time between SIGTERM and SIGKILL. Default 3 seconds: with a command running, the program takes 1.6. */
  readonly killAfter?: Duration.DurationInput
  /** Versions that are known to work: from the first, below the second. Default from 2.1.0 below 3.0.0. */
  readonly supportedVersions?: { readonly from: string; readonly below: string }
  /** Bytes. Default 64 MiB: a line holds a whole file that is written, and a file of 3 MB was seen. */
  readonly maxLineBytes?: number
  /**
   * Files of the workspace that are appended to the system prompt, those that exist. Default `CLAUDE.md` and
   * `.claude/CLAUDE.md`, which the program does not load itself when it is told to ignore the project's settings.
   */
  readonly promptFiles?: ReadonlyArray<string>
  /** Bytes of each of these files; the rest is cut off. Default 256 KiB: it is sent with every call. */
  readonly maxPromptFileBytes?: number
  /** Further arguments, last on the command line. */
  readonly extraArgs?: ReadonlyArray<string>
}

/** Settings with every default filled in, durations as such. */
export interface ResolvedSettings {
  readonly binary: string
  readonly env: Readonly<Record<string, string>>
  readonly model: Option.Option<string>
  readonly mode: "warm" | "one_shot"
  readonly permissionDoor: "socket" | "stdio"
  readonly askFor: ReadonlyArray<string>
  readonly disallowedTools: ReadonlyArray<string>
  readonly maxRetries: number
  readonly idleLimit: Duration.Duration
  readonly backgroundDeadline: Duration.Duration
  readonly interruptGrace: Duration.Duration
  readonly exitGrace: Duration.Duration
  readonly killAfter: Duration.Duration
  readonly supportedVersions: { readonly from: string; readonly below: string }
  readonly maxLineBytes: number
  readonly promptFiles: ReadonlyArray<string>
  readonly maxPromptFileBytes: number
  readonly extraArgs: ReadonlyArray<string>
}

export const resolve = (settings: ClaudeCodeSettings): ResolvedSettings => ({
  binary: settings.binary ?? "claude",
  env: settings.env,
  model: Option.fromNullable(settings.model),
  mode: settings.mode ?? "warm",
  permissionDoor: settings.permissionDoor ?? "socket",
  askFor: settings.askFor ?? ["Bash", "Read", "Write", "Edit", "NotebookEdit", "WebFetch", "WebSearch"],
  disallowedTools: settings.disallowedTools ?? [
    "EnterPlanMode",
    "CronCreate",
    "ScheduleWakeup",
    "Monitor",
    "EnterWorktree"
  ],
  maxRetries: settings.maxRetries ?? 4,
  idleLimit: Duration.decode(settings.idleLimit ?? "7 minutes"),
  backgroundDeadline: Duration.decode(settings.backgroundDeadline ?? "2 minutes"),
  interruptGrace: Duration.decode(settings.interruptGrace ?? "1 second"),
  exitGrace: Duration.decode(settings.exitGrace ?? "2 seconds"),
  killAfter: Duration.decode(settings.killAfter ?? "3 seconds"),
  supportedVersions: settings.supportedVersions ?? { from: "2.1.0", below: "3.0.0" },
  maxLineBytes: settings.maxLineBytes ?? 64 * 1024 * 1024,
  promptFiles: settings.promptFiles ?? ["CLAUDE.md", ".claude/CLAUDE.md"],
  maxPromptFileBytes: settings.maxPromptFileBytes ?? 256 * 1024,
  extraArgs: settings.extraArgs ?? []
})

/** The prompt comes as lines of JSON on standard input, several over time; otherwise as one text that ends. */
export const isStreaming = (settings: ResolvedSettings): boolean =>
  settings.mode === "warm" || settings.permissionDoor === "stdio"

/**
 * Program and arguments. The prompt is never among them: it would be limited to 128 KiB, visible to everybody on the
 * machine, and taken for an option when it begins with a dash.
 */
export const commandLine = (
  settings: ResolvedSettings,
  options: {
    readonly gate: Option.Option<GateProgram>
    readonly resume: Option.Option<SessionId>
    /** Absolute path of a file for the end of the system prompt. */
    readonly promptFile: Option.Option<string>
  }
): ReadonlyArray<string> => {
  const given = (flag: string, value: Option.Option<string>) =>
    Option.match(value, { onNone: () => [], onSome: (it) => [flag, it] })
  const door = Option.match(options.gate, {
    onNone: () => ["--permission-prompt-tool", "stdio"],
    onSome: ({ mcpConfigPath, serverName, toolName }) => [
      "--mcp-config",
      mcpConfigPath,
      "--permission-prompt-tool",
      `mcp__${serverName}__${toolName}`
    ]
  })
  return [
    settings.binary,
    "-p",
    ...(isStreaming(settings) ? ["--input-format", "stream-json"] : []),
    "--output-format",
    "stream-json",
    "--verbose",
    ...given("--model", settings.model),
    ...given("--resume", options.resume),
    ...door,
    // The repository could switch the gate off by its own settings and servers, so none of them are read.
    "--strict-mcp-config",
    "--permission-mode",
    "default",
    "--setting-sources",
    "user",
    "--settings",
    JSON.stringify({ disableAllHooks: true, permissions: { defaultMode: "default", ask: settings.askFor } }),
    ...given(
      "--disallowedTools",
      settings.disallowedTools.length === 0 ? Option.none() : Option.some(settings.disallowedTools.join(","))
    ),
    ...given("--append-system-prompt-file", options.promptFile),
    ...settings.extraArgs
  ]
}

/** Set by the program for its children: inherited, they would make it think that it is one of them. */
const ofAnOuterAgent = ["CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SESSION_ID", "CLAUDE_CODE_SSE_PORT"]

/** The environment of the program. */
export const environment = (settings: ResolvedSettings, workspace: string): Record<string, string> => {
  const own = Object.fromEntries(Object.entries(settings.env).filter(([name]) => !ofAnOuterAgent.includes(name)))
  return {
    CLAUDE_CODE_MAX_RETRIES: String(settings.maxRetries),
    ...own,
    PWD: workspace,
    // The version that was checked is the version that runs.
    DISABLE_AUTOUPDATER: "1",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    // Says when a turn is really over.
    CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1",
    // The gate program gets no keys.
    CLAUDE_CODE_MCP_ALLOWLIST_ENV: "1",
    // A human may think about a permission for longer than 30 minutes.
    CLAUDE_CODE_MCP_TOOL_IDLE_TIMEOUT: "0",
    // Nothing works between turns.
    CLAUDE_CODE_DISABLE_CRON: "1"
  }
}

// What goes to standard input.

const line = (value: unknown): string => `${JSON.stringify(value)}\n`

/** A prompt, or a message in the middle of a turn. `uuid` comes back in events about it. */
export const userLine = (text: string, uuid: string): string =>
  line({
    type: "user",
    message: { role: "user", content: [{ type: "text", text }] },
    parent_tool_use_id: null,
    session_id: "",
    uuid
  })

/** A prompt that begins with a slash would be taken for a command of the program, such as `/clear`. */
export const promptText = (prompt: string): string =>
  prompt.trimStart().startsWith("/") ? `The task:\n\n${prompt}` : prompt

export const compactText = (focus: string): string => `/compact ${focus}`.trimEnd()

export const interruptLine = (requestId: string): string => controlLine(requestId, { subtype: "interrupt" })

/** Asks who it is and how it is set: answered before any prompt. */
export const greetingLine = (requestId: string): string => controlLine(requestId, { subtype: "initialize" })

/** Asks which MCP servers are connected. */
export const mcpStatusLine = (requestId: string): string => controlLine(requestId, { subtype: "mcp_status" })

const controlLine = (requestId: string, request: object): string =>
  line({ type: "control_request", request_id: requestId, request })

/** The answer to a `can_use_tool`. The input goes back with it: the program runs what it gets here. */
export const answerLine = (requestId: string, input: ToolInput, outcome: PermissionOutcome): string =>
  line({
    type: "control_response",
    response: {
      subtype: "success",
      request_id: requestId,
      response: isAllowed(outcome)
        ? { behavior: "allow", updatedInput: Option.getOrElse(outcome.updatedInput, () => input) }
        : { behavior: "deny", message: refusal(outcome) }
    }
  })

/** What an agent whose call was refused reads. */
export const refusal = (
  outcome: Exclude<PermissionOutcome, { readonly _tag: "AllowOnce" | "AllowSession" }>
): string => {
  switch (outcome._tag) {
    case "Deny":
      return outcome.message
    case "Unavailable":
      return `Nobody could decide about this call: ${outcome.reason}`
    case "Cancelled":
      return "The question was withdrawn, since the turn is ending"
  }
}

/** The answer to a request that the driver does not know. */
export const unsupportedLine = (requestId: string, subtype: string): string =>
  line({
    type: "control_response",
    response: { subtype: "error", request_id: requestId, error: `The driver does not serve ${subtype}` }
  })

// The checks of the first event.

type Init = Extract<ClaudeEvent, { readonly _tag: "Init" }>

const numbers = (version: string): ReadonlyArray<number> =>
  (/\d+(?:\.\d+)*/.exec(version)?.[0] ?? "").split(".").map(Number)

const isBelow = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean => {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}

/** What is wrong with a version, `2.1.329` or `2.1.329 (Claude Code)`; none when it is supported. */
export const versionProblem = (
  settings: Pick<ResolvedSettings, "binary" | "supportedVersions">,
  version: string | undefined
): Option.Option<AgentUnavailable> => {
  const { below, from } = settings.supportedVersions
  const found = numbers(version ?? "")
  if (version !== undefined && !isBelow(found, numbers(from)) && isBelow(found, numbers(below))) return Option.none()
  return Option.some(
    new AgentUnavailable({
      program: settings.binary,
      reason: "wrong_version",
      detail: `${version === undefined ? "it did not say its version" : `it is version ${version}`}, and versions from ${from} below ${below} are supported`,
      hint: `Install one of those: npm install --global @anthropic-ai/claude-code@${numbers(from)[0]}`
    })
  )
}

/** Why no tool may run under this program: it does not ask, or has nobody to ask. `gate` is the server's name. */
export const safetyProblem = (init: Init, gate: Option.Option<string>): Option.Option<AgentUnsafe> => {
  const mode = modeProblem(init.permissionMode ?? "unknown")
  if (Option.isSome(mode) || Option.isNone(gate)) return mode
  return gateProblem(gateStatus(init.mcpServers, gate.value), gate.value)
}

/** The same of its answer to the greeting, as far as that says it: the first event of the turn will say all of it. */
export const greetingProblem = (
  settings: Pick<ResolvedSettings, "binary" | "supportedVersions">,
  greeting: { readonly version: string | undefined; readonly permissionMode: string | undefined }
): Option.Option<AgentUnavailable | AgentUnsafe> =>
  Option.orElse(
    Option.flatMap(Option.fromNullable(greeting.version), (version) => versionProblem(settings, version)),
    () => Option.flatMap(Option.fromNullable(greeting.permissionMode), modeProblem)
  )

export const modeProblem = (permissionMode: string): Option.Option<AgentUnsafe> =>
  permissionMode === "default"
    ? Option.none()
    : Option.some(
        new AgentUnsafe({
          problem: "permission_mode",
          detail: `its permission mode is ${permissionMode} instead of default`
        })
      )

export const gateStatus = (
  servers: ReadonlyArray<{ readonly name: string; readonly status: string }>,
  gate: string
): string => servers.find(({ name }) => name === gate)?.status ?? "absent"

/** A server that is still `pending` may yet connect: until then every call that needs permission fails. */
export const gateProblem = (status: string, gate: string): Option.Option<AgentUnsafe> =>
  status === "connected" || status === "pending"
    ? Option.none()
    : Option.some(
        new AgentUnsafe({
          problem: "gate_not_connected",
          detail: `its permission server ${gate} is ${status} instead of connected`
        })
      )

// How it ended.

/** How a process ended. */
export type Exit =
  | { readonly _tag: "Exited"; readonly code: number }
  | { readonly _tag: "Signaled"; readonly signal: string }

/** `code 1`, `code 143 (SIGTERM)`, `signal SIGKILL`. */
export const describeExit = (exit: Option.Option<Exit>): string => {
  if (Option.isNone(exit)) return "it closed its output and went on running"
  if (exit.value._tag === "Signaled") return `signal ${exit.value.signal}`
  const name = { 129: "SIGHUP", 130: "SIGINT", 137: "SIGKILL", 143: "SIGTERM" }[exit.value.code]
  return `code ${exit.value.code}${name === undefined ? "" : ` (${name})`}`
}

/** The program says that nobody is logged in. */
export const isNotLoggedIn = (message: string): boolean => /not logged in|please run \/login/i.test(message)

export const notLoggedIn = (binary: string, detail: string): AgentUnavailable =>
  new AgentUnavailable({
    program: binary,
    reason: "not_logged_in",
    detail,
    hint: "Run it once by hand and log in with /login, or set ANTHROPIC_API_KEY in the environment of the driver"
  })

/** The session that was to be resumed is not there. Said on standard error where there is no result. */
export const isSessionDead = (stderr: string): boolean =>
  /no conversation found|--resume requires a valid session/i.test(stderr)

/** What an end without a result means. `stderr` is redacted. */
export const exitError = (
  binary: string,
  exit: Option.Option<Exit>,
  stderr: string
): AgentUnavailable | AgentUnsafe | AgentExited => {
  const detail = stderr.trim().split("\n").at(-1)?.trim() ?? ""
  if (isNotLoggedIn(stderr)) return notLoggedIn(binary, detail)
  if (/MCP tool \S+ .*not found/i.test(stderr)) {
    return new AgentUnsafe({ problem: "gate_not_connected", detail: "it did not find the tool that asks the gate" })
  }
  if (/unknown option/i.test(stderr)) {
    return new AgentUnavailable({
      program: binary,
      reason: "wrong_version",
      detail: `it does not know an option that the driver gives it: ${stderr.trim().split("\n")[0]}`,
      hint: "Update it, or take the option out of the driver's extra arguments"
    })
  }
  if (/native binary not installed/i.test(stderr)) {
    return new AgentUnavailable({
      program: binary,
      reason: "not_executable",
      detail,
      hint: "Its installation was left half done: install it again with install scripts and optional dependencies allowed"
    })
  }
  return new AgentExited({ exit: describeExit(exit), stderrTail: stderr })
}

/** Why it could not be started. */
export const spawnError = (
  binary: string,
  workspace: string,
  reason: "not_found" | "not_executable" | "bad_cwd" | "too_many_files" | "argument_list_too_long" | "other",
  detail: string
): AgentUnavailable => {
  switch (reason) {
    case "not_found":
      return new AgentUnavailable({
        program: binary,
        reason,
        detail: "there is no such program on the PATH",
        hint: "Install it (npm install --global @anthropic-ai/claude-code), or configure its absolute path"
      })
    case "not_executable":
      return new AgentUnavailable({
        program: binary,
        reason,
        detail: "the file may not be executed",
        hint: "Make it executable, or configure the path of the program itself"
      })
    case "bad_cwd":
      return badWorkspace(binary, workspace)
    case "too_many_files":
      return new AgentUnavailable({
        program: binary,
        reason: "spawn_failed",
        detail: "too many files are open",
        hint: "Raise the limit of open files (ulimit -n), or run fewer goals at once"
      })
    case "argument_list_too_long":
      return new AgentUnavailable({
        program: binary,
        reason: "spawn_failed",
        detail: "its arguments and environment are too long for the system",
        hint: "Shorten the extra arguments or the environment"
      })
    case "other":
      return new AgentUnavailable({
        program: binary,
        reason: "spawn_failed",
        detail,
        hint: "Start it once by hand in the same directory to see what is wrong"
      })
  }
}

export const badWorkspace = (binary: string, workspace: string): AgentUnavailable =>
  new AgentUnavailable({
    program: binary,
    reason: "bad_workspace",
    detail: `the workspace ${workspace} is no directory`,
    hint: "Somebody removed it: start the goal again, or prune its binding"
  })

// Secrets.

const looksSecret = /KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH|CUSTOM_HEADERS/i
/** `CLAUDE_CODE_MAX_OUTPUT_TOKENS` and the like are figures. */
const looksFigure = /TOKENS$/i
const userInfo = /\/\/[^/\s@:]*:([^/\s@]+)@/g

/** Characters below which a value is no secret, but would be found everywhere. */
const shortestSecret = 4

/** The values of an environment that must not be shown: of names that look like keys, and passwords in URLs. */
export const secretsOf = (env: Readonly<Record<string, string>>): ReadonlyArray<string> => {
  const found = new Set<string>()
  for (const [name, value] of Object.entries(env)) {
    if (looksSecret.test(name) && !looksFigure.test(name)) {
      found.add(value)
      for (const part of value.split(/\r?\n/)) found.add(part.trim())
    }
    for (const match of value.matchAll(userInfo)) found.add(match[1] ?? "")
  }
  // The longest first: one secret may contain another.
  return [...found].filter((value) => value.length >= shortestSecret).sort((a, b) => b.length - a.length)
}

const mask = "[redacted]"

/** Takes secrets out of a text, and halves of secrets off its ends, where it was cut. */
export const redact =
  (secrets: ReadonlyArray<string>) =>
  (text: string): string => {
    let safe = text
    for (const secret of secrets) safe = safe.replaceAll(secret, mask)
    const cutOff = safe.endsWith("…") ? safe.slice(0, -1) : safe
    for (const secret of secrets) {
      for (let length = secret.length - 1; length >= shortestSecret; length--) {
        if (cutOff.endsWith(secret.slice(0, length))) return redactStart(secrets, `${cutOff.slice(0, -length)}${mask}`)
      }
    }
    return redactStart(secrets, safe)
  }

const redactStart = (secrets: ReadonlyArray<string>, text: string): string => {
  for (const secret of secrets) {
    for (let length = secret.length - 1; length >= shortestSecret; length--) {
      if (text.startsWith(secret.slice(-length))) return `${mask}${text.slice(length)}`
    }
  }
  return text
}
