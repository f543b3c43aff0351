/** The whole intent path with everything around it scripted. */
import {
  Assumption,
  Clarify,
  CommandCriterion,
  Conversation,
  Directive,
  JudgedCriterion,
  ModelCall,
  MountId,
  Question,
  type Scope,
  Task
} from "@driver/intent/Directive"
import { Environments, ExecEnv, Mount } from "@driver/intent/ExecEnv"
import {
  type CheckError,
  type Complaint,
  type ExecutionError,
  GoalChecker,
  GoalExecutor,
  type GoalResult
} from "@driver/intent/GoalExecutor"
import { Intent, type Settings } from "@driver/intent/Intent"
import { IntentEvents } from "@driver/intent/IntentEvents"
import {
  type Answered,
  AskedQuestions,
  type AssessAnswer,
  IntentModel,
  type ModelScript,
  type SemanticReview
} from "@driver/intent/IntentModel"
import { IntentStore } from "@driver/intent/IntentStore"
import { Effect, Either, Layer, Option } from "effect"
import { type ResultParts, resultOf } from "./values.js"

const paid = (step: ModelCall["step"]) => new ModelCall({ step, costUsd: Option.some(0.01) })

const assessed = (
  assessment: AssessAnswer["assessment"],
  followUp?: "answer" | "new_topic"
): Answered<AssessAnswer> => ({
  answer: Either.right({ assessment, followUp: Option.fromNullable(followUp) }),
  calls: [paid("assess")]
})

export const talk = (reply: string, followUp?: "answer" | "new_topic") =>
  assessed(new Conversation({ reply }), followUp)
export const task = (scope: Scope, followUp?: "answer" | "new_topic") => assessed(new Task({ scope }), followUp)
export const unclear = (...questions: readonly [Question, ...Array<Question>]) => assessed(new Clarify({ questions }))
export const unusable = { answer: Either.left("it said nothing of use"), calls: [] }

export const whichColor = new Question({ id: "color", text: "Which color?", kind: "free_text" })

export const directive = new Directive({
  goal: "Add a greeting",
  originalRequest: "please add a greeting",
  acceptanceCriteria: [
    new CommandCriterion({ statement: "the greeting is printed", command: "./greet" }),
    new JudgedCriterion({ statement: "the greeting is friendly" })
  ],
  assumptions: [new Assumption({ subject: "language", assumed: "English", by: "model" })]
})

export const crystallized = (it: Directive = directive): Answered<Directive> => ({
  answer: Either.right(it),
  calls: [paid("crystallize")]
})

export const diff = "+++ b/greet\n+echo hello, dear friend\n"

/** A run after which everything holds. */
export const goodRun: ResultParts = { acceptance: [{ passed: true }, { passed: true }], diff, finalText: "done" }

export const goodReview: Answered<SemanticReview> = {
  answer: Either.right({
    passed: true,
    score: 1,
    criteria: [
      { criterion: 0, met: true, evidence: "echo hello, dear friend" },
      { criterion: 1, met: true, evidence: "hello, dear friend" }
    ],
    notes: [],
    gaps: []
  }),
  calls: [paid("review")]
}

export const badReview = (score: number, ...gaps: ReadonlyArray<string>): Answered<SemanticReview> => ({
  answer: Either.right({ passed: false, score, criteria: [], notes: [], gaps }),
  calls: [paid("review")]
})

export const env = new ExecEnv({
  mounts: [new Mount({ id: MountId.make("m"), name: "m", path: "/m" })],
  paths: ["/m"],
  workspaceContext: "m: a repository"
})

export interface World {
  readonly model?: ModelScript
  /** One after the other; the last for all that follow. */
  readonly runs?: ReadonlyArray<ResultParts | ExecutionError>
  readonly complaints?: ReadonlyArray<ReadonlyArray<Complaint> | CheckError>
  readonly settings?: Partial<Settings>
}

const runOf = (parts: ResultParts | ExecutionError) => (goal: { readonly id: NonNullable<ResultParts["goalId"]> }) =>
  "_tag" in parts ? Effect.fail(parts) : Effect.succeed<GoalResult>(resultOf({ ...parts, goalId: goal.id }))

/** Everything but the path and the store. */
export const surroundings = (world: World) =>
  Layer.mergeAll(
    world.model === undefined
      ? Layer.merge(IntentModel.layerNone, Layer.succeed(AskedQuestions, Effect.succeed([])))
      : IntentModel.layerScripted(world.model),
    GoalExecutor.layerScripted((world.runs ?? [goodRun]).map(runOf)),
    GoalChecker.layerScripted(world.complaints ?? []),
    Environments.layerFixed(env),
    IntentEvents.layerMemory
  )

/** The path, and what can be looked at of its surroundings. */
export const pathLayer = (world: World = {}) =>
  Intent.layer(world.settings).pipe(
    Layer.provideMerge(surroundings(world)),
    Layer.provideMerge(IntentStore.layerMemory)
  )
