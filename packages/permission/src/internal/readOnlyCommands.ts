/**
 * The few commands that may run without being asked for: one simple command of
 * known words, that only reads. Data, and the reader of it.
 *
 * Everything is denied that is not named here: a program, an option, the value of
 * an option. It is not an analyzer of shell: text with any quoting, expansion,
 * redirection or second command in it is not a simple command.
 */
import * as Either from "effect/Either"

/** Characters that mean nothing to any shell. `=` not in front (zsh), `~` and `^` only in a revision such as `HEAD~2`. */
const plainWord = /^[A-Za-z0-9_./:,@%+-][A-Za-z0-9_./=:,@%+-]*$/
const revision = /^[A-Za-z0-9_./@][A-Za-z0-9_./@-]*(?:[~^][0-9]*)+$/
/** Not an assignment, not a job, not an option. */
const programWord = /^[A-Za-z0-9_./+][A-Za-z0-9_./+-]*$/

/** Nobody types more; keeps what follows cheap. UTF-16 units. */
const longest = 4_096

/** The words of a command without any shell syntax; none when there is some. Only spaces and tabs separate words. */
export const simpleWords = (command: string): ReadonlyArray<string> | undefined => {
  if (command.length > longest) return undefined
  const words = command.replace(/^[ \t]+|[ \t]+$/g, "").split(/[ \t]+/)
  const [program] = words
  if (program === undefined || !programWord.test(program)) return undefined
  return words.every((word) => plainWord.test(word) || revision.test(word)) ? words : undefined
}

interface Program {
  /** Options of one letter without a value. */
  readonly letters?: string
  /** Options of one letter with a value, in the same or the next word. */
  readonly valued?: Readonly<Record<string, RegExp>>
  /** Whole words. */
  readonly words?: ReadonlyArray<string>
  readonly patterns?: ReadonlyArray<RegExp>
  /** What is no option: nothing, paths, text, or a pattern and then paths. */
  readonly operands: "none" | "paths" | "text" | "pattern then paths"
  /** Reads standard input when it has no path. */
  readonly needsPath?: boolean
}

const count = /^[0-9]{1,9}$/
const color = ["--color=never", "--color=always", "--color=auto"]

const programs: Readonly<Record<string, Program>> = {
  pwd: { letters: "LP", operands: "none" },
  true: { operands: "none" },
  echo: { operands: "text" },
  ls: {
    letters: "aAlhtrSsFdiR1pn",
    words: ["--all", "--almost-all", "--human-readable", "--recursive", "--reverse", "--directory", ...color],
    operands: "paths"
  },
  cat: { letters: "nbsAETv", words: ["--number", "--show-all"], operands: "paths", needsPath: true },
  head: {
    letters: "qv",
    valued: { n: count, c: count },
    patterns: [/^-[0-9]{1,9}$/, /^--(lines|bytes)=[0-9]{1,9}$/],
    operands: "paths",
    needsPath: true
  },
  tail: {
    letters: "qv",
    valued: { n: /^\+?[0-9]{1,9}$/, c: /^\+?[0-9]{1,9}$/ },
    patterns: [/^-[0-9]{1,9}$/, /^--(lines|bytes)=\+?[0-9]{1,9}$/],
    operands: "paths",
    needsPath: true
  },
  wc: {
    letters: "lwcmL",
    words: ["--lines", "--words", "--bytes", "--chars", "--max-line-length"],
    operands: "paths",
    needsPath: true
  },
  // Not over trees: that would read files of secrets too. The agent has a tool for it.
  grep: {
    letters: "nivwxclLHhoqsEF",
    valued: { A: count, B: count, C: count, m: count },
    words: ["--line-number", "--ignore-case", "--count", "--fixed-strings", "--extended-regexp", ...color],
    operands: "pattern then paths",
    needsPath: true
  }
}

/** Programs that answer `--version` without running anything of the workspace. Others (cargo, go, yarn) may. */
const versions: Readonly<Record<string, ReadonlyArray<string>>> = {
  node: ["--version", "-v"],
  npm: ["--version", "-v"],
  git: ["--version"],
  python: ["--version"],
  python3: ["--version"],
  bash: ["--version"]
}

const difference = [
  "-p",
  "-u",
  "-w",
  "-b",
  "-M",
  "-C",
  "--patch",
  "--no-patch",
  "--stat",
  "--shortstat",
  "--numstat",
  "--name-only",
  "--name-status",
  "--summary",
  "--raw",
  "--ignore-all-space",
  "--ignore-space-change",
  "--no-renames",
  "--no-color",
  "--no-ext-diff",
  "--no-textconv",
  "--word-diff"
]
const differencePatterns = [/^-U[0-9]{1,6}$/, /^--unified=[0-9]{1,6}$/, /^--diff-filter=[A-Za-z]{1,16}$/]
const history = [
  ...difference,
  "--oneline",
  "--graph",
  "--decorate",
  "--no-decorate",
  "--all",
  "--merges",
  "--no-merges",
  "--reverse",
  "--first-parent",
  "--follow",
  "--abbrev-commit"
]
const historyPatterns = [
  ...differencePatterns,
  /^-[0-9]{1,9}$/,
  /^-n[0-9]{1,9}$/,
  /^--max-count=[0-9]{1,9}$/,
  /^--(since|until|after|before|author|grep)=.+$/,
  /^--date=(iso|short|relative|local|unix)$/,
  // No free format: `%G?` runs the program that checks signatures.
  /^--(format|pretty)=(oneline|short|medium|full|fuller|reference)$/
]

