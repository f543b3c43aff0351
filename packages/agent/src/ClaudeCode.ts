/**
 * An `Agent` that is the Claude Code CLI.
 *
 * ```text
 *   open ──▶ a process, warm ◀──────────────┐ kept: the next turn is half a second faster
 *              │ turn: prompt line          │
 *              ▼                            │
 *            lines ──▶ fold ──▶ events … TurnEnded
 *              │ dies, is stalled, unsafe, leaves work behind
 *              ▼
 *            closed; the next turn starts another with --resume
 * ```
 *
 * Owns the processes of a session, and that only one turn runs at a time. Does not decide on permissions (the gate's
 * ticket does), bounds no turn as a whole and retries nothing: the goal loop does both.
 */
import type { SessionId } from "@driver/domain/Binding"
import { TokenUsage } from "@driver/domain/Usage"
import type * as CommandExecutor from "@effect/platform/CommandExecutor"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  Agent,
  type AgentError,
  AgentEvent,
  AgentExited,
  AgentLineTooLong,
  AgentNotJson,
  type AgentSession,
  AgentStalled,
  AgentTornLine,
  AgentUnsafe,
  type SessionOptions,
  TurnEnd,
  type TurnResult
} from "./Agent.js"
import * as ClaudeCommand from "./ClaudeCommand.js"
import * as ClaudeEvents from "./ClaudeEvents.js"
import * as ClaudeProcess from "./ClaudeProcess.js"
import { randomUuid } from "./PermissionGate.js"
import { Sandbox } from "./Sandbox.js"
import type { Containment } from "./Subprocess.js"

export type { ClaudeCodeSettings } from "./ClaudeCommand.js"

type Services = CommandExecutor.CommandExecutor | FileSystem.FileSystem | Path.Path | Containment | Sandbox

/** The real CLI. `settings.env` is the complete environment of the program; everything else has a default. */
export const layer = (settings: ClaudeCommand.ClaudeCodeSettings): Layer.Layer<Agent, never, Services> =>
  Layer.effect(
    Agent,
    Effect.map(Effect.context<Services>(), (services) => ({
      kind: "claude-code",
      open: (options: SessionOptions) =>
        Effect.mapInputContext(open(ClaudeCommand.resolve(settings), options), (input: Context.Context<Scope.Scope>) =>
          // The caller's scope, and what else it has; but the agent's own sandbox, not that of commands.
          Context.add(Context.merge(services, input), Sandbox, Context.get(services, Sandbox))
        )
    }))
  )

/** What outlives a turn. */
interface Session {
  readonly process: Option.Option<ClaudeProcess.ClaudeProcess>
  /** The process has run a turn before. */
  readonly served: boolean
  /** What a new process resumes. */
  readonly sessionId: Option.Option<SessionId>
  /** What `SessionStarted` has told. */
  readonly announced: Option.Option<SessionId>
}

/** A turn that is running. */
interface Running {
  readonly turn: ClaudeEvents.Turn
  /** The prompt is out. Before, there is nothing to stop. */
  readonly prompted: boolean
  /** Lines of this turn so far. */
  readonly lines: number
  /** Why and since when the program is being stopped; milliseconds since the epoch, like all moments here. */
  readonly stopping: Option.Option<{ readonly since: number; readonly end: TurnEnd }>
  /** When the last result came. */
  readonly restedAt: Option.Option<number>
  /** Since when the gate's server is not connected yet. */
  readonly gatePendingSince: Option.Option<number>
  /** `TurnEnded` is out, or the stream has failed. */
  readonly over: boolean
}

/** Time for the last words after a result: `idle`, and what became of late messages. They take a millisecond. */
const settleGrace = Duration.seconds(2)
/** Time for the gate's server to connect. It takes 0.1 s. */
const gateGrace = Duration.seconds(10)
const gatePollInterval = Duration.millis(200)

