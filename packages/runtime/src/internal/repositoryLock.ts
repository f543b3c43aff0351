/**
 * One driver at a time adds or removes worktrees of a repository: git's own lock fails, rather
 * than waits, when ten goals start together. Fibers of this process queue on a semaphore;
 * other processes are kept out by a file in the repository's git directory, which names its
 * owner so that the lock of a driver that was killed is broken at once.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as RcMap from "effect/RcMap"
import * as Scope from "effect/Scope"
import { WorkspaceError } from "../Workspace.js"

export const lockFileName = "driver-worktrees.lock"

/** Milliseconds. What is done under the lock takes well under a second each. */
const patience = 60_000
const staleAge = 90_000

/** One permit per key; keys that nobody uses take no memory. */
export const makeKeyedMutex: Effect.Effect<
  (key: string) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
  never,
  Scope.Scope
> = Effect.gen(function* () {
  const semaphores = yield* RcMap.make({ lookup: (_: string) => Effect.makeSemaphore(1) })
  return (key) => (effect) =>
    Effect.scopedWith((scope) =>
      RcMap.get(semaphores, key).pipe(
        Effect.provideService(Scope.Scope, scope),
        Effect.flatMap((semaphore) => semaphore.withPermits(1)(effect))
      )
    )
})

/** Runs an effect while holding the lock of the repository with this git directory. */
export const makeRepositoryLock = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const mutex = yield* makeKeyedMutex

  /** `<pid> <start time>` of a process, where the system tells. */
  const identityOf = (process: string) =>
    fs.readFileString(`/proc/${process}/stat`).pipe(
      Effect.map((stat) => {
        const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
        return `${stat.slice(0, stat.indexOf(" "))} ${fields[19] ?? ""}`
      }),
      Effect.option
    )
  const self = yield* identityOf("self")
  const nonce = yield* Random.nextIntBetween(0, 2 ** 30)
  const owner = `${Option.getOrElse(self, () => "unknown")} ${nonce}\n`

  /** True when the lock's owner is gone, or has held it for longer than anything takes. */
  const isStale = Effect.fnUntraced(function* (file: string, content: string) {
    const [pid = "", started = ""] = content.trim().split(" ")
    if (Option.isSome(self) && /^[0-9]+$/.test(pid)) {
      const holder = yield* identityOf(pid)
      if (!Option.contains(holder, `${pid} ${started}`)) {
        return true
      }
    }
    const info = yield* fs.stat(file)
    const now = yield* Clock.currentTimeMillis
    return now - Option.match(info.mtime, { onNone: () => now, onSome: (time) => time.getTime() }) > staleAge
  })

  /** Moves a stale lock away. Two drivers may judge the same lock: who has moved a fresh one puts it back. */
  const breakLock = Effect.fnUntraced(function* (file: string, judged: string) {
    const aside = `${file}.${nonce}`
    yield* fs.rename(file, aside)
    if ((yield* fs.readFileString(aside)) !== judged) {
      yield* fs.link(aside, file)
    } else {
      yield* Effect.logWarning(`Removed ${file}: the driver that held it is gone`)
    }
    yield* fs.remove(aside, { force: true })
  })

  const acquire = (
    file: string,
    deadline: number,
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  ): Effect.Effect<void, PlatformError | WorkspaceError> =>
    fs.writeFileString(file, owner, { flag: "wx" }).pipe(
      Effect.catchIf(
        (error) => error._tag === "SystemError" && error.reason === "AlreadyExists",
        () =>
          Effect.gen(function* () {
            const content = yield* fs.readFileString(file).pipe(Effect.orElseSucceed(() => ""))
            // An empty one is being written, or was left so by a kill: its age decides.
            if (yield* isStale(file, content).pipe(Effect.orElseSucceed(() => false))) {
              yield* Effect.ignore(breakLock(file, content))
            } else if ((yield* Clock.currentTimeMillis) > deadline) {
              return yield* new WorkspaceError({
                operation: "lock the repository",
                reason: "timeout",
                detail: `another driver holds ${file} for more than ${patience / 1000} s; see that it ends, or remove the file`
              })
            }
            yield* restore(Effect.sleep("30 millis"))
            return yield* acquire(file, deadline, restore)
          })
      )
    )

  return (common: string) =>
    <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | PlatformError | WorkspaceError, R> => {
      const file = path.join(common, lockFileName)
      return Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const now = yield* Clock.currentTimeMillis
          yield* acquire(file, now + patience, restore)
          return yield* restore(effect).pipe(Effect.ensuring(Effect.ignoreLogged(fs.remove(file, { force: true }))))
        })
      ).pipe(mutex(common))
    }
})
