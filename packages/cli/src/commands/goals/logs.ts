/** `driver logs`: a goal's events as `driver run` prints them where there is no terminal. */
import { StoredEvent } from "@driver/domain/DriverEvent"
import { Goals } from "@driver/runtime/Goals"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Host } from "../../Host.js"
import { outcomeLines } from "../../Render.js"
import * as RenderPlain from "../../RenderPlain.js"
import { plainText, themeOf } from "../../Theme.js"
import type { GoalArguments } from "./control.js"
import { named } from "./named.js"

export interface LogsArguments extends GoalArguments {
  /** Goes on until the goal has ended. */
  readonly follow: boolean
  /** Only events with a greater sequence number. */
  readonly after: Option.Option<number>
}

const encode = Schema.encodeSync(StoredEvent.FromJson)

export const logs = ({ after, follow, goal, json }: LogsArguments) =>
  Effect.gen(function* () {
    const { environment, stdout } = yield* Host
    const goals = yield* Goals
    const goalId = yield* named(goal)
    const theme = themeOf(environment, false)
    const { onEvent } = yield* RenderPlain.make(stdout, theme)
    const print = (stored: StoredEvent) =>
      Effect.zipRight(
        onEvent(stored),
        stored.event._tag === "GoalCompleted"
          ? stdout.write(
              outcomeLines(stored.event.outcome)
                .map((line) => `${plainText(theme, line)}\n`)
                .join("")
            )
          : Effect.void
      )
    yield* Stream.runForEach(goals.events(goalId, { after: Option.getOrElse(after, () => 0), follow }), (stored) =>
      json ? stdout.write(`${encode(stored)}\n`) : print(stored)
    )
  })
