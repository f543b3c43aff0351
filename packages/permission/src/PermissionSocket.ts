/**
 * The gate with a socket: what an agent's program needs to ask this driver, whoever
 * starts it.
 *
 * One unix socket per driver, mode 0600 in a directory of mode 0700; one token per
 * goal, which is all that tells goals apart; one small file per goal, from which the
 * agent learns how to start the gate program. All of it lives outside the workspace
 * and is gone when its scope is. Other users are kept out by these modes alone: Node
 * does not say which user a peer is.
 *
 * Owns the socket, the files and the tokens. What is asked on the socket is judged
 * by `GoalGate`, as what is asked through a ticket's `decide`.
 */
import { GateError, type GateRegistration, PermissionGate } from "@driver/agent/PermissionGate"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import type * as Socket from "@effect/platform/Socket"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as GoalGate from "./GoalGate.js"
import { defaultLimits, type Hub, type Limits, makeHub, serve } from "./internal/connection.js"
import { makeDeadlines } from "./internal/deadlines.js"
import { below } from "./internal/resolvePath.js"
import type { PermissionDecider } from "./PermissionDecider.js"
import { TokenSource } from "./TokenSource.js"
import { UnixSockets } from "./UnixSockets.js"

export type { Limits } from "./internal/connection.js"

/** The socket could not be opened, so no agent may be started. */
export class GateSocketError extends Schema.TaggedError<GateSocketError>()("GateSocketError", {
  /** Of the socket, or of the directory that it was to stand in. */
  path: Schema.String,
  /**
   * `in_use`: another driver listens there. `occupied`: something that is no socket stands there. `insecure`: others
   * could reach it. `too_long`: the system takes no such path. `failed`: the system refused.
   */
  reason: Schema.Literal("in_use", "occupied", "insecure", "too_long", "failed"),
  detail: Schema.String
}) {
  override get message() {
    return `The permission gate cannot listen on ${this.path}: ${this.detail}`
  }
}

export interface Options {
  /** The driver's own directory, absolute and outside every workspace. Made when it is not there; set to mode 0700. */
  readonly directory: string
  /** Name of the socket in it. Default `gate.sock`. Drivers that share the directory need different names. */
  readonly socketName?: string
  /** How the agent starts the gate program. */
  readonly program: {
    /** Absolute path of Node. */
    readonly command: string
    /** The bundled gate program, and what it is to be given. */
    readonly args: ReadonlyArray<string>
    /** Added to what the gate program needs itself. */
    readonly env?: Readonly<Record<string, string>>
  }
  /** Name of the MCP server, and its key in the configuration: letters, digits, `-` and `_`. Default `driver`. */
  readonly serverName?: string
  readonly settings?: Partial<GoalGate.Settings>
  readonly limits?: Partial<Limits>
}

/**
 * What the gate program waits longer than a decision may take, in addition to the time of its record: then the driver
 * hangs, and the program refuses by itself.
 */
const grace = Duration.seconds(5)

/** As JSON, in characters. The agent's program rejects replies from about 100,000. */
const longestUpdate = 90_000

/** Bytes. The shortest limit of the systems we know, without the zero at the end: 104 on macOS, 108 on Linux. */
const longestSocketPath = 103

