import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { fileURLToPath } from "node:url"
import { Agent } from "@driver/agent/Agent"
import { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { Acceptance } from "@driver/runtime/Acceptance"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Journal, JournalRecord } from "@driver/runtime/Journal"
import { CommandHandled } from "@driver/runtime/LoopEntry"
import { afterEach, assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Campaign from "../src/Campaign.js"
import * as Invariants from "../src/Invariants.js"
import * as Plan from "../src/Plan.js"
import * as Shrink from "../src/Shrink.js"
import * as Simulation from "../src/Simulation.js"
import { seeds } from "./seeds.js"
import { plannedGoal, planWith } from "./support/plans.js"

/** Lets the test's runner have its say: a world takes the thread for itself. */
const breathe = () => new Promise((resolve) => setImmediate(resolve))

afterEach(breathe)

const bytes = (plan: Plan.Plan) => Campaign.bytesOf(Simulation.run(plan).journals)

const tags = (report: Simulation.Report, goal = 0) => (report.journals[goal] ?? []).map(({ entry }) => entry._tag)

const outcome = (report: Simulation.Report, goal = 0) => {
  const last = report.journals[goal]?.at(-1)?.entry
  return last?._tag === "GoalCompleted" ? last.outcome : undefined
}

describe("a simulated world", () => {
  it("drives a goal turn by turn to its end, and leaves nothing behind", () => {
    const report = Simulation.run(planWith([plannedGoal({ need: 3, pace: 1 })]))
    assert.deepStrictEqual(report.violations, [])
    assert.strictEqual(outcome(report)?.outcome._tag, "Done")
    assert.strictEqual(outcome(report)?.totalTurns, 3)
    assert.deepStrictEqual(
      tags(report).filter((tag) => tag === "AttemptStarted" || tag === "AttemptCompleted"),
      ["AttemptStarted", "AttemptCompleted", "AttemptStarted", "AttemptCompleted", "AttemptStarted", "AttemptCompleted"]
    )
  })

  it("does what its plan says: a failing turn, a denied call, a full disk", () => {
    const report = Simulation.run(
      planWith([
        plannedGoal({ need: 2 }),
        Plan.Item.Turn({
          goal: 0,
          prompt: 1,
          behaviour: Plan.Behaviour.Fails({ failure: "usage_limit", status: 429, resetsIn: Option.some(3_600_000) })
        }),
        Plan.Item.Deny({ goal: 0, from: 1, count: 1 }),
        Plan.Item.Workspace({ goal: 0, call: "checkpoint", nth: 1, diskFull: true })
      ])
    )
    assert.deepStrictEqual(report.violations, [])
    assert.deepStrictEqual([...report.faults.keys()].sort(), ["denied call", "turn Fails", "workspace checkpoint"])
    assert.isAtLeast(report.elapsed, 3_600_000)
    assert.include(tags(report), "SleepBegun")
    assert.strictEqual(outcome(report)?.outcome._tag, "Done")
  })

  it("goes on with a goal whose driver died in the middle of a turn", () => {
    const report = Simulation.check(
      planWith([plannedGoal({ need: 3 }), Plan.Item.Crash({ append: 5, operations: 40, down: 1_000 })], {
        crashesOnly: true
      })
    )
    assert.deepStrictEqual(report.violations, [])
    assert.include(tags(report), "TurnCut")
    assert.strictEqual(tags(report).filter((tag) => tag === "GoalCompleted").length, 1)
    assert.strictEqual(outcome(report)?.outcome._tag, "Done")
  })

  it("carries a pause and a message of the operator over a crash", () => {
    const report = Simulation.run(
      planWith([
        plannedGoal({ need: 2 }),
        Plan.Item.Operator({ goal: 0, event: 3, after: 0, action: Plan.OperatorAction.Pause({ millis: 7_200_000 }) }),
        Plan.Item.Operator({
          goal: 0,
          event: 3,
          after: 10,
          action: Plan.OperatorAction.Message({ text: "<hurry>", how: "queue" })
        }),
        Plan.Item.Crash({ append: 8, operations: 0, down: 60_000 })
      ])
    )
    assert.deepStrictEqual(report.violations, [])
    assert.isAtLeast(report.elapsed, 7_200_000)
    assert.include(tags(report), "OperatorMessage")
    assert.include(tags(report), "GoalResumed")
    assert.strictEqual(outcome(report)?.outcome._tag, "Done")
  })

  it("takes a goal's end from its last event, also when a command came too late", () => {
    const records = Simulation.run(planWith([plannedGoal({ need: 1 })])).journals[0] ?? []
    const last = records.at(-1)
    if (last === undefined) return assert.fail("no records")
    const late = new JournalRecord({ ...last, entry: new CommandHandled({ commandId: "a" }) })
    assert.strictEqual(Invariants.lastEvent([...records, late])?.outcome.outcome._tag, "Done")
    assert.isUndefined(Invariants.lastEvent(records.slice(0, -1)))
  })

  it("has journals that read back as they were written", () => {
    const report = Simulation.run(Campaign.planOf(1, 3))
    const records = report.journals.flat()
    const lines = records.map((record) => Schema.encodeSync(JournalRecord.FromJson)(record))
    const again = lines.map((line) =>
      Schema.encodeSync(JournalRecord.FromJson)(Schema.decodeSync(JournalRecord.FromJson)(line))
    )
    assert.isAbove(lines.length, 10)
    assert.deepStrictEqual(again, lines)
  })
})

describe("the same seed", () => {
  it("gives the same journals, byte by byte", () => {
    for (const world of [0, 1, 2]) {
      const plan = Campaign.planOf(20, world)
      assert.strictEqual(bytes(plan), bytes(plan), `world ${world}`)
    }
    assert.notStrictEqual(bytes(Campaign.planOf(20, 0)), bytes(Campaign.planOf(21, 0)))
  })

  it("gives the same journals in another process", () => {
    const output = execFileSync(
      process.execPath,
      ["scripts/simulate.mjs", "--seed", "20", "--goals", "10", "--jobs", "2"],
      {
        cwd: fileURLToPath(new URL("../../..", import.meta.url)),
        encoding: "utf8"
      }
    )
    const digest = createHash("sha256")
    for (let world = 0; world < Campaign.worldsFor(20, 10).worlds; world++) {
      digest.update(
        createHash("sha256")
          .update(bytes(Campaign.planOf(20, world)))
          .digest("hex")
      )
    }
    assert.include(output, digest.digest("hex"))
  })
})

/** A driver on services of which one is broken. */
const broken = <I, S>(tag: Context.Tag<I, S>, change: (service: S) => S): Simulation.Options => ({
  sabotage: (services) => {
    const found = Context.getOption(services, tag)
    return Option.isSome(found) ? Context.merge(services, Context.make(tag, change(found.value))) : services
  }
})

/** Two goals and some trouble that has nothing to do with what is broken. */
const troubled = planWith([
  plannedGoal({ need: 3 }),
  plannedGoal({ goal: 1, need: 2, seed: 8 }),
  Plan.Item.Deny({ goal: 0, from: 2, count: 1 }),
  Plan.Item.Turn({ goal: 1, prompt: 1, behaviour: Plan.Behaviour.Exits() }),
  Plan.Item.Operator({ goal: 1, event: 4, after: 5, action: Plan.OperatorAction.Wake() })
])

/** What is noticed of it, as small as it gets. */
const caught = (options: Simulation.Options): Shrink.Shrunk => {
  assert.deepStrictEqual(Simulation.run(troubled).violations, [])
  return Shrink.shrink(troubled, options)
}

describe("what is broken", () => {
  it("is noticed when the criteria pass whatever was done", () => {
    const shrunk = caught(
      broken(Acceptance, (real) => ({
        evaluate: (goal, workspace, options) =>
          Effect.map(
            real.evaluate(goal, workspace, options),
            (verdict) =>
              new AcceptanceVerdict({
                ...verdict,
                met: true,
                results: verdict.results.map((it) => new CriterionResult({ ...it, passed: true }))
              })
          )
      }))
    )
    assert.match(shrunk.report.violations.join("\n"), /was accepted with \d of \d units/)
    assert.strictEqual(shrunk.kept.length, 1)
  })

  it("is noticed when an event is in the journal twice", () => {
    const shrunk = caught(
      broken(Journal, (real) => {
        const shifted = new Map<string, number>()
        return {
          ...real,
          append: (records) => {
            const [first, ...rest] = records.flatMap((record) => {
              const by = shifted.get(record.goalId) ?? 0
              const moved = new JournalRecord({ ...record, sequence: record.sequence + by })
              if (record.entry._tag !== "AttemptStarted") return [moved]
              shifted.set(record.goalId, by + 1)
              return [moved, new JournalRecord({ ...moved, sequence: moved.sequence + 1, id: `${moved.id}:again` })]
            })
            return first === undefined ? Effect.void : real.append([first, ...rest])
          }
        }
      })
    )
    assert.match(shrunk.report.violations.join("\n"), /AttemptStarted\): turn \d+ has not ended/)
    // One goal is enough to see it.
    assert.strictEqual(shrunk.kept.length, 1)
  })

  it("is noticed when a fiber outlives its session", () => {
    const shrunk = caught(
      broken(Agent, (real) => ({
        ...real,
        open: (options) => Effect.zipLeft(real.open(options), Effect.forkDaemon(Effect.never))
      }))
    )
    assert.match(shrunk.report.violations.join("\n"), /driver 1 has left \d+ fibers/)
    assert.strictEqual(shrunk.kept.length, 1)
  })

  it("is noticed when two drivers get the same goal", () => {
    const plan = planWith([
      plannedGoal({ need: 4, pace: 4 }),
      plannedGoal({ goal: 1, need: 1, seed: 8 }),
      Plan.Item.Deny({ goal: 0, from: 3, count: 1 }),
      Plan.Item.Rival({ at: 2_000, millis: 3_600_000 })
    ])
    assert.deepStrictEqual(Simulation.run(plan).violations, [])
    // Nobody is seen to hold a goal, and everybody gets the token that is in force.
    const lax = broken(GoalStore, (real) => ({
      ...real,
      holder: () => Effect.succeedNone,
      acquire: (goalId, owner, expected) =>
        Effect.flatMap(real.acquire(goalId, owner, expected), (lease) =>
          Option.isSome(lease)
            ? Effect.succeed(lease)
            : Effect.map(real.holder(goalId), (holder) => Option.map(holder, ({ epoch }) => ({ goalId, epoch })))
        )
    }))
    const shrunk = Shrink.shrink(plan, lax)
    assert.match(shrunk.report.violations.join("\n"), /asks the agent/)
    assert.deepStrictEqual(shrunk.kept, [0, 3])
  })
})

describe("worlds with all kinds of trouble", () => {
  it("keep every promise over 300 goals", { timeout: 300_000 }, async () => {
    const tally = Campaign.emptyTally()
    const { worlds } = Campaign.worldsFor(1, 300)
    for (let world = 0; world < worlds; world++) {
      const { violations } = Campaign.runWorld(tally, 1, world)
      assert.deepStrictEqual(violations, [], `npm run simulate -- --seed 1 --world ${world} --verbose`)
      await breathe()
    }
    assert.isAtLeast(tally.goals, 300)
    // What is simulated is not all the same.
    assert.isAtLeast(tally.faults.size, 20)
    assert.isAtLeast(tally.outcomes.size, 4)
  })

  for (const { keep, open, plan, says } of seeds) {
    it.skipIf(open)(`do not show again: ${says}`, () => {
      const kept = keep === undefined ? plan() : Plan.keep(plan(), keep)
      assert.deepStrictEqual(Simulation.check(kept).violations, [])
    })
  }
})
