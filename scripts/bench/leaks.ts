// After 1,000 goals in one process nothing has grown: fibers, handles, file descriptors, heap, entries of the driver.
// The agent is scripted and asks the real gate; workspaces, stores and sinks are the real ones in directory mode.
import { readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Supervisor from "effect/Supervisor"
import { asks, ended, layerScripted } from "../../packages/agent/src/AgentScripted.js"
import { driverLayer } from "../../packages/cli/src/Composition.js"
import { FileMatches, Goal, GoalId } from "../../packages/domain/src/Goal.js"
import { Driver } from "../../packages/runtime/src/Driver.js"
import { EventSink } from "../../packages/runtime/src/EventSink.js"
import { settingsOf, type World } from "./settings.js"
import { report, stub, withWorld } from "./support.mjs"

const collect = (globalThis as { readonly gc?: () => void }).gc
if (collect === undefined) throw new Error("run with --expose-gc")

await withWorld(5, async (world: World) => {
  const settings = settingsOf(world, "unused", stub)
  const agent = layerScripted(() => [
    [
      asks(
        "Write",
        { file_path: "hello.txt", content: "Hello" },
        {
          run: (_, { workspace }) =>
            Effect.sync(() => {
              writeFileSync(join(workspace, "hello.txt"), "Hello\n")
              return "written"
            })
        }
      ),
      ended({ text: "done" })
    ]
  ])
  const layer = driverLayer(
    { ...settings, repository: Option.none() },
    { agent: Layer.map(agent, (context) => context) }
  ).pipe(Layer.provide(EventSink.layerJsonl(join(world.directory, "events.jsonl"))))

  const program = Effect.gen(function* () {
    const driver = yield* Driver
    const supervisor = yield* Supervisor.track
    const goal = () =>
      new Goal({
        id: GoalId.make(crypto.randomUUID()),
        description: "Write a greeting",
        acceptance: [new FileMatches({ path: "hello.txt", regex: "Hello" })]
      })
    const measure = Effect.gen(function* () {
      yield* Effect.sleep("300 millis")
      collect()
      collect()
      const fibers = yield* supervisor.value
      const alive = yield* Effect.filter(fibers, (fiber) => Effect.map(Fiber.poll(fiber), Option.isNone))
      return {
        fibers: alive.length,
        handles: process.getActiveResourcesInfo().length,
        descriptors: readdirSync("/proc/self/fd").length,
        entries: (yield* driver.list).length,
        heap: process.memoryUsage().heapUsed / 1024 / 1024
      }
    })
    const drive = (count: number) =>
      Effect.supervised(
        Effect.forEach(Array.from({ length: count }, goal), (it) => driver.run(it), { concurrency: 10 }),
        supervisor
      )
    yield* drive(200)
    const before = yield* measure
    const started = performance.now()
    const outcomes = yield* drive(1_000)
    const seconds = (performance.now() - started) / 1000
    const after = yield* measure
    return { after, before, failed: outcomes.filter((it) => it.outcome._tag !== "Done").length, seconds }
  })
  const { after, before, failed, seconds } = await Effect.runPromise(
    program.pipe(Effect.provide(layer), Effect.provide([NodeFileSystem.layer, NodePath.layer]))
  )
  report("goals of 1,000 that did not finish", failed, "goals", 0, `${seconds.toFixed(1)} s`)
  report("growth of fibers", after.fibers - before.fibers, "fibers", 0, `${before.fibers} → ${after.fibers}`)
  report("growth of handles", after.handles - before.handles, "handles", 0, `${before.handles} → ${after.handles}`)
  report(
    "growth of file descriptors",
    after.descriptors - before.descriptors,
    "descriptors",
    0,
    `${before.descriptors} → ${after.descriptors}`
  )
  report("entries of the driver", after.entries, "entries", 0)
  report(
    "growth of the heap over 1,000 goals",
    after.heap - before.heap,
    "MB",
    8,
    `${before.heap.toFixed(1)} → ${after.heap.toFixed(1)} MB`
  )
})
