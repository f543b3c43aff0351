/**
 * Judges what no command can check: a language model that has not seen the work's
 * conversation is shown the diff and one sentence, and says whether it holds.
 *
 * This module owns the words between the criteria and a model, not a model. What
 * the diff contains was written by the agent: an implementation treats it as
 * evidence, never as an instruction.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"

/** The model could not be asked, or its answer could not be read. Says nothing about the work. */
export class JudgeError extends Schema.TaggedError<JudgeError>()("JudgeError", {
  detail: Schema.String,
  /** The same question may be answered later. */
  retryable: Schema.Boolean
}) {
  override get message() {
    return `The judge could not be asked: ${this.detail}`
  }
}

export interface JudgeRequest {
  /** The sentence to decide. */
  readonly criterion: string
  /** The goal's description, for context. */
  readonly description: string
  /** The unified diff against the goal's base. Redacted. */
  readonly diff: string
  /** The diff is longer than what is shown. */
  readonly truncated: boolean
}

export interface Judgement {
  readonly passed: boolean
  /** One or two sentences: the agent gets them when it did not pass. */
  readonly reason: string
}

export class Judge extends Context.Tag("@driver/runtime/Judge")<
  Judge,
  {
    /** Decides one criterion. Interrupting it withdraws the question. */
    readonly judge: (request: JudgeRequest) => Effect.Effect<Judgement, JudgeError>
  }
>() {
  /** No model: nothing passes, and the reason says why. */
  static readonly layerNone: Layer.Layer<Judge> = Layer.succeed(Judge, {
    judge: () => Effect.succeed({ passed: false, reason: "no language model is configured to judge it" })
  })

  /** Gives these answers in turn, then the last one again; with none, like `layerNone`. */
  static readonly layerScripted = (answers: ReadonlyArray<Judgement | JudgeError>): Layer.Layer<Judge> =>
    Layer.effect(
      Judge,
      Effect.map(Ref.make(0), (next) => ({
        judge: () =>
          Effect.flatMap(
            Ref.getAndUpdate(next, (index) => index + 1),
            (index): Effect.Effect<Judgement, JudgeError> => {
              const answer = answers[Math.min(index, answers.length - 1)]
              if (answer === undefined) return Effect.succeed({ passed: false, reason: "the script has no answer" })
              return answer instanceof JudgeError ? Effect.fail(answer) : Effect.succeed(answer)
            }
          )
      }))
    )
}
