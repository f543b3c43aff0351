/**
 * Recognises JavaScript that plainly does nothing but compute, print, and read or write files that it names by one
 * literal each. Closed: every name is declared in it or listed here, every property that is called too. Not a parser:
 * what it does not recognise, it refuses.
 */
import { isSecretPath } from "../secrets.js"
import { nameOf, reachesBeyond } from "../tasks.js"
import { isEndless, isName, isPlainText, isString, longest, type Recognised, tokensOf, words } from "./Recognised.js"

const keywords = words(
  "const let var if else for of in while do return function new typeof instanceof true false null undefined break continue switch case default throw try catch finally async await class extends void NaN Infinity export import from as delete"
)

const globals = words(
  "console JSON Object Array String Number Boolean Math Date RegExp Map Set Symbol BigInt Promise Error TypeError RangeError parseInt parseFloat isNaN isFinite Intl structuredClone Bun Deno"
)

/** Of each global: what may be called or read. Others have only what is called on them with `new` or as a function. */
const members: Readonly<Record<string, ReadonlySet<string>>> = {
  console: words("log error warn info table dir debug time timeEnd assert count group groupEnd"),
  JSON: words("parse stringify"),
  Object: words("keys values entries assign freeze fromEntries is hasOwn groupBy"),
  Array: words("isArray from of"),
  String: words("fromCharCode fromCodePoint raw"),
  Number: words(
    "isInteger isFinite isNaN isSafeInteger parseFloat parseInt MAX_SAFE_INTEGER MIN_SAFE_INTEGER EPSILON MAX_VALUE MIN_VALUE"
  ),
  Math: words(
    "max min abs floor ceil round sqrt cbrt pow log log2 log10 exp random PI E sign trunc hypot sin cos tan atan2"
  ),
  Date: words("now UTC parse"),
  Symbol: words("iterator for"),
  Promise: words("all resolve allSettled race any"),
  Intl: words("NumberFormat DateTimeFormat"),
  Map: words("groupBy"),
  Bun: words("version revision"),
  Deno: words("version"),
  process: words(
    "stdout stdin exit exitCode argv cwd version versions platform arch uptime memoryUsage hrtime pid release"
  )
}

const assertions = words(
  "equal strictEqual deepEqual deepStrictEqual notEqual notStrictEqual ok throws rejects match doesNotThrow fail"
)

/** Of modules of Node. */
const modules: Readonly<Record<string, ReadonlySet<string>>> = {
  fs: words(
    "readFileSync existsSync readdirSync statSync lstatSync writeFileSync appendFileSync mkdirSync readFile writeFile promises"
  ),
  "fs/promises": words("readFile writeFile readdir stat mkdir appendFile"),
  path: words("join basename extname dirname relative sep parse normalize isAbsolute posix resolve"),
  os: words("cpus platform EOL arch totalmem freemem type release"),
  util: words("inspect format isDeepStrictEqual types"),
  crypto: words("createHash randomUUID randomInt"),
  url: words("URL fileURLToPath pathToFileURL"),
  assert: assertions,
  "assert/strict": assertions,
  perf_hooks: words("performance"),
  events: words("once"),
  test: words("test describe it")
}

/** The other modules of Node: refused by whatever name. */
const standard = words(
  "async_hooks buffer child_process cluster console constants dgram diagnostics_channel dns domain http http2 https inspector module net process punycode querystring readline repl stream string_decoder sys timers tls trace_events tty v8 vm wasi worker_threads zlib sqlite sea fs os path url util crypto assert events perf_hooks test"
)

/** Of values: texts, lists, maps, numbers, dates, promises, streams of text. */
const methods = words(
  "map filter reduce reduceRight forEach some every find findIndex findLast flatMap flat join split slice splice concat push pop shift unshift sort toSorted reverse toReversed includes indexOf lastIndexOf fill keys values entries at with toString toFixed toPrecision toUpperCase toLowerCase toISOString toLocaleString toLocaleDateString toLocaleTimeString localeCompare normalize trim trimEnd trimStart padStart padEnd repeat replace replaceAll startsWith endsWith match matchAll test exec search charAt charCodeAt codePointAt substring getTime getFullYear getMonth getDate getDay getHours getMinutes getSeconds getUTCDate then catch finally has get set add delete clear update digest write on once end setEncoding isFile isDirectory format toJSON valueOf bigint"
)

