/**
 * The operator's service on the stores alone, for a command without a daemon. It
 * reads everything, answers questions, takes goals into the queue and cancels those
 * in it; what is asked of a goal that was begun is left for its driver, which may
 * be a `driver run` in another process. Nothing is worked on here.
 */
import type { GoalId } from "@driver/domain/Goal"
import { Approvals } from "@driver/permission/Approvals"
import { AccountLimits } from "@driver/runtime/AccountLimits"
import { type GoalRow, GoalStore } from "@driver/runtime/GoalStore"
import { DriverTrouble, Goals, NotPossible } from "@driver/runtime/Goals"
import type { Journal } from "@driver/runtime/Journal"
import { Leases } from "@driver/runtime/Leases"
import { next, shortId, Wait } from "@driver/runtime/Queue"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { GoalRunners } from "./GoalRunners.js"
import { cancelUnbegun } from "./internal/goalEnd.js"
import { dependenciesOf } from "./internal/goalRows.js"
import * as GoalsOver from "./internal/goalsOver.js"
import type { Hands } from "./internal/hands.js"
import { heldBackBy } from "./internal/heldBack.js"
import * as Insight from "./internal/insight.js"
import * as JournalFeed from "./internal/journalFeed.js"

/** With `GoalRunners` in its context it can also roll back and deliver; without, it says that it cannot. */
export const layer: Layer.Layer<Goals, never, AccountLimits | Approvals | GoalStore | Journal | Leases> = Layer.scoped(
  Goals,
  Effect.gen(function* () {
    const store = yield* GoalStore
    const accounts = yield* AccountLimits
    const leases = yield* Leases
    const runners = yield* Effect.serviceOption(GoalRunners)
    const services = yield* Effect.context<GoalStore | Journal | Leases>()

    /** As the queue would have it if a driver with places for all looked at it now. */
    const waits = (rows: ReadonlyArray<GoalRow>) =>
      Effect.gen(function* () {
        const waiting = new Map<GoalId, Wait>()
        for (const { goal, state } of rows) {
          if (state === "running" && (yield* leases.isFree(goal.id))) waiting.set(goal.id, Wait.Driver())
        }
        const queued = rows.filter(({ state }) => state === "queued")
        if (queued.length === 0) return waiting
        const commands = yield* store.commands(queued.map(({ goal }) => goal.id))
        const all = [...(yield* dependenciesOf(queued)).values(), ...queued]
        const decision = next(
          all,
          {
            here: new Set(),
            elsewhere: new Set(all.flatMap(({ goal, state }) => (state === "running" ? [goal.id] : []))),
            paused: heldBackBy(commands).paused,
            closed: new Map((yield* accounts.list).map(({ account, until }) => [account, until])),
            trouble: new Map()
          },
          { maxConcurrent: Number.POSITIVE_INFINITY, perRepository: 0 }
        )
        for (const [id, wait] of decision.waits) waiting.set(id, wait)
        for (const id of decision.begin) waiting.set(id, Wait.Driver())
        return waiting
      }).pipe(Effect.provide(services))

    const hands: Hands = {
      runner: () => Effect.succeedNone,
      atWork: Effect.succeed(new Map()),
      waits,
      runnerFor: (row) =>
        Option.match(runners, { onNone: () => withoutDaemon(row), onSome: ({ forRow }) => forRow(row) }),
      hold: leases.hold,
      check: (row) => Option.match(runners, { onNone: () => Effect.void, onSome: ({ check }) => check(row) }),
      cancelQueued: (goalId) =>
        cancelUnbegun(goalId).pipe(
          // Whoever has it is told.
          Effect.catchTag("GoalHeld", () => Effect.succeed(false)),
          Effect.mapError(({ message }) => new DriverTrouble({ detail: message })),
          Effect.provide(services)
        ),
      settled: () => Effect.void
    }
    return yield* GoalsOver.make({
      store,
      approvals: yield* Approvals,
      hands,
      insight: yield* Insight.make(hands),
      feed: yield* JournalFeed.make()
    })
  })
)

const withoutDaemon = (row: GoalRow) =>
  new NotPossible({
    goalId: row.goal.id,
    detail: `This needs the configuration of ${row.repository}, and no daemon is running: start \`driver serve\`, or do it there with \`driver worktrees\` and \`driver rollback ${shortId(row.goal.id)}\``
  })
