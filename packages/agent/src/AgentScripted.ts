/**
 * An `Agent` that plays a script: what each turn emits and does, with delays on the `Clock`, so that a `TestClock`
 * drives it. For tests of whatever uses an agent, and for applications that rehearse without one.
 *
 * It asks the gate like a real agent does, can be steered, interrupted and compacted, and says through
 * `ScriptedAgentLog` what it was asked. It starts no process and touches no file; a script may (`runs`, `asks`).
 */
import { SessionId } from "@driver/domain/Binding"
import type { GoalId } from "@driver/domain/Goal"
import { isAllowed, type PermissionOutcome, type ToolInput } from "@driver/domain/Permission"
import type { TokenUsage } from "@driver/domain/Usage"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as SynchronizedRef from "effect/SynchronizedRef"
import {
  Agent,
  type AgentError,
  AgentEvent,
  type AgentFailure,
  type CompactResult,
  type FailureClass,
  type SessionOptions,
  TurnEnd,
  type TurnInput
} from "./Agent.js"

/** What a script can do besides emitting an event. */
export type ScriptedAction = Data.TaggedEnum<{
  /**
   * Calls a tool: emits `ToolCalled`, asks the gate, and emits `ToolEnded`. `run` happens only when the gate allows
   * it, with the input that the gate gave back; its text is the tool's answer.
   */
  AskGate: {
    readonly tool: string
    readonly input: ToolInput
    readonly toolUseId: string
    readonly run: (input: ToolInput, session: SessionOptions) => Effect.Effect<string>
  }
  /** Runs an effect, such as writing a file in the workspace. */
  RunEffect: { readonly run: (session: SessionOptions) => Effect.Effect<void> }
  /** Waits for the next message given by `steer` in this turn and says it. */
  AwaitSteer: {}
  /** Ends the stream with an error: the program died, was silent, printed garbage. */
  FailTurn: { readonly error: AgentError }
  /** Never goes on: until the turn is interrupted. */
  Hang: {}
}>
export const ScriptedAction = Data.taggedEnum<ScriptedAction>()

/** One step of a turn, at once or after a delay on the `Clock`. */
export type ScriptedStep =
  | AgentEvent
  | ScriptedAction
  | readonly [after: Duration.DurationInput, step: AgentEvent | ScriptedAction]

/** What the agent does in one turn, or how that follows from what it is asked. */
export type ScriptedTurn =
  | Iterable<ScriptedStep>
  | ((asked: {
      readonly prompt: string
      readonly turn: number
      readonly session: SessionOptions
    }) => Iterable<ScriptedStep>)

/**
 * The turns in the order in which they are played. An iterable is shared by all sessions. A function gives every goal
 * its own turns, and is called when the goal opens its first session; later sessions of the goal go on with the rest.
 */
export type AgentScript = Iterable<ScriptedTurn> | ((first: SessionOptions) => Iterable<ScriptedTurn>)

export interface ScriptedAgentOptions {
  /** What each `compact` plays, in order. When they run out, compactions succeed (`compacted()`). */
  readonly compactions?: Iterable<ScriptedTurn>
  /** Whether a running turn takes messages. Default true. */
  readonly steerable?: boolean
}

/** Everything a scripted agent was asked, oldest first. */
export interface ScriptedAgentRecord {
  readonly opened: ReadonlyArray<{
    readonly goalId: GoalId
    readonly workspace: string
    readonly resume: Option.Option<SessionId>
  }>
  readonly prompts: ReadonlyArray<{ readonly goalId: GoalId; readonly turn: number; readonly prompt: string }>
  readonly compactions: ReadonlyArray<{ readonly goalId: GoalId; readonly focus: string }>
  /** Messages that a running turn took. */
  readonly steers: ReadonlyArray<{ readonly goalId: GoalId; readonly message: string }>
  /** Answers of the gate. */
  readonly outcomes: ReadonlyArray<{ readonly toolUseId: string; readonly outcome: PermissionOutcome }>
  /** Turns that `interrupt` ended. */
  readonly interrupts: number
  /** Turns whose stream the reader gave up before it ended. */
  readonly abandoned: number
  /** Sessions whose scope has closed. */
  readonly closed: number
}

