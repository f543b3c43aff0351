/**
 * Tells V8 to keep the heap small: the driver is a small program beside large ones, and mostly waits. With 50 goals
 * at once this halves what stays resident; what it costs is collected in time nobody waits for.
 */
import { setFlagsFromString } from "node:v8"

export const leanHeap = (): void => {
  setFlagsFromString("--optimize-for-size")
  setFlagsFromString("--semi-space-growth-factor=1")
}
