/**
 * What the operator's side and the loop of one goal share: the pause flag, the
 * queue of messages, the turn limit, the wake signal, the running session, and
 * the goal's numbered events.
 *
 * Cancelling is not here: it is interruption of the goal's fiber.
 */
import type { AgentSession } from "@driver/agent/Agent"
import type { RidingMessages } from "@driver/agent/PermissionGate"
import { type DriverEvent, OperatorMessage, StoredEvent } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import type { GoalOutcome } from "@driver/domain/Outcome"
import { Redactor, type RedactorService } from "@driver/domain/Redactor"
import { Usage } from "@driver/domain/Usage"
import type { AcceptanceVerdict } from "@driver/domain/Verdict"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { EventSink } from "./EventSink.js"
import * as OperatorMessages from "./OperatorMessages.js"
import type { WorkspaceInfo } from "./Workspace.js"

/** Where a goal is: what `list` shows and what its outcome is made of. */
export interface GoalProgress {
  /** The state of the loop: `Ready`, `Working`, `Compacting`, `Sleeping`, `Ended`; `Registered` before it starts. */
  readonly phase: string
  /** Milliseconds since the epoch; 0 before the loop starts. */
  readonly startedAt: number
  /** Since when active time is running and not yet in `usage`. Milliseconds since the epoch. */
  readonly activeSince: Option.Option<number>
  /** Includes what the running turn has used so far. */
  readonly usage: Usage
  readonly verdict: Option.Option<AcceptanceVerdict>
  readonly finalText: Option.Option<string>
  readonly workspace: Option.Option<WorkspaceInfo>
}

export interface GoalControl {
  readonly goalId: GoalId
  readonly progress: SubscriptionRef.SubscriptionRef<GoalProgress>
  /** True holds the loop before its next turn. */
  readonly paused: SubscriptionRef.SubscriptionRef<boolean>
  /** The operator's messages that have not reached the agent. */
  readonly messages: OperatorMessages.OperatorMessages
  /** The operator's grow-only limit on turns. */
  readonly maxTurns: Ref.Ref<Option.Option<number>>
  /** Counts calls of `wake`: a sleeping goal waits for a change. */
  readonly wakes: SubscriptionRef.SubscriptionRef<number>
  /** The session in use, for steering. */
  readonly session: Ref.Ref<Option.Option<AgentSession>>
  /** How the goal ended; set before the loop's fiber ends, however it ends. */
  readonly outcome: Deferred.Deferred<GoalOutcome>
  /** Takes the secrets out of whatever leaves the driver for the goal's agent or its stores. Events are clean already. */
  readonly redactor: RedactorService
  /** Takes the secrets out of the event, numbers it and hands it to the sink. Never fails; not interruptible. */
  readonly publish: (event: DriverEvent) => Effect.Effect<void>
}

/** Everything is fresh; the goal is not paused. */
export const make = (goalId: GoalId, sink: EventSink["Type"]): Effect.Effect<GoalControl> =>
  Effect.gen(function* () {
    const paused = yield* SubscriptionRef.make(false)
    const messages = yield* OperatorMessages.make
    const maxTurns = yield* Ref.make(Option.none<number>())
    const wakes = yield* SubscriptionRef.make(0)
    const session = yield* Ref.make(Option.none<AgentSession>())
    const outcome = yield* Deferred.make<GoalOutcome>()
    const progress = yield* SubscriptionRef.make<GoalProgress>({
      phase: "Registered",
      startedAt: 0,
      activeSince: Option.none(),
      usage: Usage.zero,
      verdict: Option.none(),
      finalText: Option.none(),
      workspace: Option.none()
    })
    const sequence = yield* Ref.make(0)
    const redactor = yield* Redactor
    const oneAtATime = yield* Effect.makeSemaphore(1)
    // Distinguishes the message ids of two runs of the same goal.
    const incarnation = `${(yield* Clock.currentTimeMillis).toString(36)}${(yield* Random.nextIntBetween(0, 2 ** 31)).toString(36)}`

    const publish = (event: DriverEvent) =>
      Effect.gen(function* () {
        const number = yield* Ref.updateAndGet(sequence, (n) => n + 1)
        const at = yield* DateTime.now
        yield* sink.publish(
          new StoredEvent({
            goalId,
            sequence: number,
            messageId: `${goalId}:${incarnation}:${number}`,
            at,
            event: redactor.value(event)
          })
        )
      }).pipe(oneAtATime.withPermits(1), Effect.uninterruptible)

    return { goalId, progress, paused, messages, maxTurns, wakes, session, outcome, redactor, publish }
  })

/** Resolves at once while the goal is not paused. Looks before it subscribes: that is a thousand times cheaper. */
export const whenRunning = (control: GoalControl): Effect.Effect<void> =>
  Effect.flatMap(SubscriptionRef.get(control.paused), (paused) =>
    paused ? Stream.runDrain(Stream.takeUntil(control.paused.changes, (value) => !value)) : Effect.void
  )

/** All messages that wait, for an answer of the gate; each is told of once it is delivered. */
export const claimMessages = ({
  goalId,
  messages,
  publish
}: GoalControl): Effect.Effect<Option.Option<RidingMessages>> =>
  Effect.map(
    messages.claim,
    Option.map((claim) => ({
      texts: claim.messages.map(({ text }) => text),
      giveBack: claim.giveBack,
      delivered: (toolUseId) =>
        Effect.flatMap(claim.delivered, (first) =>
          first
            ? Effect.forEach(
                claim.messages,
                ({ id, text }) =>
                  publish(
                    new OperatorMessage({
                      goalId,
                      message: text,
                      delivery: "gate",
                      messageId: Option.some(id),
                      toolUseId
                    })
                  ),
                { discard: true }
              )
            : Effect.void
        ).pipe(Effect.uninterruptible)
    }))
  )

/** Resolves when the operator calls `wake` or queues a message; at once when one is queued already. */
export const woken = (control: GoalControl): Effect.Effect<void> =>
  Effect.gen(function* () {
    const before = yield* SubscriptionRef.get(control.wakes)
    const byCall = Stream.runHead(Stream.filter(control.wakes.changes, (count) => count !== before))
    yield* Effect.raceFirst(byCall, control.messages.arrived)
  })
