/** A `Host` that a test makes up: its environment, its directory, its terminal, and what was written to it. */
import { createHash } from "node:crypto"
import { type Captured, CaptureError, Host, type Output } from "@driver/cli/Host"
import { Terminal } from "@effect/platform"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { Context, Effect, Layer, Mailbox, Option, Ref, Stream } from "effect"

export interface TestHostOptions {
  readonly directory: string
  readonly home?: string
  readonly environment?: Record<string, string>
  readonly platform?: string
  readonly nodeVersion?: string
  /** Of both outputs; absent: no terminal. */
  readonly terminal?: { readonly columns: number; readonly rows: number }
  /** What a person presses when asked, by name, and Ctrl-C after that; absent: nobody can be asked. */
  readonly keys?: ReadonlyArray<string>
  /** By program, or by program and arguments joined with blanks. */
  readonly programs?: Record<string, Captured | CaptureError["reason"]>
  readonly freeBytes?: number
  /** What is piped to it, in pieces. */
  readonly stdin?: ReadonlyArray<string>
}

/** What was written, whole. */
export class Written extends Context.Tag("test/Written")<
  Written,
  { readonly stdout: Effect.Effect<string>; readonly stderr: Effect.Effect<string> }
>() {}

export const layer = (options: TestHostOptions): Layer.Layer<Host | Written> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const out = yield* Ref.make("")
      const err = yield* Ref.make("")
      const ids = yield* Ref.make(0)
      const output = (ref: Ref.Ref<string>): Output => ({
        isTerminal: options.terminal !== undefined,
        size: Effect.succeed(options.terminal ?? { columns: 80, rows: 24 }),
        write: (text) => Ref.update(ref, (before) => before + text),
        restore: (text) => Effect.acquireRelease(Effect.void, () => Ref.update(ref, (before) => before + text))
      })
      const host = Host.of({
        environment: options.environment ?? {},
        directory: options.directory,
        home: options.home ?? "/home/ada",
        platform: options.platform ?? "linux",
        nodeVersion: options.nodeVersion ?? "20.19.0",
        stdin: Stream.encodeText(Stream.fromIterable(options.stdin ?? [])),
        isInteractive: options.keys !== undefined,
        stdout: output(out),
        stderr: output(err),
        uuid: Effect.map(
          Ref.updateAndGet(ids, (n) => n + 1),
          (n) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`
        ),
        sha256: (text) => createHash("sha256").update(text).digest("hex"),
        freeBytes: () => Effect.succeed(Option.some(options.freeBytes ?? 2 ** 40)),
        capture: (program, args) => {
          const answer = options.programs?.[[program, ...args].join(" ")] ?? options.programs?.[program] ?? "not_found"
          return typeof answer === "string"
            ? new CaptureError({ program, reason: answer, detail: `it is ${answer}` })
            : Effect.succeed(answer)
        }
      })
      return Context.make(Host, host).pipe(Context.add(Written, { stdout: Ref.get(out), stderr: Ref.get(err) }))
    })
  )

/** With the real file system, which the tests give temporary directories of. */
export const layerWithFiles = (options: TestHostOptions) =>
  Layer.mergeAll(
    layer(options),
    NodeFileSystem.layer,
    NodePath.layer,
    options.keys === undefined ? NodeTerminal.layer : layerTyping(options.keys)
  )

/** A terminal at which somebody presses these keys: single characters, and names such as `return`, `down`, `space`. */
const layerTyping = (keys: ReadonlyArray<string>): Layer.Layer<Terminal.Terminal> =>
  Layer.effect(
    Terminal.Terminal,
    Effect.gen(function* () {
      const pressed = yield* Mailbox.make<Terminal.UserInput>()
      yield* pressed.offerAll(
        keys.map((key) => {
          const input = [...key].length === 1 ? Option.some(key) : Option.none()
          return { input, key: { name: key, ctrl: false, meta: false, shift: false } }
        })
      )
      // As the real one does for Ctrl-C, and when the input is over.
      yield* pressed.end
      return {
        columns: Effect.succeed(80),
        rows: Effect.succeed(24),
        isTTY: Effect.succeed(true),
        readInput: Effect.succeed(pressed),
        readLine: Effect.dieMessage("nobody reads lines"),
        display: () => Effect.void
      }
    })
  )
