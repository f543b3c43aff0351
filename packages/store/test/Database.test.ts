import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Approve } from "@driver/domain/Approval"
import { IntentSessionId } from "@driver/intent/Directive"
import { Registry } from "@driver/intent/Registry"
import { Approvals } from "@driver/permission/Approvals"
import { BindingStore } from "@driver/runtime/BindingStore"
import { CompactSummaryStore } from "@driver/runtime/CompactSummaryStore"
import { DecisionStore } from "@driver/runtime/DecisionStore"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Journal } from "@driver/runtime/Journal"
import { Outbox } from "@driver/runtime/Outbox"
import * as Database from "@driver/store/Database"
import * as IntentStores from "@driver/store/IntentStores"
import { type Migration, migrate, migrations, SchemaTooNew } from "@driver/store/Migrations"
import * as SqlBindingStore from "@driver/store/SqlBindingStore"
import * as SqlJournal from "@driver/store/SqlJournal"
import * as Stores from "@driver/store/Stores"
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect, Fiber, Layer, Option, Redacted, TestClock } from "effect"
import { layerSqliteTest, newFile, sqlBackends } from "./support/backends.js"
import { record, records, step } from "./support/journalValues.js"
import { hasPostgres, newSchema } from "./support/postgres.js"
import { makeProxy } from "./support/proxy.js"
import { bindingInput, decision, decisionIdOf, goalIdOf } from "./support/values.js"

interface Place {
  readonly open: (
    migrations?: ReadonlyArray<Migration>
  ) => Layer.Layer<SqlClient.SqlClient, Database.DatabaseError | SchemaTooNew>
  readonly dialect: "sqlite" | "pg"
  readonly address: string
  /** As errors name it. */
  readonly shown: string
}

const known = (list?: ReadonlyArray<Migration>) => (list === undefined ? {} : { migrations: list })

const sqlitePlace = Effect.map(
  newFile,
  (filename): Place => ({
    open: (list) => Database.layerSqlite({ filename, ...known(list) }),
    dialect: "sqlite",
    address: filename,
    shown: filename
  })
)

const postgresPlace = Effect.map(
  newSchema,
  ({ url }): Place => ({
    open: (list) =>
      Database.layerPostgres({ url: Redacted.make(url.href), connectTimeout: "30 seconds", ...known(list) }),
    dialect: "pg",
    address: url.href,
    shown: `postgres://${url.host}${url.pathname}`
  })
)

const second: Migration = {
  version: migrations.length + 1,
  name: "a table for the test",
  statements: () => ["CREATE TABLE driver_extra (n INTEGER)", "INSERT INTO driver_extra (n) VALUES (42)"]
}

const broken: Migration = { ...second, statements: (dialect) => [...second.statements(dialect), "CREATE NONSENSE"] }

/** Opens, runs and closes. */
const on = <A, E>(
  layer: Layer.Layer<SqlClient.SqlClient, Database.DatabaseError | SchemaTooNew>,
  effect: Effect.Effect<A, E, SqlClient.SqlClient>
) => Effect.provide(effect, Layer.fresh(layer))

const select = (statement: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe<Record<string, unknown>>(statement))

const versions = Effect.map(select("SELECT version FROM driver_schema ORDER BY version"), (rows) =>
  rows.map(({ version }) => Number(version))
)

const latest = migrations.length

