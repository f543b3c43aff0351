/** Built-in commands that set variables and arguments. */
import { type Builtin, done, texts } from "./Builtin.js"
import { refuse, same } from "./Call.js"
import { checkNumber } from "./conditions.js"
import { assign } from "./environment.js"
import { add, quote } from "./Findings.js"
import { setText, setVariable } from "./Shell.js"
import { isSecretVariable } from "./secrets.js"
import { dropText, isOpen, literal, prefixOf, show, textOf, unknownText, unknownWords } from "./values.js"

export const declare: Builtin = (call, assignments, walker) => {
  let shell = call.shell
  const words = texts(call).filter((it) => it !== undefined)
  const options = words.filter((it) => /^[-+]/.test(it))
  const given = call.args.filter((it) => !/^[-+]/.test(prefixOf(it)))
  const printsAll = given.length === 0 && call.name !== "local"
  if (options.some((it) => !/^[-+][aAfFgiIlnrtuxp]+$/.test(it) && it !== "--"))
    refuse(call, "unknown_option", "an option is not known")
  if (printsAll && !options.some((it) => /^-[fF]$/.test(it))) {
    add(call.run.findings, "secret", `${quote(call.name)} prints all variables.`)
  }
  if (options.some((it) => /^-\w*p/.test(it)) && given.some((it) => isOpen(it) || isSecretVariable(show(it)))) {
    add(call.run.findings, "secret", `${quote(call.name)} prints a variable that usually holds a secret.`)
  }
  if (options.some((it) => /^-\w*n/.test(it)) && call.name !== "export")
    refuse(call, "unknown_code", "a variable that stands for another cannot be followed")
  const exported = call.name === "export" || options.some((it) => /^-\w*x/.test(it))
  for (const it of assignments) {
    shell = walker.assignment(call.run, shell, it)
    const text = shell.variables.get(it.name)
    // Text that is the list of an array.
    if (text?._tag === "Text" && prefixOf(text.value).startsWith("(")) shell = setText(shell, it.name, unknownWords)
    const value = shell.variables.get(it.name)
    if (exported && value?._tag === "Text") assign(call.run, shell, it.name, value.value, true)
    if (call.name === "readonly" || options.some((option) => /^-\w*r/.test(option)))
      shell = setText(shell, `readonly ${it.name}`, literal(""))
  }
  const named = new Set(assignments.map(({ name }) => name))
  for (const it of given) {
    const text = prefixOf(it)
    const name = /^([A-Za-z_]\w*)(\+?=)?/.exec(text)
    checkNumber(call, "declare", it)
    if (name === null) {
      refuse(call, "unknown_code", `${quote(show(it))} names a variable that is not known`)
      continue
    }
    if (named.has(name[1] ?? "")) continue
    if (name[2] === "=") {
      const value = prefixOf(dropText(it, name[0].length)).startsWith("(") ? unknownWords : dropText(it, name[0].length)
      assign(call.run, shell, name[1] ?? "", value)
      shell = setText(shell, name[1] ?? "", { pieces: value.pieces })
    } else if (name[2] === "+=") shell = setText(shell, name[1] ?? "", unknownText)
    else if (options.some((option) => /^-\w*x/.test(option)) || call.name === "export") {
      const value = shell.variables.get(name[1] ?? "")
      if (value?._tag === "Text") assign(call.run, shell, name[1] ?? "", value.value)
    } else if (call.name === "local") shell = setText(shell, name[1] ?? "", literal(""))
  }
  if (options.some((it) => /^[-+]\w*[iluA]/.test(it))) {
    for (const it of given) {
      const name = /^[A-Za-z_]\w*/.exec(prefixOf(it))?.[0]
      if (name !== undefined) shell = setVariable(shell, name, { _tag: "Text", value: unknownText })
    }
  }
  return done(shell)
}

