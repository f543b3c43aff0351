import { ApprovalId, ApprovalQuestion } from "@driver/domain/Approval"
import { GoalResumed, Progress } from "@driver/domain/DriverEvent"
import { Cancelled } from "@driver/domain/Outcome"
import { Usage } from "@driver/domain/Usage"
import { Approvals } from "@driver/permission/Approvals"
import { AccountLimits } from "@driver/runtime/AccountLimits"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Goals, NotPossible, UnknownApproval, UnknownGoal } from "@driver/runtime/Goals"
import { SleepBegun, TurnLimitRaised } from "@driver/runtime/LoopEntry"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, DateTime, Effect, Fiber, Layer, Option, Stream, TestClock } from "effect"
import { daemon, type Fields, id, runningUntil, Script, stores, submission, until } from "./support/queueWorld.js"

const World = (maxConcurrent = 4) => Layer.provideMerge(daemon({ maxConcurrent }), stores)

const submit = (...goals: ReadonlyArray<readonly [number, Fields?]>) =>
  Effect.gen(function* () {
    // The queue listens from here on.
    yield* TestClock.adjust("1 second")
    return yield* (yield* Goals).submit(goals.map(([n, fields]) => submission(n, fields)))
  })
const log = Effect.flatMap(Script, (script) => script.log)
const listed = (all = false) =>
  Effect.flatMap(Goals, (goals) =>
    Effect.map(goals.list({ all }), (found) => new Map(found.map((it) => [it.goalId.slice(7, 8), it])))
  )
const waits = Effect.map(listed(), (found) =>
  Object.fromEntries([...found].map(([n, it]) => [n, Option.getOrElse(it.waitsFor, () => "")]))
)

