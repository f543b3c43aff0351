/**
 * The shapes of messages that no API call wrote: a user's, and the synthetic ones of the assistant. What a model says is
 * in `Transcript`.
 */
import { randomUUID } from "node:crypto"
import type { Json } from "./Json.js"
import { type Event, timestamp } from "./Output.js"

/** Labels of events of the main conversation, as opposed to a subagent's. */
export const mainLabels = { parent_tool_use_id: null }

/** A user's message: a prompt, tool results, or a note of the program itself. */
export const userMessage = (content: unknown, extra: Json = {}, labels: Json = mainLabels): Event => ({
  type: "user",
  message: { role: "user", content },
  ...labels,
  timestamp: timestamp(),
  ...extra
})

/** An assistant message that no model wrote: API failures and answers of local commands. */
export const syntheticMessage = (
  text: string,
  stopReason: string,
  stopSequence: string | null,
  extra: Json
): Event => ({
  type: "assistant",
  message: {
    id: randomUUID(),
    type: "message",
    role: "assistant",
    model: "<synthetic>",
    content: [{ type: "text", text }],
    stop_reason: stopReason,
    stop_sequence: stopSequence,
    stop_details: null,
    diagnostics: null,
    container: null,
    usage: {
      input_tokens: 0,
      output_tokens: 0,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
      output_tokens_details: null,
      server_tool_use: { web_search_requests: 0, web_fetch_requests: 0 },
      service_tier: null,
      cache_creation: { ephemeral_1h_input_tokens: 0, ephemeral_5m_input_tokens: 0 },
      inference_geo: null,
      iterations: null,
      speed: null,
      fallback_credit: null
    },
    context_management: null
  },
  parent_tool_use_id: null,
  timestamp: timestamp(),
  ...extra
})
