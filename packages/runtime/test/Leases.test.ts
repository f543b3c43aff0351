import { GoalId } from "@driver/domain/Goal"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { GoalStore } from "../src/GoalStore.js"
import * as JournalMemory from "../src/JournalMemory.js"
import { type LeaseSettings, Leases, leaseTimes } from "../src/Leases.js"
import { StoreError } from "../src/StoreError.js"

const goalId = GoalId.make("0198c0de-0000-7000-8000-000000000001")
const another = GoalId.make("0198c0de-0000-7000-8000-000000000002")

type Trouble = "fine" | "refused" | "silent"

/** One store, and drivers on it whose own way to it can be cut. */
const world = Effect.gen(function* () {
  const stores = yield* Layer.build(JournalMemory.layer())
  const store = Context.get(stores, GoalStore)
  const driver = (owner: string, settings?: Partial<LeaseSettings>) =>
    Effect.gen(function* () {
      const trouble = yield* Ref.make<Trouble>("fine")
      const through = <A, E>(operation: string, call: Effect.Effect<A, E>) =>
        Effect.flatMap(Ref.get(trouble), (now): Effect.Effect<A, E | StoreError> => {
          if (now === "fine") return call
          if (now === "silent") return Effect.never
          return new StoreError({ operation, detail: "database or disk is full", retryable: true })
        })
      const leases = yield* Layer.build(
        Layer.provide(
          Leases.layer({ owner, ...settings }),
          Layer.succeed(GoalStore, {
            ...store,
            heartbeat: (all) => through("GoalStore.heartbeat", store.heartbeat(all)),
            release: (lease) =>
              Effect.flatMap(Ref.get(trouble), (now) =>
                // Not to be tried again at once: whoever closes the scope would wait for a clock that stands.
                now === "refused"
                  ? new StoreError({ operation: "GoalStore.release", detail: "no", retryable: false })
                  : store.release(lease)
              )
          })
        )
      )
      return { leases: Context.get(leases, Leases), is: (now: Trouble) => Ref.set(trouble, now) }
    })
  return { driver, store }
})

/** Whether the effect has ended, without waiting for it. */
const watch = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.forkScoped(effect), (fiber) =>
    Effect.map(Fiber.poll(fiber), Option.map(Exit.getOrElse(() => undefined)))
  )

const { heartbeatEvery, patience, ttl } = leaseTimes

describe("Leases", () => {
  for (const trouble of ["refused", "silent"] as const) {
    it.scoped(`gives a goal up before another driver takes it when its heartbeats are ${trouble}`, () =>
      Effect.gen(function* () {
        const { driver } = yield* world
        const first = yield* driver("first")
        const second = yield* driver("second")
        const lease = yield* first.leases.hold(goalId)
        const lost = yield* watch(lease.lost)
        yield* TestClock.adjust(Duration.times(heartbeatEvery, 3))
        yield* first.is(trouble)
        const taken = yield* watch(second.leases.hold(goalId))

        yield* TestClock.adjust(Duration.subtract(patience, Duration.seconds(1)))
        assert.deepStrictEqual(yield* lost, Option.none())
        yield* TestClock.adjust("1 second")
        const error = Option.getOrThrow(yield* lost)
        assert.strictEqual(error?._tag, "LeaseLapsed")
        assert.include(
          error?.message,
          trouble === "refused" ? "GoalStore.heartbeat failed: database or disk is full" : "no heartbeat was answered"
        )
        assert.deepStrictEqual(yield* taken, Option.none())

        yield* TestClock.adjust(Duration.subtract(ttl, patience))
        assert.deepInclude(Option.getOrThrow(yield* taken), { goalId, epoch: 2 })
      })
    )
  }

  it.scoped("keeps a goal whose heartbeats come through now and then", () =>
    Effect.gen(function* () {
      const { driver } = yield* world
      const { is, leases } = yield* driver("first")
      const lost = yield* watch((yield* leases.hold(goalId)).lost)
      for (let n = 0; n < 5; n++) {
        yield* is("refused")
        yield* TestClock.adjust(Duration.subtract(patience, Duration.times(heartbeatEvery, 2)))
        yield* is("fine")
        yield* TestClock.adjust(heartbeatEvery)
      }
      assert.deepStrictEqual(yield* lost, Option.none())
    })
  )

  it.scoped("counts for each goal from when it was taken", () =>
    Effect.gen(function* () {
      const { driver } = yield* world
      const { is, leases } = yield* driver("first")
      const early = yield* watch((yield* leases.hold(goalId)).lost)
      yield* is("refused")
      yield* TestClock.adjust(Duration.subtract(patience, heartbeatEvery))
      const late = yield* watch((yield* leases.hold(another)).lost)
      yield* TestClock.adjust(heartbeatEvery)
      assert.isTrue(Option.isSome(yield* early))
      assert.isTrue(Option.isNone(yield* late))
    })
  )

  it.scoped("says that a goal is held as soon as a heartbeat of its holder is seen", () =>
    Effect.gen(function* () {
      const { driver } = yield* world
      const first = yield* driver("first")
      const second = yield* driver("second")
      yield* first.leases.hold(goalId)
      const refused = yield* watch(Effect.either(second.leases.hold(goalId)))
      yield* TestClock.adjust(Duration.times(heartbeatEvery, 2))
      const either = Option.getOrThrow(yield* refused)
      assert.isTrue(either !== undefined && Either.isLeft(either) && either.left._tag === "GoalHeld")
    })
  )

  it.scoped("gives a goal back later that could not be given back at once, and takes it again itself meanwhile", () =>
    Effect.gen(function* () {
      const { driver, store } = yield* world
      const { is, leases } = yield* driver("first", { liveness: () => Effect.succeed("alive") })
      /** Held, and not given back. */
      const owe = Effect.gen(function* () {
        const scope = yield* Scope.make()
        yield* Scope.extend(leases.hold(goalId), scope)
        yield* is("refused")
        yield* Scope.close(scope, Exit.void)
        return Option.getOrThrow(yield* store.holder(goalId))
      })
      assert.deepInclude(yield* owe, { epoch: 1 })
      assert.isTrue(yield* leases.isFree(goalId))
      assert.deepInclude(yield* owe, { epoch: 2 })
      yield* is("fine")
      yield* TestClock.adjust(heartbeatEvery)
      assert.deepStrictEqual(yield* store.holder(goalId), Option.none())

      // What it has taken again it keeps.
      yield* owe
      yield* is("fine")
      yield* leases.hold(goalId)
      yield* TestClock.adjust(Duration.times(heartbeatEvery, 3))
      assert.deepInclude(Option.getOrThrow(yield* store.holder(goalId)), { owner: "first", heartbeat: 3 })
    })
  )
})
