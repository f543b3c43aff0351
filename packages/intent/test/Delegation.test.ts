import { Goal, LlmJudge, Shell } from "@driver/domain/Goal"
import { Escalate } from "@driver/domain/Outcome"
import { backoffDelay, Delegation, partOfKey } from "@driver/intent/Delegation"
import {
  allSucceeded,
  DelegationPlan,
  orderOf,
  PlanError,
  Subtask,
  SubtaskId,
  subtaskGoalId
} from "@driver/intent/DelegationPlan"
import { DelegationStore } from "@driver/intent/DelegationStore"
import { ExecEnv } from "@driver/intent/ExecEnv"
import { ExecutionError, GoalExecutor, type GoalResult, RunGoals } from "@driver/intent/GoalExecutor"
import { RemoteAgents, RemoteCalls, RemoteError, RemoteResult } from "@driver/intent/RemoteAgents"
import { assert, describe, it } from "@effect/vitest"
import {
  Deferred,
  Duration,
  Effect,
  Either,
  Fiber,
  FastCheck as fc,
  Layer,
  Option,
  Ref,
  Schema,
  TestClock
} from "effect"
import { goalIdOf, resultOf } from "./support/values.js"

const part = (id: string, changes: Partial<ConstructorParameters<typeof Subtask>[0]> = {}) =>
  new Subtask({ id: SubtaskId.make(id), description: `Do ${id}`, ...changes })

const ids = (...names: ReadonlyArray<string>) => names.map((it) => SubtaskId.make(it))

const planOf = (...subtasks: ReadonlyArray<Subtask>) => new DelegationPlan({ subtasks })

const whole = new Goal({
  id: goalIdOf(1),
  description: "Build it\n> all",
  acceptance: [new Shell({ command: "make a" }), new Shell({ command: "make b" }), new LlmJudge({ criterion: "nice" })]
})

const isWhole = (goal: Goal) => goal.id === whole.id

const done = (text = "done") => resultOf({ finalText: text, costUsd: 0.5 })

interface World {
  readonly run: (goal: Goal) => Effect.Effect<GoalResult, ExecutionError>
  readonly remote?: Layer.Layer<RemoteAgents | RemoteCalls>
}

const world = ({ remote = RemoteAgents.layerScripted([], []), run }: World, parallel = 3) =>
  Delegation.layer({ parallel }).pipe(
    Layer.provideMerge(GoalExecutor.layerScripted([run])),
    Layer.provideMerge(remote),
    Layer.provideMerge(DelegationStore.layerMemory)
  )

const delegate = (plan: DelegationPlan) => Effect.flatMap(Delegation, (it) => it.run(whole, plan, ExecEnv.empty))

const goalsRun = Effect.map(Effect.flatten(RunGoals), (runs) => runs.map(({ goal }) => goal))

const partNames = (goals: ReadonlyArray<Goal>) =>
  goals.map((goal) => (isWhole(goal) ? "whole" : (/^Do (\S+)/.exec(goal.description)?.[1] ?? "?")))

