/**
 * A process-id namespace for one process: a first process (`cat`) that lives as long as the driver holds a pipe to it,
 * and the way in (`nsenter`, which stays outside, waits for the program, and dies as it died).
 *
 * No shell stands between: one would lose the variables whose names it cannot spell, and would hide a death by a
 * signal. The program is not the first process itself: the kernel would withhold from it the signals that it does not
 * handle, and nobody would reap its orphans.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type { Enclosure } from "../Subprocess.js"
import * as Node from "./nodeProcess.js"
import { patience, wallClock, within } from "./wallClock.js"

export interface Tools {
  readonly cat: string
  readonly env: string
  readonly nsenter: string
  readonly setsid: string
  readonly shell: string
  readonly unshare: string
}

/** How a namespace is made and entered here. */
export interface NamespaceForm {
  /** As is needs a right that root has. With a user namespace anybody may, keeps the user's id, and drops all rights. */
  readonly withUser: boolean
  /** Older versions of `nsenter` cannot change the directory inside. */
  readonly directoryBy: "nsenter" | "env"
}

export const forms: ReadonlyArray<NamespaceForm> = [
  { withUser: false, directoryBy: "nsenter" },
  { withUser: true, directoryBy: "nsenter" },
  { withUser: false, directoryBy: "env" },
  { withUser: true, directoryBy: "env" }
]

export const findTools = (): Either.Either<Tools, string> => {
  const missing: Array<string> = []
  const find = (name: string) => {
    const path = Node.systemProgram(name)
    if (path === undefined) missing.push(name)
    return path ?? name
  }
  const tools = {
    cat: find("cat"),
    env: find("env"),
    nsenter: find("nsenter"),
    setsid: find("setsid"),
    shell: find("sh"),
    unshare: find("unshare")
  }
  return missing.length === 0 ? Either.right(tools) : Either.left(`programs are missing: ${missing.join(", ")}`)
}

/**
 * Makes one namespace. Its first process ignores the deaths of its children, so that the kernel reaps them, and gives
 * a byte back when everything stands.
 */
export const make = (tools: Tools, form: NamespaceForm): Effect.Effect<Enclosure, Node.Errno> =>
  Effect.gen(function* () {
    const holder = yield* Node.spawn({
      program: tools.unshare,
      args: [
        ...(form.withUser ? ["--user", "--map-current-user"] : []),
        ...["--mount", "--propagation", "slave", "--pid", "--fork", "--mount-proc", "--"],
        ...[tools.env, "--ignore-signal=CHLD", tools.cat]
      ],
      cwd: "/",
      env: {},
      stdin: "pipe"
    })

    const empty = Effect.gen(function* () {
      holder.destroyStdin()
      if (yield* within(holder.exit, patience)) return true
      Node.kill(-holder.pid, "SIGKILL")
      return yield* within(holder.exit, patience)
    })

    yield* Effect.forkDaemon(holder.write("\n"))
    const isReady = yield* Effect.raceFirst(
      Effect.map(holder.stdout.next, (bytes) => bytes !== undefined),
      Effect.delay(Effect.succeed(false), "5 seconds")
    ).pipe(
      Effect.interruptible,
      Effect.orElseSucceed(() => false),
      wallClock
    )
    if (!isReady) {
      const said = yield* Effect.timeoutOption(Effect.interruptible(holder.stderr.next), "100 millis").pipe(
        Effect.map(Option.getOrUndefined),
        Effect.orElseSucceed(() => undefined),
        wallClock
      )
      yield* empty
      const message = said === undefined ? "unshare did not answer" : new TextDecoder().decode(said).trim()
      return yield* Effect.fail({ code: "", message: message.split("\n").join(", ") })
    }
    holder.stdout.destroy()
    holder.stderr.destroy()

    const inside = `/proc/${holder.pid}/ns`
    const enclosure: Enclosure = {
      wrap: (program, args, cwd) => [
        tools.nsenter,
        ...(form.withUser ? [`--user=${inside}/user`, "--preserve-credentials"] : []),
        `--mount=${inside}/mnt`,
        `--pid=${inside}/pid_for_children`,
        ...(form.directoryBy === "nsenter" ? [`--wdns=${cwd}`, "--"] : ["--", tools.env, "-C", cwd]),
        tools.setsid,
        program,
        ...args
      ],
      signal: (pid, signal) => {
        // `nsenter` stays outside and waits for the program, which leads a group of its own as soon as it can.
        const leader = Node.children(pid)?.[0]
        if (leader === undefined) {
          Node.kill(pid, signal)
        } else if (!Node.kill(-leader, signal)) {
          Node.kill(leader, signal)
        }
        // It stops when the program does, and could then not reap it.
        if (signal === "SIGKILL") Node.kill(pid, "SIGCONT")
      },
      empty: () => empty,
      discard: Effect.asVoid(empty),
      isUsable: () => !holder.hasExited()
    }
    return enclosure
  }).pipe(Effect.uninterruptible)

/**
 * How long after one was taken the next is made: not beside the program that it was taken for, which would have to share
 * the processor with that.
 */
const pause = "100 millis"

/** One namespace is kept ready: making it then costs the caller nothing. Whoever comes too early makes its own. */
export const keepReady = (make: Effect.Effect<Enclosure, Node.Errno>) =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const spare = yield* Ref.make(Option.none<Enclosure>())
    const oneAtATime = yield* Effect.makeSemaphore(1)
    const take = Effect.map(
      Ref.getAndSet(spare, Option.none()),
      Option.filter((it) => it.isUsable())
    )
    yield* Effect.addFinalizer(() =>
      Effect.flatMap(take, Option.match({ onNone: () => Effect.void, onSome: (it) => it.discard }))
    )

    // Whoever comes while one is about to be made has nothing to do.
    const refill = (after: Duration.DurationInput) =>
      Effect.gen(function* () {
        yield* wallClock(Effect.sleep(after))
        if (Option.isSome(yield* Ref.get(spare))) return
        yield* Effect.uninterruptible(Effect.flatMap(make, (made) => Ref.set(spare, Option.some(made))))
      }).pipe(
        Effect.interruptible,
        oneAtATime.withPermitsIfAvailable(1),
        Effect.ignore // whoever comes next makes its own, and learns why it cannot be made
      )
    yield* Effect.forkIn(refill(0), scope)
    return Effect.flatMap(take, Option.match({ onNone: () => make, onSome: Effect.succeed })).pipe(
      Effect.tap(() => Effect.forkIn(refill(pause), scope))
    )
  })