/** What the scripted agent was asked: for the tests of whoever asks. */
export class ScriptedAgentLog extends Context.Tag("@driver/agent/ScriptedAgentLog")<
  ScriptedAgentLog,
  {
    /** The record so far. */
    readonly current: Effect.Effect<ScriptedAgentRecord>
    /** Resolves with the first record that satisfies the predicate, at once when the present one does. */
    readonly until: (predicate: (record: ScriptedAgentRecord) => boolean) => Effect.Effect<ScriptedAgentRecord>
  }
>() {}

const nothingAsked: ScriptedAgentRecord = {
  opened: [],
  prompts: [],
  compactions: [],
  steers: [],
  outcomes: [],
  interrupts: 0,
  abandoned: 0,
  closed: 0
}

/**
 * Plays `script`. The first turn of a session begins with `SessionStarted` (the resumed id, or `scripted-session-1`
 * and so on) unless its script does, and a `TurnEnded` without a session id gets the session's. A turn that has no
 * `TurnEnded` ends without a result, which a real agent never does. A turn beyond the end of the script is a defect
 * that says so.
 */
export const layerScripted = (
  script: AgentScript,
  options?: ScriptedAgentOptions
): Layer.Layer<Agent | ScriptedAgentLog> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const record = yield* SubscriptionRef.make(nothingAsked)
      const note: Note = (change) => SubscriptionRef.update(record, (current) => ({ ...current, ...change(current) }))
      const turnsOf = yield* turnsPerGoal(script)
      const compactions = yield* Ref.make(Chunk.fromIterable(options?.compactions ?? []))
      const minted = yield* Ref.make(0)
      const nextSessionId = Effect.map(
        Ref.updateAndGet(minted, (n) => n + 1),
        (n) => toSessionId(`scripted-session-${n}`)
      )

      const open = (session: SessionOptions) =>
        Effect.gen(function* () {
          const { goalId, resume, workspace } = session
          yield* note(({ opened }) => ({ opened: [...opened, { goalId, resume, workspace }] }))
          yield* Effect.addFinalizer(() => note(({ closed }) => ({ closed: closed + 1 })))
          const turns = yield* turnsOf(session)
          const oneAtATime = yield* Effect.makeSemaphore(1)
          const running = yield* Ref.make(Option.none<RunningTurn>())
          const sessionId = yield* Ref.make(resume)
          const announced = yield* Ref.make(false)

          const announce = (first: ScriptedStep | undefined) =>
            Effect.gen(function* () {
              if (yield* Ref.getAndSet(announced, true)) return Option.none<AgentEvent>()
              if (first !== undefined && actOf(first)._tag === "SessionStarted") return Option.none<AgentEvent>()
              const id = yield* Effect.flatMap(
                Ref.get(sessionId),
                Option.match({ onNone: () => nextSessionId, onSome: Effect.succeed })
              )
              return Option.some(
                AgentEvent.SessionStarted({ sessionId: id, model: Option.none(), version: Option.none() })
              )
            })

          /** Keeps the session's id as the script says it, and fills it into the result. */
          const withSessionId = (event: AgentEvent): Effect.Effect<AgentEvent> => {
            if (event._tag === "SessionStarted") {
              return Effect.as(Ref.set(sessionId, Option.some(event.sessionId)), event)
            }
            if (event._tag !== "TurnEnded" || Option.isSome(event.result.sessionId)) return Effect.succeed(event)
            return Effect.map(Ref.get(sessionId), (id) =>
              AgentEvent.TurnEnded({ result: { ...event.result, sessionId: id } })
            )
          }

          const play = (choose: Effect.Effect<Iterable<ScriptedStep>>): Stream.Stream<AgentEvent, AgentError> =>
            Stream.unwrapScoped(
              Effect.gen(function* () {
                yield* Effect.uninterruptibleMask((restore) =>
                  Effect.zipRight(
                    restore(oneAtATime.take(1)),
                    Effect.addFinalizer(() => oneAtATime.release(1))
                  )
                )
                const turn: RunningTurn = {
                  interrupted: yield* Deferred.make<void>(),
                  steered: yield* Queue.unbounded<string>()
                }
                const over = yield* Ref.make(false)
                yield* Effect.acquireRelease(Ref.set(running, Option.some(turn)), () =>
                  Effect.gen(function* () {
                    yield* Ref.set(running, Option.none())
                    if (yield* Ref.get(over)) return
                    yield* note(({ abandoned }) => ({ abandoned: abandoned + 1 }))
                  })
                )
                const steps = Array.from(yield* choose)
                const first = yield* announce(steps[0])
                const endInterrupted = Effect.gen(function* () {
                  const wasInterrupted = (yield* Deferred.isDone(turn.interrupted)) && !(yield* Ref.get(over))
                  yield* Ref.set(over, true)
                  if (!wasInterrupted) return Option.none<AgentEvent>()
                  yield* note(({ interrupts }) => ({ interrupts: interrupts + 1 }))
                  return Option.some(interrupted())
                })
                return Stream.fromIterable([...Option.toArray(first), ...steps]).pipe(
                  Stream.flatMap((step) => perform(step, { session, turn, note })),
                  Stream.takeUntil(AgentEvent.$is("TurnEnded")),
                  Stream.interruptWhenDeferred(turn.interrupted),
                  Stream.tap((event) => Ref.update(over, (was) => was || event._tag === "TurnEnded")),
                  Stream.tapErrorCause(() => Ref.set(over, true)),
                  Stream.concat(Stream.fromIterableEffect(Effect.map(endInterrupted, Option.toArray))),
                  Stream.mapEffect(withSessionId)
                )
              })
            )

          const whileRunning = <A>(otherwise: A, use: (turn: RunningTurn) => Effect.Effect<A>): Effect.Effect<A> =>
            Effect.flatMap(Ref.get(running), Option.match({ onNone: () => Effect.succeed(otherwise), onSome: use }))

          return {
            turn: ({ prompt, turn }: TurnInput) =>
              play(
                Effect.gen(function* () {
                  yield* note(({ prompts }) => ({ prompts: [...prompts, { goalId, turn, prompt }] }))
                  const next = yield* takeFirst(turns)
                  if (Option.isNone(next)) {
                    return yield* Effect.dieMessage(`The script has no turn for the prompt of turn ${turn}: ${prompt}`)
                  }
                  return stepsOf(next.value, { prompt, turn, session })
                })
              ),
            compact: (focus: string) =>
              play(
                Effect.gen(function* () {
                  yield* note((before) => ({ compactions: [...before.compactions, { goalId, focus }] }))
                  const next = Option.getOrElse(yield* takeFirst(compactions), () => compacted())
                  return stepsOf(next, { prompt: `/compact ${focus}`, turn: 0, session })
                })
              ),
            steer: (message: string) =>
              options?.steerable === false
                ? Effect.succeed(false)
                : whileRunning(false, (turn) =>
                    Effect.zipRight(
                      note(({ steers }) => ({ steers: [...steers, { goalId, message }] })),
                      Queue.offer(turn.steered, message)
                    )
                  ),
            interrupt: whileRunning<void>(undefined, (turn) => Deferred.succeed(turn.interrupted, undefined))
          }
        })

      return Context.make(Agent, { kind: "scripted", open }).pipe(
        Context.add(ScriptedAgentLog, {
          current: SubscriptionRef.get(record),
          until: (predicate) =>
            record.changes.pipe(
              Stream.filter(predicate),
              Stream.runHead,
              // The stream of changes never ends, so it has a head.
              Effect.map(Option.getOrThrow)
            )
        })
      )
    })
  )

