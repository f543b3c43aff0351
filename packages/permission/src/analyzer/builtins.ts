/** The commands that bash itself runs. */
import type { Assignment } from "unbash"
import { type Builtin, done, texts, type Walker } from "./Builtin.js"
import { declare, mapfile, read, set, shift, unset } from "./builtinVariables.js"
import { type Call, effect, type Outcome, prints, refuse, runValue, same } from "./Call.js"
import { runCode } from "./code/run.js"
import { checkNumber } from "./conditions.js"
import { assign } from "./environment.js"
import { add, quote } from "./Findings.js"
import { placesOf, touch } from "./paths.js"
import { type Shell, setText, setVariable } from "./Shell.js"
import { concat, hole, isJob, isOpen, job, literal, prefixOf, show, textOf, unknownText, type Value } from "./values.js"

const quiet: Builtin = ({ shell }) => done(shell)

const echo: Builtin = (call) => {
  let at = 0
  while (/^-[neE]+$/.test(texts(call)[at] ?? "")) at++
  const words = call.args.slice(at)
  const line = concat(...words.flatMap((it, index) => (index === 0 ? [it] : [literal(" "), it])))
  if (words.some((it) => it.many === true))
    return same(call.shell, { lines: [{ pieces: line.pieces, many: true }], exact: false })
  const text = textOf(line)
  if (text?.includes("\\") === true) return same(call.shell)
  return prints(call.shell, line)
}

