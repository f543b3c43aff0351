/**
 * One driver per goal. A lease is held as long as a scope and kept by a heartbeat;
 * whoever finds it held waits until the heartbeat has stood still for `ttl`, unless
 * it is known whether the holder lives.
 *
 *     holder      beat ── beat ── ✗ ── ✗ ── ✗ ── gives the goal up
 *                           ├────── patience ──────┤
 *     contender            sees it ───────────── ttl ─────────────┤ takes the goal
 *
 * A holder that cannot write its heartbeat gives the goal up before anybody takes it
 * over, so that no two agents work on it. One that was taken for dead all the same,
 * its machine having slept, finds its lease lost, and its writes refused.
 *
 * No clock time is compared with another machine's or an earlier one: both sides count
 * what they have slept, and a clock that jumps loses no lease.
 */
import { GoalId } from "@driver/domain/Goal"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { GoalStore, type Holder, type Lease } from "./GoalStore.js"
import type { LeaseLost } from "./Journal.js"
import type { StoreError } from "./StoreError.js"

/** Another driver works on the goal. */
export class GoalHeld extends Schema.TaggedError<GoalHeld>()("GoalHeld", {
  goalId: GoalId,
  /** As that driver names itself. */
  owner: Schema.String
}) {
  override get message() {
    return `The goal ${this.goalId} is being worked on by another driver (${this.owner}): wait for it, cancel it there, or give this goal another id`
  }
}

/** The goal's lease could not be kept: another driver may have it by now. Whoever gets this stops at once. */
export class LeaseLapsed extends Schema.TaggedError<LeaseLapsed>()("LeaseLapsed", {
  goalId: GoalId,
  /** For so long no heartbeat could be written. */
  patience: Schema.DurationFromMillis,
  /** What became of the last one. */
  detail: Schema.String
}) {
  override get message() {
    return `The goal ${this.goalId} was given up, since it could not be kept from other drivers for ${Duration.format(this.patience)} (${this.detail})`
  }
}

export interface HeldLease extends Lease {
  /** Resolves when another driver has taken the goal, or may take it soon. */
  readonly lost: Effect.Effect<LeaseLost | LeaseLapsed>
}

export interface LeaseSettings {
  /** Names this driver to people and to `liveness`. */
  readonly owner: string
  /** Whether a holder lives, where that can be known: a process of this machine. */
  readonly liveness: (owner: string) => Effect.Effect<"alive" | "gone" | "unknown">
  /** Shorter than `patience`. */
  readonly heartbeatEvery: Duration.Duration
  /** A goal is given up when no heartbeat of it could be written for so long: longer than the journal waits for a busy database. */
  readonly patience: Duration.Duration
  /** A heartbeat that stands still for so long is a dead driver's: longer than `patience` and an agent's stop take together. */
  readonly ttl: Duration.Duration
}

/** The same for all drivers of a store. */
export const leaseTimes: Pick<LeaseSettings, "heartbeatEvery" | "patience" | "ttl"> = {
  heartbeatEvery: Duration.seconds(5),
  patience: Duration.seconds(75),
  ttl: Duration.seconds(90)
}

export interface HoldOptions {
  /** A holder that the caller has watched until it could be taken for dead. */
  readonly dead?: Option.Option<Holder>
}

export class Leases extends Context.Tag("@driver/runtime/Leases")<
  Leases,
  {
    /** How this driver is named. */
    readonly owner: string
    /** Holds the goal until the scope closes. Takes it over from a holder that is dead. */
    readonly hold: (
      goalId: GoalId,
      options?: HoldOptions
    ) => Effect.Effect<HeldLease, GoalHeld | StoreError, Scope.Scope>
    /** Whether nobody works on the goal, as far as that can be said at once: nobody holds it, or one that is known to be gone. */
    readonly isFree: (goalId: GoalId) => Effect.Effect<boolean, StoreError>
  }
>() {
  /** Without `liveness` a holder is watched for `ttl` before it is taken for dead. */
  static readonly layer = (
    settings: Pick<LeaseSettings, "owner"> & Partial<LeaseSettings>
  ): Layer.Layer<Leases, never, GoalStore> =>
    Layer.scoped(
      this,
      make({
        liveness: () => Effect.succeed("unknown"),
        ...leaseTimes,
        ...settings
      })
    )
}

interface Held {
  readonly lease: Lease
  readonly lost: Deferred.Deferred<LeaseLost | LeaseLapsed>
  /** When its last good heartbeat began: a count of `heartbeatEvery`. */
  kept: number
}

