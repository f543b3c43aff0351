/**
 * From a word of the parse tree to the words that the program would get: braces,
 * parameters, substitutions, splitting. What is not known becomes a hole.
 */
import { forEachChild, type ParsedScript, type SyntaxNode, type Word, type WordPart } from "unbash"
import { cost, Exhausted, spend } from "./Budget.js"
import { expandBraces } from "./braces.js"
import { add, quote } from "./Findings.js"
import { parameter, parameterOperation } from "./parameters.js"
import type { Output, Run, Shell } from "./Shell.js"
import { setText } from "./Shell.js"
import {
  concat,
  hole,
  isOpen,
  lengthOf,
  literal,
  type Piece,
  patternOf,
  textOf,
  unknownText,
  unknownWords,
  type Value
} from "./values.js"

/** The shell changes while words are evaluated: `${x:=1}`, `$((x++))`. */
export interface Context {
  readonly run: Run
  shell: Shell
  /** Runs what stands in a substitution and says what it prints. */
  readonly substitute: (script: ParsedScript, shell: Shell) => Output | undefined
  /** Nothing of the words is shown: `[ -n "$TOKEN" ]`. */
  readonly hidden?: boolean
}

interface Chunk {
  /** Several: the fields of `"$@"`, which are words of their own. */
  readonly values: ReadonlyArray<Value>
  readonly quoted: boolean
  /** An expansion without quotes: split, and its patterns expanded. */
  readonly splits: boolean
}

export const mostWords = 256

/** Pays for what words become. */
const paid = (context: Context, values: ReadonlyArray<Value>): ReadonlyArray<Value> => {
  for (const value of values) spend(context.run.budget, cost.word + cost.character * lengthOf(value))
  return values
}

/** The words that it becomes. */
export const wordsOf = (context: Context, word: Word): ReadonlyArray<Value> => {
  if (word.parts === undefined) return paid(context, [literal(word.value)])
  const alternatives = expandBraces(word.parts)
  if (alternatives === undefined) {
    if (/\.\.-?\d{5,}|\d{5,}\.\./.test(word.text))
      add(context.run.findings, "resources", `${quote(word.text)} becomes very many words.`)
    for (const part of word.parts) visitSubstitutions(context, part)
    return [unknownWords]
  }
  return paid(
    context,
    alternatives.flatMap((parts) => fieldsOf(context, parts))
  )
}

/** As one word, where nothing is split: assignments, targets of here-strings, `[[ ]]`, `case`. */
export const textOfWord = (context: Context, word: Word | undefined): Value => {
  if (word === undefined) return literal("")
  if (word.parts === undefined) return literal(word.value)
  const chunks = word.parts.flatMap((part) => chunkOf(context, part, true))
  return unsplit(concat(...chunks.flatMap(({ values }) => spaced(values))))
}

/** Of a here-document, and of what else is like text in double quotes. */
export const textOfParts = (context: Context, parts: ReadonlyArray<WordPart>): Value =>
  unsplit(concat(...parts.flatMap((part) => chunkOf(context, part, true)).flatMap(({ values }) => spaced(values))))

const unsplit = (value: Value): Value => (value.many === true ? { pieces: value.pieces } : value)

export const spaced = (values: ReadonlyArray<Value>): ReadonlyArray<Value> =>
  values.flatMap((value, index) => (index === 0 ? [value] : [literal(" "), value]))

const fieldsOf = (context: Context, parts: ReadonlyArray<WordPart>): ReadonlyArray<Value> => {
  const chunks = parts.flatMap((part) => chunkOf(context, part, false))
  const fields: Array<{ value: Value; certain: boolean }> = []
  let open = false
  const push = (value: Value, certain: boolean) => {
    const last = fields.at(-1)
    if (open && last !== undefined) {
      fields[fields.length - 1] = { value: concat(last.value, value), certain: last.certain || certain }
    } else fields.push({ value, certain })
    open = true
  }
  for (const { quoted, splits, values } of chunks) {
    for (const [index, value] of values.entries()) {
      if (index > 0) open = false
      if (!splits) {
        push(value, quoted || value.pieces.length > 0)
        continue
      }
      const pieces = split(context, value)
      for (const [at, field] of pieces.entries()) {
        if (at > 0) open = false
        if (field !== undefined) push(field, field.pieces.length > 0)
      }
    }
  }
  const out = fields.filter(({ certain }) => certain).map(({ value }) => value)
  if (out.length > mostWords) throw new Exhausted()
  return out
}