const open = (
  settings: ClaudeCommand.ResolvedSettings,
  options: SessionOptions
): Effect.Effect<AgentSession, AgentError, Services | Scope.Scope> =>
  Effect.gen(function* () {
    const { gate, workspace } = options
    const services = yield* Effect.context<Services | Scope.Scope>()
    yield* checkWorkspace(settings.binary, workspace)
    const program = settings.permissionDoor === "socket" ? gate.program : Option.none()
    if (settings.permissionDoor === "socket" && Option.isNone(program)) {
      return yield* new AgentUnsafe({
        problem: "gate_not_connected",
        detail: "the gate has no door for another program, and the agent is configured to use that door"
      })
    }
    const gateName = Option.map(program, ({ serverName }) => serverName)
    const promptFile = yield* projectPrompt(settings, workspace)
    const redact = ClaudeCommand.redact([
      ...ClaudeCommand.secretsOf(settings.env),
      ...Option.match(gate.socket, { onNone: () => [], onSome: ({ token }) => [Redacted.value(token)] })
    ])
    const streaming = ClaudeCommand.isStreaming(settings)
    const env = ClaudeCommand.environment(settings, workspace)

    const oneAtATime = yield* Effect.makeSemaphore(1)
    const session = yield* Ref.make<Session>({
      process: Option.none(),
      served: false,
      sessionId: options.resume,
      announced: Option.none()
    })

    const startProcess = Effect.gen(function* () {
      const { sessionId } = yield* Ref.get(session)
      const argv = ClaudeCommand.commandLine(settings, { gate: program, resume: sessionId, promptFile })
      const { killAfter, maxLineBytes } = settings
      const { wrap } = yield* Sandbox
      const confined = yield* wrap({ argv, env, workspace, goalId: options.goalId })
      const process = yield* ClaudeProcess.start({
        ...confined,
        cwd: workspace,
        killAfter,
        maxLineBytes,
        gate,
        owner: options.goalId,
        streaming
      })
      yield* Option.match(sessionId, { onNone: () => Effect.void, onSome: (id) => process.addMarker(marker(id)) })
      yield* Ref.update(session, (before) => ({ ...before, process: Option.some(process), served: false }))
      return process
    }).pipe(
      Effect.catchTag("SubprocessSpawnFailed", (failed) =>
        Effect.fail(ClaudeCommand.spawnError(settings.binary, workspace, failed.reason, redact(failed.message)))
      ),
      Effect.provide(services),
      // Between its start and its place in the session nobody would close it.
      Effect.uninterruptible
    )

    /** The warm process, or a new one when there is none or it has died. */
    const currentProcess = Effect.gen(function* () {
      const { process } = yield* Ref.get(session)
      if (Option.isNone(process)) return yield* startProcess
      if (!(yield* process.value.isOver)) return process.value
      yield* discard(process.value)
      return yield* startProcess
    })

    const discard = (process: ClaudeProcess.ClaudeProcess) =>
      Effect.zipRight(
        Ref.update(session, (before) => ({ ...before, process: Option.none() })),
        process.close
      )

    const turn = (text: string, compacts: boolean) =>
      Stream.unwrapScoped(
        Effect.gen(function* () {
          yield* Effect.uninterruptibleMask((restore) =>
            Effect.zipRight(
              restore(oneAtATime.take(1)),
              Effect.addFinalizer(() => oneAtATime.release(1))
            )
          )
          const { announced } = yield* Ref.get(session)
          const running = yield* Ref.make<Running>({
            turn: ClaudeEvents.begin({ sessionId: announced, compacts }),
            prompted: false,
            lines: 0,
            stopping: Option.none(),
            restedAt: Option.none(),
            gatePendingSince: Option.none(),
            over: false
          })
          const run = yield* runOn(text, running)
          return Stream.repeatEffectChunkOption(run)
        })
      )

    const active = yield* Ref.make(Option.none<ActiveTurn>())

    /** Gives the prompt, and returns what reads the events: a chunk each time, `None` at the end. */
    const runOn = (text: string, running: Ref.Ref<Running>) =>
      Effect.gen(function* () {
        const scope = yield* Effect.scope
        const current = yield* Ref.make(yield* currentProcess)
        /** For as long as the turn runs, and to be interrupted with it, whatever forks it may not be. */
        const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkIn(Effect.interruptible(effect), scope)

        // What is written is not awaited: a program that does not read would hold the turn before anybody watches it. One
        // that cannot be written to has ended, which its inbox says.
        const give = (process: ClaudeProcess.ClaudeProcess) =>
          Effect.gen(function* () {
            yield* process.listen
            yield* Ref.update(running, (it) => ({ ...it, prompted: !streaming }))
            if (!streaming) return yield* fork(Effect.zipLeft(process.write(text), process.endInput))
            yield* fork(
              Effect.flatMap(process.greeting, (greeting) => process.inbox.offer({ _tag: "Greeted", greeting }))
            )
          })

        /** Writes the prompt, unless the program has said that it would not be safe, or should not go on. */
        const onGreeted = (greeting: Option.Option<ClaudeProcess.Greeting>) =>
          Effect.gen(function* () {
            const problem = Option.flatMap(greeting, (said) => ClaudeCommand.greetingProblem(settings, said))
            if (Option.isSome(problem)) return yield* fail(problem.value)
            yield* Ref.update(running, (it) => ({ ...it, prompted: true }))
            const process = yield* Ref.get(current)
            yield* fork(process.write(ClaudeCommand.userLine(text, yield* randomUuid)))
          })

        const close = Effect.flatMap(Ref.get(current), discard)

        const askToStop = Effect.gen(function* () {
          const process = yield* Ref.get(current)
          if (!streaming) return yield* process.signal("SIGINT")
          yield* process.write(ClaudeCommand.interruptLine(yield* process.requestId))
        })

        const pollGate = Effect.gen(function* () {
          const process = yield* Ref.get(current)
          yield* process.write(ClaudeCommand.mcpStatusLine(yield* process.requestId))
        })

        const stop = (end: TurnEnd) =>
          Effect.gen(function* () {
            const since = yield* Clock.currentTimeMillis
            yield* Ref.update(running, (it) => ({ ...it, stopping: Option.some({ since, end }) }))
            yield* fork(askToStop)
          })

        const fail = (error: AgentError) =>
          Ref.update(running, (it) => ({ ...it, over: true })).pipe(
            Effect.zipRight(close),
            Effect.zipRight(Effect.fail(Option.some(error)))
          )

        /** The last chunk. What the program left running is stopped before anybody hears that the turn is over. */
        const finish = (
          result: TurnResult,
          events: ReadonlyArray<AgentEvent>
        ): Effect.Effect<Chunk.Chunk<AgentEvent>, Option.Option<AgentError>> =>
          Effect.gen(function* () {
            const { prompted, turn: folded } = yield* Ref.get(running)
            if (isNotLoggedIn(result.end)) {
              return yield* fail(ClaudeCommand.notLoggedIn(settings.binary, redact(result.end.failure.message)))
            }
            yield* Ref.update(running, (it) => ({ ...it, over: true }))
            yield* Effect.flatMap(Ref.get(current), (process) => process.rest)
            if (prompted && !ClaudeEvents.canGoOn(folded)) yield* close
            return Chunk.unsafeFromArray([...events, AgentEvent.TurnEnded({ result: redactResult(result, redact) })])
          })

        /** Folds what was printed, and acts on it. */
        const onIncoming = (incoming: Chunk.Chunk<ClaudeProcess.Incoming>) =>
          Effect.gen(function* () {
            const now = yield* Clock.currentTimeMillis
            const events: Array<AgentEvent> = []
            for (const item of incoming) {
              if (item._tag === "InterruptRequested") {
                const { prompted, stopping, turn: folded } = yield* Ref.get(running)
                if (!prompted) return yield* finish(beforeThePrompt(folded), events)
                if (Option.isNone(stopping)) yield* stop(TurnEnd.Interrupted())
                continue
              }
              if (item._tag === "Greeted") {
                yield* onGreeted(item.greeting)
                continue
              }
              const problem = problemOf(settings, gateName, item)
              if (Option.isSome(problem)) {
                // Nothing may run any more, not even what it would do on its way out.
                yield* Effect.flatMap(Ref.get(current), (process) => process.signal("SIGKILL"))
                return yield* fail(problem.value)
              }
              const told = yield* Ref.modify(running, (it) => fold(it, item, now))
              events.push(...told)
              if (item._tag === "Init") yield* onInit(item, now)
              if (item._tag === "ControlResponse" && item.mcpServers !== undefined) {
                yield* onGateStatus(item.mcpServers, now)
              }
            }
            return yield* afterwards(events)
          })

        const onInit = (init: ClaudeEvents.Event<"Init">, now: number) =>
          Effect.gen(function* () {
            const id = Option.some(init.sessionId)
            const before = yield* Ref.getAndUpdate(session, (it) => ({ ...it, sessionId: id, announced: id }))
            if (!Option.contains(before.sessionId, init.sessionId)) {
              yield* Effect.flatMap(Ref.get(current), (process) => process.addMarker(marker(init.sessionId)))
            }
            const status = Option.map(gateName, (name) => ClaudeCommand.gateStatus(init.mcpServers, name))
            // Where there is no control protocol, a gate that never connects refuses every call.
            if (!Option.contains(status, "pending") || !streaming) return
            yield* Ref.update(running, (it) => ({ ...it, gatePendingSince: Option.some(now) }))
            yield* fork(pollGate)
          })

        const onGateStatus = (servers: ReadonlyArray<ClaudeEvents.McpServerStatus>, now: number) =>
          Effect.gen(function* () {
            const { gatePendingSince } = yield* Ref.get(running)
            if (Option.isNone(gatePendingSince) || Option.isNone(gateName)) return
            const status = ClaudeCommand.gateStatus(servers, gateName.value)
            const waited = now - gatePendingSince.value
            const tooLong = status === "pending" && waited > Duration.toMillis(gateGrace)
            const problem = ClaudeCommand.gateProblem(tooLong ? "still pending" : status, gateName.value)
            if (Option.isSome(problem)) return yield* fail(problem.value)
            if (status === "connected") {
              return yield* Ref.update(running, (it) => ({ ...it, gatePendingSince: Option.none() }))
            }
            yield* fork(Effect.delay(pollGate, gatePollInterval))
          })

        const afterwards = (events: ReadonlyArray<AgentEvent>) =>
          Effect.gen(function* () {
            const it = yield* Ref.get(running)
            const result = ClaudeEvents.result(it.turn, it.turn.backgroundTasks)
            if (Option.isSome(result) && isOver(it)) return yield* finish(result.value, events)
            if (Option.isSome(it.turn.fatal) && Option.isNone(it.stopping)) {
              yield* stop(TurnEnd.Failed({ failure: it.turn.fatal.value }))
            }
            return Chunk.unsafeFromArray([...events])
          })

        /** Time is up. */
        const onTimeout = (reason: Wait["reason"]) =>
          Effect.gen(function* () {
            const it = yield* Ref.get(running)
            const { backgroundTasks } = it.turn
            if (reason === "silence") return yield* fail(new AgentStalled({ idleFor: settings.idleLimit }))
            const end = Option.match(it.stopping, {
              onNone: () => TurnEnd.Interrupted(),
              onSome: (stopping) => stopping.end
            })
            const result = Option.getOrElse(ClaudeEvents.result(it.turn, backgroundTasks), () =>
              ClaudeEvents.resultOf(it.turn, end, backgroundTasks)
            )
            return yield* finish(result, [])
          })

        const onEnded = (ended: ClaudeProcess.Ended) =>
          Effect.gen(function* () {
            const it = yield* Ref.get(running)
            if (ended.closed) return yield* fail(closedInMidTurn)
            const { served } = yield* Ref.get(session)
            yield* close
            const result = ClaudeEvents.result(it.turn, it.turn.backgroundTasks)
            if (Option.isSome(result)) return yield* finish(result.value, [])
            if (Option.isSome(it.stopping)) {
              return yield* finish(ClaudeEvents.resultOf(it.turn, it.stopping.value.end, it.turn.backgroundTasks), [])
            }
            if (served && it.lines === 0) {
              // It died between two turns, and we had not noticed when the prompt was written.
              const next = yield* Effect.mapError(startProcess, Option.some)
              yield* Ref.set(current, next)
              yield* give(next)
              return Chunk.empty<AgentEvent>()
            }
            const stderr = redact(ended.stderr)
            if (ClaudeCommand.isSessionDead(stderr)) {
              const failure = ClaudeEvents.failureOf({ message: stderr.trim() }, Option.none())
              return yield* finish(ClaudeEvents.resultOf(it.turn, TurnEnd.Failed({ failure }), 0), [])
            }
            return yield* fail(endError(settings.binary, ended, stderr, redact))
          })

        const next: Effect.Effect<Chunk.Chunk<AgentEvent>, Option.Option<AgentError>> = Effect.uninterruptibleMask(
          (restore) =>
            Effect.gen(function* () {
              const it = yield* Ref.get(running)
              if (it.over) return yield* Effect.fail(Option.none())
              const process = yield* Ref.get(current)
              const wait = waitOf(settings, it, yield* Clock.currentTimeMillis)
              const taken = yield* restore(
                process.inbox.takeAll.pipe(
                  Effect.map(([messages]) => messages),
                  Effect.timeoutOption(wait.limit),
                  Effect.either
                )
              )
              if (Either.isLeft(taken)) return yield* restore(onEnded(taken.left))
              if (Option.isNone(taken.right)) return yield* restore(onTimeout(wait.reason))
              // What is taken is folded: a result that gets lost here would be waited for in vain.
              return yield* onIncoming(taken.right.value)
            })
        )

        /** After the stream: whatever happened to it, no work goes on. */
        const settle = Effect.gen(function* () {
          yield* Ref.set(active, Option.none())
          const it = yield* Ref.get(running)
          const process = yield* Ref.get(current)
          const kept = it.over ? settings.mode === "warm" : yield* stopSoftly(it, process)
          yield* process.rest
          if (kept) return yield* Ref.update(session, (before) => ({ ...before, served: true }))
          if (it.over) {
            yield* process.endInput
            yield* Effect.timeoutOption(Effect.interruptible(process.awaitEnd), settings.exitGrace)
          }
          yield* discard(process)
        })

        /** Interrupts the work of a reader who has gone. True when the process is at rest and can be kept. */
        const stopSoftly = (it: Running, process: ClaudeProcess.ClaudeProcess) =>
          Effect.gen(function* () {
            if (settings.mode !== "warm" || ClaudeEvents.hasResult(it.turn)) return false
            if (!it.prompted) return true
            const now = yield* Clock.currentTimeMillis
            const untilResult = Effect.iterate(it, {
              while: ({ turn: folded }) => !ClaudeEvents.hasResult(folded) || ClaudeEvents.isWorking(folded),
              body: (state) =>
                Effect.map(process.inbox.takeAll, ([messages]) =>
                  Chunk.reduce(messages, state, (folded, item) =>
                    item._tag === "InterruptRequested" || item._tag === "Greeted" ? folded : fold(folded, item, now)[1]
                  )
                )
            })
            const stopped = yield* Effect.zipRight(askToStop, untilResult).pipe(
              Effect.interruptible,
              Effect.timeoutOption(settings.interruptGrace)
            )
            return Option.exists(stopped, ({ turn: folded }) => ClaudeEvents.canGoOn(folded))
          }).pipe(Effect.catchAll(() => Effect.succeed(false)))

        yield* Effect.addFinalizer(() => settle)
        yield* Ref.set(
          active,
          Option.some({
            steer: (message: string) =>
              Effect.gen(function* () {
                const it = yield* Ref.get(running)
                if (settings.mode !== "warm" || it.over || Option.isSome(it.stopping)) return false
                const uuid = yield* randomUuid
                const process = yield* Ref.get(current)
                yield* Ref.update(running, (now) => ({ ...now, turn: ClaudeEvents.steered(now.turn, uuid) }))
                return yield* process.write(ClaudeCommand.userLine(ClaudeCommand.promptText(message), uuid))
              }),
            interrupt: Effect.flatMap(Ref.get(current), (process) =>
              Effect.asVoid(process.inbox.offer({ _tag: "InterruptRequested" }))
            )
          })
        )
        yield* Effect.flatMap(Ref.get(current), give)
        return next
      })

    if (settings.mode === "warm") yield* startProcess

    return {
      turn: ({ prompt }) => turn(ClaudeCommand.promptText(prompt), false),
      compact: (focus) => turn(ClaudeCommand.compactText(focus), true),
      steer: (message) =>
        Effect.flatMap(
          Ref.get(active),
          Option.match({ onNone: () => Effect.succeed(false), onSome: ({ steer }) => steer(message) })
        ),
      interrupt: Effect.flatMap(
        Ref.get(active),
        Option.match({ onNone: () => Effect.void, onSome: ({ interrupt }) => interrupt })
      )
    }
  })

