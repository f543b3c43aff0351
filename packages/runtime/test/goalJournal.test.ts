import { GoalCompleted, GoalPaused, GoalStarted } from "@driver/domain/DriverEvent"
import { Done, GoalOutcome } from "@driver/domain/Outcome"
import * as Redactor from "@driver/domain/Redactor"
import { Usage } from "@driver/domain/Usage"
import { EventSink, RecordedEvents } from "@driver/runtime/EventSink"
import { foldAll } from "@driver/runtime/GoalFold"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Journal } from "@driver/runtime/Journal"
import * as JournalMemory from "@driver/runtime/JournalMemory"
import { CommandHandled, RunStarted } from "@driver/runtime/LoopEntry"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Option } from "effect"
import * as GoalJournal from "../src/internal/goalJournal.js"
import { goalId, goalWith } from "./support/world.js"

const goal = goalWith()
const completed = new GoalCompleted({
  goalId,
  outcome: new GoalOutcome({
    goalId,
    outcome: new Done({}),
    totalTurns: 1,
    usage: Usage.zero,
    elapsed: Duration.zero
  })
})

const Stores = Layer.merge(JournalMemory.layer(), EventSink.layerMemory)

/** The journal of the goal, taken up by one more driver. */
const opened = Effect.gen(function* () {
  const [journal, sink, store] = [yield* Journal, yield* EventSink, yield* GoalStore]
  const holder = yield* store.holder(goalId)
  const lease = Option.getOrThrow(yield* store.acquire(goalId, "a driver", holder))
  const own = yield* GoalJournal.make({ goalId, journal, sink, redactor: Redactor.make([]) })
  const before = foldAll(yield* journal.read(goalId))
  const started = new RunStarted({ goal, driver: "a driver", continued: false })
  yield* own.open(lease, before, started, new GoalStarted({ goalId, goal }))
  return own
})

const written = Effect.flatMap(Journal, (journal) =>
  Effect.map(journal.read(goalId), (records) => records.map(({ entry }) => entry._tag))
)

describe("the journal of a goal", () => {
  it.scoped("has nothing after the goal's end but that a command was handled, until the goal is begun anew", () =>
    Effect.gen(function* () {
      const own = yield* opened
      yield* own.write(completed)
      // An operator who comes as the goal ends.
      yield* own.write(new GoalPaused({ goalId }), new CommandHandled({ commandId: "c1" }))
      yield* own.note(new GoalPaused({ goalId }))
      const first = ["RunStarted", "GoalStarted", "GoalCompleted", "CommandHandled"]
      assert.deepStrictEqual(yield* written, first)
      const { all } = yield* RecordedEvents
      assert.deepStrictEqual(
        (yield* all).map(({ event }) => event._tag),
        ["GoalStarted", "GoalCompleted"]
      )
      const again = yield* opened
      yield* again.write(new GoalPaused({ goalId }))
      assert.deepStrictEqual(yield* written, [...first, "RunStarted", "GoalStarted", "GoalPaused"])
    }).pipe(Effect.provide(Stores))
  )
})
