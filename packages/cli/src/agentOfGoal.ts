/** Which agent a goal names. */
import type { Goal } from "@driver/domain/Goal"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { AgentKind } from "./Config.js"
import { InputError } from "./InputError.js"

/** None: the goal leaves it to the configuration. `file` is where the goal stands, for the complaint. */
export const agentOf = (goal: Goal, file: string): Effect.Effect<Option.Option<AgentKind>, InputError> => {
  const wanted = Option.getOrUndefined(goal.agent)
  if (wanted === undefined) return Effect.succeedNone
  if (Schema.is(AgentKind)(wanted)) return Effect.succeedSome(wanted)
  const issue = {
    file,
    path: "agent",
    message: `agent: there is no agent backend ${JSON.stringify(wanted)}, only ${AgentKind.literals.join(" and ")}`
  }
  return new InputError({ issues: [issue] })
}
