/**
 * `GoalRunners` for many repositories: one runtime per repository and configuration,
 * all on one database, each made when its first goal begins.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import { Approvals } from "@driver/permission/Approvals"
import { Driver } from "@driver/runtime/Driver"
import { EventSink } from "@driver/runtime/EventSink"
import { deliveryOf } from "@driver/runtime/GoalLoopSettings"
import type { GoalRow } from "@driver/runtime/GoalStore"
import { DriverTrouble, SubmitRefused } from "@driver/runtime/Goals"
import type { Leases } from "@driver/runtime/Leases"
import { Workspace } from "@driver/runtime/Workspace"
import { type GoalRunner, GoalRunners } from "@driver/server/GoalRunners"
import type { AllStores } from "@driver/store/Stores"
import * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RcMap from "effect/RcMap"
import type { driverLayer } from "./Composition.js"
import { metricSinks } from "./compositionEvents.js"
import * as GoalLock from "./GoalLock.js"
import { RuntimeKey, settingsOfRow } from "./goalSettings.js"
import type { Host } from "./Host.js"
import { sweepLeft } from "./leftProcesses.js"
import type { Settings } from "./Settings.js"

export interface GoalRunnersOptions {
  /** Of the daemon: its store is that of all goals. */
  readonly settings: Settings
  readonly onEvent: (event: StoredEvent) => Effect.Effect<void>
  readonly driver: typeof driverLayer
}

/** A runtime without goals is kept so long for the next one. */
const keptIdle = "1 minute"

export const layer = ({
  driver,
  onEvent,
  settings: own
}: GoalRunnersOptions): Layer.Layer<
  GoalRunners,
  never,
  AllStores | Leases | FileSystem.FileSystem | Path.Path | Host
> =>
  Layer.scoped(
    GoalRunners,
    Effect.gen(function* () {
      const services = yield* Effect.context<AllStores | Leases | FileSystem.FileSystem | Path.Path | Host>()
      const approvals = yield* Approvals
      const fs = yield* FileSystem.FileSystem
      const shared = Layer.succeedContext(services)
      const observed = Layer.succeed(EventSink, { publish: onEvent, flush: Effect.void })

      const runtimes = yield* RcMap.make({
        lookup: ({ settings }: RuntimeKey) => {
          const sink = EventSink.layerAll([
            observed,
            ...settings.eventFiles.map((file) => EventSink.layerJsonl(file)),
            ...metricSinks(own)
          ])
          return Layer.build(Layer.provide(driver(settings, { shared, onClose: "suspend" }), sink))
        },
        idleTimeToLive: keptIdle
      })

      /** Held while anything is done with the goal in this process: `driver prune` and `run` leave it alone. */
      const locks = yield* RcMap.make({
        lookup: ({ goalId, stateDirectory }: { readonly goalId: GoalId; readonly stateDirectory: string }) =>
          Effect.gen(function* () {
            yield* GoalLock.acquire(stateDirectory, goalId)
            yield* sweepLeft(goalId)
            yield* approvals.abandon(goalId)
          })
      })

      const settingsOf = (row: GoalRow) => Effect.provide(settingsOfRow(row, own), services)

      return {
        forRow: (row) =>
          Effect.gen(function* () {
            const settings = yield* settingsOf(row)
            yield* RcMap.get(locks, Data.struct({ goalId: row.goal.id, stateDirectory: settings.stateDirectory }))
            const runtime = yield* RcMap.get(runtimes, new RuntimeKey(settings))
            const workspace = Context.get(runtime, Workspace)
            const runner: GoalRunner = {
              driver: Context.get(runtime, Driver),
              workspace,
              deliver: (goal) =>
                workspace.deliver(goal, deliveryOf(settings.deliver, goal.description)).pipe(
                  Effect.map(({ summary }) => summary),
                  Effect.mapError(({ message }) => new DriverTrouble({ detail: message }))
                )
            }
            return runner
          }).pipe(
            Effect.mapError(({ message }) => new DriverTrouble({ detail: message })),
            Effect.provide(services)
          ),
        check: (row) =>
          Effect.gen(function* () {
            const refuse = (reason: SubmitRefused["reason"], detail: string) => new SubmitRefused({ reason, detail })
            const there = yield* Effect.orElseSucceed(fs.exists(row.repository), () => false)
            if (!there) {
              return yield* refuse("bad_repository", `There is no directory ${row.repository}: name one that there is`)
            }
            const settings = yield* Effect.mapError(settingsOf(row), ({ message }) =>
              refuse("bad_configuration", message)
            )
            if (settings.config.workspace === "git" && Option.isNone(settings.repository)) {
              return yield* refuse(
                "bad_repository",
                `${row.repository} is not inside a git repository: run \`git init\` there, or set \`workspace: directory\` in its driver.yaml`
              )
            }
          })
      }
    })
  )