const make = (settings: LeaseSettings): Effect.Effect<Leases["Type"], never, GoalStore | Scope.Scope> =>
  Effect.gen(function* () {
    const store = yield* GoalStore
    const scope = yield* Effect.scope
    // These, and the `let`s below, belong to this layer and change between two steps of a fiber only.
    const held = new Map<GoalId, Held>()
    /** What could not be given back, and nobody works on: no heartbeat moves it, and it is free for this driver. */
    const owed = new Map<GoalId, Lease>()
    const some = yield* Effect.makeLatch(false)
    const { heartbeatEvery, patience } = settings
    const limit = Math.max(1, Math.floor(Duration.toMillis(patience) / Duration.toMillis(heartbeatEvery)))
    let ticks = 0
    let trouble = "no heartbeat was answered"
    let isBeating = false

    /** The one that is held under this epoch; a goal may have been given back and taken anew meanwhile. */
    const heldAs = ({ epoch, goalId }: Lease): Held | undefined => {
      const entry = held.get(goalId)
      return entry?.lease.epoch === epoch ? entry : undefined
    }

    const beat = Effect.gen(function* () {
      const began = ticks
      const leases = Array.from(held.values(), ({ lease }) => lease)
      const lost = leases.length === 0 ? [] : yield* store.heartbeat(leases)
      for (const error of lost) {
        const entry = heldAs(error)
        if (entry !== undefined) yield* Deferred.succeed(entry.lost, error)
      }
      for (const lease of leases) {
        if (lost.some(({ goalId }) => goalId === lease.goalId)) continue
        const entry = heldAs(lease)
        if (entry !== undefined) entry.kept = began
      }
      for (const lease of [...owed.values()]) yield* release(lease)
    }).pipe(
      Effect.catchAll((error) =>
        Effect.suspend(() => {
          trouble = error.message
          return Effect.logWarning("The leases could not be kept, this is tried again", error)
        })
      )
    )

    const release = (lease: Lease) =>
      Effect.map(store.release(lease), () => {
        if (owed.get(lease.goalId)?.epoch === lease.epoch) owed.delete(lease.goalId)
      })

    /** Those of which no heartbeat could be written for too long. */
    const lapsed = () => [...held.values()].filter(({ kept }) => ticks - kept >= limit)

    const tick = Effect.suspend(() => {
      if (held.size === 0 && owed.size === 0) {
        // In the same step: what is taken meanwhile opens it again.
        some.unsafeClose()
        return Effect.void
      }
      ticks += 1
      const lapse = Effect.forEach(
        lapsed(),
        ({ lease: { goalId }, lost }) => Deferred.succeed(lost, new LeaseLapsed({ goalId, patience, detail: trouble })),
        { discard: true }
      )
      // A heartbeat that is not answered is not waited for: the ticks count on.
      if (isBeating) return lapse
      isBeating = true
      const beating = Effect.ensuring(
        beat,
        Effect.sync(() => {
          isBeating = false
        })
      )
      return Effect.zipRight(lapse, Effect.forkIn(beating, scope))
    })
    yield* Effect.forkScoped(
      Effect.forever(Effect.zipRight(some.await, Effect.zipRight(Effect.sleep(heartbeatEvery), tick)))
    )

    const isOwed = (goalId: GoalId, { epoch, owner }: Holder) =>
      owner === settings.owner && owed.get(goalId)?.epoch === epoch

    /** The holder as it is when it may be taken over; none when nobody holds the goal. */
    const overcome = (
      goalId: GoalId,
      dead: Option.Option<Holder>
    ): Effect.Effect<Option.Option<Holder>, GoalHeld | StoreError> =>
      Effect.gen(function* () {
        const found = yield* store.holder(goalId)
        if (Option.isNone(found) || Option.exists(dead, (it) => isSame(it, found.value))) return found
        if (isOwed(goalId, found.value)) return found
        const heldByOther = () => new GoalHeld({ goalId, owner: found.value.owner })
        const liveness = yield* settings.liveness(found.value.owner)
        if (liveness === "gone") return found
        if (liveness === "alive") return yield* heldByOther()
        for (let left = settings.ttl; Duration.greaterThan(left, Duration.zero); ) {
          const step = Duration.min(left, heartbeatEvery)
          yield* Effect.sleep(step)
          left = Duration.subtract(left, step)
          const later = yield* store.holder(goalId)
          if (Option.isNone(later)) return later
          if (!isSame(later.value, found.value)) return yield* heldByOther()
        }
        return found
      })

    const take = (
      goalId: GoalId,
      dead: Option.Option<Holder>,
      restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
    ): Effect.Effect<Lease, GoalHeld | StoreError> =>
      Effect.gen(function* () {
        const lease = yield* store.acquire(goalId, settings.owner, yield* restore(overcome(goalId, dead)))
        // Somebody else was faster, and is asked about anew.
        return Option.isSome(lease) ? lease.value : yield* take(goalId, dead, restore)
      })

    const giveBack = (lease: Lease) =>
      store.release(lease).pipe(
        Effect.retry({ while: (error) => error.retryable, schedule: Schedule.spaced("100 millis"), times: 20 }),
        Effect.catchAll((error) =>
          Effect.logWarning(`The goal ${lease.goalId} could not be given back, this is tried again`, error).pipe(
            Effect.zipRight(
              Effect.suspend(() => {
                owed.set(lease.goalId, lease)
                return some.open
              })
            )
          )
        )
      )

    return {
      owner: settings.owner,
      isFree: (goalId) =>
        Effect.flatMap(
          store.holder(goalId),
          Option.match({
            onNone: () => Effect.succeed(true),
            onSome: (holder) =>
              isOwed(goalId, holder)
                ? Effect.succeed(true)
                : Effect.map(settings.liveness(holder.owner), (life) => life === "gone")
          })
        ),
      hold: (goalId, { dead = Option.none() } = {}) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.gen(function* () {
            const lost = yield* Deferred.make<LeaseLost | LeaseLapsed>()
            const lease = yield* take(goalId, dead, restore)
            held.set(goalId, { lease, lost, kept: ticks })
            yield* Effect.addFinalizer(() =>
              Effect.suspend(() => {
                held.delete(goalId)
                return giveBack(lease)
              })
            )
            yield* some.open
            return { ...lease, lost: Deferred.await(lost) }
          })
        )
    }
  })

const isSame = (a: Holder, b: Holder): boolean =>
  a.owner === b.owner && a.epoch === b.epoch && a.heartbeat === b.heartbeat
