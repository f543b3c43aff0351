/** What the commands on goals have in common. */
import type { GoalId } from "@driver/domain/Goal"
import { Goals } from "@driver/runtime/Goals"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { DaemonSocket } from "../../DaemonSocket.js"
import { Host } from "../../Host.js"

/** At least this much of an id: less is more likely a slip than a name. */
const shortest = 4

/** The text is too short to name a goal. */
export class ShortGoalName extends Data.TaggedError("ShortGoalName")<{ readonly name: string }> {
  override get message() {
    return `${JSON.stringify(this.name)} is too short to name a goal: give at least ${shortest} characters of its id, as \`driver list\` shows it`
  }
}

/** The goal that a person names by its id, or by the beginning of it. */
export const named = (text: string) =>
  Effect.gen(function* () {
    const name = text.trim().toLowerCase()
    if (name.length < shortest) return yield* new ShortGoalName({ name })
    const goals = yield* Goals
    return yield* goals.find(name)
  })

/** Enough of an id for people; the commands take it. */
export const shortId = (goalId: GoalId): string => goalId.slice(0, 8)

/** One line of JSON, or one sentence. */
export const answer = (json: boolean, value: Readonly<Record<string, unknown>>, sentence: string) =>
  Effect.flatMap(Host, ({ stdout }) => stdout.write(`${json ? JSON.stringify(value) : sentence}\n`))

/** What is said of a request that nobody may have heard yet. */
export const whenHeard: Effect.Effect<string, never, DaemonSocket> = Effect.map(DaemonSocket, ({ listening }) =>
  listening
    ? ""
    : " No daemon is running here: the driver that works on the goal does it now, otherwise the next one that takes the goal up."
)
