/**
 * Which of the goals that were begun are in other drivers' hands. A goal whose
 * holder is dead, or that nobody holds, is one to go on with.
 *
 * A holder of whom nothing is known lives as long as its heartbeat moves. One that
 * nobody holds at this moment may be about to be taken, by a `driver run` that has
 * just written it down: it counts as free when it is seen so twice, or at the start.
 */
import type { GoalId } from "@driver/domain/Goal"
import type { GoalStore, Holder } from "@driver/runtime/GoalStore"
import type { StoreError } from "@driver/runtime/StoreError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"

export interface Owners {
  /** The holder of a goal that was watched here until it could be taken for dead, when the goals were last looked at. */
  readonly dead: (goalId: GoalId) => Effect.Effect<Option.Option<Holder>>

  /** Those of the goals, which are begun and not at work here, that another driver has. */
  readonly others: (goalIds: ReadonlyArray<GoalId>) => Effect.Effect<ReadonlySet<GoalId>, StoreError>
}

interface Sight {
  readonly holder: Option.Option<Holder>
  /** Since when it is so. Nanoseconds of a clock that does not jump. */
  readonly since: bigint
}

export const make = (options: {
  readonly store: GoalStore["Type"]
  readonly liveness: (owner: string) => Effect.Effect<"alive" | "gone" | "unknown">
  readonly ttl: Duration.Duration
}): Effect.Effect<Owners> =>
  Effect.gen(function* () {
    const { liveness, store } = options
    const ttl = Duration.unsafeToNanos(options.ttl)
    const seen = yield* Ref.make<ReadonlyMap<GoalId, Sight>>(new Map())
    const started = yield* Ref.make(false)
    const dead = yield* Ref.make<ReadonlyMap<GoalId, Holder>>(new Map())

    const isOther = (sight: Sight, isNew: boolean, now: bigint) =>
      Option.match(sight.holder, {
        onNone: () => Effect.map(Ref.get(started), (before) => before && isNew),
        onSome: ({ owner }) =>
          Effect.map(liveness(owner), (life) =>
            life === "alive" ? true : life === "gone" ? false : now - sight.since < ttl
          )
      })

    return {
      dead: (goalId) => Effect.map(Ref.get(dead), (all) => Option.fromNullable(all.get(goalId))),
      others: (goalIds) =>
        Effect.gen(function* () {
          const before = yield* Ref.get(seen)
          const now = yield* Clock.currentTimeNanos
          const after = new Map<GoalId, Sight>()
          const others = new Set<GoalId>()
          const overcome = new Map<GoalId, Holder>()
          for (const goalId of goalIds) {
            const holder = yield* store.holder(goalId)
            const known = before.get(goalId)
            const same = known !== undefined && sameHolder(known.holder, holder)
            const sight = same ? known : { holder, since: now }
            after.set(goalId, sight)
            if (yield* isOther(sight, !same, now)) others.add(goalId)
            else if (Option.isSome(holder)) overcome.set(goalId, holder.value)
          }
          yield* Ref.set(dead, overcome)
          yield* Ref.set(seen, after)
          yield* Ref.set(started, true)
          return others
        })
    }
  })

const sameHolder = Option.getEquivalence<Holder>(
  (a, b) => a.owner === b.owner && a.epoch === b.epoch && a.heartbeat === b.heartbeat
)
