/**
 * Ctrl-C once cancels in good order, twice ends the process at once.
 *
 * The first signal is the runtime's: it interrupts the main fiber. This module only
 * counts, and ends the process on the second.
 */

export interface SignalSource {
  readonly on: (signal: "SIGINT" | "SIGTERM" | "SIGHUP", listener: () => void) => unknown
}

/**
 * One key press may arrive twice, from the terminal and again from a parent like
 * `npx`: signals that close together count as one. Milliseconds.
 */
const togetherWithin = 150

/** `now` in milliseconds, monotonic. `end` must not return to us. */
export const endOnSecondSignal = (source: SignalSource, now: () => number, end: () => void): void => {
  let first: number | undefined
  const count = () => {
    if (first === undefined) first = now()
    else if (now() - first > togetherWithin) end()
  }
  source.on("SIGINT", count)
  source.on("SIGTERM", count)
  source.on("SIGHUP", count)
}
