/** A driver that starts: waits for a line on standard input, opens the database, writes one binding. For `Database.test.ts`. */
import { BindingStore } from "@driver/runtime/BindingStore"
import * as Database from "@driver/store/Database"
import * as SqlBindingStore from "@driver/store/SqlBindingStore"
import { Effect, Layer, Redacted } from "effect"
import { bindingInput } from "./values.js"

const [address = "", goal = ""] = process.argv.slice(2)
const database = address.startsWith("postgres:")
  ? Database.layerPostgres({ url: Redacted.make(address), connectTimeout: "30 seconds" })
  : Database.layerSqlite({ filename: address })

process.stdout.write("ready\n")
await new Promise((resume) => process.stdin.once("data", resume))
process.stdin.destroy()
await Effect.runPromise(
  Effect.flatMap(BindingStore, (store) => store.upsert(bindingInput(Number(goal)))).pipe(
    Effect.provide(Layer.provide(SqlBindingStore.layer(), database))
  )
)
