/**
 * What a tool call would do, whatever the tool: the words of the command analyzer,
 * for files, commands and the web alike, so that one rule can cover them all.
 *
 * Pure. `readCall` looks at the arguments and names the paths that somebody has to
 * resolve; `findingsOf` adds what their targets say. It judges nothing.
 */
import type { PermissionRequest, ToolInput } from "@driver/domain/Permission"
import * as Either from "effect/Either"
import { isSecretPath } from "./analyzer/secrets.js"
import type { Analysis, CommandClass, PathUse, ProgramUse, Reason, ReasonKind } from "./CommandAnalyzer.js"
import { readOnlyPaths, simpleWords } from "./internal/readOnlyCommands.js"
import type { PathFact } from "./internal/resolvePath.js"
import { specialBecause } from "./internal/sensitivePaths.js"

export interface Call {
  /** The agent's name of the tool. */
  readonly tool: string
  /** Set when the call cannot be understood: what the agent is told, and why. */
  readonly malformed: { readonly message: string; readonly rationale: string } | undefined
  /** Of Bash. */
  readonly command: string | undefined
  /** The command's words; absent when there is any shell syntax in it. */
  readonly words: ReadonlyArray<string> | undefined
  /** The paths that it reads when it is one of the few commands that are known to do nothing else, or why it is not. */
  readonly plain: Either.Either<ReadonlyArray<string>, string>
  readonly label: CommandClass
  readonly reasons: ReadonlyArray<Reason>
  readonly programs: ReadonlyArray<ProgramUse>
  /** As they are named: absolute, or relative to the workspace. */
  readonly paths: ReadonlyArray<PathUse>
  /** `undefined` for one that is not known. */
  readonly hosts: ReadonlyArray<string | undefined>
  /**
   * Directories that a command goes to, and the words of one that goes up by `..`: it is only known where that leads
   * while none of them is a link.
   */
  readonly through: ReadonlyArray<string>
}

/** What a call would do, the targets of its paths included. */
export interface Findings {
  readonly label: CommandClass
  /** Those that gave the label come first. */
  readonly reasons: ReadonlyArray<Reason>
}

/** `analyze` is asked about commands only. */
export const readCall = (request: PermissionRequest, analyze: (command: string) => Analysis): Call => {
  const { input, tool: name } = request
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined
  switch (tool?.kind) {
    case "file": {
      const path = field(input, tool.field)
      if (path === undefined && tool.optional === true) return filesOf(name, tool.access, ["."])
      return typeof path === "string"
        ? filesOf(name, tool.access, [path])
        : malformed(name, `Give the file as the text \`${tool.field}\`.`, `${name} without \`${tool.field}\``)
    }
    case "search":
      return searchOf(name, tool.pattern, input)
    case "command":
      return commandOf(name, input, analyze)
    case "web":
      return webOf(name, input)
    case "notes":
      return { ...nothing(name), label: "read_only", reasons: [reason("read_only", "reads", tool.message)] }
    case undefined:
      return unknownTool(name)
  }
}

/** Every path that must be resolved before `findingsOf` and the rules can judge this call; the workspace is `.`. */
export const pathsOf = (call: Call): ReadonlyArray<string> => [
  ...new Set([...call.paths.map(({ path }) => path), ...call.through])
]

/** What the call would do, now that it is known where its paths lead. */
export const findingsOf = (call: Call, paths: ReadonlyMap<string, PathFact>): Findings => {
  const found: Array<Reason> = []
  for (const { access, path } of call.paths) {
    const fact = paths.get(path)
    if (fact === undefined || fact._tag === "Unclear") continue
    if (access === "read") {
      if (isSecretFact(fact)) {
        found.push(reason("dangerous", "secret", `${shown(path)} usually holds keys or passwords.`))
      }
      continue
    }
    const special = specialFact(fact)
    if (special !== undefined) found.push(reason("dangerous", "special_path", `${shown(path)}: ${special}.`))
    else if (fact._tag === "Outside") {
      found.push(reason("dangerous", "outside", `${shown(path)} lies outside the workspace.`))
    }
  }
  if (found.length === 0) return call
  const kinds = new Set(found.map(({ kind }) => kind))
  // Where the analyzer has said the same of a command, its words name more.
  const said = call.reasons.filter(({ kind, label }) => label === "dangerous" && kinds.has(kind))
  const saidKinds = new Set(said.map(({ kind }) => kind))
  return {
    label: "dangerous",
    reasons: [
      ...found.filter(({ kind }) => !saidKinds.has(kind)),
      ...call.reasons.filter(({ label }) => label === "dangerous"),
      ...call.reasons.filter(({ label }) => label !== "dangerous")
    ]
  }
}

/** Why a file there is never written unasked, if so. */
export const specialFact = (fact: PathFact): string | undefined => {
  if (fact._tag !== "Inside") return undefined
  return (
    specialBecause(fact.real) ??
    specialBecause(fact.named) ??
    (fact.protected ? "it belongs to the driver" : undefined) ??
    (fact.real === "" ? "it is the workspace itself" : undefined)
  )
}

