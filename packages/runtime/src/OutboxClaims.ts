/**
 * One driver delivers for a consumer at a time: of those that have the same outbox,
 * the others stand by, and take over when it gives the claim back or is dead.
 *
 *     standing by ──(nobody, or one that is dead)──▶ delivering ──(scope closes)──▶ given back
 *          ▲                                             │
 *          └──────────(taken over by another)────────────┘
 *
 * As with the leases of goals the heartbeat is a counter, which a contender watches
 * by its own clock. One that was taken for dead and is not learns of it with its next
 * heartbeat; what it delivered until then may be delivered twice, under the same id.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { Outbox, type OutboxClaim } from "./Outbox.js"
import type { StoreError } from "./StoreError.js"

/** How this driver is named to others, and what it knows of them. */
export interface Claimant {
  /** Differs from that of every other driver. */
  readonly owner: string
  /** Whether an owner lives, where that can be known: a process of this machine. */
  readonly liveness: (owner: string) => Effect.Effect<"alive" | "gone" | "unknown">
}

export interface HoldOptions {
  readonly consumer: string
  readonly claimant: Claimant
  /** Run after each try in vain; resolves when it is time for another one. */
  readonly standBy: Effect.Effect<void>
}

const heartbeatEvery = Duration.seconds(5)

/** A heartbeat that stands still for so long is a dead driver's. */
const ttl = Duration.seconds(20)

/** Resolves when this driver delivers for the consumer, until the scope closes; with what resolves when another has taken over. */
export const hold = ({
  claimant,
  consumer,
  standBy
}: HoldOptions): Effect.Effect<Effect.Effect<void>, StoreError, Outbox | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const outbox = yield* Outbox
      const { liveness, owner } = claimant
      const lost = yield* Deferred.make<void>()

      let sight: Sight | undefined
      while (true) {
        const dead = sight === undefined ? Option.none() : yield* deadIn(sight, liveness)
        const holder = yield* outbox.claim(consumer, owner, dead)
        if (holder.owner === owner) break
        const isSame = sight?.holder.owner === holder.owner && sight.holder.heartbeat === holder.heartbeat
        if (sight === undefined || !isSame) sight = { holder, since: yield* Clock.currentTimeNanos }
        // One that is known to be gone is not waited for.
        if (Option.isNone(yield* deadIn(sight, liveness))) yield* restore(standBy)
      }
      yield* Effect.addFinalizer(() =>
        Effect.catchAll(outbox.unclaim(consumer, owner), (error) =>
          Effect.logDebug(`The outbox of ${consumer} was not given back, and is free in a moment`, error)
        )
      )

      const beat = Effect.flatMap(outbox.claim(consumer, owner, Option.none()), (holder) =>
        holder.owner === owner
          ? Effect.void
          : Effect.zipRight(
              Effect.logWarning(`Another driver (${holder.owner}) delivers the events of ${consumer} now`),
              Deferred.succeed(lost, undefined)
            )
      )
      yield* beat.pipe(
        Effect.catchAll((error) => Effect.logDebug(`The outbox of ${consumer} could not be kept, trying again`, error)),
        Effect.delay(heartbeatEvery),
        Effect.forever,
        Effect.interruptible,
        Effect.forkScoped
      )
      return Deferred.await(lost)
    })
  )

interface Sight {
  readonly holder: OutboxClaim
  /** Since when it is so. Nanoseconds of a clock that does not jump. */
  readonly since: bigint
}

/** The holder, when it may be taken over. */
const deadIn = ({ holder, since }: Sight, liveness: Claimant["liveness"]): Effect.Effect<Option.Option<OutboxClaim>> =>
  Effect.gen(function* () {
    const life = yield* liveness(holder.owner)
    const stoodStill = (yield* Clock.currentTimeNanos) - since >= Duration.unsafeToNanos(ttl)
    return life === "gone" || (life === "unknown" && stoodStill) ? Option.some(holder) : Option.none()
  })

/** The claims of an outbox in memory. */
export const makeMemory = (): Pick<Outbox["Type"], "claim" | "unclaim"> => {
  const claims = new Map<string, OutboxClaim>()
  const beats = new Map<string, number>()
  return {
    claim: (consumer, owner, expected) =>
      Effect.sync(() => {
        const known = claims.get(consumer)
        const isFree =
          known === undefined ||
          known.owner === owner ||
          Option.exists(expected, (it) => it.owner === known.owner && it.heartbeat === known.heartbeat)
        if (!isFree) return known
        const heartbeat = (beats.get(consumer) ?? 0) + 1
        const claim = { owner, heartbeat }
        beats.set(consumer, heartbeat)
        claims.set(consumer, claim)
        return claim
      }),
    unclaim: (consumer, owner) =>
      Effect.sync(() => {
        if (claims.get(consumer)?.owner === owner) claims.delete(consumer)
      })
  }
}
