/**
 * Keeps two drivers from working on one goal at once: a file per goal in the state
 * directory that names its owner's process. A file whose owner is dead is replaced.
 *
 * Within one process the runtime's `Driver` refuses a second goal by itself.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { GoalId } from "@driver/domain/Goal"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { isRunning, startOf } from "./processIdentity.js"
import { RunError } from "./RunGoal.js"

/** Holds the goal until the scope closes. */
export const acquire = (directory: string, goalId: GoalId): Effect.Effect<void, RunError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => take(join(directory, "locks"), goalId),
      catch: (cause) =>
        cause instanceof RunError
          ? cause
          : new RunError({ detail: `The state directory ${directory} cannot be written: ${String(cause)}` })
    }),
    (file) => Effect.sync(() => rmSync(file, { force: true }))
  ).pipe(Effect.asVoid)

const take = (directory: string, goalId: GoalId): string => {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const file = join(directory, `${goalId}.lock`)
  const mine = `${process.pid} ${startOf(process.pid)}`
  // Each round either takes the file, meets a living owner, or moves a dead one's file out of the way.
  for (let round = 0; round < 20; round++) {
    try {
      writeFileSync(file, mine, { flag: "wx", mode: 0o600 })
      return file
    } catch (error) {
      if (!isCode(error, "EEXIST")) throw error
    }
    const owner = ownerOf(file)
    if (owner === undefined) continue
    if (owner.alive) {
      throw new RunError({
        detail: `The goal ${goalId} is being worked on by another driver (process ${owner.pid}): wait for it, cancel it with Ctrl-C there, or give this goal another id`
      })
    }
    moveAside(file, owner.text)
  }
  throw new RunError({ detail: `The lock ${file} changes all the time: try again` })
}

/** Two drivers may see the same dead owner: what one of them moved must be what both saw. */
const moveAside = (file: string, seen: string): void => {
  const aside = `${file}.${process.pid}`
  try {
    renameSync(file, aside)
    if (readFileSync(aside, "utf8") !== seen) linkSync(aside, file)
  } catch (error) {
    if (!isCode(error, "ENOENT") && !isCode(error, "EEXIST")) throw error
  } finally {
    rmSync(aside, { force: true })
  }
}

interface Owner {
  readonly pid: number
  readonly text: string
  readonly alive: boolean
}

const ownerOf = (file: string): Owner | undefined => {
  try {
    const text = readFileSync(file, "utf8")
    const [pid = "0", start = ""] = text.split(" ")
    return { pid: Number(pid), text, alive: isRunning(Number(pid), start) }
  } catch (error) {
    if (isCode(error, "ENOENT")) return undefined
    throw error
  }
}

const isCode = (error: unknown, code: string): boolean =>
  typeof error === "object" && error !== null && "code" in error && error.code === code