/** Never, whether called, read or written. */
const never = words(
  "constructor __proto__ prototype __defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__ caller callee arguments mainModule binding dlopen env _load require eval Function globalThis global self window this super module exports process call apply bind createRequire getBuiltinModule default_ loaded execPath execArgv kill chdir abort umask setuid setgid _handle _events domain parent children paths reallyExit report openStdin emit listeners rawListeners"
)

const reading = /^(readFileSync|existsSync|readdirSync|statSync|lstatSync|readFile|readdir|stat)$/
const writing = /^(writeFileSync|appendFileSync|mkdirSync|writeFile|mkdir|appendFile)$/

const token =
  /\s+|\/\/[^\n]*|\/\*[^*]*\*+(?:[^/*][^*]*\*+)*\/|[A-Za-z_$][\w$]*|\d[\w.]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|=>|\.\.\.|\?\.|[-+*/%=<>!&|?:;,.(){}[\]^~]/y
const skipped = /^(\s|\/[/*])/

interface Scope {
  readonly declared: ReadonlySet<string>
  /** Names of modules of Node, and of what was taken from them. */
  readonly imported: ReadonlyMap<string, string>
  readonly taken: ReadonlyMap<string, string>
  /** Names of the project's own modules, and of what was taken from them. */
  readonly own: ReadonlySet<string>
  /** Names of packages of which only properties are read. */
  readonly asked: ReadonlySet<string>
  /** Names that are one literal. */
  readonly constants: ReadonlyMap<string, string>
  readonly reads: Array<string>
  readonly writes: Array<string>
  project: boolean
}

export const recogniseJavaScript = (text: string): Recognised | undefined => {
  if (text.length > longest || /\\[xu0-7]/.test(text)) return undefined
  const tokens = tokensOf(text, token, skipped)
  const scope = tokens === undefined ? undefined : scopeOf(tokens)
  if (tokens === undefined || scope === undefined) return undefined
  if (!tokens.every((_, index) => isHarmless(scope, tokens, index))) return undefined
  if (scope.writes.length > 0 && isEndless(tokens)) return undefined
  return { project: scope.project, reads: scope.reads, writes: scope.writes }
}

const literalOf = (it: string | undefined): string | undefined => (isString(it) ? it.slice(1, -1) : undefined)

/** `fs` for `node:fs`; none for what is not of Node. */
const nodeModule = (name: string): string | undefined => {
  const plain = name.replace(/^node:/, "")
  return name !== plain || standard.has(plain.split("/")[0] ?? "") ? plain : undefined
}

/** Packages that only compute. */
const computes =
  /^(lodash|lodash-es|ramda|semver|yaml|js-yaml|dayjs|date-fns|luxon|zod|uuid|nanoid|chalk|picocolors|effect|ms|fast-glob|typescript|acorn|marked|ajv|immer|decimal\.js|big\.js)(\/|$)/

/** A file of the workspace or a package by its name. */
const isOwnModule = (name: string): boolean =>
  (/^\.\.?\/|^@?[a-z]/.test(name) || name === ".") &&
  /^[\w@./-]+$/.test(name) &&
  !name.split("/").includes("..") &&
  !isSecretPath(`/${name}`) &&
  !reachesBeyond(nameOf(name))

const scopeOf = (tokens: ReadonlyArray<string>): Scope | undefined => {
  const declared = new Set<string>()
  const imported = new Map<string, string>()
  const taken = new Map<string, string>()
  const own = new Set<string>()
  const asked = new Set<string>()
  const constants = new Map<string, string>()
  const scope: Scope = { declared, imported, taken, own, asked, constants, reads: [], writes: [], project: false }
  const times = new Map<string, number>()
  const declare = (name: string): void => {
    declared.add(name)
    times.set(name, (times.get(name) ?? 0) + 1)
  }
  /** What `names` of a module stand for. */
  const bind = (
    module: string,
    names: ReadonlyArray<readonly [string, string]>,
    whole: string | undefined
  ): boolean => {
    const node = nodeModule(module)
    if (node === undefined) {
      if (!isOwnModule(module)) return false
      // Data, not code.
      if (/^\.\/.*\.json$/.test(module) && names.length === 0 && whole !== undefined) {
        scope.reads.push(module)
        own.add(whole)
        return true
      }
      scope.project = true
      // What another package does when it is called is not known.
      if (!/^\./.test(module) && !computes.test(module)) {
        if (names.length > 0) return false
        if (whole !== undefined) asked.add(whole)
      }
      for (const it of [...names.map(([, name]) => name), ...(whole === undefined ? [] : [whole])]) own.add(it)
      return names.every(([name]) => !never.has(name))
    }
    const known = Object.hasOwn(modules, node) ? modules[node] : undefined
    if (known === undefined) return false
    if (whole !== undefined) imported.set(whole, node)
    for (const [name, as] of names) taken.set(as, name)
    return names.every(([name]) => known.has(name))
  }
  for (const [index, it] of tokens.entries()) {
    const next = tokens[index + 1]
    if (/^(const|let|var)$/.test(it)) {
      const pattern = next === "{" || next === "[" ? closing(tokens, index + 1) : undefined
      const after = pattern === undefined ? index + 2 : pattern + 1
      const module =
        tokens[after] === "=" && /^(require|await)$/.test(tokens[after + 1] ?? "") && tokens[after + 2] !== undefined
          ? moduleAt(tokens, after + 1)
          : undefined
      if (module !== undefined) {
        const names = next === "{" ? namesIn(tokens, index + 1, ":") : []
        if (names === undefined || next === "[" || !bind(module, names, isName(next) ? next : undefined))
          return undefined
        continue
      }
      if (pattern !== undefined) {
        for (let at = index + 2; at < pattern; at++) {
          if (tokens[at] === "=" || tokens[at] === "{" || tokens[at] === "[" || never.has(tokens[at] ?? ""))
            return undefined
          if (isName(tokens[at]) && tokens[at + 1] !== ":") declare(tokens[at] ?? "")
        }
        // Taken from a global or a module, a method would lose its name.
        if (tokens[after] === "=" && (globals.has(tokens[after + 1] ?? "") || imported.has(tokens[after + 1] ?? "")))
          return undefined
      } else if (isName(next)) {
        declare(next)
        const value = literalOf(tokens[index + 3])
        if (
          it === "const" &&
          tokens[index + 2] === "=" &&
          value !== undefined &&
          /^[;,]?$/.test(tokens[index + 4] ?? "")
        )
          constants.set(next, value)
      }
    } else if (it === "function" || it === "class") {
      if (isName(next)) declare(next)
      if (it === "function") {
        const open = tokens.indexOf("(", index)
        for (let at = open + 1; at < (closing(tokens, open) ?? 0); at++)
          if (isName(tokens[at])) declare(tokens[at] ?? "")
      }
    } else if (it === "catch" && next === "(") {
      if (isName(tokens[index + 2])) declare(tokens[index + 2] ?? "")
    } else if (it === "=>") {
      if (isName(tokens[index - 1])) declare(tokens[index - 1] ?? "")
      else if (tokens[index - 1] === ")") {
        const open = opening(tokens, index - 1)
        for (let at = open + 1; at < index - 1; at++)
          if (isName(tokens[at]) && tokens[at + 1] !== ":" && !keywords.has(tokens[at] ?? "")) declare(tokens[at] ?? "")
      }
    } else if (it === "import" && next !== "(" && tokens[index - 1] !== ".") {
      const from = tokens.indexOf("from", index)
      const module = literalOf(isString(next) ? next : tokens[from + 1])
      if (module === undefined) return undefined
      if (isString(next)) {
        if (!bind(module, [], undefined)) return undefined
        continue
      }
      const brace = tokens.indexOf("{", index)
      const names = brace > index && brace < from ? namesIn(tokens, brace, "as") : []
      const whole = next === "*" ? tokens[index + 3] : isName(next) ? next : undefined
      if (names === undefined || from < 0 || !bind(module, names, whole)) return undefined
    }
  }
  for (const [name, count] of times) if (count > 1) constants.delete(name)
  // Names are fresh: none hides what must be seen.
  for (const name of [...declared, ...imported.keys(), ...taken.keys(), ...own])
    if (never.has(name) || globals.has(name) || keywords.has(name) || (imported.has(name) && declared.has(name)))
      return undefined
  for (const name of [...taken.keys(), ...own])
    if (declared.has(name) || (taken.has(name) && own.has(name))) return undefined
  return scope
}

const closing = (tokens: ReadonlyArray<string>, open: number): number | undefined => {
  let depth = 0
  for (let at = open; at < tokens.length; at++) {
    if (/^[([{]$/.test(tokens[at] ?? "")) depth++
    else if (/^[)\]}]$/.test(tokens[at] ?? "") && --depth === 0) return at
  }
  return undefined
}

const opening = (tokens: ReadonlyArray<string>, close: number): number => {
  let depth = 0
  for (let at = close; at >= 0; at--) {
    if (/^[)\]}]$/.test(tokens[at] ?? "")) depth++
    else if (/^[([{]$/.test(tokens[at] ?? "") && --depth === 0) return at
  }
  return 0
}

/** The module that `require` or `await import` loads, when nothing follows. */
const moduleAt = (tokens: ReadonlyArray<string>, at: number): string | undefined => {
  const from = tokens[at] === "await" && tokens[at + 1] === "import" ? at + 1 : at
  if (tokens[from] !== "require" && tokens[from] !== "import") return undefined
  const name = literalOf(tokens[from + 2])
  if (tokens[from + 1] !== "(" || name === undefined || tokens[from + 3] !== ")") return undefined
  return tokens[from + 4] === "." || tokens[from + 4] === "(" || tokens[from + 4] === "[" ? undefined : name
}

/** `{a, b: c}` or `{a, b as c}`: names and what they are called. */
const namesIn = (
  tokens: ReadonlyArray<string>,
  open: number,
  between: ":" | "as"
): ReadonlyArray<readonly [string, string]> | undefined => {
  const out: Array<readonly [string, string]> = []
  for (let at = open + 1; tokens[at] !== "}"; at++) {
    const name = tokens[at]
    if (!isName(name)) return undefined
    const other = tokens[at + 1] === between ? tokens[at + 2] : undefined
    out.push([name, other ?? name])
    if (other !== undefined) at += 2
    if (tokens[at + 1] === ",") at++
    else if (tokens[at + 1] !== "}") return undefined
  }
  return out
}

const isHarmless = (scope: Scope, tokens: ReadonlyArray<string>, index: number): boolean => {
  const it = tokens[index] ?? ""
  const before = tokens[index - 1]
  const next = tokens[index + 1]
  if (it.startsWith("`")) return isHarmlessTemplate(scope, it)
  if (isString(it)) return isModuleName(tokens, index) || isPlainText(it.slice(1, -1), isSecretPath)
  if (it === "[") return isHarmlessElement(tokens, index)
  if (!isName(it)) return true
  if (before === "." || before === "?.") return isHarmlessProperty(scope, tokens, index)
  // The name of a property.
  if (next === ":" && (before === "{" || before === ",")) return !never.has(it)
  if (it === "import" && next === "(") return isHarmlessLoad(scope, tokens, index)
  if (it === "import" && next === ".") return false
  if (it === "require") return isHarmlessLoad(scope, tokens, index)
  if (it === "process") return next === "." && members.process?.has(tokens[index + 2] ?? "") === true
  if (never.has(it)) return false
  if (keywords.has(it)) return true
  const inImport = /^(const|let|var|import|as|\{|,)$/.test(before ?? "") || tokens[index - 2] === "*"
  // A module is only asked for its members, never handed on.
  if (scope.imported.has(it)) return next === "." || isDeclaration(tokens, index)
  const name = scope.taken.get(it)
  if (name !== undefined)
    return next === "(" ? isHarmlessCall(scope, tokens, index, name) : inImport && isDeclaration(tokens, index)
  if (scope.asked.has(it))
    return (
      next === "." ||
      isDeclaration(tokens, index) ||
      (before === "(" && /^(keys|typeof)$/.test(tokens[index - 2] ?? ""))
    )
  if (scope.own.has(it) || scope.declared.has(it)) return true
  if (inImport && isDeclaration(tokens, index)) return true
  // Built-in classes and functions: asked, called, or made; and a few that are handed on.
  return globals.has(it) && (next === "." || next === "(" || /^(Number|String|Boolean|parseInt|parseFloat)$/.test(it))
}

/** Within `const …` or `import …` that names a module: judged before. */
const isDeclaration = (tokens: ReadonlyArray<string>, index: number): boolean => {
  for (let at = index; at >= 0; at--) {
    if (/^(const|let|var|import)$/.test(tokens[at] ?? "")) return true
    if (!/^[\w$*{,:]+$/.test(tokens[at] ?? "")) return false
  }
  return false
}

const isModuleName = (tokens: ReadonlyArray<string>, index: number): boolean =>
  (tokens[index - 1] === "(" && /^(require|import)$/.test(tokens[index - 2] ?? "")) ||
  /^(from|import)$/.test(tokens[index - 1] ?? "")

/** `${…}` in a text. */
const isHarmlessTemplate = (scope: Scope, text: string): boolean => {
  const plain = text.slice(1, -1).replace(/\$\{([^{}`]*)\}/g, "\0")
  if (plain.includes("${") || !isPlainText(plain.replaceAll("\0", "x"), isSecretPath)) return false
  for (const [, inner = ""] of text.matchAll(/\$\{([^{}`]*)\}/g)) {
    const tokens = tokensOf(inner, token, skipped)
    if (tokens === undefined || !tokens.every((_, at) => isHarmless(scope, tokens, at))) return false
  }
  return true
}

/** An element by its number, or by a name that is written there: any other may be any property. */
const isHarmlessElement = (tokens: ReadonlyArray<string>, index: number): boolean => {
  const before = tokens[index - 1]
  const isAccess =
    before !== undefined &&
    /^([A-Za-z_$][\w$]*|\)|\]|\?\.|["'`}].*)$/s.test(before) &&
    !/^(return|of|in|const|let|var|case|typeof)$/.test(before)
  if (!isAccess) return true
  // A block, then a list.
  if (before === "}") return false
  const inner = tokens[index + 1]
  if (tokens[index + 2] !== "]") return false
  if (isString(inner)) return !never.has(inner.slice(1, -1)) && tokens[index + 3] !== "("
  return /^\d+$/.test(inner ?? "") && tokens[index + 3] !== "("
}

const isHarmlessProperty = (scope: Scope, tokens: ReadonlyArray<string>, index: number): boolean => {
  const it = tokens[index] ?? ""
  const next = tokens[index + 1]
  if (never.has(it)) return false
  const base = tokens[index - 2]
  const isFirst = isName(base) && tokens[index - 3] !== "." && tokens[index - 3] !== "?."
  const module = isFirst ? scope.imported.get(base) : undefined
  if (module !== undefined) {
    if (modules[module]?.has(it) !== true) return false
    return next === "(" ? isHarmlessCall(scope, tokens, index, it) : !reading.test(it) && !writing.test(it)
  }
  if (isFirst && Object.hasOwn(members, base)) return members[base]?.has(it) === true
  if (isFirst && globals.has(base)) return false
  // `require("fs").x(…)`, `fs.promises.x(…)`.
  const loaded = base === ")" ? loadedBefore(tokens, index - 2) : undefined
  if (loaded !== undefined && nodeModule(loaded) !== undefined)
    return (
      modules[nodeModule(loaded) ?? ""]?.has(it) === true && next === "(" && isHarmlessCall(scope, tokens, index, it)
    )
  if (reading.test(it) || writing.test(it)) return next === "(" && isHarmlessCall(scope, tokens, index, it)
  if (next !== "(" && !(next === "?." && tokens[index + 2] === "(")) return true
  if (isFirst && scope.own.has(base)) return !scope.asked.has(base)
  if (loaded !== undefined) return /^\./.test(loaded) || computes.test(loaded)
  return methods.has(it)
}

const loadedBefore = (tokens: ReadonlyArray<string>, close: number): string | undefined =>
  tokens[close - 2] === "(" && /^(require|import)$/.test(tokens[close - 3] ?? "")
    ? literalOf(tokens[close - 1])
    : undefined

/** `require("./dist")` where it is not bound to a name. */
const isHarmlessLoad = (scope: Scope, tokens: ReadonlyArray<string>, index: number): boolean => {
  const name = literalOf(tokens[index + 2])
  if (tokens[index + 1] !== "(" || name === undefined || tokens[index + 3] !== ")") return false
  const node = nodeModule(name)
  if (node === undefined) {
    if (!isOwnModule(name)) return false
    if (!name.endsWith(".json")) scope.project = true
    return true
  }
  if (!Object.hasOwn(modules, node)) return false
  const bound = tokens[index - 1] === "await" ? index - 2 : index - 1
  return (
    tokens[index + 4] === "." ||
    (tokens[bound] === "=" && (tokens[bound - 1] === "}" || scope.imported.has(tokens[bound - 1] ?? "")))
  )
}

/** Its path is one text that is written there. */
const isHarmlessCall = (scope: Scope, tokens: ReadonlyArray<string>, index: number, name: string): boolean => {
  if (!reading.test(name) && !writing.test(name)) return true
  const first = tokens[index + 2]
  if (!/^[),]$/.test(tokens[index + 3] ?? "")) return false
  if (name === "readFileSync" && first === "0") return true
  const path = literalOf(first) ?? (first === undefined ? undefined : scope.constants.get(first))
  if (path === undefined) return false
  ;(writing.test(name) ? scope.writes : scope.reads).push(path)
  return true
}
