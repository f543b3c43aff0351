/** `Goals` of a daemon, over its API: what is written against the service works with a daemon as without. */
import { AmbiguousGoal, DriverTrouble, Goals, UnknownApproval, UnknownGoal } from "@driver/runtime/Goals"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Str from "effect/String"
import { ApproveRequest, Checkpoint, DenyRequest, SteerRequest, SubmitRequest, TurnBudget } from "./Api.js"
import { ApiClient, withTrouble } from "./ApiClient.js"
import * as EventsClient from "./EventsClient.js"

export const layer: Layer.Layer<Goals, never, ApiClient> = Layer.effect(
  Goals,
  Effect.gen(function* () {
    const client = yield* ApiClient
    const { approvals, goals } = client.endpoints
    const said = withTrouble(client.address)
    /** What takes no time where the daemon is well. The others come after one of these, and may take theirs. */
    const soon = inTime(client.address)
    const path = (goal: string) => ({ path: { goal } })

    return Goals.of({
      submit: (submissions) => said(goals.submit({ payload: new SubmitRequest({ goals: submissions }) })),
      list: ({ all }) => soon(said(goals.list({ urlParams: { all } }))),
      find: (name) =>
        canBeAnId(name)
          ? Effect.map(soon(said(goals.find(path(name)))), ({ goalId }) => goalId)
          : Effect.fail(new UnknownGoal({ name })),
      show: (goalId) => soon(whole(said(goals.show(path(goalId))))),
      events: (goalId, options) => EventsClient.events(client, goalId, options),
      pause: (goalId) => Effect.asVoid(whole(said(goals.pause(path(goalId))))),
      resume: (goalId) => Effect.asVoid(whole(said(goals.resume(path(goalId))))),
      cancel: (goalId) => Effect.asVoid(whole(said(goals.cancel(path(goalId))))),
      wake: (goalId) => Effect.asVoid(whole(said(goals.wake(path(goalId))))),
      steer: (goalId, message, mode) =>
        asking(
          () => new SteerRequest({ message: message.trim(), mode }),
          (payload) => whole(said(goals.steer({ ...path(goalId), payload })))
        ),
      setMaxTurns: (goalId, maxTurns) =>
        asking(
          () => new TurnBudget({ maxTurns }),
          (payload) => Effect.map(whole(said(goals.budget({ ...path(goalId), payload }))), (budget) => budget.maxTurns)
        ),
      approvals: soon(said(approvals.approvals({}))),
      approve: (approval, session) => {
        const payload = new ApproveRequest({ scope: session ? "session" : "once" })
        return canBeAnId(approval)
          ? soon(said(approvals.approve({ path: { approval }, payload })))
          : Effect.fail(noApproval(approval))
      },
      deny: (approval, message) => {
        const words = Option.filter(Option.map(message, Str.trim), Str.isNonEmpty)
        return canBeAnId(approval)
          ? soon(said(approvals.deny({ path: { approval }, payload: new DenyRequest({ message: words }) })))
          : Effect.fail(noApproval(approval))
      },
      rollback: (goalId, checkpoint) =>
        asking(
          () => new Checkpoint({ checkpoint }),
          (payload) => Effect.map(whole(said(goals.rollback({ ...path(goalId), payload }))), (undo) => undo.checkpoint)
        ),
      deliver: (goalId) => Effect.map(whole(said(goals.deliver(path(goalId)))), ({ summary }) => summary)
    })
  })
)

const inTime =
  (address: string) =>
  <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | DriverTrouble> =>
    Effect.timeoutFail(effect, {
      duration: "15 seconds",
      onTimeout: () =>
        new DriverTrouble({
          detail: `The daemon at ${address} has not answered within 15 seconds: see what its process does, or end it and start \`driver serve\` anew; its goals go on then`
        })
    })

/** Anything else is the beginning of no id; and some of it, as `..`, is no part of a path either. */
const canBeAnId = (name: string): boolean => /^[\w-]+$/.test(name.trim())

const noApproval = (name: string) =>
  new UnknownApproval({
    detail: `No open question has an id that begins with ${JSON.stringify(name)}: \`driver approvals\` lists those there are`
  })

/** A whole id is the beginning of no other. */
const whole = <A, E>(
  effect: Effect.Effect<A, E | AmbiguousGoal>
): Effect.Effect<A, Exclude<E, AmbiguousGoal> | DriverTrouble> =>
  Effect.catchAll(
    effect,
    (error): Effect.Effect<never, Exclude<E, AmbiguousGoal> | DriverTrouble> =>
      error instanceof AmbiguousGoal
        ? Effect.fail(new DriverTrouble({ detail: error.message }))
        : // The guard has taken it away, which the compiler does not see through the type parameter.
          Effect.fail(error as Exclude<E, AmbiguousGoal>)
  )

/** A request that the API does not have, as a message without words, is refused here. */
const asking = <P, A, E>(
  payload: () => P,
  ask: (payload: P) => Effect.Effect<A, E>
): Effect.Effect<A, E | DriverTrouble> =>
  Effect.flatMap(
    Effect.try({
      try: payload,
      catch: (error) =>
        new DriverTrouble({ detail: `This cannot be asked: ${error instanceof Error ? error.message : String(error)}` })
    }),
    ask
  )
