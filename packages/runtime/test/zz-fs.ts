import * as fs from "node:fs"
import * as path from "node:path"
import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { Git } from "@driver/runtime/Git"
import { Workspace } from "@driver/runtime/Workspace"
import * as WorkspaceGit from "@driver/runtime/WorkspaceGit"
import { Effect, Layer } from "effect"
import { makeRepository, newGoal, write } from "./support/repositories.js"
let log: Array<[string, number, string]> = []
const timed = (name: string, detail: (args: any[]) => string, f: any) => (...args: any[]) =>
  Effect.suspend(() => { const t = performance.now(); return Effect.tap(f(...args), () => Effect.sync(() => log.push([name, performance.now() - t, detail(args)]))).pipe(Effect.tapError(() => Effect.sync(() => log.push([name + "!", performance.now() - t, detail(args)])))) })
const tfs = Layer.effect(FileSystem.FileSystem, Effect.map(FileSystem.FileSystem, (real) => Object.fromEntries(Object.entries(real).map(([k, v]) => [k, typeof v === "function" && !["stream", "sink", "watch"].includes(k) ? timed(k, (a) => path.basename(String(a[0])), v) : v])) as any))
const tgit = Layer.effect(Git, Effect.map(Git, (real) => ({ run: timed("git", (a) => a[0].args.slice(0, 2).join(" "), real.run) as any })))
const base = Layer.mergeAll(tfs, tgit.pipe(Layer.provide(Git.layer()))).pipe(Layer.provideMerge(NodeContext.layer))
const base2 = Layer.merge(NodeContext.layer, Layer.mergeAll(tfs, tgit.pipe(Layer.provide(Git.layer()))).pipe(Layer.provide(NodeContext.layer)))
Effect.gen(function* () {
  const files: Record<string, string> = {}
  for (let i = 0; i < 1000; i++) files[`d${i % 40}/f${i}.ts`] = `line ${i}\n`.repeat(20)
  const place = yield* makeRepository(files)
  yield* Effect.gen(function* () {
    const workspace = yield* Workspace
    const goal = newGoal()
    const { path: directory } = yield* workspace.ensure(goal)
    let cp = yield* workspace.checkpoint(goal.id, "first")
    for (let r = 0; r < 40; r++) {
      for (let i = 0; i < 3; i++) write(directory, `d${i}/f${i}.ts`, `round ${r} ${i}\n`)
      log = []
      const a = performance.now()
      yield* workspace.diffStat(goal.id, cp.id)
      const b = performance.now()
      cp = yield* workspace.checkpoint(goal.id, "x")
      const c = performance.now()
      if (r > 36) { console.log("diffStat", (b - a).toFixed(1), "checkpoint", (c - b).toFixed(1), "sum of ops", log.reduce((s, x) => s + x[1], 0).toFixed(1)); for (const [n, t, d] of log) console.log("  ", n, t.toFixed(2), d) }
    }
  }).pipe(Effect.provide(WorkspaceGit.layer(place).pipe(Layer.provide(base2))))
}).pipe(Effect.scoped, Effect.runPromise)
