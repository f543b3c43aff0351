/** What one analysis may cost: commands, words, characters and copies are all paid from it. */

/** Units. More than a command that a person or an agent writes ever needs; a few tens of milliseconds. */
const most = 250_000

export const cost = {
  /** A command, a pipeline, a loop's round, a text that is parsed. */
  step: 200,
  word: 16,
  character: 1,
  /** A variable that is copied with the state of the shell. */
  variable: 6
} as const

export interface Budget {
  left: number
}

export const make = (): Budget => ({ left: most })

/** Nothing is left: whatever the command does, it is more than can be followed. */
export class Exhausted extends Error {}

/** Throws `Exhausted` when it is more than what is left. */
export const spend = (budget: Budget, units: number): void => {
  budget.left -= units
  if (budget.left < 0) throw new Exhausted()
}
