/** An outbox in memory, that a test fills and looks into, and events for it. */
import { type DriverEvent, GoalCompleted, GoalPaused, OperatorMessage, StoredEvent } from "@driver/domain/DriverEvent"
import { GoalId } from "@driver/domain/Goal"
import { Done, GoalOutcome } from "@driver/domain/Outcome"
import { Usage } from "@driver/domain/Usage"
import { Outbox, type OutboxEntry } from "@driver/runtime/Outbox"
import * as OutboxClaims from "@driver/runtime/OutboxClaims"
import { DateTime, Duration, Effect, PubSub, Stream } from "effect"

export const makeOutbox = Effect.gen(function* () {
  const entries = new Map<number, OutboxEntry>()
  const writes = yield* PubSub.sliding<void>(1)
  let position = 0
  return {
    outbox: Outbox.of({
      pending: (_, limit) => Effect.sync(() => [...entries.values()].slice(0, limit)),
      delivered: (_, positions) => Effect.sync(() => positions.forEach((it) => entries.delete(it))),
      count: () => Effect.sync(() => entries.size),
      consumers: Effect.sync(() => (entries.size > 0 ? ["nats"] : [])),
      forget: () => Effect.sync(() => entries.clear()),
      ...OutboxClaims.makeMemory(),
      written: Stream.fromPubSub(writes)
    }),
    write: (...events: ReadonlyArray<StoredEvent>) =>
      Effect.suspend(() => {
        for (const event of events) entries.set(++position, { position, event })
        return PubSub.publish(writes, undefined)
      }),
    left: Effect.sync(() => entries.size)
  }
})

export const goalIdOf = (n: number) => GoalId.make(`00000000-0000-4000-8000-${String(n).padStart(12, "0")}`)

export const stored = (goal: number, sequence: number, event: DriverEvent): StoredEvent =>
  new StoredEvent({
    goalId: goalIdOf(goal),
    sequence,
    messageId: `${goal}:${sequence}`,
    at: DateTime.unsafeMake(1_700_000_000_000 + sequence),
    event
  })

export const message = (goal: number, sequence: number, text = `message ${sequence} — żółć 日本 👩‍🚀`) =>
  stored(goal, sequence, new OperatorMessage({ goalId: goalIdOf(goal), message: text, delivery: "queued" }))

export const paused = (goal: number, sequence: number) =>
  stored(goal, sequence, new GoalPaused({ goalId: goalIdOf(goal) }))

export const completed = (goal: number, sequence: number) =>
  stored(
    goal,
    sequence,
    new GoalCompleted({
      goalId: goalIdOf(goal),
      outcome: new GoalOutcome({
        goalId: goalIdOf(goal),
        outcome: new Done(),
        totalTurns: 1,
        usage: Usage.zero,
        elapsed: Duration.seconds(1)
      })
    })
  )
