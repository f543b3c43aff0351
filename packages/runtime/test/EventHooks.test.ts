import { createHmac } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer, type IncomingHttpHeaders } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Containment } from "@driver/agent/Subprocess"
import { StoredEvent } from "@driver/domain/DriverEvent"
import { consumersOf, EventHooks, type EventHooksOptions } from "@driver/runtime/EventHooks"
import { HookAction, type HookSettings } from "@driver/runtime/HookSettings"
import { Outbox } from "@driver/runtime/Outbox"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import {
  Clock,
  Context,
  Duration,
  Effect,
  Exit,
  Layer,
  Logger,
  Option,
  Random,
  Redacted,
  Schema,
  Scope,
  TestClock
} from "effect"
import { completed, goalIdOf, message, paused } from "./support/events.js"
import { makeOutbox } from "./support/outbox.js"

const hook = (name: string, changes: Partial<HookSettings> = {}): HookSettings => ({
  name,
  on: ["*"],
  outcomes: Option.none(),
  action: post(`http://hooks.test/${name}`),
  timeout: Duration.seconds(10),
  tries: 8,
  firstDelay: Duration.seconds(5),
  maxDelay: Duration.minutes(10),
  ...changes
})

const post = (url: string, secret: Option.Option<string> = Option.none()) =>
  HookAction.Post({
    url: Redacted.make(url),
    headers: { "x-team": "a" },
    token: Option.none(),
    secret: Option.map(secret, Redacted.make)
  })

/** Answers a post: a status, with headers, or no connection. */
type Answer = number | readonly [number, Record<string, string>] | "unreachable" | "hangs"

interface Call {
  /** Seconds of the test's clock. */
  readonly at: number
  readonly name: string
  readonly id: string
}

/** Hooks over an outbox of the test's own. `answer` is asked for each post. */
const world = (
  hooks: ReadonlyArray<HookSettings>,
  answer: (call: Call, nth: number) => Answer,
  // A wake-up of the test's clock is dear.
  options: EventHooksOptions = { pollEvery: "1 hour" }
) =>
  Effect.gen(function* () {
    const store = yield* makeOutbox
    const calls: Array<Call> = []
    const lines: Array<string> = []
    const client = HttpClient.make((request, url) =>
      Effect.gen(function* () {
        const call = {
          at: Math.round((yield* Clock.currentTimeMillis) / 1_000),
          name: url.pathname.slice(1),
          id: request.headers["x-driver-delivery"] ?? ""
        }
        calls.push(call)
        const answered = answer(call, calls.filter(({ id, name }) => id === call.id && name === call.name).length)
        if (answered === "hangs") return yield* Effect.never
        if (answered === "unreachable") {
          return yield* new HttpClientError.RequestError({ request, reason: "Transport", cause: "refused" })
        }
        const [status, headers] = typeof answered === "number" ? [answered, {}] : answered
        return HttpClientResponse.fromWeb(request, new Response("what it says", { status, headers }))
      })
    )
    const logger = Logger.make<unknown, void>(({ message }) => void lines.push(String(message)))
    const scope = yield* Effect.acquireRelease(Scope.make(), (it) => Scope.close(it, Exit.void))
    const hooksService = yield* Layer.buildWithScope(EventHooks.layer(hooks, options), scope).pipe(
      Effect.provideService(Outbox, store.outbox),
      Effect.provideService(HttpClient.HttpClient, client),
      Effect.provide(Containment.layerProcessGroup),
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      // The middle: delays are what they are without jitter.
      Effect.withRandom(Random.fixed([0.5])),
      Effect.map(Context.get(EventHooks))
    )
    return { ...store, calls, lines, reports: hooksService.reports, close: Scope.close(scope, Exit.void) }
  })

const ids = (calls: ReadonlyArray<Call>) => calls.map(({ id }) => id)

