/** Worlds in which something was wrong once, each with a sentence that says what. */
import * as Campaign from "../src/Campaign.js"
import * as Plan from "../src/Plan.js"
import * as Prng from "../src/Prng.js"
import { plannedGoal, planWith } from "./support/plans.js"

export interface Seed {
  readonly says: string
  readonly plan: () => Plan.Plan
  /** Items that are enough to see it. */
  readonly keep?: ReadonlyArray<number>
  /** Still so: not run, until somebody mends it. */
  readonly open?: true
}

/** Paused in its first turn by the operator, for a minute. */
const pausedForAMinute = Plan.Item.Operator({
  goal: 0,
  event: 2,
  after: 10,
  action: Plan.OperatorAction.Pause({ millis: 60_000 })
})

export const seeds: ReadonlyArray<Seed> = [
  {
    says: "a goal that has ended waits for the fiber of its journal, which could not be interrupted, and keeps its lease",
    plan: () => planWith([plannedGoal({ need: 1 })])
  },
  {
    says: "a resume that is read while a driver waits for the lease is lost, and the goal is paused for ever",
    plan: () =>
      planWith([plannedGoal(), pausedForAMinute, Plan.Item.Crash({ append: 4, operations: 0, down: 1_000 })], {
        seed: 1,
        sameMachine: false
      })
  },
  {
    says: "a driver that waited for a goal begins it anew, since another one has ended it meanwhile",
    plan: () =>
      planWith([plannedGoal(), Plan.Item.Rival({ at: 1_000, millis: 3_600_000 })], {
        sameMachine: false,
        shuffle: true
      })
  },
  {
    says: "a pause that comes as the goal ends is in the journal after its last event",
    plan: () => Plan.make(Prng.seedOf(239, 7))
  },
  {
    says: "a goal with pauses, over drivers that die and start, never comes to its end",
    plan: () => Plan.make(Prng.seedOf(240, 7))
  },
  {
    says: "a goal that is cancelled as its turn begins has its last event before that turn is over, and the agent is asked after it",
    plan: () => Campaign.planOf(4, 246),
    keep: [0, 3, 4, 6, 7, 11, 13, 16, 17, 19, 23, 25, 26]
  },
  {
    says: "a driver that cannot write its heartbeats asks its agent while another one, which took its goal over, asks its own",
    plan: () => Campaign.planOf(4, 298),
    keep: [0, 1, 28, 36, 39, 41]
  },
  {
    says: "a goal whose turn was cut off, and which is cancelled while it is paused, ends without what that turn used",
    plan: () => Campaign.planOf(7, 720),
    keep: [0, 2, 15, 17, 19, 22]
  }
]
