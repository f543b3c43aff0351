/**
 * Opens the database that the stores are in: SQLite, a file, by default;
 * PostgreSQL by configuration. What these layers give is open, set up and migrated.
 *
 * Owns the connections, until the scope closes, and the names of everything that
 * can be wrong with a database before the first call.
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as Url from "@effect/platform/Url"
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { busyTimeoutMillis, codeOf, detailOf, isAway, isBusy, whileBusy } from "./internal/sqlFailure.js"
import { type Migration, migrateOrSqlError, type SchemaTooNew } from "./Migrations.js"

/** The database could not be opened. One `reason` per different mend; `message` says it. */
export class DatabaseError extends Schema.TaggedError<DatabaseError>()("DatabaseError", {
  /** File or server, without credentials. */
  database: Schema.String,
  reason: Schema.Literal(
    "missing_directory",
    "not_a_database",
    "corrupt",
    "read_only",
    /** It is a directory, or this user may not open it. */
    "no_access",
    "disk_full",
    /** Another process has it locked for longer than we wait. */
    "busy",
    /** No server answers there. */
    "unreachable",
    /** The server refused the user or the password. */
    "login_refused",
    "no_such_database",
    "failed"
  ),
  /** What the database said. */
  detail: Schema.String
}) {
  override get message() {
    return `The database ${this.database} cannot be opened: ${mends[this.reason]} (${this.detail})`
  }
}

const mends: { readonly [Reason in DatabaseError["reason"]]: string } = {
  missing_directory: "its directory does not exist; create it or name another file",
  not_a_database: "the file is not an SQLite database; name another file",
  corrupt: "the file is damaged; move it away or restore it from a copy",
  read_only: "it may not be written; give this user the right to write the file and its directory",
  no_access: "it is a directory, or this user may not open it; name another file or give the right to it",
  disk_full: "there is no space left; make some",
  busy: "another process keeps it locked; end that process or wait for it",
  unreachable: "no server answers there; start it or correct the address",
  login_refused: "the server does not accept the user or the password; correct them",
  no_such_database: "the server has no such database; create it or name another",
  failed: "see the detail"
}

export interface SqliteOptions {
  /** Path of the file, made when absent; its directory must exist. `:memory:` for one that nobody else sees. */
  readonly filename: string
  /**
   * `NORMAL`, the default, survives the death of the process at any moment; loss of power may take the last
   * transactions, and never more. `FULL` survives that too, at about four times the cost per write.
   */
  readonly synchronous?: "NORMAL" | "FULL"
  /** Default: the driver's own. */
  readonly migrations?: ReadonlyArray<Migration>
}

/** An SQLite file in WAL mode. Any number of processes may have it open. */
export const layerSqlite = (options: SqliteOptions): Layer.Layer<SqlClient.SqlClient, DatabaseError | SchemaTooNew> =>
  Layer.scoped(
    SqlClient.SqlClient,
    Effect.gen(function* () {
      const sql = yield* openSqlite(options)
      yield* bringUpToDate(sql, options.filename, options.migrations)
      return sql
    })
  ).pipe(Layer.provide(Reactivity.layer))

