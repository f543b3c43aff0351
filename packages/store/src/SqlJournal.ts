/**
 * `Journal` and `Outbox` on SQLite and PostgreSQL.
 *
 * An append is one statement: it writes only when the lease still has the token and
 * the journal still ends before the first record, and it fills the outbox. On
 * PostgreSQL it locks the lease's row, so that no takeover slips between. When it has
 * written nothing, the journal is read to find out why: a lost lease, a conflict, or
 * records that were there already.
 */
import { GoalId } from "@driver/domain/Goal"
import { unfolded } from "@driver/runtime/GoalFold"
import {
  isLoopEntry,
  Journal,
  JournalConflict,
  JournalEntry,
  type JournalError,
  JournalRecord,
  journalVersion,
  missing,
  storedEventOf
} from "@driver/runtime/Journal"
import * as Notices from "@driver/runtime/Notices"
import { Outbox, type OutboxClaim, type OutboxEntry } from "@driver/runtime/Outbox"
import { StoreError } from "@driver/runtime/StoreError"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { ParseError } from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { fromColumn, Text, toColumn, Whole } from "./internal/columns.js"
import { texts, wholes } from "./internal/dialect.js"
import { isTaken, storeCall } from "./internal/sqlFailure.js"

export interface SqlJournalOptions {
  /** Who delivers events (`nats`, `hooks`): each has an outbox. Default: nobody, and events stay in the journal only. */
  readonly consumers?: ReadonlyArray<string>
}

/** For a database that has been migrated, as those of `Database.ts` are. */
export const layer = (options: SqlJournalOptions = {}): Layer.Layer<Journal | Outbox, never, SqlClient.SqlClient> =>
  Layer.scopedContext(
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const appended = yield* Notices.make<GoalId>()
      const written = yield* Notices.make<void>()
      const consumers = [...new Set(options.consumers ?? [])]
      return Context.make(Journal, makeJournal(sql, consumers, appended, written)).pipe(
        Context.add(Outbox, makeOutbox(sql, written))
      )
    })
  )

/**
 * A record's columns as the clients give them: PostgreSQL whole numbers as text, SQLite perhaps as bigints. Read by hand,
 * since journals are long, and a schema for these costs as much as decoding the entry.
 */
interface Row {
  readonly goal_id: string
  readonly sequence: unknown
  readonly id: string
  readonly version: unknown
  readonly at: unknown
  readonly epoch: unknown
  readonly entry: string
}

const columns = "goal_id, sequence, id, version, at, epoch, entry"

const decodeEntry = Schema.decodeUnknownEither(JournalEntry)
const encodeEntry = Schema.encodeEither(JournalEntry)
const isGoalId = Schema.is(GoalId)
const decodePlaces = Schema.decodeUnknown(Schema.Array(Schema.Struct({ id: Text, sequence: Whole })))
const decodeHead = Schema.decodeUnknown(Schema.Tuple(Schema.Struct({ head: Schema.NullOr(Whole) })))
const decodeEpochs = Schema.decodeUnknown(Schema.Array(Schema.Struct({ epoch: Whole })))
const decodeClaims = Schema.decodeUnknown(Schema.Array(Schema.Struct({ owner: Text, heartbeat: Whole })))
const decodeConsumers = Schema.decodeUnknown(Schema.Array(Schema.Struct({ consumer: Text })))
const decodeCount = Schema.decodeUnknown(Schema.Tuple(Schema.Struct({ count: Whole })))

/** The fields that an append fills, in the order of what it binds for each record. */
const given = `CAST(given.value->>0 AS BIGINT), given.value->>1, ${journalVersion}, given.value->>2,
  CAST(given.value->>3 AS BIGINT), given.value->>4, given.value->>5`
const filled = "goal_id, epoch, sequence, id, version, kind, at, entry, consumers"

/** Both bind goal, token, the first record's place less one, and the records. */
const insertPostgres = `
  WITH lease AS MATERIALIZED (SELECT epoch FROM driver_leases WHERE goal_id = $1 FOR SHARE),
  inserted AS (
    INSERT INTO driver_journal (${filled})
    SELECT $1, lease.epoch, ${given} FROM lease, json_array_elements($4::json) AS given(value)
    WHERE lease.epoch = $2 AND (SELECT COALESCE(MAX(sequence), 0) FROM driver_journal WHERE goal_id = $1) = $3
    RETURNING goal_id, sequence, consumers
  ),
  put AS (
    INSERT INTO driver_outbox (consumer, goal_id, sequence)
    SELECT consumer, goal_id, sequence FROM inserted, json_array_elements_text(consumers::json) AS consumer
    ORDER BY sequence
  )
  SELECT sequence FROM inserted`

