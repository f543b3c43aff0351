/**
 * Cancel and pause at every step of the loop: each call that the loop makes is held, once before it happens and once
 * after, and the operator does the thing exactly there.
 */
import { Agent, AgentEvent, type TurnInput } from "@driver/agent/Agent"
import { asks, ended, failed, ScriptedAgentLog, said } from "@driver/agent/AgentScripted"
import { PermissionGate } from "@driver/agent/PermissionGate"
import { Cancelled, Done } from "@driver/domain/Outcome"
import { TokenUsage } from "@driver/domain/Usage"
import { Acceptance } from "@driver/runtime/Acceptance"
import { BindingStore } from "@driver/runtime/BindingStore"
import { CompactSummaryStore } from "@driver/runtime/CompactSummaryStore"
import { DecisionStore } from "@driver/runtime/DecisionStore"
import { Driver } from "@driver/runtime/Driver"
import { RecordedEvents } from "@driver/runtime/EventSink"
import { GoalLoop } from "@driver/runtime/GoalLoop"
import { ReplayDecision } from "@driver/runtime/ReplayPolicy"
import { Workspace } from "@driver/runtime/Workspace"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Fiber, Layer, Option, Ref, Stream, TestClock } from "effect"
import { goalId, goalWith, journal, publishedTags, services, type World } from "./support/world.js"

/** Where the loop is held: once, at the first call, `before` it happens or `after` it has happened. */
interface Hold {
  readonly point: string
  readonly when: "before" | "after"
}

class Held extends Context.Tag("test/Held")<
  Held,
  {
    readonly reached: Deferred.Deferred<void>
    readonly release: Deferred.Deferred<void>
    /** What the loop has acquired and not released. */
    readonly open: Ref.Ref<number>
  }
>() {}

/** The world's services, with one call held. */
const held = (world: World, hold: Hold) => {
  const holdAt =
    (handles: Held["Type"]) =>
    <A, E, R>(point: string, call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
      if (point !== hold.point) return call
      const wait = Effect.zipRight(Deferred.succeed(handles.reached, undefined), Deferred.await(handles.release))
      return hold.when === "before" ? Effect.zipRight(wait, call) : Effect.zipLeft(call, wait)
    }
  const handlesLayer = Layer.effect(
    Held,
    Effect.all({ reached: Deferred.make<void>(), release: Deferred.make<void>(), open: Ref.make(0) })
  )
  const overrides = Layer.effectContext(
    Effect.gen(function* () {
      const handles = yield* Held
      const at = holdAt(handles)
      const counted = Effect.acquireRelease(
        Ref.update(handles.open, (n) => n + 1),
        () => Ref.update(handles.open, (n) => n - 1)
      )
      const agent = yield* Agent
      const gate = yield* PermissionGate
      const workspace = yield* Workspace
      const acceptance = yield* Acceptance
      const bindings = yield* BindingStore
      const summaries = yield* CompactSummaryStore
      const decisions = yield* DecisionStore
      return Context.make(Agent, {
        kind: "scripted",
        open: (options) =>
          at(
            "agent.open",
            Effect.zipRight(
              counted,
              Effect.map(agent.open(options), (session) => ({
                ...session,
                turn: (input: TurnInput) =>
                  Stream.mapEffect(session.turn(input), (event) => at(`agent.${event._tag}`, Effect.succeed(event))),
                compact: (focus: string) =>
                  Stream.mapEffect(session.compact(focus), (event) =>
                    at(`compact.${event._tag}`, Effect.succeed(event))
                  )
              }))
            )
          )
      }).pipe(
        Context.add(PermissionGate, {
          register: (it) => at("gate.register", Effect.zipRight(counted, gate.register(it)))
        }),
        Context.add(Workspace, {
          ...workspace,
          ensure: (goal) => at("workspace.ensure", workspace.ensure(goal)),
          checkpoint: (id, label) => at("workspace.checkpoint", workspace.checkpoint(id, label)),
          diffStat: (id, since) => at("workspace.diffStat", workspace.diffStat(id, since)),
          rollback: (id, to) => at("workspace.rollback", workspace.rollback(id, to)),
          deliver: (goal, how) => at("workspace.deliver", workspace.deliver(goal, how))
        }),
        Context.add(Acceptance, {
          evaluate: (...args) => at("acceptance.evaluate", acceptance.evaluate(...args))
        }),
        Context.add(BindingStore, {
          ...bindings,
          get: (id) => at("bindings.get", bindings.get(id)),
          upsert: (input) => at("bindings.upsert", bindings.upsert(input)),
          markInvalid: (id, reason) => at("bindings.markInvalid", bindings.markInvalid(id, reason))
        }),
        Context.add(CompactSummaryStore, {
          ...summaries,
          loadLatest: (id) => at("summaries.loadLatest", summaries.loadLatest(id)),
          store: (...args) => at("summaries.store", summaries.store(...args))
        }),
        Context.add(DecisionStore, {
          ...decisions,
          record: (decision) => at("decisions.record", decisions.record(decision))
        })
      )
    })
  )
  return Driver.layer.pipe(
    Layer.provideMerge(GoalLoop.layer()),
    Layer.provideMerge(overrides),
    Layer.provideMerge(handlesLayer),
    Layer.provideMerge(services(world)),
    Layer.provideMerge(journal)
  )
}