/** Listens until the scope closes; then open questions are withdrawn and connections closed. */
export const layer = (
  options: Options
): Layer.Layer<PermissionGate, GateSocketError, PermissionDecider | UnixSockets | FileSystem.FileSystem | Path.Path> =>
  Layer.scoped(
    PermissionGate,
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const sockets = yield* UnixSockets
      const tokens = yield* TokenSource
      const settings = { ...GoalGate.defaults, ...options.settings }
      const limits = { ...defaultLimits, ...options.limits }
      const openGate = yield* GoalGate.factory(settings)
      const hub = makeHub({
        limits,
        deadlines: yield* makeDeadlines,
        longestUpdate,
        grace: Duration.sum(Duration.decode(settings.recordTimeout), grace)
      })

      const socketName = options.socketName ?? "gate.sock"
      const directory = yield* privateDirectory(fs, options.directory)
      const socketPath = yield* listen({ fs, path, sockets }, hub, path.join(directory, socketName))
      const patience = Duration.sum(Duration.decode(settings.decideTimeout), hub.grace)
      const serverName = options.serverName ?? "driver"

      const configFor = (token: string) => ({
        mcpServers: {
          [serverName]: {
            command: options.program.command,
            args: options.program.args,
            env: {
              ...options.program.env,
              DRIVER_GATE_SOCKET: socketPath,
              DRIVER_GATE_TOKEN: token,
              DRIVER_GATE_SERVER: serverName,
              DRIVER_GATE_TIMEOUT_MS: String(Duration.toMillis(patience)),
              DRIVER_GATE_MAX_FRAME: String(limits.frameBytes)
            }
          }
        }
      })

      const writeConfig = (token: string, name: string) =>
        Effect.acquireRelease(
          Effect.gen(function* () {
            const file = path.join(directory, `${configPrefix(socketName)}${name}.json`)
            // Never through something that stands there already.
            yield* fs.writeFileString(file, JSON.stringify(configFor(token)), { flag: "wx", mode: 0o600 })
            yield* fs.chmod(file, 0o600)
            return file
          }),
          (file) =>
            fs
              .remove(file, { force: true })
              .pipe(
                Effect.catchAllCause((cause) => Effect.logWarning(`The gate's file ${file} was not removed`, cause))
              )
        )

      const register = Effect.fn("PermissionSocket.register")(function* (registration: GateRegistration) {
        const fail = (detail: string) => new GateError({ goalId: registration.goalId, detail })
        const workspace = yield* Effect.mapError(fs.realPath(registration.workspace), (error) =>
          fail(`its workspace ${registration.workspace} cannot be read (${error.message})`)
        )
        for (const own of [directory, path.dirname(socketPath)]) {
          if (below(path, workspace, own) !== undefined) {
            return yield* fail(
              `the driver's directory ${own} lies in the workspace, where the agent could reach it; choose another state directory`
            )
          }
        }
        const token = yield* tokens.token
        const gate = yield* openGate(registration)
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            hub.goals.set(token, { gate, bytes: 0 })
          }),
          () =>
            Effect.sync(() => {
              hub.goals.delete(token)
            })
        )
        const mcpConfigPath = yield* writeConfig(token, (yield* tokens.token).slice(0, 16)).pipe(
          Effect.mapError((error) => fail(`its configuration cannot be written to ${directory} (${error.message})`))
        )
        return {
          program: Option.some({ serverName, toolName: "permission_prompt", mcpConfigPath }),
          socket: Option.some({ path: socketPath, token: Redacted.make(token) }),
          decide: gate.decide,
          startTurn: gate.startTurn,
          startSession: gate.startSession,
          spans: gate.spans
        }
      })

      return { register }
    })
  )

/** Begins with the socket's name: whoever listens there owns these files. */
const configPrefix = (socketName: string) => `${socketName}-mcp-`

/** The directory with links followed: nobody but us can enter it. */
const privateDirectory = (fs: FileSystem.FileSystem, directory: string): Effect.Effect<string, GateSocketError> =>
  Effect.gen(function* () {
    yield* fs.makeDirectory(directory, { recursive: true, mode: 0o700 })
    yield* fs.chmod(directory, 0o700)
    const { mode, type } = yield* fs.stat(directory)
    if (type !== "Directory" || (mode & 0o077) !== 0) {
      return yield* new GateSocketError({
        path: directory,
        reason: "insecure",
        detail: "its directory cannot be closed to others; choose a state directory on a file system with permissions"
      })
    }
    return yield* fs.realPath(directory)
  }).pipe(Effect.catchTags({ BadArgument: failed(directory), SystemError: failed(directory) }))

const failed = (path: string) => (error: { readonly message: string }) =>
  Effect.fail(new GateSocketError({ path, reason: "failed", detail: error.message }))

interface Platform {
  readonly fs: FileSystem.FileSystem
  readonly path: Path.Path
  readonly sockets: UnixSockets["Type"]
}

/** Serves for as long as the scope lives; resolves with the path of the socket. */
const listen = (platform: Platform, hub: Hub, wanted: string): Effect.Effect<string, GateSocketError, Scope.Scope> =>
  Effect.gen(function* () {
    const { fs, path, sockets } = platform
    const chosen = byteLength(wanted) <= longestSocketPath ? wanted : yield* shorterPath(platform, wanted)
    yield* claim(platform, chosen)
    // The server must stop to listen in the same moment in which its connections are ended: one that came in between
    // would have nobody to end it, and the server waits for the last one.
    const serving = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.parallel)
    const server = yield* Effect.mapError(Scope.extend(sockets.listen(chosen), serving), (error) =>
      codeOf(error.cause) === "EADDRINUSE"
        ? inUse(chosen)
        : new GateSocketError({ path: chosen, reason: "failed", detail: String(error.cause) })
    )
    // Made with the modes of the system's mask; until now its directory kept others out.
    yield* fs.chmod(chosen, 0o600)
    const made = yield* fs.stat(chosen)
    const { uid } = yield* fs.stat(path.dirname(chosen))
    if (Option.isSome(uid) && Option.isSome(made.uid) && uid.value !== made.uid.value) {
      return yield* new GateSocketError({
        path: chosen,
        reason: "insecure",
        detail: "its directory belongs to another user, who could replace it; choose a state directory of your own"
      })
    }
    // The directory is ours now: what a dead driver left there holds tokens of goals that are long over.
    if (chosen === wanted) yield* sweep(platform, path.dirname(chosen), path.basename(chosen))
    yield* server
      .run((socket) => serve(hub, socket))
      .pipe(
        Effect.tapErrorCause((cause) =>
          Effect.logError("The permission socket has failed; agents are refused from now on", cause)
        ),
        Effect.ignore,
        Effect.interruptible,
        Effect.forkIn(serving)
      )
    return chosen
  }).pipe(Effect.catchTags({ BadArgument: failed(wanted), SystemError: failed(wanted) }))

