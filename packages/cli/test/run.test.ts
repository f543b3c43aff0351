import { drive } from "@driver/cli/commands/run"
import { RunError, RunGoal } from "@driver/cli/RunGoal"
import type { Settings } from "@driver/cli/Settings"
import { GoalCompleted, GoalStarted } from "@driver/domain/DriverEvent"
import type { Goal } from "@driver/domain/Goal"
import { BudgetExhausted, Cancelled, Escalate, GoalOutcome } from "@driver/domain/Outcome"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Option, Ref, Schema } from "effect"
import { runCli } from "./support/cli.js"
import { goalId, outcome, stored, storyEvents, goal as storyGoal } from "./support/events.js"
import { directoryWith } from "./support/files.js"
import * as TestHost from "./support/TestHost.js"

const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)

/** Plays the story and ends like this; remembers what it was asked. */
const runWorld = Effect.gen(function* () {
  const asked = yield* Ref.make<ReadonlyArray<{ readonly goal: Goal; readonly settings: Settings }>>([])
  const endingWith = (ended: GoalOutcome) => (settings: Settings) =>
    Layer.succeed(RunGoal, {
      notes: Effect.succeed([]),
      run: (goal, { onEvent }) =>
        Ref.update(asked, (before) => [...before, { goal, settings }]).pipe(
          Effect.zipRight(Effect.forEach(storyEvents, onEvent, { discard: true })),
          Effect.as(ended)
        )
    })
  return { asked: Ref.get(asked), endingWith }
})

const goalFile = "description: Make greet polite\nacceptance: [{ shell: node test.js }]\n"

const run = (
  args: ReadonlyArray<string>,
  layer: (settings: Settings) => Layer.Layer<RunGoal, RunError>,
  files: Record<string, string> = {},
  host: Partial<TestHost.TestHostOptions> = {}
) =>
  Effect.gen(function* () {
    const root = yield* directoryWith({ ".git/HEAD": "", "goal.yaml": goalFile, ...files })
    const ran = yield* runCli(["run", ...args], { directory: root, ...host }, { run: layer })
    return { ...ran, root }
  }).pipe(Effect.scoped, Effect.provide(platform))

