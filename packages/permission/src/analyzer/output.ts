/** What programs print, as far as it is known before they run: names of files, revisions, numbers, text that was given. */
import type { Call } from "./Call.js"
import { isInside } from "./paths.js"
import type { Output } from "./Shell.js"
import { concat, hole, isOpen, literal, patternOf, prefixOf, show, textOf, type Value } from "./values.js"

const several = (...lines: ReadonlyArray<Value>): Output => ({ lines, exact: false })
const single = (line: Value): Output => ({ lines: [line], exact: true })

/** Filters that leave lines as they are: with these options, when they read what is piped to them. */
const filters: Readonly<Record<string, RegExp>> = {
  sort: /^-[bdfghinruVz]+$|^-k[\d,nr.]*$|^-t.$|^--(unique|reverse|numeric-sort)$/,
  uniq: /^-[diu]+$/,
  head: /^-n?\d*$|^-q$|^--lines=\d+$/,
  tail: /^-n?\+?\d*$|^-q$|^--lines=\d+$/,
  grep: /^-[vivEFwxP]+$|^--invert-match$/,
  egrep: /^-[viwx]+$/,
  rg: /^-[viwFxN]+$/,
  tac: /^$/,
  shuf: /^-n\d*$/,
  cat: /^$/
}

/** More words are not told apart. */
const mostWords = 64

export const outputOf = (call: Call, name: string): Output | undefined => {
  if (call.args.length > mostWords) return undefined
  const words = call.args.map((it) => textOf(it))
  const plain = call.args.filter((it) => !prefixOf(it).startsWith("-"))
  if (name === "cat" && call.args.length === 0 && call.input._tag === "Text") return single(call.input.value)
  const options = Object.hasOwn(filters, name) ? filters[name] : undefined
  if (options !== undefined && call.input._tag === "Pipe") {
    const known = words.every(
      (it, index) =>
        it === undefined || !it.startsWith("-") || options.test(it) || /^-[ntk]$/.test(words[index - 1] ?? "")
    )
    // A count or a pattern; a further word would be a file.
    const most = /grep|rg/.test(name) || /^-[nkt]$/.test(words.find((it) => it?.startsWith("-")) ?? "") ? 1 : 0
    if (
      known &&
      plain.length <= most &&
      !(
        most === 1 &&
        plain.length === 1 &&
        /^(sort|head|tail|shuf)$/.test(name) &&
        !/^[+\d,nr.]+$|^.$/.test(textOf(plain[0] ?? literal("")) ?? "")
      )
    ) {
      return call.input.output === undefined ? undefined : { ...call.input.output, exact: false }
    }
    return undefined
  }
  const special = Object.hasOwn(outputs, name) ? outputs[name] : undefined
  return special?.(call, words, plain)
}

type Printer = (call: Call, words: ReadonlyArray<string | undefined>, plain: ReadonlyArray<Value>) => Output | undefined

const paths = several(hole("path"))

const git: Printer = (call, words) => {
  const at = words.findIndex((it) => it !== undefined && !it.startsWith("-") && it !== "never")
  const sub = words[at]
  const rest = words.slice(at + 1)
  const flags = rest.filter((it) => it?.startsWith("-"))
  if (words.slice(0, at).some((it) => it === "-C" || it === "-c")) return undefined
  if (
    (sub === "branch" || sub === "for-each-ref" || sub === "tag") &&
    flags.some((it) => /^--format=%\(refname(:short)?\)$/.test(it ?? ""))
  )
    return several(hole("path"))
  if (
    rest.some((it) => it !== undefined && /^--(format|pretty)|^-[sv]$|^--(stage|porcelain|long|debug)/.test(it)) &&
    sub !== "rev-parse"
  )
    return undefined
  switch (sub) {
    case "ls-files": {
      if (flags.some((it) => !/^(-z|-c|-m|-d|--cached|--modified|--deleted|--full-name)$/.test(it ?? ""))) {
        return flags.every((it) => /^(-z|-o|-c|-m|--others|--exclude-standard|--cached|--modified)$/.test(it ?? ""))
          ? withHidden(paths)
          : undefined
      }
      const patterns = call.args.slice(at + 1).filter((it) => !(textOf(it) ?? "x").startsWith("-"))
      if (patterns.length > 0 && patterns.every((it) => !isOpen(it))) {
        return several(...patterns.map((it) => pathPattern(patternOf(it))))
      }
      return paths
    }
    case "diff":
    case "show":
    case "diff-tree":
      return sub !== "show" &&
        flags.every((it) =>
          /^--$|^--(name-only|cached|staged|diff-filter=\w+|no-renames|no-commit-id)$|^-r$/.test(it ?? "")
        ) &&
        flags.includes("--name-only")
        ? paths
        : undefined
    case "grep":
      return flags.some((it) => it === "-l" || it === "--files-with-matches" || it === "-lE" || it === "-li")
        ? paths
        : undefined
    case "rev-parse":
      if (rest.length === 1 && rest[0] === "--show-toplevel") {
        return call.shell.cwd.every((it) => isInside(call.run, it)) && call.shell.cwd.length > 0
          ? single(literal(call.run.workspace))
          : undefined
      }
      return rest.every(
        (it) => it !== undefined && /^(--short|--abbrev-ref|--verify|-q|--short=\d+|HEAD([~^]\d*)*|\w[\w/-]*)$/.test(it)
      )
        ? several(hole("path"))
        : undefined
    // Names do not begin with a dash.
    case "tag":
      return flags.every((it) => /^(-l|--list|--sort=[\w:.-]+|--merged)$/.test(it ?? "")) &&
        (rest.length === 0 || flags.length > 0)
        ? several(hole("path"))
        : undefined
    case "describe":
    case "merge-base":
    case "hash-object":
      return flags.length === 0 || sub === "describe" ? several(hole("path")) : undefined
    case "branch":
      return rest.includes("--show-current") ? several(hole("path")) : undefined
    case "rev-list":
      return several(hole("path"))
    default:
      return undefined
  }
}

