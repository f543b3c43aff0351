/**
 * Tells V8 to keep the heap small: for a process that drives many goals and mostly waits. It costs some 50 ms of a start, so
 * a process for one goal does without.
 *
 * Up to how much the heap may grow before it is collected again, V8 works out when it collects: so that is done at once. The
 * figure of a start is for three times as much, and 50 goals at once made 100 MB of garbage before they came to it.
 *
 * In a process that has grown all the same, collecting to the last byte, and the young part every other millisecond, keeps
 * callers waiting: from then on V8 does so no more. With 200 goals, 50 of them at work, the slowest of a hundred cancels took
 * 81 to 101 ms before and 45 to 61 ms with that, for some 30 MB more (`scripts/bench-daemon.ts`).
 */
import { memoryUsage } from "node:process"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Bytes that are resident. */
const grown = 150 * 2 ** 20

export const leanHeap: Effect.Effect<void, never, Scope.Scope> = Effect.gen(function* () {
  setFlagsFromString("--optimize-for-size")
  setFlagsFromString("--semi-space-growth-factor=1")
  // By less, and it would be collected three times a second: whoever asks something would wait for that.
  setFlagsFromString("--heap-growing-percent=40")
  yield* Effect.sync(collect)
  yield* Effect.sync(() => memoryUsage.rss()).pipe(
    Effect.delay("1 second"),
    Effect.repeat({ until: (resident) => resident > grown }),
    Effect.zipRight(Effect.sync(relax)),
    Effect.forkScoped
  )
})

const relax = (): void => {
  setFlagsFromString("--no-optimize-for-size")
  setFlagsFromString("--semi-space-growth-factor=2")
}

const collect = (): void => {
  setFlagsFromString("--expose-gc")
  runInNewContext("gc")()
}
