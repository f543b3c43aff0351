/**
 * The operator's service where goals are worked on: in the daemon. What is asked of
 * a goal that is at work here takes effect at once; of one in the queue, when the
 * queue is looked at, which is at once too.
 */
import { Approvals } from "@driver/permission/Approvals"
import type { AccountLimits } from "@driver/runtime/AccountLimits"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Goals } from "@driver/runtime/Goals"
import type { Journal } from "@driver/runtime/Journal"
import { Leases } from "@driver/runtime/Leases"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Dispatcher } from "./Dispatcher.js"
import { GoalRunners } from "./GoalRunners.js"
import * as GoalsOver from "./internal/goalsOver.js"
import type { Hands } from "./internal/hands.js"
import * as Insight from "./internal/insight.js"
import * as JournalFeed from "./internal/journalFeed.js"

export const layer: Layer.Layer<
  Goals,
  never,
  AccountLimits | Approvals | Dispatcher | GoalRunners | GoalStore | Journal | Leases
> = Layer.scoped(
  Goals,
  Effect.gen(function* () {
    const dispatcher = yield* Dispatcher
    const runners = yield* GoalRunners
    const leases = yield* Leases
    const hands: Hands = {
      runner: dispatcher.runner,
      atWork: dispatcher.atWork,
      waits: () => dispatcher.waits,
      runnerFor: runners.forRow,
      hold: leases.hold,
      check: runners.check,
      cancelQueued: dispatcher.cancelQueued,
      settled: dispatcher.settled
    }
    return yield* GoalsOver.make({
      store: yield* GoalStore,
      approvals: yield* Approvals,
      hands,
      insight: yield* Insight.make(hands),
      feed: yield* JournalFeed.make()
    })
  })
)