/** Some files are secret by where they lie in the system: a path in the workspace does not look like one of those. */
const isSecretFact = (fact: PathFact): boolean => {
  if (fact._tag === "Unclear") return false
  const named = fact._tag === "Inside" || !/^[/~]/.test(fact.named) ? `/workspace/${fact.named}` : fact.named
  const real = fact._tag === "Inside" ? `/workspace/${fact.real}` : fact.real
  return isSecretPath(named) || (real !== undefined && isSecretPath(real))
}

/** How a path is shown in messages and records. */
export const shown = (path: string): string => JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path)

// What is known about the agent's tools. `optional`: without it the tool works on the workspace.
type Tool =
  | { readonly kind: "file"; readonly access: "read" | "write"; readonly field: string; readonly optional?: true }
  | { readonly kind: "search"; readonly pattern: string }
  | { readonly kind: "command" }
  | { readonly kind: "web" }
  | { readonly kind: "notes"; readonly message: string }

const bookkeeping: Tool = { kind: "notes", message: "It changes nothing but the agent's own notes." }
const ownTask: Tool = { kind: "notes", message: "It only concerns what the agent itself started." }
const subagent: Tool = { kind: "notes", message: "A subagent's own calls are asked for one by one." }

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
  WebFetch: { kind: "web" },
  WebSearch: { kind: "web" },
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
  TaskStop: ownTask
}

/** The tools that read files, and those that write them: a denial for one of them holds for commands too. */
export const fileTools = {
  read: Object.keys(tools).filter((name) => {
    const tool = tools[name]
    return tool?.kind === "search" || (tool?.kind === "file" && tool.access === "read")
  }),
  write: Object.keys(tools).filter((name) => {
    const tool = tools[name]
    return tool?.kind === "file" && tool.access === "write"
  })
}

const reason = (label: CommandClass, kind: ReasonKind, message: string): Reason => ({ label, kind, message })

const nothing = (tool: string): Call => ({
  tool,
  malformed: undefined,
  command: undefined,
  words: undefined,
  plain: Either.left("it is no command"),
  label: "dangerous",
  reasons: [],
  programs: [],
  paths: [],
  hosts: [],
  through: []
})

const malformed = (tool: string, message: string, rationale: string): Call => ({
  ...nothing(tool),
  malformed: { message, rationale },
  reasons: [reason("dangerous", "unparsable", `${rationale}.`)]
})

const unknownTool = (tool: string): Call => ({
  ...nothing(tool),
  reasons: [
    reason(
      "dangerous",
      "unknown_program",
      tool.startsWith("mcp__")
        ? `${shown(tool)} belongs to an MCP server.`
        : `What the tool ${shown(tool)} does is not known.`
    )
  ]
})

const filesOf = (tool: string, access: "read" | "write", paths: ReadonlyArray<string>): Call => ({
  ...nothing(tool),
  label: access === "read" ? "read_only" : "workspace_write",
  reasons: [
    access === "read"
      ? reason("read_only", "reads", `It reads ${paths.map(shown).join(" and ")}.`)
      : reason("workspace_write", "workspace_write", `It writes ${paths.map(shown).join(" and ")}.`)
  ],
  paths: paths.map((path) => ({ path, access }))
})

/** The value that the tool will really see: its own, not an inherited one. */
const field = (input: ToolInput, name: string): unknown => (Object.hasOwn(input, name) ? input[name] : undefined)

/** UTF-16 units. No file system takes longer paths. */
const longestText = 4_096

