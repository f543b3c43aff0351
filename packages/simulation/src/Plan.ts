/**
 * What a simulated world has in store, as data made from a seed: its goals, what
 * goes wrong, and what the operator does. Each thing is an item with a number, so
 * that a failing world can be made smaller by leaving items out.
 */
import type { FailureClass } from "@driver/agent/Agent"
import { Budget, Goal, GoalId, Shell } from "@driver/domain/Goal"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Prng from "./Prng.js"

/** What the agent does with one prompt. */
export type Behaviour = Data.TaggedEnum<{
  /** Makes its calls, each of which does a unit of the work, and claims that it has finished. */
  Works: {}
  /** Claims without having done anything. */
  Idles: {}
  /** Works, and asks to be left alone for a while. */
  Sleeps: { readonly millis: number }
  /** Makes so many calls that change nothing. */
  Wanders: { readonly calls: number; readonly same: boolean }
  /** Says that it could not, after some work. `resetsIn`: milliseconds until the provider's limit resets. */
  Fails: { readonly failure: FailureClass; readonly status: number; readonly resetsIn: Option.Option<number> }
  /** Its program ends in the middle of the turn. */
  Exits: {}
  /** Is silent until somebody ends the turn. */
  Hangs: {}
  /** Is silent for so long that its own watchdog notices. */
  Stalls: {}
  /** Prints what is no protocol, or half of it. */
  Babbles: { readonly how: "not_json" | "torn" | "too_long" }
  /** Cannot be started, or not under our gate. */
  Refuses: { readonly how: "unavailable" | "unsafe" }
  /** Its stream ends without a result. */
  Trails: {}
  /** Reaches a limit of its own. */
  Stops: { readonly limit: "max_turns" | "max_budget" }
  /** Has forgotten the conversation. */
  Forgets: {}
  /** Works, and says nothing of tokens or cost. */
  Unmetered: {}
  /** Works, with very many tokens. */
  Devours: { readonly tokens: number }
}>
export const Behaviour = Data.taggedEnum<Behaviour>()

export type OperatorAction = Data.TaggedEnum<{
  Pause: { readonly millis: number }
  Message: { readonly text: string; readonly how: "queue" | "turn" | "redirect" }
  Wake: {}
  RaiseTurns: { readonly by: number }
  Cancel: {}
}>
export const OperatorAction = Data.taggedEnum<OperatorAction>()

export type WorkspaceCall = "ensure" | "checkpoint" | "rollback" | "diffStat" | "deliver"
export type StoreCall = "append" | "binding" | "summary" | "decision" | "heartbeat" | "limits"

/** `goal` is the goal's number in its world; `nth`, `prompt` and `append` count from 1. */
export type Item = Data.TaggedEnum<{
  Goal: {
    readonly goal: number
    /** Units of work until its criteria hold. */
    readonly need: number
    /** Units that one turn does. */
    readonly pace: number
    readonly criteria: number
    readonly maxTurns: number
    readonly maxTokens: number
    readonly maxWallMinutes: number
    readonly maxCostUsd: Option.Option<number>
    readonly startsAfter: number
    /** By how many tokens the context grows at most with each answer of the model. */
    readonly appetite: number
    /** Seed of what is not worth an item: durations, tokens. */
    readonly seed: number
  }
  Turn: { readonly goal: number; readonly prompt: number; readonly behaviour: Behaviour }
  /** The gate refuses calls, counted over the goal. */
  Deny: { readonly goal: number; readonly from: number; readonly count: number }
  Workspace: { readonly goal: number; readonly call: WorkspaceCall; readonly nth: number; readonly diskFull: boolean }
  /** The criteria cannot be evaluated so many times in a row, or take so long. */
  Criteria: { readonly goal: number; readonly nth: number; readonly errors: number; readonly millis: number }
  /** The store fails so many times in a row, from the nth call on. */
  Store: { readonly call: StoreCall; readonly nth: number; readonly count: number; readonly retryable: boolean }
  /** A compaction fails. */
  Compaction: { readonly goal: number; readonly nth: number }
  /** Some time after the goal's so manyth event. */
  Operator: { readonly goal: number; readonly event: number; readonly after: number; readonly action: OperatorAction }
  /** So many operations after the world's so manyth append the driver dies; another one starts some time later. */
  Crash: { readonly append: number; readonly operations: number; readonly down: number }
  /** After the world's so manyth append the driver is stopped in good order; another one starts some time later. */
  Stop: { readonly append: number; readonly down: number }
  /** The time of day jumps. */
  Jump: { readonly at: number; readonly millis: number }
  /** Another driver starts, wants all goals, and goes away again. */
  Rival: { readonly at: number; readonly millis: number }
}>
export const Item = Data.taggedEnum<Item>()

