/**
 * The tables, and how a database gets from one version of them to the next.
 *
 * One list of migrations serves SQLite and PostgreSQL. A database of an older
 * version is brought up to date in one transaction, under a lock, so that two
 * drivers that start at once do it once; one of a newer version is refused. Never
 * edit a migration that has been released: add one.
 */
import type { StoreError } from "@driver/runtime/StoreError"
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { ParseError } from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { Whole } from "./internal/columns.js"
import { toStoreError, whileBusy } from "./internal/sqlFailure.js"

/** The database was made by a newer driver. Nothing was changed; use that driver, or another database. */
export class SchemaTooNew extends Schema.TaggedError<SchemaTooNew>()("SchemaTooNew", {
  /** The database's version. */
  found: Schema.Int,
  /** The newest that this driver knows. */
  known: Schema.Int,
  /** File or server, without credentials. */
  database: Schema.String
}) {
  override get message() {
    return (
      `The database ${this.database} has schema version ${this.found} and this driver knows versions up to ${this.known}: ` +
      `use the newer driver that made it, or another database.`
    )
  }
}

export type Dialect = "sqlite" | "pg"

export interface Migration {
  readonly version: number
  readonly name: string
  /** Run in order, in one transaction with the other migrations that are due. */
  readonly statements: (dialect: Dialect) => ReadonlyArray<string>
}

