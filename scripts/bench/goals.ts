// 50 goals at once with the stand-in agent: all finish, and the driver's own memory stays bounded.
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { driverLayer } from "../../packages/cli/src/Composition.js"
import { leanHeap } from "../../packages/cli/src/leanHeap.js"
import { FileMatches, Goal, GoalId, Shell } from "../../packages/domain/src/Goal.js"
import { Driver } from "../../packages/runtime/src/Driver.js"
import { EventSink } from "../../packages/runtime/src/EventSink.js"
import { settingsOf, type World } from "./settings.js"
import { report, stub, withWorld } from "./support.mjs"

const count = 50

await withWorld(100, async (world: World) => {
  const scenario = join(world.directory, "scenario.json")
  writeFileSync(
    scenario,
    JSON.stringify({
      turns: [
        { steps: [{ say: "I think I have finished." }] },
        { steps: [{ tool: "Write", input: { file_path: "hello.txt", content: "Hello\n" } }, { say: "done" }] }
      ]
    })
  )
  const goals = Array.from(
    { length: count },
    () =>
      new Goal({
        id: GoalId.make(crypto.randomUUID()),
        description: "Create hello.txt",
        acceptance: [
          new Shell({ command: "test -s hello.txt" }),
          new FileMatches({ path: "hello.txt", regex: "Hello" })
        ]
      })
  )
  let peak = 0
  let atPeak = process.memoryUsage()
  const sampler = setInterval(() => {
    const now = process.memoryUsage()
    if (now.rss > peak) {
      peak = now.rss
      atPeak = now
    }
  }, 20)
  const started = performance.now()
  const outcomes = await Effect.runPromise(
    Effect.flatMap(Driver, (driver) =>
      // As in the command, where no telemetry is configured.
      Effect.withTracerEnabled(
        Effect.forEach(goals, (goal) => driver.run(goal), { concurrency: "unbounded" }),
        false
      )
    ).pipe(
      Effect.provide(driverLayer(settingsOf(world, scenario, stub)).pipe(Layer.provide(EventSink.layerNoop))),
      Effect.provide([NodeFileSystem.layer, NodePath.layer]),
      // As a process that drives many goals does.
      (driving) => Effect.zipRight(leanHeap, driving),
      Effect.scoped
    )
  )
  clearInterval(sampler)
  const done = outcomes.filter((it) => it.outcome._tag === "Done").length
  const others = outcomes.filter((it) => it.outcome._tag !== "Done").map((it) => JSON.stringify(it.outcome))
  for (const other of others.slice(0, 3)) console.log(other)
  report(
    `goals of ${count} at once that did not finish`,
    count - done,
    "goals",
    0,
    `${((performance.now() - started) / 1000).toFixed(1)} s in all`
  )
  const mb = (bytes: number) => (bytes / 1024 / 1024).toFixed(0)
  const detail = `heap ${mb(atPeak.heapUsed)} of ${mb(atPeak.heapTotal)} MB, external ${mb(atPeak.external)} MB`
  report("the driver's resident memory", peak / 1024 / 1024, "MB", 150, detail)
})