type Note = (change: (record: ScriptedAgentRecord) => Partial<ScriptedAgentRecord>) => Effect.Effect<void>

interface RunningTurn {
  readonly interrupted: Deferred.Deferred<void>
  readonly steered: Queue.Queue<string>
}

type Turns = Ref.Ref<Chunk.Chunk<ScriptedTurn>>

const takeFirst = (turns: Turns) => Ref.modify(turns, (all) => [Chunk.head(all), Chunk.drop(all, 1)])

const turnsPerGoal = (script: AgentScript): Effect.Effect<(session: SessionOptions) => Effect.Effect<Turns>> => {
  if (typeof script !== "function") {
    return Effect.map(Ref.make(Chunk.fromIterable(script)), (shared) => () => Effect.succeed(shared))
  }
  return Effect.map(
    SynchronizedRef.make<ReadonlyMap<GoalId, Turns>>(new Map()),
    (byGoal) => (session) =>
      SynchronizedRef.modifyEffect(byGoal, (known) => {
        const turns = known.get(session.goalId)
        return turns === undefined
          ? Effect.map(Ref.make(Chunk.fromIterable(script(session))), (made) => [
              made,
              new Map(known).set(session.goalId, made)
            ])
          : Effect.succeed([turns, known])
      })
  )
}

