import { Budget, FileMatches, LlmJudge, Shell } from "@driver/domain/Goal"
import {
  CommandCriterion,
  Directive,
  DirectiveCriterion,
  FileCriterion,
  JudgedCriterion,
  Question
} from "@driver/intent/Directive"
import { ExecEnv } from "@driver/intent/ExecEnv"
import { Complaint } from "@driver/intent/GoalExecutor"
import {
  blockingComplaints,
  goalOfDirective,
  settle,
  staticComplaints,
  withAssumptions
} from "@driver/intent/GoalOfDirective"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, FastCheck as fc, Option } from "effect"
import { env } from "./support/path.js"
import { goalIdOf, resultOf } from "./support/values.js"

const parts = { id: goalIdOf(1), budget: Budget.defaults, agent: Option.none(), feedback: Option.none() }
const directiveOf = (...acceptanceCriteria: ReadonlyArray<DirectiveCriterion>) =>
  new Directive({ goal: "g", originalRequest: "the request", acceptanceCriteria })
const command = (line: string, guard = false) => new CommandCriterion({ statement: `s: ${line}`, command: line, guard })
const judged = new JudgedCriterion({ statement: "it is friendly" })
const complaint = (problem: Complaint["problem"], criterion?: number) =>
  new Complaint({ problem, criterion: Option.fromNullable(criterion), detail: problem })

const anyCriteria = fc.array(Arbitrary.make(DirectiveCriterion), { maxLength: 6 })
const anyComplaints = fc.array(Arbitrary.make(Complaint), { maxLength: 6 })

describe("goalOfDirective", () => {
  it("makes commands and files criteria that are tried, and judges the rest", () => {
    const of = directiveOf(
      new CommandCriterion({ statement: "a", command: "x", expectedExit: 3, stdoutMustMatch: Option.some("y") }),
      new FileCriterion({ statement: "b", path: "p", regex: "r" }),
      judged
    )
    const goal = goalOfDirective(of, env, parts)
    assert.deepStrictEqual(goal.acceptance, [
      new Shell({ command: "x", expectedExit: 3, stdoutMustMatch: Option.some("y") }),
      new FileMatches({ path: "p", regex: "r" }),
      new LlmJudge({ criterion: "it is friendly" })
    ])
    assert.deepStrictEqual(goal.metadata, { "worktree.source_repo": "/m" })
  })

  it.prop(
    "keeps every criterion in its place and says each statement and constraint",
    [Arbitrary.make(Directive)],
    ([of]) => {
      const goal = goalOfDirective(of, ExecEnv.empty, parts)
      assert.strictEqual(goal.acceptance.length, of.acceptanceCriteria.length)
      for (const { statement } of of.acceptanceCriteria) assert.include(goal.description, statement)
      for (const constraint of of.constraints) assert.include(goal.description, constraint)
      assert.include(goal.description, of.originalRequest.trim())
      for (const { assumed } of of.assumptions) assert.include(goal.description, assumed)
    }
  )

  it("is the message and nothing else for a message", () => {
    assert.strictEqual(
      goalOfDirective(Directive.fromMessage(" rename a \n"), ExecEnv.empty, parts).description,
      "rename a"
    )
  })

  it("tells a further run what was missing and what the first one said", () => {
    const previous = resultOf({ finalText: `done ${"x".repeat(5_000)}` })
    const goal = goalOfDirective(directiveOf(judged), env, {
      ...parts,
      feedback: Option.some({ previous, gaps: ["no tests"] })
    })
    assert.include(goal.description, "- no tests")
    assert.include(goal.description, "done xxx")
    assert.isBelow(goal.description.length, 4_500)
  })
})