describe("orderOf", () => {
  const refusals: ReadonlyArray<readonly [DelegationPlan, PlanError["reason"], ReadonlyArray<string>]> = [
    [planOf(), "empty", []],
    [planOf(part("a"), part("b"), part("a")), "duplicate", ["a"]],
    [planOf(part("a"), part("b", { dependsOn: ids("c") })), "unknown_dependency", ["b"]],
    [planOf(part("a", { dependsOn: ids("a") })), "cycle", ["a"]],
    [planOf(part("z"), part("a", { dependsOn: ids("b") }), part("b", { dependsOn: ids("a") })), "cycle", ["a", "b"]],
    [planOf(part("a", { criteria: [3] })), "unknown_criterion", ["a"]],
    [planOf(...Array.from({ length: 17 }, (_, n) => part(`p${n}`))), "too_many", []]
  ]
  for (const [plan, reason, subtasks] of refusals) {
    it(`refuses a plan: ${reason} ${subtasks.join(", ")}`, () => {
      assert.deepStrictEqual(orderOf(plan, whole), Either.left(new PlanError({ reason, subtasks: [...subtasks] })))
    })
  }

  const anyPlan = fc
    .array(fc.tuple(fc.nat(9), fc.array(fc.nat(9), { maxLength: 3 })), { minLength: 1, maxLength: 10 })
    .map((rows) =>
      planOf(...rows.map(([id, needs]) => part(`p${id}`, { dependsOn: needs.map((n) => SubtaskId.make(`p${n}`)) })))
    )

  it("puts every part after those that it waits for, or says what is in the way", () => {
    fc.assert(
      fc.property(anyPlan, (plan) => {
        const ordered = orderOf(plan, whole)
        if (Either.isRight(ordered)) {
          assert.sameMembers([...ordered.right], [...plan.subtasks])
          ordered.right.forEach(({ dependsOn }, at) => {
            const before = ordered.right.slice(0, at).map(({ id }) => id)
            assert.isTrue(dependsOn.every((id) => before.includes(id)))
          })
          return
        }
        assert.isNotEmpty(ordered.left.subtasks)
        if (ordered.left.reason !== "cycle") return
        // Each of those waits for one of them.
        for (const id of ordered.left.subtasks) {
          const subtask = plan.subtasks.find((it) => it.id === id)
          assert.isTrue(subtask?.dependsOn.some((it) => ordered.left.subtasks.includes(it)))
        }
      }),
      { numRuns: 500 }
    )
  })

  it("never calls an empty list a success", () => assert.isFalse(allSucceeded([])))

  it("gives a part always the same goal id, and different parts different ones", () => {
    fc.assert(
      fc.property(
        fc.uuid(),
        fc.uniqueArray(fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/), { minLength: 2 }),
        (uuid, names) => {
          const goalId = Schema.decodeUnknownOption(Goal.fields.id)(uuid)
          if (Option.isNone(goalId)) return
          const made = ids(...names).map((id) => subtaskGoalId(goalId.value, id))
          assert.strictEqual(new Set([...made, goalId.value]).size, names.length + 1)
          assert.deepStrictEqual(
            made,
            ids(...names).map((id) => subtaskGoalId(goalId.value, id))
          )
        }
      )
    )
  })

  it("survives the way to JSON and back", () => {
    const plan = planOf(
      part("a", { capability: Option.some("review"), criteria: [1] }),
      part("b", { role: "manager", dependsOn: ids("a") })
    )
    assert.deepStrictEqual(
      Schema.decodeSync(DelegationPlan.FromJson)(Schema.encodeSync(DelegationPlan.FromJson)(plan)),
      plan
    )
  })
})

