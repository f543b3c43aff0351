/**
 * Recognises Python that plainly does nothing but compute, print, and read or write files that it names by one
 * literal each. Closed: every name is declared in it or listed here, every property and call too. What is not
 * recognised is refused.
 */
import { isSecretPath } from "../secrets.js"
import { reachesBeyond } from "../tasks.js"
import { isEndless, isName, isPlainText, isString, longest, type Recognised, tokensOf, words } from "./Recognised.js"

const keywords = words(
  "True False None if else elif for in while and or not is def return lambda with as import from pass break continue assert raise try except finally yield del"
)

const builtins = words(
  "print len range sum min max sorted reversed enumerate zip map filter list dict set tuple frozenset str int float bool abs round any all isinstance type repr iter next slice bytes ord chr hex bin divmod pow hash id callable Exception ValueError KeyError TypeError IndexError AssertionError RuntimeError FileNotFoundError StopIteration OSError ImportError ModuleNotFoundError NotImplementedError __name__"
)

/** Of modules of the language: what may be taken from them. */
const modules: Readonly<Record<string, ReadonlySet<string>>> = {
  sys: words("stdin stdout stderr argv version version_info platform exit maxsize byteorder"),
  json: words("load loads dump dumps JSONDecodeError"),
  re: words(
    "sub subn search match fullmatch findall finditer compile split escape MULTILINE IGNORECASE DOTALL VERBOSE M I S X"
  ),
  math: words(
    "sqrt pi e floor ceil log log2 log10 exp pow sin cos tan fabs gcd lcm factorial comb isclose inf nan hypot isnan prod"
  ),
  datetime: words("datetime date timedelta timezone time UTC"),
  time: words("time perf_counter strftime gmtime localtime monotonic"),
  collections: words("Counter defaultdict OrderedDict namedtuple deque ChainMap"),
  itertools: words(
    "chain groupby islice product permutations combinations count cycle repeat zip_longest accumulate takewhile dropwhile starmap pairwise"
  ),
  functools: words("reduce lru_cache partial cache cmp_to_key"),
  statistics: words("mean median mode stdev pstdev variance quantiles"),
  csv: words("reader DictReader writer DictWriter"),
  string: words("ascii_letters ascii_lowercase ascii_uppercase digits punctuation hexdigits"),
  textwrap: words("dedent indent fill wrap shorten"),
  pathlib: words("Path PurePath PurePosixPath"),
  random: words("random randint choice seed sample shuffle uniform"),
  hashlib: words("sha1 sha256 sha512 md5 blake2b"),
  base64: words("b64encode b64decode"),
  decimal: words("Decimal"),
  fractions: words("Fraction"),
  operator: words("itemgetter add mul"),
  typing: words("Any Optional List Dict Tuple"),
  pprint: words("pprint pformat"),
  tomllib: words("load loads"),
  ast: words(
    "parse walk dump unparse literal_eval get_docstring iter_child_nodes FunctionDef AsyncFunctionDef ClassDef Import ImportFrom Call Name Constant Assign Module Attribute Expr Return"
  ),
  platform: words("python_version system machine python_implementation"),
  unicodedata: words("name normalize category"),
  difflib: words("unified_diff ndiff get_close_matches"),
  // Not of the language, and only their plain halves.
  yaml: words("safe_load safe_load_all safe_dump __version__"),
  tomli: words("load loads"),
  toml: words("load loads")
}

/** Of values: strings, numbers, lists, dictionaries, files, matches, paths, dates, nodes of a tree. */
const methods = words(
  "read readlines readline splitlines split rsplit join strip lstrip rstrip replace lower upper title capitalize startswith endswith format items keys values get setdefault append extend insert pop sort reverse index rindex find rfind count add discard update search match fullmatch findall sub subn finditer split group groups groupdict start end span zfill ljust rjust center partition rpartition isdigit isalpha isalnum isspace isupper islower encode decode strftime isoformat timestamp total_seconds weekday most_common elements copy union intersection difference symmetric_difference issubset exists is_file is_dir read_text read_bytes as_posix relative_to with_suffix hexdigest digest write writelines writerow writerows writeheader close date time today now fromisoformat strptime from_iterable fromkeys popleft appendleft cpu_count is_integer bit_length total expandtabs casefold removeprefix removesuffix"
)

