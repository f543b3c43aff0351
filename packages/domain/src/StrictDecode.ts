/**
 * Decodes what people write (goal files, configuration) and says everything that
 * is wrong with it: where, what was expected, what stood there, and what was
 * probably meant.
 *
 * Unknown keys are mistakes. One mistake is one issue: a misspelled key is not
 * reported a second time as a missing one, and of a union only the member that
 * the author seems to have had in mind is talked about.
 */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"

/** One mistake in a document. */
export interface DecodeIssue {
  /** `budget.max_turns`, `acceptance[1].regex`, `metadata["a b"]`; empty for the document itself. */
  readonly path: string
  /** A noun phrase: `a whole number above 0`, `"keep" or "on_done"`. */
  readonly expected: string
  /** What stood there, shortened: `-1`, `"ten"`, `a list`, `nothing`. Of an unknown key only its name. */
  readonly got: string
  /** One sentence that names path, expected and got. */
  readonly message: string
  /** The key or the value that was probably meant. */
  readonly suggestion: Option.Option<string>
}

const ExpectedId: unique symbol = Symbol.for("@driver/domain/StrictDecode/Expected")

/**
 * Says in words what a schema expects: `schema.annotations(expecting("a duration like \"30 minutes\""))`.
 * Without it the words are made from the schema's structure.
 */
export const expecting = (phrase: string): { readonly [ExpectedId]: string } => ({ [ExpectedId]: phrase })

/**
 * Decodes with no unknown key tolerated. Left: every issue, in the order of the
 * schema's reading, at least one. The schema must decode without asynchrony.
 */
export const decodeStrict = <A, I>(
  schema: Schema.Schema<A, I>
): ((input: unknown) => Either.Either<A, ReadonlyArray<DecodeIssue>>) => {
  const decode = Schema.decodeUnknownEither(schema, { errors: "all", onExcessProperty: "error" })
  return (input) => Either.mapLeft(decode(input), (error) => issuesOf(error.issue, [], input).map(toIssue))
}

/**
 * The candidate that `name` was probably meant to be: the spelling that is
 * nearest by edit distance, or the only one that begins with it. Case and separators do not count.
 */
export const nearest = (name: string, candidates: ReadonlyArray<string>): Option.Option<string> => {
  const plain = normalize(name)
  if (plain === "" || plain.length > 64) return Option.none()
  let best: { readonly candidate: string; readonly distance: number } | undefined
  for (const candidate of candidates) {
    const other = normalize(candidate)
    const distance = editDistance(plain, other)
    // A third of the letters: `cmd` is not `command`, `wall_time` is `max_wall_time`.
    const bound = Math.max(1, Math.floor(Math.max(plain.length, other.length) / 3))
    if (distance <= bound && distance < Math.min(plain.length, other.length)) {
      if (best === undefined || distance < best.distance) best = { candidate, distance }
    }
  }
  if (best !== undefined) return Option.some(best.candidate)
  const longer = plain.length < 3 ? [] : candidates.filter((candidate) => normalize(candidate).startsWith(plain))
  return longer.length === 1 ? Option.fromNullable(longer[0]) : Option.none()
}

/** Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`. */
export const editDistance = (a: string, b: string): number => {
  const at = (row: ReadonlyArray<number> | undefined, column: number) => row?.[column] ?? 0
  const rows: Array<Array<number>> = [Array.from({ length: b.length + 1 }, (_, column) => column)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let distance = Math.min(at(rows[i - 1], j) + 1, at(row, j - 1) + 1, at(rows[i - 1], j - 1) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, at(rows[i - 2], j - 2) + 1)
      }
      row.push(distance)
    }
    rows.push(row)
  }
  return at(rows[a.length], b.length)
}

type Path = ReadonlyArray<PropertyKey>

/** A mistake before it is put into words. */
interface Found {
  readonly path: Path
  readonly kind: "missing" | "unknown" | "wrong"
  readonly expected: string
  readonly got: string
  /** The sentence of a schema that has its own. */
  readonly detail: Option.Option<string>
  readonly suggestion: Option.Option<string>
}

