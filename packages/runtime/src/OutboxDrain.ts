/**
 * Takes what the outbox holds for a consumer to wherever it goes: several goals at
 * once, the events of one goal one after the other.
 *
 *     look ──▶ window ──(`plan`: the oldest event of each goal that is free)──▶ deliver ─┬─ delivered ─▶ removed
 *       ▲                                                                                ├─ later: the goal is left alone
 *       └── something was written, half of the window is gone, or now and then           └─ failure: the run ends
 *
 * An event of a goal is begun only when the one before it was delivered. So the
 * order of a goal holds whatever fails in the middle, and what is repeated after a
 * crash is at most the last event of each goal.
 *
 * Of several drivers with one outbox one delivers for a consumer (`OutboxClaims`);
 * the others stand by.
 *
 * Owns the window and the fibers that deliver. How an event is delivered, and when
 * to run again after a failure, is the consumer's own.
 */
import { randomUuid } from "@driver/agent/PermissionGate"
import type { StoredEvent } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { deliveredMetric, droppedMetric } from "./internal/delivery.js"
import { Outbox, type OutboxEntry } from "./Outbox.js"
import * as OutboxClaims from "./OutboxClaims.js"
import type { StoreError } from "./StoreError.js"

/**
 * What became of an event. `delivered` and `given_up` remove it from the outbox; after `later` it stays, and the events
 * of its goal wait for the next run.
 */
export type Delivered = "delivered" | "given_up" | "later"

export interface DrainOptions {
  /** As the outbox knows it: `nats`, `hook:<name>`. */
  readonly consumer: string
  /** How many goals at once. Default 64. */
  readonly concurrency?: number
  /** How often the outbox is looked at for what other processes have written. Default 2 seconds. */
  readonly pollEvery?: Duration.DurationInput
  /** What is not wanted is removed without being delivered. Default: everything is wanted. */
  readonly wants?: (event: StoredEvent) => boolean
  /** As whom it claims the consumer. Default: somebody of whom others know nothing. */
  readonly claimant?: OutboxClaims.Claimant
}

/** Since the drain was made. */
export interface DrainCounts {
  readonly delivered: number
  readonly givenUp: number
}

export interface Drain {
  /**
   * Delivers until a delivery fails, and then fails with that; stands by while another driver delivers. One run at a time;
   * the next one begins where this one ended.
   */
  readonly run: <E>(deliver: (event: StoredEvent) => Effect.Effect<Delivered, E>) => Effect.Effect<never, E>
  /** Resolves when all that is in the outbox now has been delivered, by whomever, or left for later. Waits while there is no run. */
  readonly settled: Effect.Effect<void>
  readonly counts: Effect.Effect<DrainCounts>
}

/**
 * What to begin now: the oldest entry of each goal that is not busy, oldest first, at most `room`. `window` is in the
 * order of positions.
 */
export const plan = (
  window: ReadonlyArray<OutboxEntry>,
  busy: ReadonlySet<GoalId>,
  room: number
): ReadonlyArray<OutboxEntry> => {
  const begun: Array<OutboxEntry> = []
  const taken = new Set<GoalId>()
  for (const entry of window) {
    if (begun.length >= room) break
    const { goalId } = entry.event
    if (busy.has(goalId) || taken.has(goalId)) continue
    taken.add(goalId)
    begun.push(entry)
  }
  return begun
}

/** Entries. One goal that is slow can fill the smaller one, then the window grows, so that other goals are seen behind it. */
const windowSizes = { usual: 256, largest: 2048 }

/** Something to do for the run: news of a delivery, of what this process has written, or time for another look. */
type Signal<E> = { readonly entry: OutboxEntry; readonly exit: Exit.Exit<Delivered, E> } | "written" | "look"

