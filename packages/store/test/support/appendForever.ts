/** A driver that takes a goal and appends steps and events until it is killed; says how far it is. For `Journal.test.ts`. */
import { GoalStore } from "@driver/runtime/GoalStore"
import { Journal } from "@driver/runtime/Journal"
import * as Database from "@driver/store/Database"
import * as Stores from "@driver/store/Stores"
import { Effect, Layer, Option, Redacted } from "effect"
import { event, record } from "./journalValues.js"
import { goalIdOf } from "./values.js"

const [address = ""] = process.argv.slice(2)
const database = address.startsWith("postgres:")
  ? Database.layerPostgres({ url: Redacted.make(address), connectTimeout: "30 seconds" })
  : Database.layerSqlite({ filename: address })

const drive = Effect.gen(function* () {
  const journal = yield* Journal
  const { epoch } = yield* Effect.flatten((yield* GoalStore).acquire(goalIdOf(1), "a driver", Option.none()))
  for (let sequence = 1; ; sequence += 2) {
    yield* journal.append([
      record(1, sequence, { epoch }),
      record(1, sequence + 1, { epoch, entry: event(goalIdOf(1)) })
    ])
    process.stdout.write(`${sequence + 1}\n`)
    // Lets the line out.
    yield* Effect.sleep("1 millis")
  }
})

await Effect.runPromise(Effect.provide(drive, Layer.provide(Stores.layer({}, { consumers: ["nats"] }), database)))
