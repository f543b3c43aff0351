/**
 * A child process that cannot outlive its scope, whose output is always read, and whose end is known exactly.
 *
 *     start ──▶ running ──▶ leader exited ──(end of stdout, or 250 ms)──▶ everything it left is killed ──▶ settled
 *                  │                ▲
 *                  └ scope closes: SIGTERM to the group ─(killAfter)─▶ SIGKILL
 *
 * What the child started goes with it, also what left its group (`setsid`, double fork, `nohup`). Two forms:
 *
 * - `namespace` (Linux): each child lives in its own process-id namespace. Its first process is a `cat` that reads a
 *   pipe from the driver. When the driver closes the pipe, or dies in any way, `cat` ends and the kernel kills all
 *   that is inside. Nothing inside can leave, and nothing inside sees the processes outside.
 * - `process_group`: the group is killed, then `/proc` is searched for the marker that every descendant inherits in
 *   its environment. A descendant that clears its environment *and* breaks the chain of parents is not found. A
 *   `kill -9` of the driver leaves processes until `sweepOrphans` of a later one.
 *
 * Owns the process, its pipes and the fibers that read them. Does not know what the bytes mean, which environment is
 * right, or how long a process may run: bound `run` by `Effect.timeout`. Time is wall-clock time, also under a
 * `TestClock`, because processes do not wait for tests.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as KeptBytes from "./internal/keptBytes.js"
import * as Namespace from "./internal/namespace.js"
import * as Node from "./internal/nodeProcess.js"
import * as Survivors from "./internal/survivors.js"
import { patience, within } from "./internal/wallClock.js"

/** Why a program could not be started. `other` is the system's own reason, named in `detail`. */
export const SpawnFailure = Schema.Literal(
  "not_found",
  "not_executable",
  "bad_cwd",
  "too_many_files",
  "argument_list_too_long",
  "other"
)
export type SpawnFailure = typeof SpawnFailure.Type

/** Nothing was started. The same with and without containment. */
export class SubprocessSpawnFailed extends Schema.TaggedError<SubprocessSpawnFailed>()("SubprocessSpawnFailed", {
  reason: SpawnFailure,
  /** As it was given, without arguments. */
  program: Schema.String,
  /** As it was given; the driver's own directory when absent. */
  cwd: Schema.optional(Schema.String),
  /** What the system said. */
  detail: Schema.String
}) {
  override get message() {
    const where = this.cwd === undefined ? "" : ` in ${this.cwd}`
    return `Could not start "${this.program}"${where}: ${this.detail}. ${remedies[this.reason]}`
  }
}

const remedies: Readonly<Record<SpawnFailure, string>> = {
  not_found: "Install it, or give its full path.",
  not_executable: "Make it an executable file (chmod +x), or name another.",
  bad_cwd: "Give a working directory that exists and may be entered.",
  too_many_files: "Raise the limit of open files (ulimit -n), or run less at once.",
  argument_list_too_long: "Pass large inputs through stdin or a file, not as arguments or environment.",
  other: "Look at the system's limits for processes and memory."
}

/** The process takes no more input: it has ended, has closed its stdin, or was started without one. */
export class SubprocessStdinClosed extends Schema.TaggedError<SubprocessStdinClosed>()("SubprocessStdinClosed", {
  program: Schema.String,
  pid: Schema.Int
}) {
  override get message() {
    return `"${this.program}" (process ${this.pid}) takes no more input: it has ended or closed its stdin; start it anew.`
  }
}

/** How a process ended: by itself, with a code from 0 to 255, or by a signal such as "SIGKILL". */
export type SubprocessExit = Data.TaggedEnum<{
  readonly Exited: { readonly code: number }
  readonly Signaled: { readonly signal: string }
}>
export const SubprocessExit = Data.taggedEnum<SubprocessExit>()

/** Which containment the system offers. */
export type ContainmentKind = "namespace" | "process_group"

export interface ContainmentState {
  readonly kind: ContainmentKind
  /** Why the namespace form is not used; none when it is. */
  readonly reason: Option.Option<string>
}