export const make = Effect.fnUntraced(function* (options: DrainOptions): Effect.fn.Return<Drain, never, Outbox> {
  const outbox = yield* Outbox
  const { consumer, concurrency = 64, wants = () => true } = options
  const pollEvery = Duration.decode(options.pollEvery ?? "2 seconds")
  const deliveredCounter = Metric.tagged(deliveredMetric, "sink", consumer)
  const droppedCounter = Metric.tagged(droppedMetric, "sink", consumer)
  const counts = { delivered: 0, givenUp: 0 }
  const waiters = new Set<{ seen: boolean; readonly done: Deferred.Deferred<void> }>()
  // Rung for the run that there is.
  let ring: Effect.Effect<unknown> = Effect.void

  /** The outbox stays where it is while its database is away. */
  const patiently = <A, R>(effect: Effect.Effect<A, StoreError, R>): Effect.Effect<A, never, R> => {
    let told = false
    return effect.pipe(
      Effect.tapError((error) => {
        if (told) return Effect.void
        told = true
        return Effect.logWarning(`The outbox of ${consumer} cannot be reached, trying again: ${error.message}`)
      }),
      Effect.retry(Schedule.union(Schedule.exponential("100 millis"), Schedule.spaced("5 seconds"))),
      // Retries have no end, so this is not reached.
      Effect.orDie
    )
  }

  const discard = (entries: ReadonlyArray<OutboxEntry>) =>
    entries.length === 0
      ? Effect.void
      : // What was delivered is delivered again when this is cut short.
        Effect.uninterruptible(
          outbox.delivered(
            consumer,
            entries.map(({ position }) => position)
          )
        )

  const count = (delivered: number, givenUp: number) => {
    counts.delivered += delivered
    counts.givenUp += givenUp
    return Effect.all([Metric.incrementBy(deliveredCounter, delivered), Metric.incrementBy(droppedCounter, givenUp)], {
      discard: true
    })
  }

  const tellWaiters = Effect.suspend(() => {
    const seen = [...waiters].filter((waiter) => waiter.seen)
    for (const waiter of seen) waiters.delete(waiter)
    return Effect.forEach(seen, ({ done }) => Deferred.succeed(done, undefined), { discard: true })
  })

  const claimant = options.claimant ?? {
    owner: yield* randomUuid,
    liveness: () => Effect.succeed("unknown" as const)
  }

  /** While another driver delivers: until it is time to ask again. */
  const standBy = Effect.gen(function* () {
    const bell = yield* Deferred.make<void>()
    ring = Deferred.succeed(bell, undefined)
    for (const waiter of waiters) waiter.seen = true
    if (waiters.size > 0 && (yield* patiently(outbox.count(consumer))) === 0) yield* tellWaiters
    yield* Effect.raceFirst(Deferred.await(bell), Effect.sleep(waiters.size > 0 ? "100 millis" : pollEvery))
  }).pipe(Effect.ensuring(Effect.sync(() => (ring = Effect.void))))

  const claimed = patiently(OutboxClaims.hold({ consumer, claimant, standBy })).pipe(
    Effect.provideService(Outbox, outbox)
  )

  const run: Drain["run"] = (deliver) =>
    Effect.forever(Effect.scoped(Effect.flatMap(claimed, (lost) => Effect.raceFirst(runAlone(deliver), lost))))

  const runAlone = <E>(deliver: (event: StoredEvent) => Effect.Effect<Delivered, E>): Effect.Effect<never, E> =>
    Effect.acquireUseRelease(
      Queue.unbounded<Signal<E>>(),
      (signals) => Effect.scoped(runWith(deliver, signals)),
      // What was delivered while the run ended is not delivered again, if the database answers at once.
      (signals) => Effect.flatMap(Queue.takeAll(signals), (news) => Effect.ignore(discard(deliveredIn(news))))
    )

  const runWith = <E>(
    deliver: (event: StoredEvent) => Effect.Effect<Delivered, E>,
    signals: Queue.Queue<Signal<E>>
  ): Effect.Effect<never, E, Scope.Scope> =>
    Effect.gen(function* () {
      /** Goals with an event under way, and goals that are left alone. */
      const busy = new Set<GoalId>()
      const left = new Set<GoalId>()
      let window: ReadonlyArray<OutboxEntry> = []
      let size = windowSizes.usual
      // The outbox may hold more than the window shows.
      let more = false
      let look = true
      const rung = new Set<"written" | "look">()
      const offer = (signal: "written" | "look") =>
        Effect.suspend(() => {
          if (rung.has(signal)) return Effect.void
          rung.add(signal)
          return Queue.offer(signals, signal)
        })
      ring = offer("look")
      yield* Effect.addFinalizer(() => Effect.sync(() => (ring = Effect.void)))
      yield* Effect.forkScoped(Stream.runForEach(outbox.written, () => offer("written")))
      yield* Effect.forkScoped(Effect.forever(Effect.delay(offer("look"), pollEvery)))

      const lookAgain = Effect.gen(function* () {
        for (const waiter of waiters) waiter.seen = true
        const entries = yield* patiently(outbox.pending(consumer, size))
        const unwanted = entries.filter(({ event }) => !wants(event))
        yield* patiently(discard(unwanted))
        window = unwanted.length === 0 ? entries : entries.filter(({ event }) => wants(event))
        more = entries.length >= size
        look = more && unwanted.length > 0
      })

      const begin = (entry: OutboxEntry) => {
        busy.add(entry.event.goalId)
        return Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(Effect.exit(restore(deliver(entry.event))), (exit) => Queue.offer(signals, { entry, exit }))
        ).pipe(Effect.forkScoped)
      }

      /** Begins what can be begun. */
      const advance = Effect.suspend(() => {
        const room = concurrency - busy.size
        const next = plan(window, left.size === 0 ? busy : new Set([...busy, ...left]), room)
        if (next.length < room && more && size < windowSizes.largest) {
          size *= 2
          look = true
        }
        return Effect.forEach(next, begin, { discard: true })
      })

      /** Takes news into account. Resolves with what is to be removed, and with the first failure. */
      const absorb = (news: Iterable<Signal<E>>) => {
        const removed = new Map<number, OutboxEntry>()
        let delivered = 0
        let failure: Cause.Cause<E> | undefined
        for (const signal of news) {
          if (signal === "written" || signal === "look") {
            rung.delete(signal)
            // With a backlog in hand, what was written since is behind it, and is found in time.
            const few = window.length < windowSizes.usual
            const asked = signal === "look" && (!more || [...waiters].some(({ seen }) => !seen))
            look = look || few || asked
            continue
          }
          const { entry, exit } = signal
          if (Exit.isFailure(exit)) {
            failure = failure ?? exit.cause
            continue
          }
          busy.delete(entry.event.goalId)
          if (exit.value === "later") left.add(entry.event.goalId)
          else removed.set(entry.position, entry)
          if (exit.value === "delivered") delivered++
        }
        if (removed.size > 0) window = window.filter(({ position }) => !removed.has(position))
        return { delivered, failure, removed: [...removed.values()] }
      }

      while (true) {
        if (look || (more && window.length <= size / 2)) {
          yield* lookAgain
          yield* advance
          if (!more && window.length < windowSizes.usual / 2) size = windowSizes.usual
          continue
        }
        if (busy.size === 0) yield* tellWaiters
        const { delivered, failure, removed } = absorb(yield* Queue.takeBetween(signals, 1, Number.MAX_SAFE_INTEGER))
        // The goals' next events are under way while the outbox is written.
        if (failure === undefined) yield* advance
        yield* patiently(discard(removed))
        yield* count(delivered, removed.length - delivered)
        if (failure !== undefined) return yield* Effect.failCause(failure)
      }
    })

  return {
    run,
    settled: Effect.gen(function* () {
      const waiter = { seen: false, done: yield* Deferred.make<void>() }
      waiters.add(waiter)
      yield* ring
      yield* Effect.ensuring(
        Deferred.await(waiter.done),
        Effect.sync(() => waiters.delete(waiter))
      )
    }),
    counts: Effect.sync(() => ({ ...counts }))
  }
})

/** Entries that need not be delivered again. */
const deliveredIn = <E>(news: Iterable<Signal<E>>): ReadonlyArray<OutboxEntry> =>
  [...news].flatMap((signal) =>
    typeof signal !== "string" && Exit.isSuccess(signal.exit) && signal.exit.value !== "later" ? [signal.entry] : []
  )
