/** What the commands on goals ask of `Goals`, and what they print of its answers. `daemon.test.ts` has the processes. */
import { GoalId } from "@driver/domain/Goal"
import { BudgetExhausted } from "@driver/domain/Outcome"
import { DriverTrouble, NotPossible, SubmitRefused } from "@driver/runtime/Goals"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Layer, Option } from "effect"
import { runCli } from "./support/cli.js"
import { outcome, goal as polite, storyEvents, usage, verdict } from "./support/events.js"
import { directoryWith } from "./support/files.js"
import { detailOf, type Script, script, summaryOf } from "./support/goals.js"

const one = polite.id
const two = GoalId.make("7c9e6680-0000-4000-8000-000000000001")
const three = GoalId.make("a0000000-0000-4000-8000-000000000001")

const summaries = [
  summaryOf(one, {
    turns: 2,
    usage: usage(2, 3_580, Option.some(0.0246)),
    description: "Make greet polite\nand tested"
  }),
  summaryOf(two, { state: "queued", phase: "Registered", turns: 0, waitsFor: Option.some("the goal 7c9e6679") }),
  summaryOf(three, {
    state: "ended",
    phase: "Ended",
    outcome: Option.some(outcome({ goalId: three, outcome: new BudgetExhausted({ axis: "turns" }) })),
    endedAt: Option.some(DateTime.unsafeMake(60_000))
  })
]

/** Runs commands against these goals, in a directory without anything. */
const world = (given: Script = { summaries }) =>
  Effect.map(script(given), ({ calls, layer }) => ({
    calls,
    run: (...args: ReadonlyArray<string>) => runCli(args, { directory: "/" }, { operator: () => layer })
  }))

describe("driver list", () => {
  it.effect("shows what waits and works, how far it is, and what it waits for", () =>
    Effect.gen(function* () {
      const { run } = yield* world()
      assert.strictEqual(
        (yield* run("list")).stdout,
        [
          "GOAL      STATE    TURNS  COST     AGE      WAITS FOR          DESCRIPTION",
          "7c9e6679  working  2/5    $0.0246  0ms ago  -                  Make greet polite and tested",
          "7c9e6680  queued   0/5    -        0ms ago  the goal 7c9e6679  The goal 7c9e",
          ""
        ].join("\n")
      )
      assert.include((yield* run("list", "--all")).stdout, "\na0000000  not accepted: budget  1/5")
    })
  )

  it.effect("prints all that is known as JSON, and an empty list as one", () =>
    Effect.gen(function* () {
      const { run } = yield* world()
      const listed: ReadonlyArray<Record<string, unknown>> = JSON.parse((yield* run("list", "--json", "--all")).stdout)
      assert.deepStrictEqual(
        listed.map((it) => [it["goal_id"], it["state"], it["waits_for"] ?? null]),
        [
          [one, "running", null],
          [two, "queued", "the goal 7c9e6679"],
          [three, "ended", null]
        ]
      )
      const empty = yield* world({})
      assert.strictEqual((yield* empty.run("list", "--json")).stdout, "[]\n")
      assert.match((yield* empty.run("list")).stdout, /^No goal waits or works/)
    })
  )

  it.effect("ends with 2 and the sentence of the trouble", () =>
    Effect.gen(function* () {
      const detail = "The disk is full: make room"
      const { run } = yield* world({ overrides: { list: () => new DriverTrouble({ detail }) } })
      assert.deepStrictEqual(yield* run("list"), { code: 2, stdout: "", stderr: `driver: ${detail}\n` })
    })
  )
})

describe("driver show", () => {
  it.effect("shows the goal, its criteria, and where its work is", () =>
    Effect.gen(function* () {
      const [summary] = summaries
      if (summary === undefined) return assert.fail()
      const detail = detailOf(summary, {
        goal: polite,
        verdict: Option.some(verdict([false, true])),
        branch: Option.some("driver/x"),
        worktree: Option.some("/state/worktrees/x"),
        owner: Option.some("host 12 34")
      })
      const { run } = yield* world({ summaries, details: [detail] })
      const { stdout } = yield* run("show", "7C9E6679")
      for (const expected of [
        `goal ${one}: Make greet polite …`,
        "  state       working",
        "  turns       2 of 5",
        "  branch      driver/x",
        "  driver      host 12 34",
        "  journal     7 records",
        "    ✗ `node test.js`: exit code 1, expected 0",
        "    ✓ README.md matches /(?i)usage/"
      ]) {
        assert.include(stdout.split("\n"), expected)
      }
      const shown = JSON.parse((yield* run("show", one, "--json")).stdout)
      assert.deepStrictEqual([shown.summary.goal_id, shown.head, shown.branch], [one, 7, "driver/x"])
    })
  )

  it.effect("refuses names that are too short, mean nobody, or mean several", () =>
    Effect.gen(function* () {
      const { run } = yield* world()
      const said = (name: string) => Effect.map(run("show", name), ({ code, stderr }) => `${code} ${stderr}`)
      assert.match(yield* said("7c9"), /^2 driver: "7c9" is too short to name a goal: give at least 4 characters/)
      assert.match(yield* said("beef"), /^2 driver: There is no goal whose id begins with "beef": `driver list --all`/)
      assert.match(
        yield* said("7c9e"),
        /^2 driver: "7c9e" is the beginning of several goals' ids, give more of it: 7c9e6679/
      )
    })
  )
})