/** The result of a turn that ended before the program got its prompt: it is known to have cost nothing. */
const beforeThePrompt = (turn: ClaudeEvents.Turn): TurnResult => ({
  ...ClaudeEvents.resultOf(turn, TurnEnd.Interrupted(), 0),
  usage: Option.some(TokenUsage.zero),
  costUsd: Option.some(0)
})

const closedInMidTurn = new AgentExited({ exit: "its session was closed", stderrTail: "" })

interface ActiveTurn {
  readonly steer: (message: string) => Effect.Effect<boolean>
  readonly interrupt: Effect.Effect<void>
}

/** In the environment of everything that the program starts for a session. */
const marker = (id: SessionId): string => `CLAUDE_CODE_SESSION_ID=${id}`

/** The turn after one more line, and what there is to tell. */
const fold = (it: Running, event: ClaudeEvents.ClaudeEvent, now: number): [ReadonlyArray<AgentEvent>, Running] => {
  const [turn, events] = ClaudeEvents.step(it.turn, event)
  const restedAt = event._tag === "Result" ? Option.some(now) : it.restedAt
  return [events, { ...it, turn, restedAt, lines: it.lines + 1 }]
}

/** Why the program must not go on. */
const problemOf = (
  settings: ClaudeCommand.ResolvedSettings,
  gate: Option.Option<string>,
  event: ClaudeEvents.ClaudeEvent
): Option.Option<AgentError> => {
  if (event._tag === "Init") {
    return Option.orElse(ClaudeCommand.versionProblem(settings, event.version), () =>
      ClaudeCommand.safetyProblem(event, gate)
    )
  }
  return event._tag === "Status" && event.permissionMode !== undefined
    ? ClaudeCommand.modeProblem(event.permissionMode)
    : Option.none()
}

