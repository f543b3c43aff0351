/** What `driver ask` asks, shows and prints, with everything behind it played by scripts. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import type { AskServices } from "@driver/cli/Cli"
import { Done, GoalOutcome } from "@driver/domain/Outcome"
import { Usage } from "@driver/domain/Usage"
import { DelegationStore } from "@driver/intent/DelegationStore"
import {
  type Assessment,
  Clarify,
  Directive,
  JudgedCriterion,
  Question,
  QuestionOption,
  Task
} from "@driver/intent/Directive"
import { Environments } from "@driver/intent/ExecEnv"
import { GoalChecker, GoalExecutor, GoalResult } from "@driver/intent/GoalExecutor"
import { Intent } from "@driver/intent/Intent"
import { IntentEvents } from "@driver/intent/IntentEvents"
import { IntentModel } from "@driver/intent/IntentModel"
import { IntentStore } from "@driver/intent/IntentStore"
import { Registry } from "@driver/intent/Registry"
import { Workspace } from "@driver/runtime/Workspace"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, Layer, Option } from "effect"
import { runCli } from "./support/cli.js"
import { directoryWith } from "./support/files.js"
import type * as TestHost from "./support/TestHost.js"

const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)

const answered = <A>(value: A) => ({ answer: Either.right(value), calls: [] })

const assessed = (assessment: Assessment) => answered({ assessment, followUp: Option.some("answer" as const) })

const option = (value: string) => new QuestionOption({ value, label: value.toUpperCase() })

const question = (id: string, kind: Question["kind"], ...options: ReadonlyArray<string>) =>
  new Question({ id, text: `${id}?`, kind, options: options.map(option) })

const directive = new Directive({
  goal: "Paint it",
  originalRequest: "paint it",
  acceptanceCriteria: [new JudgedCriterion({ statement: "It is painted" })]
})

interface Script {
  readonly assess: ReadonlyArray<Assessment>
}

const services = ({ assess }: Script): Layer.Layer<AskServices> =>
  Intent.layer().pipe(
    Layer.provide([
      IntentModel.layerScripted({
        assess: assess.map(assessed),
        crystallize: [answered(directive)],
        review: [answered({ passed: true, score: 1, criteria: [], notes: [], gaps: [] })]
      }),
      GoalExecutor.layerScripted([
        (goal) =>
          Effect.succeed(
            new GoalResult({
              outcome: new GoalOutcome({
                goalId: goal.id,
                outcome: new Done(),
                totalTurns: 1,
                usage: Usage.zero,
                finalText: Option.some(goal.description),
                elapsed: Duration.zero
              })
            })
          )
      ]),
      GoalChecker.layerAgreeable,
      Environments.layerFixed(),
      IntentEvents.layerNoop
    ]),
    Layer.provideMerge(
      Layer.mergeAll(
        IntentStore.layerMemory,
        Registry.layerMemory,
        DelegationStore.layerMemory,
        Layer.mock(Workspace, {})
      )
    )
  )

const ask = (args: ReadonlyArray<string>, script: Script, host: Partial<TestHost.TestHostOptions> = {}) =>
  Effect.gen(function* () {
    const root = yield* directoryWith({ ".git/HEAD": "" })
    const layer = services(script)
    const ran = yield* runCli(["ask", ...args], { directory: root, ...host }, { ask: () => layer })
    const plan = join(root, "plan.yaml")
    return { ...ran, plan: existsSync(plan) ? readFileSync(plan, "utf8") : "" }
  }).pipe(Effect.scoped, Effect.provide(platform))

const trivial = new Task({ scope: "trivial" })
const substantial = new Task({ scope: "substantial" })

describe("driver ask at a terminal", () => {
  const kinds: ReadonlyArray<readonly [Question, ReadonlyArray<string>, ReadonlyArray<string>]> = [
    [question("name", "free_text"), ["A", "d", "a", "return"], ["name? Ada"]],
    // An empty answer is none: the question stays.
    [question("nick", "free_text"), ["return", "A", "l", "return"], ["nick? Al"]],
    [question("sure", "yes_no"), ["n"], ["sure? no"]],
    [question("color", "single_choice", "red", "blue"), ["down", "return"], ["color? BLUE"]],
    [
      question("colors", "multi_choice", "red", "green", "blue"),
      // The first two lines of such a prompt choose all and invert.
      ["down", "down", "space", "down", "down", "space", "return"],
      ["colors? RED (red), BLUE (blue)"]
    ]
  ]
  for (const [asked, keys, said] of kinds) {
    it.live(`asks a question of kind ${asked.kind}, and goes on with the answer (${asked.id})`, () =>
      Effect.gen(function* () {
        const script = { assess: [new Clarify({ questions: [asked] }), trivial] }
        const { code, plan, stderr } = yield* ask(["paint it", "--plan", "--out", "plan.yaml"], script, { keys })
        assert.strictEqual(code, 0, stderr)
        for (const line of said) assert.include(plan, line, plan)
      })
    )
  }

  it.live("asks nobody when it prints JSON: that is for programs", () =>
    Effect.gen(function* () {
      const script = { assess: [new Clarify({ questions: [question("name", "free_text")] })] }
      const { code, stderr, stdout } = yield* ask(["paint it", "--json", "--yes"], script, { keys: ["x", "return"] })
      assert.strictEqual(code, 3, stderr)
      assert.deepInclude(JSON.parse(stdout), { kind: "clarify" })
    })
  )

  for (const [keys, expected] of [
    [["y"], 1],
    [["n"], 1]
  ] as const) {
    it.live(`shows the plan and asks before it runs: ${keys[0]}`, () =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* ask(["paint it"], { assess: [substantial] }, { keys })
        assert.strictEqual(code, expected, stderr)
        assert.match(stdout, /^substantial: Paint it\n.*accepted when:\n {2}judged: It is painted\n/s)
        // What is not evident is not accepted: the script's run leaves no evidence.
        assert.strictEqual(/not accepted/.test(stdout), keys[0] === "y")
        assert.strictEqual(/Nothing has run\. .*--session \S+ --yes/.test(stderr), keys[0] === "n")
      })
    )
  }

  it.live("ends with 130 when a question is left with Ctrl-C", () =>
    Effect.gen(function* () {
      const { code, stderr } = yield* ask(["paint it"], { assess: [substantial] }, { keys: [] })
      assert.strictEqual(code, 130, stderr)
      assert.match(stderr, /To go on: driver ask --session/)
    })
  )
})

describe("driver ask", () => {
  it.live("does nothing to the terminal with what others have written", () =>
    Effect.gen(function* () {
      const hostile = question("q", "single_choice", "a\u001b[2Jb", "c")
      const { stderr } = yield* ask(["paint it"], { assess: [new Clarify({ questions: [hostile] })] })
      assert.notInclude(stderr, "\u001b")
    })
  )
})
