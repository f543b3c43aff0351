/** `driver journal`, on journals in memory. */

import type { Verify } from "@driver/cli/commands/goals/journal"
import { GoalPaused } from "@driver/domain/DriverEvent"
import { GoalId } from "@driver/domain/Goal"
import { GoalRow, GoalStore } from "@driver/runtime/GoalStore"
import { Journal, type JournalEntry, JournalRecord } from "@driver/runtime/Journal"
import * as JournalMemory from "@driver/runtime/JournalMemory"
import { RunStarted, SleepBegun } from "@driver/runtime/LoopEntry"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Layer, Option } from "effect"
import { runCli } from "./support/cli.js"
import { goal } from "./support/events.js"

const goalId = goal.id

const entries: ReadonlyArray<JournalEntry> = [
  new RunStarted({ goal, driver: "host 1 2", continued: false }),
  new SleepBegun({ since: 0, until: 60_000, reason: "usage limit\u001b[31m", tick: true }),
  new GoalPaused({ goalId })
]

const records = entries.map(
  (entry, index) =>
    new JournalRecord({ goalId, sequence: index + 1, id: `r${index}`, at: DateTime.unsafeMake(1_000), epoch: 1, entry })
)

const world = (verify: Verify = () => []) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(JournalMemory.layer())
    yield* Effect.gen(function* () {
      const store = yield* GoalStore
      yield* store.submit([
        new GoalRow({ goal, state: "running", repository: "/r", submittedAt: DateTime.unsafeMake(0) })
      ])
      yield* store.acquire(goalId, "host 1 2", Option.none())
      const [first, ...rest] = records
      if (first !== undefined) yield* (yield* Journal).append([first, ...rest])
    }).pipe(Effect.provide(context))
    return (...args: ReadonlyArray<string>) =>
      runCli(
        ["journal", ...args],
        { directory: "/" },
        {
          journals: () => Layer.succeedContext(context),
          verify: Effect.succeed(verify)
        }
      )
  })

describe("driver journal", () => {
  it.scoped("shows one record a line: its place, time, token, kind and fields, harmless to the terminal", () =>
    Effect.gen(function* () {
      const run = yield* world()
      const lines = (yield* run("7c9e6679")).stdout.trimEnd().split("\n")
      assert.strictEqual(lines.length, 3)
      assert.match(lines[0] ?? "", /^1 {2}1970-01-01T00:00:01\.000Z {2}1 {2}run_started {2}goal=\{"id":"7c9e6679/)
      assert.match(lines[1] ?? "", /sleep_begun {2}since=0 until=60000 reason="usage limit/)
      assert.notInclude(lines[1], "\x1b")
      assert.match(lines[2] ?? "", /goal_paused$/)
    })
  )

  it.scoped("prints records as lines of JSON, from where it is told", () =>
    Effect.gen(function* () {
      const run = yield* world()
      const { stdout } = yield* run(goalId, "--json", "--after", "1")
      const shown = stdout
        .trimEnd()
        .split("\n")
        .map((it) => JSON.parse(it))
      assert.deepStrictEqual(
        shown.map((it) => [it.sequence, it.entry.kind]),
        [
          [2, "sleep_begun"],
          [3, "goal_paused"]
        ]
      )
    })
  )

  it.scoped("verifies the whole of it, and ends with 1 and every offence when it does not hold together", () =>
    Effect.gen(function* () {
      const sound = yield* world((id, all) => (id === goalId && all.length === 3 ? [] : ["not all was given"]))
      assert.deepStrictEqual(yield* sound(goalId, "--verify", "--after", "2"), {
        code: 0,
        stdout: `The journal of ${goalId} holds together: 3 records.\n`,
        stderr: ""
      })
      const torn = yield* world(() => ["record 2: a turn ends that had not begun"])
      const found = yield* torn(goalId, "--verify")
      assert.deepStrictEqual([found.code, found.stderr], [1, ""])
      assert.match(
        found.stdout,
        /^record 2: a turn ends.*\nThe journal of .* does not hold together: 1 offence in 3 records\.\n$/
      )
      const asJson = JSON.parse((yield* torn(goalId, "--verify", "--json")).stdout)
      assert.deepStrictEqual(asJson, {
        goal_id: goalId,
        records: 3,
        offences: ["record 2: a turn ends that had not begun"]
      })
    })
  )

  it.scoped("ends with 2 for a goal that there is not", () =>
    Effect.gen(function* () {
      const run = yield* world()
      assert.match((yield* run("beef")).stderr, /^driver: There is no goal whose id begins with "beef"/)
      assert.strictEqual((yield* run(GoalId.make("a0000000-0000-4000-8000-000000000001"))).code, 2)
    })
  )
})