describe("GoalsLive: the queue", () => {
  it.effect("takes goals that depend on each other and says of each what it waits for", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      yield* (yield* AccountLimits).limited("team", 3_600_000, "limit reached")
      const summaries = yield* submit(
        [1],
        [2, { after: [1] }],
        [3, { account: "team" }],
        [4, { priority: -1 }],
        [5, { priority: -1 }],
        [6]
      )
      assert.deepStrictEqual(
        summaries.map((it) => it.state),
        Array.from({ length: 6 }, () => "queued")
      )
      yield* runningUntil(1)
      yield* goals.pause(id(6))
      yield* until(waits, (it) => it["6"] === "the end of a pause")
      assert.deepStrictEqual(yield* waits, {
        "1": "",
        "2": "goal 00000001",
        "3": "the usage limit of account team until 1970-01-01T01:00:00.000Z",
        "4": "a free place",
        "5": "1 goal before it",
        "6": "the end of a pause"
      })
      const [first, second] = [...(yield* listed()).values()]
      assert.deepStrictEqual([first?.state, first?.phase, second?.phase], ["running", "Ready", "Registered"])
      assert.deepStrictEqual(second?.dependsOn, [id(1)])
    }).pipe(Effect.provide(World(1)))
  )

  it.effect("refuses what cannot begin, and then stores nothing", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      const refusal = (...given: ReadonlyArray<readonly [number, Fields?]>) =>
        Effect.map(Effect.flip(submit(...given)), (error) =>
          error._tag === "SubmitRefused" ? error.reason : error.message
        )
      assert.strictEqual(yield* refusal([1], [2, { after: [3] }], [3, { after: [2] }]), "cycle")
      assert.strictEqual(yield* refusal([1], [2, { after: [9] }]), "unknown_dependency")
      assert.strictEqual(yield* refusal([1], [2, { repository: "here" }]), "bad_repository")
      assert.deepStrictEqual(yield* goals.list({ all: true }), [])
      yield* submit([1])
      assert.strictEqual(yield* refusal([2], [1]), "exists")
      assert.strictEqual((yield* goals.list({ all: true })).length, 1)
    }).pipe(Effect.provide(World()))
  )

  it.effect("finds a goal by the beginning of its id, of four characters at least", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      yield* submit([1], [2], [0x10000])
      assert.strictEqual(yield* goals.find(" 00010000-0 "), id(0x10000))
      assert.strictEqual(yield* goals.find(id(1).toUpperCase()), id(1))
      const ambiguous = yield* Effect.flip(goals.find("0000"))
      assert.deepStrictEqual(ambiguous._tag === "AmbiguousGoal" && ambiguous.candidates, [id(1), id(2)])
      assert.instanceOf(yield* Effect.flip(goals.find("000")), UnknownGoal)
      assert.instanceOf(yield* Effect.flip(goals.find("00%")), UnknownGoal)
    }).pipe(Effect.provide(World()))
  )

  it.effect("gives a message for a queued goal to it when it begins, with a limit that was raised", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      const script = yield* Script
      yield* submit([1], [2])
      yield* runningUntil(1)
      assert.deepStrictEqual(yield* goals.steer(id(2), "use tabs", "queue"), { delivery: "stored", queued: 1 })
      assert.strictEqual(yield* goals.setMaxTurns(id(2), 5), 20)
      assert.strictEqual(yield* goals.setMaxTurns(id(2), 50), 50)
      assert.deepStrictEqual(yield* Effect.map(listed(), (all) => all.get("2")?.queued), 1)
      assert.include((yield* Effect.flip(goals.wake(id(2)))).message, "00000002 has not begun")
      yield* script.end(1)
      yield* runningUntil(2)
      yield* until(log, (lines) => lines.includes("handle 2 Steer") && lines.includes("handle 2 RaiseTurns"))
      assert.deepStrictEqual(yield* Effect.map(listed(), (all) => all.get("2")?.maxTurns), 50)
    }).pipe(Effect.provide(World(1)))
  )

  it.effect("cancels a queued goal without a run; what is over stays as it is", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      yield* submit([1], [2])
      yield* runningUntil(1)
      yield* goals.cancel(id(2))
      yield* goals.cancel(id(2))
      const { summary } = yield* goals.show(id(2))
      assert.strictEqual(summary.state, "ended")
      assert.deepStrictEqual(
        Option.map(summary.outcome, (it) => it.outcome),
        Option.some(new Cancelled({}))
      )
      assert.deepStrictEqual(
        Chunk.toReadonlyArray(yield* Stream.runCollect(goals.events(id(2), { after: 0, follow: true }))).map(
          ({ event }) => event._tag
        ),
        ["GoalCompleted"]
      )
      const refused = yield* Effect.flip(goals.pause(id(2)))
      assert.instanceOf(refused, NotPossible)
      assert.include(refused.message, "has ended and cannot be paused")
      assert.notInclude(yield* log, "cancel 2")
    }).pipe(Effect.provide(World(1)))
  )
})

