import { execFileSync } from "node:child_process"
import { GoalStarted, StoredEvent } from "@driver/domain/DriverEvent"
import { Goal } from "@driver/domain/Goal"
import { type PlatformError, SystemError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import {
  Context,
  DateTime,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Metric,
  Option,
  Ref,
  Schema,
  Scope,
  Stream,
  TestClock
} from "effect"
import { EventSink, RecordedEvents, SinkHealth } from "../src/EventSink.js"
import { EventFeed } from "../src/EventSinkPubSub.js"
import { droppedMetric } from "../src/internal/delivery.js"
import { activity, goalIdOf, message, paused } from "./support/events.js"

const parseLine = Schema.decodeSync(StoredEvent.FromJson)
const linesOf = (text: string) => text.split("\n").filter((line) => line !== "")
const idsOf = (events: ReadonlyArray<StoredEvent>) => events.map((event) => event.messageId)

/** Builds a layer in a scope that the test can close before its own. */
const build = <Out, E, R>(layer: Layer.Layer<Out, E, R>) =>
  Effect.gen(function* () {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const context = yield* Layer.buildWithScope(layer, scope)
    return { context, close: Scope.close(scope, Exit.void) }
  })

/** A sink under contract. */
interface Subject {
  readonly sink: EventSink["Type"]
  /** What has been delivered; may wait for this many where somebody has to take them. */
  readonly delivered: (atLeast: number) => Effect.Effect<ReadonlyArray<StoredEvent>>
  readonly close: Effect.Effect<void>
}

type MakeSubject = Effect.Effect<Subject, PlatformError, Scope.Scope | FileSystem.FileSystem | Path.Path>

const temporaryFile = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  return path.join(yield* fs.makeTempDirectoryScoped(), "made", "events.jsonl")
})

const readEvents = (file: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) =>
    Effect.map(fs.readFileString(file), (text) => linesOf(text).map((line) => parseLine(line)))
  )

const memory: MakeSubject = Effect.gen(function* () {
  const { context, close } = yield* build(EventSink.layerMemory)
  const recorded = Context.get(context, RecordedEvents)
  return { sink: Context.get(context, EventSink), delivered: () => recorded.all, close }
})

const jsonl: MakeSubject = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const file = yield* temporaryFile
  const { context, close } = yield* build(EventSink.layerJsonl(file))
  return {
    sink: Context.get(context, EventSink),
    delivered: () => Effect.orDie(Effect.provideService(readEvents(file), FileSystem.FileSystem, fs)),
    close
  }
})

const pubSub: MakeSubject = Effect.gen(function* () {
  const { context, close } = yield* build(EventSink.layerPubSub())
  const subscription = yield* Context.get(context, EventFeed).subscribe()
  const taken: Array<StoredEvent> = []
  return {
    sink: Context.get(context, EventSink),
    delivered: (atLeast) =>
      Effect.gen(function* () {
        while (taken.length < atLeast) taken.push(...(yield* Effect.orDie(subscription.take)))
        return taken
      }),
    close
  }
})

const hanging = Layer.succeed(EventSink, { publish: () => Effect.never, flush: Effect.never })
const dying = Layer.succeed(EventSink, {
  publish: () => Effect.dieMessage("the sink is broken"),
  flush: Effect.dieMessage("the sink is broken")
})
const throwing = Layer.succeed(EventSink, {
  publish: () => {
    throw new Error("the sink is broken")
  },
  flush: Effect.void
})

const all: MakeSubject = Effect.gen(function* () {
  const file = yield* temporaryFile
  const { context, close } = yield* build(
    EventSink.layerAll([dying, EventSink.layerMemory, throwing, EventSink.layerJsonl(file), EventSink.layerPubSub()])
  )
  const recorded = Context.get(context, RecordedEvents)
  return { sink: Context.get(context, EventSink), delivered: () => recorded.all, close }
})

