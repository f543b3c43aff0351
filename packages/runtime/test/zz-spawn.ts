import { spawn } from "node:child_process"
import { Git } from "@driver/runtime/Git"
import { Effect } from "effect"
import { layerGit } from "./support/repositories.js"
const bare = (cwd: string, args: string[], env: Record<string, string>, input = "") =>
  new Promise<string>((resolve) => {
    const child = spawn("git", args, { cwd, env, stdio: ["pipe", "pipe", "pipe"], detached: true })
    let out = ""
    child.stdout.on("data", (data) => { out += data })
    child.stderr.on("data", () => {})
    child.on("close", () => resolve(out))
    child.stdin.on("error", () => {}); child.stdin.end(input)
  })
const median = (xs: number[]) => xs.sort((a, b) => a - b)[Math.floor(xs.length / 2)]!.toFixed(2)
Effect.gen(function* () {
  const { run } = yield* Git
  const a: number[] = [], b: number[] = [], cpuA: number[] = [], cpuB: number[] = []
  for (let i = 0; i < 400; i++) {
    let t = performance.now(); let c = process.cpuUsage()
    yield* run({ args: ["version"], cwd: "/tmp" })
    a.push(performance.now() - t); let d = process.cpuUsage(c); cpuA.push((d.user + d.system) / 1000)
    t = performance.now(); c = process.cpuUsage()
    yield* Effect.promise(() => bare("/tmp", ["version"], { PATH: process.env["PATH"]! }))
    b.push(performance.now() - t); d = process.cpuUsage(c); cpuB.push((d.user + d.system) / 1000)
  }
  console.log("git version: run", median(a), "bare", median(b), "cpu", median(cpuA), median(cpuB))
}).pipe(Effect.provide(layerGit), Effect.runPromise)
