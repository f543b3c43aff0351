/** Shells and languages: code in an argument, in a file, or on the standard input. */
import { has, optionValue, type Parsed } from "../arguments.js"
import { type Call, effect, refuse, runValue, same } from "../Call.js"
import { recogniseJavaScript } from "../code/javascript.js"
import { recognisePython } from "../code/python.js"
import type { Recognised } from "../code/Recognised.js"
import { runCode } from "../code/run.js"
import {
  recogniseElixir,
  recogniseJulia,
  recogniseLua,
  recognisePerl,
  recognisePhp,
  recogniseR,
  recogniseRuby
} from "../code/snippets.js"
import { quote } from "../Findings.js"
import { keepInside, touch } from "../paths.js"
import type { Rule } from "../rules.js"
import { anyReachesBeyond, reachesBeyond } from "../tasks.js"
import { isOpen, literal, patternOf, show, textOf, unknownText, type Value } from "../values.js"
import { emptied } from "./files.js"
import { profiled } from "./workshop.js"

const inside = (call: Call, words: ReadonlyArray<Value>): void => {
  for (const it of words) keepInside(call.run, call.shell, it, call.name)
}

/** A pipe or a terminal says what runs: nobody knows it before. */
const fromInput = (call: Call, follow: (text: string) => void): void => {
  const { input } = call
  if (input._tag === "Text") {
    const text = isOpen(input.value) ? undefined : textOf(input.value)
    if (text === undefined) refuse(call, "unknown_code", "the code on its standard input is not known before it runs")
    else follow(text)
  } else if (input._tag === "Nothing") return
  else refuse(call, "unknown_code", "it takes code from its standard input")
}

/** Only what is exported is known to a child, and what is not may be anything. */
const childOf = (shell: Call["shell"]): Call["shell"] => ({
  ...shell,
  aliases: new Map(),
  variables: new Map([...shell.variables.keys()].map((name) => [name, { _tag: "Text" as const, value: unknownText }]))
})

const shell: Rule = (call, parsed) => {
  const [first, ...args] = parsed.rest
  if (first !== undefined && /^[+]/.test(show(first)))
    refuse(call, "unknown_option", `the option ${quote(show(first))} is not known`)
  for (const { name, value } of parsed.options) {
    if (
      /^[-+][oO]$/.test(name) &&
      !/^(pipefail|errexit|nounset|xtrace|noglob|noclobber|posix|verbose)$/.test(
        value === undefined ? "" : (textOf(value) ?? "")
      )
    ) {
      refuse(call, "unknown_option", `the value of ${name} is not known`)
    }
  }
  if (has(parsed, "-c")) {
    if (first === undefined) {
      refuse(call, "unknown_option", "-c lacks its command")
      return same(call.shell)
    }
    const inner = { ...childOf(call.shell), args: args.slice(1) }
    const outcome = runValue(call, first, inner)
    return same(call.shell, outcome.output)
  }
  if (first === undefined || has(parsed, "-s")) {
    fromInput(call, (text) =>
      call.runText(text, { ...childOf(call.shell), args: parsed.rest }, { _tag: "Pipe", output: undefined })
    )
    return same(call.shell)
  }
  const text = textOf(first)
  if (text === "-" || /^\/dev\/(fd\/|stdin)/.test(text ?? ""))
    refuse(call, "unknown_code", "it takes code from a stream")
  else if (has(parsed, "-n") && !isOpen(first)) keepInside(call.run, call.shell, first, call.name)
  else runCode(call, first)
  inside(call, args)
  return same(call.shell)
}

const language =
  (code: ReadonlyArray<string>, recognise: (text: string) => Recognised | undefined): Rule =>
  (call, parsed) => {
    const judge = (text: string) => {
      const found = recognise(text)
      if (found === undefined) {
        refuse(call, "unknown_code", "what its code does cannot be followed")
        return
      }
      for (const it of found.reads) touch(call.run, call.shell, literal(it), "read", call.name)
      for (const it of found.writes) touch(call.run, call.shell, literal(it), "write", call.name)
      if (found.project) effect(call, "project_code")
      else effect(call, "workspace_write", "computes and prints")
    }
    for (const { name, value } of parsed.options) {
      if (!code.includes(name)) continue
      const text = value === undefined ? undefined : textOf(value)
      if (text === undefined) refuse(call, "unknown_code", "its code is not known before it runs")
      else judge(text)
    }
    const hasCode = parsed.options.some(({ name }) => code.includes(name))
    const [file, ...args] = parsed.rest
    if (hasCode) inside(call, parsed.rest)
    else if (file === undefined || textOf(file) === "-") fromInput(call, judge)
    else {
      if (textOf(file)?.startsWith("/dev/fd/") === true) refuse(call, "unknown_code", "it takes code from a stream")
      else runCode(call, file)
      if (anyReachesBeyond(args.map(show))) effect(call, "system", "publishes, deploys or changes a database")
      inside(call, args)
    }
    return same(call.shell)
  }