describe("EventHooks", () => {
  it("is known to the outbox by the names of its hooks", () => {
    assert.deepStrictEqual(consumersOf([hook("chat"), hook("bell")]), ["hook:chat", "hook:bell"])
  })

  it.scoped("posts the events that a hook is for, and removes all of them", () =>
    Effect.gen(function* () {
      const { calls, messageIds, reports, write } = yield* world(
        [hook("chat", { on: ["goal_completed", "goal_paused"] })],
        () => 202
      )
      yield* write(message(1, 1), paused(1, 2), completed(1, 3))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(ids(calls), ["1:2", "1:3"])
      assert.deepStrictEqual(yield* messageIds, [])
      assert.deepStrictEqual(yield* reports, [
        { sink: "hook:chat", queued: 0, delivered: 2, dropped: 0, droppedActivity: 0, lastError: Option.none() }
      ])
    })
  )

  it.scoped("tries again, later and later, for some ten minutes, and then gives up", () =>
    Effect.gen(function* () {
      const { calls, lines, messageIds, reports, write } = yield* world([hook("chat")], () => 503)
      yield* write(completed(1, 1))
      yield* TestClock.adjust("15 minutes")
      assert.deepStrictEqual(
        calls.map(({ at }) => at),
        [0, 5, 15, 35, 75, 155, 315, 635]
      )
      assert.deepStrictEqual(yield* messageIds, [])
      const [report] = yield* reports
      assert.deepStrictEqual(
        [report?.dropped, report?.lastError],
        [1, Option.some("it answered with status 503: what it says")]
      )
      assert.deepStrictEqual(
        lines.filter((line) => line.includes("will not")),
        [
          `The hook chat did not get event 1:1 (GoalCompleted) of goal ${goalIdOf(1)}, and will not: it answered with status 503: what it says (8 tries)`
        ]
      )
    })
  )

  it.scoped("waits as long as the server asks, when that is longer", () =>
    Effect.gen(function* () {
      const { calls, write } = yield* world([hook("chat")], (_, nth) =>
        nth === 1 ? [429, { "retry-after": "90" }] : nth === 2 ? [503, { "retry-after": "1" }] : 200
      )
      yield* write(completed(1, 1))
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(
        calls.map(({ at }) => at),
        [0, 90, 100]
      )
    })
  )

  it.scoped("gives up at once what is refused, and goes on with the next", () =>
    Effect.gen(function* () {
      const { calls, messageIds, reports, write } = yield* world([hook("chat")], ({ id }) =>
        id === "1:1" ? 404 : id === "1:2" ? 302 : 200
      )
      yield* write(message(1, 1), message(1, 2), message(1, 3))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(ids(calls), ["1:1", "1:2", "1:3"])
      assert.deepStrictEqual(yield* messageIds, [])
      const [report] = yield* reports
      assert.deepStrictEqual([report?.delivered, report?.dropped], [1, 2])
    })
  )

  it.scoped("keeps the order of a goal, while other goals and other hooks go on", () =>
    Effect.gen(function* () {
      const { calls, write } = yield* world([hook("slow"), hook("dead")], ({ id, name }, nth) =>
        name === "dead" ? "unreachable" : id === "1:1" && nth < 3 ? 500 : 200
      )
      yield* write(message(1, 1), message(1, 2), message(2, 1))
      yield* TestClock.adjust("1 second")
      const of = (name: string) => ids(calls.filter((call) => call.name === name))
      assert.deepStrictEqual(of("slow"), ["1:1", "2:1"])
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(of("slow"), ["1:1", "2:1", "1:1", "1:1", "1:2"])
      assert.isFalse(of("dead").includes("1:2"))
    })
  )

  it.scoped("gives events of a dead hook one try each, until one is taken", () =>
    Effect.gen(function* () {
      let works = false
      const { calls, lines, messageIds, write } = yield* world([hook("chat", { tries: 3 })], () =>
        works ? 200 : "unreachable"
      )
      yield* write(...Array.from({ length: 20 }, (_, at) => message(1, at + 1)))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(ids(calls).slice(0, 5), ["1:1", "1:1", "1:1", "1:2", "1:3"])
      assert.strictEqual(calls.length, 22)
      assert.deepStrictEqual(yield* messageIds, [])
      works = true
      yield* write(message(1, 21))
      yield* TestClock.adjust("1 second")
      works = false
      yield* write(message(1, 22))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(ids(calls).slice(22), ["1:21", "1:22", "1:22", "1:22"])
      assert.isTrue(lines.includes("The hook chat works again"))
    })
  )

  it.scoped("counts a hook that does not answer as failed", () =>
    Effect.gen(function* () {
      const { calls, write } = yield* world([hook("chat")], (_, nth) => (nth === 1 ? "hangs" : 200))
      yield* write(message(1, 1))
      yield* TestClock.adjust("14 seconds")
      assert.strictEqual(calls.length, 1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(
        calls.map(({ at }) => at),
        [0, 15]
      )
    })
  )

  it.scoped("gives every event its first try when it is closed, and leaves what failed for the next driver", () =>
    Effect.gen(function* () {
      const { calls, close, messageIds, write } = yield* world([hook("chat")], ({ id }) => (id === "1:1" ? 500 : 200))
      yield* write(message(1, 1), message(1, 2), message(2, 1))
      yield* close
      assert.deepStrictEqual(ids(calls), ["1:1", "2:1"])
      assert.deepStrictEqual(yield* messageIds, ["1:1", "1:2"])
    })
  )

  it.scoped("is closed while it waits for the next try", () =>
    Effect.gen(function* () {
      const { close, messageIds, write } = yield* world([hook("chat")], () => 500)
      yield* write(message(1, 1))
      yield* TestClock.adjust("1 second")
      yield* close
      assert.deepStrictEqual(yield* messageIds, ["1:1"])
    })
  )
})

describe("EventHooks on the loopback", () => {
  interface Got {
    readonly headers: IncomingHttpHeaders
    readonly body: string
    readonly method: string
  }

  /** A server that answers 200, or what `answer` says. */
  const server = (answer: (nth: number) => number = () => 200) =>
    Effect.acquireRelease(
      Effect.async<{ readonly port: number; readonly got: Array<Got>; readonly close: Effect.Effect<void> }>(
        (resume) => {
          const got: Array<Got> = []
          const listening = createServer((request, response) => {
            const chunks: Array<Buffer> = []
            request.on("data", (chunk: Buffer) => chunks.push(chunk))
            request.on("end", () => {
              got.push({
                headers: request.headers,
                body: Buffer.concat(chunks).toString("utf8"),
                method: request.method ?? ""
              })
              response.writeHead(answer(got.length), { location: "/elsewhere" }).end("x".repeat(100_000))
            })
          })
          listening.listen(0, "127.0.0.1", () => {
            const address = listening.address()
            const port = typeof address === "object" && address !== null ? address.port : 0
            const close = Effect.async<void>((done) => {
              listening.closeAllConnections()
              listening.close(() => done(Effect.void))
            })
            resume(Effect.succeed({ port, got, close }))
          })
        }
      ),
      ({ close }) => close
    )

  const live = (hooks: ReadonlyArray<HookSettings>) =>
    Effect.gen(function* () {
      const store = yield* makeOutbox
      const service = yield* Layer.build(EventHooks.layer(hooks)).pipe(
        Effect.provideService(Outbox, store.outbox),
        Effect.provide([FetchHttpClient.layer, Containment.layerProcessGroup]),
        Effect.provide(Logger.replace(Logger.defaultLogger, Logger.none)),
        Effect.map(Context.get(EventHooks))
      )
      const done = Effect.repeat(Effect.zipRight(Effect.sleep("5 millis"), store.messageIds), {
        until: (left) => left.length === 0
      })
      return { ...store, done, reports: service.reports }
    })

  it.scopedLive("posts a signed event that the receiver can verify", () =>
    Effect.gen(function* () {
      const { got, port } = yield* server((nth) => (nth === 1 ? 503 : 200))
      const secret = "whsec_ż1234"
      const { done, write } = yield* live([
        hook("chat", {
          action: post(`http://127.0.0.1:${port}/path?q=1`, Option.some(secret)),
          firstDelay: Duration.millis(10)
        })
      ])
      const event = message(1, 1)
      yield* write(event)
      yield* done
      assert.strictEqual(got.length, 2)
      for (const { body, headers, method } of got) {
        const timestamp = String(headers["x-driver-timestamp"])
        const signature = createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex")
        assert.strictEqual(headers["x-driver-signature"], `sha256=${signature}`)
        assert.deepStrictEqual(
          [method, headers["content-type"], headers["x-driver-event"], headers["x-driver-delivery"], headers["x-team"]],
          ["POST", "application/json", "operator_message", "1:1", "a"]
        )
        assert.isAtMost(Math.abs(Number(timestamp) - Date.now() / 1_000), 60)
        assert.isUndefined(headers["traceparent"])
        assert.deepStrictEqual(Schema.decodeUnknownSync(StoredEvent.FromJson)(body), event)
      }
    })
  )

  it.scopedLive("follows no redirects", () =>
    Effect.gen(function* () {
      const { got, port } = yield* server(() => 302)
      const { done, reports, write } = yield* live([hook("chat", { action: post(`http://127.0.0.1:${port}`) })])
      yield* write(message(1, 1))
      yield* done
      assert.deepStrictEqual(
        got.map(({ method }) => method),
        ["POST"]
      )
      const [report] = yield* reports
      assert.match(
        Option.getOrElse(report?.lastError ?? Option.none(), () => ""),
        /302.*redirects are not followed/
      )
    })
  )

  const directory = Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "driver-hooks-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const command = (cwd: string, line: string) =>
    HookAction.Run({ argv: ["bash", "--norc", "-c", line], env: { PATH: process.env["PATH"] ?? "" }, cwd })

  it.scopedLive("runs a command that gets the event", () =>
    Effect.gen(function* () {
      const cwd = yield* directory
      const line = `cat > event.json; printf '%s ' "$DRIVER_EVENT" "$DRIVER_GOAL_ID" "$DRIVER_DELIVERY" > variables`
      const { done, write } = yield* live([hook("bell", { action: command(cwd, line) })])
      const event = completed(1, 1)
      yield* write(event)
      yield* done
      const read = (name: string) => readFileSync(join(cwd, name), "utf8")
      assert.deepStrictEqual(Schema.decodeUnknownSync(StoredEvent.FromJson)(read("event.json")), event)
      assert.strictEqual(read("variables"), `goal_completed ${goalIdOf(1)} 1:1 `)
    })
  )

  it.scopedLive("tries a command again that failed, and says what it printed", () =>
    Effect.gen(function* () {
      const cwd = yield* directory
      const action = command(cwd, `echo once >> tries; echo "no bell" >&2; exit 3`)
      const { done, reports, write } = yield* live([
        hook("bell", { action, tries: 3, firstDelay: Duration.millis(5), timeout: Duration.minutes(1) })
      ])
      yield* write(completed(1, 1))
      yield* done
      assert.strictEqual(readFileSync(join(cwd, "tries"), "utf8"), "once\nonce\nonce\n")
      const [report] = yield* reports
      assert.deepStrictEqual([report?.dropped, report?.lastError], [1, Option.some("it exited with 3: no bell")])
    })
  )

  it.scopedLive("ends a command that takes too long", () =>
    Effect.gen(function* () {
      const cwd = yield* directory
      const { done, reports, write } = yield* live([
        hook("bell", { action: command(cwd, "sleep 60"), tries: 1, timeout: Duration.millis(100) })
      ])
      yield* write(completed(1, 1))
      yield* done
      const [report] = yield* reports
      assert.deepStrictEqual(report?.lastError, Option.some("there was no answer within 100ms"))
    })
  )

  it.scopedLive("gives up at once a program that is not there", () =>
    Effect.gen(function* () {
      const cwd = yield* directory
      const action = HookAction.Run({ argv: ["no-such-program-here"], env: { PATH: "/usr/bin:/bin" }, cwd })
      const { done, reports, write } = yield* live([hook("bell", { action })])
      yield* write(completed(1, 1))
      yield* done
      const [report] = yield* reports
      assert.match(
        Option.getOrElse(report?.lastError ?? Option.none(), () => ""),
        /^Could not start "no-such-program-here"/
      )
    })
  )
})