/** `actual` is the value as it was written at `path`: further in, an issue may only know what a transformation made of it. */
const issuesOf = (issue: ParseResult.ParseIssue, path: Path, actual: unknown): ReadonlyArray<Found> => {
  switch (issue._tag) {
    case "Pointer": {
      const keys = Array.isArray(issue.path) ? issue.path : [issue.path]
      return issuesOf(issue.issue, [...path, ...keys], issue.issue.actual)
    }
    case "Composite":
      return issue.ast._tag === "Union"
        ? ofUnion(issue.ast, allOf(issue.issues), path, actual)
        : ofMembers(issue.ast, allOf(issue.issues), path, issue.actual)
    case "Refinement":
    case "Transformation":
      return isOneValue(issue.issue)
        ? [wrong(issue.ast, path, actual, ownSentence(issue))]
        : issuesOf(issue.issue, path, actual)
    case "Type":
    case "Forbidden":
      return [wrong(issue.ast, path, actual, ownSentence(issue))]
    case "Missing":
      return [
        {
          path,
          kind: "missing",
          expected: phraseOf(issue.ast.type),
          got: "nothing",
          detail: Option.none(),
          suggestion: Option.none()
        }
      ]
    case "Unexpected":
      return [unknownKey(path, [])]
  }
}

const wrong = (ast: AST.AST, path: Path, actual: unknown, detail: Option.Option<string>): Found => ({
  path,
  kind: "wrong",
  expected: phraseOf(ast),
  got: render(actual),
  detail,
  suggestion: typeof actual === "string" ? nearest(actual, literalsOf(ast)) : Option.none()
})

const unknownKey = (path: Path, known: ReadonlyArray<string>): Found => ({
  path,
  kind: "unknown",
  expected: known.length === 0 ? "no such key" : oneOf(known),
  // Never the value: what stands under a key that we do not know may be a secret.
  got: JSON.stringify(String(path.at(-1))),
  detail: Option.none(),
  suggestion: nearest(String(path.at(-1)), known)
})

/** Issues of an object or a list. A key that is missing because it is misspelled is reported once, as misspelled. */
const ofMembers = (
  ast: AST.AST,
  issues: ReadonlyArray<ParseResult.ParseIssue>,
  path: Path,
  actual: unknown
): ReadonlyArray<Found> => {
  const present = keysOf(actual)
  const missing = keysOfAst(ast).filter((key) => !present.includes(key))
  const found = issues.flatMap((issue) =>
    issue._tag === "Pointer" && issue.issue._tag === "Unexpected"
      ? allOf(issue.path).map((key) => {
          const unknown = unknownKey([...path, key], keysOfAst(ast))
          return { ...unknown, suggestion: Option.orElse(nearest(String(key), missing), () => unknown.suggestion) }
        })
      : issuesOf(issue, path, actual)
  )
  const meant = found.flatMap((one) => (one.kind === "unknown" ? Option.toArray(one.suggestion) : []))
  return found.filter(
    (one) => !(one.kind === "missing" && one.path.length === path.length + 1 && meant.includes(String(one.path.at(-1))))
  )
}

/**
 * Issues of the member that the author had in mind: the one that knows most of
 * the keys that are there, and has the fewest issues. When there is no such
 * member, one issue names them all.
 */
const ofUnion = (
  ast: AST.Union,
  issues: ReadonlyArray<ParseResult.ParseIssue>,
  path: Path,
  actual: unknown
): ReadonlyArray<Found> => {
  // `optionalWith({ nullable: true })` and `undefinedOr` are unions too. Nobody writes undefined or null by mistake for a value.
  const members = issues.filter((issue) => !(issue._tag === "Type" && isNothing(issue.ast)))
  const candidates = members.map((issue) => ({ issue, found: issuesOf(issue, path, actual) }))
  const [only] = candidates
  if (candidates.length === 1 && only !== undefined) return only.found
  const ranked = candidates
    .map(({ found, issue }) => ({ found, known: knownKeys(issue, found, path), badness: found.reduce(addBadness, 0) }))
    .filter(({ known }) => known > 0)
    .sort((a, b) => b.known - a.known || a.badness - b.badness)
  const [best] = ranked
  return best === undefined ? [wrong(ast, path, actual, Option.none())] : best.found
}

