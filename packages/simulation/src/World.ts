/**
 * What a simulated world is made of beside the driver: the files of its goals, the
 * agent's conversations at its provider, and a record of what the agent was asked.
 * It survives the driver's death. Changed inside single steps of a fiber only.
 */
import type { Goal, GoalId } from "@driver/domain/Goal"
import type { Behaviour } from "./Plan.js"
import * as Plan from "./Plan.js"
import * as Prng from "./Prng.js"
import type { Timeline } from "./SimClock.js"

/** One call of the agent, of work or of compaction. */
export interface AgentCall {
  readonly kind: "turn" | "compact"
  /** Of the process that made it, from 1. */
  readonly process: number
  readonly turn: number
  readonly prompt: string
  /** On the timeline. */
  readonly began: number
  /** Records of the goal's journal when it began. */
  readonly head: number
  /** On the timeline; undefined while it runs. */
  ended: number | undefined
}

export interface GoalWorld {
  readonly goal: Goal
  readonly planned: Plan.PlannedGoal
  readonly prng: Prng.Prng
  /** Units of work that its files hold. */
  work: number
  /** The units that each checkpoint holds, the first one first. */
  readonly checkpoints: Array<number>
  /** Conversations by id: those that the agent still knows. */
  readonly sessions: Set<string>
  /** Sessions ever begun. */
  begun: number
  /** Calls, oldest first. */
  readonly calls: Array<AgentCall>
  /** Messages of the operator that the agent has read otherwise than with a prompt. */
  readonly heard: Array<string>
  /** Tool calls that the gate was asked about. */
  asked: number
  /** Times that something was done, by its name. */
  readonly times: Map<string, number>
  /** Tokens in the conversation's context. */
  context: number
  /** What each prompt is answered with, by its number. */
  readonly behaviours: ReadonlyMap<number, Behaviour>
  /** Records of its journal that the world has seen. */
  head: number
  /** Events among them. */
  events: number
  /** What its journal says it is in the middle of: `GoalFold.Pending`. */
  pending: string
  /** Tokens that the agent has reported, of all classes. */
  spent: number
}

/** What is open in a process, and must be closed when it ends. */
export interface Holdings {
  readonly process: number
  sessions: number
  gates: number
  turns: number
}

export interface World {
  readonly plan: Plan.Plan
  readonly timeline: Timeline
  readonly goals: ReadonlyMap<GoalId, GoalWorld>
  /** Things that went wrong because the plan said so, by kind. */
  readonly faults: Map<string, number>
  /** Calls of the store, by name: its faults are counted in them. */
  readonly storeCalls: Map<string, number>
  /** Which process has a goal, from 1. */
  readonly owners: Map<GoalId, number>
  /** Processes that have died, or ended. */
  readonly dead: Set<number>
  /** What should never have happened, as it was seen. */
  readonly violations: Array<string>
}

export const make = (plan: Plan.Plan, timeline: Timeline): World => ({
  plan,
  timeline,
  goals: new Map(
    Plan.goalsOf(plan).map((planned) => {
      const goal = Plan.goalOf(plan, planned)
      const made: GoalWorld = {
        goal,
        planned,
        prng: Prng.make(planned.seed),
        work: 0,
        checkpoints: [],
        sessions: new Set(),
        begun: 0,
        calls: [],
        heard: [],
        asked: 0,
        times: new Map(),
        context: 0,
        behaviours: new Map(
          plan.items.flatMap((item) =>
            item._tag === "Turn" && item.goal === planned.goal ? [[item.prompt, item.behaviour] as const] : []
          )
        ),
        head: 0,
        events: 0,
        pending: "Nothing",
        spent: 0
      }
      return [goal.id, made] as const
    })
  ),
  faults: new Map(),
  storeCalls: new Map(),
  owners: new Map(),
  dead: new Set(),
  violations: []
})

/** Counts one more; resolves with how many it are. */
export const count = (counts: Map<string, number>, name: string): number => {
  const now = (counts.get(name) ?? 0) + 1
  counts.set(name, now)
  return now
}

/** The goal must be one of the world's: the driver has no others. */
export const goalIn = (world: World, goalId: GoalId): GoalWorld => {
  const found = world.goals.get(goalId)
  if (found === undefined) throw new Error(`the world has no goal ${goalId}`)
  return found
}

export const isDone = (goal: GoalWorld): boolean => goal.work >= goal.planned.need