export const read: Builtin = (call) => {
  let shell = call.shell
  const valued = "adinNptu"
  const names: Array<string> = []
  let wasRead = false
  for (let index = 0; index < call.args.length; index++) {
    const word = call.args[index]
    const text = word === undefined ? undefined : textOf(word)
    if (text === undefined) {
      refuse(call, "unknown_code", "the variable that it sets is not known")
      continue
    }
    const option = /^-[ers]*(?:([adinNptu])(.*))?$/.exec(text)
    if (!wasRead && option !== null && text !== "-") {
      const [, letter, attached] = option
      if (letter !== undefined && valued.includes(letter)) {
        const value = attached === "" ? textOf(call.args[++index] ?? unknownText) : attached
        if (letter === "a") names.push(value ?? "")
      }
      continue
    }
    if (text === "--") continue
    if (text.startsWith("-")) refuse(call, "unknown_option", `the option ${quote(text)} is not known`)
    wasRead = true
    names.push(text)
  }
  const inputs = call.input._tag === "Pipe" && call.input.output !== undefined ? call.input.output.lines : undefined
  const options = texts(call).filter((it) => it?.startsWith("-") === true)
  const ifs = shell.variables.get("IFS")
  const plain =
    options.every((it) => it === "-r") && (ifs === undefined || (ifs._tag === "Text" && textOf(ifs.value) === ""))
  const only = inputs?.length === 1 && plain && !show(inputs[0] ?? unknownText).includes("\\") ? inputs[0] : undefined
  const bounded = only !== undefined && !isOpen(only) ? { pieces: only.pieces } : unknownText
  for (const name of names.length === 0 ? ["REPLY"] : names) {
    checkNumber(call, "read", literal(name))
    assign(call.run, shell, name.replace(/\[.*$/, ""), unknownText)
    shell = setText(shell, name.replace(/\[.*$/, ""), names.length <= 1 ? bounded : unknownText)
  }
  return done(shell)
}

export const mapfile: Builtin = (call) => {
  const words = texts(call)
  if (words.some((it) => it === undefined || /^-\w*[Cc]/.test(it)))
    refuse(call, "unknown_code", "it runs a command for what it reads")
  if (words.some((it) => it !== undefined && /^-/.test(it) && !/^-(t|[dnOsu].*|td.*)$/.test(it)))
    refuse(call, "unknown_option", "an option is not known")
  const last = words.at(-1)
  const name = last !== undefined && /^[A-Za-z_]\w*$/.test(last) ? last : "MAPFILE"
  assign(call.run, call.shell, name, unknownText)
  const lines = call.input._tag === "Pipe" ? call.input.output?.lines : undefined
  const only = lines?.length === 1 ? lines[0] : undefined
  const value = only !== undefined && !isOpen(only) ? { pieces: only.pieces, many: true } : unknownWords
  return done(setVariable(call.shell, name, { _tag: "Array", values: [value] }))
}

export const set: Builtin = (call) => {
  const words = texts(call)
  if (words.length === 0) {
    add(call.run.findings, "secret", "`set` prints all variables.")
    return same(call.shell)
  }
  for (const [index, it] of words.slice(0, words.indexOf("--") < 0 ? undefined : words.indexOf("--")).entries()) {
    if (it === undefined) continue
    const isName = /^[-+]\w*o$/.test(words[index - 1] ?? "")
    if (
      isName
        ? !/^(pipefail|errexit|nounset|xtrace|noglob|noclobber|verbose|errtrace|posix|noexec)$/.test(it)
        : /^[-+]/.test(it) && !/^[-+][aefuxvnCEbo]+$/.test(it) && it !== "-"
    ) {
      refuse(call, "unknown_code", `${quote(it)} changes what words mean`)
    }
  }
  const dashes = words.indexOf("--")
  if (dashes >= 0) {
    const args = call.args.slice(dashes + 1)
    return done({ ...call.shell, args: args.some((it) => it.many === true) ? undefined : args })
  }
  if (!words.every((it) => it !== undefined && (/^[-+][aefuxvnhkmbBCEHPT]*o?$/.test(it) || /^[a-z]+$/.test(it)))) {
    return done({ ...call.shell, args: undefined })
  }
  if (words.some((it) => it?.startsWith("-") === true && it.includes("a")) || words.includes("allexport")) {
    return done(call.shell)
  }
  return done(
    words.some((it) => it !== undefined && /^[a-z]/.test(it)) && !words.some((it) => /^[-+].*o$/.test(it ?? ""))
      ? { ...call.shell, args: undefined }
      : call.shell
  )
}

export const shift: Builtin = (call) => {
  const count = Number(textOf(call.args[0] ?? literal("1")))
  return done({ ...call.shell, args: Number.isInteger(count) ? call.shell.args?.slice(count) : undefined })
}

export const unset: Builtin = (call) => {
  const variables = new Map(call.shell.variables)
  const functions = new Map(call.shell.functions)
  for (const it of texts(call)) {
    if (it === undefined) refuse(call, "unknown_code", "the variable that it removes is not known")
    else {
      checkNumber(call, "unset", literal(it))
      variables.delete(it)
      functions.delete(it)
      if (/^(PATH|HISTFILE|HISTSIZE|HOME|GIT_DIR|BASH_ENV)$/.test(it))
        add(call.run.findings, "environment", `${quote(it)} is unset.`)
    }
  }
  // Whether it was set is not known any more.
  for (const name of texts(call))
    if (name !== undefined)
      variables.set(name, { _tag: "Text", value: name === "IFS" ? literal(" \t\n") : literal("") })
  return done({ ...call.shell, variables, functions })
}
