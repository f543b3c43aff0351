/** Runs the bundled program as the driver would: a process, lines in, lines out. And the captures to compare with. */
import { type ChildProcessByStdio, spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import type { Readable, Writable } from "node:stream"
import { fileURLToPath } from "node:url"
import { afterAll, assert } from "vitest"

const here = dirname(fileURLToPath(import.meta.url))
export const program = join(here, "..", "dist", "driver-stub.mjs")
export const scenarios = join(here, "..", "scenarios")
const gateProgram = join(here, "fixtures", "gate.mjs")

// Events are examined field by field; what they hold is what the tests are about.
// biome-ignore lint/suspicious/noExplicitAny: parsed JSON
export type Json = any

export interface Directory {
  /** The working directory of the agent. */
  readonly cwd: string
  readonly config: string
  path(name: string): string
  write(name: string, content: string): string
  read(name: string): string
  has(name: string): boolean
}

const directories: Array<string> = []
const running = new Set<ChildProcessByStdio<Writable, Readable, Readable>>()

afterAll(() => {
  for (const child of running) child.kill("SIGKILL")
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

/** A working directory and a config directory of its own, removed after the file's tests. */
export const directory = (): Directory => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "driver-stub-test-")))
  directories.push(root)
  const cwd = join(root, "work")
  mkdirSync(cwd)
  const path = (name: string) => join(cwd, name)
  return {
    cwd,
    config: join(root, "config"),
    path,
    write: (name, content) => {
      mkdirSync(dirname(path(name)), { recursive: true })
      writeFileSync(path(name), content)
      return path(name)
    },
    read: (name) => readFileSync(path(name), "utf8"),
    has: (name) => existsSync(path(name))
  }
}

export interface Options {
  readonly at?: Directory
  /** A scenario's content, or the path of its file. */
  readonly scenario?: Json
  readonly args?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** Sent at once, and stdin closed. */
  readonly prompt?: string
  /** Answers of the gate fixture; `false` for no gate at all. */
  readonly gate?: ReadonlyArray<Json> | false
}

export interface Exit {
  readonly code: number | null
  readonly signal: string | null
}

export interface Running {
  readonly at: Directory
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>
  /** Lines so far that are JSON. */
  readonly events: ReadonlyArray<Json>
  /** Lines so far that are not. */
  readonly torn: ReadonlyArray<string>
  stderr(): string
  send(message: Json): void
  user(text: string, uuid?: string): void
  end(): void
  /** The first event, from the start on, that satisfies; also one that has been printed already. */
  event(satisfies: (event: Json) => boolean): Promise<Json>
  /** The result of this index. */
  result(index?: number): Promise<Json>
  readonly exit: Promise<Exit>
  /** What the gate fixture received. */
  gateLog(): ReadonlyArray<Json>
}

export const streamJson = ["-p", "--output-format", "stream-json", "--verbose"]
export const warm = [...streamJson, "--input-format", "stream-json"]

let scenarioCount = 0

/** Starts the program. */
export const start = (options: Options): Running => {
  const at = options.at ?? directory()
  const scenario =
    typeof options.scenario === "string" ? options.scenario : join(dirname(at.cwd), `scenario-${scenarioCount++}.json`)
  if (typeof options.scenario === "object") writeFileSync(scenario, JSON.stringify(options.scenario))
  const gateLog = join(dirname(at.cwd), "gate.log")
  const mcp = JSON.stringify({
    mcpServers: {
      gate: {
        command: process.execPath,
        args: [gateProgram],
        env: { GATE_LOG: gateLog, GATE_RULES: JSON.stringify(options.gate === false ? [] : (options.gate ?? [])) }
      }
    }
  })
  const gate =
    options.gate === undefined || options.gate === false
      ? []
      : ["--permission-prompt-tool", "mcp__gate__permission_prompt", "--strict-mcp-config", "--mcp-config", mcp]
  const child = spawn(
    process.execPath,
    [
      program,
      ...(options.scenario === undefined ? [] : ["--scenario", scenario]),
      ...(options.args ?? streamJson),
      ...gate
    ],
    {
      cwd: at.cwd,
      env: {
        PATH: process.env["PATH"],
        HOME: dirname(at.cwd),
        CLAUDE_CONFIG_DIR: at.config,
        TMPDIR: dirname(at.cwd),
        ...options.env
      },
      stdio: ["pipe", "pipe", "pipe"]
    }
  )
  running.add(child)
  const events: Array<Json> = []
  const torn: Array<string> = []
  const waiting = new Set<() => void>()
  let stderr = ""
  const rest: Array<string> = []
  const take = (line: string) => {
    if (line === "") return
    try {
      events.push(JSON.parse(line))
    } catch {
      torn.push(line)
    }
  }
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    const lines = chunk.split("\n")
    const last = lines.pop() ?? ""
    for (const line of lines) take(rest.splice(0).join("") + line)
    rest.push(last)
    for (const check of [...waiting]) check()
  })
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    stderr += chunk
  })
  child.stdin.on("error", () => {})
  const exit = new Promise<Exit>((done) => {
    child.on("close", (code, signal) => {
      running.delete(child)
      take(rest.join(""))
      for (const check of [...waiting]) check()
      done({ code, signal })
    })
  })
  const send = (message: Json) =>
    void child.stdin.write(typeof message === "string" ? `${message}\n` : `${JSON.stringify(message)}\n`)
  const event = (satisfies: (event: Json) => boolean): Promise<Json> =>
    new Promise((done, fail) => {
      const check = () => {
        const found = events.find(satisfies)
        if (found === undefined && running.has(child)) return
        waiting.delete(check)
        if (found !== undefined) done(found)
        else
          fail(
            new Error(
              `the program ended without the event; it printed\n${JSON.stringify(events, null, 1).slice(0, 4000)}\n${torn}\n${stderr}`
            )
          )
      }
      waiting.add(check)
      check()
    })
  if (options.prompt !== undefined) child.stdin.end(options.prompt)
  return {
    at,
    child,
    events,
    torn,
    stderr: () => stderr,
    send,
    user: (text, uuid) =>
      send({
        type: "user",
        message: { role: "user", content: [{ type: "text", text }] },
        ...(uuid === undefined ? {} : { uuid })
      }),
    end: () => void child.stdin.end(),
    event,
    result: (index = 0) => event(({ type, result_index }) => type === "result" && result_index === index),
    exit,
    gateLog: () =>
      existsSync(gateLog)
        ? readFileSync(gateLog, "utf8")
            .split("\n")
            .slice(0, -1) // a line that is being written has no end yet
            .map((line) => JSON.parse(line))
        : []
  }
}

