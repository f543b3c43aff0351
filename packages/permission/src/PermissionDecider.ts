/**
 * Who answers an agent's question whether it may make a tool call.
 *
 * A decider only judges. The gate asks it, bounds its time, remembers what it
 * allowed for longer, and keeps the record; a decider that dies or does not answer
 * is a denial there.
 */
import type { ApprovalAnswered, ApprovalRequested } from "@driver/domain/DriverEvent"
import { AllowOnce, Deny, type PermissionOutcome, type PermissionRequest, Unavailable } from "@driver/domain/Permission"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"

/** What a decider may know besides the request. */
export interface DecisionContext {
  /** Commands of the goal's own criteria, as they stand in the goal. */
  readonly criteriaCommands: ReadonlyArray<string>
  /** What the goal is, in its own words. */
  readonly description: string
  /**
   * Says that the answer will take up to this much longer from now, because a person is asked. The question's
   * deadline never moves back. Resolves at once.
   */
  readonly waitUpTo: (duration: Duration.DurationInput) => Effect.Effect<void>
  /** Tells whoever watches the goal that a person is asked about this call, and that this is over. */
  readonly onApproval: (event: ApprovalRequested | ApprovalAnswered) => Effect.Effect<void>
  /**
   * Works beside the question, in the goal's own scope, and records what comes of it as an observation. Resolves at
   * once; work that fails, takes too long or comes when there is too much of it already is dropped.
   */
  readonly observe: (work: Effect.Effect<Observation>) => Effect.Effect<void>
}

/** What somebody says of a call who decides nothing. */
export interface Observation {
  readonly note: string
  readonly rationale: string
}

/** Nobody watches, nobody waits: for judging a call outside a gate. */
export const bareContext: DecisionContext = {
  criteriaCommands: [],
  description: "",
  waitUpTo: () => Effect.void,
  onApproval: () => Effect.void,
  observe: () => Effect.void
}

const constant = (outcome: PermissionOutcome) => {
  const answer = Effect.succeed(outcome)
  return () => answer
}

export class PermissionDecider extends Context.Tag("@driver/permission/PermissionDecider")<
  PermissionDecider,
  {
    /** Resolves with the answer; interrupted when the question is withdrawn or its time is over. */
    readonly decide: (request: PermissionRequest, context: DecisionContext) => Effect.Effect<PermissionOutcome>
  }
>() {
  /** Allows every call. Only for agents that are confined by something else. */
  static readonly layerAllowAll: Layer.Layer<PermissionDecider> = Layer.succeed(this, {
    decide: constant(new AllowOnce({ rationale: "allow-all: everything is allowed" }, { disableValidation: true }))
  })

  /** Denies every call. `message` is what the agent reads. */
  static readonly layerDenyAll = (
    message = "No tool may be used in this run. Answer in text: say what you would do and why."
  ): Layer.Layer<PermissionDecider> =>
    Layer.succeed(this, {
      decide: constant(new Deny({ message, rationale: "deny-all: everything is denied" }))
    })

  /**
   * Answers the questions in their order with these outcomes, and keeps them for `AskedQuestions`. When they are
   * used up, nobody can decide any more.
   */
  static readonly layerScripted = (
    outcomes: ReadonlyArray<PermissionOutcome | Effect.Effect<PermissionOutcome>>
  ): Layer.Layer<PermissionDecider | AskedQuestions> =>
    Layer.effectContext(
      Effect.map(Ref.make<ReadonlyArray<PermissionRequest>>([]), (asked) => {
        const decide = (request: PermissionRequest) =>
          Effect.flatMap(
            Ref.modify(asked, (before) => [before.length, [...before, request]]),
            (index) => {
              const outcome = outcomes[index]
              if (outcome === undefined) {
                return Effect.succeed(new Unavailable({ reason: `the script has no answer ${index + 1}` }))
              }
              return Effect.isEffect(outcome) ? outcome : Effect.succeed(outcome)
            }
          )
        return Context.make(PermissionDecider, { decide }).pipe(Context.add(AskedQuestions, Ref.get(asked)))
      })
    )
}

/** What a scripted decider was asked so far, oldest first. */
export class AskedQuestions extends Context.Tag("@driver/permission/PermissionDecider/AskedQuestions")<
  AskedQuestions,
  Effect.Effect<ReadonlyArray<PermissionRequest>>
>() {}
