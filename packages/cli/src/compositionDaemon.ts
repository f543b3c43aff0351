/**
 * What the commands on goals, and `driver serve`, are made of. Loaded by those only;
 * what asks a daemon loads no stores, and what needs none loads no daemon.
 */
import type { Goals } from "@driver/runtime/Goals"
import * as Recovery from "@driver/runtime/Recovery"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { driverLayer, sharedLayer } from "./Composition.js"
import type { Verify } from "./commands/goals/journal.js"
import { DaemonSocket } from "./DaemonSocket.js"
import type { Host } from "./Host.js"
import { isListening } from "./isListening.js"
import type { ServeOptions, Serving } from "./Serving.js"
import type { Settings } from "./Settings.js"

type Platform = FileSystem.FileSystem | Path.Path

/** What a layer may fail with: one sentence. */
interface Trouble {
  readonly message: string
}

/** What the composition of the goal loop gives. */
export interface DaemonParts {
  readonly driver: typeof driverLayer
  readonly shared: typeof sharedLayer
}

export const operatorLayer = (
  settings: Settings,
  parts: DaemonParts
): Layer.Layer<Goals | DaemonSocket, Trouble, Platform | Host> =>
  Layer.unwrapEffect(
    Effect.gen(function* () {
      const { socket } = settings.daemon
      const listening = yield* isListening(socket)
      const goals: Layer.Layer<Goals, Trouble, Platform | Host> = listening ? remote(socket) : offline(settings, parts)
      return Layer.merge(goals, Layer.succeed(DaemonSocket, { socket, listening }))
    })
  )

const remote = (socket: string): Layer.Layer<Goals> =>
  Layer.unwrapEffect(
    Effect.map(
      Effect.promise(() =>
        Promise.all([
          import("@driver/server/GoalsRemote"),
          import("@driver/server/ApiClient"),
          import("./unixHttpClient.js")
        ])
      ),
      ([GoalsRemote, { ApiClient }, client]) =>
        GoalsRemote.layer.pipe(Layer.provide(ApiClient.layer({ address: socket })), Layer.provide(client.layer(socket)))
    )
  )

const offline = (settings: Settings, parts: DaemonParts): Layer.Layer<Goals, Trouble, Platform | Host> =>
  Layer.unwrapEffect(
    Effect.map(
      Effect.promise(() => Promise.all([import("@driver/server/GoalsOffline"), import("./goalRunners.js")])),
      ([GoalsOffline, runners]) =>
        GoalsOffline.layer.pipe(
          // For rolling back and delivering, which work on goals that nobody else has.
          Layer.provide(runners.layer({ settings, onEvent: () => Effect.void, driver: parts.driver })),
          Layer.provide(parts.shared(settings))
        )
    )
  )

export const serveLayer = (
  settings: Settings,
  options: ServeOptions,
  parts: DaemonParts
): Layer.Layer<Serving, Trouble, Platform | Host> =>
  Layer.unwrapEffect(
    Effect.map(
      Effect.promise(() => import("./compositionServe.js")),
      (it) => it.serveLayer(settings, options, parts)
    )
  )

export const verify: Verify = (_, records) =>
  Recovery.verify(records).violations.map(({ detail, sequence }) => `record ${sequence}: ${detail}`)
