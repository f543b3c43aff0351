/** One goal in this process, as `driver run`, `resume`, `ask` and `demo` need it. */
import { Sandbox } from "@driver/agent/Sandbox"
import type { Goal, GoalId } from "@driver/domain/Goal"
import type { GoalOutcome } from "@driver/domain/Outcome"
import * as Redactor from "@driver/domain/Redactor"
import { Approvals } from "@driver/permission/Approvals"
import * as CommandPoller from "@driver/runtime/CommandPoller"
import { Driver } from "@driver/runtime/Driver"
import { EventSink } from "@driver/runtime/EventSink"
import { GoalRow, GoalStore, withoutSecrets } from "@driver/runtime/GoalStore"
import { Journal } from "@driver/runtime/Journal"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Arr from "effect/Array"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { driverLayer } from "./Composition.js"
import { metricSinks, relaysLayer, telemetryLayer } from "./compositionEvents.js"
import * as GoalLock from "./GoalLock.js"
import { sweepLeft } from "./leftProcesses.js"
import { RunError, RunGoal, type RunOptions } from "./RunGoal.js"
import type { Settings } from "./Settings.js"
import { sandboxNotes } from "./sandboxLayer.js"

/** A database that is busy or away is waited for, as the goal's journal waits for it. */
const whileAway = {
  while: (error: { readonly retryable: boolean }) => error.retryable,
  schedule: Schedule.intersect(Schedule.spaced("250 millis"), Schedule.recurs(240))
}

export interface RunLayerOptions {
  /** `driver list` shows the goals, and another driver may go on with them when this one dies. */
  readonly listed: boolean
  readonly driver: typeof driverLayer
}

/** Runs goals, each with its events told to whoever runs it. */
export const runLayer = (
  settings: Settings,
  { driver: makeDriver, listed }: RunLayerOptions
): Layer.Layer<RunGoal, { readonly message: string }, FileSystem.FileSystem | Path.Path> =>
  Layer.unwrapEffect(
    Effect.sync(() => {
      const running = new Map<GoalId, RunOptions>()
      const redactor = Redactor.make(settings.secrets)
      const observed = Layer.succeed(EventSink, {
        publish: (stored) => {
          const options = running.get(stored.goalId)
          return options === undefined ? Effect.void : options.onEvent(stored)
        },
        flush: Effect.void
      })
      const sink = EventSink.layerAll([
        observed,
        ...settings.eventFiles.map((file) => EventSink.layerJsonl(file)),
        ...metricSinks(settings)
      ])
      const service = Layer.scoped(
        RunGoal,
        Effect.gen(function* () {
          const driver = yield* Driver
          const events = yield* EventSink
          const approvals = yield* Approvals
          const store = yield* GoalStore
          const journal = yield* Journal
          // Goals run in the caller's fibers, which this layer was not built in.
          const tracer = yield* Effect.tracer
          const isTraced = yield* FiberRef.get(FiberRef.currentTracerEnabled)
          // What `driver pause`, `steer` and the like ask in other processes.
          yield* CommandPoller.poll({
            goals: Effect.sync(() => [...running.keys()]),
            handle: driver.handle
          })

          const list = (goal: Goal) =>
            Effect.gen(function* () {
              if (!listed) return
              const before = yield* store.get(goal.id)
              const row = Option.getOrElse(before, () => ({
                repository: Option.getOrElse(settings.repository, () => settings.stateDirectory),
                config: settings.file,
                account: settings.config.account,
                submittedAt: undefined
              }))
              yield* store.put(
                new GoalRow({
                  ...row,
                  goal: withoutSecrets(goal, redactor),
                  state: "running",
                  submittedAt: row.submittedAt ?? (yield* DateTime.now)
                })
              )
            })

          /** Written down before anybody is told: the last event ends the run for some. */
          const ended = (outcome: GoalOutcome) =>
            listed
              ? Effect.catchAll(store.setState(outcome.goalId, "ended", { outcome }), (error) =>
                  Effect.logWarning(`What became of goal ${outcome.goalId} is not in the list: ${error.message}`)
                )
              : Effect.void

          /** How the goal has ended, as its journal says. */
          const endOf = (goal: Goal) =>
            Effect.gen(function* () {
              const records = yield* journal.read(goal.id)
              const last = Arr.findLast(records, ({ entry }) => entry._tag === "GoalCompleted")
              if (Option.isNone(last) || last.value.entry._tag !== "GoalCompleted") {
                return yield* new RunError({ detail: `The journal of goal ${goal.id} does not say how it ended` })
              }
              const { outcome } = last.value.entry
              yield* ended(outcome)
              return outcome
            })

          return {
            notes: sandboxNotes(yield* Sandbox),
            run: (goal, options) =>
              Effect.gen(function* () {
                yield* GoalLock.acquire(settings.stateDirectory, goal.id)
                yield* Effect.provideService(sweepLeft(goal.id), Journal, journal)
                yield* approvals.abandon(goal.id)
                yield* Effect.acquireRelease(
                  Effect.sync(() =>
                    running.set(goal.id, {
                      onEvent: (stored) =>
                        Effect.zipRight(
                          stored.event._tag === "GoalCompleted" ? ended(stored.event.outcome) : Effect.void,
                          options.onEvent(stored)
                        )
                    })
                  ),
                  () => Effect.sync(() => running.delete(goal.id))
                )
                const before = yield* store.get(goal.id)
                const started = driver.spawn(goal, {
                  account: settings.config.account,
                  unlessEnded: Option.exists(before, ({ state }) => state === "running")
                })
                const outcome = yield* Effect.uninterruptibleMask((restore) =>
                  Effect.flatMap(started, (handle) =>
                    // A goal that cannot be listed goes on when it can: only who interrupts this cancels it.
                    restore(
                      Effect.zipRight(
                        Effect.tapError(Effect.retry(list(goal), whileAway), () =>
                          Effect.ignore(driver.suspend(goal.id))
                        ),
                        handle.await
                      )
                    ).pipe(Effect.onInterrupt(() => handle.cancel))
                  )
                ).pipe(
                  // A driver died between the goal's end and the list of goals.
                  Effect.catchTag("GoalHasEnded", () => endOf(goal)),
                  Effect.ensuring(events.flush)
                )
                return outcome
              }).pipe(
                Effect.scoped,
                Effect.withTracer(tracer),
                Effect.withTracerEnabled(isTraced),
                Effect.mapError((error) =>
                  error instanceof RunError ? error : new RunError({ detail: error.message })
                )
              )
          }
        })
      )
      return service.pipe(
        Layer.provide(relaysLayer(settings)),
        Layer.provide(makeDriver(settings)),
        Layer.provide(sink),
        Layer.provide(telemetryLayer(settings))
      )
    })
  )