/** The fields of an expansion without quotes. `undefined` at an end: a separator stands there. */
const split = (context: Context, value: Value): ReadonlyArray<Value | undefined> => {
  const ifs = context.shell.variables.get("IFS")
  const separators = ifs === undefined ? " \t\n" : ifs._tag === "Text" ? textOf(ifs.value) : undefined
  if (separators === undefined) return [unknownWords]
  const out: Array<Value | undefined> = []
  let current: Array<Piece> = []
  let any = false
  for (const piece of value.pieces) {
    if (typeof piece !== "string") {
      current.push(piece)
      any = true
      continue
    }
    let from = 0
    for (let at = 0; at <= piece.length; at++) {
      const character = piece[at]
      if (character !== undefined && !separators.includes(character)) continue
      const text = piece.slice(from, at)
      if (text !== "") {
        current.push(...globPieces(text))
        any = true
      }
      from = at + 1
      if (character === undefined) break
      out.push(any ? withMany(current, value.many) : undefined)
      current = []
      any = false
    }
  }
  out.push(
    any
      ? withMany(current, value.many || value.pieces.some((it) => typeof it !== "string" && it.kind === "text"))
      : undefined
  )
  return out
}

const withMany = (pieces: ReadonlyArray<Piece>, many: boolean | undefined): Value =>
  many === true ? { pieces, many } : { pieces }

/** Text of an expansion in which patterns count. */
const globPieces = (text: string): ReadonlyArray<Piece> => {
  if (!/[*?[]/.test(text)) return [text]
  return text
    .split(/(\*+|\?|\[[^\]/]*\])/)
    .filter((it) => it !== "")
    .map((it) => (/^(\*+|\?|\[[^\]/]*\])$/.test(it) ? { kind: "glob", pattern: it } : it))
}

const one = (value: Value, quoted: boolean, splits = false): ReadonlyArray<Chunk> => [
  { values: [value], quoted, splits }
]

const chunkOf = (context: Context, part: WordPart, quoted: boolean): ReadonlyArray<Chunk> => {
  const chunks = chunksOf(context, part, quoted)
  for (const { values } of chunks) paid(context, values)
  return chunks
}

const chunksOf = (context: Context, part: WordPart, quoted: boolean): ReadonlyArray<Chunk> => {
  switch (part.type) {
    case "Literal":
      return one(literal(part.value), quoted)
    case "SingleQuoted":
      return one(literal(part.value), true)
    case "AnsiCQuoted":
      // What bash cuts off, and what it makes of bytes, is not text to be judged.
      return /[\0\uFFFD]/.test(part.value) ? one(unknownText, true) : one(literal(part.value), true)
    case "DoubleQuoted":
    case "LocaleString": {
      const inner = part.parts.flatMap((it) => chunkOf(context, it, true))
      return inner.length === 0 ? one(literal(""), true) : inner.map((it) => ({ ...it, quoted: true, splits: false }))
    }
    case "Glob":
      return one(quoted ? literal(part.text) : { pieces: [{ kind: "glob", pattern: part.value }] }, quoted)
    case "ExtendedGlob":
      for (const it of part.parts ?? []) visitSubstitutions(context, it)
      if (!quoted && context.shell.variables.get("#extglob") === undefined) {
        add(
          context.run.findings,
          "unparsable",
          `${quote(part.text)} is no pattern unless \`extglob\` was switched on before.`
        )
      }
      return one({ pieces: [{ kind: "glob", pattern: part.text }] }, quoted)
    case "BraceExpansion":
      visitSubstitutions(context, part)
      return one(quoted && part.parts === undefined ? literal(part.text) : unknownText, quoted)
    case "SimpleExpansion":
      return expand(parameter(context, part.text.slice(1), quoted), quoted)
    case "ParameterExpansion":
      return expand(parameterOperation(context, part, quoted), quoted)
    case "CommandExpansion": {
      const output = part.script === undefined ? undefined : context.substitute(part.script, context.shell)
      return expand([substituted(output)], quoted)
    }
    case "ArithmeticExpansion":
      visitSubstitutions(context, part)
      checkArithmetic(
        context,
        part.expression === undefined
          ? part.text.slice(3, -2)
          : withoutCommands(part.text.slice(3, -2), part.expression),
        part.expression !== undefined
      )
      return expand([hole("number")], quoted)
    case "ProcessSubstitution":
      if (part.script !== undefined) context.substitute(part.script, context.shell)
      return one(literal(part.operator === "<" ? "/dev/fd/63" : "/dev/fd/62"), true)
  }
}