describe("driver logs", () => {
  it.effect("prints what a run prints, from where it is told, and stops at the goal's end also when it follows", () =>
    Effect.gen(function* () {
      const { run } = yield* world({ summaries, events: storyEvents })
      const { stdout } = yield* run("logs", "-f", "7c9e6679")
      assert.match(stdout, /^goal 7c9e6679: Make greet polite …\n {2}2 criteria/)
      assert.match(stdout, /\nturn 2\/5\n/)
      const last = storyEvents.at(-2)?.sequence ?? 0
      const rest = yield* run("logs", one, "--after", String(last), "--json")
      assert.deepStrictEqual(
        rest.stdout.split("\n").flatMap((it) => (it === "" ? [] : [JSON.parse(it).event.kind])),
        ["goal_completed"]
      )
    })
  )
})

describe("The operator's hand", () => {
  const asked: ReadonlyArray<readonly [ReadonlyArray<string>, ReadonlyArray<unknown>, RegExp]> = [
    [
      ["pause", "7c9e6679"],
      ["pause", one],
      /^The goal 7c9e6679 is held before its next turn; `driver resume 7c9e6679`/
    ],
    [["resume", "7c9e6679"], ["resume", one], /^1 goal may go on\.$/m],
    [["cancel", "7c9e6679"], ["cancel", one], /^The goal 7c9e6679 is cancelled/],
    [["wake", "7c9e6679"], ["wake", one], /^The goal 7c9e6679 is woken\.$/m],
    [
      ["steer", "7c9e6679", " Use Edit "],
      ["steer", one, "Use Edit", "queue"],
      /goes to the agent with its next prompt/
    ],
    [["steer", "--now", "7c9e6679", "x"], ["steer", one, "x", "turn"], /^The message for 7c9e6679/],
    [["steer", "--redirect", "7c9e6679", "x"], ["steer", one, "x", "redirect"], /^The message for 7c9e6679/],
    [["budget", "--max-turns", "9", "7c9e6679"], ["setMaxTurns", one, 9], /may take 9 turns\.$/m],
    [["budget", "--max-turns", "2", "7c9e6679"], ["setMaxTurns", one, 2], /may take 5 turns, which is more than 2/],
    [["deliver", "7c9e6679"], ["deliver", one], /^The work is on its branch\.$/m]
  ]
  for (const [args, call, said] of asked) {
    it.effect(`asks for what \`driver ${args.join(" ")}\` says, and says what was done`, () =>
      Effect.gen(function* () {
        const { calls, run } = yield* world()
        const { code, stdout } = yield* run(...args)
        assert.deepStrictEqual([code, yield* calls], [0, [call]])
        assert.match(stdout, said)
        const [command = "", ...rest] = args
        const object = JSON.parse((yield* run(command, "--json", ...rest)).stdout)
        assert.strictEqual(object.goal_id ?? object.goal_ids[0], one)
      })
    )
  }

  it.effect("says that nobody may have heard where there is no daemon", () =>
    Effect.gen(function* () {
      const { run } = yield* world({ summaries, listening: false })
      assert.match(
        (yield* run("pause", "7c9e6679")).stdout,
        /No daemon is running here: the driver that works on the goal/
      )
    })
  )

  it.effect("says no such thing of a goal that it has ended", () =>
    Effect.gen(function* () {
      const { run } = yield* world({ summaries, listening: false })
      const { stdout } = yield* run("cancel", three)
      assert.match(stdout, /is cancelled; its worktree and branch stay\.\n$/)
    })
  )

  it.effect("refuses what makes no sense, and calls nothing", () =>
    Effect.gen(function* () {
      const { calls, run } = yield* world()
      const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
        [["steer", "--now", "--redirect", "7c9e6679", "x"], /give one of them/],
        [["steer", "7c9e6679", "  "], /The message is empty/],
        [["budget", "7c9e6679", "--max-turns", "0"], /--max-turns takes a whole number from 1, not 0/],
        [["budget", "7c9e6679"], /--max-turns/],
        [["resume"], /Name the goals that are to go on, or give --all/],
        [["logs", "7c9e6679", "--after", "-1"], /--after takes a whole number from 0, not -1/]
      ]
      for (const [args, said] of wrong) {
        const { code, stderr } = yield* run(...args)
        assert.strictEqual(code, 2, args.join(" "))
        assert.match(stderr, said)
      }
      assert.deepStrictEqual(yield* calls, [])
    })
  )

  it.effect("ends with 2 and the reason when the goal's state does not allow it", () =>
    Effect.gen(function* () {
      const detail = "The goal 7c9e6679 has ended: there is nothing to pause"
      const { run } = yield* world({ summaries, overrides: { pause: () => new NotPossible({ goalId: one, detail }) } })
      assert.deepStrictEqual(yield* run("pause", one), { code: 2, stdout: "", stderr: `driver: ${detail}\n` })
    })
  )
})

