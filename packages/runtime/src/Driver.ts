/**
 * Many goals in one process, and the operator's hand on each of them.
 *
 * A goal is known from `preRegister` or `spawn` until its end; then everything of
 * it is released, and what is left is its outcome in the handle, and its journal.
 * While it runs this driver has its lease. Closing the layer's scope cancels all
 * goals, or suspends them, and waits for them.
 *
 * What the operator does is in the journal when the call resolves.
 */
import { randomUuid } from "@driver/agent/PermissionGate"
import { GoalPaused, GoalResumed, OperatorMessage } from "@driver/domain/DriverEvent"
import { type Goal, GoalId } from "@driver/domain/Goal"
import type { GoalOutcome } from "@driver/domain/Outcome"
import { Redactor } from "@driver/domain/Redactor"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberMap from "effect/FiberMap"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type * as Subscribable from "effect/Subscribable"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { AttemptEnd } from "./Attempt.js"
import { EventSink } from "./EventSink.js"
import * as GoalControl from "./GoalControl.js"
import { foldAll } from "./GoalFold.js"
import { GoalLoop } from "./GoalLoop.js"
import type { Holder, PendingCommand } from "./GoalStore.js"
import { Journal, type JournalEntry, type JournalError } from "./Journal.js"
import { type GoalHeld, Leases } from "./Leases.js"
import { CancelAsked, CommandHandled, TurnLimitRaised } from "./LoopEntry.js"
import type { Message } from "./OperatorMessages.js"
import type { StoreError } from "./StoreError.js"

/** The goal is unknown, or it has ended. Look at `list`. */
export class NoSuchGoal extends Schema.TaggedError<NoSuchGoal>()("NoSuchGoal", { goalId: GoalId }) {
  override get message() {
    return `There is no goal ${this.goalId} that is registered or running`
  }
}

/** A goal with this id runs already. Cancel it first, or give the new one another id. */
export class GoalAlreadyRunning extends Schema.TaggedError<GoalAlreadyRunning>()("GoalAlreadyRunning", {
  goalId: GoalId
}) {
  override get message() {
    return `The goal ${this.goalId} is running already`
  }
}

/** A started goal. */
export interface GoalHandle {
  readonly goalId: GoalId
  /** How the goal ended, a cancel included. Interrupting the wait does not cancel the goal. Valid for ever. */
  readonly await: Effect.Effect<GoalOutcome>
  /** Interrupts the goal and resolves when everything of it is released. Idempotent. */
  readonly cancel: Effect.Effect<void>
  /** Where it is now, and a stream of where it goes next. */
  readonly progress: Subscribable.Subscribable<GoalControl.GoalProgress>
}

export interface GoalStatus {
  readonly goalId: GoalId
  /** Absent while the goal is only registered. */
  readonly goal: Option.Option<Goal>
  readonly paused: boolean
  /** Messages that have not reached the agent. */
  readonly queued: number
  /** The limit on turns that is in force. */
  readonly maxTurns: number
  readonly progress: GoalControl.GoalProgress
}

