/**
 * The settings in force: user, project, local and `--settings`, in this order, later ones winning.
 *
 * Faithful to a danger of the real agent: a repository's `.claude/settings.json` is honoured in print mode (hooks,
 * permissions.defaultMode, env.ANTHROPIC_BASE_URL, apiKeyHelper) unless --setting-sources leaves `project` out or
 * --settings overrides it. A driver's tests need an agent that can be switched off by a repository like this.
 */
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { UsageError } from "./Arguments.js"
import { type Json, mapping } from "./Json.js"
import { type Event, system } from "./Output.js"

/** A command to run at an event, for the tools that `matcher` matches. */
interface Hook {
  readonly event: string
  readonly matcher: string
  readonly command: string
}

export interface Settings {
  readonly defaultMode: string | undefined
  readonly ask: ReadonlyArray<string>
  readonly allow: ReadonlyArray<string>
  readonly deny: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  /** The source that names env.ANTHROPIC_BASE_URL. */
  readonly baseUrlSource: string | undefined
  readonly apiKeyHelper: string | undefined
  readonly hooks: ReadonlyArray<Hook>
  readonly disableAllHooks: boolean
  /** Sentences for stderr. */
  readonly warnings: ReadonlyArray<string>
}

const none: Settings = {
  defaultMode: undefined,
  ask: [],
  allow: [],
  deny: [],
  env: {},
  baseUrlSource: undefined,
  apiKeyHelper: undefined,
  hooks: [],
  disableAllHooks: false,
  warnings: []
}

const items = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

const strings = (value: unknown): ReadonlyArray<string> => items(value).filter((item) => typeof item === "string")

const hooksOf = (settings: Json): ReadonlyArray<Hook> =>
  Object.entries(mapping(settings["hooks"])).flatMap(([event, groups]) =>
    items(groups)
      .map(mapping)
      .flatMap((group) =>
        items(group["hooks"])
          .map(mapping)
          .flatMap(({ command }) =>
            typeof command === "string"
              ? [{ event, command, matcher: typeof group["matcher"] === "string" ? group["matcher"] : "" }]
              : []
          )
      )
  )

const merge = (before: Settings, source: string, trusted: boolean, settings: Json): Settings => {
  const permissions = mapping(settings["permissions"])
  const env = Object.fromEntries(Object.entries(mapping(settings["env"])).map(([name, value]) => [name, String(value)]))
  const allow = strings(permissions["allow"])
  const helper = settings["apiKeyHelper"]
  const mode = permissions["defaultMode"]
  return {
    defaultMode: typeof mode === "string" ? mode : before.defaultMode,
    ask: [...before.ask, ...strings(permissions["ask"])],
    allow: trusted ? [...before.allow, ...allow] : before.allow,
    deny: [...before.deny, ...strings(permissions["deny"])],
    env: { ...before.env, ...env },
    baseUrlSource: "ANTHROPIC_BASE_URL" in env ? source : before.baseUrlSource,
    apiKeyHelper: typeof helper === "string" ? (helper === "" ? undefined : helper) : before.apiKeyHelper,
    hooks: [...before.hooks, ...hooksOf(settings)],
    disableAllHooks:
      typeof settings["disableAllHooks"] === "boolean" ? settings["disableAllHooks"] : before.disableAllHooks,
    warnings:
      trusted || allow.length === 0
        ? before.warnings
        : [
            ...before.warnings,
            `Ignoring ${allow.length} permissions.allow entries from ${source}: this workspace has not been trusted.`
          ]
  }
}

const parse = (source: string, text: string): Json => {
  try {
    return mapping(JSON.parse(text))
  } catch {
    throw new UsageError(`Error: Invalid JSON in ${source}`)
  }
}

export interface SettingsInputs {
  readonly configDirectory: string
  readonly cwd: string
  /** --setting-sources; `undefined` means all of them. */
  readonly sources: string | undefined
  /** --settings: JSON, or the path of a file that holds it. */
  readonly flag: string | undefined
}

