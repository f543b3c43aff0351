/**
 * Processes of the operating system, as Node gives them: start one, signal it, read and write its pipes, and look
 * around in `/proc`. The only module of the package that names Node.
 *
 * `@effect/platform`'s `Command` cannot carry the promises of `Subprocess`: it cannot signal a process that it did
 * not start, tells the errors of a start apart by a sentence, dies on an argument list that is too long, lets a broken
 * pipe crash the driver when the writer is interrupted, and takes any amount of input without back-pressure.
 * Knows nothing of containment, markers or grace: that is `Subprocess`.
 */

import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import type { Readable } from "node:stream"
import * as PlatformError from "@effect/platform/Error"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberId from "effect/FiberId"

export type Signal = "SIGINT" | "SIGTERM" | "SIGKILL"

/** How a process ended: by its own exit, with a code from 0 to 255, or by a signal. */
export type RawExit =
  | { readonly _tag: "Exited"; readonly code: number }
  | { readonly _tag: "Signaled"; readonly signal: string }

/** The error of a system call: `code` is its name, such as `ENOENT`. */
export interface Errno {
  readonly code: string
  readonly message: string
}

/** One end of a pipe, read by one reader at a time. */
export interface Output {
  /** The next bytes, or undefined at the end. Interrupting it loses nothing. */
  readonly next: Effect.Effect<Uint8Array | undefined, PlatformError.PlatformError>
  /** How often bytes came, and whether somebody waits for more now. */
  readonly state: () => { readonly chunks: number; readonly waiting: boolean }
  /** Ends it here, whoever holds the other end. */
  readonly destroy: () => void
}

export interface NodeProcess {
  /** Also the id of its process group and session. */
  readonly pid: number
  readonly exit: Effect.Effect<RawExit>
  readonly hasExited: () => boolean
  readonly stdout: Output
  readonly stderr: Output
  /** Resolves with true when the system has taken the bytes, with false when nobody will. */
  readonly write: (bytes: Uint8Array | string) => Effect.Effect<boolean>
  /** Resolves when the system knows that no more will come. */
  readonly endStdin: Effect.Effect<void>
  /** Closes stdin at once. What was not yet taken is dropped. */
  readonly destroyStdin: () => void
}

export interface RunEnd {
  readonly exit: RawExit
  /** At most as many bytes as were asked for; the rest was read and dropped. */
  readonly stdout: Uint8Array
  readonly stdoutTruncated: boolean
  readonly stderr: Uint8Array
}

/** A program that is run to its end. */
export interface Run {
  /** Also the id of its process group. */
  readonly pid: number
  readonly hasExited: () => boolean
  /** Resolves when it has exited and its output is read to the end. */
  readonly end: Effect.Effect<RunEnd>
  /** Lets go of its pipes: its end follows its exit, whoever still holds them. */
  readonly abandon: () => void
}

const errnoOf = (error: unknown): Errno =>
  error instanceof Error
    ? { code: "code" in error && typeof error.code === "string" ? error.code : "", message: error.message }
    : { code: "", message: String(error) }

/**
 * Starts a program, detached: it leads a session and a process group of its own, so no terminal reaches it.
 * Synchronous: there is no moment at which it runs and nobody knows it.
 */
export const spawn = (options: {
  readonly program: string
  readonly args: ReadonlyArray<string>
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly stdin: "pipe" | "ignore"
}): Effect.Effect<NodeProcess, Errno> =>
  Effect.async<NodeProcess, Errno>((resume) => {
    try {
      const child = ChildProcess.spawn(options.program, [...options.args], {
        cwd: options.cwd,
        detached: true,
        env: { ...options.env },
        stdio: [options.stdin, "pipe", "pipe"]
      })
      // With a pid it runs, without one the error follows as an event.
      if (child.pid === undefined) child.once("error", (error) => resume(Effect.fail(errnoOf(error))))
      else resume(Effect.succeed(attend(child, child.pid)))
    } catch (error) {
      resume(Effect.fail(errnoOf(error)))
    }
  })