export class Driver extends Context.Tag("@driver/runtime/Driver")<
  Driver,
  {
    /**
     * Starts the goal, or goes on with one that was left in the middle, and resolves when it is this driver's. It runs as
     * long as the driver's layer, unless it ends before.
     */
    readonly spawn: (goal: Goal, options?: SpawnOptions) => Effect.Effect<GoalHandle, SpawnError>
    /** Starts the goal and resolves with how it ended. Interrupting it cancels the goal. */
    readonly run: (goal: Goal, options?: SpawnOptions) => Effect.Effect<GoalOutcome, SpawnError>
    /** Makes a goal known before it starts: it can be paused, told something or cancelled, and the loop honours that. Idempotent. */
    readonly preRegister: (goalId: GoalId) => Effect.Effect<void>
    /** How the goal ended. Interrupting the wait does not cancel the goal. */
    readonly await: (goalId: GoalId) => Effect.Effect<GoalOutcome, NoSuchGoal>
    /** Interrupts the goal wherever it is; resolves when everything of it is released. */
    readonly cancel: (goalId: GoalId) => Effect.Effect<void, NoSuchGoal>
    /** Stops working on the goal and leaves it where it is: whoever spawns it again goes on there. Its outcome here is `Continue`. */
    readonly suspend: (goalId: GoalId) => Effect.Effect<void, NoSuchGoal>
    /** Holds the goal before its next turn. The turn in flight goes on. */
    readonly pause: (goalId: GoalId) => Effect.Effect<void, NoSuchGoal | JournalError>
    readonly resume: (goalId: GoalId) => Effect.Effect<void, NoSuchGoal | JournalError>
    readonly isPaused: (goalId: GoalId) => Effect.Effect<boolean, NoSuchGoal>
    /**
     * Queues a message for the next turn's prompt, or the next answer of the gate that refuses a call if that comes
     * first; wakes a goal that sleeps. Resolves with the queue's length.
     */
    readonly interrupt: (goalId: GoalId, message: string) => Effect.Effect<number, NoSuchGoal | JournalError>
    /** Gives the running turn the message where the agent can take it and no other one waits, else queues it. */
    readonly steer: (goalId: GoalId, message: string) => Effect.Effect<"steered" | "queued", NoSuchGoal | JournalError>
    /** Ends the running turn and has the message first in the next prompt; between turns it queues it. */
    readonly redirect: (
      goalId: GoalId,
      message: string
    ) => Effect.Effect<"redirected" | "queued", NoSuchGoal | JournalError>
    /** Raises the limit on turns; never lowers it. Resolves with the limit now in force. */
    readonly setMaxTurns: (goalId: GoalId, maxTurns: number) => Effect.Effect<number, NoSuchGoal | JournalError>
    /** Ends a sleep early. */
    readonly wake: (goalId: GoalId) => Effect.Effect<void, NoSuchGoal>
    /** Does what another process asked of the goal, once: a command that the journal has is done. Resolves when it is in the journal. */
    readonly handle: (pending: PendingCommand) => Effect.Effect<void, NoSuchGoal | JournalError>
    readonly list: Effect.Effect<ReadonlyArray<GoalStatus>>
  }
>() {
  /** Closing its scope cancels the goals. */
  static readonly layer: Layer.Layer<Driver, never, DriverServices> = Layer.suspend(() => layer("cancel"))

  /** Closing its scope leaves the goals where they are: they go on when they are spawned again. */
  static readonly layerSuspending: Layer.Layer<Driver, never, DriverServices> = Layer.suspend(() => layer("suspend"))
}

export type DriverServices = EventSink | GoalLoop | Journal | Leases

export type SpawnError = GoalAlreadyRunning | GoalHasEnded | GoalHeld | StoreError

/** The goal's journal says that it has ended, and `SpawnOptions.unlessEnded` was set: nothing was begun. */
export class GoalHasEnded extends Schema.TaggedError<GoalHasEnded>()("GoalHasEnded", { goalId: GoalId }) {
  override get message() {
    return `The goal ${this.goalId} has ended already`
  }
}

export interface SpawnOptions {
  /** Whose usage limits the goal shares. Default `default`. */
  readonly account?: string
  /** A goal that has ended, perhaps while its lease was waited for, is not begun anew. Default false. */
  readonly unlessEnded?: boolean
  /** A holder of the goal's lease that was watched until it could be taken for dead: it is not watched again. */
  readonly dead?: Holder
}

/** 0 for a goal that is only registered and has no limit of the operator's. */
const turnLimit = (goal: Option.Option<Goal>, raised: Option.Option<number>): number =>
  Math.max(
    Option.match(goal, { onNone: () => 0, onSome: (it) => it.budget.maxTurns }),
    Option.getOrElse(raised, () => 0)
  )

interface Entry {
  readonly control: GoalControl.GoalControl
  readonly goal: Option.Option<Goal>
  /** Cancelled before it started. */
  readonly cancelled: boolean
  /** Completed when what the operator does can be written to the goal's journal; none while the goal is only known. */
  readonly begun: Option.Option<Deferred.Deferred<void, NoSuchGoal>>
  /** Completed after the entry is gone: whoever knows the outcome may start the goal again. */
  readonly released: Deferred.Deferred<GoalOutcome>
}