for (const { available, name, place } of [
  { name: "SQLite", available: true, place: sqlitePlace },
  { name: "PostgreSQL", available: hasPostgres, place: postgresPlace }
]) {
  describe.skipIf(!available)(`Migrations on ${name}`, () => {
    it.scopedLive("make a new database, and leave one alone that is up to date", () =>
      Effect.gen(function* () {
        const { open } = yield* place
        assert.deepStrictEqual(
          yield* on(open(), versions),
          migrations.map(({ version }) => version)
        )
        assert.deepStrictEqual(yield* on(open(), migrate()), { from: latest, to: latest })
      })
    )

    it.scopedLive("bring an older database up to date and keep what is in it", () =>
      Effect.gen(function* () {
        const { open } = yield* place
        const store = Effect.provide(BindingStore, SqlBindingStore.layer())
        const stored = yield* on(
          open(),
          Effect.flatMap(store, (bindings) => bindings.upsert(bindingInput(1)))
        )
        yield* on(
          open([...migrations, second]),
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* (yield* store).get(goalIdOf(1)), Option.some(stored))
            assert.deepStrictEqual(yield* select("SELECT n FROM driver_extra"), [{ n: 42 }])
            assert.deepStrictEqual((yield* versions).at(-1), second.version)
          })
        )
      })
    )

    it.scopedLive("refuse a newer database, name both versions, and change nothing", () =>
      Effect.gen(function* () {
        const { open, shown } = yield* place
        yield* on(open([...migrations, second]), Effect.void)
        const error = yield* Effect.flip(on(open(), Effect.void))
        assert.instanceOf(error, SchemaTooNew)
        assert.deepInclude(error, { found: second.version, known: latest, database: shown })
        assert.strictEqual(
          error.message,
          `The database ${shown} has schema version ${second.version} and this driver knows versions up to ${latest}: ` +
            "use the newer driver that made it, or another database."
        )
        assert.deepStrictEqual((yield* on(open([...migrations, second]), versions)).at(-1), second.version)
      })
    )

    it.scopedLive("leave nothing of a migration that failed in its middle", () =>
      Effect.gen(function* () {
        const { open } = yield* place
        yield* on(open(), Effect.void)
        const error = yield* Effect.flip(on(open([...migrations, broken]), Effect.void))
        assert.deepInclude(error, { _tag: "DatabaseError", reason: "failed" })
        yield* on(open([...migrations, second]), Effect.asVoid(select("SELECT n FROM driver_extra")))
        const fresh = yield* place
        yield* Effect.flip(on(fresh.open([...migrations, broken]), Effect.void))
        // With a client of one's own, which stays open.
        const retried = Effect.gen(function* () {
          const error = yield* Effect.flip(migrate({ migrations: [...migrations, broken] }))
          assert.deepInclude(error, { _tag: "StoreError", operation: "Migrations.migrate", retryable: false })
          return yield* migrate()
        })
        assert.deepStrictEqual(yield* on((yield* place).open([]), retried), { from: 0, to: latest })
        assert.deepStrictEqual(
          yield* on(fresh.open(), versions),
          migrations.map(({ version }) => version)
        )
      })
    )

    /** A database as that version has left it. */
    const leftBy = (version: number) =>
      Effect.gen(function* () {
        const { address, dialect, open } = yield* place
        const fixture = readFileSync(new URL(`fixtures/schema-${version}.${dialect}.sql`, import.meta.url), "utf8")
        if (dialect === "sqlite") {
          const raw = new Sqlite(address)
          raw.exec(fixture)
          raw.close()
        } else {
          // No migrations: a connection to an empty schema.
          yield* on(
            open([]),
            Effect.forEach(fixture.split("\n-- next\n"), (statement) => select(statement))
          )
        }
        return open
      })

    it.scopedLive("read what version 4 has written, and say who delivers its events", () =>
      Effect.gen(function* () {
        const open = yield* leftBy(4)
        yield* Effect.gen(function* () {
          const outbox = yield* Outbox
          const [entry] = yield* outbox.pending("nats", 10)
          assert.deepStrictEqual([entry?.event.messageId, entry?.event.event._tag], ["1:a:1", "GoalPaused"])
          assert.deepStrictEqual(yield* outbox.claim("nats", "a", Option.none()), { owner: "a", heartbeat: 1 })
          const holder = yield* (yield* GoalStore).holder(goalIdOf(1))
          assert.deepStrictEqual(holder, Option.some({ owner: "host 1 2 3", epoch: 2, heartbeat: 7 }))
        }).pipe(Effect.provide(Layer.provide(Stores.layer(), open())))
      })
    )

    it.scopedLive("read what version 3 has written, and keep journals besides", () =>
      Effect.gen(function* () {
        const open = yield* leftBy(3)
        yield* Effect.gen(function* () {
          const registry = yield* Registry
          const [mount] = yield* registry.mounts
          assert.deepInclude(mount, {
            name: "Żółw",
            path: "/repositories/żółw",
            summary: Option.some("a parser\u0000")
          })
          assert.deepStrictEqual(
            yield* registry.primaryOf(IntentSessionId.make("session-1")),
            Option.fromNullable(mount?.id)
          )
          assert.isTrue(Option.isSome(yield* (yield* BindingStore).get(goalIdOf(1))))
          const journal = yield* Journal
          yield* journal.append(records(1, 1, 2))
          assert.strictEqual(yield* journal.head(goalIdOf(1)), 2)
        }).pipe(Effect.provide(Layer.provide(Layer.merge(Stores.layer(), IntentStores.layer), open())))
      })
    )

    it.scopedLive("read what version 2 has written", () =>
      Effect.gen(function* () {
        const open = yield* leftBy(2)
        yield* Effect.gen(function* () {
          const approvals = yield* Approvals
          const [question] = yield* approvals.list
          assert.deepInclude(question, { turn: 2, tool: "Bash", input: { command: "npm publish" }, why: "rule 3" })
          assert.deepInclude(yield* Effect.flip(approvals.answer("4f2a", new Approve({ scope: "once" }))), {
            _tag: "ApprovalClosed",
            end: "denied"
          })
          assert.deepStrictEqual(yield* approvals.answer("3f2a", new Approve({ scope: "once" })), question)
        }).pipe(Effect.provide(Layer.provide(Stores.layer(), open())))
      })
    )

    it.scopedLive("read what version 1 has written", () =>
      Effect.gen(function* () {
        const open = yield* leftBy(1)
        yield* Effect.gen(function* () {
          const bindings = yield* BindingStore
          const live = Option.getOrThrow(yield* bindings.get(goalIdOf(1)))
          assert.deepInclude(live, { model: Option.some("opus"), workspace: "/workspaces/żółć" })
          assert.strictEqual(live.lastActiveAt.epochMillis, 1_700_000_000_002)
          const [, invalid] = yield* bindings.listAll
          assert.deepStrictEqual(invalid?.invalidReason, Option.some("a\u0000b"))
          const summary = Option.getOrThrow(yield* (yield* CompactSummaryStore).loadLatest(goalIdOf(1)))
          assert.deepInclude(summary, { turn: 3, summary: "what was done", storedAt: 1_700_000_000_003 })
          const decisions = yield* DecisionStore
          yield* decisions.record(decision(2, { input: { command: "git status" } }))
          const found = yield* decisions.recall({ tool: "Bash", text: "git push", limit: 5 })
          assert.deepStrictEqual(
            found.map(({ id }) => id),
            [decisionIdOf(1), decisionIdOf(2)]
          )
          assert.deepInclude(found[0], { turn: 2, rationale: "rule 7", input: { command: "git push origin" } })
        }).pipe(Effect.provide(Layer.provide(Stores.layer(), open())))
      })
    )

    it.scopedLive("are run once by eight clients that start at once", () =>
      Effect.gen(function* () {
        const { open } = yield* place
        const answers = yield* Effect.forEach(
          Array.from({ length: 8 }, (_, n) => n + 1),
          (n) =>
            on(
              open(),
              Effect.flatMap(Effect.provide(BindingStore, SqlBindingStore.layer()), (store) =>
                store.upsert(bindingInput(n))
              )
            ),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(answers.length, 8)
        assert.strictEqual((yield* on(open(), select("SELECT goal_id FROM driver_bindings"))).length, 8)
      })
    )

    it.scopedLive("are run once by four processes that start at once", () =>
      Effect.gen(function* () {
        const { address, open } = yield* place
        const program = fileURLToPath(new URL("../../../build/test-programs/store/openAndBind.mjs", import.meta.url))
        const children = yield* Effect.forEach([1, 2, 3, 4], (goal) =>
          Effect.acquireRelease(
            Effect.sync(() =>
              spawn(process.execPath, [program, address, String(goal)], {
                stdio: ["pipe", "pipe", "inherit"]
              })
            ),
            (child) => Effect.sync(() => child.kill("SIGKILL"))
          )
        )
        yield* Effect.promise(() => Promise.all(children.map((child) => once(child.stdout, "data"))))
        const ends = children.map((child: ChildProcess) => once(child, "exit"))
        for (const child of children) child.stdin.write("go\n")
        assert.deepStrictEqual(
          (yield* Effect.promise(() => Promise.all(ends))).map(([code]) => code),
          [0, 0, 0, 0]
        )
        assert.strictEqual((yield* on(open(), select("SELECT goal_id FROM driver_bindings"))).length, 4)
      })
    )
  })
}

