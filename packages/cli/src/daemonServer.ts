/** The socket of a daemon: whether one listens, and the right to be the one that does. */
import { chmodSync, lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as Http from "node:http"
import type * as Net from "node:net"
import { dirname, join } from "node:path"
import * as HttpServer from "@effect/platform/HttpServer"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { isListening } from "./isListening.js"
import * as ProcessLock from "./ProcessLock.js"
import { ServeError } from "./Serving.js"

/**
 * Makes this process the only daemon of the state directory, and takes the socket of one that has died out of the way.
 * Until the scope closes.
 */
export const claim = (stateDirectory: string, socket: string): Effect.Effect<void, ServeError, Scope.Scope> =>
  Effect.gen(function* () {
    yield* Effect.mapError(
      ProcessLock.acquire(join(stateDirectory, "daemon.lock")),
      ({ detail, pid }) =>
        new ServeError({
          detail:
            pid === undefined
              ? `The state directory ${stateDirectory} cannot be written: ${detail}`
              : `A daemon works on this state directory already (process ${pid}, ${stateDirectory}): stop it, or set another \`state_dir\``
        })
    )
    if (yield* isListening(socket)) {
      return yield* new ServeError({
        detail: `Another daemon listens on ${socket}: stop it, or name another socket with --socket`
      })
    }
    yield* Effect.try({
      try: () => {
        mkdirSync(dirname(socket), { recursive: true, mode: 0o700 })
        const found = lstatSync(socket, { throwIfNoEntry: false })
        if (found !== undefined && !found.isSocket()) throw new Error("a file that is no socket is in its place")
        rmSync(socket, { force: true })
      },
      catch: (cause) =>
        new ServeError({
          detail: `The socket ${socket} cannot be made: ${cause instanceof Error ? cause.message : String(cause)}. Name another one with --socket`
        })
    })
  })

/** Listens on the socket, which only this user may open. */
export const unixServer = (path: string): Layer.Layer<HttpServer.HttpServer, ServeError> =>
  Layer.tap(listen({ path }), () =>
    Effect.try({
      try: () => chmodSync(path, 0o600),
      catch: (cause) => new ServeError({ detail: `The socket ${path} cannot be kept to this user: ${String(cause)}` })
    })
  )

export const tcpServer = (host: string, port: number): Layer.Layer<HttpServer.HttpServer, ServeError> =>
  listen({ host, port })

/**
 * When the scope closes, connections get half a second to finish what they send; then they are cut: a client that
 * does not read would keep the server for ever.
 */
const listen = (options: Net.ListenOptions): Layer.Layer<HttpServer.HttpServer, ServeError> =>
  Layer.scoped(
    HttpServer.HttpServer,
    Effect.gen(function* () {
      const server = Http.createServer()
      const made = yield* Effect.mapError(
        NodeHttpServer.make(() => server, options),
        ({ cause }) =>
          new ServeError({
            detail: `driver cannot listen on ${options.path ?? `${options.host}:${options.port}`}: ${cause instanceof Error ? cause.message : String(cause)}. Name another ${options.path === undefined ? "address with --listen" : "socket with --socket"}`
          })
      )
      // Runs before the server's own finalizer, which waits for the connections.
      yield* Effect.addFinalizer(() => hangUp(server))
      return made
    })
  )

const hangUp = (server: Http.Server): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    server.once("close", () => resume(Effect.void))
    server.close()
    server.closeIdleConnections()
  }).pipe(
    Effect.timeoutTo({
      duration: "500 millis",
      onSuccess: () => undefined,
      onTimeout: () => server.closeAllConnections()
    })
  )

/** What clients on the loopback show. Made when there is none; refused when others could read it. */
export const readToken = (file: string): Effect.Effect<Redacted.Redacted, ServeError> =>
  Effect.try({
    try: () => {
      try {
        const text = Buffer.from(globalThis.crypto.getRandomValues(new Uint8Array(32))).toString("base64url")
        mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
        writeFileSync(file, `${text}\n`, { flag: "wx", mode: 0o600 })
        return Redacted.make(text)
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error
      }
      if ((lstatSync(file).mode & 0o077) !== 0) throw new Error(`others may read it: run \`chmod 600 ${file}\``)
      const text = readFileSync(file, "utf8").trim()
      if (!/^[\x21-\x7e]{16,}$/.test(text)) {
        throw new Error(
          "it has to have at least 16 characters on one line, without blanks: remove it, and it is made anew"
        )
      }
      return Redacted.make(text)
    },
    catch: (cause) =>
      new ServeError({
        detail: `The token file ${file} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`
      })
  })
