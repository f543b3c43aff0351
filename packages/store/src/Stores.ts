/** All stores on one database. */
import type { Approvals } from "@driver/permission/Approvals"
import type { AccountLimits } from "@driver/runtime/AccountLimits"
import type { BindingExpiry, BindingStore } from "@driver/runtime/BindingStore"
import type { CompactSummaryStore } from "@driver/runtime/CompactSummaryStore"
import type { DecisionStore } from "@driver/runtime/DecisionStore"
import type { GoalStore } from "@driver/runtime/GoalStore"
import type { Journal } from "@driver/runtime/Journal"
import type { Outbox } from "@driver/runtime/Outbox"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Layer from "effect/Layer"
import * as SqlAccountLimits from "./SqlAccountLimits.js"
import * as SqlApprovals from "./SqlApprovals.js"
import * as SqlBindingStore from "./SqlBindingStore.js"
import * as SqlCompactSummaryStore from "./SqlCompactSummaryStore.js"
import * as SqlDecisionStore from "./SqlDecisionStore.js"
import * as SqlGoalStore from "./SqlGoalStore.js"
import * as SqlJournal from "./SqlJournal.js"

export type AllStores =
  | AccountLimits
  | Approvals
  | BindingStore
  | CompactSummaryStore
  | DecisionStore
  | GoalStore
  | Journal
  | Outbox

/**
 * For a database that has been migrated, as those of `Database.ts` are. Bindings expire by `expiry`; without it, never.
 * Events wait in an outbox for each of the `consumers`; without them, in none.
 */
export const layer = (
  expiry: Partial<BindingExpiry> = {},
  options: SqlJournal.SqlJournalOptions = {}
): Layer.Layer<AllStores, never, SqlClient.SqlClient> =>
  Layer.mergeAll(
    SqlBindingStore.layer(expiry),
    SqlCompactSummaryStore.layer,
    SqlDecisionStore.layer,
    SqlApprovals.layer,
    SqlJournal.layer(options),
    SqlGoalStore.layer,
    SqlAccountLimits.layer
  )
