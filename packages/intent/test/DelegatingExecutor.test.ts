import * as LanguageModelScripted from "@driver/agent/LanguageModelScripted"
import { ModelError } from "@driver/agent/ModelQuestion"
import { Goal, Shell } from "@driver/domain/Goal"
import { Redactor } from "@driver/domain/Redactor"
import { TokenUsage } from "@driver/domain/Usage"
import * as DelegatingExecutor from "@driver/intent/DelegatingExecutor"
import { Delegation } from "@driver/intent/Delegation"
import { DelegationPlan, Subtask, SubtaskId } from "@driver/intent/DelegationPlan"
import { DelegationPlanner, planOf } from "@driver/intent/DelegationPlanner"
import { DelegationStore } from "@driver/intent/DelegationStore"
import { CommandCriterion, Directive, IntentSessionId, Task } from "@driver/intent/Directive"
import { Environments, ExecEnv } from "@driver/intent/ExecEnv"
import { GoalChecker, GoalExecutor, type GoalResult, RunGoals } from "@driver/intent/GoalExecutor"
import { Intent } from "@driver/intent/Intent"
import { IntentEvents } from "@driver/intent/IntentEvents"
import { AskedQuestions, IntentModel } from "@driver/intent/IntentModel"
import { IntentStore } from "@driver/intent/IntentStore"
import { RemoteAgents } from "@driver/intent/RemoteAgents"
import * as AiError from "@effect/ai/AiError"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, FastCheck as fc, Layer, Option, Redacted } from "effect"
import { goalIdOf, resultOf } from "./support/values.js"

const goal = new Goal({
  id: goalIdOf(1),
  description: "Build it",
  acceptance: [new Shell({ command: "make a" }), new Shell({ command: "make b" })]
})

const part = (id: string, criterion: number) =>
  new Subtask({ id: SubtaskId.make(id), description: `Do ${id}`, criteria: [criterion] })

const inTwo = new DelegationPlan({ subtasks: [part("a", 0), part("b", 1)] })

const done = (it: Goal): GoalResult =>
  resultOf({
    goalId: it.id,
    finalText: `did ${it.description.split("\n")[0]}`,
    diff: "+x",
    acceptance: it.acceptance.map(() => ({ passed: true })),
    costUsd: 1
  })

const given = (planner: Layer.Layer<DelegationPlanner>, run = done) => {
  const parts = Layer.mergeAll(
    GoalExecutor.layerScripted([(it) => Effect.succeed(run(it))]),
    RemoteAgents.layerNone,
    DelegationStore.layerMemory
  )
  return DelegatingExecutor.layer.pipe(Layer.provide([Delegation.layer(), planner]), Layer.provideMerge(parts))
}

const descriptions = Effect.map(Effect.flatten(RunGoals), (runs) =>
  runs.map((it) => it.goal.description.split("\n")[0])
)

const run = (previous: Option.Option<GoalResult> = Option.none()) =>
  Effect.flatMap(GoalExecutor, (it) => it.run(goal, ExecEnv.empty, { previous }))

const directive = new Directive({
  goal: "Build it",
  originalRequest: "build it",
  acceptanceCriteria: [
    new CommandCriterion({ statement: "a is made", command: "make a" }),
    new CommandCriterion({ statement: "b is made", command: "make b" })
  ]
})

const answered = <A>(value: A) => ({ answer: Either.right(value), calls: [] })

const surroundings = Layer.suspend(() =>
  Layer.mergeAll(
    IntentModel.layerScripted({
      assess: [answered({ assessment: new Task({ scope: "substantial" }), followUp: Option.none() })],
      crystallize: [answered(directive)],
      review: [answered({ passed: true, score: 1, criteria: [], notes: [], gaps: [] })]
    }),
    IntentStore.layerMemory,
    IntentEvents.layerNoop,
    Environments.layerFixed(),
    GoalChecker.layerAgreeable
  )
)