/** Properties that are data. Any other name is data too, unless it is called: but none with two underscores. */
const neverProperty =
  /^_|^(modules|path|meta_path|path_hooks|environ|environb|system|popen|gi_frame|gi_code|cr_frame|f_globals|f_locals|f_builtins|f_back|tb_frame|tb_next|func_globals|mro|call|codecs|io|os|sys|open|subprocess|builtins|buffer_info|cwd|home|parent|parents|absolute|resolve|loader|spec|ag_frame)$/

/** The standard library: what is not listed above is not recognised, by whatever name. */
const standard = words(
  "__future__ _thread abc aifc antigravity argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii bisect builtins bz2 cProfile calendar cgi cgitb chunk cmath cmd code codecs codeop colorsys compileall concurrent configparser contextlib contextvars copy copyreg crypt ctypes curses dataclasses dbm dis distutils doctest email encodings ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch formatter ftplib gc genericpath getopt getpass gettext glob graphlib grp gzip heapq hmac html http idlelib imaplib imghdr imp importlib inspect io ipaddress keyword lib2to3 linecache locale logging lzma mailbox mailcap marshal mimetypes mmap modulefinder msilib multiprocessing netrc nis nntplib ntpath numbers opcode optparse os ossaudiodev parser pdb pickle pickletools pipes pkgutil plistlib poplib posix posixpath profile pstats pty pwd py_compile pyclbr pydoc queue quopri readline reprlib resource rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket socketserver spwd sqlite3 sre_compile ssl stat stringprep struct subprocess sunau symbol symtable sysconfig syslog tabnanny tarfile telnetlib tempfile termios test this threading timeit tkinter token tokenize trace traceback tracemalloc tty turtle types unittest urllib uu uuid venv warnings wave weakref webbrowser winreg wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo"
)

/** Of a package that is not known, only what tells about it. */
const tells = /^(__version__|version|VERSION|__file__|__name__|__doc__|is_available|cuda)$/
/** Packages that can only be the project's own. */
const own = /^(src|app|lib|core|tests?|packages|scripts|project|pkg)(\.|$)/

const token =
  /\s+|#[^\n]*|[A-Za-z_]\w*|\d[\w.]*|"""[^"\\]*"""|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[-+*/%=<>!&|:;,.(){}[\]^~]/y

const isPrefix = (it: string | undefined): boolean => /^(f|r|b|rb|br|u|rf|fr|F|R|B)$/.test(it ?? "")

interface Scope {
  readonly tokens: ReadonlyArray<string>
  /** Names that it makes itself. */
  readonly declared: ReadonlySet<string>
  /** Names that stand for a module: `json`, `np` for numpy. */
  readonly imported: ReadonlyMap<string, string>
  /** Names that were taken out of a module. */
  readonly taken: ReadonlyMap<string, string>
  /** Names that are one literal, set once; those that are `Path` of one. */
  readonly constants: ReadonlyMap<string, string>
  readonly paths: ReadonlyMap<string, string>
  readonly reads: Array<string>
  readonly writes: Array<string>
  /** Where imports stand: they are judged before. */
  readonly imports: ReadonlySet<number>
  readonly project: boolean
}

