/**
 * Reads a YAML or JSON file that a person wrote into a plain value, and remembers
 * where each part of it stood.
 *
 * It owns reading, syntax and `${VAR}`; what the value means is decided by a schema
 * elsewhere. Variables are put in after parsing, so that a value of the environment
 * can never add structure to a document.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { LineCounter, ParsedNode, YAMLError, Document as YamlDocument } from "yaml"
import { fileError, formatPath, InputError, type InputIssue, type Position } from "./InputError.js"

export interface SourceDocument {
  /** Absolute path. */
  readonly file: string
  /** Plain data: maps, lists, strings, numbers, booleans, null. Variables are substituted. */
  readonly value: unknown
  /** Where this part stands, or the nearest part around it that is known. */
  readonly positionOf: (path: ReadonlyArray<PropertyKey>) => Position | undefined
}

/** A megabyte of goal or configuration is a mistake, and every parser has its worst case. */
const maxBytes = 1024 * 1024

/** Aliases may be used, but not to blow a small file up. */
const maxAliases = 100

/** The parser is trusted with this depth, and not with more. */
const parserDepth = 400

/** Deeper than this, nothing that we read goes. */
const maxDepth = 64

/**
 * Reads and parses the file. Each way in which that can go wrong has its own
 * sentence in the `InputError`, with line and column where they are known.
 */
export const readDocument = (
  file: string,
  environment: Readonly<Record<string, string>>,
  options: {
    /** What a file stands for that is empty or has only comments. Absent: that is an error. */
    readonly whenEmpty?: unknown
  } = {}
): Effect.Effect<SourceDocument, InputError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const absolute = path.resolve(file)
    const text = yield* readText(absolute)
    const parsed = yield* parse(absolute, text).pipe(
      Effect.catchIf(
        (error) => error instanceof NothingInIt && options.whenEmpty !== undefined,
        () => Effect.succeed(nothingParsed(options.whenEmpty))
      ),
      Effect.catchTag("NothingInIt", ({ problem }) => fileError(absolute, problem))
    )
    const depth = depthOf(parsed.value, 0)
    if (depth > maxDepth) {
      return yield* fileError(absolute, `is nested more than ${maxDepth} levels deep`)
    }
    const issues: Array<InputIssue> = []
    const value = substitute(parsed.value, [], {
      environment,
      isPlain: parsed.isPlain,
      report: (at, problem) => {
        const name = formatPath(at)
        issues.push({
          file: absolute,
          position: parsed.positionOf(at),
          path: name,
          message: `${name === "" ? "the document" : name}: ${problem}`
        })
      }
    })
    if (issues.length > 0) return yield* new InputError({ issues })
    return { file: absolute, value, positionOf: parsed.positionOf }
  })

const readText = (file: string): Effect.Effect<string, InputError, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const fail = (message: string) => fileError(file, message)
    const info = yield* Effect.mapError(fs.stat(file), (error) => fail(unreadable(error)))
    if (info.type === "Directory") return yield* fail("is a directory, not a file")
    if (info.type !== "File") return yield* fail("is not a regular file")
    if (info.size > BigInt(maxBytes))
      return yield* fail(`is larger than ${maxBytes / 1024} KiB: this is not a file that a person wrote`)
    const bytes = yield* Effect.mapError(fs.readFile(file), (error) => fail(unreadable(error)))
    if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
      return yield* fail("is encoded in UTF-16: save it as UTF-8")
    }
    return yield* Effect.try({
      // The decoder drops a byte order mark.
      try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
      catch: () => fileError(file, "is not valid UTF-8: save it as UTF-8", firstBadByte(bytes))
    })
  })

const unreadable = (error: PlatformError): string => {
  if (error._tag === "SystemError") {
    if (error.reason === "NotFound") return "there is no such file"
    if (error.reason === "PermissionDenied") return "may not be read: check its permissions"
  }
  return `cannot be read: ${error.message}`
}

/** Where the first byte stands that is no UTF-8, found by halving. */
const firstBadByte = (bytes: Uint8Array): Position => {
  // A prefix that ends in the middle of a character is fine as far as it goes.
  const valid = (length: number) => {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length), { stream: true })
      return true
    } catch {
      return false
    }
  }
  let good = 0
  let bad = bytes.length
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    if (valid(middle)) good = middle
    else bad = middle
  }
  const before = new TextDecoder().decode(bytes.subarray(0, good)).split("\n")
  return { line: before.length, column: (before.at(-1) ?? "").length + 1 }
}

interface Parsed {
  readonly value: unknown
  readonly positionOf: (path: ReadonlyArray<PropertyKey>) => Position | undefined
  /** Whether the string at this path was written without quotes. */
  readonly isPlain: (path: ReadonlyArray<PropertyKey>) => boolean
}

