/**
 * Where an intent is, by its records, and what comes next: the drawing of `Intent.ts` as
 * a table. Pure, so that an intent that was cut off goes on exactly where it was.
 */
import * as Data from "effect/Data"
import * as Option from "effect/Option"
import type { Degradation, Directive, ModelCall, ReviewVerdict, Scope } from "./Directive.js"
import type { GoalResult } from "./GoalExecutor.js"
import type * as Records from "./IntentRecord.js"
import type { IntentResponse } from "./IntentResponse.js"
import { mayPass, type Recovery, recover } from "./Recovery.js"
import type { ReviewedResult } from "./Review.js"

export interface Run {
  readonly started: Records.RunStarted
  readonly result: Option.Option<GoalResult>
  readonly verdict: Option.Option<ReviewVerdict>
}

export interface IntentState {
  /** The number of records. */
  readonly length: number
  readonly received: Records.Received
  readonly assessed: Option.Option<Records.Assessed>
  readonly environment: Option.Option<Records.EnvironmentResolved>
  /** One, or two after a refusal. */
  readonly directives: ReadonlyArray<Directive>
  readonly refused: Option.Option<Records.GoalRefused>
  readonly checked: Option.Option<Records.GoalChecked>
  readonly runs: ReadonlyArray<Run>
  readonly response: Option.Option<IntentResponse>
  readonly abandoned: boolean
  readonly calls: ReadonlyArray<ModelCall>
  readonly degradations: ReadonlyArray<Degradation>
}

export const initialState = (received: Records.Received): IntentState => ({
  length: 1,
  received,
  assessed: Option.none(),
  environment: Option.none(),
  directives: [],
  refused: Option.none(),
  checked: Option.none(),
  runs: [],
  response: Option.none(),
  abandoned: false,
  calls: [],
  degradations: []
})

/** The state one record later. */
export const advance = (before: IntentState, record: Records.IntentRecord): IntentState => {
  const state = { ...before, length: before.length + 1 }
  switch (record._tag) {
    case "Received":
    case "Resumed":
      return state
    case "Assessed":
      return withPaid({ ...state, assessed: Option.some(record) }, record)
    case "EnvironmentResolved":
      return { ...state, environment: Option.some(record) }
    case "Crystallized":
      return withPaid({ ...state, directives: [...state.directives, record.directive] }, record)
    case "GoalRefused":
      return { ...state, refused: Option.some(record) }
    case "GoalChecked":
      return withPaid({ ...state, checked: Option.some(record) }, record)
    case "RunStarted":
      return {
        ...state,
        runs: [...state.runs, { started: record, result: Option.none(), verdict: Option.none() }]
      }
    case "RunEnded":
      return changeLastRun(state, (run) => ({ ...run, result: Option.some(record.result) }))
    case "Reviewed":
      return withPaid(
        changeLastRun(state, (run) => ({ ...run, verdict: Option.some(record.verdict) })),
        record
      )
    case "Finished":
      return { ...state, response: Option.some(record.response) }
    case "Abandoned":
      return { ...state, abandoned: true }
  }
}

/** None: the records are not those of an intent, which begin with its message. */
export const replay = (records: ReadonlyArray<Records.IntentRecord>): Option.Option<IntentState> => {
  const [first, ...rest] = records
  return first?._tag === "Received" ? Option.some(rest.reduce(advance, initialState(first))) : Option.none()
}

const withPaid = (
  state: IntentState,
  {
    calls,
    degradations
  }: { readonly calls: ReadonlyArray<ModelCall>; readonly degradations: ReadonlyArray<Degradation> }
): IntentState => ({
  ...state,
  calls: [...state.calls, ...calls],
  degradations: [...state.degradations, ...degradations]
})

const changeLastRun = (state: IntentState, f: (run: Run) => Run): IntentState => ({
  ...state,
  runs: state.runs.map((run, index) => (index === state.runs.length - 1 ? f(run) : run))
})