const stepsOf = (
  turn: ScriptedTurn,
  asked: { readonly prompt: string; readonly turn: number; readonly session: SessionOptions }
): Iterable<ScriptedStep> => (typeof turn === "function" ? turn(asked) : turn)

const isDelayed = (step: ScriptedStep): step is Exclude<ScriptedStep, AgentEvent | ScriptedAction> =>
  Array.isArray(step)

const actOf = (step: ScriptedStep): AgentEvent | ScriptedAction => (isDelayed(step) ? step[1] : step)

interface Stage {
  readonly session: SessionOptions
  readonly turn: RunningTurn
  readonly note: Note
}

const perform = (step: ScriptedStep, stage: Stage): Stream.Stream<AgentEvent, AgentError> =>
  isDelayed(step) ? Stream.concat(Stream.execute(Effect.sleep(step[0])), perform(step[1], stage)) : act(step, stage)

const act = (
  step: AgentEvent | ScriptedAction,
  { note, session, turn }: Stage
): Stream.Stream<AgentEvent, AgentError> => {
  switch (step._tag) {
    case "AskGate":
      return Stream.concat(
        Stream.succeed(
          AgentEvent.ToolCalled({
            toolUseId: step.toolUseId,
            name: step.tool,
            input: step.input,
            parentToolUseId: Option.none()
          })
        ),
        Stream.fromEffect(askGate(step, session, note))
      )
    case "RunEffect":
      return Stream.execute(step.run(session))
    case "AwaitSteer":
      return Stream.fromEffect(Effect.map(Queue.take(turn.steered), said))
    case "FailTurn":
      return Stream.fail(step.error)
    case "Hang":
      return Stream.never
    default:
      return Stream.succeed(step)
  }
}

const askGate = (call: Data.TaggedEnum.Value<ScriptedAction, "AskGate">, session: SessionOptions, note: Note) =>
  Effect.gen(function* () {
    const { input, run, tool, toolUseId } = call
    const outcome = yield* session.gate.decide({
      tool,
      input,
      toolUseId: Option.some(toolUseId),
      agentId: Option.none()
    })
    yield* note(({ outcomes }) => ({ outcomes: [...outcomes, { toolUseId, outcome }] }))
    if (isAllowed(outcome)) {
      const text = yield* run(
        Option.getOrElse(outcome.updatedInput, () => input),
        session
      )
      return AgentEvent.ToolEnded({ toolUseId, failed: false, text, denied: false })
    }
    return AgentEvent.ToolEnded({ toolUseId, failed: true, text: refusal(outcome), denied: true })
  })

const refusal = (outcome: Exclude<PermissionOutcome, { readonly _tag: "AllowOnce" | "AllowSession" }>): string => {
  switch (outcome._tag) {
    case "Deny":
      return outcome.message
    case "Unavailable":
      return outcome.reason
    case "Cancelled":
      return "The question was withdrawn"
  }
}

