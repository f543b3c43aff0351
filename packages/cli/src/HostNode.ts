/** The `Host` that Node gives us. Only `main.ts` imports it. */
import { execFile } from "node:child_process"
import { createHash, randomUUID } from "node:crypto"
import { writeSync } from "node:fs"
import { statfs } from "node:fs/promises"
import { homedir } from "node:os"
import type { WriteStream } from "node:tty"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { CaptureError, Host, type Output } from "./Host.js"

/** Texts that put a terminal back in order, by the descriptor they belong to. */
const restores = new Map<symbol, { readonly descriptor: number; readonly text: string }>()

/** Synchronous: for `process.on("exit")` and for a second Ctrl-C. */
export const restoreTerminals = (): void => {
  for (const { descriptor, text } of restores.values()) {
    try {
      writeSync(descriptor, text)
    } catch {
      // The terminal is gone: there is nothing left to restore.
    }
  }
  restores.clear()
}

const output = (stream: WriteStream, descriptor: number): Output => {
  // `driver … | head`: the reader may leave early, and that is not our failure.
  stream.on("error", () => {})
  return {
    isTerminal: stream.isTTY === true,
    size: Effect.sync(() => ({ columns: stream.columns || 80, rows: stream.rows || 24 })),
    write: (text) =>
      Effect.async<void>((resume) => {
        if (stream.destroyed || !stream.writable) return resume(Effect.void)
        stream.write(text, () => resume(Effect.void))
      }),
    restore: (text) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const id = Symbol()
          restores.set(id, { descriptor, text })
          return id
        }),
        (id) =>
          Effect.sync(() => {
            if (!restores.delete(id) || stream.destroyed) return
            stream.write(text)
          })
      )
  }
}

const environment = (): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]))
  )

const reasons: { readonly [code: string]: CaptureError["reason"] } = { ENOENT: "not_found", EACCES: "not_executable" }

const details: { readonly [Reason in CaptureError["reason"]]: string } = {
  not_found: "there is no such program",
  not_executable: "the file is not executable",
  timeout: "the program did not end in time",
  failed: "the program could not be started"
}

export const layer: Layer.Layer<Host> = Layer.sync(Host, () => {
  process.once("exit", restoreTerminals)
  return Host.of({
    environment: environment(),
    directory: process.cwd(),
    home: homedir(),
    platform: process.platform,
    nodeVersion: process.versions.node,
    stdin: Stream.fromAsyncIterable(
      { [Symbol.asyncIterator]: (): AsyncIterator<Uint8Array> => process.stdin[Symbol.asyncIterator]() },
      (error) => new CaptureError({ program: "standard input", reason: "failed", detail: String(error) })
    ),
    isInteractive: process.stdin.isTTY === true && process.stdout.isTTY === true,
    stdout: output(process.stdout, 1),
    stderr: output(process.stderr, 2),
    uuid: Effect.sync(() => randomUUID()),
    sha256: (text) => createHash("sha256").update(text).digest("hex"),
    freeBytes: (path) =>
      Effect.tryPromise(() => statfs(path)).pipe(
        Effect.map(({ bavail, bsize }) => bavail * bsize),
        Effect.option
      ),
    capture: (program, args, options) =>
      Effect.async((resume) => {
        const timeout = Duration.toMillis(options.timeout)
        const child = execFile(
          program,
          [...args],
          {
            timeout,
            killSignal: "SIGKILL",
            maxBuffer: 64 * 1024,
            encoding: "utf8",
            ...(options.environment === undefined ? {} : { env: { ...options.environment } })
          },
          (error, stdout, stderr) => {
            if (error === null) return resume(Effect.succeed({ exitCode: 0, stdout, stderr }))
            if (typeof error.code === "number") {
              return resume(Effect.succeed({ exitCode: error.code, stdout, stderr }))
            }
            const reason = error.killed === true ? "timeout" : (reasons[String(error.code)] ?? "failed")
            if (reason === "failed" && typeof error.signal === "string") {
              return resume(Effect.succeed({ exitCode: -1, stdout, stderr }))
            }
            resume(Effect.fail(new CaptureError({ program, reason, detail: details[reason] })))
          }
        )
        // Nobody types into it: a program that asks gets the end of the input.
        child.stdin?.on("error", () => {})
        child.stdin?.end()
        return Effect.sync(() => child.kill("SIGKILL"))
      })
  })
})
