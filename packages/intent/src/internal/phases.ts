/** The phases of the intent path: what is done at each step of `IntentState`, and the record that comes of it. */
import { randomUuid } from "@driver/agent/PermissionGate"
import { Goal, GoalId } from "@driver/domain/Goal"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { Directive } from "../Directive.js"
import { Environments, ExecEnv } from "../ExecEnv.js"
import { type ExecutionError, GoalChecker, GoalExecutor } from "../GoalExecutor.js"
import {
  blockingComplaints,
  describeComplaint,
  goalOfDirective,
  settle,
  staticComplaints,
  withAssumptions
} from "../GoalOfDirective.js"
import type { Settings } from "../Intent.js"
import { IntentEvents, type IntentPhase, PhaseStarted, RetryCompared } from "../IntentEvents.js"
import { durationMetric, retriesMetric } from "../IntentMetrics.js"
import { IntentModel } from "../IntentModel.js"
import * as Records from "../IntentRecord.js"
import type { IntentResponse } from "../IntentResponse.js"
import { type IntentState, nextStep, recoveryOf, reviewedResults, type Step, type StepOptions } from "../IntentState.js"
import { IntentConflict } from "../IntentStore.js"
import { mayPass } from "../Recovery.js"
import { combineReviews, compareRuns } from "../Review.js"
import { assess, degradationsOf } from "./assess.js"
import { type Journal, type Names, wholeMillisNow } from "./journal.js"
import { planOf, responseOf } from "./responses.js"

const phaseOf: Readonly<Record<Step["_tag"], Option.Option<IntentPhase>>> = {
  Assess: Option.some("assess"),
  ResolveEnvironment: Option.some("environment"),
  Crystallize: Option.some("crystallize"),
  CheckGoal: Option.some("check"),
  ShowPlan: Option.none(),
  StartRun: Option.none(),
  AwaitRun: Option.some("run"),
  Review: Option.some("review"),
  Finish: Option.some("finish"),
  Stop: Option.none()
}

