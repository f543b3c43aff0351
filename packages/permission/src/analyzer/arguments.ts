/** Judges the arguments of a program by its entry in the table. */

import { type Call, effect, type Outcome, refuse, runValue, same } from "./Call.js"
import { runCode } from "./code/run.js"
import { assign } from "./environment.js"
import { add, quote } from "./Findings.js"
import { type Arity, compile, type Program, type Role, roleAt } from "./ProgramEntry.js"
import { keepInside, placesOf, touch } from "./paths.js"
import { rules } from "./rules.js"
import { dropText, isOpen, literal, mayBeOption, patternOf, prefixOf, show, textOf, type Value } from "./values.js"

export interface Option {
  readonly name: string
  readonly value: Value | undefined
  readonly role: Arity
}

export interface Parsed {
  readonly options: ReadonlyArray<Option>
  readonly operands: ReadonlyArray<Value>
  /** How many operands stand before `--`; all when there is none. */
  readonly beforeDashes: number
  /** What the options did not take: for wrappers. */
  readonly rest: ReadonlyArray<Value>
}

export const has = (parsed: Parsed, ...names: ReadonlyArray<string>): boolean =>
  parsed.options.some(({ name }) => names.includes(name))

export const optionValue = (parsed: Parsed, ...names: ReadonlyArray<string>): Value | undefined =>
  parsed.options.find(({ name }) => names.includes(name))?.value

/** Reads options as the program would, as far as its entry knows them. The others are refused. */
export const parseArguments = (call: Call, program: Program, args: ReadonlyArray<Value>): Parsed => {
  const { entry } = program
  const options: Array<Option> = []
  const operands: Array<Value> = []
  const stops = entry.ordered === true || entry.runs !== undefined || program.subcommands.size > 0
  let beforeDashes: number | undefined
  let index = 0
  const unknown = (word: Value) => refuse(call, "unknown_option", `the option ${quote(show(word))} is not known`)
  const next = (): Value | undefined => args[++index]
  for (; index < args.length; index++) {
    const word = args[index]
    if (word === undefined || program.ends.has(options.at(-1)?.name ?? "")) break
    const text = textOf(word)
    if (entry.style === "none") {
      operands.push(word)
      continue
    }
    if (text === "--") {
      beforeDashes = operands.length
      index++
      if (!stops) {
        operands.push(...args.slice(index))
        index = args.length
      }
      break
    }
    const front = prefixOf(word)
    if (!mayBeOption(word) || text === "-") {
      if (entry.style === "bundle" && index === 0 && text !== undefined && text !== "-") {
        // Old style: the values follow in the order of their letters.
        for (const letter of text) {
          const role = program.options.get(`-${letter}`)
          if (role === undefined) unknown(word)
          else
            options.push({
              name: `-${letter}`,
              value: role === "flag" || role === "attached" ? undefined : next(),
              role
            })
        }
        continue
      }
      if (stops) break
      operands.push(word)
      continue
    }
    if (!front.startsWith("-")) {
      // A word that may turn out to be an option.
      if (!onlyLooks(program)) {
        refuse(call, "unknown_code", `${quote(show(word))} may turn out to be an option`)
      }
      if (stops) break
      operands.push(word)
      continue
    }
    if (entry.numeric === true && /^-\d+$/.test(front)) continue
    const exact = text === undefined ? undefined : program.options.get(text)
    if (exact !== undefined && text !== undefined) {
      options.push({ name: text, value: exact === "flag" || exact === "attached" ? undefined : next(), role: exact })
      continue
    }
    // `-DNAME=value`, `-Idirectory`, `-j4`, in the same word.
    const joined = entry.style === "single" ? program.options.get(front.slice(0, 2)) : undefined
    if (
      joined !== undefined &&
      joined !== "flag" &&
      front.length > 2 &&
      !front.startsWith("--") &&
      /^-[DILPUxlj]/.test(front)
    ) {
      options.push({ name: front.slice(0, 2), value: dropText(word, 2), role: joined })
      continue
    }
    const equals = front.indexOf("=")
    if (equals > 0 && (front.startsWith("--") || entry.style === "single")) {
      const name = front.slice(0, equals)
      const role = program.options.get(name)
      if (role === undefined || role === "flag") unknown(word)
      else options.push({ name, value: dropText(word, equals + 1), role })
      continue
    }
    if (front.startsWith("--") || entry.style === "single") {
      unknown(word)
      continue
    }
    if (!lettersOf(program, word, options, next)) unknown(word)
  }
  const rest = args.slice(index)
  return { options, operands, beforeDashes: beforeDashes ?? operands.length, rest }
}

