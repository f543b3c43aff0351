/**
 * Many goals in one process, and the operator's hand on each of them.
 *
 * A goal is known from `preRegister` or `spawn` until its end; then everything of
 * it is released, and what is left is its outcome in the handle. Closing the
 * layer's scope cancels all goals and waits for them.
 */
import { randomUuid } from "@driver/agent/PermissionGate"
import { GoalPaused, GoalResumed, OperatorMessage } from "@driver/domain/DriverEvent"
import { type Goal, GoalId } from "@driver/domain/Goal"
import type { GoalOutcome } from "@driver/domain/Outcome"
import { Redactor } from "@driver/domain/Redactor"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberMap from "effect/FiberMap"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { EventSink } from "./EventSink.js"
import * as GoalControl from "./GoalControl.js"
import { GoalLoop } from "./GoalLoop.js"
import type { Message } from "./OperatorMessages.js"

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
  readonly progress: SubscriptionRef.SubscriptionRef<GoalControl.GoalProgress>
}

export interface GoalStatus {
  readonly goalId: GoalId
  /** Absent while the goal is only registered. */
  readonly goal: Option.Option<Goal>
  readonly paused: boolean
  /** Messages that have not reached the agent. */
  readonly queued: number
  readonly progress: GoalControl.GoalProgress
}

export class Driver extends Context.Tag("@driver/runtime/Driver")<
  Driver,
  {
    /** Starts the goal and resolves at once. It runs as long as the driver's layer, unless it ends before. */
    readonly spawn: (goal: Goal) => Effect.Effect<GoalHandle, GoalAlreadyRunning>
    /** Starts the goal and resolves with how it ended. Interrupting it cancels the goal. */
    readonly run: (goal: Goal) => Effect.Effect<GoalOutcome, GoalAlreadyRunning>
    /** Makes a goal known before it starts: it can be paused, told something or cancelled, and the loop honours that. Idempotent. */
    readonly preRegister: (goalId: GoalId) => Effect.Effect<void>
    /** How the goal ended. Interrupting the wait does not cancel the goal. */
    readonly await: (goalId: GoalId) => Effect.Effect<GoalOutcome, NoSuchGoal>
    /** Interrupts the goal wherever it is; resolves when everything of it is released. */
    readonly cancel: (goalId: GoalId) => Effect.Effect<void, NoSuchGoal>
    /** Holds the goal before its next turn. The turn in flight goes on. */
    readonly pause: (goalId: GoalId) => Effect.Effect<void, NoSuchGoal>
    readonly resume: (goalId: GoalId) => Effect.Effect<void, NoSuchGoal>
    readonly isPaused: (goalId: GoalId) => Effect.Effect<boolean, NoSuchGoal>
    /**
     * Queues a message for the next turn's prompt, or the next answer of the gate that refuses a call if that comes
     * first; wakes a goal that sleeps. Resolves with the queue's length.
     */
    readonly interrupt: (goalId: GoalId, message: string) => Effect.Effect<number, NoSuchGoal>
    /** Gives the running turn the message where the agent can take it and no other one waits, else queues it. */
    readonly steer: (goalId: GoalId, message: string) => Effect.Effect<"steered" | "queued", NoSuchGoal>
    /** Raises the limit on turns; never lowers it. Resolves with the limit now in force. */
    readonly setMaxTurns: (goalId: GoalId, maxTurns: number) => Effect.Effect<number, NoSuchGoal>
    /** Ends a sleep early. */
    readonly wake: (goalId: GoalId) => Effect.Effect<void, NoSuchGoal>
    readonly list: Effect.Effect<ReadonlyArray<GoalStatus>>
  }
>() {
  static readonly layer: Layer.Layer<Driver, never, GoalLoop | EventSink> = Layer.suspend(() => layer)
}

interface Entry {
  readonly control: GoalControl.GoalControl
  readonly goal: Option.Option<Goal>
  /** Cancelled before it started. */
  readonly cancelled: boolean
  /** Completed after the entry is gone: whoever knows the outcome may start the goal again. */
  readonly released: Deferred.Deferred<GoalOutcome>
}

