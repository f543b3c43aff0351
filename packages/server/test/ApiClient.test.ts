import * as Http from "node:http"
import { Goals } from "@driver/runtime/Goals"
import { ApiClient } from "@driver/server/ApiClient"
import * as GoalsRemote from "@driver/server/GoalsRemote"
import * as HttpClient from "@effect/platform/HttpClient"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Redacted, Stream, TestClock } from "effect"
import * as daemon from "./support/daemon.js"
import { temporaryDirectory } from "./support/net.js"
import { goalA, summaryOf } from "./support/scriptedGoals.js"

/** A server that answers everything with this. */
const answering = (path: string, status: number, body: string) =>
  Effect.acquireRelease(
    Effect.async<Http.Server>((resume) => {
      const server = Http.createServer((_, response) => response.writeHead(status).end(body))
      server.listen(path, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )

describe("A client without a daemon", () => {
  it.scopedLive("says where it looked, and how to start one", () =>
    Effect.gen(function* () {
      const path = `${yield* temporaryDirectory}/driver.sock`
      const services = yield* daemon.clientOn(path)
      const client = yield* Effect.provide(ApiClient, services)
      const goals = yield* daemon.goalsOver(services)
      const nobody = yield* Effect.flip(client.probe())
      assert.strictEqual(nobody._tag, "DaemonUnreachable")
      assert.strictEqual(
        nobody.message,
        `No daemon answers at ${path} (connect ENOENT ${path}): start one with \`driver serve\``
      )
      const error = yield* Effect.flip(goals.list({ all: true }))
      assert.strictEqual(error._tag, "DriverTrouble")
      assert.strictEqual(error.message, nobody.message)
      const noEvents = yield* Effect.flip(Stream.runDrain(goals.events(goalA, { after: 0, follow: true })))
      assert.strictEqual(noEvents.message, nobody.message)
    })
  )

  it.scopedLive("does not wait long for one that hangs", () =>
    Effect.gen(function* () {
      const { client, script } = yield* daemon.remote()
      script.answers.current = { list: () => Effect.never }
      const error = yield* Effect.flip(client.probe("50 millis"))
      assert.match(error.message, /it did not answer in time/)
    })
  )
})

describe("The operator's service over a daemon that hangs", () => {
  it.effect("says so, instead of waiting for ever", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      const id = "5e6f7a8b"
      const calls: ReadonlyArray<Effect.Effect<unknown, { readonly message: string }>> = [
        goals.list({ all: true }),
        goals.find(id),
        goals.show(goalA),
        goals.approvals,
        goals.approve(id, false),
        goals.deny(id, Option.none())
      ]
      const asked = yield* Effect.fork(Effect.forEach(calls, Effect.flip, { concurrency: "unbounded" }))
      yield* TestClock.adjust("15 seconds")
      for (const error of yield* Fiber.join(asked)) {
        assert.strictEqual(
          error.message,
          "The daemon at /driver.sock has not answered within 15 seconds: see what its process does, or end it and start `driver serve` anew; its goals go on then"
        )
      }
    }).pipe(
      Effect.provide(
        GoalsRemote.layer.pipe(
          Layer.provide(ApiClient.layer({ address: "/driver.sock" })),
          Layer.provide(
            Layer.succeed(
              HttpClient.HttpClient,
              HttpClient.make(() => Effect.never)
            )
          )
        )
      )
    )
  )
})

describe("A client of a daemon of another version", () => {
  it.scopedLive("says what it was answered", () =>
    Effect.gen(function* () {
      const path = `${yield* temporaryDirectory}/driver.sock`
      yield* answering(path, 404, `{"_tag":"UnknownPath","message":"There is nothing here"}`)
      const goals = yield* daemon.goalsOver(yield* daemon.clientOn(path))
      assert.strictEqual(
        (yield* Effect.flip(goals.deliver(goalA))).message,
        `The daemon at ${path} is of another version: There is nothing here`
      )
    })
  )

  it.scopedLive("says what somebody else answered", () =>
    Effect.gen(function* () {
      const path = `${yield* temporaryDirectory}/driver.sock`
      yield* answering(path, 502, "Bad gateway")
      const goals = yield* daemon.goalsOver(yield* daemon.clientOn(path))
      const said = `The daemon at ${path} answered with status 502: Bad gateway. Is it of another version?`
      assert.strictEqual((yield* Effect.flip(goals.deliver(goalA))).message, said)
      const noEvents = yield* Effect.flip(Stream.runDrain(goals.events(goalA, { after: 0, follow: true })))
      assert.strictEqual(noEvents.message, said)
    })
  )

  it.scopedLive("says that it cannot read the answer", () =>
    Effect.gen(function* () {
      const path = `${yield* temporaryDirectory}/driver.sock`
      yield* answering(path, 200, `[{"goal_id":"x"}]`)
      const goals = yield* daemon.goalsOver(yield* daemon.clientOn(path))
      assert.match(
        (yield* Effect.flip(goals.list({ all: false }))).message,
        /could not be read, is it of another version\?/
      )
    })
  )
})

describe("A client over TCP", () => {
  it.scopedLive("sends the token", () =>
    Effect.gen(function* () {
      const { url } = yield* daemon.onPort()
      const goals = (token: Redacted.Redacted) =>
        Effect.flatMap(Goals, (it) => it.list({ all: false })).pipe(
          Effect.provide(
            GoalsRemote.layer.pipe(
              Layer.provide(ApiClient.layer({ address: url, baseUrl: url, token })),
              Layer.provide(NodeHttpClient.layerUndici)
            )
          )
        )
      assert.deepStrictEqual(yield* goals(daemon.token), [summaryOf(goalA)])
      const error = yield* Effect.flip(goals(Redacted.make("another")))
      assert.strictEqual(error._tag, "DriverTrouble")
      assert.match(error.message, /token is missing or wrong/)
    })
  )
})
