/**
 * A PostgreSQL schema of a test's own. The server is at DRIVER_TEST_POSTGRES_URL, else
 * at postgres://postgres@127.0.0.1:5432/test. Where none answers, tests are skipped with
 * the reason printed, unless DRIVER_TEST_REQUIRE_SERVICES=1: then they fail.
 */
import { randomUUID } from "node:crypto"
import * as Database from "@driver/store/Database"
import * as Reactivity from "@effect/experimental/Reactivity"
import type { SqlClient } from "@effect/sql/SqlClient"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, Layer, Redacted } from "effect"

const address = process.env["DRIVER_TEST_POSTGRES_URL"] ?? "postgres://postgres@127.0.0.1:5432/test"

const connect = PgClient.make({ url: Redacted.make(address), connectTimeout: "30 seconds", maxConnections: 2 }).pipe(
  Effect.provide(Reactivity.layer)
)

/** Why there is no PostgreSQL; undefined when there is. */
const missing = await Effect.runPromise(
  connect.pipe(
    Effect.scoped,
    Effect.as(undefined),
    Effect.catchAll((error) =>
      Effect.succeed(`no PostgreSQL at ${address.replace(/:[^:@/]*@/, ":…@")}: ${error.cause}`)
    )
  )
)

export const hasPostgres = missing === undefined

if (missing !== undefined) {
  if (process.env["DRIVER_TEST_REQUIRE_SERVICES"] === "1") throw new Error(missing)
  console.warn(`skipped: ${missing}`)
}

/** Runs a statement outside every schema of a test. */
export const asAdmin = (statement: string) =>
  Effect.scoped(Effect.flatMap(connect, (sql) => sql.unsafe<Record<string, unknown>>(statement)))

/** The address of a new, empty schema that is dropped with the scope; also on another port of the same server. */
export const newSchema = Effect.gen(function* () {
  const name = `driver_test_${randomUUID().replaceAll("-", "")}`
  yield* Effect.acquireRelease(asAdmin(`CREATE SCHEMA ${name}`), () =>
    Effect.orDie(asAdmin(`DROP SCHEMA ${name} CASCADE`))
  )
  const url = new URL(address)
  url.searchParams.set("options", `-c search_path=${name}`)
  return { name, url }
})

/** A migrated database in a schema of its own. */
export const layerPostgresTest: Layer.Layer<SqlClient> = Layer.unwrapScoped(
  Effect.map(newSchema, ({ url }) =>
    Database.layerPostgres({ url: Redacted.make(url.href), maxConnections: 3, connectTimeout: "30 seconds" })
  )
).pipe(Layer.orDie)
