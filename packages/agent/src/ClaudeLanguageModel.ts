/**
 * A language model that is the agent's own program: one answer per process, without
 * tools, hooks, servers or the project's settings. For people who have a
 * subscription and no API key.
 *
 * The prompt goes through standard input. Where JSON is asked for, its schema is part
 * of the prompt, and what the program says around the JSON is dropped.
 */
import * as AiError from "@effect/ai/AiError"
import * as LanguageModel from "@effect/ai/LanguageModel"
import type * as Prompt from "@effect/ai/Prompt"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { isNotLoggedIn } from "./ClaudeCommand.js"
import { jsonIn, jsonOnly, messagesOf } from "./ModelMessages.js"
import { costKey, ModelError } from "./ModelQuestion.js"
import { Containment, run } from "./Subprocess.js"

export interface Options {
  /** A name on the PATH of `env`, or an absolute path. Default `claude`. */
  readonly binary?: string
  /** The complete environment, with what the program needs to log in. */
  readonly env: Readonly<Record<string, string>>
  /** As the program names it. Default: the program's own. */
  readonly model?: string
  /** Where it runs: a directory that no agent writes to. */
  readonly directory: string
}

/** Starts a process per answer, and ends it when the answer is no longer wanted. */
export const layer = (options: Options): Layer.Layer<LanguageModel.LanguageModel, never, Containment> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.flatMap(Containment, (containment) =>
      LanguageModel.make({
        generateText: ({ prompt, responseFormat }) =>
          answer(options, textOf(prompt), responseFormat.type === "json" ? responseFormat.schema : undefined).pipe(
            Effect.provideService(Containment, containment),
            Effect.mapError(failed("generateText")),
            Effect.map(({ costUsd, inputTokens, outputTokens, text }) => [
              { type: "text", text },
              {
                type: "finish",
                reason: "stop",
                usage: { inputTokens, outputTokens, totalTokens: sum(inputTokens, outputTokens) },
                ...(costUsd === undefined ? {} : { metadata: { [costKey]: { usd: costUsd } } })
              }
            ])
          ),
        streamText: () =>
          Stream.fail(
            failed("streamText")(
              new ModelError({ reason: "rejected", detail: "this model does not stream", retryable: false })
            )
          )
      })
    )
  )

/** The arguments; the prompt is not among them. */
export const commandLine = (options: Pick<Options, "binary" | "model">, system: string): ReadonlyArray<string> => [
  options.binary ?? "claude",
  "-p",
  "--output-format",
  "json",
  ...(options.model === undefined ? [] : ["--model", options.model]),
  "--system-prompt",
  system,
  "--tools",
  "",
  "--max-turns",
  "1",
  "--strict-mcp-config",
  "--permission-mode",
  "default",
  "--setting-sources",
  "user",
  "--settings",
  JSON.stringify({ disableAllHooks: true }),
  "--no-session-persistence"
]

const Result = Schema.parseJson(
  Schema.Struct({
    type: Schema.Literal("result"),
    is_error: Schema.Boolean,
    result: Schema.optional(Schema.String),
    api_error_status: Schema.optional(Schema.NullOr(Schema.Number)),
    // A figure that is no figure is none, and costs nobody the answer.
    total_cost_usd: Schema.optional(Schema.Unknown),
    usage: Schema.optional(Schema.Unknown)
  })
)

const Counts = Schema.Struct({
  input_tokens: Schema.NonNegativeInt,
  output_tokens: Schema.NonNegativeInt,
  cache_read_input_tokens: Schema.optionalWith(Schema.NonNegativeInt, { default: () => 0, nullable: true }),
  cache_creation_input_tokens: Schema.optionalWith(Schema.NonNegativeInt, { default: () => 0, nullable: true })
})
const decodeCounts = Schema.decodeUnknownOption(Counts)
const decodeCost = Schema.decodeUnknownOption(Schema.NonNegative.pipe(Schema.finite()))

interface Answer {
  readonly text: string
  /** All that the model read, from the cache or not. `undefined`, here and below: the program does not say. */
  readonly inputTokens: number | undefined
  readonly outputTokens: number | undefined
  /** US dollars, as the program reports them. */
  readonly costUsd: number | undefined
}

const sum = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? undefined : a + b

const decodeResult = Schema.decodeUnknownOption(Result)

const answer = (
  options: Options,
  { system, user }: { readonly system: string; readonly user: string },
  schema: Schema.Schema.Any | undefined
): Effect.Effect<Answer, ModelError, Containment> =>
  Effect.gen(function* () {
    const output = yield* run({
      argv: commandLine(options, schema === undefined ? system : `${system}\n\n${jsonOnly(schema)}`),
      cwd: options.directory,
      env: {
        CLAUDE_CODE_MAX_RETRIES: "1",
        ...options.env,
        DISABLE_AUTOUPDATER: "1",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1"
      },
      stdin: Stream.succeed(new TextEncoder().encode(user)),
      owner: "driver-model",
      maxOutputBytes: longestOutput
    }).pipe(
      Effect.mapError((error) => new ModelError({ reason: "unavailable", detail: error.message, retryable: false }))
    )
    const decoder = new TextDecoder()
    const result = decodeResult(decoder.decode(output.stdout).trim())
    if (Option.isNone(result)) {
      return yield* noResult(decoder.decode(output.stderr))
    }
    const { api_error_status: status, is_error: isError, result: text = "", total_cost_usd, usage } = result.value
    if (isError) return yield* failure(text, status ?? undefined)
    const counts = Option.getOrUndefined(decodeCounts(usage))
    return {
      text: schema === undefined ? text : jsonIn(text),
      inputTokens: counts && counts.input_tokens + counts.cache_read_input_tokens + counts.cache_creation_input_tokens,
      outputTokens: counts?.output_tokens,
      costUsd: Option.getOrUndefined(decodeCost(total_cost_usd))
    }
  })

/** Bytes. An answer here is a few sentences. */
const longestOutput = 1024 * 1024

const noResult = (stderr: string): ModelError => {
  const detail = stderr.trim().split("\n").at(-1)?.trim().slice(0, 300) || "it said nothing"
  return isNotLoggedIn(stderr)
    ? new ModelError({ reason: "unauthorized", detail, retryable: false })
    : new ModelError({ reason: "unavailable", detail: `the program gave no result: ${detail}`, retryable: false })
}

const failure = (text: string, status: number | undefined): ModelError => {
  const detail = text.split("\n")[0]?.slice(0, 300) || "the program reports an error"
  if (isNotLoggedIn(text) || status === 401 || status === 403) {
    return new ModelError({ reason: "unauthorized", detail, retryable: false })
  }
  if (status === 429) return new ModelError({ reason: "limited", detail, retryable: true })
  if (status !== undefined && status < 500) return new ModelError({ reason: "rejected", detail, retryable: false })
  return new ModelError({ reason: "unavailable", detail, retryable: true })
}

const failed = (method: string) => (cause: ModelError) =>
  new AiError.UnknownError({ module: "ClaudeLanguageModel", method, description: cause.detail, cause })

const textOf = (prompt: Prompt.Prompt): { readonly system: string; readonly user: string } => {
  const messages = messagesOf(prompt)
  const textsOf = (role: "system" | "user") =>
    messages
      .filter((message) => message.role === role)
      .map(({ text }) => text)
      .join("\n\n")
  return { system: textsOf("system"), user: textsOf("user") }
}
