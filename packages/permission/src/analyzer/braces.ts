/** Brace expansions. */
import { parse, type WordPart } from "unbash"
import { Exhausted } from "./Budget.js"
import { mostWords } from "./words.js"

/** The words of a brace expansion, each as parts; none when they are too many or cannot be told apart. */
export const expandBraces = (parts: ReadonlyArray<WordPart>): ReadonlyArray<ReadonlyArray<WordPart>> | undefined => {
  let out: Array<Array<WordPart>> = [[]]
  for (const part of parts) {
    if (part.type !== "BraceExpansion") {
      for (const it of out) it.push(part)
      continue
    }
    const alternatives = bracesOf(part.text)
    if (alternatives === undefined) {
      // One that is too wide to be told apart, and another beside it.
      if (parts.some((it) => it !== part && it.type === "BraceExpansion")) throw new Exhausted()
      return undefined
    }
    if (alternatives.length * out.length > mostWords) throw new Exhausted()
    out = out.flatMap((before) => alternatives.map((after) => [...before, ...after]))
  }
  return out
}

const bracesOf = (text: string): ReadonlyArray<ReadonlyArray<WordPart>> | undefined => {
  const inner = text.slice(1, -1)
  const texts = rangeOf(inner) ?? splitAtCommas(inner)
  if (texts === undefined) return undefined
  const out: Array<ReadonlyArray<WordPart>> = []
  for (const it of texts) {
    if (it === "") {
      out.push([])
      continue
    }
    const script = parse(`: ${it}`)
    const [statement, ...others] = script.commands
    if (script.errors !== undefined || others.length > 0 || statement?.command.type !== "Command") return undefined
    const [word, ...rest] = statement.command.suffix
    if (rest.length > 0 || word === undefined || word.type !== "Word") return undefined
    if (word.parts === undefined) {
      out.push([{ type: "Literal", pos: 0, end: 0, value: word.value, text: word.text }])
      continue
    }
    const nested = expandBraces(word.parts)
    if (nested === undefined) return undefined
    out.push(...nested)
  }
  return out
}

const rangeOf = (text: string): ReadonlyArray<string> | undefined => {
  const found =
    /^(0|-?[1-9]\d{0,5})\.\.(0|-?[1-9]\d{0,5})(?:\.\.(-?\d{1,6}))?$/.exec(text) ??
    /^([a-z])\.\.([a-z])$/.exec(text) ??
    /^([A-Z])\.\.([A-Z])$/.exec(text)
  if (found === null) return undefined
  const letters = /^[A-Za-z]$/.test(found[1] ?? "")
  const at = (it: string | undefined) => (letters ? (it ?? "").charCodeAt(0) : Number(it))
  const [from, to] = [at(found[1]), at(found[2])]
  const step = Math.abs(Number(found[3] ?? 1)) || 1
  if (Math.abs(to - from) / step >= mostWords) return undefined
  const out: Array<string> = []
  for (let it = from; from <= to ? it <= to : it >= to; it += from <= to ? step : -step) {
    out.push(letters ? String.fromCharCode(it) : String(it))
  }
  return out
}

const splitAtCommas = (text: string): ReadonlyArray<string> | undefined => {
  const out: Array<string> = []
  let from = 0
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const it = text[at]
    if (it === "\\") at++
    else if (it === "'" || it === '"') {
      const end = text.indexOf(it, at + 1)
      if (end < 0 || (it === '"' && /[\\$`]/.test(text.slice(at, end)))) return undefined
      at = end
    } else if (it === "$" || it === "`") {
      const name = /^\$(\w+|\{\w+\})/.exec(text.slice(at, at + 80))
      if (name === null) return undefined
      at += name[0].length - 1
    } else if (it === "{") depth++
    else if (it === "}") depth--
    else if (it === "," && depth === 0) {
      out.push(text.slice(from, at))
      from = at + 1
    }
  }
  out.push(text.slice(from))
  return out.length === 1 && text.includes("..") ? undefined : out
}
