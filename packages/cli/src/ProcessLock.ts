/**
 * A file that names the process which holds something, so that no other one takes
 * it. A file whose owner is dead is replaced.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { isRunning, startOf } from "./processIdentity.js"

/** Another process has the file, or nobody can have it. */
export class ProcessLockError extends Data.TaggedError("ProcessLockError")<{
  readonly file: string
  /** The living owner; undefined: the file cannot be written, and `detail` says why. */
  readonly pid: number | undefined
  readonly detail: string
}> {
  override get message() {
    return this.detail
  }
}

/** Holds the file until the scope closes. */
export const acquire = (file: string): Effect.Effect<void, ProcessLockError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => take(file),
      catch: (cause) =>
        cause instanceof ProcessLockError
          ? cause
          : new ProcessLockError({ file, pid: undefined, detail: `${file} cannot be written: ${String(cause)}` })
    }),
    () => Effect.sync(() => rmSync(file, { force: true }))
  )

const take = (file: string): void => {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const mine = `${process.pid} ${startOf(process.pid)}`
  // Each round either takes the file, meets a living owner, or moves a dead one's file out of the way.
  for (let round = 0; round < 20; round++) {
    try {
      writeFileSync(file, mine, { flag: "wx", mode: 0o600 })
      return
    } catch (error) {
      if (!isCode(error, "EEXIST")) throw error
    }
    const owner = ownerOf(file)
    if (owner === undefined) continue
    if (owner.alive) {
      throw new ProcessLockError({ file, pid: owner.pid, detail: `${file} belongs to the process ${owner.pid}` })
    }
    moveAside(file, owner.text)
  }
  throw new ProcessLockError({ file, pid: undefined, detail: `The lock ${file} changes all the time: try again` })
}

/** Two processes may see the same dead owner: what one of them moved must be what both saw. */
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
