/**
 * What goes wrong inside a `Workspace`, before `workspaceErrors.ts` makes one kind of it.
 */
import type { PlatformError } from "@effect/platform/Error"
import type { GitError } from "../Git.js"
import { WorkspaceError } from "../Workspace.js"

/** Of git, of the file system, or said in words of our own already. */
export type Failure = WorkspaceError | GitError | PlatformError

/** A failure in words of our own; `detail` says what to do. */
export const fail = (operation: string, reason: WorkspaceError["reason"], detail: string) =>
  new WorkspaceError({ operation, reason, detail })
