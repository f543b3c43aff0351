/**
 * Finds processes by what they inherited: the marker in their environment, and their parents. Looks only; whoever asks
 * does the killing.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import * as Node from "./nodeProcess.js"
import { wallClock } from "./wallClock.js"

/** The environment variable that a child and its descendants carry: `<owner>:<driver>:<unique>`. */
export const variable = "DRIVER_PROCESS_ID"

/**
 * Whether every process that was started after `pid` has a higher id. The system gives ids upwards, skips those that
 * are in use, and begins again at the top.
 */
export const idsOnlyGrew = (
  pid: number,
  before: ReturnType<typeof Node.forks>,
  after: ReturnType<typeof Node.forks>
): boolean =>
  before !== undefined &&
  after !== undefined &&
  after.count > before.count &&
  pid + (after.count - before.count) + before.living < after.highestPid

/** Repeats a look with its kills until it finds nobody. Resolves with false when that takes four seconds. */
export const untilNobody = (
  look: () => { readonly pids: ReadonlyArray<number>; readonly unclear: boolean }
): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    const deadline = (yield* Clock.currentTimeMillis) + 4000
    let looksAgain = 3
    for (;;) {
      const { pids, unclear } = look()
      if (pids.length === 0 && !(unclear && looksAgain-- > 0)) return true
      if ((yield* Clock.currentTimeMillis) > deadline) return false
      yield* Effect.sleep("2 millis")
    }
  }).pipe(wallClock)

/**
 * The living processes whose environment is told by `isWanted`, with all their descendants. `unclear` when a process
 * is just being replaced by another program and shows no environment.
 */
export const search = (
  isWanted: (environment: ReadonlyArray<string>) => boolean,
  { above = 0, spare = new Set() }: { readonly above?: number; readonly spare?: ReadonlySet<number> }
): { readonly pids: ReadonlyArray<number>; readonly unclear: boolean } => {
  const pids = (Node.allPids() ?? []).filter((pid) => pid > above && pid !== Node.ownPid && !spare.has(pid))
  const wanted = new Set<number>()
  let unclear = false
  for (const pid of pids) {
    const environment = Node.environment(pid)
    if (environment === undefined) continue
    if (environment.length > 0) {
      if (isWanted(environment)) wanted.add(pid)
    } else if (above > 0) {
      const status = Node.status(pid)
      if (status !== undefined && status.state !== "Z" && !status.isKernel) unclear = true
    }
  }
  if (wanted.size > 0) {
    const parents = pids.flatMap((pid) => {
      const status = Node.status(pid)
      return status === undefined || status.state === "Z" ? [] : [[pid, status.parent] as const]
    })
    let size = 0
    while (size !== wanted.size) {
      size = wanted.size
      for (const [pid, parent] of parents) if (wanted.has(parent)) wanted.add(pid)
    }
  }
  return { pids: [...wanted], unclear }
}

export const isGroupAlive = (group: number): boolean => {
  const pids = Node.allPids()
  if (pids === undefined) return true
  return pids.some((pid) => {
    const status = Node.status(pid)
    return status !== undefined && status.group === group && status.state !== "Z"
  })
}

export const ancestorsOf = (pid: number): ReadonlySet<number> => {
  const ancestors = new Set<number>()
  for (let it = Node.status(pid)?.parent ?? 0; it > 0 && !ancestors.has(it); it = Node.status(it)?.parent ?? 0) {
    ancestors.add(it)
  }
  return ancestors
}

/** "<set of process ids>.<process id>.<start>": names one driver for good, as long as the machine runs. */
export const driverIdentity = globalValue(
  "@driver/agent/Subprocess/driverIdentity",
  () => `${Node.pidNamespace()}.${Node.ownPid}.${Node.status("self")?.startTime ?? "0"}`
)

/** Whether the driver that started a process runs, as far as can be seen. A driver that counts otherwise may run. */
export const hasLivingDriver = (environment: ReadonlyArray<string>): boolean => {
  const marker = environment.find((entry) => entry.startsWith(`${variable}=`))
  const [, namespace, pid, startTime] = /:(\d+)\.(\d+)\.(\d+):[^:]*$/.exec(marker ?? "") ?? []
  if (namespace === undefined) return false
  if (namespace !== Node.pidNamespace()) return true
  const status = Node.status(Number(pid))
  return status !== undefined && status.startTime === startTime && status.state !== "Z"
}
