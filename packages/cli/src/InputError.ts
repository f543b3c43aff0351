/** What is wrong with a file that a person wrote: every problem, each with its place. Exit code 2. */
import type { DecodeIssue } from "@driver/domain/StrictDecode"
import * as Data from "effect/Data"
import * as Option from "effect/Option"

export interface Position {
  /** From 1. */
  readonly line: number
  readonly column: number
}

export interface InputIssue {
  /** Absolute path, or as the person gave it when it cannot be read. */
  readonly file: string
  /** Where in the file, when that is known. */
  readonly position?: Position | undefined
  /** `acceptance[0].command`; empty for the file as a whole. */
  readonly path: string
  /** One sentence without a full stop; names the path, what was expected and what was got. */
  readonly message: string
  readonly expected?: string | undefined
  readonly got?: string | undefined
  /** What was probably meant. */
  readonly suggestion?: string | undefined
}

export class InputError extends Data.TaggedError("InputError")<{ readonly issues: ReadonlyArray<InputIssue> }> {
  override get message() {
    return this.issues.map(describeIssue).join("\n")
  }
}

/** `goal.yaml:3:5: budget.max_turn is not a known key; did you mean max_turns?` */
export const describeIssue = ({ file, message, position }: InputIssue): string =>
  `${file}${position === undefined ? "" : `:${position.line}:${position.column}`}: ${message}`

/** A problem with the file as a whole, or at a place in its text. */
export const fileError = (file: string, message: string, position?: Position): InputError =>
  new InputError({ issues: [{ file, position, path: "", message }] })

/** What the schema had to say, with the place in the file. */
export const fromDecodeIssue = (
  file: string,
  positionOf: (path: ReadonlyArray<PropertyKey>) => Position | undefined,
  issue: DecodeIssue
): InputIssue => ({
  file,
  position: positionOf(parsePath(issue.path)),
  path: issue.path,
  message: issue.message,
  expected: issue.expected,
  got: issue.got,
  suggestion: Option.getOrUndefined(issue.suggestion)
})

/** A path into a document, as people write it: `acceptance[0].command`. */
export const formatPath = (path: ReadonlyArray<PropertyKey>): string =>
  path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`
    const name = String(key)
    if (!/^[A-Za-z_$][\w$-]*$/.test(name)) return `${text}[${JSON.stringify(name)}]`
    return text === "" ? name : `${text}.${name}`
  }, "")

/** The inverse of `formatPath`. */
export const parsePath = (text: string): ReadonlyArray<PropertyKey> =>
  [...text.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|([^.[\]]+)/g)].map(([, index, quoted, name]) => {
    if (index !== undefined) return Number(index)
    return quoted === undefined ? (name ?? "") : String(JSON.parse(quoted))
  })
