/**
 * A language model that says what it was told to say: for tests, rehearsals and
 * demonstrations. What it was asked is kept for `AskedPrompts`.
 */
import * as AiError from "@effect/ai/AiError"
import * as LanguageModel from "@effect/ai/LanguageModel"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"

/** The text of one answer, or the error in its place. */
export type Answer = string | AiError.AiError | Effect.Effect<string, AiError.AiError>

/** The texts of all prompts so far, oldest first: system and user parts, one after the other. */
export class AskedPrompts extends Context.Tag("@driver/agent/LanguageModelScripted/AskedPrompts")<
  AskedPrompts,
  Effect.Effect<ReadonlyArray<string>>
>() {}

/** Gives the answers in their order; when they are used up, an error that is not worth a second try. */
export const layer = (answers: ReadonlyArray<Answer>): Layer.Layer<LanguageModel.LanguageModel | AskedPrompts> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const asked = yield* Ref.make<ReadonlyArray<string>>([])
      const model = yield* LanguageModel.make({
        generateText: ({ prompt }) =>
          Effect.gen(function* () {
            const text = prompt.content.map(({ content }) => textOf(content)).join("\n")
            const index = yield* Ref.modify(asked, (before) => [before.length, [...before, text]])
            const answer = answers[index]
            if (answer === undefined) {
              return yield* failed("generateText", `the script has no answer ${index + 1}`)
            }
            const said = typeof answer === "string" ? answer : yield* answer
            return [{ type: "text", text: said }]
          }),
        streamText: () => Stream.fail(failed("streamText", "the script does not stream"))
      })
      return Context.make(LanguageModel.LanguageModel, model).pipe(Context.add(AskedPrompts, Ref.get(asked)))
    })
  )

const failed = (method: string, description: string) =>
  new AiError.UnknownError({ module: "LanguageModelScripted", method, description })

const textOf = (content: string | ReadonlyArray<{ readonly type: string }>): string =>
  typeof content === "string" ? content : content.map((part) => ("text" in part ? String(part.text) : "")).join("\n")
