/** What people are shown of goals, made of what is known about them. Pure. */

import type { GoalId } from "@driver/domain/Goal"
import { Usage } from "@driver/domain/Usage"
import type { GoalStatus } from "@driver/runtime/Driver"
import type { GoalFold } from "@driver/runtime/GoalFold"
import type { GoalRow, PendingCommand } from "@driver/runtime/GoalStore"
import { GoalDetail, GoalSummary } from "@driver/runtime/Goals"
import { accountText, type Wait, waitText } from "@driver/runtime/Queue"
import * as Option from "effect/Option"
import { isOver } from "./goalRows.js"
import { heldBackBy } from "./heldBack.js"

export interface Known {
  readonly row: GoalRow
  /** Of a goal that is at work in this process. */
  readonly live: Option.Option<GoalStatus>
  /** What the journal of a goal comes to that is begun and not at work here. */
  readonly fold: Option.Option<GoalFold>
  /** What was asked of it and waits for its driver, oldest first. */
  readonly commands: ReadonlyArray<PendingCommand>
  /** What it waits for in the queue. */
  readonly wait: Option.Option<Wait>
  /** Questions to a person about its calls that are open. */
  readonly questions: number
  /** Accounts that are closed, with the moment they open (milliseconds since the epoch). */
  readonly closed: ReadonlyMap<string, number>
}

export const summaryOf = (known: Known): GoalSummary => {
  const { live, row } = known
  const { budget, description, id } = row.goal
  const usage = usageOf(known)
  return new GoalSummary({
    goalId: id,
    description,
    state: row.state,
    phase: phaseOf(known),
    paused: !isOver(row) && pausedOf(known),
    priority: row.priority,
    repository: row.repository,
    dependsOn: row.dependsOn,
    turns: Option.match(row.outcome, { onNone: () => usage.turns, onSome: ({ totalTurns }) => totalTurns }),
    maxTurns: Math.max(
      budget.maxTurns,
      Option.match(live, { onNone: () => 0, onSome: ({ maxTurns }) => maxTurns }),
      ...Option.toArray(Option.flatMap(known.fold, ({ maxTurns }) => maxTurns)),
      ...known.commands.flatMap(({ command }) => (command._tag === "RaiseTurns" ? [command.maxTurns] : []))
    ),
    usage,
    queued: messagesOf(known),
    waitsFor: isOver(row) ? Option.none() : waitsForOf(known),
    submittedAt: row.submittedAt,
    endedAt: row.endedAt,
    outcome: row.outcome
  })
}

export const detailOf = (
  known: Known,
  more: { readonly head: number; readonly owner: Option.Option<string> }
): GoalDetail => {
  const { fold, live, row } = known
  const progress = Option.map(live, (it) => it.progress)
  const workspace = Option.flatMap(progress, (it) => it.workspace)
  const first = <A>(...found: ReadonlyArray<Option.Option<A>>) => Option.firstSomeOf(found)
  return new GoalDetail({
    summary: summaryOf(known),
    goal: row.goal,
    verdict: first(
      Option.flatMap(progress, (it) => it.verdict),
      Option.flatMap(row.outcome, (it) => it.acceptance),
      Option.flatMap(fold, (it) => it.verdict)
    ),
    branch: first(
      Option.flatMap(workspace, (it) => it.branch),
      Option.flatMap(row.outcome, (it) => it.branch)
    ),
    worktree: first(
      Option.map(workspace, (it) => it.path),
      Option.flatMap(row.outcome, (it) => it.worktree)
    ),
    head: more.head,
    owner: more.owner
  })
}

const usageOf = ({ fold, live, row }: Known): Usage =>
  Option.getOrElse(
    Option.firstSomeOf([
      Option.map(live, (it) => it.progress.usage),
      Option.map(row.outcome, ({ usage }) => usage),
      Option.map(fold, ({ loop }) => loop.usage)
    ]),
    () => Usage.zero
  )

const phaseOf = ({ fold, live, row }: Known): string => {
  if (isOver(row)) return "Ended"
  if (Option.isSome(live)) return live.value.progress.phase
  if (row.state === "queued" || Option.isNone(fold) || fold.value.status === "new") return "Registered"
  const { loop, pending } = fold.value
  return pending._tag === "Turn" ? "Working" : pending._tag === "Compaction" ? "Compacting" : loop.phase._tag
}

/** What waits to be carried out counts as if it was. */
export const pausedOf = ({ commands, fold, live, row }: Known): boolean => {
  if (Option.isSome(live)) return live.value.paused
  const last = commands.filter(({ command }) => command._tag === "Pause" || command._tag === "Resume").at(-1)
  return last === undefined ? Option.exists(fold, ({ paused }) => paused) : heldBackBy(commands).paused.has(row.goal.id)
}

const messagesOf = ({ commands, fold, live }: Known): number => {
  const stored = commands.filter(({ command }) => command._tag === "Steer").length
  return Option.match(live, {
    onNone: () => stored + Option.match(fold, { onNone: () => 0, onSome: ({ messages }) => messages.length }),
    onSome: (it) => it.queued
  })
}

const waitsForOf = (known: Known): Option.Option<string> => {
  const { closed, questions, row, wait } = known
  if (questions > 0) {
    return Option.some(
      `an answer to ${questions === 1 ? "a question" : `${questions} questions`} (\`driver approvals\`)`
    )
  }
  if (Option.isSome(wait)) return Option.some(waitText(wait.value))
  const phase = phaseOf(known)
  if (phase === "Sleeping") {
    const until = closed.get(row.account)
    return Option.some(until === undefined ? "the end of its sleep" : accountText(row.account, until))
  }
  const isBetweenTurns = phase === "Ready" || phase === "Registered"
  return isBetweenTurns && pausedOf(known) ? Option.some("the end of a pause") : Option.none()
}

/** By goal. */
export const commandsByGoal = (
  commands: ReadonlyArray<PendingCommand>
): ReadonlyMap<GoalId, ReadonlyArray<PendingCommand>> => {
  const byGoal = new Map<GoalId, Array<PendingCommand>>()
  for (const command of commands) {
    const own = byGoal.get(command.goalId)
    if (own === undefined) byGoal.set(command.goalId, [command])
    else own.push(command)
  }
  return byGoal
}