for (const { available, database, name } of sqlBackends) {
  describe.skipIf(!available)(`Stores on ${name}`, () => {
    const fails = (statement: string, call: Effect.Effect<unknown, unknown, BindingStore | DecisionStore>) =>
      Effect.gen(function* () {
        yield* (yield* BindingStore).upsert(bindingInput(1))
        yield* (yield* DecisionStore).record(decision(1))
        yield* select(statement)
        const error = yield* Effect.flip(call)
        assert.deepInclude(error, { _tag: "StoreError", retryable: false })
        return error
      }).pipe(Effect.provide(Layer.provideMerge(Stores.layer(), database)))

    const listAll = Effect.flatMap(BindingStore, (store) => store.listAll)
    const list = Effect.flatMap(DecisionStore, (store) => store.list(goalIdOf(1)))

    it.effect("fail on a row of another shape, and do not die", () =>
      Effect.gen(function* () {
        for (const change of [
          "goal_id = 'no uuid'",
          "session_id = ''",
          "live = 7",
          "created_at = 9007199254740993",
          "last_active_at = 9000000000000000"
        ]) {
          const error = yield* fails(`UPDATE driver_bindings SET ${change}`, listAll)
          assert.match(String(error), /BindingStore\.listAll failed: a record does not have the expected shape/)
        }
        for (const change of ["input = '{'", "input = '3'", 'choice = \'{"kind":"maybe"}\'', "turn = -1", "id = 'x'"]) {
          yield* fails(`UPDATE driver_decisions SET ${change}`, list)
        }
      })
    )

    it.effect("fail on a table that is gone", () => fails("DROP TABLE driver_bindings", listAll))

    it.effect("do not mind that somebody has asked for safe integers", () =>
      Effect.gen(function* () {
        const store = yield* BindingStore
        yield* store.upsert(bindingInput(1))
        const before = yield* store.listAll
        const big = yield* Effect.provideService(store.listAll, SqlClient.SafeIntegers, true)
        assert.deepStrictEqual([big, yield* store.listAll], [before, before])
      }).pipe(Effect.provide(Layer.provideMerge(SqlBindingStore.layer(), database)))
    )
  })
}

