/**
 * What an operator can do with goals, over the stores and the hands of whoever
 * works on goals in this process, if anybody does. What is asked of a goal that is
 * at work here is done at once; of another one it is left for its driver.
 */
import { Approve, Reject } from "@driver/domain/Approval"
import type { GoalId } from "@driver/domain/Goal"
import { Redactor } from "@driver/domain/Redactor"
import type { Approvals } from "@driver/permission/Approvals"
import type { Driver, NoSuchGoal } from "@driver/runtime/Driver"
import {
  Cancel,
  type Command,
  GoalRow,
  type GoalStore,
  Pause,
  RaiseTurns,
  Resume,
  Steer,
  Wake,
  withoutSecrets
} from "@driver/runtime/GoalStore"
import {
  AmbiguousGoal,
  DriverTrouble,
  type Goals,
  type GoalsError,
  NotPossible,
  type SteerReceipt,
  type Submission,
  SubmitRefused,
  UnknownApproval,
  UnknownGoal
} from "@driver/runtime/Goals"
import { shortId, validate } from "@driver/runtime/Queue"
import { CheckpointId, type WorkspaceError } from "@driver/runtime/Workspace"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { isOver } from "./goalRows.js"
import type { Hands } from "./hands.js"
import type { Insight } from "./insight.js"
import type { JournalFeed } from "./journalFeed.js"

export interface GoalsParts {
  readonly store: GoalStore["Type"]
  readonly approvals: Approvals["Type"]
  readonly hands: Hands
  readonly insight: Insight
  readonly feed: JournalFeed
}

