// A goal's whole trace, from the real loop, gate and criteria.
import { asks, ended, said } from "@driver/agent/AgentScripted"
import { Shell } from "@driver/domain/Goal"
import { AllowOnce, Deny, type PermissionRequest } from "@driver/domain/Permission"
import { isGoalSpan, SpanAttribute } from "@driver/domain/Spans"
import { TokenUsage } from "@driver/domain/Usage"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Tracer } from "effect"
import { drive, goalId, goalOf, passesAt, type World } from "./support/world.js"

const decide = ({ tool }: PermissionRequest) =>
  Effect.succeed(
    tool === "Bash"
      ? new AllowOnce({ updatedInput: Option.none(), rationale: "fine" })
      : new Deny({ message: "not this", rationale: "no" })
  )

const usage = new TokenUsage({ input: 10, output: 20, cacheRead: 300, cacheCreation: 4_000 })

const world: World = {
  decide,
  script: [
    [said("I try."), asks("Bash", { command: "ls" }, { toolUseId: "toolu_1" }), ended({ usage, costUsd: 0.5 })],
    [asks("WebFetch", { url: "http://x" }, { toolUseId: "toolu_2" }), ended({ usage })]
  ]
}

const goal = goalOf([passesAt(2), new Shell({ command: "true" })])

/** All spans of the run, whoever made them. */
const trace = Effect.gen(function* () {
  const native = yield* Effect.tracer
  const all: Array<Tracer.Span> = []
  const tracer = Tracer.make({
    span: (...given) => {
      const span = native.span(...given)
      all.push(span)
      return span
    },
    context: native.context
  })
  const outcome = yield* Effect.provide(drive(world, goal), Layer.setTracer(tracer))
  assert.strictEqual(outcome.outcome._tag, "Done")
  return all
})

const above = (span: Tracer.Span): ReadonlyArray<Tracer.Span> =>
  Option.match(span.parent, {
    onNone: () => [],
    onSome: (parent) => (parent._tag === "Span" ? [parent, ...above(parent)] : [])
  })

/** Names of the goal's spans from the outermost down to this one. */
const pathOf = (span: Tracer.Span): string =>
  [span, ...above(span)]
    .map((it) => it.name)
    .filter(isGoalSpan)
    .reverse()
    .join("/")

/** As the loop gives them, which may not tell of goals and attempts. */
const belowTheAttempt = (path: string): string => path.replace(/^(driver\.goal\/)?(driver\.attempt\/)?/, "")

const find = (all: ReadonlyArray<Tracer.Span>, name: string) => all.filter((it) => it.name === name)

describe("a goal's trace", () => {
  it.live("tells of agent calls, tools, decisions and criteria, each below what it is part of", () =>
    Effect.gen(function* () {
      const all = yield* trace
      const paths = all.filter((it) => isGoalSpan(it.name)).map((it) => belowTheAttempt(pathOf(it)))
      assert.deepStrictEqual(
        paths.filter((it) => !["driver.goal", "driver.attempt", ""].includes(it)),
        [
          "invoke_agent scripted",
          "invoke_agent scripted/execute_tool Bash",
          "invoke_agent scripted/execute_tool Bash/driver.decision",
          "driver.criterion",
          "driver.criterion",
          "invoke_agent scripted",
          "invoke_agent scripted/execute_tool WebFetch",
          "invoke_agent scripted/execute_tool WebFetch/driver.decision",
          "driver.criterion",
          "driver.criterion"
        ]
      )
      assert.isTrue(all.every((it) => it.status._tag === "Ended"))
      // One trace: everything has the same outermost span.
      const outermost = new Set(all.filter((it) => isGoalSpan(it.name)).map((it) => above(it).at(-1)?.name ?? it.name))
      assert.strictEqual(outermost.size, 1)
    })
  )

  it.live("tells of the goal and of each attempt", () =>
    Effect.gen(function* () {
      const all = yield* trace
      const [root, ...others] = find(all, "driver.goal")
      assert.lengthOf(others, 0)
      assert.isTrue(Option.isNone(root?.parent ?? Option.none()))
      assert.deepInclude(Object.fromEntries(root?.attributes ?? []), {
        [SpanAttribute.goalId]: goalId,
        [SpanAttribute.outcome]: "done",
        [SpanAttribute.goalTurns]: 2,
        [SpanAttribute.outputTokens]: 40
      })
      const attempts = find(all, "driver.attempt")
      assert.deepStrictEqual(attempts.map(pathOf), ["driver.goal/driver.attempt", "driver.goal/driver.attempt"])
      assert.deepStrictEqual(
        attempts.map((it) => [it.attributes.get(SpanAttribute.turn), it.attributes.get(SpanAttribute.outcome)]),
        [
          [1, "needs_retry"],
          [2, "done"]
        ]
      )
      for (const it of [...find(all, "invoke_agent scripted"), ...find(all, "driver.criterion")]) {
        assert.match(pathOf(it), /^driver\.goal\/driver\.attempt\/[a-z_. ]+$/)
      }
    })
  )

  it.live("says what a turn used, what was decided and what criteria said", () =>
    Effect.gen(function* () {
      const all = yield* trace
      const [first, second] = find(all, "invoke_agent scripted")
      assert.deepInclude(Object.fromEntries(first?.attributes ?? []), {
        [SpanAttribute.operation]: "invoke_agent",
        [SpanAttribute.agentName]: "scripted",
        [SpanAttribute.conversation]: "scripted-session-1",
        [SpanAttribute.turn]: 1,
        [SpanAttribute.turnEnd]: "claimed",
        [SpanAttribute.turnToolCalls]: 1,
        [SpanAttribute.inputTokens]: 4_310,
        [SpanAttribute.outputTokens]: 20,
        [SpanAttribute.cacheReadTokens]: 300,
        [SpanAttribute.cacheCreationTokens]: 4_000,
        [SpanAttribute.costUsd]: 0.5
      })
      // An unknown cost is left out.
      assert.isFalse(second?.attributes.has(SpanAttribute.costUsd))
      assert.deepStrictEqual(
        find(all, "driver.decision").map((it) => [
          it.attributes.get(SpanAttribute.toolName),
          it.attributes.get(SpanAttribute.decisionVerdict),
          it.attributes.get(SpanAttribute.turn)
        ]),
        [
          ["Bash", "allow", 1],
          ["WebFetch", "deny", 2]
        ]
      )
      assert.deepStrictEqual(
        find(all, "driver.criterion").map((it) => [
          it.attributes.get(SpanAttribute.criterionIndex),
          it.attributes.get(SpanAttribute.criterionKind),
          it.attributes.get(SpanAttribute.criterionPassed)
        ]),
        [
          [0, "custom", false],
          [1, "shell", true],
          [0, "custom", true],
          [1, "shell", true]
        ]
      )
    })
  )
})
