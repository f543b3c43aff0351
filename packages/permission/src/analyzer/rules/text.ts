/** The small languages of text tools: `sed`, `awk`, `jq`. */
import { has, parseArguments } from "../arguments.js"
import { effect, refuse, same } from "../Call.js"
import { quote } from "../Findings.js"
import { compile } from "../ProgramEntry.js"
import { touch } from "../paths.js"
import type { Rule } from "../rules.js"
import { isSecretVariable } from "../secrets.js"
import { literal, show, textOf, type Value } from "../values.js"
import { emptied } from "./files.js"

interface SedEffects {
  readonly reads: ReadonlyArray<string>
  readonly writes: ReadonlyArray<string>
}

/** What a script of sed touches; none when it runs a command or is not understood. */
const sedEffects = (script: string): SedEffects | undefined => {
  const reads: Array<string> = []
  const writes: Array<string> = []
  let at = 0
  const delimited = (delimiter: string): boolean => {
    let bracket = false
    for (; at < script.length; at++) {
      const it = script[at]
      if (it === "\\") at++
      else if (it === "\n" && delimiter !== "\n") return false
      else if (bracket) bracket = it !== "]"
      else if (it === "[" && delimiter !== "[") {
        // A bracket that comes first in it is no end of it.
        bracket = /^\[\^?\]?[^\]]*\]/.test(script.slice(at, at + 400))
        if (bracket && /^\[\^?\]/.test(script.slice(at, at + 3))) at += script[at + 1] === "^" ? 2 : 1
        if (bracket && script.slice(at, script.indexOf("]", at + 1)).includes(delimiter)) return false
      } else if (it === delimiter) {
        at++
        return true
      }
    }
    return false
  }
  const restOfLine = (): string => {
    const end = script.indexOf("\n", at)
    const text = script.slice(at, end < 0 ? undefined : end).trim()
    at = end < 0 ? script.length : end
    return text
  }
  const address = (): boolean => {
    const found = /^(\d+(~\d+)?|\$|\+\d+|~\d+)/.exec(script.slice(at, at + 40))
    if (found !== null) {
      at += found[0].length
      return true
    }
    let delimiter = script[at]
    if (delimiter === "\\") delimiter = script[++at]
    else if (delimiter !== "/") return false
    if (delimiter === undefined) return false
    at++
    if (!delimited(delimiter)) return false
    while (/[IM]/.test(script[at] ?? "")) at++
    return true
  }
  while (at < script.length) {
    if (/[\s;]/.test(script[at] ?? "")) {
      at++
      continue
    }
    if (script[at] === "#") {
      restOfLine()
      continue
    }
    if (/[\d$/\\]/.test(script[at] ?? "")) {
      if (!address()) return undefined
      while (script[at] === " ") at++
      if (script[at] === ",") {
        at++
        while (script[at] === " ") at++
        if (!address()) return undefined
      }
      while (/[ !]/.test(script[at] ?? "")) at++
    }
    const command = script[at++]
    switch (command) {
      case "{":
      case "}":
      case "=":
      case "d":
      case "D":
      case "g":
      case "G":
      case "h":
      case "H":
      case "n":
      case "N":
      case "p":
      case "P":
      case "x":
      case "z":
      case "F":
        break
      case "q":
      case "Q":
      case "l":
      case "L": {
        while (/[ \d]/.test(script[at] ?? "")) at++
        break
      }
      case "b":
      case "t":
      case "T":
      case ":":
        while (script[at] === " ") at++
        while (at < script.length && !/[;\n}\s]/.test(script[at] ?? "")) at++
        break
      case "a":
      case "i":
      case "c": {
        // Text, to the end of the line; a backslash continues it.
        for (;;) {
          const end = script.indexOf("\n", at)
          const line = script.slice(at, end < 0 ? undefined : end)
          at = end < 0 ? script.length : end + 1
          if ((/\\*$/.exec(line)?.[0].length ?? 0) % 2 === 0 || end < 0) break
        }
        break
      }
      case "r":
      case "R":
        reads.push(restOfLine())
        break
      case "w":
      case "W":
        writes.push(restOfLine())
        break
      case "s":
      case "y": {
        const delimiter = script[at++]
        if (delimiter === undefined || delimiter === "\n" || delimiter === "\\") return undefined
        if (!delimited(delimiter)) return undefined
        // In the replacement brackets are only brackets.
        for (;;) {
          if (at >= script.length) return undefined
          if (script[at] === "\\") at += 2
          else if (script[at++] === delimiter) break
        }
        if (command === "y") break
        const flags = /^[gpiIMm\d]*/.exec(script.slice(at, at + 40))?.[0] ?? ""
        at += flags.length
        if (script[at] === "e") return undefined
        if (script[at] === "w") {
          at++
          writes.push(restOfLine())
        }
        break
      }
      default:
        return undefined
    }
    while (script[at] === " ") at++
    if (at < script.length && !/[\n;}#]/.test(script[at] ?? "") && !/[{}a-ci]/.test(command ?? "")) return undefined
  }
  return { reads, writes }
}

