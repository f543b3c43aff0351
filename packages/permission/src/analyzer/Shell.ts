/** What is known about the shell at a point of the command, and what is the same for the whole analysis. */
import type { CompoundCommand, CompoundList, Redirected } from "unbash"
import type { Budget } from "./Budget.js"
import type { Findings } from "./Findings.js"
import type { Program } from "./ProgramEntry.js"
import { sameValue, unknownText, type Value } from "./values.js"

export type Variable =
  | { readonly _tag: "Text"; readonly value: Value }
  | { readonly _tag: "Array"; readonly values: ReadonlyArray<Value> }

export type FunctionBody = CompoundCommand | Redirected | CompoundList

/** Immutable: branches go on from the same one. */
export interface Shell {
  /** Where it may stand; none when that is not known. */
  readonly cwd: ReadonlyArray<string>
  readonly variables: ReadonlyMap<string, Variable>
  /** Each of these may be what the name means; `undefined`: it may not be a function at all. */
  readonly functions: ReadonlyMap<string, ReadonlyArray<FunctionBody | undefined>>
  readonly aliases: ReadonlyMap<string, string>
  /** `$1` and so on; none when they are not known. */
  readonly args: ReadonlyArray<Value> | undefined
  /** Files that the command itself has written, and their text when that is known. */
  readonly written: ReadonlyMap<string, Value>
}

/** What a command prints: these lines, or with `exact: false` any number of lines that look like one of them. */
export interface Output {
  readonly lines: ReadonlyArray<Value>
  readonly exact: boolean
}

/** What a command reads from its standard input. */
export type Input =
  | { readonly _tag: "Inherited" }
  | { readonly _tag: "Nothing" }
  /** A here-document, a here-string. */
  | { readonly _tag: "Text"; readonly value: Value }
  | { readonly _tag: "File"; readonly path: Value }
  | { readonly _tag: "Pipe"; readonly output: Output | undefined }

/** One analysis. */
export interface Run {
  readonly findings: Findings
  readonly lookUp: (name: string) => Program | undefined
  readonly workspace: string
  readonly home: string | undefined
  readonly budget: Budget
  depth: number
  readonly calling: Array<string>
  /** Files that it writes. */
  readonly edited: Set<string>
  /** Patterns of files that a loop or a search goes over. */
  readonly visited: Set<string>
  /** Where it moves files to. */
  readonly moved: Set<string>
  /** What runs when the shell ends. */
  readonly traps: Array<string>
  readonly called: Set<FunctionBody>
}

export const setVariable = (shell: Shell, name: string, variable: Variable): Shell => ({
  ...shell,
  variables: new Map(shell.variables).set(name, variable)
})

export const setText = (shell: Shell, name: string, value: Value): Shell =>
  setVariable(shell, name, { _tag: "Text", value })

const sameVariable = (a: Variable, b: Variable | undefined): boolean => {
  if (b === undefined) return false
  if (a === b) return true
  if (a._tag === "Text") return b._tag === "Text" && sameValue(a.value, b.value)
  return (
    b._tag === "Array" &&
    a.values.length === b.values.length &&
    a.values.every((it, index) => sameValue(it, b.values[index] ?? unknownText))
  )
}

/** What is known after either of two. */
export const join = (a: Shell | undefined, b: Shell | undefined): Shell | undefined => {
  if (a === undefined || a === b) return b
  if (b === undefined) return a
  return joined(a, b)
}

const mostPlaces = 8

const joined = (a: Shell, b: Shell): Shell => {
  const cwd = a.cwd.length === 0 || b.cwd.length === 0 ? [] : [...new Set([...a.cwd, ...b.cwd])]
  return {
    cwd: cwd.length > mostPlaces ? [] : cwd,
    variables: a.variables === b.variables ? a.variables : joinVariables(a.variables, b.variables),
    functions: a.functions === b.functions ? a.functions : joinFunctions(a.functions, b.functions),
    aliases: a.aliases === b.aliases ? a.aliases : new Map([...a.aliases, ...b.aliases]),
    args: a.args === b.args ? a.args : undefined,
    written: a.written === b.written ? a.written : joinWritten(a.written, b.written)
  }
}

const unknownVariable: Variable = { _tag: "Text", value: unknownText }

const joinVariables = (a: Shell["variables"], b: Shell["variables"]): Shell["variables"] => {
  const out = new Map<string, Variable>()
  for (const name of new Set([...a.keys(), ...b.keys()])) {
    const one = a.get(name)
    out.set(name, one !== undefined && sameVariable(one, b.get(name)) ? one : unknownVariable)
  }
  return out
}

const joinFunctions = (a: Shell["functions"], b: Shell["functions"]): Shell["functions"] => {
  const out = new Map<string, ReadonlyArray<FunctionBody | undefined>>()
  for (const name of new Set([...a.keys(), ...b.keys()])) {
    out.set(name, [...new Set([...(a.get(name) ?? [undefined]), ...(b.get(name) ?? [undefined])])])
  }
  return out
}

const joinWritten = (a: Shell["written"], b: Shell["written"]): Shell["written"] => {
  const out = new Map<string, Value>()
  for (const path of new Set([...a.keys(), ...b.keys()])) {
    const one = a.get(path)
    const other = b.get(path)
    out.set(
      path,
      one === undefined ? (other ?? unknownText) : other === undefined || sameValue(one, other) ? one : unknownText
    )
  }
  return out
}
