/** The stores of the intent path on one database. */
import type { DelegationStore } from "@driver/intent/DelegationStore"
import type { GoalResults } from "@driver/intent/GoalResults"
import type { IntentStore } from "@driver/intent/IntentStore"
import type { Registry } from "@driver/intent/Registry"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Layer from "effect/Layer"
import * as SqlDelegationStore from "./SqlDelegationStore.js"
import * as SqlIntentStore from "./SqlIntentStore.js"
import * as SqlRegistry from "./SqlRegistry.js"

/** For a database that has been migrated, as those of `Database.ts` are. */
export const layer: Layer.Layer<IntentStore | Registry | DelegationStore | GoalResults, never, SqlClient.SqlClient> =
  Layer.mergeAll(SqlIntentStore.layer, SqlRegistry.layer, SqlDelegationStore.layer)
