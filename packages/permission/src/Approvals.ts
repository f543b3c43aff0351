/**
 * Questions to a person about tool calls, and their answers.
 *
 * Who asks opens a question and waits; who answers may be another process. The
 * first answer counts, and whoever comes after it is told so. A question is open
 * until it is answered, withdrawn or expired, whichever comes first; one whose
 * driver has died expires.
 */
import { type ApprovalAnswer, ApprovalEnd, type ApprovalId, type ApprovalQuestion } from "@driver/domain/Approval"
import type { GoalId } from "@driver/domain/Goal"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

/** The questions cannot be reached. Nobody has been asked, or nothing has been answered. */
export class ApprovalsError extends Schema.TaggedError<ApprovalsError>()("ApprovalsError", {
  operation: Schema.String,
  detail: Schema.String,
  /** The same may succeed later. */
  retryable: Schema.Boolean
}) {
  override get message() {
    return `The questions to a person cannot be reached (${this.operation}): ${this.detail}`
  }
}

/** The text names no question, or several. Nothing was answered. */
export class ApprovalNameError extends Schema.TaggedError<ApprovalNameError>()("ApprovalNameError", {
  name: Schema.String,
  /** Ids that begin like that; empty when there is none. */
  candidates: Schema.Array(Schema.String)
}) {
  override get message() {
    return this.candidates.length === 0
      ? `There is no question whose id begins with ${JSON.stringify(this.name)}: \`driver approvals\` shows those that are open`
      : `${JSON.stringify(this.name)} is the beginning of several ids, give more of it: ${this.candidates.join(", ")}`
  }
}

/** The question is over. Nothing was changed by this answer. */
export class ApprovalClosed extends Schema.TaggedError<ApprovalClosed>()("ApprovalClosed", {
  id: Schema.String,
  end: ApprovalEnd
}) {
  override get message() {
    return `The question ${this.id.slice(0, 8)} is over, this answer has no effect: ${ends[this.end]}`
  }
}

const ends: { readonly [End in ApprovalEnd]: string } = {
  approved: "it was approved before",
  approved_for_session: "it was approved for the session before",
  denied: "it was denied before",
  timed_out: "nobody answered in time, and the call was denied",
  withdrawn: "it was withdrawn, because the turn or the goal had ended"
}

export class Approvals extends Context.Tag("@driver/permission/Approvals")<
  Approvals,
  {
    /**
     * Asks. `answer` resolves with the first answer, or with none when the question has expired; from then on nobody
     * can answer it. Closing the scope withdraws a question that is still open.
     */
    readonly open: (
      question: ApprovalQuestion
    ) => Effect.Effect<
      { readonly answer: Effect.Effect<Option.Option<ApprovalAnswer>, ApprovalsError> },
      ApprovalsError,
      Scope.Scope
    >
    /** Withdraws what an earlier driver of this goal has left open: nobody waits for an answer to it any more. */
    readonly abandon: (goalId: GoalId) => Effect.Effect<void, ApprovalsError>
    /** Questions that can be answered, oldest first. */
    readonly list: Effect.Effect<ReadonlyArray<ApprovalQuestion>, ApprovalsError>
    /** Answers a question, named by its id or the beginning of it. Resolves when the answer counts. */
    readonly answer: (
      name: string,
      answer: ApprovalAnswer
    ) => Effect.Effect<ApprovalQuestion, ApprovalsError | ApprovalNameError | ApprovalClosed>
  }
>() {
  /** For one process: forgets everything with its scope. */
  static readonly layerMemory: Layer.Layer<Approvals> = Layer.effect(
    this,
    Effect.map(Ref.make<ReadonlyArray<Entry>>([]), (entries) => makeMemory(entries))
  )
}

/** How a question ended by which an answer ends it. */
export const endOf = (answer: ApprovalAnswer): ApprovalEnd =>
  answer._tag === "Reject" ? "denied" : answer.scope === "session" ? "approved_for_session" : "approved"

/** What is known of a question when one is looked for by its name. */
export interface Candidate {
  readonly id: ApprovalId
  readonly isOpen: boolean
}

/** As little of an id as may name it. */
export const shortestName = 3

