/** The daemon as the API shows it: which one it is, and how it is asked to stop. */

import type { DriverTrouble } from "@driver/runtime/Goals"
import { Goals } from "@driver/runtime/Goals"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Health } from "./Api.js"

export interface DaemonOptions {
  readonly version: string
  readonly pid: number
}

export class Daemon extends Context.Tag("@driver/server/Daemon")<
  Daemon,
  {
    readonly health: Effect.Effect<Health, DriverTrouble>
    /** Asks the daemon to stop; returns at once. */
    readonly shutdown: Effect.Effect<void>
    /** Resolves when that was asked: the composition awaits it, and closes its scope. */
    readonly shutdownAsked: Effect.Effect<void>
  }
>() {
  static readonly layer = ({ pid, version }: DaemonOptions): Layer.Layer<Daemon, never, Goals> =>
    Layer.effect(
      this,
      Effect.gen(function* () {
        const goals = yield* Goals
        const startedAt = yield* DateTime.now
        const asked = yield* Deferred.make<void>()
        return {
          health: Effect.gen(function* () {
            const open = yield* goals.list({ all: false })
            return new Health({
              version,
              pid,
              startedAt,
              uptime: DateTime.distanceDuration(startedAt, yield* DateTime.now),
              goalsRunning: open.filter(({ state }) => state === "running").length,
              goalsQueued: open.filter(({ state }) => state === "queued").length
            })
          }),
          shutdown: Effect.asVoid(Deferred.succeed(asked, undefined)),
          shutdownAsked: Deferred.await(asked)
        }
      })
    )
}