/** All results are there and the program is at rest; one that was stopped is not waited for any longer than that. */
const isOver = (it: Running): boolean =>
  Option.isSome(it.stopping)
    ? !ClaudeEvents.isWorking(it.turn)
    : ClaudeEvents.isDrained(it.turn) && !ClaudeEvents.isBusy(it.turn)

/** How long to wait for the next line, and what it means when none comes. */
export interface Wait {
  readonly reason: "silence" | "tools" | "background" | "settling" | "stopping"
  readonly limit: Duration.Duration
}

const waitOf = (settings: ClaudeCommand.ResolvedSettings, it: Running, now: number): Wait => {
  const left = (limit: Duration.Duration, since: number) =>
    Duration.millis(Math.max(0, Duration.toMillis(limit) - (now - since)))
  if (Option.isSome(it.stopping)) {
    return { reason: "stopping", limit: left(settings.interruptGrace, it.stopping.value.since) }
  }
  if (Option.isSome(it.restedAt) && !ClaudeEvents.isWorking(it.turn)) {
    return ClaudeEvents.isDrained(it.turn)
      ? { reason: "settling", limit: left(settleGrace, it.restedAt.value) }
      : { reason: "background", limit: left(settings.backgroundDeadline, it.restedAt.value) }
  }
  return ClaudeEvents.waitsForProvider(it.turn)
    ? { reason: "silence", limit: settings.idleLimit }
    : { reason: "tools", limit: Duration.infinity }
}

