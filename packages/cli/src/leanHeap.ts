/**
 * Tells V8 to keep the heap small: for a process that drives many goals and mostly waits. It costs some 50 ms of a start, so
 * a process for one goal does without.
 *
 * In a process that has grown all the same, collecting to the last byte keeps callers waiting: from then on V8 does so no
 * more. With 200 goals, 50 of them at work, the slowest of a hundred cancels took 112 to 139 ms before and 65 to 97 ms
 * with that, for some 80 MB more (`scripts/bench-daemon.ts`).
 */
import { memoryUsage } from "node:process"
import { setFlagsFromString } from "node:v8"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Bytes that are resident. */
const grown = 220 * 2 ** 20

export const leanHeap: Effect.Effect<void, never, Scope.Scope> = Effect.gen(function* () {
  setFlagsFromString("--optimize-for-size")
  setFlagsFromString("--semi-space-growth-factor=1")
  // By less, and it would be collected three times a second: whoever asks something would wait for that.
  setFlagsFromString("--heap-growing-percent=40")
  yield* Effect.sync(() => memoryUsage.rss()).pipe(
    Effect.delay("1 second"),
    Effect.repeat({ until: (resident) => resident > grown }),
    Effect.zipRight(Effect.sync(() => setFlagsFromString("--no-optimize-for-size"))),
    Effect.forkScoped
  )
})
