/**
 * A language model that plays a file: for rehearsals and tests of whole processes.
 * The file is a list of maps, and the first that fits answers:
 *
 *   - ask: assess           # the name of the question; absent: any
 *     when: (?i)hello       # a pattern that the prompt must match; absent: any
 *     times: 1              # how often it answers in one process; absent: always
 *     answer: { … }         # what is said, as text or as a value that is written as JSON
 *     hang: true            # instead: nothing is ever said
 */
import { readFile } from "node:fs/promises"
import { expecting } from "@driver/domain/StrictDecode"
import * as AiError from "@effect/ai/AiError"
import * as LanguageModel from "@effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ModelConfigError } from "./LanguageModels.js"

const Rule = Schema.Struct({
  ask: Schema.optional(Schema.String),
  when: Schema.optional(Schema.String),
  times: Schema.optional(Schema.Int.pipe(Schema.positive())),
  answer: Schema.optional(Schema.Unknown),
  hang: Schema.optional(Schema.Boolean)
})
const Script = Schema.Array(Rule).annotations(expecting("a list of maps with ask, when, times and answer"))

/** Fails when the file cannot be read, or is no script. */
export const layer = (file: string): Layer.Layer<LanguageModel.LanguageModel, ModelConfigError> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.gen(function* () {
      const rules = yield* load(file)
      const used = yield* Ref.make<ReadonlyArray<number>>(rules.map(() => 0))
      return yield* LanguageModel.make({
        generateText: ({ prompt, responseFormat }) =>
          Effect.gen(function* () {
            const asked = responseFormat.type === "json" ? responseFormat.objectName : "text"
            const text = prompt.content.map(({ content }) => textOf(content)).join("\n")
            const rule = yield* Ref.modify(used, (before) => {
              const index = rules.findIndex(
                ({ ask, times, when }, at) =>
                  (ask === undefined || ask === asked) &&
                  (times === undefined || (before[at] ?? 0) < times) &&
                  (when === undefined || when.test(text))
              )
              return [rules[index], before.map((count, at) => (at === index ? count + 1 : count))]
            })
            if (rule === undefined) return yield* failed(`the script has no answer to ${asked}`)
            if (rule.hang === true) return yield* Effect.never
            const said = typeof rule.answer === "string" ? rule.answer : JSON.stringify(rule.answer ?? null)
            const usage = {
              inputTokens: text.length,
              outputTokens: said.length,
              totalTokens: text.length + said.length
            }
            return [
              { type: "text", text: said },
              { type: "finish", reason: "stop", usage }
            ]
          }),
        streamText: () => Stream.fail(failed("the script does not stream"))
      })
    })
  )

const load = (file: string) =>
  Effect.gen(function* () {
    const wrong = (detail: string) => new ModelConfigError({ provider: "the script", detail: `${file}: ${detail}` })
    const [text, yaml] = yield* Effect.tryPromise({
      try: () => Promise.all([readFile(file, "utf8"), import("./yamlParser.js")]),
      catch: (error) => wrong(error instanceof Error ? error.message : String(error))
    })
    const value = yield* Effect.try({
      try: (): unknown => yaml.parseAllDocuments(text)[0]?.toJS(),
      catch: (error) => wrong(error instanceof Error ? error.message : String(error))
    })
    const script = Schema.decodeUnknownEither(Script, { onExcessProperty: "error" })(value)
    if (Either.isLeft(script)) return yield* wrong("expected a list of maps with ask, when, times and answer")
    return yield* Effect.forEach(script.right, ({ when, ...rule }) =>
      Effect.try({
        // RE2 has (?i), JavaScript does not.
        try: () => ({
          ...rule,
          when:
            when === undefined
              ? undefined
              : new RegExp(when.replace(/^\(\?i\)/, ""), /^\(\?i\)/.test(when) ? "iu" : "u")
        }),
        catch: () => wrong(`${when} is not a pattern`)
      })
    )
  })

const failed = (description: string) =>
  new AiError.UnknownError({ module: "scriptedModel", method: "generateText", description })

const textOf = (content: string | ReadonlyArray<{ readonly type: string }>): string =>
  typeof content === "string" ? content : content.map((part) => ("text" in part ? String(part.text) : "")).join("\n")
