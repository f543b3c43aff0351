/**
 * One connection to the gate's socket: frames in, answers out.
 *
 * The platform pushes bytes and cannot be told to wait, so everything that a peer
 * can make us keep is counted here and bounded; a peer that exceeds a bound loses
 * its question or its connection, nobody else's. When the connection ends, for
 * whatever reason, its open questions are withdrawn.
 */
import * as Socket from "@effect/platform/Socket"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Protocol from "../GateProtocol.js"
import type { Door, GoalGate, Question } from "../GoalGate.js"
import { sameSecret } from "../TokenSource.js"
import type { Deadlines } from "./deadlines.js"
import { makeFrameReader, type Piece } from "./FrameReader.js"

/** How much peers may make the gate keep. */
export interface Limits {
  /** Bytes of one line of a peer that has shown a valid token. Default 16 MiB: a Write carries a whole file. */
  readonly frameBytes: number
  /** The same before it has. Default 64 KiB. */
  readonly strangerFrameBytes: number
  /** How long a peer may stay without showing a token. Default 10 seconds. */
  readonly strangerTime: Duration.DurationInput
  /** Connections at once. Default 1024; a stranger makes room for a newcomer. */
  readonly connections: number
  /** Questions of one connection at once. Default 256. */
  readonly questions: number
  /** Bytes of all incomplete lines and open questions together. Default 256 MiB. */
  readonly totalBytes: number
  /** The same of one goal's peers, so that none takes the room of the others. Default 64 MiB. */
  readonly goalBytes: number
  /** Lines of one connection that are no proper frames. Default 64; then it is closed. */
  readonly badFrames: number
  /** How long a peer may take to read one answer. Default 30 seconds; then it is closed. */
  readonly writeTimeout: Duration.DurationInput
}

export const defaultLimits: Limits = {
  frameBytes: 16 * 1024 * 1024,
  strangerFrameBytes: 64 * 1024,
  strangerTime: "10 seconds",
  connections: 1_024,
  questions: 256,
  totalBytes: 256 * 1024 * 1024,
  goalBytes: 64 * 1024 * 1024,
  badFrames: 64,
  writeTimeout: "30 seconds"
}

/** What all connections share. Owned by the socket's layer, and changed only between two steps of a fiber. */
export interface Hub {
  readonly limits: Limits
  readonly deadlines: Deadlines
  /** Token → gate of every goal that has not ended, and what its peers make us keep. */
  readonly goals: Map<string, OpenGoal>
  /** Longest changed input that the agent's program accepts. */
  readonly longestUpdate: number
  /** What the gate program waits longer than a decision may take. */
  readonly grace: Duration.Duration
  /** Closes a connection that has shown no token yet; the oldest first. */
  readonly strangers: Set<Deferred.Deferred<void>>
  connections: number
  bytes: number
}

export interface OpenGoal {
  readonly gate: GoalGate
  bytes: number
}

export const makeHub = (options: Pick<Hub, "limits" | "deadlines" | "longestUpdate" | "grace">): Hub => ({
  ...options,
  goals: new Map(),
  strangers: new Set(),
  connections: 0,
  bytes: 0
})

/** Ids that are remembered, so that a frame played back is refused. */
const rememberedIds = 4_096
/** Answers that wait to be read by the peer. */
const unreadAnswers = 1_024
const tooMuch = "The gate holds too many questions at the moment: ask again later"
/** What an ending connection may take to deliver what was already handed over. */
const flushTime = "1 second"

/** Resolves when the connection has ended and its questions are withdrawn. Never fails. */
export const serve = (hub: Hub, socket: Socket.Socket): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (hub.connections < hub.limits.connections) return converse(hub, socket)
    const [oldest] = hub.strangers
    if (oldest === undefined) return turnAway(socket)
    hub.strangers.delete(oldest)
    return Effect.zipRight(Deferred.succeed(oldest, undefined), converse(hub, socket))
  })

/** A connection has to be opened to be closed. */
const turnAway = (socket: Socket.Socket) =>
  Effect.flatMap(Deferred.make<void>(), (opened) =>
    socket
      .runRaw(() => undefined, { onOpen: Effect.asVoid(Deferred.succeed(opened, undefined)) })
      .pipe(Effect.ignore, Effect.raceFirst(Deferred.await(opened)))
  )

/** What waits to be written, and who wants to know whether it was. */
interface Outgoing {
  readonly text: string
  readonly written: ((done: boolean) => Effect.Effect<void>) | undefined
}

interface Open {
  /** Of its line. */
  readonly bytes: number
  readonly goal: OpenGoal
  question: Question | undefined
}