/** Whatever the option, it shows names, sizes or numbers. */
const onlyLooks = ({ effectWith, entry, options }: Program): boolean =>
  effectWith.size === 0 &&
  (options.size === 0 ||
    (entry.effect === undefined &&
      entry.rule === undefined &&
      entry.runs === undefined &&
      /^(stat\*|text\*)$/.test(entry.operands ?? "") &&
      [...options.values()].every((it) => /^(flag|attached|text|stat|read)$/.test(it))))

/** `-abc`, where the last may have its value in the same word or the next. */
const lettersOf = (program: Program, word: Value, options: Array<Option>, next: () => Value | undefined): boolean => {
  const front = prefixOf(word)
  for (let at = 1; at < front.length; at++) {
    const name = `-${front[at]}`
    const role = program.options.get(name)
    if (role === undefined) return false
    if (role === "flag") {
      options.push({ name, value: undefined, role })
      continue
    }
    const value = dropText(word, at + 1)
    const empty = value.pieces.length === 0
    options.push({ name, value: empty && role !== "attached" ? next() : value, role })
    return true
  }
  return word.pieces.length === 1
}

/** Judges a whole call. */
export const applyEntry = (call: Call, program: Program, args: ReadonlyArray<Value> = call.args): Outcome => {
  const { entry } = program
  const only = args.length === 1 ? textOf(args[0] ?? literal("")) : undefined
  if (
    only !== undefined &&
    (program.tells.has(only) || (/^(--version|--help|-version|-V)$/.test(only) && !call.name.includes(" ")))
  )
    return same(call.shell)
  const parsed = parseArguments(call, program, args)
  // Where it works counts for all of its paths.
  let here = call
  for (const { role, value } of parsed.options) {
    if (role === "cwd") here = { ...here, shell: enter(here, value) }
  }
  for (const { name, role, value } of parsed.options) judgeOption(here, program, name, role, value)
  if (entry.guard !== undefined) applyRule(here, entry.guard, parsed, program)
  if (program.subcommands.size > 0) {
    const sub = applySubcommand(here, program, parsed)
    if (sub !== undefined) return { ...sub, ok: backTo(call, here, sub.ok), fail: backTo(call, here, sub.fail) }
  }
  const operands = [...parsed.operands, ...(program.subcommands.size > 0 ? parsed.rest : [])]
  if (entry.runs === undefined && !(entry.operands === undefined && entry.rule !== undefined))
    judgeOperands(here, program, parsed, operands)
  effect(here, entry.effect ?? "reads", entry.because)
  if (
    entry.least !== undefined &&
    operands.length + (entry.runs === undefined ? 0 : parsed.rest.length) < entry.least
  ) {
    effect(here, entry.otherwise ?? "unknown_code")
  }
  const outcome = entry.rule === undefined ? undefined : applyRule(here, entry.rule, parsed, program)
  if (outcome !== undefined)
    return { ...outcome, ok: backTo(call, here, outcome.ok), fail: backTo(call, here, outcome.fail) }
  if (entry.runs !== undefined) return runRest(here, program, parsed)
  return same(call.shell)
}

const backTo = (call: Call, here: Call, shell: Call["shell"] | undefined): Call["shell"] | undefined =>
  shell === undefined || here.shell === call.shell ? shell : { ...shell, cwd: call.shell.cwd }

const enter = (call: Call, value: Value | undefined): Call["shell"] => {
  const places = value === undefined ? undefined : placesOf(call.run, call.shell, value)
  if (places === undefined) refuse(call, "unknown_code", "the directory in which it works is not known")
  return { ...call.shell, cwd: places ?? [] }
}

const applyRule = (call: Call, name: string, parsed: Parsed, program: Program): Outcome | undefined => {
  const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
  if (rule === undefined) {
    refuse(call, "unknown_code", `the rule ${quote(name)} of its entry does not exist`)
    return same(call.shell)
  }
  return rule(call, parsed, program)
}

