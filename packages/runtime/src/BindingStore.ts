/**
 * Which agent session and workspace serve a goal. A binding that is live is
 * resumed after a restart; one that is invalid stays as a row for forensics.
 */
import { Binding, type SessionId } from "@driver/domain/Binding"
import type { GoalId } from "@driver/domain/Goal"
import { trusted } from "@driver/domain/Wire"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as Ref from "effect/Ref"
import type { StoreError } from "./StoreError.js"

/** What the caller knows; times are the store's. */
export interface BindingInput {
  readonly goalId: GoalId
  readonly sessionId: SessionId
  readonly model: Option.Option<string>
  readonly workspace: string
  readonly originChannel: Option.Option<string>
  readonly dispatcher: Option.Option<string>
}

/** When a binding is too old to resume. Zero = off. */
export interface BindingExpiry {
  /** Since `lastActiveAt`. Default 0: agents keep their sessions for weeks. */
  readonly idleTtl: Duration.Duration
  /** Since `createdAt`. Default 0. */
  readonly maxAge: Duration.Duration
}

export class BindingStore extends Context.Tag("@driver/runtime/BindingStore")<
  BindingStore,
  {
    /** The live binding of a goal that has not expired. */
    readonly get: (goalId: GoalId) => Effect.Effect<Option.Option<Binding>, StoreError>
    /** Inserts or replaces; makes it live; keeps `createdAt` of an existing row with the same session, else starts anew. */
    readonly upsert: (input: BindingInput) => Effect.Effect<Binding, StoreError>
    /** Deletes the row. */
    readonly clear: (goalId: GoalId) => Effect.Effect<void, StoreError>
    /** The row stays, but `get` no longer gives it. The first reason stays too: it is what forensics wants. */
    readonly markInvalid: (goalId: GoalId, reason: string) => Effect.Effect<void, StoreError>
    /** Moves `lastActiveAt` of a live binding to now. One that has expired meanwhile is active again: it was in use. */
    readonly touch: (goalId: GoalId) => Effect.Effect<void, StoreError>
    /** Deletes rows whose `lastActiveAt` is before this moment (milliseconds since the epoch); resolves with their number. */
    readonly purgeOlderThan: (millis: number) => Effect.Effect<number, StoreError>
    /** Live, unexpired bindings, latest activity first. */
    readonly listActive: Effect.Effect<ReadonlyArray<Binding>, StoreError>
    /** Every row, invalid and expired ones too, latest activity first. */
    readonly listAll: Effect.Effect<ReadonlyArray<Binding>, StoreError>
  }
>() {
  /** Forgets everything with its scope. Bindings expire by `expiry`; without it, never. */
  static readonly layerMemory = (expiry: Partial<BindingExpiry> = {}): Layer.Layer<BindingStore> =>
    Layer.effect(
      this,
      Effect.map(Ref.make(HashMap.empty<GoalId, Binding>()), (rows) => makeMemory(rows, expiry))
    )
}

/** True when the binding is too old to resume at this moment (milliseconds since the epoch): at its limit, it is. */
export const isExpired = (binding: Binding, expiry: Partial<BindingExpiry>, now: number): boolean => {
  const reached = (limit: Duration.Duration | undefined, since: DateTime.Utc) =>
    limit !== undefined &&
    Duration.greaterThan(limit, Duration.zero) &&
    now - since.epochMillis >= Duration.toMillis(limit)
  return reached(expiry.idleTtl, binding.lastActiveAt) || reached(expiry.maxAge, binding.createdAt)
}

const latestFirst: Order.Order<Binding> = Order.combine(
  Order.reverse(Order.mapInput(Order.number, (binding: Binding) => binding.lastActiveAt.epochMillis)),
  Order.mapInput(Order.string, (binding: Binding) => binding.goalId)
)

/** Without spans, as the memory it is: a simulation asks it more often than anything else. */
const makeMemory = (rows: Ref.Ref<HashMap.HashMap<GoalId, Binding>>, expiry: Partial<BindingExpiry>) => {
  const all = Effect.map(Ref.get(rows), (map) => [...HashMap.values(map)].sort(latestFirst))
  const change = (goalId: GoalId, f: (binding: Binding, now: DateTime.Utc) => Binding) =>
    Effect.flatMap(wholeMillisNow, (now) =>
      Ref.update(
        rows,
        HashMap.modify(goalId, (binding: Binding) => (binding.live ? f(binding, now) : binding))
      )
    )

  return BindingStore.of({
    get: Effect.fnUntraced(function* (goalId) {
      const now = yield* Clock.currentTimeMillis
      const row = HashMap.get(yield* Ref.get(rows), goalId)
      return Option.filter(row, (binding) => binding.live && !isExpired(binding, expiry, now))
    }),
    upsert: Effect.fnUntraced(function* (input) {
      const now = yield* wholeMillisNow
      return yield* Ref.modify(rows, (map) => {
        const same = Option.filter(HashMap.get(map, input.goalId), (row) => row.sessionId === input.sessionId)
        const binding = new Binding(
          {
            ...input,
            live: true,
            invalidReason: Option.none(),
            createdAt: Option.match(same, { onNone: () => now, onSome: (row) => row.createdAt }),
            updatedAt: now,
            lastActiveAt: now
          },
          trusted
        )
        return [binding, HashMap.set(map, input.goalId, binding)]
      })
    }),
    clear: (goalId) => Ref.update(rows, HashMap.remove(goalId)),
    markInvalid: (goalId, reason) =>
      change(
        goalId,
        (binding, now) =>
          new Binding({ ...binding, live: false, invalidReason: Option.some(reason), updatedAt: now }, trusted)
      ),
    touch: (goalId) => change(goalId, (binding, now) => new Binding({ ...binding, lastActiveAt: now }, trusted)),
    purgeOlderThan: (millis) =>
      Ref.modify(rows, (map) => {
        const kept = HashMap.filter(map, (binding) => !(binding.lastActiveAt.epochMillis < millis))
        return [HashMap.size(map) - HashMap.size(kept), kept]
      }),
    listActive: Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      return (yield* all).filter((binding) => binding.live && !isExpired(binding, expiry, now))
    }).pipe(Effect.withSpan("BindingStore.listActive")),
    listAll: all.pipe(Effect.withSpan("BindingStore.listAll"))
  })
}

/** Stores keep whole milliseconds: what is read back is what was written, in every one of them. */
const wholeMillisNow = Effect.map(Clock.currentTimeMillis, (millis) => DateTime.unsafeMake(Math.floor(millis)))
