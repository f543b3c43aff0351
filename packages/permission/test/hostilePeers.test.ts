// Everything that a hostile peer may do on the real socket, while somebody well-behaved asks on the same one: the
// hostile one is refused or cut off, the other one is answered in good time, and memory stays bounded.
import { execFileSync, spawnSync } from "node:child_process"
import { execPath, getuid } from "node:process"
import { PermissionGate } from "@driver/agent/PermissionGate"
import { AllowOnce } from "@driver/domain/Permission"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Option, Redacted, Ref, Scope } from "effect"
import { PermissionDecider } from "../src/PermissionDecider.js"
import * as PermissionSocket from "../src/PermissionSocket.js"
import { byId, type Client, connectClient, type Frame } from "./support/client.js"
import { layerUnixSockets, program, temporaryDirectory } from "./support/doors.js"
import { recording } from "./support/requests.js"

const megabyte = 1_000_000

interface World {
  readonly path: string
  /** Of a goal that the well-behaved one does not work on. */
  readonly token: string
  /** Of a goal that has ended. */
  readonly ended: string
  readonly connect: Effect.Effect<Client, Error, Scope.Scope>
}

const question = (token: string, id: unknown, input: Frame = {}): Frame => ({
  kind: "decide",
  id,
  token,
  request: { tool: "Bash", input }
})

interface Peer {
  readonly limits?: NonNullable<PermissionSocket.Options["limits"]>
  /** What it does; resolves when it has done it and got what it deserves. */
  readonly act: (world: World) => Effect.Effect<void, Error, Scope.Scope>
  /** How much the process may grow meanwhile, in megabytes; the peer's own side is in it. Default 150. */
  readonly growth?: number
}

const many = <E, R>(count: number, act: (n: number) => Effect.Effect<unknown, E, R>) =>
  Effect.forEach(
    Array.from({ length: count }, (_, n) => n),
    act,
    { concurrency: 20, discard: true }
  )

/** Writes as fast as the gate takes it, so that what is not taken is not kept on this side. */
const flood = (client: Client, chunk: Uint8Array, times: number) =>
  Effect.gen(function* () {
    for (let n = 0; n < times && !client.socket.destroyed; n++) {
      if (client.socket.write(chunk)) continue
      yield* Effect.raceFirst(
        Effect.async<void>((resume) => {
          client.socket.once("drain", () => resume(Effect.void))
        }),
        client.closed
      )
    }
  })

const errors = (client: Client) => client.received().filter((it) => it["kind"] === "error")