/** The file holds no value at all. */
class NothingInIt extends Data.TaggedError("NothingInIt")<{ readonly problem: string }> {}

const nothingParsed = (value: unknown): Parsed => ({
  value,
  positionOf: () => undefined,
  isPlain: () => false
})

const parse = (file: string, text: string): Effect.Effect<Parsed, InputError | NothingInIt> =>
  Effect.gen(function* () {
    if (text.trim() === "") return yield* new NothingInIt({ problem: "is empty" })
    if (mayNestTooDeep(text)) return yield* fileError(file, "is nested too deeply")
    // `driver --help` does not read files and should not pay for a parser.
    const yaml = yield* Effect.promise(() => import("./yamlParser.js"))
    const isJson = file.toLowerCase().endsWith(".json")
    const json = isJson || text.trimStart().startsWith("{") ? parseJson(text) : undefined
    if (isJson && json !== undefined && "problem" in json) return yield* fileError(file, json.problem, json.position)
    const lines = new yaml.LineCounter()
    const documents = yield* Effect.try({
      try: () =>
        yaml.parseAllDocuments(text, {
          lineCounter: lines,
          prettyErrors: false,
          uniqueKeys: true,
          strict: true,
          merge: true,
          logLevel: "silent"
        }),
      catch: (error) => fileError(file, `is not YAML: ${String(error)}`)
    })
    const [document, second] = "empty" in documents ? [] : documents
    const asJson = json !== undefined && "value" in json
    const issues = (documents.flatMap((it) => [...it.errors, ...it.warnings]) as ReadonlyArray<YAMLError>).filter(
      // What `JSON.parse` has accepted is only looked at again for keys that come twice.
      (error) => !asJson || error.code === "DUPLICATE_KEY"
    )
    if (issues.length > 0) {
      return yield* new InputError({
        issues: issues.slice(0, 20).map((error) => syntaxIssue(file, text, lines, error))
      })
    }
    if (second !== undefined && !asJson) {
      return yield* fileError(
        file,
        "has more than one YAML document: put each into a file of its own",
        placeOf(lines, second.range[0])
      )
    }
    if (document === undefined || document.contents === null) {
      return yield* new NothingInIt({ problem: "has nothing in it but comments" })
    }
    const value = yield* Effect.try({
      try: (): unknown => (asJson ? json.value : document.toJS({ maxAliasCount: maxAliases })),
      catch: (error) =>
        fileError(
          file,
          error instanceof ReferenceError && /Unresolved alias/.test(error.message)
            ? `has an alias without its anchor: ${error.message}`
            : error instanceof ReferenceError
              ? "uses anchors and aliases so that it grows beyond all measure"
              : "is nested too deeply"
        )
    })
    return {
      value,
      positionOf: (path) => positionOf(document, lines, path),
      isPlain: (path) => {
        const node = nodeAt(document, path)
        return isNode(node) && "type" in node && node.type === "PLAIN"
      }
    }
  })

/**
 * Whether the parser, which is recursive, could run out of stack on this text; that
 * may end the process. Counts what can nest, also where it stands in quotes: open
 * brackets, and what a line begins with.
 */
const mayNestTooDeep = (text: string): boolean => {
  let open = 0
  for (const character of text) {
    if (character === "[" || character === "{") open++
    else if ((character === "]" || character === "}") && open > 0) open--
    if (open > parserDepth) return true
  }
  return text.split("\n").some((line) => (/^[\s?:-]*/.exec(line)?.[0].length ?? 0) > parserDepth)
}

const parseJson = (
  text: string
): { readonly value: unknown } | { readonly problem: string; readonly position: Position | undefined } => {
  try {
    return { value: JSON.parse(text) as unknown }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const offset = /position (\d+)/.exec(message)?.[1]
    const before = offset === undefined ? undefined : text.slice(0, Number(offset)).split("\n")
    const problem = `is not JSON: ${message.replace(/ in JSON at position \d+.*| at position \d+.*/s, "").replace(/, "[\s\S]*$/, "")}`
    const position =
      before === undefined ? undefined : { line: before.length, column: (before.at(-1) ?? "").length + 1 }
    return { problem, position }
  }
}

const syntaxIssue = (file: string, text: string, lines: LineCounter, error: YAMLError): InputIssue => {
  return { file, position: placeOf(lines, error.pos[0]), path: "", message: syntaxSentence(text, error) }
}

const placeOf = (lines: LineCounter, offset: number): Position => {
  const { col, line } = lines.linePos(offset)
  return { line, column: col }
}

