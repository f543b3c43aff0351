import { DecisionMade, StoredEvent } from "@driver/domain/DriverEvent"
import { ChoiceAllow, Decision, DecisionId } from "@driver/domain/Permission"
import { NatsUnavailable } from "@driver/nats/NatsConnection"
import * as Relay from "@driver/nats/NatsRelay"
import { NatsAuth, type NatsTls, type SettingsInput } from "@driver/nats/NatsSettings"
import { NatsStreamUnfit } from "@driver/nats/NatsStream"
import { Journal, JournalRecord } from "@driver/runtime/Journal"
import * as JournalMemory from "@driver/runtime/JournalMemory"
import { Outbox } from "@driver/runtime/Outbox"
import { assert, describe, it } from "@effect/vitest"
import { StorageType } from "@nats-io/jetstream"
import { nanos } from "@nats-io/transport-node"
import {
  Context,
  Duration,
  Effect,
  Exit,
  Layer,
  Logger,
  LogLevel,
  Option,
  Redacted,
  Schedule,
  Schema,
  Scope
} from "effect"
import { completed, goalIdOf, makeOutbox, message, paused, stored } from "./support/outbox.js"
import { directory, hasServer, makeServer, type ServerOptions, selfSigned } from "./support/server.js"

const fast: SettingsInput = {
  retry: { first: Duration.millis(20), longest: Duration.millis(100) },
  ackTimeout: Duration.seconds(2)
}

/** A relay over an outbox of the test's own; `close` closes it before the test ends. */
const relayTo = (url: string, settings: SettingsInput = {}, logger: Logger.Logger<unknown, void> = Logger.none) =>
  Effect.gen(function* () {
    const store = yield* makeOutbox
    const scope = yield* Effect.acquireRelease(Scope.make(), (it) => Scope.close(it, Exit.void))
    const relay = yield* Layer.buildWithScope(
      Relay.NatsRelay.layer({ servers: [url], ...fast, ...settings }),
      scope
    ).pipe(
      Effect.provideService(Outbox, store.outbox),
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Effect.map(Context.get(Relay.NatsRelay))
    )
    return { ...store, report: relay.report, close: Scope.close(scope, Exit.void) }
  })

const world = (options: ServerOptions & { readonly settings?: SettingsInput } = {}) =>
  Effect.gen(function* () {
    const server = yield* makeServer(options)
    yield* server.start
    return { server, relay: yield* relayTo(server.url, options.settings) }
  })

/** Looks again until it is so. A test that waits in vain is ended by its own time limit. */
const until = <A, E, R>(look: Effect.Effect<A, E, R>, is: (value: A) => boolean) =>
  look.pipe(Effect.repeat({ until: is, schedule: Schedule.spaced("10 millis") }), Effect.andThen(look))

const emptied = (relay: { readonly left: Effect.Effect<number> }) => until(relay.left, (left) => left === 0)

const decode = Schema.decodeUnknownSync(StoredEvent.FromJson)
const encode = Schema.encodeSync(StoredEvent.FromJson)

/** One whose texts are all short, and which is large all the same. */
const manyTexts = (goal: number, sequence: number, texts: number) =>
  stored(
    goal,
    sequence,
    new DecisionMade({
      goalId: goalIdOf(goal),
      decision: new Decision({
        id: DecisionId.make("00000000-0000-4000-8000-000000000099"),
        goalId: goalIdOf(goal),
        turn: 1,
        tool: "Edit",
        input: { texts: Array.from({ length: texts }, () => "x".repeat(100)) },
        choice: new ChoiceAllow(),
        rationale: "",
        decidedAt: paused(goal, sequence).at
      })
    })
  )

