/** Drains a turn of the run's session under its budget, and tells the binding, the trace and whoever watches of each event. */
import { Agent, type AgentError, type AgentEvent } from "@driver/agent/Agent"
import * as ToolSpans from "@driver/agent/ToolSpans"
import { AgentActivity } from "@driver/domain/DriverEvent"
import { SpanName } from "@driver/domain/Spans"
import { trusted } from "@driver/domain/Wire"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import { activityOf } from "../Activity.js"
import * as Attempt from "../Attempt.js"
import type { BudgetWatch, GoalRun } from "../GoalRun.js"
import { agentAttributes, annotateAgentEvent, annotateReport } from "./agentSpan.js"

export const drainTurn = <R>(
  run: GoalRun,
  turn: number,
  watch: BudgetWatch,
  events: Effect.Effect<Stream.Stream<AgentEvent, AgentError>, AgentError, R>
): Effect.Effect<Attempt.AttemptReport, never, R> =>
  Effect.gen(function* () {
    // A ticket without spans: calls are told of all the same, and their decisions wherever they are asked for.
    const spans = run.ticket.spans ?? (yield* ToolSpans.make)
    const kind = Option.match(yield* Effect.serviceOption(Agent), { onNone: () => "agent", onSome: (it) => it.kind })
    return yield* Effect.useSpan(
      SpanName.agent(kind),
      { kind: "client", captureStackTrace: false, attributes: agentAttributes(kind, run.goal.id, turn) },
      (span) =>
        Attempt.drain(events, {
          clean: run.control.redactor.value,
          timeout: watch.timeout,
          timeoutIsBudget: watch.timeoutIsBudget,
          stopped: watch.stopped,
          onMetered: (tokens) => watch.onMetered(tokens, Option.none()),
          onEvent: (event) =>
            Effect.suspend(() => {
              annotateAgentEvent(span, event)
              return Effect.zipRight(spans.observe(event), run.sessions.observe(event))
            }).pipe(
              Effect.zipRight(
                Option.match(activityOf(event), {
                  onNone: () => Effect.void,
                  onSome: (it) => run.control.publish(new AgentActivity({ goalId: run.goal.id, turn, ...it }, trusted))
                })
              )
            )
        }).pipe(
          spans.during,
          // It is known from here on, however long it takes to judge the turn.
          Effect.tap((report) => watch.onMetered(report.tokens, report.costUsd)),
          Effect.tap((report) => Effect.sync(() => annotateReport(span, report))),
          Effect.withParentSpan(span)
        )
    )
  })
