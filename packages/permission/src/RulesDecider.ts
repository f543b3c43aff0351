/**
 * The decider that follows rules: it has commands analyzed, looks up where the paths
 * of a call lead, and lets `Rules` judge. What they hand on goes to the model or to a person.
 */
import { AllowOnce, AllowSession, Deny, type PermissionRequest } from "@driver/domain/Permission"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Cache from "effect/Cache"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { AskDecider } from "./AskDecider.js"
import { type Call, pathsOf, readCall } from "./CallAnalysis.js"
import { CommandAnalyzer } from "./CommandAnalyzer.js"
import { type PathFact, type Root, readPath, resolvePattern, resolveRoot } from "./internal/resolvePath.js"
import { LlmDecider } from "./LlmDecider.js"
import { PermissionDecider } from "./PermissionDecider.js"
import { type PresetName, presets } from "./Presets.js"
import * as Rules from "./Rules.js"

export interface Options {
  /** Asked before those of the preset, the first match wins. */
  readonly rules?: ReadonlyArray<Rules.Rule>
  /** Default: `default`. */
  readonly preset?: PresetName
  /** Absolute paths of what belongs to the driver: never written, also where they lie in a workspace. */
  readonly protectedPaths?: ReadonlyArray<string>
  /** Files of the workspace, relative to it, that say what agents may do: never written. */
  readonly protectedFiles?: ReadonlyArray<string>
  /**
   * `follow` looks up where links lead. `text` takes every path as it is written, for workspaces that are no longer
   * there. Default: `follow`.
   */
  readonly links?: "follow" | "text"
}

/** What was found about a call, and what the rules say of it. */
export interface Judgement {
  readonly evaluation: Rules.Evaluation
  readonly call: Call
  readonly paths: ReadonlyMap<string, PathFact>
}

/** Judges calls by the rules alone. What it was built with cannot be changed by anything that happens later. */
export const makeJudge = (
  options: Options = {}
): Effect.Effect<
  (request: PermissionRequest, criteriaCommands: ReadonlyArray<string>) => Effect.Effect<Judgement>,
  never,
  FileSystem.FileSystem | Path.Path | CommandAnalyzer
> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const { analyze } = yield* CommandAnalyzer
    const rules = Rules.compile(options.rules ?? [], presets[options.preset ?? "default"])
    const files = (options.protectedFiles ?? []).map((it) => path.normalize(it))
    // A workspace stays where it is; should it move all the same, what is asked until this is noticed is denied.
    const roots = yield* Cache.makeWith({
      capacity: 256,
      lookup: (workspace: string) =>
        resolveRoot(fs, path, workspace, [
          ...(options.protectedPaths ?? []),
          ...files.map((it) => path.join(workspace, it))
        ]),
      timeToLive: (found) => (Exit.isSuccess(found) && found.value !== undefined ? "10 seconds" : "0 seconds")
    })
    const follow = (workspace: string, named: ReadonlyArray<string>) =>
      Effect.flatMap(roots.get(workspace), (root) => resolveAll(fs, path, root, named))
    const read = (workspace: string, named: ReadonlyArray<string>) =>
      Effect.succeed(new Map(named.map((it) => [it, readPath(path, workspace, it)])))
    const resolve = options.links === "text" ? read : follow

    return (request, criteriaCommands) =>
      Effect.suspend(() => {
        const call = readCall(request, (command) => analyze(command, { cwd: request.workspace }))
        const named = pathsOf(call)
        const facts =
          named.length === 0 ? Effect.succeed(new Map<string, PathFact>()) : resolve(request.workspace, named)
        return Effect.map(facts, (paths) => ({
          evaluation: Rules.evaluate(rules, call, { criteriaCommands, paths }),
          call,
          paths
        }))
      })
  })

/** What the rules allow is allowed, what they deny is denied with a reason; the rest is asked of whom they name. */
export const layer = (
  options: Options = {}
): Layer.Layer<
  PermissionDecider,
  never,
  FileSystem.FileSystem | Path.Path | CommandAnalyzer | LlmDecider | AskDecider
> =>
  Layer.effect(
    PermissionDecider,
    Effect.gen(function* () {
      const judge = yield* makeJudge(options)
      const llm = yield* LlmDecider
      const person = yield* AskDecider
      return {
        decide: Effect.fnUntraced(function* (request, context) {
          const { evaluation } = yield* judge(request, context.criteriaCommands)
          const { rationale, verdict } = evaluation
          switch (verdict._tag) {
            case "Deny":
              return new Deny({ message: verdict.message, rationale })
            case "Allow":
              return verdict.for === "once"
                ? new AllowOnce({ rationale }, asGiven)
                : new AllowSession({ scope: verdict.for, rationale }, asGiven)
            case "Llm":
              return yield* llm.decide(request, context, verdict.why)
            case "Ask":
              return yield* person.decide(request, context, verdict.why)
          }
        })
      }
    })
  )

/** The gate looks at what it gets: it need not be looked at twice. */
const asGiven = { disableValidation: true } as const

const resolveAll = (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  root: Root | undefined,
  named: ReadonlyArray<string>
): Effect.Effect<ReadonlyMap<string, PathFact>> =>
  root === undefined
    ? Effect.succeed(
        new Map(named.map((it) => [it, { _tag: "Unclear", why: "the workspace cannot be read" } as const]))
      )
    : Effect.map(
        Effect.forEach(named, (it) => Effect.map(resolvePattern(fs, path, root, it), (fact) => [it, fact] as const)),
        (facts) => new Map(facts)
      )