const isNotLoggedIn = (end: TurnEnd): end is Extract<TurnEnd, { readonly _tag: "Failed" }> =>
  end._tag === "Failed" && end.failure.class === "auth" && ClaudeCommand.isNotLoggedIn(end.failure.message)

const redactResult = (result: TurnResult, redact: (text: string) => string): TurnResult =>
  result.end._tag === "Failed"
    ? {
        ...result,
        end: TurnEnd.Failed({ failure: { ...result.end.failure, message: redact(result.end.failure.message) } })
      }
    : result

/** What an end without a result means. */
const endError = (
  binary: string,
  ended: ClaudeProcess.Ended,
  stderr: string,
  redact: (text: string) => string
): AgentError => {
  if (Option.isNone(ended.error)) return ClaudeCommand.exitError(binary, ended.exit, stderr)
  const error = ended.error.value
  switch (error._tag) {
    case "NotJson":
      return new AgentNotJson({ excerpt: redact(error.excerpt) })
    case "LineTooLong":
      return new AgentLineTooLong({ limit: error.limit })
    case "TornLine":
      return new AgentTornLine({ excerpt: redact(error.excerpt), exit: ClaudeCommand.describeExit(ended.exit) })
    case "BadArgument":
    case "SystemError":
      return new AgentExited({ exit: `its output could not be read: ${redact(error.message)}`, stderrTail: stderr })
  }
}

