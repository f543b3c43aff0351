/**
 * `GoalExecutor` over the goal loop. Work is kept on the goal's branch, whatever the
 * configuration says of delivery: it is delivered once it has been reviewed.
 */
import type { Goal } from "@driver/domain/Goal"
import { Escalate, GoalOutcome } from "@driver/domain/Outcome"
import * as Redactor from "@driver/domain/Redactor"
import { Usage } from "@driver/domain/Usage"
import { ExecutionError, GoalExecutor, GoalResult } from "@driver/intent/GoalExecutor"
import { GoalResults } from "@driver/intent/GoalResults"
import type { IntentStoreError } from "@driver/intent/IntentStore"
import { failureOfOutcome } from "@driver/intent/Recovery"
import { AccountLimits, type AccountState } from "@driver/runtime/AccountLimits"
import { cutHead } from "@driver/runtime/Evidence"
import { Workspace } from "@driver/runtime/Workspace"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RcMap from "effect/RcMap"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import { Host } from "./Host.js"
import { settingsFor } from "./otherAgents.js"
import { RunError, RunGoal, type RunOptions } from "./RunGoal.js"
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
}: GoalExecutorOptions<E, R>): Layer.Layer<GoalExecutor, never, Workspace | GoalResults | AccountLimits | Host | R> =>
  Layer.scoped(
    GoalExecutor,
    Effect.gen(function* () {
      // Goals that run at the same time share one driver: a process has one gate.
      const drivers = yield* RcMap.make({
        lookup: ({ agent, base }: Worker) =>
          Effect.suspend((): Effect.Effect<RunGoal["Type"], E | RunError, R | Scope.Scope> => {
            const own = settingsFor(onBranch(settings, base), agent)
            return own === undefined
              ? new RunError({
                  detail: `There is no agent ${JSON.stringify(Option.getOrElse(agent, () => ""))}: put it back into \`intent.other_agents\` in driver.yaml, or ask anew`
                })
              : Effect.map(Layer.build(run(own)), Context.get(RunGoal))
          })
      })
      const host = yield* Host
      const workspace = yield* Workspace
      const results = yield* GoalResults
      const limits = yield* AccountLimits
      const redactor = Redactor.make(settings.secrets)

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

      /** The limit that whoever would work is known to have met, where somebody else can take over. */
      const knownLimit = (goal: Goal): Effect.Effect<Option.Option<AccountState>> => {
        const own = settingsFor(settings, goal.agent)
        return own?.agent.endAtLimit === true
          ? limits.list.pipe(
              Effect.map((all) => Option.fromNullable(all.find(({ account }) => account === own.config.account))),
              Effect.catchAll((error) =>
                Effect.as(Effect.logWarning("Whether the account is open is unknown", error), Option.none())
              )
            )
          : Effect.succeedNone
      }

      const drive = (goal: Goal, base: string): Effect.Effect<GoalOutcome, ExecutionError> =>
        RcMap.get(drivers, new Worker({ agent: goal.agent, base })).pipe(
          Effect.flatMap((it) =>
            Effect.zipLeft(it.run(goal, { onEvent }), Effect.flatMap(it.notes, tell), { concurrent: true })
          ),
          Effect.scoped,
          Effect.mapError((error: E | RunError) => new ExecutionError({ class: "unknown", detail: error.message }))
        )

      return {
        run: Effect.fn("GoalExecutor.run")(function* (goal, _env, { previous }) {
          const known = yield* Effect.mapError(results.get(goal.id), storeFailed)
          if (Option.isSome(known)) return known.value
          const branch = Option.flatMap(previous, (it) => it.outcome.branch)
          const base = Option.getOrElse(branch, () => settings.config.base)
          const limit = yield* knownLimit(goal)
          if (Option.isSome(limit)) return notBegun(goal, limit.value)
          const outcome = yield* drive(goal, base)
          // It could not be worked on any more and has not ended: it goes on when it is asked for again.
          if (outcome.outcome._tag === "Continue") {
            return yield* new ExecutionError({ class: "unknown", detail: outcome.outcome.reason })
          }
          // More than is kept, so that no secret is cut in two before it is seen.
          const raw = yield* Effect.option(workspace.diff(goal.id, longestDiff + 4_096))
          const diff = Option.map(raw, (text) => cutHead(redactor.text(text), longestDiff))
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

const notBegun = (goal: Goal, { account, reason, until }: AccountState): GoalResult => {
  const when = DateTime.formatIso(DateTime.unsafeMake(until))
  const outcome = new GoalOutcome({
    goalId: goal.id,
    outcome: new Escalate({
      reason: `The usage limit of account ${account} resets at ${when}: ${reason}`,
      failure: Option.some("usage_limit")
    }),
    totalTurns: 0,
    usage: Usage.zero,
    elapsed: Duration.zero
  })
  return new GoalResult({ outcome, failure: failureOfOutcome(outcome), agent: goal.agent })
}

/** Who works, and what from. */
class Worker extends Data.Class<{ readonly agent: Option.Option<string>; readonly base: string }> {}

const storeFailed = ({ message, retryable }: IntentStoreError): ExecutionError =>
  new ExecutionError({ class: retryable ? "transient" : "unknown", detail: message })

const onBranch = (settings: Settings, base: string): Settings => ({
  ...settings,
  deliver: { mode: "branch" },
  config: { ...settings.config, cleanup: "keep", base }
})
