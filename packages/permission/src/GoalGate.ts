/**
 * One goal's gate: every question of its agent, whichever door it comes through,
 * takes the same way.
 *
 *   arrives ─▶ advisors ─▶ allowed before? ─▶ decider ─▶ reviewed ─▶ recorded ─▶ answered
 *      └────────────┴──────────────┴─────────────┴──────────┴──▶ (refused on any trouble)
 *
 * It owns the goal's cache, its open questions and their deadlines. It does not
 * know how a question got here, and it judges nothing itself. Whatever breaks on
 * the way, the answer is a refusal with a reason that the agent can act on; no call
 * is allowed whose record could not be kept.
 */
import { ModelLedger } from "@driver/agent/ModelLedger"
import { type GateRegistration, type RidingMessages, type ToolCall, withMessages } from "@driver/agent/PermissionGate"
import * as ToolSpans from "@driver/agent/ToolSpans"
import type { ApprovalQuestion } from "@driver/domain/Approval"
import { ApprovalAnswered } from "@driver/domain/DriverEvent"
import {
  AllowOnce,
  AllowSession,
  ChoiceAllow,
  ChoiceDeny,
  ChoiceObserve,
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
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { canonicalJson, deepest, isShallow } from "./internal/canonicalJson.js"
import { makeDeadlines } from "./internal/deadlines.js"
import { makeObservations } from "./internal/observations.js"
import { addAdvisories, type PermissionAdvisor, PermissionAdvisors } from "./PermissionAdvisors.js"
import { type DecisionContext, type Observation, PermissionDecider } from "./PermissionDecider.js"
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

/** The door through which a question came, and goes back. */
export interface Door {
  /** Longest changed input, as JSON in UTF-16 units, that can be carried back. */
  readonly longestUpdate: number
  /**
   * Called once, with the answer, after it was recorded. `handedOver` is to be told once whether the answer got out,
   * and returns at once; undefined when nobody wants to know.
   */
  readonly onAnswer: (
    outcome: PermissionOutcome,
    handedOver: ((done: boolean) => Effect.Effect<void>) | undefined
  ) => Effect.Effect<void>
  /** Told when the question may take this much longer from now, because a person is asked. */
  readonly onWait: (duration: Duration.Duration) => Effect.Effect<void>
}

/** A question that was asked and is not answered yet, or no more. */
export interface Question {
  /** Resolves with the answer. */
  readonly answer: Effect.Effect<PermissionOutcome>
  /** Nobody wants the answer any more. Resolves when that is recorded, or at once when there is an answer. */
  readonly withdraw: Effect.Effect<void>
}

export interface GoalGate {
  /** Resolves as soon as the question is open. */
  readonly ask: (call: ToolCall, door: Door) => Effect.Effect<Question>
  /** Asks in this process and resolves with the answer. Never fails; interrupted, the question is withdrawn. */
  readonly decide: (call: ToolCall) => Effect.Effect<PermissionOutcome>
  readonly startTurn: (turn: number) => Effect.Effect<void>
  readonly startSession: Effect.Effect<void>
  /** Each question has a span, below its call when the turn tells of its calls here. */
  readonly spans: ToolSpans.ToolSpans
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
    // This and `open` change between two steps of a fiber only. What every question runs through is written with as few
    // steps as can be: an agent waits for each.
    let memory = newMemory(settings.cacheCapacity)
    const clock = yield* Effect.clock
    const deadlines = yield* makeDeadlines
    const spans = yield* ToolSpans.make
    const observations = yield* makeObservations({
      atOnce: 16,
      timeout: "1 minute",
      recordTimeout: settings.recordTimeout
    })
    /** Undefined once the goal has ended. */
    let open: Set<Question> | undefined = new Set()
    const decideMillis = Duration.toMillis(settings.decideTimeout)
    const recordMillis = Duration.toMillis(settings.recordTimeout)

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        const left = open ?? []
        open = undefined
        // None of them takes longer than its record may.
        return Effect.forEach(left, ({ withdraw }) => withdraw, {
          concurrency: "unbounded",
          discard: true
        })
      })
    )

    const ledger = { charge: registration.onModelCharge ?? (() => Effect.void) }

    const judge = (
      asked: PermissionRequest,
      door: Door,
      { onApproval, waitUpTo }: Pick<DecisionContext, "onApproval" | "waitUpTo">
    ) =>
      Effect.gen(function* () {
        if (!isShallow(asked.input)) return tooDeep
        yield* registration.onRequest(asked)
        const request = advisors.length === 0 ? asked : yield* addAdvisories(asked, advisors, settings.advisorTimeout)
        const { cache, sessions, turns } = memory
        if (!SessionCache.isEmpty(cache)) {
          const known = yield* SessionCache.keyOf(asked.tool, asked.input)
          const [found, next] = SessionCache.lookup(memory.cache, known)
          memory = { ...memory, cache: next }
          if (Option.isSome(found)) return finished(found.value)
        }
        const { criteriaCommands, description } = registration
        const observe = (work: Effect.Effect<Observation>) =>
          observations(Effect.provideService(work, ModelLedger, ledger), ({ note, rationale }) =>
            keepRecord(request, new ChoiceObserve({ note }), rationale)
          )
        const said = yield* Effect.provideService(
          decider.decide(request, { criteriaCommands, description, waitUpTo, onApproval, observe }),
          ModelLedger,
          ledger
        )
        if (!isOutcome(said)) return unusable
        const outcome = deliverable(said, asked.input, door)
        if (outcome._tag !== "AllowSession") return finished(outcome)
        const kept = yield* SessionCache.keyOf(asked.tool, asked.input)
        // Not kept when the turn or session for which it was given is over by now.
        const keep = Effect.sync(() => {
          if (memory.sessions !== sessions || (outcome.scope === "turn" && memory.turns !== turns)) return
          memory = { ...memory, cache: SessionCache.remember(memory.cache, kept, outcome) }
        })
        return { outcome, keep }
      }).pipe(
        Effect.catchAllCause((cause) =>
          Effect.as(
            Effect.logError(`The question about ${asked.tool} could not be decided and is refused`, cause),
            finished(refuse("the permission gate failed", `gate: ${firstLine(cause)}`))
          )
        )
      )

    const keepRecord = (request: PermissionRequest, choice: DecisionChoice, rationale: string) =>
      Effect.flatMap(tokens.decisionId, (id) => {
        const { input, tool, turn } = request
        const decidedAt = DateTime.unsafeMake(clock.unsafeCurrentTimeMillis())
        const { goalId } = registration
        return registration.onDecision(
          new Decision({ id, goalId, turn, tool, input, choice, rationale, decidedAt }, asGiven)
        )
      })

    const record = (request: PermissionRequest, outcome: PermissionOutcome) =>
      keepRecord(request, choiceOf(outcome), rationaleOf(outcome))

    /** What is answered after all: what goes wrong here refuses the call, and lifts no refusal. */
    const review = (request: PermissionRequest, outcome: PermissionOutcome) =>
      outcome._tag === "Cancelled" || !isShallow(request.input)
        ? Effect.succeed(outcome)
        : Effect.matchCauseEffect(
            Effect.flatMap(reviewKeyOf(request), (it) => registration.review(request, it, outcome)),
            {
              onSuccess: (said) =>
                Effect.succeed(
                  said === outcome || (isOutcome(said) && !isAllowed(said))
                    ? said
                    : isAllowed(outcome)
                      ? unreviewed
                      : outcome
                ),
              onFailure: (cause) =>
                Effect.as(
                  Effect.logError(`The call of ${request.tool} could not be reviewed`, cause),
                  isAllowed(outcome) ? unreviewed : outcome
                )
            }
          )

    // A question is answered in two steps, each of which is made by whoever comes first: it is settled (by the decider,
    // its deadline, or whoever withdraws it), and it is finished (by the record, or the record's deadline). Who comes
    // too late, or cannot be interrupted, goes on alone and without effect.
    const ask = (call: ToolCall, door: Door): Effect.Effect<Question> =>
      Effect.flatMap(
        Effect.suspend(() => spans.deciding(call, { goalId: registration.goalId, turn: memory.turn })),
        (span) => {
          const { turn } = memory
          const { goalId, workspace } = registration
          const request = new PermissionRequest({ ...call, goalId, turn, workspace, advisories: [] }, asGiven)
          /** Names the deadline until it is settled. */
          const settling = {}
          let isSettled = false
          const answered = Deferred.unsafeMake<PermissionOutcome>(FiberId.none)
          let worker: Fiber.RuntimeFiber<void> | undefined
          let isFinished = false
          /** The operator's messages that go with the answer. */
          let riding: RidingMessages | undefined
          /** What a person is asked at the moment. */
          let asking: ApprovalQuestion | undefined

          const work = (it: Effect.Effect<void>) =>
            Effect.map(Effect.forkDaemon(Effect.interruptible(span.within(it))), (fiber) => {
              worker = fiber
            })
          const stopWork = Effect.suspend(() => (worker === undefined ? Effect.void : Fiber.interruptFork(worker)))

          const claim = registration.claimMessages.pipe(
            Effect.flatMap((claimed) =>
              Effect.suspend(() => {
                if (Option.isNone(claimed)) return Effect.succeed(false)
                if (isFinished || riding !== undefined) return Effect.as(claimed.value.giveBack, false)
                riding = claimed.value
                return Effect.succeed(true)
              })
            ),
            Effect.uninterruptible,
            Effect.catchAllCause((cause) =>
              Effect.as(Effect.logError("The operator's messages could not be looked at", cause), false)
            )
          )

          const handedOver = (messages: RidingMessages) => (done: boolean) =>
            (done ? messages.delivered(call.toolUseId) : messages.giveBack).pipe(
              Effect.catchAllCause((cause) =>
                Effect.logError("It could not be noted what became of the operator's messages", cause)
              )
            )

          const finish = (outcome: PermissionOutcome): Effect.Effect<void> =>
            Effect.suspend(() => {
              if (isFinished) return Effect.void
              isFinished = true
              deadlines.clear(settling, answered)
              open?.delete(question)
              const ride = riding === undefined ? undefined : withRiding(outcome, riding)
              const told =
                riding === undefined
                  ? door.onAnswer(outcome, undefined)
                  : ride === undefined
                    ? Effect.zipRight(handedOver(riding)(false), door.onAnswer(outcome, undefined))
                    : door.onAnswer(ride, handedOver(riding))
              return Effect.ensuring(
                Effect.zipRight(span.end(ride ?? outcome), told),
                Deferred.succeed(answered, ride ?? outcome)
              )
            })

          const unrecorded = (outcome: PermissionOutcome, cause: Cause.Cause<unknown>) =>
            Effect.zipRight(
              Effect.logError(`The decision about ${call.tool} could not be recorded`, cause),
              finish(
                isAllowed(outcome) ? refuse("the decision could not be recorded", "gate: the record failed") : outcome
              )
            )

          const onApproval: DecisionContext["onApproval"] = (event) =>
            Effect.suspend(() => {
              if (isSettled) return Effect.void
              asking = event._tag === "ApprovalRequested" ? event.question : undefined
              return registration.onApproval(event)
            })

          /** Who is stopped while a person is asked tells nobody any more that this is over. */
          const noMoreAsking = ({ id: approvalId, turn }: ApprovalQuestion) =>
            Effect.catchAllCause(
              Effect.suspend(() => {
                asking = undefined
                return registration.onApproval(new ApprovalAnswered({ goalId, turn, approvalId, answer: "withdrawn" }))
              }),
              (cause) => Effect.logError("It could not be told that nobody is asked any more", cause)
            )

          const answerWith = ({ keep, outcome }: Judged): Effect.Effect<void> => {
            const recorded = Effect.suspend(() => {
              const overdue = Effect.suspend(() => Effect.zipRight(unrecorded(outcome, tooSlow), stopWork))
              deadlines.set(answered, recordMillis, overdue)
              const kept = Effect.flatMap(record(request, outcome), () =>
                isFinished || keep === undefined ? Effect.void : keep
              )
              return isRefusal(outcome) ? Effect.zipRight(claim, kept) : kept
            })
            return Effect.matchCauseEffect(recorded, {
              onFailure: (cause) => unrecorded(outcome, cause),
              onSuccess: () => finish(outcome)
            })
          }

          const conclude = ({ keep, outcome }: Judged): Effect.Effect<void> =>
            Effect.suspend(() => {
              let isReviewed = false
              const reviewed = (it: PermissionOutcome) => {
                if (isReviewed) return Effect.void
                isReviewed = true
                return answerWith(it === outcome ? { keep, outcome } : finished(it))
              }
              const tooLate = Effect.suspend(() =>
                Effect.zipRight(
                  stopWork,
                  work(Effect.suspend(() => reviewed(isAllowed(outcome) ? unreviewed : outcome)))
                )
              )
              deadlines.set(answered, reviewMillis, tooLate)
              const concluded = Effect.flatMap(review(request, outcome), reviewed)
              return asking === undefined ? concluded : Effect.zipRight(noMoreAsking(asking), concluded)
            })

          const settle = (judged: Judged): Effect.Effect<void> => {
            if (isSettled) return Effect.void
            isSettled = true
            return conclude(judged)
          }

          /** The same instead of the decider, which is stopped. */
          const settleWith = (outcome: PermissionOutcome): Effect.Effect<void> =>
            Effect.suspend(() => {
              if (isSettled) return Effect.void
              isSettled = true
              return Effect.zipRight(stopWork, work(conclude(finished(outcome))))
            })

          const question: Question = {
            answer: Effect.suspend(() => Deferred.await(answered)),
            withdraw: Effect.suspend(() =>
              Effect.uninterruptible(Effect.zipRight(settleWith(withdrawn), Deferred.await(answered)))
            )
          }

          let until = 0
          const deadline = (millis: number) => {
            const end = clock.unsafeCurrentTimeMillis() + millis
            if (end <= until) return
            until = end
            deadlines.set(settling, millis, settleWith(late))
          }
          const waitUpTo = (longer: Duration.DurationInput) =>
            Effect.suspend(() => {
              const duration = Duration.decode(longer)
              if (isSettled) return Effect.void
              // Somebody has spoken already: the agent hears that first, and nobody is asked about a call that it may not
              // want to make any more.
              return Effect.if(claim, {
                onTrue: () => Effect.zipRight(settleWith(operatorFirst), Effect.never),
                onFalse: () => {
                  deadline(Duration.toMillis(duration))
                  return door.onWait(duration)
                }
              })
            })

          if (open === undefined) return Effect.as(finish(new Unavailable({ reason: "the goal has ended" })), question)
          open.add(question)
          const begin = Effect.suspend(() => {
            deadline(decideMillis)
            return work(Effect.flatMap(judge(request, door, { onApproval, waitUpTo }), settle))
          })
          return Effect.matchCauseEffect(begin, {
            onSuccess: () => Effect.succeed(question),
            onFailure: (cause) =>
              Effect.as(finish(refuse("the permission gate failed", `gate: ${firstLine(cause)}`)), question)
          })
        }
      ).pipe(Effect.uninterruptible)

    return {
      ask,
      spans,
      decide: Effect.fn("GoalGate.decide")((call) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.gen(function* () {
            let handedOver: ((done: boolean) => Effect.Effect<void>) | undefined
            const door: Door = {
              longestUpdate: Number.POSITIVE_INFINITY,
              onAnswer: (_, told) =>
                Effect.sync(() => {
                  handedOver = told
                }),
              onWait: () => Effect.void
            }
            const { answer, withdraw } = yield* ask(call, door)
            const outcome = yield* Effect.onInterrupt(restore(answer), () =>
              Effect.zipRight(
                withdraw,
                Effect.suspend(() => handedOver?.(false) ?? Effect.void)
              )
            )
            if (handedOver !== undefined) yield* handedOver(true)
            return outcome
          })
        )
      ),
      startTurn: (turn) =>
        Effect.sync(() => {
          memory = { ...memory, turn, turns: memory.turns + 1, cache: SessionCache.startTurn(memory.cache) }
        }),
      startSession: Effect.sync(() => {
        const { cache, sessions, turns } = memory
        memory = { ...memory, turns: turns + 1, sessions: sessions + 1, cache: SessionCache.startSession(cache) }
      })
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