describe("complaints", () => {
  const cannotFail = [
    "true",
    ":",
    "npm test || true",
    "npm test; true",
    "npm test; exit 0",
    "echo ok",
    "npm test || exit 0",
    "exit"
  ]
  for (const line of cannotFail) {
    it(`say of \`${line}\` that it cannot fail`, () => {
      assert.deepStrictEqual(
        staticComplaints(directiveOf(command(line), judged)).map(({ problem }) => problem),
        ["cannot_fail"]
      )
    })
  }
  const fine = [
    "npm test",
    "test -f a && true",
    "./greet | grep hello",
    "! grep -r TODO src",
    "true && npm test",
    "[ $(cat a) = 1 ]"
  ]
  for (const line of fine) {
    it(`say nothing of \`${line}\``, () => assert.deepStrictEqual(staticComplaints(directiveOf(command(line))), []))
  }

  it("say of guards alone, and of nothing, that nobody could fail", () => {
    for (const of of [directiveOf(), directiveOf(command("npm test", true))]) {
      assert.deepStrictEqual(
        staticComplaints(of).map(({ criterion, problem }) => [problem, criterion]),
        [["cannot_fail", Option.none()]]
      )
    }
  })

  it("say of a path that leaves the repository that it is invalid", () => {
    for (const path of ["/etc/passwd", "../a", "a/../../b", "~/x", "C:\\x"]) {
      const [first] = staticComplaints(directiveOf(new FileCriterion({ statement: "s", path, regex: "r" })))
      assert.strictEqual(first?.problem, "invalid")
    }
  })

  it("do not keep a guard from holding already", () => {
    const of = directiveOf(command("npm test", true), command("./greet"))
    assert.deepStrictEqual(blockingComplaints(of, [complaint("already_true", 0)]), [])
    assert.strictEqual(blockingComplaints(of, [complaint("already_true", 1)]).length, 1)
    assert.strictEqual(blockingComplaints(of, [complaint("cannot_fail", 0)]).length, 1)
    assert.strictEqual(blockingComplaints(of, [complaint("already_true")]).length, 1)
  })
})

describe("settle", () => {
  it("judges what holds already or cannot fail, and keeps what cannot run yet", () => {
    const of = directiveOf(command("a"), command("b"), command("c"), judged)
    const { directive, notes } = settle(of, [complaint("already_true", 0), complaint("does_not_run", 1)])
    assert.deepStrictEqual(directive.acceptanceCriteria, [
      new JudgedCriterion({ statement: "s: a" }),
      command("b"),
      command("c"),
      judged
    ])
    assert.strictEqual(notes.length, 2)
  })

  it("judges everything but guards when the complaint is about all", () => {
    const { directive } = settle(directiveOf(command("a", true), command("b")), [complaint("already_true")])
    assert.deepStrictEqual(directive.acceptanceCriteria, [
      command("a", true),
      new JudgedCriterion({ statement: "s: b" })
    ])
  })

  it.prop(
    "keeps every statement in its place, and no criterion that was refused",
    [anyCriteria, anyComplaints],
    ([criteria, complaints]) => {
      const of = directiveOf(...criteria)
      const { directive, notes } = settle(of, complaints)
      assert.deepStrictEqual(
        directive.acceptanceCriteria.map(({ statement }) => statement),
        criteria.map(({ statement }) => statement)
      )
      directive.acceptanceCriteria.forEach((criterion, index) => {
        const refused = complaints.some((it) => it.problem !== "does_not_run" && Option.contains(it.criterion, index))
        if (refused) assert.strictEqual(criterion._tag, "JudgedCriterion")
      })
      const changed = directive.acceptanceCriteria.filter((criterion, index) => criterion !== criteria[index]).length
      assert.isAtLeast(notes.length, changed)
    }
  )
})

describe("withAssumptions", () => {
  const question = (id: string) => new Question({ id, text: `${id}?`, kind: "free_text" })
  it("has an entry for each question that nobody answered, once", () => {
    const once = withAssumptions(directiveOf(judged), [question("a"), question("b")])
    assert.deepStrictEqual(
      once.assumptions.map(({ by, subject }) => [subject, by]),
      [
        ["a?", "asker"],
        ["b?", "asker"]
      ]
    )
    assert.deepStrictEqual(withAssumptions(once, [question("a")]), once)
  })
})