describe.skipIf(!hasServer)("NatsRelay", () => {
  it.scopedLive("publishes what is in the outbox to a stream that it makes", () =>
    Effect.gen(function* () {
      const { relay, server } = yield* world()
      const events = [message(1, 1), completed(2, 1), paused(1, 7)]
      yield* relay.write(...events)
      yield* emptied(relay)
      const messages = yield* server.read("DRIVER_EVENTS")
      const byId = new Map(messages.map((it) => [it.id, it]))
      assert.deepStrictEqual(
        events.map(({ messageId }) => {
          const found = byId.get(messageId)
          return [found?.subject, found?.goalId, found?.sequence, found?.text]
        }),
        events.map((event, at) => [
          ["agent.driver.goal.operator_message", "agent.driver.goal.completed", "agent.driver.goal.paused"][at],
          event.goalId,
          String(event.sequence),
          encode(event)
        ])
      )
      assert.strictEqual(messages.length, 3)
      const { config } = yield* Effect.flatMap(server.manager, (it) =>
        Effect.promise(() => it.streams.info("DRIVER_EVENTS"))
      )
      assert.deepStrictEqual(
        [config.subjects, config.storage, config.duplicate_window, config.max_age],
        [["agent.driver.>"], StorageType.File, nanos(2 * 3_600_000), nanos(30 * 86_400_000)]
      )
      const report = yield* until(relay.report, ({ delivered }) => delivered === 3)
      assert.deepStrictEqual(report, {
        sink: "nats",
        connected: true,
        queued: 0,
        delivered: 3,
        dropped: 0,
        droppedActivity: 0,
        duplicates: 0,
        cut: 0,
        lastError: Option.none()
      })
    })
  )

  it.scopedLive("publishes what the journal has written", () =>
    Effect.gen(function* () {
      const server = yield* makeServer()
      yield* server.start
      const context = yield* Layer.build(
        Relay.NatsRelay.layer({ servers: [server.url] }).pipe(
          Layer.provideMerge(JournalMemory.layer({ consumers: [Relay.consumer] }))
        )
      ).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, Logger.none)))
      const { event, ...record } = completed(1, 1)
      yield* Context.get(context, Journal).append([new JournalRecord({ ...record, id: "1:1", epoch: 0, entry: event })])
      yield* until(
        Context.get(context, Relay.NatsRelay).report,
        ({ delivered, queued }) => delivered + queued === 1 && queued === 0
      )
      assert.deepStrictEqual(
        (yield* server.read("DRIVER_EVENTS")).map(({ id, text }) => [id, decode(text)]),
        [["1:1", completed(1, 1)]]
      )
    })
  )

  it.scopedLive("loses nothing, keeps the order and repeats nothing while the server is killed and started again", () =>
    Effect.gen(function* () {
      const server = yield* makeServer()
      // The server is not there yet: events wait.
      const relay = yield* relayTo(server.url)
      const goals = 8
      const write = (from: number, to: number) =>
        relay.write(
          ...Array.from({ length: to - from }, (_, at) => from + at).flatMap((sequence) =>
            Array.from({ length: goals }, (_, goal) => message(goal + 1, sequence))
          )
        )
      yield* write(1, 51)
      yield* until(relay.report, ({ lastError }) => Option.isSome(lastError))
      assert.strictEqual((yield* relay.report).connected, false)
      assert.strictEqual(yield* relay.left, 400)
      yield* server.start
      // Killed in the middle of it, three times.
      for (const from of [51, 76, 101]) {
        const before = (yield* relay.report).delivered
        yield* until(relay.report, ({ delivered }) => delivered >= before + 100)
        yield* server.kill
        yield* write(from, from + 25)
        yield* until(relay.report, ({ connected }) => !connected)
        yield* server.start
      }
      yield* emptied(relay)
      const ids = (yield* server.read("DRIVER_EVENTS")).map(({ id }) => id)
      for (let goal = 1; goal <= goals; goal++) {
        assert.deepStrictEqual(
          ids.filter((id) => id.startsWith(`${goal}:`)),
          Array.from({ length: 125 }, (_, at) => `${goal}:${at + 1}`)
        )
      }
    })
  )

  it.scopedLive("publishes again what was not acknowledged, and the server drops it", () =>
    Effect.gen(function* () {
      const { relay, server } = yield* world()
      yield* relay.write(message(1, 1))
      yield* emptied(relay)
      // As after a crash between the acknowledgement and the outbox.
      yield* relay.write(message(1, 1), message(1, 2))
      yield* emptied(relay)
      assert.deepStrictEqual(
        (yield* server.read("DRIVER_EVENTS")).map(({ id }) => id),
        ["1:1", "1:2"]
      )
      assert.strictEqual((yield* relay.report).duplicates, 1)
    })
  )

  it.scopedLive("goes on after a server that took connections and did not answer", () =>
    Effect.gen(function* () {
      const { relay, server } = yield* world({
        settings: { ackTimeout: Duration.millis(200), connectTimeout: Duration.millis(200) }
      })
      yield* relay.write(message(1, 1))
      yield* emptied(relay)
      yield* server.freeze
      yield* relay.write(message(1, 2), message(1, 3), message(2, 1))
      yield* until(relay.report, ({ lastError }) => Option.isSome(lastError))
      yield* server.thaw
      yield* emptied(relay)
      const ids = (yield* server.read("DRIVER_EVENTS")).map(({ id }) => id)
      assert.deepStrictEqual(
        ids.filter((id) => id.startsWith("1:")),
        ["1:1", "1:2", "1:3"]
      )
      assert.strictEqual(ids.length, 4)
    })
  )

  it.scopedLive("says once that the server is away, and once that it is back", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
        if (LogLevel.greaterThanEqual(logLevel, LogLevel.Info)) lines.push(String(message))
      })
      const server = yield* makeServer()
      const relay = yield* relayTo(server.url, {}, logger)
      yield* until(relay.report, ({ lastError }) => Option.isSome(lastError))
      yield* Effect.sleep("300 millis")
      yield* server.start
      yield* until(relay.report, ({ connected }) => connected)
      assert.deepStrictEqual(lines, [
        `NATS at ${server.url} cannot be used (connect): connection refused. See whether the server runs at this ` +
          "address; events are kept until it does. The driver tries again for as long as it runs.",
        "Made the stream DRIVER_EVENTS for the subjects agent.driver.>",
        `NATS is back: events go to the stream DRIVER_EVENTS at 127.0.0.1:${server.port}`
      ])
    })
  )

  it.scopedLive("delivers, when it is closed, what was written just before", () =>
    Effect.gen(function* () {
      const { relay, server } = yield* world()
      yield* until(relay.report, ({ connected }) => connected)
      yield* relay.write(...Array.from({ length: 100 }, (_, at) => message(1, at + 1)), completed(1, 101))
      yield* relay.close
      assert.strictEqual(yield* relay.left, 0)
      assert.strictEqual((yield* server.read("DRIVER_EVENTS")).at(-1)?.subject, "agent.driver.goal.completed")
    })
  )

  it.scopedLive("is closed at once when the server is not there", () =>
    Effect.gen(function* () {
      const server = yield* makeServer()
      const relay = yield* relayTo(server.url, { closeTimeout: Duration.minutes(5) })
      yield* relay.write(message(1, 1))
      yield* until(relay.report, ({ lastError }) => Option.isSome(lastError))
      const [took] = yield* Effect.timed(relay.close)
      assert.isTrue(Duration.lessThan(took, "3 seconds"), Duration.format(took))
      assert.strictEqual(yield* relay.left, 1)
    })
  )

  it.scopedLive("puts a prefix before the subjects, and leaves a stream that is there as it is", () =>
    Effect.gen(function* () {
      const server = yield* makeServer()
      yield* server.start
      const manager = yield* server.manager
      const before = yield* Effect.promise(() =>
        manager.streams.add({ name: "OURS", subjects: ["acme.>"], max_msgs: 1_000 })
      )
      const relay = yield* relayTo(server.url, { prefix: "acme", stream: { name: "OURS" } })
      yield* relay.write(paused(1, 1))
      yield* emptied(relay)
      assert.deepStrictEqual(
        (yield* server.read("OURS")).map(({ subject }) => subject),
        ["acme.agent.driver.goal.paused"]
      )
      assert.deepStrictEqual((yield* Effect.promise(() => manager.streams.info("OURS"))).config, before.config)
    })
  )

  it.scopedLive("says what to do when the stream lacks the subjects, and goes on when that is done", () =>
    Effect.gen(function* () {
      const server = yield* makeServer()
      yield* server.start
      const manager = yield* server.manager
      yield* Effect.promise(() => manager.streams.add({ name: "DRIVER_EVENTS", subjects: ["other.>"] }))
      const relay = yield* relayTo(server.url)
      yield* relay.write(paused(1, 1))
      const { lastError } = yield* until(relay.report, ({ lastError }) => Option.isSome(lastError))
      assert.deepStrictEqual(
        lastError,
        Option.some(
          "The stream DRIVER_EVENTS cannot take the driver's events: it does not have the subjects agent.driver.>. Add them " +
            '(nats stream edit DRIVER_EVENTS --subjects "other.>,agent.driver.>"), or name a stream of the driver\'s own in the configuration.'
        )
      )
      assert.strictEqual(yield* relay.left, 1)
      yield* Effect.promise(() => manager.streams.update("DRIVER_EVENTS", { subjects: ["other.>", "agent.driver.>"] }))
      yield* emptied(relay)
    })
  )

  it.scopedLive("names the stream that takes the subjects already", () =>
    Effect.gen(function* () {
      const server = yield* makeServer()
      yield* server.start
      const manager = yield* server.manager
      yield* Effect.promise(() => manager.streams.add({ name: "ALL", subjects: ["agent.>"] }))
      const error = yield* Effect.flip(Relay.check({ servers: [server.url] }))
      assert.instanceOf(error, NatsStreamUnfit)
      assert.strictEqual(
        error.message,
        "The stream DRIVER_EVENTS cannot take the driver's events: the stream ALL takes such subjects already. " +
          "Name that one in the configuration, or give the driver a prefix."
      )
    })
  )

  it.scopedLive(
    "cuts what the server finds too large, and leaves out what cannot be cut, without holding up the rest",
    () =>
      Effect.gen(function* () {
        const { relay, server } = yield* world({ config: "max_payload: 65536" })
        yield* relay.write(message(1, 1, "ż".repeat(100_000)), manyTexts(1, 2, 1_000), message(1, 3))
        yield* emptied(relay)
        const messages = yield* server.read("DRIVER_EVENTS")
        assert.deepStrictEqual(
          messages.map(({ cut, id }) => [id, cut]),
          [
            ["1:1", "event.message"],
            ["1:3", ""]
          ]
        )
        const { event } = decode(messages[0]?.text)
        assert.match(
          event._tag === "OperatorMessage" ? event.message : "",
          /^ż{20000,}… \(cut by driver: \d+ more characters\)$/
        )
        const report = yield* relay.report
        assert.deepStrictEqual([report.cut, report.dropped, report.delivered], [1, 1, 2])
        assert.match(
          Option.getOrElse(report.lastError, () => ""),
          /event 1:2 of goal .* cannot be published: it has \d+ bytes, and the server takes 65536/
        )
      })
  )

  it.scopedLive("keeps to the stream's own limit on messages", () =>
    Effect.gen(function* () {
      const server = yield* makeServer()
      yield* server.start
      const manager = yield* server.manager
      yield* Effect.promise(() =>
        manager.streams.add({ name: "DRIVER_EVENTS", subjects: ["agent.driver.>"], max_msg_size: 8_192 })
      )
      const relay = yield* relayTo(server.url)
      yield* relay.write(message(1, 1, "x".repeat(20_000)), message(1, 2))
      yield* emptied(relay)
      assert.deepStrictEqual(
        (yield* server.read("DRIVER_EVENTS")).map(({ cut, id }) => [id, cut]),
        [
          ["1:1", "event.message"],
          ["1:2", ""]
        ]
      )
    })
  )

  it.scopedLive("logs in with user and password, or a token in the address", () =>
    Effect.gen(function* () {
      const server = yield* makeServer({
        config: 'authorization { user: ann, password: "s3 cret" }',
        login: { user: "ann", pass: "s3 cret" }
      })
      yield* server.start
      const withPassword = (password: string) =>
        Relay.check({
          servers: [server.url],
          auth: NatsAuth.Password({ user: "ann", password: Redacted.make(password) })
        })
      const refused = yield* Effect.flip(withPassword("wrong"))
      assert.instanceOf(refused, NatsUnavailable)
      assert.match(refused.message, /Authorization Violation.*Give the driver a user/)
      assert.notMatch(refused.message, /wrong/)
      yield* withPassword("s3 cret")
      yield* Relay.check({ servers: [server.url.replace("//", "//ann:s3%20cret@")] })
    })
  )

  it.scopedLive("speaks TLS, and only with a server that it can trust", (context) =>
    Effect.gen(function* () {
      const certificate = selfSigned(yield* directory)
      if (certificate === undefined) return context.skip("no openssl on the PATH")
      const { cert, key, text } = certificate
      const server = yield* makeServer({ config: `tls { cert_file: "${cert}", key_file: "${key}" }` })
      yield* server.start
      const check = (tls: NatsTls) =>
        Relay.check({ servers: [`nats://localhost:${server.port}`], tls: Option.some(tls) })
      yield* check({ ca: text })
      assert.match((yield* Effect.flip(check({}))).message, /self-signed certificate/)
      const plain = yield* makeServer()
      yield* plain.start
      const refused = yield* Effect.flip(Relay.check({ servers: [plain.url], tls: Option.some({ ca: text }) }))
      assert.match(refused.message, /tls/i)
    })
  )

  it.scopedLive("says that JetStream is not enabled", () =>
    Effect.gen(function* () {
      const server = yield* makeServer({ jetstream: false })
      yield* server.start
      const error = yield* Effect.flip(Relay.check({ servers: [server.url] }))
      assert.match(error.message, /jetstream is not enabled.*nats-server -js/)
    })
  )
})