const tokens = new TokenUsage({ input: 1, output: 1, cacheRead: 0, cacheCreation: 0 })

/** A goal that goes through everything: a failed turn, a fresh session, a rollback, a compaction, a tool call, a retry. */
const eventful: World = {
  script: [
    [failed({ class: "transient" })],
    [
      said("working"),
      asks("Write", { file_path: "a" }),
      AgentEvent.Metered({ tokens, contextTokens: Option.some(900) }),
      ended({ contextTokens: 900, contextWindow: 1000 })
    ],
    [["1 minute", ended({ contextTokens: 10 })]]
  ],
  agent: {
    compactions: [
      [
        AgentEvent.Compacting({ trigger: "manual" }),
        AgentEvent.Compacted({
          trigger: "manual",
          result: {
            succeeded: true,
            summary: Option.some("so far"),
            before: Option.none(),
            after: Option.none(),
            error: Option.none()
          }
        }),
        ended()
      ]
    ]
  },
  verdicts: ["no", true],
  diffs: ["", " a | 1 +"],
  replay: (input) => ReplayDecision.FreshSessionRetry({ rollbackTo: input.checkpoint, delay: Duration.seconds(10) }),
  compact: (input) =>
    Option.exists(input.contextTokens, (used) => used >= 700)
      ? Option.some({ reason: "token_pressure", focus: "x" } as const)
      : Option.none()
}

const points = [
  "workspace.ensure",
  "gate.register",
  "workspace.checkpoint",
  "bindings.get",
  "agent.open",
  "summaries.loadLatest",
  "agent.SessionStarted",
  "bindings.upsert",
  "agent.TurnEnded",
  "bindings.markInvalid",
  "workspace.rollback",
  "agent.Said",
  "agent.ToolCalled",
  "decisions.record",
  "agent.ToolEnded",
  "agent.Metered",
  "workspace.diffStat",
  "acceptance.evaluate",
  "compact.Compacting",
  "compact.Compacted",
  "compact.TurnEnded",
  "summaries.store",
  "workspace.deliver"
]
const holds: ReadonlyArray<Hold> = points.flatMap((point) => [
  { point, when: "before" },
  { point, when: "after" }
])
const holdNames = holds.map((hold) => [`${hold.when} ${hold.point}`, hold] as const)

/** Lets the goal run, through its waits, until the hold is reached. */
const untilHeld = Effect.gen(function* () {
  const { reached } = yield* Held
  yield* TestClock.adjust("5 minutes")
  yield* Deferred.await(reached)
})

const isDelivery = ({ point }: Hold) => point === "workspace.deliver"

