import { Workspace } from "@driver/runtime/Workspace"
import { Git } from "@driver/runtime/Git"
import { Effect } from "effect"
import { layerGit, layerWorkspace, makeRepository, newGoal } from "./support/repositories.js"
Effect.gen(function* () {
  const files: Record<string, string> = {}
  for (let i = 0; i < 1000; i++) files[`d${i % 40}/f${i}.ts`] = `line ${i}\n`.repeat(20)
  const place = yield* makeRepository(files)
  const { run } = yield* Git
  yield* Effect.gen(function* () {
    const workspace = yield* Workspace
    const goal = newGoal()
    yield* workspace.ensure(goal)
    let cp = yield* workspace.checkpoint(goal.id, "first")
    for (let block = 0; block < 8; block++) {
      const c0 = process.cpuUsage(), t = performance.now()
      for (let i = 0; i < 20; i++) { yield* workspace.diffStat(goal.id, cp.id); cp = yield* workspace.checkpoint(goal.id, "x") }
      const c1 = process.cpuUsage(c0)
      const t2 = performance.now(), c2 = process.cpuUsage()
      for (let i = 0; i < 80; i++) yield* run({ args: ["version"], cwd: "/tmp" })
      const c3 = process.cpuUsage(c2)
      console.log("turn wall", ((t2 - t) / 20).toFixed(1), "cpu", ((c1.user + c1.system) / 20000).toFixed(1), " 4 x version wall", ((performance.now() - t2) / 20).toFixed(1), "cpu", ((c3.user + c3.system) / 20000).toFixed(1))
    }
  }).pipe(Effect.provide(layerWorkspace(place)))
}).pipe(Effect.scoped, Effect.provide(layerGit), Effect.runPromise)
