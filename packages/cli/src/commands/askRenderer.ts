/**
 * Several goals on one screen, one after the other or side by side: the one that began
 * alone has the screen, the others get lines.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { Host, type Output } from "../Host.js"
import type { Renderer } from "../Render.js"
import { themeOf } from "../Theme.js"
import { makeRenderer } from "./run.js"

export interface GoalsRenderer {
  readonly onEvent: (event: StoredEvent) => Effect.Effect<void>
}

interface Shown {
  readonly renderer: Renderer
  readonly scope: Scope.CloseableScope
}

/** Its renderers are finished with the scope. */
export const makeGoalsRenderer = (output: Output): Effect.Effect<GoalsRenderer, never, Host | Scope.Scope> =>
  Effect.gen(function* () {
    const host = yield* Host
    /** Changed with the one permit only. */
    const shown = new Map<GoalId, Shown>()
    const oneAtATime = yield* Effect.makeSemaphore(1)

    const end = ({ renderer, scope }: Shown) => Effect.ensuring(renderer.finish, Scope.close(scope, Exit.void))

    const begin = (goalId: GoalId) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const theme = themeOf(host.environment, output.isTerminal)
        const make =
          shown.size === 0
            ? makeRenderer(output)
            : Effect.flatMap(
                Effect.promise(() => import("../RenderPlain.js")),
                (it) => it.make(output, theme)
              )
        const renderer = yield* make.pipe(Effect.provideService(Scope.Scope, scope), Effect.provideService(Host, host))
        const it = { renderer, scope }
        shown.set(goalId, it)
        return it
      })

    yield* Effect.addFinalizer(() => Effect.forEach([...shown.values()], end, { discard: true }))
    return {
      onEvent: (event) =>
        Effect.gen(function* () {
          const it = shown.get(event.goalId) ?? (yield* begin(event.goalId))
          yield* it.renderer.onEvent(event)
          if (event.event._tag !== "GoalCompleted") return
          shown.delete(event.goalId)
          yield* end(it)
        }).pipe(oneAtATime.withPermits(1))
    }
  })
