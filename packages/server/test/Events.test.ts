import { rm } from "node:fs/promises"
import * as net from "node:net"
import { EventHub } from "@driver/server/EventHub"
import * as EventsClient from "@driver/server/EventsClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Context, Deferred, Effect, Exit, Fiber, Ref, Scope, Stream } from "effect"
import * as daemon from "./support/daemon.js"
import { temporaryDirectory } from "./support/net.js"
import { completedOf, eventOf, goalA, goalB, longEventOf, Script } from "./support/scriptedGoals.js"

const upTo = (to: number) => Array.from({ length: to }, (_, index) => index + 1)
const numbered = (from: number, to: number) => upTo(to - from + 1).map((index) => eventOf(goalA, from + index - 1))

/** Tried again until it holds: other processes and sockets have no clock of ours. */
const until = <E>(holds: Effect.Effect<boolean, E>): Effect.Effect<void, E> =>
  Effect.flatMap(holds, (done) => (done ? Effect.void : Effect.zipRight(Effect.sleep("5 millis"), until(holds))))

const clientsAre = (services: Context.Context<EventHub>, count: number) =>
  until(Effect.map(Context.get(services, EventHub).clients, (clients) => clients === count))

const sequencesIn = (text: string) => (text.match(/(?<=^id: )\d+$/gm) ?? []).map(Number)

