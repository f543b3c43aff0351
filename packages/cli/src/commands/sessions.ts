/** `driver sessions`: which agent sessions and workspaces serve which goals. */
import { Binding } from "@driver/domain/Binding"
import { BindingStore } from "@driver/runtime/BindingStore"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { shortIds } from "../GoalNames.js"
import { Host } from "../Host.js"
import { agoText } from "../Render.js"
import { table } from "../Table.js"

export interface SessionsArguments {
  /** Also those that are never resumed again. */
  readonly all: boolean
  readonly json: boolean
}

const encode = Schema.encodeSync(Binding)

export const sessions = ({ all, json }: SessionsArguments) =>
  Effect.gen(function* () {
    const { stdout } = yield* Host
    const store = yield* BindingStore
    const bindings = yield* all ? store.listAll : store.listActive
    if (json)
      return yield* stdout.write(
        `${JSON.stringify(
          bindings.map((it) => encode(it)),
          null,
          2
        )}\n`
      )
    if (bindings.length === 0) {
      return yield* stdout.write(
        all ? "There are no bindings.\n" : "There are no live bindings (--all shows the others).\n"
      )
    }
    const now = yield* Clock.currentTimeMillis
    const short = shortIds(bindings.map(({ goalId }) => goalId))
    yield* stdout.write(
      table(
        ["GOAL", "STATE", "ACTIVE", "MODEL", "SESSION", "WORKSPACE"],
        bindings.map((binding) => [
          short.get(binding.goalId) ?? binding.goalId,
          binding.live ? "live" : `invalid: ${Option.getOrElse(binding.invalidReason, () => "no reason given")}`,
          agoText(now, DateTime.toEpochMillis(binding.lastActiveAt)),
          Option.getOrElse(binding.model, () => "-"),
          binding.sessionId,
          binding.workspace
        ])
      )
    )
  })