const node = language(["-e", "-p", "--eval", "--print", "-pe", "-ep"], recogniseJavaScript)

const nodeRule: Rule = (call, parsed) => {
  if (has(parsed, "--test", "--check", "-c") || has(parsed, "--run")) {
    for (const it of parsed.rest) {
      keepInside(call.run, call.shell, it, call.name)
    }
    if (reachesBeyond(show(optionValue(parsed, "--run") ?? literal(""))))
      effect(call, "network", "publishes, deploys or changes a database")
    if (!has(parsed, "--check", "-c")) effect(call, "project_code")
    return same(call.shell)
  }
  return node(call, parsed, undefined as never)
}

/** Modules that only look at files, or test and check the project. */
const pythonModules: Readonly<Record<string, string>> = {
  pytest: "pytest",
  mypy: "mypy",
  black: "black",
  ruff: "ruff",
  isort: "isort",
  flake8: "flake8",
  pylint: "pylint",
  pip: "pip",
  coverage: "coverage",
  tox: "tox",
  nox: "nox"
}

/** Of what a framework's own script offers, what touches no database and no server. */
const managed =
  /^(test|check|makemigrations|showmigrations|help|version|diffsettings|--version|collectstatic|compilemessages|makemessages|sqlmigrate)$/

const pythonCode = language(["-c"], recognisePython)

const python: Rule = (call, parsed) => {
  const module = optionValue(parsed, "-m")
  if (
    /(^|\/)manage\.py$/.test(show(parsed.rest[0] ?? literal(""))) &&
    !managed.test(show(parsed.rest[1] ?? literal("help")))
  ) {
    effect(call, "system", "may change a database")
  }
  if (module === undefined) return pythonCode(call, parsed, undefined as never)
  const name = textOf(module)
  if (name === undefined) {
    refuse(call, "unknown_code", "which module runs is not known")
    return same(call.shell)
  }
  if (name === "timeit") {
    const code: Array<Value> = []
    for (let index = 0; index < parsed.rest.length; index++) {
      const it = parsed.rest[index] ?? literal("")
      if (/^-[nru]$/.test(textOf(it) ?? "")) index++
      else if (textOf(it) === "-s") code.push(parsed.rest[++index] ?? literal(""))
      else if (!/^(-v|-p|-[nr]\d+)$/.test(textOf(it) ?? "")) code.push(it)
    }
    const options = code.map((value) => ({ name: "-c", value, role: "text" as const }))
    return pythonCode(call, { ...parsed, options, rest: code.length === 0 ? [literal("-")] : [] }, undefined as never)
  }
  if (name === "cProfile" || name === "profile") {
    profiled(call, parsed.rest)
    return same(call.shell)
  }
  const known = pythonModules[name]
  if (
    /^(django|flask|uvicorn|gunicorn|celery|streamlit|jupyter\w*|IPython|twine|bpython|ptpython|fabric|invoke|ansible|awscli|httpie|youtube_dl|yt_dlp|pipx|virtualenvwrapper|alembic)$/.test(
      name
    )
  ) {
    refuse(call, "unknown_code", `the module ${quote(name)} is not followed`)
    return same(call.shell)
  }
  if (known !== undefined && Object.hasOwn(pythonModules, name))
    return call.runWords([literal(known), ...parsed.rest], call.shell, call.input)
  if (name === "json.tool") {
    for (const it of parsed.rest.slice(0, 1)) keepInside(call.run, call.shell, it, call.name)
    if (parsed.rest.length > 1) for (const it of parsed.rest.slice(1)) keepInside(call.run, call.shell, it, call.name)
    if (parsed.rest.filter((it) => !(textOf(it) ?? "-").startsWith("-")).length > 1) effect(call, "workspace_write")
    return same(call.shell)
  }
  if (
    /^(http|ftplib|smtplib|smtpd|telnetlib|webbrowser|urllib|xmlrpc|ensurepip|pdb|code|idlelib|turtledemo|antigravity|timeit|trace|cProfile|profile|pydoc|pickle|pickletools|sqlite3|asyncio|wsgiref|runpy|zipapp|base64|binascii|quopri|uu|gzip|bz2|lzma|shutil|os|subprocess|pty|multiprocessing|ctypes|cgi|test|lib2to3|curses|random|imaplib|poplib|nntplib|socketserver|ssl|getpass|netrc|mailcap|mimetypes|textwrap|inspect|linecache|filecmp|difflib|fileinput|encodings|sysconfig)(\.|$)/.test(
      name
    )
  ) {
    effect(call, name.startsWith("http") ? "network" : "unknown_code")
    return same(call.shell)
  }
  if (
    /^(unittest|doctest|compileall|py_compile|venv|build|ast|tokenize|site|sysconfig|zipfile|tarfile|tabnanny|calendar|dis|platform)$/.test(
      name
    )
  ) {
    inside(call, parsed.rest)
    effect(call, "project_code")
    return same(call.shell)
  }
  if (/^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/.test(name)) {
    // A package of the project.
    inside(call, parsed.rest)
    effect(call, "project_code")
    return same(call.shell)
  }
  refuse(call, "unknown_code", "which module runs is not known")
  return same(call.shell)
}

