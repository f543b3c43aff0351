/**
 * Works the queue of goals off: begins what `Queue.next` says, goes on with what an
 * earlier driver has left, writes down what became of each, and carries out what
 * other processes ask of the goals that are at work here.
 *
 * It owns one fiber per goal at work. Closing its scope suspends the goals; they
 * are cancelled by nobody but an operator, and go on at the next start.
 */
import type { GoalId } from "@driver/domain/Goal"
import type { GoalOutcome } from "@driver/domain/Outcome"
import { AccountLimits } from "@driver/runtime/AccountLimits"
import * as CommandPoller from "@driver/runtime/CommandPoller"
import { type GoalRow, GoalStore, type Holder } from "@driver/runtime/GoalStore"
import { DriverTrouble } from "@driver/runtime/Goals"
import type { Journal } from "@driver/runtime/Journal"
import { type Leases, leaseTimes } from "@driver/runtime/Leases"
import { keepLooking } from "@driver/runtime/Looking"
import * as Queue from "@driver/runtime/Queue"
import type { StoreError } from "@driver/runtime/StoreError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberMap from "effect/FiberMap"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type GoalRunner, GoalRunners } from "./GoalRunners.js"
import { cancelUnbegun, endOf, forgetCommands } from "./internal/goalEnd.js"
import { dependenciesOf } from "./internal/goalRows.js"
import { heldBack, heldBackBy } from "./internal/heldBack.js"
import * as Owners from "./internal/owners.js"

export interface DispatcherSettings extends Queue.QueueLimits {
  /** How often to look for what other processes wrote. Default 1 second. */
  readonly lookEvery: Duration.Duration
  /** Least time between two looks: what happens meanwhile is looked at together. Default 100 milliseconds. */
  readonly lookGap: Duration.Duration
  /** A goal that could not be begun is left alone for so long. Default 15 seconds. */
  readonly retryAfter: Duration.Duration
  /** Whether the owner of a lease lives, as `Leases` has it. Default: unknown. */
  readonly liveness: (owner: string) => Effect.Effect<"alive" | "gone" | "unknown">
  /** A heartbeat that stands still for so long is a dead driver's. The leases' own, unless given. */
  readonly ttl: Duration.Duration
}

export class Dispatcher extends Context.Tag("@driver/server/Dispatcher")<
  Dispatcher,
  {
    /** The runtime of a goal that is at work here; none also while its driver is taking it up. */
    readonly runner: (goalId: GoalId) => Effect.Effect<Option.Option<GoalRunner>>
    /** All goals at work here, those that are being taken up included. */
    readonly atWork: Effect.Effect<ReadonlyMap<GoalId, Option.Option<GoalRunner>>>
    /** What the others waited for when the queue was last looked at. */
    readonly waits: Effect.Effect<ReadonlyMap<GoalId, Queue.Wait>>
    /** Looks at the queue. Resolves when what can begin has been started, which is before it has begun. */
    readonly look: Effect.Effect<void, StoreError>
    /** Ends a goal that was never begun. Resolves with false when it was, or is over. */
    readonly cancelQueued: (goalId: GoalId) => Effect.Effect<boolean, DriverTrouble>
    /** Resolves when the goal is not at work here, and its row says what became of it. */
    readonly settled: (goalId: GoalId) => Effect.Effect<void>
  }
>() {
  static readonly layer = (
    settings?: Partial<DispatcherSettings>
  ): Layer.Layer<Dispatcher, never, AccountLimits | GoalRunners | GoalStore | Journal | Leases> =>
    Layer.scoped(
      this,
      make({
        ...Queue.defaultLimits,
        lookEvery: Duration.seconds(1),
        lookGap: Duration.millis(100),
        retryAfter: Duration.seconds(15),
        liveness: () => Effect.succeed("unknown"),
        ttl: leaseTimes.ttl,
        ...settings
      })
    )
}

type Services = AccountLimits | GoalRunners | GoalStore | Journal | Leases