const attend = (child: ChildProcess.ChildProcess, pid: number): NodeProcess => {
  const ended = Deferred.unsafeMake<RawExit>(FiberId.none)
  let exited = false
  child.on("error", () => {}) // a kill that failed; nobody here uses `child.kill`
  child.once("exit", (code, signal) => {
    exited = true
    Deferred.unsafeDone(
      ended,
      Effect.succeed(code === null ? { _tag: "Signaled", signal: signal ?? "SIGKILL" } : { _tag: "Exited", code })
    )
  })
  const { stdin } = child
  // Without a listener, a broken pipe would end the driver. The writer learns of it from its own callback.
  stdin?.on("error", () => {})
  return {
    pid,
    exit: Deferred.await(ended),
    hasExited: () => exited,
    stdout: output(child.stdout),
    stderr: output(child.stderr),
    write: (bytes) =>
      Effect.async<boolean>((resume) => {
        if (stdin === null || !stdin.writable || exited) return resume(Effect.succeed(false))
        // A write that is under way when the pipe is closed reports no error.
        stdin.write(bytes, (error) => resume(Effect.succeed(!error && !stdin.destroyed)))
      }),
    endStdin: Effect.async<void>((resume) => {
      if (stdin === null || !stdin.writable) return resume(Effect.void)
      stdin.once("close", () => resume(Effect.void))
      stdin.end(() => resume(Effect.void))
    }),
    destroyStdin: () => stdin?.destroy()
  }
}

/**
 * Starts a program whose whole output is wanted at its end, as the leader of a process group. Without streams: beside a
 * program that takes 2 ms, they would be what takes the time.
 */
export const run = (options: {
  readonly program: string
  readonly args: ReadonlyArray<string>
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly stdin: Uint8Array | undefined
  readonly maxStdout: number
  readonly maxStderr: number
}): Effect.Effect<Run, Errno> =>
  Effect.async<Run, Errno>((resume) => {
    try {
      const child = ChildProcess.spawn(options.program, [...options.args], {
        cwd: options.cwd,
        detached: true,
        env: { ...options.env },
        stdio: [options.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"]
      })
      const { pid, stderr, stdin, stdout } = child
      if (pid === undefined || stdout === null || stderr === null) {
        child.once("error", (error) => resume(Effect.fail(errnoOf(error))))
        return
      }
      // A broken pipe: it did not want its input, and its exit says whether that matters.
      stdin?.on("error", () => {})
      stdin?.end(options.stdin)
      const printed = kept(stdout, options.maxStdout)
      const complaint = kept(stderr, options.maxStderr)
      const ended = Deferred.unsafeMake<RunEnd>(FiberId.none)
      let exited = false
      child.on("error", () => {}) // a kill that failed; nobody here uses `child.kill`
      child.once("exit", () => {
        exited = true
      })
      child.once("close", (code, signal) => {
        const exit: RawExit =
          code === null ? { _tag: "Signaled", signal: signal ?? "SIGKILL" } : { _tag: "Exited", code }
        const { bytes, truncated } = printed()
        Deferred.unsafeDone(
          ended,
          Effect.succeed({ exit, stdout: bytes, stdoutTruncated: truncated, stderr: complaint().bytes })
        )
      })
      resume(
        Effect.succeed({
          pid,
          hasExited: () => exited,
          end: Deferred.await(ended),
          abandon: () => {
            stdin?.destroy()
            stdout.destroy()
            stderr.destroy()
          }
        })
      )
    } catch (error) {
      resume(Effect.fail(errnoOf(error)))
    }
  })

/** Reads to the end and keeps the first `limit` bytes. */
const kept = (readable: Readable, limit: number) => {
  const parts: Array<Uint8Array> = []
  let length = 0
  let truncated = false
  readable.on("error", () => {}) // the same as its end: what came was kept
  readable.on("data", (bytes: Uint8Array) => {
    const room = limit - length
    truncated = truncated || bytes.length > room
    if (room <= 0) return
    const taken = bytes.length > room ? bytes.subarray(0, room) : bytes
    parts.push(taken)
    length += taken.length
  })
  return (): { readonly bytes: Uint8Array; readonly truncated: boolean } => {
    const [only] = parts
    return { bytes: only !== undefined && parts.length === 1 ? only : Buffer.concat(parts), truncated }
  }
}

/** The listeners stay until the end: Node lets go of the rest of a pipe that nobody listens to once the child is gone. */
const output = (readable: Readable | null): Output => {
  let chunks = 0
  let over = readable === null
  let failure: Errno | undefined
  let wake: (() => void) | undefined
  const end = () => {
    over = true
    wake?.()
  }
  readable?.on("readable", () => wake?.())
  readable?.on("end", end)
  readable?.on("close", end)
  readable?.on("error", (error) => {
    failure = errnoOf(error)
    end()
  })
  return {
    next: Effect.async<Uint8Array | undefined, PlatformError.PlatformError>((resume) => {
      const attempt = () => {
        const bytes: Uint8Array | null = readable === null || readable.destroyed ? null : readable.read()
        if (bytes === null && !over) return
        wake = undefined
        if (bytes !== null) {
          chunks++
          resume(Effect.succeed(bytes))
        } else {
          resume(failure === undefined ? Effect.succeed(undefined) : Effect.fail(readError(failure)))
        }
      }
      wake = attempt
      attempt()
      return Effect.sync(() => {
        wake = undefined
      })
    }),
    state: () => ({ chunks, waiting: wake !== undefined }),
    destroy: () => readable?.destroy()
  }
}

const readError = ({ code, message }: Errno) =>
  new PlatformError.SystemError({
    reason: "Unknown",
    module: "Stream",
    method: "read",
    description: `${code}: ${message}`
  })

/** Sends a signal to a process, or with a negative id to a group. False when there is none that may be signalled. */
export const kill = (pid: number, signal: Signal | "SIGCONT"): boolean => {
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false
  }
}