export const make = ({ approvals, feed, hands, insight, store }: GoalsParts): Effect.Effect<Goals["Type"]> =>
  Effect.map(Redactor, (redactor) => {
    const rowOf = (goalId: GoalId): Effect.Effect<GoalRow, UnknownGoal | DriverTrouble> =>
      Effect.flatMap(trouble(store.get(goalId)), (row) =>
        Option.isSome(row) ? Effect.succeed(row.value) : new UnknownGoal({ name: goalId })
      )

    const openRowOf = (goalId: GoalId, what: string) =>
      Effect.filterOrFail(
        rowOf(goalId),
        (row) => !isOver(row),
        (row) => overAlready(row, what)
      )

    /** Left for whoever drives the goal, now or later. */
    const leave = (row: GoalRow, command: Command, what: string) =>
      Effect.gen(function* () {
        const { id } = row.goal
        const commandId = yield* trouble(store.command(id, command))
        // It may have ended in this moment, and what was asked of it been forgotten before this was.
        const now = yield* rowOf(id)
        if (!isOver(now)) return
        yield* trouble(store.handled([commandId]))
        return yield* overAlready(now, what)
      })

    /** At once where the goal is at work here, else as a command. */
    const ask = <A, E extends { readonly message: string }>(
      goalId: GoalId,
      what: string,
      options: {
        readonly here: (driver: Driver["Type"]) => Effect.Effect<A, E | NoSuchGoal>
        readonly left: (row: GoalRow) => Effect.Effect<readonly [Command, Effect.Effect<A, DriverTrouble>], NotPossible>
      }
    ): Effect.Effect<A, GoalsError> =>
      Effect.gen(function* () {
        const row = yield* openRowOf(goalId, what)
        const runner = yield* hands.runner(goalId)
        if (Option.isSome(runner)) {
          return yield* Effect.catchAll(
            options.here(runner.value.driver),
            (error): Effect.Effect<never, GoalsError> =>
              isGone(error) ? overAlready(row, what) : new DriverTrouble({ detail: error.message })
          )
        }
        const [command, answer] = yield* options.left(row)
        yield* leave(row, command, what)
        return yield* answer
      })

    const left = (command: Command) => () => Effect.succeed([command, Effect.void] as const)

    const steer = (goalId: GoalId, message: string, mode: Steer["mode"]): Effect.Effect<SteerReceipt, GoalsError> =>
      ask<SteerReceipt, { readonly message: string }>(goalId, "be told anything", {
        here: (driver) =>
          Effect.gen(function* () {
            if (mode === "queue") {
              return { delivery: "queued" as const, queued: yield* driver.interrupt(goalId, message) }
            }
            const delivery =
              mode === "turn" ? yield* driver.steer(goalId, message) : yield* driver.redirect(goalId, message)
            const status = (yield* driver.list).find((it) => it.goalId === goalId)
            return { delivery, queued: status?.queued ?? 0 }
          }),
        left: () =>
          Effect.succeed([
            new Steer({ message: redactor.text(message), mode }),
            Effect.map(trouble(store.commands([goalId])), (commands) => ({
              delivery: "stored" as const,
              queued: commands.filter(({ command }) => command._tag === "Steer").length
            }))
          ])
      })

    const cancel = (goalId: GoalId): Effect.Effect<void, GoalsError> =>
      Effect.gen(function* () {
        const row = yield* rowOf(goalId)
        if (isOver(row)) return
        if (row.state === "queued" && (yield* hands.cancelQueued(goalId))) return
        const runner = yield* hands.runner(goalId)
        if (Option.isSome(runner)) {
          yield* Effect.catchTag(runner.value.driver.cancel(goalId), "NoSuchGoal", () => Effect.void)
          return yield* hands.settled(goalId)
        }
        // That it is over is all that was asked for.
        yield* Effect.catchTag(leave(row, new Cancel(), "be cancelled"), "NotPossible", () => Effect.void)
      })

    const submit = (submissions: ReadonlyArray<Submission>) =>
      Effect.gen(function* () {
        const mentioned = new Set(submissions.flatMap(({ dependsOn, goal }) => [goal.id, ...dependsOn]))
        const known = new Set<GoalId>()
        for (const id of mentioned) if (Option.isSome(yield* trouble(store.get(id)))) known.add(id)
        const verdict = validate(
          submissions.map(({ dependsOn, goal }) => ({ id: goal.id, dependsOn })),
          known
        )
        if (Either.isLeft(verdict)) return yield* verdict.left
        const submittedAt = yield* DateTime.now
        const rows = submissions.map(
          (it) => new GoalRow({ ...it, goal: withoutSecrets(it.goal, redactor), state: "queued", submittedAt })
        )
        const bad = rows.find(({ repository }) => !repository.startsWith("/"))
        if (bad !== undefined) {
          return yield* new SubmitRefused({
            reason: "bad_repository",
            detail: `The repository of goal ${bad.goal.id} is given as ${JSON.stringify(bad.repository)}: give its absolute path`
          })
        }
        yield* Effect.forEach(rows, hands.check, { discard: true })
        yield* Effect.mapError(store.submit(rows), (error) =>
          error._tag === "GoalExists"
            ? new SubmitRefused({ reason: "exists", detail: error.message })
            : new DriverTrouble({ detail: error.message })
        )
        return yield* trouble(insight.summaries(rows))
      })

    /** With the goal in nobody's hands but ours. */
    const inPeace = <A>(row: GoalRow, what: string, use: Effect.Effect<A, GoalsError>): Effect.Effect<A, GoalsError> =>
      Effect.scoped(
        Effect.zipRight(
          Effect.mapError(hands.hold(row.goal.id), (error) =>
            error._tag === "GoalHeld"
              ? new NotPossible({
                  goalId: row.goal.id,
                  detail: `Goal ${shortId(row.goal.id)} cannot ${what} while another driver (${error.owner}) works on it`
                })
              : new DriverTrouble({ detail: error.message })
          ),
          use
        )
      )

    const rollback = (goalId: GoalId, checkpoint: string): Effect.Effect<string, GoalsError> =>
      Effect.gen(function* () {
        const row = yield* rowOf(goalId)
        const to = Schema.decodeUnknownOption(CheckpointId)(checkpoint.trim())
        if (Option.isNone(to)) {
          const detail = `${JSON.stringify(checkpoint)} is no checkpoint: it is a number, from 1`
          return yield* new NotPossible({ goalId, detail })
        }
        const runner = yield* hands.runner(goalId)
        if (Option.isNone(runner)) {
          const use = Effect.flatMap(hands.runnerFor(row), ({ workspace }) =>
            Effect.mapError(workspace.rollback(goalId, to.value), ofWorkspace(goalId))
          )
          return (yield* inPeace(row, "be rolled back", Effect.scoped(use))).id
        }
        const { driver, workspace } = runner.value
        const status = (yield* driver.list).find((it) => it.goalId === goalId)
        const inTurn = status?.progress.phase === "Working" || status?.progress.phase === "Compacting"
        if (status !== undefined && (!status.paused || inTurn)) {
          const detail = `Goal ${shortId(goalId)} is at work: \`driver pause ${shortId(goalId)}\`, wait until its turn has ended, and roll back then`
          return yield* new NotPossible({ goalId, detail })
        }
        return (yield* Effect.mapError(workspace.rollback(goalId, to.value), ofWorkspace(goalId))).id
      })

    const deliver = (goalId: GoalId): Effect.Effect<string, GoalsError> =>
      Effect.gen(function* () {
        const row = yield* rowOf(goalId)
        if (row.state !== "ended") {
          const detail =
            row.state === "skipped"
              ? `Goal ${shortId(goalId)} was skipped: there is no work to hand over`
              : `Goal ${shortId(goalId)} has not ended: its work is handed over then, or after a \`driver cancel\``
          return yield* new NotPossible({ goalId, detail })
        }
        const use = Effect.flatMap(hands.runnerFor(row), (runner) => runner.deliver(row.goal))
        return yield* inPeace(row, "be delivered", Effect.scoped(use))
      })

    const answer = (id: string, given: Approve | Reject) =>
      Effect.mapError(approvals.answer(id, given), (error) =>
        error._tag === "ApprovalsError"
          ? new DriverTrouble({ detail: error.message })
          : new UnknownApproval({ detail: error.message })
      )

    return {
      submit: Effect.fn("Goals.submit")(submit),
      list: Effect.fn("Goals.list")(({ all }) =>
        trouble(Effect.flatMap(store.list(all ? undefined : ["queued", "running"]), insight.summaries))
      ),
      find: Effect.fn("Goals.find")(function* (given) {
        const name = given.trim().toLowerCase()
        const found = name.length < 4 ? [] : yield* trouble(store.withPrefix(name))
        const [first, second] = found
        if (first === undefined) return yield* new UnknownGoal({ name: given })
        return second === undefined ? first : yield* new AmbiguousGoal({ name: given, candidates: found })
      }),
      show: Effect.fn("Goals.show")((goalId) => Effect.flatMap(rowOf(goalId), (row) => trouble(insight.detail(row)))),
      events: (goalId, options) =>
        Stream.unwrap(Effect.map(rowOf(goalId), () => Stream.mapError(feed.events(goalId, options), troubleOf))),
      pause: Effect.fn("Goals.pause")((goalId) =>
        ask(goalId, "be paused", { here: (driver) => driver.pause(goalId), left: left(new Pause()) })
      ),
      resume: Effect.fn("Goals.resume")((goalId) =>
        ask(goalId, "be resumed", { here: (driver) => driver.resume(goalId), left: left(new Resume()) })
      ),
      cancel: Effect.fn("Goals.cancel")(cancel),
      wake: Effect.fn("Goals.wake")((goalId) =>
        ask(goalId, "be woken", {
          here: (driver) => driver.wake(goalId),
          left: (row) =>
            row.state === "queued"
              ? new NotPossible({ goalId, detail: `Goal ${shortId(goalId)} has not begun: it does not sleep` })
              : Effect.succeed([new Wake(), Effect.void] as const)
        })
      ),
      steer: Effect.fn("Goals.steer")(steer),
      setMaxTurns: Effect.fn("Goals.setMaxTurns")((goalId, maxTurns) =>
        ask(goalId, "have a new budget", {
          here: (driver) => driver.setMaxTurns(goalId, maxTurns),
          left: (row) =>
            Effect.succeed([
              new RaiseTurns({ maxTurns }),
              Effect.map(trouble(insight.detail(row)), ({ summary }) => summary.maxTurns)
            ])
        })
      ),
      approvals: trouble(approvals.list),
      approve: Effect.fn("Goals.approve")((id, session) =>
        answer(id, new Approve({ scope: session ? "session" : "once" }))
      ),
      deny: Effect.fn("Goals.deny")((id, message) =>
        answer(
          id,
          new Reject({
            message: Option.filter(
              Option.map(message, (it) => it.trim()),
              (it) => it !== ""
            )
          })
        )
      ),
      rollback: Effect.fn("Goals.rollback")(rollback),
      deliver: Effect.fn("Goals.deliver")(deliver)
    }
  })

const overAlready = (row: GoalRow, what: string) =>
  new NotPossible({
    goalId: row.goal.id,
    detail:
      row.state === "skipped"
        ? `Goal ${shortId(row.goal.id)} was skipped and cannot ${what}: submit it anew, with another id`
        : `Goal ${shortId(row.goal.id)} has ended and cannot ${what}: submit it anew, with another id`
  })

const isGone = (error: { readonly message: string }): error is NoSuchGoal =>
  "_tag" in error && error._tag === "NoSuchGoal"

const troubleOf = (error: { readonly message: string }) => new DriverTrouble({ detail: error.message })

const trouble = <A, R>(effect: Effect.Effect<A, { readonly message: string }, R>): Effect.Effect<A, DriverTrouble, R> =>
  Effect.mapError(effect, troubleOf)

/** What the operator can do something about, and what is the machine's. */
const ofWorkspace = (goalId: GoalId) => (error: WorkspaceError) => {
  switch (error.reason) {
    case "unknown_goal":
    case "unknown_checkpoint":
    case "undelivered_work":
    case "conflict":
      return new NotPossible({ goalId, detail: error.message })
    default:
      return new DriverTrouble({ detail: error.message })
  }
}
