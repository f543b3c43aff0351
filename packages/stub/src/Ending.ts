/**
 * How a turn ends: everything its result has to say of the turn itself. The session's totals are added by `Results`,
 * which prints it.
 */
import type { Usage } from "./Scenario.js"
import type { Step } from "./Step.js"
import { noUsage } from "./Tokens.js"

export interface Ending {
  readonly subtype: "success" | "error_during_execution" | "error_max_turns" | "error_max_budget_usd"
  readonly isError: boolean
  readonly stopReason: string | null
  readonly terminalReason: string | undefined
  /** Absent for the error subtypes. */
  readonly result: string | undefined
  readonly errors: ReadonlyArray<string> | undefined
  readonly extra: Readonly<Record<string, unknown>>
  readonly numTurns: number
  readonly usage: Usage
  readonly denials: ReadonlyArray<unknown>
  /** Whether the result leaves the cost out. */
  readonly hideCost: boolean
  readonly startedAt: number
  readonly firstTokenAt: number | undefined
  /** Turns that have to be played before the result may be printed. */
  readonly notifications: ReadonlyArray<Notification>
}

/** A turn that follows by itself: somebody announced that a task is done. */
export interface Notification {
  readonly runId: string
  readonly then: ReadonlyArray<Step>
}

/** An ending of which only this much is to be said. */
export const makeEnding = (said: Partial<Ending> & Pick<Ending, "subtype" | "startedAt">): Ending => ({
  isError: false,
  stopReason: null,
  terminalReason: undefined,
  result: undefined,
  errors: undefined,
  extra: {},
  numTurns: 0,
  usage: noUsage,
  denials: [],
  hideCost: false,
  firstTokenAt: undefined,
  notifications: [],
  ...said
})

/** Thrown inside a turn that is over before its steps are: a limit of the command line is reached. */
export class Over extends Error {
  constructor(readonly ending: Pick<Ending, "subtype" | "terminalReason" | "errors"> & { readonly usage?: Usage }) {
    super(ending.subtype)
  }
}
