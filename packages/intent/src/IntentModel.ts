/**
 * The three questions that the intent path asks a language model. A model answers or
 * it does not: an answer that cannot be used is a `problem` and never a default, and
 * whoever asked decides what is done without it, and says so.
 */
import type { AcceptanceVerdict } from "@driver/domain/Verdict"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type { Assessment, Directive, IntentContext, ModelCall, Question } from "./Directive.js"
import type { OpenClarification } from "./IntentRecord.js"

export interface AssessRequest {
  /** Verbatim. */
  readonly message: string
  readonly context: IntentContext
  /** What the session waits for, when it may be what the message answers. */
  readonly open: Option.Option<OpenClarification>
}

export interface AssessAnswer {
  readonly assessment: Assessment
  /** Whether the message answers the open questions, where there are any. */
  readonly followUp: Option.Option<"answer" | "new_topic">
}

export interface CrystallizeRequest {
  /** Verbatim, with the answers to questions. */
  readonly request: string
  readonly context: IntentContext
  /** Of the environment that was resolved for the message; may be empty. */
  readonly workspaceContext: string
  /** Questions that nobody could be asked: the directive says what it assumes instead. */
  readonly unasked: ReadonlyArray<Question>
  /** The directive before and what was wrong with its goal, when it comes back. */
  readonly refused: Option.Option<{ readonly directive: Directive; readonly complaints: ReadonlyArray<string> }>
}

export interface ReviewRequest {
  readonly directive: Directive
  /** What the agent says of its work: a claim, no evidence. */
  readonly finalText: Option.Option<string>
  readonly diff: Option.Option<string>
  readonly acceptance: Option.Option<AcceptanceVerdict>
}

/** What the model found of one criterion of the directive. */
export interface CriterionReview {
  /** Position in `Directive.acceptanceCriteria`, from 0. */
  readonly criterion: number
  readonly met: boolean
  /** Quoted from what it was shown. Empty: none. */
  readonly evidence: string
}

/** The semantic stage of a review. */
export interface SemanticReview {
  readonly passed: boolean
  /** 0 to 1. */
  readonly score: number
  readonly criteria: ReadonlyArray<CriterionReview>
  readonly notes: ReadonlyArray<string>
  readonly gaps: ReadonlyArray<string>
}

export interface Answered<A> {
  /** Left: why there is no answer that can be used, in one sentence. */
  readonly answer: Either.Either<A, string>
  /** Every call that was made for it, failed ones too. */
  readonly calls: ReadonlyArray<ModelCall>
}

export class IntentModel extends Context.Tag("@driver/intent/IntentModel")<
  IntentModel,
  {
    /** None: there is no model, and every answer is a problem that says so. */
    readonly isConfigured: boolean
    readonly assess: (request: AssessRequest) => Effect.Effect<Answered<AssessAnswer>>
    /** A directive whose `originalRequest` is the request, whatever the model says. */
    readonly crystallize: (request: CrystallizeRequest) => Effect.Effect<Answered<Directive>>
    /** The semantic stage alone; `review` of `Review.ts` puts it together with the mechanical one. */
    readonly review: (request: ReviewRequest) => Effect.Effect<Answered<SemanticReview>>
  }
>() {
  /** There is no model. */
  static readonly layerNone: Layer.Layer<IntentModel> = Layer.sync(this, () => {
    const none = Effect.succeed({ answer: Either.left("no language model is configured"), calls: [] })
    return { isConfigured: false, assess: () => none, crystallize: () => none, review: () => none }
  })

  /** Gives the answers of its script, each list in its order; a list that is used up is a problem. */
  static readonly layerScripted = (script: ModelScript): Layer.Layer<IntentModel | AskedQuestions> =>
    Layer.effectContext(
      Effect.gen(function* () {
        const asked = yield* Ref.make<ReadonlyArray<AskedQuestion>>([])
        const next = <Q extends AskedQuestion["ask"], A>(ask: Q, answers: ReadonlyArray<Answered<A>> = []) =>
          Effect.fnUntraced(function* (request: Extract<AskedQuestion, { readonly ask: Q }>["request"]) {
            const index = yield* Ref.modify(asked, (before) => [
              before.filter((it) => it.ask === ask).length,
              // The two are of the same member of the union, which the compiler cannot see.
              [...before, { ask, request } as AskedQuestion]
            ])
            return (
              answers[index] ?? { answer: Either.left(`the script has no answer ${index + 1} to ${ask}`), calls: [] }
            )
          })
        return Context.make(IntentModel, {
          isConfigured: true,
          assess: next("assess", script.assess),
          crystallize: next("crystallize", script.crystallize),
          review: next("review", script.review)
        }).pipe(Context.add(AskedQuestions, Ref.get(asked)))
      })
    )
}

export interface ModelScript {
  readonly assess?: ReadonlyArray<Answered<AssessAnswer>>
  readonly crystallize?: ReadonlyArray<Answered<Directive>>
  readonly review?: ReadonlyArray<Answered<SemanticReview>>
}

export type AskedQuestion =
  | { readonly ask: "assess"; readonly request: AssessRequest }
  | { readonly ask: "crystallize"; readonly request: CrystallizeRequest }
  | { readonly ask: "review"; readonly request: ReviewRequest }

/** What `IntentModel.layerScripted` was asked, oldest first. */
export class AskedQuestions extends Context.Tag("@driver/intent/IntentModel/AskedQuestions")<
  AskedQuestions,
  Effect.Effect<ReadonlyArray<AskedQuestion>>
>() {}
