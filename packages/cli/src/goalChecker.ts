/**
 * `GoalChecker` by rehearsal: the criteria are tried on the base, as `driver lint`
 * does it, in a workspace of their own that is removed afterwards. Criteria that a model
 * judges are not tried: there is nothing yet to be judged.
 */
import { Goal, GoalId } from "@driver/domain/Goal"
import { CheckError, Complaint, GoalChecker } from "@driver/intent/GoalExecutor"
import { Acceptance } from "@driver/runtime/Acceptance"
import { Workspace } from "@driver/runtime/Workspace"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { patternIssues, unrunnable } from "./commands/lint.js"
import { weaknessOf } from "./Goals.js"
import { Host } from "./Host.js"
import { printable } from "./Text.js"

export const layer: Layer.Layer<GoalChecker, never, Workspace | Acceptance | Host> = Layer.effect(
  GoalChecker,
  Effect.gen(function* () {
    const workspace = yield* Workspace
    const acceptance = yield* Acceptance
    const host = yield* Host

    const evaluate = (goal: Goal) =>
      Effect.acquireUseRelease(
        workspace.ensure(goal),
        (info) => acceptance.evaluate(goal, info),
        () =>
          Effect.catchAll(workspace.prune([goal.id], { force: true }), (error) =>
            host.stderr.write(`warning: ${printable(error.message)}\n`)
          )
      ).pipe(Effect.mapError((error) => new CheckError({ detail: error.message })))

    return {
      check: Effect.fn("GoalChecker.check")(function* (goal) {
        const complain = (problem: Complaint["problem"], criterion: number, detail: string) =>
          new Complaint({ problem, criterion: Option.some(criterion), detail })
        const found: Array<Complaint> = []
        for (const [index, criterion] of goal.acceptance.entries()) {
          const weakness = weaknessOf(criterion)
          if (weakness?.cannotFail === true) found.push(complain("cannot_fail", index, weakness.reason))
          // Each by itself, so that the place is known.
          const issues = yield* patternIssues(new Goal({ ...goal, acceptance: [criterion] }), "")
          for (const { message } of issues) found.push(complain("invalid", index, message))
        }
        const wrong = new Set(found.flatMap(({ criterion }) => Option.toArray(criterion)))
        const tried = [...goal.acceptance.entries()].filter(
          ([index, criterion]) => criterion._tag !== "LlmJudge" && !wrong.has(index)
        )
        if (tried.length === 0) return found
        const rehearsal = new Goal({
          ...goal,
          id: GoalId.make(yield* host.uuid),
          acceptance: tried.map(([, criterion]) => criterion)
        })
        const verdict = yield* evaluate(rehearsal)
        for (const result of verdict.results) {
          const [index, criterion] = tried[result.index] ?? []
          if (index === undefined || criterion === undefined) continue
          const reason = unrunnable(criterion, result)
          if (result.passed)
            found.push(complain("already_true", index, "it holds on the base already, before any work"))
          else if (reason !== undefined) found.push(complain("does_not_run", index, reason))
        }
        return found
      })
    }
  })
)
