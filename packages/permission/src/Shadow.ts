/**
 * A decider that runs beside the real one: what it would have decided is recorded as
 * an observation, and nothing of it is enforced.
 *
 * The real answer never waits for it. It asks nobody: a shadow is built with
 * `AskDecider.layerUnasked`. `agreementOf` compares what it said with what was decided.
 */
import type { Decision, PermissionOutcome } from "@driver/domain/Permission"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { canonicalJson } from "./internal/canonicalJson.js"
import { bareContext, type Observation, PermissionDecider } from "./PermissionDecider.js"

/** Decides as `real` does, and observes what `shadow` would have said. */
export const layer = <E1, R1, E2, R2>(
  real: Layer.Layer<PermissionDecider, E1, R1>,
  shadow: Layer.Layer<PermissionDecider, E2, R2>
): Layer.Layer<PermissionDecider, E1 | E2, R1 | R2> =>
  Layer.scoped(
    PermissionDecider,
    Effect.gen(function* () {
      const deciding = Context.get(yield* Layer.build(real), PermissionDecider)
      const observing = Context.get(yield* Layer.build(shadow), PermissionDecider)
      return {
        decide: (request, context) => {
          const { criteriaCommands, description } = context
          const work = Effect.map(
            Effect.suspend(() => observing.decide(request, { ...bareContext, criteriaCommands, description })),
            observationOf
          )
          return Effect.zipRight(context.observe(work), deciding.decide(request, context))
        }
      }
    })
  )

/** What a shadow can say. */
export type Said = "allow" | "deny" | "ask" | "nothing"

const notes: { readonly [It in Said]: string } = {
  allow: "would allow",
  deny: "would deny",
  ask: "would ask a person",
  nothing: "would not decide"
}

/** The beginning of the reason of `AskDecider.layerUnasked`. */
const asksPerson = "a person would be asked"

const observationOf = (outcome: PermissionOutcome): Observation => {
  switch (outcome._tag) {
    case "AllowOnce":
    case "AllowSession":
      return { note: notes.allow, rationale: `shadow: ${outcome.rationale}` }
    case "Deny":
      return { note: `${notes.deny}: ${outcome.message}`, rationale: `shadow: ${outcome.rationale}` }
    case "Unavailable":
      return {
        note: outcome.reason.startsWith(asksPerson) ? notes.ask : notes.nothing,
        rationale: `shadow: ${outcome.reason}`
      }
    case "Cancelled":
      return { note: notes.nothing, rationale: "shadow: cancelled" }
  }
}

/** What an observation says. A note that no shadow of ours has written says nothing. */
export const saidOf = (note: string): Said =>
  note.startsWith(notes.allow)
    ? "allow"
    : note.startsWith(notes.deny)
      ? "deny"
      : note.startsWith(notes.ask)
        ? "ask"
        : "nothing"

export interface Difference {
  readonly decided: Decision
  readonly observed: Decision
  readonly said: Said
}

export interface Agreement {
  /** How often a call was `decided` so while the shadow `said` so. */
  readonly table: { readonly [Decided in "allow" | "deny"]: { readonly [It in Said]: number } }
  /** In order. */
  readonly differences: ReadonlyArray<Difference>
  /** Calls that no observation is known of: remembered answers, and what was dropped. */
  readonly unobserved: number
  /** Observations whose call has no decision in these records. */
  readonly undecided: number
}

/**
 * Pairs decisions and observations of the same call, one record after the other: same goal, turn, tool and input, in
 * their order. A call that was withdrawn counts as denied, since it was not made. Keeps only what has no partner yet
 * and what differs.
 */
export const makeAgreement = (): { readonly add: (record: Decision) => void; readonly result: () => Agreement } => {
  const none = { allow: 0, deny: 0, ask: 0, nothing: 0 }
  const table = { allow: { ...none }, deny: { ...none } }
  const differences: Array<Difference> = []
  const waiting = new Map<string, { readonly decided: Array<Decision>; readonly observed: Array<Decision> }>()
  const pairUp = (decided: Decision, observed: Decision) => {
    const did = decided.choice._tag === "Allow" ? "allow" : "deny"
    const said = observed.choice._tag === "Observe" ? saidOf(observed.choice.note) : "nothing"
    table[did][said]++
    if (did !== said) differences.push({ decided, observed, said })
  }
  return {
    add: (record) => {
      const key = `${record.goalId} ${record.turn} ${record.tool} ${canonicalJson(record.input)}`
      const pair = waiting.get(key) ?? { decided: [], observed: [] }
      waiting.set(key, pair)
      const isObservation = record.choice._tag === "Observe"
      const partner = (isObservation ? pair.decided : pair.observed).shift()
      if (partner === undefined) (isObservation ? pair.observed : pair.decided).push(record)
      else {
        pairUp(isObservation ? partner : record, isObservation ? record : partner)
        if (pair.decided.length === 0 && pair.observed.length === 0) waiting.delete(key)
      }
    },
    result: () => {
      const left = [...waiting.values()]
      return {
        table,
        differences,
        unobserved: left.reduce((sum, { decided }) => sum + decided.length, 0),
        undecided: left.reduce((sum, { observed }) => sum + observed.length, 0)
      }
    }
  }
}

/** The same for records that are at hand. */
export const agreementOf = (records: Iterable<Decision>): Agreement => {
  const { add, result } = makeAgreement()
  for (const record of records) add(record)
  return result()
}
