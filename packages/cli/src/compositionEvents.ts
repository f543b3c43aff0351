/**
 * Where events go besides files and the screen: NATS, hooks and telemetry, each
 * loaded only where the configuration names it.
 */
import { Containment } from "@driver/agent/Subprocess"
import { Redactor } from "@driver/domain/Redactor"
import type { NatsConfig, NatsConfigError } from "@driver/nats/NatsConfig"
import type { SettingsInput } from "@driver/nats/NatsSettings"
import type { EventSink } from "@driver/runtime/EventSink"
import type { HookSurroundings } from "@driver/runtime/HookSettings"
import type { Outbox } from "@driver/runtime/Outbox"
import type { Claimant } from "@driver/runtime/OutboxClaims"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { leaseOwner, liveness } from "./leaseOwner.js"
import { ServeError } from "./Serving.js"
import type { Settings } from "./Settings.js"
import { version } from "./version.js"

interface Trouble {
  readonly message: string
}

/** Who delivers events, and has an outbox for it: the stores are told, so that nothing is written that nobody takes. */
export const consumersOf = ({ config, nats }: Settings): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const relay = Option.isSome(nats) ? [(yield* Effect.promise(() => import("@driver/nats/NatsRelay"))).consumer] : []
    if (config.hooks.length === 0) return relay
    const { consumersOf } = yield* Effect.promise(() => import("@driver/runtime/EventHooks"))
    return [...relay, ...consumersOf(config.hooks)]
  })

/** Delivers what waits in the outbox, as long as the scope is open. */
export const relaysLayer = (settings: Settings): Layer.Layer<never, Trouble, Outbox | FileSystem.FileSystem> =>
  Layer.merge(natsLayer(settings), hooksLayer(settings))

const natsLayer = (settings: Settings): Layer.Layer<never, Trouble, Outbox | FileSystem.FileSystem> =>
  Option.match(settings.nats, {
    onNone: () => Layer.empty,
    onSome: (nats) =>
      Layer.unwrapEffect(
        Effect.map(
          Effect.all([Effect.promise(() => import("@driver/nats/NatsRelay")), natsSettingsOf(nats, settings)]),
          ([{ NatsRelay }, whole]) => Layer.discard(NatsRelay.layer(whole, { claimant: claimant() }))
        )
      )
  })

/** With what its files and variables hold. */
export const natsSettingsOf = (
  nats: NatsConfig,
  { ownEnvironment }: Settings
): Effect.Effect<SettingsInput, NatsConfigError | ServeError, FileSystem.FileSystem> =>
  Effect.flatMap(
    Effect.promise(() => import("@driver/nats/NatsConfig")),
    ({ settingsFrom }) => settingsFrom(nats, { environment: ownEnvironment, read: readNatsFile })
  )

const readNatsFile = (file: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(file)).pipe(
    Effect.mapError(
      ({ message }) => new ServeError({ detail: `${file} cannot be read: ${message}. Mend \`nats\` in driver.yaml` })
    )
  )

/** This process, as others of the same store know it. */
const claimant = (): Claimant => ({
  owner: leaseOwner(),
  liveness: (owner) => Effect.sync(() => liveness(owner))
})

const hooksLayer = (settings: Settings): Layer.Layer<never, Trouble, Outbox> =>
  settings.config.hooks.length === 0
    ? Layer.empty
    : Layer.unwrapEffect(
        Effect.gen(function* () {
          const [{ EventHooks }, { hooksOf }, http] = yield* Effect.promise(() =>
            Promise.all([
              import("@driver/runtime/EventHooks"),
              import("@driver/runtime/HookSettings"),
              import("@effect/platform/FetchHttpClient")
            ])
          )
          const hooks = yield* hooksOf(settings.config.hooks, hookSurroundings(settings))
          return Layer.discard(EventHooks.layer(hooks, { claimant: claimant() })).pipe(
            Layer.provide([http.layer, Containment.layer])
          )
        })
      )

export const hookSurroundings = (settings: Settings): HookSurroundings => ({
  environment: settings.ownEnvironment,
  commandEnv: settings.criteriaEnvironment,
  cwd: settings.directory
})

/** Traces and metrics of whatever is built and run inside of it; without it the command makes no spans. */
export const telemetryLayer = (settings: Settings): Layer.Layer<never, Trouble> =>
  mayBeTraced(settings)
    ? Layer.unwrapEffect(
        Effect.gen(function* () {
          const [Telemetry, { settingsOf }, http] = yield* Effect.promise(() =>
            Promise.all([
              import("@driver/telemetry/Telemetry"),
              import("@driver/telemetry/TelemetryConfig"),
              import("@effect/platform/FetchHttpClient")
            ])
          )
          const telemetry = yield* settingsOf({
            config: settings.config.telemetry,
            environment: settings.ownEnvironment,
            version
          })
          return Telemetry.layer(telemetry).pipe(
            Layer.provide([http.layer, Redactor.layer(settings.secrets)]),
            Layer.merge(Layer.setTracerEnabled(true))
          )
        })
      )
    : Layer.empty

/** What the events say in numbers. Empty where nobody looks at them. */
export const metricSinks = (settings: Settings): ReadonlyArray<Layer.Layer<EventSink>> =>
  mayBeTraced(settings)
    ? [
        Layer.unwrapEffect(
          Effect.map(
            Effect.promise(() => import("@driver/telemetry/EventMetrics")),
            (it) => it.layer
          )
        )
      ]
    : []

export const mayBeTraced = ({ config, ownEnvironment }: Settings): boolean =>
  Option.isSome(config.telemetry.endpoint) || (ownEnvironment["OTEL_EXPORTER_OTLP_ENDPOINT"] ?? "").trim() !== ""