describe("Database.layerSqlite", () => {
  const failure = (filename: string) => Effect.flip(on(Database.layerSqlite({ filename }), Effect.void))

  it.scopedLive("keeps what was written when it is closed and opened again, in WAL mode", () =>
    Effect.gen(function* () {
      const filename = yield* newFile
      const pragmas = Effect.all([select("PRAGMA journal_mode"), select("PRAGMA synchronous")])
      const [[mode], [normal]] = yield* on(Database.layerSqlite({ filename }), pragmas)
      assert.deepStrictEqual([mode, normal], [{ journal_mode: "wal" }, { synchronous: 1 }])
      const [, [full]] = yield* on(Database.layerSqlite({ filename, synchronous: "FULL" }), pragmas)
      assert.deepStrictEqual(full, { synchronous: 2 })
    })
  )

  it.scopedLive("says what is wrong with a file that cannot be opened", () =>
    Effect.gen(function* () {
      const filename = yield* newFile
      const missing = yield* failure(`${filename}.d/driver.db`)
      assert.deepInclude(missing, { _tag: "DatabaseError", reason: "missing_directory" })
      assert.match(
        missing.message,
        /driver\.db\.d\/driver\.db cannot be opened: its directory does not exist; create it/
      )

      writeFileSync(filename, "this is a text, and a long one, not a database at all\n".repeat(40))
      assert.deepInclude(yield* failure(filename), { reason: "not_a_database", database: filename })

      mkdirSync(`${filename}.dir`)
      assert.deepInclude(yield* failure(`${filename}.dir`), { reason: "no_access" })

      const damaged = `${filename}.damaged`
      yield* on(Database.layerSqlite({ filename: damaged }), Effect.void)
      const bytes = readFileSync(damaged)
      writeFileSync(damaged, bytes.fill(0xa5, 100, bytes.length))
      assert.deepInclude(yield* failure(damaged), { reason: "corrupt" })

      writeFileSync(`${filename}.empty`, "")
      yield* on(Database.layerSqlite({ filename: `${filename}.empty` }), Effect.void)
    })
  )

  it("names what SQLite and PostgreSQL say", () => {
    const reason = (code: string, message = "…") =>
      Database.failedToOpen("db", new SqlError({ cause: Object.assign(new Error(message), { code }) })).reason
    assert.deepStrictEqual(
      [
        "SQLITE_READONLY",
        "SQLITE_READONLY_DIRECTORY",
        "SQLITE_FULL",
        "SQLITE_CORRUPT_VTAB",
        "SQLITE_BUSY_SNAPSHOT"
      ].map((code) => reason(code)),
      ["read_only", "read_only", "disk_full", "corrupt", "busy"]
    )
    assert.deepStrictEqual(
      ["28P01", "28000", "3D000", "42501", "53100", "ECONNREFUSED", "57P03", "XX000"].map((code) => reason(code)),
      [
        "login_refused",
        "login_refused",
        "no_such_database",
        "read_only",
        "disk_full",
        "unreachable",
        "unreachable",
        "failed"
      ]
    )
    assert.strictEqual(
      Database.failedToOpen("db", new SqlError({ cause: Object.assign(new Error("full"), { code: "SQLITE_FULL" }) }))
        .message,
      "The database db cannot be opened: there is no space left; make some (full (SQLITE_FULL))"
    )
  })

  const locked = Effect.gen(function* () {
    const filename = yield* newFile
    const raw = yield* Effect.acquireRelease(
      Effect.map(on(Database.layerSqlite({ filename }), Effect.void), () => new Sqlite(filename)),
      (db) => Effect.sync(() => db.close())
    )
    const stores = Layer.provide(SqlBindingStore.layer(), Database.layerSqlite({ filename }))
    return { filename, raw, stores }
  })

  it.scoped("waits with a migration while another process writes", () =>
    Effect.gen(function* () {
      const { filename, raw } = yield* locked
      raw.exec("BEGIN IMMEDIATE")
      const opened = yield* Effect.fork(
        on(Database.layerSqlite({ filename, migrations: [...migrations, second] }), versions)
      )
      yield* TestClock.adjust("1 seconds")
      assert.isTrue(Option.isNone(yield* Fiber.poll(opened)))
      raw.exec("COMMIT")
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual((yield* Fiber.join(opened)).at(-1), second.version)
    })
  )

  it.scoped("waits while another process writes, and then fails as retryable", () =>
    Effect.gen(function* () {
      const { raw, stores } = yield* locked
      yield* Effect.gen(function* () {
        const bindings = yield* BindingStore
        raw.exec("BEGIN IMMEDIATE")
        const write = yield* Effect.fork(bindings.upsert(bindingInput(1)))
        yield* TestClock.adjust("1 seconds")
        assert.isTrue(Option.isNone(yield* Fiber.poll(write)))
        // Reading goes on meanwhile.
        assert.deepStrictEqual(yield* bindings.get(goalIdOf(1)), Option.none())
        raw.exec("COMMIT")
        yield* TestClock.adjust("1 seconds")
        assert.isTrue((yield* Fiber.join(write)).live)

        raw.exec("BEGIN IMMEDIATE")
        const failed = yield* Effect.fork(Effect.flip(bindings.upsert(bindingInput(2))))
        yield* TestClock.adjust("6 seconds")
        assert.deepInclude(yield* Fiber.join(failed), { operation: "BindingStore.upsert", retryable: true })
      }).pipe(Effect.provide(stores))
    })
  )
})

