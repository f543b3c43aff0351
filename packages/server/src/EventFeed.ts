/**
 * One goal's events for all clients that follow them: one reader of the journal,
 * each event encoded once, and a bounded window of what came last.
 *
 * A client takes from the window at its own pace. Nobody waits for it: when it falls
 * out of the window it reads on from the journal, by sequence.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import type { GoalState } from "@driver/runtime/GoalStore"
import { DriverTrouble, type Goals, type GoalsError } from "@driver/runtime/Goals"
import * as Cause from "effect/Cause"
import type * as Chunk from "effect/Chunk"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { writeEvent } from "./Sse.js"

export interface FeedOptions {
  /** Events in the window. Default 2,048. */
  readonly windowEvents?: number
  /** Bytes in the window, but for one event. Default 8 MiB. */
  readonly windowBytes?: number
  /** Bytes that a client is given at once, but for one event. Default 64 KiB. */
  readonly chunkBytes?: number
  /** Between two comments to a client to which nothing else was sent. Default 15 seconds. */
  readonly heartbeat?: Duration.DurationInput
  /** Clients are woken at most so often; what comes in between is sent together. Default 50 milliseconds. */
  readonly pace?: Duration.DurationInput
}

export type Settings = Required<FeedOptions>

export const settingsOf = (options: FeedOptions): Settings => ({
  windowEvents: 2_048,
  windowBytes: 8 * 2 ** 20,
  chunkBytes: 64 * 2 ** 10,
  heartbeat: "15 seconds",
  pace: "50 millis",
  ...options
})

/** Why a feed brings nothing more. */
export type FeedEnd = Data.TaggedEnum<{
  /** The goal has ended. */
  Complete: {}
  Failed: { readonly error: GoalsError }
  /** The daemon stops. */
  Closed: {}
}>
export const FeedEnd = Data.taggedEnum<FeedEnd>()

/** What a client that has everything up to its cursor gets next. */
export type Next = Data.TaggedEnum<{
  Bytes: { readonly bytes: Uint8Array; readonly cursor: number }
  /** Not in the window any more: to be read from the journal, up to `upTo` at least. */
  Behind: { readonly upTo: number }
  /** Nothing yet. `beats` counts the heartbeats so far; `more` resolves with the next event, heartbeat or end. */
  Wait: { readonly beats: number; readonly more: Effect.Effect<void> }
  End: { readonly end: FeedEnd }
}>
export const Next = Data.taggedEnum<Next>()

export interface EventFeed {
  /** For a new client: asks what comes after its cursor. */
  readonly join: Effect.Effect<(cursor: number) => Next>
  readonly close: Effect.Effect<void>
}

interface Frame {
  readonly sequence: number
  readonly bytes: Uint8Array
}

const maxGroups = 16

export const isOver = (state: GoalState): boolean => state === "ended" || state === "skipped"

/** Reads from the journal's present end on, until the goal or the scope ends. `onEnd` is run when nothing more comes. */
export const makeFeed = Effect.fn("EventFeed.make")(function* (
  goals: Goals["Type"],
  goalId: GoalId,
  settings: Settings,
  onEnd: Effect.Effect<void>
): Effect.fn.Return<EventFeed, GoalsError, Scope.Scope> {
  const shown = yield* goals.show(goalId)
  const window = makeWindow(shown.head, settings)
  const woken = yield* Effect.makeLatch(false)
  let end: Option.Option<FeedEnd> = isOver(shown.summary.state) ? Option.some(FeedEnd.Complete()) : Option.none()
  /** Clients wait in groups: with a hundred at once, whoever publishes would wait until all have been written to. */
  const groups: Array<Effect.Latch> = []
  let joined = 0
  let beats = 0

  const wakeGroup = (group: number) =>
    Effect.suspend(() => {
      const latch = groups[group]
      groups[group] = Effect.unsafeMakeLatch(false)
      return latch === undefined ? Effect.void : latch.open
    })
  const wake = Effect.suspend(() => Effect.forEach(groups, (_, group) => wakeGroup(group), { discard: true }))
  const finish = (why: FeedEnd) =>
    Effect.suspend(() => {
      if (Option.isSome(end)) return Effect.void
      end = Option.some(why)
      return Effect.zipRight(onEnd, wake)
    })
  const take = (chunk: Chunk.Chunk<StoredEvent>) =>
    Effect.suspend(() => {
      for (const event of chunk) window.push(event)
      return woken.open
    })

  const reader = goals.events(goalId, { after: shown.head, follow: true }).pipe(
    Stream.takeUntil(({ event }) => event._tag === "GoalCompleted"),
    Stream.runForEachChunk(take),
    Effect.matchCauseEffect({
      onSuccess: () => finish(FeedEnd.Complete()),
      onFailure: (cause) => Effect.flatMap(errorOf(goalId, cause), (error) => finish(FeedEnd.Failed({ error })))
    })
  )

  // At once for the first event, then at most once per pace. Between two groups others have their turn.
  const waker = woken.await.pipe(
    Effect.zipRight(woken.close),
    Effect.zipRight(
      Effect.suspend(() =>
        Effect.forEach(groups, (_, group) => Effect.zipRight(wakeGroup(group), Effect.sleep(0)), { discard: true })
      )
    ),
    Effect.zipRight(Effect.sleep(settings.pace)),
    Effect.forever
  )

  // Whoever ends without `goal_completed`, as a goal that is skipped does, is found here.
  const look = Effect.gen(function* () {
    const { summary } = yield* goals.show(goalId)
    if (!isOver(summary.state)) return
    yield* Stream.runForEachChunk(goals.events(goalId, { after: window.last(), follow: false }), take)
    yield* finish(FeedEnd.Complete())
  }).pipe(Effect.catchAll((error) => Effect.logDebug(`the goal ${goalId} could not be looked at: ${error.message}`)))

  const beat = Effect.sleep(settings.heartbeat).pipe(
    Effect.zipRight(look),
    Effect.zipRight(Effect.sync(() => beats++)),
    Effect.zipRight(wake),
    Effect.forever
  )

  if (Option.isNone(end)) {
    yield* Effect.forkScoped(reader)
    yield* Effect.forkScoped(waker)
  }
  yield* Effect.forkScoped(beat)

  return {
    join: Effect.sync(() => {
      const group = joined++ % maxGroups
      groups[group] ??= Effect.unsafeMakeLatch(false)
      return (cursor) => {
        if (cursor < window.start()) return Next.Behind({ upTo: window.start() })
        const found = window.after(cursor)
        if (Option.isSome(found)) return found.value
        if (Option.isSome(end)) return Next.End({ end: end.value })
        return Next.Wait({ beats, more: groups[group]?.await ?? Effect.void })
      }
    }),
    close: finish(FeedEnd.Closed())
  }
})

