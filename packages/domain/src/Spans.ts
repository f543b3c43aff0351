/**
 * The spans of a goal's trace: their names and attributes, which are a contract with whoever reads traces, and the
 * wrapper of whatever may hold content. Names follow the GenAI conventions of OpenTelemetry where those have a word.
 *
 * ```text
 *   driver.goal ─▶ driver.attempt, driver.compaction ─▶ invoke_agent <kind> ─▶ execute_tool <tool> ─▶ driver.decision
 *                        └─▶ driver.criterion
 * ```
 *
 * A span carries names, counts, sizes and verdicts. What the agent, the operator or a command said is `SpanContent`,
 * which is evaluated by a tracer that was asked for content, and by no other.
 */

/** Names of spans. Those of agents and tools end with the agent's or the tool's own name. */
export const SpanName = {
  goal: "driver.goal",
  attempt: "driver.attempt",
  compaction: "driver.compaction",
  agent: (kind: string): string => `${agentPrefix}${plainName(kind)}`,
  tool: (name: string): string => `${toolPrefix}${plainName(name)}`,
  decision: "driver.decision",
  criterion: "driver.criterion"
} as const

const agentPrefix = "invoke_agent "
const toolPrefix = "execute_tool "
const fixedNames: ReadonlySet<string> = new Set([
  SpanName.goal,
  SpanName.attempt,
  SpanName.compaction,
  SpanName.decision,
  SpanName.criterion
])

/** Whether the span is one of those above; others are of use to whoever debugs the driver itself. */
export const isGoalSpan = (name: string): boolean =>
  fixedNames.has(name) || name.startsWith(agentPrefix) || name.startsWith(toolPrefix)

/** Attributes that hold no content: names from fixed sets, ids, counts, sizes, verdicts. */
export const SpanAttribute = {
  goalId: "driver.goal.id",
  goalCriteria: "driver.goal.criteria",
  goalMaxTurns: "driver.goal.max_turns",
  /** False when a driver went on with a goal that another one had begun. */
  goalContinued: "driver.goal.continued",
  goalTurns: "driver.goal.turns",
  /** `done`, `escalate`, `cancelled`, `budget_exhausted`; of an attempt also `needs_retry`, `continue`, `sleep`. */
  outcome: "driver.outcome",
  /** The axis of a budget that was used up. */
  budgetAxis: "driver.budget.axis",
  turn: "driver.turn",
  turnDecisions: "driver.turn.decisions",
  turnToolCalls: "driver.turn.tool_calls",
  /** How the agent's turn ended: `claimed`, `sleep_asked`, `failed`, `redirected`, `budget_reached`. */
  turnEnd: "driver.turn.end",
  /** US dollars; absent when unknown. */
  costUsd: "driver.cost.usd",
  compactionSucceeded: "driver.compaction.succeeded",
  /** `allow`, `allow_session`, `deny`, `unavailable`, `cancelled`. */
  decisionVerdict: "driver.decision.verdict",
  toolFailed: "driver.tool.failed",
  toolDenied: "driver.tool.denied",
  /** The turn ended before the call did, or the agent did not say that it had. */
  toolUnfinished: "driver.tool.unfinished",
  /** From 0. */
  criterionIndex: "driver.criterion.index",
  /** `shell`, `file_matches`, `custom`, `llm_judge`. */
  criterionKind: "driver.criterion.kind",
  criterionPassed: "driver.criterion.passed",
  /** Size of the evidence in UTF-16 units. */
  criterionEvidence: "driver.criterion.evidence_length",
  interrupted: "driver.interrupted",
  operation: "gen_ai.operation.name",
  agentName: "gen_ai.agent.name",
  model: "gen_ai.request.model",
  /** The agent's own id of the session. */
  conversation: "gen_ai.conversation.id",
  /** All tokens of input, those from and into the cache included. */
  inputTokens: "gen_ai.usage.input_tokens",
  outputTokens: "gen_ai.usage.output_tokens",
  cacheReadTokens: "gen_ai.usage.cache_read.input_tokens",
  cacheCreationTokens: "gen_ai.usage.cache_creation.input_tokens",
  contextTokens: "driver.context.tokens",
  contextWindow: "driver.context.window",
  toolName: "gen_ai.tool.name",
  toolCallId: "gen_ai.tool.call.id",
  toolType: "gen_ai.tool.type",
  /** A class of failure or the tag of an error. Marks the span as failed. */
  errorType: "error.type"
} as const

const plainAttributes: ReadonlySet<string> = new Set(Object.values(SpanAttribute))

/** Whether an attribute of this name may leave the driver when content is not asked for. */
export const isPlainAttribute = (name: string): boolean => plainAttributes.has(name)

/** Attributes whose values are `SpanContent`. */
export const SpanContentAttribute = {
  description: "driver.goal.description",
  prompt: "gen_ai.input.messages",
  answer: "gen_ai.output.messages",
  toolArguments: "gen_ai.tool.call.arguments",
  toolResult: "gen_ai.tool.call.result",
  rationale: "driver.decision.rationale",
  criterion: "driver.criterion.text",
  criterionMessage: "driver.criterion.message",
  errorMessage: "error.message"
} as const

/** What somebody wrote, said or ran: left out of spans unless content is asked for, and then without secrets. */
export class SpanContent {
  constructor(readonly text: () => string) {}

  /** For a tracer that does not know this class. */
  toString(): string {
    return "<content>"
  }

  toJSON(): string {
    return this.toString()
  }
}

/** `text` is called at most once, and not at all while content is off. */
export const content = (text: () => string): SpanContent => new SpanContent(text)

/** The name as it is, when it can be one: a model can call a tool by any text, and a text is content. */
export const plainName = (name: string): string => (/^[\w.:@/-]{1,96}$/.test(name) ? name : "other")
