/** A server on a unix socket or on TCP, and clients for it, as the composition of the daemon has them. */

import { mkdtempSync } from "node:fs"
import { rm } from "node:fs/promises"
import type { Server } from "node:http"
import * as Http from "node:http"
import type { ListenOptions } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { HttpClient } from "@effect/platform/HttpClient"
import * as HttpServer from "@effect/platform/HttpServer"
import type { ServeError } from "@effect/platform/HttpServerError"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Undici from "@effect/platform-node/Undici"
import { Effect, Layer } from "effect"

/**
 * Listens. When the scope closes, connections get half a second to finish what they send; then they are cut: a client
 * that does not read would keep the server for ever.
 */
export const listen = (options: ListenOptions): Layer.Layer<HttpServer.HttpServer, ServeError> =>
  Layer.scoped(
    HttpServer.HttpServer,
    Effect.gen(function* () {
      const server = Http.createServer()
      const made = yield* NodeHttpServer.make(() => server, options)
      // Runs before the server's own finalizer, which waits for the connections.
      yield* Effect.addFinalizer(() => hangUp(server))
      return made
    })
  )

const hangUp = (server: Server) =>
  Effect.async<void>((resume) => {
    server.close()
    server.closeIdleConnections()
    const timer = setTimeout(() => server.closeAllConnections(), 500)
    server.once("close", () => {
      clearTimeout(timer)
      resume(Effect.void)
    })
  })

/** Over the unix socket; the URL's host is not looked at. */
export const unixClient = (socketPath: string): Layer.Layer<HttpClient> =>
  NodeHttpClient.layerUndiciWithoutDispatcher.pipe(
    Layer.provide(
      Layer.scoped(
        NodeHttpClient.Dispatcher,
        Effect.acquireRelease(
          Effect.sync(() => new Undici.Agent({ connect: { socketPath } })),
          (agent) => Effect.promise(() => agent.destroy())
        )
      )
    )
  )

/** A directory of the scope's own, for a socket. */
export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "driver-server-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
)
