/** The error all stores share. */
import * as Schema from "effect/Schema"

/** The store could not read or write. `operation` names the call, `detail` what the database said. */
export class StoreError extends Schema.TaggedError<StoreError>()("StoreError", {
  /** `BindingStore.upsert`, … */
  operation: Schema.String,
  detail: Schema.String,
  /** The database was busy or away: the same call may succeed later. */
  retryable: Schema.Boolean
}) {
  override get message() {
    return `${this.operation} failed: ${this.detail}`
  }
}