const insertSqlite = `
  WITH bound (goal_id, epoch, last, records) AS (VALUES (?, ?, ?, ?))
  INSERT INTO driver_journal (${filled})
  SELECT bound.goal_id, bound.epoch, ${given} FROM bound, json_each(bound.records) AS given
  WHERE COALESCE((SELECT epoch FROM driver_leases WHERE goal_id = bound.goal_id), 0) = bound.epoch
  AND (SELECT COALESCE(MAX(sequence), 0) FROM driver_journal WHERE goal_id = bound.goal_id) = bound.last
  RETURNING sequence`

/** The same for one record, as most appends are: nothing has to be taken apart. */
const insertOneSqlite = `
  WITH bound (goal_id, epoch, last) AS (VALUES (?, ?, ?))
  INSERT INTO driver_journal (${filled})
  SELECT bound.goal_id, bound.epoch, ?, ?, ${journalVersion}, ?, ?, ?, ? FROM bound
  WHERE COALESCE((SELECT epoch FROM driver_leases WHERE goal_id = bound.goal_id), 0) = bound.epoch
  AND (SELECT COALESCE(MAX(sequence), 0) FROM driver_journal WHERE goal_id = bound.goal_id) = bound.last
  RETURNING sequence`

const makeJournal = (
  sql: SqlClient.SqlClient,
  consumers: ReadonlyArray<string>,
  appended: Notices.Notices<GoalId>,
  written: Notices.Notices<void>
) => {
  const out = consumers.length === 0 ? null : JSON.stringify(consumers)
  const skipped = texts(sql, Object.values(unfolded))

  /** What an append binds, by position. */
  const toValues = (record: JournalRecord) =>
    Either.map(encodeEntry(record.entry), (entry) => [
      record.sequence,
      toColumn(record.id),
      entry.kind,
      record.at.epochMillis,
      JSON.stringify(entry),
      isLoopEntry(record.entry) ? null : out
    ])

  const [insertion, insertionOfOne] = sql.onDialectOrElse({
    pg: () => [insertPostgres, undefined] as const,
    orElse: () => [insertSqlite, insertOneSqlite] as const
  })

  /** Inserts all of them where lease and journal are as expected; none elsewhere. The number of rows. */
  const insert = (records: Arr.NonEmptyReadonlyArray<JournalRecord>) =>
    Effect.suspend(() => Either.all(records.map(toValues))).pipe(
      Effect.flatMap((values) => {
        const [{ epoch, goalId, sequence }] = records
        const [one] = values
        return insertionOfOne !== undefined && values.length === 1 && one !== undefined
          ? sql.unsafe(insertionOfOne, [goalId, epoch, sequence - 1, ...one])
          : sql.unsafe(insertion, [goalId, epoch, sequence - 1, JSON.stringify(values)])
      }),
      Effect.map((rows) => rows.length),
      // Another writer was there between the two; the journal says what it wrote.
      Effect.catchIf(isTaken, () => Effect.succeed(0))
    )

  /** The token of the goal's lease. */
  const epochOf = (goalId: GoalId) =>
    Effect.map(
      Effect.flatMap(sql`SELECT epoch FROM driver_leases WHERE goal_id = ${goalId}`, decodeEpochs),
      ([row]) => row?.epoch
    )

  const headOf = (goalId: GoalId) =>
    Effect.map(
      Effect.flatMap(sql`SELECT MAX(sequence) AS head FROM driver_journal WHERE goal_id = ${goalId}`, decodeHead),
      ([{ head }]) => head ?? 0
    )

  /** Looks why an append has written nothing: those records that it should have written. */
  const inspect = (records: Arr.NonEmptyReadonlyArray<JournalRecord>) =>
    Effect.gen(function* () {
      const [{ goalId, sequence }] = records
      const epoch = yield* epochOf(goalId)
      // PostgreSQL locks the lease's row, so there has to be one.
      if (epoch === undefined) {
        yield* sql`
          INSERT INTO driver_leases (goal_id, owner, epoch, heartbeat) VALUES (${goalId}, NULL, 0, 0)
          ON CONFLICT (goal_id) DO NOTHING`
      }
      const head = yield* headOf(goalId)
      const last = sequence + records.length - 1
      const there = yield* Effect.flatMap(
        sql`SELECT id, sequence FROM driver_journal WHERE goal_id = ${goalId} AND sequence BETWEEN ${sequence} AND ${last}`,
        decodePlaces
      )
      const used = yield* Effect.flatMap(
        sql`SELECT id, sequence FROM driver_journal WHERE id IN ${texts(
          sql,
          records.map(({ id }) => toColumn(id))
        )}`,
        decodePlaces
      )
      const idAt = new Map(there.map((row) => [row.sequence, row.id]))
      const ids = new Set(used.map(({ id }) => id))
      return missing(records, {
        epoch: epoch ?? 0,
        head,
        idAt: (at) => idAt.get(at),
        isUsed: (id) => ids.has(id)
      })
    })

  const tell = (records: ReadonlyArray<JournalRecord>) =>
    Effect.sync(() => {
      for (const { goalId } of records.slice(0, 1)) appended.tell(goalId)
      if (out !== null && records.some(({ entry }) => !isLoopEntry(entry))) written.tell()
    })

  /** Each time round, another writer has changed lease or journal meanwhile. */
  const append = (
    records: Arr.NonEmptyReadonlyArray<JournalRecord>,
    attempts: number
  ): Effect.Effect<void, JournalError> =>
    Effect.gen(function* () {
      const count = isStraight(records) ? yield* storeCall("Journal.append")(insert(records)) : 0
      if (count > 0) return yield* tell(records)
      const rest = yield* yield* storeCall("Journal.append")(inspect(records))
      if (!Arr.isNonEmptyReadonlyArray(rest)) return
      const [{ goalId, sequence }] = rest
      if (attempts === 0) {
        return yield* new JournalConflict({ goalId, sequence, detail: "others write it at the same time" })
      }
      yield* append(rest, attempts - 1)
    })

  return Journal.of({
    append: (records) => append(records, 3),

    read: (goalId, { after = 0, folded = false, limit } = {}) =>
      sql<Row>`
        SELECT ${sql.literal(columns)} FROM driver_journal WHERE goal_id = ${goalId} AND sequence > ${after}
        ${folded ? sql`AND (kind NOT IN ${skipped} OR sequence = (SELECT MAX(sequence) FROM driver_journal WHERE goal_id = ${goalId}))` : sql.literal("")}
        ORDER BY sequence ${limit === undefined ? sql.literal("") : sql`LIMIT ${limit}`}`.pipe(
        storeCall("Journal.read"),
        Effect.flatMap((rows) => Either.all(rows.map((row) => toRecord("Journal.read", row))))
      ),

    head: (goalId) => storeCall("Journal.head")(headOf(goalId)),
    appended: appended.stream
  })
}