/** Text that nothing else on this machine carries. */
export const uniqueText = (): string => Crypto.randomUUID()

/** A directory as an absolute path that a process can be started in; without one, the driver's own. */
export const resolveDirectory = (directory: string | undefined): Either.Either<string, Errno> => {
  try {
    const path = directory === undefined ? process.cwd() : Path.resolve(directory)
    if (!Fs.statSync(path).isDirectory()) return Either.left({ code: "ENOTDIR", message: "it is not a directory" })
    Fs.accessSync(path, Fs.constants.X_OK)
    return Either.right(path)
  } catch (error) {
    return Either.left(errnoOf(error))
  }
}

/**
 * Finds a program as the system would, except that a relative entry of `searchPath` is skipped: it would let the
 * directory choose what runs. A script whose interpreter is missing counts as not found.
 */
export const resolveProgram = (
  program: string,
  { cwd, searchPath }: { readonly cwd: string; readonly searchPath: string | undefined }
): Either.Either<string, Errno> => {
  if (program.includes("/")) return runnable(Path.resolve(cwd, program))
  let refused: Errno = { code: "ENOENT", message: "it is not on the PATH" }
  for (const directory of (searchPath ?? "/usr/local/bin:/usr/bin:/bin").split(":")) {
    if (program === "" || !Path.isAbsolute(directory)) continue
    const found = runnable(Path.join(directory, program))
    if (Either.isRight(found)) return found
    if (found.left.code !== "ENOENT" && found.left.code !== "ENOTDIR") refused = found.left
  }
  return Either.left(refused)
}

const runnable = (path: string): Either.Either<string, Errno> => {
  try {
    if (!Fs.statSync(path).isFile()) return Either.left({ code: "EACCES", message: "it is not a file" })
    Fs.accessSync(path, Fs.constants.X_OK)
    const interpreter = interpreterOf(path)
    if (interpreter !== undefined && !Fs.existsSync(interpreter)) {
      return Either.left({ code: "ENOENT", message: `its interpreter ${interpreter} does not exist` })
    }
    return Either.right(path)
  } catch (error) {
    return Either.left(errnoOf(error))
  }
}

/** What a `#!` line names. None for a binary, and for a program that may be run and not read. */
const interpreterOf = (path: string): string | undefined => {
  let file: number
  try {
    file = Fs.openSync(path, "r")
  } catch (error) {
    if (errnoOf(error).code === "EACCES") return undefined
    throw error
  }
  try {
    const head = Buffer.alloc(256)
    const text = head.toString("latin1", 0, Fs.readSync(file, head, 0, head.length, 0))
    return /^#![ \t]*(\/[^ \t\n\0]*)/.exec(text)?.[1]
  } finally {
    Fs.closeSync(file)
  }
}

/** One of the system's own programs, which no PATH and no repository chooses. */
export const systemProgram = (name: string): string | undefined =>
  ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/run/current-system/sw/bin", "/usr/local/bin"]
    .map((directory) => Path.join(directory, name))
    .find((path) => Either.isRight(runnable(path)))

// --- files, looked at at once: between two looks of one caller nothing else of the driver happens ---------------------

/** What a name stands for, itself and not what it leads to. */
export const kindOf = (name: string): "file" | "directory" | "other" | "absent" => {
  try {
    const stats = Fs.lstatSync(name)
    return stats.isFile() ? "file" : stats.isDirectory() ? "directory" : "other"
  } catch {
    return "absent" // or not ours to look at
  }
}

/** As an absolute path without symlinks; undefined when it leads nowhere. */
export const realPath = (name: string): string | undefined => {
  try {
    return Fs.realpathSync(name)
  } catch {
    return undefined
  }
}

/** Whether this user may read it. */
export const isReadable = (name: string): boolean => attempt(() => Fs.accessSync(name, Fs.constants.R_OK))

