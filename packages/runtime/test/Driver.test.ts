import { AgentExited } from "@driver/agent/Agent"
import { awaitsSteer, ended, fails, hangs, ScriptedAgentLog, said } from "@driver/agent/AgentScripted"
import { Budget } from "@driver/domain/Goal"
import { BudgetExhausted, Cancelled, Done } from "@driver/domain/Outcome"
import { Driver, GoalAlreadyRunning, type NoSuchGoal } from "@driver/runtime/Driver"
import { RecordedEvents } from "@driver/runtime/EventSink"
import type { JournalError } from "@driver/runtime/Journal"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, Scope, TestClock } from "effect"
import { goalId, goalWith, otherGoalId, publishedTags, TestDriver } from "./support/world.js"

const untilPrompts = (count: number) =>
  Effect.flatMap(ScriptedAgentLog, (log) => log.until((it) => it.prompts.length >= count))
const started = Effect.flatMap(RecordedEvents, (recorded) =>
  recorded.waitFor(({ event }) => event._tag === "AttemptStarted")
)
const tick = TestClock.adjust("1 second")

describe("Driver", () => {
  it.effect("answers spawn at once and gives the outcome later, even after the goal is forgotten", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const handle = yield* driver.spawn(goalWith())
      assert.strictEqual((yield* driver.list).length, 1)
      yield* tick
      assert.deepStrictEqual((yield* handle.await).outcome, new Done({}))
      assert.deepStrictEqual(yield* driver.list, [])
      assert.deepStrictEqual((yield* handle.await).outcome, new Done({}))
      yield* handle.cancel
    }).pipe(Effect.provide(TestDriver({ script: [[["1 second", ended()]]] })))
  )

  it.effect("refuses a second goal with the same id, and takes it when the first has ended", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const first = yield* driver.spawn(goalWith())
      assert.instanceOf(yield* Effect.flip(driver.spawn(goalWith())), GoalAlreadyRunning)
      assert.instanceOf(yield* Effect.flip(driver.run(goalWith())), GoalAlreadyRunning)
      yield* untilPrompts(1)
      yield* first.cancel
      const second = yield* driver.run(goalWith())
      assert.deepStrictEqual(second.outcome, new Done({}))
    }).pipe(Effect.provide(TestDriver({ script: [[hangs], [ended()]] })))
  )

  it.effect("refuses one of two that are started at the same moment", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const exits = yield* Effect.all([Effect.exit(driver.spawn(goalWith())), Effect.exit(driver.spawn(goalWith()))], {
        concurrency: 2
      })
      assert.deepStrictEqual(exits.filter(Exit.isSuccess).length, 1)
    }).pipe(Effect.provide(TestDriver({ script: [[hangs]] })))
  )

  it.effect("says of an unknown goal that there is none", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const calls: ReadonlyArray<Effect.Effect<unknown, NoSuchGoal | JournalError>> = [
        driver.await(goalId),
        driver.cancel(goalId),
        driver.pause(goalId),
        driver.resume(goalId),
        driver.isPaused(goalId),
        driver.interrupt(goalId, "x"),
        driver.steer(goalId, "x"),
        driver.setMaxTurns(goalId, 3),
        driver.wake(goalId)
      ]
      const errors = yield* Effect.forEach(calls, Effect.flip)
      assert.deepStrictEqual(
        errors.map((it) => [it._tag, "goalId" in it ? it.goalId : ""]),
        calls.map(() => ["NoSuchGoal", goalId])
      )
    }).pipe(Effect.provide(TestDriver({})))
  )

  it.effect("honours a pause from before the start", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      yield* driver.preRegister(goalId)
      yield* driver.pause(goalId)
      const handle = yield* driver.spawn(goalWith())
      yield* TestClock.adjust("1 hour")
      assert.notInclude(yield* publishedTags, "AttemptStarted")
      assert.isTrue(yield* driver.isPaused(goalId))
      yield* driver.resume(goalId)
      assert.deepStrictEqual((yield* handle.await).outcome, new Done({}))
    }).pipe(Effect.provide(TestDriver({ script: [[ended()]] })))
  )

  it.effect("honours a cancel from before the start: the goal has its outcome and both its events", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      yield* driver.preRegister(goalId)
      yield* driver.cancel(goalId)
      const handle = yield* driver.spawn(goalWith())
      assert.deepStrictEqual((yield* handle.await).outcome, new Cancelled({}))
      assert.deepStrictEqual(yield* publishedTags, ["GoalStarted", "GoalCompleted"])
      assert.deepStrictEqual(yield* driver.list, [])
    }).pipe(Effect.provide(TestDriver({})))
  )

  it.effect("lets cancel win over pause", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      yield* driver.preRegister(goalId)
      yield* driver.pause(goalId)
      const handle = yield* driver.spawn(goalWith())
      yield* tick
      yield* driver.cancel(goalId)
      assert.deepStrictEqual((yield* handle.await).outcome, new Cancelled({}))
    }).pipe(Effect.provide(TestDriver({})))
  )

  it.effect("pause lets the turn in flight end and holds the next one", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const handle = yield* driver.spawn(goalWith())
      yield* untilPrompts(1)
      yield* driver.pause(goalId)
      yield* driver.pause(goalId)
      yield* TestClock.adjust("1 hour")
      const tags = yield* publishedTags
      assert.deepStrictEqual(tags.filter((it) => it === "AttemptCompleted").length, 1)
      assert.deepStrictEqual(tags.filter((it) => it === "GoalPaused").length, 1)
      assert.deepStrictEqual(tags.filter((it) => it === "AttemptStarted").length, 1)
      yield* driver.resume(goalId)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual((yield* handle.await).outcome, new Done({}))
    }).pipe(
      Effect.provide(TestDriver({ script: [[["1 minute", ended()]], [["1 minute", ended()]]], verdicts: ["no", true] }))
    )
  )

  it.effect("queues messages in order for the next prompt", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const handle = yield* driver.spawn(goalWith())
      yield* untilPrompts(1)
      assert.strictEqual(yield* driver.interrupt(goalId, "first"), 1)
      assert.strictEqual(yield* driver.interrupt(goalId, "second"), 2)
      yield* TestClock.adjust("1 minute")
      const { prompts } = yield* untilPrompts(2)
      assert.isTrue(prompts[1]?.prompt.startsWith("[OPERATOR INTERRUPT]\nfirst\nsecond\n[END OPERATOR INTERRUPT]"))
      yield* handle.cancel
    }).pipe(Effect.provide(TestDriver({ script: [[["1 minute", ended()]], [hangs]], verdicts: ["no"] })))
  )

  it.effect("steers the running turn, and queues where the agent cannot be steered", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const handle = yield* driver.spawn(goalWith())
      yield* untilPrompts(1)
      assert.strictEqual(yield* driver.steer(goalId, "left"), "steered")
      yield* tick
      assert.deepStrictEqual((yield* handle.await).outcome, new Done({}))
    }).pipe(Effect.provide(TestDriver({ script: [[awaitsSteer, said("ok"), ["1 second", ended()]]] })))
  )

  it.effect("says a message again that was steered into a turn that came to nothing", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const handle = yield* driver.spawn(goalWith())
      yield* untilPrompts(1)
      assert.strictEqual(yield* driver.steer(goalId, "left"), "steered")
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual((yield* handle.await).outcome, new Done({}))
      const { prompts } = yield* Effect.flatMap(ScriptedAgentLog, (log) => log.current)
      // Whether the agent had got it before it died, nobody knows; the turn after that need not say it.
      assert.deepStrictEqual(
        prompts.map(({ prompt }) => prompt.includes("[OPERATOR INTERRUPT]\nleft\n[END OPERATOR INTERRUPT]")),
        [false, true, false]
      )
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [
            [awaitsSteer, fails(new AgentExited({ exit: "signal SIGKILL", stderrTail: "" }))],
            [ended()],
            [ended()]
          ],
          verdicts: ["no"]
        })
      )
    )
  )

  it.effect("queues a steer when the agent does not take it", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const handle = yield* driver.spawn(goalWith())
      yield* untilPrompts(1)
      assert.strictEqual(yield* driver.steer(goalId, "left"), "queued")
      yield* handle.cancel
    }).pipe(Effect.provide(TestDriver({ script: [[hangs]], agent: { steerable: false } })))
  )

  it.effect("raises the limit on turns and never lowers it", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const handle = yield* driver.spawn(goalWith({ budget: new Budget({ maxTurns: 1 }) }))
      yield* untilPrompts(1)
      assert.strictEqual(yield* driver.setMaxTurns(goalId, 2), 2)
      assert.strictEqual(yield* driver.setMaxTurns(goalId, 1), 2)
      yield* TestClock.adjust("1 hour")
      const outcome = yield* handle.await
      assert.deepStrictEqual([outcome.outcome, outcome.totalTurns], [new BudgetExhausted({ axis: "turns" }), 2])
    }).pipe(
      Effect.provide(TestDriver({ script: [[["1 minute", ended()]], [["1 minute", ended()]]], verdicts: ["no", "no"] }))
    )
  )

  it.effect("wakes a sleeping goal by call and by message", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const sleeping = Effect.flatMap(RecordedEvents, (recorded) =>
        recorded.waitUntil((all) => all.filter(({ event }) => event._tag === "GoalSleeping").length === 1)
      )
      const handle = yield* driver.spawn(goalWith())
      yield* sleeping
      yield* tick
      yield* driver.wake(goalId)
      yield* untilPrompts(2)
      yield* Effect.flatMap(RecordedEvents, (recorded) =>
        recorded.waitUntil((all) => all.filter(({ event }) => event._tag === "GoalSleeping").length === 2)
      )
      yield* tick
      yield* driver.interrupt(goalId, "look")
      const { prompts } = yield* untilPrompts(3)
      assert.include(prompts[2]?.prompt ?? "", "look")
      assert.include(prompts[2]?.prompt ?? "", "You slept for 1s")
      assert.deepStrictEqual((yield* handle.await).outcome, new Done({}))
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[ended({ text: sleepFor(3_600_000) })], [ended({ text: sleepFor(3_600_000) })], [ended()]]
        })
      )
    )
  )

  it.effect("cancels the goal when whoever runs it is interrupted, and not when a waiter is", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const running = yield* Effect.fork(driver.run(goalWith()))
      yield* started
      const waiter = yield* Effect.fork(driver.await(goalId))
      yield* Fiber.interrupt(waiter)
      assert.strictEqual((yield* driver.list).length, 1)
      yield* Fiber.interrupt(running)
      assert.deepStrictEqual(yield* driver.list, [])
      assert.strictEqual((yield* publishedTags).at(-1), "GoalCompleted")
    }).pipe(Effect.provide(TestDriver({ script: [[hangs]] })))
  )

  it.effect("cancels every goal when its scope closes, and each one has its last event", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(TestDriver({ script: () => [[hangs]] }), scope)
      const handles = yield* Effect.gen(function* () {
        const driver = yield* Driver
        const first = yield* driver.spawn(goalWith())
        const second = yield* driver.spawn(goalWith({ id: otherGoalId }))
        yield* untilPrompts(2)
        return [first, second]
      }).pipe(Effect.provide(context))
      yield* Scope.close(scope, Exit.void)
      const outcomes = yield* Effect.forEach(handles, (it) => it.await)
      assert.deepStrictEqual(
        outcomes.map((it) => it.outcome),
        [new Cancelled({}), new Cancelled({})]
      )
      const tags = yield* Effect.provide(publishedTags, context)
      assert.strictEqual(tags.filter((it) => it === "GoalCompleted").length, 2)
    })
  )

  it.effect("lists what each goal is doing and what it has used", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      yield* driver.preRegister(otherGoalId)
      yield* driver.interrupt(otherGoalId, "later")
      const handle = yield* driver.spawn(goalWith())
      yield* untilPrompts(1)
      yield* driver.setMaxTurns(goalId, 30)
      const list = yield* driver.list
      const shown = list.map((it) => [it.goalId, Option.isSome(it.goal), it.queued, it.maxTurns, it.progress.phase])
      assert.deepStrictEqual(
        new Set(shown.map(String)),
        new Set([`${goalId},true,0,30,Working`, `${otherGoalId},false,1,0,Registered`])
      )
      yield* handle.cancel
    }).pipe(Effect.provide(TestDriver({ script: [[hangs]] })))
  )
})

const sleepFor = (millis: number) => JSON.stringify({ __driver_sleep__: true, duration_ms: millis, reason: "CI" })
