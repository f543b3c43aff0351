/**
 * One question to a language model, answered by a schema or by a typed error: the
 * way in which everything here asks a model, whichever provider it is.
 *
 * It bounds the time, tries again when that may help, and says in its error what was
 * the matter. What it took is charged
 * to the `ModelLedger`. It never logs the prompt or the answer.
 */
import type * as AiError from "@effect/ai/AiError"
import * as LanguageModel from "@effect/ai/LanguageModel"
import * as Telemetry from "@effect/ai/Telemetry"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import {
  chargeOfAnswer,
  chargeOfFailure,
  type ModelCharge,
  ModelLedger,
  type ModelPrices,
  unknownCharge
} from "./ModelLedger.js"

/** The model gave no answer that can be used. One `reason` per different mend. */
export class ModelError extends Schema.TaggedError<ModelError>()("ModelError", {
  reason: Schema.Literal(
    /** No connection, or an error on the provider's side. */
    "unavailable",
    /** Too many requests, or a usage limit. */
    "limited",
    /** No key, a wrong one, or nobody is logged in. */
    "unauthorized",
    /** It took longer than it may. */
    "timeout",
    /** What it said is not what was asked for. */
    "unusable",
    /** The provider does not take the request: a wrong model, or a bug. */
    "rejected"
  ),
  detail: Schema.String,
  /** The same question may be answered later. */
  retryable: Schema.Boolean,
  /** How long the provider asks to wait, when it says. */
  retryAfter: Schema.optional(Schema.DurationFromMillis)
}) {
  override get message() {
    return `The language model gave no usable answer (${this.reason}): ${this.detail}`
  }
}

export interface ModelQuestion<A, I extends Record<string, unknown>> {
  /** What the model is and has to do. Trusted. */
  readonly instructions: string
  /** What it has to look at. */
  readonly text: string
  readonly schema: Schema.Schema<A, I>
  /** Names the answer for the provider: letters, digits and `_`. */
  readonly name: string
  /** For all attempts together. Default 1 minute. */
  readonly timeout?: Duration.DurationInput
  /** Default 3. */
  readonly attempts?: number
  /** Asks once more for an answer of another form, with what was wrong, in the same time. Default false. */
  readonly mends?: boolean
  /** Of the model that is asked. None: the cost is unknown where the provider does not say it. */
  readonly prices?: Option.Option<ModelPrices>
}

/** Resolves with the answer. Interrupting it withdraws the question. */
export const askModel = <A, I extends Record<string, unknown>>(
  question: ModelQuestion<A, I>
): Effect.Effect<A, ModelError, LanguageModel.LanguageModel> =>
  Effect.gen(function* () {
    const timeout = Duration.decode(question.timeout ?? defaultTimeout)
    const begun = yield* Clock.currentTimeMillis
    const first = read(question.schema, yield* charged(question, askModelText({ ...question, timeout })))
    if (Either.isRight(first)) return first.right
    if (question.mends !== true) return yield* unusable(first.left)
    const left = Duration.subtract(timeout, Duration.millis((yield* Clock.currentTimeMillis) - begun))
    const again = { ...question, timeout: left, text: `${question.text}\n\n${mendText(first.left)}` }
    const second = read(question.schema, yield* charged(question, askModelText(again)))
    return yield* Either.mapLeft(second, (problem) => unusable(`${problem}, also when it was asked again`))
  })

const unusable = (detail: string) => new ModelError({ reason: "unusable", detail, retryable: false })

const defaultTimeout = "1 minute"

const charged = <E extends ModelError, R>(
  { prices = Option.none() }: Pick<ModelQuestion<never, never>, "prices">,
  answer: Effect.Effect<ModelText, E, R>
): Effect.Effect<ModelText, E, R> =>
  Effect.flatMap(ModelLedger, ({ charge }) =>
    answer.pipe(
      Effect.tapBoth({
        onSuccess: (it) => charge(chargeOfAnswer(it, prices)),
        onFailure: (error) => charge(chargeOfFailure(error))
      }),
      Effect.onInterrupt(() => charge(unknownCharge))
    )
  )