describe("GoalLoop cancelled", () => {
  it.effect.each(holdNames.filter(([, hold]) => !isDelivery(hold)))(
    "%s leaves nothing behind and publishes its end",
    ([, hold]) =>
      Effect.gen(function* () {
        const driver = yield* Driver
        const handle = yield* driver.spawn(goalWith())
        yield* untilHeld
        yield* driver.cancel(goalId)
        const outcome = yield* handle.await
        assert.deepStrictEqual(outcome.outcome, new Cancelled({}))
        const tags = yield* publishedTags
        assert.deepStrictEqual([tags[0], tags.at(-1)], ["GoalStarted", "GoalCompleted"])
        assert.strictEqual(tags.filter((it) => it === "GoalCompleted").length, 1)
        assert.deepStrictEqual(yield* driver.list, [])
        assert.strictEqual(yield* Ref.get((yield* Held).open), 0)
        const record = yield* Effect.flatMap(ScriptedAgentLog, (log) => log.current)
        assert.strictEqual(record.closed, record.opened.length)
      }).pipe(Effect.provide(held(eventful, hold)))
  )

  it.effect.each(holdNames.filter(([, hold]) => isDelivery(hold)))(
    "%s finishes the delivery, and says that it is done",
    ([, hold]) =>
      Effect.gen(function* () {
        const driver = yield* Driver
        const handle = yield* driver.spawn(goalWith())
        yield* untilHeld
        const cancelling = yield* Effect.fork(driver.cancel(goalId))
        yield* TestClock.adjust("1 minute")
        assert.notInclude(yield* publishedTags, "GoalCompleted")
        yield* Deferred.succeed((yield* Held).release, undefined)
        yield* Fiber.join(cancelling)
        const { delivery, outcome } = yield* handle.await
        assert.deepStrictEqual(outcome, new Done({}))
        assert.isTrue(Option.exists(delivery, ({ delivered }) => delivered))
        assert.strictEqual((yield* publishedTags).at(-1), "GoalCompleted")
        assert.strictEqual(yield* Ref.get((yield* Held).open), 0)
      }).pipe(Effect.provide(held(eventful, hold)))
  )

  it.effect.each([["while it sleeps"], ["while it is paused"]])("%s leaves nothing behind", ([where]) =>
    Effect.gen(function* () {
      const driver = yield* Driver
      yield* driver.preRegister(goalId)
      if (where === "while it is paused") yield* driver.pause(goalId)
      const handle = yield* driver.spawn(goalWith())
      yield* TestClock.adjust("5 seconds")
      yield* driver.cancel(goalId)
      assert.deepStrictEqual((yield* handle.await).outcome, new Cancelled({}))
      assert.strictEqual((yield* publishedTags).at(-1), "GoalCompleted")
      assert.strictEqual(yield* Ref.get((yield* Held).open), 0)
    }).pipe(Effect.provide(held(eventful, { point: "nowhere", when: "before" })))
  )
})

describe("GoalLoop paused", () => {
  it.effect.each(holdNames)("%s finishes what it is doing, holds, and goes on", ([, hold]) =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const handles = yield* Held
      const handle = yield* driver.spawn(goalWith())
      yield* untilHeld
      yield* driver.pause(goalId)
      const turns = yield* turnsStarted
      yield* Deferred.succeed(handles.release, undefined)
      yield* TestClock.adjust("1 hour")
      // The turn in flight may have had its beginning published just now; none may have started after it.
      assert.isAtMost(yield* turnsStarted, Math.max(turns, 1))
      const held = (yield* driver.list).length === 1
      assert.strictEqual(held, !isDelivery(hold))
      if (held) yield* driver.resume(goalId)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual((yield* handle.await).outcome, new Done({}))
    }).pipe(Effect.provide(held(eventful, hold)))
  )
})

const turnsStarted = Effect.flatMap(RecordedEvents, (recorded) =>
  Effect.map(recorded.all, (all) => all.filter(({ event }) => event._tag === "AttemptStarted").length)
)
