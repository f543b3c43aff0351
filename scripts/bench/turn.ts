// What the driver adds to a warm turn: from the agent's result to the next prompt in the agent's hands, with one shell
// criterion `true`, checkpoint and diff stat in a repository of 1,000 files. The floor is the time of the same git and
// shell commands, run alone, taken in the same run.
import { spawn } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type * as Command from "@effect/platform/Command"
import * as CommandExecutor from "@effect/platform/CommandExecutor"
import * as NodeCommandExecutor from "@effect/platform-node/NodeCommandExecutor"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { driverLayer } from "../../packages/cli/src/Composition.js"
import { Budget, Goal, GoalId, Shell } from "../../packages/domain/src/Goal.js"
import { Driver } from "../../packages/runtime/src/Driver.js"
import { EventSink } from "../../packages/runtime/src/EventSink.js"
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

/** The real executor, which also writes down what it is asked to run. */
const recording = (calls: Array<Call>) =>
  Layer.effect(
    CommandExecutor.CommandExecutor,
    Effect.map(CommandExecutor.CommandExecutor, (executor) => ({
      ...executor,
      start: (command: Command.Command) => {
        if (command._tag === "StandardCommand") {
          calls.push({
            at: performance.timeOrigin + performance.now(),
            command: command.command,
            args: command.args,
            cwd: Option.getOrElse(command.cwd, () => "."),
            env: Object.fromEntries(HashMap.toEntries(command.env))
          })
        }
        return executor.start(command)
      }
    }))
  ).pipe(Layer.provide(NodeCommandExecutor.layer))

/** One command alone, its output read. Milliseconds. */
const timeOf = (command: string, args: ReadonlyArray<string>, cwd: string, env: Record<string, string>) =>
  new Promise<number>((done) => {
    const started = performance.now()
    const child = spawn(command, [...args], { cwd, env, stdio: ["ignore", "pipe", "pipe"] })
    child.stdout.resume()
    child.stderr.resume()
    child.on("close", () => done(performance.now() - started))
  })

await withWorld(1_000, async (world: World) => {
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
  const settings = settingsOf(world, scenario, stub)
  const layer = driverLayer(
    {
      ...settings,
      config: { ...settings.config, stuck: { ...settings.config.stuck, sameFailures: 0, repeatedCalls: 0 } }
    },
    { executor: recording(calls) }
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
    .map((line): { event: string; at: number } => JSON.parse(line))
  const results = entries.filter((it) => it.event === "result")
  const prompts = entries.filter((it) => it.event === "prompt")
  const gaps = results
    .slice(0, -1)
    .map((result, index) => ({ from: result.at, to: prompts[index + 1]?.at ?? Number.NaN }))
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
  report("driver's part of a warm turn", median(times) - median(floors), "ms", 25, detail)
})