describe("GoalsLive: goals at work", () => {
  it.effect("does at once what is asked, in each of the three ways to say something", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      yield* submit([1])
      yield* runningUntil(1)
      assert.deepStrictEqual(yield* goals.steer(id(1), "one", "queue"), { delivery: "queued", queued: 1 })
      assert.deepStrictEqual(yield* goals.steer(id(1), "two", "turn"), { delivery: "steered", queued: 2 })
      assert.deepStrictEqual(yield* goals.steer(id(1), "three", "redirect"), { delivery: "redirected", queued: 3 })
      yield* goals.pause(id(1))
      assert.deepStrictEqual(yield* Effect.map(listed(), (all) => [all.get("1")?.paused, all.get("1")?.waitsFor]), [
        true,
        Option.some("the end of a pause")
      ])
      yield* goals.resume(id(1))
      yield* goals.wake(id(1))
      assert.strictEqual(yield* goals.setMaxTurns(id(1), 40), 40)
      assert.strictEqual(yield* goals.setMaxTurns(id(1), 30), 40)
      assert.deepStrictEqual(yield* log, [
        "spawn 1",
        "interrupt 1 one",
        "steer 1 two",
        "redirect 1 three",
        "pause 1",
        "resume 1",
        "wake 1"
      ])
      const { head, owner, summary } = yield* goals.show(id(1))
      assert.deepStrictEqual([head, owner, summary.maxTurns, summary.queued], [6, Option.some("here"), 40, 3])
    }).pipe(Effect.provide(World()))
  )

  it.effect("shows the limit on turns that an ended goal had in the end", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      const script = yield* Script
      yield* submit([1])
      yield* runningUntil(1)
      yield* script.write(1, new TurnLimitRaised({ maxTurns: 40 }))
      yield* script.end(1)
      const { summary } = yield* until(goals.show(id(1)), (it) => it.summary.state === "ended")
      assert.strictEqual(summary.maxTurns, 40)
    }).pipe(Effect.provide(World()))
  )

  it.effect("resolves a cancel when the goal is over and its row says so", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      yield* submit([1])
      yield* runningUntil(1)
      yield* goals.cancel(id(1))
      const { summary } = yield* goals.show(id(1))
      assert.deepStrictEqual([summary.state, summary.phase], ["ended", "Ended"])
      assert.strictEqual((yield* goals.list({ all: false })).length, 0)
      assert.strictEqual((yield* goals.list({ all: true })).length, 1)
    }).pipe(Effect.provide(World()))
  )

  it.effect(
    "says of a goal that sleeps whether it is the limit of its account, and of one that asks that it does",
    () =>
      Effect.gen(function* () {
        const script = yield* Script
        const accounts = yield* AccountLimits
        yield* submit([1])
        yield* runningUntil(1)
        yield* script.phase(1, "Sleeping")
        assert.deepStrictEqual(yield* waits, { "1": "the end of its sleep" })
        yield* accounts.limited("default", 3_600_000, "limit reached")
        assert.deepStrictEqual(yield* waits, {
          "1": "the usage limit of account default until 1970-01-01T01:00:00.000Z"
        })
        yield* (yield* Approvals).open(question)
        assert.deepStrictEqual(yield* waits, { "1": "an answer to a question (`driver approvals`)" })
      }).pipe(Effect.scoped, Effect.provide(World()))
  )

  it.effect("rolls a goal back that is paused or over, and hands over the work of one that has ended", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      const script = yield* Script
      yield* submit([1])
      yield* runningUntil(1)
      const refusal = (checkpoint: string) =>
        Effect.map(Effect.flip(goals.rollback(id(1), checkpoint)), (it) => it.message)
      assert.include(yield* refusal("first"), '"first" is no checkpoint')
      assert.include(yield* refusal("1"), "`driver pause 00000001`")
      yield* goals.pause(id(1))
      yield* script.phase(1, "Working")
      assert.include(yield* refusal("1"), "wait until its turn has ended")
      yield* script.phase(1, "Ready")
      assert.include(yield* refusal("7"), "rollback failed")
      assert.include((yield* Effect.flip(goals.deliver(id(1)))).message, "has not ended")
      yield* script.end(1)
      yield* until(goals.show(id(1)), ({ summary }) => summary.state === "ended")
      assert.include(yield* refusal("7"), "rollback failed")
      assert.strictEqual(yield* goals.deliver(id(1)), "goal 1 is on its branch")
      assert.strictEqual(yield* script.runtimes, 0)
    }).pipe(Effect.provide(World()))
  )

  it.effect("does not touch the work of a goal that another driver has", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      const store = yield* GoalStore
      yield* submit([1])
      yield* runningUntil(1)
      yield* goals.cancel(id(1))
      yield* store.acquire(id(1), "other", Option.none())
      const refused = yield* Effect.fork(Effect.flip(goals.deliver(id(1))))
      yield* TestClock.adjust("10 seconds")
      // Its heart beats.
      const lease = Option.getOrThrow(yield* store.holder(id(1)))
      yield* store.heartbeat([{ goalId: id(1), epoch: lease.epoch }])
      yield* TestClock.adjust("10 seconds")
      assert.include((yield* Fiber.join(refused)).message, "another driver (other) works on it")
    }).pipe(Effect.provide(World()))
  )
})

