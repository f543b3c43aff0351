/** What `driver serve` is made of: the queue over the goal loop of `Composition.ts`, and the API before it. */
import { Access, ApiApp, layer as serveAt } from "@driver/server/ApiServer"
import { Daemon } from "@driver/server/Daemon"
import { Dispatcher } from "@driver/server/Dispatcher"
import { EventHub } from "@driver/server/EventHub"
import * as GoalsLive from "@driver/server/GoalsLive"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as HttpServer from "@effect/platform/HttpServer"
import type * as Path from "@effect/platform/Path"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { DaemonParts } from "./compositionDaemon.js"
import { relaysLayer, telemetryLayer } from "./compositionEvents.js"
import { claim, readToken, tcpServer, unixServer } from "./daemonServer.js"
import * as GoalRunnersLayer from "./goalRunners.js"
import type { Host } from "./Host.js"
import { liveness } from "./leaseOwner.js"
import { type ServeOptions, Serving } from "./Serving.js"
import type { Settings } from "./Settings.js"
import { version } from "./version.js"

export const serveLayer = (
  settings: Settings,
  options: ServeOptions,
  { driver, shared }: DaemonParts
): Layer.Layer<Serving, { readonly message: string }, FileSystem.FileSystem | Path.Path | Host> =>
  Layer.scoped(
    Serving,
    Effect.gen(function* () {
      yield* claim(settings.stateDirectory, options.socket)
      const token = yield* Effect.transposeMapOption(options.listen, ({ tokenFile }) => readToken(tokenFile))

      const goals = GoalsLive.layer.pipe(
        Layer.provide(
          Dispatcher.layer({
            maxConcurrent: options.maxConcurrent,
            perRepository: options.perRepository,
            liveness: (owner) => Effect.sync(() => liveness(owner))
          })
        ),
        Layer.provide(GoalRunnersLayer.layer({ settings, onEvent: options.onEvent, driver })),
        // Open longer than the goals are at work: they deliver what was said last.
        Layer.provide(relaysLayer(settings)),
        Layer.provide(shared(settings)),
        Layer.provide(telemetryLayer(settings))
      )
      const app = ApiApp.layer.pipe(
        Layer.provide(EventHub.layer()),
        Layer.provideMerge(Daemon.layer({ version, pid: process.pid })),
        Layer.provide(goals),
        Layer.provide(NodeHttpServer.layerContext)
      )
      const context = yield* Layer.build(app)
      const api = Layer.succeedContext(context)

      /** Built after the app, so that its scope closes before: nobody is let in while goals are suspended. */
      const open = <E>(access: Access, server: Layer.Layer<HttpServer.HttpServer, E>) =>
        Effect.map(
          Layer.build(serveAt(access).pipe(Layer.provideMerge(server), Layer.provide(api))),
          (it) => Context.get(it, HttpServer.HttpServer).address
        )
      yield* open(Access.Socket(), unixServer(options.socket))
      const addresses = [`unix:${options.socket}`]
      if (Option.isSome(options.listen) && Option.isSome(token)) {
        const { host, port } = options.listen.value
        const address = yield* open(Access.Token({ token: token.value, hosts: [] }), tcpServer(host, port))
        addresses.push(HttpServer.formatAddress(address))
      }
      return { addresses, notes: [], stopped: Context.get(context, Daemon).shutdownAsked }
    })
  )