const allHanging: MakeSubject = Effect.gen(function* () {
  const options = { flushTimeout: "200 millis", closeTimeout: "200 millis" } as const
  const { context, close } = yield* build(EventSink.layerAll([hanging, EventSink.layerMemory], options))
  const recorded = Context.get(context, RecordedEvents)
  return { sink: Context.get(context, EventSink), delivered: () => recorded.all, close }
})

const contract = (name: string, make: MakeSubject) =>
  describe(`EventSink.${name}`, () => {
    it.scopedLive("keeps the order of each goal under 20 concurrent publishers", () =>
      Effect.gen(function* () {
        const { delivered, sink } = yield* make
        const goals = Array.from({ length: 20 }, (_, goal) => goal + 1)
        const each = 100
        yield* Effect.forEach(
          goals,
          (goal) =>
            Effect.forEach(
              Array.from({ length: each }, (_, index) => index + 1),
              (sequence) =>
                Effect.zipRight(
                  sink.publish(message(goal, sequence)),
                  (goal * sequence) % 3 === 0 ? Effect.yieldNow() : Effect.void
                ),
              { discard: true }
            ),
          { concurrency: "unbounded", discard: true }
        )
        yield* sink.flush
        const events = yield* delivered(goals.length * each)
        assert.strictEqual(events.length, goals.length * each)
        for (const goal of goals) {
          assert.deepStrictEqual(
            events.filter((event) => event.goalId === goalIdOf(goal)).map((event) => event.sequence),
            Array.from({ length: each }, (_, index) => index + 1)
          )
        }
      }).pipe(Effect.provide(NodeContext.layer))
    )

    it.scopedLive("delivers every event as it was published before flush resolves", () =>
      Effect.gen(function* () {
        const { delivered, sink } = yield* make
        const events = [
          message(1, 1, 'quotes " \\ newline \n return \r nul \u0000 separator \u2028 lone \ud800 end'),
          activity(1, 2, "👩‍🚀 ż ل 漢"),
          paused(1, 3),
          message(1, 4, "x".repeat(1_000_000))
        ]
        for (const event of events) yield* sink.publish(event)
        yield* sink.flush
        assert.deepStrictEqual(yield* delivered(events.length), events)
      }).pipe(Effect.provide(NodeContext.layer))
    )

    it.scopedLive("delivers what it has accepted when its scope closes, and takes nothing after", () =>
      Effect.gen(function* () {
        const { close, delivered, sink } = yield* make
        const events = Array.from({ length: 500 }, (_, index) => message(1, index + 1))
        for (const event of events) yield* sink.publish(event)
        yield* close
        assert.deepStrictEqual(idsOf(yield* delivered(500)), idsOf(events))
        yield* sink.publish(message(1, 501))
        yield* sink.flush
      }).pipe(Effect.provide(NodeContext.layer))
    )
  })

contract("layerMemory", memory)
contract("layerJsonl", jsonl)
contract("layerPubSub", pubSub)
contract("layerAll with broken members", all)
contract("layerAll with a hanging member", allHanging)

describe("EventSink.layerNoop", () => {
  it.effect("takes everything and does nothing", () =>
    Effect.gen(function* () {
      const sink = yield* EventSink
      yield* sink.publish(message(1, 1))
      yield* sink.flush
    }).pipe(Effect.provide(EventSink.layerNoop))
  )
})

describe("EventSink.layerMemory", () => {
  it.effect("lets a test wait for an event that has happened, or will", () =>
    Effect.gen(function* () {
      const sink = yield* EventSink
      const recorded = yield* RecordedEvents
      yield* sink.publish(message(1, 1))
      assert.strictEqual((yield* recorded.waitFor((event) => event.sequence === 1)).sequence, 1)
      const later = yield* Effect.fork(recorded.waitFor((event) => event.sequence === 3))
      const three = yield* Effect.fork(recorded.waitUntil((events) => events.length === 3))
      yield* Effect.yieldNow()
      yield* sink.publish(message(1, 2))
      yield* Effect.yieldNow()
      assert.isTrue(Option.isNone(yield* Fiber.poll(later)))
      yield* sink.publish(message(1, 3))
      assert.strictEqual((yield* Fiber.join(later)).sequence, 3)
      assert.deepStrictEqual(idsOf(yield* Fiber.join(three)), ["1:1", "1:2", "1:3"])
    }).pipe(Effect.provide(EventSink.layerMemory))
  )
})