/** One goal, one token, one place after the other: what a single statement can check. */
const isStraight = (records: Arr.NonEmptyReadonlyArray<JournalRecord>) => {
  const [{ epoch, goalId, sequence }] = records
  return records.every(
    (record, index) => record.goalId === goalId && record.epoch === epoch && record.sequence === sequence + index
  )
}

const parseJson = (text: string) =>
  Either.try({ try: (): unknown => JSON.parse(text), catch: (error) => ({ message: String(error) }) })

const toRecord = (operation: string, row: Row): Either.Either<JournalRecord, StoreError> => {
  const sequence = Number(row.sequence)
  const version = Number(row.version)
  const epoch = Number(row.epoch)
  const failed = (detail: string) =>
    Either.left(
      new StoreError({ operation, detail: `record ${sequence} of goal ${row.goal_id} ${detail}`, retryable: false })
    )
  if (version > journalVersion) {
    return failed(
      `was written by a newer driver (version ${version}, this one reads up to ${journalVersion}): use that driver`
    )
  }
  const time = DateTime.make(Number(row.at))
  // By hand too: as a part of the schema this costs as much as the entry's fields.
  const entry = Either.flatMap(parseJson(row.entry), decodeEntry)
  if (Either.isLeft(entry)) return failed(`cannot be read: ${entry.left.message.slice(0, 1_000)}`)
  if (!isGoalId(row.goal_id) || Option.isNone(time) || ![sequence, version, epoch].every(Number.isSafeInteger)) {
    return failed("has a column that is not ours")
  }
  return Either.right(
    // Every field was looked at just now.
    new JournalRecord(
      { goalId: row.goal_id, sequence, id: fromColumn(row.id), at: time.value, epoch, entry: entry.right },
      { disableValidation: true }
    )
  )
}

