/**
 * `driver resume`: lets goals go on. With a daemon it takes the pause away and the
 * daemon does the rest; without one the goals go on here, in this process, as with
 * `driver run`, until they have ended.
 */
import type { GoalId } from "@driver/domain/Goal"
import { type GoalRow, GoalStore } from "@driver/runtime/GoalStore"
import { Goals } from "@driver/runtime/Goals"
import type { Journal } from "@driver/runtime/Journal"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RcMap from "effect/RcMap"
import { DaemonSocket } from "../../DaemonSocket.js"
import { EndWith, type ExitCode } from "../../exitCode.js"
import { RuntimeKey, settingsOfRow } from "../../goalSettings.js"
import { Host, type Output } from "../../Host.js"
import { plural } from "../../Render.js"
import { RunGoal } from "../../RunGoal.js"
import type { Settings } from "../../Settings.js"
import { printable } from "../../Text.js"
import { drive } from "../run.js"
import { answer, named, shortId } from "./named.js"

export interface ResumeArguments {
  /** Ids, or beginnings of ids. */
  readonly goals: ReadonlyArray<string>
  /** Every goal that has not ended. */
  readonly all: boolean
  readonly json: boolean
}

/** Neither goals nor `--all`, or a goal that cannot go on. */
export class NothingToResume extends Data.TaggedError("NothingToResume")<{ readonly detail: string }> {
  override get message() {
    return this.detail
  }
}

/** What a layer of one runtime may fail with, and the runtime's own troubles: one sentence either way. */
interface Trouble {
  readonly message: string
}

/** What goals go on with in this process. */
export interface Foreground<E, R> {
  /** Built once per repository and configuration. */
  readonly run: (settings: Settings) => Layer.Layer<RunGoal, E, R>
  readonly journals: (settings: Settings) => Layer.Layer<Journal | GoalStore, E, R>
}

export const resume = <E extends Trouble, R>(
  { all, goals: names, json }: ResumeArguments,
  settings: Settings,
  { journals, run }: Foreground<E, R>
) =>
  Effect.gen(function* () {
    if (names.length === 0 && !all) {
      return yield* new NothingToResume({
        detail: "Name the goals that are to go on, or give --all: `driver list` shows them"
      })
    }
    const goals = yield* Goals
    const { listening } = yield* DaemonSocket
    const goalIds = all
      ? (yield* goals.list({ all: false })).map(({ goalId }) => goalId)
      : [...new Set(yield* Effect.forEach(names, named))]
    if (listening) {
      yield* Effect.forEach(goalIds, (it) => goals.resume(it), { discard: true })
      return yield* answer(json, { goal_ids: goalIds, asked: "resume" }, `${plural(goalIds.length, "goal")} may go on.`)
    }
    if (goalIds.length === 0) return yield* answer(json, { goal_ids: [] }, "There is no goal that has not ended.")
    const codes = yield* Effect.gen(function* () {
      const rows = yield* Effect.forEach(goalIds, rowOf)
      // Read by whoever works on the goal, which is us in a moment.
      yield* Effect.forEach(goalIds, (it) => goals.resume(it), { discard: true })
      return yield* driveAll(rows, { json, settings }, run)
    }).pipe(Effect.scoped, Effect.provide(journals(settings)))
    const worst = codes.find((it) => it === 2) ?? codes.find((it) => it !== 0)
    if (worst !== undefined) return yield* new EndWith({ code: worst })
  })

const rowOf = (goalId: GoalId) =>
  Effect.gen(function* () {
    const row = yield* (yield* GoalStore).get(goalId)
    if (Option.isNone(row)) return yield* new NothingToResume({ detail: `The goal ${goalId} is not in the store` })
    const { state } = row.value
    if (state === "ended" || state === "skipped") {
      return yield* new NothingToResume({
        detail: `The goal ${shortId(goalId)} is over (${state}): submit it again, with another id`
      })
    }
    return row.value
  })

interface DriveAll {
  readonly json: boolean
  readonly settings: Settings
}

/** At most `max_concurrent` at a time, each after those that it depends on. Resolves with what each would have ended with. */
const driveAll = <E extends Trouble, R>(
  rows: ReadonlyArray<GoalRow>,
  { json, settings }: DriveAll,
  run: (settings: Settings) => Layer.Layer<RunGoal, E, R>
) =>
  Effect.gen(function* () {
    const store = yield* GoalStore
    const host = yield* Host
    const places = yield* Effect.makeSemaphore(settings.config.daemon.maxConcurrent)
    const runtimes = yield* RcMap.make({
      lookup: ({ settings }: RuntimeKey) => Effect.map(Layer.build(run(settings)), Context.get(RunGoal)),
      idleTimeToLive: Duration.infinity
    })
    const ended = new Map<GoalId, Deferred.Deferred<void>>()
    for (const { goal } of rows) ended.set(goal.id, yield* Deferred.make<void>())

    const driveOne = (row: GoalRow) =>
      Effect.gen(function* () {
        const own = yield* settingsOfRow(row, settings)
        const service = yield* RcMap.get(runtimes, new RuntimeKey(own))
        yield* drive(row.goal, { json, transient: false }).pipe(Effect.provideService(RunGoal, service))
        return 0 as ExitCode
      }).pipe(
        Effect.scoped,
        Effect.catchAll((error: EndWith | Trouble) =>
          error instanceof EndWith ? Effect.succeed(error.code) : fails(error.message)
        )
      )

    /** What keeps it from beginning, once those that it waits for have had their turn here. */
    const obstacle = (row: GoalRow) =>
      Effect.gen(function* () {
        for (const dependency of row.dependsOn) {
          const turn = ended.get(dependency)
          if (turn !== undefined) yield* Deferred.await(turn)
          const before = yield* store.get(dependency)
          if (Option.exists(before, ({ outcome }) => Option.exists(outcome, (it) => it.outcome._tag === "Done")))
            continue
          return Option.some(`it waits for the goal ${shortId(dependency)}, which has not been accepted`)
        }
        return Option.none<string>()
      })

    const single = rows.length === 1
    return yield* Effect.forEach(
      rows,
      (row) =>
        Effect.flatMap(
          obstacle(row),
          Option.match({
            onNone: () => places.withPermits(1)(driveOne(row)),
            onSome: (why) => fails(`The goal ${shortId(row.goal.id)} cannot go on: ${why}`)
          })
        ).pipe(
          Effect.ensuring(
            Effect.suspend(() => {
              const done = ended.get(row.goal.id)
              return done === undefined ? Effect.void : Deferred.succeed(done, undefined)
            })
          ),
          single ? (it) => it : Effect.provideService(Host, withPrefix(host, row.goal.id, json))
        ),
      { concurrency: "unbounded" }
    )
  })

const fails = (message: string): Effect.Effect<ExitCode, never, Host> =>
  Effect.flatMap(Host, ({ stderr }) => Effect.as(stderr.write(`driver: ${printable(message)}\n`), 2 as const))

/** Several goals share the screen: lines, each with the goal it is of. */
const withPrefix = (host: Host["Type"], goalId: GoalId, json: boolean): Host["Type"] => {
  const prefixed = (output: Output): Output => ({
    ...output,
    isTerminal: false,
    write: (text) => output.write(text.replace(/^(?=.)/gm, `${shortId(goalId)} `))
  })
  return { ...host, stdout: json ? host.stdout : prefixed(host.stdout), stderr: prefixed(host.stderr) }
}