const isInstance = Schema.is(PermissionOutcome)

/** Also looks into what a constructor without validation lets through. */
const isOutcome = (it: unknown): it is PermissionOutcome => {
  if (!isInstance(it)) return false
  switch (it._tag) {
    case "AllowOnce":
      return isUpdate(it.updatedInput)
    case "AllowSession":
      return isUpdate(it.updatedInput) && (it.scope === "turn" || it.scope === "session")
    case "Deny":
      return typeof it.message === "string" && it.message !== ""
    default:
      return true
  }
}

const isUpdate = (it: unknown): boolean => Option.isOption(it) && (Option.isNone(it) || Predicate.isRecord(it.value))

/** Equal for equal calls. A short one is its own key: to hash it takes longer than all the rest. UTF-16 units. */
const reviewKeyOf = ({ input, tool }: PermissionRequest): Effect.Effect<string> =>
  Effect.suspend(() => {
    const text = canonicalJson([tool, input])
    return text.length <= 512 ? Effect.succeed(text) : SessionCache.keyOf(tool, input)
  })

/** What looking at a call together with others may take. */
const reviewMillis = 2_000

interface Judged {
  readonly outcome: PermissionOutcome
  /** Remembers the answer, once it is recorded. */
  readonly keep: Effect.Effect<void> | undefined
}

