/**
 * What of the queue begins next: pure decisions on the goals as they are stored.
 * `validate` judges what is submitted, `next` says which goals begin now, which
 * are skipped, and what the others wait for.
 *
 *   queued ─┬─ a dependency was not accepted, or was skipped ──▶ skipped
 *           ├─ paused, dependency not ended, account closed ──▶ waits, and others go before it
 *           └─ priority, then order of submission ─▶ a place? ─┬─ yes ─▶ begins
 *                                                              └─ no ──▶ waits
 */
import type { GoalId } from "@driver/domain/Goal"
import type { AttemptOutcome } from "@driver/domain/Outcome"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { GoalRow } from "./GoalStore.js"
import { SubmitRefused } from "./Goals.js"

export interface QueueLimits {
  /** Goals that this driver works on at once. At least 1. */
  readonly maxConcurrent: number
  /** Goals at once in one repository, those of other drivers too. 0 = no limit. */
  readonly perRepository: number
}

export const defaultLimits: QueueLimits = { maxConcurrent: 4, perRepository: 0 }

/** What is known beside the rows. */
export interface QueueFacts {
  /** Goals that this driver works on. */
  readonly here: ReadonlySet<GoalId>
  /** Goals that another driver works on. */
  readonly elsewhere: ReadonlySet<GoalId>
  /** Queued goals that an operator holds back. */
  readonly paused: ReadonlySet<GoalId>
  /** Accounts whose usage limit is reached, with the moment it resets (milliseconds since the epoch). */
  readonly closed: ReadonlyMap<string, number>
  /** Goals that could not be begun lately and are left alone for a while, with what was wrong. */
  readonly trouble: ReadonlyMap<GoalId, string>
}

/** What a goal that has not begun waits for. */
export type Wait = Data.TaggedEnum<{
  Pause: {}
  /** At least one. */
  Goals: { readonly goalIds: ReadonlyArray<GoalId> }
  /** `until`: milliseconds since the epoch. */
  Account: { readonly account: string; readonly until: number }
  /** As many goals as may are at work in its repository. */
  Repository: { readonly repository: string }
  /** `before`: goals that wait for a place and get one sooner. */
  Place: { readonly before: number }
  /** Could not be begun: `detail` says why. It is tried again. */
  Trouble: { readonly detail: string }
  /** It could begin, and nobody works on goals. */
  Driver: {}
}>
export const Wait = Data.taggedEnum<Wait>()

export interface QueueDecision {
  /** In this order. Also those that an earlier driver has begun and nobody works on now. */
  readonly begin: ReadonlyArray<GoalId>
  readonly skip: ReadonlyArray<{ readonly goalId: GoalId; readonly reason: string }>
  /** Of every goal of the rows that is neither at work nor over nor begins now. */
  readonly waits: ReadonlyMap<GoalId, Wait>
}

/** What is submitted, as far as it can be wrong. */
export interface Submitted {
  readonly id: GoalId
  readonly dependsOn: ReadonlyArray<GoalId>
}

/** `known`: those of the submitted ids and their dependencies that are stored already. Refuses all or takes all. */
export const validate = (
  submitted: ReadonlyArray<Submitted>,
  known: ReadonlySet<GoalId>
): Either.Either<void, SubmitRefused> => {
  const byId = new Map<GoalId, Submitted>()
  for (const goal of submitted) {
    if (byId.has(goal.id)) {
      return refuse("exists", `Two of the goals have the id ${goal.id}: give one of them another id`)
    }
    if (known.has(goal.id)) {
      return refuse("exists", `The goal ${goal.id} was submitted before: give the new one another id`)
    }
    byId.set(goal.id, goal)
  }
  for (const { dependsOn, id } of submitted) {
    const unknown = dependsOn.filter((it) => !byId.has(it) && !known.has(it))
    if (unknown.length > 0) {
      return refuse(
        "unknown_dependency",
        `The goal ${id} depends on ${unknown.join(", ")}, which nobody has submitted: submit it before, or together with this one`
      )
    }
  }
  const cycle = cycleIn(byId)
  return cycle.length === 0
    ? Either.void
    : refuse(
        "cycle",
        `The goals depend on each other in a circle, so that none could begin: ${cycle.join(" after ")}. Leave one of these dependencies out`
      )
}

