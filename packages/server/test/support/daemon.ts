/** A whole daemon for tests: scripted goals behind the API, at a real address. */
import { join } from "node:path"
import { Goals } from "@driver/runtime/Goals"
import * as ApiClient from "@driver/server/ApiClient"
import * as ApiServer from "@driver/server/ApiServer"
import { Daemon } from "@driver/server/Daemon"
import type { FeedOptions } from "@driver/server/EventFeed"
import { EventHub } from "@driver/server/EventHub"
import * as GoalsRemote from "@driver/server/GoalsRemote"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServer from "@effect/platform/HttpServer"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Context, Effect, Exit, Layer, Redacted, Scope } from "effect"
import * as net from "./net.js"
import * as scripted from "./scriptedGoals.js"

export const token = Redacted.make("a-token-of-the-daemon")

const parts = (feed: FeedOptions) =>
  ApiServer.ApiApp.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(EventHub.layer(feed), Daemon.layer({ version: "1.2.3", pid: 4711 }))),
    Layer.provideMerge(scripted.layer()),
    Layer.provide(NodeHttpServer.layerContext)
  )

/** On a unix socket, until the scope closes. Resolves with its path and the services of the daemon. */
export const onSocket = Effect.fnUntraced(function* (feed: FeedOptions = {}) {
  const directory = yield* net.temporaryDirectory
  const path = join(directory, "driver.sock")
  const services = yield* serveOnSocket(path, feed)
  return { path, services }
})

export const serveOnSocket = (path: string, feed: FeedOptions = {}) =>
  Layer.build(
    ApiServer.layer(ApiServer.Access.Socket()).pipe(
      Layer.provideMerge(parts(feed)),
      Layer.provide(net.listen({ path }))
    )
  )

/** On a free port of the loopback address, with the token. */
export const onPort = Effect.fnUntraced(function* (feed: FeedOptions = {}) {
  const services = yield* Layer.build(
    ApiServer.layer(ApiServer.Access.Token({ token, hosts: [] })).pipe(
      Layer.provideMerge(parts(feed)),
      Layer.provideMerge(net.listen({ port: 0, host: "127.0.0.1" }))
    )
  )
  const { address } = Context.get(services, HttpServer.HttpServer)
  return { url: address._tag === "TcpAddress" ? `http://127.0.0.1:${address.port}` : "", services }
})

export const clientOn = (path: string) =>
  Layer.build(ApiClient.ApiClient.layer({ address: path }).pipe(Layer.provideMerge(net.unixClient(path))))

/** A daemon on a socket, its script, and `Goals` and the client on the other side. */
export const remote = (feed: FeedOptions = {}) => Effect.flatMap(onSocket(feed), reached)

/** The same; the daemon stops when `stop` is run, before the client. */
export const remoteToStop = Effect.gen(function* () {
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const parts = yield* reached(yield* Scope.extend(onSocket(), scope))
  return { ...parts, stop: Scope.close(scope, Exit.void) }
})

const reached = Effect.fnUntraced(function* ({ path, services }: Effect.Effect.Success<ReturnType<typeof onSocket>>) {
  const client = yield* clientOn(path)
  return {
    path,
    services,
    script: Context.get(services, scripted.Script),
    client: Context.get(client, ApiClient.ApiClient),
    http: Context.get(client, HttpClient.HttpClient),
    goals: yield* goalsOver(client)
  }
})

export const goalsOver = (client: Context.Context<ApiClient.ApiClient>) =>
  Effect.map(Layer.build(Layer.provide(GoalsRemote.layer, Layer.succeedContext(client))), Context.get(Goals))
