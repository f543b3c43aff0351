/**
 * The events of goals as server-sent events, for any number of clients.
 *
 * Each client pulls: bytes are made when its socket has room, so one that does not
 * read holds a chunk and its place in the sequence, and nothing grows.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import { Goals, type GoalsError } from "@driver/runtime/Goals"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RcMap from "effect/RcMap"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  type EventFeed,
  errorOf,
  type FeedEnd,
  type FeedOptions,
  makeFeed,
  type Next,
  settingsOf
} from "./EventFeed.js"
import { heartbeat, opening, writeEnd, writeEvent, writeFailure } from "./Sse.js"

export interface FramesOptions {
  readonly after: number
  /** Also those to come, until the goal has ended. */
  readonly follow: boolean
}

export class EventHub extends Context.Tag("@driver/server/EventHub")<
  EventHub,
  {
    /** The body of one client's response; ends with the goal, with an error, or when the hub is closed. */
    readonly frames: (goalId: GoalId, options: FramesOptions) => Stream.Stream<Uint8Array>
    /** How many clients are served at the moment. */
    readonly clients: Effect.Effect<number>
    /** Ends every stream, also those that come later: the daemon stops. */
    readonly close: Effect.Effect<void>
  }
>() {
  static readonly layer = (options: FeedOptions = {}): Layer.Layer<EventHub, never, Goals> =>
    Layer.scoped(this, makeHub(options))
}

const encoder = new TextEncoder()
const bytesOf = (text: string) => Chunk.of(encoder.encode(text))

const makeHub = Effect.fnUntraced(function* (options: FeedOptions) {
  const goals = yield* Goals
  const settings = settingsOf(options)
  const open = new Set<EventFeed>()
  let closed = false
  let clients = 0

  const feeds: RcMap.RcMap<GoalId, EventFeed, GoalsError> = yield* RcMap.make({
    lookup: (goalId: GoalId) =>
      Effect.gen(function* () {
        // Whoever comes after the end of the goal gets a feed of its own: the goal may have begun anew.
        const feed = yield* makeFeed(
          goals,
          goalId,
          settings,
          Effect.suspend(() => RcMap.invalidate(feeds, goalId))
        )
        yield* Effect.acquireRelease(
          Effect.sync(() => open.add(feed)),
          () => Effect.sync(() => open.delete(feed))
        )
        return feed
      })
  })

  const follow = (goalId: GoalId, after: number) =>
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const got = yield* Effect.exit(RcMap.get(feeds, goalId))
      if (Exit.isFailure(got)) {
        return Stream.fromEffect(Effect.map(errorOf(goalId, got.cause), (error) => encoder.encode(writeFailure(error))))
      }
      const nextOf = yield* got.value.join
      return Stream.repeatEffectChunkOption(clientPull(goals, goalId, nextOf, after, scope, () => closed))
    })

  const past = (goalId: GoalId, after: number) =>
    goals.events(goalId, { after, follow: false }).pipe(
      Stream.mapChunks((chunk) => bytesOf(Array.from(chunk, writeEvent).join(""))),
      Stream.concat(Stream.fromChunk(bytesOf(writeEnd))),
      Stream.catchAllCause((cause) =>
        Stream.fromEffect(Effect.map(errorOf(goalId, cause), (error) => encoder.encode(writeFailure(error))))
      )
    )

  const counted = Effect.acquireRelease(
    Effect.sync(() => clients++),
    () => Effect.sync(() => clients--)
  )

  return EventHub.of({
    frames: (goalId, { after, follow: follows }) =>
      Stream.concat(
        Stream.fromChunk(bytesOf(opening)),
        Stream.unwrapScoped(
          Effect.zipRight(counted, follows ? follow(goalId, after) : Effect.succeed(past(goalId, after)))
        )
      ),
    clients: Effect.sync(() => clients),
    close: Effect.suspend(() => {
      closed = true
      return Effect.forEach([...open], (feed) => feed.close, { discard: true })
    })
  })
})

/** What a client that fell behind, or has just come, is reading from the journal. */
interface CatchingUp {
  readonly pull: Effect.Effect<Chunk.Chunk<StoredEvent>, Option.Option<GoalsError>>
  /** What is in the journal up to there is read when the pull ends. */
  readonly upTo: number
  readonly scope: Scope.CloseableScope
}

/** How many events of the journal are encoded at once. */
const page = 128

/** What a client gets with its next pull; fails with none when it has got all. `scope` is the client's. */
const clientPull = (
  goals: Goals["Type"],
  goalId: GoalId,
  nextOf: (cursor: number) => Next,
  after: number,
  scope: Scope.Scope,
  isClosed: () => boolean
): Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<never>> => {
  let cursor = after
  /** The last event that was read from the journal is the goal's last. */
  let complete = false
  let beats: number | undefined
  let done = false
  let catchingUp: CatchingUp | undefined

  const last = (text: string) => {
    done = true
    return Effect.succeed(bytesOf(text))
  }

  const catchUp = Effect.fnUntraced(function* (upTo: number) {
    const own = yield* Scope.fork(scope, ExecutionStrategy.sequential)
    const events = goals.events(goalId, { after: cursor, follow: false })
    catchingUp = { pull: yield* Scope.extend(Stream.toPull(Stream.rechunk(events, page)), own), upTo, scope: own }
  })

  const read = (from: CatchingUp): Pull =>
    Effect.matchCauseEffect(from.pull, {
      onSuccess: (events) => {
        const newest = Chunk.last(events)
        cursor = Option.match(newest, { onNone: () => cursor, onSome: ({ sequence }) => sequence })
        complete = Option.exists(newest, ({ event }) => event._tag === "GoalCompleted")
        return Effect.succeed(bytesOf(Array.from(events, writeEvent).join("")))
      },
      onFailure: (cause) => {
        const failure = Cause.failureOption(cause)
        if (Option.isSome(failure) && Option.isNone(failure.value)) {
          catchingUp = undefined
          // Nothing of the journal is after it, as there would be of a goal that began anew.
          if (complete && cursor >= from.upTo) return last(writeEnd)
          cursor = Math.max(cursor, from.upTo)
          return Effect.zipRight(Scope.close(from.scope, Exit.void), pull)
        }
        const known = Cause.flatMap(cause, Option.match({ onNone: () => Cause.empty, onSome: Cause.fail }))
        return Effect.flatMap(errorOf(goalId, known), (error) => last(writeFailure(error)))
      }
    })

  const pull: Pull = Effect.suspend(() => {
    if (done || isClosed()) return Effect.fail(Option.none())
    if (catchingUp !== undefined) return read(catchingUp)
    const next = nextOf(cursor)
    switch (next._tag) {
      case "Bytes":
        cursor = next.cursor
        return Effect.succeed(Chunk.of(next.bytes))
      case "Behind":
        return Effect.zipRight(catchUp(next.upTo), pull)
      case "Wait": {
        const quiet = beats !== undefined && next.beats > beats
        beats = next.beats
        return quiet ? Effect.succeed(bytesOf(heartbeat)) : Effect.zipRight(next.more, pull)
      }
      case "End":
        return endOf(next.end, last)
    }
  })
  return pull
}

type Pull = Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<never>>

const endOf = (end: FeedEnd, last: (text: string) => Pull): Pull => {
  switch (end._tag) {
    case "Complete":
      return last(writeEnd)
    case "Failed":
      return last(writeFailure(end.error))
    case "Closed":
      return Effect.fail(Option.none())
  }
}
