/**
 * Token figures and what they cost: how API calls add up to a turn and to a session, and the three shapes in which the
 * protocol shows them (a message's usage, a result's usage, the usage per model).
 */
import type { Usage } from "./Scenario.js"

export const noUsage: Usage = { input: 0, output: 0, cacheRead: 0, cacheCreation: 0 }

export const addUsage = (a: Usage, b: Usage): Usage => ({
  input: a.input + b.input,
  output: a.output + b.output,
  cacheRead: a.cacheRead + b.cacheRead,
  cacheCreation: a.cacheCreation + b.cacheCreation
})

/** What a call sends: the fill of the context window. */
export const contextOf = (usage: Usage): number => usage.input + usage.cacheRead + usage.cacheCreation

/** USD for one token. The list price that the real agent's captures show for its default model. */
const price = { input: 4e-6, output: 20e-6, cacheRead: 0.2e-6, cacheCreation: 5e-6 }

export const costOf = (usage: Usage): number =>
  usage.input * price.input +
  usage.output * price.output +
  usage.cacheRead * price.cacheRead +
  usage.cacheCreation * price.cacheCreation

/** Tokens of a text, roughly: the usual four characters each. */
export const estimate = (text: string): number => Math.max(1, Math.ceil(text.length / 4))

/** What one model has used, with its cost in USD. */
export interface ModelTotal {
  readonly usage: Usage
  readonly costUsd: number
}

export type ModelTotals = Readonly<Record<string, ModelTotal>>

export const addTo = (totals: ModelTotals, model: string, usage: Usage, costUsd: number): ModelTotals => {
  const before = totals[model] ?? { usage: noUsage, costUsd: 0 }
  return { ...totals, [model]: { usage: addUsage(before.usage, usage), costUsd: before.costUsd + costUsd } }
}

export const costOfAll = (totals: ModelTotals): number =>
  Object.values(totals).reduce((sum, total) => sum + total.costUsd, 0)

/** The usage in an assistant message. Output tokens are the placeholder that the real stream shows there. */
export const messageUsage = (usage: Usage, outputTokens = 1) => ({
  input_tokens: usage.input,
  cache_creation_input_tokens: usage.cacheCreation,
  cache_read_input_tokens: usage.cacheRead,
  cache_creation: { ephemeral_5m_input_tokens: usage.cacheCreation, ephemeral_1h_input_tokens: 0 },
  output_tokens: outputTokens,
  service_tier: "standard"
})

/** The usage in a result. */
export const resultUsage = (usage: Usage) => ({
  input_tokens: usage.input,
  cache_creation_input_tokens: usage.cacheCreation,
  cache_read_input_tokens: usage.cacheRead,
  output_tokens: usage.output,
  output_tokens_details: { thinking_tokens: 0 },
  server_tool_use: { web_search_requests: 0, web_fetch_requests: 0 },
  service_tier: "standard",
  cache_creation: { ephemeral_1h_input_tokens: 0, ephemeral_5m_input_tokens: usage.cacheCreation },
  inference_geo: "",
  iterations: [],
  speed: "standard",
  fallback_credit: null
})

/** The usage per model, in a result. `showCost: false` leaves the cost out. */
export const modelUsage = (totals: ModelTotals, contextWindow: number, showCost: boolean) =>
  Object.fromEntries(
    Object.entries(totals).map(([model, { usage, costUsd }]) => [
      model,
      {
        inputTokens: usage.input,
        outputTokens: usage.output,
        cacheReadInputTokens: usage.cacheRead,
        cacheCreationInputTokens: usage.cacheCreation,
        webSearchRequests: 0,
        ...(showCost ? { costUSD: costUsd } : {}),
        contextWindow,
        maxOutputTokens: 128_000,
        thinkingTokens: 0,
        cacheCreationEphemeral5mInputTokens: usage.cacheCreation,
        cacheCreationEphemeral1hInputTokens: 0,
        canonicalModel: model,
        provider: "firstParty",
        costBasis: "list"
      }
    ])
  )
