/**
 * `IntentStore` on SQLite and PostgreSQL. Every call is one statement.
 *
 * A session is the row of its last commit, with the messages that came with it; the
 * rows before are what is left of its history. Two who commit the same revision, or
 * append the same record, insert the same key: one of them finds the place taken.
 */
import type { IntentId, IntentSessionId } from "@driver/intent/Directive"
import { StoredIntentRecord } from "@driver/intent/IntentRecord"
import { IntentConflict, IntentStore, Session, SessionMessage } from "@driver/intent/IntentStore"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { toColumn } from "./internal/columns.js"
import { intentCall } from "./internal/intentCall.js"

/** For a database that has been migrated, as those of `Database.ts` are. */
export const layer: Layer.Layer<IntentStore, never, SqlClient.SqlClient> = Layer.effect(
  IntentStore,
  Effect.map(SqlClient.SqlClient, (sql) => make(sql))
)

const SessionColumn = Schema.parseJson(Session)
const MessagesColumn = Schema.parseJson(Schema.Array(SessionMessage))

const SessionRow = Schema.Struct({ session: SessionColumn })
const MessagesRow = Schema.Struct({ messages: MessagesColumn })
const RecordRow = Schema.Struct({ record: StoredIntentRecord.FromJson })

const decodeSessions = Schema.decodeUnknown(Schema.Array(SessionRow))
const decodeMessages = Schema.decodeUnknown(Schema.Array(MessagesRow))
const decodeRecords = Schema.decodeUnknown(Schema.Array(RecordRow))
const encodeSession = Schema.encode(SessionColumn)
const encodeMessages = Schema.encode(MessagesColumn)
const encodeRecord = Schema.encode(StoredIntentRecord.FromJson)

const make = (sql: SqlClient.SqlClient): IntentStore["Type"] => {
  const read = (rows: Effect.Effect<ReadonlyArray<unknown>, SqlError>) =>
    rows.pipe(
      Effect.flatMap(decodeSessions),
      Effect.map((all) => all.map(({ session }) => session))
    )

  return IntentStore.of({
    session: (id: IntentSessionId) =>
      read(sql`
        SELECT session FROM driver_intent_commits WHERE session_id = ${toColumn(id)} ORDER BY revision DESC LIMIT 1`).pipe(
        Effect.map(([session]) => Option.fromNullable(session)),
        intentCall("IntentStore.session")
      ),

    messages: (id, limit) => {
      const wanted = Math.max(0, Math.min(Math.floor(limit), Number.MAX_SAFE_INTEGER))
      if (!(wanted > 0)) return Effect.succeed([])
      // Each of the rows has at least one.
      return sql`
        SELECT messages FROM driver_intent_commits WHERE session_id = ${toColumn(id)} AND messages <> '[]'
        ORDER BY revision DESC LIMIT ${wanted}`.pipe(
        Effect.flatMap(decodeMessages),
        Effect.map((rows) =>
          [...rows]
            .reverse()
            .flatMap(({ messages }) => messages)
            .slice(-wanted)
        ),
        intentCall("IntentStore.messages")
      )
    },

    commit: ({ messages, session }) =>
      Effect.gen(function* () {
        const next = new Session({ ...session, revision: session.revision + 1 })
        const text = yield* encodeSession(next)
        const said = yield* encodeMessages(messages)
        const at = Math.floor(DateTime.toEpochMillis(session.updatedAt))
        const inserted = yield* sql`
          INSERT INTO driver_intent_commits (session_id, revision, updated_at, session, messages)
          SELECT ${toColumn(session.id)}, CAST(${next.revision} AS BIGINT), CAST(${at} AS BIGINT), ${text}, ${said}
          WHERE ${session.revision} = (
            SELECT COALESCE(MAX(revision), 0) FROM driver_intent_commits WHERE session_id = ${toColumn(session.id)})
          ON CONFLICT DO NOTHING RETURNING revision`
        return inserted.length > 0 ? Option.some(next) : Option.none()
      }).pipe(intentCall("IntentStore.commit"), Effect.flatMap(orConflict(session.id))),

    sessions: read(sql`
      SELECT session FROM driver_intent_commits c
      WHERE revision = (SELECT MAX(revision) FROM driver_intent_commits o WHERE o.session_id = c.session_id)
      ORDER BY updated_at DESC, session_id`).pipe(intentCall("IntentStore.sessions")),

    append: (stored) =>
      Effect.gen(function* () {
        const text = yield* encodeRecord(stored)
        const inserted = yield* sql`
          INSERT INTO driver_intent_records (intent_id, sequence, record)
          SELECT CAST(${stored.intentId} AS TEXT), CAST(${stored.sequence} AS BIGINT), ${text}
          WHERE ${stored.sequence} = (SELECT COUNT(*) FROM driver_intent_records WHERE intent_id = ${stored.intentId})
          ON CONFLICT DO NOTHING RETURNING sequence`
        return inserted.length > 0 ? Option.some(stored) : Option.none()
      }).pipe(intentCall("IntentStore.append"), Effect.flatMap(orConflict(stored.intentId)), Effect.asVoid),

    records: (id: IntentId) =>
      sql`SELECT record FROM driver_intent_records WHERE intent_id = ${id} ORDER BY sequence`.pipe(
        Effect.flatMap(decodeRecords),
        Effect.map((rows) => rows.map(({ record }) => record)),
        intentCall("IntentStore.records")
      )
  })
}

const orConflict =
  (id: string) =>
  <A>(done: Option.Option<A>): Effect.Effect<A, IntentConflict> =>
    Option.match(done, { onNone: () => new IntentConflict({ id }), onSome: Effect.succeed })
