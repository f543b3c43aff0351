/**
 * What must hold of every goal, whatever goes wrong: looked at with each record of
 * its journal as it is written, and once more when all is over. Pure over records
 * and what the world knows; each breach is a sentence.
 */
import type { GoalCompleted } from "@driver/domain/DriverEvent"
import { exhaustedAxis, totalTokens, type Usage } from "@driver/domain/Usage"
import { empty, fold, foldAll, type GoalFold } from "@driver/runtime/GoalFold"
import { effectiveBudget } from "@driver/runtime/GoalRun"
import { JournalRecord } from "@driver/runtime/Journal"
import { cutOffNotice } from "@driver/runtime/Prompt"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Item, Plan } from "./Plan.js"
import * as World from "./World.js"

/** What has been seen of a goal. */
export interface Check {
  /** The clock jumps, and times say little. */
  readonly jumps: boolean
  readonly fold: GoalFold
  readonly epoch: number
  /** The attempt that has started and not ended. */
  readonly attempt: Option.Option<{ readonly turn: number; readonly turns: number }>
  readonly usage: Option.Option<Usage>
  /** Events so far. */
  readonly events: number
  readonly completed: boolean
  /** A turn has begun since the goal was paused. */
  readonly begunPaused: boolean
  /** Milliseconds since 1970: of the first and of the last record. */
  readonly first: number
  readonly last: number
  /** Milliseconds in which nothing was to be charged. */
  readonly idle: number
}

export const start = (plan: Plan): Check => ({
  jumps: plan.items.some(({ _tag }) => _tag === "Jump"),
  fold: empty,
  epoch: 0,
  attempt: Option.none(),
  usage: Option.none(),
  events: 0,
  completed: false,
  begunPaused: false,
  first: 0,
  last: 0,
  idle: 0
})

/** The check after one more record; breaches are added to `violations`. */
export const next = (check: Check, goal: World.GoalWorld, record: JournalRecord, violations: Array<string>): Check => {
  const { entry } = record
  const at = DateTime.toEpochMillis(record.at)
  const breach = (what: string) =>
    violations.push(`goal ${goal.planned.goal}, record ${record.sequence} (${entry._tag}): ${what}`)
  if (record.sequence !== check.fold.sequence + 1) breach(`it follows record ${check.fold.sequence}`)
  if (record.epoch < check.epoch) breach(`it was written by driver ${record.epoch} after driver ${check.epoch}`)
  if (check.completed && entry._tag !== "CommandHandled") breach("the goal had completed")

  const passed = Math.max(0, at - check.last)
  const isIdle =
    check.fold.loop.phase._tag === "Sleeping" || (check.fold.paused && check.fold.pending._tag === "Nothing")
  const seen: Check = {
    ...check,
    fold: fold(check.fold, record),
    epoch: record.epoch,
    first: check.first === 0 ? at : check.first,
    last: at,
    idle: check.first !== 0 && isIdle ? check.idle + passed : check.idle
  }
  const usage = usageOf(record)
  if (usage !== undefined && Option.isSome(check.usage)) {
    const shrunk = shrinks(check.usage.value, usage)
    if (shrunk !== undefined) breach(`${shrunk} in its usage has shrunk`)
  }
  const withUsage = usage === undefined ? seen : { ...seen, usage: Option.some(usage) }

  switch (entry._tag) {
    case "RunStarted":
      if (entry.continued !== check.fold.sequence > 0) breach("it does not know whether the goal goes on")
      return { ...withUsage, attempt: check.attempt }
    case "GoalStarted":
      if (check.events > 0) breach("it is not the first event")
      break
    case "AttemptStarted": {
      if (check.events === 0) breach("the goal has not started")
      if (Option.isSome(check.attempt)) breach(`turn ${check.attempt.value.turn} has not ended`)
      if (entry.turn !== entry.usage.turns + 1) breach(`turn ${entry.turn} after ${entry.usage.turns} turns`)
      const budget = effectiveBudget(goal.goal.budget, check.fold.maxTurns)
      const axis = exhaustedAxis(budget, entry.usage)
      if (Option.isSome(axis)) breach(`it starts though ${axis.value} is used up`)
      return {
        ...withUsage,
        events: check.events + 1,
        attempt: Option.some({ turn: entry.turn, turns: entry.usage.turns })
      }
    }
    case "CompactionBegun":
    case "TurnBegun":
      if (check.fold.paused && check.begunPaused) breach("the goal is paused")
      return { ...withUsage, begunPaused: check.fold.paused }
    case "GoalPaused":
      return { ...withUsage, begunPaused: false, events: check.events + 1 }
    case "TurnCut":
      if (Option.isNone(check.attempt)) breach("no turn was running")
      return { ...withUsage, attempt: Option.none() }
    case "TurnDecided":
      if (Option.isNone(check.attempt)) breach("no turn was running")
      else if (entry.turn !== check.attempt.value.turn) breach(`turn ${check.attempt.value.turn} was running`)
      else if (entry.usage.turns > check.attempt.value.turns + 1) breach("it counts more than one turn")
      return { ...withUsage, attempt: Option.none() }
    case "GoalCompleted": {
      const { outcome } = entry.outcome
      const elapsed = Math.max(0, at - check.first)
      const charged = Duration.toMillis(entry.outcome.usage.wallTime)
      if (!check.jumps && charged > elapsed - withUsage.idle + 1) {
        breach(`${charged} ms are charged, of ${elapsed} ms in which it waited ${withUsage.idle} ms`)
      }
      if (outcome._tag === "Done" && goal.goal.acceptance.length > 0 && !World.isDone(goal)) {
        breach(`it was accepted with ${goal.work} of ${goal.planned.need} units`)
      }
      if (outcome._tag === "Escalate" && outcome.reason.startsWith("the driver broke a promise")) breach(outcome.reason)
      if (entry.outcome.totalTurns !== entry.outcome.usage.turns) breach("its turns are counted in two ways")
      return { ...withUsage, events: check.events + 1, completed: true }
    }
    default:
      break
  }
  return { ...withUsage, events: "goalId" in entry ? check.events + 1 : check.events }
}

