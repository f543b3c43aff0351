// What following costs the one who publishes: 2,000 events of one goal, to nobody and to 100 clients over a unix socket
// that run in a process of their own. Once as fast as it goes, once paced as a loop would: then what counts is how much
// later than without clients a publication returns.
// Run: node scripts/bench.mjs sse [events] [clients]
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import { AgentActivity, GoalCompleted, StoredEvent } from "@driver/domain/DriverEvent"
import { Goal, GoalId } from "@driver/domain/Goal"
import { Done, GoalOutcome } from "@driver/domain/Outcome"
import { Usage } from "@driver/domain/Usage"
import { GoalDetail, GoalSummary, Goals } from "@driver/runtime/Goals"
import * as ApiServer from "@driver/server/ApiServer"
import { Daemon } from "@driver/server/Daemon"
import { EventHub } from "@driver/server/EventHub"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Chunk from "effect/Chunk"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

const goalId = Schema.decodeSync(GoalId)("7c9e6679-7425-40de-944b-e07fc1f90ae7")
const at = DateTime.unsafeMake(1_790_000_000_000)

/** The clients: raw sockets that count, so that they cost as little as can be. Ends when all have the last event. */
const runClients = (path: string, count: number, reading: boolean) => {
  let left = count
  let bytes = 0
  for (let index = 0; index < count; index++) {
    const socket = Net.connect(path)
    let tail = ""
    socket.setEncoding("latin1")
    socket.on("data", (text) => {
      bytes += text.length
      tail = (tail + text).slice(-400)
      if (!tail.includes("event: end")) return
      socket.destroy()
      if (--left === 0) process.stdout.write(`${JSON.stringify({ bytes })}\n`)
    })
    if (!reading) socket.pause()
    socket.write(`GET /goals/${goalId}/events HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  }
}

const eventOf = (sequence: number) =>
  new StoredEvent({
    goalId,
    sequence,
    messageId: `${goalId}-${sequence}`,
    at,
    event: new AgentActivity({
      goalId,
      turn: 1,
      activity: "said",
      text: "What an agent says, of usual length. ".repeat(6)
    })
  })

const lastOf = (sequence: number) =>
  new StoredEvent({
    goalId,
    sequence,
    messageId: `${goalId}-${sequence}`,
    at,
    event: new GoalCompleted({
      goalId,
      outcome: new GoalOutcome({
        goalId,
        outcome: new Done(),
        totalTurns: 1,
        usage: Usage.zero,
        elapsed: Duration.zero
      })
    })
  })

/** A journal in memory: what is appended costs next to nothing, so that what is seen is what the followers cost. */
const makeJournal = () => {
  const events: Array<StoredEvent> = []
  let more = Effect.unsafeMakeLatch(false)
  const publish = (event: StoredEvent) =>
    Effect.suspend(() => {
      events.push(event)
      const latch = more
      more = Effect.unsafeMakeLatch(false)
      return Effect.zipRight(latch.open, Effect.yieldNow())
    })
  const read: Goals["Type"]["events"] = (_, { after, follow }) =>
    Stream.suspend(() => {
      let cursor = after
      return Stream.repeatEffectChunkOption(
        Effect.suspend(function pull(): Effect.Effect<Chunk.Chunk<StoredEvent>, Option.Option<never>> {
          const page = events.slice(cursor, cursor + 500)
          if (page.length === 0)
            return follow ? Effect.zipRight(more.await, Effect.suspend(pull)) : Effect.fail(Option.none())
          cursor += page.length
          return Effect.succeed(Chunk.unsafeFromArray(page))
        })
      )
    })
  const summary = new GoalSummary({
    goalId,
    description: "Bench",
    state: "running",
    phase: "Working",
    paused: false,
    priority: 0,
    repository: "/r",
    dependsOn: [],
    turns: 0,
    maxTurns: 20,
    usage: Usage.zero,
    queued: 0,
    submittedAt: at
  })
  const unused = () => Effect.dieMessage("the benchmark does not ask for this")
  const goals = Goals.of({
    find: () => Effect.succeed(goalId),
    show: () =>
      Effect.sync(
        () => new GoalDetail({ summary, goal: new Goal({ id: goalId, description: "Bench" }), head: events.length })
      ),
    events: read,
    list: () => Effect.succeed([summary]),
    submit: unused,
    pause: unused,
    resume: unused,
    cancel: unused,
    wake: unused,
    steer: unused,
    setMaxTurns: unused,
    approvals: unused(),
    approve: unused,
    deny: unused,
    rollback: unused,
    deliver: unused
  })
  return { publish, goals }
}

const median = (values: ReadonlyArray<number>) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0
const share = (values: ReadonlyArray<number>, part: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? 0

interface Round {
  /** Milliseconds that the publications took. */
  readonly publishing: number
  /** Milliseconds of each publication: 99th part of a hundred. */
  readonly p99: number
  /** Milliseconds until every client had the last event. */
  readonly delivered: number
  readonly resident: number
}

const round = (events: number, clients: number, pause: number, reading = true): Effect.Effect<Round> =>
  Effect.gen(function* () {
    const directory = mkdtempSync(join(tmpdir(), "bench-sse-"))
    yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(directory, { recursive: true, force: true })))
    const path = join(directory, "driver.sock")
    const { goals, publish } = makeJournal()
    const server = ApiServer.layer(ApiServer.Access.Socket()).pipe(
      Layer.provide(ApiServer.ApiApp.layer),
      Layer.provideMerge(EventHub.layer()),
      Layer.provide(Daemon.layer({ version: "0", pid: process.pid })),
      Layer.provide(Layer.succeed(Goals, goals)),
      Layer.provide(NodeHttpServer.layer(() => createServer(), { path }))
    )
    const hub = yield* Effect.orDie(Effect.map(Layer.build(server), (services) => services))
    const { clients: connected } = yield* Effect.provide(EventHub, hub)
    const child =
      clients === 0
        ? undefined
        : spawn(process.execPath, [process.argv[1] ?? "", "--clients", path, String(clients), String(reading)], {
            stdio: ["ignore", "pipe", "inherit"]
          })
    const allDone = new Promise<void>((resolve) =>
      child === undefined || !reading ? resolve() : child.stdout.once("data", () => resolve())
    )
    while ((yield* connected) < clients) yield* Effect.sleep("10 millis")

    const each: Array<number> = []
    const begun = performance.now()
    for (let sequence = 1; sequence <= events; sequence++) {
      const before = performance.now()
      yield* publish(eventOf(sequence))
      each.push(performance.now() - before)
      if (pause > 0) yield* Effect.sleep(pause)
    }
    yield* publish(lastOf(events + 1))
    const ended = performance.now()
    // So that whoever reads has been written to, and whoever does not is stuck.
    yield* Effect.sleep(reading ? 0 : 500)
    const resident = process.memoryUsage().rss / 2 ** 20
    yield* Effect.promise(() => allDone)
    child?.kill()
    return {
      publishing: each.reduce((sum, one) => sum + one, 0),
      p99: share(each, 0.99),
      delivered: performance.now() - (pause > 0 ? ended : begun),
      resident
    }
  }).pipe(Effect.scoped)

const main = Effect.gen(function* () {
  const events = Number(process.argv[2] ?? 2_000)
  const clients = Number(process.argv[3] ?? 100)
  yield* round(200, 2, 0)
  const summary = (rounds: ReadonlyArray<Round>) => ({
    publishing: median(rounds.map((it) => it.publishing)),
    p99: median(rounds.map((it) => it.p99)),
    delivered: median(rounds.map((it) => it.delivered)),
    resident: Math.max(...rounds.map((it) => it.resident))
  })
  for (const [name, pause] of [
    ["flat out", 0],
    ["one every 2 ms", 2]
  ] as const) {
    const nobody: Array<Round> = []
    const followed: Array<Round> = []
    for (let index = 0; index < 3; index++) {
      nobody.push(yield* round(events, 0, pause))
      followed.push(yield* round(events, clients, pause))
    }
    const [a, b] = [summary(nobody), summary(followed)]
    const say = (value: number) => Math.round(value * 100) / 100
    console.log(
      `${name}: ${events} events published in ${say(a.publishing)} ms to nobody, in ${say(b.publishing)} ms to ${clients} clients ` +
        `(ratio ${say(b.publishing / a.publishing)}); p99 of one ${say(a.p99)} against ${say(b.p99)} ms; ` +
        `all delivered ${say(b.delivered)} ms after ${pause > 0 ? "the last" : "the first"}; ` +
        `resident ${Math.round(a.resident)} against ${Math.round(b.resident)} MiB`
    )
  }
  const stuck = [yield* round(events, clients, 0, false), yield* round(10 * events, clients, 0, false)]
  const [few, many] = stuck.map(({ resident }) => Math.round(resident))
  console.log(
    `${clients} clients that do not read: resident ${few} MiB after ${events} events, ${many} MiB after ${10 * events}`
  )
})

if (process.argv[2] === "--clients") {
  runClients(process.argv[3] ?? "", Number(process.argv[4]), process.argv[5] === "true")
} else await Effect.runPromise(main)
