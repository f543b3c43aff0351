/** The decider that follows rules: it looks up where the paths of a request lead, and lets `Rules` judge. */
import { AllowOnce, AllowSession, Deny, type PermissionRequest } from "@driver/domain/Permission"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Cache from "effect/Cache"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { type PathFact, type Root, resolvePath, resolveRoot } from "./internal/resolvePath.js"
import { PermissionDecider } from "./PermissionDecider.js"
import * as Rules from "./Rules.js"

export interface Options {
  /** Asked before the built-in rules, the first match wins. */
  readonly rules?: ReadonlyArray<Rules.Rule>
  /** Absolute paths of what belongs to the driver: never written, also where they lie in a workspace. */
  readonly protectedPaths?: ReadonlyArray<string>
}

/** Allows what is known to be harmless inside the workspace and the goal's own commands; denies the rest with a reason. */
export const layer = (
  options: Options = {}
): Layer.Layer<PermissionDecider, never, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    PermissionDecider,
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const rules = options.rules ?? []
      // A workspace stays where it is; should it move all the same, what is asked until this is noticed is denied.
      const roots = yield* Cache.makeWith({
        capacity: 256,
        lookup: (workspace: string) => resolveRoot(fs, path, workspace, options.protectedPaths ?? []),
        timeToLive: (found) => (Exit.isSuccess(found) && found.value !== undefined ? "10 seconds" : "0 seconds")
      })
      return {
        decide: Effect.fnUntraced(function* (request, { criteriaCommands }) {
          const paths = yield* factsOf(fs, path, request, roots.get(request.workspace))
          const { rationale, verdict } = Rules.evaluate(rules, request, { criteriaCommands, paths })
          if (verdict._tag === "Deny") return new Deny({ message: verdict.message, rationale })
          return verdict.forSession ? new AllowSession({ scope: "session", rationale }) : new AllowOnce({ rationale })
        })
      }
    })
  )

const factsOf = (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  request: PermissionRequest,
  workspaceRoot: Effect.Effect<Root | undefined>
): Effect.Effect<ReadonlyMap<string, PathFact>> =>
  Effect.gen(function* () {
    const named = Rules.pathsOf(request)
    if (named.length === 0) return new Map()
    const root = yield* workspaceRoot
    if (root === undefined) {
      return new Map(named.map((it) => [it, { _tag: "Unclear", why: "the workspace cannot be read" } as const]))
    }
    const facts = yield* Effect.forEach(named, (it) =>
      Effect.map(resolvePath(fs, path, root, it), (fact) => [it, fact] as const)
    )
    return new Map(facts)
  })