const searchOf = (name: string, patternField: string, input: ToolInput): Call => {
  const path = field(input, "path") ?? "."
  const pattern = field(input, patternField) ?? "*"
  if (typeof path !== "string" || typeof pattern !== "string") {
    return malformed(
      name,
      `Give \`path\` and \`${patternField}\` as texts.`,
      `${name} with arguments that are no texts`
    )
  }
  if (path.length > longestText || pattern.length > longestText) {
    return malformed(
      name,
      "Give a shorter path and pattern.",
      `${name} with a path or pattern of more than ${longestText} characters`
    )
  }
  // `{/etc,~}/**` is several patterns, each of which could begin elsewhere.
  if (pattern.includes("..") || pattern.includes("\\") || /(^|[{,(|])\s*~|[{,(|]\s*\//.test(pattern)) {
    return malformed(
      name,
      `Give a pattern below the workspace, without \`..\`, \`~\` or a backslash.`,
      `${name} with a pattern that may lead out of the workspace`
    )
  }
  if (name === "Grep") {
    return alternatives(pattern.replace(/^!/, "")).some((it) => isSecretPath(`/workspace/${it}`))
      ? malformed(
          name,
          "Files that usually hold secrets are not searched. Work without them.",
          "Grep in files of secrets"
        )
      : filesOf(name, "read", [path])
  }
  // What stands before the first special character is a directory that the pattern goes into.
  const fixed = pattern.slice(0, pattern.search(/[*?[{(!+@]|$/))
  const directory = fixed.slice(0, fixed.lastIndexOf("/") + 1)
  if (!fixed.startsWith("/")) {
    const inner = path.endsWith("/") ? `${path}${directory}` : `${path}/${directory}`
    return filesOf(name, "read", directory === "" ? [path] : [path, inner])
  }
  return filesOf(name, "read", [path, directory])
}

/** More are not told apart: who writes so many means everything. */
const mostAlternatives = 64

/** What `{a,b}` in a pattern stands for. */
const alternatives = (pattern: string): ReadonlyArray<string> => {
  let all: ReadonlyArray<string> = [pattern]
  for (;;) {
    const next = all.flatMap((it) => {
      const group = /\{([^{}]*)\}/.exec(it)
      if (group === null) return [it]
      const rest = it.slice(group.index + group[0].length)
      return (group[1] ?? "").split(",").map((word) => `${it.slice(0, group.index)}${word}${rest}`)
    })
    if (next.length > mostAlternatives || next.every((it, index) => it === all[index])) return all
    all = next
  }
}

const commandOf = (tool: string, input: ToolInput, analyze: (command: string) => Analysis): Call => {
  const command = field(input, "command")
  if (typeof command !== "string") {
    return malformed(tool, "Give the command as the text `command`.", "Bash without a command")
  }
  const unconfined = field(input, "dangerouslyDisableSandbox")
  if (unconfined !== undefined && unconfined !== false) {
    return malformed(
      tool,
      "Commands may not leave the sandbox. Run the command without `dangerouslyDisableSandbox`.",
      "Bash that asks to run outside the sandbox"
    )
  }
  const { hosts, label, network, paths, programs, reasons } = analyze(command)
  const words = simpleWords(command)
  const plain =
    words === undefined ? Either.left("it is more than one simple command of plain words") : readOnlyPaths(words)
  const named = paths.filter(({ path }) => !harmlessDevices.test(path))
  // The agent's shell may stay where a command has gone to: what is written there next is only named by its last part.
  const directories = programs.filter(({ name }) => name === "cd" || name === "pushd").flatMap(({ args }) => args)
  const visited = [...new Set(directories.flatMap((it) => (it === undefined || /^[-+]/.test(it) ? [] : [it])))]
  const special = visited.find((it) => specialBecause(it) !== undefined)
  const because =
    special === undefined
      ? []
      : [reason("dangerous", "special_path", `The command goes to ${shown(special)}: ${specialBecause(special)}.`)]
  return {
    tool,
    malformed: undefined,
    command,
    words,
    plain,
    label: special === undefined ? label : "dangerous",
    reasons:
      reasons.length > 0
        ? [...because, ...reasons]
        : [reason("dangerous", "unknown_code", "Nothing is known about the command.")],
    programs,
    paths: [
      ...named,
      ...visited.filter((it) => /^[/~]/.test(it)).map((path): PathUse => ({ path, access: "read" })),
      ...Either.getOrElse(plain, (): ReadonlyArray<string> => []).map((path): PathUse => ({ path, access: "read" }))
    ],
    hosts: network && hosts.length === 0 ? [undefined] : hosts,
    through: [...wordsAround(command), ...visited.filter((it) => !/^[/~]/.test(it) && !it.includes(".."))]
  }
}

/** What everybody may read and write, and nothing is kept of. */
const harmlessDevices = /^\/dev\/(?:null|zero|full|u?random|std(?:in|out|err)|fd\/[0-9]{1,4})$/

/** More words than that are not looked at one by one. */
const mostWords = 256

/**
 * When a command goes up by `..`, its words: `cd link && cat ../x` reads beside the link's target, which no reading of
 * the text alone can know.
 */
const wordsAround = (command: string): ReadonlyArray<string> => {
  const plain = command.slice(0, longestText * 4).replace(/["'\\]/g, "")
  if (!/(?:^|[\s/=:,({])\.\.(?:$|[\s/;&|),}])/.test(plain)) return []
  const words = plain
    .split(/[\s;&|<>(){}=`,$]+/)
    .filter((it) => it !== "" && it !== "." && it !== ".." && !it.startsWith("-") && !it.startsWith("~"))
  return [...new Set(words)].slice(0, mostWords)
}

const webOf = (tool: string, input: ToolInput): Call => {
  const hosts = tool === "WebFetch" ? [hostOf(field(input, "url"))] : searchHosts(field(input, "allowed_domains"))
  const names = hosts.map((host) => host ?? "a host that is not known").join(", ")
  return { ...nothing(tool), hosts, reasons: [reason("dangerous", "network", `${tool} uses the network: ${names}.`)] }
}

const searchHosts = (domains: unknown): ReadonlyArray<string | undefined> =>
  Array.isArray(domains) && domains.length > 0
    ? domains.map((it) => (typeof it === "string" ? hostOf(`https://${it}`) : undefined))
    : [undefined]

const hostOf = (url: unknown): string | undefined => {
  if (typeof url !== "string" || url.length > longestText) return undefined
  try {
    const { hostname } = new URL(url)
    return hostname === "" ? undefined : hostname
  } catch {
    return undefined
  }
}
