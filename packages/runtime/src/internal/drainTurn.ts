/** Drains a turn of the run's session under its budget, and tells the binding and whoever watches of each event. */
import type { AgentError, AgentEvent } from "@driver/agent/Agent"
import { AgentActivity } from "@driver/domain/DriverEvent"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { activityOf } from "../Activity.js"
import * as Attempt from "../Attempt.js"
import type { BudgetWatch, GoalRun } from "../GoalRun.js"

export const drainTurn = <R>(
  run: GoalRun,
  turn: number,
  watch: BudgetWatch,
  events: Stream.Stream<AgentEvent, AgentError, R>
): Effect.Effect<Attempt.AttemptReport, never, R> =>
  // Clean from here on: whatever is cut short later is not cut in the middle of a secret.
  Attempt.drain(Stream.mapError(Stream.map(events, run.control.redactor.value), run.control.redactor.value), {
    timeout: watch.timeout,
    timeoutIsBudget: watch.timeoutIsBudget,
    stopped: watch.stopped,
    onMetered: watch.onMetered,
    onEvent: (event) =>
      Effect.zipRight(
        run.sessions.observe(event),
        Option.match(activityOf(event), {
          onNone: () => Effect.void,
          onSome: (it) => run.control.publish(new AgentActivity({ goalId: run.goal.id, turn, ...it }))
        })
      )
  })