/** Numbers that the shell computes change no meaning. */
const textWithNumbers = (value: Value): string | undefined =>
  textOf({
    pieces: [value.pieces.map((it) => (typeof it !== "string" && it.kind === "number" ? "1" : it))]
      .flat()
      .reduce<Array<Value["pieces"][number]>>((all, it) => {
        const last = all.at(-1)
        if (typeof it === "string" && typeof last === "string") all[all.length - 1] = last + it
        else all.push(it)
        return all
      }, [])
  })

const sed: Rule = (call, parsed) => {
  const scripts = parsed.options.filter(({ name }) => /^(-e|--expression)$/.test(name)).map(({ value }) => value)
  const fromFile = has(parsed, "-f", "--file")
  let files = parsed.operands
  if (scripts.length === 0 && !fromFile) {
    scripts.push(files[0])
    files = files.slice(1)
  }
  const inPlace = parsed.options.filter(({ name }) => name === "-i" || name === "--in-place")
  for (const { value } of inPlace) {
    const suffix = value === undefined ? "" : textOf(value)
    if (suffix === undefined || !/^[\w.~-]*$/.test(suffix))
      refuse(call, "unknown_code", "where it keeps its copies is not known")
  }
  if (fromFile) refuse(call, "unknown_code", "its script is in a file")
  // The shell may put unknown text into a script; then it may be any script.
  for (const it of scripts) {
    const text = it === undefined ? undefined : textWithNumbers(it)
    const effects = text === undefined ? undefined : sedEffects(text)
    if (effects === undefined) {
      refuse(call, "unknown_code", `what the script ${quote(text ?? "…")} does cannot be followed`)
      continue
    }
    if (inPlace.length > 0 && /^\s*((0|1),\$)?\s*d\s*;?\s*$/.test(text ?? "")) for (const it of files) emptied(call, it)
    for (const file of effects.reads) touch(call.run, call.shell, literal(file), "read", call.name)
    for (const file of effects.writes) touch(call.run, call.shell, literal(file), "write", call.name)
  }
  for (const it of files) {
    touch(call.run, call.shell, it, "read", call.name)
    if (inPlace.length > 0) touch(call.run, call.shell, it, "write", call.name)
  }
  if (inPlace.length > 0) effect(call, "workspace_write")
  return same(call.shell)
}

/** Without its strings, comments and patterns. None when they cannot be told apart. */
const awkCode = (program: string): { readonly code: string; readonly strings: ReadonlyArray<string> } | undefined => {
  let code = ""
  const strings: Array<string> = []
  for (let at = 0; at < program.length; at++) {
    const it = program[at] ?? ""
    if (it === '"') {
      let text = ""
      for (at++; at < program.length && program[at] !== '"'; at++) {
        if (program[at] === "\\") text += program[at++]
        text += program[at] ?? ""
      }
      if (at >= program.length) return undefined
      strings.push(text)
      code += ' "" '
    } else if (it === "#") {
      while (at + 1 < program.length && program[at + 1] !== "\n") at++
    } else if (
      it === "/" &&
      (!/[\w)\]"$]\s*$/.test(code) || /\b(print|printf|return|in|case|else|do)\s*$/.test(code))
    ) {
      for (at++; at < program.length && program[at] !== "/"; at++) {
        if (program[at] === "\\") at++
        else if (program[at] === "[") {
          const end = program.indexOf("]", at + 2)
          if (end < 0) return undefined
          at = end
        } else if (program[at] === "\n") return undefined
      }
      if (at >= program.length) return undefined
      code += " ~~ "
    } else code += it
  }
  return { code, strings }
}

