/**
 * `Approvals` on SQLite and PostgreSQL: a question that one process asks is
 * answered by another.
 *
 * A question ends by one UPDATE of a row that is still open, so that the first who
 * ends it is the only one. Who waits looks at the rows four times a second, all
 * questions of this process with one query, and only while there are any.
 */
import { ApprovalAnswer, type ApprovalEnd, ApprovalId, ApprovalQuestion } from "@driver/domain/Approval"
import {
  ApprovalClosed,
  ApprovalNameError,
  Approvals,
  ApprovalsError,
  endOf,
  findApproval,
  shortestName,
  timeLeft
} from "@driver/permission/Approvals"
import type { StoreError } from "@driver/runtime/StoreError"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { ParseError } from "effect/ParseResult"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Whole } from "./internal/columns.js"
import { storeCall } from "./internal/sqlFailure.js"

/** For a database that has been migrated, as those of `Database.ts` are. Its own open questions are withdrawn with its scope. */
export const layer: Layer.Layer<Approvals, never, SqlClient.SqlClient> = Layer.scoped(
  Approvals,
  Effect.flatMap(SqlClient.SqlClient, (sql) => make(sql))
)

/** Between two looks at the answers. */
const pollEvery = Duration.millis(250)

/** Questions that are over are kept so long to tell whoever answers too late. */
const rememberedFor = Duration.days(1)

const Question = Schema.parseJson(ApprovalQuestion)
const Answer = Schema.parseJson(ApprovalAnswer)

/** `open`, or an `ApprovalEnd`. */
const State = Schema.Literal("open", "approved", "approved_for_session", "denied", "timed_out", "withdrawn")

const QuestionRow = Schema.Struct({ question: Question })
const NameRow = Schema.Struct({ id: ApprovalId, state: State, expires_at: Whole, question: Question })
const AnswerRow = Schema.Struct({ id: ApprovalId, state: State, answer: Schema.NullOr(Answer) })

const decodeQuestions = Schema.decodeUnknown(Schema.Array(QuestionRow))
const decodeNames = Schema.decodeUnknown(Schema.Array(NameRow))
const decodeAnswers = Schema.decodeUnknown(Schema.Array(AnswerRow))
const encodeQuestion = Schema.encode(Question)
const encodeAnswer = Schema.encode(Answer)

type Waiting = Deferred.Deferred<Option.Option<ApprovalAnswer>, ApprovalsError>

const approvalsCall =
  (operation: string) =>
  <A, R>(effect: Effect.Effect<A, SqlError | ParseError, R>): Effect.Effect<A, ApprovalsError, R> =>
    Effect.mapError(
      storeCall(operation)(effect),
      ({ detail, retryable }: StoreError) => new ApprovalsError({ operation, detail, retryable })
    )

