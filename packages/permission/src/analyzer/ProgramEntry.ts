/**
 * What is known about a program: one entry of the table. Data only, so that a user
 * adds entries in the configuration; what data cannot say (a script of `sed`, an
 * expression of `find`) is a `rule`: the name of a function that is built in.
 *
 * Everything that an entry does not name is refused: an option, a subcommand, an operand.
 */
import * as Schema from "effect/Schema"

/**
 * What an operand or the value of an option means.
 *
 * - `text`: a word without effect. `inside`: a word for the project's own code, which may not lead out of the workspace.
 * - `stat`: a path of which names and sizes are shown; `read`: its content too; `write`; `delete`; `code`: a program of the workspace that is run.
 * - `cwd`: the directory in which the program works. `variable`: the name of a variable, or an assignment.
 * - `command`: a line for the shell. `host`: what is reached over the network.
 */
export const Role = Schema.Literal(
  "text",
  "inside",
  "stat",
  "read",
  "write",
  "delete",
  "code",
  "cwd",
  "variable",
  "command",
  "host"
)
export type Role = typeof Role.Type

export const Effect = Schema.Literal(
  "reads",
  "workspace_write",
  "project_code",
  "unknown_code",
  "secret",
  "network",
  "privilege",
  "destructive",
  "system",
  "safety_off",
  "resources"
)
export type Effect = typeof Effect.Type

/** Options, separated by spaces, such as `-n --lines`. */
const Options = Schema.String

const fields = {
  /** The worst that it does, besides what its paths say. Default: `reads`. */
  effect: Schema.optional(Effect),
  /** Why, for the message. */
  because: Schema.optional(Schema.String),
  /** Options without a value. */
  flags: Schema.optional(Options),
  /** Options with a value, by what the value means. */
  values: Schema.optional(Schema.partial(Schema.Record({ key: Role, value: Options }))),
  /** Options whose value, if any, is in the same word: `--color=auto`, `-U3`. */
  attached: Schema.optional(Options),
  /** What the operands mean, in order: `text read*`, `read* write`. A `*` repeats. Default: none are known. */
  operands: Schema.optional(Schema.String),
  /** What the operands mean with one of these options. */
  operandsWith: Schema.optional(Schema.Record({ key: Options, value: Schema.String })),
  /** What it does with one of these options, when that is worse. */
  effectWith: Schema.optional(Schema.Record({ key: Options, value: Effect })),
  /** With one of these options it only tells about itself: nothing else counts. */
  tells: Schema.optional(Options),
  /** How options look. `single`: whole words with one dash. `none`: every word is an operand. `bundle`: the first word is options, also without a dash. */
  style: Schema.optional(Schema.Literal("gnu", "single", "none", "bundle")),
  /** `-20` is an option. */
  numeric: Schema.optional(Schema.Boolean),
  /** No option comes after the first operand. */
  ordered: Schema.optional(Schema.Boolean),
  /** Options after which every word belongs to what they start: `-m module …`. */
  ends: Schema.optional(Options),
  /** The operands are a program and its arguments. `assignments`: after assignments. */
  runs: Schema.optional(Schema.Literal("program", "assignments")),
  /** So many operands before the program that it runs. */
  skips: Schema.optional(Schema.Number),
  /** The least number of operands. Fewer make it what `otherwise` says. */
  least: Schema.optional(Schema.Number),
  otherwise: Schema.optional(Effect),
  /** A function that judges what data cannot say. `guard`: one that judges the options in front of a subcommand. */
  rule: Schema.optional(Schema.String),
  guard: Schema.optional(Schema.String)
}

export interface ProgramEntry extends Schema.Struct.Type<typeof fields> {
  readonly subcommands?: { readonly [name: string]: ProgramEntry } | undefined
}

export interface ProgramEntryEncoded extends Schema.Struct.Encoded<typeof fields> {
  readonly subcommands?: { readonly [name: string]: ProgramEntryEncoded } | undefined
}

export const ProgramEntry: Schema.Schema<ProgramEntry, ProgramEntryEncoded> = Schema.Struct({
  ...fields,
  /** By the first operand; several names are separated by spaces. `*` is any other. */
  subcommands: Schema.optional(
    Schema.Record({
      key: Schema.String,
      value: Schema.suspend((): Schema.Schema<ProgramEntry, ProgramEntryEncoded> => ProgramEntry)
    })
  )
})

/** By name; several names that share an entry are separated by spaces. */
export type ProgramTable = Readonly<Record<string, ProgramEntry>>

export type Arity = "flag" | "attached" | Role

interface OperandRoles {
  readonly before: ReadonlyArray<Role>
  readonly repeated: Role | undefined
  readonly after: ReadonlyArray<Role>
}

/** An entry, made fast to look things up in. */
export interface Program {
  readonly entry: ProgramEntry
  readonly options: ReadonlyMap<string, Arity>
  readonly operands: OperandRoles
  readonly operandsWith: ReadonlyMap<string, OperandRoles>
  readonly effectWith: ReadonlyMap<string, Effect>
  readonly tells: ReadonlySet<string>
  readonly ends: ReadonlySet<string>
  readonly subcommands: ReadonlyMap<string, ProgramEntry>
}

const words = (text: string | undefined): ReadonlyArray<string> =>
  text === undefined ? [] : text.split(" ").filter((it) => it !== "")

const rolesOf = (text: string | undefined): OperandRoles => {
  const before: Array<Role> = []
  const after: Array<Role> = []
  let repeated: Role | undefined
  for (const word of words(text)) {
    const role = word.replace(/\*$/, "") as Role
    if (word.endsWith("*")) repeated = role
    else if (repeated === undefined) before.push(role)
    else after.push(role)
  }
  return { before, repeated, after }
}

const compiled = new WeakMap<ProgramEntry, Program>()

export const compile = (entry: ProgramEntry): Program => {
  const known = compiled.get(entry)
  if (known !== undefined) return known
  const options = new Map<string, Arity>()
  for (const flag of words(entry.flags)) options.set(flag, "flag")
  for (const flag of words(entry.tells)) options.set(flag, "flag")
  for (const option of words(entry.attached)) options.set(option, "attached")
  for (const [role, list] of Object.entries(entry.values ?? {})) {
    for (const option of words(list)) options.set(option, role as Role)
  }
  const operandsWith = new Map<string, OperandRoles>()
  for (const [list, roles] of Object.entries(entry.operandsWith ?? {})) {
    for (const option of words(list)) operandsWith.set(option, rolesOf(roles))
  }
  const effectWith = new Map<string, Effect>()
  for (const [list, effect] of Object.entries(entry.effectWith ?? {})) {
    for (const option of words(list)) {
      effectWith.set(option, effect)
      if (!options.has(option)) options.set(option, "flag")
    }
  }
  const subcommands = new Map<string, ProgramEntry>()
  for (const [names, sub] of Object.entries(entry.subcommands ?? {})) {
    for (const name of words(names)) subcommands.set(name, sub)
  }
  const program: Program = {
    entry,
    options,
    operands: rolesOf(entry.operands),
    operandsWith,
    effectWith,
    tells: new Set(words(entry.tells)),
    ends: new Set(words(entry.ends)),
    subcommands
  }
  compiled.set(entry, program)
  return program
}

/** The role of the operand at `index` of `count`; none when so many are not known. */
export const roleAt = ({ after, before, repeated }: OperandRoles, index: number, count: number): Role | undefined => {
  if (after.length > 0 && count >= before.length + after.length) {
    const fromEnd = count - index
    if (fromEnd <= after.length) return after[after.length - fromEnd]
  }
  return index < before.length ? before[index] : repeated
}