export const makePhases = (settings: Settings, journal: Journal) =>
  Effect.gen(function* () {
    const model = yield* IntentModel
    const environments = yield* Environments
    const checker = yield* GoalChecker
    const executor = yield* GoalExecutor
    const events = yield* IntentEvents

    const crystallize = (state: IntentState) =>
      Effect.gen(function* () {
        const { request, scope, unasked } = taskOf(state)
        if (scope === "trivial") return new Records.Crystallized({ directive: Directive.fromMessage(request) })
        const [before] = state.directives
        const { answer, calls } = yield* model.crystallize({
          request,
          context: state.received.context,
          workspaceContext: environmentOf(state).workspaceContext,
          unasked,
          refused: Option.map(
            Option.all({ directive: Option.fromNullable(before), refused: state.refused }),
            ({ directive, refused }) => ({
              directive,
              complaints: refused.complaints.map((complaint) => describeComplaint(directive, complaint))
            })
          )
        })
        return Either.match(answer, {
          onRight: (directive) => new Records.Crystallized({ directive: withAssumptions(directive, unasked), calls }),
          onLeft: (problem) =>
            new Records.Crystallized({
              directive: before ?? withAssumptions(Directive.fromMessage(request), unasked),
              calls,
              degradations: degradationsOf(
                "crystallize",
                before === undefined
                  ? `no directive could be written (${problem}): the request is the goal, word for word and without criteria`
                  : `the directive could not be mended (${problem})`
              )
            })
        })
      })

    const check = (state: IntentState) =>
      Effect.gen(function* () {
        const directive = state.directives.at(-1) ?? Directive.fromMessage(state.received.message)
        const env = environmentOf(state)
        const id = GoalId.make(yield* randomUuid)
        const goalOf = (it: Directive) =>
          goalOfDirective(it, env, { id, budget: settings.budget, agent: Option.none(), feedback: Option.none() })
        if (taskOf(state).scope === "trivial") return new Records.GoalChecked({ goal: goalOf(directive), directive })
        const goal = goalOf(directive)
        const tried = yield* goal.acceptance.length === 0
          ? Effect.succeed(Either.right([]))
          : Effect.either(checker.check(goal, env))
        const untried = Either.match(tried, { onLeft: ({ message }) => [message], onRight: () => [] })
        const complaints = [...staticComplaints(directive), ...Either.getOrElse(tried, () => [])]
        const blocking = blockingComplaints(directive, complaints)
        const isModels = model.isConfigured && state.degradations.every(({ step }) => step !== "crystallize")
        if (blocking.length > 0 && Option.isNone(state.refused) && isModels) {
          return new Records.GoalRefused({ goal, complaints: blocking })
        }
        const settled = settle(directive, blocking)
        return new Records.GoalChecked({
          goal: goalOf(settled.directive),
          directive: settled.directive,
          degradations: degradationsOf("check", ...untried, ...settled.notes)
        })
      })

    const startRun = (state: IntentState, { agent, because }: Extract<Step, { _tag: "StartRun" }>) =>
      Effect.gen(function* () {
        const { directive, goal } = checkedOf(state)
        if (because === "first") {
          yield* touch(state)
          return new Records.RunStarted({ goal, because })
        }
        const id = GoalId.make(yield* randomUuid)
        if (because === "recovery") {
          const last = state.runs.at(-1)?.started.goal ?? goal
          return new Records.RunStarted({ goal: new Goal({ ...last, id, agent }), because })
        }
        yield* Metric.increment(Metric.tagged(retriesMetric, "result", "attempted"))
        const feedback = Option.map(Option.fromNullable(reviewedResults(state).at(-1)), ({ result, verdict }) => ({
          previous: result,
          gaps: verdict.gaps
        }))
        return new Records.RunStarted({
          goal: goalOfDirective(directive, environmentOf(state), { id, budget: settings.budget, agent, feedback }),
          because
        })
      })

    /** That something is used is worth knowing, and not worth failing for. */
    const touch = (state: IntentState) =>
      environments
        .touch(environmentOf(state), state.received.context)
        .pipe(Effect.catchAll(({ message }) => Effect.logWarning(`The use of the workspace was not noted: ${message}`)))

    const awaitRun = (state: IntentState, started: Records.RunStarted, options: StepOptions) =>
      Effect.gen(function* () {
        const previous = Option.flatMap(
          Option.fromNullable(state.runs.filter(({ result }) => Option.isSome(result)).at(-1)),
          ({ result }) => result
        )
        const ended = yield* executor.run(started.goal, environmentOf(state), { previous }).pipe(
          Effect.retry({
            schedule: Schedule.exponential("1 second"),
            times: options.maxRecoveries,
            while: (error) => mayPass(error.class)
          }),
          Effect.either
        )
        if (Either.isRight(ended)) return new Records.RunEnded({ result: ended.right })
        const recovery = recoveryOf(state, ended.left.class, options)
        if (recovery._tag !== "SwitchAgent") return yield* ended.left
        return yield* startRun(state, {
          _tag: "StartRun",
          because: "recovery",
          agent: Option.some(recovery.agent)
        })
      })

    const review = (names: Names, state: IntentState, { result }: Extract<Step, { _tag: "Review" }>) =>
      Effect.gen(function* () {
        const { directive } = checkedOf(state)
        const { acceptance, finalText, outcome } = result.outcome
        const { answer, calls } =
          outcome._tag === "Cancelled"
            ? { answer: Either.left("the run was cancelled"), calls: [] }
            : yield* model.review({ directive, finalText, diff: result.diff, acceptance })
        const verdict = combineReviews(directive, result, answer)
        const before = reviewedResults(state).at(-1)
        if (before !== undefined && state.runs.at(-1)?.started.because === "gaps") {
          const change = compareRuns(before, { result, verdict })
          yield* Metric.increment(Metric.tagged(retriesMetric, "result", change))
          yield* events.publish(new RetryCompared({ ...names, at: yield* wholeMillisNow, change }))
        }
        const problem = Either.match(answer, {
          onLeft: (reason) => `the work was reviewed without a model (${reason})`,
          onRight: () => undefined
        })
        return new Records.Reviewed({ verdict, calls, degradations: degradationsOf("review", problem) })
      })

    const phase = (
      names: Names,
      state: IntentState,
      step: Step,
      options: StepOptions
    ): Effect.Effect<Records.IntentRecord, Failure> => {
      switch (step._tag) {
        case "Assess":
          return assess(model, state.received, settings)
        case "ResolveEnvironment":
          return Effect.map(
            environments.resolve(taskOf(state).request, state.received.context),
            (env) => new Records.EnvironmentResolved({ env })
          )
        case "Crystallize":
          return crystallize(state)
        case "CheckGoal":
          return check(state)
        case "StartRun":
          return startRun(state, step)
        case "AwaitRun":
          return awaitRun(state, step.run, options)
        case "Review":
          return review(names, state, step)
        case "Finish":
          return Effect.map(orDie(responseOf(names, state)), (response) => new Records.Finished({ response }))
        case "ShowPlan":
        case "Stop":
          return Effect.dieMessage(`The step ${step._tag} has no record`)
      }
    }

    const loop = (names: Names, state: IntentState, options: StepOptions): Effect.Effect<IntentResponse, Failure> =>
      Effect.suspend(() => {
        const step = nextStep(state, options)
        if (step._tag === "ShowPlan") return orDie(planOf(names, state))
        if (step._tag === "Stop") {
          // Who abandoned it did so behind our back.
          return Effect.orElseFail(state.response, () => new IntentConflict({ id: names.intentId }))
        }
        return Effect.gen(function* () {
          const started = phaseOf[step._tag]
          if (Option.isSome(started)) {
            yield* events.publish(new PhaseStarted({ ...names, at: yield* wholeMillisNow, phase: started.value }))
          }
          // What a phase has come to, and has been paid for, is written down before anything can interrupt.
          const next = yield* Effect.uninterruptibleMask((restore) =>
            Effect.flatMap(restore(phase(names, state, step, options)), (record) =>
              journal.append(names, state, record)
            )
          )
          return yield* loop(names, next, options)
        })
      })

    return {
      /** Takes an intent from where it is to its response, or to its plan. */
      run: (names: Names, state: IntentState, planOnly: boolean): Effect.Effect<IntentResponse, Failure> =>
        Effect.gen(function* () {
          const { maxRecoveries, otherAgents } = settings
          const begun = yield* Clock.currentTimeMillis
          const response = yield* loop(names, state, { planOnly, maxRecoveries, otherAgents })
          const seconds = ((yield* Clock.currentTimeMillis) - begun) / 1_000
          yield* Metric.update(Metric.tagged(durationMetric, "response", response._tag), seconds)
          return response
        }).pipe(Effect.withSpan("Intent.run", { attributes: { intentId: names.intentId } }))
    }
  })

type Failure = Effect.Effect.Error<ReturnType<Journal["append"]>> | ExecutionError | IntentConflict | EnvironmentFailure
type EnvironmentFailure = Effect.Effect.Error<ReturnType<Environments["Type"]["resolve"]>>

/** What `nextStep` has made sure of. */
const taskOf = ({ assessed, received }: IntentState) => {
  const found = Option.getOrUndefined(assessed)
  const scope = found?.assessment._tag === "Task" ? found.assessment.scope : "substantial"
  return { scope, request: found?.request ?? received.message, unasked: found?.unasked ?? [] }
}

const environmentOf = ({ environment }: IntentState): ExecEnv =>
  Option.match(environment, { onNone: () => ExecEnv.empty, onSome: ({ env }) => env })

const checkedOf = (state: IntentState): Records.GoalChecked =>
  Option.getOrThrowWith(state.checked, () => new Error("A goal is run before it was checked"))

const orDie = <A>(value: Option.Option<A>): Effect.Effect<A> =>
  Option.match(value, {
    onNone: () => Effect.dieMessage("The table of IntentState is ahead of its records"),
    onSome: Effect.succeed
  })