describe("Delegation", () => {
  it.effect("runs the parts, then one run that puts them together and is held to all criteria", () =>
    Effect.gen(function* () {
      const plan = planOf(part("a", { criteria: [0] }), part("b", { criteria: [1], dependsOn: ids("a") }))
      const { result, subtasks } = yield* delegate(plan)
      assert.deepStrictEqual(
        subtasks.map(({ id, success, role }) => [id, success, role]),
        [
          ["a", true, "worker"],
          ["b", true, "worker"]
        ]
      )
      const goals = yield* goalsRun
      assert.deepStrictEqual(partNames(goals), ["a", "b", "whole"])
      const [a, b, last] = goals
      assert.deepStrictEqual(a?.acceptance, whole.acceptance.slice(0, 1))
      assert.deepStrictEqual(b?.acceptance, whole.acceptance.slice(1, 2))
      assert.deepStrictEqual(last?.acceptance, whole.acceptance)
      assert.deepStrictEqual(a?.metadata, { [partOfKey]: whole.id })
      assert.deepStrictEqual(last?.metadata, {})
      assert.strictEqual(a?.id, subtaskGoalId(whole.id, SubtaskId.make("a")))
      // What others say is quoted, line by line.
      assert.match(b?.description ?? "", /The parts before it are done[\s\S]*\n> did a\n> second line$/)
      assert.match(
        last?.description ?? "",
        /^Build it\n> all\n\nThe parts[\s\S]*\na.*:\n> did a\n> second line\n\nb.*:\n> did b/
      )
      assert.strictEqual(result.outcome.outcome._tag, "Done")
      // Three runs of half a dollar.
      assert.strictEqual(result.outcome.usage.costUsd, 1.5)
    }).pipe(
      Effect.provide(
        world({
          run: (goal) => Effect.succeed(done(isWhole(goal) ? "all" : `did ${partNames([goal])[0]}\nsecond line`))
        })
      )
    )
  )

  it.effect("skips what waits for a part that failed, and puts nothing together", () =>
    Effect.gen(function* () {
      const plan = planOf(part("a"), part("b", { dependsOn: ids("a") }), part("c", { dependsOn: ids("b") }), part("d"))
      const { result, subtasks } = yield* delegate(plan)
      assert.deepStrictEqual(
        subtasks.map(({ id, skipped, success }) => [id, success, skipped]),
        [
          ["a", false, false],
          ["b", false, true],
          ["c", false, true],
          ["d", true, false]
        ]
      )
      assert.match(subtasks[1]?.result ?? "", /a failed/)
      assert.match(subtasks[2]?.result ?? "", /b failed/)
      assert.notInclude(partNames(yield* goalsRun), "whole")
      assert.isTrue(
        result.outcome.outcome instanceof Escalate &&
          /^3 of 4 parts failed: a: It was not accepted: /.test(result.outcome.outcome.reason)
      )
    }).pipe(
      Effect.provide(
        world({
          run: (goal) =>
            Effect.succeed(
              partNames([goal])[0] === "a" ? resultOf({ ended: "escalated", finalText: "no luck" }) : done()
            )
        })
      )
    )
  )

  for (const [how, lost] of [
    ["dies", Effect.die(new Error("boom"))],
    ["cannot be run", Effect.fail(new ExecutionError({ class: "unknown", detail: "no disk" }))],
    ["is interrupted by somebody", Effect.interrupt]
  ] as const) {
    it.effect(`counts a part that ${how} as failed, even when it is the only one`, () =>
      Effect.gen(function* () {
        const { result, subtasks } = yield* delegate(planOf(part("a", { criteria: [0, 1, 2] })))
        assert.deepStrictEqual(
          subtasks.map(({ success }) => success),
          [false]
        )
        assert.match(subtasks[0]?.result ?? "", /^It was lost: /)
        assert.strictEqual(result.outcome.outcome._tag, "Escalate")
      }).pipe(Effect.provide(world({ run: () => lost })))
    )
  }

  it.effect("says why a part failed where that is for another agent to mend", () =>
    Effect.gen(function* () {
      const { result } = yield* delegate(planOf(part("a"), part("b"), part("c", { dependsOn: ids("b") })))
      assert.deepStrictEqual(result.failure, Option.some("quota_exhausted"))
    }).pipe(
      Effect.provide(
        world({
          run: (goal) =>
            Effect.succeed(
              partNames([goal])[0] === "b"
                ? resultOf({ goalId: goal.id, ended: "escalated", failure: "quota_exhausted" })
                : done()
            )
        })
      )
    )
  )

  it.effect("counts a single part that ran well as a success", () =>
    Effect.gen(function* () {
      const { result, subtasks } = yield* delegate(planOf(part("a", { criteria: [0, 1, 2] })))
      assert.deepStrictEqual(
        subtasks.map(({ result, success }) => [success, result]),
        [[true, "done"]]
      )
      assert.strictEqual(result.outcome.outcome._tag, "Done")
      assert.deepStrictEqual(partNames(yield* goalsRun), ["a"])
    }).pipe(Effect.provide(world({ run: () => Effect.succeed(done()) })))
  )

  it.effect("runs as many parts at once as it may, and no more", () =>
    Effect.gen(function* () {
      const now = yield* Ref.make({ running: 0, most: 0 })
      const run = (goal: Goal) =>
        isWhole(goal)
          ? Effect.succeed(done())
          : Effect.acquireUseRelease(
              Ref.update(now, ({ most, running }) => ({ running: running + 1, most: Math.max(most, running + 1) })),
              () => Effect.as(Effect.sleep("1 minute"), done()),
              () => Ref.update(now, (it) => ({ ...it, running: it.running - 1 }))
            )
      const names = ["a", "b", "c", "d", "e"]
      const fiber = yield* Effect.fork(
        Effect.provide(delegate(planOf(...names.map((it) => part(it)))), world({ run }, 2))
      )
      yield* TestClock.adjust("3 minutes")
      const { subtasks } = yield* Fiber.join(fiber)
      assert.isTrue(allSucceeded(subtasks))
      assert.strictEqual((yield* Ref.get(now)).most, 2)
    })
  )

  it.effect("cancels every part when it is interrupted, and keeps what was done", () =>
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      const cancelled = yield* Ref.make(0)
      const run = (goal: Goal) =>
        partNames([goal])[0] === "a"
          ? Effect.succeed(done())
          : Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never).pipe(
              Effect.onInterrupt(() => Ref.update(cancelled, (n) => n + 1))
            )
      yield* Effect.gen(function* () {
        const fiber = yield* Effect.fork(delegate(planOf(part("a"), part("b", { dependsOn: ids("a") }))))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* Ref.get(cancelled), 1)
        const results = yield* Effect.flatMap(DelegationStore, (it) => it.results(whole.id))
        assert.deepStrictEqual(
          results.map(({ id, success }) => [id, success]),
          [["a", true]]
        )
      }).pipe(Effect.provide(world({ run })))
    })
  )

  it.effect("does nothing again that has been done", () =>
    Effect.gen(function* () {
      const plan = planOf(part("a"), part("b"))
      yield* delegate(plan)
      const { subtasks } = yield* delegate(plan)
      assert.isTrue(allSucceeded(subtasks))
      // Only the whole is asked for again: whoever runs goals knows that it has ended.
      assert.deepStrictEqual(partNames(yield* goalsRun).sort(), ["a", "b", "whole", "whole"])
    }).pipe(Effect.provide(world({ run: () => Effect.succeed(done()) })))
  )
})

