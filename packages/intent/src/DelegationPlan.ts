/**
 * A goal in parts: who does what, what has to be done before, and what came of it.
 * Values, and what is decided about them. Pure.
 */
import { type Goal, GoalId } from "@driver/domain/Goal"
import { optional, withDefault } from "@driver/domain/Wire"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { GoalResult } from "./GoalExecutor.js"

/** `worker` does a part; `manager` puts together what others have done. */
export const SubtaskRole = Schema.Literal("worker", "manager")
export type SubtaskRole = typeof SubtaskRole.Type

/** Names a part within its plan: letters, digits, `_` and `-`. */
export const SubtaskId = Schema.String.pipe(Schema.pattern(/^[A-Za-z0-9_-]{1,64}$/), Schema.brand("@driver/SubtaskId"))
export type SubtaskId = typeof SubtaskId.Type

export class Subtask extends Schema.Class<Subtask>("Subtask")({
  id: SubtaskId,
  description: Schema.NonEmptyTrimmedString,
  role: withDefault(SubtaskRole, "role", () => "worker" as const),
  /** What whoever does it must offer. Absent: anybody can. */
  capability: optional(Schema.NonEmptyTrimmedString, "capability"),
  /** Parts that must have succeeded before. */
  dependsOn: withDefault(Schema.Array(SubtaskId), "depends_on", () => []),
  /** Positions in the `acceptance` of the whole: what this part makes true. */
  criteria: withDefault(Schema.Array(Schema.NonNegativeInt), "criteria", () => [])
}) {}

export class DelegationPlan extends Schema.Class<DelegationPlan>("DelegationPlan")({
  subtasks: Schema.Array(Subtask)
}) {
  static readonly FromJson = Schema.parseJson(DelegationPlan)
}

/** What came of a part. Every part of a plan has one. */
export class SubtaskResult extends Schema.Class<SubtaskResult>("SubtaskResult")({
  id: SubtaskId,
  role: SubtaskRole,
  capability: optional(Schema.NonEmptyTrimmedString, "capability"),
  success: Schema.Boolean,
  /** What whoever did it says, or why it was not done. */
  result: Schema.String,
  /** Who did it: the name of a remote agent. Absent: it was done here, or by nobody. */
  agent: optional(Schema.NonEmptyTrimmedString, "agent"),
  /** It was not even begun. */
  skipped: withDefault(Schema.Boolean, "skipped", () => false),
  /** Why it was not done by the agent that offers it. */
  fallback: optional(Schema.NonEmptyTrimmedString, "fallback"),
  /** Where the work is. */
  branch: optional(Schema.NonEmptyTrimmedString, "branch"),
  /** Of the run, when it was done here. */
  run: optional(GoalResult, "run")
}) {
  static readonly FromJson = Schema.parseJson(SubtaskResult)
}

/** The plan cannot be carried out. Nothing was begun. */
export class PlanError extends Schema.TaggedError<PlanError>()("PlanError", {
  reason: Schema.Literal("empty", "too_many", "duplicate", "unknown_dependency", "cycle", "unknown_criterion"),
  /** The parts it is about. */
  subtasks: Schema.Array(Schema.String)
}) {
  override get message() {
    return `The plan cannot be carried out: ${reasons[this.reason]}${this.subtasks.length === 0 ? "" : ` (${this.subtasks.join(", ")})`}`
  }
}

const reasons: { readonly [Reason in PlanError["reason"]]: string } = {
  empty: "it has no parts",
  too_many: "it has too many parts",
  duplicate: "several parts have the same name",
  unknown_dependency: "a part waits for one that is not there",
  cycle: "parts wait for each other",
  unknown_criterion: "a part names a criterion that the goal does not have"
}

/** A plan of more parts is refused: each is a run of an agent. */
export const mostSubtasks = 16

/** The parts in an order in which each comes after those that it waits for, or why there is none. */
export const orderOf = (
  plan: DelegationPlan,
  goal: Pick<Goal, "acceptance">
): Either.Either<ReadonlyArray<Subtask>, PlanError> => {
  const refuse = (reason: PlanError["reason"], subtasks: ReadonlyArray<Subtask> = []) =>
    Either.left(new PlanError({ reason, subtasks: subtasks.map(({ id }) => id) }))
  const { subtasks } = plan
  if (subtasks.length === 0) return refuse("empty")
  if (subtasks.length > mostSubtasks) return refuse("too_many")
  const ids = new Set(subtasks.map(({ id }) => id))
  if (ids.size < subtasks.length) {
    return refuse(
      "duplicate",
      subtasks.filter(({ id }, index) => subtasks.findIndex((it) => it.id === id) < index)
    )
  }
  const dangling = subtasks.filter(({ dependsOn }) => dependsOn.some((id) => !ids.has(id)))
  if (dangling.length > 0) return refuse("unknown_dependency", dangling)
  const astray = subtasks.filter(({ criteria }) => criteria.some((index) => index >= goal.acceptance.length))
  if (astray.length > 0) return refuse("unknown_criterion", astray)
  const ordered: Array<Subtask> = []
  const placed = new Set<SubtaskId>()
  for (let waiting = subtasks; waiting.length > 0; ) {
    const ready = waiting.filter(({ dependsOn }) => dependsOn.every((id) => placed.has(id)))
    if (ready.length === 0) return refuse("cycle", waiting)
    for (const subtask of ready) placed.add(subtask.id)
    ordered.push(...ready)
    waiting = waiting.filter(({ id }) => !placed.has(id))
  }
  return Either.right(ordered)
}

/** Never of an empty list: nothing done is no success. */
export const allSucceeded = (results: ReadonlyArray<SubtaskResult>): boolean =>
  results.length > 0 && results.every(({ success }) => success)

/** Always the same id for the same part of the same goal: a run that was cut off is found again. */
export const subtaskGoalId = (goalId: GoalId, id: SubtaskId): GoalId => {
  const text = `${goalId}/${id}`
  const hex = [0x811c9dc5, 0x01000193, 0x9e3779b9, 0x85ebca6b].map((seed) => fnv1a(text, seed)).join("")
  // Version 8: made up by whoever makes it.
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16)
  return GoalId.make(
    `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
  )
}

/** FNV-1a over UTF-16 units with a seed, mixed at the end, as eight hexadecimal digits. */
const fnv1a = (text: string, seed: number): string => {
  let hash = seed
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0).toString(16).padStart(8, "0")
}