describe("GoalsLive: events", () => {
  const progress = (turn: number) => new Progress({ goalId: id(1), turn, usage: Usage.zero })

  it.effect("gives those that are there and those to come, and ends after the last one", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      const script = yield* Script
      yield* submit([1])
      yield* runningUntil(1)
      yield* script.write(1, progress(1), new SleepBegun({ since: 0, until: 1, reason: "", tick: false }), progress(2))
      const follow = (after: number) =>
        Effect.fork(Effect.map(Stream.runCollect(goals.events(id(1), { after, follow: true })), Chunk.toReadonlyArray))
      const all = yield* follow(0)
      const later = yield* follow(3)
      const future = yield* follow(99)
      yield* TestClock.adjust("1 second")
      yield* script.write(1, progress(3), new GoalResumed({ goalId: id(1) }))
      yield* TestClock.adjust("1 second")
      yield* script.end(1)
      yield* TestClock.adjust("1 second")
      const seen = (yield* Fiber.join(all)).map(({ event, sequence }) => [sequence, event._tag])
      // 1 is the start of the run and 3 the sleep: steps of the loop are no events.
      assert.deepStrictEqual(seen, [
        [2, "Progress"],
        [4, "Progress"],
        [5, "Progress"],
        [6, "GoalResumed"],
        [7, "GoalCompleted"]
      ])
      assert.deepStrictEqual(
        (yield* Fiber.join(later)).map(({ sequence }) => sequence),
        [4, 5, 6, 7]
      )
      assert.deepStrictEqual(yield* Fiber.join(future), [])
      assert.deepStrictEqual(
        Chunk.toReadonlyArray(yield* Stream.runCollect(goals.events(id(1), { after: 4, follow: false }))).map(
          ({ sequence }) => sequence
        ),
        [5, 6, 7]
      )
      assert.strictEqual(Chunk.size(yield* Stream.runCollect(goals.events(id(1), { after: 7, follow: true }))), 0)
    }).pipe(Effect.provide(World()))
  )

  it.effect("ends for a goal that is skipped, and fails for one that is not there", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      yield* submit([1], [2, { after: [1] }])
      yield* runningUntil(1)
      const followed = yield* Effect.fork(Stream.runCollect(goals.events(id(2), { after: 0, follow: true })))
      yield* TestClock.adjust("1 second")
      yield* goals.cancel(id(1))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(Chunk.size(yield* Fiber.join(followed)), 0)
      const unknown = yield* Effect.flip(Stream.runDrain(goals.events(id(9), { after: 0, follow: true })))
      assert.instanceOf(unknown, UnknownGoal)
    }).pipe(Effect.provide(World()))
  )
})

describe("GoalsLive: questions to a person", () => {
  it.effect("answers them by the beginning of their id, once", () =>
    Effect.gen(function* () {
      const goals = yield* Goals
      const { answer } = yield* (yield* Approvals).open(question)
      assert.deepStrictEqual(yield* goals.approvals, [question])
      const unknown = yield* Effect.flip(goals.deny("ffff", Option.none()))
      assert.instanceOf(unknown, UnknownApproval)
      assert.strictEqual((yield* goals.deny("aaaa", Option.some(" use git mv "))).id, question.id)
      const given = Option.getOrThrow(yield* answer)
      assert.deepStrictEqual(given._tag === "Reject" && given.message, Option.some("use git mv"))
      assert.include((yield* Effect.flip(goals.approve("aaaa", false))).message, "it was denied before")
    }).pipe(Effect.scoped, Effect.provide(World()))
  )
})

const question = new ApprovalQuestion({
  id: ApprovalId.make("aaaaaaaa-0000-4000-8000-000000000000"),
  goalId: id(1),
  turn: 1,
  tool: "Bash",
  input: { command: "mv a b" },
  why: "a rule",
  advisories: [],
  askedAt: DateTime.unsafeMake(0),
  expiresAt: DateTime.unsafeMake(3_600_000)
})
