import { GoalId } from "@driver/domain/Goal"
import * as CommandPoller from "@driver/runtime/CommandPoller"
import { Cancel, GoalStore, Pause, type PendingCommand, Resume, Wake } from "@driver/runtime/GoalStore"
import * as JournalMemory from "@driver/runtime/JournalMemory"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Ref, TestClock } from "effect"

const one = GoalId.make("11111111-1111-4111-8111-111111111111")
const two = GoalId.make("22222222-2222-4222-8222-222222222222")

describe("CommandPoller", () => {
  it.scoped("carries out what is asked of the goals here, in order per goal, and takes it out of the store", () =>
    Effect.gen(function* () {
      const store = yield* GoalStore
      const done = yield* Ref.make<ReadonlyArray<string>>([])
      const slow = yield* Effect.makeLatch(false)
      const handle = ({ command, goalId }: PendingCommand) =>
        Effect.zipRight(
          goalId === one ? slow.await : Effect.void,
          Ref.update(done, (all) => [...all, `${goalId.slice(0, 1)} ${command._tag}`])
        )
      const here = yield* Ref.make<ReadonlyArray<GoalId>>([])
      yield* CommandPoller.poll({ goals: Ref.get(here), handle })
      yield* TestClock.adjust("1 second")
      yield* store.command(one, new Pause())
      yield* store.command(two, new Wake())
      yield* store.command(one, new Resume())
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Ref.get(done), [])

      yield* Ref.set(here, [one, two])
      yield* TestClock.adjust("1 second")
      // One that takes its time does not keep the other waiting.
      assert.deepStrictEqual(yield* Ref.get(done), ["2 Wake"])
      yield* store.command(one, new Cancel())
      yield* slow.open
      yield* TestClock.adjust("10 millis")
      assert.deepStrictEqual(yield* Ref.get(done), ["2 Wake", "1 Pause", "1 Resume", "1 Cancel"])
      assert.deepStrictEqual(yield* store.commands([one, two]), [])
    }).pipe(Effect.provide(JournalMemory.layer()))
  )

  it.scoped("tries again what could not be done, and does not go on to what follows it before", () =>
    Effect.gen(function* () {
      const store = yield* GoalStore
      const tried = yield* Ref.make<ReadonlyArray<string>>([])
      const handle = ({ command }: PendingCommand) =>
        Effect.flatMap(
          Ref.updateAndGet(tried, (all) => [...all, command._tag]),
          (all) => (all.length < 3 ? Effect.fail({ message: "the disk is full" }) : Effect.void)
        )
      yield* CommandPoller.poll({ goals: Effect.succeed([one]), handle })
      yield* store.command(one, new Pause())
      yield* store.command(one, new Resume())
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* Ref.get(tried), ["Pause", "Pause", "Pause", "Resume"])
      assert.deepStrictEqual(yield* store.commands([one]), [])
    }).pipe(Effect.provide(JournalMemory.layer()))
  )
})
