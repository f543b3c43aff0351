/**
 * When to ask the agent to compact its context. The decision is the pure function
 * `decide`; the service carries its settings.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Option from "effect/Option"

export interface CompactInput {
  /** The goal's description: the focus is made of it. */
  readonly description: string
  /** Turns of work done. */
  readonly turn: number
  /** The value of `turn` when the last compaction happened. */
  readonly lastCompactTurn: Option.Option<number>
  /** Size of the last request's context, in tokens: never a sum over turns. */
  readonly contextTokens: Option.Option<number>
  /** The model's window as the agent reports it, in tokens. */
  readonly contextWindow: Option.Option<number>
  readonly sessionAge: Duration.Duration
  /** Failed compactions in a row, of this goal. */
  readonly consecutiveFailures: number
}

export interface CompactRequest {
  readonly reason: "token_pressure" | "session_age"
  /** Follows `/compact ` in the prompt. */
  readonly focus: string
}

export class CompactPolicy extends Context.Tag("@driver/runtime/CompactPolicy")<
  CompactPolicy,
  {
    /** Total and pure. None: no compaction now. */
    readonly decide: (input: CompactInput) => Option.Option<CompactRequest>
    /** The focus for a compaction that the replay policy forces. */
    readonly focus: (description: string) => string
  }
>() {}
