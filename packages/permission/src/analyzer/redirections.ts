/** Where a command reads from and writes to. */
import type { HereDoc, Redirection, Word } from "unbash"
import { isLossByPattern } from "./artifacts.js"
import { touch } from "./paths.js"
import type { Input } from "./Shell.js"
import { isOpen, literal, textOf, unknownText, type Value } from "./values.js"
import { type Context, textOfParts, textOfWord, wordsOf } from "./words.js"

interface Redirections {
  readonly input: Input
  /** What it prints goes to a file. */
  readonly toFile: boolean
  readonly written: ReadonlyArray<string>
  /** Files of a pattern, or of a loop over one, are emptied first. */
  readonly truncates: boolean
}

export const redirect = (
  context: Context,
  redirections: ReadonlyArray<Redirection>,
  input: Input,
  program: string
): Redirections => {
  let from = input
  let toFile = false
  let truncates = false
  const written: Array<string> = []
  for (const it of redirections) {
    const descriptor = it.descriptor?.type === "FileDescriptor" ? it.descriptor.value : undefined
    const standardInput = it.descriptor === undefined || descriptor === 0
    if (it.type === "HereDoc") {
      const value = hereDocument(context, it)
      if (standardInput) from = { _tag: "Text", value }
      continue
    }
    if (it.type === "HereString") {
      const value = textOfWord(context, it.target)
      if (standardInput) from = { _tag: "Text", value }
      continue
    }
    const substitution = it.operator === "<" && it.target?.parts?.length === 1 ? it.target.parts[0] : undefined
    if (
      substitution?.type === "ProcessSubstitution" &&
      substitution.operator === "<" &&
      substitution.script !== undefined
    ) {
      const output = context.substitute(substitution.script, context.shell)
      if (standardInput) from = { _tag: "Pipe", output }
      continue
    }
    const value = targetOf(context, it.target)
    const text = value === undefined ? undefined : textOf(value)
    if (value === undefined) continue
    if (/^[<>]&$/.test(it.operator) && text !== undefined && /^(\d+-?|-)$/.test(text)) {
      if (text !== "-" && it.operator === "<&" && standardInput) from = { _tag: "Pipe", output: undefined }
      continue
    }
    if (it.operator === "<&") {
      // Another process's end of a pipe.
      if (isOpen(value)) from = { _tag: "Pipe", output: undefined }
      continue
    }
    if (it.operator === "<") {
      touch(context.run, context.shell, value, "read", program)
      if (standardInput)
        from =
          text?.startsWith("/dev/fd/") === true ? { _tag: "Pipe", output: undefined } : { _tag: "File", path: value }
      continue
    }
    if (/^\/dev\/fd\/\d+$/.test(text ?? "")) {
      toFile = true
      continue
    }
    // What another descriptor writes is not followed.
    const noted = (descriptor ?? 1) === 1 && it.operator !== "<>" && program !== "exec"
    const places = touch(context.run, context.shell, value, noted ? "put" : "write", program) ?? []
    if (it.operator !== ">>" && places.some((path) => isLossByPattern(context.run, path))) truncates = true
    if ((descriptor ?? 1) === 1 && it.operator !== "<>") {
      if (text !== "/dev/stderr" && text !== "/dev/stdout" && text !== "/dev/tty") toFile = true
      written.push(...places)
    }
  }
  return { input: from, toFile, truncates, written }
}

const targetOf = (context: Context, word: Word | undefined): Value | undefined => {
  if (word === undefined) return undefined
  const [only, ...others] = wordsOf(context, word)
  return only === undefined || others.length > 0 ? unknownText : only
}

const hereDocument = (context: Context, node: HereDoc): Value =>
  node.body.parts === undefined || node.delimiter?.quoted === true
    ? literal(node.body.text)
    : textOfParts(context, node.body.parts)