/** The place for one process and all that it starts. */
export interface Enclosure {
  /** What really has to be started, so that `program`, an absolute path, runs inside and in the directory `cwd`. */
  readonly wrap: (program: string, args: ReadonlyArray<string>, cwd: string) => readonly [string, ...Array<string>]
  /** Signals the program and its group. `pid` is that of the process that was started. */
  readonly signal: (pid: number, signal: Node.Signal) => void
  /**
   * Kills everything inside. Resolves with true when nothing is left, with false when something was still there after
   * four seconds. `markers` are entries "NAME=value" that only what belongs here has in its environment.
   */
  readonly empty: (pid: number, markers: ReadonlyArray<string>) => Effect.Effect<boolean>
  /** Removes it when nothing was started in it. */
  readonly discard: Effect.Effect<void>
  /** Whether a program can still be started in it. */
  readonly isUsable: () => boolean
}

export class Containment extends Context.Tag("@driver/agent/Subprocess/Containment")<
  Containment,
  {
    /** Which form is used, for `driver doctor`. Waits until that is found. */
    readonly state: Effect.Effect<ContainmentState>
    /** Makes a new place. Whoever gets it calls `empty` or `discard`. Fails with what the system said. */
    readonly enclose: Effect.Effect<Enclosure, Node.Errno>
  }
>() {
  /**
   * The strongest form that works here, found by trying, while others go on: whoever is first waits for it, some 10 ms, at
   * most 5 s where the system hangs.
   */
  static readonly layer: Layer.Layer<Containment> = Layer.scoped(
    Containment,
    Effect.map(Effect.forkScoped(Effect.interruptible(Effect.suspend(() => detect))), (detecting) => {
      // Not joined: whoever waits would get the services of this layer's fiber, its scope among them, for its own.
      const detected = Effect.flatten(Fiber.await(detecting))
      return {
        state: Effect.flatMap(detected, ({ state }) => state),
        enclose: Effect.flatMap(detected, ({ enclose }) => enclose)
      }
    })
  )

  /** Process groups and markers, by choice: starts a process in the least time. For programs that are trusted. */
  static readonly layerProcessGroup: Layer.Layer<Containment> = Layer.sync(Containment, () =>
    processGroup(Option.some("process groups were chosen"))
  )
}

export interface SubprocessOptions {
  /** Program and arguments, never a shell string. A program without a slash is looked for on `env.PATH`. */
  readonly argv: ReadonlyArray<string>
  /** Where it runs; the driver's own working directory by default. */
  readonly cwd?: string
  /** The complete environment: nothing is inherited from the driver. `DRIVER_PROCESS_ID` is added. */
  readonly env: Readonly<Record<string, string>>
  /** What it reads: nothing (the default), what a stream gives, or what `write` is given. */
  readonly stdin?: "ignore" | "pipe" | Stream.Stream<Uint8Array>
  /** From SIGTERM to SIGKILL when the scope closes. Default 3 seconds: a coding agent takes 1.6 to end its tools. */
  readonly killAfter?: Duration.DurationInput
  /** Who starts it, such as a goal's id: the beginning of the marker. Default "driver". */
  readonly owner?: string
}

export interface Subprocess {
  /** The id of the process group that was started, as the driver sees it. */
  readonly pid: number
  /** Value of `DRIVER_PROCESS_ID` in the child's environment, inherited by every descendant; unlike any other. */
  readonly marker: string
  /**
   * What it prints. Ends when the program has exited and nobody writes any more, or 250 ms after, whoever still holds
   * the pipe. Up to 16 chunks are kept until read, then the program waits. For one reader.
   */
  readonly stdout: Stream.Stream<Uint8Array, PlatformError>
  /** The last 16 KiB of stderr, which is always read. Once the program has exited, waits for the last of it. */
  readonly stderrTail: Effect.Effect<string>
  /**
   * Resolves when the system has taken the bytes, so that a program that reads slowly is waited for. That a program
   * closed its stdin and lives on is only noticed in a process group.
   */
  readonly write: (bytes: Uint8Array | string) => Effect.Effect<void, SubprocessStdinClosed>
  /** Ends the input after what was written. Resolves when that is taken. */
  readonly endStdin: Effect.Effect<void>
  /** Resolves when the program has ended, also after the scope was closed. */
  readonly exit: Effect.Effect<SubprocessExit>
  /** Signals the program's whole group. Does nothing when the program has ended. */
  readonly signal: (signal: "SIGINT" | "SIGTERM" | "SIGKILL") => Effect.Effect<void>
  /** One more "NAME=value" by which descendants that escaped a process group are known. */
  readonly addMarker: (marker: string) => Effect.Effect<void>
}

