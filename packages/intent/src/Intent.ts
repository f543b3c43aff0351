/**
 * The path from a message to a verdict.
 *
 * ```text
 *  message ─ assess ─┬─ talk ───────────────────────────────────────────▶ Reply
 *                    ├─ unclear ────────────────────────────────────────▶ ClarifyResponse
 *                    └─ task ─ environment ─ crystallize ─ check ─(plan)─▶ Plan
 *                                               ▲    once    │
 *                                               └─ refused ──┤
 *                                         ┌── recovery ──┐   │
 *                                         └─▶   run   ───┘ ◀─┘
 *                                               ├─ trivial ─────────────▶ TaskResult
 *                                               └─ review ─┬─ otherwise ─▶ TaskResult, the better one
 *                                                          └─ gaps ─▶ run, `maxRetries` times
 * ```
 *
 * `IntentState` is this drawing as a table. Each arrow is a record in the journal,
 * written before the next phase begins: an intent goes on from its records, and neither
 * asks nor runs again what they hold. The environment comes before the directive, since
 * whoever writes the directive is shown the workspace. A trivial message is its own
 * directive. What was done with less than it should have been is in the response.
 */
import { randomUuid } from "@driver/agent/PermissionGate"
import { Budget } from "@driver/domain/Goal"
import { Redactor } from "@driver/domain/Redactor"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Answer, IntentContext, IntentId, type IntentSessionId, type MountId, type ProjectId } from "./Directive.js"
import type { EnvironmentError, Environments } from "./ExecEnv.js"
import { checkAnswers } from "./FollowUp.js"
import type { ExecutionError, GoalChecker, GoalExecutor } from "./GoalExecutor.js"
import { boundHistory } from "./History.js"
import type { IntentEvents } from "./IntentEvents.js"
import type { IntentModel } from "./IntentModel.js"
import { Abandoned, OpenClarification, Received, Resumed } from "./IntentRecord.js"
import type { IntentResponse } from "./IntentResponse.js"
import { type IntentState, initialState } from "./IntentState.js"
import { type IntentConflict, IntentStore, type IntentStoreError, Session, SessionMessage } from "./IntentStore.js"
import * as Journal from "./internal/journal.js"
import { makePhases } from "./internal/phases.js"
import { answerText } from "./internal/responses.js"

/** There is nothing in the message: say something, or answer the questions. */
export class EmptyMessage extends Schema.TaggedError<EmptyMessage>()("EmptyMessage", {}) {
  override get message() {
    return "The message is empty"
  }
}

/** An answer names a question that is not open, or a value that is no option. Nothing was changed. */
export class BadAnswer extends Schema.TaggedError<BadAnswer>()("BadAnswer", {
  question: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `The answer to ${this.question} cannot be used: ${this.detail}`
  }
}

/** The session is not known, or nothing in it waits to be gone on with. */
export class NothingToResume extends Schema.TaggedError<NothingToResume>()("NothingToResume", {
  sessionId: Schema.String
}) {
  override get message() {
    return `There is nothing to go on with in session ${this.sessionId}`
  }
}

/** What keeps an intent from its answer. It stays in its session and can be resumed. */
export type IntentError = IntentStoreError | IntentConflict | EnvironmentError | ExecutionError

export interface HandleOptions {
  readonly sessionId: IntentSessionId
  /** To the session's open questions. With answers the message may be empty. */
  readonly answers?: ReadonlyArray<Answer>
  /** Stops before anything is run, with a `Plan`; `resume` runs it. Default false. */
  readonly planOnly?: boolean
  /** False: nobody can answer questions; what is open is assumed, and said. Default true. */
  readonly canAsk?: boolean
  readonly projectHint?: ProjectId
  /** The first is primary. */
  readonly mountHints?: ReadonlyArray<MountId>
  readonly user?: string
}

export interface Settings {
  /** Further runs after a review that failed with gaps. Default 1. */
  readonly maxRetries: number
  /** Further runs with the same agent after a failure that may pass. Default 1. */
  readonly maxRecoveries: number
  /** Agents that take over where the configured one has no quota, no login or no model. Default none. */
  readonly otherAgents: ReadonlyArray<string>
  /** Rounds of questions before what is open is assumed. Default 2. */
  readonly maxClarifications: number
  /** Tokens of the session's history that the model is shown. Default 4,000. */
  readonly historyTokens: number
  /** Of each run. */
  readonly budget: Budget
}

