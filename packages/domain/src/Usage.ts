/**
 * What a goal has used, and which axis of its budget that exhausts.
 *
 * Token counts are the agent's own. All four classes count, also those of a turn
 * that did not end well.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Budget } from "./Goal.js"
import { key, trusted, Usd, WireDuration } from "./Wire.js"

/** Tokens by class, as the provider bills them. */
export class TokenUsage extends Schema.Class<TokenUsage>("TokenUsage")({
  input: Schema.NonNegativeInt,
  output: Schema.NonNegativeInt,
  cacheRead: key(Schema.NonNegativeInt, "cache_read"),
  cacheCreation: key(Schema.NonNegativeInt, "cache_creation")
}) {
  static readonly zero: TokenUsage = new TokenUsage({ input: 0, output: 0, cacheRead: 0, cacheCreation: 0 })
}

export const totalTokens = (tokens: TokenUsage): number =>
  tokens.input + tokens.output + tokens.cacheRead + tokens.cacheCreation

export const addTokens = (a: TokenUsage, b: TokenUsage): TokenUsage =>
  new TokenUsage(
    {
      input: a.input + b.input,
      output: a.output + b.output,
      cacheRead: a.cacheRead + b.cacheRead,
      cacheCreation: a.cacheCreation + b.cacheCreation
    },
    trusted
  )

/** The axes of a budget, consumed. */
export class Usage extends Schema.Class<Usage>("Usage")({
  turns: Schema.NonNegativeInt,
  /** Active time: paused and sleeping time is not charged. */
  wallTime: key(WireDuration, "wall_time"),
  tokens: TokenUsage,
  /** US dollars that are known to have been spent: a lower bound while `costComplete` is false. */
  costUsd: key(Usd, "known_cost_usd"),
  /** False as soon as one call's cost was not reported. Then the total is unknown, never 0. */
  costComplete: key(Schema.Boolean, "cost_complete"),
  consecutiveDenies: key(Schema.NonNegativeInt, "consecutive_denies"),
  consecutiveErrors: key(Schema.NonNegativeInt, "consecutive_errors"),
  consecutivePromptTooLong: key(Schema.NonNegativeInt, "consecutive_prompt_too_long")
}) {
  static readonly zero: Usage = new Usage({
    turns: 0,
    wallTime: Duration.zero,
    tokens: TokenUsage.zero,
    costUsd: 0,
    costComplete: true,
    consecutiveDenies: 0,
    consecutiveErrors: 0,
    consecutivePromptTooLong: 0
  })
}

/** A copy with some fields replaced. */
export const updateUsage = (usage: Usage, fields: Partial<ConstructorParameters<typeof Usage>[0]>): Usage =>
  new Usage({ ...usage, ...fields }, trusted)

/** The total cost in US dollars; none when part of it is unknown. */
export const knownCost = (usage: Usage): Option.Option<number> =>
  usage.costComplete ? Option.some(usage.costUsd) : Option.none()

/** Adds one agent call. A cost of none makes the total unknown. */
export const charge = (usage: Usage, tokens: TokenUsage, costUsd: Option.Option<number>): Usage =>
  updateUsage(usage, {
    tokens: addTokens(usage.tokens, tokens),
    costUsd: usage.costUsd + Option.getOrElse(costUsd, () => 0),
    costComplete: usage.costComplete && Option.isSome(costUsd)
  })

export const BudgetAxis = Schema.Literal(
  "turns",
  "wall_time",
  "tokens",
  "cost_usd",
  "consecutive_denies",
  "consecutive_errors",
  "consecutive_prompt_too_long"
)
export type BudgetAxis = typeof BudgetAxis.Type

/** The first axis that is used up, in the order of `BudgetAxis`. */
export const exhaustedAxis = (budget: Budget, usage: Usage): Option.Option<BudgetAxis> => {
  if (usage.turns >= budget.maxTurns) return Option.some("turns")
  if (Duration.greaterThanOrEqualTo(usage.wallTime, budget.maxWallTime)) return Option.some("wall_time")
  if (totalTokens(usage.tokens) >= budget.maxTokens) return Option.some("tokens")
  if (Option.exists(budget.maxCostUsd, (max) => usage.costUsd >= max)) return Option.some("cost_usd")
  if (reached(budget.maxConsecutiveDenies, usage.consecutiveDenies)) return Option.some("consecutive_denies")
  if (reached(budget.maxConsecutiveErrors, usage.consecutiveErrors)) return Option.some("consecutive_errors")
  if (reached(budget.maxConsecutivePromptTooLong, usage.consecutivePromptTooLong)) {
    return Option.some("consecutive_prompt_too_long")
  }
  return Option.none()
}

/** 0 switches an axis off. */
const reached = (max: number, used: number): boolean => max > 0 && used >= max