/** Relative to a directory, as an absolute path. */
export const absolute = (directory: string, name: string): string => Path.resolve(directory, name)

export const namesIn = (directory: string): ReadonlyArray<string> => {
  try {
    return Fs.readdirSync(directory)
  } catch {
    return []
  }
}

/** The beginning of a small text file; empty when it is none: neither a link nor a pipe is followed or waited for. */
export const readNote = (name: string): string => {
  let file: number
  try {
    file = Fs.openSync(name, Fs.constants.O_RDONLY | Fs.constants.O_NOFOLLOW | Fs.constants.O_NONBLOCK)
  } catch {
    return ""
  }
  try {
    if (!Fs.fstatSync(file).isFile()) return ""
    const bytes = Buffer.alloc(4096)
    return bytes.toString("utf8", 0, Fs.readSync(file, bytes, 0, bytes.length, 0))
  } catch {
    return ""
  } finally {
    Fs.closeSync(file)
  }
}

/** Makes a directory with those around it, and an empty file where nothing stands. False when that is not possible. */
export const makeDirectory = (name: string): boolean => attempt(() => Fs.mkdirSync(name, { recursive: true }))
export const makeEmptyFile = (name: string): boolean => attempt(() => Fs.writeFileSync(name, "", { flag: "wx" }))

const attempt = (change: () => unknown): boolean => {
  try {
    change()
    return true
  } catch {
    return false
  }
}

// --- /proc -----------------------------------------------------------------------------------------------------------

const readProc = (path: string): string | undefined => {
  try {
    return Fs.readFileSync(`/proc/${path}`, "utf8")
  } catch {
    return undefined // gone, or not ours to read
  }
}

/** Every process this one can see, or undefined where the system has no `/proc`. */
export const allPids = (): ReadonlyArray<number> | undefined => {
  try {
    const pids = Fs.readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []))
    return pids.length === 0 ? undefined : pids
  } catch {
    return undefined
  }
}

export interface ProcessStatus {
  /** A letter: `Z` is dead and not yet reaped. */
  readonly state: string
  readonly parent: number
  readonly group: number
  /** Belongs to the system itself, and has no environment. */
  readonly isKernel: boolean
  /** Ticks since the system started. With the id it names a process for good. */
  readonly startTime: string
}

export const status = (pid: number | "self"): ProcessStatus | undefined => {
  const text = readProc(`${pid}/stat`)
  if (text === undefined) return undefined
  // The name, in brackets, may hold brackets and blanks.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
  return {
    state: fields[0] ?? "Z",
    parent: Number(fields[1]),
    group: Number(fields[2]),
    isKernel: (Number(fields[6]) & 0x00200000) !== 0,
    startTime: fields[19] ?? ""
  }
}

/** The environment a process was started with, "NAME=value" each. Undefined when it cannot be read. */
export const environment = (pid: number): ReadonlyArray<string> | undefined => {
  const text = readProc(`${pid}/environ`)
  return text === undefined
    ? undefined
    : Buffer.from(text, "latin1")
        .toString("utf8")
        .split("\0")
        .filter((it) => it !== "")
}

/** The children of a process's first thread. Undefined where the kernel does not tell. */
export const children = (pid: number): ReadonlyArray<number> | undefined =>
  readProc(`${pid}/task/${pid}/children`)
    ?.split(" ")
    .flatMap((text) => (/^\d+$/.test(text) ? [Number(text)] : []))

/** The set of process ids that this process counts in, as the system names it. */
export const pidNamespace = (): string => {
  try {
    return Fs.readlinkSync("/proc/self/ns/pid").replace(/\D/g, "")
  } catch {
    return "0"
  }
}

/** How many processes and threads were ever started here, how many there are, and the highest id there can be. */
export const forks = ():
  | { readonly count: number; readonly living: number; readonly highestPid: number }
  | undefined => {
  const count = /^processes (\d+)$/m.exec(readProc("stat") ?? "")?.[1]
  const living = /\/(\d+) /.exec(readProc("loadavg") ?? "")?.[1]
  const highest = readProc("sys/kernel/pid_max")
  return count === undefined || living === undefined || highest === undefined
    ? undefined
    : { count: Number(count), living: Number(living), highestPid: Number(highest) }
}

export const ownPid: number = process.pid

export const isRoot: boolean = process.getuid?.() === 0

/** The program that runs the driver, by absolute path. */
export const ownProgram: string = process.execPath

/** Linux and its kin have `/proc`; without it, nothing that escaped can be found. */
export const systemName: string = Os.platform()
