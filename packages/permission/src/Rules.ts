/**
 * The rules: which tool calls are allowed without asking anybody, and what the agent
 * is told to do instead of the others.
 *
 * Pure. `pathsOf` says which paths somebody has to resolve; `evaluate` gives the
 * verdict and names the rule that gave it, in this order:
 *
 * 1. Floor: a call that cannot be understood, a path outside the workspace, a write to a special path. Always denied.
 * 2. The configured rules, from first to last; the first that matches wins.
 * 3. The built-in rules.
 *
 * What no rule knows is denied. This is not the boundary of the agent, a confined
 * process is: the goal's own commands run code that the agent has written.
 */
import type { PermissionRequest, ToolInput } from "@driver/domain/Permission"
import { optional } from "@driver/domain/Wire"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { matchesCommand, matchesPath, matchesWord } from "./internal/glob.js"
import { knownPrograms, readOnlyPaths, simpleWords } from "./internal/readOnlyCommands.js"
import type { PathFact } from "./internal/resolvePath.js"
import { isSecret, specialBecause } from "./internal/sensitivePaths.js"

export type { PathFact } from "./internal/resolvePath.js"

const CommandPattern = Schema.NonEmptyTrimmedString.pipe(
  Schema.filter(
    (it) =>
      simpleWords(it.replaceAll("*", "x").replaceAll("?", "x")) !== undefined ||
      "expected a command of plain words, without quotes, pipes, redirections or variables: rules never match a command that has them"
  )
)

const PathPattern = Schema.NonEmptyString.pipe(
  Schema.filter(
    (it) =>
      (!it.startsWith("/") && !it.startsWith("~") && !it.split("/").includes("..")) ||
      "expected a pattern relative to the workspace, such as `docs/**`: rules do not reach outside"
  )
)

/** A configured rule. It matches a call when all that it says matches. */
export class Rule extends Schema.Class<Rule>("PermissionRule")({
  /** `allow_session` also answers the same call for the rest of the session, without deciding again. */
  verdict: Schema.Literal("allow", "allow_session", "deny"),
  /**
   * The agent's name of the tool; `*` any characters. A pattern with `*` never allows Bash: that has to be named. A
   * rule without a path never opens files that usually hold secrets.
   */
  tool: Schema.NonEmptyTrimmedString,
  /**
   * Word by word: `*` within a word any characters of this word, as the last word any further words. `npm run *`
   * matches `npm run build -v`, `npm run` and nothing with quotes, pipes, redirections, variables or a second command.
   */
  command: optional(CommandPattern, "command"),
  /** Relative to the workspace: `*` and `?` within a name, `**` over directories. Links are followed first. */
  path: optional(PathPattern, "path"),
  /** What the agent reads when it is denied: what to do instead. */
  message: optional(Schema.NonEmptyTrimmedString, "message")
}) {}

/** What has to be known about the world to judge a request. */
export interface Facts {
  /** Commands of the goal's own criteria. */
  readonly criteriaCommands: ReadonlyArray<string>
  /** For each of `pathsOf(request)`, where it leads. A path that is missing here is not allowed. */
  readonly paths: ReadonlyMap<string, PathFact>
}

export type Verdict =
  | { readonly _tag: "Allow"; readonly forSession: boolean }
  | { readonly _tag: "Deny"; readonly message: string }

export interface Evaluation {
  readonly verdict: Verdict
  /** `rule 2` (from 1, as configured), or the name of a built-in one. */
  readonly rule: string
  /** For the record: why, in one sentence. */
  readonly rationale: string
}

/** Paths that must be resolved before `evaluate` can judge this request; the workspace is `.`. */
export const pathsOf = (request: PermissionRequest): ReadonlyArray<string> => {
  const subject = subjectOf(request)
  switch (subject._tag) {
    case "Files":
      return subject.paths
    case "Command":
      return subject.reads._tag === "Right" ? subject.reads.right : []
    default:
      return []
  }
}