/** A file system with one file in memory, whose writes do as told: take so many bytes, then succeed or fail. */
const fakeDisk = (
  plan: (write: number, bytes: Uint8Array) => Effect.Effect<number, PlatformError>,
  initial = ""
): { readonly text: () => string; readonly layer: Layer.Layer<FileSystem.FileSystem | Path.Path> } => {
  let content = new TextEncoder().encode(initial)
  let writes = 0
  let position = 0
  const info = (): FileSystem.File.Info => ({
    type: "File",
    mtime: Option.none(),
    atime: Option.none(),
    birthtime: Option.none(),
    dev: 0,
    ino: Option.none(),
    mode: 0o600,
    nlink: Option.none(),
    uid: Option.none(),
    gid: Option.none(),
    rdev: Option.none(),
    size: FileSystem.Size(content.length),
    blksize: Option.none(),
    blocks: Option.none()
  })
  const unused = Effect.dieMessage("not used")
  const file: FileSystem.File = {
    [FileSystem.FileTypeId]: FileSystem.FileTypeId,
    fd: FileSystem.FileDescriptor(0),
    stat: Effect.sync(info),
    sync: Effect.void,
    seek: (offset) =>
      Effect.sync(() => {
        position = Number(offset)
        return FileSystem.Size(position)
      }),
    read: () => unused,
    readAlloc: (size) => Effect.sync(() => Option.some(content.slice(position, position + Number(size)))),
    truncate: () => unused,
    write: (bytes) =>
      Effect.suspend(() => plan(++writes, bytes)).pipe(
        Effect.map((taken) => {
          content = Buffer.concat([content, bytes.slice(0, taken)])
          return FileSystem.Size(taken)
        })
      ),
    writeAll: () => unused
  }
  return {
    text: () => new TextDecoder().decode(content),
    layer: Layer.merge(
      FileSystem.layerNoop({
        makeDirectory: () => Effect.void,
        open: () => Effect.succeed(file),
        stat: () => Effect.sync(info)
      }),
      Path.layer
    )
  }
}

const noSpace = new SystemError({
  reason: "Unknown",
  module: "FileSystem",
  method: "write",
  description: "ENOSPC: no space left on device"
})

