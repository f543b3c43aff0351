/**
 * What `driver doctor` tries out beyond this machine's own parts: the daemon, and
 * wherever events go. Nothing is sent but to NATS, where the stream is looked for.
 */
import { type HookAction, hooksOf } from "@driver/runtime/HookSettings"
import { Outbox } from "@driver/runtime/Outbox"
import { ApiClient } from "@driver/server/ApiClient"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { consumersOf, hookSurroundings, mayBeTraced, natsSettingsOf } from "./compositionEvents.js"
import { isListening, tryConnecting } from "./isListening.js"
import { plural } from "./Render.js"
import type { Settings } from "./Settings.js"
import { broken, type Check, fine, warning } from "./SystemProbes.js"
import * as unixHttpClient from "./unixHttpClient.js"
import { version } from "./version.js"

type Platform = FileSystem.FileSystem | Path.Path

export const outwardChecks = (settings: Settings): Effect.Effect<ReadonlyArray<Check>, never, Platform> =>
  Effect.map(
    Effect.all([daemonCheck(settings), natsChecks(settings), hookChecks(settings), telemetryChecks(settings)], {
      concurrency: "unbounded"
    }),
    (all) => all.flat()
  )

const daemonCheck = ({ daemon: { socket } }: Settings): Effect.Effect<ReadonlyArray<Check>> =>
  Effect.gen(function* () {
    if (!(yield* isListening(socket))) {
      return fine("daemon", `none runs here (${socket}): goals are worked on by \`driver run\` and \`driver resume\``)
    }
    const health = yield* Effect.flatMap(ApiClient, (it) => it.probe("5 seconds")).pipe(
      Effect.provide(ApiClient.layer({ address: socket }).pipe(Layer.provide(unixHttpClient.layer(socket))))
    )
    const { goalsQueued, goalsRunning, pid } = health
    return health.version === version
      ? fine("daemon", `process ${pid}, ${plural(goalsRunning, "goal")} at work, ${goalsQueued} in the queue`)
      : warning(
          "daemon",
          `process ${pid} is driver ${health.version}, and this is ${version}`,
          "stop it, and start `driver serve` anew: its goals go on then"
        )
  }).pipe(
    Effect.catchAll((error) =>
      Effect.succeed(
        warning(
          "daemon",
          error.message,
          "see what the process does that has the socket, end it, and start `driver serve` anew: its goals go on then"
        )
      )
    ),
    Effect.map((check) => [check])
  )

const natsChecks = (settings: Settings): Effect.Effect<ReadonlyArray<Check>, never, Platform> =>
  Option.match(settings.nats, {
    onNone: () => Effect.succeed([]),
    onSome: (nats) =>
      Effect.gen(function* () {
        const { check } = yield* Effect.promise(() => import("@driver/nats/NatsRelay"))
        const whole = yield* Effect.either(natsSettingsOf(nats, settings))
        // The driver does not start with it.
        if (Either.isLeft(whole)) return [broken("nats", whole.left.message, "mend `nats` in driver.yaml")]
        const stream = yield* Effect.either(
          Effect.timeoutFail(check(whole.right), {
            duration: "10 seconds",
            onTimeout: () => ({ message: "NATS did not answer within 10 seconds" })
          })
        )
        return [
          Either.match(stream, {
            onLeft: ({ message }) =>
              warning("nats", message, "goals work without; their events wait in the database until it takes them"),
            onRight: ({ duplicateWindow }) =>
              fine("nats", `the stream ${nats.stream} is there, and knows ids for ${Duration.format(duplicateWindow)}`)
          })
        ]
      })
  })

const hookChecks = (settings: Settings): Effect.Effect<ReadonlyArray<Check>, never, Platform> =>
  Either.match(hooksOf(settings.config.hooks, hookSurroundings(settings)), {
    // The driver does not start with it.
    onLeft: ({ message }) => Effect.succeed([broken("hooks", message, "mend `hooks` in driver.yaml")]),
    onRight: (hooks) => Effect.forEach(hooks, ({ action, name }) => hookCheck(`hook ${name}`, action))
  })