const make = (settings: DispatcherSettings): Effect.Effect<Dispatcher["Type"], never, Services | Scope.Scope> =>
  Effect.gen(function* () {
    const store = yield* GoalStore
    const accounts = yield* AccountLimits
    const runners = yield* GoalRunners
    const services = yield* Effect.context<Services>()
    const owners = yield* Owners.make({ ...settings, store })

    const works = yield* Ref.make(HashMap.empty<GoalId, Option.Option<GoalRunner>>())
    const trouble = yield* Ref.make(HashMap.empty<GoalId, Trouble>())
    const waits = yield* Ref.make<ReadonlyMap<GoalId, Queue.Wait>>(new Map())
    /** Goals that are over and that queued ones depend on. */
    const over = yield* Ref.make<ReadonlyMap<GoalId, GoalRow>>(new Map())
    /** Ticks when a goal was begun, or is no longer at work. */
    const turned = yield* PubSub.sliding<void>(1)
    const fibers = yield* FiberMap.make<GoalId>()
    const oneAtATime = yield* Effect.makeSemaphore(1)

    const runnerOf = (goalId: GoalId) => Effect.map(Ref.get(works), (all) => Option.flatten(HashMap.get(all, goalId)))

    /** Writes down what became of a goal, however long the store is away. */
    const persist = (goalId: GoalId, write: Effect.Effect<void, StoreError, GoalStore>) =>
      write.pipe(
        Effect.retry({ while: ({ retryable }) => retryable, schedule: Schedule.spaced("1 second") }),
        Effect.catchAll((error) => Effect.logError(`What became of goal ${goalId} was not written down`, error))
      )

    const markEnded = (goalId: GoalId, outcome: GoalOutcome) =>
      persist(goalId, Effect.zipRight(store.setState(goalId, "ended", { outcome }), forgetCommands(goalId)))

    /** What was asked of a goal that nobody worked on holds before its first turn here, not only from the next look on. */
    const prepare = (goalId: GoalId, { driver }: GoalRunner) =>
      Effect.gen(function* () {
        const { cancelled, paused } = heldBackBy(yield* store.commands([goalId]))
        if (paused.has(goalId) || cancelled.has(goalId)) yield* driver.preRegister(goalId)
        if (cancelled.has(goalId)) yield* driver.cancel(goalId)
        else if (paused.has(goalId)) yield* driver.pause(goalId)
        // Known from a try that failed, and resumed since.
        else if (yield* driver.isPaused(goalId)) yield* driver.resume(goalId)
      }).pipe(Effect.catchTag("NoSuchGoal", () => Effect.void))

    /** Resolves when the goal is over. Interrupting it suspends the goal. */
    const drive = (row: GoalRow, dead: Option.Option<Holder>) =>
      Effect.gen(function* () {
        const { goal } = row
        const before = yield* endOf(goal.id)
        if (Option.isSome(before)) return yield* markEnded(goal.id, before.value)
        const runner = yield* runners.forRow(row)
        yield* prepare(goal.id, runner)
        const outcome = yield* Effect.gen(function* () {
          const handle = yield* runner.driver.spawn(goal, {
            account: row.account,
            unlessEnded: true,
            ...Option.match(dead, { onNone: () => ({}), onSome: (it) => ({ dead: it }) })
          })
          yield* persist(goal.id, store.setState(goal.id, "running"))
          yield* Ref.update(works, HashMap.set(goal.id, Option.some(runner)))
          yield* PubSub.publish(turned, undefined)
          yield* handle.await
          // What the journal says counts: a driver that lost the goal, or could not write its end, has an outcome too.
          return yield* endOf(goal.id)
        }).pipe(
          // Another driver ended it while its lease was waited for.
          Effect.catchTag("GoalHasEnded", () => endOf(goal.id)),
          Effect.onInterrupt(() => Effect.ignore(runner.driver.suspend(goal.id)))
        )
        if (Option.isSome(outcome)) return yield* markEnded(goal.id, outcome.value)
        return yield* new DriverTrouble({ detail: "its driver stopped in the middle, and it can be gone on with" })
      }).pipe(
        Effect.scoped,
        Effect.catchAllCause((cause) =>
          Effect.gen(function* () {
            if (Cause.isInterruptedOnly(cause)) return
            const error = Cause.squash(cause)
            const detail = error instanceof Error ? error.message : String(error)
            yield* Effect.logWarning(`Goal ${row.goal.id} is not at work, this is tried again: ${detail}`)
            const until = (yield* Clock.currentTimeNanos) + Duration.unsafeToNanos(settings.retryAfter)
            yield* Ref.update(trouble, HashMap.set(row.goal.id, { until, detail }))
          })
        ),
        Effect.ensuring(Ref.update(works, HashMap.remove(row.goal.id))),
        Effect.zipRight(PubSub.publish(turned, undefined)),
        Effect.annotateLogs({ goalId: row.goal.id }),
        Effect.provide(services)
      )

    const lookOnce = Effect.gen(function* () {
      const open = yield* store.list(["queued", "running"])
      const dependencies = yield* dependenciesOf(open, yield* Ref.get(over))
      yield* Ref.set(over, dependencies)
      const all = [...dependencies.values(), ...open]
      const asked = yield* heldBack(all.flatMap(({ goal, state }) => (state === "queued" ? [goal.id] : [])))
      const cancelled = new Set<GoalId>()
      for (const id of asked.cancelled) if (yield* cancelNow(id)) cancelled.add(id)
      const rows = all.filter(({ goal }) => !cancelled.has(goal.id))

      const here = new Set(HashMap.keys(yield* Ref.get(works)))
      const elsewhere = yield* owners.others(
        rows.flatMap(({ goal, state }) => (state === "running" && !here.has(goal.id) ? [goal.id] : []))
      )
      const closed = new Map((yield* accounts.list).map(({ account, until }) => [account, until]))
      const now = yield* Clock.currentTimeNanos
      const left = yield* Ref.updateAndGet(
        trouble,
        HashMap.filter(({ until }) => now < until)
      )
      const decision = Queue.next(
        rows,
        {
          here,
          elsewhere,
          paused: asked.paused,
          closed,
          trouble: new Map(HashMap.toEntries(HashMap.map(left, ({ detail }) => detail)))
        },
        settings
      )
      for (const { goalId, reason } of decision.skip) {
        yield* store.setState(goalId, "skipped", { reason })
        yield* forgetCommands(goalId)
      }
      const byId = new Map(rows.map((row) => [row.goal.id, row]))
      for (const id of decision.begin) {
        const row = byId.get(id)
        if (row === undefined) continue
        yield* Ref.update(works, HashMap.set(id, Option.none<GoalRunner>()))
        yield* FiberMap.run(fibers, id, drive(row, yield* owners.dead(id)))
      }
      yield* Ref.set(waits, decision.waits)
    }).pipe(oneAtATime.withPermits(1), Effect.provide(services))

    /** One that somebody else has at the moment is left to the next look. */
    const cancelNow = (goalId: GoalId) =>
      Effect.gen(function* () {
        const isOurs = HashMap.has(yield* Ref.get(works), goalId)
        if (isOurs || Option.isSome(yield* store.holder(goalId))) return false
        return yield* cancelUnbegun(goalId)
      }).pipe(
        Effect.catchAll((error) =>
          Effect.as(Effect.logWarning(`Goal ${goalId} could not be cancelled yet: ${error.message}`), false)
        )
      )

    const look = lookOnce.pipe(
      Effect.catchAll((error) =>
        Effect.logWarning(`The queue could not be looked at, this is tried again: ${error.message}`)
      )
    )
    yield* CommandPoller.poll({
      goals: Effect.map(Ref.get(works), (all) => [...HashMap.keys(HashMap.filter(all, Option.isSome))]),
      handle: (command) =>
        Effect.flatMap(runnerOf(command.goalId), (runner) =>
          Option.match(runner, {
            // Over since: what is left of its commands is forgotten with it.
            onNone: () => Effect.void,
            onSome: ({ driver }) => Effect.catchTag(driver.handle(command), "NoSuchGoal", () => Effect.void)
          })
        ),
      ticks: Stream.fromPubSub(turned),
      every: settings.lookEvery
    })
    yield* keepLooking({
      look: () => look,
      ticks: Stream.merge(store.changed, Stream.fromPubSub(turned)),
      every: settings.lookEvery,
      gap: settings.lookGap
    })

    return Dispatcher.of({
      runner: runnerOf,
      atWork: Effect.map(Ref.get(works), (all) => new Map(all)),
      waits: Ref.get(waits),
      look: lookOnce,
      cancelQueued: Effect.fn("Dispatcher.cancelQueued")(
        function* (goalId) {
          if (HashMap.has(yield* Ref.get(works), goalId)) return false
          return yield* Effect.catchTag(cancelUnbegun(goalId), "GoalHeld", () => Effect.succeed(false))
        },
        oneAtATime.withPermits(1),
        Effect.mapError((error) => new DriverTrouble({ detail: error.message })),
        Effect.provide(services)
      ),
      settled: (goalId) =>
        Effect.flatMap(FiberMap.get(fibers, goalId), (fiber) => Effect.asVoid(Fiber.await(fiber))).pipe(
          Effect.catchTag("NoSuchElementException", () => Effect.void)
        )
    })
  })

interface Trouble {
  /** Nanoseconds of a clock that does not jump. */
  readonly until: bigint
  readonly detail: string
}
