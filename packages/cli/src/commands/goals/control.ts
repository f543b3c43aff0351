/** `driver pause`, `cancel`, `wake`, `steer`, `budget` and `deliver`: the operator's hand on one goal. */

import type { SteerMode } from "@driver/runtime/GoalStore"
import { Goals } from "@driver/runtime/Goals"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { plural } from "../../Render.js"
import { printable } from "../../Text.js"
import { answer, named, shortId, whenHeard } from "./named.js"

export interface GoalArguments {
  /** The id, or the beginning of it. */
  readonly goal: string
  readonly json: boolean
}

export const pause = ({ goal, json }: GoalArguments) =>
  Effect.gen(function* () {
    const goalId = yield* named(goal)
    yield* (yield* Goals).pause(goalId)
    const sentence = `The goal ${shortId(goalId)} is held before its next turn; \`driver resume ${shortId(goalId)}\` lets it go on.`
    yield* answer(json, { goal_id: goalId, asked: "pause" }, `${sentence}${yield* whenHeard}`)
  })

export const cancel = ({ goal, json }: GoalArguments) =>
  Effect.gen(function* () {
    const goals = yield* Goals
    const goalId = yield* named(goal)
    yield* goals.cancel(goalId)
    const unheard = yield* whenHeard
    // One that nobody had begun is over already.
    const isOver = unheard !== "" && (yield* goals.show(goalId)).summary.phase === "Ended"
    yield* answer(
      json,
      { goal_id: goalId, asked: "cancel" },
      `The goal ${shortId(goalId)} is cancelled; its worktree and branch stay.${isOver ? "" : unheard}`
    )
  })

export const wake = ({ goal, json }: GoalArguments) =>
  Effect.gen(function* () {
    const goalId = yield* named(goal)
    yield* (yield* Goals).wake(goalId)
    yield* answer(json, { goal_id: goalId, asked: "wake" }, `The goal ${shortId(goalId)} is woken.${yield* whenHeard}`)
  })

export interface SteerArguments extends GoalArguments {
  readonly message: string
  /** In the running turn. */
  readonly now: boolean
  /** Instead of the running turn. */
  readonly redirect: boolean
}

/** The message cannot be taken as it was given. */
export class SteerError extends Data.TaggedError("SteerError")<{ readonly detail: string }> {
  override get message() {
    return this.detail
  }
}

const deliveries = {
  queued: "goes to the agent with its next prompt, or with the gate's next refusal",
  steered: "was given to the agent in the running turn",
  redirected: "ends the running turn and begins the next one",
  stored: "is stored: the driver that works on the goal will find it"
}

export const steer = ({ goal, json, message, now, redirect }: SteerArguments) =>
  Effect.gen(function* () {
    if (now && redirect) {
      return yield* new SteerError({ detail: "--now leaves the running turn on, --redirect ends it: give one of them" })
    }
    if (message.trim() === "")
      return yield* new SteerError({ detail: "The message is empty: say what the agent is told" })
    const mode: SteerMode = redirect ? "redirect" : now ? "turn" : "queue"
    const goalId = yield* named(goal)
    const { delivery, queued } = yield* (yield* Goals).steer(goalId, message.trim(), mode)
    const waiting = queued > 1 ? ` (${plural(queued, "message")} wait)` : ""
    yield* answer(
      json,
      { goal_id: goalId, delivery, queued },
      `The message for ${shortId(goalId)} ${deliveries[delivery]}${waiting}.`
    )
  })

export interface BudgetArguments extends GoalArguments {
  readonly maxTurns: number
}

export const budget = ({ goal, json, maxTurns }: BudgetArguments) =>
  Effect.gen(function* () {
    const goalId = yield* named(goal)
    const inForce = yield* (yield* Goals).setMaxTurns(goalId, maxTurns)
    const kept = inForce > maxTurns ? `, which is more than ${maxTurns}: a limit is never lowered` : ""
    yield* answer(
      json,
      { goal_id: goalId, max_turns: inForce },
      `The goal ${shortId(goalId)} may take ${plural(inForce, "turn")}${kept}.${yield* whenHeard}`
    )
  })

export const deliver = ({ goal, json }: GoalArguments) =>
  Effect.gen(function* () {
    const goalId = yield* named(goal)
    const summary = yield* (yield* Goals).deliver(goalId)
    yield* answer(json, { goal_id: goalId, summary }, printable(summary))
  })
