// What telemetry costs a goal's loop: goals of five turns with four decided tool calls each and two criteria, all in
// memory, so that the loop is all there is. Time is the process's own on the processors. Spans switched off, telemetry off (the default), on to a collector on
// loopback, on with all detail and content, on to a port that nobody listens on.
// Run: npx tsx scripts/bench-telemetry.ts [goals]
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import { asks, ended, said } from "../packages/agent/src/AgentScripted.js"
import { GoalId } from "../packages/domain/src/Goal.js"
import { AllowOnce } from "../packages/domain/src/Permission.js"
import { Driver } from "../packages/runtime/src/Driver.js"
import * as EventMetrics from "../packages/telemetry/src/EventMetrics.js"
import * as Telemetry from "../packages/telemetry/src/Telemetry.js"
import type { TelemetrySettings } from "../packages/telemetry/src/TelemetryConfig.js"
import { settingsFor } from "../packages/telemetry/test/support/settings.js"
import { goalOf, layerWorld, passesAt } from "../packages/telemetry/test/support/world.js"

const goals = Number(process.argv[2] ?? 10)
const rounds = 5
const turns = 5

const turn = [
  said("I go on."),
  ...[1, 2, 3, 4].map((n) => asks("Bash", { command: `echo ${n}` }, { toolUseId: `toolu_${n}` })),
  ended({ text: "Done." })
]

const idOf = (n: number) => GoalId.make(`00000000-0000-4000-8000-${String(n).padStart(12, "0")}`)

/** Milliseconds of one goal on the processors, the exporter's included. */
const measure = (telemetry: Layer.Layer<never>) =>
  Effect.gen(function* () {
    const driver = yield* Driver
    const before = process.cpuUsage()
    for (let n = 0; n < goals; n++) {
      // Asked once per turn, so that the fifth turn of each goal is accepted.
      const outcome = yield* driver.run(goalOf([passesAt((n + 1) * turns)], "Create hello.txt", idOf(n)))
      if (outcome.totalTurns !== turns) return yield* Effect.dieMessage(`a goal took ${outcome.totalTurns} turns`)
    }
    const { system, user } = process.cpuUsage(before)
    return (system + user) / 1_000 / goals
  }).pipe(
    Effect.provide(
      layerWorld({
        decide: () => Effect.succeed(new AllowOnce({ updatedInput: Option.none(), rationale: "bench" })),
        script: () => Array.from({ length: turns }, () => turn),
        sink: EventMetrics.layer
      })
    ),
    Effect.provide(telemetry),
    Effect.provide(Logger.remove(Logger.defaultLogger)),
    Effect.runPromise
  )

let received = 0
const collector = http
  .createServer((request, response) => {
    request.on("data", (chunk: Buffer) => {
      received += chunk.length
    })
    request.on("end", () => response.end("{}"))
  })
  .listen(0, "127.0.0.1")
await new Promise((listening) => collector.once("listening", listening))
const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`

const telemetry = (changes: Partial<TelemetrySettings> = {}, to = endpoint) =>
  Telemetry.layer(
    Option.some(
      settingsFor(to, { traceInterval: Duration.seconds(1), metricInterval: Duration.seconds(1), ...changes })
    )
  ).pipe(Layer.provide(FetchHttpClient.layer))

const modes: ReadonlyArray<readonly [name: string, layer: Layer.Layer<never>]> = [
  ["spans switched off", Layer.setTracerEnabled(false)],
  ["telemetry off", Layer.empty],
  ["on", telemetry()],
  ["on, all detail and content", telemetry({ detail: "all", includeContent: true })],
  ["on, nobody listens", telemetry({}, "http://127.0.0.1:9")]
]

const times = new Map<string, Array<number>>(modes.map(([name]) => [name, []]))
// The first round warms up.
for (let round = 0; round <= rounds; round++) {
  for (const [name, layer] of modes) {
    const took = await measure(layer)
    if (round > 0) times.get(name)?.push(took)
  }
}
collector.close()
collector.closeAllConnections()

const median = (values: ReadonlyArray<number>) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN
const floor = median(times.get("telemetry off") ?? [])
for (const [name, values] of times) {
  const value = median(values)
  console.log(
    `${name.padEnd(28)} ${value.toFixed(2)} ms per goal of ${turns} turns, ratio ${(value / floor).toFixed(2)}`
  )
}
console.log(`${(received / 1024 / 1024).toFixed(1)} MiB received`)
