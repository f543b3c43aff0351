/**
 * What the acceptance criteria said of a workspace, one result per criterion in
 * the order of the goal.
 */
import * as Schema from "effect/Schema"
import { key, optional, WireDuration, WireTime } from "./Wire.js"

export class CriterionResult extends Schema.Class<CriterionResult>("CriterionResult")({
  /** Position in `Goal.acceptance`, from 0. */
  index: Schema.NonNegativeInt,
  /** The criterion in one line, as `describeCriterion` gives it. */
  criterion: Schema.String,
  passed: Schema.Boolean,
  /** One sentence: why it failed, or that it passed. */
  message: Schema.String,
  /** What was seen: the tail of the output, the line that did not match. Redacted, bounded. */
  evidence: optional(Schema.String, "evidence"),
  elapsed: WireDuration
}) {}

export class AcceptanceVerdict extends Schema.Class<AcceptanceVerdict>("AcceptanceVerdict")({
  /** True when every criterion passed. */
  met: Schema.Boolean,
  results: Schema.Array(CriterionResult),
  evaluatedAt: key(WireTime, "evaluated_at"),
  elapsed: WireDuration
}) {}

export const failuresOf = (verdict: AcceptanceVerdict): ReadonlyArray<CriterionResult> =>
  verdict.results.filter((result) => !result.passed)
