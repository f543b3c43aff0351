/** What the daemon does when it is asked: each endpoint is one call of `Goals`. */
import { Goals } from "@driver/runtime/Goals"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import type * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Api, Checkpoint, GoalNamed, Said, TurnBudget } from "./Api.js"
import { Daemon } from "./Daemon.js"
import { isOver } from "./EventFeed.js"
import { EventHub } from "./EventHub.js"

const goalsGroup = HttpApiBuilder.group(Api, "goals", (handlers) =>
  Effect.gen(function* () {
    const goals = yield* Goals
    const hub = yield* EventHub
    return handlers
      .handle("submit", ({ payload }) => goals.submit(payload.goals))
      .handle("list", ({ urlParams }) => goals.list({ all: urlParams.all }))
      .handle("find", ({ path }) => Effect.map(goals.find(path.goal), (goalId) => new GoalNamed({ goalId })))
      .handle("show", ({ path }) => Effect.flatMap(goals.find(path.goal), goals.show))
      .handleRaw("events", ({ headers, path, urlParams }) =>
        Effect.gen(function* () {
          const goalId = yield* goals.find(path.goal)
          const { head, summary } = yield* goals.show(goalId)
          const seen = sequenceOf(headers["last-event-id"])
          const after = seen ?? urlParams.after ?? 0
          // So a browser knows that there is nothing to reconnect for.
          if (seen !== undefined && seen >= head && isOver(summary.state)) return HttpServerResponse.empty()
          return HttpServerResponse.stream(hub.frames(goalId, { after, follow: urlParams.follow }), {
            contentType: "text/event-stream",
            headers: { "cache-control": "no-store", "x-accel-buffering": "no" }
          })
        })
      )
      .handle("logs", ({ path, urlParams }) =>
        Effect.gen(function* () {
          const goalId = yield* goals.find(path.goal)
          const events = goals.events(goalId, { after: urlParams.after, follow: false })
          return Array.from(yield* Stream.runCollect(Stream.take(events, urlParams.limit)))
        })
      )
      .handle("pause", ({ path }) => named(goals, path.goal, goals.pause))
      .handle("resume", ({ path }) => named(goals, path.goal, goals.resume))
      .handle("cancel", ({ path }) => named(goals, path.goal, goals.cancel))
      .handle("wake", ({ path }) => named(goals, path.goal, goals.wake))
      .handle("steer", ({ path, payload }) =>
        Effect.flatMap(goals.find(path.goal), (goalId) => goals.steer(goalId, payload.message, payload.mode))
      )
      .handle("budget", ({ path, payload }) =>
        goals.find(path.goal).pipe(
          Effect.flatMap((goalId) => goals.setMaxTurns(goalId, payload.maxTurns)),
          Effect.map((maxTurns) => new TurnBudget({ maxTurns }))
        )
      )
      .handle("rollback", ({ path, payload }) =>
        goals.find(path.goal).pipe(
          Effect.flatMap((goalId) => goals.rollback(goalId, payload.checkpoint)),
          Effect.map((checkpoint) => new Checkpoint({ checkpoint }))
        )
      )
      .handle("deliver", ({ path }) =>
        Effect.map(Effect.flatMap(goals.find(path.goal), goals.deliver), (summary) => new Said({ summary }))
      )
  })
)

const approvalsGroup = HttpApiBuilder.group(Api, "approvals", (handlers) =>
  Effect.map(Goals, (goals) =>
    handlers
      .handle("approvals", () => goals.approvals)
      .handle("approve", ({ path, payload }) => goals.approve(path.approval, payload.scope === "session"))
      .handle("deny", ({ path, payload }) => goals.deny(path.approval, payload.message))
  )
)

const daemonGroup = HttpApiBuilder.group(Api, "daemon", (handlers) =>
  Effect.map(Daemon, (daemon) =>
    handlers
      .handle("health", () => daemon.health)
      .handle("shutdown", () =>
        Effect.as(daemon.shutdown, new Said({ summary: "The daemon stops; its goals go on when it is started again" }))
      )
  )
)

export const layer: Layer.Layer<
  | HttpApiGroup.ApiGroup<"driver", "goals">
  | HttpApiGroup.ApiGroup<"driver", "approvals">
  | HttpApiGroup.ApiGroup<"driver", "daemon">,
  never,
  Goals | EventHub | Daemon
> = Layer.mergeAll(goalsGroup, approvalsGroup, daemonGroup)

const named = <E>(goals: Goals["Type"], name: string, use: (goalId: GoalNamed["goalId"]) => Effect.Effect<void, E>) =>
  Effect.flatMap(goals.find(name), (goalId) => Effect.as(use(goalId), new GoalNamed({ goalId })))

/** Of the header Last-Event-ID; anything else than a sequence is as if it were not there. */
const sequenceOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
