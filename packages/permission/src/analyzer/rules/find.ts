/** Programs that start others for what they find: `find`, `fd`, `xargs`. */
import { applyEntry, has, optionValue } from "../arguments.js"
import { type Call, refuse, same } from "../Call.js"
import { add, quote } from "../Findings.js"
import { foundBy, outputOf } from "../output.js"
import { compile } from "../ProgramEntry.js"
import { touch } from "../paths.js"
import type { Rule } from "../rules.js"
import type { Input, Output } from "../Shell.js"
import { concat, hole, isOpen, literal, patternOf, show, textOf, unknownWords, type Value } from "../values.js"

const words = (text: string) => new Set(text.split(" "))

const tests = words(
  "-name -iname -path -ipath -wholename -iwholename -regex -iregex -type -xtype -size -mtime -ctime -atime -mmin -cmin -amin -perm -user -group -uid -gid -links -inum -maxdepth -mindepth -regextype -fstype -newermt -printf -used -D -context"
)
const fileTests = words("-newer -anewer -cnewer -samefile")
const flags = words(
  "-a -o -and -or -not ! ( ) , -print -print0 -prune -quit -empty -executable -readable -writable -depth -mount -xdev -follow -true -false -ls -L -H -P -daystart -noleaf -nouser -nogroup -ignore_readdir_race -O1 -O2 -O3 -nowarn -warn"
)

const find: Rule = (call, { operands }) => {
  const found = foundBy(call)
  const lines = found?.lines ?? [hole("text")]
  let at = 0
  const text = (index: number) => {
    const it = operands[index]
    return it === undefined ? undefined : textOf(it)
  }
  while (/^-(L|H|P|O\d|D)$/.test(text(at) ?? "")) at++
  const starts: Array<Value> = []
  for (; at < operands.length; at++) {
    const it = operands[at]
    const word = text(at)
    if (it === undefined || (word !== undefined && /^([-(),!])/.test(word))) break
    if (isOpen(it)) refuse(call, "unknown_code", `where it looks, ${quote(show(it))}, is not known`)
    touch(call.run, call.shell, it, "stat", call.name)
    starts.push(it)
  }
  for (; at < operands.length; at++) {
    const word = text(at)
    if (word === undefined) {
      refuse(call, "unknown_code", `${quote(show(operands[at] ?? literal("")))} is not known`)
      continue
    }
    if (flags.has(word) || /^-newer[aBcmt][aBcmt]$/.test(word)) {
      if (word.startsWith("-newer") && word !== "-newer") at++
      continue
    }
    if (tests.has(word)) {
      at++
      continue
    }
    if (fileTests.has(word)) {
      at++
      continue
    }
    if (word === "-delete") {
      deleteFound(call, operands, lines)
      continue
    }
    if (/^-(exec|execdir|ok|okdir)$/.test(word)) {
      const end = operands.findIndex((it, index) => index > at && /^(;|\+)$/.test(textOf(it) ?? ""))
      const command = operands.slice(at + 1, end < 0 ? undefined : end)
      for (const line of lines) runFor(call, command, "{}", line, { _tag: "Pipe", output: undefined })
      at = end < 0 ? operands.length : end
      continue
    }
    if (/^-f(print0?|ls)$/.test(word)) {
      const file = operands[++at]
      if (file !== undefined) touch(call.run, call.shell, file, "write", call.name)
      continue
    }
    if (word === "-fprintf") {
      const file = operands[++at]
      if (file !== undefined) touch(call.run, call.shell, file, "write", call.name)
      at++
      continue
    }
    refuse(call, "unknown_option", `${quote(word)} is not known`)
  }
  return same(call.shell, outputOf(call, "find"))
}

/** Files that no source depends on. */
const artifacts =
  /\.(pyc|pyo|o|obj|class|log|tmp|temp|bak|orig|rej|swp|tsbuildinfo|map|gcda|gcno|cache|DS_Store)$|^\.DS_Store$|~$|^__pycache__$/

const deleteFound = (call: Call, operands: ReadonlyArray<Value>, lines: ReadonlyArray<Value>): void => {
  const names = operands.flatMap((it, index) =>
    /^-i?name$/.test(textOf(operands[index - 1] ?? literal("")) ?? "") ? [textOf(it) ?? ""] : []
  )
  const onlyFiles = operands.some((it) => textOf(it) === "-o" || textOf(it) === "-not" || textOf(it) === "!")
  if (operands.some((it) => /^-(L|follow)$/.test(textOf(it) ?? "")))
    refuse(call, "unknown_code", "it follows links to what it deletes")
  for (const it of lines) touch(call.run, call.shell, it, "delete", call.name)
  const inBuild = lines.every((it) =>
    /(^|\/)(dist|build|out|coverage|target|node_modules|tmp|\.cache|__pycache__)\//.test(show(it))
  )
  if (onlyFiles || (!inBuild && (names.length === 0 || !names.every((it) => artifacts.test(it)))))
    refuse(call, "unknown_code", "it deletes whatever it finds")
}

