/**
 * One driver per goal. A lease is held as long as a scope and kept by a heartbeat;
 * whoever finds it held waits until the heartbeat has stood still for `ttl`, unless
 * it is known whether the holder lives.
 *
 * No clock time is compared with another machine's or an earlier one: a clock that
 * jumps, or a machine that sleeps, loses no lease that nobody else wanted. Who was
 * taken for dead and is not finds its lease lost, and its writes refused.
 */
import { GoalId } from "@driver/domain/Goal"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
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

export interface HeldLease extends Lease {
  /** Resolves when another driver has taken the goal. */
  readonly lost: Effect.Effect<LeaseLost>
}

export interface LeaseSettings {
  /** Names this driver to people and to `liveness`. */
  readonly owner: string
  /** Whether a holder lives, where that can be known: a process of this machine. */
  readonly liveness: (owner: string) => Effect.Effect<"alive" | "gone" | "unknown">
  /** Default 5 seconds. */
  readonly heartbeatEvery: Duration.Duration
  /** A heartbeat that stands still for so long is a dead driver's. Default 20 seconds. */
  readonly ttl: Duration.Duration
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
        heartbeatEvery: Duration.seconds(5),
        ttl: Duration.seconds(20),
        ...settings
      })
    )
}

type Held = HashMap.HashMap<GoalId, { readonly lease: Lease; readonly lost: Deferred.Deferred<LeaseLost> }>

const make = (settings: LeaseSettings): Effect.Effect<Leases["Type"], never, GoalStore | Scope.Scope> =>
  Effect.gen(function* () {
    const store = yield* GoalStore
    const held = yield* Ref.make<Held>(HashMap.empty())
    const some = yield* Effect.makeLatch(false)

    const beat = Effect.gen(function* () {
      const leases = [...HashMap.values(yield* Ref.get(held))].map(({ lease }) => lease)
      if (leases.length === 0) return yield* some.close
      for (const lost of yield* store.heartbeat(leases)) {
        const entry = HashMap.get(yield* Ref.get(held), lost.goalId)
        if (Option.isSome(entry) && entry.value.lease.epoch === lost.epoch) {
          yield* Deferred.succeed(entry.value.lost, lost)
        }
      }
    }).pipe(Effect.catchAll((error) => Effect.logWarning("The leases could not be kept, this is tried again", error)))
    yield* Effect.forkScoped(
      Effect.forever(Effect.zipRight(some.await, Effect.zipRight(Effect.sleep(settings.heartbeatEvery), beat)))
    )

    /** The holder as it is when it may be taken over; none when nobody holds the goal. */
    const overcome = (
      goalId: GoalId,
      dead: Option.Option<Holder>
    ): Effect.Effect<Option.Option<Holder>, GoalHeld | StoreError> =>
      Effect.gen(function* () {
        const found = yield* store.holder(goalId)
        if (Option.isNone(found) || Option.exists(dead, (it) => isSame(it, found.value))) return found
        const heldByOther = () => new GoalHeld({ goalId, owner: found.value.owner })
        const liveness = yield* settings.liveness(found.value.owner)
        if (liveness === "gone") return found
        if (liveness === "alive") return yield* heldByOther()
        yield* Effect.sleep(settings.ttl)
        const later = yield* store.holder(goalId)
        if (Option.isNone(later)) return later
        return isSame(later.value, found.value) ? later : yield* heldByOther()
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
        Effect.catchAll((error) => Effect.logWarning(`The goal ${lease.goalId} was not given back`, error))
      )

    return {
      owner: settings.owner,
      isFree: (goalId) =>
        Effect.flatMap(
          store.holder(goalId),
          Option.match({
            onNone: () => Effect.succeed(true),
            onSome: ({ owner }) => Effect.map(settings.liveness(owner), (life) => life === "gone")
          })
        ),
      hold: (goalId, { dead = Option.none() } = {}) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.gen(function* () {
            const lost = yield* Deferred.make<LeaseLost>()
            const lease = yield* take(goalId, dead, restore)
            yield* Ref.update(held, HashMap.set(goalId, { lease, lost }))
            yield* Effect.addFinalizer(() => Effect.zipRight(Ref.update(held, HashMap.remove(goalId)), giveBack(lease)))
            yield* some.open
            return { ...lease, lost: Deferred.await(lost) }
          })
        )
    }
  })

const isSame = (a: Holder, b: Holder): boolean =>
  a.owner === b.owner && a.epoch === b.epoch && a.heartbeat === b.heartbeat
