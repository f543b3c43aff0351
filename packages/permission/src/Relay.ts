/**
 * Two deciders at once: the first *answer* counts, and the other one is interrupted.
 *
 * That somebody cannot decide is no answer: it waits for the other one. When neither
 * answers, the call is refused with both reasons.
 */
import { type PermissionOutcome, Unavailable } from "@driver/domain/Permission"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { PermissionDecider } from "./PermissionDecider.js"

/** Asks both about every call. Usual: a person, and rules or a model. */
export const layer = <E1, R1, E2, R2>(
  one: Layer.Layer<PermissionDecider, E1, R1>,
  other: Layer.Layer<PermissionDecider, E2, R2>
): Layer.Layer<PermissionDecider, E1 | E2, R1 | R2> =>
  Layer.scoped(
    PermissionDecider,
    Effect.gen(function* () {
      const a = Context.get(yield* Layer.build(one), PermissionDecider)
      const b = Context.get(yield* Layer.build(other), PermissionDecider)
      return {
        decide: (request, context) => race(a.decide(request, context), b.decide(request, context))
      }
    })
  )

const isAnswer = (outcome: PermissionOutcome): boolean => outcome._tag !== "Unavailable" && outcome._tag !== "Cancelled"

/** The first answer of the two. Never fails: a decider that dies has not answered. */
export const race = (
  one: Effect.Effect<PermissionOutcome>,
  other: Effect.Effect<PermissionOutcome>
): Effect.Effect<PermissionOutcome> =>
  Effect.race(answered(one), answered(other)).pipe(
    Effect.catchAllCause((cause) =>
      Effect.succeed(new Unavailable({ reason: [...Cause.failures(cause)].join(", and ") || "nobody could decide" }))
    )
  )

/** Fails with the reason when there is no answer. */
const answered = (it: Effect.Effect<PermissionOutcome>): Effect.Effect<PermissionOutcome, string> =>
  it.pipe(
    Effect.catchAllCause((cause) =>
      Effect.zipRight(Effect.logError("One of two deciders failed", cause), Effect.fail("a decider failed"))
    ),
    Effect.filterOrFail(isAnswer, (outcome) =>
      outcome._tag === "Unavailable" ? outcome.reason : "the question was withdrawn"
    )
  )