export interface Plan {
  readonly seed: number
  /** What goes wrong in it depends on nothing but the work: it must end as it would without its crashes. */
  readonly crashesOnly: boolean
  /** False: fibers go on in the order in which they became ready. */
  readonly shuffle: boolean
  /** Operations after which a fiber lets others go on. */
  readonly maxOps: number
  /** Whether a driver can see that the one before it is dead; else it watches the lease. */
  readonly sameMachine: boolean
  readonly items: ReadonlyArray<Item>
}

const minute = 60_000

const faulty: NonEmptyReadonlyArray<FailureClass> = [
  "prompt_too_long",
  "session_dead",
  "usage_limit",
  "auth",
  "billing",
  "transient",
  "model_unavailable",
  "invalid_request",
  "unknown"
]

const statusOf: { readonly [Class in FailureClass]: number } = {
  prompt_too_long: 413,
  session_dead: 0,
  usage_limit: 429,
  auth: 401,
  billing: 402,
  transient: 529,
  model_unavailable: 404,
  invalid_request: 400,
  unknown: 0
}

const failure = (prng: Prng.Prng): Behaviour => {
  const found = prng.weighted<FailureClass>([
    [6, "transient"],
    [3, "usage_limit"],
    [3, "prompt_too_long"],
    [2, "session_dead"],
    [1, prng.pick(faulty)]
  ])
  const resetsIn =
    found === "usage_limit" || prng.chance(0.2) ? Option.some(prng.between(1, 90) * minute) : Option.none()
  return Behaviour.Fails({ failure: found, status: statusOf[found], resetsIn })
}

const behaviour = (prng: Prng.Prng): Behaviour =>
  prng.weighted<() => Behaviour>([
    [8, () => failure(prng)],
    [3, () => Behaviour.Idles()],
    [3, () => Behaviour.Sleeps({ millis: prng.between(1, 240) * minute })],
    [2, () => Behaviour.Wanders({ calls: prng.between(2, 12), same: prng.chance(0.5) })],
    [2, () => Behaviour.Exits()],
    [1, () => Behaviour.Hangs()],
    [1, () => Behaviour.Stalls()],
    [1, () => Behaviour.Babbles({ how: prng.pick(["torn", "not_json", "too_long"]) })],
    [0.5, () => Behaviour.Refuses({ how: prng.pick(["unavailable", "unsafe"]) })],
    [1, () => Behaviour.Trails()],
    [1, () => Behaviour.Stops({ limit: prng.pick(["max_turns", "max_budget"]) })],
    [2, () => Behaviour.Forgets()],
    [1, () => Behaviour.Unmetered()],
    [1, () => Behaviour.Devours({ tokens: prng.between(100_000, 900_000) })]
  ])()

const action = (prng: Prng.Prng, name: string): OperatorAction =>
  prng.weighted<() => OperatorAction>([
    [4, () => OperatorAction.Pause({ millis: prng.between(1, 60) * prng.pick([10, 1_000, minute]) })],
    [5, () => OperatorAction.Message({ text: `<${name}>`, how: prng.pick(["queue", "turn", "redirect"]) })],
    [2, () => OperatorAction.Wake()],
    [1, () => OperatorAction.RaiseTurns({ by: prng.between(1, 3) })],
    [1, () => OperatorAction.Cancel()]
  ])()

/** A short time more often than a long one: races are short. */
const moment = (prng: Prng.Prng): number =>
  prng.pick([0, 1, prng.below(50), prng.below(5_000), prng.below(10 * minute)])

export interface PlanOptions {
  /** At most so many goals. Default 8. */
  readonly maxGoals?: number
}

/**
 * The world of this seed. Most worlds have a few kinds of trouble, not all: what is
 * always there hides what is seen only without it.
 */
