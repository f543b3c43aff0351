/**
 * A process that is simulated: fibers of Effect on a scheduler of our own, with a
 * clock and random numbers of its own. It runs one step at a time and only when
 * told to, so that the world decides what happens next, and can kill it at any
 * operation: then no finalizer runs, as after SIGKILL.
 *
 * It is quiet when no fiber can go on. Nothing in it waits for anything but its
 * clock and its own fibers: no timer, no promise.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import { globalValue } from "effect/GlobalValue"
import * as HashSet from "effect/HashSet"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import type * as Scheduler from "effect/Scheduler"
import * as Supervisor from "effect/Supervisor"
import type * as Prng from "./Prng.js"
import type { SimClock } from "./SimClock.js"

export interface ProcessOptions {
  readonly clock: SimClock
  /** Chooses who goes on next. */
  readonly prng: Prng.Prng
  /** Seed of Effect's own `Random`. */
  readonly seed: number
  /** False: in the order in which they became ready, as Node does. True: any order. */
  readonly shuffle: boolean
  /** Operations after which a fiber lets others go on. */
  readonly maxOps: number
  /** Called with each line of the log. Absent: nothing is logged. */
  readonly log?: (line: string) => void
}

export interface SimProcess {
  readonly clock: SimClock
  readonly alive: () => boolean
  /** True when some fiber can go on. */
  readonly isReady: () => boolean
  /** Lets one fiber go on until it waits or has had its share. False: none can. */
  readonly step: () => boolean
  /** Starts a fiber. It does nothing before the next step. */
  readonly start: <A, E>(effect: Effect.Effect<A, E>) => Fiber.RuntimeFiber<A, E>
  /** Kills it after so many further operations of its fibers; 0: at once. */
  readonly killAfter: (operations: number) => void
  /** Operations so far. */
  readonly operations: () => number
  /** Fibers that have not ended. */
  readonly fibers: () => number
}

interface Ready {
  readonly fiber: object | undefined
  readonly tasks: Array<Scheduler.Task>
}

/** Steps after which those of lower priority get their share too. */
const fairness = 64

type Root = Fiber.RuntimeFiber<unknown, unknown>

/** Effect's set of fibers without a parent. What is killed is taken out of it, or it would be kept for ever. */
const roots = globalValue(Symbol.for("effect/FiberScope/Global"), () => ({ roots: new Set<Root>() })).roots

class Census extends Supervisor.AbstractSupervisor<ReadonlySet<Root>> {
  readonly living = new Set<Root>()
  override readonly value = Effect.sync(() => this.living)
  override onStart(_context: unknown, _effect: unknown, _parent: unknown, fiber: Root): void {
    this.living.add(fiber)
  }
  override onEnd(_exit: Exit.Exit<unknown, unknown>, fiber: Root): void {
    this.living.delete(fiber)
  }
}

export const make = (options: ProcessOptions): SimProcess => {
  const { clock, prng, shuffle } = options
  const random = Random.make(options.seed)
  const census = new Census()
  let ready: Array<Ready> = []
  let head = 0
  let later: Array<Ready> = []
  const byFiber = new Map<object, Ready>()
  let steps = 0
  let operations = 0
  let killAt = Number.POSITIVE_INFINITY
  let living = true

  const die = () => {
    living = false
    clock.stop()
    ready = []
    head = 0
    later = []
    byFiber.clear()
    for (const fiber of census.living) roots.delete(fiber)
    census.living.clear()
  }

  const scheduler: Scheduler.Scheduler = {
    shouldYield: (fiber) => {
      operations += 1
      return fiber.currentOpCount > options.maxOps || operations >= killAt ? 0 : false
    },
    scheduleTask: (task, priority, fiber) => {
      if (!living) return
      const known = fiber === undefined ? undefined : byFiber.get(fiber)
      if (known !== undefined) {
        known.tasks.push(task)
        return
      }
      const entry: Ready = { fiber, tasks: [task] }
      if (fiber !== undefined) byFiber.set(fiber, entry)
      if (priority > 0) later.push(entry)
      else ready.push(entry)
    }
  }

  const promote = () => {
    ready = head === 0 ? [...ready, ...later] : [...ready.slice(head), ...later]
    head = 0
    later = []
  }

  /** Takes one out. In order by a moving head; otherwise the last takes the place of the one that was taken. */
  const take = (): Ready | undefined => {
    if (!shuffle) {
      const entry = ready[head]
      head += 1
      if (head > 1_024) {
        ready = ready.slice(head)
        head = 0
      }
      return entry
    }
    const at = prng.below(ready.length)
    const entry = ready[at]
    const last = ready.pop()
    if (last !== undefined && at < ready.length) ready[at] = last
    return entry
  }

  const isReady = () => living && (head < ready.length || later.length > 0)

  const loggers =
    options.log === undefined
      ? HashSet.empty<Logger.Logger<unknown, unknown>>()
      : HashSet.make<ReadonlyArray<Logger.Logger<unknown, unknown>>>(
          Logger.make(({ cause, logLevel, message }) =>
            options.log?.(`${logLevel.label} ${String(message)} ${String(cause)}`)
          )
        )

  // Made once: around each effect that is started these would be most of what a short one costs.
  const services = DefaultServices.liveServices.pipe(
    Context.add(Clock.Clock, clock),
    Context.add(Random.Random, random)
  )
  const runtime = Runtime.defaultRuntime.pipe(
    Runtime.setFiberRef(DefaultServices.currentServices, services),
    Runtime.setFiberRef(FiberRef.currentSupervisor, census),
    Runtime.setFiberRef(FiberRef.currentTracerEnabled, false),
    Runtime.setFiberRef(FiberRef.currentLoggers, loggers),
    Runtime.setFiberRef(FiberRef.currentMinimumLogLevel, options.log === undefined ? LogLevel.None : LogLevel.Debug),
    Runtime.disableRuntimeFlag(RuntimeFlags.RuntimeMetrics)
  )

  return {
    clock,
    alive: () => living,
    isReady,
    step: () => {
      if (!isReady()) return false
      steps += 1
      if (head >= ready.length || (later.length > 0 && steps % fairness === 0)) promote()
      const entry = take()
      if (entry === undefined) return false
      if (entry.fiber !== undefined) byFiber.delete(entry.fiber)
      for (const task of entry.tasks) {
        task()
        if (operations >= killAt) {
          die()
          return true
        }
      }
      return true
    },
    start: (effect) => Runtime.runFork(runtime, effect, { immediate: false, scheduler }),
    killAfter: (after) => {
      if (after <= 0) die()
      else killAt = operations + after
    },
    operations: () => operations,
    fibers: () => census.living.size
  }
}