/** Ascending versions from 1, without gaps. */
export const migrations: ReadonlyArray<Migration> = [
  {
    version: 1,
    name: "bindings, compact summaries, decisions",
    statements: (dialect) => {
      const pg = dialect === "pg"
      const key = pg ? `TEXT COLLATE "C"` : "TEXT"
      const whole = pg ? "BIGINT" : "INTEGER"
      const serial = pg ? "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY" : "INTEGER PRIMARY KEY AUTOINCREMENT"
      const strict = pg ? "" : "STRICT"
      return [
        `CREATE TABLE driver_bindings (
          goal_id ${key} NOT NULL PRIMARY KEY,
          session_id TEXT NOT NULL,
          model TEXT,
          workspace TEXT NOT NULL,
          origin_channel TEXT,
          dispatcher TEXT,
          live ${whole} NOT NULL,
          invalid_reason TEXT,
          created_at ${whole} NOT NULL,
          updated_at ${whole} NOT NULL,
          last_active_at ${whole} NOT NULL
        ) ${strict}`,
        `CREATE INDEX driver_bindings_activity ON driver_bindings (last_active_at)`,
        `CREATE TABLE driver_compact_summaries (
          goal_id ${key} NOT NULL,
          turn ${whole} NOT NULL,
          summary TEXT NOT NULL,
          stored_at ${whole} NOT NULL,
          PRIMARY KEY (goal_id, turn)
        ) ${strict}`,
        `CREATE TABLE driver_decisions (
          recorded ${serial},
          id ${key} NOT NULL UNIQUE,
          goal_id ${key} NOT NULL,
          turn ${whole} NOT NULL,
          tool TEXT NOT NULL,
          input TEXT NOT NULL,
          choice TEXT NOT NULL,
          rationale TEXT NOT NULL,
          decided_at ${whole} NOT NULL,
          words TEXT NOT NULL
        ) ${strict}`,
        `CREATE INDEX driver_decisions_goal ON driver_decisions (goal_id, decided_at, recorded)`,
        ...(pg ? decisionWordsPg : decisionWordsSqlite)
      ]
    }
  },
  {
    version: 2,
    name: "questions to a person",
    statements: (dialect) => {
      const pg = dialect === "pg"
      const key = pg ? `TEXT COLLATE "C"` : "TEXT"
      const whole = pg ? "BIGINT" : "INTEGER"
      return [
        `CREATE TABLE driver_approvals (
          id ${key} NOT NULL PRIMARY KEY,
          goal_id ${key} NOT NULL,
          state TEXT NOT NULL,
          question TEXT NOT NULL,
          answer TEXT,
          asked_at ${whole} NOT NULL,
          expires_at ${whole} NOT NULL,
          ended_at ${whole}
        ) ${pg ? "" : "STRICT"}`,
        `CREATE INDEX driver_approvals_open ON driver_approvals (state, expires_at)`
      ]
    }
  },
  {
    version: 3,
    name: "intents, mounts and projects",
    statements: (dialect) => {
      const pg = dialect === "pg"
      const key = pg ? `TEXT COLLATE "C"` : "TEXT"
      const whole = pg ? "BIGINT" : "INTEGER"
      const serial = pg ? "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY" : "INTEGER PRIMARY KEY AUTOINCREMENT"
      const strict = pg ? "" : "STRICT"
      return [
        `CREATE TABLE driver_intent_commits (
          session_id ${key} NOT NULL,
          revision ${whole} NOT NULL,
          updated_at ${whole} NOT NULL,
          session TEXT NOT NULL,
          messages TEXT NOT NULL,
          PRIMARY KEY (session_id, revision)
        ) ${strict}`,
        `CREATE TABLE driver_intent_records (
          intent_id ${key} NOT NULL,
          sequence ${whole} NOT NULL,
          record TEXT NOT NULL,
          PRIMARY KEY (intent_id, sequence)
        ) ${strict}`,
        `CREATE TABLE driver_mounts (
          id ${key} NOT NULL PRIMARY KEY,
          name TEXT NOT NULL,
          name_key ${key} NOT NULL UNIQUE,
          path TEXT NOT NULL,
          summary TEXT,
          last_used_at ${whole}
        ) ${strict}`,
        `CREATE TABLE driver_projects (
          id ${key} NOT NULL PRIMARY KEY,
          name TEXT NOT NULL,
          name_key ${key} NOT NULL UNIQUE,
          mounts TEXT NOT NULL,
          instructions TEXT NOT NULL
        ) ${strict}`,
        `CREATE TABLE driver_session_mounts (
          session_id ${key} NOT NULL PRIMARY KEY,
          mount_id ${key} NOT NULL
        ) ${strict}`,
        `CREATE TABLE driver_delegations (
          goal_id ${key} NOT NULL PRIMARY KEY,
          plan TEXT NOT NULL
        ) ${strict}`,
        `CREATE TABLE driver_delegation_results (
          recorded ${serial},
          goal_id ${key} NOT NULL,
          subtask_id ${key} NOT NULL,
          result TEXT NOT NULL,
          UNIQUE (goal_id, subtask_id)
        ) ${strict}`,
        `CREATE TABLE driver_goal_results (
          goal_id ${key} NOT NULL PRIMARY KEY,
          result TEXT NOT NULL
        ) ${strict}`
      ]
    }
  },
  {
    version: 4,
    name: "journal, outbox, goals, leases, commands, account limits",
    statements: (dialect) => {
      const pg = dialect === "pg"
      const key = pg ? `TEXT COLLATE "C"` : "TEXT"
      const whole = pg ? "BIGINT" : "INTEGER"
      const serial = pg ? "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY" : "INTEGER PRIMARY KEY AUTOINCREMENT"
      const strict = pg ? "" : "STRICT"
      return [
        // `consumers`: a JSON array of those whose outbox the event was put into.
        `CREATE TABLE driver_journal (
          goal_id ${key} NOT NULL,
          sequence ${whole} NOT NULL,
          id ${key} NOT NULL UNIQUE,
          version ${whole} NOT NULL,
          kind TEXT NOT NULL,
          at ${whole} NOT NULL,
          epoch ${whole} NOT NULL,
          entry TEXT NOT NULL,
          consumers TEXT,
          PRIMARY KEY (goal_id, sequence)
        ) ${strict}`,
        `CREATE TABLE driver_outbox (
          position ${serial},
          consumer ${key} NOT NULL,
          goal_id ${key} NOT NULL,
          sequence ${whole} NOT NULL
        ) ${strict}`,
        `CREATE INDEX driver_outbox_consumer ON driver_outbox (consumer, position)`,
        // An append is one statement on both: PostgreSQL writes two tables with one, SQLite does not.
        ...(pg
          ? []
          : [
              `CREATE TRIGGER driver_journal_inserted AFTER INSERT ON driver_journal WHEN new.consumers IS NOT NULL BEGIN
                INSERT INTO driver_outbox (consumer, goal_id, sequence)
                SELECT value, new.goal_id, new.sequence FROM json_each(new.consumers);
              END`
            ]),
        // No owner: nobody holds the goal now. Epoch 0: nobody ever has.
        `CREATE TABLE driver_leases (
          goal_id ${key} NOT NULL PRIMARY KEY,
          owner TEXT,
          epoch ${whole} NOT NULL,
          heartbeat ${whole} NOT NULL
        ) ${strict}`,
        `CREATE TABLE driver_goals (
          submitted ${serial},
          goal_id ${key} NOT NULL UNIQUE,
          state TEXT NOT NULL,
          submission TEXT NOT NULL,
          ended_at ${whole},
          outcome TEXT,
          reason TEXT
        ) ${strict}`,
        `CREATE INDEX driver_goals_state ON driver_goals (state, submitted)`,
        `CREATE TABLE driver_commands (
          left_as ${serial},
          id ${key} NOT NULL UNIQUE,
          goal_id ${key} NOT NULL,
          command TEXT NOT NULL
        ) ${strict}`,
        `CREATE INDEX driver_commands_goal ON driver_commands (goal_id, left_as)`,
        `CREATE TABLE driver_account_limits (
          account ${key} NOT NULL PRIMARY KEY,
          until ${whole} NOT NULL,
          reason TEXT NOT NULL,
          probe_goal TEXT,
          probe_since ${whole},
          revision ${whole} NOT NULL
        ) ${strict}`
      ]
    }
  },
  {
    version: 5,
    name: "who delivers what waits in the outbox",
    statements: (dialect) => {
      const pg = dialect === "pg"
      const key = pg ? `TEXT COLLATE "C"` : "TEXT"
      const whole = pg ? "BIGINT" : "INTEGER"
      return [
        // No owner: nobody does now. The heartbeat only grows, so that no claim is taken for an earlier one.
        `CREATE TABLE driver_outbox_claims (
          consumer ${key} NOT NULL PRIMARY KEY,
          owner TEXT,
          heartbeat ${whole} NOT NULL
        ) ${pg ? "" : "STRICT"}`
      ]
    }
  }
]