const refuse = (reason: SubmitRefused["reason"], detail: string) => Either.left(new SubmitRefused({ reason, detail }))

/** One circle of dependencies, its first goal again at the end; empty when there is none. */
const cycleIn = (byId: ReadonlyMap<GoalId, Submitted>): ReadonlyArray<GoalId> => {
  // Takes away what waits for nothing until nothing goes any more: what is left waits for something that is left.
  const open = new Map<GoalId, number>()
  const dependents = new Map<GoalId, Array<GoalId>>()
  for (const { dependsOn, id } of byId.values()) {
    const inside = [...new Set(dependsOn)].filter((it) => byId.has(it))
    open.set(id, inside.length)
    for (const it of inside) dependents.set(it, [...(dependents.get(it) ?? []), id])
  }
  const free = [...open].filter(([, count]) => count === 0).map(([id]) => id)
  for (let id = free.pop(); id !== undefined; id = free.pop()) {
    open.delete(id)
    for (const dependent of dependents.get(id) ?? []) {
      const left = (open.get(dependent) ?? 0) - 1
      open.set(dependent, left)
      if (left === 0) free.push(dependent)
    }
  }
  const path: Array<GoalId> = []
  const seen = new Set<GoalId>()
  for (let at = open.keys().next().value; at !== undefined; ) {
    path.push(at)
    if (seen.has(at)) return path.slice(path.indexOf(at))
    seen.add(at)
    at = byId.get(at)?.dependsOn.find((it) => open.has(it))
  }
  return []
}

/** `rows`: all that are queued or running, and those that they depend on; in the order of submission. */
export const next = (rows: ReadonlyArray<GoalRow>, facts: QueueFacts, limits: QueueLimits): QueueDecision => {
  const skipped = skippedOf(rows)
  const waits = new Map<GoalId, Wait>()
  const places = makePlaces(rows, facts, limits)

  const ready: Array<GoalRow> = []
  for (const row of rows) {
    if (row.state !== "queued" || skipped.has(row.goal.id)) continue
    const wait = blockOf(row, places.byId, facts)
    if (Option.isSome(wait)) waits.set(row.goal.id, wait.value)
    else ready.push(row)
  }
  // Begun once, by a driver that is gone: nothing of its own keeps it any more.
  const left: Array<GoalRow> = []
  for (const row of rows) {
    const { id } = row.goal
    if (row.state !== "running" || facts.here.has(id) || facts.elsewhere.has(id)) continue
    const detail = facts.trouble.get(id)
    if (detail === undefined) left.push(row)
    else waits.set(id, Wait.Trouble({ detail }))
  }

  const begin: Array<GoalId> = []
  let before = 0
  for (const row of [...inOrder(left), ...inOrder(ready)]) {
    const wait = places.take(row, before)
    if (Option.isNone(wait)) {
      begin.push(row.goal.id)
      continue
    }
    if (wait.value._tag === "Place") before += 1
    waits.set(row.goal.id, wait.value)
  }
  return { begin, skip: [...skipped].map(([goalId, reason]) => ({ goalId, reason })), waits }
}

/** Higher priority first, then as they were submitted. */
const inOrder = (rows: ReadonlyArray<GoalRow>): ReadonlyArray<GoalRow> =>
  [...rows].sort((a, b) => b.priority - a.priority)

/** What of its own keeps a queued goal from beginning, also when there is a place. */
const blockOf = (row: GoalRow, byId: ReadonlyMap<GoalId, GoalRow>, facts: QueueFacts): Option.Option<Wait> => {
  if (facts.paused.has(row.goal.id)) return Option.some(Wait.Pause())
  const goalIds = row.dependsOn.filter((id) => {
    const dependency = byId.get(id)
    return dependency === undefined || !wasAccepted(dependency)
  })
  if (goalIds.length > 0) return Option.some(Wait.Goals({ goalIds }))
  const until = facts.closed.get(row.account)
  if (until !== undefined) return Option.some(Wait.Account({ account: row.account, until }))
  const detail = facts.trouble.get(row.goal.id)
  return detail === undefined ? Option.none() : Option.some(Wait.Trouble({ detail }))
}