/** Not with its address, which may be a secret. */
const hookCheck = (name: string, action: HookAction): Effect.Effect<Check, never, Platform> => {
  if (action._tag === "Post") {
    return Effect.match(reach(Redacted.value(action.url)), {
      onSuccess: () => fine(name, "its server takes connections"),
      onFailure: (reason) =>
        warning(
          name,
          `its server cannot be reached: ${reason}`,
          "see whether its URL is right and its server runs; events are tried for a while, then given up"
        )
    })
  }
  const [program] = action.argv
  return Effect.map(isThere(program, action.cwd, action.env["PATH"] ?? ""), (found) =>
    found
      ? fine(name, `it runs ${program}`)
      : warning(name, `there is no program ${program}`, "mend its `command` in driver.yaml: its events are given up")
  )
}

/** As a shell looks for a program. */
const isThere = (program: string, directory: string, searched: string): Effect.Effect<boolean, never, Platform> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const places = program.includes("/") ? [directory] : searched.split(":").filter((it) => it !== "")
    return yield* Effect.exists(places, (place) =>
      Effect.orElseSucceed(fs.exists(path.resolve(place, program)), () => false)
    )
  })

const telemetryChecks = (settings: Settings): Effect.Effect<ReadonlyArray<Check>> =>
  !mayBeTraced(settings)
    ? Effect.succeed([])
    : Effect.gen(function* () {
        const { settingsOf } = yield* Effect.promise(() => import("@driver/telemetry/TelemetryConfig"))
        const { config, ownEnvironment } = settings
        const telemetry = settingsOf({ config: config.telemetry, environment: ownEnvironment, version })
        if (Either.isLeft(telemetry)) {
          return [broken("telemetry", telemetry.left.message, "mend it: the driver does not start with it")]
        }
        if (Option.isNone(telemetry.right)) return []
        const { endpoint } = telemetry.right.value
        return [
          yield* Effect.match(reach(endpoint), {
            onSuccess: () => fine("telemetry", `the collector at ${endpoint} takes connections`),
            onFailure: (reason) =>
              warning(
                "telemetry",
                `the collector at ${endpoint} cannot be reached: ${reason}`,
                "start it, or mend `telemetry.endpoint`: until then traces and metrics are lost"
              )
          })
        ]
      })

/** Somebody listens at the URL's host and port. */
const reach = (url: string): Effect.Effect<void, string> =>
  Effect.suspend(() => {
    const { hostname, port, protocol } = new URL(url)
    return tryConnecting(
      hostname.replace(/^\[|\]$/g, ""),
      port === "" ? (protocol === "https:" ? 443 : 80) : Number(port)
    )
  })

/** Events wait for those that are away, and for those that were taken out of the configuration: nobody fetches them. */
export const outboxChecks = (settings: Settings): Effect.Effect<ReadonlyArray<Check>, never, Outbox> =>
  Effect.gen(function* () {
    const outbox = yield* Outbox
    const configured = new Set(yield* consumersOf(settings))
    const waiting = yield* Effect.forEach(yield* outbox.consumers, (consumer) =>
      Effect.map(outbox.count(consumer), (count) => ({ consumer, count }))
    )
    return waiting.map(({ consumer, count }) =>
      configured.has(consumer)
        ? fine("outbox", `${plural(count, "event waits", "events wait")} for ${consumer}`)
        : warning(
            "outbox",
            `${plural(count, "event waits", "events wait")} for ${consumer}, which this configuration does not name`,
            `name it again in driver.yaml, or forget them: \`driver prune --events-of ${consumer}\``
          )
    )
    // The database has a check of its own.
  }).pipe(Effect.orElseSucceed(() => []))
