/**
 * `Workspace` over git: one worktree per goal below a root, on branch `driver/<goal-id>`.
 *
 *     <root>/<goal-id>                         the worktree; nothing of the driver's own lies in it
 *     refs/heads/driver/<goal-id>              the branch, never reset by `ensure`
 *     refs/driver/<goal-id>/base               the commit the goal started from
 *     refs/driver/<goal-id>/<n>                checkpoint n
 *     <stateDirectory>/workspaces/<goal-id>/   which repository and directory; our index of it
 *
 * Owns those, and the worktree's registration in the repository. Where the worktree's git directory is
 * it asks the main repository, not the worktree's `.git` file, which an agent can rewrite.
 * How snapshots are taken, and why nothing that a repository configures runs, is said in `internal/snapshots.ts`.
 * The repository is found by `internal/repositories.ts`, a goal's worktree by `internal/worktreeRecords.ts`; the work is
 * done in `internal/worktrees.ts` (`ensure`), `worktreeChanges.ts`, `worktreeDelivery.ts` and `worktreeCleanup.ts`.
 *
 * Filters (`git lfs`, `git-crypt`) are programs that a repository names, so none is run: such files are
 * checked out as they are stored.
 */
import type { Goal, GoalId } from "@driver/domain/Goal"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Git } from "./Git.js"
import { makeRepositories } from "./internal/repositories.js"
import { makeKeyedMutex } from "./internal/repositoryLock.js"
import { makeSnapshots, toCheckpoint, toTheEnd } from "./internal/snapshots.js"
import { failingAs } from "./internal/workspaceErrors.js"
import type { Failure } from "./internal/workspaceFailure.js"
import { makeWorktreeChanges } from "./internal/worktreeChanges.js"
import { makeWorktreeCleanup } from "./internal/worktreeCleanup.js"
import { makeWorktreeDelivery } from "./internal/worktreeDelivery.js"
import { makeWorktreeRecords } from "./internal/worktreeRecords.js"
import { makeWorktrees } from "./internal/worktrees.js"
import { Workspace } from "./Workspace.js"

export interface WorkspaceGitOptions {
  /** A directory in the repository to work on, or a bare one. A goal's `worktree.source_repo` is relative to it. */
  readonly repository: string
  /** Where the worktrees lie. Made when absent; not inside a work tree, unless ignored there. */
  readonly root: string
  /** The driver's own directory. */
  readonly stateDirectory: string
  /** What new goals start from: anything `git rev-parse` takes. Default `HEAD`. */
  readonly base?: string
}

export const layer = (
  options: WorkspaceGitOptions
): Layer.Layer<Workspace, never, Git | FileSystem.FileSystem | Path.Path> => Layer.scoped(Workspace, make(options))

const make = Effect.fnUntraced(function* (options: WorkspaceGitOptions) {
  const snapshots = yield* makeSnapshots
  const exclusively = yield* makeKeyedMutex
  // Of many goals that start together: more at once would not be ready earlier, and would keep the processors from those at work.
  const oneAtATime = yield* Effect.makeSemaphore(1)
  const repositories = yield* makeRepositories(options)
  const records = yield* makeWorktreeRecords(options, repositories)
  const worktrees = yield* makeWorktrees(options, repositories, records)
  const changes = yield* makeWorktreeChanges(repositories, records)
  const { deliver } = yield* makeWorktreeDelivery(repositories, records, changes)
  const { cleanup, entryOf, pruneOne } = yield* makeWorktreeCleanup(repositories, records, worktrees, changes)
  const { knownGoals, openDirectory } = records
  const { ensure } = worktrees
  const { changedPaths, diff, isClean } = changes

  const within =
    (operation: string, goalId: GoalId) =>
    <A>(effect: Effect.Effect<A, Failure>) =>
      effect.pipe(exclusively(goalId), failingAs(operation))

  return Workspace.of({
    ensure: (goal) => ensure(goal).pipe(oneAtATime.withPermits(1), within("ensure", goal.id)),
    checkpoint: Effect.fn("WorkspaceGit.checkpoint")((goalId: GoalId, label: string) =>
      openDirectory("checkpoint", goalId).pipe(
        Effect.flatMap(({ store }) => snapshots.checkpoint(store, label)),
        Effect.map(toCheckpoint),
        within("checkpoint", goalId)
      )
    ),
    rollback: Effect.fn("WorkspaceGit.rollback")((goalId: GoalId, to) =>
      openDirectory("rollback", goalId).pipe(
        Effect.flatMap(({ store }) =>
          snapshots
            .find(store, to, "rollback")
            .pipe(Effect.flatMap((target) => toTheEnd(snapshots.restore(store, target, `before rollback to ${to}`))))
        ),
        Effect.map(toCheckpoint),
        within("rollback", goalId)
      )
    ),
    diffStat: Effect.fn("WorkspaceGit.diffStat")((goalId: GoalId, since) =>
      openDirectory("diffStat", goalId).pipe(
        Effect.flatMap(({ store }) => snapshots.diffStat(store, since)),
        within("diffStat", goalId)
      )
    ),
    changedPaths: (goalId) => changedPaths(goalId).pipe(within("changedPaths", goalId)),
    diff: (goalId, maxBytes) => diff(goalId, maxBytes).pipe(within("diff", goalId)),
    isClean: (goalId) => isClean(goalId).pipe(within("isClean", goalId)),
    deliver: Effect.fn("WorkspaceGit.deliver")((goal: Goal, delivery) =>
      toTheEnd(deliver(goal, delivery)).pipe(within("deliver", goal.id))
    ),
    cleanup: Effect.fn("WorkspaceGit.cleanup")((goalId: GoalId, cleanupOptions) =>
      cleanup(goalId, cleanupOptions?.force ?? false).pipe(within("cleanup", goalId))
    ),
    list: knownGoals.pipe(
      Effect.flatMap((goalIds) =>
        Effect.forEach(goalIds, (goalId) => entryOf(goalId).pipe(within("list", goalId)), { concurrency: 4 })
      ),
      Effect.map((entries) => entries.flatMap(Option.toArray)),
      failingAs("list")
    ),
    prune: Effect.fn("WorkspaceGit.prune")(function* (goalIds, pruneOptions) {
      const outcomes = yield* Effect.forEach(
        goalIds,
        (goalId) =>
          pruneOne(goalId, pruneOptions?.force ?? false).pipe(
            within("prune", goalId),
            // One goal's trouble does not keep the others.
            Effect.catchAll((error) => Effect.succeed(error.detail)),
            Effect.map((reason) => ({ goalId, reason }))
          ),
        { concurrency: 4 }
      )
      return {
        removed: outcomes.flatMap(({ goalId, reason }) => (reason === undefined ? [goalId] : [])),
        kept: outcomes.flatMap(({ goalId, reason }) => (reason === undefined ? [] : [{ goalId, reason }]))
      }
    })
  })
})
