/**
 * Notices a goal that gets nowhere: the same failures with nothing changed, or the
 * same tool call over and over. The decision is the pure function `decide`.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"

/** One turn as this policy sees it. */
export interface TurnTrace {
  /** Which criteria failed and how: equal strings are equal failures. Empty when none was evaluated. */
  readonly failures: ReadonlyArray<string>
  readonly diffEmpty: boolean
  /** One string per tool call, tool and input: equal strings are equal calls. In order. */
  readonly toolCalls: ReadonlyArray<string>
}

export type StuckDecision = Data.TaggedEnum<{
  Fine: {}
  /** Goes into the next prompt like an operator's message; it names the repetition. */
  Nudge: { readonly message: string }
  Escalate: { readonly reason: string }
}>
export const StuckDecision = Data.taggedEnum<StuckDecision>()

export interface StuckInput {
  /** The goal's turns so far, oldest first. */
  readonly turns: ReadonlyArray<TurnTrace>
  /** Nudges given since the goal last made progress. */
  readonly nudges: number
}

export class StuckPolicy extends Context.Tag("@driver/runtime/StuckPolicy")<
  StuckPolicy,
  {
    /** Total and pure. */
    readonly decide: (input: StuckInput) => StuckDecision
  }
>() {}
