/** `GoalLoop`'s state `Sleeping`: until a moment, until the operator wakes the goal, or until its account is open again. */
import { GoalSleeping } from "@driver/domain/DriverEvent"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import { AccountLimits } from "../AccountLimits.js"
import * as GoalControl from "../GoalControl.js"
import type { GoalRun } from "../GoalRun.js"
import type { JournalError } from "../Journal.js"
import { SleepBegun, SleepEnded } from "../LoopEntry.js"
import type { LoopState, Phase } from "../LoopState.js"

export interface Sleep {
  /** Milliseconds since the epoch. */
  readonly until: number
  readonly reason: string
  readonly tick: boolean
  readonly parked: boolean
}

/** When the account is closed: until when, and why. A store that fails closes nothing. */
export const accountClosed = (
  control: GoalControl.GoalControl
): Effect.Effect<Option.Option<Pick<Sleep, "until" | "reason">>, never, AccountLimits> =>
  Effect.gen(function* () {
    const limits = yield* AccountLimits
    const admission = yield* limits.admit(yield* Ref.get(control.account), control.goalId)
    return admission._tag === "Park"
      ? Option.some({ until: admission.until, reason: admission.reason })
      : Option.none<Pick<Sleep, "until" | "reason">>()
  }).pipe(
    Effect.catchAll((error) =>
      Effect.as(Effect.logWarning("Whether the account is open is unknown", error), Option.none())
    )
  )

export const fallAsleep = (run: GoalRun, state: LoopState, { parked, reason, tick, until }: Sleep) =>
  Effect.gen(function* () {
    const since = Math.floor(yield* Clock.currentTimeMillis)
    const duration = Duration.millis(Math.max(0, Math.ceil(until) - since))
    yield* run.control.journal.write(
      new SleepBegun({ since, until: Math.max(since, Math.ceil(until)), reason, tick, parked }),
      new GoalSleeping({ goalId: run.goal.id, turn: state.usage.turns, duration, reason })
    )
  })

/** Waits for what is left of the sleep. */
export const sleepingStep = (
  run: GoalRun,
  state: LoopState,
  { begun, duration, parked, reason, tick }: Extract<Phase, { _tag: "Sleeping" }>
): Effect.Effect<void, JournalError, AccountLimits> =>
  Effect.gen(function* () {
    const { control, settings } = run
    const now = yield* Clock.currentTimeMillis
    if (Option.isNone(begun)) {
      const until = now + Duration.toMillis(Duration.min(duration, settings.maxSleep))
      return yield* fallAsleep(run, state, { until, reason, tick, parked })
    }
    const { since, until } = begun.value
    // Messages cannot be delivered to an agent that must not be asked: they wait for it.
    const woken = parked ? GoalControl.wokenByCall(control) : GoalControl.woken(control)
    const rest = Effect.sleep(Duration.millis(Math.max(0, until - now)))
    yield* Effect.raceFirst(
      parked ? Effect.zipRight(rest, whenOpen(control)) : rest,
      // Whoever wakes a parked goal says that the limit is lifted: the agent is asked.
      parked ? Effect.zipRight(woken, Ref.set(run.forced, true)) : woken
    )
    const slept = Duration.millis(Math.max(0, Math.floor((yield* Clock.currentTimeMillis) - since)))
    yield* control.journal.write(new SleepEnded({ slept }))
  })

const whenOpen = (control: GoalControl.GoalControl): Effect.Effect<void, never, AccountLimits> =>
  Effect.gen(function* () {
    const closed = yield* accountClosed(control)
    if (Option.isNone(closed)) return
    const now = yield* Clock.currentTimeMillis
    yield* Effect.sleep(Duration.millis(Math.max(1, closed.value.until - now)))
    yield* whenOpen(control)
  })
