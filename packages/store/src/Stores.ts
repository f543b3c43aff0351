/** All stores on one database. */
import type { Approvals } from "@driver/permission/Approvals"
import type { BindingExpiry, BindingStore } from "@driver/runtime/BindingStore"
import type { CompactSummaryStore } from "@driver/runtime/CompactSummaryStore"
import type { DecisionStore } from "@driver/runtime/DecisionStore"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Layer from "effect/Layer"
import * as SqlApprovals from "./SqlApprovals.js"
import * as SqlBindingStore from "./SqlBindingStore.js"
import * as SqlCompactSummaryStore from "./SqlCompactSummaryStore.js"
import * as SqlDecisionStore from "./SqlDecisionStore.js"

/** For a database that has been migrated, as those of `Database.ts` are. Bindings expire by `expiry`; without it, never. */
export const layer = (
  expiry: Partial<BindingExpiry> = {}
): Layer.Layer<Approvals | BindingStore | CompactSummaryStore | DecisionStore, never, SqlClient.SqlClient> =>
  Layer.mergeAll(
    SqlBindingStore.layer(expiry),
    SqlCompactSummaryStore.layer,
    SqlDecisionStore.layer,
    SqlApprovals.layer
  )