/** Left: where the answer does not fit. Nothing of the answer itself is in it, which may quote what the model was shown. */
const read = <A, I>(schema: Schema.Schema<A, I>, { cutOff, text }: ModelText): Either.Either<A, string> =>
  Either.mapLeft(Schema.decodeUnknownEither(Schema.parseJson(schema))(text), (error) => {
    const places = ParseResult.ArrayFormatter.formatErrorSync(error).map(({ path }) => path.join("."))
    const at = [...new Set(places.filter((it) => it !== ""))].slice(0, 5).join(", ")
    const why = cutOff
      ? "the answer reached the limit on its length"
      : "the answer has another shape than was asked for"
    return at === "" ? why : `${why} (at ${at})`
  })

const mendText = (problem: string): string =>
  `You were asked this before, and your answer could not be used: ${problem}. Answer again with one JSON object and nothing else.`

/** Under which a model of ours says in the metadata of its last part what an answer cost: `{ usd }`. */
export const costKey = "driver"

const costOf = Schema.decodeUnknownOption(
  Schema.Struct({ [costKey]: Schema.Struct({ usd: Schema.NonNegative.pipe(Schema.finite()) }) })
)

/** What a model said, whether or not it is what it was asked for. Its cost is there where the provider says it. */
export interface ModelText extends ModelCharge {
  readonly text: string
  /** It reached the limit on its length. */
  readonly cutOff: boolean
}

/**
 * Asks as `askModel` does and resolves with what was said and what it took, also when that does not fit the schema:
 * for those who mend an answer or complain about it, and keep the cost themselves: nothing is charged. Interrupting it
 * withdraws the question.
 */
export const askModelText = <A, I extends Record<string, unknown>>(
  question: ModelQuestion<A, I>
): Effect.Effect<ModelText, ModelError, LanguageModel.LanguageModel> =>
  Effect.suspend(() => {
    // The hook sees the parts of an answer before the answer is decoded.
    let parts: AnswerParts = []
    return Effect.flatMap(Effect.serviceOption(Telemetry.CurrentSpanTransformer), (outer) =>
      generate(question).pipe(
        Effect.provideService(Telemetry.CurrentSpanTransformer, (options) => {
          parts = options.response
          if (Option.isSome(outer)) outer.value(options)
        }),
        Effect.map(() => textOf(parts)),
        Effect.catchAll((error) => {
          const said = textOf(parts)
          return error._tag === "MalformedOutput" && said.text !== ""
            ? Effect.succeed(said)
            : Effect.fail(toModelError(error))
        })
      )
    )
  }).pipe(bounded(question))

const generate = <A, I extends Record<string, unknown>>(question: ModelQuestion<A, I>) =>
  LanguageModel.generateObject({
    prompt: [
      { role: "system", content: question.instructions },
      { role: "user", content: [{ type: "text", text: question.text }] }
    ],
    schema: question.schema,
    objectName: question.name
  })

const bounded =
  ({ attempts, name, ...question }: Pick<ModelQuestion<never, never>, "attempts" | "name" | "timeout">) =>
  <A, R>(answer: Effect.Effect<A, ModelError, R>): Effect.Effect<A, ModelError, R> => {
    const timeout = Duration.decode(question.timeout ?? defaultTimeout)
    const asked = (begun: number) =>
      answer.pipe(
        // A provider's code that throws on an answer of a strange shape.
        Effect.catchAllDefect((defect) =>
          Effect.fail(
            new ModelError({ reason: "unusable", detail: firstLine(Cause.pretty(Cause.die(defect))), retryable: false })
          )
        ),
        Effect.retry({
          schedule: retries,
          times: (attempts ?? 3) - 1,
          // Who may ask again only after the time is over need not wait for that.
          while: ({ retryAfter = Duration.zero, retryable }) =>
            Effect.map(
              Clock.currentTimeMillis,
              (now) => retryable && now + Duration.toMillis(retryAfter) < begun + Duration.toMillis(timeout)
            )
        }),
        Effect.timeoutFail({
          duration: timeout,
          onTimeout: () =>
            new ModelError({
              reason: "timeout",
              detail: `there was no answer within ${Duration.format(timeout)}`,
              retryable: true
            })
        }),
        Effect.withSpan("ModelQuestion.ask", { attributes: { name } })
      )
    return Effect.flatMap(Clock.currentTimeMillis, asked)
  }