/** Total: gives a verdict for every request. */
export const evaluate = (rules: ReadonlyArray<Rule>, request: PermissionRequest, facts: Facts): Evaluation => {
  const subject = subjectOf(request)
  const floor = belowFloor(subject, facts)
  if (floor !== undefined) return floor
  for (const [index, rule] of rules.entries()) {
    if (!matches(rule, request.tool, subject, facts)) continue
    return fromRule(rule, index, request.tool)
  }
  return builtIn(rules, subject, request, facts)
}

// What the built-in rules know about the agent's tools. `optional`: without it the tool works on the workspace.
type Tool =
  | { readonly kind: "file"; readonly access: "read" | "write"; readonly field: string; readonly optional?: true }
  | { readonly kind: "search"; readonly pattern: string }
  | { readonly kind: "command" }
  | { readonly kind: "allowed"; readonly why: string }
  | { readonly kind: "denied"; readonly message: string }

const bookkeeping: Tool = { kind: "allowed", why: "it changes nothing but the agent's own notes" }
const ownTask: Tool = { kind: "allowed", why: "it only concerns what the agent itself started" }
const subagent: Tool = { kind: "allowed", why: "a subagent's own calls are asked for one by one" }
const noNetwork: Tool = {
  kind: "denied",
  message:
    "The network may not be used in this run. Work with the files of the workspace; if you cannot go on without it, say so and what you needed."
}
const noSchedule: Tool = {
  kind: "denied",
  message: "Nothing may be scheduled or left running in this run. Do the work now, in this turn."
}
const noPlanMode: Tool = {
  kind: "denied",
  message:
    "No person is there to approve a plan, and none is needed. Write the plan down in your answer if it helps, and do the work now."
}
const noOtherPlace: Tool = {
  kind: "denied",
  message: "This run has its own worktree already, and must stay in it. Work in the current directory."
}

const tools: Readonly<Record<string, Tool>> = {
  Read: { kind: "file", access: "read", field: "file_path" },
  NotebookRead: { kind: "file", access: "read", field: "notebook_path" },
  LS: { kind: "file", access: "read", field: "path", optional: true },
  Glob: { kind: "search", pattern: "pattern" },
  Grep: { kind: "search", pattern: "glob" },
  Write: { kind: "file", access: "write", field: "file_path" },
  Edit: { kind: "file", access: "write", field: "file_path" },
  MultiEdit: { kind: "file", access: "write", field: "file_path" },
  NotebookEdit: { kind: "file", access: "write", field: "notebook_path" },
  Bash: { kind: "command" },
  Agent: subagent,
  Task: subagent,
  TodoRead: bookkeeping,
  TodoWrite: bookkeeping,
  TaskCreate: bookkeeping,
  TaskGet: bookkeeping,
  TaskList: bookkeeping,
  TaskUpdate: bookkeeping,
  ToolSearch: bookkeeping,
  ListAgents: bookkeeping,
  BashOutput: ownTask,
  KillBash: ownTask,
  KillShell: ownTask,
  TaskOutput: ownTask,
  TaskStop: ownTask,
  AskUserQuestion: {
    kind: "denied",
    message:
      "No person is there to answer. Decide yourself, take the simplest reading that satisfies the goal, and write the assumption down in your final answer."
  },
  EnterPlanMode: noPlanMode,
  ExitPlanMode: noPlanMode,
  EnterWorktree: noOtherPlace,
  ExitWorktree: noOtherPlace,
  CronCreate: noSchedule,
  CronDelete: noSchedule,
  CronList: noSchedule,
  ScheduleWakeup: noSchedule,
  Monitor: noSchedule,
  WebFetch: noNetwork,
  WebSearch: noNetwork
}

type Subject =
  | { readonly _tag: "Files"; readonly access: "read" | "write"; readonly paths: ReadonlyArray<string> }
  | {
      readonly _tag: "Command"
      readonly command: string
      /** Absent when there is any shell syntax in it. */
      readonly words: ReadonlyArray<string> | undefined
      /** The paths it reads when it does nothing else, or why that is not known. */
      readonly reads: Either.Either<ReadonlyArray<string>, string>
    }
  | { readonly _tag: "Plain"; readonly tool: Tool | undefined }
  | { readonly _tag: "Malformed"; readonly message: string; readonly rationale: string }

