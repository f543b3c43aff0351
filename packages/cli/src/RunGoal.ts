/**
 * One goal from start to end, as the commands `run` and `demo` need it. The
 * composition puts the whole runtime behind this one service, so that a command
 * only parses, calls it, and prints.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import type { Goal } from "@driver/domain/Goal"
import type { GoalOutcome } from "@driver/domain/Outcome"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"

/** The goal could not be started. How it ended, once it has, is a `GoalOutcome` and never this. */
export class RunError extends Data.TaggedError("RunError")<{
  /** One sentence: what was wrong, where, and what to do. */
  readonly detail: string
}> {
  override get message() {
    return this.detail
  }
}

export interface RunOptions {
  /** Every event of the goal, in order, the last of which is `GoalCompleted`. */
  readonly onEvent: (event: StoredEvent) => Effect.Effect<void>
}

export class RunGoal extends Context.Tag("@driver/cli/RunGoal")<
  RunGoal,
  {
    /** What a person should know of how the goal is run, a sentence each. Finding it out may take as long as the goal's start. */
    readonly notes: Effect.Effect<ReadonlyArray<string>>
    /**
     * Resolves with how the goal ended, when nothing of it is left but its workspace and
     * `onEvent` has had the last event. Interrupting it cancels the goal: `onEvent` has
     * `GoalCompleted` with `Cancelled` before the interruption is over.
     */
    readonly run: (goal: Goal, options: RunOptions) => Effect.Effect<GoalOutcome, RunError>
  }
>() {}