// The words are cut, lower case and free of punctuation already: no dictionary, no stemming.
const decisionWordsPg = [
  `ALTER TABLE driver_decisions ADD COLUMN search TSVECTOR GENERATED ALWAYS AS (array_to_tsvector(string_to_array(words, ' '))) STORED`,
  `CREATE INDEX driver_decisions_words ON driver_decisions USING GIN (search)`
]

const decisionWordsSqlite = [
  `CREATE VIRTUAL TABLE driver_decision_words USING fts5 (
    words, content = 'driver_decisions', content_rowid = 'recorded',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M* Co'"
  )`,
  `CREATE TRIGGER driver_decisions_inserted AFTER INSERT ON driver_decisions BEGIN
    INSERT INTO driver_decision_words (rowid, words) VALUES (new.recorded, new.words);
  END`,
  `CREATE TRIGGER driver_decisions_deleted AFTER DELETE ON driver_decisions BEGIN
    INSERT INTO driver_decision_words (driver_decision_words, rowid, words) VALUES ('delete', old.recorded, old.words);
  END`,
  `CREATE TRIGGER driver_decisions_updated AFTER UPDATE ON driver_decisions BEGIN
    INSERT INTO driver_decision_words (driver_decision_words, rowid, words) VALUES ('delete', old.recorded, old.words);
    INSERT INTO driver_decision_words (rowid, words) VALUES (new.recorded, new.words);
  END`
]

export interface MigrationReport {
  /** 0 for a new database. */
  readonly from: number
  readonly to: number
}

export interface MigrateOptions {
  /** How errors name the database. Default: its kind. */
  readonly database?: string
  /** Default: this module's. */
  readonly migrations?: ReadonlyArray<Migration>
}

/** Brings the database up to date, or refuses it. One that is up to date is only read. */
export const migrate = (
  options: MigrateOptions = {}
): Effect.Effect<MigrationReport, SchemaTooNew | StoreError, SqlClient.SqlClient> =>
  migrateOrSqlError(options).pipe(
    Effect.catchTags({
      SqlError: (error) => Effect.fail(toStoreError("Migrations.migrate", error)),
      ParseError: (error) => Effect.fail(toStoreError("Migrations.migrate", error))
    })
  )