describe("EventSink.layerJsonl", () => {
  it.scopedLive("writes one JSON object per line, in snake_case", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const file = yield* temporaryFile
      yield* Effect.gen(function* () {
        const sink = yield* EventSink
        yield* sink.publish(paused(1, 1))
        yield* sink.publish(message(1, 2, "hi"))
      }).pipe(Effect.provide(EventSink.layerJsonl(file)))
      const goal = "00000000-0000-4000-8000-000000000001"
      assert.strictEqual(
        yield* fs.readFileString(file),
        `{"goal_id":"${goal}","sequence":1,"message_id":"1:1","at":"2023-11-14T22:13:20.001Z","event":{"kind":"goal_paused","goal_id":"${goal}"}}\n` +
          `{"goal_id":"${goal}","sequence":2,"message_id":"1:2","at":"2023-11-14T22:13:20.002Z","event":{"kind":"operator_message","goal_id":"${goal}","message":"hi","delivery":"queued"}}\n`
      )
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("starts on a new line after a line that a crash has torn", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const file = yield* fs.makeTempFileScoped()
      yield* fs.writeFileString(file, '{"whole":1}\n{"torn":')
      const publish = Effect.flatMap(EventSink, (sink) => sink.publish(paused(1, 1)))
      yield* publish.pipe(Effect.provide(EventSink.layerJsonl(file)))
      yield* publish.pipe(Effect.provide(EventSink.layerJsonl(file)))
      const lines = (yield* fs.readFileString(file)).split("\n")
      assert.deepStrictEqual(lines.slice(0, 2), ['{"whole":1}', '{"torn":'])
      assert.deepStrictEqual(
        lines.slice(2, 4).map((line) => parseLine(line).messageId),
        ["1:1", "1:1"]
      )
      assert.deepStrictEqual(lines.slice(4), [""])
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("does not mix with another sink on the same file within a line", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* Effect.forEach(
        [1, 2, 3],
        (goal) =>
          Effect.gen(function* () {
            const sink = yield* EventSink
            for (let sequence = 1; sequence <= 300; sequence++) {
              yield* sink.publish(message(goal, sequence, `${goal}`.repeat(1 + ((sequence * 977) % 20_000))))
              if (sequence % 7 === 0) yield* Effect.sleep("1 millis")
            }
          }).pipe(Effect.provide(Layer.fresh(EventSink.layerJsonl(file)))),
        { concurrency: "unbounded" }
      )
      const events = yield* readEvents(file)
      assert.strictEqual(events.length, 900)
      for (const goal of [1, 2, 3]) {
        assert.deepStrictEqual(
          events.filter((event) => event.goalId === goalIdOf(goal)).map((event) => event.sequence),
          Array.from({ length: 300 }, (_, index) => index + 1)
        )
      }
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("gives up after a bounded time on a device without space, counts it, and never blocks", () =>
    Effect.gen(function* () {
      const before = yield* Metric.value(Metric.tagged(droppedMetric, "sink", "jsonl /dev/full"))
      const sink = yield* EventSink
      const health = yield* SinkHealth
      yield* sink.publish(paused(1, 1))
      yield* sink.flush
      const [report] = yield* health.reports
      assert.deepInclude(report, { delivered: 0, dropped: 1, queued: 0 })
      assert.match(
        Option.getOrElse(report?.lastError ?? Option.none(), () => ""),
        /ENOSPC/
      )
      const after = yield* Metric.value(Metric.tagged(droppedMetric, "sink", "jsonl /dev/full"))
      assert.strictEqual(Number(after.count) - Number(before.count), 1)
    }).pipe(
      Effect.provide(EventSink.layerJsonl({ path: "/dev/full", retryFor: "150 millis" })),
      Effect.provide(NodeContext.layer)
    )
  )

  it.scopedLive("gives up on a path that can never be written, and closes", () =>
    Effect.gen(function* () {
      const { context, close } = yield* build(
        EventSink.layerJsonl({ path: "/dev/null/events.jsonl", retryFor: "50 millis" })
      )
      yield* Context.get(context, EventSink).publish(paused(1, 1))
      yield* close
      const [report] = yield* Context.get(context, SinkHealth).reports
      assert.deepInclude(report, { delivered: 0, dropped: 1, queued: 0 })
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scoped("tries a failed write again until it succeeds, and loses nothing", () =>
    Effect.gen(function* () {
      const disk = fakeDisk((write, bytes) => (write < 6 ? Effect.fail(noSpace) : Effect.succeed(bytes.length)))
      const { context } = yield* build(Layer.provide(EventSink.layerJsonl("/events.jsonl"), disk.layer))
      const sink = Context.get(context, EventSink)
      for (let sequence = 1; sequence <= 1_000; sequence++) yield* sink.publish(message(1, sequence))
      const flushed = yield* Effect.fork(sink.flush)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(flushed)
      assert.deepStrictEqual(
        linesOf(disk.text()).map((line) => parseLine(line).sequence),
        Array.from({ length: 1_000 }, (_, index) => index + 1)
      )
      const [report] = yield* Context.get(context, SinkHealth).reports
      assert.deepInclude(report, { delivered: 1_000, dropped: 0, queued: 0 })
    })
  )

  for (const cut of ["inside a line", "at the end of a line"] as const) {
    for (const then of ["was full", "took the rest"] as const) {
      it.scoped(`writes no event twice and none in pieces when a write ended ${cut} and the disk ${then}`, () =>
        Effect.gen(function* () {
          const disk = fakeDisk((write, bytes) => {
            if (write === 1) return Effect.succeed(bytes.indexOf(0x0a) + (cut === "inside a line" ? 20 : 1))
            return then === "was full" && write < 4 ? Effect.fail(noSpace) : Effect.succeed(bytes.length)
          })
          const { context } = yield* build(Layer.provide(EventSink.layerJsonl("/events.jsonl"), disk.layer))
          const sink = Context.get(context, EventSink)
          for (let sequence = 1; sequence <= 10; sequence++) yield* sink.publish(message(1, sequence))
          const flushed = yield* Effect.fork(sink.flush)
          yield* TestClock.adjust("5 seconds")
          yield* Fiber.join(flushed)
          const lines = disk.text().split("\n")
          assert.strictEqual(lines.pop(), "")
          const torn = cut === "inside a line" ? lines.splice(1, 1) : []
          for (const line of torn) assert.throws(() => parseLine(line))
          assert.deepStrictEqual(
            lines.map((line) => parseLine(line).sequence),
            Array.from({ length: 10 }, (_, index) => index + 1)
          )
        })
      )
    }
  }

  it.scoped("returns from publish, flush and close while a write hangs, and counts what is lost", () =>
    Effect.gen(function* () {
      const disk = fakeDisk(() => Effect.never)
      const { context, close } = yield* build(
        Layer.provide(EventSink.layerJsonl({ path: "/events.jsonl", maxQueued: 100 }), disk.layer)
      )
      const sink = Context.get(context, EventSink)
      const health = Context.get(context, SinkHealth)
      yield* sink.publish(message(1, 1))
      yield* Effect.iterate(0, { while: (queued) => queued === 0, body: () => Effect.as(Effect.yieldNow(), 1) })
      for (let sequence = 2; sequence <= 301; sequence++) {
        yield* sink.publish(sequence % 2 === 0 ? activity(1, sequence) : message(1, sequence))
      }
      const [full] = yield* health.reports
      assert.deepInclude(full, { queued: 101, dropped: 200, droppedActivity: 150 })
      const flushed = yield* Effect.fork(sink.flush)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(flushed)
      const closed = yield* Effect.fork(close)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(closed)
      const [report] = yield* health.reports
      assert.deepInclude(report, { delivered: 0, dropped: 301, queued: 0 })
    })
  )

  it.scopedLive("gives up an event that cannot be encoded, and only that one", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const goal = new Goal({ id: goalIdOf(1), description: "impossible", metadata: { big: 1n } })
      const impossible = new StoredEvent({
        goalId: goal.id,
        sequence: 2,
        messageId: "1:2",
        at: DateTime.unsafeMake(0),
        event: new GoalStarted({ goalId: goal.id, goal })
      })
      yield* Effect.gen(function* () {
        const sink = yield* EventSink
        for (const event of [paused(1, 1), impossible, paused(1, 3)]) yield* sink.publish(event)
        yield* sink.flush
        const [report] = yield* (yield* SinkHealth).reports
        assert.deepInclude(report, { delivered: 2, dropped: 1 })
      }).pipe(Effect.provide(EventSink.layerJsonl(file)))
      assert.deepStrictEqual(idsOf(yield* readEvents(file)), ["1:1", "1:3"])
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("closes in time although nobody reads the pipe it writes to", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const path = yield* Path.Path
      const fs = yield* FileSystem.FileSystem
      yield* fs.makeDirectory(path.dirname(file), { recursive: true })
      execFileSync("mkfifo", [file])
      const { context, close } = yield* build(EventSink.layerJsonl({ path: file, closeTimeout: "50 millis" }))
      yield* Context.get(context, EventSink).publish(paused(1, 1))
      yield* close
      // Lets the thread go that is still opening the pipe.
      yield* Effect.scoped(fs.open(file, { flag: "r+" }))
      const [report] = yield* Context.get(context, SinkHealth).reports
      assert.deepInclude(report, { delivered: 0, dropped: 1 })
    }).pipe(Effect.provide(NodeContext.layer))
  )
})

describe("EventSink.layerPubSub", () => {
  it.scoped("drops for a slow subscriber only, its activity first, and counts it", () =>
    Effect.gen(function* () {
      const sink = yield* EventSink
      const feed = yield* EventFeed
      const slow = yield* feed.subscribe({ maxQueued: 10 })
      const fast = yield* feed.subscribe()
      for (let sequence = 1; sequence <= 20; sequence++) {
        yield* sink.publish(sequence % 2 === 0 ? activity(1, sequence) : message(1, sequence))
      }
      const sequences = (events: ReadonlyArray<StoredEvent>) => events.map((event) => event.sequence)
      assert.deepStrictEqual(sequences(yield* slow.take), [1, 3, 5, 7, 9, 11, 13, 15, 17, 19])
      assert.strictEqual(yield* slow.dropped, 10)
      assert.strictEqual((yield* fast.take).length, 20)
      assert.strictEqual(yield* fast.dropped, 0)
      const [report] = yield* (yield* SinkHealth).reports
      assert.deepInclude(report, { delivered: 30, dropped: 10, droppedActivity: 10, queued: 0 })
    }).pipe(Effect.provide(EventSink.layerPubSub()))
  )

  it.scoped("gives a subscriber the goal it asked for, and ends with its scope", () =>
    Effect.gen(function* () {
      const { context, close } = yield* build(EventSink.layerPubSub())
      const sink = Context.get(context, EventSink)
      const feed = Context.get(context, EventFeed)
      const own = yield* feed.subscribe({ goalId: goalIdOf(2) })
      const streamed = yield* Effect.fork(Stream.runCollect(own.events))
      const waiting = yield* feed.subscribe()
      for (const goal of [1, 2, 3, 2]) yield* sink.publish(message(goal, goal))
      yield* close
      assert.deepStrictEqual(idsOf([...(yield* Fiber.join(streamed))]), ["2:2", "2:2"])
      assert.strictEqual((yield* waiting.take).length, 4)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(waiting.take)))
      // A feed that has ended is over at once for whoever comes late.
      assert.strictEqual((yield* Stream.runCollect(feed.stream())).length, 0)
    })
  )

  it.effect("forgets a subscriber whose scope has closed", () =>
    Effect.gen(function* () {
      const feed = yield* EventFeed
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* feed.subscribe()
          assert.strictEqual(yield* feed.subscribers, 1)
        })
      )
      assert.strictEqual(yield* feed.subscribers, 0)
    }).pipe(Effect.provide(EventSink.layerPubSub()))
  )
})

