/** What a failed statement means: the one place that knows the error codes of SQLite and PostgreSQL. */
import { StoreError } from "@driver/runtime/StoreError"
import { SqlError } from "@effect/sql/SqlError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ParseError } from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"

/** The database's own code, `SQLITE_BUSY`, `23505`, `ECONNREFUSED`; empty when there is none. */
export const codeOf = (cause: unknown): string =>
  Predicate.hasProperty(cause, "code") && typeof cause.code === "string" ? cause.code : ""

/** What the database said, in one line. */
export const detailOf = (error: SqlError): string => {
  const { cause } = error
  if (Predicate.hasProperty(cause, "message") && typeof cause.message === "string" && cause.message !== "") {
    const code = codeOf(cause)
    return code === "" || cause.message.includes(code) ? cause.message : `${cause.message} (${code})`
  }
  return codeOf(cause) || error.message || "no detail"
}

const connectionCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ENOENT"
])

// SQLSTATE: connection exceptions, serialization, deadlock, no lock, too many connections, statement timeout, shutting
// or starting up.
const retryableState = /^(08...|40001|40P01|55P03|53300|57014|57P0[1-5])$/

// The client gives these without a code.
const connectionMessage =
  /connection terminated|connection error|timeout exceeded when trying to connect|timeout expired|connection timed out|query read timeout/i

export const isBusy = (error: SqlError): boolean => /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error.cause))

export const isAway = (error: SqlError): boolean =>
  connectionCodes.has(codeOf(error.cause)) || (codeOf(error.cause) === "" && connectionMessage.test(detailOf(error)))

/** A row with this key is there already. */
export const isTaken = (error: { readonly _tag: string }): boolean =>
  error instanceof SqlError && /^SQLITE_CONSTRAINT_(PRIMARYKEY|UNIQUE|ROWID)$|^23505$/.test(codeOf(error.cause))

/** No space is left. It often comes back by itself, when a build or a test has ended. */
export const isFull = (error: SqlError): boolean => /^(SQLITE_FULL|53100)$/.test(codeOf(error.cause))

/** True when the same statement may succeed later: the database was busy, away or without space. */
export const isRetryable = (error: SqlError): boolean =>
  isBusy(error) || isAway(error) || isFull(error) || retryableState.test(codeOf(error.cause))

/** In milliseconds. SQLite waits by blocking the whole process, so it is told to wait briefly; the rest is done here. */
export const busyTimeoutMillis = 50

/** Tries again while SQLite is busy, in all for so long: 5 ms apart at first, at most 100 ms. */
export const whileBusy = (limit: Duration.DurationInput) => ({
  schedule: Schedule.exponential("5 millis").pipe(
    Schedule.union(Schedule.spaced("100 millis")),
    Schedule.jittered,
    Schedule.intersect(Schedule.recurUpTo(limit))
  ),
  while: (error: { readonly _tag: string }) => error instanceof SqlError && isBusy(error)
})

/** The error of a store's call. */
export const toStoreError = (operation: string, error: SqlError | ParseError): StoreError =>
  error._tag === "SqlError"
    ? new StoreError({
        operation,
        detail: isFull(error)
          ? `no space is left where the database is, make some: ${detailOf(error)}`
          : detailOf(error),
        retryable: isRetryable(error)
      })
    : new StoreError({
        operation,
        // A record can be megabytes long, and the message quotes it.
        detail: `a record does not have the expected shape: ${error.message.slice(0, 1_000)}`,
        retryable: false
      })

/** Runs a store's call: waits up to 5 seconds for a busy SQLite, and names the call in the error. */
export const storeCall =
  (operation: string) =>
  <A, R>(effect: Effect.Effect<A, SqlError | ParseError, R>): Effect.Effect<A, StoreError, R> =>
    effect.pipe(
      // A schedule is made when it is needed: a call costs as much as making one.
      Effect.catchIf(
        (error) => error._tag === "SqlError" && isBusy(error),
        () => Effect.zipRight(Effect.sleep("5 millis"), Effect.retry(effect, whileBusy("5 seconds")))
      ),
      Effect.mapError((error) => toStoreError(operation, error)),
      Effect.withSpan(operation, { captureStackTrace: false })
    )