/** Later each time, and not before the provider wants to be asked again. */
const retries = Schedule.jittered(Schedule.exponential("500 millis")).pipe(
  Schedule.zipRight(Schedule.identity<ModelError>()),
  Schedule.modifyDelay(({ retryAfter = Duration.zero }, delay) => Duration.max(delay, retryAfter))
)

type AnswerParts = Parameters<Telemetry.SpanTransformer>[0]["response"]

const textOf = (parts: AnswerParts): ModelText => {
  const response = new LanguageModel.GenerateTextResponse(
    parts.filter((part) => part.type === "text" || part.type === "finish")
  )
  const { inputTokens, outputTokens } = response.usage
  return {
    text: response.text,
    inputTokens: Option.fromNullable(inputTokens),
    outputTokens: Option.fromNullable(outputTokens),
    costUsd: Option.map(
      Option.flatMap(Option.fromNullable(parts.find((part) => part.type === "finish")), ({ metadata }) =>
        costOf(metadata)
      ),
      (it) => it[costKey].usd
    ),
    cutOff: response.finishReason === "length"
  }
}

/** What an error of a provider means. */
export const toModelError = (error: AiError.AiError): ModelError => {
  switch (error._tag) {
    case "HttpRequestError":
      return error.reason === "Transport"
        ? new ModelError({
            reason: "unavailable",
            detail: "the provider cannot be reached",
            retryable: true
          })
        : new ModelError({ reason: "rejected", detail: firstLine(error.message), retryable: false })
    case "HttpResponseError":
      return ofStatus(error.response.status, error.reason, retryAfterOf(error.response.headers))
    case "MalformedInput":
      return new ModelError({
        reason: "rejected",
        detail: error.description ?? "the prompt cannot be sent",
        retryable: false
      })
    case "MalformedOutput":
      return new ModelError({
        reason: "unusable",
        detail: error.description ?? "the answer has another shape than was asked for",
        retryable: false
      })
    case "UnknownError":
      return error.cause instanceof ModelError
        ? error.cause
        : new ModelError({ reason: "unusable", detail: error.description ?? "an unknown error", retryable: false })
  }
}

const ofStatus = (
  status: number,
  reason: AiError.HttpResponseError["reason"],
  retryAfter: Duration.Duration | undefined
): ModelError => {
  const wait = retryAfter === undefined ? {} : { retryAfter }
  const detail = `the provider answered with status ${status}${retryAfter === undefined ? "" : ` and asks to wait ${Duration.format(retryAfter)}`}`
  if (status === 401 || status === 403) return new ModelError({ reason: "unauthorized", detail, retryable: false })
  if (status === 429) return new ModelError({ reason: "limited", detail, retryable: true, ...wait })
  if (status === 408 || status === 409 || status >= 500) {
    return new ModelError({ reason: "unavailable", detail, retryable: true, ...wait })
  }
  return reason === "StatusCode"
    ? new ModelError({ reason: "rejected", detail, retryable: false })
    : new ModelError({ reason: "unusable", detail: "the provider's answer cannot be read", retryable: false })
}

/** `Retry-After` as seconds, or as a date, which is read by the server's own clock. */
export const retryAfterOf = (headers: Readonly<Record<string, string>>): Duration.Duration | undefined => {
  const said = headers["retry-after"]?.trim() ?? ""
  const millis = /^\d{1,9}(\.\d{1,9})?$/.test(said)
    ? Number(said) * 1000
    : Date.parse(said) - Date.parse(headers["date"] ?? "")
  return Number.isFinite(millis) && millis > 0 ? Duration.millis(millis) : undefined
}

const firstLine = (text: string): string => (text.split("\n")[0] ?? "").slice(0, 300)
