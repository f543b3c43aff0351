/** All that `main` has read and started before the first prompt: flags, scenario, settings, session, servers. */
import type { Arguments } from "./Arguments.js"
import type { Gate, StdioGate } from "./Gate.js"
import type { McpServer } from "./McpServer.js"
import type { Output } from "./Output.js"
import type { PermissionMode, Scenario } from "./Scenario.js"
import type { Session, SessionStore } from "./Session.js"
import type { HookRunner, Settings } from "./Settings.js"

export interface Setup {
  readonly args: Arguments
  readonly scenario: Scenario
  readonly settings: Settings
  readonly hooks: HookRunner
  readonly servers: ReadonlyArray<McpServer>
  /** Names of servers that are reported as failed without having been started. */
  readonly failedServers: ReadonlyArray<string>
  readonly gate: Gate
  readonly stdio: StdioGate | undefined
  readonly store: SessionStore
  readonly session: Session
  readonly isResumed: boolean
  readonly mode: PermissionMode
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  readonly output: Output
  /** Whether stdin brings more prompts, or the one message is all. */
  readonly isWarm: boolean
}