export const recognisePython = (text: string): Recognised | undefined => {
  if (text.length > longest || /\\[xuNU0-7]/.test(text)) return undefined
  const tokens = tokensOf(text, token, /^[ \t#]|^\s+$/)
  if (tokens === undefined) return undefined
  const scope = scopeOf(tokens)
  if (scope === undefined) return undefined
  if (!tokens.every((_, index) => scope.imports.has(index) || isHarmless(scope, tokens, index))) return undefined
  if (scope.writes.length > 0 && isEndless(tokens)) return undefined
  return { project: scope.project, reads: scope.reads, writes: scope.writes }
}

const literalOf = (it: string | undefined): string | undefined =>
  isString(it) ? it.replace(/^("""|["'])|("""|["'])$/g, "") : undefined

const scopeOf = (tokens: ReadonlyArray<string>): Scope | undefined => {
  const declared = new Set<string>()
  const imported = new Map<string, string>()
  const taken = new Map<string, string>()
  const set = new Map<string, number>()
  const constants = new Map<string, string>()
  const paths = new Map<string, string>()
  const imports = new Set<number>()
  let project = false
  let depth = 0
  for (let index = 0; index < tokens.length; index++) {
    const it = tokens[index] ?? ""
    const before = tokens[index - 1] ?? ""
    if (/^[([{]$/.test(it)) depth++
    if (/^[)\]}]$/.test(it)) depth--
    // `yield from`, `raise … from`: only statements begin with it.
    if (it === "import" || it === "from") {
      const found = importAt(tokens, index, imported, taken)
      if (found === undefined) return undefined
      if (found.project) project = true
      for (let at = index; at <= found.end; at++) imports.add(at)
      index = found.end
      continue
    }
    if (!isName(it) || before === "." || keywords.has(it)) continue
    const next = tokens[index + 1] ?? ""
    const isSet =
      /^(for|def|as|lambda)$/.test(before) ||
      (next === "=" && tokens[index + 2] !== "=") ||
      (/^[-+*/%|&]$/.test(next) && tokens[index + 2] === "=") ||
      (next === ":" && tokens[index + 2] === "=") ||
      (before === "," && /^(in|=|:)$/.test(next)) ||
      next === ","
    if (!isSet || (next === "," && (builtins.has(it) || imported.has(it) || taken.has(it)))) continue
    if (depth > 0 && /^[(,]$/.test(before) && next === "=") continue
    declared.add(it)
    set.set(it, (set.get(it) ?? 0) + 1)
    if (next !== "=") continue
    const value = literalOf(tokens[index + 2])
    const after = tokens[index + 3]
    if (value !== undefined && (after === undefined || isStatementEnd(tokens, index + 3))) constants.set(it, value)
    const at = tokens[index + 2] === "pathlib" ? index + 4 : index + 2
    const inside = literalOf(tokens[at + 2])
    if (tokens[at] === "Path" && tokens[at + 1] === "(" && inside !== undefined && tokens[at + 3] === ")")
      if (isStatementEnd(tokens, at + 4)) paths.set(it, inside)
  }
  for (const name of [...constants.keys(), ...paths.keys()]) {
    if (set.get(name) === 1 && isOnlyUsed(tokens, name)) continue
    constants.delete(name)
    paths.delete(name)
  }
  // Names of what is known, or of what must be seen, are not made anew.
  for (const name of declared)
    if (builtins.has(name) || hidden.has(name) || imported.has(name) || taken.has(name) || /^__/.test(name))
      return undefined
  return { tokens, declared, imported, taken, constants, paths, reads: [], writes: [], imports, project }
}

/** Set once, and else only handed on or asked: nothing can change it. */
const isOnlyUsed = (tokens: ReadonlyArray<string>, name: string): boolean =>
  tokens.every((it, index) => {
    if (it !== name || tokens[index - 1] === ".") return true
    const next = tokens[index + 1] ?? ""
    if (next === "=" && tokens[index + 2] !== "=") return isName(tokens[index + 2]) || isString(tokens[index + 2])
    if (next === ".") return true
    return (
      tokens[index - 1] === "(" && /^(open|Path|print|len|str)$/.test(tokens[index - 2] ?? "") && /^[),]$/.test(next)
    )
  })

const hidden = words(
  "eval exec compile open input breakpoint getattr setattr delattr globals locals vars dir memoryview Path object super property classmethod staticmethod exit quit help copyright credits license"
)

/** A new line is a new statement here, though tokens do not say so: what follows must begin one. */
const isStatementEnd = (tokens: ReadonlyArray<string>, index: number): boolean => {
  const it = tokens[index]
  return it === undefined || it === ";" || (isName(it) && !/^(if|else|for|and|or|in|is|not)$/.test(it))
}

/** `import a.b as c, d` and `from a import b as c, d`. */
const importAt = (
  tokens: ReadonlyArray<string>,
  from: number,
  imported: Map<string, string>,
  taken: Map<string, string>
): { readonly end: number; readonly project: boolean } | undefined => {
  let at = from + 1
  const dotted = (): string | undefined => {
    const first = tokens[at]
    if (!isName(first)) return undefined
    let name = first
    at++
    while (tokens[at] === "." && isName(tokens[at + 1])) {
      name += `.${tokens[at + 1]}`
      at += 2
    }
    return name
  }
  const alias = (): string | undefined => {
    if (tokens[at] !== "as") return undefined
    at += 2
    return tokens[at - 1]
  }
  let project = false
  const known = (module: string): boolean => {
    const top = module.split(".")[0] ?? ""
    if (Object.hasOwn(modules, module)) return true
    if (standard.has(top) || Object.hasOwn(modules, top)) return false
    project = true
    return !reachesBeyond(module.split(".").at(-1) ?? "")
  }
  if (tokens[from] === "import") {
    for (;;) {
      const module = dotted()
      if (module === undefined || !known(module)) return undefined
      imported.set(alias() ?? module.split(".")[0] ?? module, module)
      if (tokens[at] !== ",") return { end: at - 1, project }
      at++
    }
  }
  const module = dotted()
  if (module === undefined || !known(module) || tokens[at] !== "import") return undefined
  at++
  const bracket = tokens[at] === "("
  if (bracket) at++
  for (;;) {
    const name = tokens[at]
    if (!isName(name)) return undefined
    at++
    const members = Object.hasOwn(modules, module) ? modules[module] : undefined
    if (members === undefined ? !own.test(module) && !tells.test(name) : !members.has(name)) return undefined
    taken.set(alias() ?? name, `${module} ${name}`)
    if (tokens[at] !== ",") break
    at++
  }
  if (bracket && tokens[at++] !== ")") return undefined
  return { end: at - 1, project }
}

const isHarmless = (scope: Scope, tokens: ReadonlyArray<string>, index: number): boolean => {
  const it = tokens[index] ?? ""
  const before = tokens[index - 1] ?? ""
  const next = tokens[index + 1] ?? ""
  if (isString(it)) return isHarmlessString(scope, tokens, index)
  if (!isName(it)) return true
  if (isPrefix(it) && isString(next)) return true
  if (before === ".") return isHarmlessProperty(scope, tokens, index)
  if (keywords.has(it)) return true
  // The name of an argument.
  if (/^[(,]$/.test(before) && next === "=" && tokens[index + 2] !== "=") return !/^_|^opener$/.test(it)
  if (it === "open") return isHarmlessOpen(scope, tokens, index)
  if (it === "Path" || scope.taken.get(it) === "pathlib Path") return isHarmlessPath(scope, tokens, index)
  if (scope.imported.has(it)) return next === "."
  return builtins.has(it) || scope.declared.has(it) || scope.taken.has(it)
}

const isHarmlessString = (scope: Scope, tokens: ReadonlyArray<string>, index: number): boolean => {
  const before = tokens[index - 1] ?? ""
  const text = literalOf(tokens[index]) ?? ""
  // Texts side by side are one text.
  if (isString(before) || isString(tokens[index + 1])) return false
  if (/\{[^}]*__/.test(text)) return false
  if (/^(f|rf|fr|F)$/.test(before)) {
    for (const [, inner = ""] of text.replace(/\{\{|\}\}/g, "").matchAll(/\{([^{}]*)\}/g)) {
      const parts = tokensOf(inner.replace(/![rsa]?(:|$)|:[^[\]()]*$/, ""), token, /^[ \t#]|^\s+$/)
      if (parts === undefined || !parts.every((_, at) => isHarmless(scope, parts, at))) return false
    }
  }
  return isPlainText(text, isSecretPath)
}

const isHarmlessProperty = (scope: Scope, tokens: ReadonlyArray<string>, index: number): boolean => {
  const it = tokens[index] ?? ""
  const next = tokens[index + 1] ?? ""
  const base = tokens[index - 2] ?? ""
  const plainBase = isName(base) && !isPrefix(base) && tokens[index - 3] !== "."
  if (isPrefix(base) && tokens[index - 3] !== ".") return !neverProperty.test(it)
  const module = plainBase ? scope.imported.get(base) : undefined
  if (module !== undefined) {
    const members = Object.hasOwn(modules, module) ? modules[module] : undefined
    if (members !== undefined) return members.has(it)
    return tells.test(it) || (own.test(module) && !neverProperty.test(it))
  }
  if (it === "write_text" || it === "write_bytes") return isHarmlessWrite(scope, tokens, index)
  // Classes and functions have more than values do.
  if (plainBase && (builtins.has(base) || scope.taken.has(base)))
    return next === "(" && /^(today|now|fromkeys|from_iterable|fromisoformat|strptime|join|lower|upper|strip)$/.test(it)
  if (tells.test(it) && scope.project) return true
  if (next === "(") return it === "rglob" || it === "glob" ? isHarmlessGlob(tokens, index) : methods.has(it)
  // As a value: `key=str.lower` was judged above; a method of a value is only called.
  return (
    !neverProperty.test(it) &&
    !/^(write|unlink|rename|rmdir|mkdir|touch|chmod|remove|symlink_to|link_to|hardlink_to|iterdir|glob|rglob|joinpath)$/.test(
      it
    )
  )
}

/** Names of files by a pattern that no secret fits. */
const isHarmlessGlob = (tokens: ReadonlyArray<string>, index: number): boolean => {
  const pattern = literalOf(tokens[index + 2])
  return (
    pattern !== undefined &&
    tokens[index + 3] === ")" &&
    /^[\w*/-]*\.[\w]+$/.test(pattern) &&
    !isSecretPath(`/${pattern}`)
  )
}

const constantAt = (scope: Scope, it: string | undefined): string | undefined =>
  literalOf(it) ?? (it === undefined ? undefined : scope.constants.get(it))

const isHarmlessOpen = (scope: Scope, tokens: ReadonlyArray<string>, index: number): boolean => {
  const path = constantAt(scope, tokens[index + 2])
  if (tokens[index + 1] !== "(" || path === undefined) return false
  let mode = "r"
  let at = index + 3
  while (tokens[at] === ",") {
    const named = /^(encoding|newline|errors|mode)$/.test(tokens[at + 1] ?? "") && tokens[at + 2] === "="
    const name = named ? tokens[at + 1] : "mode"
    const value = literalOf(tokens[named ? at + 3 : at + 1])
    if (value === undefined) return false
    if (name === "mode") mode = value
    at += named ? 4 : 2
  }
  if (tokens[at] !== ")") return false
  if (/^r[bt]?$/.test(mode)) scope.reads.push(path)
  else if (/^[wa][bt]?$/.test(mode)) scope.writes.push(path)
  else return false
  return true
}

const isHarmlessPath = (scope: Scope, tokens: ReadonlyArray<string>, index: number): boolean => {
  const path = constantAt(scope, tokens[index + 2])
  if (tokens[index + 1] !== "(" || path === undefined || tokens[index + 3] !== ")") return false
  // What it is divided by makes another path.
  if (tokens[index + 4] === "/") return false
  scope.reads.push(path)
  return true
}

/** `Path("x").write_text(…)`, `p.write_text(…)` where `p` is one such path. */
const isHarmlessWrite = (scope: Scope, tokens: ReadonlyArray<string>, index: number): boolean => {
  const base = tokens[index - 2] ?? ""
  const path =
    base === ")" && tokens[index - 5] === "Path" && tokens[index - 4] === "("
      ? constantAt(scope, tokens[index - 3])
      : scope.paths.get(base)
  if (path === undefined || tokens[index + 1] !== "(") return false
  scope.writes.push(path)
  return true
}