describe("Delegation, remote", () => {
  const reviewer = { name: "rita", capabilities: ["review", "test"] }
  const away = new RemoteError({ agent: "rita", detail: "away", retryable: true })
  const plan = (capability: string) => planOf(part("a", { capability: Option.some(capability) }), part("b"))
  const calls = Effect.map(Effect.flatten(RemoteCalls), (all) => all.length)
  const here = { run: () => Effect.succeed(done("here")) }
  const partA = (result: { readonly subtasks: ReadonlyArray<unknown> }) => result.subtasks[0]

  it.effect("gives a part to the agent that offers what it needs", () =>
    Effect.gen(function* () {
      const outcome = yield* delegate(plan("test"))
      assert.deepInclude(partA(outcome), {
        success: true,
        result: "there",
        agent: Option.some("rita"),
        branch: Option.some("work/a")
      })
      assert.deepStrictEqual(partNames(yield* goalsRun), ["b", "whole"])
      // What others have spent is not known to be nothing.
      assert.isFalse(outcome.result.outcome.usage.costComplete)
    }).pipe(
      Effect.provide(
        world({
          ...here,
          remote: RemoteAgents.layerScripted(
            [{ name: "otto", capabilities: [] }, reviewer],
            [() => Effect.succeed(new RemoteResult({ success: true, output: "there", branch: Option.some("work/a") }))]
          )
        })
      )
    )
  )

  it.effect("takes its word that it failed, and does not do it again here", () =>
    Effect.gen(function* () {
      const { result, subtasks } = yield* delegate(plan("test"))
      assert.deepInclude(subtasks[0], { success: false, result: "no" })
      assert.strictEqual(result.outcome.outcome._tag, "Escalate")
    }).pipe(
      Effect.provide(
        world({
          ...here,
          remote: RemoteAgents.layerScripted(
            [reviewer],
            [() => Effect.succeed(new RemoteResult({ success: false, output: "no" }))]
          )
        })
      )
    )
  )

  it.effect("does it here when nobody offers it, and says so", () =>
    Effect.gen(function* () {
      const outcome = yield* delegate(plan("painting"))
      assert.deepInclude(partA(outcome), {
        success: true,
        result: "here",
        agent: Option.none(),
        fallback: Option.some("no agent offers painting")
      })
      assert.strictEqual(yield* calls, 0)
    }).pipe(
      Effect.provide(world({ ...here, remote: RemoteAgents.layerScripted([reviewer], [() => Effect.die("called")]) }))
    )
  )

  it.effect("tries three times with growing pauses, then does it here", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(delegate(plan("review")))
      yield* TestClock.adjust(Duration.millis(99))
      assert.strictEqual(yield* calls, 1)
      yield* TestClock.adjust(Duration.millis(1))
      assert.strictEqual(yield* calls, 2)
      yield* TestClock.adjust(Duration.millis(199))
      assert.strictEqual(yield* calls, 2)
      yield* TestClock.adjust(Duration.millis(1))
      const outcome = yield* Fiber.join(fiber)
      assert.strictEqual(yield* calls, 3)
      assert.deepInclude(partA(outcome), { success: true, result: "here", fallback: Option.some(away.message) })
    }).pipe(Effect.provide(world({ ...here, remote: RemoteAgents.layerScripted([reviewer], [() => away]) })))
  )

  it.effect("does not try again what cannot succeed", () =>
    Effect.gen(function* () {
      yield* delegate(plan("review"))
      assert.strictEqual(yield* calls, 1)
    }).pipe(
      Effect.provide(
        world({
          ...here,
          remote: RemoteAgents.layerScripted(
            [reviewer],
            [() => new RemoteError({ agent: "rita", detail: "404", retryable: false })]
          )
        })
      )
    )
  )

  it.effect("asks the next one who offers it", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(delegate(plan("review")))
      yield* TestClock.adjust("1 second")
      const outcome = yield* Fiber.join(fiber)
      assert.deepInclude(partA(outcome), { success: true, agent: Option.some("otto") })
    }).pipe(
      Effect.provide(
        world({
          ...here,
          remote: RemoteAgents.layerScripted(
            [reviewer, { name: "otto", capabilities: ["review"] }],
            [() => away, () => away, () => away, () => Effect.succeed(new RemoteResult({ success: true }))]
          )
        })
      )
    )
  )

  it.effect("calls nobody who has failed five times in a row, for 30 seconds", () =>
    Effect.gen(function* () {
      // Of one goal each, so that nothing of it is known.
      const one = (n: number) =>
        Effect.gen(function* () {
          const goal = new Goal({ ...whole, id: goalIdOf(n) })
          const delegation = yield* Delegation
          const fiber = yield* Effect.fork(delegation.run(goal, plan("review"), ExecEnv.empty))
          yield* TestClock.adjust("1 second")
          return yield* Fiber.join(fiber)
        })
      yield* one(11)
      assert.strictEqual(yield* calls, 3)
      yield* one(12)
      assert.strictEqual(yield* calls, 5)
      const third = yield* one(13)
      assert.strictEqual(yield* calls, 5)
      assert.match(
        Option.getOrElse(third.subtasks[0]?.fallback ?? Option.none(), () => ""),
        /failed too often/
      )
      yield* TestClock.adjust("30 seconds")
      yield* one(14)
      // One try, which fails.
      assert.strictEqual(yield* calls, 6)
    }).pipe(Effect.provide(world({ ...here, remote: RemoteAgents.layerScripted([reviewer], [() => away]) })))
  )
})

it("waits 100 ms · 2^n before the next try, at most 5 seconds", () => {
  assert.deepStrictEqual(
    [0, 1, 2, 3, 4, 5, 6, 50].map((n) => Duration.toMillis(backoffDelay(n))),
    [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]
  )
})
