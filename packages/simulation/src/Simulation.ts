/**
 * Runs a simulated world to its end: the real driver, loop and policies on services
 * that are simulated, from one seed. Pure: the same plan gives the same report, byte
 * by byte.
 *
 * ```text
 *   a process is ready? ── yes ─▶ one step of one of them ─┐
 *          ▲ no                                            │
 *          ├── somebody sleeps? ── yes ─▶ on to that moment┤
 *          │         no ─▶ over                            │
 *          └───────────────────────────────────────────────┘
 * ```
 */
import { isDriverEvent } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import { Driver } from "@driver/runtime/Driver"
import * as Commands from "@driver/runtime/GoalStore"
import { type Command, GoalStore, RaiseTurns, Steer } from "@driver/runtime/GoalStore"
import { Journal, type JournalRecord } from "@driver/runtime/Journal"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Invariants from "./Invariants.js"
import * as Plan from "./Plan.js"
import * as Prng from "./Prng.js"
import * as SimClock from "./SimClock.js"
import * as SimDriver from "./SimDriver.js"
import * as SimProcess from "./SimProcess.js"
import * as SimStores from "./SimStores.js"
import * as World from "./World.js"

export interface Report {
  readonly plan: Plan.Plan
  /** What should not have happened; empty when all is well. */
  readonly violations: ReadonlyArray<string>
  /** By goal, in the order of the plan. */
  readonly journals: ReadonlyArray<ReadonlyArray<JournalRecord>>
  /** How often each outcome was. */
  readonly outcomes: ReadonlyMap<string, number>
  /** How often each fault was. */
  readonly faults: ReadonlyMap<string, number>
  readonly turns: number
  /** Operations of fibers. */
  readonly operations: number
  /** Simulated milliseconds. */
  readonly elapsed: number
}

export interface Options {
  /** Called with each line of the log. */
  readonly log?: (line: string) => void
  /** Stands between the driver and its services: breaks something, to see that it is noticed. */
  readonly sabotage?: (services: Context.Context<SimDriver.Simulated>) => Context.Context<SimDriver.Simulated>
}

/** 1 January 2027, in milliseconds since 1970. */
const epoch = 1_798_761_600_000

/** A world that takes more has got lost. */
const longest = { operations: 1_000_000, millis: 10 * 24 * 60 * 60_000 }

/** A driver of the world. */
interface Running {
  readonly number: number
  readonly process: SimProcess.SimProcess
  readonly holdings: World.Holdings
  readonly main: Fiber.RuntimeFiber<void, never>
  driver: Driver["Type"] | undefined
  /** It was stopped, or killed. */
  over: boolean
}

