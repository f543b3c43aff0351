/**
 * One running process of the Claude Code CLI: reads its lines, answers what it asks in between, and hands the rest to
 * whoever runs a turn on it.
 *
 * Owns the process, the fiber that reads it, and the open questions. Does not know when a turn is over.
 */
import { PermissionCancelled } from "@driver/domain/Permission"
import type { PlatformError } from "@effect/platform/Error"
import type * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberMap from "effect/FiberMap"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ClaudeCommand from "./ClaudeCommand.js"
import * as ClaudeEvents from "./ClaudeEvents.js"
import * as JsonLines from "./JsonLines.js"
import type { GateTicket } from "./PermissionGate.js"
import * as Subprocess from "./Subprocess.js"

/** What a turn gets to read. */
export type Incoming =
  | ClaudeEvents.ClaudeEvent
  /** Somebody wants the turn to end. */
  | { readonly _tag: "InterruptRequested" }
  /** The program is there and has said who it is, or has not for a minute: it may be given the prompt. */
  | { readonly _tag: "Greeted"; readonly greeting: Option.Option<Greeting> }

/** What the program says of itself before any prompt. */
export type Greeting = ClaudeEvents.Event<"ControlResponse">

/** There will be no more lines. */
export interface Ended {
  /** The process was closed from this side. */
  readonly closed: boolean
  /** What was wrong with the output, unless it simply ended. */
  readonly error: Option.Option<JsonLines.JsonLinesError | PlatformError>
  /** None when the process did not end with its output. */
  readonly exit: Option.Option<ClaudeCommand.Exit>
  /** The last of standard error. Not redacted. */
  readonly stderr: string
}

export interface ClaudeProcess {
  /** What was printed since the turn began. Fails with `Ended` once all of it is taken. */
  readonly inbox: Mailbox.Mailbox<Incoming, Ended>
  /** Whether the output has ended, or the process is being closed. */
  readonly isOver: Effect.Effect<boolean>
  /** Lines from now on are for a turn; what an earlier turn left is dropped. */
  readonly listen: Effect.Effect<void>
  /** Lines from now on are for nobody: open questions are withdrawn, and work that nobody asked for ends the process. */
  readonly rest: Effect.Effect<void>
  /** True when it went out. False: the process no longer reads. */
  readonly write: (line: string) => Effect.Effect<boolean>
  readonly endInput: Effect.Effect<void>
  readonly signal: Subprocess.Subprocess["signal"]
  /** What carries this in its environment is a descendant, and is killed with the process. */
  readonly addMarker: Subprocess.Subprocess["addMarker"]
  /** Resolves with the answer to the greeting; with none when the program has not given one in a minute. */
  readonly greeting: Effect.Effect<Option.Option<Greeting>>
  /** A new id for a control request. */
  readonly requestId: Effect.Effect<string>
  /** Waits for the process to end by itself. */
  readonly awaitEnd: Effect.Effect<void>
  /** Kills the process and all that it started. Resolves when nothing of it is left. */
  readonly close: Effect.Effect<void>
}

/**
 * Starts the program. It lives as long as the scope, or until `close`. Fails when it cannot be started; that it does
 * not work shows in its inbox.
 */
