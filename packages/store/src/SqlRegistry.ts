/**
 * `Registry` on SQLite and PostgreSQL. Every call is one statement, or one and a look
 * beforehand. A project keeps the ids of mounts that are gone; nobody gets to see them.
 */
import { MountId, ProjectId } from "@driver/intent/Directive"
import {
  byName,
  NameTaken,
  nameKey,
  Project,
  RegisteredMount,
  Registry,
  RegistryError,
  UnknownMount
} from "@driver/intent/Registry"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { ParseError } from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { Moment, nullable, Text, toColumn } from "./internal/columns.js"
import { storeCall } from "./internal/sqlFailure.js"

/** For a database that has been migrated, as those of `Database.ts` are. */
export const layer: Layer.Layer<Registry, never, SqlClient.SqlClient> = Layer.effect(
  Registry,
  Effect.map(SqlClient.SqlClient, (sql) => make(sql))
)

const Ids = Schema.parseJson(Schema.Array(MountId))

const MountRow = Schema.Struct({
  id: Schema.compose(Text, MountId),
  name: Text,
  path: Text,
  summary: nullable(Text),
  last_used_at: nullable(Moment)
})
const ProjectRow = Schema.Struct({
  id: Schema.compose(Text, ProjectId),
  name: Text,
  mounts: Ids,
  instructions: Text
})
const PrimaryRow = Schema.Struct({ mount_id: Schema.compose(Text, MountId) })

const decodeMounts = Schema.decodeUnknown(Schema.Array(MountRow))
const decodeProjects = Schema.decodeUnknown(Schema.Array(ProjectRow))
const decodePrimaries = Schema.decodeUnknown(Schema.Array(PrimaryRow))
const encodeIds = Schema.encode(Ids)

const toMount = ({ last_used_at, ...row }: typeof MountRow.Type) =>
  new RegisteredMount({ ...row, lastUsedAt: last_used_at })

const registryCall =
  (operation: string) =>
  <A, R>(effect: Effect.Effect<A, SqlError | ParseError, R>): Effect.Effect<A, RegistryError, R> =>
    Effect.mapError(
      storeCall(operation)(effect),
      ({ detail, retryable }) => new RegistryError({ operation, detail, retryable })
    )

const make = (sql: SqlClient.SqlClient): Registry["Type"] => {
  const mounts = sql`SELECT id, name, path, summary, last_used_at FROM driver_mounts`.pipe(
    Effect.flatMap(decodeMounts),
    Effect.map((rows) => rows.map(toMount).sort(byName)),
    registryCall("Registry.mounts")
  )
  const column = Option.match({ onNone: () => null, onSome: toColumn })

  return Registry.of({
    mounts,

    addMount: (mount) =>
      sql`
        INSERT INTO driver_mounts (id, name, name_key, path, summary, last_used_at)
        VALUES (${toColumn(mount.id)}, ${toColumn(mount.name)}, ${toColumn(nameKey(mount.name))}, ${toColumn(mount.path)},
          ${column(mount.summary)},
          ${Option.match(mount.lastUsedAt, { onNone: () => null, onSome: (at) => Math.floor(DateTime.toEpochMillis(at)) })})
        ON CONFLICT DO NOTHING RETURNING id`.pipe(
        registryCall("Registry.addMount"),
        Effect.flatMap((added) => (added.length > 0 ? Effect.void : new NameTaken({ kind: "mount", name: mount.name })))
      ),

    removeMount: (id) =>
      sql`DELETE FROM driver_mounts WHERE id = ${toColumn(id)}`.pipe(
        Effect.zipRight(sql`DELETE FROM driver_session_mounts WHERE mount_id = ${toColumn(id)}`),
        Effect.asVoid,
        registryCall("Registry.removeMount")
      ),

    touchMounts: (ids) =>
      ids.length === 0
        ? Effect.void
        : Effect.flatMap(
            Clock.currentTimeMillis,
            (now) =>
              sql`UPDATE driver_mounts SET last_used_at = ${Math.floor(now)} WHERE ${sql.in("id", ids.map(toColumn))}`
          ).pipe(Effect.asVoid, registryCall("Registry.touchMounts")),

    summarizeMount: (id, summary) =>
      sql`UPDATE driver_mounts SET summary = ${toColumn(summary)} WHERE id = ${toColumn(id)}`.pipe(
        Effect.asVoid,
        registryCall("Registry.summarizeMount")
      ),

    projects: Effect.all([
      mounts,
      sql`SELECT id, name, mounts, instructions FROM driver_projects`.pipe(
        Effect.flatMap(decodeProjects),
        registryCall("Registry.projects")
      )
    ]).pipe(
      Effect.map(([known, rows]) => {
        const ids = new Set(known.map(({ id }) => id))
        return rows.map((row) => new Project({ ...row, mounts: row.mounts.filter((id) => ids.has(id)) })).sort(byName)
      })
    ),

    addProject: (project) =>
      Effect.gen(function* () {
        const known = new Set((yield* mounts).map(({ id }) => id))
        const unknown = project.mounts.find((id) => !known.has(id))
        if (unknown !== undefined) return yield* new UnknownMount({ mount: unknown })
        const added = yield* Effect.flatMap(
          encodeIds(project.mounts),
          (ids) => sql`
            INSERT INTO driver_projects (id, name, name_key, mounts, instructions)
            VALUES (${toColumn(project.id)}, ${toColumn(project.name)}, ${toColumn(nameKey(project.name))}, ${ids},
              ${toColumn(project.instructions)})
            ON CONFLICT DO NOTHING RETURNING id`
        ).pipe(registryCall("Registry.addProject"))
        if (added.length === 0) return yield* new NameTaken({ kind: "project", name: project.name })
      }),

    removeProject: (id) =>
      sql`DELETE FROM driver_projects WHERE id = ${toColumn(id)}`.pipe(
        Effect.asVoid,
        registryCall("Registry.removeProject")
      ),

    primaryOf: (sessionId) =>
      sql`
        SELECT s.mount_id FROM driver_session_mounts s JOIN driver_mounts m ON m.id = s.mount_id
        WHERE s.session_id = ${toColumn(sessionId)}`.pipe(
        Effect.flatMap(decodePrimaries),
        Effect.map(([row]) => Option.map(Option.fromNullable(row), ({ mount_id }) => mount_id)),
        registryCall("Registry.primaryOf")
      ),

    setPrimary: (sessionId, id) =>
      sql`
        INSERT INTO driver_session_mounts (session_id, mount_id) VALUES (${toColumn(sessionId)}, ${toColumn(id)})
        ON CONFLICT (session_id) DO UPDATE SET mount_id = excluded.mount_id`.pipe(
        Effect.asVoid,
        registryCall("Registry.setPrimary")
      )
  })
}