export const run = (plan: Plan.Plan, options: Options = {}): Report => {
  const timeline = SimClock.makeTimeline()
  const world = World.make(plan, timeline)
  const prng = Prng.make(Prng.seedOf(plan.seed, 2))
  const running: Array<Running> = []
  let appends = 0

  const makeProcess = (number: number) =>
    SimProcess.make({
      clock: SimClock.make(timeline, epoch),
      prng: Prng.make(Prng.seedOf(plan.seed, 3, number)),
      seed: Prng.seedOf(plan.seed, 4, number),
      shuffle: plan.shuffle,
      maxOps: plan.maxOps,
      ...(options.log === undefined ? {} : { log: (line: string) => options.log?.(`${number}: ${line}`) })
    })

  // The disk of the world: it never dies.
  const disk = makeProcess(0)
  const now = <A, E>(effect: Effect.Effect<A, E>): A => {
    const fiber = disk.start(effect)
    while (disk.step()) {}
    const exit = fiber.unsafePoll()
    if (exit === null || Exit.isFailure(exit)) throw new Error(`the world's disk failed: ${exit}`)
    return exit.value
  }
  const stores = now(Effect.flatMap(Scope.make(), (scope) => Scope.extend(SimStores.make, scope)))
  const pure = now(Effect.flatMap(Scope.make(), (scope) => Scope.extend(SimDriver.makePure, scope)))
  const diskFibers = disk.fibers()
  const journal = Context.get(stores, Journal)
  const checks = new Map([...world.goals.values()].map((goal) => [goal.goal.id, Invariants.start(plan)] as const))

  const onAppended = (by: Running, records: ReadonlyArray<JournalRecord>) => {
    const [first] = records
    if (first === undefined) return
    // What a driver wrote in its last moment is seen with what the next one writes.
    const { head } = World.goalIn(world, first.goalId)
    const missed = first.sequence > head + 1 ? now(journal.read(first.goalId, { after: head })) : records
    for (const record of missed) see(record)
    appends += 1
    for (const item of plan.items) {
      if (Plan.Item.$is("Crash")(item) && item.append === appends) {
        World.count(world.faults, "crash")
        by.process.killAfter(Math.max(1, item.operations))
        restartAfter(by, item.down)
      } else if (Plan.Item.$is("Stop")(item) && item.append === appends) {
        World.count(world.faults, "stop")
        stop(by, item.down)
      }
    }
  }

  /** A record that is new to the world. */
  const see = (record: JournalRecord) => {
    const goal = World.goalIn(world, record.goalId)
    const check = checks.get(record.goalId)
    if (check === undefined || record.sequence <= goal.head) return
    goal.head = record.sequence
    const after = Invariants.next(check, goal, record, world.violations)
    checks.set(record.goalId, after)
    goal.pending = after.fold.pending._tag
    if (!isDriverEvent(record.entry)) return
    goal.events += 1
    for (const item of plan.items) {
      if (!Plan.Item.$is("Operator")(item) || item.goal !== goal.planned.goal || item.event !== goal.events) continue
      timeline.sleep(item.after, () => operate(goal.goal.id, item.action))
    }
  }

  const restartAfter = (by: Running, down: number) => {
    by.over = true
    timeline.sleep(down, () => startDriver(undefined))
  }

  const stop = (by: Running, down: number | undefined) => {
    if (by.over || !by.process.alive()) return
    by.over = true
    by.process.start(Fiber.interrupt(by.main))
    if (down !== undefined) timeline.sleep(down, () => startDriver(undefined))
  }

  const command = (goalId: GoalId, asked: Command) => now(Context.get(stores, GoalStore).command(goalId, asked))

  /** Through the driver that has the goal, or, when there is none, through the store. */
  const operate = (goalId: GoalId, action: Plan.OperatorAction): void => {
    World.count(world.faults, `operator ${action._tag.toLowerCase()}`)
    const owner = running.find((it) => it.process.alive() && world.owners.get(goalId) === it.number)
    const tell = (asked: Command, direct: (driver: Driver["Type"]) => Effect.Effect<unknown, unknown>) => {
      if (owner?.driver === undefined || prng.chance(0.3)) command(goalId, asked)
      else owner.process.start(Effect.ignore(direct(owner.driver)))
    }
    Plan.OperatorAction.$match(action, {
      Pause: ({ millis }) => {
        tell(new Commands.Pause({}), (driver) => driver.pause(goalId))
        timeline.sleep(millis, () => resume(goalId))
      },
      Message: ({ how, text }) =>
        tell(new Steer({ message: text, mode: how }), (driver) =>
          how === "queue"
            ? driver.interrupt(goalId, text)
            : how === "turn"
              ? driver.steer(goalId, text)
              : driver.redirect(goalId, text)
        ),
      Wake: () => tell(new Commands.Wake({}), (driver) => driver.wake(goalId)),
      RaiseTurns: ({ by }) => {
        const maxTurns = World.goalIn(world, goalId).planned.maxTurns + by
        tell(new RaiseTurns({ maxTurns }), (driver) => driver.setMaxTurns(goalId, maxTurns))
      },
      Cancel: () => tell(new Commands.Cancel({}), (driver) => driver.cancel(goalId))
    })
  }

  /** By the store: it reaches the goal whatever happens meanwhile. */
  const resume = (goalId: GoalId) => command(goalId, new Commands.Resume({}))

  /** Starts a driver that wants all goals; with `millis` it goes away after that time. */
  const startDriver = (millis: number | undefined): void => {
    const number = running.length + 1
    const process = makeProcess(number)
    const holdings: World.Holdings = { process: number, sessions: 0, gates: 0, turns: 0 }
    const live = SimDriver.make(world, holdings, process, stores, pure, options.sabotage ?? ((it) => it), (records) =>
      onAppended(self, records)
    )
    const main = process.start(
      Effect.scoped(
        Effect.flatMap(live, (context) => {
          self.driver = Context.get(context, Driver)
          return Effect.provide(SimDriver.driveAll(world), context)
        })
      )
    )
    const self: Running = { number, process, holdings, main, driver: undefined, over: false }
    running.push(self)
    if (millis !== undefined) timeline.sleep(millis, () => stop(self, undefined))
  }

  startDriver(undefined)
  for (const item of plan.items) {
    if (Plan.Item.$is("Rival")(item)) {
      timeline.sleep(item.at, () => {
        World.count(world.faults, "rival driver")
        startDriver(item.millis)
      })
    }
    if (Plan.Item.$is("Jump")(item)) {
      timeline.sleep(item.at, () => {
        World.count(world.faults, "clock jump")
        for (const { process } of running) process.clock.jump(item.millis)
      })
    }
  }

  const operations = () => running.reduce((sum, { process }) => sum + process.operations(), disk.operations())
  const step = (): boolean => {
    while (disk.step()) {}
    const ready = running.filter(({ process }) => process.isReady())
    const one = ready.length > 1 ? ready[prng.below(ready.length)] : ready[0]
    if (one === undefined) return timeline.advance()
    one.process.step()
    if (!one.process.alive() || one.main.unsafePoll() !== null) world.dead.add(one.number)
    return true
  }
  let steps = 0
  while (world.violations.length === 0 && step()) {
    steps += 1
    if (steps % 1_000 === 0 && (operations() > longest.operations || timeline.now() > longest.millis)) {
      world.violations.push(`the world does not come to an end: ${operations()} operations, ${timeline.now()} ms`)
    }
  }

  if (world.violations.length === 0) {
    for (const it of running) leaksOf(it, world.violations)
    if (disk.fibers() !== diskFibers)
      world.violations.push(`${disk.fibers() - diskFibers} fibers of the store are left`)
  }
  const journals = [...world.goals.keys()].map((goalId) => now(journal.read(goalId)))
  if (world.violations.length === 0) {
    for (const records of journals) Invariants.end(world, records, world.violations)
    for (const goalId of world.goals.keys()) {
      const holder = now(Context.get(stores, GoalStore).holder(goalId))
      // Who was killed has not given back what it had.
      if (
        Option.exists(holder, (it) =>
          running.some((by) => by.process.alive() && SimDriver.ownerOf(by.number) === it.owner)
        )
      ) {
        world.violations.push(`a driver that is over still holds the goal ${goalId}`)
      }
    }
  }
  return {
    plan,
    violations: world.violations,
    journals,
    outcomes: outcomesOf(journals),
    faults: world.faults,
    turns: [...world.goals.values()].reduce((sum, { calls }) => sum + calls.length, 0),
    operations: operations(),
    elapsed: timeline.now()
  }
}

