/**
 * What a compaction costs, leaves behind and says, whether the model's context ran full (a step) or the user asked for
 * it (`/compact`). When one happens, and which events surround it, is decided in `StepPlayer` and `LocalCommands`.
 */
import type { Usage } from "./Scenario.js"
import type { Session } from "./Session.js"
import type { Compact } from "./Step.js"
import { estimate } from "./Tokens.js"

/** The synthetic message that stands in for what a compaction has dropped. */
export const summaryText = (summary: string, { id, toolsUsed }: Session): string =>
  "This session is being continued from a previous conversation that ran out of context. The summary below covers the earlier portion of the conversation.\n\n" +
  `<system-reminder>\n<tools-used-before-summary>${toolsUsed.join(", ")}</tools-used-before-summary>\n</system-reminder>\nSummary:\n${summary}\n\n` +
  `If you need specific details from before compaction, they are in session ${id}.\n` +
  "Continue the conversation from where it left off without asking the user any further questions."

/** Its usage, the metadata of its boundary event, and the session after it. */
export const compacted = (session: Session, compact: Compact) => {
  const before = compact.preTokens ?? session.contextTokens
  const usage: Usage = { input: 10, output: estimate(compact.summary) + 20, cacheRead: before, cacheCreation: 0 }
  const dropped = session.droppedTokens + Math.max(0, before - compact.postTokens)
  const metadata = (trigger: "manual" | "auto", since: number) => ({
    trigger,
    pre_tokens: before,
    post_tokens: compact.postTokens,
    cumulative_dropped_tokens: dropped,
    duration_ms: Date.now() - since
  })
  const after = (current: Session): Session => ({
    ...current,
    contextTokens: compact.postTokens,
    compactions: current.compactions + 1,
    droppedTokens: dropped,
    toolsUsed: []
  })
  return { usage, metadata, after }
}
