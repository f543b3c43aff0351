// A driver that dies at each place of the journal is followed by one that goes on there: the real loop and driver on
// stores that outlive them.
import { AgentEvent } from "@driver/agent/Agent"
import { type AgentScript, asks, ended, layerScripted, runs, ScriptedAgentLog, said } from "@driver/agent/AgentScripted"
import { TokenUsage, Usage } from "@driver/domain/Usage"
import { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { Acceptance } from "@driver/runtime/Acceptance"
import { Driver } from "@driver/runtime/Driver"
import { empty, foldAll, usageSoFar } from "@driver/runtime/GoalFold"
import { GoalLoop } from "@driver/runtime/GoalLoop"
import { GoalStore, type Holder, Pause } from "@driver/runtime/GoalStore"
import { Journal, JournalRecord } from "@driver/runtime/Journal"
import * as JournalMemory from "@driver/runtime/JournalMemory"
import { LeaseLapsed, Leases } from "@driver/runtime/Leases"
import { cutOffNotice, saidAgainNotice } from "@driver/runtime/Prompt"
import { verify } from "@driver/runtime/Recovery"
import { ReplayPolicy } from "@driver/runtime/ReplayPolicy"
import { StoreError } from "@driver/runtime/StoreError"
import { assert, describe, it } from "@effect/vitest"
import { Context, DateTime, Duration, Effect, Fiber, Layer, Option, Ref, Schema, TestClock } from "effect"
import { goalId, goalWith, services } from "./support/world.js"

const tokens = new TokenUsage({ input: 10, output: 5, cacheRead: 0, cacheCreation: 0 })

/** What the agent does follows from the turn's number only: a turn that is done again does the same. */
const script = (work: Ref.Ref<number>): AgentScript =>
  Array.from({ length: 50 }, () => ({ turn }: { readonly turn: number }) => [
    said("working"),
    asks("Write", { file_path: "a" }),
    AgentEvent.Metered({ tokens, contextTokens: Option.some(900) }),
    // What is noted is written meanwhile.
    runs(() => Effect.sleep("1 second")),
    runs(() => Ref.update(work, (done) => Math.max(done, turn))),
    ended({ contextTokens: turn === 1 ? 900 : 10 })
  ])

const compactions = Array.from({ length: 50 }, () => [
  AgentEvent.Compacted({
    trigger: "manual" as const,
    result: {
      succeeded: true,
      summary: Option.some("so far"),
      before: Option.none(),
      after: Option.some(10),
      error: Option.none()
    }
  }),
  ended()
])

/** Accepted from the second turn on. */
const acceptance = (work: Ref.Ref<number>) =>
  Layer.succeed(Acceptance, {
    evaluate: () =>
      Effect.gen(function* () {
        const met = (yield* Ref.get(work)) >= 2
        const result = new CriterionResult({
          index: 0,
          criterion: "done",
          passed: met,
          message: met ? "passed" : "not yet",
          evidence: Option.none(),
          elapsed: Duration.zero
        })
        return new AcceptanceVerdict({
          met,
          results: [result],
          evaluatedAt: yield* DateTime.now,
          elapsed: Duration.zero
        })
      })
  })

/** What outlives a driver, and a journal that refuses every append after the first `healthy` ones of this life. */
const worldOf = (script: (work: Ref.Ref<number>) => AgentScript) =>
  Effect.gen(function* () {
    const work = yield* Ref.make(0)
    const left = yield* Ref.make(Number.POSITIVE_INFINITY)
    /** The database is away, or full: worth another try. */
    const away = yield* Ref.make(false)
    const stores = yield* Layer.build(
      Layer.provideMerge(Leases.layer({ owner: "test", heartbeatEvery: Duration.days(30) }), JournalMemory.layer())
    )
    const base = yield* Layer.build(
      services({
        compact: ({ contextTokens }) =>
          Option.exists(contextTokens, (used) => used >= 700)
            ? Option.some({ reason: "token_pressure", focus: "x" } as const)
            : Option.none()
      })
    )
    const agent = yield* Layer.build(layerScripted(script(work), { compactions }))
    const journal = Context.get(stores, Journal)
    const mortal: Journal["Type"] = {
      ...journal,
      append: (records) =>
        Effect.flatMap(Effect.all([Ref.updateAndGet(left, (it) => it - 1), Ref.get(away)]), ([it, isAway]) =>
          isAway
            ? new StoreError({ operation: "Journal.append", detail: "the disk is full", retryable: true })
            : it < 0
              ? new StoreError({ operation: "Journal.append", detail: "the driver is dead", retryable: false })
              : journal.append(records)
        )
    }
    const everything = Context.merge(base, stores).pipe(
      Context.merge(agent),
      Context.merge(yield* Layer.build(acceptance(work))),
      Context.merge(yield* Layer.build(ReplayPolicy.layer())),
      Context.add(Journal, mortal)
    )
    /** One life of a driver: all its fibers end with it. */
    const live = <A, E>(
      healthy: number,
      use: Effect.Effect<A, E, Driver | Journal>,
      leases = Context.get(stores, Leases)
    ) =>
      Effect.zipRight(
        Ref.set(left, healthy),
        use.pipe(
          Effect.provide(Layer.provideMerge(Driver.layerSuspending, GoalLoop.layer())),
          Effect.provide(Context.add(everything, Leases, leases))
        )
      )
    const log = Context.get(agent, ScriptedAgentLog)
    return {
      away,
      leases: Context.get(stores, Leases),
      live,
      journal,
      store: Context.get(stores, GoalStore),
      log,
      work
    }
  })

const world = worldOf(script)

const runGoal = Effect.gen(function* () {
  const driver = yield* Driver
  const fiber = yield* Effect.fork(driver.run(goalWith()))
  yield* TestClock.adjust("1 minute")
  return yield* Fiber.join(fiber)
})

/** Dies when the turn's end is to be written: what it metered is written before. */
const cutOff = ({ journal, live }: Pick<Effect.Effect.Success<typeof world>, "journal" | "live">) =>
  Effect.gen(function* () {
    assert.strictEqual((yield* live(3, runGoal)).outcome._tag, "Continue")
    const cut = foldAll(yield* journal.read(goalId))
    assert.strictEqual(cut.pending._tag, "Turn")
    assert.strictEqual(usageSoFar(cut).tokens.input, 10)
    return cut
  })

describe("a goal whose driver dies", () => {
  it.scoped("ends as it would have, wherever the journal breaks off", () =>
    Effect.gen(function* () {
      const whole = yield* Effect.gen(function* () {
        const { journal, live } = yield* world
        yield* live(Number.POSITIVE_INFINITY, runGoal)
        return yield* journal.read(goalId)
      })
      assert.isAbove(whole.length, 15)
      assert.deepStrictEqual(verify(whole).violations, [])

      let died = 0
      for (let healthy = 0; healthy < whole.length; healthy++) {
        const { journal, live, log } = yield* world
        const first = yield* live(healthy, runGoal)
        if (first.outcome._tag === "Done") break
        died++
        assert.strictEqual(first.outcome._tag, "Continue")
        const before = yield* journal.read(goalId)
        assert.notStrictEqual(foldAll(before).status, "ended")

        const outcome = yield* live(Number.POSITIVE_INFINITY, runGoal)
        const at = `after ${healthy} appends`
        assert.strictEqual(outcome.outcome._tag, "Done", at)
        assert.strictEqual(outcome.totalTurns, 2, at)
        const records = yield* journal.read(goalId)
        assert.deepStrictEqual(verify(records).violations, [], at)
        const count = (tag: string) => records.filter((it) => it.entry._tag === tag).length
        assert.strictEqual(count("GoalCompleted"), 1, at)
        assert.strictEqual(count("GoalStarted"), 1, at)
        assert.strictEqual(count("AttemptCompleted"), 2, at)
        assert.strictEqual(count("WorkDelivered"), 1, at)
        assert.strictEqual(count("GoalRecovered"), before.length === 0 ? 0 : 1, at)
        // Two turns of work, one of them perhaps again.
        const prompts = (yield* log.current).prompts.length
        assert.isAtMost(prompts, 3, at)
      }
      assert.isAbove(died, 5)
    })
  )

  it.scoped("sleeps for what is left when it was asleep", () =>
    Effect.gen(function* () {
      const { journal, live, log } = yield* worldOf((work) => [
        [ended({ text: `{"__driver_sleep__": true, "duration_ms": 3600000, "reason": "CI runs"}` })],
        [runs(() => Ref.set(work, 2)), ended()]
      ])
      const prompts = Effect.map(log.current, (it) => it.prompts.length)
      const spawned = Effect.flatMap(Driver, (driver) => driver.spawn(goalWith()))
      yield* live(Number.POSITIVE_INFINITY, Effect.zipRight(spawned, TestClock.adjust("20 minutes")))
      assert.strictEqual(foldAll(yield* journal.read(goalId)).loop.phase._tag, "Sleeping")
      yield* TestClock.adjust("10 minutes")
      yield* live(
        Number.POSITIVE_INFINITY,
        Effect.gen(function* () {
          const handle = yield* spawned
          yield* TestClock.adjust("29 minutes")
          assert.strictEqual(yield* prompts, 1)
          yield* TestClock.adjust("1 minute")
          assert.strictEqual((yield* handle.await).outcome._tag, "Done")
          assert.strictEqual(yield* prompts, 2)
        })
      )
      assert.deepStrictEqual(verify(yield* journal.read(goalId)).violations, [])
    })
  )

  it.scoped("goes on with the operator's pause, messages and limit", () =>
    Effect.gen(function* () {
      const { journal, live } = yield* world
      yield* live(
        Number.POSITIVE_INFINITY,
        Effect.gen(function* () {
          const driver = yield* Driver
          yield* driver.preRegister(goalId)
          yield* driver.pause(goalId)
          yield* driver.spawn(goalWith())
          yield* TestClock.adjust("1 second")
          yield* driver.interrupt(goalId, "be quick")
          yield* driver.setMaxTurns(goalId, 9)
        })
      )
      const state = foldAll(yield* journal.read(goalId))
      assert.strictEqual(state.status, "running")
      assert.isTrue(state.paused)
      assert.deepStrictEqual(
        state.messages.map((it) => it.text),
        ["be quick"]
      )
      yield* live(
        Number.POSITIVE_INFINITY,
        Effect.gen(function* () {
          const driver = yield* Driver
          const handle = yield* driver.spawn(goalWith())
          yield* TestClock.adjust("1 second")
          assert.isTrue(yield* driver.isPaused(goalId))
          assert.strictEqual(yield* driver.setMaxTurns(goalId, 1), 9)
          yield* driver.resume(goalId)
          yield* TestClock.adjust("1 minute")
          assert.strictEqual((yield* handle.await).outcome._tag, "Done")
        })
      )
      const records = yield* journal.read(goalId)
      assert.deepStrictEqual(verify(records).violations, [])
      const begun = records.flatMap(({ entry }) => (entry._tag === "TurnBegun" ? [entry.messageIds.length] : []))
      assert.deepStrictEqual(begun, [1, 0])
    })
  )

  it.scoped("is told that its turn was cut off, and is charged what was metered", () =>
    Effect.gen(function* () {
      const { journal, live, log } = yield* world
      yield* cutOff({ journal, live })
      yield* live(Number.POSITIVE_INFINITY, runGoal)
      const { prompts } = yield* log.current
      assert.include(prompts[1]?.prompt, "was cut off before it ended")
      const end = foldAll(yield* journal.read(goalId))
      // Its own two turns, and what the cut one is known to have used.
      assert.strictEqual(end.loop.usage.tokens.input, 10 * 3)
    })
  )

  it.scoped("is charged what a turn that was cut off used, also when it is cancelled before it goes on", () =>
    Effect.gen(function* () {
      const { journal, live } = yield* world
      const cut = yield* cutOff({ journal, live })
      assert.strictEqual(cut.loop.usage.tokens.input, 0)

      const outcome = yield* live(
        Number.POSITIVE_INFINITY,
        Effect.gen(function* () {
          const driver = yield* Driver
          yield* driver.preRegister(goalId)
          yield* driver.pause(goalId)
          const handle = yield* driver.spawn(goalWith())
          yield* TestClock.adjust("1 second")
          yield* driver.cancel(goalId)
          return yield* handle.await
        })
      )
      assert.strictEqual(outcome.outcome._tag, "Cancelled")
      assert.strictEqual(outcome.usage.tokens.input, 10)
      assert.isFalse(outcome.usage.costComplete)
    })
  )

  it("has what was told to a turn that was cut off said again, by whatever way it was told", () => {
    const messages = [
      { kind: "operator_message", goal_id: goalId, message: "queued", delivery: "queued", message_id: "1" },
      { kind: "operator_message", goal_id: goalId, message: "ridden", delivery: "queued", message_id: "2" },
      { kind: "turn_begun", turn: 1, message_ids: ["1"] },
      { kind: "operator_message", goal_id: goalId, message: "steered", delivery: "steered", message_id: "3" },
      { kind: "operator_message", goal_id: goalId, message: "ridden", delivery: "gate", message_id: "2" },
      { kind: "operator_message", goal_id: goalId, message: "waits", delivery: "queued", message_id: "4" }
    ]
    const cut = foldAll(
      [...messages, { kind: "turn_cut", usage: usageOnWire }].map((entry, at) => recordOf(at + 1, entry))
    )
    assert.deepStrictEqual(cut.loop.carry.messages, ["queued", "steered", "ridden"])
    assert.deepStrictEqual(cut.loop.carry.notices, [cutOffNotice, saidAgainNotice])
    assert.deepStrictEqual(
      cut.messages.map(({ text }) => text),
      ["waits"]
    )
    const silent = [messages[2], { kind: "turn_cut", usage: usageOnWire }].map((entry, at) => recordOf(at + 1, entry))
    assert.deepStrictEqual(foldAll(silent).loop.carry.notices, [cutOffNotice])
  })

  it.scoped("does what another process asked for once", () =>
    Effect.gen(function* () {
      const { journal, live } = yield* world
      yield* live(
        Number.POSITIVE_INFINITY,
        Effect.gen(function* () {
          const driver = yield* Driver
          yield* driver.preRegister(goalId)
          yield* driver.pause(goalId)
          yield* driver.spawn(goalWith())
          yield* TestClock.adjust("1 second")
          yield* driver.handle({ id: "c1", goalId, command: new Pause({}) })
          yield* driver.handle({ id: "c1", goalId, command: new Pause({}) })
        })
      )
      const handled = (yield* journal.read(goalId)).filter(({ entry }) => entry._tag === "CommandHandled")
      assert.strictEqual(handled.length, 1)
    })
  )

  it.scoped("stops where it is when its database stays away for a minute, and is gone on with", () =>
    Effect.gen(function* () {
      const { away, live, store } = yield* world
      const outcome = yield* live(
        Number.POSITIVE_INFINITY,
        Effect.gen(function* () {
          const driver = yield* Driver
          const { await: ended } = yield* driver.spawn(goalWith())
          yield* Ref.set(away, true)
          const fiber = yield* Effect.fork(ended)
          // Not waited for once more, for what it can do without.
          yield* TestClock.adjust("61 seconds")
          return yield* Effect.flatMap(Fiber.poll(fiber), Option.getOrThrow)
        })
      )
      assert.match(JSON.stringify(outcome.outcome), /Continue.*the disk is full.*goes on when it is resumed/)
      assert.deepStrictEqual(yield* store.holder(goalId), Option.none())
      yield* Ref.set(away, false)
      const { outcome: last } = yield* live(Number.POSITIVE_INFINITY, runGoal)
      assert.strictEqual(last._tag, "Done")
    })
  )

  it.scoped("is taken over at once from a driver that was watched until it could be taken for dead", () =>
    Effect.gen(function* () {
      const { live, store } = yield* world
      yield* store.acquire(goalId, "another", Option.none())
      const seen = Option.getOrThrow(yield* store.holder(goalId))
      const spawned = (dead: Holder) =>
        live(
          Number.POSITIVE_INFINITY,
          Effect.gen(function* () {
            const driver = yield* Driver
            const fiber = yield* Effect.fork(driver.spawn(goalWith(), { dead }))
            yield* TestClock.adjust("1 second")
            const done = yield* Fiber.poll(fiber)
            yield* Fiber.interrupt(fiber)
            return Option.isSome(done)
          })
        )
      // Its heart has beaten since.
      yield* store.heartbeat([{ goalId, epoch: 1 }])
      assert.isFalse(yield* spawned(seen))
      assert.isTrue(yield* spawned(Option.getOrThrow(yield* store.holder(goalId))))
    })
  )

  it.scoped("stops where it is when its lease cannot be kept, and is gone on with", () =>
    Effect.gen(function* () {
      const { journal, leases, live } = yield* world
      const lapsed = new LeaseLapsed({ goalId, patience: Duration.seconds(75), detail: "the disk is full" })
      const stopped = yield* live(Number.POSITIVE_INFINITY, runGoal, {
        ...leases,
        hold: (id, options) =>
          Effect.map(leases.hold(id, options), (held) => ({ ...held, lost: Effect.succeed(lapsed) }))
      })
      assert.deepInclude(stopped.outcome, { _tag: "Continue" })
      const written = yield* journal.read(goalId)
      assert.isFalse(written.some(({ entry }) => entry._tag === "GoalCompleted"))
      assert.strictEqual((yield* live(Number.POSITIVE_INFINITY, runGoal)).outcome._tag, "Done")
    })
  )

  it.scoped("is refused to a second driver as long as the first one lives", () =>
    Effect.gen(function* () {
      const { live, store } = yield* world
      yield* store.acquire(goalId, "another", Option.none())
      const exit = yield* live(
        Number.POSITIVE_INFINITY,
        Effect.gen(function* () {
          const driver = yield* Driver
          const fiber = yield* Effect.fork(Effect.either(driver.spawn(goalWith())))
          yield* TestClock.adjust("10 seconds")
          yield* store.heartbeat([{ goalId, epoch: 1 }])
          yield* TestClock.adjust("2 minutes")
          return yield* Fiber.join(fiber)
        })
      )
      assert.deepInclude(exit, { _tag: "Left" })
      // Its heartbeat stands still: the goal is taken over, and the first one's writes are refused.
      yield* live(
        Number.POSITIVE_INFINITY,
        Effect.gen(function* () {
          const running = yield* Effect.fork((yield* Driver).run(goalWith()))
          yield* TestClock.adjust("2 minutes")
          const outcome = yield* Fiber.join(running)
          assert.strictEqual(outcome.outcome._tag, "Done")
        })
      )
      const lost = yield* store.heartbeat([{ goalId, epoch: 1 }])
      assert.deepStrictEqual(
        lost.map((it) => it._tag),
        ["LeaseLost"]
      )
    })
  )
})

/** As it stands in a journal. */
const recordOf = (sequence: number, entry: unknown) =>
  Schema.decodeUnknownSync(JournalRecord)({
    goal_id: goalId,
    sequence,
    id: `${goalId}:x:${sequence}`,
    at: "2026-01-01T00:00:00.000Z",
    epoch: 1,
    entry
  })

const usageOnWire = Schema.encodeSync(Usage)(Usage.zero)

describe("verify", () => {
  const record = recordOf
  const goal = { id: goalId, description: "x" }
  const begun = record(1, { kind: "run_started", goal, driver: "d", continued: false })

  it("finds what no driver writes", () => {
    const of = (...entries: ReadonlyArray<unknown>) =>
      verify([begun, ...entries.map((entry, index) => record(index + 2, entry))]).violations.map((it) => it.detail)
    assert.deepStrictEqual(of(), [])
    assert.deepStrictEqual(of({ kind: "turn_begun", turn: 1, message_ids: [] }), [])
    assert.deepStrictEqual(of({ kind: "turn_begun", turn: 2, message_ids: [] }), ["turn 2 follows 0 turns"])
    assert.deepStrictEqual(of({ kind: "turn_begun", turn: 1, message_ids: ["m"] }), [
      "the message m is delivered and did not wait"
    ])
    assert.deepStrictEqual(
      of({ kind: "goal_paused", goal_id: goalId }, { kind: "turn_begun", turn: 1, message_ids: [] }),
      ["a turn begins while the goal is paused"]
    )
    assert.deepStrictEqual(of({ kind: "sleep_ended", slept: 1 }), ["a sleep ends in the state Ready"])
    assert.deepStrictEqual(
      of({ kind: "command_handled", command_id: "c" }, { kind: "command_handled", command_id: "c" }),
      ["the command c is carried out twice"]
    )
    assert.deepStrictEqual(of({ kind: "run_started", goal, driver: "d", continued: false }), [
      "a goal that runs begins anew"
    ])
    assert.deepStrictEqual(verify([record(2, { kind: "goal_resumed", goal_id: goalId })]).violations, [
      { sequence: 2, detail: "it follows record 0" },
      { sequence: 2, detail: "GoalResumed comes before the goal has begun" }
    ])
    assert.deepStrictEqual(foldAll([]), empty)
  })
})