export const start = (options: {
  readonly argv: ReadonlyArray<string>
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly killAfter: Duration.Duration
  readonly maxLineBytes: number
  readonly gate: GateTicket
  /** Marks what it starts, so that a later driver finds what a killed one left: the goal's id. */
  readonly owner: string
  /** Whether it reads the control protocol on standard input: then it is greeted. */
  readonly streaming: boolean
}) =>
  Effect.gen(function* () {
    const parent = yield* Effect.scope
    const scope = yield* Scope.fork(parent, ExecutionStrategy.sequential)
    // Once, and whoever else closes it waits for that: the next process must not meet this one.
    const closed = yield* Effect.cached(Effect.uninterruptible(Scope.close(scope, Exit.void)))
    const closing = yield* Ref.make(false)
    const close = Effect.zipRight(Ref.set(closing, true), closed)
    return yield* run(options, { close, closing, parent, scope }).pipe(
      Scope.extend(scope),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
  })

interface Life {
  readonly scope: Scope.Scope
  readonly parent: Scope.Scope
  readonly close: Effect.Effect<void>
  readonly closing: Ref.Ref<boolean>
}

const run = (options: Parameters<typeof start>[0], { close, closing, parent, scope }: Life) =>
  Effect.gen(function* () {
    const { argv, cwd, env, gate, killAfter, maxLineBytes, streaming, owner } = options
    const subprocess = yield* Subprocess.start({ argv, cwd, env, stdin: "pipe", killAfter, owner })
    const inbox = yield* Mailbox.make<Incoming, Ended>()
    // Whoever still reads when the process is closed must not wait for ever.
    yield* Effect.addFinalizer(() =>
      inbox.fail({ closed: true, error: Option.none(), exit: Option.none(), stderr: "" })
    )
    const listening = yield* Ref.make(false)
    const questions = yield* FiberMap.make<string>()
    const requests = yield* Ref.make(0)
    const greeted = yield* Deferred.make<Greeting>()

    const write = (line: string) =>
      subprocess.write(line).pipe(
        Effect.as(true),
        Effect.catchTag("SubprocessStdinClosed", () => Effect.succeed(false))
      )

    const answer = (question: Extract<ClaudeEvents.ClaudeEvent, { readonly _tag: "CanUseTool" }>) => {
      const { agentId, input, requestId, tool, toolUseId } = question
      const call = {
        tool,
        input,
        toolUseId: Option.fromNullable(toolUseId),
        agentId: Option.fromNullable(agentId)
      }
      return Effect.flatMap(gate.decide(call), (outcome) => write(ClaudeCommand.answerLine(requestId, input, outcome)))
    }

    /** Answers what asks for an answer; the rest is for the turn. */
    const receive = (events: Chunk.Chunk<ClaudeEvents.ClaudeEvent>) =>
      Effect.gen(function* () {
        const forTurn: Array<Incoming> = []
        const isListening = yield* Ref.get(listening)
        for (const event of events) {
          switch (event._tag) {
            case "CanUseTool":
              yield* isListening
                ? FiberMap.run(questions, event.requestId, answer(event))
                : write(ClaudeCommand.answerLine(event.requestId, event.input, withdrawn))
              break
            case "CancelRequest":
              yield* FiberMap.remove(questions, event.requestId)
              break
            case "OtherRequest":
              yield* write(ClaudeCommand.unsupportedLine(event.requestId, event.subtype))
              break
            case "ControlResponse":
              if (event.requestId === greetingId) yield* Deferred.succeed(greeted, event)
              else forTurn.push(event)
              break
            default:
              forTurn.push(event)
          }
        }
        if (isListening) return yield* inbox.offerAll(forTurn)
        // Nobody asked it to work: it would cost, and act, unseen. Its reader must not wait for its own end.
        if (!forTurn.some((event) => event._tag === "Assistant")) return
        yield* Ref.set(closing, true)
        yield* Effect.forkIn(close, parent)
      })

    const read = subprocess.stdout.pipe(
      JsonLines.decode({ maxLineBytes, read: ClaudeEvents.decode }),
      Stream.runForEachChunk(receive),
      Effect.match({ onFailure: Option.some, onSuccess: () => Option.none() }),
      Effect.flatMap((error) =>
        Effect.gen(function* () {
          // What prints garbage may go on for ever; what has no output left is about to end.
          const isEnding = Option.match(error, { onNone: () => true, onSome: ({ _tag }) => _tag === "TornLine" })
          const exit = isEnding ? yield* Effect.timeoutOption(subprocess.exit, killAfter) : Option.none()
          return yield* inbox.fail({ closed: false, error, exit, stderr: yield* subprocess.stderrTail })
        })
      )
    )
    // The process may be started where nothing can be interrupted; its reader must be.
    const reader = yield* Effect.forkIn(Effect.interruptible(read), scope)

    if (streaming) {
      yield* Effect.forkIn(Effect.interruptible(write(ClaudeCommand.greetingLine(greetingId))), scope)
    }

    const claude: ClaudeProcess = {
      inbox,
      isOver: Effect.zipWith(
        Ref.get(closing),
        reader.status,
        (isClosing, status) => isClosing || status._tag === "Done"
      ),
      listen: Effect.zipRight(Effect.ignore(inbox.clear), Ref.set(listening, true)),
      rest: Effect.zipRight(Ref.set(listening, false), FiberMap.clear(questions)),
      write,
      endInput: subprocess.endStdin,
      signal: subprocess.signal,
      addMarker: subprocess.addMarker,
      greeting: Effect.timeoutOption(Deferred.await(greeted), greetingGrace),
      requestId: Effect.map(
        Ref.updateAndGet(requests, (n) => n + 1),
        (n) => `driver-${n}`
      ),
      awaitEnd: Effect.asVoid(Fiber.await(reader)),
      close
    }
    return claude
  })

const greetingId = "driver-greeting"
/** It takes half a second to start. One that does not answer may be one that does not know the question. */
const greetingGrace = Duration.minutes(1)

const withdrawn = new PermissionCancelled({})