/** The places that are free, given away one by one. */
const makePlaces = (rows: ReadonlyArray<GoalRow>, facts: QueueFacts, limits: QueueLimits) => {
  const byId = new Map(rows.map((row) => [row.goal.id, row]))
  const inRepository = new Map<string, number>()
  const occupy = ({ repository }: GoalRow) => inRepository.set(repository, (inRepository.get(repository) ?? 0) + 1)
  for (const row of rows) if (facts.here.has(row.goal.id) || facts.elsewhere.has(row.goal.id)) occupy(row)
  let free = limits.maxConcurrent - facts.here.size
  return {
    byId,
    /** None: the place is the goal's. */
    take: (row: GoalRow, before: number): Option.Option<Wait> => {
      if (limits.perRepository > 0 && (inRepository.get(row.repository) ?? 0) >= limits.perRepository) {
        return Option.some(Wait.Repository({ repository: row.repository }))
      }
      if (free <= 0) return Option.some(Wait.Place({ before }))
      free -= 1
      occupy(row)
      return Option.none()
    }
  }
}

const wasAccepted = ({ outcome, state }: GoalRow): boolean =>
  state === "ended" && Option.exists(outcome, (it) => it.outcome._tag === "Done")

/** The queued goals that cannot begin any more, with the dependency that is to blame; those that depend on them included. */
const skippedOf = (rows: ReadonlyArray<GoalRow>): ReadonlyMap<GoalId, string> => {
  const failed = new Map<GoalId, string>()
  const dependents = new Map<GoalId, Array<GoalId>>()
  const stack: Array<GoalId> = []
  for (const row of rows) {
    if (row.state === "queued") {
      for (const id of row.dependsOn) dependents.set(id, [...(dependents.get(id) ?? []), row.goal.id])
    }
    const fate = fateOf(row)
    if (Option.isSome(fate)) {
      failed.set(row.goal.id, fate.value)
      stack.push(row.goal.id)
    }
  }
  const skipped = new Map<GoalId, string>()
  for (let id = stack.pop(); id !== undefined; id = stack.pop()) {
    for (const dependent of dependents.get(id) ?? []) {
      if (skipped.has(dependent)) continue
      skipped.set(dependent, `it depends on goal ${id}, which ${failed.get(id) ?? "was skipped"}`)
      stack.push(dependent)
    }
  }
  return skipped
}

/** What became of a goal that others cannot follow. */
const fateOf = ({ outcome, state }: GoalRow): Option.Option<string> => {
  if (state === "skipped") return Option.some("was skipped")
  if (state !== "ended") return Option.none()
  return Option.match(outcome, {
    onNone: () => Option.some("ended without an outcome"),
    onSome: ({ outcome }) => (outcome._tag === "Done" ? Option.none() : Option.some(fateText(outcome)))
  })
}

const fateText = (outcome: AttemptOutcome): string => {
  switch (outcome._tag) {
    case "Cancelled":
      return "was cancelled"
    case "BudgetExhausted":
      return `used up its budget (${outcome.axis})`
    case "Escalate":
      return `was escalated: ${outcome.reason}`
    default:
      return "ended without being accepted"
  }
}

/** Follows "waits for". */
export const waitText = (wait: Wait): string =>
  Wait.$match(wait, {
    Pause: () => "the end of a pause",
    Goals: ({ goalIds }) => `${goalIds.length === 1 ? "goal" : "goals"} ${goalIds.map(shortId).join(", ")}`,
    Account: ({ account, until }) => accountText(account, until),
    Repository: ({ repository }) => `the goals at work in ${repository}`,
    Place: ({ before }) => (before === 0 ? "a free place" : `${before} ${before === 1 ? "goal" : "goals"} before it`),
    Trouble: ({ detail }) => `another try: ${detail}`,
    Driver: () => "a driver: start `driver serve`, or give it to `driver resume`"
  })

export const accountText = (account: string, until: number): string =>
  `the usage limit of account ${account} until ${DateTime.formatIso(DateTime.unsafeMake(until))}`

/** As people name a goal. */
export const shortId = (goalId: GoalId): string => goalId.slice(0, 8)
