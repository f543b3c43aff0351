/**
 * Runs a trusted program to its end and gives what it printed: for programs such as git, which take less time than
 * watching them would. What may leave something behind, prints without end or is not trusted is for `Subprocess`.
 *
 * Interrupted, it ends the program's process group: SIGTERM first, so that lock files are removed, then SIGKILL.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Node from "./internal/nodeProcess.js"
import { patience, within } from "./internal/wallClock.js"

export interface ProgramCall {
  /** A name that is looked for on `env.PATH`, or a path. */
  readonly program: string
  readonly args: ReadonlyArray<string>
  /** An existing directory. */
  readonly cwd: string
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  /** Nothing, at end of file, by default. */
  readonly stdin?: Uint8Array
  /** Bytes of standard output that are kept; the rest is read and dropped. */
  readonly maxStdout: number
  /** The same of standard error. */
  readonly maxStderr: number
}

export interface ProgramEnd {
  /** The exit code, or the signal that ended it. */
  readonly exit: Node.RawExit
  readonly stdout: Uint8Array
  /** Standard output was longer than `maxStdout`. */
  readonly stdoutTruncated: boolean
  readonly stderr: Uint8Array
}

/** It was not started. */
export class ProgramNotStarted extends Schema.TaggedError<ProgramNotStarted>()("ProgramNotStarted", {
  program: Schema.String,
  /** `directory`: there is none to start it in. */
  reason: Schema.Literal("program", "directory"),
  detail: Schema.String
}) {
  override get message() {
    return `"${this.program}" could not be started: ${this.detail}`
  }
}

/** Resolves when the program has exited and its output is at its end. Any exit is an answer. */
export const runProgram = (call: ProgramCall): Effect.Effect<ProgramEnd, ProgramNotStarted> =>
  Effect.uninterruptibleMask((restore) =>
    Node.run({ ...call, stdin: call.stdin }).pipe(
      Effect.mapError(
        ({ message }) =>
          new ProgramNotStarted({
            program: call.program,
            // The system names the program for both.
            reason: Node.resolveDirectory(call.cwd)._tag === "Left" ? "directory" : "program",
            detail: message
          })
      ),
      Effect.flatMap((run) => Effect.onInterrupt(restore(run.end), () => terminate(run)))
    )
  )

/** SIGKILL follows when the leader has ended, or after two seconds, since what it started may have stayed. */
const terminate = (run: Node.Run) =>
  Effect.suspend(() => {
    if (!run.hasExited()) Node.kill(-run.pid, "SIGTERM")
    return within(run.end, patience)
  }).pipe(
    Effect.zipRight(
      Effect.sync(() => {
        Node.kill(-run.pid, "SIGKILL")
        run.abandon()
      })
    ),
    Effect.zipRight(within(run.end, patience))
  )
