/**
 * The JSON object in what a model said: models put prose and fences around it, and
 * write commas, comments and line breaks where JSON has none. Pure.
 *
 * Only the spelling is mended. What a mend would have to guess (an answer that was cut
 * off, or one of two different objects) is a problem.
 */
import * as Either from "effect/Either"

/** Longer answers are refused: nothing here asks for a book. UTF-16 units. */
const longestAnswer = 200_000

/** Prose with more objects, or with more braces that are none, holds no answer. */
const mostObjects = 16
const mostProseBraces = 4

/** Left: what is wrong, in one sentence that the model can act on. */
export const parseModelJson = (text: string): Either.Either<{ readonly [key: string]: unknown }, string> => {
  if (text.length > longestAnswer) return Either.left("the answer is too long")
  const whole = parseObject(text.replace(/^\uFEFF/, "").trim())
  if (whole !== undefined) return Either.right(whole)
  const { cutOff, texts } = objectsIn(text)
  const found = texts.flatMap((it) => readable(it))
  const [first] = found
  if (first === undefined) {
    return Either.left(
      cutOff ? "the JSON object is cut off before its end" : "there is no JSON object in the answer that can be read"
    )
  }
  return new Set(found.map((it) => JSON.stringify(it))).size === 1
    ? Either.right(first)
    : Either.left("there is more than one JSON object in the answer")
}

const parseObject = (text: string): { readonly [key: string]: unknown } | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    // Not JSON: the caller says so when nothing else is.
    return undefined
  }
}

/** None or one. */
const readable = (text: string): ReadonlyArray<{ readonly [key: string]: unknown }> => {
  const value = parseObject(text) ?? parseObject(mend(text))
  return value === undefined ? [] : [value]
}

const isRecord = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The outermost `{…}` of a text. `cutOff`: an object begins that has no end. */
const objectsIn = (text: string): { readonly texts: ReadonlyArray<string>; readonly cutOff: boolean } => {
  const texts: Array<string> = []
  let proseBraces = 0
  let at = text.indexOf("{")
  while (at >= 0 && texts.length < mostObjects && proseBraces < mostProseBraces) {
    const end = endOfObject(text, at)
    if (end >= 0) {
      texts.push(text.slice(at, end))
      at = text.indexOf("{", end)
    } else if (/^\{\s*"/.test(text.slice(at, at + 100))) {
      // What stands in it is a part of an answer, and no answer.
      return { texts: [], cutOff: true }
    } else {
      proseBraces++
      at = text.indexOf("{", at + 1)
    }
  }
  return { texts, cutOff: false }
}

/** Behind the brace that closes the one at `from`; -1 when there is none. */
const endOfObject = (text: string, from: number): number => {
  let depth = 0
  for (const { at, kind, text: token } of tokensOf(text, from)) {
    if (kind !== "other") continue
    if (token === "{") depth++
    if (token === "}" && --depth === 0) return at + 1
  }
  return -1
}

interface Token {
  readonly kind: "string" | "comment" | "other"
  readonly at: number
  readonly text: string
}

/** Strings with their quotes, comments, runs of letters and of what means nothing, and other characters by themselves. */
function* tokensOf(text: string, from: number = 0): Generator<Token> {
  const pattern = /"(?:\\[\s\S]|[^"\\])*"|\/\/[^\n]*|\/\*[\s\S]*?\*\/|[A-Za-z]+|[^"{}[\],/A-Za-z\s]+|[\s\S]/gy
  pattern.lastIndex = from
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const [token] = match
    const kind = token.length > 1 && token.startsWith('"') ? "string" : /^\/[/*]/.test(token) ? "comment" : "other"
    yield { kind, at: match.index, text: token }
  }
}

const literals: Readonly<Record<string, string>> = { True: "true", False: "false", None: "null" }

/** The same object in JSON's spelling: no comments, no comma before a bracket, no bare line break in a string. */
const mend = (text: string): string => {
  const parts: Array<string> = []
  let comma = -1
  for (const { kind, text: token } of tokensOf(text)) {
    if (kind === "comment") continue
    if (kind === "string") {
      parts.push(token.replace(/[\u0000-\u001f]/g, escapeControl))
      comma = -1
    } else if (token === ",") {
      comma = parts.length
      parts.push(token)
    } else {
      if ((token === "}" || token === "]") && comma >= 0) parts[comma] = ""
      if (!/\s/.test(token)) comma = -1
      parts.push(literals[token] ?? token)
    }
  }
  return parts.join("")
}

const escapeControl = (character: string): string => JSON.stringify(character).slice(1, -1)