/** The commands within are judged on their own; a number stands for each. */
const withoutCommands = (text: string, node: SyntaxNode): string => {
  let plain = text
  const visit = (it: SyntaxNode): void => {
    if (it.type === "ArithmeticCommandExpansion" && it.text.startsWith("$(")) plain = plain.replace(it.text, () => "1")
    else forEachChild(it, visit)
  }
  visit(node)
  return plain
}

/** Bash may take two subshells for arithmetic, and arithmetic for two subshells. */
export const checkArithmetic = ({ run }: Context, text: string, understood: boolean): void => {
  if (/["';|&\\]\s|\s["'/]|>\s*[>(/.]|\w\s+\w/.test(text) || (!understood && text.trim() !== "")) {
    add(run.findings, "unparsable", `${quote(text)} is no plain arithmetic.`)
  }
}

const expand = (values: ReadonlyArray<Value>, quoted: boolean): ReadonlyArray<Chunk> =>
  values.length === 0 && !quoted ? [] : [{ values: values.length === 0 ? [] : values, quoted, splits: !quoted }]

const substituted = (output: Output | undefined): Value => {
  if (output === undefined) return unknownText
  if (output.exact) {
    const joined = concat(...output.lines.flatMap((line, index) => (index === 0 ? [line] : [literal("\n"), line])))
    const text = textOf(joined)
    return text === undefined ? joined : literal(text.replace(/\n+$/, ""))
  }
  const [only, ...others] = output.lines
  if (output.lines.some((it) => /(^|\/)\.\*$/.test(isOpen(it) ? "" : patternOf(it))))
    return { pieces: [{ kind: "glob", pattern: "**/.*" }], many: true }
  if (only !== undefined && others.length === 0) return { pieces: only.pieces, many: true }
  return output.lines.length > 0 && output.lines.every((it) => isRelativePath(it))
    ? { ...hole("path"), many: true }
    : unknownText
}

/** Whether it can only be a path below where the shell stands. */
export const isRelativePath = (value: Value): boolean => {
  if (isOpen(value)) return false
  const text = patternOf(value)
  return !/^[-/~]/.test(text) && !text.split("/").includes("..")
}

/** Runs the substitutions below a node whose value is not needed, and notes what arithmetic assigns. */
export const visitSubstitutions = (context: Context, node: SyntaxNode): void => {
  if (
    node.type === "CommandExpansion" ||
    node.type === "ProcessSubstitution" ||
    node.type === "ArithmeticCommandExpansion"
  ) {
    if (node.script !== undefined) context.substitute(node.script, context.shell)
    return
  }
  if (node.type === "SimpleExpansion") {
    for (const value of parameter(context, node.text.slice(1), true)) {
      if (/[[$`(]/.test(textOf(value) ?? ""))
        add(
          context.run.findings,
          "unknown_code",
          `${quote(node.text)} holds more than a number where a number is meant.`
        )
    }
    return
  }
  if (node.type === "ParameterExpansion") {
    parameterOperation(context, node, true)
    return
  }
  if (node.type === "ArithmeticBinary" && /^[^=!<>]?[^=!<>]?=$|^(<<|>>)=$/.test(node.operator))
    assignNumber(context, node.left)
  if (node.type === "ArithmeticUnary" && (node.operator === "++" || node.operator === "--"))
    assignNumber(context, node.operand)
  forEachChild(node, (child) => visitSubstitutions(context, child))
}

const assignNumber = (context: Context, target: SyntaxNode): void => {
  const name = target.type === "ArithmeticWord" ? /^[A-Za-z_]\w*/.exec(target.value)?.[0] : undefined
  if (name !== undefined) context.shell = setText(context.shell, name, hole("number"))
}
