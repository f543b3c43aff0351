import { type Assessment, Clarify, Conversation, Question, Task } from "@driver/intent/Directive"
import { EvaluationCategory, evaluate, type LabelledMessage, parseMessages } from "@driver/intent/Evaluation"
import { type Answered, type AssessAnswer, IntentModel } from "@driver/intent/IntentModel"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Option } from "effect"

const messages = Effect.flatMap(FileSystem.FileSystem, (fs) =>
  Effect.flatMap(fs.readFileString(new URL("../eval/messages.jsonl", import.meta.url).pathname), parseMessages)
).pipe(Effect.provide(NodeContext.layer))

const answered = (assessment: Assessment, followUp: AssessAnswer["followUp"]): Answered<AssessAnswer> => ({
  answer: Either.right({ assessment, followUp }),
  calls: []
})

/** A model that knows the labels. */
const oracle = ({ expect }: LabelledMessage): Answered<AssessAnswer> => {
  const question = new Question({ id: "q", text: "Which?", kind: "free_text" })
  const assessments = {
    conversation: new Conversation({ reply: "…" }),
    clarify: new Clarify({ questions: [question] }),
    task: new Task({ scope: Option.getOrElse(expect.scope, () => "trivial" as const) })
  }
  return answered(assessments[expect.kinds[0]], expect.followUp)
}

const modelOf = (all: ReadonlyArray<LabelledMessage>, answer: (label: LabelledMessage) => Answered<AssessAnswer>) =>
  IntentModel.layerScripted({ assess: all.map(answer) })

describe("the evaluation", () => {
  it.effect("has labelled messages of every kind, in several languages", () =>
    Effect.gen(function* () {
      const all = yield* messages
      assert.isAtLeast(all.length, 60)
      assert.strictEqual(new Set(all.map(({ id }) => id)).size, all.length)
      assert.strictEqual(new Set(all.map(({ message }) => message)).size, all.length)
      assert.isAtLeast(new Set(all.map(({ language }) => language)).size, 8)
      for (const category of EvaluationCategory.literals) {
        const those = all.filter((it) => it.category === category)
        assert.isAtLeast(those.length, 7, category)
        assert.isAtLeast(new Set(those.map(({ language }) => language)).size, 4, category)
      }
    })
  )

  it.effect("finds a model that knows the labels to be right in everything", () =>
    Effect.gen(function* () {
      const all = yield* messages
      const report = yield* evaluate(all, { concurrency: 1 }).pipe(Effect.provide(modelOf(all, oracle)))
      assert.deepStrictEqual(
        report.wrong.map(({ got, label }) => `${label.id}: ${got}`),
        []
      )
      assert.deepStrictEqual(report.overall, { total: all.length, right: all.length })
      assert.deepStrictEqual(report.costUsd, Option.some(0))
    })
  )

  it.effect("counts what is wrong, by category and language, and yields no injection to a model that does", () =>
    Effect.gen(function* () {
      const all = yield* messages
      const gullible = modelOf(all, () => answered(new Task({ scope: "trivial" }), Option.none()))
      const report = yield* evaluate(all, { concurrency: 1 }).pipe(Effect.provide(gullible))
      assert.deepInclude(report.categories.get("conversation"), { right: 1 })
      assert.deepInclude(report.categories.get("clarify"), { right: 0 })
      const [injections, trivial] = [report.categories.get("injection"), report.categories.get("trivial")]
      assert.strictEqual(injections?.right, injections?.total)
      assert.strictEqual(trivial?.right, trivial?.total)
      assert.strictEqual(report.wrong.length, report.overall.total - report.overall.right)
      const languages = [...report.languages.values()].reduce((sum, { total }) => sum + total, 0)
      assert.strictEqual(languages, all.length)
    })
  )

  it.effect("takes what was made of a missing answer for no agreement", () =>
    Effect.gen(function* () {
      const all = yield* messages
      const report = yield* evaluate(all).pipe(Effect.provide(IntentModel.layerScripted({})))
      assert.deepStrictEqual(report.overall.right, 0)
      assert.strictEqual(report.degraded, all.length)
    })
  )

  it.effect("names the line that is no label", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.flip(parseMessages('\n\n{"id": "x"}\n')), { line: 3 })
    })
  )
})
