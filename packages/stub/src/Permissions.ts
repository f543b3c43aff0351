/**
 * Which tool calls the real agent asks about, as observed in each permission mode. Pure but for symbolic links, which
 * are resolved on the file system to tell inside from outside.
 */
import { realpathSync } from "node:fs"
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path"
import type { PermissionMode } from "./Scenario.js"

export type ToolInput = Readonly<Record<string, unknown>>

export interface PermissionContext {
  readonly cwd: string
  readonly additionalDirectories: ReadonlyArray<string>
  readonly mode: PermissionMode
  readonly ask: ReadonlyArray<string>
  readonly allow: ReadonlyArray<string>
  readonly deny: ReadonlyArray<string>
  /** Rules that the gate added for the session (updatedPermissions). */
  readonly sessionAllow: ReadonlyArray<string>
}

/** Why a call may run without being asked, as tool_result_meta shows it. */
export interface Grounds {
  readonly source: "config" | "user_temporary" | "hook"
  readonly reasonType?: "mode" | "rule" | "hook" | "subcommandResults" | "classifier" | "other"
}

export type Verdict =
  | { readonly kind: "allow"; readonly grounds: Grounds }
  | { readonly kind: "ask" }
  | { readonly kind: "deny"; readonly message: string; readonly grounds: Grounds; readonly nonExecution: string }

/** `init` and permission_denials call the subagent tool Task; the stream calls it Agent. */
export const publicName = (tool: string): string => (tool === "Agent" ? "Task" : tool)

const neverAsked = ["Agent", "Task", "ListAgents", "ToolSearch", "EnterPlanMode", "CronCreate"]

/** The path with links resolved, as far as it exists. */
const real = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(real(parent), basename(path))
  }
}

const isInside = (path: string, { cwd, additionalDirectories }: PermissionContext): boolean => {
  const target = real(resolve(cwd, path))
  return [cwd, ...additionalDirectories].some((directory) => {
    const way = relative(real(resolve(cwd, directory)), target)
    return way === "" || (way.split("/")[0] !== ".." && !isAbsolute(way))
  })
}

/** The words of each simple command of a line; `undefined` when it holds anything beyond words, pipes and lists. */
export const simpleCommands = (line: string): ReadonlyArray<ReadonlyArray<string>> | undefined => {
  const commands: Array<Array<string>> = [[]]
  let word: string | undefined
  let quote: string | undefined
  const endWord = () => {
    if (word !== undefined) commands.at(-1)?.push(word)
    word = undefined
  }
  for (let i = 0; i < line.length; i++) {
    const char = line.charAt(i)
    if (quote !== undefined) {
      if (char === quote) quote = undefined
      else if (quote === `"` && "$`\\".includes(char)) return undefined
      else word = (word ?? "") + char
    } else if (char === "'" || char === `"`) {
      quote = char
      word = word ?? ""
    } else if (char === " " || char === "\t") {
      endWord()
    } else if (char === ";" || char === "|" || (char === "&" && line.charAt(i + 1) === "&")) {
      endWord()
      commands.push([])
      if (char !== ";" && line.charAt(i + 1) === char) i++
    } else if ("$`\\<>(){}&\n*?[~#!".includes(char)) {
      return undefined
    } else {
      word = (word ?? "") + char
    }
  }
  if (quote !== undefined) return undefined
  endWord()
  return commands.every((words) => words.length > 0) ? commands : undefined
}

const readOnly = ["ls", "pwd", "echo", "cat", "grep", "head", "wc", "true"]
const readOnlyGit = ["status", "log"]
const editing = ["mkdir", "touch", "rm", "rmdir", "mv", "cp"]

const staysInside = (words: ReadonlyArray<string>, context: PermissionContext): boolean =>
  words.filter((word) => !word.startsWith("-")).every((word) => isInside(word, context))

const isReadOnly = ([command = "", ...rest]: ReadonlyArray<string>, context: PermissionContext): boolean =>
  (command === "git" && readOnlyGit.includes(rest[0] ?? "")) ||
  command === "echo" ||
  (readOnly.includes(command) && staysInside(rest, context))

const isEditing = ([command = "", ...rest]: ReadonlyArray<string>, context: PermissionContext): boolean =>
  editing.includes(command) && staysInside(rest, context)

const path = (input: ToolInput): string => (typeof input["file_path"] === "string" ? input["file_path"] : "")

const command = (input: ToolInput): string => (typeof input["command"] === "string" ? input["command"] : "")

/** `Tool`, `Tool(exact)` or `Tool(prefix:*)`; the text in brackets is matched with the command or the file's path. */
const matches = (rule: string, tool: string, input: ToolInput): boolean => {
  const found = /^([^()]+)(?:\((.*)\))?$/s.exec(rule)
  if (found === null || (found[1] !== tool && found[1] !== publicName(tool))) return false
  const pattern = found[2]
  if (pattern === undefined || pattern === "*") return true
  const subject = tool === "Bash" ? command(input) : path(input)
  return pattern.endsWith(":*") ? subject.startsWith(pattern.slice(0, -2)) : subject === pattern
}

const matchesAny = (rules: ReadonlyArray<string>, tool: string, input: ToolInput): boolean =>
  rules.some((rule) => matches(rule, tool, input))

const byMode: Grounds = { source: "config", reasonType: "mode" }
const byRule: Grounds = { source: "config", reasonType: "rule" }
const bySubcommands: Grounds = { source: "config", reasonType: "subcommandResults" }

const allow = (grounds: Grounds): Verdict => ({ kind: "allow", grounds })

const otherwise = (tool: string, mode: PermissionMode): Verdict => {
  switch (mode) {
    case "dontAsk":
      return {
        kind: "deny",
        message: `Permission to use ${tool} has been denied because Claude Code is running in don't ask mode.`,
        grounds: byMode,
        nonExecution: "permission-rule"
      }
    case "auto":
      return {
        kind: "deny",
        message: `Auto mode is unavailable: its safety check does not run for this session, so ${tool} was not run.`,
        grounds: { source: "config", reasonType: "classifier" },
        nonExecution: "automode-unavailable"
      }
    default:
      return { kind: "ask" }
  }
}

/** Whether the call runs, is refused, or is put to the gate. */
export const decide = (tool: string, input: ToolInput, context: PermissionContext): Verdict => {
  if (matchesAny(context.deny, tool, input)) {
    return {
      kind: "deny",
      message: `Permission to use ${tool} has been denied.`,
      grounds: byRule,
      nonExecution: "permission-rule"
    }
  }
  if (context.mode === "bypassPermissions") return allow(byMode)
  if (matchesAny(context.ask, tool, input)) {
    const forced = otherwise(tool, context.mode)
    return forced.kind === "deny" ? forced : { kind: "ask" }
  }
  if (matchesAny(context.sessionAllow, tool, input)) return allow({ source: "user_temporary", reasonType: "rule" })
  if (matchesAny(context.allow, tool, input)) return allow(byRule)
  if (neverAsked.includes(tool)) return allow({ source: "config" })
  if (tool === "Read" && isInside(path(input), context)) return allow(byMode)
  const editsFreely = context.mode === "acceptEdits" || context.mode === "auto"
  if (editsFreely && (tool === "Write" || tool === "Edit") && isInside(path(input), context)) return allow(byMode)
  if (tool === "Bash") {
    const commands = simpleCommands(command(input))
    const free = (words: ReadonlyArray<string>) =>
      isReadOnly(words, context) || (context.mode === "acceptEdits" && isEditing(words, context))
    if (commands?.every(free) === true) return allow(bySubcommands)
  }
  return otherwise(tool, context.mode)
}
