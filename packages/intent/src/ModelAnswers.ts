/**
 * What the model is asked to answer, and what its answers mean. Pure.
 *
 * The asked shapes are flat objects in which every key is required and may be null:
 * all providers can be held to those. What they mean is checked by the schemas of
 * `Directive.ts`.
 */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type * as AST from "effect/SchemaAST"
import { Assessment, Assumption, Directive, DirectiveCriterion } from "./Directive.js"
import type { AssessAnswer, SemanticReview } from "./IntentModel.js"

const text = (description: string) => Schema.String.annotations({ description })
const orNull = <A, I>(schema: Schema.Schema<A, I>) => Schema.NullOr(schema)

const AskedQuestion = Schema.Struct({
  id: text("Short and unique: letters, digits, _ and -."),
  text: text("The question, in the person's language."),
  type: Schema.Literal("free_text", "yes_no", "single_choice", "multi_choice"),
  options: Schema.Array(
    Schema.Struct({ value: text("What is chosen."), label: text("What is shown, in the person's language.") })
  ).annotations({ description: "At least two for a choice, else empty." })
})

export const AskedAssessment = Schema.Struct({
  kind: Schema.Literal("conversation", "clarify", "task").annotations({
    description: "conversation: nothing has to be done. clarify: it cannot be done without an answer. task: it can be."
  }),
  reply: orNull(text("For a conversation: the answer, in the person's language. Else null.")),
  questions: orNull(Schema.Array(AskedQuestion).annotations({ description: "To clarify: one to three. Else null." })),
  scope: orNull(
    Schema.Literal("trivial", "substantial").annotations({
      description: "Of a task. trivial: one small step whose success is plain. substantial: everything else. Else null."
    })
  ),
  follow_up: orNull(
    Schema.Literal("answer", "new_topic").annotations({
      description: "When questions are open: whether the message answers them or is about something else. Else null."
    })
  )
})

const AskedCriterion = Schema.Struct({
  kind: Schema.Literal("command", "file", "judged").annotations({
    description: "command: found out by a command. file: by the text of a file. judged: only by looking at the change."
  }),
  statement: text("What must be true, in one sentence."),
  command: orNull(text("For command: a line for bash, run in the repository's root. Else null.")),
  expected_exit: orNull(
    Schema.Number.annotations({ description: "For command: the exit code that passes. Else null." })
  ),
  stdout_must_match: orNull(text("For command: RE2 pattern that its output must match, or null.")),
  path: orNull(text("For file: relative to the repository's root. Else null.")),
  regex: orNull(text("For file: RE2 pattern that the file must match. Else null.")),
  guard: Schema.Boolean.annotations({
    description: "True when it holds already and has to go on holding. False when it fails until the work is done."
  })
})

export const AskedDirective = Schema.Struct({
  goal: text("What to do: complete, specific, measurable, and not wider than what was asked."),
  constraints: Schema.Array(Schema.String).annotations({ description: "What must not happen or must be kept to." }),
  acceptance_criteria: Schema.Array(AskedCriterion),
  output_schema: orNull(
    text("JSON Schema, as JSON text, of the final answer: only when one in a certain form was asked for. Else null.")
  ),
  assumptions: Schema.Array(
    Schema.Struct({ subject: text("What was open."), assumed: text("What is taken for granted.") })
  )
})

export const AskedReview = Schema.Struct({
  passed: Schema.Boolean,
  score: Schema.Number.annotations({ description: "From 0 to 1: how much of what was asked is done." }),
  criteria: Schema.Array(
    Schema.Struct({
      criterion: Schema.Number.annotations({ description: "Its number in the list, from 0." }),
      met: Schema.Boolean,
      evidence: text("Copied word for word from the diff or the results of the criteria. Empty when there is none.")
    })
  ).annotations({ description: "One entry for each criterion." }),
  notes: Schema.Array(Schema.String),
  gaps: Schema.Array(Schema.String).annotations({
    description: "What is missing, one sentence each. Empty when it passed."
  })
})

/** Left: what does not fit, in sentences that the model can act on. */
export const toAssessment = (value: unknown): Either.Either<AssessAnswer, string> =>
  Either.flatMap(decode(AskedAssessment, value), ({ follow_up, kind, questions, reply, scope }) => {
    const meant =
      kind === "conversation"
        ? { kind, reply: reply?.trim() }
        : kind === "clarify"
          ? { kind, questions: questions?.map((it) => ({ ...it, text: it.text.trim() })) }
          : { kind, scope }
    return Either.flatMap(decode(Assessment, meant), (assessment) => {
      const wrong = assessment._tag === "Clarify" ? questionProblem(assessment.questions) : undefined
      return wrong === undefined
        ? Either.right({ assessment, followUp: Option.fromNullable(follow_up) })
        : Either.left(wrong)
    })
  })