const openSqlite = (options: SqliteOptions) =>
  Effect.gen(function* () {
    const sql = yield* SqliteClient.make({ filename: options.filename, disableWAL: true }).pipe(
      // The client throws what SQLite says on opening.
      Effect.catchAllDefect((cause) => Effect.fail(new SqlError({ cause })))
    )
    yield* sql.unsafe(`PRAGMA busy_timeout = ${busyTimeoutMillis}`)
    yield* sql.unsafe("PRAGMA journal_mode = WAL")
    yield* sql.unsafe(`PRAGMA synchronous = ${options.synchronous ?? "NORMAL"}`)
    return sql
  }).pipe(
    inOwnScope,
    // Two processes that make the same new file at once: one of them finds it locked.
    Effect.retry(whileBusy("30 seconds")),
    Effect.mapError((error) => failedToOpen(options.filename, error))
  )

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database` */
  readonly url: Redacted.Redacted
  /** Default 10. */
  readonly maxConnections?: number
  /** How long a call waits for a connection before it fails as retryable. Default 5 seconds. */
  readonly connectTimeout?: Duration.DurationInput
  /** How long a statement may take, also when the server says nothing, before it fails as retryable. Default 30 seconds. */
  readonly statementTimeout?: Duration.DurationInput
  /** Default: the driver's own. */
  readonly migrations?: ReadonlyArray<Migration>
}

/** A pool of connections to a PostgreSQL server. The tables are made in the first schema of the search path. */
export const layerPostgres = (
  options: PostgresOptions
): Layer.Layer<SqlClient.SqlClient, DatabaseError | SchemaTooNew> =>
  Layer.scoped(
    SqlClient.SqlClient,
    Effect.gen(function* () {
      const database = nameOf(options.url)
      const client = yield* Effect.promise(() => import("./internal/postgresClient.js"))
      const sql = yield* client
        .make({
          url: withTimeout(options.url, options.statementTimeout ?? "30 seconds"),
          // A connection on which nothing arrives any more is still given out again; not for longer than this.
          connectionTTL: "5 minutes",
          applicationName: "driver",
          maxConnections: options.maxConnections ?? 10,
          connectTimeout: options.connectTimeout ?? "5 seconds"
        })
        .pipe(
          Effect.catchAllDefect((cause) => Effect.fail(new SqlError({ cause }))),
          Effect.mapError((error) => failedToOpen(database, error))
        )
      yield* bringUpToDate(sql, database, options.migrations)
      return sql
    })
  ).pipe(Layer.provide(Reactivity.layer))

/** The client takes these from the address only. What the address says already stays. */
const withTimeout = (url: Redacted.Redacted, timeout: Duration.DurationInput): Redacted.Redacted =>
  Either.match(Url.fromString(Redacted.value(url)), {
    onLeft: () => url,
    onRight: (address) => {
      for (const name of ["statement_timeout", "query_timeout"]) {
        if (!address.searchParams.has(name)) address.searchParams.set(name, String(Duration.toMillis(timeout)))
      }
      return Redacted.make(address.href)
    }
  })

/** Host, port and database of the address: what may be shown. */
const nameOf = (url: Redacted.Redacted): string =>
  Either.match(Url.fromString(Redacted.value(url)), {
    onLeft: () => "at an address that is not a URL",
    onRight: ({ host, pathname }) => `postgres://${host}${pathname}`
  })

const bringUpToDate = (sql: SqlClient.SqlClient, database: string, migrations: ReadonlyArray<Migration> | undefined) =>
  migrateOrSqlError(migrations === undefined ? { database } : { database, migrations }).pipe(
    Effect.provideService(SqlClient.SqlClient, sql),
    Effect.catchTags({
      SqlError: (error) => Effect.fail(failedToOpen(database, error)),
      ParseError: (error) =>
        Effect.fail(
          new DatabaseError({ database, reason: "failed", detail: `driver_schema is not ours: ${error.message}` })
        )
    })
  )

/** Closes at once what a failed attempt has opened. */
const inOwnScope = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const outer = yield* Effect.scope
      const own = yield* Scope.make()
      const exit = yield* Effect.exit(restore(Effect.provideService(effect, Scope.Scope, own)))
      if (Exit.isFailure(exit)) yield* Scope.close(own, exit)
      else yield* Scope.addFinalizerExit(outer, (end) => Scope.close(own, end))
      return yield* exit
    })
  )

/** Which of our names fits what the database said. */
export const failedToOpen = (database: string, error: SqlError): DatabaseError =>
  new DatabaseError({ database, reason: reasonOf(error), detail: detailOf(error) })

const reasonOf = (error: SqlError): DatabaseError["reason"] => {
  const code = codeOf(error.cause)
  const detail = detailOf(error)
  if (isBusy(error)) return "busy"
  if (/directory does not exist/.test(detail)) return "missing_directory"
  if (code === "SQLITE_NOTADB") return "not_a_database"
  if (/^SQLITE_CORRUPT/.test(code)) return "corrupt"
  if (/^SQLITE_(CANTOPEN|PERM|AUTH)/.test(code)) return "no_access"
  if (/^SQLITE_READONLY/.test(code) || code === "25006" || code === "42501") return "read_only"
  if (code === "SQLITE_FULL" || code === "53100") return "disk_full"
  if (code === "3D000") return "no_such_database"
  if (/^28/.test(code)) return "login_refused"
  return isAway(error) || /^(08|57P0)/.test(code) ? "unreachable" : "failed"
}