const addBadness = (sum: number, found: Found): number => sum + (found.kind === "missing" ? 2 : 1)

/** How many of the keys that are there this member knows or nearly knows. 0: it got no further than the value's type. */
const knownKeys = (issue: ParseResult.ParseIssue, found: ReadonlyArray<Found>, path: Path): number => {
  const composite = compositeOf(issue)
  if (composite === undefined) return 0
  if (composite.ast._tag === "TupleType") return 1
  const known = keysOfAst(composite.ast)
  const misspelled = found.filter(
    (one) => one.kind === "unknown" && one.path.length === path.length + 1 && Option.isSome(one.suggestion)
  )
  return keysOf(composite.actual).filter((key) => known.includes(key)).length + misspelled.length
}

const compositeOf = (issue: ParseResult.ParseIssue): ParseResult.Composite | undefined => {
  switch (issue._tag) {
    case "Composite":
      return issue
    case "Refinement":
    case "Transformation":
      return compositeOf(issue.issue)
    default:
      return undefined
  }
}

/** True when the issue is about the value as a whole, not about something inside it. */
const isOneValue = (issue: ParseResult.ParseIssue): boolean => {
  switch (issue._tag) {
    case "Type":
    case "Forbidden":
      return true
    case "Refinement":
    case "Transformation":
      return isOneValue(issue.issue)
    case "Composite":
      return issue.ast._tag === "Union" && allOf(issue.issues).every(isOneValue)
    default:
      return false
  }
}

const ownSentence = (issue: ParseResult.ParseIssue): Option.Option<string> => {
  switch (issue._tag) {
    case "Type":
    case "Forbidden":
      return Option.fromNullable(issue.message)
    case "Refinement":
    case "Transformation":
      return ownSentence(issue.issue)
    default:
      return Option.none()
  }
}

const isNothing = (ast: AST.AST): boolean =>
  ast._tag === "UndefinedKeyword" || (ast._tag === "Literal" && ast.literal === null)

const allOf = <A>(value: A | ReadonlyArray<A>): ReadonlyArray<A> => (isList(value) ? value : [value])

const isList = <A>(value: A | ReadonlyArray<A>): value is ReadonlyArray<A> => Array.isArray(value)

const keysOf = (value: unknown): ReadonlyArray<string> =>
  typeof value === "object" && value !== null ? Object.keys(value) : []

const keysOfAst = (ast: AST.AST): ReadonlyArray<string> => {
  switch (ast._tag) {
    case "TypeLiteral":
      return ast.propertySignatures.map((signature) => String(signature.name))
    case "Refinement":
    case "Transformation":
      return keysOfAst(ast.from)
    case "Suspend":
      return keysOfAst(ast.f())
    case "Union":
      return ast.types.flatMap(keysOfAst)
    default:
      return []
  }
}

const literalsOf = (ast: AST.AST): ReadonlyArray<string> => {
  switch (ast._tag) {
    case "Literal":
      return typeof ast.literal === "string" ? [ast.literal] : []
    case "Enums":
      return ast.enums.map(([, value]) => String(value))
    case "Union":
      return ast.types.flatMap(literalsOf)
    case "Refinement":
    case "Transformation":
      return literalsOf(ast.from)
    default:
      return []
  }
}

/** What a schema reads, as a noun phrase. */
const phraseOf = (ast: AST.AST): string => {
  const own = ast.annotations[ExpectedId]
  if (typeof own === "string") return own
  switch (ast._tag) {
    case "StringKeyword":
    case "TemplateLiteral":
      return "text"
    case "NumberKeyword":
      return "a number"
    case "BooleanKeyword":
      return "true or false"
    case "UndefinedKeyword":
      return "nothing"
    case "Literal":
      return typeof ast.literal === "string" ? JSON.stringify(ast.literal) : String(ast.literal)
    case "Enums":
      return oneOf(literalsOf(ast))
    case "TypeLiteral":
    case "ObjectKeyword":
      return "an object"
    case "TupleType":
      return "a list"
    case "Union":
      return unionPhrase(ast)
    case "Refinement":
      return refinedPhrase(ast)
    case "Transformation":
      return phraseOf(ast.from)
    case "Suspend":
      return phraseOf(ast.f())
    default:
      return Option.getOrElse(AST.getDescriptionAnnotation(ast), () => String(ast))
  }
}