const applySubcommand = (call: Call, program: Program, { rest }: Parsed): Outcome | undefined => {
  const [first, ...args] = rest
  if (first === undefined) return undefined
  const name = textOf(first)
  const entry = name === undefined ? undefined : (program.subcommands.get(name) ?? program.subcommands.get("*"))
  if (entry === undefined || name === undefined) {
    // With a rule or operands of its own it need not be a subcommand.
    if (program.entry.operands !== undefined || program.entry.rule !== undefined) return undefined
    refuse(call, "unknown_option", `${quote(show(first))} is not among what is known of it`)
    return same(call.shell)
  }
  effect(call, program.entry.effect ?? "reads", program.entry.because)
  return applyEntry({ ...call, name: `${call.name} ${name}` }, compile(entry), args)
}

const judgeOption = (call: Call, program: Program, name: string, role: Arity, value: Value | undefined): void => {
  const worse = program.effectWith.get(name)
  if (worse !== undefined) effect(call, worse, `does so with ${name}`)
  if (role === "flag" || role === "cwd") return
  if (role === "attached") {
    if (value !== undefined && isOpen(value)) refuse(call, "unknown_code", `the value of ${name} is not known`)
    return
  }
  if (value === undefined) {
    refuse(call, "unknown_option", `the option ${name} lacks its value`)
    return
  }
  judgeRole(call, role, value, program.entry.effect === "project_code")
}

const judgeOperands = (call: Call, program: Program, parsed: Parsed, operands: ReadonlyArray<Value>): void => {
  let roles = program.operands
  for (const { name } of parsed.options) roles = program.operandsWith.get(name) ?? roles
  for (const [index, operand] of operands.entries()) {
    const role = roleAt(roles, index, operands.length)
    if (role === undefined) refuse(call, "unknown_option", `the argument ${quote(show(operand))} is not known`)
    else judgeRole(call, role, operand, program.entry.effect === "project_code")
  }
}

/** `made`: what it writes is made from the project's code, and as good as that. */
export const judgeRole = (call: Call, role: Role, value: Value, made = false): void => {
  const { name, run, shell } = call
  switch (role) {
    case "text":
      return
    case "inside":
      keepInside(run, shell, value, name)
      return
    case "stat":
    case "read":
    case "write":
    case "delete":
      touch(run, shell, value, role === "write" && made ? "put" : role, name)
      return
    case "code":
      runCode(call, value)
      return
    case "cwd":
      return
    case "variable": {
      const text = isOpen(value) ? undefined : patternOf(value)
      const equals = text?.indexOf("=") ?? -1
      if (text === undefined) refuse(call, "unknown_code", "the variable that it sets is not known")
      else if (equals > 0) assign(run, shell, text.slice(0, equals), dropText(value, equals + 1), true)
      return
    }
    case "command":
      runValue(call, value)
      return
    case "host":
      run.findings.hosts.add(textOf(value))
      add(run.findings, "network", `${quote(name)} reaches ${quote(show(value))} over the network.`)
  }
}

/** Wrappers: what is left is a program and its arguments. */
const runRest = (call: Call, program: Program, { rest }: Parsed): Outcome => {
  let words = rest
  if (program.entry.runs === "assignments") {
    for (;;) {
      const [first] = words
      const found = first === undefined ? null : /^([A-Za-z_]\w*)=/.exec(prefixOf(first))
      if (found === null || first === undefined) break
      assign(call.run, call.shell, found[1] ?? "", dropText(first, found[0].length), true)
      words = words.slice(1)
    }
  }
  if (program.entry.runs === "assignments" && words[0] !== undefined && /=/.test(prefixOf(words[0]))) {
    refuse(call, "unknown_code", `${quote(show(words[0]))} is a variable with an unusual name`)
  }
  const skipped = program.entry.skips ?? 0
  const [lead, command] = [words.slice(0, skipped), words.slice(skipped)]
  for (const [index, word] of lead.entries()) {
    const role = roleAt(program.operands, index, lead.length)
    if (mayBeOption(word) && isOpen(word)) refuse(call, "unknown_code", `${quote(show(word))} is not known`)
    else if (role !== undefined) judgeRole(call, role, word)
  }
  if (command.length === 0) {
    effect(call, program.entry.otherwise ?? "reads")
    return same(call.shell)
  }
  return call.runWords(command, call.shell, call.input)
}
