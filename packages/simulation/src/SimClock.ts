/**
 * Virtual time: one timeline for a simulated world, and a clock on it for each of
 * its processes. Nobody waits: when nothing can run, the world moves the timeline
 * on to the next sleeper.
 *
 * A clock behaves like Node's: whole milliseconds, a timer takes at least one, one
 * of more than 2^31 - 1 never comes, and the time of day may jump while timers go on.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** The longest timer that Node has, in milliseconds. */
export const longestTimer = 2 ** 31 - 1

/** Somebody who waits for a moment. */
export interface Sleeper {
  /** Milliseconds since the timeline began. */
  readonly due: number
  /** Equal moments come in the order in which they were asked for. */
  readonly order: number
  readonly wake: () => void
  /** False: woken, or not interested any more. */
  waiting: boolean
}

/** The moments to come, and those who wait for them. */
export interface Timeline {
  /** Milliseconds since it began. */
  readonly now: () => number
  readonly sleep: (millis: number, wake: () => void) => Sleeper
  /** The sleeper is not woken. Idempotent. */
  readonly forget: (sleeper: Sleeper) => void
  /** The next moment that somebody waits for. */
  readonly next: () => number | undefined
  /** Goes to the next moment and wakes whoever waits for it, in order. False: nobody waits. */
  readonly advance: () => boolean
  /** Sleepers that wait. */
  readonly waiting: () => number
}

export const makeTimeline = (): Timeline => {
  const heap: Array<Sleeper> = []
  let now = 0
  let order = 0
  let waiting = 0

  const dropForgotten = () => {
    while (heap.length > 0 && heap[0]?.waiting === false) pop(heap)
  }
  const wake = (sleeper: Sleeper) => {
    sleeper.waiting = false
    waiting -= 1
    sleeper.wake()
  }

  return {
    now: () => now,
    sleep: (millis, callback) => {
      order += 1
      const sleeper: Sleeper = { due: now + Math.max(0, millis), order, wake: callback, waiting: true }
      waiting += 1
      // One that never comes is in nobody's way, but it does wait.
      if (Number.isFinite(millis)) push(heap, sleeper)
      return sleeper
    },
    forget: (sleeper) => {
      if (!sleeper.waiting) return
      sleeper.waiting = false
      waiting -= 1
    },
    next: () => {
      dropForgotten()
      return heap[0]?.due
    },
    advance: () => {
      dropForgotten()
      const due = heap[0]?.due
      if (due === undefined) return false
      now = due
      while (heap[0]?.due === due) {
        const sleeper = pop(heap)
        if (sleeper?.waiting === true) wake(sleeper)
      }
      return true
    },
    waiting: () => waiting
  }
}

const before = (a: Sleeper, b: Sleeper) => a.due < b.due || (a.due === b.due && a.order < b.order)

const push = (heap: Array<Sleeper>, sleeper: Sleeper): void => {
  let at = heap.length
  heap.push(sleeper)
  while (at > 0) {
    const above = (at - 1) >> 1
    const parent = heap[above]
    if (parent === undefined || !before(sleeper, parent)) break
    heap[at] = parent
    at = above
  }
  heap[at] = sleeper
}

const pop = (heap: Array<Sleeper>): Sleeper | undefined => {
  const first = heap[0]
  const last = heap.pop()
  if (first === undefined || last === undefined || heap.length === 0) return first
  let at = 0
  while (true) {
    const left = heap[2 * at + 1]
    const right = heap[2 * at + 2]
    if (left === undefined) break
    const [child, below] = right !== undefined && before(right, left) ? [right, 2 * at + 2] : [left, 2 * at + 1]
    if (!before(child, last)) break
    heap[at] = child
    at = below
  }
  heap[at] = last
  return first
}

/** A process's clock. */
export interface SimClock extends Clock.Clock {
  /** Calls `wake` after so many milliseconds; resolves with how to call that off. */
  readonly alarm: (millis: number, wake: () => void) => () => void
  /** The time of day jumps by so many milliseconds, forth or back. Timers go on as they were. */
  readonly jump: (millis: number) => void
  /** Timers that are set. */
  readonly waiting: () => number
  /** Nobody is woken any more. */
  readonly stop: () => void
}

/** `epoch`: what the clock showed, in milliseconds since 1970, when the timeline began. */
export const make = (timeline: Timeline, epoch: number): SimClock => {
  let offset = epoch
  const sleepers = new Set<Sleeper>()
  const millis = () => timeline.now() + offset
  const nanos = () => BigInt(timeline.now()) * 1_000_000n
  const alarm = (wait: number, wake: () => void) => {
    const sleeper = timeline.sleep(wait, () => {
      sleepers.delete(sleeper)
      wake()
    })
    sleepers.add(sleeper)
    return () => {
      sleepers.delete(sleeper)
      timeline.forget(sleeper)
    }
  }
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: millis,
    unsafeCurrentTimeNanos: nanos,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanos: Effect.sync(nanos),
    sleep: (duration) =>
      Effect.async((resume) => {
        const asked = Duration.toMillis(duration)
        const wait = asked > longestTimer ? Number.POSITIVE_INFINITY : Math.max(1, Math.trunc(asked))
        return Effect.sync(alarm(wait, () => resume(Effect.void)))
      }),
    alarm,
    jump: (by) => {
      offset += by
    },
    waiting: () => sleepers.size,
    stop: () => {
      for (const sleeper of sleepers) timeline.forget(sleeper)
      sleepers.clear()
    }
  }
}