const syntaxSentence = (text: string, error: YAMLError): string => {
  const [line] = error.message.split("\n")
  switch (error.code) {
    case "DUPLICATE_KEY": {
      const key = /^[^\s:]{1,60}/.exec(text.slice(error.pos[0]))?.[0]
      return `the key ${key === undefined ? "" : `${key.replace(/^["']|["']$/g, "")} `}stands twice in the same map: remove one`
    }
    case "TAB_AS_INDENT":
      return "is indented with a tab: YAML wants spaces"
    case "TAG_RESOLVE_FAILED":
      return `has a tag that means nothing here: ${line}`
    default:
      return /tab/i.test(error.message) ? `is indented with a tab: YAML wants spaces (${line})` : `is not YAML: ${line}`
  }
}

type AnyDocument = YamlDocument.Parsed<ParsedNode>

const isNode = (value: unknown): value is ParsedNode => typeof value === "object" && value !== null && "range" in value

const nodeAt = (document: AnyDocument, path: ReadonlyArray<PropertyKey>): unknown => {
  try {
    return document.getIn(path, true)
  } catch {
    // A path that goes on below a scalar.
    return undefined
  }
}

const positionOf = (
  document: AnyDocument,
  lines: LineCounter,
  path: ReadonlyArray<PropertyKey>
): Position | undefined => {
  for (let length = path.length; length > 0; length--) {
    const key = path[length - 1]
    const parent: unknown = length === 1 ? document.contents : nodeAt(document, path.slice(0, length - 1))
    // For an entry of a map, its key: that is what people look for.
    const pair =
      isNode(parent) && "items" in parent
        ? (parent.items as ReadonlyArray<unknown>).find(
            (item) =>
              typeof item === "object" &&
              item !== null &&
              "key" in item &&
              isNode(item.key) &&
              "value" in item.key &&
              String(item.key.value) === String(key)
          )
        : undefined
    const node =
      typeof pair === "object" && pair !== null && "key" in pair ? pair.key : nodeAt(document, path.slice(0, length))
    if (isNode(node) && node.range !== null && node.range !== undefined) {
      return placeOf(lines, node.range[0])
    }
  }
  return undefined
}

const depthOf = (value: unknown, depth: number): number => {
  if (depth > maxDepth || typeof value !== "object" || value === null) return depth
  return Object.values(value).reduce<number>((deepest, inner) => Math.max(deepest, depthOf(inner, depth + 1)), depth)
}

interface Substitution {
  readonly environment: Readonly<Record<string, string>>
  readonly isPlain: (path: ReadonlyArray<PropertyKey>) => boolean
  readonly report: (path: ReadonlyArray<PropertyKey>, problem: string) => void
}

const substitute = (value: unknown, path: ReadonlyArray<PropertyKey>, options: Substitution): unknown => {
  if (typeof value === "string") {
    const { problems, text } = substituteText(value, options.environment)
    for (const problem of problems) options.report(path, problem)
    return isOneReference.test(value) && options.isPlain(path) ? scalar(text) : text
  }
  if (Array.isArray(value)) return value.map((inner: unknown, index) => substitute(inner, [...path, index], options))
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, substitute(inner, [...path, key], options)])
    )
  }
  return value
}

const isOneReference = /^\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?\}$/

/** `max_turns: ${TURNS:-5}`: an unquoted reference that is the whole value may be a number or a boolean, nothing more. */
const scalar = (text: string): unknown => {
  if (text === "true" || text === "false") return text === "true"
  return /^-?(0|[1-9]\d{0,14})(\.\d{1,15})?$/.test(text) ? Number(text) : text
}

/**
 * Puts variables into a text: `${NAME}`, `${NAME:-default}` (also when NAME is empty),
 * `$${` for a literal `${`. A default ends at the first `}`.
 */
export const substituteText = (
  text: string,
  environment: Readonly<Record<string, string>>
): { readonly text: string; readonly problems: ReadonlyArray<string> } => {
  const problems: Array<string> = []
  const replaced = text.replace(/\$\$\{|\$\{([^}]*)(\}?)/g, (whole: string, inner: string | undefined, end: string) => {
    if (whole === "$${") return "${"
    const found = end === "" ? null : /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/.exec(inner ?? "")
    const name = found?.[1]
    if (name === undefined) {
      problems.push(
        `${JSON.stringify(whole.slice(0, 40))} is neither \${NAME} nor \${NAME:-default}: write $\${ for a literal \${`
      )
      return whole
    }
    const value = Object.hasOwn(environment, name) ? environment[name] : undefined
    const fallback = found?.[2]
    if (fallback !== undefined) return value === undefined || value === "" ? fallback : value
    if (value === undefined) {
      problems.push(
        `the variable ${name} is not set: set it, write \${${name}:-default}, or $\${${name}} when the shell should see it`
      )
      return whole
    }
    return value
  })
  return { text: replaced, problems }
}