const malformed = (message: string, rationale: string): Subject => ({ _tag: "Malformed", message, rationale })

/** The value that the tool will really see: its own, not an inherited one. */
const field = (input: ToolInput, name: string): unknown => (Object.hasOwn(input, name) ? input[name] : undefined)

const subjectOf = ({ input, tool: name }: PermissionRequest): Subject => {
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined
  switch (tool?.kind) {
    case "file": {
      const path = field(input, tool.field)
      if (path === undefined && tool.optional === true) return { _tag: "Files", access: tool.access, paths: ["."] }
      return typeof path === "string"
        ? { _tag: "Files", access: tool.access, paths: [path] }
        : malformed(`Give the file as the text \`${tool.field}\`.`, `${name} without \`${tool.field}\``)
    }
    case "search":
      return searchOf(name, tool.pattern, input)
    case "command":
      return commandOf(input)
    default:
      return { _tag: "Plain", tool }
  }
}

/** UTF-16 units. No file system takes longer paths. */
const longestText = 4_096

const searchOf = (name: string, patternField: string, input: ToolInput): Subject => {
  const path = field(input, "path") ?? "."
  const pattern = field(input, patternField) ?? "*"
  if (typeof path !== "string" || typeof pattern !== "string") {
    return malformed(`Give \`path\` and \`${patternField}\` as texts.`, `${name} with arguments that are no texts`)
  }
  if (path.length > longestText || pattern.length > longestText) {
    return malformed(
      "Give a shorter path and pattern.",
      `${name} with a path or pattern of more than ${longestText} characters`
    )
  }
  // `{/etc,~}/**` is several patterns, each of which could begin elsewhere.
  if (pattern.includes("..") || pattern.includes("\\") || /(^|[{,(|])\s*~|[{,(|]\s*\//.test(pattern)) {
    return malformed(
      `Give a pattern below the workspace, without \`..\`, \`~\` or a backslash.`,
      `${name} with a pattern that may lead out of the workspace`
    )
  }
  if (name === "Grep") {
    return isSecret(pattern.replace(/^!/, ""))
      ? malformed("Files that usually hold secrets are not searched. Work without them.", "Grep in files of secrets")
      : { _tag: "Files", access: "read", paths: [path] }
  }
  // What stands before the first special character is a directory that the pattern goes into.
  const fixed = pattern.slice(0, pattern.search(/[*?[{(!+@]|$/))
  const directory = fixed.slice(0, fixed.lastIndexOf("/") + 1)
  if (!fixed.startsWith("/")) {
    const inner = path.endsWith("/") ? `${path}${directory}` : `${path}/${directory}`
    return { _tag: "Files", access: "read", paths: directory === "" ? [path] : [path, inner] }
  }
  return { _tag: "Files", access: "read", paths: [path, directory] }
}

const commandOf = (input: ToolInput): Subject => {
  const command = field(input, "command")
  if (typeof command !== "string") return malformed("Give the command as the text `command`.", "Bash without a command")
  const unconfined = field(input, "dangerouslyDisableSandbox")
  if (unconfined !== undefined && unconfined !== false) {
    return malformed(
      "Commands may not leave the sandbox. Run the command without `dangerouslyDisableSandbox`.",
      "Bash that asks to run outside the sandbox"
    )
  }
  const words = simpleWords(command)
  return {
    _tag: "Command",
    command,
    words,
    reads: words === undefined ? Either.left("it is more than one simple command of plain words") : readOnlyPaths(words)
  }
}

const deny = (rule: string, message: string, rationale: string): Evaluation => ({
  verdict: { _tag: "Deny", message },
  rule,
  rationale: `${rule}: ${rationale}`
})

const allow = (rule: string, rationale: string): Evaluation => ({
  verdict: { _tag: "Allow", forSession: false },
  rule,
  rationale: `${rule}: ${rationale}`
})

/** How a path is shown in messages and records. */
const shown = (path: string): string => JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path)

const belowFloor = (subject: Subject, facts: Facts): Evaluation | undefined => {
  if (subject._tag === "Malformed") return deny("malformed call", subject.message, subject.rationale)
  if (subject._tag !== "Files") return undefined
  for (const path of subject.paths) {
    const fact = facts.paths.get(path)
    if (fact === undefined || fact._tag === "Unclear") {
      const why = fact?.why ?? "it was not resolved"
      return deny(
        "unclear path",
        `The path ${shown(path)} cannot be used: ${why}. Name a file of the workspace by its plain path.`,
        `${shown(path)}: ${why}`
      )
    }
    if (fact._tag === "Outside") {
      return deny(
        "outside the workspace",
        `${shown(path)} lies outside the workspace. Only files in the workspace may be ${subject.access === "read" ? "read" : "written"}: use a path below the current directory, and put temporary files there too.`,
        `${shown(path)} leads out of the workspace`
      )
    }
    if (subject.access === "read") continue
    const special =
      specialBecause(fact.real) ??
      specialBecause(fact.named) ??
      (fact.protected ? "it belongs to the driver" : undefined) ??
      (fact.real === "" ? "it is the workspace itself" : undefined)
    if (special !== undefined) {
      return deny(
        "special path",
        `${shown(path)} may not be written: ${special}. Reach the goal without changing this file; if that is impossible, say so and why.`,
        `${shown(path)}: ${special}`
      )
    }
  }
  return undefined
}

const matches = (rule: Rule, tool: string, subject: Subject, facts: Facts): boolean => {
  const denies = rule.verdict === "deny"
  if (!matchesWord(rule.tool, tool)) return false
  // A rule for "every tool" is written with files in mind.
  if (tool === "Bash" && !denies && rule.tool.includes("*")) return false
  if (!denies && Option.isNone(rule.path) && readsSecret(subject, facts)) return false
  if (Option.isSome(rule.command)) {
    if (subject._tag !== "Command" || subject.words === undefined) return false
    if (!matchesCommand(rule.command.value.split(/[ \t]+/), subject.words)) return false
  }
  if (Option.isNone(rule.path)) return true
  const paths = subject._tag === "Files" ? subject.paths : []
  const covers = (path: string) => coversPath(rule, path, facts)
  return denies ? paths.some(covers) : paths.length > 0 && paths.every(covers)
}

/** Whether the rule's path pattern covers this path. A denial also covers what another spelling would reach. */
const coversPath = (rule: Rule, path: string, facts: Facts): boolean => {
  const fact = facts.paths.get(path)
  if (fact?._tag !== "Inside" || Option.isNone(rule.path)) return false
  const pattern = rule.path.value.replace(/^(\.\/)+/, "")
  if (rule.verdict !== "deny") return matchesPath(pattern, fact.real)
  return [fact.real, fact.named].some((it) => matchesPath(pattern.toLowerCase(), it.toLowerCase()))
}

const fromRule = (rule: Rule, index: number, tool: string): Evaluation => {
  const name = `rule ${index + 1}`
  const says = [rule.tool, ...Option.toArray(rule.command), ...Option.toArray(rule.path)].join(" ")
  if (rule.verdict !== "deny") {
    return {
      verdict: { _tag: "Allow", forSession: rule.verdict === "allow_session" },
      rule: name,
      rationale: `${name}: ${rule.verdict} ${says}`
    }
  }
  const message = Option.getOrElse(
    rule.message,
    () => `A rule of this run (${says}) denies this use of ${tool}. Reach the goal in another way.`
  )
  return deny(name, message, `deny ${says}`)
}

const builtIn = (
  rules: ReadonlyArray<Rule>,
  subject: Subject,
  { tool: name }: PermissionRequest,
  facts: Facts
): Evaluation => {
  switch (subject._tag) {
    case "Files": {
      if (subject.access === "write") return allow("write in the workspace", "the file lies in the workspace")
      const secret = subject.paths.find((path) => isSecretFact(facts.paths.get(path)))
      return secret === undefined
        ? allow("read in the workspace", "the file lies in the workspace")
        : deny("secret", secretMessage(secret), `${shown(secret)} usually holds secrets`)
    }
    case "Command":
      return builtInCommand(rules, subject, facts)
    case "Malformed":
      return deny("malformed call", subject.message, subject.rationale)
    case "Plain": {
      const { tool } = subject
      if (tool?.kind === "allowed") return allow("harmless tool", tool.why)
      if (tool?.kind === "denied") return deny("tool not allowed", tool.message, `${name} is not allowed`)
      return name.startsWith("mcp__")
        ? deny(
            "tool of a server",
            `${shown(name)} belongs to an MCP server, and those are not allowed in this run. Use Read, Grep, Glob, Write and Edit on the files of the workspace.`,
            `${shown(name)} is a tool of an MCP server`
          )
        : deny(
            "unknown tool",
            `The tool ${shown(name)} is not allowed in this run. Use Read, Grep, Glob, Write and Edit on the files of the workspace, and Bash for the goal's own commands.`,
            `no rule knows the tool ${shown(name)}`
          )
    }
  }
}

const isSecretFact = (fact: PathFact | undefined): boolean =>
  fact?._tag === "Inside" && (isSecret(fact.real) || isSecret(fact.named))

/** Opening a file of secrets takes a rule that names it. */
const readsSecret = (subject: Subject, facts: Facts): boolean =>
  subject._tag === "Files" &&
  subject.access === "read" &&
  subject.paths.some((path) => isSecretFact(facts.paths.get(path)))

const secretMessage = (path: string) =>
  `${shown(path)} usually holds keys or passwords, and may not be read. Work without its contents: names of variables stand in the code that uses them, or in an example file.`

const builtInCommand = (
  rules: ReadonlyArray<Rule>,
  { command, reads }: Extract<Subject, { readonly _tag: "Command" }>,
  facts: Facts
): Evaluation => {
  if (facts.criteriaCommands.some((it) => isSameCommand(it, command))) {
    return allow("criterion", "it is a command of the goal's own criteria")
  }
  if (Either.isLeft(reads)) return deny("command", commandMessage(reads.left, facts), reads.left)
  for (const path of reads.right) {
    const fact = facts.paths.get(path)
    // What `..` means depends on the directory in which the agent's shell stands, and that may not be the workspace.
    if (fact?._tag !== "Inside" || path.split("/").includes("..")) {
      const why = `${shown(path)} is not plainly a path in the workspace`
      return deny("command", commandMessage(why, facts), why)
    }
    if (isSecretFact(fact)) return deny("secret", secretMessage(path), `${shown(path)} usually holds secrets`)
    // What may not be read with Read may not be read with `cat` either.
    const denial = rules.findIndex((rule) => matchesRead(rule, path, facts))
    const rule = rules[denial]
    if (rule?.verdict === "deny") return fromRule(rule, denial, "Bash")
  }
  return allow("read-only command", "it is known to do nothing but read in the workspace")
}

const matchesRead = (rule: Rule, path: string, facts: Facts): boolean =>
  matches(rule, "Read", { _tag: "Files", access: "read", paths: [path] }, facts)

const commandMessage = (why: string, { criteriaCommands }: Facts): string => {
  const criteria = criteriaCommands
    .slice(0, 5)
    .filter((it) => it.length <= 300)
    .map((it) => `\`${it}\``)
  const own =
    criteria.length === 0 ? "" : `Exactly as written, the goal's own commands are allowed: ${criteria.join(", ")}. `
  return `This command is not allowed: ${why}. ${own}Simple commands that only read files of the workspace are allowed too, one at a time, without pipes, redirections, quotes or variables (${knownPrograms.join(", ")}). Use Read, Grep and Glob to look, Write and Edit to change files.`
}

/**
 * Whether both are the same command. Blanks count only where they cannot be part of a quoted text, and line breaks
 * always count: they separate commands.
 */
export const isSameCommand = (a: string, b: string): boolean => {
  if (a.trim() === "" || b.trim() === "" || Math.abs(a.length - b.length) > longestText) return false
  if (a === b || trimmed(a) === trimmed(b)) return true
  const words = simpleWords(a)
  const others = simpleWords(b)
  return words !== undefined && others !== undefined && words.join(" ") === others.join(" ")
}

/** Without blanks at the ends; a backslash before them would make them count. */
const trimmed = (command: string): string => command.replace(/^[ \t]+/, "").replace(/(?<!\\)[ \t]+$/, "")
