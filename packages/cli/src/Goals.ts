/** Reads a goal file: the goal it describes, and what is to be said about it. Runs nothing. */
import type { AcceptanceCriterion, Goal } from "@driver/domain/Goal"
import { GoalId, Goal as GoalSchema } from "@driver/domain/Goal"
import { decodeGoalFile, goalOf } from "@driver/domain/GoalFile"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { readDocument, type SourceDocument } from "./Files.js"
import { Host } from "./Host.js"
import { formatPath, fromDecodeIssue, InputError, type InputIssue } from "./InputError.js"
import { resolvePath, type Settings } from "./Settings.js"

export interface LoadedGoal {
  readonly goal: Goal
  /** Absolute path. */
  readonly file: string
  /** Sentences about a goal that is valid and probably not meant like that. */
  readonly warnings: ReadonlyArray<InputIssue>
}

/**
 * Decodes the goal, with an id made when the file has none, and with the budget of
 * the configuration where the file does not say. The error has every problem of the file.
 */
export const loadGoal = (
  file: string,
  settings: Settings
): Effect.Effect<LoadedGoal, InputError, FileSystem.FileSystem | Path.Path | Host> =>
  Effect.gen(function* () {
    const host = yield* Host
    const path = yield* Path.Path
    const document = yield* readDocument(path.resolve(host.directory, file), host.environment)
    const decoded = decodeGoalFile(withBudget(document.value, settings.budget))
    if (Either.isLeft(decoded)) {
      return yield* new InputError({
        issues: decoded.left.map((issue) => fromDecodeIssue(document.file, document.positionOf, issue))
      })
    }
    const goal = goalOf(decoded.right, GoalId.make(yield* host.uuid))
    const repository = goal.metadata["worktree.source_repo"]
    return {
      goal:
        typeof repository === "string" && repository !== ""
          ? new GoalSchema({
              ...goal,
              metadata: {
                ...goal.metadata,
                "worktree.source_repo": resolvePath(path, host.home, path.dirname(document.file), repository)
              }
            })
          : goal,
      file: document.file,
      warnings: warningsOf(goal, document)
    }
  })

/** Keys that the goal's own budget lacks come from the configuration. Anything but a map is left to the decoder's complaint. */
const withBudget = (value: unknown, inherited: Readonly<Record<string, unknown>>): unknown => {
  if (typeof value !== "object" || value === null || Array.isArray(value) || Object.keys(inherited).length === 0) {
    return value
  }
  const own: unknown = "budget" in value ? value.budget : undefined
  if (own !== undefined && own !== null && (typeof own !== "object" || Array.isArray(own))) return value
  return { ...value, budget: { ...inherited, ...own } }
}

const warningsOf = (goal: Goal, document: SourceDocument): ReadonlyArray<InputIssue> => {
  const at = (path: ReadonlyArray<PropertyKey>, message: string): InputIssue => {
    const name = formatPath(path)
    return {
      file: document.file,
      position: document.positionOf(path),
      path: name,
      message: name === "" ? message : `${name}: ${message}`
    }
  }
  if (goal.acceptance.length === 0) {
    return [at([], "the goal has no acceptance criteria: the agent's word that it is done will be taken for it")]
  }
  const weak = goal.acceptance.flatMap((criterion, index) => {
    const weakness = weaknessOf(criterion)
    return weakness === undefined ? [] : [{ ...weakness, issue: at(["acceptance", index], weakness.reason) }]
  })
  const issues = weak.map(({ issue }) => issue)
  return weak.filter(({ cannotFail }) => cannotFail).length === goal.acceptance.length
    ? [...issues, at(["acceptance"], "no criterion can fail: whatever the agent does will be accepted")]
    : issues
}

/** Whether a path leaves the directory that it begins in: absolute, or up more often than down. */
const leadsOut = (path: string): boolean => {
  let depth = 0
  for (const name of path.split("/")) {
    if (name === "..") depth--
    else if (name !== "" && name !== ".") depth++
    if (depth < 0) return true
  }
  return path.startsWith("/")
}

/** Why a criterion says little or nothing about the work, as far as its text shows; undefined when it may be fine. */
export const weaknessOf = (
  criterion: AcceptanceCriterion
): { readonly reason: string; readonly cannotFail: boolean } | undefined => {
  switch (criterion._tag) {
    case "Shell": {
      if (criterion.expectedExit !== 0 || criterion.stdoutMustMatch._tag === "Some") return undefined
      const command = criterion.command.trim().replace(/;+$/, "").trim()
      if (/^((\/usr)?(\/bin\/)?true|:|exit(\s+0)?)$/.test(command)) {
        return { reason: `the command \`${command}\` always succeeds`, cannotFail: true }
      }
      if (/(\|\||;|\n)\s*(true|:|exit\s+0)$/.test(command)) {
        return { reason: "the command ends so that a failure of the rest goes unnoticed", cannotFail: true }
      }
      return /^(echo|printf)\b[^;&|<>`$()\n]*$/.test(command)
        ? { reason: "the command only prints something, which always succeeds", cannotFail: true }
        : undefined
    }
    case "FileMatches": {
      if (leadsOut(criterion.path)) {
        return { reason: `${criterion.path} lies outside of the workspace: this never holds`, cannotFail: false }
      }
      const anything = matchesAnything(criterion.regex)
      if (criterion.required) {
        return anything
          ? { reason: "the pattern matches any text: this only says that the file is there", cannotFail: false }
          : undefined
      }
      return anything
        ? { reason: "the pattern matches any text, and the file need not be there", cannotFail: true }
        : {
            reason:
              "passes as well when the file is missing: leave `required: false` out when the file has to be there",
            cannotFail: false
          }
    }
    case "Custom":
    case "LlmJudge":
      return undefined
  }
}

/** Patterns that find a match in every text, the empty one included. */
const matchesAnything = (regex: string): boolean =>
  /^(\(\?[a-zA-Z]+\))?\^?(\.\*\??|\(\.\*\)|\[\\s\\S\]\*|)\$?$/.test(regex.trim())
