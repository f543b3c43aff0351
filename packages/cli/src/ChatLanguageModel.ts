/**
 * A language model behind `/chat/completions`, the API that most servers speak which
 * call themselves compatible with OpenAI.
 *
 *   asked with a JSON Schema ─┬─ answered ─▶ the JSON in the text
 *                             └─ refused (400, 422) ─▶ asked in words only ─▶ the JSON in the text
 *
 * The schema is part of the prompt either way, since some servers take the request and
 * do not follow it. A server that has refused once is asked in words from then on.
 */
import { jsonIn, jsonOnly, jsonSchemaOf, type ModelMessage, messagesOf } from "@driver/agent/ModelMessages"
import * as AiError from "@effect/ai/AiError"
import * as LanguageModel from "@effect/ai/LanguageModel"
import type * as Response from "@effect/ai/Response"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

export interface Options {
  /** As the server names it. */
  readonly model: string
  /** What `/chat/completions` is below. Default: the provider's own. */
  readonly baseUrl: Option.Option<string>
  readonly apiKey: Option.Option<Redacted.Redacted<string>>
  /** Tokens of one answer. */
  readonly maxTokens: number
}

/** Without streams and tools. */
export const layer = (options: Options): Layer.Layer<LanguageModel.LanguageModel, never, HttpClient.HttpClient> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.gen(function* () {
      const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
      const inWords = yield* Ref.make(false)

      const complete = (messages: ReadonlyArray<ModelMessage>, format: object) =>
        client.execute(requestOf(options, messages, format)).pipe(
          Effect.flatMap(HttpClientResponse.schemaBodyJson(Completion)),
          Effect.catchTags({
            RequestError: (error) => AiError.HttpRequestError.fromRequestError({ ...inThis, error }),
            ResponseError: (error) => AiError.HttpResponseError.fromResponseError({ ...inThis, error }),
            ParseError: (error) => AiError.MalformedOutput.fromParseError({ ...inThis, error })
          })
        )

      const completeJson = (messages: ReadonlyArray<ModelMessage>, name: string, schema: Schema.Schema.Any) =>
        Effect.gen(function* () {
          const asked = withSystem(messages, jsonOnly(schema))
          const plainly = complete(asked, {})
          if (yield* Ref.get(inWords)) return yield* plainly
          return yield* complete(asked, {
            response_format: { type: "json_schema", json_schema: { name, schema: jsonSchemaOf(schema) } }
          }).pipe(Effect.catchIf(isRefusal, () => Effect.zipLeft(plainly, Ref.set(inWords, true))))
        })

      return yield* LanguageModel.make({
        generateText: ({ prompt, responseFormat }) =>
          responseFormat.type === "json"
            ? Effect.flatMap(completeJson(messagesOf(prompt), responseFormat.objectName, responseFormat.schema), (it) =>
                partsOf(it, jsonIn)
              )
            : Effect.flatMap(complete(messagesOf(prompt), {}), (it) => partsOf(it, (text) => text)),
        streamText: () =>
          Stream.fail(new AiError.MalformedInput({ ...inThis, description: "this model does not stream" }))
      })
    })
  )

const inThis = { module: "ChatLanguageModel", method: "generateText" }

const requestOf = (
  { apiKey, baseUrl, maxTokens, model }: Options,
  messages: ReadonlyArray<ModelMessage>,
  format: object
): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.post(
    `${Option.getOrElse(baseUrl, () => "https://api.openai.com/v1").replace(/\/+$/, "")}/chat/completions`
  ).pipe(
    HttpClientRequest.acceptJson,
    Option.isSome(apiKey) ? HttpClientRequest.bearerToken(apiKey.value) : (it) => it,
    HttpClientRequest.bodyUnsafeJson({
      model,
      messages: messages.map(({ role, text }) => ({ role, content: text })),
      // The provider's newer models refuse the old name, and other servers do not know the new one.
      [Option.isNone(baseUrl) ? "max_completion_tokens" : "max_tokens"]: maxTokens,
      ...format
    })
  )

/** Templates of many models take one system message, the first. */
const withSystem = (messages: ReadonlyArray<ModelMessage>, further: string): ReadonlyArray<ModelMessage> => [
  {
    role: "system",
    text: [...messages.flatMap(({ role, text }) => (role === "system" ? [text] : [])), further].join("\n\n")
  },
  ...messages.filter(({ role }) => role !== "system")
]

/** The server does not take the request as it is; by its status alone, since every server words it differently. */
const isRefusal = (error: AiError.AiError): boolean =>
  error._tag === "HttpResponseError" && (error.response.status === 400 || error.response.status === 422)

const Tokens = Schema.NullishOr(Schema.Number)

/** What is needed of an answer. */
const Completion = Schema.Struct({
  choices: Schema.NonEmptyArray(
    Schema.Struct({
      message: Schema.Struct({
        content: Schema.optional(Schema.NullOr(Schema.String)),
        refusal: Schema.optional(Schema.NullOr(Schema.String))
      }),
      finish_reason: Schema.optional(Schema.NullOr(Schema.String))
    })
  ),
  usage: Schema.optional(
    Schema.NullOr(
      Schema.Struct({
        prompt_tokens: Schema.optional(Tokens),
        completion_tokens: Schema.optional(Tokens),
        total_tokens: Schema.optional(Tokens)
      })
    )
  )
})

const partsOf = (
  { choices: [{ finish_reason: reason, message }], usage }: typeof Completion.Type,
  read: (text: string) => string
): Effect.Effect<Array<Response.PartEncoded>, AiError.MalformedOutput> => {
  const text = read(withoutThoughts(message.content ?? ""))
  if (text === "" && message.refusal) {
    return Effect.fail(new AiError.MalformedOutput({ ...inThis, description: "the model refuses to answer" }))
  }
  return Effect.succeed([
    ...(text === "" ? [] : [{ type: "text" as const, text }]),
    {
      type: "finish",
      reason: finishReasons[reason ?? ""] ?? "unknown",
      usage: {
        inputTokens: usage?.prompt_tokens ?? undefined,
        outputTokens: usage?.completion_tokens ?? undefined,
        totalTokens: usage?.total_tokens ?? undefined
      }
    }
  ])
}

/** Local servers hand on what some models think before they answer. */
const withoutThoughts = (text: string): string => text.replace(/^\s*<think>[\s\S]*?<\/think>\s*/, "")

const finishReasons: Readonly<Record<string, Response.FinishReason>> = {
  stop: "stop",
  length: "length",
  content_filter: "content-filter",
  tool_calls: "tool-calls"
}