/** Throws `UsageError` when a file or the flag is not JSON, or a source is unknown. */
export const readSettings = ({ configDirectory, cwd, sources, flag }: SettingsInputs): Settings => {
  const wanted = (sources ?? "user,project,local")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "")
  for (const name of wanted) {
    if (!["user", "project", "local"].includes(name)) {
      throw new UsageError(
        `Error processing --setting-sources: Invalid setting source: ${name}. Valid options are: user, project, local`
      )
    }
  }
  const files = [
    { name: "user", shown: "the user's settings.json", file: join(configDirectory, "settings.json"), trusted: true },
    { name: "project", shown: ".claude/settings.json", file: join(cwd, ".claude", "settings.json"), trusted: false },
    {
      name: "local",
      shown: ".claude/settings.local.json",
      file: join(cwd, ".claude", "settings.local.json"),
      trusted: false
    }
  ]
  const fromFiles = files
    .filter(({ name, file }) => wanted.includes(name) && existsSync(file))
    .reduce(
      (merged, { shown, file, trusted }) => merge(merged, shown, trusted, parse(file, readFileSync(file, "utf8"))),
      none
    )
  if (flag === undefined) return fromFiles
  const isJson = flag.trim().startsWith("{")
  if (!isJson && !existsSync(flag)) throw new UsageError(`Error: Settings file not found: ${flag}`)
  return merge(fromFiles, "--settings", true, parse("--settings", isJson ? flag : readFileSync(flag, "utf8")))
}

export interface HookOutcome {
  readonly decision: "allow" | "deny" | "ask" | undefined
  readonly reason: string
}

const decisionIn = (stdout: string): HookOutcome | undefined => {
  try {
    const output = mapping(mapping(JSON.parse(stdout))["hookSpecificOutput"])
    const decision = output["permissionDecision"]
    if (decision === "allow" || decision === "deny" || decision === "ask") {
      return { decision, reason: String(output["permissionDecisionReason"] ?? "") }
    }
  } catch {
    // Output that is not JSON says nothing about permission.
  }
  return undefined
}

const runShell = (command: string, input: string, cwd: string, env: NodeJS.ProcessEnv) =>
  new Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>((done) => {
    const child = spawn("/bin/sh", ["-c", command], { cwd, env, stdio: ["pipe", "pipe", "pipe"] })
    const out = { stdout: "", stderr: "" }
    child.stdout.on("data", (chunk) => (out.stdout += chunk))
    child.stderr.on("data", (chunk) => (out.stderr += chunk))
    child.on("error", (error) => done({ code: 127, stdout: "", stderr: error.message }))
    child.on("close", (code) => done({ code: code ?? 1, ...out }))
    // A hook that does not read its input closes the pipe early.
    child.stdin.on("error", () => {})
    child.stdin.end(input)
  })

export interface HookRunner {
  /** Runs the hooks of an event. The last decision about permission wins; exit code 2 denies. */
  run(event: string, matched: string, input: Json): Promise<HookOutcome>
}

export const makeHookRunner = (
  settings: Settings,
  cwd: string,
  env: () => NodeJS.ProcessEnv,
  emit: ((event: Event) => void) | undefined
): HookRunner => ({
  run: async (event, matched, input) => {
    let outcome: HookOutcome = { decision: undefined, reason: "" }
    for (const hook of settings.disableAllHooks ? [] : settings.hooks.filter((hook) => hook.event === event)) {
      if (hook.matcher !== "" && hook.matcher !== "*" && !new RegExp(`^(?:${hook.matcher})$`).test(matched)) continue
      const labels = { hook_id: randomUUID(), hook_name: `${event}:${matched}`, hook_event: event }
      emit?.(system("hook_started", labels))
      const { code, stdout, stderr } = await runShell(
        hook.command,
        JSON.stringify({ hook_event_name: event, cwd, ...input }),
        cwd,
        env()
      )
      emit?.(
        system("hook_response", {
          ...labels,
          output: stdout,
          stdout,
          stderr,
          exit_code: code,
          outcome: code === 0 ? "success" : "error"
        })
      )
      outcome = decisionIn(stdout) ?? (code === 2 ? { decision: "deny", reason: stderr.trim() } : outcome)
    }
    return outcome
  }
})

/** Runs apiKeyHelper, as the real agent does before its first request. The key it prints is not used. */
export const runApiKeyHelper = async (settings: Settings, cwd: string, env: NodeJS.ProcessEnv): Promise<void> => {
  if (settings.apiKeyHelper !== undefined) await runShell(settings.apiKeyHelper, "", cwd, env)
}