describe("DelegatingExecutor", () => {
  it.effect("divides a goal where there is a plan, and gives one result with what all runs used", () =>
    Effect.gen(function* () {
      const result = yield* run()
      assert.deepStrictEqual(yield* descriptions, ["Do a", "Do b", "Build it"])
      assert.strictEqual(result.outcome.usage.costUsd, 3)
      assert.strictEqual(result.outcome.goalId, goal.id)
    }).pipe(Effect.provide(given(DelegationPlanner.layerFixed(inTwo))))
  )

  it.effect("charges the goal with what the plan took, at a known price or an unknown one", () =>
    Effect.gen(function* () {
      const tokens = new TokenUsage({ input: 10, output: 5, cacheRead: 0, cacheCreation: 0 })
      for (const costUsd of [Option.some(0.25), Option.none()]) {
        const asOne = new DelegationPlan({ subtasks: [] })
        const planner = Layer.succeed(DelegationPlanner, {
          plan: () => Effect.succeed({ plan: asOne, problem: Option.none(), spent: Option.some({ tokens, costUsd }) })
        })
        const { usage } = (yield* Effect.provide(run(), given(planner))).outcome
        assert.deepStrictEqual(
          [usage.costUsd, usage.costComplete],
          [1 + Option.getOrElse(costUsd, () => 0), Option.isSome(costUsd)]
        )
        assert.strictEqual(usage.tokens.input - done(goal).outcome.usage.tokens.input, 10)
      }
    })
  )

  it.effect("runs the goal as one where there is none", () =>
    Effect.gen(function* () {
      yield* run()
      assert.deepStrictEqual(yield* descriptions, ["Build it"])
    }).pipe(Effect.provide(given(DelegationPlanner.layerNone)))
  )

  it.effect("does not divide what a review has sent back", () =>
    Effect.gen(function* () {
      yield* run(Option.some(done(goal)))
      assert.deepStrictEqual(yield* descriptions, ["Build it"])
    }).pipe(Effect.provide(given(DelegationPlanner.layerFixed(inTwo))))
  )

  it.effect("keeps to the plan that it once made", () =>
    Effect.gen(function* () {
      const store = yield* DelegationStore
      yield* store.savePlan(goal.id, new DelegationPlan({ subtasks: [] }))
      yield* run()
      assert.deepStrictEqual(yield* descriptions, ["Build it"])
    }).pipe(Effect.provide(given(DelegationPlanner.layerFixed(inTwo))))
  )

  it.effect("on the intent path is reviewed like any other, once, by what was put together", () =>
    Effect.gen(function* () {
      const intent = yield* Intent
      const response = yield* intent.handle("build it", { sessionId: IntentSessionId.make("s") })
      assert.isTrue(response._tag === "TaskResult" && Option.getOrElse(response.passed, () => false))
      const reviews = (yield* Effect.flatten(AskedQuestions)).filter(({ ask }) => ask === "review")
      assert.strictEqual(reviews.length, 1)
      const [review] = reviews
      assert.deepStrictEqual(
        review?.ask === "review" ? review.request.finalText : undefined,
        Option.some("did Build it")
      )
    }).pipe(
      Effect.provide(
        Intent.layer().pipe(
          Layer.provideMerge(given(DelegationPlanner.layerFixed(inTwo))),
          Layer.provideMerge(surroundings)
        )
      )
    )
  )

  it.effect("on the intent path reports a part that failed as failed, whatever a model says", () =>
    Effect.gen(function* () {
      const intent = yield* Intent
      const response = yield* intent.handle("build it", { sessionId: IntentSessionId.make("s") })
      assert.isTrue(response._tag === "TaskResult" && !Option.getOrElse(response.passed, () => true))
    }).pipe(
      Effect.provide(
        Intent.layer({ maxRetries: 0 }).pipe(
          Layer.provideMerge(
            given(DelegationPlanner.layerFixed(inTwo), (it) =>
              it.description.startsWith("Do b") ? resultOf({ ended: "escalated" }) : done(it)
            )
          ),
          Layer.provideMerge(surroundings)
        )
      )
    )
  )
})

