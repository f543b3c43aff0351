/** `Goals` as a test says they are, with every call that would change one noted down. */
import { DaemonSocket } from "@driver/cli/DaemonSocket"
import { Approve, Reject } from "@driver/domain/Approval"
import type { StoredEvent } from "@driver/domain/DriverEvent"
import { Goal, type GoalId } from "@driver/domain/Goal"
import { Usage } from "@driver/domain/Usage"
import type { Approvals, ApprovalsError } from "@driver/permission/Approvals"
import {
  AmbiguousGoal,
  DriverTrouble,
  GoalDetail,
  GoalSummary,
  Goals,
  type Submission,
  UnknownApproval,
  UnknownGoal
} from "@driver/runtime/Goals"
import { DateTime, Effect, Layer, Option, Ref, Stream } from "effect"

export const summaryOf = (
  goalId: GoalId,
  fields: Partial<ConstructorParameters<typeof GoalSummary>[0]> = {}
): GoalSummary =>
  new GoalSummary({
    goalId,
    description: `The goal ${goalId.slice(0, 4)}`,
    state: "running",
    phase: "Working",
    paused: false,
    priority: 0,
    repository: "/repository",
    dependsOn: [],
    turns: 1,
    maxTurns: 5,
    usage: Usage.zero,
    queued: 0,
    submittedAt: DateTime.unsafeMake(0),
    ...fields
  })

export const detailOf = (
  summary: GoalSummary,
  fields: Partial<ConstructorParameters<typeof GoalDetail>[0]> = {}
): GoalDetail =>
  new GoalDetail({
    summary,
    goal: new Goal({ id: summary.goalId, description: summary.description }),
    head: 7,
    ...fields
  })

export interface Script {
  readonly summaries?: ReadonlyArray<GoalSummary>
  readonly details?: ReadonlyArray<GoalDetail>
  readonly events?: ReadonlyArray<StoredEvent>
  readonly listening?: boolean
  /** What some calls do instead. */
  readonly overrides?: Partial<Goals["Type"]>
}

/** `calls` has one entry per call that changes something: its name, then what it was given. */
export const script = ({ details = [], events = [], listening = true, overrides, summaries = [] }: Script) =>
  Effect.gen(function* () {
    const calls = yield* Ref.make<ReadonlyArray<ReadonlyArray<unknown>>>([])
    const note = (...call: ReadonlyArray<unknown>) => Ref.update(calls, (before) => [...before, call])
    const of = (goalId: GoalId) =>
      Effect.fromNullable(
        details.find(({ goal }) => goal.id === goalId) ??
          summaries.filter((it) => it.goalId === goalId).map((it) => detailOf(it))[0]
      ).pipe(Effect.orElseFail(() => new UnknownGoal({ name: goalId })))
    const service = Goals.of({
      submit: (submissions: ReadonlyArray<Submission>) =>
        Effect.as(
          note("submit", ...submissions),
          submissions.map(({ dependsOn, goal }) =>
            summaryOf(goal.id, { description: goal.description, state: "queued", phase: "Registered", dependsOn })
          )
        ),
      list: ({ all }) =>
        Effect.succeed(summaries.filter(({ state }) => all || state === "queued" || state === "running")),
      find: (name) => {
        const found = summaries.map(({ goalId }) => goalId).filter((it) => it.startsWith(name))
        const [first, second] = found
        if (first === undefined) return new UnknownGoal({ name })
        return second === undefined ? Effect.succeed(first) : new AmbiguousGoal({ name, candidates: found })
      },
      show: of,
      events: (goalId, { after, follow }) =>
        Stream.fromIterable(events.filter((it) => it.goalId === goalId && it.sequence > after)).pipe(
          (it) => (follow ? Stream.concat(it, Stream.fromEffect(Effect.never)) : it),
          Stream.takeUntil(({ event }) => event._tag === "GoalCompleted")
        ),
      pause: (goalId) => note("pause", goalId),
      resume: (goalId) => note("resume", goalId),
      cancel: (goalId) => note("cancel", goalId),
      wake: (goalId) => note("wake", goalId),
      steer: (goalId, message, mode) =>
        Effect.as(note("steer", goalId, message, mode), { delivery: "queued" as const, queued: 1 }),
      setMaxTurns: (goalId, maxTurns) => Effect.as(note("setMaxTurns", goalId, maxTurns), Math.max(5, maxTurns)),
      approvals: Effect.succeed([]),
      approve: (id) => new UnknownApproval({ detail: `There is no question ${id}` }),
      deny: (id) => new UnknownApproval({ detail: `There is no question ${id}` }),
      rollback: (goalId, checkpoint) => Effect.as(note("rollback", goalId, checkpoint), "9"),
      deliver: (goalId) => Effect.as(note("deliver", goalId), "The work is on its branch."),
      ...overrides
    })
    const layer = Layer.mergeAll(
      Layer.succeed(Goals, service),
      Layer.succeed(DaemonSocket, { socket: "/state/driver.sock", listening })
    )
    return { layer, calls: Ref.get(calls) }
  })

/** The three calls on questions, as the stores answer them. */
export const questionsOf = (approvals: Approvals["Type"]): Partial<Goals["Type"]> => {
  const trouble = (error: ApprovalsError) => new DriverTrouble({ detail: error.message })
  const answer = (id: string, said: Approve | Reject) =>
    approvals.answer(id, said).pipe(
      Effect.catchTags({
        ApprovalsError: trouble,
        ApprovalNameError: ({ message }) => new UnknownApproval({ detail: message }),
        ApprovalClosed: ({ message }) => new UnknownApproval({ detail: message })
      })
    )
  return {
    approvals: Effect.mapError(approvals.list, trouble),
    approve: (id, session) => answer(id, new Approve({ scope: session ? "session" : "once" })),
    deny: (id, message) => answer(id, new Reject({ message: Option.map(message, (it) => it) }))
  }
}
