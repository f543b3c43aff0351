/** Where SQLite and PostgreSQL spell the same thing differently. */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { Fragment } from "@effect/sql/Statement"

/** `FROM` item: the elements of a JSON array that is bound as one text, as `${as}.value`. One statement for every length. */
export const elements = (sql: SqlClient.SqlClient, values: ReadonlyArray<unknown>, as: string): Fragment =>
  sql.onDialectOrElse({
    pg: () => sql`json_array_elements(${JSON.stringify(values)}::json) AS ${sql.literal(as)}(value)`,
    orElse: () => sql`json_each(${JSON.stringify(values)}) AS ${sql.literal(as)}`
  })

/** A list of texts for `IN`. */
export const texts = (sql: SqlClient.SqlClient, values: ReadonlyArray<string>): Fragment =>
  sql.onDialectOrElse({
    pg: () => sql`(SELECT json_array_elements_text(${JSON.stringify(values)}::json))`,
    orElse: () => sql`(SELECT value FROM json_each(${JSON.stringify(values)}))`
  })

/** A list of whole numbers for `IN`. */
export const wholes = (sql: SqlClient.SqlClient, values: ReadonlyArray<number>): Fragment =>
  sql.onDialectOrElse({
    pg: () => sql`(SELECT json_array_elements_text(${JSON.stringify(values)}::json)::bigint)`,
    orElse: () => sql`(SELECT value FROM json_each(${JSON.stringify(values)}))`
  })