describe("driver run", () => {
  it.live("shows what happens and how it ended, and ends with 0 when the goal was accepted", () =>
    Effect.gen(function* () {
      const { endingWith } = yield* runWorld
      const { code, stderr, stdout } = yield* run(["goal.yaml"], endingWith(outcome()))
      assert.strictEqual(code, 0)
      assert.strictEqual(stderr, "")
      assert.match(stdout, /^goal 7c9e6679: Make greet polite …\n/)
      assert.match(stdout, /\n {2}denied: Bash curl/)
      assert.match(
        stdout,
        /\n✓ accepted · 2 turns · 3,580 tokens · \$0\.0246 · 4\.2s\n[\s\S]*\n {2}branch {3}driver\/7c9e6679/
      )
    })
  )

  it.live("prints one outcome on standard output with --json, and the progress on standard error", () =>
    Effect.gen(function* () {
      const { endingWith } = yield* runWorld
      const { code, stderr, stdout } = yield* run(["goal.yaml", "--json"], endingWith(outcome()))
      assert.strictEqual(code, 0)
      assert.strictEqual(stdout.split("\n").length, 2)
      assert.deepStrictEqual(Schema.decodeUnknownSync(GoalOutcome.FromJson)(stdout), outcome())
      assert.deepInclude(JSON.parse(stdout), {
        goal_id: goalId,
        total_turns: 2,
        outcome: { kind: "done" },
        elapsed: 4230
      })
      assert.include(stderr, "turn 2/5\n")
    })
  )

  it.live("redraws on a terminal, and leaves it in order", () =>
    Effect.gen(function* () {
      const { endingWith } = yield* runWorld
      const { stdout } = yield* run(["goal.yaml"], endingWith(outcome()), {}, { terminal: { columns: 80, rows: 24 } })
      assert.isTrue(stdout.startsWith("\x1b[?25l"))
      assert.isTrue(stdout.endsWith("\x1b[?25h"))
      assert.include(stdout, "✓ accepted")
    })
  )

  const ends = [
    [new BudgetExhausted({ axis: "turns" }), 1],
    [new Escalate({ reason: "stuck" }), 1],
    [new Escalate({ reason: "disk full", by: "driver" }), 2],
    [new Cancelled(), 130]
  ] as const
  for (const [how, code] of ends) {
    it.live(
      `ends with ${code} for ${how._tag}${how._tag === "Escalate" ? ` by the ${how.by}` : ""}, and its outcome is printed all the same`,
      () =>
        Effect.gen(function* () {
          const { endingWith } = yield* runWorld
          const ran = yield* run(["goal.yaml", "--json"], endingWith(outcome({ outcome: how })))
          assert.strictEqual(ran.code, code)
          assert.deepStrictEqual(Schema.decodeUnknownSync(GoalOutcome.FromJson)(ran.stdout).outcome, how)
          assert.notInclude(ran.stderr, "driver:")
        })
    )
  }

  it.live("hands over the goal of the file and the settings of all options", () =>
    Effect.gen(function* () {
      const { asked, endingWith } = yield* runWorld
      const { root } = yield* run(
        ["--config", "conf.yaml", "--events", "log.jsonl", "--agent", "stub", "goal.yaml"],
        endingWith(outcome()),
        { "conf.yaml": "agent: { scenario: s.yaml }\nbudget: { max_turns: 3 }", "s.yaml": "turns: []\n" }
      )
      const [call] = yield* asked
      assert.strictEqual(call?.goal.description, "Make greet polite")
      assert.strictEqual(call?.goal.budget.maxTurns, 3)
      assert.strictEqual(call?.settings.agent.kind, "stub")
      assert.deepStrictEqual(call?.settings.agent.scenario, Option.some(`${root}/s.yaml`))
      assert.deepStrictEqual(call?.settings.eventFiles, [`${root}/log.jsonl`])
      assert.deepStrictEqual(call?.settings.repository, Option.some(root))
    })
  )

  it.live("lets the goal name its agent, and the command line have the last word", () =>
    Effect.gen(function* () {
      const { asked, endingWith } = yield* runWorld
      const files = {
        "goal.yaml": `agent: stub\n${goalFile}`,
        "driver.yaml": "agent: { scenario: s.yaml }",
        "s.yaml": "turns: []\n"
      }
      yield* run(["goal.yaml"], endingWith(outcome()), files)
      yield* run(["goal.yaml", "--agent", "claude-code"], endingWith(outcome()), files)
      assert.deepStrictEqual(
        (yield* asked).map(({ settings }) => settings.agent.kind),
        ["stub", "claude-code"]
      )
      const unknown = yield* run(["goal.yaml"], endingWith(outcome()), { "goal.yaml": `agent: gpt\n${goalFile}` })
      assert.strictEqual(unknown.code, 2)
      assert.match(unknown.stderr, /goal\.yaml: agent: there is no agent backend "gpt", only claude-code and stub\n$/)
    })
  )

  it.live("refuses a scenario that is not there before anything is begun", () =>
    Effect.gen(function* () {
      const { asked, endingWith } = yield* runWorld
      const config = { "driver.yaml": "agent: { kind: stub, scenario: nope.yaml }" }
      const { code, root, stderr } = yield* run(["goal.yaml"], endingWith(outcome()), config)
      assert.strictEqual(code, 2)
      assert.strictEqual(stderr, `driver: ${root}/driver.yaml: agent.scenario: there is no file ${root}/nope.yaml\n`)
      assert.deepStrictEqual(yield* asked, [])
    })
  )

  it.live("warns of a goal that nobody can fail, and runs it", () =>
    Effect.gen(function* () {
      const { endingWith } = yield* runWorld
      const { code, stderr } = yield* run(["goal.yaml"], endingWith(outcome()), { "goal.yaml": "description: x" })
      assert.strictEqual(code, 0)
      assert.match(stderr, /^warning: .*goal\.yaml: the goal has no acceptance criteria/)
    })
  )

  it.live("ends with 2 and a sentence when the goal cannot be run, and prints nothing on standard output", () =>
    Effect.gen(function* () {
      const failing = () => Layer.fail(new RunError({ detail: "The database is locked: end the other driver" }))
      const layerFails = yield* run(["goal.yaml", "--json"], failing)
      assert.deepStrictEqual(
        [layerFails.code, layerFails.stdout, layerFails.stderr],
        [2, "", "driver: The database is locked: end the other driver\n"]
      )
      const runFails = yield* run(["goal.yaml", "--json"], () =>
        Layer.succeed(RunGoal, { notes: Effect.succeed([]), run: () => new RunError({ detail: "No room" }) })
      )
      assert.deepStrictEqual([runFails.code, runFails.stdout, runFails.stderr], [2, "", "driver: No room\n"])
    })
  )

  it.live("builds nothing when goal or configuration are wrong", () =>
    Effect.gen(function* () {
      const ran = yield* run(["goal.yaml"], () => Layer.die("built"), { "goal.yaml": "descripton: x" })
      assert.strictEqual(ran.code, 2)
      assert.match(
        ran.stderr,
        /^driver: .*goal\.yaml:1:1: descripton is not a known key; did you mean description\?\n$/
      )
      assert.strictEqual(ran.stdout, "")
    })
  )

  for (const json of [true, false]) {
    it.live(`prints the outcome of a goal that is cancelled by interrupting it${json ? ", as JSON" : ""}`, () =>
      Effect.gen(function* () {
        const running = yield* Deferred.make<void>()
        const cancelled = outcome({ outcome: new Cancelled() })
        const service = RunGoal.of({
          notes: Effect.succeed([]),
          run: (_, { onEvent }) => {
            const [started] = stored([new GoalStarted({ goalId, goal: storyGoal })])
            const [ended] = stored([new GoalCompleted({ goalId, outcome: cancelled })])
            return Effect.forEach(started === undefined ? [] : [started], onEvent).pipe(
              Effect.zipRight(Deferred.succeed(running, undefined)),
              Effect.zipRight(Effect.never),
              Effect.onInterrupt(() => (ended === undefined ? Effect.void : onEvent(ended)))
            )
          }
        })
        const host = TestHost.layer({ directory: "/nowhere" })
        yield* Effect.gen(function* () {
          const written = yield* TestHost.Written
          const fiber = yield* Effect.fork(Effect.scoped(drive(storyGoal, { json, transient: false })))
          yield* Deferred.await(running)
          const exit = yield* Fiber.interrupt(fiber)
          assert.isTrue(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
          const stdout = yield* written.stdout
          if (json) assert.deepStrictEqual(Schema.decodeUnknownSync(GoalOutcome.FromJson)(stdout), cancelled)
          else assert.match(stdout, /\ncancelled · 2 turns · /)
        }).pipe(Effect.provideService(RunGoal, service), Effect.provide(host))
      })
    )
  }
})
