import { ApprovalId, ApprovalQuestion, Approve, Reject } from "@driver/domain/Approval"
import { ApprovalClosed, Approvals } from "@driver/permission/Approvals"
import * as SqlApprovals from "@driver/store/SqlApprovals"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Deferred, Effect, Exit, Fiber, Layer, Option, Scope, TestClock } from "effect"
import { backends, sqlBackends } from "./support/backends.js"
import { goalIdOf } from "./support/values.js"

const idOf = (beginning: string) => ApprovalId.make(`${beginning.padEnd(8, "0")}-0000-4000-8000-000000000000`)

const questionOf = (beginning: string, input: Record<string, unknown> = { command: "npm publish" }) =>
  Effect.map(
    DateTime.now,
    (now) =>
      new ApprovalQuestion({
        id: idOf(beginning),
        goalId: goalIdOf(1),
        turn: 2,
        tool: "Bash",
        input,
        why: "rule 3",
        advisories: ["it cannot be undone"],
        askedAt: now,
        expiresAt: DateTime.add(now, { minutes: 1 })
      })
  )

const once = new Approve({ scope: "once" })
const no = new Reject({ message: Option.some("use the staging registry") })

/** Puts a question and waits for its answer in a fiber. */
const asked = (beginning: string) =>
  Effect.gen(function* () {
    const approvals = yield* Approvals
    const question = yield* questionOf(beginning)
    const opened = yield* Deferred.make<void>()
    const fiber = yield* Effect.flatMap(approvals.open(question), ({ answer }) =>
      Effect.zipRight(Deferred.succeed(opened, undefined), answer)
    ).pipe(Effect.scoped, Effect.forkScoped)
    yield* Deferred.await(opened)
    return { question, fiber }
  })

const ids = Effect.flatMap(Approvals, ({ list }) => Effect.map(list, (all) => all.map(({ id }) => id)))

for (const { available, name, stores } of backends) {
  describe.skipIf(!available)(`Approvals on ${name}`, () => {
    it.scoped("lists open questions in full, oldest first, and gives the answer to who waits", () =>
      Effect.gen(function* () {
        const approvals = yield* Approvals
        const first = yield* asked("bbb")
        yield* TestClock.adjust("1 second")
        const second = yield* asked("aaa")
        assert.deepStrictEqual(yield* approvals.list, [first.question, second.question])
        assert.deepStrictEqual(yield* approvals.answer(second.question.id, no), second.question)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Fiber.join(second.fiber), Option.some(no))
        assert.deepStrictEqual(yield* ids, [first.question.id])
        yield* approvals.answer(first.question.id, new Approve({ scope: "session" }))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Fiber.join(first.fiber), Option.some(new Approve({ scope: "session" })))
        assert.deepStrictEqual(yield* ids, [])
      }).pipe(Effect.provide(stores()))
    )

    it.scoped("takes the first answer, and tells the second that it came too late", () =>
      Effect.gen(function* () {
        const approvals = yield* Approvals
        const { fiber, question } = yield* asked("abc")
        const exits = yield* Effect.all(
          [once, no, once, no].map((it) => Effect.exit(approvals.answer(question.id, it))),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
        yield* TestClock.adjust("1 second")
        const winner = yield* Fiber.join(fiber)
        const late = yield* Effect.flip(approvals.answer(question.id, once))
        assert.instanceOf(late, ApprovalClosed)
        const end = Option.getOrThrow(winner)._tag === "Approve" ? "approved" : "denied"
        assert.deepInclude(late, { id: question.id, end })
        assert.match(late.message, /is over, this answer has no effect: it was (approved|denied) before/)
      }).pipe(Effect.provide(stores()))
    )

    it.scoped("finds a question by the beginning of its id, when there is only one open like that", () =>
      Effect.gen(function* () {
        const approvals = yield* Approvals
        const one = yield* asked("abc1")
        const other = yield* asked("abc2")
        const doubt = yield* Effect.flip(approvals.answer("ABC", once))
        assert.deepInclude(doubt, { _tag: "ApprovalNameError", candidates: [one.question.id, other.question.id] })
        for (const name of ["ab", "", "abcd", "%", "abc_", "' OR 1", "abc1x"]) {
          assert.deepInclude(yield* Effect.flip(approvals.answer(name, once)), {
            _tag: "ApprovalNameError",
            candidates: []
          })
        }
        assert.deepStrictEqual((yield* approvals.answer(" ABC1 ", once)).id, one.question.id)
        // The one that is over is no doubt any more.
        assert.deepStrictEqual((yield* approvals.answer("abc", no)).id, other.question.id)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(
          [yield* Fiber.join(one.fiber), yield* Fiber.join(other.fiber)],
          [Option.some(once), Option.some(no)]
        )
        assert.deepInclude(yield* Effect.flip(approvals.answer("abc1", once)), {
          _tag: "ApprovalClosed",
          end: "approved"
        })
      }).pipe(Effect.provide(stores()))
    )

    it.scoped("lets a question expire: its waiter gets none, and nobody can answer it any more", () =>
      Effect.gen(function* () {
        const approvals = yield* Approvals
        const { fiber, question } = yield* asked("abc")
        yield* TestClock.adjust("55 seconds")
        assert.deepStrictEqual(yield* ids, [question.id])
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* Fiber.join(fiber), Option.none())
        assert.deepStrictEqual(yield* ids, [])
        assert.deepInclude(yield* Effect.flip(approvals.answer("abc", once)), {
          _tag: "ApprovalClosed",
          end: "timed_out"
        })
      }).pipe(Effect.provide(stores()))
    )

    it.scoped("abandons what a goal has left open, and nothing of others", () =>
      Effect.gen(function* () {
        const approvals = yield* Approvals
        const { question } = yield* asked("abc")
        yield* approvals.abandon(goalIdOf(2))
        assert.deepStrictEqual(yield* ids, [question.id])
        yield* approvals.abandon(goalIdOf(1))
        assert.deepStrictEqual(yield* ids, [])
        assert.deepInclude(yield* Effect.flip(approvals.answer("abc", once)), { end: "withdrawn" })
      }).pipe(Effect.provide(stores()))
    )

    it.scoped("withdraws a question when who asked is gone", () =>
      Effect.gen(function* () {
        const approvals = yield* Approvals
        const { fiber } = yield* asked("abc")
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* ids, [])
        assert.deepInclude(yield* Effect.flip(approvals.answer("abc", once)), {
          _tag: "ApprovalClosed",
          end: "withdrawn"
        })
      }).pipe(Effect.provide(stores()))
    )
  })
}

