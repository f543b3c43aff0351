// Settings of a world of a benchmark, as `driver run` would have found them.

import * as Option from "effect/Option"
import { defaults } from "../../packages/cli/src/Config.js"
import type { Settings } from "../../packages/cli/src/Settings.js"

export interface World {
  readonly directory: string
  readonly repository: string
  readonly env: Record<string, string>
}

/** The stand-in agent plays `scenario`; everything lies below the world's directory. `sandbox`: whether commands are confined. */
export const settingsOf = (
  world: World,
  scenario: string,
  stub: string,
  sandbox: "off" | "required" = "off"
): Settings => ({
  file: Option.none(),
  config: { ...defaults, agent: { ...defaults.agent, kind: "stub" } },
  budget: {},
  repository: Option.some(world.repository),
  stateDirectory: `${world.directory}/state`,
  worktreeRoot: `${world.directory}/state/worktrees`,
  store: { kind: "sqlite", filename: `${world.directory}/state/driver.sqlite` },
  models: { judge: Option.none(), llm: Option.none() },
  policy: { preset: "default", rules: [], programs: {}, file: Option.none() },
  policyFiles: [],
  eventFiles: [],
  sandbox: {
    mode: sandbox,
    agent: false,
    hosts: [],
    home: `${world.directory}/home`,
    writable: [],
    readable: [],
    mask: []
  },
  agent: { kind: "stub", binary: Option.some(stub), scenario: Option.some(scenario), environment: world.env },
  criteriaEnvironment: world.env,
  secrets: [],
  deliver: { mode: "branch" },
  directory: world.directory,
  ownEnvironment: {},
  nats: Option.none(),
  daemon: { socket: `${world.directory}/state/driver.sock`, listen: Option.none(), tokenFile: Option.none() }
})
