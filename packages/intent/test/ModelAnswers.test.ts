import {
  type Assessment,
  Clarify,
  CommandCriterion,
  Conversation,
  FileCriterion,
  JudgedCriterion,
  Task
} from "@driver/intent/Directive"
import {
  AskedAssessment,
  AskedDirective,
  AskedReview,
  toAssessment,
  toDirective,
  toSemanticReview
} from "@driver/intent/ModelAnswers"
import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, JSONSchema, Option } from "effect"

const problemOf = (result: Either.Either<unknown, string>) =>
  Either.match(result, { onLeft: (it) => it, onRight: () => "" })

describe("what is asked", () => {
  // What providers can be held to: objects with every key required and nothing else allowed.
  const check = (schema: unknown): void => {
    if (typeof schema !== "object" || schema === null) return
    const node = new Map<string, unknown>(Object.entries(schema))
    if (node.get("type") === "object") {
      assert.deepStrictEqual(node.get("required"), Object.keys(node.get("properties") ?? {}))
      assert.strictEqual(node.get("additionalProperties"), false)
    }
    for (const inner of node.values()) check(inner)
  }
  const made = {
    assessment: JSONSchema.make(AskedAssessment),
    directive: JSONSchema.make(AskedDirective),
    review: JSONSchema.make(AskedReview)
  }
  for (const [name, schema] of Object.entries(made)) {
    it(`as ${name} is an object whose keys are all required`, () => {
      assert.include(schema, { type: "object" })
      check(schema)
    })
  }
})

describe("toAssessment", () => {
  it("reads each kind, also with the keys left out that would be null", () => {
    const right = (assessment: Assessment) => Either.right({ assessment, followUp: Option.none() })
    assert.deepStrictEqual(
      toAssessment({ kind: "conversation", reply: " Hallo! ", questions: null, scope: null, follow_up: null }),
      right(new Conversation({ reply: "Hallo!" }))
    )
    assert.deepStrictEqual(toAssessment({ kind: "task", scope: "trivial" }), right(new Task({ scope: "trivial" })))
    const clarify = toAssessment({
      kind: "clarify",
      questions: [
        {
          id: "a",
          text: "¿Cuál?",
          type: "single_choice",
          options: ["x", "y"].map((value) => ({ value, label: value }))
        }
      ],
      follow_up: "answer"
    })
    assert.isTrue(Either.isRight(clarify) && clarify.right.assessment instanceof Clarify)
    assert.deepStrictEqual(
      Either.map(clarify, ({ followUp }) => followUp),
      Either.right(Option.some("answer" as const))
    )
  })

  it("has no default for what is missing or wrong", () => {
    assert.match(problemOf(toAssessment({})), /kind/)
    assert.match(problemOf(toAssessment({ kind: "chat" })), /kind/)
    assert.match(problemOf(toAssessment({ kind: "conversation" })), /reply/)
    assert.match(problemOf(toAssessment({ kind: "task" })), /scope/)
    assert.match(problemOf(toAssessment({ kind: "clarify", questions: [] })), /questions/)
    const question = { id: "a", text: "A?", type: "free_text", options: [] }
    assert.match(problemOf(toAssessment({ kind: "clarify", questions: [question, question] })), /same id/)
    assert.match(
      problemOf(toAssessment({ kind: "clarify", questions: ["a", "b", "c", "d"].map((id) => ({ ...question, id })) })),
      /questions/
    )
    assert.match(
      problemOf(toAssessment({ kind: "clarify", questions: [{ ...question, type: "single_choice" }] })),
      /fewer than two options/
    )
    assert.match(problemOf(toAssessment({ kind: "clarify", questions: [{ ...question, id: "a b" }] })), /id/)
  })

  it.prop("has an answer for every JSON value", [fc.jsonValue()], ([value]) => {
    assert.isTrue(Either.isLeft(toAssessment(value)) || typeof value === "object")
  })
})

describe("toDirective", () => {
  const read = toDirective("add a greeting")
  const asked = {
    goal: " Add a greeting ",
    constraints: ["only in greet", " "],
    acceptance_criteria: [
      {
        kind: "command",
        statement: "it greets",
        command: "./greet",
        expected_exit: 0,
        stdout_must_match: "hello",
        guard: false
      },
      { kind: "file", statement: "it is documented", path: "README.md", regex: "greet", guard: false },
      { kind: "judged", statement: "it is friendly", guard: false }
    ],
    output_schema: '{"type": "object"}',
    assumptions: [{ subject: "language", assumed: "English" }]
  }

  it("reads criteria of each kind, and keeps the request as it was made, whatever the model says of it", () => {
    const directive = Either.getOrThrow(read({ ...asked, original_request: "delete everything" }))
    assert.strictEqual(directive.originalRequest, "add a greeting")
    assert.strictEqual(directive.goal, "Add a greeting")
    assert.deepStrictEqual(directive.constraints, ["only in greet"])
    assert.deepStrictEqual(directive.outputSchema, Option.some({ type: "object" }))
    assert.strictEqual(directive.assumptions[0]?.by, "model")
    assert.deepStrictEqual(directive.acceptanceCriteria, [
      new CommandCriterion({
        statement: "it greets",
        command: "./greet",
        expectedExit: 0,
        stdoutMustMatch: Option.some("hello")
      }),
      new FileCriterion({ statement: "it is documented", path: "README.md", regex: "greet" }),
      new JudgedCriterion({ statement: "it is friendly" })
    ])
  })

  it("has no default for what is missing or wrong", () => {
    const without = (key: string) => Object.fromEntries(Object.entries(asked).filter(([name]) => name !== key))
    assert.match(problemOf(read(without("goal"))), /goal/)
    assert.match(problemOf(read(without("acceptance_criteria"))), /acceptance_criteria/)
    assert.match(problemOf(read({ ...asked, goal: "  " })), /goal/)
    assert.match(problemOf(read({ ...asked, output_schema: "a table" })), /output_schema/)
    assert.match(
      problemOf(read({ ...asked, acceptance_criteria: [{ kind: "command", statement: "s", guard: false }] })),
      /command/
    )
    assert.match(
      problemOf(read({ ...asked, acceptance_criteria: [{ kind: "file", statement: "s", path: "p", guard: false }] })),
      /regex/
    )
    assert.match(
      problemOf(read({ ...asked, acceptance_criteria: [{ kind: "judged", statement: " ", guard: false }] })),
      /statement/
    )
  })
})

describe("toSemanticReview", () => {
  const review = {
    passed: true,
    score: 0.5,
    criteria: [{ criterion: 0, met: true, evidence: "x" }],
    notes: [" "],
    gaps: []
  }
  it("reads a review of so many criteria", () => {
    assert.deepStrictEqual(toSemanticReview(1)(review), Either.right({ ...review, notes: [] }))
  })
  it("refuses numbers out of range", () => {
    assert.match(problemOf(toSemanticReview(1)({ ...review, score: 1.5 })), /score/)
    assert.match(problemOf(toSemanticReview(0)(review)), /criteria/)
    assert.match(
      problemOf(toSemanticReview(1)({ ...review, criteria: [review.criteria[0], review.criteria[0]] })),
      /twice/
    )
  })
})
