/**
 * Whether a message answers the questions that a session waits for, or is about
 * something else: decided here and nowhere else. Pure.
 *
 * What can be seen decides first: answers by their question's id, an option by its name,
 * a phrase that drops the subject. Then the model's opinion. Without one the message is
 * an answer: a question was asked, and this is what was said next.
 */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { Answer, type Question } from "./Directive.js"
import type { OpenClarification } from "./IntentRecord.js"

export type FollowUp = "none" | "answer" | "new_topic"

export interface FollowUpQuestion {
  readonly open: Option.Option<OpenClarification>
  readonly message: string
  readonly answers: ReadonlyArray<Answer>
  /** Of the assessment, where there is one. */
  readonly modelSays: Option.Option<"answer" | "new_topic">
}

export const decideFollowUp = (asked: FollowUpQuestion): FollowUp =>
  Option.match(asked.open, {
    onNone: () => "none",
    onSome: ({ questions }) => {
      if (asked.answers.length > 0 || questions.some((question) => namesAnAnswer(question, asked.message)))
        return "answer"
      if (dropsTheSubject(asked.message)) return "new_topic"
      return Option.getOrElse(asked.modelSays, () => "answer" as const)
    }
  })

/** How people begin when they change the subject. Compared with the beginning of the message, in lower case. */
const shifts: ReadonlyArray<string> = [
  ...["never mind", "nevermind", "forget it", "forget that", "forget about", "new topic", "new question", "new task"],
  ...["different topic", "different question", "something else:", "something completely different", "on another note"],
  ...["by the way", "unrelated", "actually, never mind", "scratch that"],
  ...["vergiss es", "vergiss das", "neues thema", "neue frage", "neue aufgabe", "anderes thema", "andere frage"],
  ...["etwas ganz anderes", "was ganz anderes", "übrigens", "lass gut sein"],
  ...["laisse tomber", "laissez tomber", "oublie ça", "oubliez ça", "nouveau sujet", "autre sujet", "autre question"],
  ...["autre chose", "rien à voir", "changeons de sujet", "au fait"],
  ...[
    "olvídalo",
    "olvidalo",
    "olvida eso",
    "nuevo tema",
    "otro tema",
    "otra pregunta",
    "otra cosa",
    "cambiando de tema"
  ],
  ...["por cierto", "déjalo"],
  ...["lascia stare", "lascia perdere", "altro argomento", "un'altra cosa", "cambiando argomento"],
  ...["deixa pra lá", "esquece", "esqueça", "outro assunto", "outra coisa", "mudando de assunto"],
  ...["laat maar", "vergeet het", "iets anders", "nieuw onderwerp"],
  ...["nieważne", "zapomnij", "inny temat", "boş ver", "boşver", "başka bir konu"],
  ...["забудь", "неважно", "другая тема", "другой вопрос", "кстати", "проехали"],
  ...["забудь про", "算了", "换个话题", "換個話題", "另一个问题", "顺便问一下", "忘了吧"],
  ...["やっぱりいい", "話は変わ", "別の話", "別の質問", "ところで", "忘れて"],
  ...["됐어", "다른 얘기", "다른 질문", "그건 그렇고", "잊어버려", "انس الأمر", "موضوع آخر"]
]

const dropsTheSubject = (message: string): boolean => {
  const said = plain(message)
  return shifts.some((phrase) => said.startsWith(phrase) && !/^\p{L}/u.test(spaced(phrase, said.slice(phrase.length))))
}

/** Scripts without spaces have no word boundary to look for. */
const spaced = (phrase: string, rest: string): string =>
  /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]$/.test(phrase) ? "" : rest

const plain = (text: string): string =>
  text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[’ʼ]/g, "'")
    .replace(/^[\s\p{P}]+/u, "")
    .trim()

/** Without the punctuation and the politeness around it. */
const bare = (text: string): string => plain(text).replace(/[\s\p{P}]+$/u, "")

const yesWords = new Set([
  ...["yes", "y", "yeah", "yep", "yup", "sure", "ok", "okay", "true", "of course", "please do", "yes please"],
  ...["ja", "jo", "klar", "gerne", "ja bitte", "ja gerne", "oui", "ouais", "d'accord", "sí", "si", "claro", "vale"],
  ...[
    "sim",
    "certo",
    "sì",
    "tak",
    "evet",
    "да",
    "ага",
    "конечно",
    "是",
    "是的",
    "好",
    "好的",
    "对",
    "はい",
    "うん",
    "네",
    "예",
    "응",
    "نعم"
  ]
])
const noWords = new Set([
  ...["no", "n", "nope", "nah", "false", "no thanks", "don't", "do not", "please don't"],
  ...["nein", "nö", "nee", "nicht", "nein danke", "non", "non merci", "no gracias", "não", "nao", "nie", "hayır"],
  ...["нет", "не надо", "不", "不是", "不用", "不要", "いいえ", "いや", "아니요", "아니", "لا"]
])