const questionProblem = (questions: Extract<Assessment, { _tag: "Clarify" }>["questions"]): string | undefined => {
  if (new Set(questions.map(({ id }) => id)).size < questions.length) return "questions: two have the same id"
  for (const { id, kind, options } of questions) {
    const isChoice = kind === "single_choice" || kind === "multi_choice"
    if (isChoice && options.length < 2) return `questions: ${id} is a choice and has fewer than two options`
    if (new Set(options.map(({ value }) => value)).size < options.length) {
      return `questions: ${id} has the same option twice`
    }
  }
  return undefined
}

/** A directive of this request. */
export const toDirective =
  (request: string) =>
  (value: unknown): Either.Either<Directive, string> =>
    Either.gen(function* () {
      const asked = yield* decode(AskedDirective, value)
      const acceptanceCriteria = yield* decode(
        Schema.Array(DirectiveCriterion),
        asked.acceptance_criteria.map((it) => ({
          kind: it.kind,
          statement: it.statement.trim(),
          guard: it.guard,
          ...(it.kind === "command"
            ? {
                command: it.command?.trim(),
                expected_exit: it.expected_exit ?? 0,
                ...(it.stdout_must_match ? { stdout_must_match: it.stdout_must_match } : {})
              }
            : {}),
          ...(it.kind === "file" ? { path: it.path, regex: it.regex } : {})
        }))
      )
      const assumptions = yield* decode(
        Schema.Array(Assumption),
        asked.assumptions.map((it) => ({ subject: it.subject.trim(), assumed: it.assumed.trim(), by: "model" }))
      )
      const goal = asked.goal.trim()
      if (goal === "") return yield* Either.left("goal: it is empty")
      return new Directive({
        goal,
        originalRequest: request,
        constraints: asked.constraints.map((it) => it.trim()).filter((it) => it !== ""),
        acceptanceCriteria,
        outputSchema: yield* outputSchemaOf(asked.output_schema),
        assumptions
      })
    })

const outputSchemaOf = (
  schema: string | null
): Either.Either<Option.Option<{ readonly [key: string]: unknown }>, string> => {
  if (schema === null || schema.trim() === "") return Either.right(Option.none())
  return Either.map(
    Either.mapLeft(
      Schema.decodeUnknownEither(Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.Unknown })))(
        schema
      ),
      () => "output_schema: expected a JSON Schema as JSON text, or null"
    ),
    Option.some
  )
}

/** A review of a directive with so many criteria. */
export const toSemanticReview =
  (criteria: number) =>
  (value: unknown): Either.Either<SemanticReview, string> =>
    Either.flatMap(decode(AskedReview, value), (asked) => {
      if (!(asked.score >= 0 && asked.score <= 1)) return Either.left("score: expected a number from 0 to 1")
      const numbers = asked.criteria.map(({ criterion }) => criterion)
      if (numbers.some((it) => !Number.isInteger(it) || it < 0 || it >= criteria)) {
        return Either.left(`criteria: expected numbers from 0 to ${criteria - 1}`)
      }
      if (new Set(numbers).size < numbers.length) return Either.left("criteria: a number is there twice")
      const trimmed = (texts: ReadonlyArray<string>) => texts.map((it) => it.trim()).filter((it) => it !== "")
      return Either.right({ ...asked, notes: trimmed(asked.notes), gaps: trimmed(asked.gaps) })
    })

const decode = <A, I>(schema: Schema.Schema<A, I>, value: unknown): Either.Either<A, string> =>
  Either.mapLeft(Schema.decodeUnknownEither(schema, { errors: "all" })(fillNulls(schema.ast, value)), (error) =>
    ParseResult.ArrayFormatter.formatErrorSync(error)
      .slice(0, 5)
      .map(({ message, path }) => `${path.length === 0 ? "the answer" : path.join(".")}: ${message.slice(0, 200)}`)
      .join("; ")
  )

/** Models leave out what is null: keys that may be null and are not there become null. */
const fillNulls = (ast: AST.AST, value: unknown): unknown => {
  if (Array.isArray(value)) {
    const [item] = ast._tag === "TupleType" ? ast.rest : []
    return item === undefined ? value : value.map((it) => fillNulls(item.type, it))
  }
  if (typeof value !== "object" || value === null) return value
  if (ast._tag === "Union") {
    const inner = ast.types.find((it) => it._tag === "TypeLiteral")
    return inner === undefined ? value : fillNulls(inner, value)
  }
  if (ast._tag !== "TypeLiteral") return value
  const filled: Record<string, unknown> = { ...value }
  for (const { name, type } of ast.propertySignatures) {
    const key = String(name)
    filled[key] = key in filled ? fillNulls(inArray(type), filled[key]) : acceptsNull(type) ? null : undefined
    if (filled[key] === undefined) delete filled[key]
  }
  return filled
}

/** A list that may be null is a list where there is one. */
const inArray = (ast: AST.AST): AST.AST =>
  ast._tag === "Union" ? (ast.types.find((it) => it._tag === "TupleType") ?? ast) : ast

const acceptsNull = (ast: AST.AST): boolean =>
  ast._tag === "Union" && ast.types.some((it) => it._tag === "Literal" && it.literal === null)