// The `let`s and maps below belong to this connection and change between two steps of a fiber only. What a line means
// is found out in the synchronous part of `onChunk`, which the platform calls once per chunk and in their order: a line
// must know at once whether the one before it has shown a token.
const converse = (hub: Hub, socket: Socket.Socket): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { limits } = hub
    const writeMillis = Duration.toMillis(limits.writeTimeout)
    const strangerMillis = Duration.toMillis(limits.strangerTime)
    const closed = yield* Deferred.make<void>()
    const close = Effect.asVoid(Deferred.succeed(closed, undefined))
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        hub.connections++
        hub.strangers.add(closed)
      }),
      () =>
        Effect.sync(() => {
          hub.connections--
          hub.strangers.delete(closed)
        })
    )
    const write = yield* socket.writer
    const answers = yield* Mailbox.make<Outgoing>({ capacity: unreadAnswers, strategy: "dropping" })
    /** Answers that were handed to the connection, and may still be lost with it. */
    const unwritten = new Set<Outgoing>()
    const end = (outgoing: Outgoing, written: boolean) =>
      Effect.suspend(() => (unwritten.delete(outgoing) ? (outgoing.written?.(written) ?? Effect.void) : Effect.void))
    // Runs when nothing is written any more and all questions are withdrawn.
    yield* Effect.addFinalizer(() => Effect.forEach([...unwritten], (it) => end(it, false), { discard: true }))

    /** The token that this peer has shown last. */
    let shown: string | undefined
    let badFrames = 0
    let hungUp = false
    /** Questions without an answer, by their id. */
    const open = new Map<string, Open>()
    /** Ids of all questions, oldest first. */
    const seen = new Set<string>()
    const remember = (key: string) => {
      seen.add(key)
      const [oldest] = seen
      if (seen.size > rememberedIds && oldest !== undefined) seen.delete(oldest)
    }
    const release = (key: string) => {
      const entry = open.get(key)
      if (entry === undefined) return
      hub.bytes -= entry.bytes
      entry.goal.bytes -= entry.bytes
      open.delete(key)
    }
    yield* Effect.addFinalizer(() =>
      Effect.zipRight(
        Effect.forEach([...open.values()], ({ question }) => question?.withdraw ?? Effect.void, {
          concurrency: "unbounded",
          discard: true
        }),
        // Also those that were read but not asked any more.
        Effect.sync(() => [...open.keys()].forEach(release))
      )
    )

    const goalOf = (token: string | undefined) => (token === undefined ? undefined : hub.goals.get(token))
    const isStranger = () => goalOf(shown) === undefined
    const frameBytes = () => (isStranger() ? limits.strangerFrameBytes : limits.frameBytes)
    /** What `hub.bytes` knows of the incomplete line. */
    let counted = 0
    /** Whose goal knows of it too. */
    let countedFor: OpenGoal | undefined
    const roomLeft = () => {
      const goal = goalOf(shown)
      const ofGoal = goal === undefined ? Number.POSITIVE_INFINITY : limits.goalBytes - goal.bytes
      const left = Math.min(limits.totalBytes - hub.bytes, goal === countedFor ? ofGoal : ofGoal - counted)
      return left + counted
    }
    const reader = makeFrameReader(() => Math.min(frameBytes(), roomLeft()))
    const countAs = (bytes: number) => {
      hub.bytes += bytes - counted
      if (countedFor !== undefined) countedFor.bytes -= counted
      counted = bytes
      countedFor = goalOf(shown)
      if (countedFor !== undefined) countedFor.bytes += bytes
    }

    yield* Effect.addFinalizer(() => Effect.sync(() => countAs(0)))

    const send = (frame: Protocol.ServerFrame, written?: Outgoing["written"]) =>
      Effect.suspend(() => {
        const outgoing: Outgoing = { text: Protocol.encode(frame), written }
        if (written !== undefined) unwritten.add(outgoing)
        if (answers.unsafeOffer(outgoing)) return Effect.void
        return Effect.zipRight(end(outgoing, false), hungUp ? Effect.void : close)
      })

    /** Takes nothing more; what was sent before is still delivered. */
    const hangUp = () => {
      hungUp = true
      return Effect.asVoid(answers.end)
    }

    const refuse = (id: Protocol.FrameId | null, message: string) => {
      badFrames++
      const told = send({ kind: "error", id, message })
      return badFrames > limits.badFrames ? Effect.zipRight(told, hangUp()) : told
    }

    const goalWith = (token: string): OpenGoal | undefined => {
      if (shown !== undefined && sameSecret(token, shown)) return hub.goals.get(shown)
      let found: OpenGoal | undefined
      for (const [secret, goal] of hub.goals) {
        if (!sameSecret(token, secret)) continue
        found = goal
        shown = secret
      }
      if (found !== undefined) hub.strangers.delete(closed)
      return found
    }

    const ask = (frame: Protocol.Decide, goal: OpenGoal, bytes: number) => {
      const { id, request } = frame
      const key = JSON.stringify(id)
      if (seen.has(key)) return refuse(id, "This id was used before on this connection: every question needs its own")
      remember(key)
      if (open.size >= limits.questions) {
        return refuse(id, `More than ${limits.questions} questions are open on this connection: wait for answers`)
      }
      if (hub.bytes + bytes > limits.totalBytes || goal.bytes + bytes > limits.goalBytes) return refuse(id, tooMuch)
      const entry: Open = { bytes, goal, question: undefined }
      open.set(key, entry)
      hub.bytes += bytes
      goal.bytes += bytes
      const door: Door = {
        longestUpdate: hub.longestUpdate,
        onAnswer: (outcome, handedOver) =>
          Effect.suspend(() => {
            release(key)
            return send({ kind: "decision", id, response: Protocol.responseOf(outcome) }, handedOver)
          }),
        onWait: (duration) =>
          send({ kind: "waiting", id, timeout_ms: Duration.toMillis(Duration.sum(duration, hub.grace)) })
      }
      const { agent_id: agentId, input, tool, tool_use_id: toolUseId } = request
      return Effect.uninterruptible(
        Effect.map(goal.gate.ask({ agentId, input, tool, toolUseId }, door), (question) => {
          entry.question = question
        })
      )
    }

    const onPiece = (piece: Piece): Effect.Effect<void> => {
      if (hungUp) return Effect.void
      if (piece._tag === "TooLong") {
        const limit = frameBytes()
        if (roomLeft() < limit) return refuse(null, tooMuch)
        if (!isStranger()) return refuse(null, `A line is longer than ${limit} bytes`)
        return Effect.zipRight(
          refuse(null, `A line is longer than ${limit} bytes; say hello with a token first`),
          hangUp()
        )
      }
      const decoded = Protocol.decode(piece.bytes)
      if (Either.isLeft(decoded)) return refuse(Option.getOrNull(decoded.left.id), decoded.left.message)
      const frame = decoded.right
      const goal = goalWith(frame.token)
      if (goal === undefined) return refuse(frame.id, "The token is not valid: its goal has ended, or there was none")
      switch (frame.kind) {
        case "hello":
          return send({ kind: "welcome", id: frame.id })
        case "decide":
          return ask(frame, goal, piece.bytes.length)
        case "cancel":
          return Effect.suspend(() => open.get(JSON.stringify(frame.id))?.question?.withdraw ?? Effect.void)
      }
    }

    /** Open when nothing is being written. */
    const quiet = yield* Effect.makeLatch(true)
    const noLongerWriting = () => {
      hub.deadlines.clear(quiet)
      quiet.unsafeOpen()
    }
    // The platform ends a connection by waiting until everything is flushed. A peer that does not read would keep it,
    // and with it the whole server, from ever closing: so it is destroyed a moment after its end. This runs in a fiber
    // that the platform interrupts before it lets go of the connection.
    const destroyAtEnd = <A>(it: Effect.Effect<A>) =>
      Effect.onInterrupt(it, () =>
        quiet.await.pipe(
          Effect.interruptible,
          Effect.timeoutOption(flushTime),
          Effect.zipRight(Effect.ignore(write(new Socket.CloseEvent())))
        )
      )
    let guarded = false

    const onChunk = (data: string | Uint8Array): Effect.Effect<void> | undefined => {
      const chunk = typeof data === "string" ? new TextEncoder().encode(data) : data
      const effects: Array<Effect.Effect<void>> = []
      reader.push(chunk, (piece) => effects.push(onPiece(piece)))
      countAs(reader.held())
      if (guarded) return effects.length <= 1 ? effects[0] : Effect.all(effects, { discard: true })
      guarded = true
      return destroyAtEnd(Effect.zipRight(Effect.all(effects, { discard: true }), Effect.never))
    }

    /** What is there, and what the fibers have ready that would run next: one write for all of them. */
    const takeReady = Effect.flatMap(answers.takeAll, ([first, done]) =>
      Effect.map(
        done ? Effect.succeed(Chunk.empty<Outgoing>()) : Effect.zipRight(Effect.yieldNow(), answers.clear),
        (others) => [Chunk.appendAll(first, others), done] as const
      )
    )

    const deliver: Effect.Effect<void, Socket.SocketError> = Effect.flatMap(takeReady, ([ready, done]) =>
      Effect.zipRight(
        Chunk.isEmpty(ready)
          ? Effect.void
          : Effect.suspend(() => {
              quiet.unsafeClose()
              hub.deadlines.set(quiet, writeMillis, close)
              const followed = Chunk.filter(ready, ({ written }) => written !== undefined)
              return Effect.zipRight(
                write(
                  Chunk.toReadonlyArray(ready)
                    .map(({ text }) => text)
                    .join("")
                ),
                Effect.forEach(followed, (it) => end(it, true), { discard: true })
              )
            }).pipe(Effect.ensuring(Effect.sync(noLongerWriting))),
        done ? Effect.void : deliver
      )
    )
    // Ended, too slow, or gone.
    yield* deliver.pipe(Effect.ignore, Effect.zipRight(close), Effect.forkScoped)

    yield* Effect.acquireRelease(
      Effect.sync(() =>
        hub.deadlines.set(
          closed,
          strangerMillis,
          Effect.suspend(() => (isStranger() ? close : Effect.void))
        )
      ),
      () => Effect.sync(() => hub.deadlines.clear(closed))
    )

    yield* socket.runRaw(onChunk).pipe(Effect.ignore, Effect.raceFirst(Deferred.await(closed)))
  }).pipe(Effect.scoped)
