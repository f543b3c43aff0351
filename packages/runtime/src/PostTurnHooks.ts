/**
 * What an application wants done after each turn: extracting memories, notes,
 * statistics. Hooks run in the background of the goal's scope and can never fail
 * or delay the turn.
 */
import type { DriverEvent } from "@driver/domain/DriverEvent"
import type { AttemptResult } from "@driver/domain/Outcome"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export interface PostTurnHook {
  /** For the log. */
  readonly name: string
  /** Interrupted when the goal ends. What it fails with is logged. `publish` puts an event into the goal's sequence. */
  readonly run: (
    result: AttemptResult,
    publish: (event: DriverEvent) => Effect.Effect<void>
  ) => Effect.Effect<void, unknown>
}

export class PostTurnHooks extends Context.Tag("@driver/runtime/PostTurnHooks")<
  PostTurnHooks,
  { readonly hooks: ReadonlyArray<PostTurnHook> }
>() {
  static readonly layer = (hooks: ReadonlyArray<PostTurnHook>): Layer.Layer<PostTurnHooks> =>
    Layer.succeed(this, { hooks })

  static readonly layerNone: Layer.Layer<PostTurnHooks> = Layer.succeed(this, { hooks: [] })
}