const awkFunctions =
  /^(length|substr|index|split|sub|gsub|gensub|match|sprintf|tolower|toupper|int|sqrt|exp|log|sin|cos|atan2|rand|srand|strftime|systime|mktime|print|printf|if|while|for|function|func|return|in|delete|exit|next|nextfile|getline|and|or|xor|lshift|rshift|compl|asort|asorti|isarray|typeof|strtonum|patsplit|switch|case|else|do)$/

/** Files that an awk program writes; none when it does more, or is not understood. */
const awkWrites = (program: string): ReadonlyArray<string> | undefined => {
  const found = awkCode(program)
  if (found === undefined) return undefined
  const { strings } = found
  // Sorted on its way out.
  let seen = -1
  const code = found.code.replace(/(\|\s*)?""/g, (whole, pipe: string | undefined) => {
    seen++
    return pipe !== undefined && /^sort( -[bdfghinrstuVk\d,.]+)*$/.test(strings[seen] ?? "") ? ' ""' : whole
  })
  if (
    /\bsystem\b|\bgetline\b|\|&?(?!\|)|\bENVIRON\b|\bARG[VC]\b|\bPROCINFO\b|@|\bclose\b|\bSYMTAB\b|\bFUNCTAB\b|\bfflush\b.*[^)]$/.test(
      code.replaceAll("||", " ")
    )
  )
    return undefined
  const declared = new Set([...code.matchAll(/\bfunc(?:tion)?\s+(\w+)/g)].map((it) => it[1]))
  for (const [, name] of code.matchAll(/\b([A-Za-z_]\w*)\(/g))
    if (!awkFunctions.test(name ?? "") && !declared.has(name ?? "")) return undefined
  const writes: Array<string> = []
  // `print … > "file"`: outside of brackets it is never a comparison.
  let depth = 0
  let printing = false
  let string = 0
  for (let at = 0; at < code.length; at++) {
    const it = code[at] ?? ""
    if (it === '"') {
      if (code[at + 1] === '"') {
        string++
        at++
      }
      continue
    }
    if (it === "(") depth++
    else if (it === ")") depth--
    else if (/[;{}]/.test(it) || (it === "\n" && !/[,\\&|{]\s*$/.test(code.slice(Math.max(0, at - 40), at)))) {
      printing = false
      depth = 0
    } else if (/[A-Za-z_]/.test(it) && !/\w/.test(code[at - 1] ?? "") && /^printf?\b/.test(code.slice(at, at + 7)))
      printing = true
    else if (it === ">" && printing && depth <= 0 && code[at + 1] !== "=") {
      const target = /^>>?\s*""\s*(?=[;}\n]|$)/.exec(code.slice(at))
      const name = strings[string]
      if (target === null || name === undefined || name.includes("\\")) return undefined
      writes.push(name)
      string++
      at += target[0].length - 1
    }
  }
  return writes
}