const makeOutbox = (sql: SqlClient.SqlClient, written: Notices.Notices<void>) => {
  const claim = (
    consumer: string,
    owner: string,
    expected: Option.Option<OutboxClaim>
  ): Effect.Effect<OutboxClaim, SqlError | ParseError> =>
    Effect.gen(function* () {
      const dead = Option.match(expected, {
        onNone: () => sql``,
        onSome: (it) => sql`OR (old.owner = ${toColumn(it.owner)} AND old.heartbeat = ${it.heartbeat})`
      })
      const taken = yield* sql`
        INSERT INTO driver_outbox_claims AS old (consumer, owner, heartbeat)
        VALUES (${toColumn(consumer)}, ${toColumn(owner)}, 1)
        ON CONFLICT (consumer) DO UPDATE SET owner = excluded.owner, heartbeat = old.heartbeat + 1
        WHERE old.owner IS NULL OR old.owner = excluded.owner ${dead} RETURNING owner, heartbeat`
      const found =
        taken.length > 0
          ? taken
          : yield* sql`
              SELECT owner, heartbeat FROM driver_outbox_claims
              WHERE consumer = ${toColumn(consumer)} AND owner IS NOT NULL`
      const [holder] = yield* decodeClaims(found)
      // Given back between the two.
      return holder ?? (yield* claim(consumer, owner, expected))
    })

  return Outbox.of({
    pending: (consumer, limit) =>
      sql<Row & { readonly position: unknown }>`
        SELECT position, ${sql.literal(columns)} FROM driver_outbox JOIN driver_journal USING (goal_id, sequence)
        WHERE consumer = ${toColumn(consumer)} ORDER BY position LIMIT ${limit}`.pipe(
        storeCall("Outbox.pending"),
        Effect.flatMap((rows) =>
          Either.all(
            rows.map((row) =>
              Either.map(toRecord("Outbox.pending", row), (record) =>
                Option.map(storedEventOf(record), (event): OutboxEntry => ({ position: Number(row.position), event }))
              )
            )
          )
        ),
        Effect.map(Arr.getSomes)
      ),

    delivered: (consumer, positions) =>
      positions.length === 0
        ? Effect.void
        : sql`
            DELETE FROM driver_outbox WHERE consumer = ${toColumn(consumer)}
            AND position IN ${wholes(sql, positions)}`.pipe(Effect.asVoid, storeCall("Outbox.delivered")),

    count: (consumer) =>
      Effect.flatMap(
        sql`SELECT COUNT(*) AS count FROM driver_outbox WHERE consumer = ${toColumn(consumer)}`,
        decodeCount
      ).pipe(
        Effect.map(([{ count }]) => count),
        storeCall("Outbox.count")
      ),

    consumers: Effect.flatMap(sql`SELECT DISTINCT consumer FROM driver_outbox ORDER BY consumer`, decodeConsumers).pipe(
      Effect.map((rows) => rows.map(({ consumer }) => consumer)),
      storeCall("Outbox.consumers")
    ),

    forget: (consumer) =>
      sql`DELETE FROM driver_outbox WHERE consumer = ${toColumn(consumer)}`.pipe(
        Effect.asVoid,
        storeCall("Outbox.forget")
      ),

    claim: (consumer, owner, expected) => storeCall("Outbox.claim")(claim(consumer, owner, expected)),

    unclaim: (consumer, owner) =>
      sql`
        UPDATE driver_outbox_claims SET owner = NULL
        WHERE consumer = ${toColumn(consumer)} AND owner = ${toColumn(owner)}`.pipe(
        Effect.asVoid,
        storeCall("Outbox.unclaim")
      ),

    written: written.stream
  })
}
