/**
 * The spans of the tool calls of one goal, and of the decisions about them.
 *
 * A call is heard of twice, in either order and on different fibers: by the gate,
 * which is asked about it, and from the agent's events. Whoever is first opens the
 * span, the event that the call has ended closes it, and the end of the turn closes
 * what is left. A decision is told below its call where the agent names its calls,
 * else below the turn.
 */
import type { GoalId } from "@driver/domain/Goal"
import { isAllowed, type PermissionOutcome } from "@driver/domain/Permission"
import { content, plainName, SpanAttribute, SpanContentAttribute, SpanName } from "@driver/domain/Spans"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import type { AgentEvent } from "./Agent.js"
import type { ToolCall } from "./PermissionGate.js"

export interface ToolSpans {
  /** Runs a turn of the agent: calls that are heard of meanwhile are below the span that is current now. */
  readonly during: <A, E, R>(turn: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** To be told each event of the turn, in order. */
  readonly observe: (event: AgentEvent) => Effect.Effect<void>
  /** Opens the span of a decision. */
  readonly deciding: (
    call: ToolCall,
    at: { readonly goalId: GoalId; readonly turn: number }
  ) => Effect.Effect<DecisionSpan>
}

export interface DecisionSpan {
  /** Runs what is done to decide, on whichever fiber, below the decision. */
  readonly within: <A, E, R>(work: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Ends it. Later calls do nothing. */
  readonly end: (outcome: PermissionOutcome) => Effect.Effect<void>
}

/** Calls of one turn that are open at a time; those beyond have no span. An agent has a few. */
const most = 256

/** What happens outside of a turn is told below the span that is current when this is run. */
export const make: Effect.Effect<ToolSpans> = Effect.suspend(() =>
  Effect.flatMap(isHeard, (it) => (it ? heard : unheard))
)

/** Effect's own tracer keeps spans for nobody. */
const isHeard = Effect.zipWith(
  FiberRef.get(FiberRef.currentTracerEnabled),
  Effect.tracer,
  (isEnabled, tracer) => isEnabled && tracer !== Context.get(DefaultServices.liveServices, Tracer.Tracer)
)

const unheard: Effect.Effect<ToolSpans> = Effect.succeed({
  during: identity,
  observe: () => Effect.void,
  deciding: () => Effect.succeed(unheardDecision)
})

const unheardDecision: DecisionSpan = { within: identity, end: () => Effect.void }

const heard: Effect.Effect<ToolSpans> = Effect.map(parentSpan(), (outside) => {
  let turn: Tracer.AnySpan | undefined
  const open = new Map<string, Tracer.Span>()

  const called = (toolUseId: string, name: string, parent: Tracer.AnySpan) =>
    Effect.suspend(() => {
      const known = open.get(toolUseId)
      if (known !== undefined || open.size >= most) return Effect.succeed(known)
      return Effect.map(
        Effect.makeSpan(SpanName.tool(name), {
          parent,
          captureStackTrace: false,
          attributes: {
            [SpanAttribute.operation]: "execute_tool",
            [SpanAttribute.toolType]: "function",
            [SpanAttribute.toolName]: plainName(name),
            [SpanAttribute.toolCallId]: plainName(toolUseId)
          }
        }),
        (span): Tracer.Span | undefined => {
          open.set(toolUseId, span)
          return span
        }
      )
    })

  const closeAll = Effect.suspend(() => {
    const left = [...open.values()]
    open.clear()
    turn = undefined
    return Effect.forEach(
      left,
      (span) => {
        span.attribute(SpanAttribute.toolUnfinished, true)
        return endNow(span)
      },
      { discard: true }
    )
  })

  return {
    during: <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.acquireUseRelease(
        Effect.map(parentSpan(), (span) => {
          turn = span
        }),
        () => work,
        () => closeAll
      ),
    observe: (event) =>
      Effect.suspend(() => {
        if (turn === undefined) return Effect.void
        if (event._tag === "ToolCalled") {
          const within = Option.getOrUndefined(event.parentToolUseId)
          const parent = (within === undefined ? undefined : open.get(within)) ?? turn
          return Effect.map(called(event.toolUseId, event.name, parent), (span) => {
            span?.attribute(
              SpanContentAttribute.toolArguments,
              content(() => JSON.stringify(event.input))
            )
          })
        }
        if (event._tag === "ToolEnded") {
          const span = open.get(event.toolUseId)
          if (span === undefined) return Effect.void
          open.delete(event.toolUseId)
          span.attribute(SpanAttribute.toolFailed, event.failed)
          span.attribute(SpanAttribute.toolDenied, event.denied)
          if (event.failed && !event.denied) span.attribute(SpanAttribute.errorType, "tool_error")
          span.attribute(
            SpanContentAttribute.toolResult,
            content(() => event.text)
          )
          return endNow(span)
        }
        return Effect.void
      }),
    deciding: (call, at) =>
      Effect.gen(function* () {
        const above = turn
        const own =
          above === undefined || Option.isNone(call.toolUseId)
            ? undefined
            : yield* called(call.toolUseId.value, call.tool, above)
        const parent = own ?? above ?? outside
        const span = yield* Effect.makeSpan(SpanName.decision, {
          ...(parent === undefined ? {} : { parent }),
          captureStackTrace: false,
          attributes: {
            [SpanAttribute.goalId]: at.goalId,
            [SpanAttribute.turn]: at.turn,
            [SpanAttribute.toolName]: plainName(call.tool),
            ...(Option.isSome(call.toolUseId) ? { [SpanAttribute.toolCallId]: plainName(call.toolUseId.value) } : {}),
            [SpanContentAttribute.toolArguments]: content(() => JSON.stringify(call.input))
          }
        })
        return {
          within: Effect.withParentSpan(span),
          end: (outcome) =>
            Effect.suspend(() => {
              if (span.status._tag === "Ended") return Effect.void
              span.attribute(SpanAttribute.decisionVerdict, verdictOf(outcome))
              span.attribute(
                SpanContentAttribute.rationale,
                content(() => rationaleOf(outcome))
              )
              return endNow(span)
            })
        } satisfies DecisionSpan
      })
  } satisfies ToolSpans
})

function parentSpan(): Effect.Effect<Tracer.AnySpan | undefined> {
  return Effect.map(Effect.option(Effect.currentParentSpan), Option.getOrUndefined)
}

const endNow = (span: Tracer.Span): Effect.Effect<void> =>
  Effect.map(Clock.currentTimeNanos, (now) => span.end(now, Exit.void))

const verdictOf = (outcome: PermissionOutcome): string => {
  switch (outcome._tag) {
    case "AllowOnce":
      return "allow"
    case "AllowSession":
      return "allow_session"
    default:
      return outcome._tag.toLowerCase()
  }
}

const rationaleOf = (outcome: PermissionOutcome): string =>
  isAllowed(outcome) || outcome._tag === "Deny"
    ? outcome.rationale
    : outcome._tag === "Unavailable"
      ? outcome.reason
      : "withdrawn"
