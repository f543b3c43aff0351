/** The database goes away while a person is asked: the call is denied with a reason, and nothing waits for ever. */
import { rmSync } from "node:fs"
import { Approve } from "@driver/domain/Approval"
import { PermissionRequest } from "@driver/domain/Permission"
import { Approvals } from "@driver/permission/Approvals"
import { AskDecider } from "@driver/permission/AskDecider"
import { bareContext } from "@driver/permission/PermissionDecider"
import * as Database from "@driver/store/Database"
import * as SqlApprovals from "@driver/store/SqlApprovals"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, type Duration, Effect, Fiber, Layer, Logger, Redacted } from "effect"
import { newFile, sqlBackends } from "./support/backends.js"
import { asAdmin, hasPostgres, newSchema } from "./support/postgres.js"
import { makeProxy } from "./support/proxy.js"
import { goalIdOf } from "./support/values.js"

const request = new PermissionRequest({
  goalId: goalIdOf(1),
  turn: 1,
  workspace: "/work/tree",
  tool: "Bash",
  input: { command: "npm publish" },
  advisories: []
})

const world = <E>(
  database: Layer.Layer<SqlClient.SqlClient, E>,
  timeout: Duration.DurationInput
): Layer.Layer<AskDecider | Approvals | SqlClient.SqlClient, E> =>
  AskDecider.layer({ timeout }).pipe(Layer.provideMerge(SqlApprovals.layer), Layer.provideMerge(database))

/** Resolves when the question is open. */
const asked = Effect.gen(function* () {
  const { decide } = yield* AskDecider
  const open = yield* Deferred.make<void>()
  const onApproval = () => Effect.asVoid(Deferred.succeed(open, undefined))
  const fiber = yield* Effect.forkScoped(decide(request, { ...bareContext, onApproval }, "rule 3"))
  yield* Deferred.await(open)
  return fiber
})

/** Its answer, which comes long before the test would be given up. */
const answerOf = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  Fiber.join(fiber).pipe(Effect.timeoutFail({ duration: "1 minute", onTimeout: () => new Error("it hangs") }))

const assertDenied = (outcome: Effect.Effect.Success<ReturnType<AskDecider["Type"]["decide"]>>, why: RegExp) => {
  assert.strictEqual(outcome._tag, "Deny")
  if (outcome._tag === "Deny") {
    assert.match(outcome.rationale, why)
    assert.match(outcome.message, /A person .* (was|were|could) /)
  }
}

for (const { available, database, name } of sqlBackends) {
  describe.skipIf(!available)(`A question on ${name}`, () => {
    it.scopedLive("is denied at once when its table is gone, however long a person may take", () =>
      Effect.gen(function* () {
        const fiber = yield* asked
        const sql = yield* SqlClient.SqlClient
        yield* sql`DROP TABLE driver_approvals`
        assertDenied(yield* answerOf(fiber), /^ask: The questions to a person cannot be reached \(Approvals\.poll\)/)
      }).pipe(Effect.provide(world(database, "10 minutes")))
    )
  })
}

describe("A question on SQLite", () => {
  it.scopedLive("is denied when its time is over and the file was removed", () =>
    Effect.gen(function* () {
      const filename = yield* newFile
      yield* Effect.gen(function* () {
        const fiber = yield* asked
        for (const end of ["", "-wal", "-shm"]) rmSync(filename + end)
        assertDenied(yield* answerOf(fiber), /^ask: /)
      }).pipe(Effect.provide(world(Database.layerSqlite({ filename }), "1 second")))
    })
  )
})

describe.skipIf(!hasPostgres)("A question on PostgreSQL", () => {
  it.scopedLive("outlives its connection when that is ended, and the answer counts", () =>
    Effect.gen(function* () {
      const { url } = yield* newSchema
      const database = Database.layerPostgres({ url: Redacted.make(url.href), maxConnections: 1 })
      yield* Effect.gen(function* () {
        const fiber = yield* asked
        const sql = yield* SqlClient.SqlClient
        const [own] = yield* sql<{ readonly pid: number }>`SELECT pg_backend_pid() AS pid`
        const ended = yield* asAdmin(`SELECT pg_terminate_backend(${own?.pid}) AS ended`)
        assert.deepStrictEqual(ended, [{ ended: true }])
        const { answer, list } = yield* Approvals
        const [question] = yield* list.pipe(Effect.retry({ while: ({ retryable }) => retryable, times: 20 }))
        yield* answer(question?.id ?? "", new Approve({ scope: "once" }))
        assert.strictEqual((yield* answerOf(fiber))._tag, "AllowOnce")
      }).pipe(Effect.provide(world(database, "10 minutes")))
    })
  )

  it.scopedLive("is denied when its time is over and its connection was ended", () =>
    Effect.gen(function* () {
      const { url } = yield* newSchema
      const database = Database.layerPostgres({ url: Redacted.make(url.href), maxConnections: 1 })
      yield* Effect.gen(function* () {
        const fiber = yield* asked
        const sql = yield* SqlClient.SqlClient
        const [own] = yield* sql<{ readonly pid: number }>`SELECT pg_backend_pid() AS pid`
        yield* asAdmin(`SELECT pg_terminate_backend(${own?.pid})`)
        assertDenied(yield* answerOf(fiber), /^ask: nobody answered within 1s/)
      }).pipe(Effect.provide(world(database, "1 second")))
    })
  )

  it.scopedLive("is denied when its time is over and the server is away", () =>
    Effect.gen(function* () {
      const { url } = yield* newSchema
      const proxy = yield* makeProxy(Number(url.port || 5432), url.hostname)
      url.hostname = "127.0.0.1"
      url.port = String(proxy.port)
      const database = Database.layerPostgres({ url: Redacted.make(url.href), connectTimeout: "2 seconds" })
      const said: Array<unknown> = []
      const logger = Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ message }) => {
          said.push(Array.isArray(message) ? message[0] : message)
        })
      )
      yield* Effect.gen(function* () {
        const fiber = yield* asked
        yield* proxy.stop
        assertDenied(yield* answerOf(fiber), /^ask: The questions to a person cannot be reached \(Approvals\.expire\)/)
        // Once, not four times a second.
        assert.strictEqual(said.filter((it) => /cannot be looked at/.test(String(it))).length, 1)
      }).pipe(Effect.provide(Layer.provideMerge(world(database, "1 second"), logger)))
    })
  )
})