export interface Ran extends Omit<Running, "exit" | "result"> {
  readonly exit: Exit
  readonly result: Json
}

/** Runs to the end; `result` is the last one. */
export const run = async (options: Options): Promise<Ran> => {
  const started = start({ prompt: "do it", ...options })
  const exit = await started.exit
  return { ...started, exit, result: started.events.filter(({ type }) => type === "result").at(-1) }
}

export const kinds = (events: ReadonlyArray<Json>): ReadonlyArray<string> =>
  events.map(({ type, subtype }) => (subtype === undefined ? type : `${type}/${subtype}`))

/** The gate's tools/call messages. */
export const asks = (ran: { gateLog(): ReadonlyArray<Json> }): ReadonlyArray<Json> =>
  ran
    .gateLog()
    .filter(({ method }) => method === "tools/call")
    .map(({ params }) => params.arguments)

export const capture = (name: string): ReadonlyArray<Json> =>
  readFileSync(join(here, "fixtures", "captures", `${name}.jsonl`), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))

/** Fields that say nothing a driver reads, or that belong to the real agent's insides. */
const unread = [
  /^(assistant|user).*\.(diagnostics|container|stop_details)$/,
  /^system\/init\.memory_paths\./,
  /^result.*\.(time_to_request_ms|first_content_frame_ms|ttft_stream_ms|request_sent_wall_ms|first_request_\w+)$/,
  /\.subagent_stats\.by_type\./,
  /\.structuredPatch\[\]/,
  /tool_use_result\.(noOutputExpected|outputFile|canReadOutputFile|canContinueAgent|toolsUsed|harness\w+|toolStats|usage)\b/,
  /\.tool_use_result\.content\[\]/
]

/** Every key path of a value, list elements as `[]`, values of per-model maps as `*`. */
const keyPaths = (value: Json, path: string, into: Set<string>): void => {
  if (Array.isArray(value)) {
    for (const item of value) keyPaths(item, `${path}[]`, into)
  } else if (typeof value === "object" && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      const name = /\.(modelUsage|model_usage_since_last_result)$/.test(path) ? "*" : key
      into.add(`${path}.${name}`)
      keyPaths(inner, `${path}.${name}`, into)
    }
  }
}

const kindOf = (event: Json): string => {
  const content = event.message?.content
  const block = Array.isArray(content) ? content[0]?.type : event.type === "user" ? "string" : undefined
  const inner =
    event.type === "stream_event"
      ? [event.event.type, event.event.delta?.type].join(".")
      : (event.response?.subtype ?? event.request?.subtype)
  return [event.type, event.subtype ?? block ?? inner].filter((part) => part !== undefined).join("/")
}

const pathsByKind = (events: ReadonlyArray<Json>): Map<string, Array<Set<string>>> => {
  const kinds = new Map<string, Array<Set<string>>>()
  for (const event of events) {
    const kind = kindOf(event)
    const paths = new Set<string>()
    keyPaths(event, kind, paths)
    kinds.set(kind, [...(kinds.get(kind) ?? []), paths])
  }
  return kinds
}

/**
 * Every key path that an event of the capture has is in the program's event of the same kind and position among its
 * kind. `but` names kinds that are compared elsewhere.
 */
export const assertShapes = (captured: string, events: ReadonlyArray<Json>, but: ReadonlyArray<string> = []): void => {
  const ours = pathsByKind(events)
  for (const [kind, theirs] of pathsByKind(capture(captured))) {
    if (but.includes(kind)) continue
    const mine = ours.get(kind) ?? []
    assert.isAtLeast(mine.length, theirs.length, `${captured}: as many ${kind} events as captured`)
    for (const [i, paths] of theirs.entries()) {
      const missing = [...paths].filter(
        (path) => !unread.some((pattern) => pattern.test(path)) && !(mine[i]?.has(path) ?? false)
      )
      assert.deepEqual(missing, [], `${captured}: keys missing in ${kind} number ${i}`)
    }
  }
}

/** Polls what cannot be waited for: another process, a file. */
export const eventually = async (holds: () => boolean, what: string): Promise<void> => {
  const deadline = Date.now() + 60_000
  while (!holds()) {
    if (Date.now() > deadline) assert.fail(`not within a minute: ${what}`)
    await new Promise((done) => setTimeout(done, 10))
  }
}

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  // A zombie is dead, though its parent has not looked yet.
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}