export const defaults: Settings = {
  maxRetries: 1,
  maxRecoveries: 1,
  otherAgents: [],
  maxClarifications: 2,
  historyTokens: 4_000,
  budget: Budget.defaults
}

/** Messages of a session that are looked at for its history: more than fit its budget of tokens. */
const historyMessages = 200

export class Intent extends Context.Tag("@driver/intent/Intent")<
  Intent,
  {
    /**
     * Takes a message to its response. An intent of the session that was cut off is gone on with when the message is the
     * same, and abandoned for another message. Interrupting it leaves the intent where its last phase ended. Secrets that
     * this process knows are taken out of the message first: neither the store nor a model or an agent has them.
     */
    readonly handle: (
      message: string,
      options: HandleOptions
    ) => Effect.Effect<IntentResponse, IntentError | EmptyMessage | BadAnswer>
    /** Goes on with the session's intent: one that was planned only, or cut off. */
    readonly resume: (
      sessionId: IntentSessionId,
      options?: Pick<HandleOptions, "planOnly">
    ) => Effect.Effect<IntentResponse, IntentError | NothingToResume>
    /** Forgets the session's intent and its open questions. What was run stays where it is. */
    readonly abandon: (
      sessionId: IntentSessionId,
      reason: string
    ) => Effect.Effect<void, IntentStoreError | IntentConflict | NothingToResume>
  }
>() {
  static readonly layer = (
    settings: Partial<Settings> = {}
  ): Layer.Layer<Intent, never, Environments | GoalChecker | GoalExecutor | IntentEvents | IntentModel | IntentStore> =>
    Layer.effect(this, make({ ...defaults, ...settings }))
}

const make = (
  settings: Settings
): Effect.Effect<
  Intent["Type"],
  never,
  Environments | GoalChecker | GoalExecutor | IntentEvents | IntentModel | IntentStore
