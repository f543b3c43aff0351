/**
 * Events as lines of a file: one `StoredEvent.FromJson` per line, appended.
 *
 * Owns the file handle and what happens when it cannot be written. A batch is one
 * write on a handle opened for appending, so that sinks that share a file never
 * mix within a line. What was written survives the death of this process, not a
 * loss of power. A line that was torn, by a crash or a full disk, is ended before
 * the next one is written: readers skip lines that are not JSON.
 */
import { StoredEvent } from "@driver/domain/DriverEvent"
import { type PlatformError, SystemError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { type BatchOutcome, makeDelivery } from "./internal/delivery.js"

export interface JsonlOptions {
  /** The file. It and its directories are made when absent. */
  readonly path: string
  /** Buffered events; beyond, the oldest go, `AgentActivity` first. Default 10,000. */
  readonly maxQueued?: number
  /** Estimated size of the buffered events, in bytes. Default 64 MiB. */
  readonly maxQueuedBytes?: number
  /** How long a batch that cannot be written is tried again before it is given up. Default 1 minute. */
  readonly retryFor?: Duration.DurationInput
  /** The longest that `flush` waits. Default 10 seconds. */
  readonly flushTimeout?: Duration.DurationInput
  /** The longest that the scope's close waits for what was accepted. Default 5 seconds. */
  readonly closeTimeout?: Duration.DurationInput
}

const batch = { events: 512, bytes: 2 ** 20 }

// From 50 ms, doubled, at most 5 s apart.
const backoff = Schedule.union(Schedule.exponential("50 millis"), Schedule.spaced("5 seconds"))

const newline = 0x0a

/** The sink of `EventSink.layerJsonl`. */
export const makeJsonl = Effect.fnUntraced(function* (options: JsonlOptions) {
  // Not when the module is loaded: to compile it takes longer than to load all the rest, and most runs write no file.
  const encode = Schema.encodeEither(StoredEvent.FromJson)
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const retryFor = Duration.decode(options.retryFor ?? "1 minute")
  const encoder = new TextEncoder()

  /** True when the file's last line was not ended. */
  const isTorn = Effect.gen(function* () {
    const info = yield* fs.stat(options.path)
    if (info.type !== "File" || info.size === 0n) return false
    const reader = yield* fs.open(options.path, { flag: "r" })
    yield* reader.seek(info.size - 1n, "start")
    return Option.match(yield* reader.readAlloc(1), { onNone: () => false, onSome: ([last]) => last !== newline })
  }).pipe(
    Effect.scoped,
    // Not readable: an empty line too many is better than two events in one.
    Effect.orElseSucceed(() => true)
  )

  const openFile = Effect.gen(function* () {
    const open = fs.open(options.path, { flag: "a" })
    const file = yield* Effect.catchIf(
      open,
      (error) => error._tag === "SystemError" && error.reason === "NotFound",
      () => Effect.zipRight(fs.makeDirectory(path.dirname(options.path), { recursive: true }), open)
    )
    return { file, torn: yield* isTorn }
  })

  return yield* makeDelivery(
    {
      name: `jsonl ${options.path}`,
      buffer: { events: Math.max(1, options.maxQueued ?? 10_000), bytes: options.maxQueuedBytes ?? 64 * 2 ** 20 },
      batch,
      flushTimeout: Duration.decode(options.flushTimeout ?? "10 seconds"),
      closeTimeout: Duration.decode(options.closeTimeout ?? "5 seconds")
    },
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      let current: { readonly file: FileSystem.File; torn: boolean; readonly scope: Scope.CloseableScope } | undefined
      let failing = false

      const opened = Effect.gen(function* () {
        if (current !== undefined) return current
        const own = yield* Scope.fork(scope, ExecutionStrategy.sequential)
        const handle = yield* openFile.pipe(
          Scope.extend(own),
          Effect.onError(() => Scope.close(own, Exit.void))
        )
        current = { ...handle, scope: own }
        return current
      })

      // The next attempt opens the file again, and looks whether its last line was torn.
      const forget = Effect.suspend(() => {
        const own = current?.scope
        current = undefined
        return own === undefined ? Effect.void : Scope.close(own, Exit.void)
      })

      /** Writes the lines and takes those off the list that are in the file. */
      const write = (lines: Array<Uint8Array>): Effect.Effect<void, PlatformError> =>
        Effect.gen(function* () {
          const handle = yield* opened
          while (lines.length > 0) {
            const bytes = concat(handle.torn ? [Uint8Array.of(newline), ...lines] : lines)
            const written = Number(yield* handle.file.write(bytes))
            if (written === 0) yield* nothingWritten(options.path)
            const rest = afterWhole(lines, written - (handle.torn ? 1 : 0))
            // A write that was cut short leaves half a line, unless it ended exactly after one.
            handle.torn = rest.torn
            lines.splice(0, rest.whole)
          }
        }).pipe(
          // A write that is given up on goes on in the kernel: the handle must not be closed under it.
          Effect.uninterruptible,
          Effect.onError(() => forget)
        )

      return (events: ReadonlyArray<StoredEvent>) =>
        Effect.gen(function* () {
          const encoded = events.map((event) => encode(event))
          const lines = encoded.flatMap((line) => (Either.isRight(line) ? [encoder.encode(`${line.right}\n`)] : []))
          const unencodable = encoded.length - lines.length
          const result = yield* write(lines).pipe(
            Effect.tapError((error) => {
              if (failing) return Effect.void
              failing = true
              return Effect.logWarning(
                `Events cannot be written to ${options.path}, trying again for ${Duration.format(retryFor)}: ${error.message}`
              )
            }),
            Effect.retry(Schedule.intersect(backoff, Schedule.recurUpTo(retryFor))),
            Effect.either
          )
          if (Either.isRight(result)) failing = false
          return {
            delivered: encoded.length - unencodable - lines.length,
            failed: unencodable + lines.length,
            error: Either.isLeft(result)
              ? Option.some(result.left.message)
              : Option.map(
                  Option.fromNullable(encoded.find(Either.isLeft)),
                  ({ left }) => `an event cannot be encoded: ${left.message}`
                )
          } satisfies BatchOutcome
        })
    })
  )
})

const nothingWritten = (path: string) =>
  Effect.fail(
    new SystemError({
      reason: "WriteZero",
      module: "FileSystem",
      method: "write",
      pathOrDescriptor: path,
      description: "a write wrote nothing"
    })
  )

const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** How many of the lines these bytes cover, and whether they end inside one. */
const afterWhole = (lines: ReadonlyArray<Uint8Array>, bytes: number) => {
  let left = bytes
  let whole = 0
  for (const line of lines) {
    if (left < line.length) break
    left -= line.length
    whole++
  }
  return { whole, torn: left > 0 }
}
