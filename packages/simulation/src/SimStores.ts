/**
 * The stores of a simulated world: those of the runtime in memory, which survive
 * the driver, and fail when the plan says so. A store that fails has done nothing.
 */
import { AccountLimits } from "@driver/runtime/AccountLimits"
import { BindingStore } from "@driver/runtime/BindingStore"
import { CompactSummaryStore } from "@driver/runtime/CompactSummaryStore"
import { DecisionStore } from "@driver/runtime/DecisionStore"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Journal, type JournalRecord } from "@driver/runtime/Journal"
import * as JournalMemory from "@driver/runtime/JournalMemory"
import type { Outbox } from "@driver/runtime/Outbox"
import { StoreError } from "@driver/runtime/StoreError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { Item, type StoreCall } from "./Plan.js"
import * as World from "./World.js"

export type Stores = AccountLimits | BindingStore | CompactSummaryStore | DecisionStore | GoalStore | Journal | Outbox

/** One set for a world, until the scope closes. */
export const make: Effect.Effect<Context.Context<Stores>, never, Scope.Scope> = Effect.gen(function* () {
  // Each by itself: building a layer that is made of layers costs more than a short world.
  const journal = yield* Layer.build(JournalMemory.layer())
  const bindings = yield* Layer.build(BindingStore.layerMemory())
  const summaries = yield* Layer.build(CompactSummaryStore.layerMemory)
  const decisions = yield* Layer.build(DecisionStore.layerMemory)
  const limits = yield* Layer.build(AccountLimits.layerMemory)
  return Context.mergeAll(journal, bindings, summaries, decisions, limits)
})

/** The stores as a process sees them. `onAppended` is called with what was written, once it is. */
export const withFaults = (
  world: World.World,
  process: number,
  stores: Context.Context<Stores>,
  onAppended: (records: ReadonlyArray<JournalRecord>) => void
): Context.Context<Stores> => {
  const failing = <A, E>(call: StoreCall, operation: string, effect: Effect.Effect<A, E>) =>
    Effect.suspend((): Effect.Effect<A, E | StoreError> => {
      const nth = World.count(world.storeCalls, call)
      const fault = world.plan.items.find(
        (item) => Item.$is("Store")(item) && item.call === call && nth >= item.nth && nth < item.nth + item.count
      )
      if (fault === undefined || !Item.$is("Store")(fault)) return effect
      World.count(world.faults, fault.retryable ? "store busy" : "store disk full")
      const detail = fault.retryable ? "database is locked" : "database or disk is full"
      return new StoreError({ operation, detail, retryable: fault.retryable })
    })
  const journal = Context.get(stores, Journal)
  const goals = Context.get(stores, GoalStore)
  const bindings = Context.get(stores, BindingStore)
  const summaries = Context.get(stores, CompactSummaryStore)
  const decisions = Context.get(stores, DecisionStore)
  const limits = Context.get(stores, AccountLimits)
  return stores.pipe(
    Context.add(Journal, {
      ...journal,
      append: (records) =>
        Effect.tap(failing("append", "Journal.append", journal.append(records)), () =>
          Effect.sync(() => onAppended(records))
        )
    }),
    Context.add(GoalStore, {
      ...goals,
      acquire: (goalId, owner, expected) =>
        Effect.tap(goals.acquire(goalId, owner, expected), (lease) =>
          Effect.sync(() => Option.isSome(lease) && world.owners.set(goalId, process))
        ),
      release: (lease) =>
        Effect.zipRight(
          Effect.sync(() => world.owners.get(lease.goalId) === process && world.owners.delete(lease.goalId)),
          goals.release(lease)
        ),
      heartbeat: (leases) => failing("heartbeat", "GoalStore.heartbeat", goals.heartbeat(leases))
    }),
    Context.add(BindingStore, {
      ...bindings,
      get: (goalId) => failing("binding", "BindingStore.get", bindings.get(goalId)),
      upsert: (input) => failing("binding", "BindingStore.upsert", bindings.upsert(input)),
      markInvalid: (goalId, reason) =>
        failing("binding", "BindingStore.markInvalid", bindings.markInvalid(goalId, reason))
    }),
    Context.add(CompactSummaryStore, {
      ...summaries,
      store: (goalId, turn, summary) =>
        failing("summary", "CompactSummaryStore.store", summaries.store(goalId, turn, summary)),
      loadLatest: (goalId) => failing("summary", "CompactSummaryStore.loadLatest", summaries.loadLatest(goalId))
    }),
    Context.add(DecisionStore, {
      ...decisions,
      record: (decision) => failing("decision", "DecisionStore.record", decisions.record(decision))
    }),
    Context.add(AccountLimits, {
      ...limits,
      admit: (account, goalId) => failing("limits", "AccountLimits.admit", limits.admit(account, goalId)),
      limited: (account, until, reason) =>
        failing("limits", "AccountLimits.limited", limits.limited(account, until, reason))
    })
  )
}
