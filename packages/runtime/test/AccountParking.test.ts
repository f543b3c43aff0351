// Goals of one account meet its usage limit: all of them park, one asks first when it resets, and nobody is charged.
import { awaitsSteer, ended, failed, hangs, ScriptedAgentLog } from "@driver/agent/AgentScripted"
import { GoalId } from "@driver/domain/Goal"
import { TokenUsage } from "@driver/domain/Usage"
import { AccountLimits } from "@driver/runtime/AccountLimits"
import { Driver } from "@driver/runtime/Driver"
import { foldAll } from "@driver/runtime/GoalFold"
import { Journal } from "@driver/runtime/Journal"
import { verify } from "@driver/runtime/Recovery"
import { ReplayDecision } from "@driver/runtime/ReplayPolicy"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option, TestClock } from "effect"
import { goalId, goalWith, publishedTags, TestDriver } from "./support/world.js"

const ids = [1, 2, 3, 4].map((n) => GoalId.make(`${n}${n}${n}${n}${n}${n}${n}${n}-1111-4111-8111-111111111111`))
const asked = Effect.flatMap(ScriptedAgentLog, (log) => Effect.map(log.current, (it) => it.prompts.length))
const limit = failed({ class: "usage_limit" })
const untilReset = () => ReplayDecision.Sleep({ duration: Duration.hours(1), reason: "usage limit" })
const someTokens = new TokenUsage({ input: 1, output: 1, cacheRead: 0, cacheCreation: 0 })
const stateOf = (id: GoalId) => Effect.flatMap(Journal, (journal) => Effect.map(journal.read(id), foldAll))

describe("goals of one account", () => {
  it.effect("ask once per window, and go on together when the probe went through", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const [first, ...others] = ids.map((id) => goalWith({ id }))
      if (first === undefined) return
      const handles = [yield* driver.spawn(first, { account: "team" })]
      yield* TestClock.adjust("1 second")
      for (const goal of others) handles.push(yield* driver.spawn(goal, { account: "team" }))
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual(yield* asked, 1)
      // The second window: one probe, which meets the limit again.
      yield* TestClock.adjust("45 minutes")
      assert.strictEqual(yield* asked, 2)
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual(yield* asked, 2)
      for (const { goalId } of handles) {
        const { loop } = yield* stateOf(goalId)
        assert.strictEqual(loop.usage.turns, 0)
        assert.deepStrictEqual(loop.usage.wallTime, Duration.zero)
      }
      // The third: the probe goes through, and all are done.
      yield* TestClock.adjust("1 hour")
      for (const handle of handles) assert.strictEqual((yield* handle.await).outcome._tag, "Done")
      assert.strictEqual(yield* asked, 2 + ids.length)
      for (const id of ids) {
        const journal = yield* Journal
        assert.deepStrictEqual(verify(yield* journal.read(id)).violations, [])
      }
    }).pipe(Effect.provide(TestDriver({ script: [[limit], [limit], ...ids.map(() => [ended()])], replay: untilReset })))
  )

  it.effect("know of a limit that one of them ended for, and not that the account is open", () =>
    Effect.gen(function* () {
      const limits = yield* AccountLimits
      const driver = yield* Driver
      const outcome = yield* driver.run(goalWith(), { account: "team" })
      assert.strictEqual(
        outcome.outcome._tag === "Escalate" && Option.getOrNull(outcome.outcome.failure),
        "usage_limit"
      )
      const known = [["team", 3_600_000]]
      assert.deepStrictEqual(
        (yield* limits.list).map(({ account, until }) => [account, until]),
        known
      )
      // One that says nothing of when it resets closes nothing.
      yield* driver.run(goalWith({ id: ids[1] ?? goalId }), { account: "other" })
      assert.deepStrictEqual(
        (yield* limits.list).map(({ account, until }) => [account, until]),
        known
      )
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [
            [failed({ class: "usage_limit", resetsAt: Option.some(3_600_000) }, { usage: someTokens })],
            [failed({ class: "usage_limit" }, { usage: someTokens })]
          ],
          replay: () => ReplayDecision.Escalate({ reason: "limit", because: "usage_limit" })
        })
      )
    )
  )

  it.effect("do not wait for another account's limit", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const [first, second] = ids
      if (first === undefined || second === undefined) return
      const parked = yield* driver.spawn(goalWith({ id: first }), { account: "team" })
      yield* TestClock.adjust("1 second")
      const other = yield* driver.run(goalWith({ id: second }), { account: "mine" })
      assert.strictEqual(other.outcome._tag, "Done")
      yield* parked.cancel
    }).pipe(Effect.provide(TestDriver({ script: [[limit], [ended()]], replay: untilReset })))
  )

  it.effect("park for what is left of a limit that was met before this driver", () =>
    Effect.gen(function* () {
      const limits = yield* AccountLimits
      yield* limits.limited("default", Duration.toMillis("20 minutes"), "usage limit")
      const driver = yield* Driver
      const handle = yield* driver.spawn(goalWith())
      yield* TestClock.adjust("19 minutes")
      assert.strictEqual(yield* asked, 0)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* handle.await).outcome._tag, "Done")
    }).pipe(Effect.provide(TestDriver({ script: [[ended()]] })))
  )

  it.effect("ask all the same, once, when the operator wakes one", () =>
    Effect.gen(function* () {
      const limits = yield* AccountLimits
      yield* limits.limited("default", Duration.toMillis("20 minutes"), "usage limit")
      const driver = yield* Driver
      const handle = yield* driver.spawn(goalWith())
      yield* TestClock.adjust("1 minute")
      // A message waits for the agent, which must not be asked.
      yield* driver.interrupt(goalId, "hurry")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* asked, 0)
      yield* driver.wake(goalId)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* handle.await).outcome._tag, "Done")
    }).pipe(Effect.provide(TestDriver({ script: [[ended()]] })))
  )
})

describe("redirect", () => {
  it.effect("ends the running turn, and has the message first in the next prompt", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const handle = yield* driver.spawn(goalWith())
      yield* Effect.flatMap(ScriptedAgentLog, (log) => log.until((it) => it.prompts.length >= 1))
      assert.strictEqual(yield* driver.redirect(goalId, "do it in Rust"), "redirected")
      yield* TestClock.adjust("1 second")
      const outcome = yield* handle.await
      assert.strictEqual(outcome.outcome._tag, "Done")
      assert.strictEqual(outcome.usage.consecutiveErrors, 0)
      const { prompts } = yield* Effect.flatMap(ScriptedAgentLog, (log) => log.current)
      assert.match(prompts[1]?.prompt ?? "", /^\[OPERATOR INTERRUPT\]\ndo it in Rust\n/)
      assert.include(prompts[1]?.prompt ?? "", "The operator ended the previous turn")
      assert.strictEqual((yield* publishedTags).filter((it) => it === "AttemptCompleted").length, 2)
    }).pipe(Effect.provide(TestDriver({ script: [[hangs], [ended()]] })))
  )

  it.effect("queues the message between turns", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      yield* driver.preRegister(goalId)
      yield* driver.pause(goalId)
      yield* driver.spawn(goalWith())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* driver.redirect(goalId, "do it in Rust"), "queued")
      yield* driver.cancel(goalId)
    }).pipe(Effect.provide(TestDriver({ script: [[awaitsSteer]] })))
  )
})
