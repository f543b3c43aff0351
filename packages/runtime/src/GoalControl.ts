/**
 * What the operator's side and the loop of one goal share: the pause flag, the
 * queue of messages, the turn limit, the wake signal, the running session and turn,
 * and the goal's journal.
 *
 * Cancelling is not here: it is interruption of the goal's fiber.
 */
import type { AgentSession } from "@driver/agent/Agent"
import type { RidingMessages } from "@driver/agent/PermissionGate"
import { type DriverEvent, OperatorMessage } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import type { GoalOutcome } from "@driver/domain/Outcome"
import { Redactor, type RedactorService } from "@driver/domain/Redactor"
import { Usage } from "@driver/domain/Usage"
import type { AcceptanceVerdict } from "@driver/domain/Verdict"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { AttemptEnd } from "./Attempt.js"
import type { EventSink } from "./EventSink.js"
import { type GoalJournal, make as makeJournal } from "./internal/goalJournal.js"
import * as Watched from "./internal/watched.js"
import type { Journal } from "./Journal.js"
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
  readonly progress: Watched.Watched<GoalProgress>
  /** True holds the loop before its next turn. */
  readonly paused: SubscriptionRef.SubscriptionRef<boolean>
  /** The operator's messages that have not reached the agent. */
  readonly messages: OperatorMessages.OperatorMessages
  /** The operator's grow-only limit on turns. */
  readonly maxTurns: Ref.Ref<Option.Option<number>>
  /** Counts calls of `wake`: a sleeping goal waits for a change. */
  readonly wakes: Watched.Watched<number>
  /** The session in use, for steering. */
  readonly session: Ref.Ref<Option.Option<AgentSession>>
  /** Completed, by whoever notices that the running turn has to stop, with its end. None between turns. */
  readonly turn: Ref.Ref<Option.Option<Deferred.Deferred<AttemptEnd>>>
  /** Whose usage limits the goal shares. */
  readonly account: Ref.Ref<string>
  /** An interruption leaves the goal where it is, to be gone on with, and is no cancel. */
  readonly suspending: Ref.Ref<boolean>
  readonly journal: GoalJournal
  /** How the goal ended; set before the loop's fiber ends, however it ends. */
  readonly outcome: Deferred.Deferred<GoalOutcome>
  /** Takes the secrets out of whatever leaves the driver for the goal's agent or its stores. Events are clean already. */
  readonly redactor: RedactorService
  /** Takes the secrets out of the event, numbers it, notes it in the journal and hands it to the sink. Never fails; not interruptible. */
  readonly publish: (event: DriverEvent) => Effect.Effect<void>
}

/** Everything is fresh; the goal is not paused. */
export const make = (
  goalId: GoalId,
  services: { readonly sink: EventSink["Type"]; readonly journal: Journal["Type"] }
): Effect.Effect<GoalControl> =>
  Effect.gen(function* () {
    const paused = yield* SubscriptionRef.make(false)
    const messages = yield* OperatorMessages.make
    const maxTurns = yield* Ref.make(Option.none<number>())
    const wakes = yield* Watched.make(0)
    const session = yield* Ref.make(Option.none<AgentSession>())
    const outcome = yield* Deferred.make<GoalOutcome>()
    const progress = yield* Watched.make<GoalProgress>({
      phase: "Registered",
      startedAt: 0,
      activeSince: Option.none(),
      usage: Usage.zero,
      verdict: Option.none(),
      finalText: Option.none(),
      workspace: Option.none()
    })
    const turn = yield* Ref.make(Option.none<Deferred.Deferred<AttemptEnd>>())
    const account = yield* Ref.make("default")
    const suspending = yield* Ref.make(false)
    const redactor = yield* Redactor
    const journal = yield* makeJournal({ goalId, ...services, redactor })
    const publish = (event: DriverEvent) => journal.note(event)

    return {
      goalId,
      progress,
      paused,
      messages,
      maxTurns,
      wakes,
      session,
      turn,
      account,
      suspending,
      journal,
      outcome,
      redactor,
      publish
    }
  })

/** Ends the running turn so; does nothing between turns. Resolves with whether there was one to end. */
export const stopTurn = (control: GoalControl, end: AttemptEnd): Effect.Effect<boolean> =>
  Effect.flatMap(
    Ref.get(control.turn),
    Option.match({ onNone: () => Effect.succeed(false), onSome: (it) => Deferred.succeed(it, end) })
  )

/** Resolves at once while the goal is not paused. */
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

/** Resolves when the operator calls `wake`. */
export const wokenByCall = (control: GoalControl): Effect.Effect<void> =>
  Effect.flatMap(control.wakes.get, (before) => Effect.asVoid(control.wakes.until((count) => count !== before)))

/** The same, or when the operator queues a message; at once when one is queued already. */
export const woken = (control: GoalControl): Effect.Effect<void> =>
  Effect.raceFirst(wokenByCall(control), control.messages.arrived)
