/**
 * Whether the work is what was asked for: a mechanical stage without a model, then a
 * semantic one. A mechanical failure overrides whatever the model says, and a claim
 * without evidence gets no credit. Pure.
 */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import { type Directive, ReviewVerdict } from "./Directive.js"
import type { GoalResult } from "./GoalExecutor.js"
import type { ReviewRequest, SemanticReview } from "./IntentModel.js"
import { parseModelJson } from "./ModelJson.js"
import { schemaProblems } from "./OutputSchema.js"

export interface MechanicalReview {
  readonly passed: boolean
  /** 0 to 1: the part of what can be found out that was found to hold. */
  readonly score: number
  readonly gaps: ReadonlyArray<string>
  /** Positions of the criteria that the goal loop found to hold. */
  readonly held: ReadonlySet<number>
}

/** What the run itself shows. What the agent says of it is not asked. */
export const mechanicalReview = (directive: Directive, { diff, outcome }: GoalResult): MechanicalReview => {
  const results = Option.match(outcome.acceptance, { onNone: () => [], onSome: (verdict) => verdict.results })
  const held = new Set<number>()
  const gaps: Array<string> = []
  if (outcome.outcome._tag !== "Done") gaps.push(`The run did not end well: ${endOf(outcome.outcome)}.`)
  directive.acceptanceCriteria.forEach(({ statement }, index) => {
    const result = results.find((it) => it.index === index)
    if (result === undefined) gaps.push(`Nothing shows that this holds: ${statement}`)
    else if (result.passed) held.add(index)
    else gaps.push(`This does not hold: ${statement} (${result.message})`)
  })
  const total = directive.acceptanceCriteria.length
  const formProblems = Option.match(directive.outputSchema, {
    onNone: () => [],
    onSome: (schema) => finalAnswerProblems(schema, outcome.finalText)
  })
  gaps.push(...formProblems)
  const hasForm = Option.isSome(directive.outputSchema)
  const isTried = directive.acceptanceCriteria.some(
    (criterion, index) => criterion._tag !== "JudgedCriterion" && !criterion.guard && held.has(index)
  )
  // Work that leaves no trace is a claim.
  if (!isTried && !hasForm && !Option.exists(diff, (text) => text.trim() !== "")) {
    gaps.push("There is no change that would show the work.")
  }
  const parts = total + (hasForm ? 1 : 0)
  const good = held.size + (hasForm && formProblems.length === 0 ? 1 : 0)
  return { passed: gaps.length === 0, score: parts === 0 ? (gaps.length === 0 ? 1 : 0) : good / parts, gaps, held }
}

const endOf = (outcome: GoalResult["outcome"]["outcome"]): string => {
  switch (outcome._tag) {
    case "Done":
      return "it is done"
    case "NeedsRetry":
      return "the criteria did not pass"
    case "Continue":
    case "Sleep":
    case "Escalate":
      return outcome.reason
    case "BudgetExhausted":
      return `its budget is used up (${outcome.axis})`
    case "Cancelled":
      return "it was cancelled"
  }
}

const finalAnswerProblems = (
  schema: { readonly [key: string]: unknown },
  finalText: Option.Option<string>
): ReadonlyArray<string> =>
  Either.match(parseModelJson(Option.getOrElse(finalText, () => "")), {
    onLeft: (problem) => [`The final answer is not in the form that was asked for: ${problem}.`],
    onRight: (value) =>
      schemaProblems(schema, value).map(
        (problem) => `The final answer is not in the form that was asked for: ${problem}.`
      )
  })

/** A quotation shorter than this could be from anywhere. Letters and digits. */
const shortestQuotation = 6