const usageOf = ({ entry }: JournalRecord): Usage | undefined => {
  switch (entry._tag) {
    case "AttemptStarted":
    case "TurnDecided":
    case "TurnCut":
    case "CompactionEnded":
    case "BudgetReached":
    case "BudgetExhausted":
    case "Progress":
      return entry.usage
    case "AttemptCompleted":
      return entry.result.usage
    case "GoalCompleted":
      return entry.outcome.usage
    default:
      return undefined
  }
}

/** What only ever grows. */
const shrinks = (before: Usage, after: Usage): string | undefined => {
  if (after.turns < before.turns) return "turns"
  if (totalTokens(after.tokens) < totalTokens(before.tokens)) return "tokens"
  if (after.costUsd < before.costUsd) return "cost"
  if (!before.costComplete && after.costComplete) return "completeness of cost"
  if (Duration.lessThan(after.wallTime, before.wallTime)) return "wall time"
  return undefined
}

/** The goal's last event. A command that came too late is handled after it. */
export const lastEvent = (records: ReadonlyArray<JournalRecord>): GoalCompleted | undefined => {
  for (let at = records.length - 1; at >= 0; at--) {
    const entry = records[at]?.entry
    if (entry?._tag === "GoalCompleted") return entry
    if (entry?._tag !== "CommandHandled") return undefined
  }
  return undefined
}

/** When all is over: the journal as it can be read, what reached the agent, and what it used. */
export const end = (world: World.World, records: ReadonlyArray<JournalRecord>, violations: Array<string>): void => {
  const [first] = records
  if (first === undefined) return
  const goal = World.goalIn(world, first.goalId)
  const breach = (what: string) => violations.push(`goal ${goal.planned.goal}: ${what}`)
  if (records.filter(({ entry }) => entry._tag === "GoalCompleted").length !== 1)
    breach("it has not ended exactly once")
  if (new Set(records.map(({ id }) => id)).size < records.length) breach("two records have the same id")
  const last = lastEvent(records)
  if (last !== undefined) {
    for (const wrong of chargesOf(world, goal, last)) breach(wrong)
  }
  for (const wrong of [...messagesOf(world, goal, records), ...cutsOf(goal, records)]) breach(wrong)
}

/** Things that end a turn from outside, or the driver: what the agent did then may be known in part only. */
const disturbs = (item: Item): boolean =>
  item._tag === "Crash" ||
  item._tag === "Stop" ||
  item._tag === "Rival" ||
  item._tag === "Store" ||
  (item._tag === "Operator" && (item.action._tag === "Cancel" || item.action._tag === "Message"))