const byteLength = (text: string) => new TextEncoder().encode(text).length

const inUse = (path: string) =>
  new GateSocketError({
    path,
    reason: "in_use",
    detail: "another driver listens there; wait until it has ended, or give this one its own state directory"
  })

/** A path in a temporary directory of our own, for when the state directory's is longer than a socket's may be. */
const shorterPath = ({ fs, path }: Platform, wanted: string): Effect.Effect<string, GateSocketError, Scope.Scope> =>
  Effect.gen(function* () {
    for (const place of [{}, { directory: "/tmp" }]) {
      const directory = yield* Effect.option(fs.makeTempDirectoryScoped({ prefix: "driver-", ...place }))
      if (Option.isNone(directory)) continue
      const candidate = path.join(
        yield* Effect.orElseSucceed(fs.realPath(directory.value), () => directory.value),
        "gate.sock"
      )
      if (byteLength(candidate) <= longestSocketPath) return candidate
    }
    return yield* new GateSocketError({
      path: wanted,
      reason: "too_long",
      detail: `the path has ${byteLength(wanted)} bytes, a socket's may have ${longestSocketPath}, and no shorter temporary directory can be used; choose a shorter state directory or TMPDIR`
    })
  })

/** Makes way for a new socket: removes one that nobody listens on, refuses to touch anything else. */
const claim = (platform: Platform, socketPath: string): Effect.Effect<void, GateSocketError> =>
  Effect.gen(function* () {
    const { fs } = platform
    const standing = yield* Effect.option(fs.stat(socketPath))
    if (Option.isNone(standing)) return
    if (standing.value.type !== "Socket") {
      return yield* new GateSocketError({
        path: socketPath,
        reason: "occupied",
        detail: "something else stands there; remove it, or choose another state directory"
      })
    }
    if (yield* isAlive(platform, socketPath)) return yield* inUse(socketPath)
    // Another driver may have taken the place since we looked. What we take away we look at once more, and put back.
    const aside = `${socketPath}.stale`
    yield* fs.rename(socketPath, aside)
    if (yield* isAlive(platform, aside)) {
      yield* Effect.ignore(fs.link(aside, socketPath))
      yield* fs.remove(aside, { force: true })
      return yield* inUse(socketPath)
    }
    yield* fs.remove(aside, { force: true })
  }).pipe(Effect.catchTags({ BadArgument: failed(socketPath), SystemError: failed(socketPath) }))

/** Whether somebody listens there. Only a refused connection says that nobody does. */
const isAlive = ({ sockets }: Platform, socketPath: string): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    const opened = yield* Deferred.make<void>()
    const client = yield* sockets.connect(socketPath)
    return yield* client
      .runRaw(() => undefined, { onOpen: Effect.asVoid(Deferred.succeed(opened, undefined)) })
      .pipe(
        Effect.zipRight(Effect.succeed(true)),
        Effect.raceFirst(Effect.as(Deferred.await(opened), true)),
        Effect.timeoutTo({ duration: "2 seconds", onSuccess: (it) => it, onTimeout: () => true })
      )
  }).pipe(Effect.catchAll((error: Socket.SocketError) => Effect.succeed(!nobodyListens(error))))

const nobodyListens = (error: Socket.SocketError): boolean => {
  if (error.reason === "Close") return false
  const code = codeOf(error.cause)
  return code === "ECONNREFUSED" || code === "ENOENT"
}

const codeOf = (cause: unknown): unknown => (Predicate.hasProperty(cause, "code") ? cause.code : undefined)

/** Removes the configurations of goals of a driver that has died. */
const sweep = ({ fs, path }: Platform, directory: string, socketName: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    const left = (yield* fs.readDirectory(directory)).filter(
      (it) => it.startsWith(configPrefix(socketName)) && it.endsWith(".json")
    )
    yield* Effect.forEach(left, (it) => fs.remove(path.join(directory, it), { force: true }), { discard: true })
  }).pipe(Effect.catchAll((error) => Effect.logWarning("What a former driver left was not removed", error)))