const toSessionId = Schema.decodeSync(SessionId)

// What scripts are written with.

/** The agent says a text. */
export const said = (text: string): AgentEvent => AgentEvent.Said({ text, parentToolUseId: Option.none() })

/** Calls `tool` through the gate; when it is allowed, `run` happens and its text is the answer. */
export const asks = (
  tool: string,
  input: ToolInput,
  options?: {
    readonly toolUseId?: string
    readonly run?: (input: ToolInput, session: SessionOptions) => Effect.Effect<string>
  }
): ScriptedAction =>
  ScriptedAction.AskGate({
    tool,
    input,
    toolUseId: options?.toolUseId ?? `toolu_${tool}`,
    run: options?.run ?? (() => Effect.succeed("ok"))
  })

/** Runs an effect, such as writing a file in `session.workspace`. */
export const runs = (run: (session: SessionOptions) => Effect.Effect<void>): ScriptedAction =>
  ScriptedAction.RunEffect({ run })

/** Waits for a message of `steer` and says it. */
export const awaitsSteer: ScriptedAction = ScriptedAction.AwaitSteer()

/** Ends the stream with an error. */
export const fails = (error: AgentError): ScriptedAction => ScriptedAction.FailTurn({ error })

/** Silence until the turn is interrupted. */
export const hangs: ScriptedAction = ScriptedAction.Hang()

/** What a scripted turn's result says. Everything that is left out is unknown. */
export interface ScriptedResult {
  readonly text?: string
  readonly usage?: TokenUsage
  readonly costUsd?: number
  readonly contextTokens?: number
  readonly contextWindow?: number
  readonly sessionId?: SessionId
  readonly abandonedTasks?: number
}

const turnEnded = (end: TurnEnd, result: ScriptedResult): AgentEvent =>
  AgentEvent.TurnEnded({
    result: {
      end,
      sessionId: Option.fromNullable(result.sessionId),
      usage: Option.fromNullable(result.usage),
      costUsd: Option.fromNullable(result.costUsd),
      contextTokens: Option.fromNullable(result.contextTokens),
      contextWindow: Option.fromNullable(result.contextWindow),
      abandonedTasks: result.abandonedTasks ?? 0
    }
  })

/** The agent says that it has finished. */
export const ended = (result: ScriptedResult = {}): AgentEvent =>
  turnEnded(TurnEnd.Completed({ text: result.text ?? "" }), result)

/** The provider or the agent reported a failure. */
export const failed = (
  failure: { readonly class: FailureClass } & Partial<AgentFailure>,
  result: ScriptedResult = {}
): AgentEvent =>
  turnEnded(
    TurnEnd.Failed({
      failure: { message: failure.class, status: Option.none(), resetsAt: Option.none(), ...failure }
    }),
    result
  )

/** A limit of the agent itself ended the turn. */
export const limited = (limit: "max_turns" | "max_budget", result: ScriptedResult = {}): AgentEvent =>
  turnEnded(TurnEnd.LimitReached({ limit }), result)

/** The turn was interrupted, by us or by a denial that said so. */
export const interrupted = (result: ScriptedResult = {}): AgentEvent => turnEnded(TurnEnd.Interrupted(), result)

/** The whole script of a compaction. It succeeds unless `error` is given. */
export const compacted = (
  options: {
    readonly summary?: string
    readonly before?: number
    readonly after?: number
    readonly error?: string
    readonly result?: ScriptedResult
  } = {}
): ReadonlyArray<ScriptedStep> => {
  const result: CompactResult = {
    succeeded: options.error === undefined,
    summary: Option.fromNullable(options.summary),
    before: Option.fromNullable(options.before),
    after: Option.fromNullable(options.after),
    error: Option.fromNullable(options.error)
  }
  return [
    AgentEvent.Compacting({ trigger: "manual" }),
    AgentEvent.Compacted({ trigger: "manual", result }),
    ended(options.result)
  ]
}
