/**
 * Regular expressions that people write, on text that agents write: matched in
 * time that grows with the product of both lengths and never faster.
 *
 * The syntax is RE2's, without look-around and back references, which cannot be
 * matched in linear time. The engine is loaded with the first pattern.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** The pattern is none of RE2's. Mend the goal file: no workspace can make it match. */
export class PatternError extends Schema.TaggedError<PatternError>()("PatternError", {
  pattern: Schema.String,
  /** The part that is not understood, as it is written: `(?=`, `\1`. Empty when it is the whole. */
  construct: Schema.String,
  /** What it is and why it is refused: `look-ahead is not supported`. */
  detail: Schema.String
}) {
  override get message() {
    const where = this.construct === "" ? "" : ` at ${this.construct}`
    return `The regular expression /${shorten(this.pattern)}/ is not valid${where}: ${this.detail}`
  }
}

export interface BoundedRegex {
  readonly pattern: string
  /** Looks for a match anywhere. `too_costly`: pattern and text are both so large that it could take seconds; not searched. */
  readonly search: (text: string) => "match" | "no_match" | "too_costly"
}

/** Steps of the engine's slowest way. About 12 ns each, so at most some 6 seconds. */
const maxSteps = 500_000_000

/** UTF-16 units. Far above what a person writes, and compiled in some 10 ms. */
const maxPatternLength = 10_000

/** Compiles a pattern; `(?i)`, `(?m)` and `(?s)` are its flags. */
export const compile = (pattern: string): Effect.Effect<BoundedRegex, PatternError> =>
  Effect.gen(function* () {
    if (pattern.length > maxPatternLength) {
      const detail = `it has ${pattern.length} characters, and at most ${maxPatternLength} are accepted`
      return yield* new PatternError({ pattern, construct: "", detail })
    }
    const { RE2JS } = yield* Effect.promise(() => import("re2js"))
    const regex = yield* Effect.try({
      try: () => RE2JS.compile(pattern),
      catch: (cause) => refusal(pattern, cause instanceof Error ? cause.message : String(cause))
    })
    const size = Math.max(1, regex.programSize())
    return {
      pattern,
      // `test` and not `matcher`: without groups to report the engine uses its automaton, which is 10 to 300 times faster.
      search: (text) => (size * text.length > maxSteps ? "too_costly" : regex.test(text) ? "match" : "no_match")
    }
  })

/** Fails when a pattern does not compile. For `driver lint`. */
export const checkPattern = (pattern: string): Effect.Effect<void, PatternError> => Effect.asVoid(compile(pattern))

/** What people know from other engines, first match wins. */
const constructs: ReadonlyArray<readonly [RegExp, string]> = [
  [/\(\?=|\(\?!/, "look-ahead is not supported, since it cannot be matched in linear time"],
  [/\(\?<=|\(\?<!/, "look-behind is not supported, since it cannot be matched in linear time"],
  [/\\[1-9]|\\k/, "a back reference is not supported, since it cannot be matched in linear time"],
  [/\(\?>|\(\?\(/, "atomic and conditional groups are not supported"],
  [/\(\?#/, "comments are not supported"],
  [/\\Z/, "\\Z is not supported; write \\z"],
  [/[*+?}]\+/, "possessive repetition is not supported; nothing here backtracks"]
]

/** RE2 says ``error parsing regexp: invalid escape sequence: `\1` ``. */
const refusal = (pattern: string, message: string): PatternError => {
  const [, problem = message, quoted = ""] = /^error parsing regexp: (.*?): `(.*)`$/s.exec(message) ?? []
  for (const [seenAs, detail] of constructs) {
    const construct = seenAs.exec(quoted)?.[0]
    if (construct !== undefined) return new PatternError({ pattern, construct, detail })
  }
  return new PatternError({ pattern, construct: quoted === pattern ? "" : shorten(quoted), detail: problem })
}

const shorten = (text: string): string => {
  const points = Array.from(text.slice(0, 400))
  return points.length > 100 ? `${points.slice(0, 99).join("")}…` : text
}
