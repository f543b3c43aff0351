/** Events to send through sinks. */
import { AgentActivity, GoalCompleted, GoalPaused, OperatorMessage, StoredEvent } from "@driver/domain/DriverEvent"
import { GoalId } from "@driver/domain/Goal"
import { Done, GoalOutcome } from "@driver/domain/Outcome"
import { Usage } from "@driver/domain/Usage"
import { DateTime, Duration } from "effect"

export const goalIdOf = (n: number) => GoalId.make(`00000000-0000-4000-8000-${String(n).padStart(12, "0")}`)

const stored = (goal: number, sequence: number, event: StoredEvent["event"]) =>
  new StoredEvent({
    goalId: goalIdOf(goal),
    sequence,
    messageId: `${goal}:${sequence}`,
    at: DateTime.unsafeMake(1_700_000_000_000 + sequence),
    event
  })

/** An event that matters. */
export const message = (goal: number, sequence: number, text = `message ${sequence} — żółć 日本 👩‍🚀`) =>
  stored(goal, sequence, new OperatorMessage({ goalId: goalIdOf(goal), message: text, delivery: "queued" }))

export const paused = (goal: number, sequence: number) =>
  stored(goal, sequence, new GoalPaused({ goalId: goalIdOf(goal) }))

/** An event for people who watch. */
export const activity = (goal: number, sequence: number, text = "…") =>
  stored(goal, sequence, new AgentActivity({ goalId: goalIdOf(goal), turn: 1, activity: "said", text }))

/** The last event of a goal. */
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
