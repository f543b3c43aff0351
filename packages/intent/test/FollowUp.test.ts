import { Answer, Question, type QuestionKind, QuestionOption } from "@driver/intent/Directive"
import { checkAnswers, combinedRequest, decideFollowUp, type FollowUp } from "@driver/intent/FollowUp"
import { OpenClarification } from "@driver/intent/IntentRecord"
import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, Option } from "effect"

const question = (kind: QuestionKind, options: ReadonlyArray<readonly [string, string]> = [], id = "q") =>
  new Question({
    id,
    text: "Which one?",
    kind,
    options: options.map(([value, label]) => new QuestionOption({ value, label }))
  })

const colors: ReadonlyArray<readonly [string, string]> = [
  ["red", "rot"],
  ["blue", "sky blue"]
]
const free = question("free_text")
const yesNo = question("yes_no")
const single = question("single_choice", colors)
const multi = question("multi_choice", colors)

const openOf = (...questions: readonly [Question, ...Array<Question>]) =>
  new OpenClarification({ request: "make it", questions, round: 1 })

const decide = (message: string, asked: Question = free, modelSays?: "answer" | "new_topic") =>
  decideFollowUp({
    open: Option.some(openOf(asked)),
    message,
    answers: [],
    modelSays: Option.fromNullable(modelSays)
  })

describe("whether a message is an answer", () => {
  const table: ReadonlyArray<readonly [string, Question, "answer" | "new_topic" | undefined, FollowUp]> = [
    // Nobody has an opinion: a question was asked, and this is what was said next.
    ["the one in src/", free, undefined, "answer"],
    ["PostgreSQL, Version 16", free, undefined, "answer"],
    ["蓝色的那个", free, undefined, "answer"],
    // The model's opinion decides what cannot be seen.
    ["what is the weather like?", free, "new_topic", "new_topic"],
    ["the weather service", free, "answer", "answer"],
    // Words for yes and no are answers, whatever the model thinks.
    ["yes", yesNo, "new_topic", "answer"],
    ["Yes, please!", yesNo, "new_topic", "answer"],
    ["yes but do it tomorrow in another file", yesNo, "new_topic", "new_topic"],
    ["Nein.", yesNo, "new_topic", "answer"],
    ["oui", yesNo, "new_topic", "answer"],
    ["¡Sí!", yesNo, "new_topic", "answer"],
    ["да", yesNo, "new_topic", "answer"],
    ["不要", yesNo, "new_topic", "answer"],
    ["はい。", yesNo, "new_topic", "answer"],
    ["아니요", yesNo, "new_topic", "answer"],
    ["d’accord", yesNo, "new_topic", "answer"],
    // The same words do not answer a question for a text.
    ["yes", free, "new_topic", "new_topic"],
    // Options by value, label and number.
    ["red", single, "new_topic", "answer"],
    ["Sky Blue!", single, "new_topic", "answer"],
    ["2", single, "new_topic", "answer"],
    ["3", single, "new_topic", "new_topic"],
    ["red, sky blue", multi, "new_topic", "answer"],
    ["red and a new login page", multi, "new_topic", "new_topic"],
    // Phrases that drop the subject, whatever the model thinks.
    ["never mind, fix the tests instead", free, "answer", "new_topic"],
    ["Forget it. What time is it?", single, "answer", "new_topic"],
    ["By the way: who are you?", free, "answer", "new_topic"],
    ["Vergiss es, lösch lieber die Logs", free, "answer", "new_topic"],
    ["Andere Frage: wie spät ist es?", free, "answer", "new_topic"],
    ["Laisse tomber", free, "answer", "new_topic"],
    ["Olvídalo, mejor borra los logs", free, "answer", "new_topic"],
    ["Lascia perdere.", free, "answer", "new_topic"],
    ["Deixa pra lá, apaga os logs", free, "answer", "new_topic"],
    ["Забудь, почини тесты", free, "answer", "new_topic"],
    ["算了，先修复测试", free, "answer", "new_topic"],
    ["やっぱりいいです。テストを直して", free, "answer", "new_topic"],
    ["됐어, 테스트나 고쳐", free, "answer", "new_topic"],
    // The beginning of a longer word is no such phrase.
    ["unrelatedTests.ts", free, "answer", "answer"],
    ["Forget items older than a day", free, "answer", "answer"],
    // What sounds like one, and is an option.
    [
      "never mind",
      question("single_choice", [
        ["never mind", "never mind"],
        ["now", "now"]
      ]),
      "new_topic",
      "answer"
    ]
  ]

  for (const [message, asked, modelSays, expected] of table) {
    it(`"${message}" to ${asked.kind}, with the model for ${modelSays ?? "neither"}: ${expected}`, () => {
      assert.strictEqual(decide(message, asked, modelSays), expected)
    })
  }

  it.prop("is not asked when no question is open", [fc.string()], ([message]) => {
    const asked = { open: Option.none(), message, answers: [], modelSays: Option.some("answer" as const) }
    assert.strictEqual(decideFollowUp(asked), "none")
  })

  it.prop("is settled by answers with ids", [fc.string()], ([message]) => {
    const answers = [new Answer({ question: "q", value: "x" })]
    const modelSays = Option.some("new_topic" as const)
    assert.strictEqual(decideFollowUp({ open: Option.some(openOf(free)), message, answers, modelSays }), "answer")
  })

  it.prop("always has a result, whatever is said", [fc.string({ unit: "binary" })], ([message]) => {
    for (const asked of [free, yesNo, single, multi]) assert.include(["answer", "new_topic"], decide(message, asked))
  })
})

