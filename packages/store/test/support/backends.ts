/** The three places a store can be: one contract for all of them. */
import { Approvals } from "@driver/permission/Approvals"
import { type BindingExpiry, BindingStore } from "@driver/runtime/BindingStore"
import { CompactSummaryStore } from "@driver/runtime/CompactSummaryStore"
import { DecisionStore } from "@driver/runtime/DecisionStore"
import * as Database from "@driver/store/Database"
import * as Stores from "@driver/store/Stores"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import type { SqlClient } from "@effect/sql/SqlClient"
import { Effect, Layer } from "effect"
import { hasPostgres, layerPostgresTest } from "./postgres.js"

export type AllStores = Approvals | BindingStore | CompactSummaryStore | DecisionStore

export interface Backend {
  readonly name: string
  readonly available: boolean
  /** Empty stores, new with every build. */
  readonly stores: (expiry?: Partial<BindingExpiry>) => Layer.Layer<AllStores>
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
  stores: (expiry) =>
    Layer.mergeAll(
      BindingStore.layerMemory(expiry),
      CompactSummaryStore.layerMemory,
      DecisionStore.layerMemory,
      Approvals.layerMemory
    )
}

/** Those with a database, and that database. */
export const sqlBackends: ReadonlyArray<Backend & { readonly database: Layer.Layer<SqlClient> }> = [
  { name: "SQLite", available: true, database: layerSqliteTest },
  { name: "PostgreSQL", available: hasPostgres, database: layerPostgresTest }
].map((backend) => ({
  ...backend,
  stores: (expiry) => Layer.provide(Stores.layer(expiry), backend.database)
}))

export const backends: ReadonlyArray<Backend> = [memory, ...sqlBackends]
