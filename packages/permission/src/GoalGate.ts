/**
 * One goal's gate: every question of its agent, whichever door it comes through,
 * takes the same way.
 *
 *   arrives ─▶ advisors ─▶ allowed before? ─▶ decider ─▶ recorded ─▶ answered
 *      └────────────┴──────────────┴─────────────┴──▶ (refused on any trouble)
 *
 * It owns the goal's cache, its open questions and their deadlines. It does not
 * know how a question got here, and it judges nothing itself. Whatever breaks on
 * the way, the answer is a refusal with a reason that the agent can act on; no call
 * is allowed whose record could not be kept.
 */
import type { GateRegistration, ToolCall } from "@driver/agent/PermissionGate"
import {
  AllowOnce,
  AllowSession,
  ChoiceAllow,
  ChoiceDeny,
  Decision,
  type DecisionChoice,
  Deny,
  isAllowed,
  PermissionCancelled,
  PermissionOutcome,
  PermissionRequest,
  type ToolInput,
  Unavailable
} from "@driver/domain/Permission"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { canonicalJson, deepest, isShallow } from "./internal/canonicalJson.js"
import { addAdvisories, type PermissionAdvisor, PermissionAdvisors } from "./PermissionAdvisors.js"
import { type DecisionContext, PermissionDecider } from "./PermissionDecider.js"
import * as SessionCache from "./SessionCache.js"
import { TokenSource } from "./TokenSource.js"

export interface Settings {
  /** From a question's arrival to its answer. Default 30 seconds; a decider that asks a person may ask for more. */
  readonly decideTimeout: Duration.DurationInput
  /** How long keeping one record may take. Default 10 seconds; then the call is refused. */
  readonly recordTimeout: Duration.DurationInput
  /** How long one advisor may take. Default 2 seconds; then it is skipped. */
  readonly advisorTimeout: Duration.DurationInput
  /** Most answers that are kept for the turn or the session. Default 512; the least recently used goes first. */
  readonly cacheCapacity: number
}

export const defaults: Settings = {
  decideTimeout: "30 seconds",
  recordTimeout: "10 seconds",
  advisorTimeout: "2 seconds",
  cacheCapacity: SessionCache.defaultCapacity
}

/** What the door through which a question came needs. */
export interface Door {
  /** Longest changed input, as JSON in UTF-16 units, that can be carried back. */
  readonly longestUpdate: number
  /** Told when the question may take this much longer from now, because a person is asked. */
  readonly onWait: (duration: Duration.Duration) => Effect.Effect<void>
}

export const inProcess: Door = { longestUpdate: Number.POSITIVE_INFINITY, onWait: () => Effect.void }

export interface GoalGate {
  /** Resolves with the answer. Never fails; interrupted, the question is recorded as withdrawn. */
  readonly decide: (call: ToolCall, door: Door) => Effect.Effect<PermissionOutcome>
  readonly startTurn: (turn: number) => Effect.Effect<void>
  readonly startSession: Effect.Effect<void>
}

/**
 * Opens gates with the decider and the advisors that are there now, whoever registers later. When its scope closes,
 * a gate's open questions are answered with `Cancelled`, and closing waits until they are recorded.
 */
export const factory = (
  options: Partial<Settings> = {}
): Effect.Effect<
  (registration: GateRegistration) => Effect.Effect<GoalGate, never, Scope.Scope>,
  never,
  PermissionDecider
> =>
  Effect.gen(function* () {
    const deciding: Deciding = {
      settings: { ...defaults, ...options },
      decider: yield* PermissionDecider,
      advisors: yield* PermissionAdvisors,
      tokens: yield* TokenSource
    }
    return (registration) => make(registration, deciding)
  })

interface Deciding {
  readonly settings: Settings
  readonly decider: PermissionDecider["Type"]
  readonly advisors: ReadonlyArray<PermissionAdvisor>
  readonly tokens: Context.Tag.Service<TokenSource>
}