export const make = (seed: number, options: PlanOptions = {}): Plan => {
  const prng = Prng.make(seed)
  const items: Array<Item> = []
  const add = (item: Item) => items.push(item)
  const goals = prng.between(1, options.maxGoals ?? 8)
  const crashesOnly = prng.chance(0.15)
  const has = (probability: number) => !crashesOnly && prng.chance(probability)
  const trouble = {
    turns: has(0.6),
    gate: has(0.25),
    workspace: has(0.2),
    criteria: has(0.2),
    store: has(0.25),
    compaction: has(0.3),
    operator: has(0.4),
    jumps: has(0.1),
    rival: has(0.08)
  }
  const crashes = crashesOnly || prng.chance(0.25)

  for (let goal = 0; goal < goals; goal++) {
    const need = prng.between(1, 6)
    const pace = prng.between(1, 4)
    add(
      Item.Goal({
        goal,
        need,
        pace,
        criteria: prng.weighted([
          [6, 1],
          [2, 2],
          [1, 0]
        ]),
        maxTurns: crashesOnly ? 12 : prng.between(1, 12),
        maxTokens: trouble.turns && prng.chance(0.2) ? prng.between(10_000, 400_000) : 5_000_000,
        maxWallMinutes: trouble.turns && prng.chance(0.2) ? prng.between(2, 60) : 10 * 60,
        maxCostUsd: trouble.turns && prng.chance(0.1) ? Option.some(prng.between(1, 30) / 10) : Option.none(),
        startsAfter: prng.chance(0.3) ? prng.below(20 * minute) : 0,
        appetite: prng.chance(0.3) ? 120_000 : 9_000,
        seed: Prng.seedOf(seed, goal, 1)
      })
    )
    if (trouble.turns) {
      for (let n = prng.between(0, 5); n > 0; n--) {
        add(Item.Turn({ goal, prompt: prng.between(1, 6), behaviour: behaviour(prng) }))
      }
    }
    if (trouble.gate && prng.chance(0.6)) {
      add(Item.Deny({ goal, from: prng.between(1, 6), count: prng.pick([1, 1, 2, prng.between(3, 12)]) }))
    }
    if (trouble.workspace && prng.chance(0.6)) {
      const call = prng.pick(["checkpoint", "checkpoint", "rollback", "diffStat", "deliver", "ensure"] as const)
      add(Item.Workspace({ goal, call, nth: prng.between(1, 3), diskFull: prng.chance(0.5) }))
    }
    if (trouble.criteria && prng.chance(0.6)) {
      const errors = prng.weighted([
        [3, 0],
        [3, 1],
        [2, 2],
        [1, 3]
      ])
      add(Item.Criteria({ goal, nth: prng.between(1, 3), errors, millis: prng.below(10 * minute) }))
    }
    if (trouble.compaction) add(Item.Compaction({ goal, nth: prng.between(1, 3) }))
    if (trouble.operator) {
      for (let n = prng.between(0, 5); n > 0; n--) {
        const event = prng.between(1, 30)
        add(Item.Operator({ goal, event, after: moment(prng), action: action(prng, `${goal}.${n}`) }))
      }
    }
  }
  if (trouble.store) {
    for (let n = prng.between(1, 3); n > 0; n--) {
      const call = prng.pick(["append", "append", "binding", "summary", "decision", "heartbeat", "limits"] as const)
      const count = prng.pick([1, 1, 2, prng.between(3, 30)])
      add(Item.Store({ call, nth: prng.between(1, 40), count, retryable: prng.chance(0.8) }))
    }
  }
  if (crashes) {
    for (let n = prng.between(1, 4); n > 0; n--) {
      if (prng.chance(0.2)) add(Item.Stop({ append: prng.between(1, 40), down: prng.below(10 * minute) }))
      add(
        Item.Crash({
          append: prng.between(1, 40),
          operations: prng.pick([0, prng.below(50), prng.below(1_000), prng.below(10_000)]),
          down: prng.pick([0, prng.below(1_000), prng.below(30 * minute)])
        })
      )
    }
  }
  if (trouble.jumps) {
    const millis = prng.pick([-1, 1]) * prng.pick([1_000, minute, 60 * minute, 24 * 60 * minute])
    add(Item.Jump({ at: prng.below(30 * minute), millis }))
  }
  if (trouble.rival) add(Item.Rival({ at: prng.below(20 * minute), millis: prng.between(1, 40) * minute }))
  return {
    seed,
    crashesOnly,
    shuffle: prng.chance(0.5),
    maxOps: prng.chance(0.5) ? 2_048 : prng.between(20, 500),
    sameMachine: prng.chance(0.7),
    items
  }
}

/** The plan with these items only. What belongs to a goal goes with it. */
export const keep = (plan: Plan, kept: ReadonlyArray<number>): Plan => {
  const items = plan.items.filter((_, index) => kept.includes(index))
  const goals = new Set(items.flatMap((item) => (item._tag === "Goal" ? [item.goal] : [])))
  return { ...plan, items: items.filter((item) => !("goal" in item) || goals.has(item.goal)) }
}

export type PlannedGoal = Extract<Item, { readonly _tag: "Goal" }>

export const goalsOf = (plan: Plan): ReadonlyArray<PlannedGoal> => plan.items.filter(Item.$is("Goal"))

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0").slice(-digits)

/** The goal as it is given to the driver. Its id says its world and its number. */
export const goalOf = (plan: Plan, planned: PlannedGoal): Goal =>
  new Goal({
    id: GoalId.make(`${hex(plan.seed, 8)}-0000-4000-8000-${hex(planned.goal + 1, 12)}`),
    description: `Do ${planned.need} units of work`,
    acceptance: Array.from({ length: planned.criteria }, (_, index) => new Shell({ command: `check ${index}` })),
    budget: new Budget({
      maxTurns: planned.maxTurns,
      maxTokens: planned.maxTokens,
      maxWallTime: Duration.minutes(planned.maxWallMinutes),
      maxCostUsd: planned.maxCostUsd
    })
  })