describe("DelegationPlanner on a language model", () => {
  const answer = (parts: ReadonlyArray<Record<string, unknown>>) => JSON.stringify({ parts })
  const asked = (id: string, changes: Record<string, unknown> = {}) => ({
    id,
    description: `Do ${id}`,
    role: "worker",
    capability: null,
    depends_on: [],
    criteria: [],
    ...changes
  })
  const planned = (answers: ReadonlyArray<LanguageModelScripted.Answer>, minCriteria = 2) =>
    Effect.flatMap(DelegationPlanner, (it) => it.plan(goal, ["review"])).pipe(
      Effect.provide(
        DelegationPlanner.layerLanguageModel({ minCriteria, timeout: "1 minute", prices: Option.none() }).pipe(
          Layer.provideMerge(LanguageModelScripted.layer(answers))
        )
      )
    )

  it.effect("reads a plan, also out of prose", () =>
    Effect.gen(function* () {
      const text = `Here it is:\n\`\`\`json\n${answer([asked("a", { capability: "review", criteria: [0] }), asked("b", { depends_on: ["a"] })])}\n\`\`\``
      const { plan, problem } = yield* planned([text])
      assert.isTrue(Option.isNone(problem))
      assert.deepStrictEqual(
        plan.subtasks.map(
          ({ capability, criteria, dependsOn, id }): ReadonlyArray<unknown> => [
            id,
            Option.getOrNull(capability),
            criteria,
            dependsOn
          ]
        ),
        [
          ["a", "review", [0], []],
          ["b", null, [], ["a"]]
        ]
      )
    })
  )

  const useless: ReadonlyArray<readonly [string, string, RegExp]> = [
    [
      "parts that wait for each other",
      answer([asked("a", { depends_on: ["b"] }), asked("b", { depends_on: ["a"] })]),
      /wait for each other/
    ],
    ["a part without a name", answer([asked(""), asked("b")]), /cannot be used/],
    ["a criterion that is not there", answer([asked("a", { criteria: [7] }), asked("b")]), /criterion/],
    ["another form", '{"plan": 1}', /form/],
    ["no JSON", "I will not", /JSON/]
  ]
  for (const [what, text, why] of useless) {
    it.effect(`runs the goal as one for ${what}, also when it is asked again, and says why`, () =>
      Effect.gen(function* () {
        const { plan, problem } = yield* planned([text, text])
        assert.deepStrictEqual(plan.subtasks, [])
        assert.match(Option.getOrThrow(problem), why)
      })
    )
  }

  it.effect("asks once more for a plan that cannot be used, with what was wrong, and pays for both", () =>
    Effect.gen(function* () {
      const wrong = answer([asked("a", { depends_on: ["b"] }), asked("b", { depends_on: ["a"] })])
      const { plan, problem, spent } = yield* planned([wrong, answer([asked("a"), asked("b")])])
      assert.deepStrictEqual([plan.subtasks.length, Option.isNone(problem)], [2, true])
      // The script does not say what it took.
      assert.deepStrictEqual(
        Option.map(spent, ({ costUsd }) => costUsd),
        Option.some(Option.none())
      )
    })
  )

  it.effect("does not know what a question cost that had no answer, but for one that was refused", () =>
    Effect.gen(function* () {
      const error = (reason: ModelError["reason"]) =>
        new AiError.UnknownError({
          module: "Test",
          method: "generateText",
          cause: new ModelError({ reason, detail: "no", retryable: false })
        })
      for (const [reason, costUsd] of [
        ["unavailable", Option.none()],
        ["unauthorized", Option.some(0)]
      ] as const) {
        const { problem, spent } = yield* planned([error(reason)])
        assert.isTrue(Option.isSome(problem))
        assert.deepStrictEqual(
          Option.map(spent, (it) => it.costUsd),
          Option.some(costUsd)
        )
      }
    })
  )

  it.effect("shows the model no secrets", () =>
    Effect.gen(function* () {
      const asked = yield* Effect.zipRight(
        Effect.flatMap(DelegationPlanner, (it) =>
          it.plan(new Goal({ ...goal, description: "Use correct-horse-battery" }), [])
        ),
        Effect.flatten(LanguageModelScripted.AskedPrompts)
      ).pipe(
        Effect.provide(
          DelegationPlanner.layerLanguageModel({ minCriteria: 1, timeout: "1 minute", prices: Option.none() }).pipe(
            Layer.provide(Redactor.layer([Redacted.make("correct-horse-battery")])),
            Layer.provideMerge(LanguageModelScripted.layer([answer([])]))
          )
        )
      )
      assert.notInclude(asked.join(), "correct-horse")
    })
  )

  it.effect("runs the goal as one when that is the answer, or there are too few criteria to ask", () =>
    Effect.gen(function* () {
      for (const result of [
        yield* planned([answer([])]),
        yield* planned([answer([asked("a")])]),
        yield* planned([], 3)
      ]) {
        assert.deepStrictEqual(result.plan.subtasks, [])
        assert.isTrue(Option.isNone(result.problem))
      }
    })
  )

  it("takes whatever a model says without failing", () => {
    const anyPart = fc.record({
      id: fc.string(),
      description: fc.string(),
      role: fc.constantFrom("worker", "manager", "boss"),
      capability: fc.option(fc.string()),
      depends_on: fc.array(fc.string()),
      criteria: fc.array(fc.double())
    })
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.jsonValue(),
          fc.array(anyPart).map((parts) => ({ parts }))
        ),
        (value) => {
          const plan = planOf(value, goal)
          assert.isTrue(Either.isLeft(plan) ? plan.left !== "" : plan.right.subtasks.length !== 1)
        }
      )
    )
  })
})
