/**
 * What the shell sees.
 *
 * | code | meaning                                                             |
 * | ---- | ------------------------------------------------------------------- |
 * | 0    | the goal was accepted; the command did what it was asked            |
 * | 1    | the goal was not accepted: budget, escalated, stuck, needs a retry   |
 * | 2    | usage, configuration or driver error                                |
 * | 3    | `driver ask` needs answers, or somebody who says go                  |
 * | 130  | cancelled                                                           |
 */
import type { AttemptOutcome } from "@driver/domain/Outcome"
import { isValidationError } from "@effect/cli/ValidationError"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Exit from "effect/Exit"

export type ExitCode = 0 | 1 | 2 | 3 | 130

/**
 * A command that has said what there was to say, and ends with this code: not a failure to be reported again.
 * With 0 it is a daemon that a signal has stopped.
 */
export class EndWith extends Data.TaggedError("EndWith")<{ readonly code: ExitCode }> {
  override get message() {
    return `ended with code ${this.code}`
  }
}

/**
 * 0 means accepted and nothing else. An escalation by the driver itself is the driver's error, not the goal's end; so is
 * a goal that has not ended.
 */
export const outcomeCode = (outcome: AttemptOutcome): ExitCode => {
  switch (outcome._tag) {
    case "Done":
      return 0
    case "Cancelled":
      return 130
    case "Escalate":
      return outcome.by === "driver" ? 2 : 1
    case "Continue":
      return 2
    case "NeedsRetry":
    case "Sleep":
    case "BudgetExhausted":
      return 1
  }
}

export const exitCode = (exit: Exit.Exit<unknown, unknown>): ExitCode => {
  if (Exit.isSuccess(exit)) return 0
  if (Cause.isInterruptedOnly(exit.cause)) return 130
  const error = Cause.squash(exit.cause)
  return error instanceof EndWith ? error.code : 2
}

/** For `NodeRuntime.runMain`, whose own exits 0 when a signal interrupts. */
export const teardown = (exit: Exit.Exit<unknown, unknown>, onExit: (code: number) => void): void =>
  onExit(exitCode(exit))

/**
 * What to print on standard error before the end, if anything: a usage error was
 * printed by the parser, and `EndWith` has been explained. A failure of ours is one
 * sentence; a defect comes with its stack, for whoever mends it.
 */
export const failureText = (cause: Cause.Cause<unknown>): string => {
  if (Cause.isInterruptedOnly(cause)) return ""
  const error = Cause.squash(cause)
  if (error instanceof EndWith || isValidationError(error)) return ""
  const failure = Cause.failureOption(cause)
  if (failure._tag === "Some") {
    return `driver: ${failure.value instanceof Error ? failure.value.message : String(failure.value)}\n`
  }
  return `driver: this is a defect of the driver, please report it\n${Cause.pretty(cause)}\n`
}
