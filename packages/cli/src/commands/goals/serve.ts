/** `driver serve`: many goals in one process, for the commands and for whoever speaks its API. */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import * as Path from "@effect/platform/Path"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { EndWith } from "../../exitCode.js"
import { Host } from "../../Host.js"
import { leanHeap } from "../../leanHeap.js"
import { argumentOf, outcomeLines } from "../../Render.js"
import { type ListenOptions, ServeError, type ServeOptions, Serving } from "../../Serving.js"
import type { Settings } from "../../Settings.js"
import { fit, printable } from "../../Text.js"
import { plainText, themeOf } from "../../Theme.js"
import { shortId } from "./named.js"

export interface ServeArguments {
  readonly socket: Option.Option<string>
  /** `127.0.0.1:7717` */
  readonly listen: Option.Option<string>
  readonly tokenFile: Option.Option<string>
  readonly maxConcurrent: Option.Option<number>
  readonly perRepository: Option.Option<number>
}

export const serve = <E extends { readonly message: string }, R>(
  args: ServeArguments,
  settings: Settings,
  layer: (settings: Settings, options: ServeOptions) => Layer.Layer<Serving, E, R>
) =>
  Effect.gen(function* () {
    const host = yield* Host
    const options = yield* optionsOf(args, settings, host)
    yield* leanHeap
    const say = (text: string) => host.stdout.write(`${text}\n`)
    const serving = Effect.gen(function* () {
      const { addresses, notes, stopped } = yield* Serving
      for (const note of notes) yield* host.stderr.write(`warning: ${printable(note)}\n`)
      yield* say(`driver serves on ${addresses.join(" and ")}`)
      if (options.socket !== settings.daemon.socket) {
        yield* say(`The commands find it with DRIVER_SOCKET=${options.socket}`)
      }
      yield* stopped
      yield* say("driver was asked to stop: goals are suspended, they go on at the next start.")
    })
    yield* Effect.provide(serving, layer(settings, options)).pipe(
      // Only a signal interrupts it, and that is how a daemon is stopped in good order. The end is a defect by kind alone:
      // an interruption carries no code.
      Effect.onInterrupt(() =>
        Effect.zipRight(say("driver has stopped; goals that have not ended go on at the next start."), ended)
      )
    )
  }).pipe(Effect.scoped)

const ended = Effect.die(new EndWith({ code: 0 }))

const optionsOf = (
  args: ServeArguments,
  { config, daemon }: Settings,
  host: Host["Type"]
): Effect.Effect<ServeOptions, ServeError, Path.Path> =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const resolve = (name: string) => path.resolve(host.directory, name)
    const socket = Option.match(args.socket, { onNone: () => daemon.socket, onSome: resolve })
    if (new TextEncoder().encode(socket).length > longestSocket) {
      return yield* new ServeError({
        detail: `The path of the socket is longer than the system allows (${longestSocket} bytes): ${socket}. Name a shorter one with --socket or \`daemon.socket\``
      })
    }
    const address = Option.orElse(args.listen, () => daemon.listen)
    const tokenFile = Option.orElse(Option.map(args.tokenFile, resolve), () => daemon.tokenFile)
    const listen = yield* Effect.transposeMapOption(address, (text) => listenOf(text, tokenFile))
    const theme = themeOf(host.environment, false)
    return {
      socket,
      listen,
      maxConcurrent: Option.getOrElse(args.maxConcurrent, () => config.daemon.maxConcurrent),
      perRepository: Option.getOrElse(args.perRepository, () => config.daemon.perRepository),
      onEvent: (stored: StoredEvent) =>
        Option.match(
          newsOf(stored, (line) => plainText(theme, line)),
          {
            onNone: () => Effect.void,
            onSome: (text) => host.stdout.write(`${DateTime.formatIso(stored.at)} ${shortId(stored.goalId)} ${text}\n`)
          }
        )
    }
  })

/** Bytes that fit into the system's address of a unix socket, on every system that we run on. */
const longestSocket = 103

/** `127.0.0.1:7717`, `localhost:7717`, `[::1]:7717` */
const listenOf = (text: string, tokenFile: Option.Option<string>): Effect.Effect<ListenOptions, ServeError> => {
  const [, name = "", port = ""] = /^(127\.0\.0\.1|localhost|\[::1\]):(\d{1,5})$/.exec(text) ?? []
  if (name === "" || Number(port) > 65_535) {
    return new ServeError({
      detail: `driver listens on the loopback only, as 127.0.0.1:7717 or [::1]:7717, not on ${JSON.stringify(text)}: put a proxy of yours before it for more`
    })
  }
  return Option.match(tokenFile, {
    onNone: () =>
      new ServeError({
        detail: `Listening on ${text} needs a token: name its file with --token-file or \`daemon.token_file\`; it is made when it is not there`
      }),
    onSome: (file) =>
      Effect.succeed({
        host: name === "[::1]" ? ("::1" as const) : ("127.0.0.1" as const),
        port: Number(port),
        tokenFile: file
      })
  })
}

/** What is worth a line in a daemon's log. */
const newsOf = (
  { event }: StoredEvent,
  text: (line: ReturnType<typeof outcomeLines>[number]) => string
): Option.Option<string> => {
  switch (event._tag) {
    case "GoalStarted":
      return Option.some(`begins: ${fit(printable(event.goal.description), 80)}`)
    case "GoalRecovered":
      return Option.some(`goes on after turn ${event.turn}`)
    case "GoalCompleted":
      return Option.fromNullable(outcomeLines(event.outcome).map(text)[0])
    case "GoalPaused":
      return Option.some("is paused")
    case "GoalResumed":
      return Option.some("goes on")
    case "ApprovalRequested": {
      const { id, input, tool } = event.question
      return Option.some(
        `waits for approval ${id.slice(0, 8)}: ${fit(printable(`${tool} ${argumentOf(input)}`.trim()), 120)}`
      )
    }
    default:
      return Option.none()
  }
}