const unionPhrase = (ast: AST.Union): string => {
  const described = AST.getDescriptionAnnotation(ast)
  if (Option.isSome(described)) return described.value
  const phrases = ast.types.filter((member) => !isNothing(member)).map(phraseOf)
  return alternatives([...new Set(phrases)])
}

/** Numbers and strings by the bounds that their filters name; other refinements by their description. */
const refinedPhrase = (ast: AST.Refinement): string => {
  const bounds: Record<string, unknown> = {}
  let base: AST.AST = ast
  let last: AST.Refinement = ast
  while (base._tag === "Refinement") {
    last = base
    for (const [name, value] of Object.entries(Option.getOrElse(AST.getJSONSchemaAnnotation(base), () => ({})))) {
      bounds[name] ??= value
    }
    base = base.from
    const own = base.annotations[ExpectedId]
    if (typeof own === "string") return own
  }
  const { exclusiveMinimum, maximum, minLength, minimum, type } = bounds
  if (phraseOf(base) === "a number") {
    const noun = type === "integer" ? "a whole number" : "a number"
    if (typeof minimum === "number" && typeof maximum === "number") return `${noun} from ${minimum} to ${maximum}`
    if (typeof minimum === "number") return `${noun} of at least ${minimum}`
    if (typeof exclusiveMinimum === "number") return `${noun} above ${exclusiveMinimum}`
    if (typeof maximum === "number") return `${noun} of at most ${maximum}`
    if (type === "integer") return noun
  }
  if (phraseOf(base) === "text" && minLength === 1) return "text that is not empty"
  return Option.getOrElse(AST.getDescriptionAnnotation(ast), () => phraseOf(last.from))
}

const alternatives = (phrases: ReadonlyArray<string>): string =>
  phrases.length < 2 ? (phrases[0] ?? "nothing") : `${phrases.slice(0, -1).join(", ")} or ${phrases.at(-1)}`

const oneOf = (names: ReadonlyArray<string>): string => alternatives(names.map((name) => JSON.stringify(name)))

const longest = 60

const render = (value: unknown): string => {
  if (value === undefined) return "nothing"
  if (typeof value === "string") {
    const points = Array.from(value.slice(0, 2 * longest))
    const short = points.length > longest || value.length > 2 * longest
    return short ? `${JSON.stringify(points.slice(0, longest).join(""))} (shortened)` : JSON.stringify(value)
  }
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list"
  if (typeof value === "object" && value !== null) {
    const keys = keysOf(value)
    if (keys.length === 0) return "an empty object"
    const shown = keys.slice(0, 4).map((key) => (key.length > longest ? `${key.slice(0, longest)}…` : key))
    return `an object with ${shown.join(", ")}${keys.length > 4 ? ", …" : ""}`
  }
  return String(value)
}

const toIssue = (found: Found): DecodeIssue => {
  const path = pathText(found.path)
  return {
    path,
    expected: found.expected,
    got: found.got,
    message: sentence(found, path === "" ? "the document" : path),
    suggestion: found.suggestion
  }
}

const sentence = (found: Found, where: string): string => {
  const meant = Option.match(found.suggestion, { onNone: () => "", onSome: (name) => `; did you mean ${name}?` })
  switch (found.kind) {
    case "missing":
      return `${where} is missing: expected ${found.expected}`
    case "unknown":
      return `${where} is not a known key${meant === "" ? `; expected ${found.expected}` : meant}`
    case "wrong":
      return Option.match(found.detail, {
        onNone: () => `${where}: expected ${found.expected}, got ${found.got}${meant}`,
        onSome: (detail) => `${where}: ${detail}`
      })
  }
}

const pathText = (path: Path): string =>
  path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`
    const name = String(key)
    if (!/^[A-Za-z_$][\w$-]*$/.test(name)) return `${text}[${JSON.stringify(name)}]`
    return text === "" ? name : `${text}.${name}`
  }, "")

/** `maxTurns`, `max-turns` and `MAX_TURNS` are the same word. */
const normalize = (name: string): string => name.toLowerCase().replace(/[\s_-]/g, "")
