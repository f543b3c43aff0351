// The program as a process: an agent on one side, a driver (a real one, or one that misbehaves) on the other.
import { execPath } from "node:process"
import { PermissionGate } from "@driver/agent/PermissionGate"
import { AllowOnce, Deny } from "@driver/domain/Permission"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Option, Schedule, Scope } from "effect"
import { PermissionDecider } from "../src/PermissionDecider.js"
import * as PermissionSocket from "../src/PermissionSocket.js"
import { gateProgram, layerUnixSockets, program, temporaryDirectory } from "./support/doors.js"
import { call, fakeDriver, type Message, replyOf, startProgram } from "./support/program.js"
import { recording } from "./support/requests.js"

const live = <A, E>(name: string, test: () => Effect.Effect<A, E, Scope.Scope | FileSystem.FileSystem>) =>
  it.scopedLive(name, () => test().pipe(Effect.provide(NodeContext.layer)), 30_000)

const socketPath = Effect.map(temporaryDirectory, (it) => `${it}/gate.sock`)

const request = (id: unknown, method: string, params: Message = {}): Message => ({ jsonrpc: "2.0", id, method, params })

const byId = (id: unknown) => (message: Message) => message["id"] === id

const noDriver = { DRIVER_GATE_SOCKET: "/nowhere/gate.sock", DRIVER_GATE_TOKEN: "secret" }

const denied = (reply: Message, why: RegExp) => {
  assert.strictEqual(reply["behavior"], "deny")
  assert.match(String(reply["message"]), why)
}

/** A real driver; its gate program is started as its configuration says. */
const realDriver = (decider: Layer.Layer<PermissionDecider>, settings: Partial<PermissionSocket.Options> = {}) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const directory = `${yield* temporaryDirectory}/state`
    const layer = PermissionSocket.layer({ directory, program, ...settings }).pipe(
      Layer.provide([decider, layerUnixSockets, NodeContext.layer])
    )
    const gate = Context.get(yield* Layer.buildWithScope(layer, scope), PermissionGate)
    const { decisions, registration, requests } = yield* recording({ workspace: yield* temporaryDirectory })
    const ticket = yield* Scope.extend(gate.register(registration), scope)
    const { mcpConfigPath, serverName } = Option.getOrThrow(ticket.program)
    const { args, command, env } = JSON.parse(yield* fs.readFileString(mcpConfigPath)).mcpServers[serverName]
    return { start: startProgram(env, [command, ...args]), decisions, requests, stop: Scope.close(scope, Exit.void) }
  })

const echoing = Layer.succeed(PermissionDecider, {
  decide: ({ input }) => Effect.succeed(new Deny({ message: `denied ${String(input["n"])}`, rationale: "test" }))
})

