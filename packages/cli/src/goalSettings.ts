/** The settings under which a goal works that was submitted: those of its own repository, on the store that it is in. */
import type { GoalRow } from "@driver/runtime/GoalStore"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import { agentOf } from "./agentOfGoal.js"
import { Host } from "./Host.js"
import { loadSettings, type Settings } from "./Settings.js"

export const settingsOfRow = ({ config, goal, repository }: GoalRow, { store }: Pick<Settings, "store">) =>
  Effect.gen(function* () {
    const agent = yield* agentOf(
      goal,
      Option.getOrElse(config, () => repository)
    )
    const settings = yield* loadSettings({ config, agent })
    return { ...settings, store }
  }).pipe(Effect.updateService(Host, (host) => ({ ...host, directory: repository })))

/** Goals that would be worked on in the same way share a runtime. A configuration that was changed makes another one. */
export class RuntimeKey implements Equal.Equal {
  private readonly text: string

  constructor(readonly settings: Settings) {
    const { agent, config, file, policy, repository, stateDirectory } = settings
    this.text = JSON.stringify([repository, stateDirectory, file, agent.kind, config, policy])
  }

  [Equal.symbol](that: Equal.Equal): boolean {
    return that instanceof RuntimeKey && that.text === this.text
  }

  [Hash.symbol](): number {
    return Hash.string(this.text)
  }
}
