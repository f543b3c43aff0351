/**
 * A bounded queue of events between a publisher that must not wait and someone
 * slower: first in, first out, bounded in number and in size.
 *
 * When it is full, room is made by dropping the oldest `AgentActivity`, which is for
 * people who watch; only when there is none, the oldest event of another kind goes.
 * Every operation is synchronous, so nothing can come between its reads and its
 * writes.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"

export interface BufferLimits {
  /** At least 1. */
  readonly events: number
  /** Estimated bytes in memory. */
  readonly bytes: number
}

/** How many events had to go. */
export interface Dropped {
  readonly activity: number
  readonly other: number
}

export interface EventBuffer {
  /** Takes the event in. What had to go for it may be the event itself, when it is activity. */
  readonly offer: (event: StoredEvent) => Dropped
  /** Removes the oldest events: at most so many, and no more than the first once they exceed the size. */
  readonly take: (limits: BufferLimits) => ReadonlyArray<StoredEvent>
  readonly size: () => number
  /** Position of the oldest event inside; `Infinity` when there is none. */
  readonly oldest: () => number
  /** The position that the next event will get. Positions ascend from 0. */
  readonly next: () => number
}

interface Entry {
  readonly position: number
  readonly bytes: number
  readonly event: StoredEvent
}

export const makeEventBuffer = (limits: BufferLimits): EventBuffer => {
  // Two queues, merged by position when events are taken, so that the oldest activity is found at once.
  const activity = makeFifo()
  const other = makeFifo()
  let next = 0
  let bytes = 0

  const shift = (fifo: Fifo): StoredEvent | undefined => {
    const entry = fifo.shift()
    bytes -= entry?.bytes ?? 0
    return entry?.event
  }
  const size = () => activity.size() + other.size()
  const oldest = () => Math.min(activity.head()?.position ?? Infinity, other.head()?.position ?? Infinity)

  return {
    offer: (event) => {
      const isActivity = event.event._tag === "AgentActivity"
      // One event, however large, never pushes out everything else.
      const weight = Math.min(approximateBytes(event), limits.bytes / 4)
      const fits = () => size() < limits.events && bytes + weight <= limits.bytes
      let droppedActivity = 0
      let droppedOther = 0
      while (!fits() && activity.size() > 0) {
        shift(activity)
        droppedActivity++
      }
      if (isActivity && !fits()) {
        next++
        return { activity: droppedActivity + 1, other: 0 }
      }
      while (!fits() && other.size() > 0) {
        shift(other)
        droppedOther++
      }
      ;(isActivity ? activity : other).push({ position: next++, bytes: weight, event })
      bytes += weight
      return { activity: droppedActivity, other: droppedOther }
    },
    take: (most) => {
      const taken: Array<StoredEvent> = []
      let takenBytes = 0
      while (taken.length < most.events && takenBytes < most.bytes && size() > 0) {
        const before = bytes
        const event = shift(oldest() === activity.head()?.position ? activity : other)
        if (event !== undefined) taken.push(event)
        takenBytes += before - bytes
      }
      return taken
    },
    size,
    oldest,
    next: () => next
  }
}

interface Fifo {
  readonly push: (entry: Entry) => void
  readonly shift: () => Entry | undefined
  readonly head: () => Entry | undefined
  readonly size: () => number
}

/** `Array.shift` moves every element; this one moves them once in a while. */
const makeFifo = (): Fifo => {
  let entries: Array<Entry | undefined> = []
  let first = 0
  return {
    push: (entry) => {
      entries.push(entry)
    },
    shift: () => {
      const entry = entries[first]
      if (entry === undefined) return undefined
      entries[first++] = undefined
      if (first > 512 && first * 2 > entries.length) {
        entries = entries.slice(first)
        first = 0
      }
      return entry
    },
    head: () => entries[first],
    size: () => entries.length - first
  }
}

/** Text is what makes an event large, and a few strings make most of it: at most this many values are looked at. */
const maxNodes = 128

/** What an event holds in memory, roughly, in bytes. Cheap: a bounded look, no encoding. */
export const approximateBytes = (event: StoredEvent): number => {
  const queue: Array<unknown> = [event.event]
  let bytes = 256
  for (let at = 0; at < queue.length && at < maxNodes; at++) {
    const node = queue[at]
    if (typeof node === "string") bytes += node.length * 2
    else if (typeof node === "object" && node !== null) {
      bytes += 64
      for (const key in node) {
        if (queue.length >= maxNodes) break
        queue.push(Reflect.get(node, key))
      }
    }
  }
  return bytes
}