/** Starts a program. It lives as long as the scope. Closing the scope resolves when nothing of it is left. */
export const start = Effect.fn("Subprocess.start")(function* (
  options: SubprocessOptions
): Effect.fn.Return<Subprocess, SubprocessSpawnFailed, Containment | Scope.Scope> {
  const output = yield* Mailbox.make<Uint8Array, PlatformError>({ capacity: 16, strategy: "suspend" })
  const stderr = KeptBytes.make(stderrLimit, "tail")
  const launched = yield* launch(options, {
    stdout: (bytes, closing) =>
      // When the scope closes and nobody reads, the rest is dropped: the program must be able to say its last words.
      Effect.suspend(() =>
        output.unsafeOffer(bytes) ? Effect.void : Effect.raceFirst(output.offer(bytes), Deferred.await(closing))
      ),
    stdoutEnd: (exit) => output.done(exit),
    stderr: (bytes) => stderr.add(bytes)
  })
  const { awaitStderr, node, program } = launched
  const closed = new SubprocessStdinClosed({ program, pid: node.pid })
  return {
    pid: node.pid,
    marker: launched.marker,
    stdout: Mailbox.toStream(output),
    stderrTail: Effect.suspend(() => (node.hasExited() ? awaitStderr : Effect.void)).pipe(
      Effect.map(() => new TextDecoder().decode(KeptBytes.wholeCharacters(stderr.bytes())))
    ),
    write: (bytes) =>
      options.stdin === "pipe"
        ? Effect.flatMap(node.write(bytes), (taken) => (taken ? Effect.void : Effect.fail(closed)))
        : Effect.fail(closed),
    endStdin: node.endStdin,
    exit: launched.exit,
    signal: launched.signal,
    addMarker: launched.addMarker
  }
})

/** What a program printed until it ended. */
export interface SubprocessOutput {
  readonly exit: SubprocessExit
  readonly stdout: Uint8Array
  readonly stderr: Uint8Array
  /** Something of stdout or stderr was dropped. */
  readonly truncated: boolean
}

/**
 * Runs a program to its end and keeps a bounded part of what it prints; the rest is read and dropped. For git and for
 * acceptance commands. When it is interrupted or times out, it resolves once everything it started is dead.
 */
export const run = Effect.fn("Subprocess.run")(function* (
  options: SubprocessOptions & {
    /** For each of stdout and stderr. Default 1 MiB. */
    readonly maxOutputBytes?: number
    /** Which end of too long an output is kept. Default the tail, where errors stand. */
    readonly keep?: "head" | "tail"
  }
): Effect.fn.Return<SubprocessOutput, SubprocessSpawnFailed, Containment> {
  const { keep = "tail", maxOutputBytes = 1024 * 1024 } = options
  const stdout = KeptBytes.make(maxOutputBytes, keep)
  const stderr = KeptBytes.make(maxOutputBytes, keep)
  const exit = yield* Effect.gen(function* () {
    const launched = yield* launch(options, {
      stdout: (bytes) => stdout.add(bytes),
      stdoutEnd: () => Effect.void,
      stderr: (bytes) => stderr.add(bytes)
    })
    yield* launched.awaitStdout
    yield* launched.awaitStderr
    return yield* launched.exit
  }).pipe(Effect.scoped)
  return {
    exit,
    stdout: stdout.bytes(),
    stderr: stderr.bytes(),
    truncated: stdout.truncated() || stderr.truncated()
  }
})

/**
 * Kills what an earlier driver left, with all descendants, and resolves with how many processes that were. A marker is
 * the beginning of an environment entry, `NAME=value…`; without a `=` it is the beginning of a `DRIVER_PROCESS_ID`,
 * that is, an owner. What a living driver started is left alone, whatever its markers. Where there is no `/proc`
 * it does nothing, and says so in the log.
 */
