/** What the span of an agent's turn says of it. Pure but for the span. */
import type { AgentEvent } from "@driver/agent/Agent"
import type { GoalId } from "@driver/domain/Goal"
import { content, plainName, SpanAttribute, SpanContentAttribute } from "@driver/domain/Spans"
import type { TokenUsage } from "@driver/domain/Usage"
import * as Option from "effect/Option"
import type { Span } from "effect/Tracer"
import type { AttemptReport } from "../Attempt.js"

export const agentAttributes = (kind: string, goalId: GoalId, turn: number): Record<string, unknown> => ({
  [SpanAttribute.operation]: "invoke_agent",
  [SpanAttribute.agentName]: plainName(kind),
  [SpanAttribute.goalId]: goalId,
  [SpanAttribute.turn]: turn
})

export const annotateAgentEvent = (span: Span, event: AgentEvent): void => {
  if (event._tag !== "SessionStarted") return
  span.attribute(SpanAttribute.conversation, plainName(event.sessionId))
  if (Option.isSome(event.model)) span.attribute(SpanAttribute.model, plainName(event.model.value))
}

/** By the conventions the tokens of input are all of them: those from the cache and into it too. */
export const tokenAttributes = (tokens: TokenUsage): Record<string, unknown> => ({
  [SpanAttribute.inputTokens]: tokens.input + tokens.cacheRead + tokens.cacheCreation,
  [SpanAttribute.outputTokens]: tokens.output,
  [SpanAttribute.cacheReadTokens]: tokens.cacheRead,
  [SpanAttribute.cacheCreationTokens]: tokens.cacheCreation
})

export const annotateReport = (span: Span, report: AttemptReport): void => {
  const { end } = report
  const attributes: Record<string, unknown> = {
    ...tokenAttributes(report.tokens),
    [SpanAttribute.turnEnd]: snakeCase(end._tag),
    [SpanAttribute.turnToolCalls]: report.toolCalls.length,
    ...some(SpanAttribute.costUsd, report.costUsd),
    ...some(SpanAttribute.contextTokens, report.contextTokens),
    ...some(SpanAttribute.contextWindow, report.contextWindow)
  }
  if (end._tag === "Failed") {
    attributes[SpanAttribute.errorType] = Option.match(end.failure, {
      onNone: () => `agent_${end.by}`,
      onSome: (it) => it.class
    })
    attributes[SpanContentAttribute.errorMessage] = content(() => end.message)
  }
  if (end._tag === "BudgetReached") attributes[SpanAttribute.budgetAxis] = end.axis
  if (end._tag === "Claimed") attributes[SpanContentAttribute.answer] = content(() => end.text)
  for (const [name, value] of Object.entries(attributes)) span.attribute(name, value)
}

const snakeCase = (tag: string): string => tag.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase()

const some = (name: string, value: Option.Option<number>): Record<string, unknown> =>
  Option.isSome(value) ? { [name]: value.value } : {}
