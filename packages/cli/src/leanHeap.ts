/**
 * Tells V8 to keep the heap small: for a process that drives many goals and mostly waits. A daemon of 200 goals, 50 of them
 * at work, stays below 205 MB with it, and comes to some 340 without (`scripts/bench-daemon.ts`). It costs some 50 ms of a start,
 * so a process for one goal does without.
 */
import { setFlagsFromString } from "node:v8"

export const leanHeap = (): void => {
  setFlagsFromString("--optimize-for-size")
  setFlagsFromString("--semi-space-growth-factor=1")
  // By less, and it would be collected three times a second: whoever asks something would wait for that.
  setFlagsFromString("--heap-growing-percent=40")
}
