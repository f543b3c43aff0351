import * as Command from "@effect/platform/Command"
import * as CommandExecutor from "@effect/platform/CommandExecutor"
import { NodeContext } from "@effect/platform-node"
import { Git } from "@driver/runtime/Git"
import { Effect, Stream, Sink, Chunk } from "effect"
import { layerGit } from "./support/repositories.js"
import { spawn } from "node:child_process"
const env = { PATH: process.env["PATH"]! }
const bare = () =>
  new Promise<string>((resolve) => {
    const child = spawn("git", ["version"], { cwd: "/tmp", env, stdio: ["pipe", "pipe", "pipe"], detached: true })
    let out = ""
    child.stdout.on("data", (data) => { out += data })
    child.stderr.on("data", () => {})
    child.on("close", () => resolve(out))
    child.stdin.on("error", () => {}); child.stdin.end("")
  })
const median = (xs: number[]) => xs.sort((a, b) => a - b)[Math.floor(xs.length / 2)]!.toFixed(2)
const base = Command.make("git", "version").pipe(Command.env(env, { extendEnv: false }), Command.workingDirectory("/tmp"))
const drain = (s: Stream.Stream<Uint8Array, any>) => Stream.runForEachChunk(s, () => Effect.void)
Effect.gen(function* () {
  const ex = yield* CommandExecutor.CommandExecutor
  const { run } = yield* Git
  const variants: Record<string, Effect.Effect<any, any>> = {
    bare: Effect.promise(bare),
    exitOnly: Effect.scoped(Effect.flatMap(ex.start(base), (p) => p.exitCode)),
    exitStdinEmpty: Effect.scoped(Effect.flatMap(ex.start(base.pipe(Command.stdin(Stream.empty))), (p) => p.exitCode)),
    outerr: Effect.scoped(Effect.flatMap(ex.start(base), (p) => Effect.all([p.exitCode, drain(p.stdout), drain(p.stderr)], { concurrency: "unbounded" }))),
    seq: Effect.scoped(Effect.flatMap(ex.start(base), (p) => Effect.all([drain(p.stdout), drain(p.stderr), p.exitCode]))),
    full: run({ args: ["version"], cwd: "/tmp" }),
    fullStdin: run({ args: ["version"], cwd: "/tmp", stdin: new Uint8Array(0) })
  }
  const wall: Record<string, number[]> = {}, cpu: Record<string, number[]> = {}
  for (let i = 0; i < 300; i++) for (const [k, v] of Object.entries(variants)) {
    const t = performance.now(), c = process.cpuUsage()
    yield* v
    const d = process.cpuUsage(c)
    if (i > 30) { (wall[k] ??= []).push(performance.now() - t); (cpu[k] ??= []).push((d.user + d.system) / 1000) }
  }
  for (const k of Object.keys(variants)) console.log(k, "wall", median(wall[k]!), "cpu", median(cpu[k]!))
}).pipe(Effect.provide(layerGit), Effect.provide(NodeContext.layer), Effect.runPromise)