const pathPattern = (text: string): Value => ({
  pieces: text.startsWith("*")
    ? [{ kind: "glob", pattern: "**/" + text }]
    : text
        .split(/(\*+)/)
        .filter((it) => it !== "")
        .map((it) => (it.startsWith("*") ? { kind: "glob", pattern: it } : it))
})

const outputs: Readonly<Record<string, Printer>> = {
  git,
  // Names of packages.
  go: (_, words) =>
    words[0] === "list" && words.slice(1).every((it) => it !== undefined && /^(\.\/|\w)[\w./-]*$|^\.$/.test(it))
      ? paths
      : undefined,
  ls: (_call, words, plain) => {
    if (words.some((it) => it !== undefined && /^-[A-Za-z0-9]*[lisRgonZFpQmxCaf]|^--/.test(it))) return undefined
    if (words.some((it) => it !== undefined && /^-\w*A/.test(it))) return withHidden(several(hole("name")))
    if (plain.length === 0) return several(hole("name"))
    if (plain.some((it) => isOpen(it))) return undefined
    return several(
      ...plain.flatMap((it) => {
        const text = patternOf(it)
        return /[*?[]/.test(text) || words.includes("-d")
          ? [{ pieces: it.pieces }]
          : [{ pieces: it.pieces }, hole("name")]
      })
    )
  },
  basename: (_, words, plain) => {
    const [first, suffix] = plain
    const text = first === undefined ? undefined : textOf(first)
    if (words.length !== plain.length || first === undefined) return undefined
    if (text !== undefined) {
      const name = text.replace(/\/+$/, "").split("/").at(-1) ?? ""
      const end = suffix === undefined ? "" : (textOf(suffix) ?? "")
      return single(literal(end !== "" && name.endsWith(end) && name !== end ? name.slice(0, -end.length) : name))
    }
    return isOpen(first) || patternOf(first).includes("..") ? undefined : single(hole("name"))
  },
  dirname: (_, words, plain) => {
    const [first] = plain
    if (first === undefined || words.length !== 1) return undefined
    const text = textOf(first)
    if (text !== undefined) {
      const trimmed = text.replace(/\/+$/, "")
      const at = trimmed.lastIndexOf("/")
      return single(literal(at < 0 ? "." : at === 0 ? "/" : trimmed.slice(0, at)))
    }
    const pattern = isOpen(first) ? "/" : patternOf(first)
    return /^[/~]/.test(pattern) || pattern.includes("..") ? undefined : single(hole("path"))
  },
  date: (_, words) =>
    words.some((it) => it?.startsWith("+")) &&
    words.every((it) => it !== undefined && /^(-u|--utc|\+%[A-Za-z%\d_:T.-]*)$/.test(it))
      ? single(hole("name"))
      : undefined,
  nproc: () => single(hole("number")),
  wc: (call, words) =>
    words.length === 1 && /^-[lwcm]$/.test(words[0] ?? "") && call.input._tag !== "Inherited"
      ? single(hole("number"))
      : undefined,
  id: (_, words) => (words.every((it) => it !== undefined && /^-[unG]+$/.test(it)) ? single(hole("name")) : undefined),
  whoami: () => single(hole("name")),
  hostname: () => single(hole("name")),
  uname: () => single(hole("name")),
  seq: (_, words) => (words.every((it) => /^\d+$/.test(it ?? "")) ? several(hole("number")) : undefined),
  pgrep: () => undefined,
  rg: (_, words, given) => {
    const plain = withoutValues(words, given)
    if (!words.some((it) => it === "-l" || it === "--files" || it === "--files-with-matches")) return undefined
    if (words.some((it) => /^-[ef]|^--(regexp|file|path-separator)(=|$)/.test(it ?? "x"))) return undefined
    const found = below(plain.slice(words.includes("--files") ? 0 : 1))
    return found !== undefined &&
      words.some((it) => /^--(hidden|no-ignore|unrestricted)|^-[a-zA-Z]*[u.]/.test(it ?? ""))
      ? withHidden(found)
      : found
  },
  grep: (_, words, given) => {
    const plain = withoutValues(words, given)
    if (!words.some((it) => it !== undefined && /^-[A-Za-z]*[lL][A-Za-z]*$|^--files-with(out)?-match(es)?$/.test(it)))
      return undefined
    if (words.some((it) => /^-[ef]|^--(regexp|file|label)(=|$)/.test(it ?? ""))) return undefined
    const found = below(plain.slice(1))
    const all = plain.length < 2 || plain.slice(1).some((it) => /^\.\/?$/.test(textOf(it) ?? ""))
    const asked = given.length !== plain.length || words.some((it) => it === undefined || it.startsWith("--include"))
    return found !== undefined && all && !asked ? withHidden(found) : found
  },
  fd: (_, words, plain) => {
    if (words.some((it) => it === undefined || /^-(x|X|p|a)|^--(absolute|exec|base-directory|search-path)/.test(it)))
      return undefined
    const found = below(plain.slice(1))
    const pattern = plain[0] === undefined ? "" : show(plain[0])
    const hidden = words.some((it) => /^-[a-zA-Z]*[Hu]|^--(hidden|unrestricted)/.test(it ?? ""))
    return found !== undefined && (hidden || /env|key|secret|cred/i.test(pattern)) ? withHidden(found) : found
  },
  find: (call, words) => find(call, words)
}

/** Without the values of options that stand in a word of their own. */
const withoutValues = (words: ReadonlyArray<string | undefined>, plain: ReadonlyArray<Value>): ReadonlyArray<Value> => {
  const values = words.filter((_, index) =>
    /^(-[gtTABCmd]|--(glob|iglob|type|type-not|include|exclude|exclude-dir|max-count|max-depth))$/.test(
      words[index - 1] ?? ""
    )
  )
  return plain.filter((it) => !values.includes(textOf(it)))
}

/** Names of files below these directories or files. */
const below = (places: ReadonlyArray<Value>): Output | undefined => {
  if (places.length === 0) return paths
  if (places.some((it) => isOpen(it))) return undefined
  return several(...places.map((it) => belowOne(it, "*")))
}

const belowOne = (place: Value, name: string): Value => {
  const text = patternOf(place).replace(/\/+$/, "")
  if (text === ".") return { pieces: ["./", { kind: "glob", pattern: `**/${name}` }] }
  return concat({ pieces: place.pieces }, { pieces: ["/", { kind: "glob", pattern: `**/${name}` }] })
}

const find = (call: Call, words: ReadonlyArray<string | undefined>): Output | undefined =>
  words.some((it) => it !== undefined && /^-(printf|fprint|exec|ok|ls)/.test(it)) ? undefined : foundBy(call)

/** What `find` finds: where it starts, and the names that each of its alternatives asks for. */
export const foundBy = (call: Call): Output | undefined => {
  const words = call.args.map((it) => textOf(it))
  let at = 0
  while (/^-(L|H|P|O\d)$/.test(words[at] ?? "")) at++
  const first = at
  while (at < words.length && (words[at] === undefined || !/^[-(!,]/.test(words[at] ?? ""))) at++
  const starts = at === first ? [literal(".")] : call.args.slice(first, at)
  if (starts.some((it) => isOpen(it))) return undefined
  const names: Array<string> = []
  let branch: string | undefined
  let negated = false
  for (let index = at; index < words.length; index++) {
    const word = words[index]
    if (/^-(exec|execdir|ok|okdir)$/.test(word ?? ""))
      while (index < words.length && !/^[;+]$/.test(words[index] ?? "")) index++
    else if (word === "-not" || word === "!") {
      negated = true
      continue
    } else if (word === "-o" || word === "-or" || word === ",") {
      names.push(branch ?? "*")
      branch = undefined
    } else if (/^-i?(name|path|wholename)$/.test(word ?? "")) {
      const value = words[++index]
      if (!negated && (branch === undefined || branch === "*"))
        branch = value === undefined ? "*" : value.slice(value.lastIndexOf("/") + 1)
    } else if (/^-(i?regex|samefile|inum|newer\w*)$/.test(word ?? "")) index++
    negated = false
  }
  names.push(branch ?? "*")
  return several(...starts.flatMap((start) => [...new Set(names)].flatMap((name) => shown(call, start, name))))
}

/** Without a name asked for, hidden files of the workspace are among them. */
const shown = (call: Call, start: Value, name: string): ReadonlyArray<Value> => {
  const all = /^\*+$/.test(name)
  const text = patternOf(start).replace(/\/+$/, "")
  const root = text === "." || text === "" || !/^[^/~.]/.test(text) || text === call.run.workspace
  return all && root ? [belowOne(start, "*"), belowOne(start, ".*")] : [belowOne(start, name)]
}

/** Listers that show hidden files too. */
const withHidden = (output: Output): Output => ({
  ...output,
  lines: [...output.lines, { pieces: [{ kind: "glob", pattern: "**/.*" }] }]
})
