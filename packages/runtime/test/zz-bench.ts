import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { Workspace } from "@driver/runtime/Workspace"
import { Effect } from "effect"
import { layerWorkspace, makeRepository, newGoal, write } from "./support/repositories.js"

const bare = (cwd: string, args: string[], env: Record<string, string>, input = "") =>
  new Promise<string>((resolve) => {
    const child = spawn("git", args, { cwd, env, stdio: ["pipe", "pipe", "pipe"], detached: true })
    let out = ""
    child.stdout.on("data", (data) => { out += data })
    child.stderr.on("data", () => {})
    child.on("close", () => resolve(out))
    child.stdin.on("error", () => {}); child.stdin.end(input)
  })
const median = (xs: number[]) => xs.sort((a, b) => a - b)[Math.floor(xs.length / 2)]!.toFixed(1)
const program = Effect.gen(function* () {
  const files: Record<string, string> = {}
  for (let i = 0; i < 1000; i++) files[`d${i % 40}/f${i}.ts`] = `line ${i}\n`.repeat(20)
  const place = yield* makeRepository(files)
  yield* Effect.gen(function* () {
    const workspace = yield* Workspace
    const goal = newGoal()
    const t0 = performance.now()
    const { path: directory } = yield* workspace.ensure(goal)
    console.log("ensure", (performance.now() - t0).toFixed(1))
    const t1 = performance.now()
    let cp = yield* workspace.checkpoint(goal.id, "first")
    console.log("first checkpoint", (performance.now() - t1).toFixed(1))
    const env = { PATH: process.env["PATH"]!, GIT_DIR: path.join(place.stateDirectory, "workspaces", goal.id, "raw"), GIT_WORK_TREE: directory, GIT_OBJECT_DIRECTORY: path.join(place.repository, ".git/objects"), GIT_INDEX_FILE: path.join(place.directory, "bench.index"), GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a", GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a", GIT_OPTIONAL_LOCKS: "0" }
    fs.copyFileSync(path.join(place.stateDirectory, "workspaces", goal.id, "index"), env.GIT_INDEX_FILE)
    for (const edits of [0, 3]) {
      const driver: number[] = []; const floor: number[] = []; const driver0: number[] = []; const floor0: number[] = []; const cpu: number[] = []; const stats: number[] = []; const cps: number[] = []
      for (let round = 0; round < 60; round++) {
        for (let i = 0; i < edits; i++) write(directory, `d${i}/f${i}.ts`, `round ${edits} ${round} ${i}\n`)
        const c0 = process.cpuUsage(); const a = performance.now()
        yield* workspace.diffStat(goal.id, cp.id)
        const b = performance.now()
        const old = cp
        cp = yield* workspace.checkpoint(goal.id, "x")
        const c = performance.now(); const c1 = process.cpuUsage(c0)
        stats.push(b - a); cps.push(c - b); driver.push(c - a); driver0.push(c - a)
        yield* Effect.promise(async () => {
          const d = performance.now(); const c2 = process.cpuUsage()
          const u = ["update-index", "-q", "--refresh", "--add", "--remove", "--replace", "-z", "--stdin"]
          const ls = ["ls-files", "-z", "-t", "-m", "-o", "--exclude-standard"]
          const list = await bare(directory, ls, env)
          let tree = ""
          if (edits > 0) {
            await bare(directory, u, env, list.split("\0").map((x) => x.slice(2)).join("\0"))
            tree = (await bare(directory, ["write-tree"], env)).trim()
            await bare(directory, ["diff-tree", "-r", "-M", "--stat=76,50,20", old.commit, tree], env)
          } else { tree = `${cp.commit}^{tree}` }
          await bare(directory, ls, env)
          const commit = (await bare(directory, ["commit-tree", tree, "-p", "main"], { ...env, GIT_DIR: path.join(place.repository, ".git") }, "m")).trim()
          await bare(directory, ["update-ref", "--stdin"], { ...env, GIT_DIR: path.join(place.repository, ".git") }, `create refs/bench/${edits}/${round} ${commit}\n`)
          { const c3 = process.cpuUsage(c2); cpu.push((c1.user + c1.system - c3.user - c3.system) / 1000) }; floor.push(performance.now() - d); floor0.push(performance.now() - d)
        })
      }
      const lo = (xs: number[]) => xs.sort((a, b) => a - b)[Math.floor(xs.length / 10)]!.toFixed(1); console.log("p10 both", lo([...driver]), "p10 bare", lo([...floor]), "cpu over bare", median(cpu), "paired", median(driver0.map((x, i) => x - floor0[i]!)), `edits ${edits}: diffStat ${median(stats)} checkpoint ${median(cps)} both ${median(driver)} bare git ${median(floor)}`)
    }
    const t2 = performance.now()
    yield* Effect.forEach(Array.from({ length: 10 }), () => workspace.ensure(newGoal()), { concurrency: "unbounded" })
    console.log("ten ensures", (performance.now() - t2).toFixed(1))
  }).pipe(Effect.provide(layerWorkspace(place)))
}).pipe(Effect.scoped)
Effect.runPromise(program)
