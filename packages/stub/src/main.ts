/**
 * `driver-stub`: a stand-in for the Claude Code CLI that plays a scenario file. See the README beside the sources.
 *
 * Reads the command line, settings and session, starts the MCP servers, and hands over to `Conversation`.
 */
import { existsSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { isatty } from "node:tty"
import { type Arguments, help, parseArguments, UsageError } from "./Arguments.js"
import { Conversation } from "./Conversation.js"
import { commandEnvironment } from "./commandEnvironment.js"
import { type Gate, mcpGate, noGate, stdioGate } from "./Gate.js"
import { type Json, mapping } from "./Json.js"
import { loadScenario, ScenarioFileError } from "./loadScenario.js"
import { type McpServerConfig, makeMcpServer, timeoutsFrom } from "./McpServer.js"
import { makeOutput, type OutputFormat, writeAll } from "./Output.js"
import { cannotResume } from "./Results.js"
import { type PermissionMode, permissionModes, type Scenario } from "./Scenario.js"
import {
  configDirectory,
  freshSession,
  isUuid,
  memorySessionStore,
  newSessionId,
  openSessionStore,
  type Session,
  type SessionStore,
  SessionStoreError
} from "./Session.js"
import { makeHookRunner, readSettings, type Settings } from "./Settings.js"

/** A command line that nothing can be played with: the sentence goes to stderr, the exit code is 1. */
const usage = (message: string): never => {
  throw new UsageError(message)
}

const outputFormat = (args: Arguments): OutputFormat => {
  const given = args.value("--output-format") ?? "text"
  const format = (["stream-json", "json", "text"] as const).find((name) => name === given)
  if (format === undefined)
    return usage(
      `error: option '--output-format <format>' argument '${given}' is invalid. Allowed choices are text, json, stream-json.`
    )
  if (format === "stream-json" && !args.has("--verbose")) {
    return usage("Error: When using --print, --output-format=stream-json requires --verbose")
  }
  return format
}

const isWarmInput = (args: Arguments, format: OutputFormat): boolean => {
  const given = args.value("--input-format") ?? "text"
  if (given !== "text" && given !== "stream-json") {
    return usage(
      `error: option '--input-format <format>' argument '${given}' is invalid. Allowed choices are text, stream-json.`
    )
  }
  if (given === "stream-json" && format !== "stream-json") {
    return usage("Error: --input-format=stream-json requires output-format=stream-json.")
  }
  return given === "stream-json"
}

/** The scenario forces it, the flag chooses it, the settings propose it. */
const permissionMode = (args: Arguments, settings: Settings, scenario: Scenario): PermissionMode => {
  const flag = args.has("--dangerously-skip-permissions") ? "bypassPermissions" : args.value("--permission-mode")
  const asked = flag ?? settings.defaultMode ?? "default"
  const mode = permissionModes.find((name) => name === (asked === "manual" ? "default" : asked))
  if (mode === undefined) {
    return usage(
      `error: option '--permission-mode <mode>' argument '${asked}' is invalid. Allowed choices are acceptEdits, auto, bypassPermissions, manual, dontAsk, plan.`
    )
  }
  if (mode === "bypassPermissions" && process.getuid?.() === 0) {
    return usage("--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons")
  }
  return scenario.startup.permissionMode ?? mode
}

const serversIn = (source: string, text: string): ReadonlyArray<McpServerConfig> => {
  let config: Json
  try {
    config = mapping(JSON.parse(text))
  } catch {
    return usage(`Error: Invalid MCP configuration:\nMCP config is not a valid JSON: ${source}`)
  }
  return Object.entries(mapping(config["mcpServers"])).map(([name, value]) => {
    const { command, args, env } = mapping(value)
    if (typeof command !== "string")
      return usage(`Error: Invalid MCP configuration:\nmcpServers.${name}: expected a command`)
    return {
      name,
      command,
      args: Array.isArray(args) ? args.map(String) : [],
      env: Object.fromEntries(Object.entries(mapping(env)).map(([key, entry]) => [key, String(entry)]))
    }
  })
}

const mcpServers = (args: Arguments, cwd: string): ReadonlyArray<McpServerConfig> => {
  const given = args.raw("--mcp-config").flatMap((source) => {
    if (source.trim().startsWith("{")) return serversIn("--mcp-config", source)
    const file = resolve(cwd, source)
    if (!existsSync(file)) return usage(`Error: Invalid MCP configuration:\nMCP config file not found: ${file}`)
    return serversIn(file, readFileSync(file, "utf8"))
  })
  const ofProject = join(cwd, ".mcp.json")
  const found =
    !args.has("--strict-mcp-config") && existsSync(ofProject)
      ? serversIn(ofProject, readFileSync(ofProject, "utf8"))
      : []
  return [...given, ...found.filter(({ name }) => given.every((server) => server.name !== name))]
}

type Start =
  | { readonly session: Session; readonly isResumed: boolean }
  | { readonly sessionId: string; readonly error: string }

const startSession = (args: Arguments, store: SessionStore, cwd: string): Start => {
  const resume = args.value("--resume")
  const wanted = args.value("--session-id")
  if (resume !== undefined) {
    if (!isUuid(resume)) {
      return {
        sessionId: newSessionId(),
        error: `Error: --resume requires a valid session ID or session title when used with --print. Usage: claude -p --resume <session-id|title>. Provided value "${resume}" is not a UUID and does not match any session title.`
      }
    }
    const session = store.find(resume)
    if (session === undefined) return { sessionId: resume, error: `No conversation found with session ID: ${resume}` }
    return {
      session: args.has("--fork-session") ? { ...session, id: wanted ?? newSessionId() } : session,
      isResumed: true
    }
  }
  if (wanted === undefined) return { session: freshSession(newSessionId(), cwd), isResumed: false }
  if (!isUuid(wanted)) return usage("Error: Invalid session ID. Must be a valid UUID.")
  if (store.find(wanted) !== undefined) return usage(`Error: Session ID ${wanted} is already in use.`)
  return { session: freshSession(wanted, cwd), isResumed: false }
}

/** Everything on stdin. With a prompt on the command line too, an open stdin that stays silent is given up after 3 s. */
const readStdin = (hasPrompt: boolean): Promise<string> =>
  new Promise((done) => {
    if (isatty(0)) return done("")
    let text = ""
    const timer = hasPrompt
      ? setTimeout(() => {
          writeAll(
            2,
            "Warning: no stdin data received in 3s, proceeding without it. If piping from a slow command, redirect stdin explicitly: < /dev/null to skip, or wait longer.\n"
          )
          process.stdin.destroy()
          done("")
        }, 3_000)
      : undefined
    process.stdin.setEncoding("utf8")
    process.stdin.on("data", (chunk) => {
      clearTimeout(timer)
      text += chunk
    })
    // A stdin that cannot be read brings no prompt.
    process.stdin.on("error", () => done(text))
    process.stdin.on("end", () => {
      clearTimeout(timer)
      done(text)
    })
  })

/** Calls back for each line of stdin, and for its end. */
const readLines = (onLine: (line: string) => void, onEnd: () => void): void => {
  let parts: Array<string> = []
  process.stdin.setEncoding("utf8")
  process.stdin.on("data", (chunk: string) => {
    const lines = chunk.split("\n")
    const rest = lines.pop() ?? ""
    for (const line of lines) {
      const whole = [...parts, line].join("")
      parts = []
      onLine(whole)
    }
    if (rest !== "") parts.push(rest)
  })
  process.stdin.on("error", onEnd)
  process.stdin.on("end", () => {
    if (parts.length > 0) onLine(parts.join(""))
    onEnd()
  })
}

const main = async (): Promise<void> => {
  const args = parseArguments(process.argv.slice(2))
  const { env } = process
  if (args.has("--help")) return writeAll(1, help)
  const file = args.value("--scenario") ?? env["DRIVER_STUB_SCENARIO"]
  if (args.has("--version")) {
    const version = file === undefined ? "2.1.329" : (await loadScenario(file)).startup.version
    return writeAll(1, `${version} (driver-stub)\n`)
  }
  if (file === undefined) return usage("driver-stub: no scenario. Pass --scenario <file>, or set DRIVER_STUB_SCENARIO.")
  const scenario = await loadScenario(file)
  const { startup } = scenario
  if (startup.delay > 0) await new Promise((done) => setTimeout(done, Math.min(startup.delay, 2 ** 30)))
  if (startup.exit !== undefined) {
    if (startup.exit.stderr !== "") writeAll(2, `${startup.exit.stderr}\n`)
    process.exit(startup.exit.code)
  }
  if (!args.has("--print") && isatty(0)) return usage("driver-stub: only print mode is there. Pass -p.")

  const format = outputFormat(args)
  const isWarm = isWarmInput(args, format)
  const cwd = process.cwd()
  for (const flag of ["--append-system-prompt-file", "--system-prompt-file"]) {
    const prompt = args.value(flag)
    if (prompt !== undefined && !existsSync(prompt))
      return usage(`Error: System prompt file not found: ${resolve(prompt)}`)
  }
  const settings = readSettings({
    configDirectory: configDirectory(env),
    cwd,
    sources: args.value("--setting-sources"),
    flag: args.value("--settings")
  })
  for (const warning of settings.warnings) writeAll(2, `${warning}\n`)
  const mode = permissionMode(args, settings, scenario)
  const configs = mcpServers(args, cwd)
  const store = args.has("--no-session-persistence") ? memorySessionStore() : openSessionStore(env)

  const output = makeOutput(format, (text) => writeAll(1, text))
  const started = startSession(args, store, cwd)
  if ("error" in started) {
    cannotResume(output, started.sessionId, started.error)
    return usage(started.error)
  }
  const { session, isResumed } = started
  const serverEnv = () => commandEnvironment(env, settings, session.id)
  const servers =
    startup.gateStatus === "failed"
      ? []
      : configs.map((config) => makeMcpServer(config, cwd, serverEnv, startup.version, timeoutsFrom(env)))
  const promptTool = args.value("--permission-prompt-tool")
  const stdio = promptTool === "stdio" ? stdioGate(output) : undefined
  const gate: Gate = stdio ?? (promptTool === undefined ? noGate : mcpGate(promptTool, servers, env))
  // The handshake goes on while the prompt is read; the first turn waits for it.
  for (const server of servers) void server.connect()

  const conversation = new Conversation({
    args,
    scenario,
    settings,
    hooks: makeHookRunner(
      settings,
      cwd,
      serverEnv,
      args.has("--include-hook-events") ? (event) => void output.event(event) : undefined
    ),
    servers,
    failedServers: startup.gateStatus === "failed" ? configs.map(({ name }) => name) : [],
    gate,
    stdio,
    store,
    session,
    isResumed,
    mode,
    cwd,
    env,
    output,
    isWarm
  })
  process.on("SIGINT", () => conversation.sigint())
  process.on("SIGTERM", () => {
    if (!scenario.ignoreSigterm) conversation.terminate(143)
  })
  process.on("SIGHUP", () => conversation.terminate(129))
  if (isWarm) {
    readLines(
      (line) => conversation.line(line),
      () => conversation.endOfInput()
    )
  } else {
    const piped = await readStdin(args.prompt !== undefined)
    const prompt = [args.prompt, piped.trimEnd()].filter((part) => part !== undefined && part !== "").join("\n")
    if (prompt.trim() === "") {
      return usage("Error: Input must be provided either through stdin or as a prompt argument when using --print")
    }
    conversation.prompt(prompt)
  }
  await conversation.run()
}

/** What a person can mend is told in a sentence; anything else is a bug of this program, with its trace. */
const explain = (error: unknown): string => {
  const expected =
    error instanceof UsageError || error instanceof ScenarioFileError || error instanceof SessionStoreError
  if (expected) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

main().catch((error: unknown) => {
  writeAll(2, `${explain(error)}\n`)
  process.exit(1)
})
