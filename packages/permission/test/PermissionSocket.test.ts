// Files, modes, and peers that do not keep to the protocol. What both doors promise is in gateContract.test.ts.
import { renameSync } from "node:fs"
import { createServer } from "node:net"
import { PermissionGate } from "@driver/agent/PermissionGate"
import { AllowOnce, type Decision, type PermissionRequest } from "@driver/domain/Permission"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, ExecutionStrategy, Exit, Fiber, Layer, Option, Redacted, Ref, Scope } from "effect"
import { PermissionDecider } from "../src/PermissionDecider.js"
import * as PermissionSocket from "../src/PermissionSocket.js"
import { byId, connectClient, type Frame } from "./support/client.js"
import { layerUnixSockets, program, temporaryDirectory } from "./support/doors.js"
import { callOf, recording } from "./support/requests.js"

interface Settings extends Partial<PermissionSocket.Options> {
  readonly decider?: Layer.Layer<PermissionDecider>
}

/** Opens the socket in a scope that the test can close. */
const listen = (settings: Settings = {}) =>
  Effect.gen(function* () {
    const { decider = PermissionDecider.layerAllowAll, ...options } = settings
    const directory = options.directory ?? `${yield* temporaryDirectory}/state`
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const layer = PermissionSocket.layer({ program, ...options, directory })
    const context = yield* Layer.buildWithScope(
      layer.pipe(Layer.provide([decider, layerUnixSockets, NodeContext.layer])),
      scope
    )
    const gate = Context.get(context, PermissionGate)
    const register = Effect.fnUntraced(function* (changes: Parameters<typeof recording>[0] = {}) {
      const { decisions, registration } = yield* recording({ workspace: yield* temporaryDirectory, ...changes })
      const goal = yield* Scope.fork(scope, ExecutionStrategy.sequential)
      const ticket = yield* Scope.extend(gate.register(registration), goal)
      const { path, token } = Option.getOrThrow(ticket.socket)
      return { ticket, decisions, path, token: Redacted.value(token), end: Scope.close(goal, Exit.void) }
    })
    return { directory, gate, register, close: Scope.close(scope, Exit.void) }
  })

const question = (token: string, id: unknown, input: Frame = {}): Frame => ({
  kind: "decide",
  id,
  token,
  request: { tool: "Bash", input, tool_use_id: "u" }
})

const allowed = (id: unknown) => ({ kind: "decision", id, response: { behavior: "allow" } })

/** A decider that answers when the test lets it. */
const held = Effect.gen(function* () {
  const gate = yield* Effect.makeLatch()
  const asked = yield* Ref.make<ReadonlyArray<PermissionRequest>>([])
  const decider = Layer.succeed(PermissionDecider, {
    decide: (request) =>
      Ref.update(asked, (it) => [...it, request]).pipe(
        Effect.zipRight(gate.await),
        Effect.as(new AllowOnce({ rationale: "held" }))
      )
  })
  return { decider, answer: gate.open, asked: Ref.get(asked) }
})

/** What kill -9 leaves: `gate.sock`, on which nobody listens. Node removes the name that it has made, not this one. */
const abandonedSocket = (directory: string) =>
  Effect.promise(
    () =>
      new Promise<void>((resolve) => {
        const server = createServer()
        server.listen(`${directory}/made`, () => {
          renameSync(`${directory}/made`, `${directory}/gate.sock`)
          server.close(() => resolve())
        })
      })
  )

/** Waits until something is so; each look lets the sockets work. */
const eventually = <E, R>(check: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.flatMap(check, (it) => (it ? Effect.void : Effect.zipRight(Effect.sleep("2 millis"), eventually(check)))).pipe(
    Effect.asVoid
  )

const modeOf = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => Effect.map(fs.stat(path), ({ mode }) => mode & 0o777))

const live = <A, E>(name: string, test: () => Effect.Effect<A, E, Scope.Scope | FileSystem.FileSystem>) =>
  it.scopedLive(name, () => test().pipe(Effect.provide(NodeContext.layer)))

