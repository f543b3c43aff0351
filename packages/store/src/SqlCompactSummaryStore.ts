/** `CompactSummaryStore` on SQLite and PostgreSQL. */
import { GoalId } from "@driver/domain/Goal"
import { CompactSummaryStore } from "@driver/runtime/CompactSummaryStore"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Text, toColumn, Whole } from "./internal/columns.js"
import { storeCall } from "./internal/sqlFailure.js"

const Row = Schema.Struct({ goal_id: GoalId, turn: Whole, summary: Text, stored_at: Whole })

const decodeRows = Schema.decodeUnknown(Schema.Array(Row))

/** For a database that has been migrated, as those of `Database.ts` are. */
export const layer: Layer.Layer<CompactSummaryStore, never, SqlClient.SqlClient> = Layer.effect(
  CompactSummaryStore,
  Effect.map(SqlClient.SqlClient, (sql) =>
    CompactSummaryStore.of({
      store: (goalId, turn, summary) =>
        Effect.flatMap(
          Clock.currentTimeMillis,
          (now) => sql`
            INSERT INTO driver_compact_summaries (goal_id, turn, summary, stored_at)
            VALUES (${goalId}, ${turn}, ${toColumn(summary)}, ${Math.floor(now)})
            ON CONFLICT (goal_id, turn) DO NOTHING RETURNING turn`
        ).pipe(
          Effect.map((stored) => stored.length > 0),
          storeCall("CompactSummaryStore.store")
        ),

      loadLatest: (goalId) =>
        sql`
          SELECT goal_id, turn, summary, stored_at FROM driver_compact_summaries
          WHERE goal_id = ${goalId} ORDER BY turn DESC LIMIT 1`.pipe(
          Effect.flatMap(decodeRows),
          Effect.map(([row]) =>
            Option.map(Option.fromNullable(row), ({ goal_id, stored_at, summary, turn }) => ({
              goalId: goal_id,
              turn,
              summary,
              storedAt: stored_at
            }))
          ),
          storeCall("CompactSummaryStore.loadLatest")
        ),

      forget: (goalId) =>
        sql`DELETE FROM driver_compact_summaries WHERE goal_id = ${goalId}`.pipe(
          Effect.asVoid,
          storeCall("CompactSummaryStore.forget")
        )
    })
  )
)
