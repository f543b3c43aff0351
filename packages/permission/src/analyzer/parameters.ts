/** `$name`, `${name…}`: what is known of a parameter. */
import type { ParameterExpansionPart } from "unbash"
import { spend } from "./Budget.js"
import { add, quote } from "./Findings.js"
import type { Variable } from "./Shell.js"
import { setText } from "./Shell.js"
import { isSecretVariable } from "./secrets.js"
import {
  concat,
  hole,
  isOpen,
  job,
  literal,
  patternOf,
  show,
  textOf,
  unknownText,
  unknownWords,
  type Value
} from "./values.js"
import { type Context, isRelativePath, spaced, textOfWord, visitSubstitutions } from "./words.js"

const numbers = new Set([
  "?",
  "#",
  "$",
  "!",
  "RANDOM",
  "SRANDOM",
  "SECONDS",
  "LINENO",
  "UID",
  "EUID",
  "PPID",
  "SHLVL",
  "COLUMNS",
  "LINES",
  "BASHPID",
  "EPOCHSECONDS",
  "OPTIND",
  "BASH_SUBSHELL"
])

const names = new Set([
  "USER",
  "LOGNAME",
  "HOSTNAME",
  "HOSTTYPE",
  "OSTYPE",
  "MACHTYPE",
  "BASH_VERSION",
  "LANG",
  "TERM",
  "SHELLOPTS"
])

/** Bash gives these other values than were assigned. */
const changedByShell = new Set([
  "_",
  "DIRSTACK",
  "FUNCNAME",
  "PIPESTATUS",
  "GROUPS",
  "OPTARG",
  "BASH_ARGV",
  "BASH_COMMAND"
])

const valuesOf = (variable: Variable): ReadonlyArray<Value> =>
  variable._tag === "Array" ? variable.values : [variable.value]

/** `$name`. Several values are the fields of `"$@"`. */
export const parameter = (context: Context, name: string, quoted: boolean): ReadonlyArray<Value> => {
  if (name === "!") return [job]
  if (changedByShell.has(name)) return [unknownText]
  if (name === "@" || name === "*") {
    if (context.shell.args === undefined) return [unknownWords]
    return quoted && name === "*" ? [concat(...spaced(context.shell.args))] : context.shell.args
  }
  if (/^\d+$/.test(name)) {
    if (name === "0" || context.shell.args === undefined) return [unknownText]
    return [context.shell.args[Number(name) - 1] ?? literal("")]
  }
  const variable = context.shell.variables.get(name)
  if (variable !== undefined) return [valuesOf(variable)[0] ?? literal("")]
  if (numbers.has(name)) return [hole("number")]
  if (names.has(name)) return [hole("name")]
  if (name === "HOME") return [literal(context.run.home ?? "~")]
  if (name === "PWD") {
    const [only, ...others] = context.shell.cwd
    return [only !== undefined && others.length === 0 ? literal(only) : unknownText]
  }
  if (name === "TMPDIR") return [literal("/tmp")]
  secretUsed(context, name)
  return [unknownText]
}

const secretUsed = (context: Context, name: string): void => {
  if (context.hidden === true || !isSecretVariable(name)) return
  context.run.findings.secrets.add(name)
  add(context.run.findings, "secret", `The variable ${quote(name)} usually holds a secret.`)
}