const layer: Layer.Layer<Driver, never, GoalLoop | EventSink> = Layer.scoped(
  Driver,
  Effect.gen(function* () {
    const loop = yield* GoalLoop
    const sink = yield* EventSink
    const entries = yield* Ref.make(HashMap.empty<GoalId, Entry>())
    // One key per running goal; closing the scope interrupts all of them and waits.
    const fibers = yield* FiberMap.make<GoalId>()
    const redactor = yield* Redactor
    const makeControl = (goalId: GoalId) => Effect.provideService(GoalControl.make(goalId, sink), Redactor, redactor)
    const oneAtATime = yield* Effect.makeSemaphore(1)

    const find = (goalId: GoalId) =>
      Effect.flatMap(Ref.get(entries), (known) =>
        Option.match(HashMap.get(known, goalId), {
          onNone: () => new NoSuchGoal({ goalId }),
          onSome: Effect.succeed
        })
      )

    const release = (goalId: GoalId) => Ref.update(entries, HashMap.remove(goalId))

    const cancelFiber = (goalId: GoalId) =>
      Effect.flatMap(FiberMap.get(fibers, goalId), (fiber) => Effect.asVoid(Fiber.interrupt(fiber))).pipe(
        Effect.catchTag("NoSuchElementException", () => Effect.void)
      )

    const spawn = Effect.fn("Driver.spawn")(
      function* (goal: Goal) {
        const known = HashMap.get(yield* Ref.get(entries), goal.id)
        if (Option.exists(known, (it) => Option.isSome(it.goal))) {
          return yield* new GoalAlreadyRunning({ goalId: goal.id })
        }
        const control = Option.isSome(known) ? known.value.control : yield* makeControl(goal.id)
        const released = Option.isSome(known) ? known.value.released : yield* Deferred.make<GoalOutcome>()
        const entry: Entry = { control, goal: Option.some(goal), cancelled: false, released }
        yield* Ref.update(entries, HashMap.set(goal.id, entry))
        // Forked in an uninterruptible region, which the fiber inherits: a goal that is cancelled before it starts still gets its outcome and its last event.
        const fiber = yield* Effect.forkDaemon(
          Effect.intoDeferred(Effect.ensuring(loop.run(goal, control), release(goal.id)), released)
        )
        yield* FiberMap.set(fibers, goal.id, fiber)
        if (Option.exists(known, (it) => it.cancelled)) yield* cancelFiber(goal.id)
        const handle: GoalHandle = {
          goalId: goal.id,
          await: Deferred.await(released),
          cancel: Effect.flatMap(Deferred.isDone(released), (done) => (done ? Effect.void : cancelFiber(goal.id))),
          progress: control.progress
        }
        return handle
      },
      Effect.uninterruptible,
      oneAtATime.withPermits(1)
    )

    const preRegister = Effect.fn("Driver.preRegister")(function* (goalId: GoalId) {
      if (HashMap.has(yield* Ref.get(entries), goalId)) return
      const control = yield* makeControl(goalId)
      const released = yield* Deferred.make<GoalOutcome>()
      const entry: Entry = { control, goal: Option.none(), cancelled: false, released }
      yield* Ref.update(entries, HashMap.set(goalId, entry))
    }, oneAtATime.withPermits(1))

    const cancel = Effect.fn("Driver.cancel")(function* (goalId: GoalId) {
      const { goal } = yield* find(goalId)
      if (Option.isSome(goal)) return yield* cancelFiber(goalId)
      yield* Ref.update(
        entries,
        HashMap.modify(goalId, (it) => ({ ...it, cancelled: true }))
      )
    })

    const setPaused = (goalId: GoalId, paused: boolean) =>
      Effect.gen(function* () {
        const { control } = yield* find(goalId)
        const before = yield* Ref.get(control.paused)
        if (before === paused) return
        yield* SubscriptionRef.set(control.paused, paused)
        yield* control.publish(paused ? new GoalPaused({ goalId }) : new GoalResumed({ goalId }))
      })

    const queue = (control: GoalControl.GoalControl, text: string) =>
      Effect.uninterruptible(
        Effect.gen(function* () {
          const { message, waiting } = yield* control.messages.add(redactor.text(text))
          yield* tell(control, message, "queued")
          return waiting
        })
      )

    const tell = (
      { goalId, publish }: GoalControl.GoalControl,
      { id, text }: Message,
      delivery: OperatorMessage["delivery"]
    ) => publish(new OperatorMessage({ goalId, message: text, delivery, messageId: Option.some(id) }))

    const steer = Effect.fn("Driver.steer")(function* (goalId: GoalId, given: string) {
      const text = redactor.text(given)
      const { control } = yield* find(goalId)
      // What waits already goes first, so that no message overtakes another.
      const session = (yield* control.messages.size) === 0 ? yield* Ref.get(control.session) : Option.none()
      const taken = Option.isSome(session) ? yield* session.value.steer(text) : false
      if (!taken) return yield* Effect.as(queue(control, text), "queued" as const)
      yield* tell(control, { id: yield* randomUuid, text }, "steered")
      return "steered" as const
    })

    const setMaxTurns = Effect.fn("Driver.setMaxTurns")(function* (goalId: GoalId, maxTurns: number) {
      const { control, goal } = yield* find(goalId)
      const own = Option.match(goal, { onNone: () => 0, onSome: (it) => it.budget.maxTurns })
      return yield* Ref.modify(control.maxTurns, (override) => {
        const effective = Math.max(
          own,
          maxTurns,
          Option.getOrElse(override, () => 0)
        )
        return [effective, Option.some(effective)] as const
      })
    })

    const statusOf = ([goalId, { control, goal }]: [GoalId, Entry]) =>
      Effect.gen(function* () {
        const status: GoalStatus = {
          goalId,
          goal,
          paused: yield* Ref.get(control.paused),
          queued: yield* control.messages.size,
          progress: yield* Ref.get(control.progress)
        }
        return status
      })

    return Driver.of({
      spawn,
      run: (goal) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(spawn(goal), (handle) => Effect.onInterrupt(restore(handle.await), () => handle.cancel))
        ),
      preRegister,
      await: (goalId) => Effect.flatMap(find(goalId), ({ released }) => Deferred.await(released)),
      cancel,
      pause: (goalId) => setPaused(goalId, true),
      resume: (goalId) => setPaused(goalId, false),
      isPaused: (goalId) => Effect.flatMap(find(goalId), ({ control }) => Ref.get(control.paused)),
      interrupt: (goalId, message) => Effect.flatMap(find(goalId), ({ control }) => queue(control, message)),
      steer,
      setMaxTurns,
      wake: (goalId) =>
        Effect.flatMap(find(goalId), ({ control }) => SubscriptionRef.update(control.wakes, (count) => count + 1)),
      list: Effect.flatMap(Ref.get(entries), (known) => Effect.forEach(HashMap.toEntries(known), statusOf))
    })
  })
)