const finished = (outcome: PermissionOutcome): Judged => ({ outcome, keep: undefined })

const refuse = (reason: string, rationale: string) => new Deny({ message: notDecided(reason), rationale })

const withdrawn = new PermissionCancelled({})

const late = refuse("nobody decided in time", "gate: the time to decide is over")

const tooSlow = Cause.fail("the record took too long")

const unusable = finished(refuse("the decider gave no proper answer", "gate: the decider's answer is no outcome"))

const unreviewed = refuse("the call could not be reviewed", "gate: the review failed")

const operatorFirst = new Deny({
  message:
    "This call was not run, because the operator has something to say first. Read it, then make the call again if it is still right.",
  rationale: "gate: the operator's message came before the question to a person"
})

/** Answers with which messages can go to the agent. */
const isRefusal = (outcome: PermissionOutcome) => outcome._tag === "Deny" || outcome._tag === "Unavailable"

/** The refusal with the messages in it; undefined for an outcome that cannot carry any. */
const withRiding = (outcome: PermissionOutcome, { texts }: RidingMessages): PermissionOutcome | undefined => {
  switch (outcome._tag) {
    case "Deny":
      return withMessages(outcome, texts)
    case "Unavailable":
      return withMessages(new Deny({ message: messageOf(outcome), rationale: rationaleOf(outcome) }), texts)
    default:
      return undefined
  }
}

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

const allowed = new ChoiceAllow({}, asGiven)

const choiceOf = (outcome: PermissionOutcome): DecisionChoice =>
  isAllowed(outcome) ? allowed : new ChoiceDeny({ message: messageOf(outcome) })

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

const firstLine = (cause: Cause.Cause<unknown>): string => (Cause.pretty(cause).split("\n")[0] ?? "").slice(0, 500)
