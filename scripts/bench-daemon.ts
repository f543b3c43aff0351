// 200 goals in one daemon, 50 of them at work with an agent that waits: how long pause, cancel, show and list take over
// the socket, and what the process keeps in memory, the client in it included.
// Run: node scripts/bench.mjs daemon
import { execFileSync } from "node:child_process"
import { mkdtempSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import { hangs, layerScripted } from "../packages/agent/src/AgentScripted.js"
import { driverLayer, sharedLayer } from "../packages/cli/src/Composition.js"
import { serveLayer } from "../packages/cli/src/compositionServe.js"
import * as HostNode from "../packages/cli/src/HostNode.js"
import { leanHeap } from "../packages/cli/src/leanHeap.js"
import { Serving } from "../packages/cli/src/Serving.js"
import * as unixHttpClient from "../packages/cli/src/unixHttpClient.js"
import { Goal, GoalId, Shell } from "../packages/domain/src/Goal.js"
import { Goals, Submission } from "../packages/runtime/src/Goals.js"
import { ApiClient } from "../packages/server/src/ApiClient.js"
import * as GoalsRemote from "../packages/server/src/GoalsRemote.js"
import { settingsOf } from "./bench/settings.js"
import { report } from "./bench/support.mjs"

const [count = 200, atWork = 50] = process.argv.slice(2).map(Number)

const directory = realpathSync(mkdtempSync(join(tmpdir(), "driver-bench-")))
const repository = join(directory, "repository")
execFileSync("git", ["init", "-q", "-b", "main", repository])
execFileSync("git", [
  ...["-C", repository, "-c", "user.name=b", "-c", "user.email=b@localhost"],
  ...["commit", "-q", "--allow-empty", "-m", "Begin"]
])

const settings = settingsOf({ directory, repository, env: { PATH: process.env.PATH ?? "" } }, "none", "none")

/** Turns that never end: what is measured is the driver. */
const waiting = Layer.orDie(layerScripted(() => [[hangs]]))

const daemon = serveLayer(
  settings,
  {
    socket: settings.daemon.socket,
    listen: Option.none(),
    maxConcurrent: atWork,
    perRepository: 0,
    onEvent: () => Effect.void
  },
  { driver: (own, parts) => driverLayer(own, { ...parts, agent: waiting }), shared: sharedLayer }
)

const client = GoalsRemote.layer.pipe(
  Layer.provide(ApiClient.layer({ address: settings.daemon.socket })),
  Layer.provide(unixHttpClient.layer(settings.daemon.socket))
)

const percentile = (times: ReadonlyArray<number>, share: number) =>
  [...times].sort((a, b) => a - b)[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0

/** `limit`: of the 99th percentile, milliseconds. */
const show = (name: string, times: ReadonlyArray<number>, limit: number) =>
  report(
    `${name}, the slowest of a hundred`,
    percentile(times, 0.99),
    "ms",
    limit,
    `median ${percentile(times, 0.5).toFixed(1)} ms, ${times.length} calls`
  )

const each = <E>(ids: ReadonlyArray<GoalId>, call: (goalId: GoalId) => Effect.Effect<unknown, E>) =>
  Effect.forEach(ids, (id) => Effect.map(Effect.timed(call(id)), ([elapsed]) => Duration.toMillis(elapsed)))

const resident = () => Math.round(process.memoryUsage().rss / 2 ** 20)

const program = Effect.gen(function* () {
  yield* leanHeap
  yield* Serving
  yield* Effect.gen(function* () {
    const goals = yield* Goals
    yield* goals.submit(
      Array.from(
        { length: count },
        (_, n) =>
          new Submission({
            goal: new Goal({
              id: GoalId.make(crypto.randomUUID()),
              description: `Goal ${n}`,
              acceptance: [new Shell({ command: "true" })]
            }),
            repository
          })
      )
    )
    const working = goals
      .list({ all: false })
      .pipe(Effect.map((all) => all.filter(({ phase }) => phase === "Working").map(({ goalId }) => goalId)))
    const ids = yield* Effect.repeat(Effect.delay(working, "200 millis"), { until: (it) => it.length >= atWork })
    console.log(`${count} goals, ${ids.length} at work: ${resident()} MB resident`)
    show("list", yield* each(ids, () => goals.list({ all: true })), 250)
    show("show", yield* each(ids, goals.show), 250)
    show("pause", yield* each(ids, goals.pause), 100)
    show("resume", yield* each(ids, goals.resume), 100)
    show("cancel", yield* each(ids, goals.cancel), 100)
    report("resident at the end", resident(), "MB", 300)
  }).pipe(Effect.provide(client))
}).pipe(
  Effect.provide(daemon),
  Effect.provide([NodeFileSystem.layer, NodePath.layer, HostNode.layer]),
  Logger.withMinimumLogLevel(LogLevel.Warning),
  // As in the command, where no telemetry is configured.
  Effect.withTracerEnabled(false),
  Effect.scoped
)

await Effect.runPromise(program).finally(() => rmSync(directory, { recursive: true, force: true }))
