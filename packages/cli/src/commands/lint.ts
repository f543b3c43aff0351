/**
 * `driver lint`: says what is wrong with a goal file and the configuration, and what
 * is probably not meant: criteria that nobody can fail, that hold already, or that
 * cannot even run.
 */
import { type AcceptanceCriterion, Goal, GoalId } from "@driver/domain/Goal"
import type { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { Acceptance } from "@driver/runtime/Acceptance"
import { checkPattern } from "@driver/runtime/BoundedRegex"
import { Workspace } from "@driver/runtime/Workspace"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { EndWith } from "../exitCode.js"
import { type LoadedGoal, loadGoal } from "../Goals.js"
import { Host } from "../Host.js"
import { describeIssue, type InputIssue } from "../InputError.js"
import { plural } from "../Render.js"
import { defaultSettings, loadSettings, type Settings } from "../Settings.js"
import { printable } from "../Text.js"
import { marks, paint, themeOf } from "../Theme.js"

export interface LintArguments {
  readonly goal: string
  readonly config: Option.Option<string>
  /** Do not run the criteria on the base. */
  readonly noRun: boolean
  /** Warnings end with 1. */
  readonly strict: boolean
  readonly json: boolean
}

export const lint = <E extends { readonly message: string }, R>(
  args: LintArguments,
  layer: (settings: Settings) => Layer.Layer<Workspace | Acceptance, E, R>
) =>
  Effect.gen(function* () {
    const settings = yield* Effect.either(loadSettings({ config: args.config }))
    // A configuration that is wrong does not keep the goal from being looked at.
    const loaded = yield* Effect.either(
      loadGoal(args.goal, yield* Either.match(settings, { onLeft: () => defaultSettings, onRight: Effect.succeed }))
    )
    const patterns = yield* Either.match(loaded, {
      onLeft: () => Effect.succeed([]),
      onRight: ({ file, goal }) => patternIssues(goal, file)
    })
    const errors = [
      ...Either.match(settings, { onLeft: ({ issues }) => issues, onRight: () => [] }),
      ...Either.match(loaded, { onLeft: ({ issues }) => issues, onRight: () => patterns })
    ]
    if (Either.isLeft(settings) || Either.isLeft(loaded) || errors.length > 0) {
      yield* report({ errors, warnings: [], base: Option.none() }, args)
      return yield* new EndWith({ code: 2 })
    }
    const rehearsed = yield* rehearse(loaded.right, settings.right, args, layer)
    const warnings = [...loaded.right.warnings, ...rehearsed.warnings]
    yield* report({ errors, warnings, base: rehearsed.verdict }, args)
    if (args.strict && warnings.length > 0) return yield* new EndWith({ code: 1 })
  })

/** Patterns that the evaluator could not compile. */
export const patternIssues = (goal: Goal, file: string): Effect.Effect<ReadonlyArray<InputIssue>> =>
  Effect.gen(function* () {
    const issues: Array<InputIssue> = []
    for (const [index, criterion] of goal.acceptance.entries()) {
      for (const { key, pattern } of patternsOf(criterion)) {
        const checked = yield* Effect.either(checkPattern(pattern))
        if (Either.isRight(checked)) continue
        const path = `acceptance[${index}].${key}`
        const { construct, detail } = checked.left
        const got = JSON.stringify(pattern)
        issues.push({
          file,
          path,
          message: `${path}: expected a regular expression in RE2 syntax, got ${got}: ${construct === "" ? "" : `at ${construct}: `}${detail}`,
          expected: "a regular expression in RE2 syntax",
          got
        })
      }
    }
    return issues
  })

const patternsOf = (
  criterion: AcceptanceCriterion
): ReadonlyArray<{ readonly key: string; readonly pattern: string }> => {
  switch (criterion._tag) {
    case "Shell":
      return Option.match(criterion.stdoutMustMatch, {
        onNone: () => [],
        onSome: (pattern) => [{ key: "stdout_must_match", pattern }]
      })
    case "FileMatches":
      return [{ key: "regex", pattern: criterion.regex }]
    case "Custom":
    case "LlmJudge":
      return []
  }
}

interface Rehearsed {
  readonly warnings: ReadonlyArray<InputIssue>
  readonly verdict: Option.Option<AcceptanceVerdict>
}

/** Runs the criteria in a workspace of their own on the base, and removes it. What goes wrong with that is a warning. */
const rehearse = <E extends { readonly message: string }, R>(
  loaded: LoadedGoal,
  settings: Settings,
  args: LintArguments,
  layer: (settings: Settings) => Layer.Layer<Workspace | Acceptance, E, R>
): Effect.Effect<Rehearsed, never, R | Host> =>
  Effect.gen(function* () {
    const skipped = (message: string): Rehearsed => ({
      warnings: [{ file: loaded.file, path: "", message }],
      verdict: Option.none()
    })
    if (args.noRun || loaded.goal.acceptance.length === 0) return { warnings: [], verdict: Option.none() }
    if (
      settings.config.workspace === "git" &&
      Option.isNone(settings.repository) &&
      !("worktree.source_repo" in loaded.goal.metadata)
    ) {
      return skipped("the criteria were not run: this is not inside a git repository (--no-run does without)")
    }
    const host = yield* Host
    const goal = new Goal({ ...loaded.goal, id: GoalId.make(yield* host.uuid) })
    const verdict = yield* Effect.gen(function* () {
      const workspace = yield* Workspace
      const acceptance = yield* Acceptance
      return yield* Effect.acquireUseRelease(
        workspace.ensure(goal),
        (info) => acceptance.evaluate(goal, info),
        () =>
          workspace.prune([goal.id], { force: true }).pipe(
            Effect.flatMap(({ kept }) =>
              Effect.forEach(kept, ({ reason }) =>
                host.stderr.write(`warning: the workspace that the criteria ran in is still there: ${reason}\n`)
              )
            ),
            Effect.catchAll((error) => host.stderr.write(`warning: ${printable(error.message)}\n`))
          )
      )
    }).pipe(Effect.provide(layer(settings)), Effect.either)
    return Either.match(verdict, {
      onLeft: (error) => skipped(`the criteria could not be run on the base: ${printable(error.message)}`),
      onRight: (it) => ({ warnings: verdictWarnings(loaded, it), verdict: Option.some(it) })
    })
  })

/** What a verdict on untouched work says about the criteria. Pure. */
export const verdictWarnings = (
  loaded: Pick<LoadedGoal, "goal" | "file">,
  verdict: AcceptanceVerdict
): ReadonlyArray<InputIssue> => {
  const cannotRun = verdict.results.flatMap((result) => {
    const reason = unrunnable(loaded.goal.acceptance[result.index], result)
    const path = `acceptance[${result.index}]`
    return reason === undefined ? [] : [{ file: loaded.file, path, message: `${path}: ${reason}` }]
  })
  const already: ReadonlyArray<InputIssue> =
    verdict.met && verdict.results.length > 0
      ? [
          {
            file: loaded.file,
            path: "acceptance",
            message:
              "acceptance: every criterion passes on the base already: an agent that does nothing would be accepted. Add one that fails until the work is done"
          }
        ]
      : []
  return [...cannotRun, ...already]
}

/** A shell answers 127 when there is no such program and 126 when it may not be run. */
export const unrunnable = (criterion: AcceptanceCriterion | undefined, result: CriterionResult): string | undefined => {
  if (result.passed || criterion?._tag !== "Shell") return undefined
  const code = /\b(126|127)\b/.exec(result.message)?.[1]
  if (code === undefined) return undefined
  const evidence = Option.match(result.evidence, { onNone: () => "", onSome: (text) => printable(text).slice(-200) })
  return `the command cannot run on the base (exit code ${code}${evidence === "" ? "" : `: ${evidence}`}). That is fine only when the goal is to make it exist`
}

interface Findings {
  readonly errors: ReadonlyArray<InputIssue>
  readonly warnings: ReadonlyArray<InputIssue>
  /** What the criteria said of the base, when they were run. */
  readonly base: Option.Option<AcceptanceVerdict>
}

const encodeIssue = (issue: InputIssue) => ({
  file: issue.file,
  line: issue.position?.line ?? null,
  column: issue.position?.column ?? null,
  path: issue.path,
  message: issue.message,
  expected: issue.expected ?? null,
  got: issue.got ?? null,
  suggestion: issue.suggestion ?? null
})

const report = (
  { base, errors, warnings }: Findings,
  { goal, json }: LintArguments
): Effect.Effect<void, never, Host> =>
  Effect.gen(function* () {
    const { environment, stdout } = yield* Host
    if (json) {
      const results = Option.map(base, (verdict) =>
        verdict.results.map(({ criterion, message, passed }) => ({ criterion, passed, message }))
      )
      const value = {
        ok: errors.length === 0,
        errors: errors.map(encodeIssue),
        warnings: warnings.map(encodeIssue),
        base: Option.getOrNull(results)
      }
      return yield* stdout.write(`${JSON.stringify(value, null, 2)}\n`)
    }
    const theme = themeOf(environment, stdout.isTerminal)
    const { failed, ok } = marks(theme)
    const say = (text: string) => stdout.write(`${text}\n`)
    for (const issue of errors) yield* say(`${paint(theme, "bad", "error")}: ${printable(describeIssue(issue))}`)
    for (const issue of warnings) yield* say(`${paint(theme, "warn", "warning")}: ${printable(describeIssue(issue))}`)
    if (Option.isSome(base)) {
      const { results } = base.value
      yield* say("on the base:")
      for (const result of results) {
        yield* say(
          result.passed
            ? `  ${paint(theme, "good", ok)} ${printable(result.criterion)}`
            : `  ${paint(theme, "bad", failed)} ${printable(result.criterion)}: ${printable(result.message)}`
        )
      }
      const open = results.filter(({ passed }) => !passed).length
      if (open > 0) yield* say(`${plural(open, "criterion does", "criteria do")} not hold yet: there is work to do.`)
    }
    if (errors.length > 0) return yield* say(`${goal}: ${plural(errors.length, "error")}`)
    yield* say(warnings.length > 0 ? `${goal}: valid, ${plural(warnings.length, "warning")}` : `${goal}: valid`)
  })
