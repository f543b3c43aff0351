/** `GoalExecutor` over goals that a script ends: which agent works, what is kept of the end, and what is none. */
import * as GoalExecutorLayer from "@driver/cli/goalExecutor"
import { RunGoal } from "@driver/cli/RunGoal"
import { loadSettings, type Settings } from "@driver/cli/Settings"
import { Goal, GoalId } from "@driver/domain/Goal"
import { type AttemptOutcome, Cancelled, Continue, Done, Escalate, GoalOutcome } from "@driver/domain/Outcome"
import { Usage } from "@driver/domain/Usage"
import { ExecEnv } from "@driver/intent/ExecEnv"
import { GoalExecutor } from "@driver/intent/GoalExecutor"
import { GoalResults } from "@driver/intent/GoalResults"
import { AccountLimits } from "@driver/runtime/AccountLimits"
import { Workspace } from "@driver/runtime/Workspace"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Option, Ref } from "effect"
import { directoryWith } from "./support/files.js"
import * as TestHost from "./support/TestHost.js"

const goalId = GoalId.make("11111111-1111-4111-8111-111111111111")

const config = `agent: { kind: stub, scenario: first.yaml, model: one }
account: mine
intent:
  other_agents:
    - { name: second, scenario: second.yaml, env: { LOGIN: two } }
    - { name: third, kind: claude-code, account: theirs }
`

interface World {
  readonly ends?: ReadonlyArray<AttemptOutcome>
  readonly diff?: string
  /** Accounts whose limit is reached. */
  readonly closed?: ReadonlyArray<string>
}

const limited = (accounts: ReadonlyArray<string>) =>
  Layer.tap(AccountLimits.layerMemory, (context) =>
    Effect.forEach(accounts, (it) => Context.get(context, AccountLimits).limited(it, 4_000_000_000_000, "five hours"))
  )

/** Runs the goal so often, with these agents, and gives what came of it with the settings of each run. */
const running = (
  agents: ReadonlyArray<Option.Option<string>>,
  { closed = [], diff = "+x", ends = [new Done()] }: World = {}
) =>
  Effect.gen(function* () {
    const directory = yield* directoryWith({ ".git/HEAD": "", "driver.yaml": config })
    const host = TestHost.layer({ directory, environment: { MY_PASSWORD: "correct-horse-battery" } })
    return yield* Effect.gen(function* () {
      const settings = yield* loadSettings({ config: Option.none() })
      const used = yield* Ref.make<ReadonlyArray<Settings>>([])
      const run = (own: Settings) =>
        Layer.succeed(RunGoal, {
          notes: Effect.succeed([]),
          run: (goal) =>
            Effect.map(
              Ref.modify(used, (before) => [before.length, [...before, own]]),
              (index) =>
                new GoalOutcome({
                  goalId: goal.id,
                  outcome: ends[Math.min(index, ends.length - 1)] ?? new Done(),
                  totalTurns: 1,
                  usage: Usage.zero,
                  elapsed: Duration.zero
                })
            )
        })
      const results = yield* Effect.forEach(agents, (agent) =>
        Effect.either(
          Effect.flatMap(GoalExecutor, (it) =>
            it.run(new Goal({ id: goalId, description: "x", agent }), ExecEnv.empty, { previous: Option.none() })
          )
        )
      ).pipe(Effect.provide(GoalExecutorLayer.layer({ settings, onEvent: () => Effect.void, run })))
      return { results, used: yield* Ref.get(used) }
    }).pipe(
      Effect.provide(host),
      Effect.provide(limited(closed)),
      Effect.provide([GoalResults.layerMemory, Layer.mock(Workspace, { diff: () => Effect.succeed(diff) })])
    )
  }).pipe(Effect.scoped, Effect.provide([NodeFileSystem.layer, NodePath.layer]))

const first = Option.none<string>()

describe("goalExecutor", () => {
  const agents = [
    ["the configured one", first, { kind: "stub", model: "one", account: "mine", endAtLimit: true, login: undefined }],
    [
      "one that takes over",
      Option.some("second"),
      { kind: "stub", model: "one", account: "second", endAtLimit: true, login: "two" }
    ],
    [
      "the last one, which waits for its limits and has nothing of another kind",
      Option.some("third"),
      { kind: "claude-code", model: undefined, account: "theirs", endAtLimit: false, login: undefined }
    ]
  ] as const
  for (const [name, agent, expected] of agents) {
    it.live(`has the goal done by ${name}`, () =>
      Effect.gen(function* () {
        const { results, used } = yield* running([agent])
        assert.isTrue(results.every(({ _tag }) => _tag === "Right"))
        assert.deepStrictEqual(
          used.map(({ agent, config }) => ({
            kind: agent.kind,
            model: Option.getOrUndefined(config.agent.model),
            account: config.account,
            endAtLimit: agent.endAtLimit,
            login: agent.environment["LOGIN"]
          })),
          [expected]
        )
      })
    )
  }

  it.live("says which agent is not there any more", () =>
    Effect.gen(function* () {
      const { results, used } = yield* running([Option.some("fourth")])
      const [result] = results
      assert.match(result?._tag === "Left" ? result.left.message : "", /no agent "fourth".*intent\.other_agents/)
      assert.deepStrictEqual(used, [])
    })
  )

  const ends: ReadonlyArray<readonly [string, AttemptOutcome, string, number]> = [
    ["gives what has ended again, and runs nothing", new Escalate({ reason: "stuck" }), "Right,Right", 1],
    ["runs what was cancelled again", new Cancelled(), "Right,Right", 2],
    [
      "takes a goal that could only not be worked on for none that has ended",
      new Continue({ reason: "no disk" }),
      "Left,Right",
      2
    ]
  ]
  for (const [name, end, tags, runs] of ends) {
    it.live(name, () =>
      Effect.gen(function* () {
        const { results, used } = yield* running([first, first], { ends: [end, new Done()] })
        assert.strictEqual(results.map(({ _tag }) => _tag).join(), tags)
        assert.strictEqual(used.length, runs)
      })
    )
  }

  it.live(
    "does not begin with an agent whose limit is known, where somebody can take over, and waits with the last",
    () =>
      Effect.gen(function* () {
        const closed = ["mine", "theirs"]
        const { results, used } = yield* running([first, Option.some("third")], { closed })
        const [result] = results
        if (result?._tag !== "Right") return assert.fail("it has a result")
        assert.strictEqual(Option.getOrNull(result.right.failure), "quota_exhausted")
        assert.strictEqual(result.right.outcome.totalTurns, 0)
        assert.deepStrictEqual(
          used.map(({ config }) => config.account),
          ["theirs"]
        )
      })
  )

  it.live("keeps secrets out of the diff, also where it is cut", () =>
    Effect.gen(function* () {
      const { results } = yield* running([first], { diff: `${"x".repeat(199_990)}correct-horse-battery` })
      const [result] = results
      assert.isTrue(result?._tag === "Right" && Option.exists(result.right.diff, (text) => !/correct/.test(text)))
    })
  )
})