export const sweepOrphans = Effect.fn("Subprocess.sweepOrphans")(function* (options: {
  readonly markers: ReadonlyArray<string>
}): Effect.fn.Return<number> {
  if (Node.allPids() === undefined) {
    yield* Effect.logInfo(`Processes left by an earlier driver cannot be found on ${Node.systemName}: it has no /proc.`)
    return 0
  }
  const prefixes = options.markers.map((marker) => (marker.includes("=") ? marker : `${Survivors.variable}=${marker}`))
  const isOrphan = (environment: ReadonlyArray<string>) =>
    environment.some((entry) => prefixes.some((prefix) => entry.startsWith(prefix))) &&
    !Survivors.hasLivingDriver(environment)
  const ancestors = Survivors.ancestorsOf(Node.ownPid)
  const killed = new Set<number>()
  yield* Survivors.untilNobody(() => {
    const found = Survivors.search(isOrphan, { spare: ancestors })
    for (const pid of found.pids) {
      killed.add(pid)
      Node.kill(pid, "SIGKILL")
    }
    return found
  })
  return killed.size
})

// --- one process -----------------------------------------------------------------------------------------------------

/** How long the pipes are read after the program has exited, when others hold them. */
const drain = "250 millis"
/** Bytes. */
const stderrLimit = 16 * 1024
interface Sinks {
  readonly stdout: (bytes: Uint8Array, closing: Deferred.Deferred<void>) => Effect.Effect<unknown>
  readonly stdoutEnd: (exit: Exit.Exit<void, PlatformError>) => Effect.Effect<unknown>
  readonly stderr: (bytes: Uint8Array) => Effect.Effect<unknown>
}

const launch = (options: SubprocessOptions, sinks: Sinks) =>
  Effect.flatMap(Containment, (containment) =>
    Effect.acquireRelease(launchIn(containment.enclose, options, sinks), ({ release }) => release)
  )

/** Runs where interruption is off: between the start of the process and its release nothing may come. */
const launchIn = (enclose: Effect.Effect<Enclosure, Node.Errno>, options: SubprocessOptions, sinks: Sinks) =>
  Effect.gen(function* () {
    const { program, ...target } = yield* resolve(options)
    const marker = `${options.owner ?? "driver"}:${Survivors.driverIdentity}:${Node.uniqueText()}`
    const markers = yield* Ref.make<ReadonlyArray<string>>([`${Survivors.variable}=${marker}`])
    const failed = (reason: SpawnFailure, detail: string) =>
      new SubprocessSpawnFailed({ reason, program, detail, ...(options.cwd === undefined ? {} : { cwd: options.cwd }) })

    const enclosure = yield* Effect.mapError(enclose, (errno) =>
      failed(
        reasonOf(errno) === "too_many_files" ? "too_many_files" : "other",
        `no process-id namespace could be made for it: ${errno.message}`
      )
    )
    const [file, ...args] = enclosure.wrap(target.path, target.args, target.cwd)
    const node = yield* Node.spawn({
      program: file,
      args,
      cwd: target.cwd,
      env: { ...options.env, [Survivors.variable]: marker },
      stdin: options.stdin === undefined || options.stdin === "ignore" ? "ignore" : "pipe"
    }).pipe(
      Effect.tapError(() => enclosure.discard),
      Effect.mapError((errno) => failed(reasonOf(errno), errno.message))
    )

    const own = yield* Scope.make()
    const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkIn(Effect.interruptible(effect), own)
    const closing = yield* Deferred.make<void>()
    const stdoutDone = yield* Deferred.make<void>()
    const stderrDone = yield* Deferred.make<void>()
    const settled = yield* Deferred.make<void>()

    yield* pump(node.stdout, (bytes) => sinks.stdout(bytes, closing)).pipe(
      Effect.onExit((exit) => Effect.zipRight(sinks.stdoutEnd(exit), Deferred.succeed(stdoutDone, undefined))),
      fork
    )
    yield* pump(node.stderr, sinks.stderr).pipe(
      Effect.onExit(() => Deferred.succeed(stderrDone, undefined)),
      fork
    )
    if (typeof options.stdin === "object") yield* fork(feed(node, options.stdin))

    const empty = Effect.gen(function* () {
      if (yield* enclosure.empty(node.pid, yield* Ref.get(markers))) return
      yield* Effect.logWarning(`Something that "${program}" (process ${node.pid}) started could not be killed.`)
    })

    /** From the exit of the program on: whatever it left has a moment to finish its output, and is killed. */
    const settle = Effect.gen(function* () {
      yield* node.exit
      node.destroyStdin()
      yield* within(Effect.raceFirst(Deferred.await(stdoutDone), Deferred.await(closing)), drain)
      yield* Effect.uninterruptible(empty)
      yield* Deferred.succeed(settled, undefined)
      yield* endWhenQuiet(node.stdout, stdoutDone)
      yield* endWhenQuiet(node.stderr, stderrDone)
    })
    yield* fork(settle)

    const signal = (name: Node.Signal) =>
      Effect.sync(() => {
        if (!node.hasExited()) enclosure.signal(node.pid, name)
      })

    const release = Effect.gen(function* () {
      yield* Deferred.succeed(closing, undefined)
      if (!node.hasExited()) {
        yield* signal("SIGTERM")
        yield* within(node.exit, options.killAfter ?? "3 seconds")
      }
      yield* signal("SIGKILL")
      // A process inside a system call that never returns takes no signal: then the rest is killed without it.
      yield* (yield* within(node.exit, patience)) ? Deferred.await(settled) : empty
      yield* within(Effect.all([Deferred.await(stdoutDone), Deferred.await(stderrDone)]), drain)
      node.destroyStdin()
      node.stdout.destroy()
      node.stderr.destroy()
      yield* Scope.close(own, Exit.void)
    })

    return {
      program,
      node,
      marker,
      signal,
      release,
      exit: Effect.map(node.exit, (exit) =>
        exit._tag === "Exited" ? SubprocessExit.Exited(exit) : SubprocessExit.Signaled(exit)
      ),
      awaitStdout: Deferred.await(stdoutDone),
      awaitStderr: Deferred.await(stderrDone),
      addMarker: (entry: string) => Ref.update(markers, (before) => [...before, entry])
    }
  })

