/** Parses text for bash, and refuses what bash or a reader could understand differently. */
import { forEachChild, type ParsedScript, parse, type SyntaxNode } from "unbash"
import { clean, quote } from "./Findings.js"

/** UTF-16 units. Nobody writes longer ones; keeps the parser's worst case short. */
const longest = 16_384
const deepest = 100
/** Opening brackets and the like: each may nest. */
const mostOpenings = 1_500

export type Parsed =
  | { readonly _tag: "Parsed"; readonly script: ParsedScript }
  | { readonly _tag: "Refused"; readonly why: string; readonly text: string }

/** Control characters other than tab and newline; invisible, directional and filling ones; blanks that are no blanks for bash. */
const unseen =
  /[\0-\x08\x0b-\x1f\x7f-\xa0\xad\u061c\u115f\u1160\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufeff\uffa0\ufff0-\uffff]|\u034f|\u17b4|\u17b5|[\u180b-\u180f]|[\ufe00-\ufe0f]|[\u{e0000}-\u{e0fff}\u{1d173}-\u{1d17a}]/u
const loneSurrogate = /\p{Cs}/u

export const parseSafely = (text: string): Parsed => {
  const refused = (why: string): Parsed => ({ _tag: "Refused", why, text: clean(text.slice(0, 200), 120) })
  if (text.length > longest) return refused(`It is longer than ${longest} characters.`)
  const found = unseen.exec(text) ?? loneSurrogate.exec(text)
  if (found !== null) return refused(`It contains a character that is not seen or not text: ${quote(found[0])}.`)
  if (openings(text) > mostOpenings) return refused("It is nested too deeply.")
  try {
    const script = parse(text)
    const why = problem(script)
    return why === undefined ? { _tag: "Parsed", script } : refused(why)
  } catch (error) {
    // The parser gives up on deep nesting with the stack.
    if (error instanceof RangeError) return refused("It is nested too deeply.")
    return refused("The parser failed on it.")
  }
}

const openings = (text: string): number => {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const it = text[at]
    if (it === "(" || it === "{" || it === "`" || it === "[") depth++
  }
  return depth
}

const problem = (script: ParsedScript): string | undefined => {
  let why: string | undefined
  const visit = (node: SyntaxNode, depth: number): void => {
    if (why !== undefined) return
    if (depth > deepest) {
      why = "It is nested too deeply."
      return
    }
    if (node.type === "Script" && node.errors !== undefined && node.errors.length > 0) {
      why = `Bash could not read it: ${node.errors[0]?.message ?? "a syntax error"}.`
      return
    }
    if (node.type === "HereDoc" && node.closing === undefined) {
      why = "A here-document has no end."
      return
    }
    forEachChild(node, (child) => visit(child, depth + 1))
  }
  visit(script, 0)
  return why
}
