/** The two doors to the same gate, made equal for the tests that both have to pass. */
import { execPath } from "node:process"
import {
  type GateError,
  type GateRegistration,
  type GateTicket,
  PermissionGate,
  type ToolCall
} from "@driver/agent/PermissionGate"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { Context, Effect, Layer, Option, Redacted, type Scope } from "effect"
import { type Response, responseOf } from "../../src/GateProtocol.js"
import type * as GoalGate from "../../src/GoalGate.js"
import * as InProcessGate from "../../src/InProcessGate.js"
import type { PermissionDecider } from "../../src/PermissionDecider.js"
import * as PermissionSocket from "../../src/PermissionSocket.js"
import { UnixSockets } from "../../src/UnixSockets.js"
import { byId, connectClient } from "./client.js"

/** As the composition provides it. */
export const layerUnixSockets: Layer.Layer<UnixSockets> = Layer.succeed(UnixSockets, {
  listen: (path) => NodeSocketServer.make({ path }),
  connect: (path) => NodeSocket.makeNet({ path })
})

export const gateProgram = new URL("../../dist/driver-gate.mjs", import.meta.url).pathname

export const program = { command: execPath, args: [gateProgram] }

export interface World<R> {
  readonly decider: Layer.Layer<PermissionDecider | R>
  /** Advisors, sources of tokens. */
  readonly more?: Layer.Layer<never>
  readonly settings?: Partial<GoalGate.Settings>
}

export interface Opened<R> {
  readonly gate: PermissionGate["Type"]
  readonly services: Context.Context<R>
  /** Registers, and asks through this door. */
  readonly register: (registration: GateRegistration) => Effect.Effect<Asking, GateError, Scope.Scope>
}

export interface Asking {
  readonly ticket: GateTicket
  /** Interrupting it withdraws the question. */
  readonly ask: (call: ToolCall) => Effect.Effect<Response>
  /** Breaks the connection, where there is one. Resolves when the gate has had time to see it. */
  readonly drop: Effect.Effect<void>
}

export interface Door {
  readonly name: string
  readonly open: <R>(world: World<R>) => Effect.Effect<Opened<R>, unknown, Scope.Scope>
}

export const inProcess: Door = {
  name: "in this process",
  open: ({ decider, more = Layer.empty, settings }) =>
    Effect.gen(function* () {
      const context = yield* Layer.build(
        InProcessGate.layer(settings).pipe(Layer.provideMerge(decider), Layer.provide(more))
      )
      const gate = Context.get(context, PermissionGate)
      return {
        gate,
        services: context,
        register: (registration) =>
          Effect.map(gate.register(registration), (ticket) => ({
            ticket,
            drop: Effect.void,
            ask: (call) => Effect.map(ticket.decide(call), responseOf)
          }))
      }
    })
}

export const temporaryDirectory = Effect.flatMap(FileSystem.FileSystem, (fs) =>
  Effect.flatMap(fs.makeTempDirectoryScoped({ prefix: "gate-" }), fs.realPath)
).pipe(Effect.provide(NodeContext.layer))

export const socket: Door = {
  name: "on the socket",
  open: ({ decider, more = Layer.empty, settings }) =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const layer = PermissionSocket.layer({
        directory: `${directory}/state`,
        program,
        ...(settings === undefined ? {} : { settings })
      })
      const context = yield* Layer.build(
        layer.pipe(Layer.provideMerge(decider), Layer.provide([more, layerUnixSockets, NodeContext.layer]))
      )
      const gate = Context.get(context, PermissionGate)
      return {
        gate,
        services: context,
        register: (registration) =>
          Effect.gen(function* () {
            const workspace = yield* Effect.orDie(temporaryDirectory)
            const ticket = yield* gate.register({ ...registration, workspace })
            const { path, token } = Option.getOrThrow(ticket.socket)
            const client = yield* Effect.orDie(connectClient(path))
            let last = 0
            return {
              ticket,
              drop: Effect.gen(function* () {
                client.socket.destroy()
                // Who is answered on another connection after this knows that the gate has looked at all of them.
                const other = yield* Effect.orDie(connectClient(path))
                for (const id of [1, 2]) {
                  yield* other.send({ kind: "hello", id, token: Redacted.value(token) })
                  yield* other.take(byId(id))
                }
              }).pipe(Effect.scoped),
              ask: ({ agentId, input, tool, toolUseId }) =>
                Effect.gen(function* () {
                  const id = ++last
                  const request = {
                    tool,
                    input,
                    tool_use_id: Option.getOrNull(toolUseId),
                    agent_id: Option.getOrNull(agentId)
                  }
                  const shared = { id, token: Redacted.value(token) }
                  yield* client.send({ kind: "decide", ...shared, request })
                  const answer = yield* client
                    .take((frame) => byId(id)(frame) && frame["kind"] !== "waiting")
                    .pipe(Effect.onInterrupt(() => client.send({ kind: "cancel", ...shared })))
                  return answer["kind"] === "decision"
                    ? (answer["response"] as Response)
                    : { behavior: "deny" as const, message: String(answer["message"]) }
                })
            }
          })
      }
    })
}