const resolve = (options: SubprocessOptions) =>
  Effect.gen(function* () {
    const [program = "", ...args] = options.argv
    const { cwd } = options
    const failed = (reason: SpawnFailure, { message: detail }: Node.Errno) =>
      new SubprocessSpawnFailed({ reason, program, detail, ...(cwd === undefined ? {} : { cwd }) })
    const directory = yield* Either.mapLeft(Node.resolveDirectory(cwd), (errno) => failed("bad_cwd", errno))
    const path = yield* Node.resolveProgram(program, { cwd: directory, searchPath: options.env["PATH"] }).pipe(
      Either.mapLeft((errno) => failed(reasonOf(errno), errno))
    )
    return { program, path, args, cwd: directory }
  })

const reasonOf = ({ code }: Node.Errno): SpawnFailure => {
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return "not_found"
    case "EACCES":
    case "EPERM":
    case "ENOEXEC":
      return "not_executable"
    case "EMFILE":
    case "ENFILE":
      return "too_many_files"
    case "E2BIG":
      return "argument_list_too_long"
    default:
      return "other"
  }
}

const pump = (output: Node.Output, deliver: (bytes: Uint8Array) => Effect.Effect<unknown>) =>
  Effect.gen(function* () {
    for (;;) {
      const bytes = yield* output.next
      if (bytes === undefined) return
      yield* deliver(bytes)
    }
  })

const feed = (node: Node.NodeProcess, input: Stream.Stream<Uint8Array>) =>
  input.pipe(
    Stream.mapEffect((bytes) => node.write(bytes)),
    Stream.takeWhile((taken) => taken),
    Stream.runDrain,
    Effect.zipRight(node.endStdin)
  )

/**
 * Everybody of ours is dead. Who still holds the pipe is a stranger, and is waited for only while bytes come. It takes
 * two looks: after a driver that was busy for long, the first may come before the bytes that are there.
 */
const endWhenQuiet = (output: Node.Output, done: Deferred.Deferred<void>) =>
  Effect.gen(function* () {
    let quietLooks = 0
    while (quietLooks < 2) {
      const before = output.state()
      if (yield* within(Deferred.await(done), "25 millis")) return
      const after = output.state()
      quietLooks = after.waiting && after.chunks === before.chunks ? quietLooks + 1 : 0
    }
    output.destroy()
  })