const peers: Readonly<Record<string, Peer>> = {
  "says garbage": {
    act: ({ connect }) =>
      Effect.gen(function* () {
        const client = yield* connect
        yield* client.write(Buffer.from(Array.from({ length: 100_000 }, (_, n) => (n % 50 === 0 ? 10 : (n * 7) % 256))))
        yield* client.closed
        assert.isAbove(errors(client).length, 10)
      })
  },
  "sends a frame of 100 MB without a token": {
    act: ({ connect }) =>
      Effect.gen(function* () {
        const client = yield* connect
        yield* flood(client, Buffer.alloc(megabyte, "x"), 100)
        yield* client.closed
        assert.match(String(errors(client)[0]?.["message"]), /longer than 65536 bytes/)
      })
  },
  "sends a frame of 100 MB with a token": {
    act: ({ connect, token }) =>
      Effect.gen(function* () {
        const client = yield* connect
        yield* client.send({ kind: "hello", id: 0, token })
        yield* flood(client, Buffer.alloc(megabyte, "x"), 100)
        yield* client.write("\n")
        assert.match(String((yield* client.take(byId(null)))["message"]), /longer than 16777216 bytes/)
        // It knows the token: it may go on.
        yield* client.send(question(token, 1))
        assert.strictEqual((yield* client.take(byId(1)))["kind"], "decision")
      })
  },
  "begins 40 frames of 15 MB and ends none": {
    growth: 300,
    act: ({ connect, token }) =>
      Effect.gen(function* () {
        const clients = yield* Effect.forEach(Array.from({ length: 40 }), () => connect)
        for (const client of clients) yield* client.send({ kind: "hello", id: 0, token })
        for (const client of clients) yield* flood(client, Buffer.alloc(megabyte, "x"), 15)
        // What did not fit any more was let go of, and is said to be too much at the end of the line.
        const last = clients.at(-1)
        yield* last?.write("\n") ?? Effect.void
        assert.match(String((yield* (last ?? (yield* connect)).take(byId(null)))["message"]), /too many questions/)
      })
  },
  "sends a byte at a time": {
    limits: { strangerTime: "300 millis" },
    act: ({ connect, token }) =>
      Effect.gen(function* () {
        const client = yield* connect
        const line = JSON.stringify(question(token, 1))
        for (let at = 0; !client.socket.destroyed; at = (at + 1) % line.length) {
          yield* client.write(line.charAt(at))
          yield* Effect.raceFirst(Effect.sleep("5 millis"), client.closed)
        }
      })
  },
  "opens 1,000 connections and says nothing": {
    limits: { connections: 400 },
    act: ({ connect }) =>
      Effect.gen(function* () {
        const closed = yield* Ref.make(0)
        yield* many(1_000, () =>
          Effect.flatMap(connect, ({ closed: gone }) =>
            Effect.forkScoped(
              Effect.zipRight(
                gone,
                Ref.update(closed, (it) => it + 1)
              )
            )
          )
        )
        while ((yield* Ref.get(closed)) < 600) yield* Effect.sleep("5 millis")
      })
  },
  "opens 1,000 connections and asks on each": {
    act: ({ connect, token }) =>
      many(1_000, () =>
        Effect.gen(function* () {
          const client = yield* connect
          yield* client.send(question(token, 1))
          assert.strictEqual((yield* client.take(byId(1)))["kind"], "decision")
        })
      )
  },
  "connects and leaves 1,000 times": {
    act: ({ connect }) => many(1_000, () => Effect.scoped(connect))
  },
  "guesses tokens": {
    act: ({ connect, token }) =>
      Effect.gen(function* () {
        const client = yield* connect
        yield* client.send(
          ...Array.from({ length: 100 }, (_, n) => question(token.slice(0, 60) + String(n).padStart(4, "0"), n))
        )
        yield* client.closed
        assert.isTrue(errors(client).every((it) => /token is not valid/.test(String(it["message"]))))
        assert.isFalse(client.received().some((it) => it["kind"] === "decision"))
      })
  },
  "has the token of a goal that has ended": {
    act: ({ connect, ended }) =>
      Effect.gen(function* () {
        const client = yield* connect
        yield* client.send(question(ended, 1))
        assert.match(String((yield* client.take(byId(1)))["message"]), /its goal has ended/)
      })
  },
  "plays a question back a thousand times": {
    limits: { badFrames: 2_000 },
    act: ({ connect, token }) =>
      Effect.gen(function* () {
        const client = yield* connect
        yield* client.send(...Array.from({ length: 1_000 }, () => question(token, "same")))
        while (client.received().length < 1_000) yield* Effect.sleep("5 millis")
        assert.strictEqual(client.received().filter((it) => it["kind"] === "decision").length, 1)
        assert.strictEqual(errors(client).length, 999)
      })
  },
  "ends its half of the connection and stays": {
    act: ({ path, token }) =>
      many(200, () =>
        Effect.gen(function* () {
          const client = yield* connectClient(path, { allowHalfOpen: true })
          yield* client.send(question(token, 1))
          client.socket.end()
        })
      )
  },
  "asks 100,000 times and reads no answer": {
    limits: { writeTimeout: "1 second" },
    act: ({ connect, token }) =>
      Effect.gen(function* () {
        const client = yield* connect
        client.socket.pause()
        yield* client.write(`${JSON.stringify({ kind: "hello", id: 0, token })}\n`)
        for (let at = 0; at < 100_000 && !client.socket.destroyed; at += 1_000) {
          const lines = Array.from({ length: 1_000 }, (_, n) => `${JSON.stringify(question(token, at + n))}\n`)
          yield* flood(client, Buffer.from(lines.join("")), 1)
        }
        yield* client.closed
      })
  },
  "has 10,000 questions open at once": {
    limits: { badFrames: 20_000 },
    act: ({ connect, token }) =>
      Effect.gen(function* () {
        const client = yield* connect
        yield* client.send(...Array.from({ length: 10_000 }, (_, n) => question(token, n, { hold: true })))
        while (errors(client).length < 10_000 - 256) yield* Effect.sleep("5 millis")
        assert.match(String(errors(client)[0]?.["message"]), /More than 256 questions/)
        client.socket.destroy()
      })
  }
}

