/**
 * `GoalStore` on SQLite and PostgreSQL: every call that changes something is one
 * statement. A lease is taken by one that compares what the contender has read, so of
 * several contenders one wins.
 */
import { randomUuid } from "@driver/agent/PermissionGate"
import { GoalId } from "@driver/domain/Goal"
import { GoalOutcome } from "@driver/domain/Outcome"
import { Command, GoalExists, GoalRow, GoalState, GoalStore } from "@driver/runtime/GoalStore"
import { isPrefix } from "@driver/runtime/GoalStoreMemory"
import { LeaseLost } from "@driver/runtime/Journal"
import * as Notices from "@driver/runtime/Notices"
import { StoreError } from "@driver/runtime/StoreError"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Fragment } from "@effect/sql/Statement"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { nullable, Text, toColumn, Whole } from "./internal/columns.js"
import { elements, texts } from "./internal/dialect.js"
import { isTaken, storeCall } from "./internal/sqlFailure.js"

/** For a database that has been migrated, as those of `Database.ts` are. */
export const layer: Layer.Layer<GoalStore, never, SqlClient.SqlClient> = Layer.scoped(
  GoalStore,
  Effect.gen(function* () {
    return make(yield* SqlClient.SqlClient, yield* Notices.make<void>())
  })
)

/** What becomes of a goal has columns of its own; the rest is as it was submitted. */
const Row = Schema.Struct({
  state: GoalState,
  submission: Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.Unknown })),
  ended_at: nullable(Whole),
  outcome: nullable(Schema.parseJson()),
  reason: nullable(Text)
})

const columns = Object.keys(Row.fields).join(", ")

const decodeRow = Schema.decodeUnknown(Row)
const decodeGoalRow = Schema.decodeUnknown(GoalRow)
const encodeGoalRow = Schema.encode(GoalRow)
const encodeOutcome = Schema.encode(Schema.parseJson(GoalOutcome))
const decodeIds = Schema.decodeUnknown(Schema.Array(Schema.Struct({ goal_id: GoalId })))
const decodeEpochs = Schema.decodeUnknown(Schema.Array(Schema.Struct({ epoch: Whole })))
const decodeHolders = Schema.decodeUnknown(Schema.Array(Schema.Struct({ owner: Text, epoch: Whole, heartbeat: Whole })))
const encodeCommand = Schema.encode(Schema.parseJson(Command))
const decodeCommands = Schema.decodeUnknown(
  Schema.Array(Schema.Struct({ id: Schema.String, goal_id: GoalId, command: Schema.parseJson(Command) }))
)

const toGoalRow = (row: typeof Row.Type) =>
  decodeGoalRow({
    ...row.submission,
    state: row.state,
    ended_at: Option.getOrNull(Option.map(row.ended_at, (millis) => DateTime.formatIso(DateTime.unsafeMake(millis)))),
    outcome: Option.getOrNull(row.outcome),
    reason: Option.getOrNull(row.reason)
  })

/** So many goals are remembered as they were decoded. */
const rememberedRows = 5_000