/** What was charged is what was used: exactly, unless something came between. */
const chargesOf = (world: World.World, goal: World.GoalWorld, { outcome }: GoalCompleted): ReadonlyArray<string> => {
  const breaches: Array<string> = []
  const { items } = world.plan
  const { usage } = outcome
  const charged = totalTokens(usage.tokens)
  if (charged > goal.spent) breaches.push(`${charged} tokens are charged, and ${goal.spent} were used`)
  const delivered = goal.times.get("deliver") ?? 0
  if (outcome.outcome._tag !== "Done" && delivered > 0) breaches.push("its work was delivered, though not accepted")
  if (items.some(disturbs)) return breaches
  const axis = outcome.outcome._tag === "BudgetExhausted" ? outcome.outcome.axis : undefined
  if (charged < goal.spent && axis !== "tokens" && axis !== "consecutive_denies" && axis !== "wall_time") {
    breaches.push(`${charged} tokens are charged, though ${goal.spent} were used`)
  }
  if (outcome.outcome._tag === "Done" && delivered !== 1) breaches.push(`its work was delivered ${delivered} times`)
  const worked = goal.calls.reduce((sum, { began, ended }) => sum + ((ended ?? began) - began), 0)
  if (!items.some(({ _tag }) => _tag === "Jump") && Duration.toMillis(usage.wallTime) < worked) {
    breaches.push(`${Duration.toMillis(usage.wallTime)} ms are charged, though the agent worked ${worked} ms`)
  }
  return breaches
}

/** The prompt after a turn that was cut off says so. */
const cutsOf = (goal: World.GoalWorld, records: ReadonlyArray<JournalRecord>): ReadonlyArray<string> =>
  records.flatMap(({ entry, sequence }) => {
    if (entry._tag !== "TurnCut") return []
    const next = goal.calls.find(({ head, kind }) => kind === "turn" && head >= sequence)
    return next === undefined || next.prompt.includes(cutOffNotice)
      ? []
      : [`the prompt after record ${sequence} does not say that the turn before was cut off`]
  })

/** A message goes to the agent once; again only when the turn that had it came to nothing. */
const messagesOf = (
  world: World.World,
  goal: World.GoalWorld,
  records: ReadonlyArray<JournalRecord>
): ReadonlyArray<string> => {
  const breaches: Array<string> = []
  // A driver that dies between telling the agent and writing that down has the next one tell it again.
  const died = world.plan.items.some(({ _tag }) => _tag === "Crash")
  const told = records.flatMap(({ entry, sequence }) =>
    entry._tag === "OperatorMessage" && entry.delivery !== "gate" ? [{ entry, sequence }] : []
  )
  for (const { entry, sequence } of told) {
    const heard = goal.heard.filter((text) => text === entry.message).length
    const prompts = goal.calls.filter(({ kind, prompt }) => kind === "turn" && prompt.includes(entry.message))
    const missed = records.filter(
      (it) => it.sequence > sequence && it.entry._tag === "TurnBegun" && !prompts.some(({ turn }) => turn >= 0)
    )
    if (heard + prompts.length === 0 && missed.length > 1) {
      breaches.push(`the agent was never told ${entry.message}, though ${missed.length} turns began after it`)
    }
    if (heard > 1 && !died) breaches.push(`the agent heard ${entry.message} ${heard} times`)
    const end = records.find((it) => it.sequence > sequence && isEnd(it))
    if (heard > 0 && prompts.length > 0 && !died && end !== undefined && cameToSomething(end))
      breaches.push(`the agent heard ${entry.message}, and its prompt has it too`)
    for (const prompt of prompts.slice(0, -1)) {
      const decided = records.find((it) => it.sequence > prompt.head && isEnd(it))
      if (decided !== undefined && cameToSomething(decided)) {
        breaches.push(`turn ${prompt.turn} had the message ${entry.message}, and a later one has it again`)
      }
    }
  }
  return breaches
}

const isEnd = ({ entry }: JournalRecord) => entry._tag === "TurnDecided" || entry._tag === "TurnCut"

const cameToSomething = ({ entry }: JournalRecord): boolean =>
  entry._tag === "TurnDecided" && (entry.next.kind === "retry" || entry.next.kind === "accept")

/** Whether a journal comes to the same after it was written to a disk and read again. */
export const readsBack = (records: ReadonlyArray<JournalRecord>): boolean =>
  JSON.stringify(foldAll(records)) === JSON.stringify(foldAll(records.map((it) => decode(encode(it)))))

const encode = Schema.encodeSync(JournalRecord.FromJson)
const decode = Schema.decodeSync(JournalRecord.FromJson)
