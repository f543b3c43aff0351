/** What is done when a run failed for a reason that is not the work's. Pure. */
import type * as Agent from "@driver/agent/Agent"
import type { GoalOutcome } from "@driver/domain/Outcome"
import * as Data from "effect/Data"
import * as Option from "effect/Option"
import type { FailureClass } from "./GoalExecutor.js"

export type Recovery = Data.TaggedEnum<{
  /** Once more with the same agent. */
  RetrySame: {}
  SwitchAgent: { readonly agent: string }
  GiveUp: {}
}>
export const Recovery = Data.taggedEnum<Recovery>()

export interface RecoverySituation {
  readonly failure: FailureClass
  /** Runs with the same agent that have been tried again already. */
  readonly retried: number
  /** Default of `Intent`: 1; the goal loop has its own patience before. */
  readonly maxRetries: number
  /** Configured agents that have not been tried, in their order. */
  readonly others: ReadonlyArray<string>
}

/** The same agent may succeed another time. */
export const mayPass = (failure: FailureClass): boolean => failure === "transient" || failure === "unknown"

/** The same agent again only for what passes by itself; another one only for what another one may not have. */
export const recover = ({ failure, maxRetries, others, retried }: RecoverySituation): Recovery => {
  switch (failure) {
    case "transient":
    case "unknown":
      return retried < maxRetries ? Recovery.RetrySame() : Recovery.GiveUp()
    case "quota_exhausted":
    case "auth_failure":
    case "model_unavailable": {
      const [agent] = others
      return agent === undefined ? Recovery.GiveUp() : Recovery.SwitchAgent({ agent })
    }
    case "context_overflow":
    case "budget_exceeded":
      return Recovery.GiveUp()
  }
}

/** Our classes for what an agent reports. */
export const failureClassOf = (reported: Agent.FailureClass): FailureClass => {
  switch (reported) {
    case "prompt_too_long":
      return "context_overflow"
    case "usage_limit":
    case "billing":
      return "quota_exhausted"
    case "auth":
      return "auth_failure"
    case "model_unavailable":
      return "model_unavailable"
    case "transient":
    case "session_dead":
      return "transient"
    case "invalid_request":
    case "unknown":
      return "unknown"
  }
}

/** What the outcome itself says of why a run ended; an executor that knows more says more. */
export const failureOfOutcome = ({ outcome }: Pick<GoalOutcome, "outcome">): Option.Option<FailureClass> => {
  switch (outcome._tag) {
    case "BudgetExhausted":
      return Option.some(outcome.axis === "consecutive_prompt_too_long" ? "context_overflow" : "budget_exceeded")
    case "Escalate":
      return Option.orElse(Option.map(outcome.failure, failureClassOf), () =>
        outcome.by === "driver" ? Option.some("unknown" as const) : Option.none()
      )
    default:
      return Option.none()
  }
}