/** `yes` or `no` for a word that says so in one of many languages. */
const yesOrNo = (text: string): Option.Option<"yes" | "no"> => {
  const said = bare(text).replace(/[^\p{L}\p{N}\p{M}']+/gu, " ")
  return yesWords.has(said) ? Option.some("yes") : noWords.has(said) ? Option.some("no") : Option.none()
}

/** The option of this name, label or number from 1. */
const optionOf = (question: Question, text: string): Option.Option<string> => {
  const said = bare(text)
  const byName = question.options.find(
    ({ label, value }) => said !== "" && (bare(value) === said || bare(label) === said)
  )
  const byNumber = /^[1-9][0-9]?$/.test(said) ? question.options[Number(said) - 1] : undefined
  return Option.map(Option.fromNullable(byName ?? byNumber), ({ value }) => value)
}

const namesAnAnswer = (question: Question, message: string): boolean => {
  switch (question.kind) {
    case "free_text":
      return false
    case "yes_no":
      return Option.isSome(yesOrNo(message))
    case "single_choice":
      return Option.isSome(optionOf(question, message))
    case "multi_choice":
      return choicesIn(question, new Answer({ question: question.id, value: message })).every(({ value }) =>
        Option.isSome(optionOf(question, value))
      )
  }
}

export interface AnswerProblem {
  readonly question: string
  readonly detail: string
}

/** The answers in the words of the questions' options. Left: one that names no open question, or no option. */
export const checkAnswers = (
  open: Option.Option<OpenClarification>,
  answers: ReadonlyArray<Answer>
): Either.Either<ReadonlyArray<Answer>, AnswerProblem> => {
  const questions: ReadonlyArray<Question> = Option.match(open, { onNone: () => [], onSome: (it) => it.questions })
  const given = new Set<string>()
  const single = answers.flatMap((answer) => {
    const question = questions.find((it) => it.id === answer.question)
    return question?.kind === "multi_choice" ? choicesIn(question, answer) : [answer]
  })
  return Either.all(
    single.map(({ question: id, value }): Either.Either<Answer, AnswerProblem> => {
      const wrong = (detail: string) => Either.left({ question: id, detail })
      const question = questions.find((it) => it.id === id)
      if (question === undefined) {
        const names = questions.map((it) => it.id).join(", ")
        return wrong(names === "" ? "no question is open" : `there is no such question; open are ${names}`)
      }
      if (given.has(id) && question.kind !== "multi_choice") return wrong("it is given twice")
      given.add(id)
      const meant =
        question.kind === "free_text"
          ? Option.filter(Option.some(value.trim()), (it) => it !== "")
          : question.kind === "yes_no"
            ? yesOrNo(value)
            : optionOf(question, value)
      return Option.match(meant, {
        onNone: () => wrong(`expected ${expectedOf(question)}, got ${JSON.stringify(value.slice(0, 60))}`),
        onSome: (it) => Either.right(new Answer({ question: id, value: it }))
      })
    })
  )
}

/** Several choices may stand in one answer, with commas between; each counts once. */
const choicesIn = (question: Question, { value }: Answer): ReadonlyArray<Answer> => {
  const values = Option.isSome(optionOf(question, value)) ? [value] : value.split(/[,;、，]/)
  return values.map((it) => new Answer({ question: question.id, value: it.trim() }))
}

const expectedOf = (question: Question): string =>
  question.kind === "free_text"
    ? "some text"
    : question.kind === "yes_no"
      ? "yes or no"
      : question.options.map(({ value }) => JSON.stringify(value)).join(", ")

/** The request with what was answered: the request's own words come first and stay as they are. */
export const combinedRequest = (open: OpenClarification, message: string, answers: ReadonlyArray<Answer>): string => {
  const lines = open.questions.flatMap((question) => {
    const values = answers
      .filter((answer) => answer.question === question.id)
      .map(({ value }) => labelOf(question, value))
    return values.length === 0 ? [] : [`- ${question.text} ${values.join(", ")}`]
  })
  const said = message.trim()
  const unanswered = open.questions.filter(({ id }) => answers.every((answer) => answer.question !== id))
  const asked = lines.length === 0 && said !== "" ? unanswered.map(({ text }) => `- ${text}`) : []
  return [
    open.request,
    `Asked and answered:\n${[...lines, ...asked, ...(said === "" ? [] : [`Answer: ${said}`])].join("\n")}`
  ].join("\n\n")
}

const labelOf = (question: Question, value: string): string => {
  const option = question.options.find((it) => it.value === value)
  return option === undefined || option.label === value ? value : `${option.label} (${value})`
}
