// What the driver adds to a warm turn: from the agent's result to the next prompt in the agent's hands, with one shell
// criterion `true`, checkpoint and diff stat in a repository of 1,000 files. The floor is the time of the same git and
// shell commands, run alone, taken in the same run.
import { spawn, spawnSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { driverLayer } from "../../packages/cli/src/Composition.js"
import { Budget, Goal, GoalId, Shell } from "../../packages/domain/src/Goal.js"
import { Driver } from "../../packages/runtime/src/Driver.js"
import { EventSink } from "../../packages/runtime/src/EventSink.js"
import * as Git from "../../packages/runtime/src/Git.js"
import { settingsOf, type World } from "./settings.js"
import { median, quantile, report, stub, withWorld } from "./support.mjs"

const turns = 30

interface Call {
  readonly at: number
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly cwd: string
  readonly env: Record<string, string>
}

/** The commands that a script runs, as git traces them. */
const commandsIn = (trace: string): ReadonlyArray<ReadonlyArray<string>> =>
  readFileSync(trace, "utf8")
    .split("\n")
    .filter((line) => line.includes('"event":"start"'))
    .map((line): { readonly argv: ReadonlyArray<string> } => JSON.parse(line))
    .map(({ argv }) => argv.slice(1))

/** The real git, which also writes down what it is asked to run. A script counts as its commands: its first runs are traced for that, the very first one being another. */
const recording = (calls: Array<Call>, world: World) =>
  Layer.effect(
    Git.Git,
    Effect.map(Git.Git, ({ run, script }) => {
      const scripts = new Map<
        string,
        { readonly runs: number; readonly commands: ReadonlyArray<ReadonlyArray<string>> }
      >()
      const note = (commands: ReadonlyArray<ReadonlyArray<string>>, call: Pick<Git.GitCall, "cwd" | "env">) => {
        const env = { ...world.env, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1", ...call.env }
        const at = performance.timeOrigin + performance.now()
        calls.push(...commands.map((args) => ({ at, command: "git", args, cwd: call.cwd, env })))
      }
      return {
        run: (call: Git.GitCall) =>
          Effect.suspend(() => {
            note([call.args], call)
            return run(call)
          }),
        script: (call: Git.GitScript) =>
          Effect.suspend(() => {
            const { commands, runs } = scripts.get(call.name) ?? { commands: [], runs: 0 }
            if (runs === 3) {
              note(commands, call)
              return script(call)
            }
            const trace = join(world.directory, `trace-${call.name}-${runs}`)
            return Effect.tap(script({ ...call, env: { ...call.env, GIT_TRACE2_EVENT: trace } }), () =>
              Effect.sync(() => scripts.set(call.name, { runs: runs + 1, commands: commandsIn(trace) }))
            )
          })
      }
    })
  ).pipe(Layer.provide(Git.Git.layer()))

/** One command alone, its output read. Milliseconds. */
const timeOf = (command: string, args: ReadonlyArray<string>, cwd: string, env: Record<string, string>) =>
  new Promise<number>((done) => {
    const started = performance.now()
    const child = spawn(command, [...args], { cwd, env, stdio: ["ignore", "pipe", "pipe"] })
    child.stdout.resume()
    child.stderr.resume()
    child.on("close", () => done(performance.now() - started))
  })

const measure = async (world: World, sandbox: "off" | "required") => {
  const log = join(world.directory, "log.jsonl")
  const scenario = join(world.directory, "scenario.json")
  const write = (turn: number) => ({
    steps: [
      { tool: "Write", input: { file_path: `d${turn % 20}/f${turn}.txt`, content: `turn ${turn}\n` } },
      { say: "done" }
    ]
  })
  writeFileSync(
    scenario,
    JSON.stringify({ record: log, turns: Array.from({ length: turns }, (_, turn) => write(turn)) })
  )
  const calls: Array<Call> = []
  const goal = new Goal({
    id: GoalId.make(crypto.randomUUID()),
    description: "Go on",
    // Passes as a command and fails as a criterion, so that there is a next turn.
    acceptance: [new Shell({ command: "true", expectedExit: 1 })],
    budget: new Budget({ maxTurns: turns })
  })
  const settings = settingsOf(world, scenario, stub, sandbox)
  const layer = driverLayer(
    {
      ...settings,
      config: { ...settings.config, stuck: { ...settings.config.stuck, sameFailures: 0, repeatedCalls: 0 } }
    },
    { git: recording(calls, world) }
  ).pipe(Layer.provide(EventSink.layerNoop))
  await Effect.runPromise(
    Effect.flatMap(Driver, (driver) => driver.run(goal)).pipe(
      Effect.provide(layer),
      Effect.provide([NodeFileSystem.layer, NodePath.layer])
    )
  )
  const entries = readFileSync(log, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line): { event: string; at: number; read_at?: number } => JSON.parse(line))
  const results = entries.filter((it) => it.event === "result")
  const prompts = entries.filter((it) => it.event === "prompt")
  const gaps = results
    .slice(0, -1)
    .map((result, index) => ({ from: result.at, to: prompts[index + 1]?.read_at ?? Number.NaN }))
  // The first gaps warm everything up.
  const measured = gaps.slice(5)
  const floors: Array<number> = []
  let commands = 0
  for (const { from, to } of measured) {
    const between = calls.filter((it) => it.at >= from && it.at <= to)
    commands = between.length
    let sum = await timeOf("bash", ["-c", "true"], world.repository, world.env)
    for (const call of between) sum += await timeOf(call.command, call.args, call.cwd, call.env)
    floors.push(sum)
  }
  const times = measured.map(({ from, to }) => to - from)
  const detail = `turn gap ${median(times).toFixed(1)} ms (p90 ${quantile(times, 0.9).toFixed(1)}), ${commands} git commands and a shell alone ${median(floors).toFixed(1)} ms, ${measured.length} turns`
  const name = sandbox === "off" ? "driver's part of a warm turn" : "the same with the criterion in the sandbox"
  report(name, median(times) - median(floors), "ms", sandbox === "off" ? 25 : 40, detail)
}

await withWorld(1_000, (world: World) => measure(world, "off"))
if (spawnSync("bwrap", ["--version"]).status === 0) await withWorld(1_000, (world: World) => measure(world, "required"))
