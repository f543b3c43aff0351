/** `BindingStore` on SQLite and PostgreSQL: one row per goal, every call one statement. */
import { Binding, SessionId } from "@driver/domain/Binding"
import { GoalId } from "@driver/domain/Goal"
import { type BindingExpiry, BindingStore, isExpired } from "@driver/runtime/BindingStore"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { bound, Flag, Moment, nullable, Text, toColumn } from "./internal/columns.js"
import { storeCall } from "./internal/sqlFailure.js"

/** For a database that has been migrated, as those of `Database.ts` are. Bindings expire by `expiry`; without it, never. */
export const layer = (expiry: Partial<BindingExpiry> = {}): Layer.Layer<BindingStore, never, SqlClient.SqlClient> =>
  Layer.effect(
    BindingStore,
    Effect.map(SqlClient.SqlClient, (sql) => make(sql, expiry))
  )

const Row = Schema.Struct({
  goal_id: GoalId,
  session_id: Schema.compose(Text, SessionId),
  model: nullable(Text),
  workspace: Text,
  origin_channel: nullable(Text),
  dispatcher: nullable(Text),
  live: Flag,
  invalid_reason: nullable(Text),
  created_at: Moment,
  updated_at: Moment,
  last_active_at: Moment
})

const decodeRows = Schema.decodeUnknown(Schema.Array(Row))

const toBinding = (row: typeof Row.Type) =>
  new Binding({
    goalId: row.goal_id,
    sessionId: row.session_id,
    model: row.model,
    workspace: row.workspace,
    originChannel: row.origin_channel,
    dispatcher: row.dispatcher,
    live: row.live,
    invalidReason: row.invalid_reason,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    lastActiveAt: row.last_active_at
  })

const make = (sql: SqlClient.SqlClient, expiry: Partial<BindingExpiry>) => {
  const columns = sql.literal(Object.keys(Row.fields).join(", "))
  const now = Effect.map(Clock.currentTimeMillis, Math.floor)
  const read = (rows: Effect.Effect<ReadonlyArray<unknown>, SqlError>) =>
    rows.pipe(
      Effect.flatMap(decodeRows),
      Effect.map((all) => all.map(toBinding))
    )
  const unexpired = (bindings: ReadonlyArray<Binding>) =>
    Effect.map(now, (at) => bindings.filter((binding) => !isExpired(binding, expiry, at)))
  const text = Option.match({ onNone: () => null, onSome: toColumn })

  return BindingStore.of({
    get: (goalId) =>
      read(sql`SELECT ${columns} FROM driver_bindings WHERE goal_id = ${goalId} AND live = 1`).pipe(
        Effect.flatMap(unexpired),
        Effect.map(([binding]) => Option.fromNullable(binding)),
        storeCall("BindingStore.get")
      ),

    upsert: (input) =>
      Effect.gen(function* () {
        const at = yield* now
        const [binding] = yield* read(sql`
          INSERT INTO driver_bindings AS old (${columns})
          VALUES (${input.goalId}, ${toColumn(input.sessionId)}, ${text(input.model)}, ${toColumn(input.workspace)},
            ${text(input.originChannel)}, ${text(input.dispatcher)}, 1, NULL, ${at}, ${at}, ${at})
          ON CONFLICT (goal_id) DO UPDATE SET
            created_at = CASE WHEN old.session_id = excluded.session_id THEN old.created_at ELSE excluded.created_at END,
            session_id = excluded.session_id, model = excluded.model, workspace = excluded.workspace,
            origin_channel = excluded.origin_channel, dispatcher = excluded.dispatcher, live = 1, invalid_reason = NULL,
            updated_at = excluded.updated_at, last_active_at = excluded.last_active_at
          RETURNING ${columns}`)
        return binding ?? (yield* Effect.dieMessage("an upsert returns its row"))
      }).pipe(storeCall("BindingStore.upsert")),

    clear: (goalId) =>
      sql`DELETE FROM driver_bindings WHERE goal_id = ${goalId}`.pipe(Effect.asVoid, storeCall("BindingStore.clear")),

    markInvalid: (goalId, reason) =>
      Effect.flatMap(
        now,
        (at) => sql`
          UPDATE driver_bindings SET live = 0, invalid_reason = ${toColumn(reason)}, updated_at = ${at}
          WHERE goal_id = ${goalId} AND live = 1`
      ).pipe(Effect.asVoid, storeCall("BindingStore.markInvalid")),

    touch: (goalId) =>
      Effect.flatMap(
        now,
        (at) => sql`UPDATE driver_bindings SET last_active_at = ${at} WHERE goal_id = ${goalId} AND live = 1`
      ).pipe(Effect.asVoid, storeCall("BindingStore.touch")),

    purgeOlderThan: (millis) =>
      Number.isNaN(millis)
        ? Effect.succeed(0)
        : sql`DELETE FROM driver_bindings WHERE last_active_at < ${bound(millis)} RETURNING goal_id`.pipe(
            Effect.map((gone) => gone.length),
            storeCall("BindingStore.purgeOlderThan")
          ),

    listActive: read(
      sql`SELECT ${columns} FROM driver_bindings WHERE live = 1 ORDER BY last_active_at DESC, goal_id`
    ).pipe(Effect.flatMap(unexpired), storeCall("BindingStore.listActive")),

    listAll: read(sql`SELECT ${columns} FROM driver_bindings ORDER BY last_active_at DESC, goal_id`).pipe(
      storeCall("BindingStore.listAll")
    )
  })
}
