/** `driver resume` without a daemon: goals go on in this process. */
import { RunError, RunGoal, type RunOptions } from "@driver/cli/RunGoal"
import type { Settings } from "@driver/cli/Settings"
import { GoalCompleted, StoredEvent } from "@driver/domain/DriverEvent"
import { Goal, type GoalId, GoalId as GoalIdSchema } from "@driver/domain/Goal"
import { type AttemptOutcome, BudgetExhausted, Done, type GoalOutcome } from "@driver/domain/Outcome"
import { GoalRow, type GoalState, GoalStore } from "@driver/runtime/GoalStore"
import * as JournalMemory from "@driver/runtime/JournalMemory"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import { Context, DateTime, Effect, Layer, Option, Ref } from "effect"
import { runCli } from "./support/cli.js"
import { outcome } from "./support/events.js"
import { directoryWith } from "./support/files.js"
import { script, summaryOf } from "./support/goals.js"

const idOf = (digit: string) => GoalIdSchema.make(`${digit.repeat(8)}-0000-4000-8000-000000000001`)
const [first, second, third] = [idOf("1"), idOf("2"), idOf("3")]

interface Row {
  readonly id: GoalId
  readonly state?: GoalState
  readonly dependsOn?: ReadonlyArray<GoalId>
}

/** Goals of one repository; `ends` says how each ends, a sentence that it cannot begin. */
const world = (rows: ReadonlyArray<Row>, ends: (goalId: GoalId) => AttemptOutcome | string = () => new Done()) =>
  Effect.gen(function* () {
    const root = yield* directoryWith({ ".git/HEAD": "", "driver.yaml": "daemon: { max_concurrent: 2 }\n" }).pipe(
      Effect.provide(Layer.merge(NodeFileSystem.layer, NodePath.layer))
    )
    const context = yield* Layer.build(JournalMemory.layer())
    const store = Context.get(context, GoalStore)
    yield* store.submit(
      rows.map(
        ({ dependsOn = [], id, state = "running" }) =>
          new GoalRow({
            goal: new Goal({ id, description: `Goal ${id[0]}` }),
            state,
            repository: root,
            dependsOn,
            submittedAt: DateTime.unsafeMake(0)
          })
      )
    )
    const { calls, layer } = yield* script({ listening: false, summaries: rows.map(({ id }) => summaryOf(id)) })
    const begun = yield* Ref.make<ReadonlyArray<GoalId>>([])
    const built = yield* Ref.make<ReadonlyArray<string>>([])

    const run = (goal: Goal, { onEvent }: RunOptions): Effect.Effect<GoalOutcome, RunError> =>
      Effect.gen(function* () {
        yield* Ref.update(begun, (before) => [...before, goal.id])
        const how = ends(goal.id)
        if (typeof how === "string") return yield* new RunError({ detail: how })
        const ended = outcome({ goalId: goal.id, outcome: how })
        yield* Effect.orDie(store.setState(goal.id, "ended", { outcome: ended }))
        yield* onEvent(
          new StoredEvent({
            goalId: goal.id,
            sequence: 1,
            messageId: "m",
            at: DateTime.unsafeMake(0),
            event: new GoalCompleted({ goalId: goal.id, outcome: ended })
          })
        )
        return ended
      })
    const runLayer = (settings: Settings) =>
      Layer.effect(
        RunGoal,
        Effect.as(
          Ref.update(built, (before) => [...before, Option.getOrElse(settings.repository, () => "none")]),
          { notes: Effect.succeed([]), run }
        )
      )
    return {
      root,
      calls,
      begun: Ref.get(begun),
      built: Ref.get(built),
      resume: (...args: ReadonlyArray<string>) =>
        runCli(
          ["resume", ...args],
          { directory: root, environment: { XDG_STATE_HOME: `${root}/state` } },
          { operator: () => layer, journals: () => Layer.succeedContext(context), run: runLayer }
        )
    }
  })

describe("driver resume, without a daemon", () => {
  it.scopedLive("goes on with a goal as a run does, with its pause taken away", () =>
    Effect.gen(function* () {
      const { calls, resume } = yield* world([{ id: first }])
      const { code, stdout } = yield* resume("1111")
      assert.strictEqual(code, 0)
      assert.match(stdout, /^✓ accepted · 2 turns/m)
      assert.deepStrictEqual(yield* calls, [["resume", first]])
    })
  )

  it.scopedLive(
    "goes on with all of them on one runtime, each line with its goal, each after those it depends on",
    () =>
      Effect.gen(function* () {
        const { begun, built, resume, root } = yield* world([
          { id: first, dependsOn: [third] },
          { id: second },
          { id: third, state: "queued" }
        ])
        const { code, stdout } = yield* resume("--all")
        assert.strictEqual(code, 0)
        // The two that wait for nobody begin together.
        const order = yield* begun
        assert.deepStrictEqual(order.slice(0, 2).sort(), [second, third])
        assert.deepStrictEqual(order.slice(2), [first])
        assert.deepStrictEqual(yield* built, [root])
        for (const id of ["11111111", "22222222", "33333333"])
          assert.match(stdout, new RegExp(`^${id} ✓ accepted`, "m"))
      })
  )

  it.scopedLive("ends with the worst of their codes, and prints one outcome a line as JSON", () =>
    Effect.gen(function* () {
      const { resume } = yield* world([{ id: first }, { id: second }], (id) =>
        id === first ? new BudgetExhausted({ axis: "turns" }) : new Done()
      )
      const { code, stdout } = yield* resume("--all", "--json")
      const kinds = stdout
        .trimEnd()
        .split("\n")
        .map((it) => JSON.parse(it).outcome.kind)
      assert.deepStrictEqual([code, kinds.sort()], [1, ["budget_exhausted", "done"]])
    })
  )

  it.scopedLive("does not begin what waits for a goal that was not accepted, and says what cannot begin", () =>
    Effect.gen(function* () {
      const { begun, resume } = yield* world(
        [{ id: first }, { id: second, dependsOn: [first] }],
        () => "The goal is being worked on by another driver"
      )
      const { code, stderr } = yield* resume("--all")
      assert.deepStrictEqual([code, yield* begun], [2, [first]])
      assert.match(stderr, /^11111111 driver: The goal is being worked on by another driver$/m)
      assert.match(stderr, /^22222222 driver: The goal 22222222 cannot go on: it waits for the goal 11111111/m)
    })
  )

  it.scopedLive("refuses a goal that is over, and begins nothing", () =>
    Effect.gen(function* () {
      const { begun, calls, resume } = yield* world([{ id: first }, { id: second, state: "ended" }])
      const { code, stderr } = yield* resume("1111", "2222")
      assert.deepStrictEqual([code, yield* begun, yield* calls], [2, [], []])
      assert.match(stderr, /^driver: The goal 22222222 is over \(ended\): submit it again/)
    })
  )
})
