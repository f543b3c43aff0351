/**
 * The way from a goal to its result, and the look at a goal before it runs. There is
 * one path: the goal loop behind `GoalExecutor`. The composition gives both.
 */
import type { Goal } from "@driver/domain/Goal"
import { GoalOutcome } from "@driver/domain/Outcome"
import { key, optional } from "@driver/domain/Wire"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type { ExecEnv } from "./ExecEnv.js"

/** What kind of failure ended a run; what may be done about it is decided by `Recovery`. */
export const FailureClass = Schema.Literal(
  "transient",
  "quota_exhausted",
  "auth_failure",
  "context_overflow",
  "model_unavailable",
  "budget_exceeded",
  "unknown"
)
export type FailureClass = typeof FailureClass.Type

/** What came of one run of one goal. Verdict of the criteria, final text, usage, branch and worktree are the outcome's. */
export class GoalResult extends Schema.Class<GoalResult>("GoalResult")({
  outcome: GoalOutcome,
  /** Unified, against the goal's base, bounded. Absent: it could not be had. Empty: nothing was changed. */
  diff: optional(Schema.String, "diff"),
  /** Why the run ended before its time. Absent: it did not, or nobody can say. */
  failure: optional(FailureClass, "failure_class"),
  /** The agent that ran it. Absent: the configured one. */
  agent: optional(Schema.NonEmptyTrimmedString, "agent_name")
}) {}

/** The goal could not be run at all. How a run ended, once there is one, is a `GoalResult` and never this. */
export class ExecutionError extends Schema.TaggedError<ExecutionError>()("ExecutionError", {
  class: FailureClass,
  detail: Schema.String
}) {
  override get message() {
    return `The goal could not be run: ${this.detail}`
  }
}

export interface ExecutionOptions {
  /** An earlier result for the same directive that this run shall improve: its work is the base, where that can be done. */
  readonly previous: Option.Option<GoalResult>
}

export class GoalExecutor extends Context.Tag("@driver/intent/GoalExecutor")<
  GoalExecutor,
  {
    /**
     * Runs the goal to its end. A goal whose id has been run before goes on where it was, and one that had ended gives
     * the result it had: after a crash the intent asks for the same goal again. Interrupting it cancels the run.
     */
    readonly run: (goal: Goal, env: ExecEnv, options: ExecutionOptions) => Effect.Effect<GoalResult, ExecutionError>
  }
>() {
  /** Answers each run with the function given for it, the last one for all that follow; `RunGoals` has what was asked for. */
  static readonly layerScripted = (
    runs: ReadonlyArray<(goal: Goal) => Effect.Effect<GoalResult, ExecutionError>>
  ): Layer.Layer<GoalExecutor | RunGoals> =>
    Layer.effectContext(
      Effect.map(Ref.make<ReadonlyArray<ScriptedRun>>([]), (asked) =>
        Context.make(GoalExecutor, {
          run: (goal, env, options) =>
            Effect.flatMap(
              Ref.modify(asked, (before) => [before.length, [...before, { goal, env, options }]]),
              (index) =>
                runs[Math.min(index, runs.length - 1)]?.(goal) ??
                Effect.fail(new ExecutionError({ class: "unknown", detail: "the script has no run" }))
            )
        }).pipe(Context.add(RunGoals, Ref.get(asked)))
      )
    )
}

export interface ScriptedRun {
  readonly goal: Goal
  readonly env: ExecEnv
  readonly options: ExecutionOptions
}

/** What `GoalExecutor.layerScripted` was asked to run, oldest first. */
export class RunGoals extends Context.Tag("@driver/intent/GoalExecutor/RunGoals")<
  RunGoals,
  Effect.Effect<ReadonlyArray<ScriptedRun>>
>() {}

/** Something is wrong with a goal that has not run yet. */
export class Complaint extends Schema.Class<Complaint>("Complaint")({
  problem: Schema.Literal(
    /** The criterion holds on the base: an agent that does nothing would pass. */
    "already_true",
    /** Nothing that an agent does could make it fail. */
    "cannot_fail",
    /** The command cannot be run there. */
    "does_not_run",
    /** A pattern that does not compile, a path outside, and whatever else `driver lint` calls an error. */
    "invalid"
  ),
  /** Position in `Goal.acceptance`, from 0. Absent: it is about all of them. */
  criterion: optional(Schema.NonNegativeInt, "criterion"),
  /** One sentence, with what was seen. */
  detail: key(Schema.NonEmptyTrimmedString, "detail")
}) {}

/** The goal could not be looked at: there is no base to try it on, or no place for it. */
export class CheckError extends Schema.TaggedError<CheckError>()("CheckError", { detail: Schema.String }) {
  override get message() {
    return `The goal could not be checked: ${this.detail}`
  }
}

export class GoalChecker extends Context.Tag("@driver/intent/GoalChecker")<
  GoalChecker,
  {
    /**
     * Tries the criteria on the base, as `driver lint` does, and says what is wrong with them: every single criterion
     * that holds already, too. Which of it matters is not decided here. It leaves nothing behind.
     */
    readonly check: (goal: Goal, env: ExecEnv) => Effect.Effect<ReadonlyArray<Complaint>, CheckError>
  }
>() {
  /** Finds nothing wrong. */
  static readonly layerAgreeable: Layer.Layer<GoalChecker> = Layer.succeed(this, {
    check: () => Effect.succeed([])
  })

  /** The complaints about the first goal, the second, …; none about those that follow. */
  static readonly layerScripted = (
    complaints: ReadonlyArray<ReadonlyArray<Complaint> | CheckError>
  ): Layer.Layer<GoalChecker> =>
    Layer.effect(
      this,
      Effect.map(Ref.make(0), (asked) => ({
        check: () =>
          Effect.flatMap(
            Ref.getAndUpdate(asked, (before) => before + 1),
            (index) => {
              const found = complaints[index] ?? []
              return found instanceof CheckError ? Effect.fail(found) : Effect.succeed(found)
            }
          )
      }))
    )
}
