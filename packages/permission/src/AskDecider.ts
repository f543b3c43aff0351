/**
 * The decider that asks a person.
 *
 *   handed on ─▶ question opened ─┬─ answered ─▶ allowed, or denied with the person's words
 *                                 ├─ nobody answered in time ─▶ denied
 *                                 └─ interrupted ─▶ withdrawn
 *
 * Rules and the language model hand on to it what they will not judge themselves. It
 * never leaves a question open: whoever does not answer in time has denied.
 */
import { type ApprovalAnswer, ApprovalId, ApprovalQuestion } from "@driver/domain/Approval"
import { ApprovalAnswered, ApprovalRequested } from "@driver/domain/DriverEvent"
import {
  AllowOnce,
  AllowSession,
  Deny,
  type PermissionOutcome,
  type PermissionRequest,
  Unavailable
} from "@driver/domain/Permission"
import { Redactor } from "@driver/domain/Redactor"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Approvals, endOf } from "./Approvals.js"
import type { DecisionContext } from "./PermissionDecider.js"
import { TokenSource } from "./TokenSource.js"

export interface Settings {
  /** How long a person may take. Default 10 minutes; then the call is denied. */
  readonly timeout: Duration.DurationInput
}

export const defaults: Settings = { timeout: "10 minutes" }

/** What the gate waits longer than a person may take: the answer of the last moment has to be fetched and recorded. */
const grace = Duration.seconds(15)

export class AskDecider extends Context.Tag("@driver/permission/AskDecider")<
  AskDecider,
  {
    /** `why` says who handed the question on and for what reason. Interrupted, the question is withdrawn. */
    readonly decide: (
      request: PermissionRequest,
      context: DecisionContext,
      why: string
    ) => Effect.Effect<PermissionOutcome>
  }
>() {
  /** Asks through `Approvals`, one question per call. */
  static readonly layer = (settings: Partial<Settings> = {}): Layer.Layer<AskDecider, never, Approvals> =>
    Layer.effect(
      this,
      Effect.gen(function* () {
        const approvals = yield* Approvals
        const tokens = yield* TokenSource
        const redactor = yield* Redactor
        const patience = Duration.decode(settings.timeout ?? defaults.timeout)

        const ask = (request: PermissionRequest, context: DecisionContext, why: string) =>
          Effect.gen(function* () {
            const { advisories, goalId, input, tool, turn } = request
            // First: who waits for the answer must not give up while the question is being put.
            yield* context.waitUpTo(Duration.sum(patience, grace))
            const askedAt = yield* DateTime.now
            const question = new ApprovalQuestion({
              id: ApprovalId.make(yield* tokens.decisionId),
              goalId,
              turn,
              tool,
              input: redactor.value(input),
              why,
              advisories,
              askedAt,
              expiresAt: DateTime.addDuration(askedAt, patience)
            })
            const { answer } = yield* approvals.open(question)
            yield* context.onApproval(new ApprovalRequested({ goalId, question }))
            const said = yield* answer
            const end = Option.match(said, { onNone: () => "timed_out" as const, onSome: endOf })
            yield* context.onApproval(new ApprovalAnswered({ goalId, turn, approvalId: question.id, answer: end }))
            return Option.match(said, {
              onNone: () => notAnswered(tool, patience),
              onSome: (it) => outcomeOf(it, question.id, tool)
            })
          }).pipe(
            Effect.scoped,
            Effect.catchTag("ApprovalsError", (error) =>
              Effect.as(
                Effect.logError("A person could not be asked about a tool call", error),
                new Deny({
                  message: `A person would have to approve this ${request.tool} call, and could not be asked. It was not run. Go on without it, and say so in your answer.`,
                  rationale: `ask: ${error.message}`
                })
              )
            )
          )
        return { decide: Effect.fn("AskDecider.decide")(ask) }
      })
    )

  /** Nobody can be asked: denies. */
  static readonly layerNone: Layer.Layer<AskDecider> = Layer.succeed(this, {
    decide: (request, _, why) =>
      Effect.succeed(
        new Deny({
          message: `A person would have to approve this ${request.tool} call, and nobody can be asked in this run. Go on without it, or reach the goal another way and say so in your answer.`,
          rationale: `ask: nobody is configured to be asked (${why})`
        })
      )
  })

  /** For who only observes: says that a person would be asked, and asks nobody. */
  static readonly layerUnasked: Layer.Layer<AskDecider> = Layer.succeed(this, {
    decide: (_, __, why) => Effect.succeed(new Unavailable({ reason: `a person would be asked (${why})` }))
  })
}

const outcomeOf = (answer: ApprovalAnswer, id: ApprovalId, name: string): PermissionOutcome => {
  const shown = id.slice(0, 8)
  if (answer._tag === "Reject") {
    return new Deny({
      message: Option.match(answer.message, {
        onNone: () =>
          `A person has denied this ${name} call. Reach the goal another way, or say why that is impossible.`,
        onSome: (message) => `A person has denied this ${name} call: ${message}`
      }),
      rationale: `ask: denied by a person (question ${shown})`
    })
  }
  return answer.scope === "session"
    ? new AllowSession({ scope: "session", rationale: `ask: approved for the session by a person (question ${shown})` })
    : new AllowOnce({ rationale: `ask: approved by a person (question ${shown})` })
}

const notAnswered = (name: string, patience: Duration.Duration) =>
  new Deny({
    message: `A person was asked about this ${name} call and did not answer within ${Duration.format(patience)}, so it was not run. Go on without it if you can; if not, end the turn and say what you were waiting for.`,
    rationale: `ask: nobody answered within ${Duration.format(patience)}`
  })