/** The gate, and somebody well-behaved who asks as long as the peer acts. */
const beside = (peer: Peer) =>
  Effect.gen(function* () {
    const scope = yield* Effect.acquireRelease(Scope.make(), (it) => Scope.close(it, Exit.void))
    const directory = `${yield* temporaryDirectory}/state`
    const decider = Layer.succeed(PermissionDecider, {
      decide: ({ input }) =>
        input["hold"] === true ? Effect.never : Effect.succeed(new AllowOnce({ rationale: "test" }))
    })
    const layer = PermissionSocket.layer({
      directory,
      program,
      ...(peer.limits === undefined ? {} : { limits: peer.limits })
    })
    const context = yield* Layer.buildWithScope(
      layer.pipe(Layer.provide([decider, layerUnixSockets, NodeContext.layer])),
      scope
    )
    const gate = Context.get(context, PermissionGate)
    const register = Effect.fnUntraced(function* () {
      const { registration } = yield* recording({ workspace: yield* temporaryDirectory })
      // Nothing is kept of the decisions: what grows is the gate.
      return Option.getOrThrow((yield* gate.register({ ...registration, onDecision: () => Effect.void })).socket)
    })
    const { path, token } = yield* register()
    const hostile = Redacted.value((yield* register()).token)
    const ended = Redacted.value((yield* Effect.scoped(register())).token)

    const good = yield* connectClient(path)
    yield* good.send(question(Redacted.value(token), "first"))
    yield* good.take(byId("first"))
    let slowest = 0
    let answers = 0
    const asking = Effect.gen(function* () {
      const id = `g${answers}`
      const [took, answer] = yield* Effect.timed(
        Effect.zipRight(good.send(question(Redacted.value(token), id)), good.take(byId(id)))
      )
      assert.deepStrictEqual(answer["response"], { behavior: "allow" })
      slowest = Math.max(slowest, Duration.toMillis(took))
      answers++
      yield* Effect.sleep("2 millis")
    })
    const done = yield* Deferred.make<void>()
    const well = yield* Effect.fork(
      Effect.zipRight(
        Effect.repeat(asking, { until: () => Deferred.isDone(done) }),
        // And once more when the peer is gone.
        asking
      )
    )
    const before = process.memoryUsage().rss
    let peak = before
    const measure = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss)
    }, 5)
    yield* peer
      .act({ path, token: hostile, ended, connect: connectClient(path) })
      .pipe(
        Effect.scoped,
        Effect.ensuring(Deferred.succeed(done, undefined)),
        Effect.ensuring(Effect.sync(() => clearInterval(measure)))
      )
    yield* Fiber.join(well)
    const [closing] = yield* Effect.timed(Scope.close(scope, Exit.void))
    return { slowest, answers, growth: (peak - before) / megabyte, closing: Duration.toMillis(closing) }
  })

describe("A peer of the gate's socket that", () => {
  for (const [name, peer] of Object.entries(peers)) {
    it.scopedLive(`${name} harms nobody else`, () =>
      Effect.gen(function* () {
        const { answers, closing, growth, slowest } = yield* beside(peer)
        assert.isAtLeast(answers, 2)
        assert.isBelow(slowest, 60_000, "the slowest answer of the well-behaved one, in milliseconds")
        assert.isBelow(growth, peer.growth ?? 150, "what the process grew by, in megabytes")
        assert.isBelow(closing, 60_000, "how long it took to close, in milliseconds")
      }).pipe(Effect.provide(NodeContext.layer))
    )
  }

  const asNobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"]
  const canChangeUser = getuid?.() === 0 && spawnSync("setpriv", [...asNobody, "true"]).status === 0
  it.scopedLive.skipIf(!canChangeUser)(
    "belongs to another user comes neither to the socket nor to its files (needs root and setpriv)",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        // As in a home that others may enter.
        const home = yield* temporaryDirectory
        yield* fs.chmod(home, 0o755)
        const directory = `${home}/state`
        const context = yield* Layer.build(
          PermissionSocket.layer({ directory, program }).pipe(
            Layer.provide([PermissionDecider.layerAllowAll, layerUnixSockets, NodeContext.layer])
          )
        )
        const { registration } = yield* recording({ workspace: yield* temporaryDirectory })
        const ticket = yield* Context.get(context, PermissionGate).register(registration)
        const { path } = Option.getOrThrow(ticket.socket)
        const { mcpConfigPath } = Option.getOrThrow(ticket.program)
        const script = `
          const fs = require("node:fs")
          const tried = {}
          const attempt = (name, act) => { try { act(); tried[name] = "done" } catch (error) { tried[name] = error.code } }
          const [directory, path, config] = process.argv.slice(1)
          attempt("list", () => fs.readdirSync(directory))
          attempt("read", () => fs.readFileSync(config))
          attempt("write", () => fs.writeFileSync(directory + "/x", ""))
          attempt("remove", () => fs.rmSync(path))
          attempt("replace", () => fs.renameSync(path, path + ".old"))
          const socket = require("node:net").connect(path)
          const end = (what) => { tried.connect = what; console.log(JSON.stringify(tried)); process.exit(0) }
          socket.on("connect", () => end("done"))
          socket.on("error", (error) => end(error.code))
        `
        const tryAll = () =>
          JSON.parse(
            execFileSync("setpriv", [...asNobody, execPath, "-e", script, directory, path, mcpConfigPath], {
              encoding: "utf8",
              cwd: "/"
            })
          )
        const refused = "EACCES"
        assert.deepStrictEqual(tryAll(), {
          list: refused,
          read: refused,
          write: refused,
          remove: refused,
          replace: refused,
          connect: refused
        })
        // Were the directory open, the modes of what is in it would still keep others out.
        yield* fs.chmod(directory, 0o755)
        const { list, ...rest } = tryAll()
        assert.strictEqual(list, "done")
        assert.deepStrictEqual(rest, {
          read: refused,
          write: refused,
          remove: refused,
          replace: refused,
          connect: refused
        })
        // The driver itself still comes in.
        yield* fs.chmod(directory, 0o700)
        const own = yield* connectClient(path)
        yield* own.send({ kind: "hello", id: 1, token: Redacted.value(Option.getOrThrow(ticket.socket).token) })
        assert.strictEqual((yield* own.take(byId(1)))["kind"], "welcome")
      }).pipe(Effect.provide(NodeContext.layer))
  )
})