const git: Readonly<Record<string, Program>> = {
  status: {
    letters: "sbz",
    words: ["--short", "--branch", "--porcelain", "--ignored", "--no-renames", "--show-stash"],
    patterns: [/^--porcelain=v[12]$/, /^-u(no|normal|all)$/, /^--untracked-files=(no|normal|all)$/],
    operands: "paths"
  },
  diff: {
    words: [...difference, "--cached", "--staged", "--check", "--exit-code", "--quiet"],
    patterns: differencePatterns,
    operands: "paths"
  },
  log: { words: history, patterns: historyPatterns, valued: { n: count }, operands: "paths" },
  show: { words: history, patterns: historyPatterns, operands: "paths" },
  branch: { letters: "arv", words: ["--show-current", "--list", "--all", "--remotes", "-vv"], operands: "none" },
  "rev-parse": {
    words: ["--show-toplevel", "--abbrev-ref", "--short", "--is-inside-work-tree", "--verify"],
    operands: "paths"
  },
  "ls-files": {
    letters: "cdmos",
    words: ["--cached", "--deleted", "--modified", "--others", "--stage", "--exclude-standard"],
    operands: "paths"
  }
}

/** The programs that are known here, for the message of a denial. */
export const knownPrograms: ReadonlyArray<string> = [
  ...Object.keys(programs).filter((it) => it !== "true"),
  ...Object.keys(git).map((it) => `git ${it}`)
]

/**
 * The paths that a command reads, when it is known to do nothing else; otherwise what is not known about it.
 * A revision counts as a path: it is one if there is such a file.
 */
export const readOnlyPaths = (words: ReadonlyArray<string>): Either.Either<ReadonlyArray<string>, string> => {
  const [name = "", ...rest] = words
  const [only = ""] = rest
  if (rest.length === 1 && Object.hasOwn(versions, name) && versions[name]?.includes(only) === true) {
    return Either.right([])
  }
  if (name === "git") {
    const [sub = "", ...args] = rest
    if (!Object.hasOwn(git, sub)) return Either.left(`\`git ${sub}\` is not one of the git commands that only read`)
    return Either.flatMap(operandsOf(`git ${sub}`, git[sub], args), (operands) =>
      // `HEAD:.env`, `:/message`, `:!pattern`
      operands.some((it) => it.includes(":"))
        ? Either.left("a colon in an argument of git names a file of another commit")
        : Either.right(operands)
    )
  }
  if (!Object.hasOwn(programs, name)) return Either.left(`\`${name}\` is not one of the commands that only read`)
  return operandsOf(name, programs[name], rest)
}

const operandsOf = (
  name: string,
  program: Program | undefined,
  args: ReadonlyArray<string>
): Either.Either<ReadonlyArray<string>, string> => {
  if (program === undefined) return Either.left(`\`${name}\` is not known`)
  if (program.operands === "text") {
    return args.some((it) => it.startsWith("-"))
      ? Either.left(`options of \`${name}\` are not known`)
      : Either.right([])
  }
  const operands: Array<string> = []
  for (let index = 0; index < args.length; index++) {
    const word = args[index] ?? ""
    if (word === "--") {
      operands.push(...args.slice(index + 1))
      break
    }
    if (!word.startsWith("-")) {
      operands.push(word)
      continue
    }
    const value = takesValue(program, word)
    if (value !== undefined) {
      if (!value.test(args[++index] ?? "")) return Either.left(`the value of ${word} is not known`)
    } else if (!isKnown(program, word)) return Either.left(`the option ${word} of \`${name}\` is not known`)
  }
  if (program.operands === "none" && operands.length > 0)
    return Either.left(`\`${name}\` is only known without arguments`)
  const paths = program.operands === "pattern then paths" ? operands.slice(1) : operands
  if (program.needsPath === true && paths.length === 0) return Either.left(`\`${name}\` without a file reads nothing`)
  return Either.right(paths)
}

/** What the next word has to look like, when this one is an option that wants it. */
const takesValue = (program: Program, word: string): RegExp | undefined => {
  const letter = word.length === 2 ? word[1] : undefined
  return letter !== undefined && Object.hasOwn(program.valued ?? {}, letter) ? program.valued?.[letter] : undefined
}

const isKnown = (program: Program, word: string): boolean => {
  if (program.words?.includes(word) === true || program.patterns?.some((it) => it.test(word)) === true) return true
  if (word.startsWith("--") || word === "-") return false
  const attached = Object.hasOwn(program.valued ?? {}, word[1] ?? "") ? program.valued?.[word[1] ?? ""] : undefined
  if (attached !== undefined) return attached.test(word.slice(2))
  return [...word.slice(1)].every((letter) => program.letters?.includes(letter) === true)
}
