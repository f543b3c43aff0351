import type { Goal } from "@driver/domain/Goal"
import { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { Acceptance, AcceptanceError } from "@driver/runtime/Acceptance"
import { Workspace, WorkspaceError } from "@driver/runtime/Workspace"
import * as WorkspaceMemory from "@driver/runtime/WorkspaceMemory"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import { Context, DateTime, Duration, Effect, Layer, Option, Ref } from "effect"
import { runCli } from "./support/cli.js"
import { directoryWith } from "./support/files.js"

const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)

type Answer = { readonly passed: boolean; readonly message?: string; readonly evidence?: string }

const verdictOf = (goal: Goal, answers: ReadonlyArray<Answer>) =>
  new AcceptanceVerdict({
    met: answers.every(({ passed }) => passed),
    results: goal.acceptance.map(
      (_, index) =>
        new CriterionResult({
          index,
          criterion: `criterion ${index + 1}`,
          passed: answers[index]?.passed ?? false,
          message: answers[index]?.message ?? "said so",
          evidence: Option.fromNullable(answers[index]?.evidence),
          elapsed: Duration.zero
        })
    ),
    evaluatedAt: DateTime.unsafeMake(0),
    elapsed: Duration.zero
  })

const acceptanceOf = (answers: ReadonlyArray<Answer>) =>
  Layer.succeed(Acceptance, { evaluate: (goal) => Effect.succeed(verdictOf(goal, answers)) })

/** Lints `goal.yaml` of these files; the criteria answer like this on the base. */
const lint = (
  files: Record<string, string>,
  options: {
    readonly args?: ReadonlyArray<string>
    readonly acceptance?: Layer.Layer<Acceptance>
    readonly workspace?: Layer.Layer<Workspace>
  } = {}
) =>
  Effect.gen(function* () {
    const root = yield* directoryWith({ ".git/HEAD": "", ...files })
    const ran = yield* runCli(
      ["lint", "goal.yaml", ...(options.args ?? [])],
      { directory: root },
      options.acceptance === undefined
        ? {}
        : {
            rehearsal: () =>
              Layer.merge(
                options.workspace ?? WorkspaceMemory.layer(),
                options.acceptance ?? Layer.empty
              ) as Layer.Layer<Workspace | Acceptance>
          }
    )
    return { ...ran, stdout: ran.stdout.replaceAll(`${root}/`, ""), stderr: ran.stderr.replaceAll(`${root}/`, "") }
  }).pipe(Effect.scoped, Effect.provide(platform))

const good = "description: x\nacceptance: [{ shell: npm test }, { file: a.txt, matches: 'b+' }]\n"

