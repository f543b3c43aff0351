/**
 * From what git and the file system say to a `WorkspaceError` that a caller can act on.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as Effect from "effect/Effect"
import type { GitError } from "../Git.js"
import { WorkspaceError } from "../Workspace.js"

type Failure = WorkspaceError | GitError | PlatformError

/** The reason that a sentence of git's or of the system's stands for, when it is one that has a reaction of its own. */
export const reasonOf = (detail: string): "disk_full" | "read_only" | undefined => {
  if (/ENOSPC|EDQUOT|No space left on device|Disk quota exceeded/.test(detail)) {
    return "disk_full"
  }
  if (/EROFS|EACCES|EPERM|Read-only file system|Permission denied|Operation not permitted/.test(detail)) {
    return "read_only"
  }
  return undefined
}

const advice = {
  disk_full: "free some space there and try again",
  read_only: "make it writable for the driver, or choose another directory"
}

export const toWorkspaceError =
  (operation: string) =>
  (failure: Failure): WorkspaceError => {
    switch (failure._tag) {
      case "WorkspaceError":
        return failure
      case "GitError": {
        if (failure.reason === "timeout") {
          return new WorkspaceError({ operation, reason: "timeout", detail: failure.message })
        }
        if (failure.reason === "directory") {
          return new WorkspaceError({ operation, reason: "io_failed", detail: failure.message })
        }
        if (failure.reason === "spawn") {
          return new WorkspaceError({
            operation,
            reason: "git_failed",
            detail: `${failure.message}; install git 2.38 or later and see that it is on the PATH`
          })
        }
        const reason = reasonOf(failure.detail)
        return reason === undefined
          ? new WorkspaceError({ operation, reason: "git_failed", detail: failure.message })
          : new WorkspaceError({ operation, reason, detail: `${failure.message}; ${advice[reason]}` })
      }
      default: {
        const reason = failure._tag === "SystemError" && failure.reason === "PermissionDenied" ? "read_only" : undefined
        const known = reason ?? reasonOf(failure.message)
        return known === undefined
          ? new WorkspaceError({ operation, reason: "io_failed", detail: failure.message })
          : new WorkspaceError({ operation, reason: known, detail: `${failure.message}; ${advice[known]}` })
      }
    }
  }

/** Makes every failure of an operation a `WorkspaceError` that names it. */
export const failingAs =
  (operation: string) =>
  <A, R>(effect: Effect.Effect<A, Failure, R>): Effect.Effect<A, WorkspaceError, R> =>
    Effect.mapError(effect, toWorkspaceError(operation))
