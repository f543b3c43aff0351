/** Who speaks in a turn: the main conversation, or a subagent. Each lane has API calls of its own. */
import type { Json } from "./Json.js"
import { mainLabels } from "./Messages.js"
import type { Usage } from "./Scenario.js"

/** One request to the model. */
export interface Call {
  readonly id: string
  readonly requestId: string
  readonly usage: Usage
  /** All that was said, from which its output tokens are estimated. */
  said: string
  /** The last text. */
  text: string | undefined
  blocks: number
}

export interface Lane {
  readonly main: boolean
  readonly agentId: string | undefined
  /** Fields of every event of the lane. */
  readonly labels: Json
  /** The API call that is open. */
  call: Call | undefined
  calls: number
  lastText: string | undefined
  /** What has been streamed of a text that is not complete. */
  partial: string
  tools: number
  tokens: number
}

const fresh = { call: undefined, calls: 0, lastText: undefined, partial: "", tools: 0, tokens: 0 }

export const mainLane = (): Lane => ({ main: true, agentId: undefined, labels: mainLabels, ...fresh })

export const subagentLane = (agentId: string, labels: Json): Lane => ({ main: false, agentId, labels, ...fresh })