describe("answers by id", () => {
  const check = (asked: Question, ...values: ReadonlyArray<string>) =>
    Either.mapBoth(
      checkAnswers(
        Option.some(openOf(asked)),
        values.map((value) => new Answer({ question: "q", value }))
      ),
      {
        onLeft: ({ detail }) => detail,
        onRight: (answers) => answers.map(({ value }) => value)
      }
    )

  it("are given in the words of the options", () => {
    assert.deepStrictEqual(check(single, "Rot"), Either.right(["red"]))
    assert.deepStrictEqual(check(multi, "1", "sky blue"), Either.right(["red", "blue"]))
    assert.deepStrictEqual(check(multi, "1, sky blue"), Either.right(["red", "blue"]))
    assert.isTrue(Either.isLeft(check(multi, "1, lilac")))
    assert.deepStrictEqual(check(yesNo, "Ja"), Either.right(["yes"]))
    assert.deepStrictEqual(check(free, " as I said "), Either.right(["as I said"]))
  })

  it("are refused when they name no option, come twice, or say nothing", () => {
    assert.deepStrictEqual(check(single, "green"), Either.left('expected "red", "blue", got "green"'))
    assert.deepStrictEqual(check(yesNo, "maybe"), Either.left('expected yes or no, got "maybe"'))
    assert.deepStrictEqual(check(single, "red", "blue"), Either.left("it is given twice"))
    assert.deepStrictEqual(check(free, "  "), Either.left('expected some text, got "  "'))
  })

  it("are refused when their question is not open", () => {
    const answers = [new Answer({ question: "size", value: "1" })]
    assert.deepStrictEqual(
      Either.mapLeft(checkAnswers(Option.some(openOf(free)), answers), ({ detail }) => detail),
      Either.left("there is no such question; open are q")
    )
    assert.isTrue(Either.isLeft(checkAnswers(Option.none(), answers)))
  })
})

describe("the combined request", () => {
  it.prop(
    "begins with the request, word for word, and holds what was said",
    [fc.string(), fc.string()],
    ([request, said]) => {
      const open = new OpenClarification({ request, questions: [free], round: 1 })
      const combined = combinedRequest(open, said, [])
      assert.isTrue(combined.startsWith(request))
      assert.include(combined, said.trim())
    }
  )

  it("says which answer belongs to which question", () => {
    const answers = [new Answer({ question: "q", value: "blue" })]
    assert.strictEqual(
      combinedRequest(openOf(single), "", answers),
      "make it\n\nAsked and answered:\n- Which one? sky blue (blue)"
    )
    assert.strictEqual(
      combinedRequest(openOf(single), "please", answers),
      "make it\n\nAsked and answered:\n- Which one? sky blue (blue)\nAnswer: please"
    )
    assert.strictEqual(
      combinedRequest(openOf(free), "in src", []),
      "make it\n\nAsked and answered:\n- Which one?\nAnswer: in src"
    )
  })
})