/** The one question that is meant. Open ones come first: that another one that is over begins like that is no doubt. */
export const findApproval = <A extends Candidate>(
  name: string,
  known: ReadonlyArray<A>
): Either.Either<A, ApprovalNameError> => {
  const wanted = name.trim().toLowerCase()
  const found = wanted.length < shortestName ? [] : known.filter(({ id }) => id.startsWith(wanted))
  const open = found.filter(({ isOpen }) => isOpen)
  const [first, second] = open.length > 0 ? open : found
  if (first === undefined) return Either.left(new ApprovalNameError({ name, candidates: [] }))
  return second === undefined
    ? Either.right(first)
    : Either.left(new ApprovalNameError({ name, candidates: found.map(({ id }) => id).slice(0, 10) }))
}

interface Entry extends Candidate {
  readonly question: ApprovalQuestion
  readonly end: Option.Option<ApprovalEnd>
  readonly answered: Deferred.Deferred<Option.Option<ApprovalAnswer>>
}

/** Questions that are over are kept so long to tell whoever answers too late. */
const remembered = 256

const makeMemory = (entries: Ref.Ref<ReadonlyArray<Entry>>): Approvals["Type"] => {
  /** Resolves with how the question had ended before; none: this has ended it. */
  const close = (id: ApprovalId, end: ApprovalEnd, answer: Option.Option<ApprovalAnswer>) =>
    Ref.modify(entries, (all) => {
      const entry = all.find((it) => it.id === id)
      if (entry === undefined || Option.isSome(entry.end)) return [Effect.succeed(entry?.end ?? Option.none()), all]
      return [
        Effect.as(Deferred.succeed(entry.answered, answer), Option.none<ApprovalEnd>()),
        all.map((it) => (it === entry ? { ...it, isOpen: false, end: Option.some(end) } : it))
      ]
    }).pipe(Effect.flatten, Effect.uninterruptible)

  const current = Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.map(Ref.get(entries), (all) =>
      all.map((it) => ({ ...it, isOpen: it.isOpen && now < DateTime.toEpochMillis(it.question.expiresAt) }))
    )
  )

  return Approvals.of({
    open: Effect.fn("Approvals.open")(function* (question) {
      const answered = yield* Deferred.make<Option.Option<ApprovalAnswer>>()
      const entry: Entry = { id: question.id, isOpen: true, question, end: Option.none(), answered }
      yield* Effect.acquireRelease(
        Ref.update(entries, (all) => [...withoutForgotten(all), entry]),
        () => close(question.id, "withdrawn", Option.none())
      )
      return {
        answer: Deferred.await(answered).pipe(
          Effect.raceFirst(
            Effect.zipRight(
              Effect.flatMap(timeLeft(question), Effect.sleep),
              // Whoever was first: an answer of the last moment is in the deferred already.
              Effect.zipRight(close(question.id, "timed_out", Option.none()), Deferred.await(answered))
            )
          )
        )
      }
    }),
    abandon: Effect.fn("Approvals.abandon")((goalId) =>
      Effect.flatMap(Ref.get(entries), (all) =>
        Effect.forEach(
          all.filter(({ question }) => question.goalId === goalId),
          ({ id }) => close(id, "withdrawn", Option.none()),
          { discard: true }
        )
      )
    ),
    list: Effect.map(current, (all) => all.filter(({ isOpen }) => isOpen).map(({ question }) => question)),
    answer: Effect.fn("Approvals.answer")(function* (name, answer) {
      const entry = yield* findApproval(name, yield* current)
      const before = entry.isOpen
        ? yield* close(entry.id, endOf(answer), Option.some(answer))
        : Option.orElseSome(entry.end, () => "timed_out" as const)
      if (Option.isSome(before)) return yield* new ApprovalClosed({ id: entry.id, end: before.value })
      return entry.question
    })
  })
}

const withoutForgotten = (all: ReadonlyArray<Entry>): ReadonlyArray<Entry> => {
  const over = all.filter(({ isOpen }) => !isOpen)
  const forgotten = new Set(over.slice(0, Math.max(0, over.length - remembered)))
  return forgotten.size === 0 ? all : all.filter((it) => !forgotten.has(it))
}

/** How long the question can still be answered. */
export const timeLeft = (question: ApprovalQuestion): Effect.Effect<Duration.Duration> =>
  Effect.map(Clock.currentTimeMillis, (now) =>
    Duration.millis(Math.max(0, DateTime.toEpochMillis(question.expiresAt) - now))
  )
