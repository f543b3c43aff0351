/** What a turn needs of the process it is played in. Made by `Conversation`; everything that makes up a turn takes it. */
import type { BackgroundTasks } from "./BackgroundTasks.js"
import type { CurrentSession } from "./CurrentSession.js"
import type { Gate } from "./Gate.js"
import type { Inbox } from "./Inbox.js"
import type { Output } from "./Output.js"
import type { HookRunner } from "./Settings.js"

export interface World {
  readonly cwd: string
  readonly output: Output
  readonly gate: Gate
  readonly hooks: HookRunner
  readonly maxTurns: number | undefined
  readonly maxBudgetUsd: number | undefined
  readonly includePartialMessages: boolean
  readonly session: CurrentSession
  /** Where messages arrive that may be folded into the turn. */
  readonly inbox: Inbox
  /** Commands and subagents that outlive the step that started them. */
  readonly tasks: BackgroundTasks
  /** Ends the process without a result. */
  exit(code: number, stderr?: string): never
}