const make = (
  registration: GateRegistration,
  { advisors, decider, settings, tokens }: Deciding
): Effect.Effect<GoalGate, never, Scope.Scope> =>
  Effect.gen(function* () {
    const memory = yield* Ref.make(newMemory(settings.cacheCapacity))
    const ended = yield* Deferred.make<void>()
    const open = yield* Ref.make(HashSet.empty<Deferred.Deferred<void>>())

    yield* Effect.addFinalizer(() =>
      Effect.gen(function* () {
        yield* Deferred.succeed(ended, undefined)
        // None of them takes longer than its record may.
        yield* Effect.forEach(yield* Ref.get(open), Deferred.await, { discard: true })
      })
    )

    const judge = (asked: PermissionRequest, door: Door, waitUpTo: DecisionContext["waitUpTo"]) =>
      Effect.gen(function* () {
        if (!isShallow(asked.input)) return tooDeep
        yield* registration.onRequest(asked)
        const request = yield* addAdvisories(asked, advisors, settings.advisorTimeout)
        const { cache, sessions, turns } = yield* Ref.get(memory)
        const key = yield* Effect.cached(SessionCache.keyOf(asked.tool, asked.input))
        if (!SessionCache.isEmpty(cache)) {
          const wanted = yield* key
          const found = yield* Ref.modify(memory, (it) => {
            const [hit, next] = SessionCache.lookup(it.cache, wanted)
            return [hit, { ...it, cache: next }]
          })
          if (Option.isSome(found)) return finished(found.value)
        }
        const said = yield* decider.decide(request, { criteriaCommands: registration.criteriaCommands, waitUpTo })
        if (!isOutcome(said)) return unusable
        const outcome = deliverable(said, asked.input, door)
        if (outcome._tag !== "AllowSession") return finished(outcome)
        const wanted = yield* key
        // Not kept when the turn or session for which it was given is over by now.
        const keep = Ref.update(memory, (it) =>
          it.sessions !== sessions || (outcome.scope === "turn" && it.turns !== turns)
            ? it
            : { ...it, cache: SessionCache.remember(it.cache, wanted, outcome) }
        )
        return { outcome, keep }
      }).pipe(
        Effect.catchAllCause((cause) =>
          Effect.as(
            Effect.logError(`The question about ${asked.tool} could not be decided and is refused`, cause),
            finished(refuse("the permission gate failed", `gate: ${firstLine(cause)}`))
          )
        )
      )

    const record = (request: PermissionRequest, outcome: PermissionOutcome) =>
      Effect.gen(function* () {
        const decision = {
          id: yield* tokens.decisionId,
          goalId: registration.goalId,
          turn: request.turn,
          tool: request.tool,
          input: request.input,
          choice: choiceOf(outcome),
          rationale: rationaleOf(outcome),
          decidedAt: yield* DateTime.now
        }
        yield* registration.onDecision(new Decision(decision, asGiven))
      }).pipe(
        // Who asks cannot be interrupted while this runs, so the timeout could not interrupt it either. And what cannot
        // be interrupted at all must not hold up the answer.
        Effect.disconnect,
        Effect.interruptible,
        Effect.timeout(settings.recordTimeout),
        Effect.exit
      )

    const ask = (
      call: ToolCall,
      door: Door,
      restore: <A, E, R>(it: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    ) =>
      Effect.gen(function* () {
        if (yield* Deferred.isDone(ended)) return new Unavailable({ reason: "the goal has ended" })
        const { turn } = yield* Ref.get(memory)
        const { goalId, workspace } = registration
        const request = new PermissionRequest({ ...call, goalId, turn, workspace, advisories: [] }, asGiven)
        const limit = Duration.toMillis(settings.decideTimeout)
        const deadline = yield* Ref.make((yield* Clock.currentTimeMillis) + limit)
        const waitUpTo = (longer: Duration.DurationInput) =>
          Effect.gen(function* () {
            const duration = Duration.decode(longer)
            const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(duration)
            yield* Ref.update(deadline, (before) => Math.max(before, until))
            yield* door.onWait(duration)
          })
        const judged = yield* judge(request, door, waitUpTo).pipe(
          Effect.disconnect,
          Effect.interruptible,
          Effect.raceFirst(Effect.interruptible(expire(deadline))),
          Effect.raceFirst(Effect.interruptible(Effect.as(Deferred.await(ended), finished(withdrawn)))),
          restore,
          Effect.exit
        )
        // Whatever can fail has become a refusal on the way: this is an interruption.
        if (Exit.isFailure(judged)) {
          yield* Effect.flatMap(record(request, withdrawn), (it) => reportUnrecorded(request, it))
          return yield* Effect.interrupt
        }
        const { keep, outcome } = judged.value
        const recorded = yield* record(request, outcome)
        if (Exit.isSuccess(recorded)) return yield* Effect.as(keep, outcome)
        yield* reportUnrecorded(request, recorded)
        return isAllowed(outcome) ? refuse("the decision could not be recorded", "gate: the record failed") : outcome
      })

    return {
      decide: Effect.fn("GoalGate.decide")((call, door) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.acquireUseRelease(
            Effect.tap(Deferred.make<void>(), (done) => Ref.update(open, HashSet.add(done))),
            () => ask(call, door, restore),
            (done) => Effect.zipRight(Ref.update(open, HashSet.remove(done)), Deferred.succeed(done, undefined))
          )
        )
      ),
      startTurn: (turn) =>
        Ref.update(memory, (it) => ({
          ...it,
          turn,
          turns: it.turns + 1,
          cache: SessionCache.startTurn(it.cache)
        })),
      startSession: Ref.update(memory, (it) => ({
        ...it,
        turns: it.turns + 1,
        sessions: it.sessions + 1,
        cache: SessionCache.startSession(it.cache)
      }))
    }
  })

