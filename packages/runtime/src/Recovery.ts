/**
 * Whether a journal can be what a driver wrote: folds it and looks at each record
 * in the state that it found. Pure; `driver journal --verify` and the tests use it.
 */
import { totalTokens, type Usage } from "@driver/domain/Usage"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { empty, fold, type GoalFold } from "./GoalFold.js"
import type { JournalRecord } from "./Journal.js"

export interface Violation {
  /** Of the record that breaks the promise. */
  readonly sequence: number
  /** One sentence. */
  readonly detail: string
}

export interface Verification {
  /** What the journal comes to. */
  readonly state: GoalFold
  readonly records: number
  /** In the journal's order; none when it is as it must be. */
  readonly violations: ReadonlyArray<Violation>
}

/** `records`: of one goal, from the first, in order. */
export const verify = (records: ReadonlyArray<JournalRecord>): Verification => {
  const violations: Array<Violation> = []
  let state = empty
  let epoch = 0
  let attempt = Option.none<number>()
  let last: JournalRecord | undefined
  for (const record of records) {
    const say = (detail: string) => violations.push({ sequence: record.sequence, detail })
    if (record.sequence !== state.sequence + 1) say(`it follows record ${state.sequence}`)
    if (last !== undefined && record.goalId !== last.goalId) say("it belongs to another goal")
    if (record.epoch < epoch) say(`it was written under lease ${record.epoch}, after lease ${epoch} had begun`)
    for (const detail of wrongWith(state, record)) say(detail)

    const { entry } = record
    if (entry._tag === "AttemptStarted") attempt = Option.some(entry.turn)
    if (entry._tag === "AttemptCompleted") {
      if (!Option.contains(attempt, entry.result.turn)) say(`attempt ${entry.result.turn} ends and had not begun`)
      attempt = Option.none()
    }
    const after = fold(state, record)
    if (entry._tag !== "RunStarted" && shrinks(state.loop.usage, after.loop.usage)) say("the goal's usage gets smaller")
    state = after
    epoch = Math.max(epoch, record.epoch)
    last = record
  }
  return { state, records: records.length, violations }
}

/** What cannot be so in the state that the record finds. */
const wrongWith = (state: GoalFold, { entry }: JournalRecord): ReadonlyArray<string> => {
  const { loop, pending } = state
  if (entry._tag === "RunStarted") {
    return entry.continued === (state.status === "running")
      ? []
      : [entry.continued ? "a goal that does not run is gone on with" : "a goal that runs begins anew"]
  }
  if (state.status === "new") return [`${entry._tag} comes before the goal has begun`]
  if (state.status === "ended") return [`${entry._tag} comes after the goal has ended`]
  const between = pending._tag === "Nothing" && loop.phase._tag === "Ready"
  switch (entry._tag) {
    case "TurnBegun": {
      const unknown = entry.messageIds.filter((id) => !state.messages.some((it) => it.id === id))
      return [
        ...(between ? [] : [`a turn begins in ${whereIs(state)}`]),
        ...(state.paused ? ["a turn begins while the goal is paused"] : []),
        ...(entry.turn === loop.usage.turns + 1 ? [] : [`turn ${entry.turn} follows ${loop.usage.turns} turns`]),
        ...unknown.map((id) => `the message ${id} is delivered and did not wait`)
      ]
    }
    case "CompactionBegun":
      return between ? [] : [`a compact turn begins in ${whereIs(state)}`]
    case "TurnCut":
      return pending._tag === "Turn" ? [] : [`a turn is cut off in ${whereIs(state)}`]
    case "TurnDecided":
      return pending._tag === "Turn" && pending.turn === entry.turn
        ? []
        : [`turn ${entry.turn} is decided in ${whereIs(state)}`]
    case "TurnSettled":
      return pending._tag === "Decided" ? [] : [`a turn is settled in ${whereIs(state)}`]
    case "CompactionEnded":
      return pending._tag === "Compaction" ? [] : [`a compact turn ends in ${whereIs(state)}`]
    case "SleepBegun":
      return pending._tag === "Nothing" && loop.phase._tag !== "Ended" && !isAsleep(state)
        ? []
        : [`a sleep begins in ${whereIs(state)}`]
    case "SleepEnded":
      return isAsleep(state) ? [] : [`a sleep ends in ${whereIs(state)}`]
    case "OperatorMessage": {
      const id = Option.getOrElse(entry.messageId, () => "")
      if (entry.delivery === "queued") {
        return state.messages.some((it) => it.id === id) ? [`the message ${id} is queued twice`] : []
      }
      return entry.delivery === "gate" && !state.messages.some((it) => it.id === id)
        ? [`the message ${id} is delivered by the gate and did not wait`]
        : []
    }
    case "WorkDelivered":
      return loop.phase._tag === "Ended" && loop.phase.outcome._tag === "Done" && Option.isNone(state.delivery)
        ? []
        : ["work is handed over that was not accepted, or was handed over before"]
    case "CommandHandled":
      return state.handled.has(entry.commandId) ? [`the command ${entry.commandId} is carried out twice`] : []
    case "GoalCompleted": {
      const { outcome } = entry.outcome
      const isForeseen = loop.phase._tag === "Ended" && loop.phase.outcome._tag === outcome._tag
      const isCutShort = outcome._tag === "Cancelled" || (outcome._tag === "Escalate" && outcome.by === "driver")
      return isForeseen || isCutShort ? [] : [`the goal ends as ${outcome._tag} in ${whereIs(state)}`]
    }
    default:
      return []
  }
}

const isAsleep = ({ loop: { phase } }: GoalFold): boolean => phase._tag === "Sleeping" && Option.isSome(phase.begun)

const whereIs = ({ loop, pending }: GoalFold): string => {
  switch (pending._tag) {
    case "Nothing":
      return `the state ${loop.phase._tag}`
    case "Turn":
      return `the middle of turn ${pending.turn}`
    case "Decided":
      return `turn ${pending.entry.turn}, which is decided and not settled`
    case "Compaction":
      return "the middle of a compact turn"
  }
}

const shrinks = (before: Usage, after: Usage): boolean =>
  after.turns < before.turns ||
  totalTokens(after.tokens) < totalTokens(before.tokens) ||
  after.costUsd < before.costUsd ||
  (before.costComplete ? false : after.costComplete) ||
  Duration.lessThan(after.wallTime, before.wallTime)
