/**
 * The machine as the command line sees it: environment, directories, output
 * devices, and the few facts that `driver doctor` asks for.
 *
 * Everything that differs between one user's terminal and the next comes through
 * here, so that a test can be any of them. It starts no agent and owns no files.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

/** Standard output or standard error. */
export interface Output {
  readonly isTerminal: boolean
  /** Of the terminal, in cells; 80 by 24 when there is none. Read anew each time: people resize. */
  readonly size: Effect.Effect<{ readonly columns: number; readonly rows: number }>
  /** Writes the text as it is. A reader that went away is not an error. */
  readonly write: (text: string) => Effect.Effect<void>
  /** In this scope the text is written even when the process is ended by force: it undoes what was done to the terminal. */
  readonly restore: (text: string) => Effect.Effect<void, never, Scope.Scope>
}

/** What a program printed before it ended. */
export interface Captured {
  /** -1 when a signal ended it. */
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** A program could not be run, or did not end in time. */
export class CaptureError extends Data.TaggedError("CaptureError")<{
  readonly program: string
  readonly reason: "not_found" | "not_executable" | "timeout" | "failed"
  readonly detail: string
}> {
  override get message() {
    return `${this.program}: ${this.detail}`
  }
}

export class Host extends Context.Tag("@driver/cli/Host")<
  Host,
  {
    readonly environment: Readonly<Record<string, string>>
    /** Absolute path. */
    readonly directory: string
    /** The user's home directory, absolute. */
    readonly home: string
    /** `linux`, `darwin`, … */
    readonly platform: string
    /** `20.19.0` */
    readonly nodeVersion: string
    /** What is piped to this process. Read only by the commands that say so. */
    readonly stdin: Stream.Stream<Uint8Array, CaptureError>
    /** A person can be asked: standard input and standard output are a terminal. */
    readonly isInteractive: boolean
    readonly stdout: Output
    readonly stderr: Output
    /** A random UUID, lower case. */
    readonly uuid: Effect.Effect<string>
    /** SHA-256 of the text's UTF-8, in hexadecimal. */
    readonly sha256: (text: string) => string
    /** Bytes that this user may still write where the path lies. None when the system does not say. */
    readonly freeBytes: (path: string) => Effect.Effect<Option.Option<number>>
    /** Runs a program to its end, at most 64 KiB of its output kept. Interrupting it kills the program. */
    readonly capture: (
      program: string,
      args: ReadonlyArray<string>,
      options: { readonly timeout: Duration.Duration; readonly environment?: Readonly<Record<string, string>> }
    ) => Effect.Effect<Captured, CaptureError>
  }
>() {}
