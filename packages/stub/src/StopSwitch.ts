/**
 * The one way to stop a turn: everything in it that waits, waits for its switch too. Owns who stopped the turn and the
 * signal; what is said about it is decided in `Turn`.
 */

/** Who stopped a turn: a control request, a signal, or a denial that said so. */
export type Interruption = "control" | "signal" | "denied"

/** Thrown where something waited when the switch was thrown. */
export class Stopped extends Error {}

export class StopSwitch {
  private readonly controller = new AbortController()
  private interruption: Interruption | undefined

  /** `beforeStop` runs at the interruption, before anything that waits is woken. */
  constructor(private readonly beforeStop: () => void) {}

  get signal(): AbortSignal {
    return this.controller.signal
  }

  /** Who interrupted the turn, or `undefined`. */
  get by(): Interruption | undefined {
    return this.interruption
  }

  /** Stops all that waits. A second interruption does nothing. */
  interrupt(by: Interruption): void {
    if (this.interruption !== undefined) return
    this.interruption = by
    this.beforeStop()
    this.controller.abort()
  }

  /** The turn is over: nothing of it goes on. */
  end(): void {
    this.controller.abort()
  }

  /** Throws `Stopped` when the turn is stopped already. */
  check(): void {
    if (this.signal.aborted) throw new Stopped()
  }

  /** The promise's outcome, or `Stopped` when that comes first. */
  abortable<A>(promise: Promise<A>): Promise<A> {
    const { signal } = this
    return new Promise((resolve, reject) => {
      const stop = () => reject(new Stopped())
      if (signal.aborted) return stop()
      signal.addEventListener("abort", stop)
      promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop))
    })
  }

  /** Waits so many milliseconds; an endless wait keeps the process alive. Rejects with `Stopped`. */
  sleep(millis: number): Promise<void> {
    const { signal } = this
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(new Stopped())
      const longest = 2 ** 30
      let left = millis
      const next = () => {
        const now = Math.min(left, longest)
        left -= now
        timer = setTimeout(() => (left > 0 ? next() : done()), now)
      }
      const stop = () => {
        clearTimeout(timer)
        reject(new Stopped())
      }
      const done = () => {
        signal.removeEventListener("abort", stop)
        resolve()
      }
      let timer: NodeJS.Timeout
      signal.addEventListener("abort", stop)
      next()
    })
  }
}
