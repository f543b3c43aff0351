/** The three places a store can be: one contract for all of them. */
import { Approvals } from "@driver/permission/Approvals"
import { AccountLimits } from "@driver/runtime/AccountLimits"
import { type BindingExpiry, BindingStore } from "@driver/runtime/BindingStore"
import { CompactSummaryStore } from "@driver/runtime/CompactSummaryStore"
import { DecisionStore } from "@driver/runtime/DecisionStore"
import * as JournalMemory from "@driver/runtime/JournalMemory"
import * as Database from "@driver/store/Database"
import * as Stores from "@driver/store/Stores"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import type { SqlClient } from "@effect/sql/SqlClient"
import { type Context, Effect, Layer, Redacted, type Scope } from "effect"
import { hasPostgres, layerPostgresTest, newSchema } from "./postgres.js"

/** Whose outboxes the test stores fill. */
export const consumers = ["nats", "hooks"]

export interface Backend {
  readonly name: string
  readonly available: boolean
  /** How many random sequences of calls a test makes: as many as are cheap. */
  readonly runs: number
  /** Empty stores, new with every build. */
  readonly stores: (expiry?: Partial<BindingExpiry>) => Layer.Layer<Stores.AllStores>
}

/** The path of a new file in a directory of its own, removed with the scope. */
export const newFile = Effect.flatMap(FileSystem.FileSystem, (fs) =>
  Effect.map(fs.makeTempDirectoryScoped({ prefix: "driver-store-" }), (directory) => `${directory}/driver.db`)
).pipe(Effect.provide(NodeContext.layer), Effect.orDie)

/** A migrated SQLite file of its own. */
export const layerSqliteTest: Layer.Layer<SqlClient> = Layer.unwrapScoped(
  Effect.map(newFile, (filename) => Database.layerSqlite({ filename }))
).pipe(Layer.orDie)

export const memory: Backend = {
  name: "memory",
  available: true,
  runs: 60,
  stores: (expiry) =>
    Layer.mergeAll(
      BindingStore.layerMemory(expiry),
      CompactSummaryStore.layerMemory,
      DecisionStore.layerMemory,
      Approvals.layerMemory,
      AccountLimits.layerMemory,
      JournalMemory.layer({ consumers })
    )
}

/** Those with a database, and that database. */
export const sqlBackends: ReadonlyArray<Backend & { readonly database: Layer.Layer<SqlClient> }> = [
  { name: "SQLite", available: true, runs: 15, database: layerSqliteTest },
  { name: "PostgreSQL", available: hasPostgres, runs: 6, database: layerPostgresTest }
].map((backend) => ({
  ...backend,
  stores: (expiry) => Layer.provide(Stores.layer(expiry, { consumers }), backend.database)
}))

export const backends: ReadonlyArray<Backend> = [memory, ...sqlBackends]

/** A database of its own, that any number of drivers can open. */
export const places: ReadonlyArray<{
  readonly name: string
  readonly available: boolean
  readonly open: Effect.Effect<
    {
      /** File or address, for other processes. */
      readonly address: string
      /** One more driver, with connections of its own. */
      readonly driver: Effect.Effect<Context.Context<Stores.AllStores>, never, Scope.Scope>
    },
    never,
    Scope.Scope
  >
}> = [
  {
    name: "SQLite",
    available: true,
    database: Effect.map(newFile, (filename) => ({
      address: filename,
      layer: Layer.orDie(Database.layerSqlite({ filename }))
    }))
  },
  {
    name: "PostgreSQL",
    available: hasPostgres,
    database: Effect.map(newSchema, ({ url }) => ({
      address: url.href,
      layer: Layer.orDie(
        Database.layerPostgres({ url: Redacted.make(url.href), maxConnections: 3, connectTimeout: "30 seconds" })
      )
    }))
  }
].map(({ available, database, name }) => ({
  name,
  available,
  open: Effect.orDie(
    Effect.map(database, ({ address, layer }) => ({
      address,
      driver: Layer.build(Layer.fresh(Layer.provide(Stores.layer({}, { consumers }), layer)))
    }))
  )
}))