/** A client without any library, that has asked for the goal's events and reads nothing yet. */
const asking = (path: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = net.connect(path).setEncoding("latin1").pause()
      socket.write(`GET /goals/${goalA}/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** Reads from now on; resolves with everything, when the server has closed the connection. */
const readAll = (socket: net.Socket): Effect.Effect<string> => {
  const parts: Array<string> = []
  const ended = new Promise<string>((resolve) => {
    socket.on("data", (part) => parts.push(String(part)))
    socket.once("end", () => resolve(parts.join("")))
    socket.resume()
  })
  return Effect.promise(() => ended)
}

describe("The events of a goal over the API", () => {
  it.scopedLive("come as they are, and end with the goal", () =>
    Effect.gen(function* () {
      const { goals, script, services } = yield* daemon.remote()
      yield* script.publish(...numbered(1, 3))
      const all = yield* Effect.fork(Stream.runCollect(goals.events(goalA, { after: 0, follow: true })))
      const some = yield* Effect.fork(Stream.runCollect(goals.events(goalA, { after: 2, follow: true })))
      yield* clientsAre(services, 2)
      const published = [...numbered(4, 9), completedOf(goalA, 10)]
      for (const event of published) yield* script.publish(event)
      const events = [...numbered(1, 3), ...published]
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Fiber.join(all)), events)
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Fiber.join(some)), events.slice(2))
      assert.deepStrictEqual(
        Chunk.toReadonlyArray(yield* Stream.runCollect(goals.events(goalA, { after: 5, follow: false }))),
        events.slice(5)
      )
      yield* clientsAre(services, 0)
    })
  )

  it.scopedLive("go on after Last-Event-ID, and say to a browser when there is nothing to come back for", () =>
    Effect.gen(function* () {
      const { http, script } = yield* daemon.remote()
      yield* script.publish(...numbered(1, 3), completedOf(goalA, 4))
      yield* script.setState(goalA, "ended")
      const get = (id: string, query = "") =>
        Effect.flatMap(
          http.execute(
            HttpClientRequest.get(`http://localhost/goals/${goalA}/events${query}`, {
              headers: { "last-event-id": id }
            })
          ),
          (response) => Effect.map(response.text, (text) => ({ response, ids: text.match(/^id: \d+$/gm) ?? [] }))
        )
      const { ids, response } = yield* get("2", "?after=1")
      assert.deepStrictEqual(ids, ["id: 3", "id: 4"])
      assert.strictEqual(response.headers["content-type"], "text/event-stream")
      assert.strictEqual(response.headers["cache-control"], "no-store")
      assert.strictEqual((yield* get("4")).response.status, 204)
      assert.deepStrictEqual((yield* get("rubbish", "?after=3")).ids, ["id: 4"])
    })
  )

  it.scopedLive("reach a hundred clients in order, and one that does not read delays nobody and misses nothing", () =>
    Effect.gen(function* () {
      const { path, script, services } = yield* daemon.remote()
      // It asks, and does not read what it is sent.
      const hanging = yield* asking(path)
      const clients = yield* Effect.forEach(upTo(100), () => Effect.map(asking(path), readAll))
      yield* clientsAre(services, 101)
      for (let at = 0; at < 10; at++) {
        yield* script.publish(...upTo(30).map((index) => longEventOf(goalA, at * 30 + index, 3_000)))
        yield* Effect.yieldNow()
      }
      yield* script.publish(completedOf(goalA, 301))
      for (const client of clients) assert.deepStrictEqual(sequencesIn(yield* client), upTo(301))

      yield* clientsAre(services, 1)
      assert.deepStrictEqual(sequencesIn(yield* readAll(hanging)), upTo(301))
      yield* clientsAre(services, 0)
    })
  )

  it.scopedLive("go on where they were when the daemon comes back", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const path = `${directory}/driver.sock`
      const first = yield* Scope.make()
      const before = yield* Scope.extend(daemon.serveOnSocket(path), first)
      const client = yield* daemon.clientOn(path)
      const goals = yield* daemon.goalsOver(client)
      const seen = yield* Ref.make<ReadonlyArray<number>>([])
      yield* Context.get(before, Script).publish(...numbered(1, 5))
      const following = yield* goals.events(goalA, { after: 0, follow: true }).pipe(
        Stream.runForEach(({ sequence }) => Ref.update(seen, (all) => [...all, sequence])),
        Effect.fork
      )
      yield* until(Effect.map(Ref.get(seen), (all) => all.length === 5))

      yield* Scope.close(first, Exit.void)
      yield* Effect.promise(() => rm(path, { force: true }))
      const after = yield* daemon.serveOnSocket(path)
      yield* Context.get(after, Script).publish(...numbered(1, 9), completedOf(goalA, 10))
      yield* Fiber.join(following)
      assert.deepStrictEqual(yield* Ref.get(seen), upTo(10))
    })
  )

  it.scopedLive("go on where they were when the connection is cut in the middle", () =>
    Effect.gen(function* () {
      const { path, script } = yield* daemon.remote()
      // A proxy that cuts every connection after so many bytes.
      const directory = yield* temporaryDirectory
      const cutting = `${directory}/cutting.sock`
      let connections = 0
      yield* Effect.acquireRelease(
        Effect.async<net.Server>((resume) => {
          const server = net.createServer((socket) => {
            connections++
            let left = 3_000
            const upstream = net.connect(path)
            socket.on("error", () => upstream.destroy()).on("close", () => upstream.destroy())
            upstream.on("error", () => socket.destroy()).on("close", () => socket.destroy())
            socket.pipe(upstream)
            upstream.on("data", (data) => {
              if (left <= 0) return
              socket.write(data.subarray(0, left))
              left -= data.length
              if (left <= 0) socket.end(() => socket.destroy())
            })
          })
          server.listen(cutting, () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
      )
      yield* script.publish(...numbered(1, 40), completedOf(goalA, 41))
      const goals = yield* daemon.goalsOver(yield* daemon.clientOn(cutting))
      const got = yield* goals.events(goalA, { after: 0, follow: true }).pipe(
        Stream.map(({ sequence }) => sequence),
        Stream.runCollect
      )
      assert.deepStrictEqual(Chunk.toReadonlyArray(got), upTo(41))
      assert.isAbove(connections, 2)
    })
  )

  it.scopedLive("fail with where the daemon was when it does not come back", () =>
    Effect.gen(function* () {
      const { client, path, script, stop } = yield* daemon.remoteToStop
      yield* script.publish(eventOf(goalA, 1))
      const seen = yield* Deferred.make<void>()
      const following = yield* EventsClient.events(client, goalA, {
        after: 0,
        follow: true,
        reconnectFor: "300 millis"
      }).pipe(
        Stream.runForEach(() => Deferred.succeed(seen, undefined)),
        Effect.flip,
        Effect.fork
      )
      yield* Deferred.await(seen)
      yield* stop
      const error = yield* Fiber.join(following)
      assert.include(error.message, path)
      assert.include(error.message, "driver serve")
    })
  )

  it.scopedLive("count as lost when not even a heartbeat comes", () =>
    Effect.gen(function* () {
      const { client, services } = yield* daemon.remote({ heartbeat: "1 hour" })
      const following = yield* EventsClient.events(client, goalB, {
        after: 0,
        follow: true,
        reconnectFor: "1 milli",
        silence: "50 millis"
      }).pipe(Stream.runDrain, Effect.fork)
      yield* clientsAre(services, 1)
      yield* until(Effect.map(Context.get(services, EventHub).clients, (clients) => clients === 0))
      yield* Fiber.interrupt(following)
    })
  )
})
