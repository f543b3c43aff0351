/** What people who watch are told of an agent's events. Pure. */
import type { AgentEvent } from "@driver/agent/Agent"
import { totalTokens } from "@driver/domain/Usage"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

export interface Activity {
  readonly activity: string
  readonly text: string
}

/** None for events that say nothing to a person. Text is at most 200 characters, on one line. */
export const activityOf = (event: AgentEvent): Option.Option<Activity> => {
  switch (event._tag) {
    case "SessionStarted":
      return some(
        "session",
        Option.getOrElse(event.model, () => "unknown model")
      )
    case "Said":
      return some("said", event.text)
    case "ToolCalled":
      return some("tool", `${event.name} ${argument(event.input)}`)
    case "ToolEnded":
      return event.failed || event.denied
        ? some(event.denied ? "tool_denied" : "tool_failed", event.text)
        : Option.none()
    case "Metered":
      return some("tokens", String(totalTokens(event.tokens)))
    case "Retrying":
      return some(
        "retrying",
        `${event.error}, attempt ${event.attempt} of ${event.maxAttempts} in ${Duration.format(event.delay)}`
      )
    case "RateLimited":
      return some("rate_limited", event.status)
    case "BackgroundTasks":
      return some("background", String(event.running))
    case "Compacting":
      return some("compacting", event.trigger)
    case "Compacted":
      return some("compacted", event.result.succeeded ? event.trigger : "failed")
    default:
      return Option.none()
  }
}

const some = (activity: string, text: string): Option.Option<Activity> => Option.some({ activity, text: oneLine(text) })

const oneLine = (text: string): string => {
  const line = text.slice(0, 1_000).replace(/\s+/g, " ").trim()
  const characters = Array.from(line)
  return characters.length <= 200 ? line : `${characters.slice(0, 199).join("")}…`
}

/** The argument that tells a person most. */
const argument = (input: Readonly<Record<string, unknown>>): string => {
  const value = input.command ?? input.file_path ?? input.path ?? input.pattern ?? input.url ?? input.description
  return typeof value === "string" ? value : ""
}