const make = (sql: SqlClient.SqlClient, changed: Notices.Notices<void>) => {
  // A look at the queue reads the same rows again and again, and decoding them is what it costs. By the row's own text.
  const known = new Map<string, GoalRow>()
  const readRow = (raw: unknown) =>
    Effect.suspend(() => {
      const text = JSON.stringify(raw)
      const before = known.get(text)
      if (before !== undefined) return Effect.succeed(before)
      return Effect.map(Effect.flatMap(decodeRow(raw), toGoalRow), (row) => {
        for (const oldest of known.keys()) {
          if (known.size < rememberedRows) break
          known.delete(oldest)
        }
        known.set(text, row)
        return row
      })
    })

  const fields = sql.literal(`goal_id, ${columns}`)
  const tell = Effect.sync(() => changed.tell())
  const now = Effect.map(Clock.currentTimeMillis, Math.floor)

  /** What an INSERT binds, by position. */
  const toValues = (row: GoalRow) =>
    Effect.map(encodeGoalRow(row), ({ ended_at: _, outcome, reason, state, ...submission }) => [
      row.goal.id,
      state,
      JSON.stringify(submission),
      Option.getOrNull(Option.map(row.endedAt, (at) => at.epochMillis)),
      outcome === undefined || outcome === null ? null : JSON.stringify(outcome),
      reason === undefined || reason === null ? null : toColumn(reason)
    ])

  const insert = (rows: ReadonlyArray<GoalRow>) =>
    Effect.map(
      Effect.forEach(rows, toValues),
      (values) => sql`
        INSERT INTO driver_goals (${fields})
        SELECT given.value->>0, given.value->>1, given.value->>2, CAST(given.value->>3 AS BIGINT), given.value->>4,
          given.value->>5
        FROM ${elements(sql, values, "given")} WHERE true`
    )

  const select = (where: Fragment, operation: string) =>
    sql`SELECT ${sql.literal(columns)} FROM driver_goals ${where} ORDER BY submitted`.pipe(
      Effect.flatMap(Effect.forEach(readRow)),
      storeCall(operation)
    )

  const present = (ids: ReadonlyArray<GoalId>) =>
    sql`SELECT goal_id FROM driver_goals WHERE goal_id IN ${texts(sql, ids)}`.pipe(
      Effect.flatMap(decodeIds),
      Effect.map((rows) => new Set(rows.map((row) => row.goal_id))),
      storeCall("GoalStore.submit")
    )

  return GoalStore.of({
    submit: (rows) =>
      Effect.gen(function* () {
        const ids = rows.map(({ goal }) => goal.id)
        const twice = ids.find((id, index) => ids.indexOf(id) !== index)
        if (twice !== undefined) return yield* new GoalExists({ goalId: twice })
        if (rows.length === 0) return
        const taken = yield* Effect.flatten(insert(rows)).pipe(
          Effect.as(false),
          Effect.catchIf(isTaken, () => Effect.succeed(true)),
          storeCall("GoalStore.submit")
        )
        if (taken) {
          const known = yield* present(ids)
          const goalId = ids.find((id) => known.has(id))
          return yield* goalId === undefined
            ? new StoreError({
                operation: "GoalStore.submit",
                detail: "a goal with one of these ids was there, and is gone",
                retryable: true
              })
            : new GoalExists({ goalId })
        }
        yield* tell
      }),

    put: (row) =>
      Effect.flatMap(
        insert([row]),
        (added) => sql`${added} ON CONFLICT (goal_id) DO UPDATE SET state = excluded.state,
          submission = excluded.submission, ended_at = excluded.ended_at, outcome = excluded.outcome,
          reason = excluded.reason`
      ).pipe(storeCall("GoalStore.put"), Effect.zipRight(tell)),

    get: (goalId) => Effect.map(select(sql`WHERE goal_id = ${goalId}`, "GoalStore.get"), Arr.head),

    list: (states) =>
      select(states === undefined ? sql`` : sql`WHERE state IN ${texts(sql, states)}`, "GoalStore.list"),

    withPrefix: (prefix) =>
      isPrefix(prefix)
        ? sql`SELECT goal_id FROM driver_goals WHERE goal_id LIKE ${`${prefix}%`} ORDER BY goal_id LIMIT 10`.pipe(
            Effect.flatMap(decodeIds),
            Effect.map((rows) => rows.map((row) => row.goal_id)),
            storeCall("GoalStore.withPrefix")
          )
        : Effect.succeed([]),

    setState: (goalId, state, end) =>
      Effect.gen(function* () {
        const outcome = end?.outcome === undefined ? null : yield* encodeOutcome(end.outcome)
        const reason = end?.reason === undefined ? null : toColumn(end.reason)
        const at = yield* now
        yield* state === "ended" || state === "skipped"
          ? // The first end of the same state stays.
            sql`
              UPDATE driver_goals SET
                ended_at = COALESCE(CASE WHEN state = ${state} THEN ended_at END, ${at}),
                outcome = COALESCE(${outcome}, CASE WHEN state = ${state} THEN outcome END),
                reason = COALESCE(${reason}, CASE WHEN state = ${state} THEN reason END),
                state = ${state}
              WHERE goal_id = ${goalId}`
          : sql`
              UPDATE driver_goals SET state = ${state}, ended_at = NULL, outcome = ${outcome}, reason = ${reason}
              WHERE goal_id = ${goalId}`
      }).pipe(storeCall("GoalStore.setState"), Effect.zipRight(tell)),

    acquire: (goalId, owner, expected) =>
      Effect.gen(function* () {
        const same = Option.match(expected, {
          onNone: () => sql``,
          onSome: (it) =>
            sql`OR (old.owner = ${toColumn(it.owner)} AND old.epoch = ${it.epoch} AND old.heartbeat = ${it.heartbeat})`
        })
        const [taken] = yield* Effect.flatMap(
          sql`
            INSERT INTO driver_leases AS old (goal_id, owner, epoch, heartbeat)
            VALUES (${goalId}, ${toColumn(owner)}, 1, 0)
            ON CONFLICT (goal_id) DO UPDATE SET owner = excluded.owner, epoch = old.epoch + 1, heartbeat = 0
            WHERE old.owner IS NULL ${same} RETURNING epoch`,
          decodeEpochs
        )
        return Option.map(Option.fromNullable(taken), ({ epoch }) => ({ goalId, epoch }))
      }).pipe(storeCall("GoalStore.acquire")),

    holder: (goalId) =>
      sql`SELECT owner, epoch, heartbeat FROM driver_leases WHERE goal_id = ${goalId} AND owner IS NOT NULL`.pipe(
        Effect.flatMap(decodeHolders),
        Effect.map(Arr.head),
        storeCall("GoalStore.holder")
      ),

    heartbeat: (leases) =>
      leases.length === 0
        ? Effect.succeed([])
        : sql`
            UPDATE driver_leases SET heartbeat = heartbeat + 1 WHERE owner IS NOT NULL AND (goal_id, epoch) IN (
              SELECT mine.value->>0, CAST(mine.value->>1 AS BIGINT)
              FROM ${elements(
                sql,
                leases.map(({ epoch, goalId }) => [goalId, epoch]),
                "mine"
              )}
            ) RETURNING goal_id`.pipe(
            Effect.flatMap(decodeIds),
            Effect.map((rows) => {
              const beating = new Set(rows.map((row) => row.goal_id))
              return leases.filter(({ goalId }) => !beating.has(goalId)).map((lease) => new LeaseLost(lease))
            }),
            storeCall("GoalStore.heartbeat")
          ),

    release: ({ epoch, goalId }) =>
      sql`UPDATE driver_leases SET owner = NULL WHERE goal_id = ${goalId} AND epoch = ${epoch}`.pipe(
        Effect.asVoid,
        storeCall("GoalStore.release")
      ),

    command: (goalId, command) =>
      Effect.gen(function* () {
        const id = yield* randomUuid
        // The same id when a busy database is asked again.
        yield* Effect.flatMap(
          encodeCommand(command),
          (text) => sql`INSERT INTO driver_commands (id, goal_id, command) VALUES (${id}, ${goalId}, ${text})`
        ).pipe(storeCall("GoalStore.command"))
        yield* tell
        return id
      }),

    commands: (goalIds) =>
      goalIds.length === 0
        ? Effect.succeed([])
        : sql`
            SELECT id, goal_id, command FROM driver_commands WHERE goal_id IN ${texts(sql, goalIds)}
            ORDER BY left_as`.pipe(
            Effect.flatMap(decodeCommands),
            Effect.map((rows) => rows.map(({ command, goal_id, id }) => ({ id, goalId: goal_id, command }))),
            storeCall("GoalStore.commands")
          ),

    handled: (commandIds) =>
      commandIds.length === 0
        ? Effect.void
        : sql`DELETE FROM driver_commands WHERE id IN ${texts(sql, commandIds)}`.pipe(
            Effect.asVoid,
            storeCall("GoalStore.handled")
          ),

    changed: changed.stream
  })
}