/** Whether a quotation is in what the work left: the diff and the results of the criteria, white space aside. */
export const isEvidence = (
  quotation: string,
  { acceptance, diff }: Pick<ReviewRequest, "acceptance" | "diff">
): boolean => {
  const said = squeeze(quotation)
  if ((said.match(/[\p{L}\p{N}]/gu) ?? []).length < shortestQuotation) return false
  const results = Option.match(acceptance, { onNone: () => [], onSome: (verdict) => verdict.results })
  const sources = [
    Option.getOrElse(diff, () => ""),
    // Without the marks at the beginning of its lines, too: who quotes leaves them out.
    Option.getOrElse(diff, () => "").replace(/^[-+ ]/gm, ""),
    ...results.filter(({ passed }) => passed).map(({ evidence }) => Option.getOrElse(evidence, () => ""))
  ]
  return sources.some((source) => squeeze(source).includes(said))
}

const squeeze = (text: string): string => text.replace(/\s+/gu, " ").trim()

/** The verdict of both stages. Left: why there is no semantic one; then the mechanical one stands, and says so. */
export const combineReviews = (
  directive: Directive,
  result: GoalResult,
  semantic: Either.Either<SemanticReview, string>
): ReviewVerdict => {
  const mechanical = mechanicalReview(directive, result)
  if (Either.isLeft(semantic)) {
    return new ReviewVerdict({
      passed: mechanical.passed,
      score: mechanical.score,
      notes: [`Only the mechanical review was made: ${semantic.left}.`],
      gaps: mechanical.gaps,
      by: "mechanical"
    })
  }
  const { criteria, gaps, notes, passed, score } = semantic.right
  const seen = { acceptance: result.outcome.acceptance, diff: result.diff }
  const uncredited = directive.acceptanceCriteria.flatMap(({ _tag, statement }, index) => {
    if (_tag !== "JudgedCriterion" && mechanical.held.has(index)) return []
    const found = criteria.find(({ criterion }) => criterion === index)
    if (found?.met === true && isEvidence(found.evidence, seen)) return []
    return [found?.met === true ? `There is no evidence for this: ${statement}` : `This is not met: ${statement}`]
  })
  const total = directive.acceptanceCriteria.length
  const credited = total === 0 ? 1 : (total - uncredited.length) / total
  // What does not hold mechanically is said once.
  const missing = mechanical.passed ? [...gaps, ...uncredited] : [...mechanical.gaps, ...gaps]
  return new ReviewVerdict({
    passed: mechanical.passed && passed && uncredited.length === 0,
    score: Math.min(score, credited, mechanical.passed ? 1 : mechanical.score),
    notes: mechanical.passed
      ? notes
      : [...notes, "What can be found out without a model does not hold, whatever else was found."],
    gaps: passed && uncredited.length === 0 && mechanical.passed ? [] : [...new Set(missing)],
    by: "mechanical_and_semantic"
  })
}

export interface ReviewedResult {
  readonly result: GoalResult
  readonly verdict: ReviewVerdict
}

/** The better one is the greater one. */
export const byQuality: Order.Order<ReviewedResult> = Order.combineAll([
  Order.mapInput(Order.boolean, ({ verdict }: ReviewedResult) => verdict.passed),
  Order.mapInput(Order.boolean, ({ result }: ReviewedResult) => result.outcome.outcome._tag === "Done"),
  Order.mapInput(Order.number, ({ verdict }: ReviewedResult) => verdict.score),
  Order.reverse(Order.mapInput(Order.number, ({ verdict }: ReviewedResult) => verdict.gaps.length))
])

/** The best with its own verdict; of equals the first. */
export const bestOf = (results: readonly [ReviewedResult, ...ReadonlyArray<ReviewedResult>]): ReviewedResult =>
  results.reduce((best, next) => (byQuality(next, best) > 0 ? next : best))

/** What a further run came to. */
export const compareRuns = (before: ReviewedResult, after: ReviewedResult): "improved" | "unchanged" | "degraded" => {
  const order = byQuality(after, before)
  return order > 0 ? "improved" : order < 0 ? "degraded" : "unchanged"
}