const printf: Builtin = (call) => {
  let rest = call.args
  let shell = call.shell
  if (textOf(rest[0] ?? literal("")) === "-v") {
    const name = textOf(rest[1] ?? unknownText)
    if (name === undefined) refuse(call, "unknown_code", "the variable that it sets is not known")
    else {
      checkNumber(call, "printf", literal(name))
      assign(call.run, shell, name.replace(/\[.*$/, ""), formatted(rest.slice(2)) ?? unknownText)
      shell = setText(shell, name.replace(/\[.*$/, ""), formatted(rest.slice(2)) ?? unknownText)
    }
    return done(shell)
  }
  if (textOf(rest[0] ?? literal("")) === "--") rest = rest.slice(1)
  else if (rest[0] !== undefined && prefixOf(rest[0]).startsWith("-v"))
    refuse(call, "unknown_code", "the variable that it sets is not known")
  const text = formatted(rest)
  return text === undefined ? same(shell) : prints(shell, ...(lines(text) ?? []))
}

const lines = (value: Value): ReadonlyArray<Value> | undefined => {
  const text = textOf(value)
  return text === undefined
    ? [value]
    : text
        .replace(/\n$/, "")
        .split("\n")
        .map((it) => literal(it))
}

/** Only `%s` and newlines. */
const formatted = (args: ReadonlyArray<Value>): Value | undefined => {
  const [first, ...values] = args
  const format = first === undefined ? undefined : textOf(first)
  if (format === undefined || /\\[^n]|%[^s%]/.test(format)) return undefined
  const parts = format.replaceAll("\\n", "\n").split("%s")
  const rounds = parts.length === 1 ? 1 : Math.max(1, Math.ceil(values.length / (parts.length - 1)))
  if (rounds > 64) return undefined
  const out: Array<Value> = []
  let at = 0
  for (let round = 0; round < rounds; round++) {
    for (const [index, part] of parts.entries()) {
      if (index > 0) out.push(values[at++] ?? literal(""))
      out.push(literal(part.replaceAll("%%", "%")))
    }
  }
  return concat(...out)
}

const change: Builtin = (call) => {
  const { run, shell } = call
  const operands = call.args.filter((it) => !/^(-[LPe@]+|--|-n)$/.test(textOf(it) ?? ""))
  const [target] = operands
  if (target === undefined) return { ok: { ...shell, cwd: call.name === "cd" ? [run.home ?? "~"] : [] }, fail: shell }
  const text = textOf(target)
  if (
    text === "-" ||
    text === "~-" ||
    (text !== undefined && /^[+-]\d+$/.test(text)) ||
    isOpen(target) ||
    operands.length > 1
  ) {
    return { ok: { ...shell, cwd: [] }, fail: shell, output: { lines: [], exact: true } }
  }
  const places = text === "~+" ? shell.cwd : placesOf(run, shell, { pieces: target.pieces })
  if (shell.variables.get("CDPATH") !== undefined) return { ok: { ...shell, cwd: [] }, fail: shell }
  // A directory that a link of this very command may have put there.
  return { ok: { ...shell, cwd: places ?? [] }, fail: shell, output: { lines: [], exact: true } }
}

const pushd: Builtin = (call, assignments, walker) => {
  if (call.args.some((it) => textOf(it) === "-n")) return done(call.shell)
  const outcome = change(call, assignments, walker)
  const stack = call.shell.variables.get(stackName)
  const here: Value = call.shell.cwd.length === 1 ? literal(call.shell.cwd[0] ?? "") : unknownText
  const values = [here, ...(stack?._tag === "Array" ? stack.values : [])]
  return {
    ...outcome,
    ok: outcome.ok === undefined ? undefined : setVariable(outcome.ok, stackName, { _tag: "Array", values })
  }
}

/** No variable can have this name. */
const stackName = "#directories"

const popd: Builtin = (call) => {
  const { shell } = call
  const stack = shell.variables.get(stackName)
  const [top, ...values] = stack?._tag === "Array" ? stack.values : []
  const text = top === undefined || call.args.length > 0 ? undefined : textOf(top)
  return {
    ok: { ...setVariable(shell, stackName, { _tag: "Array", values }), cwd: text === undefined ? [] : [text] },
    fail: shell,
    output: { lines: [], exact: true }
  }
}

const test: Builtin = (call) => {
  for (const [index, it] of call.args.entries()) {
    const before = call.args[index - 1]
    checkNumber(call, "test", it)
    if (before !== undefined && /^-[efdrwxsLhpSbcgkuOGNnt]$/.test(textOf(before) ?? "") && !isOpen(it))
      touch(call.run, call.shell, it, "stat", "test")
  }
  return done(call.shell)
}

const end: Builtin = () => ({ ok: undefined, fail: undefined, output: { lines: [], exact: true } })

const succeed: Builtin = ({ shell }) => ({ ok: shell, fail: undefined, output: { lines: [], exact: true } })
const failing: Builtin = ({ shell }) => ({ ok: undefined, fail: shell, output: { lines: [], exact: true } })

const unknownVariables = ({ variables }: Shell): Shell["variables"] =>
  new Map([...variables.keys()].map((name) => [name, { _tag: "Text" as const, value: unknownText }]))

const source: Builtin = (call) => {
  const [file, ...args] = call.args[0] !== undefined && textOf(call.args[0]) === "--" ? call.args.slice(1) : call.args
  if (file === undefined) return done(call.shell)
  if (textOf(file)?.startsWith("/dev/fd/") === true || textOf(file) === "/dev/stdin")
    refuse(call, "unknown_code", "it reads commands that are not known before it runs")
  else if (prefixOf(file).startsWith("-")) refuse(call, "unknown_option", "its option is not known")
  else runCode(call, file)
  for (const it of args) if (isOpen(it)) refuse(call, "unknown_code", `${quote(show(it))} is not known`)
  // It may have set anything.
  const shell = { ...call.shell, variables: unknownVariables(call.shell) }
  return { ok: shell, fail: shell }
}

const alias: Builtin = (call) => {
  const aliases = new Map(call.shell.aliases)
  for (const it of call.args) {
    const text = textOf(it)
    if (text === undefined) {
      refuse(call, "unknown_code", "what it stands for is not known")
      continue
    }
    const found = /^([^=\s]+)=([\s\S]*)$/.exec(text)
    if (found === null) continue
    aliases.set(found[1] ?? "", found[2] ?? "")
    call.runText(found[2] ?? "", call.shell, call.input)
  }
  return done({ ...call.shell, aliases })
}

const trap: Builtin = (call) => {
  const args = call.args.filter((it) => textOf(it) !== "--")
  const [action] = args
  const text = action === undefined ? undefined : textOf(action)
  if (args.length < 2 || text === "-" || text === "" || /^-[lp]/.test(text ?? "")) return done(call.shell)
  if (args.slice(1).some((it) => !/^(EXIT|0|INT|TERM|HUP|QUIT|SIG(INT|TERM|HUP|QUIT))$/i.test(textOf(it) ?? ""))) {
    refuse(call, "unknown_code", "it changes what happens between commands")
  }
  if (action !== undefined) runValue(call, action, call.shell)
  // It runs later, with what the shell has become by then.
  if (text === undefined) refuse(call, "unknown_code", "what it runs is not known")
  else call.run.traps.push(text)
  return done(call.shell)
}

const runRest =
  (options: RegExp, valued?: RegExp): Builtin =>
  (call) => {
    let rest = call.args
    for (;;) {
      const [first] = rest
      const text = first === undefined ? undefined : textOf(first)
      if (text === "--") {
        rest = rest.slice(1)
        break
      }
      if (text === undefined || !text.startsWith("-")) break
      if (valued?.test(text) === true) rest = rest.slice(2)
      else if (options.test(text)) rest = rest.slice(1)
      else {
        refuse(call, "unknown_option", `the option ${quote(text)} is not known`)
        return same(call.shell)
      }
    }
    return rest.length === 0 ? same(call.shell) : call.runWords(rest, call.shell, call.input)
  }

const command: Builtin = (call, assignments, walker) => {
  const first = textOf(call.args[0] ?? literal(""))
  if (first === "-v" || first === "-V") return same(call.shell)
  return runRest(/^-p$/)(call, assignments, walker)
}

const evaluate: Builtin = (call) => {
  refuse(call, "unknown_code", "it runs text as a command")
  const text = textOf(concat(...call.args.flatMap((it, index) => (index === 0 ? [it] : [literal(" "), it]))))
  if (text !== undefined) call.runText(text, call.shell, call.input)
  return same(call.shell)
}

const kindOf = (value: Value): string => {
  if (textOf(value) !== undefined) return "text"
  return isJob(value) ? "job" : "other"
}

const kill: Builtin = (call) => {
  const words = texts(call)
  if (words.length === 1 && words[0] !== undefined && /^-(l|L)$/.test(words[0])) return same(call.shell)
  if (call.args.some((it) => !/^(text|job)$/.test(kindOf(it)))) {
    effect(call, "system", "stops processes that are not its own")
    return done(call.shell)
  }
  const isProbe = words[0] === "-0" || (words[0] === "-s" && words[1] === "0")
  const targets = words.filter(
    (it, index) => !(it !== undefined && /^-/.test(it)) && !(index === 1 && words[0] === "-s")
  )
  const own = call.args.every((it) => {
    const text = textOf(it)
    if (text !== undefined) return /^%[\d%+-]?$|^-[A-Z]+$|^-\d{1,2}$|^-s$|^[A-Z]+$/.test(text)
    return false
  })
  const spawned = call.args.every((it) => {
    const text = textOf(it)
    return (
      (text !== undefined && /^-([A-Z]+|\d{1,2})$|^%\d*$/.test(text)) ||
      (it.pieces.length === 1 && typeof it.pieces[0] !== "string" && it.pieces[0]?.kind === "number")
    )
  })
  if (isProbe) return same(call.shell)
  if (targets.length > 0 && (own || spawned)) {
    add(call.run.findings, "workspace_write", "`kill` stops its own background job.")
    return done(call.shell)
  }
  effect(call, "system", "stops processes that are not its own")
  return done(call.shell)
}

const ulimit: Builtin = (call) => {
  if (!texts(call).every((it) => it !== undefined && /^-[a-zA-Z]+$|^\d+$|^unlimited$|^(soft|hard)$/.test(it)))
    refuse(call, "unknown_option", "an argument is not known")
  return same(call.shell)
}

const letBuiltin: Builtin = (call) => {
  let shell = call.shell
  for (const it of call.args) {
    checkNumber(call, "let", it)
    const name = /^([A-Za-z_]\w*)/.exec(prefixOf(it))?.[1]
    if (name === undefined || isOpen(it)) refuse(call, "unknown_code", "what it computes is not known")
    else {
      assign(call.run, shell, name, hole("number"))
      shell = setText(shell, name, hole("number"))
    }
  }
  return done(shell)
}

const history: Builtin = (call) => {
  effect(call, "secret", "shows or changes the history of the shell")
  return same(call.shell)
}

const exec: Builtin = (call, assignments, walker) => {
  if (call.args.length === 0) return same(call.shell)
  const outcome = runRest(/^-[cl]+$/, /^-[cl]*a$/)(call, assignments, walker)
  return { ...outcome, ok: undefined, fail: undefined }
}

const onlyKnown =
  (words: RegExp, kind: "unknown_option" = "unknown_option"): Builtin =>
  (call) => {
    for (const it of call.args) {
      const text = textOf(it)
      if (text === undefined || !words.test(text)) refuse(call, kind, `${quote(show(it))} is not known`)
    }
    return same(call.shell)
  }

const pwd: Builtin = (call) => {
  const [only, ...others] = call.shell.cwd
  return only !== undefined && others.length === 0 ? prints(call.shell, literal(only)) : same(call.shell)
}

const getopts: Builtin = (call) => {
  const name = textOf(call.args[1] ?? unknownText)
  if (name === undefined) refuse(call, "unknown_code", "the variable that it sets is not known")
  return done(setText(setText(call.shell, name ?? "_", hole("name")), "OPTARG", unknownText))
}

const dirs: Builtin = ({ shell }) => same(shell)

const builtins: Readonly<Record<string, Builtin>> = {
  ":": succeed,
  true: succeed,
  false: failing,
  echo,
  printf,
  cd: change,
  chdir: change,
  pushd,
  popd,
  dirs,
  pwd,
  test,
  "[": test,
  exit: end,
  return: end,
  break: end,
  continue: end,
  logout: end,
  wait: quiet,
  times: quiet,
  source,
  ".": source,
  declare,
  typeset: declare,
  local: declare,
  export: declare,
  readonly: declare,
  read,
  mapfile,
  readarray: mapfile,
  set,
  shift,
  unset,
  alias,
  unalias: quiet,
  trap,
  command,
  builtin: runRest(/^$/),
  exec,
  eval: evaluate,
  kill,
  ulimit,
  umask: onlyKnown(/^[0-7]{1,4}$|^-[Sp]$|^[ugoa]*[-=+][rwx]*$/),
  let: letBuiltin,
  history,
  fc: history,
  shopt: (call) => {
    const words = texts(call)
    const known = words.every(
      (it) =>
        it !== undefined &&
        /^-[suqop]+$|^(extglob|nullglob|globstar|failglob|inherit_errexit|pipefail|errexit|nounset|nocasematch|checkwinsize)$/.test(
          it
        )
    )
    if (!known) refuse(call, "unknown_code", "the option changes what words mean")
    return same(
      words.includes("-s") && words.includes("extglob") ? setText(call.shell, "#extglob", literal("on")) : call.shell
    )
  },
  type: onlyKnown(/^-[afptP]+$|^[\w.+@:-]+$/),
  hash: onlyKnown(/^-[rlt]$|^[\w.+-]+$/),
  jobs: (call, assignments, walker) => {
    const outcome = onlyKnown(/^-[lnprs]+$|^%/)(call, assignments, walker)
    return texts(call).join(" ") === "-p" ? { ...outcome, output: { lines: [job], exact: false } } : outcome
  },
  fg: onlyKnown(/^%?\w*$/),
  bg: onlyKnown(/^%?\w*$/),
  disown: (call) => {
    effect(call, "system", "leaves processes behind")
    return same(call.shell)
  },
  help: onlyKnown(/^[\w-]+$/),
  getopts,
  compgen: onlyKnown(/^-[abck]$|^[\w-]+$/)
}

export const isBuiltin = (name: string): boolean => Object.hasOwn(builtins, name)

export const runBuiltin = (call: Call, assignments: ReadonlyArray<Assignment>, walker: Walker): Outcome => {
  const builtin = builtins[call.name]
  return builtin === undefined ? same(call.shell) : builtin(call, assignments, walker)
}