/** Code of which only substitutions are recognised: `s/a/b/g`, `print if /x/`. */
const isHarmlessPerl = (text: string): boolean =>
  !/\(\?\??\{|\(\*/.test(text) &&
  text
    .split(";")
    .map((it) => it.trim())
    .every((it) => {
      if (it === "") return true
      const substitution = /^(?:s|tr|y)([/|#!,{])/.exec(it)
      if (substitution !== null && substitution[1] !== "{") {
        const parts = splitUnescaped(it.slice(it.startsWith("tr") ? 3 : 2), substitution[1] ?? "/")
        const [from = "", to = "", flags = ""] = parts
        // No code in the pattern; nothing but what was matched in the replacement.
        return (
          parts.length === 3 &&
          /^[gimsxr]*$/.test(flags) &&
          !/\(\?\??\{|[@$][\w{]|`/.test(from) &&
          !/[$@](?![&\d])|\$\d*[[{]|`/.test(to.replace(/\\[\s\S]/g, ""))
        )
      }
      return /^(print( \$_| "(?:[^"$@\\`]|\\[nt]|\$[._1-9&](?![\w[{(-]))*"| \$1| \$F\[-?\d+\])?|next|last)?\s*((if|unless) (\/[^/$@`]*\/i?|\$F\[-?\d+\] (eq|ne|==|!=|<|>|<=|>=) ("[^"$@\\`]*"|\d+)|\$\. *[<>=]=? *\d+( *&& *\$\. *[<>=]=? *\d+)?|\d+ ?\.\. ?\d+))?$/.test(
        it
      )
    })

const splitUnescaped = (text: string, delimiter: string): ReadonlyArray<string> => {
  const out = [""]
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "\\") {
      out[out.length - 1] = (out.at(-1) ?? "") + text.slice(at, at + 2)
      at++
    } else if (text[at] === delimiter) out.push("")
    else out[out.length - 1] = (out.at(-1) ?? "") + (text[at] ?? "")
  }
  return out
}

const perl: Rule = (call, parsed) => {
  const code = parsed.options.filter(({ name }) => name === "-e" || name === "-E")
  if (code.length === 0) return perlFile(call, parsed, undefined as never)
  for (const { value } of code) {
    const text = value === undefined ? undefined : textOf(value)
    if (text !== undefined && isHarmlessPerl(text)) continue
    if (text === undefined || recognisePerl(text) === undefined)
      refuse(call, "unknown_code", "what its code does cannot be followed")
    else effect(call, "workspace_write", "computes and prints")
  }
  lineOptions(call, parsed)
  const edits = parsed.options.find(({ name }) => name === "-i")
  const suffix = edits?.value === undefined ? "" : textOf(edits.value)
  if (suffix === undefined || !/^[.\w~-]*$/.test(suffix))
    refuse(call, "unknown_code", "where it keeps its copies is not known")
  for (const it of parsed.rest) {
    touch(call.run, call.shell, it, "read", call.name)
    if (edits !== undefined) touch(call.run, call.shell, it, "write", call.name)
  }
  if (edits !== undefined) {
    effect(call, "workspace_write")
    // With `-n` only what the code prints is left.
    if (has(parsed, "-n")) for (const it of parsed.rest) emptied(call, it)
  }
  return same(call.shell)
}
const perlFile = language([], () => undefined)

/** Libraries that only bring more names, and separators that are no code. */
const lineOptions = (call: Call, parsed: Parsed): void => {
  for (const { name, value } of parsed.options) {
    const text = value === undefined ? "" : textOf(value)
    if (/^-[Mm]$/.test(name) && !perlLibraries.test(text ?? "?"))
      refuse(call, "unknown_code", "which library it loads is not known")
    if (name === "-r" && !rubyLibraries.test(text ?? "?"))
      refuse(call, "unknown_code", "which library it loads is not known")
    if (name === "-F" && (text === undefined || (text.length > 1 && !/^[^(){}$@`;'"]{1,12}$/.test(text))))
      refuse(call, "unknown_code", "by what it splits is not followed")
  }
  // A name that ends or begins so is a command.
  for (const it of parsed.rest)
    if (isOpen(it) || /^\s*[|<>+]|\|\s*$/.test(patternOf(it)))
      refuse(call, "unknown_code", `${quote(show(it))} may be more than a file`)
}

const perlLibraries =
  /^(strict|warnings|utf8|feature=\w+|POSIX(=(floor|ceil|strftime|fmod|,)+)?|(List::Util|Scalar::Util|Data::Dumper|JSON::PP|Time::Local|Time::Piece|Text::Wrap|MIME::Base64|Digest::MD5|Digest::SHA)(=[\w,]+)?)$/
const rubyLibraries =
  /^(json|yaml|set|date|time|csv|digest|securerandom|bigdecimal|prime|pp|ostruct|benchmark|stringio)$/

const rubyCode = language(["-e"], recogniseRuby)

/** With `-n` and `-p` its arguments are files, and with `-i` it changes them. */
const ruby: Rule = (call, parsed, program) => {
  lineOptions(call, parsed)
  const outcome = rubyCode(call, parsed, program)
  if (!has(parsed, "-n", "-p", "-i")) return outcome
  const edits = parsed.options.find(({ name }) => name === "-i")
  if (!/^[.\w~-]*$/.test(edits?.value === undefined ? "" : (textOf(edits.value) ?? "?")))
    refuse(call, "unknown_code", "where it keeps its copies is not known")
  for (const it of has(parsed, "-e") ? parsed.rest : parsed.rest.slice(1)) {
    touch(call.run, call.shell, it, "read", call.name)
    if (edits === undefined) continue
    touch(call.run, call.shell, it, "write", call.name)
    if (!has(parsed, "-p")) emptied(call, it)
  }
  return outcome
}

/** `-e`: an expression; `-f`: a file, which was judged. */
const rExpressions = language(["-e"], recogniseR)
const rLanguage: Rule = (call, parsed, program) =>
  has(parsed, "-f", "--file") ? same(call.shell) : rExpressions(call, parsed, program)

/** A project is a directory of the workspace. */
const juliaCode = language(["-e", "-E", "--eval", "--print"], recogniseJulia)

export const rules: Readonly<Record<string, Rule>> = {
  shell,
  node: nodeRule,
  python,
  perl,
  ruby,
  php: language(["-r"], recognisePhp),
  lua: language(["-e"], recogniseLua),
  elixir: language(["-e"], recogniseElixir),
  rLanguage,
  julia: juliaCode,
  javascriptOption: (call, parsed, program) =>
    has(parsed, "-e", "-p", "--eval", "--print")
      ? language(["-e", "-p", "--eval", "--print"], recogniseJavaScript)(call, parsed, program)
      : undefined,
  javascriptOperand: (call, parsed, program) => {
    const [code, ...rest] = parsed.rest
    return language(["-e"], recogniseJavaScript)(
      call,
      { ...parsed, options: [{ name: "-e", value: code, role: "text" }], rest },
      program
    )
  }
}