/** `migrate` with the database's own errors, for whoever names them otherwise. */
export const migrateOrSqlError = Effect.fn("Migrations.migrate")(function* (
  options: MigrateOptions
): Effect.fn.Return<MigrationReport, SchemaTooNew | SqlError | ParseError, SqlClient.SqlClient> {
  const sql = yield* SqlClient.SqlClient
  const dialect = yield* dialectOf(sql)
  const due = options.migrations ?? migrations
  const known = due.reduce((latest, { version }) => Math.max(latest, version), 0)
  const database = options.database ?? (dialect === "pg" ? "of the PostgreSQL server" : "of SQLite")

  const check = Effect.fnUntraced(function* () {
    const found = (yield* hasVersions(sql, dialect)) ? yield* latestVersion(sql) : 0
    return found > known ? yield* new SchemaTooNew({ found, known, database }) : found
  })

  const found = yield* Effect.retry(check(), whileBusy("30 seconds"))
  if (found === known) return { from: found, to: known }
  return yield* exclusively(
    sql,
    dialect,
    Effect.gen(function* () {
      // Another driver may have done it while we waited for the lock.
      const from = yield* check()
      yield* sql.unsafe(
        `CREATE TABLE IF NOT EXISTS driver_schema (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at ${dialect === "pg" ? "BIGINT" : "INTEGER"} NOT NULL)`
      )
      const at = Math.floor(yield* Clock.currentTimeMillis)
      for (const { name, statements, version } of due) {
        if (version <= from) continue
        for (const statement of statements(dialect)) yield* sql.unsafe(statement)
        yield* sql`INSERT INTO driver_schema (version, name, applied_at) VALUES (${version}, ${name}, ${at})`
      }
      return { from, to: known }
    })
  )
})

const dialectOf = (sql: SqlClient.SqlClient): Effect.Effect<Dialect, SqlError> =>
  sql.onDialectOrElse({
    sqlite: () => Effect.succeed<Dialect>("sqlite"),
    pg: () => Effect.succeed<Dialect>("pg"),
    orElse: () =>
      Effect.fail(new SqlError({ message: "the stores need SQLite or PostgreSQL, this is another database" }))
  })

// Not `to_regclass`: it answers from a cache that may not know yet what another connection has just created.
const hasVersions = (sql: SqlClient.SqlClient, dialect: Dialect) =>
  Effect.map(
    dialect === "pg"
      ? sql`
          SELECT 1 AS present FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relname = 'driver_schema' AND n.nspname = ANY (current_schemas(false))`
      : sql`SELECT 1 AS present FROM sqlite_master WHERE type = 'table' AND name = 'driver_schema'`,
    (rows) => rows.length > 0
  )

const decodeLatest = Schema.decodeUnknown(Schema.Tuple(Schema.Struct({ latest: Schema.NullOr(Whole) })))

const latestVersion = (sql: SqlClient.SqlClient) =>
  Effect.map(
    Effect.flatMap(sql`SELECT MAX(version) AS latest FROM driver_schema`, decodeLatest),
    ([{ latest }]) => latest ?? 0
  )

// Any number that nobody else in the same PostgreSQL database uses for an advisory lock.
const advisoryLock = "7236982250"

/** `sql.withTransaction` cannot be used: it begins deferred on SQLite, and a failed commit is a defect there. */
const exclusively = <A, E>(sql: SqlClient.SqlClient, dialect: Dialect, effect: Effect.Effect<A, E>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const connection = yield* sql.reserve
      const run = (statement: string) => connection.executeRaw(statement, [])
      yield* dialect === "pg" ? run("BEGIN") : Effect.retry(run("BEGIN IMMEDIATE"), whileBusy("30 seconds"))
      const exit = yield* Effect.gen(function* () {
        if (dialect === "pg") {
          // Less than a statement may take.
          yield* run("SET LOCAL lock_timeout = '20s'")
          yield* run(`SELECT pg_advisory_xact_lock(${advisoryLock})`)
        }
        return yield* effect
      }).pipe(
        Effect.provideService(SqlClient.TransactionConnection, [connection, 0] as const),
        restore,
        // A COMMIT that fails leaves the transaction open on SQLite.
        Effect.tap(() => run("COMMIT")),
        Effect.exit
      )
      if (Exit.isFailure(exit)) yield* Effect.ignore(run("ROLLBACK"))
      return yield* exit
    }).pipe(Effect.scoped)
  )