const make = (sql: SqlClient.SqlClient): Effect.Effect<Approvals["Type"], never, Scope.Scope> =>
  Effect.gen(function* () {
    /** The open questions of this process. Changed between two steps of a fiber only. */
    const waiting = new Map<ApprovalId, Waiting>()
    const some = yield* Effect.makeLatch(false)
    /** Whether the last look has failed, and that was said. */
    const away = yield* Ref.make(false)

    /** True when this has ended it. */
    const close = (id: ApprovalId, end: ApprovalEnd, answer: Option.Option<ApprovalAnswer>) =>
      Effect.gen(function* () {
        const now = Math.floor(yield* Clock.currentTimeMillis)
        const text = Option.isSome(answer) ? yield* encodeAnswer(answer.value) : null
        // Nobody answers a question whose time is over, be it that its driver has died.
        const inTime = Option.isSome(answer) ? sql`AND expires_at > ${now}` : sql.literal("")
        const closed = yield* sql`
          UPDATE driver_approvals SET state = ${end}, answer = ${text}, ended_at = ${now}
          WHERE id = ${id} AND state = 'open' ${inTime} RETURNING id`
        return closed.length > 0
      })

    const tell = (id: ApprovalId, answer: Option.Option<ApprovalAnswer>) =>
      Effect.suspend(() => {
        const deferred = waiting.get(id)
        return deferred === undefined ? Effect.void : Effect.asVoid(Deferred.succeed(deferred, answer))
      })

    const look = (ids: ReadonlyArray<ApprovalId>) =>
      sql`SELECT id, state, answer FROM driver_approvals WHERE state <> 'open' AND ${sql.in("id", ids)}`.pipe(
        Effect.flatMap(decodeAnswers),
        Effect.flatMap(Effect.forEach(({ answer, id }) => tell(id, Option.fromNullable(answer)), { discard: true }))
      )

    const poll = Effect.suspend(() => look([...waiting.keys()])).pipe(
      Effect.when(() => waiting.size > 0),
      approvalsCall("Approvals.poll"),
      Effect.zipRight(Ref.set(away, false)),
      Effect.catchAll((error) =>
        error.retryable
          ? Effect.unlessEffect(
              Effect.logWarning("The answers to open questions cannot be looked at, this is tried again", error),
              Ref.getAndSet(away, true)
            )
          : Effect.forEach([...waiting.values()], (it) => Deferred.fail(it, error), { discard: true })
      ),
      Effect.zipRight(Effect.sleep(pollEvery)),
      Effect.zipRight(Effect.suspend(() => (waiting.size === 0 ? some.close : Effect.void)))
    )
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(some.await, poll)))

    const withdraw = (id: ApprovalId) =>
      close(id, "withdrawn", Option.none()).pipe(
        approvalsCall("Approvals.withdraw"),
        Effect.catchAllCause((cause) => Effect.logWarning(`The question ${id} was not withdrawn; it expires`, cause))
      )
    // Questions whose owner was stopped and not waited for.
    yield* Effect.addFinalizer(() => Effect.forEach([...waiting.keys()], withdraw, { discard: true }))

    const expire = (id: ApprovalId, deferred: Waiting) =>
      close(id, "timed_out", Option.none()).pipe(
        // Somebody was faster: what was said in the last moment counts.
        Effect.flatMap((closed) => (closed ? tell(id, Option.none()) : look([id]))),
        approvalsCall("Approvals.expire"),
        Effect.zipRight(Deferred.await(deferred))
      )

    return Approvals.of({
      open: Effect.fn("Approvals.open")(function* (question) {
        const deferred: Waiting = yield* Deferred.make<Option.Option<ApprovalAnswer>, ApprovalsError>()
        const insert = Effect.gen(function* () {
          const now = Math.floor(yield* Clock.currentTimeMillis)
          const expiresAt = Math.floor(DateTime.toEpochMillis(question.expiresAt))
          yield* sql`DELETE FROM driver_approvals WHERE expires_at < ${now - Duration.toMillis(rememberedFor)}`
          yield* sql`
            INSERT INTO driver_approvals (id, goal_id, state, question, asked_at, expires_at)
            VALUES (${question.id}, ${question.goalId}, 'open', ${yield* encodeQuestion(question)}, ${now}, ${expiresAt})`
          waiting.set(question.id, deferred)
          yield* some.open
        })
        yield* Effect.acquireRelease(approvalsCall("Approvals.open")(insert), () =>
          Effect.zipRight(
            withdraw(question.id),
            Effect.sync(() => waiting.delete(question.id))
          )
        )
        return {
          answer: Effect.raceFirst(
            Deferred.await(deferred),
            timeLeft(question).pipe(Effect.flatMap(Effect.sleep), Effect.zipRight(expire(question.id, deferred)))
          )
        }
      }),

      abandon: Effect.fn("Approvals.abandon")((goalId) =>
        Effect.flatMap(
          Clock.currentTimeMillis,
          (now) => sql`
            UPDATE driver_approvals SET state = 'withdrawn', ended_at = ${Math.floor(now)}
            WHERE goal_id = ${goalId} AND state = 'open'`
        ).pipe(Effect.asVoid, approvalsCall("Approvals.abandon"))
      ),

      list: Effect.flatMap(
        Clock.currentTimeMillis,
        (now) => sql`
          SELECT question FROM driver_approvals WHERE state = 'open' AND expires_at > ${Math.floor(now)}
          ORDER BY asked_at, id`
      ).pipe(
        Effect.flatMap(decodeQuestions),
        Effect.map((rows) => rows.map(({ question }) => question)),
        approvalsCall("Approvals.list")
      ),

      answer: Effect.fn("Approvals.answer")(function* (name, answer) {
        const wanted = name.trim().toLowerCase()
        // Ids are hexadecimal digits and dashes: nothing else can be the beginning of one, nor a pattern.
        if (wanted.length < shortestName || !/^[0-9a-f-]+$/.test(wanted)) {
          return yield* new ApprovalNameError({ name, candidates: [] })
        }
        const known = yield* sql`
          SELECT id, state, expires_at, question FROM driver_approvals WHERE id LIKE ${`${wanted}%`} ORDER BY asked_at, id
          LIMIT 100`.pipe(Effect.flatMap(decodeNames), approvalsCall("Approvals.answer"))
        const now = yield* Clock.currentTimeMillis
        const found = yield* findApproval(
          name,
          known.map((it) => ({ ...it, isOpen: it.state === "open" && it.expires_at > now }))
        )
        const closed =
          found.isOpen &&
          (yield* approvalsCall("Approvals.answer")(close(found.id, endOf(answer), Option.some(answer))))
        if (closed) {
          yield* tell(found.id, Option.some(answer))
          return found.question
        }
        const [current] = yield* sql`SELECT id, state, answer FROM driver_approvals WHERE id = ${found.id}`.pipe(
          Effect.flatMap(decodeAnswers),
          approvalsCall("Approvals.answer")
        )
        const state = current?.state ?? "withdrawn"
        return yield* new ApprovalClosed({ id: found.id, end: state === "open" ? "timed_out" : state })
      })
    })
  })