describe("the gate program", () => {
  live("asks the driver and brings its answer back, with everything that the agent said", () =>
    Effect.gen(function* () {
      const outcomes = [
        new AllowOnce({ rationale: "r" }),
        new AllowOnce({ updatedInput: Option.some({ command: "ls -l" }), rationale: "r" }),
        new Deny({ message: "Use Read.", rationale: "r" })
      ]
      const { decisions, requests, start } = yield* realDriver(PermissionDecider.layerScripted(outcomes))
      const { ask } = yield* start
      assert.deepStrictEqual(yield* ask(1, { command: "ls" }), { behavior: "allow" })
      assert.deepStrictEqual(yield* ask("b", { command: "ls" }), {
        behavior: "allow",
        updatedInput: { command: "ls -l" }
      })
      assert.deepStrictEqual(yield* ask(3, { command: "ls" }), { behavior: "deny", message: "Use Read." })
      assert.deepStrictEqual(
        (yield* requests).map(({ input, tool, toolUseId }) => ({ input, tool, id: Option.getOrNull(toolUseId) })),
        ["toolu_1", "toolu_b", "toolu_3"].map((id) => ({ input: { command: "ls" }, tool: "Bash", id }))
      )
      assert.strictEqual((yield* decisions).length, 3)
    })
  )

  live("keeps nothing of the environment that its agent has handed on", () =>
    Effect.gen(function* () {
      const path = yield* socketPath
      const driver = yield* fakeDriver(path, ({ id, kind }, _, say) => {
        if (kind === "decide") say({ kind: "decision", id, response: { behavior: "allow" } })
      })
      const tell = "process.on('SIGUSR2',()=>process.stderr.write('env:'+JSON.stringify(process.env)+'\\n'))"
      const { ask, child } = yield* startProgram({ ...driver.env, ANTHROPIC_API_KEY: "secret", PATH: "/bin" }, [
        execPath,
        "--import",
        `data:text/javascript,${tell}`,
        gateProgram
      ])
      assert.deepStrictEqual(yield* ask(1, {}), { behavior: "allow" })
      let told = ""
      child.stderr.on("data", (chunk) => {
        told += String(chunk)
      })
      child.kill("SIGUSR2")
      yield* waitFor(() => told.includes("env:"))
      assert.include(told, "env:{}")
    })
  )

  live("answers many calls at once, each with its own answer", () =>
    Effect.gen(function* () {
      const { start } = yield* realDriver(echoing)
      const { ask } = yield* start
      const replies = yield* Effect.forEach(
        Array.from({ length: 64 }, (_, n) => n),
        (n) => ask(n, { n }),
        { concurrency: 32 }
      )
      assert.deepStrictEqual(
        replies,
        Array.from({ length: 64 }, (_, n) => ({ behavior: "deny", message: `denied ${n}` }))
      )
    })
  )

  live("carries ten megabytes of text, whatever its characters and wherever they are cut", () =>
    Effect.gen(function* () {
      const { requests, start } = yield* realDriver(PermissionDecider.layerAllowAll)
      const { ask, take, write } = yield* start
      const content = 'aä€🚀\u2028\n"'.repeat(700_000)
      assert.deepStrictEqual(yield* ask(1, { content }), { behavior: "allow" })
      assert.strictEqual((yield* requests)[0]?.input["content"], content)
      const bytes = Buffer.from(`${JSON.stringify(call(2, { content: "äöü€🚀漢" }))}\n`)
      for (const byte of bytes) {
        yield* write(Uint8Array.of(byte))
        yield* Effect.sleep(0)
      }
      assert.deepStrictEqual(replyOf(yield* take(byId(2))), { behavior: "allow" })
      assert.strictEqual((yield* requests)[1]?.input["content"], "äöü€🚀漢")
    })
  )

  live("denies arguments that are longer than the driver takes", () =>
    Effect.gen(function* () {
      const { decisions, start } = yield* realDriver(PermissionDecider.layerAllowAll, {
        limits: { frameBytes: 100_000 }
      })
      const { ask } = yield* start
      denied(yield* ask(1, { content: "x".repeat(100_000) }), /too long \(100\d\d\d bytes, at most 100000\)/)
      assert.deepStrictEqual(yield* ask(2, { content: "x" }), { behavior: "allow" })
      assert.strictEqual((yield* decisions).length, 1)
    })
  )

  describe("as an MCP server", () => {
    live("agrees on the version of the protocol, and says newest where it does not know the one it is asked for", () =>
      Effect.gen(function* () {
        const { send, take } = yield* startProgram({ ...noDriver, DRIVER_GATE_SERVER: "my-gate" })
        for (const [asked, given] of [
          ["2025-11-25", "2025-11-25"],
          ["2024-11-05", "2024-11-05"],
          ["2099-01-01", "2025-11-25"],
          [7, "2025-11-25"]
        ]) {
          yield* send(request(`i-${asked}`, "initialize", { protocolVersion: asked, capabilities: {} }))
          const { result } = (yield* take(byId(`i-${asked}`))) as { readonly result: Message }
          assert.strictEqual(result["protocolVersion"], given)
          assert.deepStrictEqual(result["capabilities"], { tools: {} })
          assert.strictEqual((result["serverInfo"] as Message)["name"], "my-gate")
        }
      })
    )

    live("has one tool, answers ping, and refuses other methods at once", () =>
      Effect.gen(function* () {
        const { received, send, take } = yield* startProgram(noDriver)
        yield* send(request("server-discover-probe-1", "server/discover"))
        assert.deepStrictEqual((yield* take(byId("server-discover-probe-1")))["error"], {
          code: -32601,
          message: "Method not found: server/discover"
        })
        yield* send(request(0, "ping"))
        assert.deepStrictEqual((yield* take(byId(0)))["result"], {})
        yield* send({ jsonrpc: "2.0", method: "notifications/initialized" })
        yield* send(request(1, "tools/list"))
        const { tools } = (yield* take(byId(1)))["result"] as { readonly tools: ReadonlyArray<Message> }
        assert.deepStrictEqual(
          tools.map((it) => it["name"]),
          ["permission_prompt"]
        )
        assert.deepInclude(tools[0]?.["inputSchema"] as Message, { type: "object", required: ["tool_name", "input"] })
        yield* send(request(2, "tools/call", { name: "other", arguments: {} }))
        assert.strictEqual(((yield* take(byId(2)))["error"] as Message)["code"], -32602)
        yield* send(request(3, "resources/list"))
        assert.strictEqual(((yield* take(byId(3)))["error"] as Message)["code"], -32601)
        assert.strictEqual(received().length, 5)
      })
    )

    live("answers garbage with an error and goes on", () =>
      Effect.gen(function* () {
        const { send, take, write } = yield* startProgram(noDriver)
        for (const [line, code] of [
          ["garbage", -32700],
          [`{"jsonrpc":`, -32700],
          ["[]", -32600],
          ["7", -32600],
          ["{}", -32600],
          [`{"jsonrpc":"2.0","id":{},"method":"ping"}`, -32600],
          [`{"jsonrpc":"2.0","id":null,"method":"ping"}`, -32600]
        ] as const) {
          yield* write(`${line}\n`)
          assert.strictEqual(((yield* take(byId(null)))["error"] as Message)["code"], code, line)
        }
        yield* write(`\n\r\n{"jsonrpc":"2.0","id":9,"result":{}}\n`)
        yield* write(Uint8Array.of(0xff, 0xfe, 10))
        yield* take(byId(null))
        yield* send(request(1, "ping"))
        yield* take(byId(1))
      })
    )

    live("denies a question that it does not understand", () =>
      Effect.gen(function* () {
        const { send, take } = yield* startProgram(noDriver)
        for (const [id, args] of [
          undefined,
          {},
          { tool_name: "Bash" },
          { tool_name: "", input: {} },
          { tool_name: "Bash", input: [] }
        ].entries()) {
          yield* send(request(id, "tools/call", { name: "permission_prompt", arguments: args }))
          denied(replyOf(yield* take(byId(id))), /not understood/)
        }
      })
    )

    live("withdraws a question that the agent has cancelled, and does not answer it", () =>
      Effect.gen(function* () {
        const frames: Array<Message> = []
        const path = yield* socketPath
        const { env } = yield* fakeDriver(path, (frame, _, say) => {
          frames.push(frame)
          if (frame["kind"] === "cancel") say({ kind: "error", id: frame["id"] ?? null, message: "withdrawn" })
        })
        const { received, send, take } = yield* startProgram(env)
        yield* send(call("q", {}))
        yield* waitFor(() => frames.some((it) => it["kind"] === "decide"))
        yield* send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: "other" } })
        yield* send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: "q" } })
        yield* waitFor(() => frames.some((it) => it["kind"] === "cancel"))
        const asked = frames.find((it) => it["kind"] === "decide")
        assert.deepInclude(
          frames.find((it) => it["kind"] === "cancel"),
          { id: asked?.["id"], token: "secret" }
        )
        yield* send(request(1, "ping"))
        yield* take(byId(1))
        assert.strictEqual(received().length, 1)
      })
    )

    live("refuses a request with an id that is still open, and answers the first", () =>
      Effect.gen(function* () {
        const answer: Array<() => void> = []
        const path = yield* socketPath
        const { env } = yield* fakeDriver(path, ({ id, kind }, _, say) => {
          if (kind === "decide") answer.push(() => say({ kind: "decision", id, response: { behavior: "allow" } }))
        })
        const { send, take } = yield* startProgram(env)
        yield* send(call(1, {}))
        yield* send(call(1, {}))
        assert.strictEqual(((yield* take(byId(1)))["error"] as Message)["code"], -32600)
        yield* waitFor(() => answer.length === 1)
        answer[0]?.()
        assert.deepStrictEqual(replyOf(yield* take(byId(1))), { behavior: "allow" })
      })
    )

    live("ends with its agent, and on a signal", () =>
      Effect.gen(function* () {
        const path = yield* socketPath
        const { env } = yield* fakeDriver(path, () => undefined)
        const left = yield* startProgram(env)
        yield* left.send(call(1, {}))
        yield* Effect.sync(() => left.child.stdin.end())
        assert.strictEqual(yield* left.exited, 0)
        for (const [signal, code] of [
          ["SIGINT", 130],
          ["SIGTERM", 143]
        ] as const) {
          const signalled = yield* startProgram(env)
          yield* signalled.send(request(1, "ping"))
          yield* signalled.take(byId(1))
          yield* Effect.sync(() => signalled.child.kill(signal))
          assert.strictEqual(yield* signalled.exited, code)
        }
      })
    )
  })

  describe("denies, and goes on, when", () => {
    live("there is no driver, or nothing that leads to one", () =>
      Effect.gen(function* () {
        for (const env of [noDriver, {}, { DRIVER_GATE_SOCKET: "x" }, { DRIVER_GATE_TOKEN: "x" }]) {
          const { ask } = yield* startProgram(env)
          denied(yield* ask(1, {}), /could not be asked.*Try it once more/)
          denied(yield* ask(2, {}), /could not be asked/)
        }
      })
    )

    live("the token is not the goal's", () =>
      Effect.gen(function* () {
        const directory = `${yield* temporaryDirectory}/state`
        const layer = PermissionSocket.layer({ directory, program }).pipe(
          Layer.provide([PermissionDecider.layerAllowAll, layerUnixSockets, NodeContext.layer])
        )
        yield* Layer.build(layer)
        const { ask } = yield* startProgram({
          DRIVER_GATE_SOCKET: `${directory}/gate.sock`,
          DRIVER_GATE_TOKEN: "0".repeat(64)
        })
        denied(yield* ask(1, {}), /token is not valid/)
        denied(yield* ask(2, {}), /token is not valid/)
      })
    )

    live("the driver goes away in the middle of a question, and asks the next driver that comes", () =>
      Effect.gen(function* () {
        const path = yield* socketPath
        let asked = 0
        const first = yield* fakeDriver(path, ({ kind }) => {
          if (kind === "decide") asked++
        })
        const { send, take, ask } = yield* startProgram(first.env)
        yield* send(call(1, {}))
        yield* send(call(2, {}))
        yield* waitFor(() => asked === 2)
        yield* first.die
        denied(replyOf(yield* take(byId(1))), /gone away/)
        denied(replyOf(yield* take(byId(2))), /gone away/)
        denied(yield* ask(3, {}), /no connection/)
        yield* fakeDriver(path, ({ id, kind }, _, say) => {
          if (kind === "decide") say({ kind: "decision", id, response: { behavior: "allow" } })
        })
        assert.deepStrictEqual(yield* ask(4, {}), { behavior: "allow" })
      })
    )

    live("a real driver is stopped in the middle of a question", () =>
      Effect.gen(function* () {
        const decider = Layer.succeed(PermissionDecider, { decide: () => Effect.never })
        const { requests, start, stop } = yield* realDriver(decider)
        const { send, take } = yield* start
        yield* send(call(1, {}))
        yield* Effect.repeat(requests, { until: (it) => it.length === 1, schedule: Schedule.spaced("2 millis") })
        yield* stop
        denied(replyOf(yield* take(byId(1))), /withdrawn|gone away/)
      })
    )

    for (const [name, answer] of [
      ["garbage", "garbage\n"],
      ["no object", "7\n"],
      ["an unknown kind", { kind: "maybe", id: 1 }],
      ["an id of another kind", { kind: "decision", id: "1", response: { behavior: "allow" } }],
      ["no response", { kind: "decision", id: 1 }],
      ["an unknown behavior", { kind: "decision", id: 1, response: { behavior: "maybe" } }],
      ["a denial without a message", { kind: "decision", id: 1, response: { behavior: "deny" } }],
      ["a changed input that is none", { kind: "decision", id: 1, response: { behavior: "allow", updatedInput: "x" } }],
      ["an error", { kind: "error", id: 1, message: "broken" }],
      ["an error about everything", { kind: "error", id: null, message: "broken" }],
      ["an error without a message", { kind: "error", id: 1 }],
      ["half a line and the end", `{"kind":"decision","id":1,"response":{"behavior":"al`]
    ] as const) {
      live(`the driver answers with ${name}`, () =>
        Effect.gen(function* () {
          const path = yield* socketPath
          let first = true
          const { env } = yield* fakeDriver(path, ({ id, kind }, socket, say) => {
            if (kind !== "decide") return
            if (!first) return say({ kind: "decision", id, response: { behavior: "allow" } })
            first = false
            say(answer)
            if (name.endsWith("the end")) socket.end()
          })
          const { ask } = yield* startProgram(env)
          denied(yield* ask(1, {}), /could not be asked/)
          assert.deepStrictEqual(yield* ask(2, {}), { behavior: "allow" })
        })
      )
    }

    live("the driver does not answer in time, but waits as long as a person may take", () =>
      Effect.gen(function* () {
        const path = yield* socketPath
        const { env } = yield* fakeDriver(path, ({ id, kind, request }, _, say) => {
          if (kind !== "decide" || (request as Message)["tool_use_id"] === "toolu_1") return
          say({ kind: "waiting", id, timeout_ms: 20_000 })
          setTimeout(() => say({ kind: "decision", id, response: { behavior: "allow" } }), 900)
        })
        const { ask } = yield* startProgram({ ...env, DRIVER_GATE_TIMEOUT_MS: "300" })
        const [silent, patient] = yield* Effect.all([ask(1, {}), ask(2, {})], { concurrency: 2 })
        denied(silent, /in time/)
        assert.deepStrictEqual(patient, { behavior: "allow" })
      })
    )

    live("the changed input is longer than the agent takes", () =>
      Effect.gen(function* () {
        const path = yield* socketPath
        const { env } = yield* fakeDriver(path, ({ id, kind }, _, say) => {
          if (kind === "decide")
            say({ kind: "decision", id, response: { behavior: "allow", updatedInput: { c: "x".repeat(99_000) } } })
        })
        const { ask } = yield* startProgram(env)
        denied(yield* ask(1, {}), /too long/)
      })
    )
  })

  live("tells an agent that waits that it is still there", () =>
    Effect.gen(function* () {
      const path = yield* socketPath
      const { env } = yield* fakeDriver(path, () => undefined)
      const { received, send } = yield* startProgram({ ...env, DRIVER_GATE_PROGRESS_MS: "20" })
      yield* send(call(1, {}, { _meta: { progressToken: 0 } }))
      yield* send(call(2, {}))
      yield* waitFor(() => received().length >= 3)
      for (const [index, it] of received().entries()) {
        assert.strictEqual(it["method"], "notifications/progress")
        assert.deepStrictEqual(it["params"], {
          progressToken: 0,
          progress: index + 1,
          message: "Waiting for a decision"
        })
      }
    })
  )

  live("tells nothing any more once it has answered", () =>
    Effect.gen(function* () {
      const path = yield* socketPath
      const { env } = yield* fakeDriver(path, ({ id, kind }, _, say) => {
        if (kind === "decide") setTimeout(() => say({ kind: "decision", id, response: { behavior: "allow" } }), 50)
      })
      const { ask, received } = yield* startProgram({ ...env, DRIVER_GATE_PROGRESS_MS: "10" })
      yield* ask(1, {}, { _meta: { progressToken: "a" } })
      const told = received().length
      // Long enough for several of them.
      yield* ask(2, {})
      yield* ask(3, {})
      assert.strictEqual(received().length, told + 2)
    })
  )
})

const waitFor = (check: () => boolean) =>
  Effect.repeat(Effect.sync(check), { until: (it) => it, schedule: Schedule.spaced("2 millis") })