describe("driver resume --all", () => {
  it.effect("resumes every goal that has not ended", () =>
    Effect.gen(function* () {
      const { calls, run } = yield* world()
      assert.strictEqual((yield* run("resume", "--all")).stdout, "2 goals may go on.\n")
      assert.deepStrictEqual(yield* calls, [
        ["resume", one],
        ["resume", two]
      ])
    })
  )
})

describe("driver submit", () => {
  const files = {
    ".git/HEAD": "",
    "driver.yaml": "account: team\nbudget: { max_turns: 3 }\n",
    "a.yaml": `id: ${two}\ndescription: First\nacceptance: [{ shell: test -s a.txt }]\n`,
    "b.yaml": "description: Second\nacceptance: [{ shell: test -s b.txt }]\n"
  }
  const submitting = (given: Script) =>
    Effect.gen(function* () {
      const root = yield* directoryWith(files).pipe(Effect.provide(Layer.merge(NodeFileSystem.layer, NodePath.layer)))
      const { calls, layer } = yield* script(given)
      const host = { directory: root, environment: { XDG_STATE_HOME: `${root}/state` } }
      return {
        root,
        calls,
        run: (...args: ReadonlyArray<string>) => runCli(["submit", ...args], host, { operator: () => layer })
      }
    })

  it.scopedLive("hands the goals over with what the files, the configuration and the options say", () =>
    Effect.gen(function* () {
      const { calls, root, run } = yield* submitting({ summaries })
      const { code, stderr, stdout } = yield* run("a.yaml", "b.yaml", "-p", "5", "--after", "a.yaml", "--after", "a000")
      assert.deepStrictEqual([code, stderr], [0, ""])
      const [[name, first, second] = []] = yield* calls
      assert.strictEqual(name, "submit")
      const common = { priority: 5, account: "team", repository: root, config: Option.some(`${root}/driver.yaml`) }
      assert.deepInclude(first, { ...common, dependsOn: [three] })
      assert.deepInclude(second, { ...common, dependsOn: [two, three] })
      assert.propertyVal(Object(first).goal.budget, "maxTurns", 3)
      assert.match(stdout, new RegExp(`^submitted ${two}: First\\nsubmitted 0{8}-[\\w-]+: Second\\n`))
      assert.match(stdout, /\ndriver logs -f 7c9e6680 follows it/)
    })
  )

  it.scopedLive("prints the goals as JSON", () =>
    Effect.gen(function* () {
      const { run } = yield* submitting({})
      const [goal] = JSON.parse((yield* run("a.yaml", "--json")).stdout)
      assert.deepStrictEqual([goal.goal_id, goal.state], [two, "queued"])
    })
  )

  it.scopedLive("says that goals wait where there is no daemon", () =>
    Effect.gen(function* () {
      const { run } = yield* submitting({ listening: false })
      assert.match(
        (yield* run("a.yaml")).stdout,
        /\nNo daemon listens on \/state\/driver\.sock: the goals wait until `driver serve` runs/
      )
    })
  )

  it.scopedLive("submits nothing when a file is wrong or a goal is refused", () =>
    Effect.gen(function* () {
      const detail = `The goal ${two} was submitted before: give the new one another id`
      const { calls, run } = yield* submitting({
        overrides: { submit: () => new SubmitRefused({ reason: "exists", detail }) }
      })
      assert.deepStrictEqual(yield* run("a.yaml"), { code: 2, stdout: "", stderr: `driver: ${detail}\n` })
      assert.match((yield* run("missing.yaml")).stderr, /missing\.yaml/)
      assert.match((yield* run("a.yaml", "--after", "beef")).stderr, /no goal whose id begins with "beef"/)
      assert.match((yield* run()).stderr, /goal\.yaml/)
      assert.deepStrictEqual(yield* calls, [])
    })
  )
})
