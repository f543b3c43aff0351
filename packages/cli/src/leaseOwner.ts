/** How this process is named to those that want its goals, and whether a process that is named so still lives. */
import { readFileSync, readlinkSync } from "node:fs"
import { hostname } from "node:os"
import { isRunning, startOf } from "./processIdentity.js"

/** `host pid start place`: `place` tells one start of the machine, and one container on it, from another. */
export const leaseOwner = (): string =>
  [hostname().replace(/\s+/g, "-"), process.pid, startOf(process.pid), place()].join(" ")

/** Of a process elsewhere, or where the system has no /proc, nothing is known. */
export const liveness = (owner: string): "alive" | "gone" | "unknown" => {
  const [, pid = "", start = "", where = ""] = owner.split(" ")
  if (start === "" || where === "" || where !== place()) return "unknown"
  return isRunning(Number(pid), start) ? "alive" : "gone"
}

/** Empty where there is no /proc. */
const place = (): string => {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").slice(0, 8)
    const namespace = /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? ""
    return `${boot}-${namespace}`
  } catch {
    return ""
  }
}