/** A command with its placeholder replaced. */
const runFor = (
  call: Call,
  command: ReadonlyArray<Value>,
  placeholder: string | undefined,
  item: Value,
  input: Input
): void => {
  if (command.length === 0) {
    refuse(call, "unknown_code", "what it runs is not known")
    return
  }
  if (!isOpen(item) && textOf(item) === undefined) call.run.visited.add(patternOf(item))
  const filled =
    placeholder === undefined ? [...command, { ...item, many: true }] : command.map((it) => fill(it, placeholder, item))
  // Its place in the text of a program makes it code.
  const [first] = filled
  if (first === undefined || textOf(first) === undefined) {
    refuse(call, "unknown_code", "which program it runs is not known before it runs")
    return
  }
  call.runWords(filled, call.shell, input)
}

const fill = (value: Value, placeholder: string, item: Value): Value => {
  const pieces: Array<Value> = []
  for (const piece of value.pieces) {
    if (typeof piece !== "string") {
      pieces.push({ pieces: [piece] })
      continue
    }
    for (const [index, part] of piece.split(placeholder).entries()) {
      if (index > 0) pieces.push({ pieces: item.pieces })
      pieces.push(literal(part))
    }
  }
  return concat(...pieces)
}

const xargs: Rule = (call, parsed) => {
  const { rest } = parsed
  const replace = optionValue(parsed, "-I", "--replace", "-i")
  const placeholder = replace === undefined ? (has(parsed, "-i", "--replace") ? "{}" : undefined) : textOf(replace)
  const file = optionValue(parsed, "-a", "--arg-file")
  const delimiter = optionValue(parsed, "-d", "--delimiter")
  const splitsOtherwise = delimiter !== undefined && textOf(delimiter) !== "\\n"
  const items = file !== undefined || splitsOtherwise ? undefined : itemsOf(call.input)
  const parallel = optionValue(parsed, "-P", "--max-procs")
  if (
    parallel !== undefined &&
    !/^([1-9]|[1-5]\d|6[0-4])$/.test(show(parallel)) &&
    textOf(parallel) !== undefined &&
    items === undefined
  )
    refuse(call, "unknown_code", "how many it starts at once is not known")
  if (
    parallel !== undefined &&
    /^(0|\d{3,})$/.test(show(parallel)) &&
    (items === undefined ||
      items.some((it) => it.pieces.some((piece) => typeof piece !== "string" && piece.kind === "number")))
  )
    add(call.run.findings, "resources", `${quote(call.name)} starts any number of processes at once.`)
  const command = rest.length === 0 ? [literal("echo")] : rest
  const flat = has(parsed, "-0", "--null", "-d", "--delimiter") || placeholder !== undefined
  for (const item of items === undefined
    ? [unknownWords]
    : items.flatMap((it) =>
        flat ? (/['"\\]/.test(show(it)) && !has(parsed, "-0", "--null") ? [unknownWords] : [it]) : split(it)
      )) {
    runFor(
      call,
      command,
      placeholder,
      item,
      file !== undefined ? { _tag: "Pipe", output: undefined } : { _tag: "Nothing" }
    )
  }
  return same(call.shell)
}

const itemsOf = (input: Input): ReadonlyArray<Value> | undefined => {
  if (input._tag === "Pipe") return linesOf(input.output)
  if (input._tag === "Text") {
    const text = textOf(input.value)
    return text === undefined
      ? [input.value]
      : text
          .split("\n")
          .filter((it) => it !== "")
          .map((it) => literal(it))
  }
  return undefined
}

const linesOf = (output: Output | undefined): ReadonlyArray<Value> | undefined =>
  output === undefined || output.lines.length > 16 ? undefined : output.lines

/** As xargs splits a line that is known. */
const split = (value: Value): ReadonlyArray<Value> => {
  const text = textOf(value)
  if (text === undefined) return [value]
  if (/['"\\]/.test(text)) return [unknownWords]
  const parts = text.split(/\s+/).filter((it) => it !== "")
  return parts.length > 32 ? [unknownWords] : parts.map((it) => literal(it))
}

/** What follows `-x` is a command for each that is found. */
const fd: Rule = (call, _parsed, program) => {
  const at = call.args.findIndex((it) => /^(-x|-X|--exec|--exec-batch)$/.test(textOf(it) ?? ""))
  const front = at < 0 ? call.args : call.args.slice(0, at)
  const plain = compile({ ...program.entry, style: "gnu", rule: undefined })
  applyEntry(call, plain, front)
  if (at < 0) return undefined
  const lines = outputOf({ ...call, args: front }, "fd")?.lines ?? [hole("text")]
  const end = call.args.findIndex((it, index) => index > at && textOf(it) === ";")
  const command = call.args.slice(at + 1, end < 0 ? undefined : end)
  const placeholder = command.some((it) => show(it).includes("{}")) ? "{}" : undefined
  if (command.some((it) => /\{(\/|\.|\/\/|\/\.)\}/.test(show(it))))
    refuse(call, "unknown_code", "what its placeholders stand for is not followed")
  for (const line of lines) runFor(call, command, placeholder, line, { _tag: "Pipe", output: undefined })
  return same(call.shell)
}

export const rules: Readonly<Record<string, Rule>> = { find, xargs, fd }