> =>
  Effect.gen(function* () {
    const store = yield* IntentStore
    const redactor = yield* Redactor
    const journal = yield* Journal.make
    const phases = yield* makePhases(settings, journal)

    /** Runs an intent to its response, and lets the session know what that is. */
    const finish = (session: Session, intentId: IntentId, state: IntentState, planOnly: boolean) =>
      Effect.gen(function* () {
        const response = yield* phases.run({ intentId, sessionId: session.id }, state, planOnly)
        if (response._tag !== "Plan") yield* close(session, intentId, response)
        return response
      })

    /** The response becomes the session's last message; nothing is active any more. */
    const close = (session: Session, intentId: IntentId, response: IntentResponse) =>
      Effect.gen(function* () {
        const at = yield* Journal.wholeMillisNow
        return yield* store.commit({
          session: new Session({
            ...session,
            updatedAt: at,
            activeIntent: Option.none(),
            open: response._tag === "ClarifyResponse" ? Option.some(new OpenClarification(response)) : Option.none(),
            activeDirective: response._tag === "TaskResult" ? Option.some(response.directive) : session.activeDirective
          }),
          messages: [new SessionMessage({ role: "agent", text: answerText(response), at, intentId })]
        })
      })

    /** The intent that the session has begun and not answered. */
    const pending = (session: Session) =>
      Effect.gen(function* () {
        if (Option.isNone(session.activeIntent)) return Option.none()
        const id = session.activeIntent.value
        return Option.map(yield* journal.load(id), (state) => ({ id, state }))
      })

    const goOn = (session: Session, id: IntentId, state: IntentState, planOnly: boolean) =>
      Effect.gen(function* () {
        // An intent that is over lacks only the session's knowledge of it.
        const isOver = Option.isSome(state.response)
        const next = isOver
          ? state
          : yield* journal.append({ intentId: id, sessionId: session.id }, state, new Resumed())
        return yield* finish(session, id, next, planOnly)
      })

    const begin = (session: Session, message: string, answers: ReadonlyArray<Answer>, options: HandleOptions) =>
      Effect.gen(function* () {
        const intentId = IntentId.make(yield* randomUuid)
        const messages = yield* store.messages(session.id, historyMessages)
        const at = yield* Journal.wholeMillisNow
        const received = new Received({
          message,
          answers,
          context: new IntentContext({
            sessionId: session.id,
            history: boundHistory(messages, settings.historyTokens),
            projectHint: Option.fromNullable(options.projectHint),
            mountHints: options.mountHints ?? [],
            user: Option.filter(Option.fromNullable(options.user?.trim()), (user) => user !== "")
          }),
          open: session.open,
          canAsk: options.canAsk ?? true,
          maxRetries: settings.maxRetries
        })
        yield* journal.begin({ intentId, sessionId: session.id }, received)
        const text = message.trim() === "" ? answers.map(({ value }) => value).join(", ") : message
        const begun = yield* store.commit({
          session: new Session({ ...session, updatedAt: at, activeIntent: Option.some(intentId) }),
          messages: [new SessionMessage({ role: "user", text, at, intentId })]
        })
        return yield* finish(begun, intentId, initialState(received), options.planOnly ?? false)
      })

    const abandonPending = (session: Session, id: IntentId, state: IntentState, reason: string) =>
      Option.isSome(state.response) || state.abandoned
        ? Effect.void
        : journal.append({ intentId: id, sessionId: session.id }, state, new Abandoned({ reason }))

    return {
      handle: Effect.fn("Intent.handle")(function* (said, options) {
        const message = redactor.text(said)
        const given = (options.answers ?? []).map((it) => new Answer({ ...it, value: redactor.text(it.value) }))
        if (message.trim() === "" && given.length === 0) return yield* new EmptyMessage()
        const known = yield* store.session(options.sessionId)
        const session = Option.isSome(known) ? known.value : yield* newSession(options.sessionId)
        const checked = checkAnswers(session.open, given)
        if (Either.isLeft(checked)) return yield* new BadAnswer(checked.left)
        const before = yield* pending(session)
        if (Option.isNone(before)) return yield* begin(session, message, checked.right, options)
        const { id, state } = before.value
        const isSame = state.received.message === message && isSameList(state.received.answers, checked.right)
        if (isSame && !state.abandoned) return yield* goOn(session, id, state, options.planOnly ?? false)
        if (Option.isSome(state.response)) {
          // It was answered, and the driver went away before the session knew.
          return yield* Effect.flatMap(close(session, id, state.response.value), (closed) =>
            begin(closed, message, checked.right, options)
          )
        }
        yield* abandonPending(session, id, state, "another message came")
        return yield* begin(session, message, checked.right, options)
      }),
      resume: Effect.fn("Intent.resume")(function* (sessionId, options = {}) {
        const session = yield* store.session(sessionId)
        const before = Option.isNone(session) ? Option.none() : yield* pending(session.value)
        if (Option.isNone(session) || Option.isNone(before) || before.value.state.abandoned) {
          return yield* new NothingToResume({ sessionId })
        }
        return yield* goOn(session.value, before.value.id, before.value.state, options.planOnly ?? false)
      }),
      abandon: Effect.fn("Intent.abandon")(function* (sessionId, reason) {
        const found = yield* store.session(sessionId)
        if (Option.isNone(found) || (Option.isNone(found.value.activeIntent) && Option.isNone(found.value.open))) {
          return yield* new NothingToResume({ sessionId })
        }
        const session = found.value
        const before = yield* pending(session)
        if (Option.isSome(before)) yield* abandonPending(session, before.value.id, before.value.state, reason)
        yield* store.commit({
          session: new Session({
            ...session,
            updatedAt: yield* Journal.wholeMillisNow,
            activeIntent: Option.none(),
            open: Option.none()
          }),
          messages: []
        })
      })
    }
  })

const newSession = (id: IntentSessionId) =>
  Effect.map(Journal.wholeMillisNow, (at) => new Session({ id, revision: 0, createdAt: at, updatedAt: at }))

const isSameList = (a: ReadonlyArray<Answer>, b: ReadonlyArray<Answer>): boolean =>
  a.length === b.length &&
  a.every(({ question, value }, index) => b[index]?.question === question && b[index].value === value)