for (const { available, database, name } of sqlBackends) {
  describe.skipIf(!available)(`SqlApprovals on ${name}`, () => {
    it.scoped("carries an answer from one process to another, and withdraws what is open when one ends", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const process = Layer.provide(SqlApprovals.layer, Layer.succeed(SqlClient.SqlClient, sql))
        const scope = yield* Scope.make()
        const driver = yield* Layer.buildWithScope(Layer.fresh(process), scope)
        const { fiber, question } = yield* Effect.provide(asked("abc"), driver)
        const left = yield* Effect.provide(asked("def"), driver)
        yield* Effect.gen(function* () {
          const operator = yield* Approvals
          assert.deepStrictEqual(yield* operator.list, [question, left.question])
          yield* operator.answer("abc", once)
        }).pipe(Effect.provide(Layer.fresh(process)))
        assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
        yield* TestClock.adjust("250 millis")
        assert.deepStrictEqual(yield* Fiber.join(fiber), Option.some(once))
        yield* Scope.close(scope, Exit.void)
        yield* Effect.gen(function* () {
          assert.deepStrictEqual(yield* ids, [])
        }).pipe(Effect.provide(Layer.fresh(process)))
      }).pipe(Effect.provide(database))
    )

    it.scoped("shows nobody the question of a driver that has died, once its time is over", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const process = Layer.provide(SqlApprovals.layer, Layer.succeed(SqlClient.SqlClient, sql))
        // As a driver leaves it that was killed.
        yield* Effect.provide(asked("abc"), Layer.fresh(process))
        yield* sql`UPDATE driver_approvals SET state = 'open'`
        yield* Effect.gen(function* () {
          const approvals = yield* Approvals
          assert.strictEqual((yield* approvals.list).length, 1)
          yield* TestClock.adjust("1 minute")
          assert.deepStrictEqual(yield* approvals.list, [])
          assert.deepInclude(yield* Effect.flip(approvals.answer("abc", once)), {
            _tag: "ApprovalClosed",
            end: "timed_out"
          })
          // Rows do not gather for ever.
          yield* TestClock.adjust("2 days")
          yield* asked("def")
          assert.deepStrictEqual(yield* sql`SELECT id FROM driver_approvals`, [{ id: idOf("def") }])
        }).pipe(Effect.provide(Layer.fresh(process)))
      }).pipe(Effect.provide(database))
    )
  })
}