const layer = (onClose: "cancel" | "suspend"): Layer.Layer<Driver, never, DriverServices> =>
  Layer.scoped(
    Driver,
    Effect.gen(function* () {
      const loop = yield* GoalLoop
      const sink = yield* EventSink
      const journal = yield* Journal
      const leases = yield* Leases
      const entries = yield* Ref.make(HashMap.empty<GoalId, Entry>())
      // One key per running goal; closing the scope interrupts all of them and waits.
      const fibers = yield* FiberMap.make<GoalId>()
      const redactor = yield* Redactor
      const makeControl = (goalId: GoalId) =>
        Effect.provideService(GoalControl.make(goalId, { sink, journal }), Redactor, redactor)
      const oneAtATime = yield* Effect.makeSemaphore(1)

      const find = (goalId: GoalId) =>
        Effect.flatMap(Ref.get(entries), (known) =>
          Option.match(HashMap.get(known, goalId), {
            onNone: () => new NoSuchGoal({ goalId }),
            onSome: Effect.succeed
          })
        )

      /** The same, once its journal is open: while a goal is being taken up it is not known what was done to it before. */
      const reach = (goalId: GoalId) =>
        Effect.tap(find(goalId), ({ begun }) => (Option.isSome(begun) ? Deferred.await(begun.value) : Effect.void))

      const release = (goalId: GoalId) => Ref.update(entries, HashMap.remove(goalId))

      const cancelFiber = (goalId: GoalId) =>
        Effect.flatMap(FiberMap.get(fibers, goalId), (fiber) => Effect.asVoid(Fiber.interrupt(fiber))).pipe(
          Effect.catchTag("NoSuchElementException", () => Effect.void)
        )

      const suspendAll = Effect.flatMap(Ref.get(entries), (known) =>
        Effect.forEach(HashMap.values(known), ({ control }) => Ref.set(control.suspending, true), { discard: true })
      )
      // Closed before the fibers are.
      if (onClose === "suspend") yield* Effect.addFinalizer(() => suspendAll)

      /** The entry is in the map from here on, so that nobody else starts the goal. */
      const enter = (goal: Goal, options: SpawnOptions) =>
        Effect.gen(function* () {
          const known = HashMap.get(yield* Ref.get(entries), goal.id)
          if (Option.exists(known, (it) => Option.isSome(it.goal))) {
            return yield* new GoalAlreadyRunning({ goalId: goal.id })
          }
          const control = Option.isSome(known) ? known.value.control : yield* makeControl(goal.id)
          const released = Option.isSome(known) ? known.value.released : yield* Deferred.make<GoalOutcome>()
          const cancelled = Option.exists(known, (it) => it.cancelled)
          const begun = yield* Deferred.make<void, NoSuchGoal>()
          const entry: Entry = { control, goal: Option.some(goal), cancelled, released, begun: Option.some(begun) }
          if (options.account !== undefined) yield* Ref.set(control.account, options.account)
          yield* Ref.update(entries, HashMap.set(goal.id, entry))
          return { begun, entry, known }
        }).pipe(oneAtATime.withPermits(1))

      /** The goal is this driver's until the scope closes. */
      const claim = (goalId: GoalId, { dead, unlessEnded = false }: SpawnOptions) =>
        Effect.gen(function* () {
          const lease = yield* leases.hold(goalId, { dead: Option.fromNullable(dead) })
          const before = foldAll(yield* journal.read(goalId, { folded: true }))
          if (unlessEnded && before.status === "ended") return yield* new GoalHasEnded({ goalId })
          return { lease, driver: leases.owner, before }
        })

      const spawn = Effect.fn("Driver.spawn")((goal: Goal, options: SpawnOptions = {}) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.gen(function* () {
            const { begun, entry, known } = yield* enter(goal, options)
            const { control, released } = entry
            const scope = yield* Scope.make()
            const claimed = yield* restore(Scope.extend(claim(goal.id, options), scope)).pipe(
              Effect.onError(() =>
                Scope.close(scope, Exit.void).pipe(
                  // What was only known before is known again.
                  Effect.zipRight(
                    Ref.update(
                      entries,
                      Option.isSome(known) ? HashMap.set(goal.id, known.value) : HashMap.remove(goal.id)
                    )
                  ),
                  Effect.zipRight(Deferred.failSync(begun, () => new NoSuchGoal({ goalId: goal.id })))
                )
              )
            )
            // Forked in an uninterruptible region, which the fiber inherits: a goal that is cancelled before it starts still gets its outcome and its last event.
            const fiber = yield* loop
              .run(goal, control, { ...claimed, onOpen: Effect.asVoid(Deferred.succeed(begun, undefined)) })
              .pipe(
                Effect.ensuring(Scope.close(scope, Exit.void)),
                Effect.ensuring(release(goal.id)),
                Effect.intoDeferred(released),
                Effect.forkDaemon
              )
            yield* FiberMap.set(fibers, goal.id, fiber)
            const isCancelled = Option.exists(HashMap.get(yield* Ref.get(entries), goal.id), (it) => it.cancelled)
            if (isCancelled) yield* cancelFiber(goal.id)
            const handle: GoalHandle = {
              goalId: goal.id,
              await: Deferred.await(released),
              cancel: Effect.flatMap(Deferred.isDone(released), (done) =>
                done ? Effect.void : cancelRunning(control)
              ),
              progress: control.progress
            }
            return handle
          })
        )
      )

      /** Wanted for good from here on, also when this process dies before it is done. */
      const cancelRunning = (control: GoalControl.GoalControl) =>
        control.journal.write(new CancelAsked()).pipe(
          Effect.catchAll((error) =>
            Effect.logWarning("That the goal is cancelled could not be written before", error)
          ),
          Effect.zipRight(cancelFiber(control.goalId))
        )

      const preRegister = Effect.fn("Driver.preRegister")(function* (goalId: GoalId) {
        if (HashMap.has(yield* Ref.get(entries), goalId)) return
        const control = yield* makeControl(goalId)
        const released = yield* Deferred.make<GoalOutcome>()
        const entry: Entry = { control, goal: Option.none(), cancelled: false, released, begun: Option.none() }
        yield* Ref.update(entries, HashMap.set(goalId, entry))
      }, oneAtATime.withPermits(1))

      const cancel = Effect.fn("Driver.cancel")(function* (goalId: GoalId) {
        const { control } = yield* find(goalId)
        // For one that is about to start, and for one that only is known.
        yield* Ref.update(
          entries,
          HashMap.modify(goalId, (it) => ({ ...it, cancelled: true }))
        )
        if (yield* FiberMap.has(fibers, goalId)) yield* cancelRunning(control)
      })

      const suspend = Effect.fn("Driver.suspend")(function* (goalId: GoalId) {
        const { control } = yield* find(goalId)
        yield* Ref.set(control.suspending, true)
        yield* cancelFiber(goalId)
      })

      const setPaused = (goalId: GoalId, paused: boolean, ...also: ReadonlyArray<JournalEntry>) =>
        Effect.gen(function* () {
          const { control } = yield* reach(goalId)
          const before = yield* SubscriptionRef.getAndSet(control.paused, paused)
          const entries =
            before === paused ? also : [paused ? new GoalPaused({ goalId }) : new GoalResumed({ goalId }), ...also]
          yield* control.journal.write(...entries)
        }).pipe(Effect.uninterruptible)

      const queue = (control: GoalControl.GoalControl, text: string, ...also: ReadonlyArray<JournalEntry>) =>
        Effect.uninterruptible(
          Effect.gen(function* () {
            const { message, waiting } = yield* control.messages.add(redactor.text(text))
            yield* control.journal.write(told(control, message, "queued"), ...also)
            return waiting
          })
        )

      const told = (
        { goalId }: GoalControl.GoalControl,
        { id, text }: Message,
        delivery: OperatorMessage["delivery"]
      ): OperatorMessage => new OperatorMessage({ goalId, message: text, delivery, messageId: Option.some(id) })

      const steer = Effect.fn("Driver.steer")(function* (
        goalId: GoalId,
        given: string,
        ...also: ReadonlyArray<JournalEntry>
      ) {
        const text = redactor.text(given)
        const { control } = yield* reach(goalId)
        // What waits already goes first, so that no message overtakes another.
        const session = (yield* control.messages.size) === 0 ? yield* Ref.get(control.session) : Option.none()
        const taken = Option.isSome(session) ? yield* session.value.steer(text) : false
        if (!taken) return yield* Effect.as(queue(control, text, ...also), "queued" as const)
        yield* control.journal.write(told(control, { id: yield* randomUuid, text }, "steered"), ...also)
        return "steered" as const
      })

      const redirect = Effect.fn("Driver.redirect")(function* (
        goalId: GoalId,
        message: string,
        ...also: ReadonlyArray<JournalEntry>
      ) {
        const { control } = yield* reach(goalId)
        yield* queue(control, message, ...also)
        return (yield* GoalControl.stopTurn(control, AttemptEnd.Redirected()))
          ? ("redirected" as const)
          : ("queued" as const)
      })

      const setMaxTurns = Effect.fn("Driver.setMaxTurns")(function* (
        goalId: GoalId,
        maxTurns: number,
        ...also: ReadonlyArray<JournalEntry>
      ) {
        const { control, goal } = yield* reach(goalId)
        const before = turnLimit(goal, yield* Ref.get(control.maxTurns))
        const effective = Math.max(before, maxTurns)
        yield* Ref.set(control.maxTurns, Option.some(effective))
        const raised = effective > before ? [new TurnLimitRaised({ maxTurns: effective })] : []
        yield* control.journal.write(...raised, ...also)
        return effective
      })

      const wake = (goalId: GoalId) =>
        Effect.flatMap(find(goalId), ({ control }) => control.wakes.update((count) => count + 1))

      const handle = Effect.fn("Driver.handle")(function* ({ command, goalId, id }: PendingCommand) {
        const { control } = yield* reach(goalId)
        if ((yield* control.journal.state).handled.has(id)) return
        const handled = new CommandHandled({ commandId: id })
        switch (command._tag) {
          case "Pause":
            return yield* setPaused(goalId, true, handled)
          case "Resume":
            return yield* setPaused(goalId, false, handled)
          case "RaiseTurns":
            return yield* Effect.asVoid(setMaxTurns(goalId, command.maxTurns, handled))
          case "Steer": {
            const { message, mode } = command
            if (mode === "queue") yield* queue(control, message, handled)
            else if (mode === "turn") yield* steer(goalId, message, handled)
            else yield* redirect(goalId, message, handled)
            return
          }
          case "Wake":
            return yield* Effect.zipRight(control.journal.write(handled), wake(goalId))
          case "Cancel":
            return yield* Effect.zipRight(control.journal.write(handled), cancel(goalId))
        }
      })

      const statusOf = ([goalId, { control, goal }]: [GoalId, Entry]) =>
        Effect.gen(function* () {
          const status: GoalStatus = {
            goalId,
            goal,
            paused: yield* SubscriptionRef.get(control.paused),
            queued: yield* control.messages.size,
            maxTurns: turnLimit(goal, yield* Ref.get(control.maxTurns)),
            progress: yield* control.progress.get
          }
          return status
        })

      return Driver.of({
        spawn,
        run: (goal, options) =>
          Effect.uninterruptibleMask((restore) =>
            Effect.flatMap(restore(spawn(goal, options)), (handle) =>
              Effect.onInterrupt(restore(handle.await), () => handle.cancel)
            )
          ),
        preRegister,
        await: (goalId) => Effect.flatMap(find(goalId), ({ released }) => Deferred.await(released)),
        cancel,
        suspend,
        pause: (goalId) => setPaused(goalId, true),
        resume: (goalId) => setPaused(goalId, false),
        isPaused: (goalId) => Effect.flatMap(find(goalId), ({ control }) => SubscriptionRef.get(control.paused)),
        interrupt: (goalId, message) => Effect.flatMap(reach(goalId), ({ control }) => queue(control, message)),
        steer: (goalId, message) => steer(goalId, message),
        redirect: (goalId, message) => redirect(goalId, message),
        setMaxTurns: (goalId, maxTurns) => setMaxTurns(goalId, maxTurns),
        wake,
        handle,
        list: Effect.flatMap(Ref.get(entries), (known) => Effect.forEach(HashMap.toEntries(known), statusOf))
      })
    })
  )
