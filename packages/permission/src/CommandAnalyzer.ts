/**
 * Says what a shell command would do, without running it.
 *
 * Pure: a parse tree of bash is walked with a table of what is known about
 * programs. The label states the worst possible effect; whatever cannot be followed
 * is `dangerous`. It looks at text only: where a path really leads (links) is for
 * the caller to find out, from `paths`.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Budget from "./analyzer/Budget.js"
import * as Findings from "./analyzer/Findings.js"
import { compile, type Program, type ProgramEntry, type ProgramTable } from "./analyzer/ProgramEntry.js"
import { builtIn } from "./analyzer/programs/table.js"
import type { Run, Shell } from "./analyzer/Shell.js"
import { isJob } from "./analyzer/values.js"
import { runText, runUncalled } from "./analyzer/walk.js"

export { ProgramEntry } from "./analyzer/ProgramEntry.js"

/**
 * - `read_only`: reads files that hold no secrets, writes nothing but standard output.
 * - `workspace_write`: besides, changes named files below the workspace, runs the project's own scripts and tests.
 * - `dangerous`: everything else, and everything that cannot be followed.
 */
export type CommandClass = "read_only" | "workspace_write" | "dangerous"

/** Why a command has its label. */
export interface Reason {
  /** What this reason alone would make of the command. */
  readonly label: CommandClass
  /** A stable word for rules, records and tests. */
  readonly kind: ReasonKind
  /** One sentence for people and for the agent, with what was found quoted. */
  readonly message: string
}

export type ReasonKind =
  /** Text that bash refuses, or that is refused before it is parsed: control characters, too long, nested too deeply. */
  | "unparsable"
  /** A program, operand or piece of code that is not known before the command runs. */
  | "unknown_code"
  /** A program that is not in the table. */
  | "unknown_program"
  /** An option that is not in the program's entry. */
  | "unknown_option"
  /** A path outside the workspace is written or deleted. */
  | "outside"
  /** A path that is never written: `.git`, hooks, `.claude`, start-up files of shells, … */
  | "special_path"
  | "secret"
  | "network"
  | "privilege"
  /** Files are lost: the workspace, sources by tree, history, uncommitted work. */
  | "destructive"
  /** Processes, services, schedules, infrastructure, databases. */
  | "system"
  /** Safety switched off: `--no-verify`, TLS checks, … */
  | "safety_off"
  /** `PATH`, `LD_*`, `GIT_*`: variables that change what runs. */
  | "environment"
  /** Resource bombs. */
  | "resources"
  | "workspace_write"
  | "project_code"
  | "reads"

export interface ProgramUse {
  /** As it would be looked up: the last part of the word, quotes and wrappers removed. */
  readonly name: string
  /** The words after it; none for a word that is not known before the command runs. */
  readonly args: ReadonlyArray<string | undefined>
}

export interface PathUse {
  /** Absolute, `.` and `..` resolved as text against the directory in which the command would stand. */
  readonly path: string
  readonly access: "read" | "write" | "delete"
}

export interface Analysis {
  readonly label: CommandClass
  /** At least one; those that gave the label come first. */
  readonly reasons: ReadonlyArray<Reason>
  /** In order of appearance, those that wrappers start included. */
  readonly programs: ReadonlyArray<ProgramUse>
  /** Paths that are known. One that is not known is a reason. */
  readonly paths: ReadonlyArray<PathUse>
  /** Host names and addresses that are named where the network is used; `undefined` for one that is not known. */
  readonly hosts: ReadonlyArray<string | undefined>
  readonly network: boolean
  readonly privilege: boolean
  /** What was found that holds secrets: paths and names of variables. */
  readonly secrets: ReadonlyArray<string>
  /** The pieces of text that could not be understood, shortened. */
  readonly unparsable: ReadonlyArray<string>
}

export interface AnalyzeOptions {
  /** Absolute path of the directory in which the command starts: the root of the workspace unless `workspace` is given. */
  readonly cwd: string
  /** Absolute path of the workspace. Default: `cwd`. */
  readonly workspace?: string
  /** Absolute path that `~` and `$HOME` stand for. Without it they are outside the workspace, wherever that is. */
  readonly home?: string
}

/** Looks programs up by name. */
export type Programs = (name: string) => Program | undefined

/** The built-in table with the entries of the user, which come first. */
export const programsOf = (entries: ProgramTable = {}): Programs => {
  const table = new Map<string, ProgramEntry>()
  for (const [names, entry] of [...Object.entries(builtIn), ...Object.entries(entries)]) {
    for (const name of names.split(" ")) table.set(name, entry)
  }
  return (name) => {
    const entry = table.get(name)
    return entry === undefined ? undefined : compile(entry)
  }
}

const builtInPrograms = programsOf()

const startOf = ({ cwd }: AnalyzeOptions): Shell => ({
  cwd: [cwd],
  variables: new Map(),
  functions: new Map(),
  aliases: new Map(),
  args: undefined,
  written: new Map()
})

/** `analyze`, but what goes wrong in it is thrown: for tests. */
export const inspect = (command: string, options: AnalyzeOptions, programs: Programs = builtInPrograms): Analysis => {
  const run = runOf(options, programs)
  try {
    follow(run, command, options)
  } catch (error) {
    if (!(error instanceof Budget.Exhausted)) throw error
    Findings.add(run.findings, "resources", "It becomes too much to be followed.")
  }
  return Findings.toAnalysis(run.findings)
}

/** Answers for every text. `cwd` and `workspace` are normalized absolute paths. */
export const analyze = (command: string, options: AnalyzeOptions, programs: Programs = builtInPrograms): Analysis => {
  try {
    return inspect(command, options, programs)
  } catch {
    // Fails closed: the parser or this program gave up on it.
    const findings = Findings.make()
    Findings.add(findings, "unparsable", "It could not be followed.")
    return Findings.toAnalysis(findings)
  }
}

const runOf = (options: AnalyzeOptions, programs: Programs): Run => ({
  findings: Findings.make(),
  lookUp: programs,
  workspace: options.workspace ?? options.cwd,
  home: options.home,
  budget: Budget.make(),
  depth: 0,
  calling: [],
  edited: new Set(),
  moved: new Set(),
  visited: new Set(),
  traps: [],
  called: new Set()
})

const follow = (run: Run, command: string, options: AnalyzeOptions): void => {
  const shell = startOf(options)
  const { fail, ok } = runText(run, command, shell, { _tag: "Inherited" })
  // It may end anywhere: then of all variables only those that name its own jobs are known.
  const jobs = [...(ok ?? fail ?? shell).variables].filter(([, it]) => it._tag === "Text" && isJob(it.value))
  for (const it of new Set([ok, fail, { ...shell, variables: new Map(jobs) }])) {
    for (const text of run.traps.slice(0, 8)) if (it !== undefined) runText(run, text, it, { _tag: "Inherited" })
  }
  for (const it of new Set([ok, fail])) if (it !== undefined) runUncalled(run, it)
}

export class CommandAnalyzer extends Context.Tag("@driver/permission/CommandAnalyzer")<
  CommandAnalyzer,
  {
    /** Total: answers for every text, in bounded time. */
    readonly analyze: (command: string, options: AnalyzeOptions) => Analysis
  }
>() {
  /** With the built-in table, and entries of the user that add to it or replace its own. */
  static readonly layer = (
    options: { readonly programs?: ProgramTable | undefined } = {}
  ): Layer.Layer<CommandAnalyzer> => {
    const programs = programsOf(options.programs)
    return Layer.succeed(CommandAnalyzer, { analyze: (command, where) => analyze(command, where, programs) })
  }
}
