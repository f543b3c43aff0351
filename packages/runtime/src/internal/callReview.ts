/**
 * Looks at each call of a turn together with the calls before it, as `StuckPolicy` says: tells the agent with the answer
 * that it repeats itself, then the operator, then stops the turn.
 */
import { type DriverEvent, LoopNoticed } from "@driver/domain/DriverEvent"
import { Deny, isAllowed, type PermissionOutcome, type PermissionRequest } from "@driver/domain/Permission"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { type CallDecision, type CallInput, oneLine, type StuckPolicy } from "../StuckPolicy.js"

export interface CallReview {
  /** As `GateRegistration.review`. */
  readonly review: (
    request: PermissionRequest,
    key: string,
    outcome: PermissionOutcome
  ) => Effect.Effect<PermissionOutcome>
  /** Forgets the calls so far. */
  readonly startTurn: Effect.Effect<void>
}

/** The calls of one turn. */
interface Calls {
  /** The call that was made last. */
  readonly last: string
  readonly inARow: number
  /** How often each call was denied; the one that was denied longest ago first. */
  readonly denied: ReadonlyMap<string, number>
}

const none: Calls = { last: "", inARow: 0, denied: new Map() }

/** Different calls whose denials are counted: an agent that goes round does so with a few. */
const remembered = 256

export const make = (options: {
  readonly policy: StuckPolicy["Type"]
  readonly publish: (event: DriverEvent) => Effect.Effect<void>
  /** Takes the secrets out. */
  readonly clean: <A>(value: A) => A
  readonly stop: (reason: string) => Effect.Effect<void>
}): Effect.Effect<CallReview> =>
  Effect.map(Ref.make(none), (calls) => ({
    startTurn: Ref.set(calls, none),
    review: (request, key, outcome) =>
      Effect.gen(function* () {
        // Only when somebody reads it: it may be long, and most calls are fine.
        let text: string | undefined
        const callOf = () => {
          text ??= callText(options.clean(request))
          return text
        }
        const decide = (state: Calls, isDenied: boolean) => {
          const input: CallInput = {
            get call() {
              return callOf()
            },
            inARow: state.inARow,
            denied: state.denied.get(key) ?? 0,
            isDenied
          }
          return { input, decision: options.policy.decideCall(input) }
        }
        const { decision, input } = yield* Ref.modify(calls, (before) => {
          const isDenied = !isAllowed(outcome)
          const made = { ...before, last: key, inARow: before.last === key ? before.inARow + 1 : 1 }
          const after = isDenied ? withDenial(made, key) : made
          const first = decide(after, isDenied)
          if (first.decision._tag !== "Refuse") return [first, after]
          // A call that is refused for being repeated is denied like any other.
          const refused = withDenial(made, key)
          const second = decide(refused, true)
          return [second.decision._tag === "Stop" ? second : first, refused]
        })
        if (decision._tag === "Fine") return outcome
        if (decision._tag === "Stop" || decision.isNew) {
          yield* options.publish(
            new LoopNoticed({
              goalId: request.goalId,
              turn: request.turn,
              loop: decision.loop,
              count: decision.loop === "denied" ? input.denied : input.inARow,
              action: decision._tag === "Stop" ? "stopped" : "told",
              tool: request.tool,
              call: callOf(),
              toolUseId: request.toolUseId
            })
          )
        }
        if (decision._tag === "Stop") yield* options.stop(decision.reason)
        return refusedWith(outcome, decision)
      })
  }))

const withDenial = (calls: Calls, key: string): Calls => {
  const denied = new Map(calls.denied)
  const count = (denied.get(key) ?? 0) + 1
  denied.delete(key)
  denied.set(key, count)
  const [oldest] = denied.keys()
  if (denied.size > remembered && oldest !== undefined) denied.delete(oldest)
  return { ...calls, denied }
}

const refusedWith = (
  outcome: PermissionOutcome,
  decision: Exclude<CallDecision, { readonly _tag: "Fine" }>
): PermissionOutcome => {
  switch (outcome._tag) {
    case "AllowOnce":
    case "AllowSession":
      return new Deny({ message: decision.message, rationale: `stuck: ${decision.loop}` })
    case "Deny":
      return new Deny({ message: `${outcome.message}\n\n${decision.message}`, rationale: outcome.rationale })
    case "Unavailable":
      return new Deny({
        message: `No decision could be made about this call (${outcome.reason}).\n\n${decision.message}`,
        rationale: `unavailable: ${outcome.reason}`
      })
    case "Cancelled":
      return outcome
  }
}

/** Tool and input on one line, for people and for the agent. */
const callText = ({ input, tool }: PermissionRequest): string => {
  const text = input["command"] ?? input["file_path"] ?? input["url"] ?? input["pattern"]
  return oneLine(`${tool} ${typeof text === "string" ? text.slice(0, 1_000) : JSON.stringify(input).slice(0, 1_000)}`)
}