describe("driver lint", () => {
  it.live("accepts a goal that fails on the base", () =>
    Effect.gen(function* () {
      const ran = yield* lint(
        { "goal.yaml": good },
        { acceptance: acceptanceOf([{ passed: true }, { passed: false, message: "no match" }]) }
      )
      assert.deepStrictEqual(ran, {
        code: 0,
        stdout:
          "on the base:\n  ✓ criterion 1\n  ✗ criterion 2: no match\n1 criterion does not hold yet: there is work to do.\ngoal.yaml: valid\n",
        stderr: ""
      })
    })
  )

  it.live("warns of a goal that is met on the base already", () =>
    Effect.gen(function* () {
      const acceptance = acceptanceOf([{ passed: true }, { passed: true }])
      const { code, stdout } = yield* lint({ "goal.yaml": good }, { acceptance })
      assert.strictEqual(code, 0)
      assert.include(
        stdout,
        "warning: goal.yaml: acceptance: every criterion passes on the base already: an agent that does nothing would be accepted"
      )
      assert.include(stdout, "goal.yaml: valid, 1 warning\n")
      assert.strictEqual((yield* lint({ "goal.yaml": good }, { acceptance, args: ["--strict"] })).code, 1)
    })
  )

  it.live("warns of a command that cannot run at all", () =>
    Effect.gen(function* () {
      const { stdout } = yield* lint(
        { "goal.yaml": good },
        {
          acceptance: acceptanceOf([
            { passed: false, message: "exit code 127, expected 0", evidence: "bash: npn: command not found\n" },
            { passed: false, message: "expected 127 matches" }
          ])
        }
      )
      assert.include(
        stdout,
        "warning: goal.yaml: acceptance[0]: the command cannot run on the base (exit code 127: bash: npn: command not found)"
      )
      assert.notInclude(stdout, "acceptance[1]: the command")
    })
  )

  it.live("runs nothing with --no-run", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* lint({ "goal.yaml": good }, { args: ["--no-run"] }), {
        code: 0,
        stdout: "goal.yaml: valid\n",
        stderr: ""
      })
    })
  )

  it.live("runs nothing when there is an error, and reports those of goal and configuration together", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* lint({
        "goal.yaml": "descripton: x\nacceptance: [{ shell: a, timeout: soon }]",
        "driver.yaml": "bse: main"
      })
      assert.strictEqual(code, 2)
      assert.deepStrictEqual(stdout.split("\n"), [
        "error: driver.yaml:1:1: bse is not a known key; did you mean base?",
        "error: goal.yaml:1:1: descripton is not a known key; did you mean description?",
        'error: goal.yaml:2:26: acceptance[0].timeout: expected a duration like "30 minutes", "1h 30m" or milliseconds, got "soon"',
        "goal.yaml: 3 errors",
        ""
      ])
    })
  )

  it.live("compiles the patterns", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* lint({
        "goal.yaml":
          "description: x\nacceptance:\n  - { file: a, matches: '(a' }\n  - { shell: a, stdout_must_match: '(?=b)' }\n  - { file: b, matches: '(a+)+$' }"
      })
      assert.strictEqual(code, 2)
      const [first = "", second = "", third] = stdout.split("\n")
      assert.match(
        first,
        /^error: .*goal\.yaml: acceptance\[0\]\.regex: expected a regular expression in RE2 syntax, got "\(a": /
      )
      assert.match(second, /^error: .*goal\.yaml: acceptance\[1\]\.stdout_must_match: .*look-ahead is not supported/)
      assert.strictEqual(third, "goal.yaml: 2 errors")
    })
  )

  it.live("says what is weak about criteria before it runs them", () =>
    Effect.gen(function* () {
      const { stdout } = yield* lint(
        { "goal.yaml": "description: x\nacceptance: [{ shell: 'npm test || true' }]" },
        { args: ["--no-run"] }
      )
      assert.deepStrictEqual(stdout.split("\n"), [
        "warning: goal.yaml:2:14: acceptance[0]: the command ends so that a failure of the rest goes unnoticed",
        "warning: goal.yaml:2:1: acceptance: no criterion can fail: whatever the agent does will be accepted",
        "goal.yaml: valid, 2 warnings",
        ""
      ])
    })
  )

  it.live("prints everything as JSON, and nothing else on standard output", () =>
    Effect.gen(function* () {
      const found = yield* lint(
        { "goal.yaml": good },
        { args: ["--json"], acceptance: acceptanceOf([{ passed: false }, { passed: true }]) }
      )
      assert.deepStrictEqual(JSON.parse(found.stdout), {
        ok: true,
        errors: [],
        warnings: [],
        base: [
          { criterion: "criterion 1", passed: false, message: "said so" },
          { criterion: "criterion 2", passed: true, message: "said so" }
        ]
      })
      const wrong = yield* lint({ "goal.yaml": "description: x\nbudget: { max_turn: 3 }" }, { args: ["--json"] })
      assert.strictEqual(wrong.code, 2)
      const { errors, ok } = JSON.parse(wrong.stdout)
      assert.isFalse(ok)
      assert.deepInclude(errors[0], { path: "budget.max_turn", line: 2, column: 11, suggestion: "max_turns" })
    })
  )

  it.live("says that a goal file is not there", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* lint({})
      assert.strictEqual(code, 2)
      assert.strictEqual(stdout, "error: goal.yaml: there is no such file\ngoal.yaml: 1 error\n")
    })
  )

  it.live("removes the workspace that the criteria ran in, also when they cannot be evaluated", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(WorkspaceMemory.layer())
      const workspace = Context.get(context, Workspace)
      const pruned = yield* Ref.make<ReadonlyArray<unknown>>([])
      const failing = Layer.succeed(Acceptance, {
        evaluate: () => new AcceptanceError({ index: 0, criterion: "`npm test`", detail: "there is no bash" })
      })
      const { code, stdout } = yield* lint(
        { "goal.yaml": good },
        {
          acceptance: failing,
          workspace: Layer.succeed(Workspace, {
            ...workspace,
            prune: (ids, options) =>
              Effect.zipRight(
                Ref.update(pruned, (before) => [...before, options]),
                workspace.prune(ids, options)
              )
          })
        }
      )
      assert.strictEqual(code, 0)
      assert.include(
        stdout,
        "warning: goal.yaml: the criteria could not be run on the base: Acceptance criterion 1 (`npm test`) could not be evaluated: there is no bash"
      )
      assert.deepStrictEqual(yield* workspace.list, [])
      assert.deepStrictEqual(yield* Ref.get(pruned), [{ force: true }])
    }).pipe(Effect.scoped)
  )

  it.live("says that there is no workspace to run the criteria in", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(WorkspaceMemory.layer())
      const broken = Layer.succeed(Workspace, {
        ...Context.get(context, Workspace),
        ensure: () =>
          new WorkspaceError({ operation: "ensure", reason: "base_not_found", detail: "there is no commit main" })
      })
      const { stdout } = yield* lint({ "goal.yaml": good }, { acceptance: acceptanceOf([]), workspace: broken })
      assert.include(
        stdout,
        "the criteria could not be run on the base: Workspace ensure failed: there is no commit main"
      )
    }).pipe(Effect.scoped)
  )
})
