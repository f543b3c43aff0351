/** Which process a number stands for: numbers are given out again, starting times are not. */
import { readFileSync } from "node:fs"

/** When the process started, in the system's own units. Empty where there is no /proc, or no such process. */
export const startOf = (pid: number): string => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""
  } catch {
    return ""
  }
}

/** Whether the process that had this number and start is still there. */
export const isRunning = (pid: number, start: string): boolean => isAlive(pid) && startOf(pid) === start

const isAlive = (pid: number): boolean => {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Somebody else's process is a process.
    return typeof error === "object" && error !== null && "code" in error && error.code === "EPERM"
  }
}
