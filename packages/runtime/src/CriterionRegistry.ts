/**
 * The criteria that an application registers by name, for `Custom` criteria of
 * goals. Built in: `no_paths_touched` and `git_clean`.
 *
 * A criterion that says no is an answer; one that cannot answer is a
 * `CriterionError`. Time limits and redaction are the evaluator's.
 */
import type { Goal } from "@driver/domain/Goal"
import { decodeStrict } from "@driver/domain/StrictDecode"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Workspace, type WorkspaceError, type WorkspaceInfo } from "./Workspace.js"

/** The criterion could not answer: its arguments are wrong, or what it asks is away. Says nothing about the work. */
export class CriterionError extends Schema.TaggedError<CriterionError>()("CriterionError", {
  /** The registered name. */
  name: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `The criterion ${this.name} could not answer: ${this.detail}`
  }
}

export interface CriterionAnswer {
  readonly passed: boolean
  /** One sentence. The same finding gives the same sentence, so that repetition is noticed: no times in it. */
  readonly message: string
  /** What was seen. Bounded and redacted by the evaluator. */
  readonly evidence: Option.Option<string>
}

export interface CriterionContext {
  /** As the goal file has them: decode them. */
  readonly args: { readonly [name: string]: unknown }
  readonly goal: Goal
  readonly workspace: WorkspaceInfo
}

/** Runs on the workspace as it stands. May be interrupted by the evaluator's time limit. */
export type CustomCriterion = (context: CriterionContext) => Effect.Effect<CriterionAnswer, CriterionError>

export class CriterionRegistry extends Context.Tag("@driver/runtime/CriterionRegistry")<
  CriterionRegistry,
  {
    /** Registered names, sorted. */
    readonly names: ReadonlyArray<string>
    readonly find: (name: string) => Option.Option<CustomCriterion>
  }
>() {
  /** The built-in criteria and these; one of these with a built-in name takes its place. */
  static readonly layer = (
    custom: { readonly [name: string]: CustomCriterion } = {}
  ): Layer.Layer<CriterionRegistry, never, Workspace> =>
    Layer.effect(
      CriterionRegistry,
      Effect.map(Workspace, (workspace) => {
        const all = new Map(Object.entries({ ...builtIn(workspace), ...custom }))
        return { names: [...all.keys()].sort(), find: (name) => Option.fromNullable(all.get(name)) }
      })
    )
}

const builtIn = (workspace: Context.Tag.Service<Workspace>): { readonly [name: string]: CustomCriterion } => ({
  no_paths_touched: (context) =>
    Effect.gen(function* () {
      const { prefixes } = yield* argsOf("no_paths_touched", NoPathsTouched, context.args)
      const changed = yield* workspace.changedPaths(context.goal.id).pipe(Effect.mapError(awayAs("no_paths_touched")))
      const touched = changed.filter((path) => prefixes.some((prefix) => isBelow(path, prefix)))
      return touched.length === 0
        ? { passed: true, message: `nothing below ${prefixes.join(", ")} was touched`, evidence: Option.none() }
        : {
            passed: false,
            message: `${touched.length === 1 ? "a path was" : `${touched.length} paths were`} touched below ${prefixes.join(", ")}`,
            evidence: Option.some(listed(touched))
          }
    }),
  git_clean: (context) =>
    Effect.gen(function* () {
      yield* argsOf("git_clean", Schema.Struct({}), context.args)
      const clean = yield* workspace.isClean(context.goal.id).pipe(Effect.mapError(awayAs("git_clean")))
      return {
        passed: clean,
        message: clean
          ? "everything is committed"
          : "something is modified, staged or untracked: commit it or remove it",
        evidence: Option.none()
      }
    })
})

const NoPathsTouched = Schema.Struct({ prefixes: Schema.NonEmptyArray(Schema.NonEmptyString) })

const argsOf = <A, I>(name: string, schema: Schema.Schema<A, I>, args: unknown): Effect.Effect<A, CriterionError> =>
  Either.mapLeft(
    decodeStrict(schema)(args),
    (issues) =>
      new CriterionError({
        name,
        detail: `its arguments are wrong: ${issues.map((issue) => issue.message.replace("the document", "args")).join("; ")}`
      })
  )

const awayAs =
  (name: string) =>
  (error: WorkspaceError): CriterionError =>
    new CriterionError({ name, detail: error.message })

/** By whole segments: `src` covers `src` and `src/a`, not `srcs`. `.` and `/` cover everything. */
export const isBelow = (path: string, prefix: string): boolean => {
  const own = segments(path)
  return segments(prefix).every((segment, index) => own[index] === segment)
}

const segments = (path: string): ReadonlyArray<string> => {
  const done: Array<string> = []
  for (const segment of path.split("/")) {
    if (segment === "..") done.pop()
    else if (segment !== "" && segment !== ".") done.push(segment)
  }
  return done
}

const listed = (paths: ReadonlyArray<string>): string =>
  [...paths.slice(0, 50), ...(paths.length > 50 ? [`and ${paths.length - 50} more`] : [])].join("\n")