const awk: Rule = (call, parsed) => {
  let [program, ...files]: ReadonlyArray<Value | undefined> = parsed.operands
  const sources = parsed.options.filter(({ name }) => name === "-e" || name === "--source")
  if (sources.length > 0) {
    files = [program, ...files].filter((it) => it !== undefined)
    const texts = sources.map(({ value }) => (value === undefined ? undefined : textOf(value)))
    program = texts.every((it) => it !== undefined) ? literal(texts.join("\n")) : undefined
  }
  for (const { name, value } of parsed.options) {
    if (name === "-v" && value !== undefined && /^\w+=.*\\/.test(textOf(value) ?? "")) continue
  }
  const extensions = parsed.options.filter(({ name }) => name === "-i" || name === "--include")
  const inPlace = extensions.length > 0
  // The only library that is known, and it comes in a word of its own.
  if (inPlace) {
    const [first, ...others] = [program, ...files]
    if (extensions.some(({ value }) => value !== undefined && show(value) !== "" && show(value) !== "inplace"))
      refuse(call, "unknown_code", "which library it loads is not known")
    if (extensions.some(({ value }) => value === undefined || show(value) === "")) {
      if (first === undefined || textOf(first) !== "inplace")
        refuse(call, "unknown_code", "which library it loads is not known")
      ;[program, ...files] = others
    }
  }
  const text = program === undefined ? undefined : textWithNumbers(program)
  const writes = text === undefined ? undefined : awkWrites(text)
  if (writes === undefined) refuse(call, "unknown_code", "what its program does cannot be followed")
  for (const it of writes ?? []) {
    if (!/^\/dev\/(stderr|stdout)$/.test(it)) touch(call.run, call.shell, literal(it), "write", call.name)
  }
  for (const it of files) {
    if (it === undefined) continue
    const word = textOf(it)
    if (word !== undefined && /^[A-Za-z_]\w*=/.test(word)) continue
    touch(call.run, call.shell, it, "read", call.name)
    if (inPlace) {
      touch(call.run, call.shell, it, "write", call.name)
      if (!/\bprint|(^|[;}\s])1\s*;?\s*$/.test(text ?? "")) emptied(call, it)
    }
  }
  if (inPlace) effect(call, "workspace_write")
  return same(call.shell)
}

/** `--arg name value` takes two words. */
const jq: Rule = (call, _parsed, program) => {
  const args: Array<Value> = []
  for (let index = 0; index < call.args.length; index++) {
    const it = call.args[index] ?? literal("")
    const name = textOf(it) ?? ""
    if (/^--(slurpfile|rawfile|argfile)$/.test(name))
      touch(call.run, call.shell, call.args[index + 2] ?? literal(""), "read", call.name)
    if (/^--(arg|argjson|slurpfile|rawfile|argfile)$/.test(name)) index += 2
    else if (/^--(args|jsonargs)$/.test(name)) break
    else args.push(it)
  }
  const plain = compile({ ...program.entry, style: "gnu" })
  return jqFilter(call, parseArguments(call, plain, args), plain)
}

const jqFilter: Rule = (call, parsed) => {
  const filter = parsed.operands[0]
  const text = filter === undefined ? "." : textOf(filter)
  const bare = text?.replace(/\\\(/g, "(").replace(/"(?:[^"\\]|\\.)*"/g, (it) => (it.includes("(") ? it : '""'))
  if (bare === undefined) refuse(call, "unknown_code", "its filter is not known before it runs")
  else if (
    /\$ENV\b|\benv\b|\binput_filename\b.*\bimport\b|\bimport\b|\binclude\b|\$__prog_args|get_search_list/.test(bare)
  ) {
    const left = bare.replace(/(?:\$ENV|\benv)\.(\w+)/g, (whole, name: string) => (isSecretVariable(name) ? whole : ""))
    if (/\$ENV\b|\benv\b|\bimport\b|\binclude\b/.test(left)) effect(call, "secret", "shows the environment")
  }
  for (const it of parsed.operands.slice(1)) touch(call.run, call.shell, it, "read", call.name)
  return same(call.shell)
}

/** Verbs that only choose, count and sort; the others have a language of their own. */
const miller: Rule = (call, parsed) => {
  const [verb, ...words] = parsed.rest
  if (
    !/^(head|tail|cat|sort|uniq|count|cut|top|stats1|count-distinct|label|rename|reorder|regularize)$/.test(
      show(verb ?? literal(""))
    )
  )
    refuse(call, "unknown_code", "what its expression does is not followed")
  for (const it of words) if (!show(it).startsWith("-")) touch(call.run, call.shell, it, "read", call.name)
  return same(call.shell)
}

export const rules: Readonly<Record<string, Rule>> = {
  miller,
  sed,
  awk,
  jq,
  jqFilter
}