/** The events that came last: all after `start`, which moves on when there is no room for more. */
export interface Window {
  readonly start: () => number
  /** The last sequence. */
  readonly last: () => number
  /** How many events are held: at most a quarter more than the settings say. */
  readonly held: () => number
  /** One that was pushed before is not pushed again. */
  readonly push: (event: StoredEvent) => void
  /** For a client that has everything up to its cursor, which is `start` or later. None: there is nothing more yet. */
  readonly after: (cursor: number) => Option.Option<Next>
}

export const makeWindow = (head: number, settings: Settings): Window => {
  const encoder = new TextEncoder()
  let frames: Array<Frame> = []
  let start = head
  let last = head
  let bytes = 0
  /** Clients that are at the same place get the same bytes. */
  let served: { readonly from: number; readonly to: number; readonly next: Next } | undefined

  const trim = () => {
    let gone = 0
    while (gone < frames.length - 1 && (frames.length - gone > settings.windowEvents || bytes > settings.windowBytes)) {
      bytes -= frames[gone]?.bytes.length ?? 0
      start = frames[gone]?.sequence ?? start
      gone++
    }
    if (gone > 0) frames = frames.slice(gone)
  }

  return {
    start: () => start,
    last: () => last,
    held: () => frames.length,
    push: (event) => {
      if (event.sequence <= last) return
      const frame = { sequence: event.sequence, bytes: encoder.encode(writeEvent(event)) }
      frames.push(frame)
      last = frame.sequence
      bytes += frame.bytes.length
      // In one go for a quarter of the window: to cut one off each time would copy the window each time.
      if (frames.length > settings.windowEvents * 1.25 || bytes > settings.windowBytes * 1.25) trim()
    },
    after: (cursor) => {
      if (last <= cursor) return Option.none()
      if (served !== undefined && served.from === cursor && served.to === last) return Option.some(served.next)
      const parts: Array<Uint8Array> = []
      let size = 0
      let to = cursor
      for (let index = firstAfter(frames, cursor); index < frames.length; index++) {
        const frame = frames[index]
        if (frame === undefined || (size > 0 && size + frame.bytes.length > settings.chunkBytes)) break
        parts.push(frame.bytes)
        size += frame.bytes.length
        to = frame.sequence
      }
      const next = Next.Bytes({ bytes: concat(parts, size), cursor: to })
      served = { from: cursor, to: last, next }
      return Option.some(next)
    }
  }
}

/** The index of the first frame whose sequence is greater; frames are in order. */
const firstAfter = (frames: ReadonlyArray<Frame>, cursor: number): number => {
  let low = 0
  let high = frames.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((frames[middle]?.sequence ?? 0) > cursor) high = middle
    else low = middle + 1
  }
  return low
}

const concat = (parts: ReadonlyArray<Uint8Array>, size: number): Uint8Array => {
  const all = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** What a client is told. A defect is logged: its text is not for others. */
export const errorOf = (goalId: GoalId, cause: Cause.Cause<GoalsError>): Effect.Effect<GoalsError> =>
  Either.match(Cause.failureOrCause(cause), {
    onLeft: Effect.succeed,
    onRight: (defect) =>
      Effect.as(
        Effect.logError(`the events of goal ${goalId} could not be read`, defect),
        new DriverTrouble({ detail: "The daemon failed while it read the goal's events: its log says how" })
      )
  })
