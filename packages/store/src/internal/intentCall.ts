/** The calls of the intent path's stores, with its own error. */
import { IntentStoreError } from "@driver/intent/IntentStore"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { ParseError } from "effect/ParseResult"
import { storeCall } from "./sqlFailure.js"

export const intentCall =
  (operation: string) =>
  <A, R>(effect: Effect.Effect<A, SqlError | ParseError, R>): Effect.Effect<A, IntentStoreError, R> =>
    Effect.mapError(
      storeCall(operation)(effect),
      ({ detail, retryable }) => new IntentStoreError({ operation, detail, retryable })
    )
