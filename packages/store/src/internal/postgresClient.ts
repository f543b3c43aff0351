/** The PostgreSQL driver, loaded only by who opens a PostgreSQL database: everybody else starts faster without. */
export { make } from "@effect/sql-pg/PgClient"