describe("A full disk", () => {
  it.effect("fails as retryable, says what to do, and loses nothing", () =>
    Effect.gen(function* () {
      const journal = yield* Journal
      yield* journal.append(records(1, 1, 1))
      yield* select("PRAGMA max_page_count = 1")
      const long = "x".repeat(500_000)
      const error = yield* Effect.flip(journal.append([record(1, 2, { entry: step(long) })]))
      assert.deepInclude(error, { _tag: "StoreError", operation: "Journal.append", retryable: true })
      assert.match(error.message, /no space is left where the database is, make some: .*SQLITE_FULL/)
      assert.strictEqual(yield* journal.head(goalIdOf(1)), 1)
      yield* select("PRAGMA max_page_count = 100000")
      yield* journal.append([record(1, 2, { entry: step(long) })])
      assert.strictEqual(yield* journal.head(goalIdOf(1)), 2)
    }).pipe(Effect.provide(Layer.provideMerge(SqlJournal.layer(), layerSqliteTest)))
  )
})

describe.skipIf(!hasPostgres)("Database.layerPostgres", () => {
  const failure = (change: (url: URL) => void) =>
    Effect.gen(function* () {
      const { url } = yield* newSchema
      change(url)
      return yield* Effect.flip(
        on(Database.layerPostgres({ url: Redacted.make(url.href), connectTimeout: "2 seconds" }), Effect.void)
      )
    })

  it.scopedLive("says what is wrong with a server that cannot be used, without the password", () =>
    Effect.gen(function* () {
      const away = yield* failure((url) => {
        url.port = "1"
        url.password = "secret"
      })
      assert.deepInclude(away, { reason: "unreachable" })
      assert.notInclude(JSON.stringify(away) + away.message, "secret")
      const none = yield* failure((url) => {
        url.pathname = "/driver_no_such_database"
      })
      assert.deepInclude(none, { reason: "no_such_database" })
      assert.match(none.message, /\/driver_no_such_database cannot be opened: the server has no such database/)
      const login = yield* failure((url) => {
        url.username = "driver_no_such_user"
      })
      assert.deepInclude(login, { reason: "login_refused" })
      const nonsense = yield* Effect.flip(
        on(
          Database.layerPostgres({ url: Redacted.make("postgres://[secret"), connectTimeout: "1 seconds" }),
          Effect.void
        )
      )
      assert.notInclude(JSON.stringify(nonsense) + nonsense.message, "secret")
    })
  )

  it.scopedLive("fails as retryable while the server is away, and works again when it is back", () =>
    Effect.gen(function* () {
      const { url } = yield* newSchema
      const proxy = yield* makeProxy(Number(url.port || 5432), url.hostname)
      url.hostname = "127.0.0.1"
      url.port = String(proxy.port)
      const database = Database.layerPostgres({ url: Redacted.make(url.href), connectTimeout: "2 seconds" })
      yield* Effect.gen(function* () {
        const store = yield* BindingStore
        const stored = yield* store.upsert(bindingInput(1))
        yield* proxy.stop
        for (let call = 0; call < 3; call++) {
          assert.deepInclude(yield* Effect.flip(store.get(goalIdOf(1))), {
            operation: "BindingStore.get",
            retryable: true
          })
        }
        yield* proxy.start
        assert.deepStrictEqual(yield* store.get(goalIdOf(1)), Option.some(stored))
      }).pipe(Effect.provide(Layer.provide(SqlBindingStore.layer(), database)))
    })
  )

  it.scopedLive("fails as retryable when the server falls silent, and works again when it speaks", () =>
    Effect.gen(function* () {
      const { url } = yield* newSchema
      const proxy = yield* makeProxy(Number(url.port || 5432), url.hostname)
      url.hostname = "127.0.0.1"
      url.port = String(proxy.port)
      const database = Database.layerPostgres({
        url: Redacted.make(url.href),
        maxConnections: 1,
        statementTimeout: "1 seconds"
      })
      yield* Effect.gen(function* () {
        const journal = yield* Journal
        yield* journal.append(records(1, 1, 1))
        yield* proxy.stall
        assert.deepInclude(yield* Effect.flip(journal.append(records(1, 2, 2))), {
          operation: "Journal.append",
          retryable: true
        })
        yield* proxy.resume
        // It may have been written after all: said again, it is there once.
        yield* journal.append(records(1, 2, 3))
        assert.strictEqual(yield* journal.head(goalIdOf(1)), 3)
      }).pipe(Effect.provide(Layer.provide(SqlJournal.layer(), database)))
    })
  )
})