describe("EventSink.layerAll", () => {
  it.scoped("goes on with the other sinks and later events when one hangs, and says what it lost", () =>
    Effect.gen(function* () {
      const stuck = yield* Deferred.make<void>()
      const seen = yield* Ref.make<ReadonlyArray<string>>([])
      // Hangs on the second event, and cannot be interrupted while it does.
      const sometimes = Layer.succeed(EventSink, {
        publish: (event) =>
          event.sequence === 2
            ? Effect.uninterruptible(Deferred.await(stuck))
            : Ref.update(seen, (ids) => [...ids, event.messageId]),
        flush: Effect.void
      })
      const { context } = yield* build(EventSink.layerAll([sometimes, EventSink.layerMemory]))
      const sink = Context.get(context, EventSink)
      for (const sequence of [1, 2, 3]) yield* sink.publish(message(1, sequence))
      yield* Context.get(context, RecordedEvents).waitFor((event) => event.sequence === 3)
      const flushed = yield* Effect.fork(sink.flush)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(flushed)
      assert.deepStrictEqual(yield* Ref.get(seen), ["1:1", "1:3"])
      const reports = yield* Context.get(context, SinkHealth).reports
      assert.deepInclude(reports[0], { sink: "1 of 2", delivered: 2, dropped: 1 })
      assert.match(String(reports[0]?.lastError), /did not take an event within 10s/)
      assert.deepInclude(reports[1], { sink: "2 of 2", delivered: 3, dropped: 0 })
      yield* Deferred.succeed(stuck, undefined)
    })
  )

  it.scoped("says once that a sink is broken, and once that it works again", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => {
        lines.push(`${logLevel.label} ${Array.isArray(message) ? message[0] : message}`)
      })
      const sometimes = Layer.succeed(EventSink, {
        publish: (event) => (event.sequence <= 50 ? Effect.dieMessage("out of order") : Effect.void),
        flush: Effect.void
      })
      const { context } = yield* build(EventSink.layerAll([sometimes])).pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      const sink = Context.get(context, EventSink)
      for (let sequence = 1; sequence <= 60; sequence++) yield* sink.publish(message(1, sequence))
      yield* sink.flush
      assert.deepStrictEqual(lines, [
        "ERROR Event sink 1 of 1 gave up on 1 events: RuntimeException: out of order",
        "WARN Event sink 1 of 1 works again; it gave up on 50 events"
      ])
      const [report] = yield* Context.get(context, SinkHealth).reports
      assert.deepInclude(report, { delivered: 10, dropped: 50 })
    })
  )

  it.scoped("closes a sink only after it was given everything", () =>
    Effect.gen(function* () {
      const log = yield* Ref.make<ReadonlyArray<string>>([])
      const say = (what: string) => Ref.update(log, (all) => [...all, what])
      const watched = Layer.scoped(
        EventSink,
        Effect.acquireRelease(
          Effect.succeed({
            publish: (event: StoredEvent) => Effect.zipRight(Effect.yieldNow(), say(event.messageId)),
            flush: Effect.void
          }),
          () => say("closed")
        )
      )
      const { context, close } = yield* build(EventSink.layerAll([watched, EventSink.layerNoop]))
      const sink = Context.get(context, EventSink)
      for (const sequence of [1, 2, 3]) yield* sink.publish(message(1, sequence))
      yield* close
      assert.deepStrictEqual(yield* Ref.get(log), ["1:1", "1:2", "1:3", "closed"])
    })
  )

  it.effect("shares a layer that the composition also uses elsewhere", () => {
    const feed = EventSink.layerPubSub()
    return Effect.gen(function* () {
      const sink = yield* EventSink
      const subscription = yield* (yield* Elsewhere).subscribe()
      yield* sink.publish(message(1, 1))
      assert.deepStrictEqual(idsOf(yield* subscription.take), ["1:1"])
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.merge(EventSink.layerAll([feed]), Layer.provide(Layer.effect(Elsewhere, EventFeed), feed)))
    )
  })

  it.scoped("combines sinks that exist already", () =>
    Effect.gen(function* () {
      const { context } = yield* build(EventSink.layerMemory)
      const sink = yield* EventSink.combine([Context.get(context, EventSink), Context.get(context, EventSink)])
      yield* sink.publish(message(1, 1))
      yield* sink.flush
      assert.deepStrictEqual(idsOf(yield* Context.get(context, RecordedEvents).all), ["1:1", "1:1"])
    })
  )
})

class Elsewhere extends Context.Tag("test/Elsewhere")<Elsewhere, EventFeed["Type"]>() {}
