/**
 * `GoalExecutor` over the goal loop. Work is kept on the goal's branch, whatever the
 * configuration says of delivery: it is delivered once it has been reviewed.
 */
import type { Goal } from "@driver/domain/Goal"
import type { GoalOutcome } from "@driver/domain/Outcome"
import { ExecutionError, GoalExecutor, GoalResult } from "@driver/intent/GoalExecutor"
import { GoalResults } from "@driver/intent/GoalResults"
import type { IntentStoreError } from "@driver/intent/IntentStore"
import { failureOfOutcome } from "@driver/intent/Recovery"
import { Workspace } from "@driver/runtime/Workspace"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RcMap from "effect/RcMap"
import * as Ref from "effect/Ref"
import { Host } from "./Host.js"
import { type RunError, RunGoal, type RunOptions } from "./RunGoal.js"
import type { Settings } from "./Settings.js"
import { printable } from "./Text.js"

/** In bytes: what a review is shown of the work. */
const longestDiff = 200_000

export interface GoalExecutorOptions<E, R> {
  readonly settings: Settings
  readonly onEvent: RunOptions["onEvent"]
  readonly run: (settings: Settings) => Layer.Layer<RunGoal, E, R>
}

export const layer = <E extends { readonly message: string }, R>({
  onEvent,
  run,
  settings
}: GoalExecutorOptions<E, R>): Layer.Layer<GoalExecutor, never, Workspace | GoalResults | Host | R> =>
  Layer.scoped(
    GoalExecutor,
    Effect.gen(function* () {
      // Goals that run at the same time share one driver: a process has one gate.
      const drivers = yield* RcMap.make({
        lookup: (base: string) => Effect.map(Layer.build(run(onBranch(settings, base))), Context.get(RunGoal))
      })
      const host = yield* Host
      const workspace = yield* Workspace
      const results = yield* GoalResults

      const told = yield* Ref.make<ReadonlySet<string>>(new Set())
      /** Each note once, however many goals run. */
      const tell = (notes: ReadonlyArray<string>) =>
        Effect.flatMap(
          Ref.getAndUpdate(told, (before) => new Set([...before, ...notes])),
          (before) =>
            Effect.forEach(notes, (it) =>
              before.has(it) ? Effect.void : host.stderr.write(`warning: ${printable(it)}\n`)
            )
        )

      const drive = (goal: Goal, base: string): Effect.Effect<GoalOutcome, ExecutionError> =>
        RcMap.get(drivers, base).pipe(
          Effect.flatMap((it) => Effect.zipRight(tell(it.notes), it.run(goal, { onEvent }))),
          Effect.scoped,
          Effect.mapError((error: E | RunError) => new ExecutionError({ class: "unknown", detail: error.message }))
        )

      return {
        run: Effect.fn("GoalExecutor.run")(function* (goal, _env, { previous }) {
          const known = yield* Effect.mapError(results.get(goal.id), storeFailed)
          if (Option.isSome(known)) return known.value
          const branch = Option.flatMap(previous, (it) => it.outcome.branch)
          const base = Option.getOrElse(branch, () => settings.config.base)
          const outcome = yield* drive(goal, base)
          const diff = yield* Effect.option(workspace.diff(goal.id, longestDiff))
          const result = new GoalResult({
            outcome,
            diff: Option.map(diff, (text) =>
              // The run went on from the earlier one's work, which is part of this result.
              [...Option.toArray(Option.flatMap(previous, (it) => it.diff)), text].filter((it) => it !== "").join("\n")
            ),
            failure: failureOfOutcome(outcome),
            agent: goal.agent
          })
          // A goal that was cancelled has not ended: it goes on when it is asked for again.
          if (outcome.outcome._tag !== "Cancelled") {
            yield* Effect.mapError(results.save(goal.id, result), storeFailed)
          }
          return result
        })
      }
    })
  )

const storeFailed = ({ message, retryable }: IntentStoreError): ExecutionError =>
  new ExecutionError({ class: retryable ? "transient" : "unknown", detail: message })

const onBranch = (settings: Settings, base: string): Settings => ({
  ...settings,
  deliver: { mode: "branch" },
  config: { ...settings.config, cleanup: "keep", base }
})
