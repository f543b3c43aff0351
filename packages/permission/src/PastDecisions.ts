/**
 * What was decided about calls like this one: a port to whoever remembers decisions,
 * and the pure judgements on what "like this one" means and what follows from it.
 *
 * Similar is meant strictly, since a denial may follow from it: the same tool, used
 * on nearly the same thing. What was only refused because something broke, or
 * because nobody answered, says nothing about the call and does not count.
 */
import type { Decision, PermissionRequest, ToolInput } from "@driver/domain/Permission"
import { textOf, wordsOf } from "@driver/domain/Words"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** The decisions cannot be looked up. The call is denied: its own decision could not be recorded either. */
export class PastDecisionsError extends Schema.TaggedError<PastDecisionsError>()("PastDecisionsError", {
  detail: Schema.String
}) {
  override get message() {
    return `The earlier decisions cannot be looked up: ${this.detail}`
  }
}

export class PastDecisions extends Context.Tag("@driver/permission/PastDecisions")<
  PastDecisions,
  {
    /** Decisions that share words with this text about this tool, most similar first; `similarOf` looks closer. */
    readonly recall: (
      request: PermissionRequest,
      text: string
    ) => Effect.Effect<ReadonlyArray<Decision>, PastDecisionsError>
  }
>() {
  /** Nothing is remembered. */
  static readonly layerNone: Layer.Layer<PastDecisions> = Layer.succeed(this, { recall: () => Effect.succeed([]) })
}

/** How the rationale of a denial begins that came from a pattern of earlier ones: it is no further evidence. */
export const patternRationale = "llm: a pattern of denials"

/** How the rationale of a denial begins that no judgement of the model is. */
export const unusableRationale = "llm: no usable answer"

/** Parts of the input that say what a call works on, the first that is there. */
const subjects = ["command", "file_path", "notebook_path", "path", "url", "pattern", "query"]

/** UTF-16 units of a call that are compared. */
const compared = 4_096

/** What the call works on, as text; paths of the workspace relative to it. */
export const subjectOf = (input: ToolInput, goalId: string, workspace?: string): string => {
  const named = subjects.map((name) => (Object.hasOwn(input, name) ? input[name] : undefined))
  const text = named.find((it) => typeof it === "string") ?? textOf(input, compared)
  const relative = text.slice(0, compared).replace(new RegExp(`[^\\s"'=:]*/${goalId}(/|(?=\\s|$))`, "g"), "./")
  return workspace === undefined || workspace.length < 2 ? relative : relative.replaceAll(`${workspace}/`, "./")
}

/** Share of words that two calls must have in common, of all that either has. */
const similarFrom = 0.7

/** Whether two texts begin alike and share at least 70% of their words. */
export const isSimilar = (a: string, b: string): boolean => {
  const [first, second] = [wordsOf(a), wordsOf(b)]
  if (first.length === 0 || second.length === 0) return a === b
  if (first[0] !== second[0]) return false
  const others = new Set(second)
  const shared = first.filter((word) => others.has(word)).length
  return shared / (first.length + second.length - shared) >= similarFrom
}

/** Those of the decisions that are judgements about calls like this one. */
export const similarOf = (request: PermissionRequest, decisions: ReadonlyArray<Decision>): ReadonlyArray<Decision> => {
  const subject = subjectOf(request.input, request.goalId, request.workspace)
  return decisions.filter(
    (it) => it.tool === request.tool && isJudgement(it) && isSimilar(subject, subjectOf(it.input, it.goalId))
  )
}

/** How rationales begin that say what broke, or that nobody was there. */
const noJudgement = [
  "gate:",
  "unavailable:",
  "cancelled:",
  "ask: nobody",
  "ask: The questions",
  "llm: no model",
  patternRationale,
  unusableRationale
]

const isJudgement = ({ choice, rationale }: Decision): boolean =>
  choice._tag !== "Observe" && !noJudgement.some((it) => rationale.startsWith(it))

/** At least so many similar calls, and at least so large a share of them denied. */
const pattern = { calls: 3, share: 0.6 }

/** Set when calls like this one have been denied so often that nobody needs to be asked again: how often. */
export const denialPattern = (
  similar: ReadonlyArray<Decision>
): Option.Option<{ readonly denied: number; readonly of: number; readonly last: Decision }> => {
  const denials = similar.filter(({ choice }) => choice._tag === "Deny")
  const [last] = denials
  return last !== undefined && similar.length >= pattern.calls && denials.length / similar.length >= pattern.share
    ? Option.some({ denied: denials.length, of: similar.length, last })
    : Option.none()
}