export type Step = Data.TaggedEnum<{
  Assess: {}
  ResolveEnvironment: {}
  Crystallize: {}
  CheckGoal: {}
  /** The goal is as it will be run; `resume` goes on from here. */
  ShowPlan: {}
  StartRun: { readonly because: Records.RunStarted["because"]; readonly agent: Option.Option<string> }
  AwaitRun: { readonly run: Records.RunStarted }
  Review: { readonly result: GoalResult }
  Finish: {}
  /** Over. */
  Stop: {}
}>
export const Step = Data.taggedEnum<Step>()

export interface StepOptions {
  readonly planOnly: boolean
  /** Further runs with the same agent after a failure that may pass. */
  readonly maxRecoveries: number
  /** Agents that may take over, in their order. */
  readonly otherAgents: ReadonlyArray<string>
}

export const scopeOf = (state: IntentState): Option.Option<Scope> =>
  Option.flatMap(state.assessed, ({ assessment }) =>
    assessment._tag === "Task" ? Option.some(assessment.scope) : Option.none()
  )

export const nextStep = (state: IntentState, options: StepOptions): Step => {
  if (state.abandoned || Option.isSome(state.response)) return Step.Stop()
  if (Option.isNone(state.assessed)) return Step.Assess()
  if (state.assessed.value.assessment._tag !== "Task") return Step.Finish()
  if (Option.isNone(state.environment)) return Step.ResolveEnvironment()
  if (Option.isNone(state.checked)) {
    const wanted = Option.isSome(state.refused) ? 2 : 1
    return state.directives.length < wanted ? Step.Crystallize() : Step.CheckGoal()
  }
  const run = state.runs.at(-1)
  if (run === undefined) {
    return options.planOnly ? Step.ShowPlan() : Step.StartRun({ because: "first", agent: Option.none() })
  }
  return Option.match(run.result, {
    onNone: () => Step.AwaitRun({ run: run.started }),
    onSome: (result) => afterRun(state, run, result, options)
  })
}

const afterRun = (state: IntentState, run: Run, result: GoalResult, options: StepOptions): Step => {
  const ended = result.outcome.outcome._tag
  // Whoever cancels a run wants no other one, and what ended it would end the next one of the same agent too.
  const wanted = ended !== "Cancelled"
  const mayGoOn = wanted && Option.match(result.failure, { onNone: () => true, onSome: mayPass })
  if (Option.isSome(run.verdict)) {
    const { gaps, passed } = run.verdict.value
    const retries = state.runs.filter(({ started }) => started.because === "gaps").length
    return mayGoOn && !passed && gaps.length > 0 && retries < state.received.maxRetries
      ? Step.StartRun({ because: "gaps", agent: run.started.goal.agent })
      : Step.Finish()
  }
  if (wanted && ended !== "Done" && Option.isSome(result.failure)) {
    const recovery = recoveryOf(state, result.failure.value, options)
    if (recovery._tag === "RetrySame") return Step.StartRun({ because: "recovery", agent: run.started.goal.agent })
    if (recovery._tag === "SwitchAgent") {
      return Step.StartRun({ because: "recovery", agent: Option.some(recovery.agent) })
    }
  }
  return Option.contains(scopeOf(state), "substantial") ? Step.Review({ result }) : Step.Finish()
}

/** What is done about a failure, given what was tried before. */
export const recoveryOf = (
  { runs }: IntentState,
  failure: Parameters<typeof recover>[0]["failure"],
  { maxRecoveries, otherAgents }: StepOptions
): Recovery => {
  const agentOf = (run: Run | undefined) =>
    run === undefined ? undefined : Option.getOrUndefined(run.started.goal.agent)
  const tried = new Set(runs.map(agentOf))
  const current = agentOf(runs.at(-1))
  const retried = runs.filter(
    (run, index) =>
      run.started.because === "recovery" && agentOf(run) === current && agentOf(runs[index - 1]) === current
  ).length
  return recover({
    failure,
    retried,
    maxRetries: maxRecoveries,
    others: otherAgents.filter((agent) => !tried.has(agent))
  })
}

/** The runs that came to a result and, where they were reviewed, to a verdict. */
export const reviewedResults = ({ runs }: IntentState): ReadonlyArray<ReviewedResult> =>
  runs.flatMap(({ result, verdict }) =>
    Option.toArray(Option.map(Option.all({ result, verdict }), (it): ReviewedResult => it))
  )
