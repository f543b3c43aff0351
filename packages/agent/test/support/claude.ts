/** A world for `ClaudeCode`: directories, a program that stands in for the real one, and a gate. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { Agent, AgentEvent, type AgentSession, type TurnResult } from "@driver/agent/Agent"
import * as ClaudeCode from "@driver/agent/ClaudeCode"
import type { GateTicket } from "@driver/agent/PermissionGate"
import { Sandbox } from "@driver/agent/Sandbox"
import { Containment } from "@driver/agent/Subprocess"
import { SessionId } from "@driver/domain/Binding"
import { GoalId } from "@driver/domain/Goal"
import { AllowOnce } from "@driver/domain/Permission"
import { NodeContext } from "@effect/platform-node"
import { Chunk, Effect, Layer, Option, Schedule, Schema, Stream } from "effect"

const here = dirname(fileURLToPath(import.meta.url))
const programs = join(here, "..", "fixtures", "programs")
/** Plays a scenario. Bundled before the tests. */
export const stub = join(here, "..", "..", "..", "stub", "dist", "driver-stub.mjs")
/** Prints a capture. */
export const replay = join(programs, "replay.mjs")
const gateProgram = join(programs, "gate.mjs")

export interface World {
  readonly workspace: string
  readonly root: string
  readonly path: (name: string) => string
  readonly write: (name: string, content: string) => string
  readonly has: (name: string) => boolean
  /** What the program recorded: its starts, prompts and lines, oldest first. */
  readonly log: () => ReadonlyArray<Record<string, unknown>>
  readonly starts: () => ReadonlyArray<ReadonlyArray<string>>
  readonly env: Readonly<Record<string, string>>
  /** A ticket whose MCP server answers by rules: a regular expression on the call, and the reply. */
  readonly socketGate: (rules?: ReadonlyArray<readonly [string, unknown]>) => GateTicket
}

/** Directories of their own, removed with the scope; the scenario, if any, where the stand-in finds it. */
export const makeWorld = (scenario?: Record<string, unknown>) =>
  Effect.acquireRelease(
    Effect.sync((): World => {
      const root = realpathSync(mkdtempSync(join(tmpdir(), "driver-claude-test-")))
      const workspace = join(root, "workspace")
      mkdirSync(workspace)
      const path = (name: string) => join(workspace, name)
      const record = join(root, "record.jsonl")
      const scenarioFile = join(root, "scenario.json")
      writeFileSync(scenarioFile, JSON.stringify({ record, turns: [], ...scenario }))
      const log = () =>
        existsSync(record)
          ? readFileSync(record, "utf8")
              .split("\n")
              .filter((line) => line !== "")
              .map((line): Record<string, unknown> => JSON.parse(line))
          : []
      return {
        root,
        workspace,
        path,
        log,
        write: (name, content) => {
          mkdirSync(dirname(path(name)), { recursive: true })
          writeFileSync(path(name), content)
          return path(name)
        },
        has: (name) => existsSync(path(name)),
        starts: () => log().flatMap(({ argv }) => (Array.isArray(argv) ? [argv] : [])),
        env: {
          PATH: process.env["PATH"] ?? "",
          HOME: root,
          CLAUDE_CONFIG_DIR: join(root, "config"),
          DRIVER_STUB_SCENARIO: scenarioFile,
          REPLAY_LOG: record
        },
        socketGate: (rules = []) => {
          const mcpConfigPath = join(root, "mcp.json")
          const server = {
            type: "stdio",
            command: process.execPath,
            args: [gateProgram],
            env: { GATE_RULES: JSON.stringify(rules) }
          }
          writeFileSync(mcpConfigPath, JSON.stringify({ mcpServers: { gate: server } }))
          chmodSync(mcpConfigPath, 0o600)
          const program = Option.some({ serverName: "gate", toolName: "permission_prompt", mcpConfigPath })
          return { ...gate(), program }
        }
      }
    }),
    ({ root }) => Effect.sync(() => rmSync(root, { recursive: true, force: true }))
  )

/** A ticket that decides in this process; by default it allows. */
export const gate = (
  decide: GateTicket["decide"] = () => Effect.succeed(new AllowOnce({ updatedInput: Option.none(), rationale: "test" }))
): GateTicket => ({
  program: Option.none(),
  socket: Option.none(),
  decide,
  startTurn: () => Effect.void,
  startSession: Effect.void
})

export const goalId = Schema.decodeSync(GoalId)("00000000-0000-4000-8000-000000000001")
export const sessionId = Schema.decodeSync(SessionId)

/** Opens a session of the stand-in in the world. By default it asks by its control protocol. */
export const openSession = (
  world: World,
  options?: {
    readonly settings?: Partial<ClaudeCode.ClaudeCodeSettings>
    readonly env?: Readonly<Record<string, string>>
    readonly gate?: GateTicket
    readonly resume?: string
    readonly workspace?: string
  }
) =>
  Effect.gen(function* () {
    const agent = yield* Agent
    return yield* agent.open({
      goalId,
      workspace: options?.workspace ?? world.workspace,
      resume: Option.map(Option.fromNullable(options?.resume), sessionId),
      gate: options?.gate ?? gate()
    })
  }).pipe(
    Effect.provide(
      ClaudeCode.layer({
        binary: stub,
        permissionDoor: "stdio",
        ...options?.settings,
        env: { ...world.env, ...options?.env }
      }).pipe(Layer.provide([Containment.layerProcessGroup, Sandbox.layerOff]), Layer.provide(NodeContext.layer))
    )
  )

export const collect = <E>(events: Stream.Stream<AgentEvent, E>) =>
  Effect.map(Stream.runCollect(events), (chunk) => Chunk.toReadonlyArray(chunk))

export const ask = (session: AgentSession, prompt: string, turn = 1) => collect(session.turn({ prompt, turn }))

/** The result with which events end. */
export const resultOf = (events: ReadonlyArray<AgentEvent>): TurnResult => {
  const last = events.at(-1)
  if (last?._tag !== "TurnEnded") throw new Error(`the last event is ${last?._tag}`)
  if (events.filter(AgentEvent.$is("TurnEnded")).length !== 1) throw new Error("TurnEnded came more than once")
  return last.result
}

/** `completed: text`, `failed: class`, … */
export const endOf = (events: ReadonlyArray<AgentEvent>): string => {
  const { end } = resultOf(events)
  switch (end._tag) {
    case "Completed":
      return `completed: ${end.text}`
    case "Failed":
      return `failed: ${end.failure.class}`
    case "Interrupted":
      return "interrupted"
    case "LimitReached":
      return `limit: ${end.limit}`
  }
}

export const said = (events: ReadonlyArray<AgentEvent>): ReadonlyArray<string> =>
  events.filter(AgentEvent.$is("Said")).map(({ text }) => text)

/** Waits for something that a process brings about. */
export const eventually = (what: string, condition: () => boolean) =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (holds) => holds, schedule: Schedule.spaced("10 millis") }),
    Effect.timeoutFail({ duration: "1 minute", onTimeout: () => new Error(`It did not come to this: ${what}`) })
  )

/** Not gone, and not a zombie that nobody reaps. */
export const isAlive = (pid: number): boolean => {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}