/** What the agent reads when the call was not allowed. */
export const messageOf = (outcome: Exclude<PermissionOutcome, AllowOnce | AllowSession>): string => {
  switch (outcome._tag) {
    case "Deny":
      return outcome.message
    case "Unavailable":
      return notDecided(outcome.reason)
    case "Cancelled":
      return notDecided("the question was withdrawn, because the turn or the goal ended")
  }
}

/** A refusal because something broke, in words that the agent can act on. */
export const notDecided = (reason: string): string =>
  `No decision could be made about this call (${reason}), so it was not run. Try it once more; if it is refused again, go on without it and say so in your answer.`

/** What comes in was decoded at the door, and may be large: constructors need not copy it. */
const asGiven = { disableValidation: true } as const

const isOutcome = Schema.is(PermissionOutcome)

interface Judged {
  readonly outcome: PermissionOutcome
  /** Remembers the answer, once it is recorded. */
  readonly keep: Effect.Effect<void>
}

const finished = (outcome: PermissionOutcome): Judged => ({ outcome, keep: Effect.void })

const refuse = (reason: string, rationale: string) => new Deny({ message: notDecided(reason), rationale })

const withdrawn = new PermissionCancelled({})

const unusable = finished(refuse("the decider gave no proper answer", "gate: the decider's answer is no outcome"))

const tooDeep = finished(
  new Deny({
    message: `The arguments of this call are nested more than ${deepest} levels deep, so it was not run. Give flatter ones.`,
    rationale: "gate: the input is nested too deeply"
  })
)

interface Memory {
  readonly turn: number
  /** Counts turns and sessions: an answer that was given for an earlier one is not kept for this one. */
  readonly turns: number
  readonly sessions: number
  readonly cache: SessionCache.SessionCache
}

const newMemory = (capacity: number): Memory => ({
  turn: 0,
  turns: 0,
  sessions: 0,
  cache: SessionCache.empty(capacity)
})

/** Resolves with a refusal when the deadline, which may move on meanwhile, has passed. */
const expire = (deadline: Ref.Ref<number>): Effect.Effect<Judged> =>
  Effect.gen(function* () {
    const left = (yield* Ref.get(deadline)) - (yield* Clock.currentTimeMillis)
    if (left <= 0) return finished(refuse("nobody decided in time", "gate: the time to decide is over"))
    yield* Effect.sleep(left)
    return yield* expire(deadline)
  })

/** The outcome without a changed input that is no change, or a denial when the change cannot be carried to the agent. */
const deliverable = (outcome: PermissionOutcome, input: ToolInput, door: Door): PermissionOutcome => {
  if (!isAllowed(outcome) || Option.isNone(outcome.updatedInput)) return outcome
  const updated = outcome.updatedInput.value
  if (canonicalJson(updated) === canonicalJson(input)) {
    const updatedInput = Option.none<ToolInput>()
    return outcome._tag === "AllowOnce"
      ? new AllowOnce({ ...outcome, updatedInput }, asGiven)
      : new AllowSession({ ...outcome, updatedInput }, asGiven)
  }
  return JSON.stringify(updated).length <= door.longestUpdate
    ? outcome
    : new Deny({
        message:
          "This call would have been allowed with changed arguments, but those are too long to be carried to you, so it was not run. Make several smaller calls of it.",
        rationale: `gate: the changed input is longer than ${door.longestUpdate} characters (${outcome.rationale})`
      })
}

const choiceOf = (outcome: PermissionOutcome): DecisionChoice =>
  isAllowed(outcome) ? new ChoiceAllow({}) : new ChoiceDeny({ message: messageOf(outcome) })

const rationaleOf = (outcome: PermissionOutcome): string => {
  switch (outcome._tag) {
    case "Unavailable":
      return `unavailable: ${outcome.reason}`
    case "Cancelled":
      return "cancelled: the question was withdrawn"
    default:
      return outcome.rationale
  }
}

const reportUnrecorded = ({ tool }: PermissionRequest, recorded: Exit.Exit<void, unknown>) =>
  Exit.isFailure(recorded)
    ? Effect.logError(`The decision about ${tool} could not be recorded`, recorded.cause)
    : Effect.void

const firstLine = (cause: Cause.Cause<unknown>): string => (Cause.pretty(cause).split("\n")[0] ?? "").slice(0, 500)