export const parameterOperation = (
  context: Context,
  part: ParameterExpansionPart,
  quoted: boolean
): ReadonlyArray<Value> => {
  const { index, operation, parameter: name, prefix } = part
  if (prefix === "#") {
    if (index !== undefined) visitSubstitutions(context, index)
    return [hole("number")]
  }
  if (prefix === "!") {
    if (operation?.type === "Names" || (index !== undefined && /^[@*]$/.test(index.value))) return [unknownText]
    const named = context.shell.variables.get(name)
    const target = named?._tag === "Text" ? textOf(named.value) : undefined
    if (target !== undefined && /^\w+$/.test(target)) return parameter(context, target, quoted)
    add(
      context.run.findings,
      "unknown_code",
      `${quote(part.text)} shows a variable that is not known before the command runs.`
    )
    return [unknownText]
  }
  const values = elements(context, part, quoted)
  if (operation === undefined) {
    if (values.length > 0 || index !== undefined) return values
    return [unknownText]
  }
  const isUnset = context.shell.variables.get(name) === undefined && !/^\d+$|^(HOME|PWD)$/.test(name)
  switch (operation.type) {
    case "Default": {
      const operand = textOfWord(context, operation.operand)
      const known = values.length === 1 ? textOf(values[0] ?? unknownText) : undefined
      if (/=/.test(operation.operator)) context.shell = setText(context.shell, name, unknownText)
      if (operation.operator.includes("+")) return known !== undefined && known !== "" ? [operand] : [unknownText]
      if (known !== undefined && !isUnset) return known === "" && operation.operator.includes(":") ? [operand] : values
      return [unknownText]
    }
    case "Remove":
      return values.map((value) => {
        const operand = textOfWord(context, operation.operand)
        const quotedPattern = /['"\\$`]/.test(operation.operand.text) && /[*?[]/.test(show(operand))
        return quotedPattern || /[\\]/.test(operation.operand.text)
          ? unknownText
          : remove(value, operation.operator, operand)
      })
    case "Replace": {
      const pattern = textOf(textOfWord(context, operation.pattern))
      const replacement = textOf(textOfWord(context, operation.replacement))
      return values.map((value) => {
        const text = textOf(value)
        if (
          text === undefined ||
          pattern === undefined ||
          replacement === undefined ||
          /[*?[\\&]/.test(pattern + replacement) ||
          pattern === ""
        ) {
          return unknownText
        }
        spend(context.run.budget, text.length * Math.max(1, replacement.length))
        if (operation.operator === "//") return literal(text.replaceAll(pattern, () => replacement))
        return operation.operator === "/" ? literal(text.replace(pattern, () => replacement)) : unknownText
      })
    }
    case "Slice": {
      const offset = textOf(textOfWord(context, operation.offset))
      const length = operation.length === undefined ? undefined : textOf(textOfWord(context, operation.length))
      if (
        offset === undefined ||
        !/^ ?-?\d+$/.test(offset) ||
        (operation.length !== undefined && !/^\d+$/.test(length ?? ""))
      ) {
        return [unknownWords]
      }
      const from = Number(offset)
      const whole = name === "@" || name === "*" || index?.value === "@" || index?.value === "*"
      // What stands at 0 of the arguments, or is counted from the end, is left open.
      if (whole && (from < 0 || (from === 0 && /^[@*]$/.test(name)) || values.some((it) => it.many === true)))
        return [unknownWords]
      if (whole) {
        const shift = name === "@" || name === "*" ? Math.max(0, from - 1) : from
        return values.slice(shift, length === undefined ? undefined : shift + Number(length))
      }
      return values.map((value) => {
        const text = textOf(value)
        if (text === undefined)
          return value.pieces.every((it) => typeof it !== "string" && it.kind === "number") ? value : unknownText
        if (from < 0 && text.length + from < 0) return literal("")
        const start = from < 0 ? text.length + from : from
        return literal(text.slice(start, length === undefined ? undefined : start + Number(length)))
      })
    }
    case "CaseModification": {
      const plain = operation.operand === undefined || operation.operand.text === ""
      return values.map((value) => {
        const text = textOf(value)
        if (text === undefined || !plain) return unknownText
        const change = operation.operator.startsWith("^") ? text.toUpperCase() : text.toLowerCase()
        return literal(operation.operator.length === 2 ? change : change.slice(0, 1) + text.slice(1))
      })
    }
    case "Transform":
      if (/[PE]/.test(operation.operand.value)) {
        add(context.run.findings, "unknown_code", `${quote(part.text)} makes code of a text.`)
      }
      return [unknownText]
    default:
      return [unknownText]
  }
}

/** The values before an operation: one, or the elements of an array. */
const elements = (
  context: Context,
  { index, operation, parameter: name }: ParameterExpansionPart,
  quoted: boolean
): ReadonlyArray<Value> => {
  // `${TOKEN:+set}` shows nothing of it.
  const shown =
    operation?.type === "Default" && operation.operator.includes("+") ? { ...context, hidden: true } : context
  if (index === undefined) return parameter(shown, name, quoted)
  const variable = context.shell.variables.get(name)
  if (variable === undefined) {
    visitSubstitutions(context, index)
    secretUsed(context, name)
    return [unknownWords]
  }
  const key = index.value
  if (key === "@" || key === "*") return valuesOf(variable)
  visitSubstitutions(context, index)
  if (!/^\d+$/.test(key)) return [unknownText]
  return variable._tag === "Array"
    ? [variable.values[Number(key)] ?? literal("")]
    : key === "0"
      ? [variable.value]
      : [literal("")]
}

/** `${x%…}`, `${x#…}` as far as it is known. */
const remove = (value: Value, operator: string, operand: Value): Value => {
  const pattern = operand.pieces.every((it) => typeof it === "string" || it.kind === "glob")
    ? patternOf(operand)
    : undefined
  if (pattern === undefined) return unknownText
  const text = textOf(value)
  if (text !== undefined) return removeFromText(text, operator, pattern)
  if (isOpen(value)) return unknownText
  const last = value.pieces.at(-1)
  if (operator.startsWith("%") && typeof last === "string" && !/[*?[]/.test(pattern) && last.endsWith(pattern)) {
    const left = last.slice(0, last.length - pattern.length)
    return { pieces: left === "" ? value.pieces.slice(0, -1) : [...value.pieces.slice(0, -1), left] }
  }
  if (!isRelativePath(value)) return unknownText
  if (pattern === "*/" && operator === "##") {
    if (typeof last !== "string") return hole("name")
    const name = last.slice(last.lastIndexOf("/") + 1)
    return name === "" ? unknownText : concat(last.includes("/") ? literal("") : hole("name"), literal(name))
  }
  // What is left in front of the last part of a path is not empty, and below where the path is.
  return operator === "%" && (pattern === "/*" || pattern === ".*") && typeof value.pieces[0] === "string"
    ? hole("path")
    : unknownText
}

const removeFromText = (text: string, operator: string, pattern: string): Value => {
  if (!/[*?[\\]/.test(pattern)) {
    if (operator.startsWith("%"))
      return literal(text.endsWith(pattern) ? text.slice(0, text.length - pattern.length) : text)
    return literal(text.startsWith(pattern) ? text.slice(pattern.length) : text)
  }
  const after = /^\*([^*?[\\]+)$/.exec(pattern)?.[1]
  const before = /^([^*?[\\]+)\*$/.exec(pattern)?.[1]
  if (operator.startsWith("#") && after !== undefined) {
    const at = operator === "##" ? text.lastIndexOf(after) : text.indexOf(after)
    return literal(at < 0 ? text : text.slice(at + after.length))
  }
  if (operator.startsWith("%") && before !== undefined) {
    const at = operator === "%%" ? text.indexOf(before) : text.lastIndexOf(before)
    return literal(at < 0 ? text : text.slice(0, at))
  }
  return unknownText
}
