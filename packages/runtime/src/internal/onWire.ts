/** The loop's own values as the journal has them, there and back. */
import * as Option from "effect/Option"
import type { NextOnWire, TraceOnWire, TurnSettled } from "../LoopEntry.js"
import { Next } from "../LoopState.js"
import { StuckDecision, type TurnTrace } from "../StuckPolicy.js"

type TraceWire = typeof TraceOnWire.Type
type StuckWire = TurnSettled["stuck"]

export const nextOnWire = (next: Next): NextOnWire => {
  switch (next._tag) {
    case "Accept":
      return { kind: "accept" }
    case "Retry":
      return { kind: "retry", failures: next.failures }
    case "Advance":
      return { kind: "advance", rollback_to: Option.getOrNull(next.rollbackTo) }
    case "FreshSession":
      return { kind: "fresh_session", rollback_to: Option.getOrNull(next.rollbackTo), delay: next.delay }
    case "CompactFirst":
      return { kind: "compact_first" }
    case "SameTurn":
      return { kind: "same_turn" }
    case "SleepThen":
      return { kind: "sleep_then", duration: next.duration, reason: next.reason, same_turn: next.sameTurn }
    case "Redirect":
      return { kind: "redirect" }
    case "Stop":
      return { kind: "stop", outcome: next.outcome }
  }
}

export const nextOf = (next: NextOnWire): Next => {
  switch (next.kind) {
    case "accept":
      return Next.Accept()
    case "retry":
      return Next.Retry({ failures: next.failures })
    case "advance":
      return Next.Advance({ rollbackTo: Option.fromNullable(next.rollback_to) })
    case "fresh_session":
      return Next.FreshSession({ rollbackTo: Option.fromNullable(next.rollback_to), delay: next.delay })
    case "compact_first":
      return Next.CompactFirst()
    case "same_turn":
      return Next.SameTurn()
    case "sleep_then":
      return Next.SleepThen({ duration: next.duration, reason: next.reason, sameTurn: next.same_turn })
    case "redirect":
      return Next.Redirect()
    case "stop":
      return Next.Stop({ outcome: next.outcome })
  }
}

export const traceOnWire = ({ diffEmpty, failures, toolCalls }: TurnTrace): TraceWire => ({
  failures,
  diff_empty: diffEmpty,
  tool_calls: toolCalls
})

export const traceOf = ({ diff_empty, failures, tool_calls }: TraceWire): TurnTrace => ({
  failures,
  diffEmpty: diff_empty,
  toolCalls: tool_calls
})

export const stuckOnWire = (stuck: StuckDecision): StuckWire =>
  StuckDecision.$match(stuck, {
    Fine: (): StuckWire => ({ kind: "fine" }),
    Nudge: ({ message }): StuckWire => ({ kind: "nudge", message }),
    Escalate: ({ reason }): StuckWire => ({ kind: "escalate", reason })
  })

export const stuckOf = (stuck: StuckWire): StuckDecision => {
  switch (stuck.kind) {
    case "fine":
      return StuckDecision.Fine()
    case "nudge":
      return StuckDecision.Nudge({ message: stuck.message })
    case "escalate":
      return StuckDecision.Escalate({ reason: stuck.reason })
  }
}
