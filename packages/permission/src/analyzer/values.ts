/**
 * What is known about a word before the command runs: text, with holes where
 * something is only known by its kind.
 */
import { Exhausted } from "./Budget.js"

/**
 * - `text`: anything, also nothing, `..`, an option.
 * - `path`: a path below the directory in which the command stands: no `..`, no `-` or `/` in front.
 * - `name`: one such path without a `/`.
 * - `number`: digits.
 * - `glob`: what a pattern of the shell matches; `pattern` is that pattern. No `/` unless it is `**`.
 */
export type HoleKind = "text" | "path" | "name" | "number" | "glob"

export interface Hole {
  readonly kind: HoleKind
  readonly pattern?: string
}

export type Piece = string | Hole

export interface Value {
  readonly pieces: ReadonlyArray<Piece>
  /** It may become several words, or none. */
  readonly many?: boolean
}

export const hole = (kind: HoleKind): Value => ({ pieces: [{ kind }] })

/** The number of a process that the command itself has started: `$!`. */
export const job: Value = { pieces: [{ kind: "number", pattern: "job" }] }

export const isJob = ({ pieces }: Value): boolean => {
  const [only] = pieces
  return pieces.length === 1 && typeof only !== "string" && only?.pattern === "job" && only.kind === "number"
}

export const unknownText: Value = hole("text")
export const unknownWords: Value = { pieces: [{ kind: "text" }], many: true }

export const literal = (text: string): Value => ({ pieces: text === "" ? [] : [text] })

/** The text, when all of it is known. */
export const textOf = (value: Value): string | undefined => {
  if (value.many === true) return undefined
  if (value.pieces.length === 0) return ""
  const [only] = value.pieces
  return value.pieces.length === 1 && typeof only === "string" ? only : undefined
}

/** The text in front of the first hole. */
export const prefixOf = (value: Value): string => {
  const [first] = value.pieces
  return typeof first === "string" ? first : ""
}

/** Whether it holds something that may be any text. */
export const isOpen = (value: Value): boolean =>
  value.pieces.some((piece) => typeof piece !== "string" && piece.kind === "text")

/** Whether it could turn out to be an option. */
export const mayBeOption = (value: Value): boolean => {
  const [first] = value.pieces
  return typeof first === "string" ? first.startsWith("-") : first !== undefined && first.kind === "text"
}

/** For matching of names: `*` where a part is not known. Not for values that are open. */
export const patternOf = (value: Value): string =>
  value.pieces
    .map((piece) => {
      if (typeof piece === "string") return piece
      if (piece.kind === "glob") return piece.pattern ?? "*"
      return piece.kind === "path" ? "**/*" : "*"
    })
    .join("")

/** For people. */
export const show = (value: Value): string =>
  value.pieces
    .map((piece) => (typeof piece === "string" ? piece : piece.kind === "glob" ? (piece.pattern ?? "*") : "…"))
    .join("")

/** More than all that a command can hold. */
export const longest = 32_768
const mostPieces = 256

export const lengthOf = (value: Value): number => {
  let length = 0
  for (const piece of value.pieces) length += typeof piece === "string" ? piece.length : 1
  return length
}

/** Throws `Exhausted` when it becomes too long. */
export const concat = (...values: ReadonlyArray<Value>): Value => {
  const pieces: Array<Piece> = []
  let length = 0
  for (const value of values) {
    length += lengthOf(value)
    if (length > longest || pieces.length > mostPieces) throw new Exhausted()
    for (const piece of value.pieces) {
      const last = pieces.at(-1)
      if (typeof piece === "string" && typeof last === "string") pieces[pieces.length - 1] = last + piece
      else if (piece !== "") pieces.push(piece)
    }
  }
  return values.some((it) => it.many === true) ? { pieces, many: true } : { pieces }
}

export const sameValue = (a: Value, b: Value): boolean =>
  a === b ||
  (a.many === b.many &&
    a.pieces.length === b.pieces.length &&
    a.pieces.every((piece, index) => {
      const other = b.pieces[index]
      return typeof piece === "string" || typeof other === "string" || other === undefined
        ? piece === other
        : piece.kind === other.kind && piece.pattern === other.pattern
    }))

/** What follows the first `length` characters, which are known text. */
export const dropText = (value: Value, length: number): Value => {
  const [first, ...rest] = value.pieces
  if (typeof first !== "string") return value
  const left = first.slice(length)
  const pieces = left === "" ? rest : [left, ...rest]
  return value.many === true ? { pieces, many: true } : { pieces }
}
