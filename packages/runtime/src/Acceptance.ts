/**
 * Decides whether a goal has been reached, by running its acceptance criteria
 * against the workspace. The agent's word counts for nothing here.
 *
 * A criterion that fails is a result; an evaluator that cannot evaluate is an
 * `AcceptanceError`.
 */
import type { Goal } from "@driver/domain/Goal"
import type { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { WorkspaceInfo } from "./Workspace.js"

/** The criteria could not be evaluated: no shell, no workspace, an invalid pattern. Says nothing about the work. */
export class AcceptanceError extends Schema.TaggedError<AcceptanceError>()("AcceptanceError", {
  /** Position of the criterion, from 0. */
  index: Schema.NonNegativeInt,
  criterion: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `Acceptance criterion ${this.index + 1} (${this.criterion}) could not be evaluated: ${this.detail}`
  }
}

export class Acceptance extends Context.Tag("@driver/runtime/Acceptance")<
  Acceptance,
  {
    /** Runs all criteria, some at a time; the verdict has them in order. `onResult` is called as each one ends. */
    readonly evaluate: (
      goal: Goal,
      workspace: WorkspaceInfo,
      options?: { readonly onResult?: (result: CriterionResult) => Effect.Effect<void> }
    ) => Effect.Effect<AcceptanceVerdict, AcceptanceError>
  }
>() {}