describe("PermissionSocket", () => {
  describe("its files", () => {
    live("stand in a directory of mode 0700, have mode 0600, and are gone with their scopes", () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const { close, directory, register } = yield* listen()
        const { end, path, ticket, token } = yield* register()
        const { mcpConfigPath, serverName, toolName } = Option.getOrThrow(ticket.program)
        assert.strictEqual(yield* modeOf(directory), 0o700)
        assert.strictEqual(yield* modeOf(path), 0o600)
        assert.strictEqual(yield* modeOf(mcpConfigPath), 0o600)
        assert.strictEqual(toolName, "permission_prompt")
        assert.match(token, /^[0-9a-f]{64}$/)
        assert.notInclude(mcpConfigPath, token.slice(0, 16))
        assert.deepStrictEqual(JSON.parse(yield* fs.readFileString(mcpConfigPath)), {
          mcpServers: {
            [serverName]: {
              ...program,
              env: {
                DRIVER_GATE_SOCKET: path,
                DRIVER_GATE_TOKEN: token,
                DRIVER_GATE_SERVER: serverName,
                DRIVER_GATE_TIMEOUT_MS: "45000",
                DRIVER_GATE_MAX_FRAME: String(16 * 1024 * 1024)
              }
            }
          }
        })
        yield* end
        assert.isFalse(yield* fs.exists(mcpConfigPath))
        assert.isTrue(yield* fs.exists(path))
        yield* close
        assert.deepStrictEqual(yield* fs.readDirectory(directory), [])
      })
    )

    live("close a directory that stands open, and give every goal its own token", () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const directory = `${yield* temporaryDirectory}/open`
        yield* fs.makeDirectory(directory)
        yield* fs.chmod(directory, 0o777)
        const { register } = yield* listen({ directory })
        assert.strictEqual(yield* modeOf(directory), 0o700)
        const tokens = yield* Effect.forEach([1, 2, 3], () => register())
        assert.strictEqual(new Set(tokens.map(({ token }) => token)).size, 3)
      })
    )

    live("replace the socket and the files of a driver that died", () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* temporaryDirectory
        yield* abandonedSocket(directory)
        assert.isTrue(yield* fs.exists(`${directory}/gate.sock`))
        yield* fs.writeFileString(`${directory}/gate.sock-mcp-dead.json`, "{}")
        yield* fs.writeFileString(`${directory}/other.sock-mcp-alive.json`, "{}")
        const { register } = yield* listen({ directory })
        const { path, token } = yield* register()
        assert.strictEqual(path, `${directory}/gate.sock`)
        assert.isFalse(yield* fs.exists(`${directory}/gate.sock-mcp-dead.json`))
        assert.isTrue(yield* fs.exists(`${directory}/other.sock-mcp-alive.json`))
        const client = yield* connectClient(path)
        yield* client.send(question(token, 1))
        assert.deepStrictEqual(yield* client.take(byId(1)), allowed(1))
      })
    )

    live("are not taken from a driver that lives", () =>
      Effect.gen(function* () {
        const { directory, register } = yield* listen()
        const error = yield* Effect.flip(listen({ directory }))
        assert.deepInclude(error, { _tag: "GateSocketError", reason: "in_use" })
        const { path, token } = yield* register()
        const client = yield* connectClient(path)
        yield* client.send(question(token, 1))
        assert.deepStrictEqual(yield* client.take(byId(1)), allowed(1))
        // Two drivers in one directory, each with its own socket.
        const other = yield* listen({ directory, socketName: "other.sock" })
        yield* other.close
        yield* client.send(question(token, 2))
        assert.deepStrictEqual(yield* client.take(byId(2)), allowed(2))
      })
    )

    live("do not replace something else that stands in the socket's place", () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* temporaryDirectory
        yield* fs.writeFileString(`${directory}/gate.sock`, "precious")
        const error = yield* Effect.flip(listen({ directory }))
        assert.deepInclude(error, { _tag: "GateSocketError", reason: "occupied" })
        assert.strictEqual(yield* fs.readFileString(`${directory}/gate.sock`), "precious")
      })
    )

    live("use a shorter temporary directory when the path is too long for a socket", () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const directory = `${yield* temporaryDirectory}/${"ä".repeat(60)}`
        const { close, register } = yield* listen({ directory })
        const { path, ticket, token } = yield* register()
        assert.isBelow(Buffer.byteLength(path), 104)
        assert.strictEqual(yield* modeOf(path), 0o600)
        assert.strictEqual(yield* modeOf(path.slice(0, path.lastIndexOf("/"))), 0o700)
        assert.include(Option.getOrThrow(ticket.program).mcpConfigPath, "ä")
        const client = yield* connectClient(path)
        yield* client.send(question(token, 1))
        assert.deepStrictEqual(yield* client.take(byId(1)), allowed(1))
        yield* close
        assert.isFalse(yield* fs.exists(path.slice(0, path.lastIndexOf("/"))))
      })
    )

    live("never lie in the workspace", () =>
      Effect.gen(function* () {
        const workspace = yield* temporaryDirectory
        const { gate } = yield* listen({ directory: `${workspace}/.driver` })
        const { registration } = yield* recording({ workspace })
        const error = yield* Effect.flip(Effect.scoped(gate.register(registration)))
        assert.match(error.message, /lies in the workspace/)
        const gone = yield* recording({ workspace: `${workspace}/gone` })
        assert.match((yield* Effect.flip(Effect.scoped(gate.register(gone.registration)))).message, /cannot be read/)
      })
    )
  })

  describe("refuses", () => {
    live("a wrong token, one that is nearly right, and none", () =>
      Effect.gen(function* () {
        const { register } = yield* listen()
        const { decisions, path, token } = yield* register()
        const client = yield* connectClient(path)
        const wrong = ["", "x", token.slice(0, -1), `${token}0`, token.toUpperCase(), `${token.slice(0, -1)}g`, "\0"]
        for (const [id, it] of wrong.entries()) {
          yield* client.send(question(it, id))
          const answer = yield* client.take(byId(id))
          assert.strictEqual(answer["kind"], "error")
          assert.match(String(answer["message"]), /token is not valid/)
        }
        assert.deepStrictEqual(yield* decisions, [])
      })
    )

    live(
      "the token of a goal that has ended, also on a connection that used it before, and withdraws what is open",
      () =>
        Effect.gen(function* () {
          const { asked, decider } = yield* held
          const { register } = yield* listen({ decider })
          const { decisions, end, path, token } = yield* register()
          const client = yield* connectClient(path)
          yield* client.send(question(token, 1))
          yield* eventually(Effect.map(asked, (it) => it.length === 1))
          yield* end
          const withdrawn = yield* client.take(byId(1))
          assert.match(JSON.stringify(withdrawn), /"deny".*withdrawn/)
          assert.match((yield* decisions)[0]?.rationale ?? "", /cancelled/)
          yield* client.send(question(token, 2))
          assert.match(String((yield* client.take(byId(2)))["message"]), /its goal has ended/)
          const another = yield* connectClient(path)
          yield* another.send({ kind: "hello", id: 0, token })
          assert.strictEqual((yield* another.take(byId(0)))["kind"], "error")
        })
    )

    live("an id that is open, and one that is played back", () =>
      Effect.gen(function* () {
        const { answer, asked, decider } = yield* held
        const { register } = yield* listen({ decider })
        const { decisions, path, token } = yield* register()
        const client = yield* connectClient(path)
        yield* client.send(question(token, "a"), question(token, "a"))
        assert.match(String((yield* client.take(byId("a")))["message"]), /used before/)
        yield* answer
        assert.deepStrictEqual(yield* client.take(byId("a")), allowed("a"))
        yield* client.send(question(token, "a"))
        assert.match(String((yield* client.take(byId("a")))["message"]), /used before/)
        // A number and a text are two ids.
        yield* client.send(question(token, 1), question(token, "1"))
        yield* client.take(byId(1))
        yield* client.take(byId("1"))
        assert.strictEqual((yield* asked).length, 3)
        assert.strictEqual((yield* decisions).length, 3)
      })
    )

    live("more questions at once than a connection may have, and goes on with the others", () =>
      Effect.gen(function* () {
        const { answer, decider } = yield* held
        const { register } = yield* listen({ decider, limits: { questions: 4 } })
        const { path, token } = yield* register()
        const client = yield* connectClient(path)
        yield* client.send(...[1, 2, 3, 4, 5].map((id) => question(token, id)))
        assert.match(String((yield* client.take(byId(5)))["message"]), /More than 4/)
        yield* answer
        for (const id of [1, 2, 3, 4]) assert.deepStrictEqual(yield* client.take(byId(id)), allowed(id))
        yield* client.send(question(token, 6))
        assert.deepStrictEqual(yield* client.take(byId(6)), allowed(6))
      })
    )

    live("more bytes at once than all questions together may have", () =>
      Effect.gen(function* () {
        const { answer, decider } = yield* held
        const { register } = yield* listen({ decider, limits: { totalBytes: 200_000 } })
        const { path, token } = yield* register()
        const client = yield* connectClient(path)
        const large = { content: "x".repeat(60_000) }
        yield* client.send(...[1, 2, 3, 4].map((id) => question(token, id, large)))
        assert.match(String((yield* client.take(byId(null)))["message"]), /too many/)
        yield* answer
        for (const id of [1, 2, 3]) assert.deepStrictEqual(yield* client.take(byId(id)), allowed(id))
        // What was answered is let go of.
        yield* client.send(question(token, 5, large))
        assert.deepStrictEqual(yield* client.take(byId(5)), allowed(5))
      })
    )
  })

  live("answers garbage with an error and everybody else as before", () =>
    Effect.gen(function* () {
      const { register } = yield* listen()
      const { path, token } = yield* register()
      const good = yield* connectClient(path)
      const bad = yield* connectClient(path)
      yield* bad.write("garbage\n\n{}\n[]\nnull\n7\n")
      yield* bad.write(Buffer.concat([Buffer.from([0xff, 0xfe, 0x00]), Buffer.from("\n")]))
      for (let n = 0; n < 6; n++) {
        const answer = yield* bad.take((it) => it["kind"] === "error")
        assert.strictEqual(answer["id"], null)
      }
      yield* bad.send(question(token, 1))
      assert.deepStrictEqual(yield* bad.take(byId(1)), allowed(1))
      yield* good.send(question(token, 1))
      assert.deepStrictEqual(yield* good.take(byId(1)), allowed(1))
    })
  )

  live("closes a connection that says nothing but garbage", () =>
    Effect.gen(function* () {
      const { register } = yield* listen()
      const { path } = yield* register()
      const bad = yield* connectClient(path)
      yield* bad.write("garbage\n".repeat(1_000))
      yield* bad.closed
      assert.isAtMost(bad.received().length, 66)
    })
  )

  live("takes characters apart and together again at every byte", () =>
    Effect.gen(function* () {
      const { asked, answer, decider } = yield* held
      yield* answer
      const { register } = yield* listen({ decider })
      const { path, token } = yield* register()
      const client = yield* connectClient(path)
      const text = "äöü€🚀漢"
      const bytes = Buffer.from(`${JSON.stringify(question(token, 1, { text }))}\n`)
      for (const byte of bytes) {
        client.socket.setNoDelay(true)
        yield* client.write(Uint8Array.of(byte))
        yield* Effect.sleep(0)
      }
      yield* client.take(byId(1))
      assert.deepStrictEqual((yield* asked)[0]?.input, { text })
    })
  )

  live("takes questions of many megabytes from who has shown a token, and 64 KiB from a stranger", () =>
    Effect.gen(function* () {
      const { register } = yield* listen()
      const { decisions, path, token } = yield* register()
      const large = { content: "ä".repeat(5_000_000) }
      const client = yield* connectClient(path)
      yield* client.send({ kind: "hello", id: 0, token }, question(token, 1, large))
      assert.deepStrictEqual(yield* client.take(byId(0)), { kind: "welcome", id: 0 })
      assert.deepStrictEqual(yield* client.take(byId(1)), allowed(1))
      assert.strictEqual(String((yield* decisions)[0]?.input["content"]).length, 5_000_000)
      // Without a greeting, a question of ordinary size is enough.
      const small = yield* connectClient(path)
      yield* small.send(question(token, 1, { content: "x".repeat(50_000) }), question(token, 2, large))
      assert.deepStrictEqual(yield* small.take(byId(1)), allowed(1))
      assert.deepStrictEqual(yield* small.take(byId(2)), allowed(2))
      const stranger = yield* connectClient(path)
      yield* stranger.send(question(token, 1, large))
      assert.match(String((yield* stranger.take((it) => it["kind"] === "error"))["message"]), /65536.*hello/)
      yield* stranger.closed
    })
  )

  live("skips a line over the limit and goes on after it", () =>
    Effect.gen(function* () {
      const { register } = yield* listen({ limits: { frameBytes: 100_000 } })
      const { path, token } = yield* register()
      const client = yield* connectClient(path)
      yield* client.send({ kind: "hello", id: 0, token })
      yield* client.write("x".repeat(20_000_000))
      yield* client.write("\n")
      yield* client.send(question(token, 1))
      assert.match(String((yield* client.take(byId(null)))["message"]), /100000 bytes/)
      assert.deepStrictEqual(yield* client.take(byId(1)), allowed(1))
    })
  )

  live("withdraws and records what is open when its connection ends, and leaves the others alone", () =>
    Effect.gen(function* () {
      const { answer, asked, decider } = yield* held
      const { register } = yield* listen({ decider })
      const { decisions, path, token } = yield* register()
      const leaving = yield* connectClient(path)
      const staying = yield* connectClient(path)
      yield* leaving.send(question(token, 1), question(token, 2))
      yield* staying.send(question(token, 1))
      yield* eventually(Effect.map(asked, (it) => it.length === 3))
      leaving.socket.destroy()
      yield* eventually(Effect.map(decisions, (it) => it.length === 2))
      assert.isTrue((yield* decisions).every(({ rationale }) => /cancelled/.test(rationale)))
      yield* answer
      assert.deepStrictEqual(yield* staying.take(byId(1)), allowed(1))
    })
  )

  live("withdraws one question on request", () =>
    Effect.gen(function* () {
      const { answer, asked, decider } = yield* held
      const { register } = yield* listen({ decider })
      const { decisions, path, token } = yield* register()
      const client = yield* connectClient(path)
      yield* client.send(question(token, 1), question(token, 2))
      yield* eventually(Effect.map(asked, (it) => it.length === 2))
      yield* client.send({ kind: "cancel", id: 1, token: "wrong" })
      assert.match(String((yield* client.take(byId(1)))["message"]), /token/)
      yield* client.send({ kind: "cancel", id: 1, token })
      assert.match(JSON.stringify(yield* client.take(byId(1))), /"deny".*withdrawn/)
      assert.match((yield* decisions)[0]?.rationale ?? "", /cancelled/)
      yield* answer
      assert.deepStrictEqual(yield* client.take(byId(2)), allowed(2))
    })
  )

  live("tells the peer how long a person may take", () =>
    Effect.gen(function* () {
      const decider = Layer.succeed(PermissionDecider, {
        decide: (_, { waitUpTo }) => Effect.as(waitUpTo("10 minutes"), new AllowOnce({ rationale: "asked" }))
      })
      const { register } = yield* listen({ decider })
      const { path, token } = yield* register()
      const client = yield* connectClient(path)
      yield* client.send(question(token, 1))
      assert.deepStrictEqual(yield* client.take(byId(1)), { kind: "waiting", id: 1, timeout_ms: 615_000 })
      assert.deepStrictEqual(yield* client.take(byId(1)), allowed(1))
    })
  )

  live("denies instead of carrying back a changed input that the agent could not take", () =>
    Effect.gen(function* () {
      const updatedInput = Option.some({ content: "y".repeat(95_000) })
      const decider = Layer.succeed(PermissionDecider, {
        decide: () => Effect.succeed(new AllowOnce({ updatedInput, rationale: "changed" }))
      })
      const { register } = yield* listen({ decider })
      const { decisions, path, ticket, token } = yield* register()
      const client = yield* connectClient(path)
      yield* client.send(question(token, 1))
      assert.match(JSON.stringify(yield* client.take(byId(1))), /"deny".*too long/)
      assert.strictEqual((yield* decisions)[0]?.choice._tag, "Deny")
      // The agent's control protocol has no such limit.
      assert.strictEqual((yield* ticket.decide(callOf("Write")))._tag, "AllowOnce")
    })
  )

  describe("against hostile peers", () => {
    live("closes strangers that stay silent or dribble, and keeps who has shown a token", () =>
      Effect.gen(function* () {
        const { register } = yield* listen({ limits: { strangerTime: "200 millis" } })
        const { path, token } = yield* register()
        const known = yield* connectClient(path)
        yield* known.send({ kind: "hello", id: 0, token })
        const silent = yield* connectClient(path)
        const slow = yield* connectClient(path)
        const dribble = yield* Effect.fork(Effect.forever(Effect.zipRight(slow.write("x"), Effect.sleep("5 millis"))))
        const half = yield* connectClient(path)
        yield* half.write(`{"kind":"decide","id":1,`)
        yield* silent.closed
        yield* slow.closed
        yield* half.closed
        yield* Fiber.interrupt(dribble)
        yield* known.send(question(token, 1))
        assert.deepStrictEqual(yield* known.take(byId(1)), allowed(1))
      })
    )

    live("makes room for a newcomer among a thousand strangers, in bounded memory", () =>
      Effect.gen(function* () {
        const { register } = yield* listen({ limits: { connections: 300 } })
        const { path, token } = yield* register()
        const known = yield* connectClient(path)
        yield* known.send({ kind: "hello", id: 0, token })
        yield* known.take(byId(0))
        const before = process.memoryUsage().rss
        const strangers = yield* Effect.forEach(Array.from({ length: 1_000 }), () => connectClient(path), {
          concurrency: 20
        })
        yield* Effect.forEach(strangers, (it) => it.write("x".repeat(1_000)), { discard: true })
        const newcomer = yield* connectClient(path)
        yield* newcomer.send(question(token, 1))
        assert.deepStrictEqual(yield* newcomer.take(byId(1)), allowed(1))
        yield* known.send(question(token, 1))
        assert.deepStrictEqual(yield* known.take(byId(1)), allowed(1))
        yield* eventually(Effect.sync(() => strangers.filter(({ socket }) => socket.closed).length >= 700))
        assert.isBelow(process.memoryUsage().rss - before, 150_000_000)
      })
    )

    live("keeps no more of a hundred megabytes than a stranger may send", () =>
      Effect.gen(function* () {
        const { register } = yield* listen()
        const { path, token } = yield* register()
        const flood = yield* connectClient(path)
        const chunk = Buffer.alloc(1_000_000, "x")
        const before = process.memoryUsage().rss
        for (let n = 0; n < 100 && !flood.socket.destroyed; n++) yield* flood.write(chunk)
        yield* flood.closed
        assert.isBelow(process.memoryUsage().rss - before, 250_000_000)
        const client = yield* connectClient(path)
        yield* client.send(question(token, 1))
        assert.deepStrictEqual(yield* client.take(byId(1)), allowed(1))
      })
    )

    live("drops a peer that does not read its answers, and closes in good time with one that hangs on", () =>
      Effect.gen(function* () {
        const updatedInput = Option.some({ content: "y".repeat(80_000) })
        const decider = Layer.succeed(PermissionDecider, {
          decide: () => Effect.succeed(new AllowOnce({ updatedInput, rationale: "changed" }))
        })
        const { close, register } = yield* listen({ decider, limits: { writeTimeout: "300 millis" } })
        const { path, token } = yield* register()
        const deaf = yield* connectClient(path)
        deaf.socket.pause()
        yield* deaf.send(...Array.from({ length: 200 }, (_, id) => question(token, id)))
        const other = yield* connectClient(path, { allowHalfOpen: true })
        other.socket.pause()
        yield* other.send(...Array.from({ length: 200 }, (_, id) => question(token, id)))
        yield* Effect.sync(() => other.socket.end())
        const good = yield* connectClient(path)
        yield* good.send(question(token, 1))
        assert.strictEqual((yield* good.take(byId(1)))["kind"], "decision")
        // The deaf one is dropped while the rest goes on.
        yield* eventually(Effect.map(deaf.write("\n"), () => deaf.socket.destroyed))
        const [took] = yield* Effect.timed(close)
        assert.isBelow(Duration.toMillis(took), 3_000)
      })
    )
  })

  live("closes in good time while questions are open and peers are deaf", () =>
    Effect.gen(function* () {
      const { asked, decider } = yield* held
      const { close, register } = yield* listen({ decider })
      const { decisions, path, token } = yield* register()
      const client = yield* connectClient(path, { allowHalfOpen: true })
      client.socket.pause()
      yield* client.send(...Array.from({ length: 50 }, (_, id) => question(token, id)))
      yield* eventually(Effect.map(asked, (it) => it.length === 50))
      const [took] = yield* Effect.timed(close)
      assert.isBelow(Duration.toMillis(took), 3_000)
      assert.isTrue((yield* decisions).every(({ rationale }: Decision) => /cancelled/.test(rationale)))
      assert.strictEqual((yield* decisions).length, 50)
    })
  )
})