const checkWorkspace = (binary: string, workspace: string) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const info = yield* Effect.option(fs.stat(workspace))
    if (!Option.exists(info, ({ type }) => type === "Directory")) {
      return yield* ClaudeCommand.badWorkspace(binary, workspace)
    }
  })

/**
 * The project's own instructions, copied to a file outside the workspace: each prompt file that is a regular file
 * inside the workspace, also by its real path. A link that leads out of it would give a file of the user to the
 * provider without anybody being asked.
 */
const projectPrompt = (settings: ClaudeCommand.ResolvedSettings, workspace: string) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const root = yield* fs.realPath(workspace)
    const readPart = (name: string) =>
      Effect.gen(function* () {
        const real = yield* fs.realPath(path.join(workspace, name))
        const fromRoot = path.relative(root, real)
        const info = yield* fs.stat(real)
        if (info.type !== "File" || fromRoot.startsWith("..") || path.isAbsolute(fromRoot)) return Option.none<string>()
        const chunks = yield* fs
          .stream(real, { bytesToRead: settings.maxPromptFileBytes })
          .pipe(Stream.decodeText(), Stream.mkString)
        return Option.some(`Instructions of this project, from its file ${name}:\n\n${chunks}\n`)
        // A file that is not there, or that may not be read, gives no instructions.
      }).pipe(Effect.orElseSucceed(() => Option.none<string>()))
    const parts = Option.toArray
    const texts = (yield* Effect.forEach(settings.promptFiles, readPart)).flatMap(parts)
    if (texts.length === 0) return Option.none<string>()
    const directory = yield* fs.makeTempDirectoryScoped({ prefix: "driver-claude-" })
    const file = path.join(directory, "project.md")
    yield* fs.writeFileString(file, texts.join("\n"), { mode: 0o600 })
    return Option.some(file)
  }).pipe(
    Effect.catchAll((error) =>
      Effect.fail(
        ClaudeCommand.spawnError(settings.binary, workspace, "other", `the project's instructions: ${error.message}`)
      )
    )
  )