// --- containment -----------------------------------------------------------------------------------------------------

const processGroup = (reason: Option.Option<string>): Context.Tag.Service<Containment> => ({
  state: Effect.succeed({ kind: "process_group", reason }),
  enclose: Effect.sync((): Enclosure => {
    const before = Node.forks()
    return {
      wrap: (program, args) => [program, ...args],
      signal: (pid, signal) => {
        Node.kill(-pid, signal)
      },
      empty: (pid, markers) => {
        const isOurs = (environment: ReadonlyArray<string>) => environment.some((entry) => markers.includes(entry))
        return Survivors.untilNobody(() => {
          const hasGroup = Node.kill(-pid, "SIGKILL")
          const found = Survivors.search(isOurs, { above: Survivors.idsOnlyGrew(pid, before, Node.forks()) ? pid : 0 })
          for (const it of found.pids) Node.kill(it, "SIGKILL")
          return hasGroup && Survivors.isGroupAlive(pid) ? { ...found, pids: [...found.pids, pid] } : found
        })
      },
      discard: Effect.void,
      isUsable: () => true
    }
  })
})

const detect: Effect.Effect<Context.Tag.Service<Containment>, never, Scope.Scope> = Effect.gen(function* () {
  const tools = Namespace.findTools()
  if (Either.isLeft(tools)) return processGroup(Option.some(tools.left))
  const reasons: Array<string> = []
  for (const form of Namespace.forms) {
    const make = Namespace.make(tools.right, form)
    const tried = yield* Effect.either(rehearse(make, tools.right.shell))
    if (Either.isRight(tried)) {
      const state: ContainmentState = { kind: "namespace", reason: Option.none() }
      return { state: Effect.succeed(state), enclose: yield* Namespace.keepReady(make) }
    }
    const name = form.withUser ? "with a user namespace" : "without a user namespace"
    if (form.directoryBy === "nsenter") reasons.push(`${name}: ${tried.left}`)
  }
  return processGroup(Option.some(`no process-id namespace can be made here: ${reasons.join("; ")}`))
})

/** Says where and as what it runs, and dies of another signal than the one it gets. */
const rehearsal = `trap 'kill -USR1 $$' TERM; echo "$PWD:$$"; while read -r line; do :; done; exit 1`

/** A program runs inside, in its directory, is reached by a signal, and its death is told as it was. */
const rehearse = (make: Effect.Effect<Enclosure, Node.Errno>, shell: string): Effect.Effect<void, string> =>
  Effect.gen(function* () {
    const said = KeptBytes.make(stderrLimit, "tail")
    const isReady = yield* Deferred.make<void>()
    const { awaitStderr, awaitStdout, exit, node, signal } = yield* Effect.acquireRelease(
      launchIn(
        make,
        { argv: [shell, "-c", rehearsal], cwd: "/proc", env: {}, stdin: "pipe", killAfter: 0 },
        {
          stdout: (bytes) => Effect.zipRight(said.add(bytes), Deferred.succeed(isReady, undefined)),
          stdoutEnd: () => Deferred.succeed(isReady, undefined),
          stderr: (bytes) => said.add(bytes)
        }
      ),
      ({ release }) => release
    ).pipe(Effect.catchTag("SubprocessSpawnFailed", ({ detail }) => Effect.fail(detail)))
    yield* within(Deferred.await(isReady), "5 seconds")
    yield* signal("SIGTERM")
    const hasEnded = yield* within(exit, patience)
    if (!hasEnded) return yield* Effect.fail("a signal does not reach a program inside")
    yield* within(Effect.zipRight(awaitStdout, awaitStderr), patience)
    const how = yield* exit
    const text = new TextDecoder().decode(said.bytes()).trim()
    if (!/^\/proc:\d+$/.test(text) || text === `/proc:${node.pid}`)
      return yield* Effect.fail(text || "nothing runs inside")
    if (how._tag !== "Signaled" || how.signal !== "SIGUSR1") {
      return yield* Effect.fail("the death of a program inside is not told as it was")
    }
  }).pipe(Effect.scoped)