/**
 * Runs the world, and, when only crashes trouble it, once more without them: its goals must end in the same way, and
 * not after more turns.
 */
export const check = (plan: Plan.Plan, options: Options = {}): Report => {
  const report = run(plan, options)
  // Reading back takes as long as the world: some of them.
  if (report.violations.length === 0 && plan.seed % 32 === 0 && !report.journals.every(Invariants.readsBack)) {
    return { ...report, violations: ["a journal comes to something else when it is read back"] }
  }
  if (!plan.crashesOnly || report.violations.length > 0) return report
  const undisturbed = run({ ...plan, items: plan.items.filter(({ _tag }) => _tag !== "Crash" && _tag !== "Stop") })
  const violations = report.journals.flatMap((records, goal) => {
    const [one, other] = [endOf(records), endOf(undisturbed.journals[goal] ?? [])]
    if (one === undefined || other === undefined) return [`goal ${goal} has no end`]
    return one.outcome._tag === other.outcome._tag && one.totalTurns <= other.totalTurns
      ? []
      : [
          `goal ${goal} ends with ${one.outcome._tag} after ${one.totalTurns} turns, without crashes with ${other.outcome._tag} after ${other.totalTurns}`
        ]
  })
  return { ...report, violations }
}

const endOf = (records: ReadonlyArray<JournalRecord>) => Invariants.lastEvent(records)?.outcome

/** Nothing of a driver that has ended may be left. */
const leaksOf = ({ holdings, main, number, process }: Running, violations: Array<string>): void => {
  if (!process.alive()) return
  const exit = main.unsafePoll()
  if (exit === null) violations.push(`driver ${number} waits for something that never comes`)
  else if (Exit.isFailure(exit) && !Exit.isInterrupted(exit)) violations.push(`driver ${number} failed: ${exit}`)
  const left = [
    [process.fibers(), "fibers"],
    [process.clock.waiting(), "timers"],
    [holdings.sessions, "sessions of the agent"],
    [holdings.turns, "turns of the agent"],
    [holdings.gates, "registrations at the gate"]
  ] as const
  if (exit === null) return
  for (const [count, what] of left) if (count > 0) violations.push(`driver ${number} has left ${count} ${what}`)
}

const outcomesOf = (journals: Report["journals"]): ReadonlyMap<string, number> => {
  const outcomes = new Map<string, number>()
  for (const records of journals) {
    World.count(outcomes, endOf(records)?.outcome._tag ?? "unfinished")
  }
  return outcomes
}
