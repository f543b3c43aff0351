/** Tools of developers whose words have a syntax of their own. */
import { has, optionValue, type Parsed, parseArguments } from "../arguments.js"
import { type Call, effect, refuse, runValue, same } from "../Call.js"
import { runCode } from "../code/run.js"
import { quote } from "../Findings.js"
import { compile } from "../ProgramEntry.js"
import { keepInside, touch } from "../paths.js"
import type { Rule } from "../rules.js"
import { isSecretVariable } from "../secrets.js"
import { anyReachesBeyond } from "../tasks.js"
import { concat, isOpen, literal, prefixOf, show, textOf, type Value } from "../values.js"
import { rules as textRules } from "./text.js"

const read = (call: Call, it: Value) => touch(call.run, call.shell, it, "read", call.name)
const write = (call: Call, it: Value) => touch(call.run, call.shell, it, "write", call.name)
const unknown = (call: Call, it: Value) => refuse(call, "unknown_option", `${quote(show(it))} is not known`)
const inside = (call: Call, words: ReadonlyArray<Value>): void => {
  for (const it of words) keepInside(call.run, call.shell, it, call.name)
}

/** What is given on the standard input, when it is known. */
const inputText = ({ input }: Call): string | undefined => {
  if (input._tag === "Text") return isOpen(input.value) ? undefined : textOf(input.value)
  if (input._tag !== "Pipe" || input.output?.exact !== true) return undefined
  return textOf(concat(...input.output.lines.flatMap((it) => [it, literal("\n")])))
}

/** One command of `ed` that moves, shows or changes text; not `!`, `r`, `e`, `w` with a name. */
const editing =
  /^(?:[,;%]|(?:\d{1,9}|\$|\.|[-+]\d{0,9}|\/(?:[^/\\]|\\.)*\/)(?:[,;](?:\d{1,9}|\$|\.|[-+]\d{0,9}|\/(?:[^/\\]|\\.)*\/))?)?(?:[acidjklnptu=.]|[gv]\/(?:[^/\\!]|\\.)*\/(?:[dpn]|s\/(?:[^/\\]|\\.)*\/(?:[^/\\]|\\.)*\/[gp\d]*)|s\/(?:[^/\\]|\\.)*\/(?:[^/\\]|\\.)*\/?[gp\d]*|[wWqQH]|wq|m\d{1,9}|t\d{1,9})?$/

const lineEditor: Rule = (call, parsed) => {
  const text = inputText(call)
  const lines = text?.split("\n") ?? []
  let inserts = false
  const harmless = lines.every((line) => {
    if (inserts) {
      inserts = line !== "."
      return true
    }
    inserts = /^(\d+|\$|\.)?(,(\d+|\$))?[aic]$/.test(line)
    if (line.endsWith("\\") || line.length > 500) return false
    return editing.test(line)
  })
  if (text === undefined || !harmless || parsed.operands.length !== 1)
    refuse(call, "unknown_code", "it is an editor that runs commands of its own, and they are not followed")
  for (const it of parsed.operands) {
    if (/^!/.test(show(it))) refuse(call, "unknown_code", "it runs a command")
    read(call, it)
    write(call, it)
  }
  return same(call.shell)
}

/** `gzip -k {} ::: a b`: the command is known for each of its few arguments. */
const parallel: Rule = (call) => {
  const words = [...call.args]
  const dots = words.findIndex((it) => textOf(it) === ":::")
  const given = dots < 0 ? [] : words.slice(dots + 1)
  const command: Array<string> = []
  let known = dots > 0 && given.length > 0 && given.length <= 64
  const front = words.slice(0, Math.max(dots, 0))
  while (front[0] !== undefined && prefixOf(front[0]).startsWith("-")) {
    const text = textOf(front.shift() ?? literal("")) ?? "?"
    if (/^(-j|--jobs|--halt|-P)$/.test(text))
      known &&= /^[\w,=+%]{1,24}$/.test(textOf(front.shift() ?? literal("?")) ?? "?")
    else
      known &&=
        /^(-j\d{1,2}|--jobs=\d{1,2}|-k|--keep-order|--will-cite|--bar|--progress|--halt=[\w,=%]+|-v|--tag|--eta|--dry-run)$/.test(
          text
        )
  }
  for (const it of front) {
    const text = textOf(it)
    known &&= text !== undefined
    command.push(text ?? "")
  }
  const template = command.join(" ")
  const arguments_ = given.map((it) => textOf(it) ?? "?")
  known &&=
    template !== "" &&
    !/\{(?!(\}|\.\}|\/\}|\/\.\}))/.test(template) &&
    arguments_.every((it) => /^[\w./+@%,-]+$/.test(it) && !it.startsWith("-"))
  if (!known) {
    effect(call, "unknown_code", "starts programs in a way that is not followed")
    return same(call.shell)
  }
  for (const it of arguments_) {
    const base = it.slice(it.lastIndexOf("/") + 1)
    const line = /\{\S*\}/.test(template)
      ? template
          .replaceAll("{/.}", base.replace(/\.\w+$/, ""))
          .replaceAll("{/}", base)
          .replaceAll("{.}", it.replace(/\.\w+$/, ""))
          .replaceAll("{}", it)
      : `${template} ${it}`
    call.runText(line, call.shell, { _tag: "Nothing" })
  }
  return same(call.shell)
}

const recorded: Rule = (call, parsed) => {
  if (!has(parsed, "-c", "--command")) refuse(call, "unknown_code", "it starts a shell")
  return undefined
}

/** Makes keys for tests, in the workspace; or tells about public ones. */
const testKeys: Rule = (call, parsed) => {
  const files = parsed.options.flatMap(({ name, value }) => (name === "-f" && value !== undefined ? [value] : []))
  for (const it of files) (has(parsed, "-l") ? read : write)(call, it)
  if (files.length === 0 || parsed.operands.length > 0 || (!has(parsed, "-l") && !has(parsed, "-t", "-N")))
    effect(call, "secret")
  return same(call.shell)
}

/** Without a file it would print the key. */
const keyMaker: Rule = (call, parsed) => {
  if (!has(parsed, "-out", "-keyout", "-noout")) effect(call, "secret")
  for (const { name, value } of parsed.options)
    if (/^-(subj|addext|newkey|pkeyopt|algorithm)$/.test(name) && /file:|engine/.test(show(value ?? literal("?"))))
      effect(call, "unknown_code")
  return undefined
}

/** Only the variables that its format names are put in. */
const envsubst: Rule = (call, parsed) => {
  const format = parsed.operands[0]
  const text = format === undefined ? undefined : textOf(format)
  const names = [...(text ?? "").matchAll(/\$\{?(\w+)/g)].map((it) => it[1] ?? "")
  if (text === undefined || names.length === 0 || names.some(isSecretVariable))
    effect(call, "secret", "may put any variable into its output")
  return same(call.shell)
}

const queries =
  /^(select|with|explain|values|pragma\s+(table_info|table_xinfo|index_list|index_info|foreign_key_list|database_list|integrity_check|quick_check|user_version|page_count|page_size|compile_options|table_list)\b(\s*\([\w'"]*\))?\s*$)/i

/** Only what asks: a statement that reads, or a listing. */
const sqlite: Rule = (call) => {
  const words = [...call.args]
  while (
    /^--?(readonly|json|csv|header|noheader|column|line|list|markdown|box|table|batch|bail|html|quote|tabs|ascii|safe)$/.test(
      textOf(words[0] ?? literal("")) ?? ""
    )
  )
    words.shift()
  const [file, ...statements] = words
  const plain = statements.every((it) => {
    const text = textOf(it)?.trim()
    if (text === undefined) return false
    if (/^\.(tables|schema|indexes|indices|databases|fullschema)(\s+[\w%]+)?$/.test(text)) return true
    return (
      !/\b(attach|load_extension|readfile|writefile|edit|fts3_tokenizer|insert|update|delete|replace\s+into|drop|create|alter|vacuum|detach|reindex)\b/i.test(
        text
      ) &&
      text
        .replace(/'[^']*'/g, "''")
        .split(";")
        .every((one) => one.trim() === "" || queries.test(one.trim()))
    )
  })
  if (file === undefined || statements.length === 0 || !plain || /^-|^file:|:memory:/.test(show(file)))
    effect(call, "system")
  else read(call, file)
  return same(call.shell)
}

const xmlFlags =
  /^-(t|template|n|nl|T|text|B|noblanks|R|indent|I|D|xml-decl|b|break|c14n|net|C|e|w|s|q|h|o|0|omit-decl)$/

/** `sel` shows, `ed` changes with `-L`; expressions may load other documents. */
const xmlstarlet: Rule = (call) => {
  const [verb, ...words] = call.args
  const mode = textOf(verb ?? literal("?")) ?? "?"
  const files: Array<Value> = []
  const inPlace = words.some((it) => /^(-L|--inplace)$/.test(textOf(it) ?? ""))
  if (!/^(sel|select|ed|edit|el|elements|val|validate|fo|format|c14n|esc|escape|unesc|unescape|ls)$/.test(mode))
    unknown(call, verb ?? literal(""))
  for (let index = 0; index < words.length; index++) {
    const it = words[index] ?? literal("")
    const text = textOf(it) ?? "?"
    if (/^(-L|--inplace|-P|-S|-O|-u?q|-a|-v)$/.test(text) && /^(ed|edit|fo|el|val)/.test(mode)) {
      if (/^-[av]$/.test(text) && mode.startsWith("ed")) index++
    } else if (
      /^-(v|m|c|e|a|f|i|o|s|N|x|u|d|r|t|-var|-indent-spaces)$|^--(value-of|match|copy-of|if|elem|attr|output|sort|update|delete|insert|append|subnode|type|name|value|rename|expr)$/.test(
        text
      ) &&
      !(text === "-t" && mode.startsWith("sel"))
    ) {
      const value = textOf(words[++index] ?? literal("?"))
      if (value === undefined || /document\s*\(|unparsed|php:|exsl|doc\s*\(/.test(value)) unknown(call, it)
      if (text === "-s" && mode.startsWith("sel")) index++
    } else if (text === "-n" && mode.startsWith("ed")) index++
    else if (xmlFlags.test(text)) continue
    else if (/^-/.test(text)) unknown(call, it)
    else files.push(it)
  }
  for (const it of files) {
    if (/:\/\//.test(show(it))) effect(call, "network")
    read(call, it)
    if (inPlace) write(call, it)
  }
  return same(call.shell)
}

const crudini: Rule = (call) => {
  const words = call.args.filter(
    (it) => !/^--(existing|inplace|verbose|format=\w+|list|list-sep=.)$/.test(textOf(it) ?? "")
  )
  const [verb, file, ...values] = words
  if (file === undefined || !/^--(get|set|del)$/.test(textOf(verb ?? literal("?")) ?? "?"))
    unknown(call, verb ?? literal(""))
  else (textOf(verb ?? literal("")) === "--get" ? read : write)(call, file)
  if (values.some((it) => prefixOf(it).startsWith("--"))) unknown(call, values[0] ?? literal(""))
  return same(call.shell)
}

/** `jq` around another format. */
const wrappedJq: Rule = (call, parsed, program) => {
  textRules.jqFilter?.(call, parsed, program)
  if (has(parsed, "-i", "--in-place")) for (const it of parsed.operands.slice(1)) write(call, it)
  return same(call.shell)
}

/** A macro that is defined may be code. */
const m4: Rule = (call, parsed) => {
  for (const { name, value } of parsed.options)
    if (/^(-D|--define)$/.test(name) && !/^\w+(=[\w .:/-]*)?$/.test(textOf(value ?? literal("?")) ?? "?"))
      refuse(call, "unknown_code", "what it defines is not followed")
  return undefined
}

const tags: Rule = (call, parsed) => {
  if (!has(parsed, "-x") && textOf(optionValue(parsed, "-f", "-o") ?? literal("tags")) !== "-")
    effect(call, "workspace_write")
  if (parsed.operands.some((it) => /^@/.test(show(it)))) refuse(call, "unknown_option", "a list of files is not known")
  return undefined
}

const nim: Rule = (call) => {
  const [verb, ...words] = call.args
  if (!/^(c|cc|cpp|js|compile|check|r|doc|doc2|dump|genDepend|objc)$/.test(textOf(verb ?? literal("?")) ?? "?"))
    unknown(call, verb ?? literal(""))
  let file = false
  for (const it of words) {
    const text = prefixOf(it)
    const path = /^(?:-o|--out|--outdir|--nimcache)[:=]/.exec(text)
    if (file || !text.startsWith("-")) {
      if (!file) runCode(call, it)
      else inside(call, [it])
      file = true
    } else if (path !== null) write(call, { pieces: [text.slice(path[0].length), ...it.pieces.slice(1)] })
    else if (
      textOf(it) === undefined ||
      !/^(-r|--run|-f|--forceBuild(:on|:off)?|--(hints?|warnings?|opt|mm|gc|threads|verbosity|app|cpu|os|stackTrace|lineTrace|checks|panics|styleCheck|hint|warning|assertions|debugger|project|index|define|colors|boundChecks|overflowChecks|exceptions|profiler)([:=[][\w.:\]-]*)?|-d:(release|danger|debug|ssl|useMalloc|testing|[A-Za-z]\w*(=[\w.]+)?))$/.test(
        text
      )
    )
      unknown(call, it)
  }
  effect(call, "project_code")
  return same(call.shell)
}

/** `-M:test`: an alias that the project has. */
const clojure: Rule = (call) => {
  let own = false
  for (const it of call.args) {
    const text = textOf(it)
    if (text !== undefined && /^-[MXTA](:[\w./-]+)+$/.test(text)) own = true
    else if (text !== undefined && /^-(Spath|Stree|Sdescribe|P|Sforce)$/.test(text)) own = true
    else if (!own || text?.startsWith("-S") === true || /^(-e|--eval|-Sdeps|-i|--init)$/.test(text ?? "?"))
      refuse(call, "unknown_code", "what it runs is not followed")
  }
  if (!own) refuse(call, "unknown_code", "it takes code from its standard input")
  if (anyReachesBeyond(call.args.flatMap((it) => show(it).replace(/^-\w:/, "").split(":"))))
    effect(call, "system", "publishes, deploys or changes a database")
  inside(call, call.args)
  effect(call, "project_code")
  return same(call.shell)
}

/** What the manifest of the workspace names, and nothing else. */
const onlyDependencies: Rule = (call, parsed) => {
  if (
    !has(parsed, "-d", "--depsOnly", "--deps-only", "--only-deps") ||
    parsed.operands.some((it) => !/^\.?\/?[\w./-]*(\.(rockspec|opam|nimble)|^\.|\/)$|^\.$/.test(show(it)))
  )
    effect(call, "network", "installs what the project does not name")
  call.run.findings.network = true
  return undefined
}

const rebarProfile: Rule = (call, parsed) => {
  if (parsed.operands.some((it) => /^(hex|shell|do|upgrade|plugins|new|relup|tar)$/.test(show(it))))
    unknown(call, parsed.operands[1] ?? literal(""))
  return undefined
}

/** `dart run`: a tool that the project has. */
const dartRun: Rule = (call, parsed) => {
  if (parsed.operands.some((it) => /@|:\/\//.test(show(it)))) effect(call, "network")
  return undefined
}

/** A program of the project, or one that is found by its name. */
const duneExec: Rule = (call, parsed) => {
  const words = parsed.operands.filter((it, index) => !(index === 0 && /^(--)$/.test(textOf(it) ?? "")))
  const name = textOf(words[0] ?? literal("")) ?? ""
  if (words.slice(1, 2).some((it) => textOf(it) === "--")) words.splice(1, 1)
  if (!/^\.\/|^[\w-]+$/.test(name)) refuse(call, "unknown_code", "what it runs is not known")
  if (call.run.lookUp(name) !== undefined) return call.runWords(words, call.shell, call.input)
  inside(call, words)
  effect(call, "project_code")
  return same(call.shell)
}

/** A setting of the build may name a program or a place. */
const xcodeActions: Rule = (call, parsed) => {
  for (const it of parsed.operands)
    if (
      !/^(build|test|clean|analyze|build-for-testing|test-without-building|(CODE_SIGNING_(ALLOWED|REQUIRED)|ONLY_ACTIVE_ARCH)=(YES|NO))$/.test(
        show(it)
      )
    )
      unknown(call, it)
  return undefined
}

const trunk: Rule = (call, parsed) => {
  if (!/^(build|serve|watch|clean)$/.test(show(parsed.operands[0] ?? literal(""))) && call.name === "trunk")
    refuse(call, "unknown_option", "what it does is not known")
  return undefined
}

/** Words with which a checker fetches, sends or installs. */
const formats: Rule = (call, parsed) => {
  for (const it of parsed.operands)
    if (
      /^(sync|install|upgrade|update|add|publish|deploy|login|push|pull|exec|cmd|run|query|eval|tsdb|mod|fetch|server|lsp|init|sbom)$/.test(
        show(it)
      )
    )
      refuse(call, "unknown_option", `${quote(show(it))} is not known`)
  return undefined
}

const offline: Rule = (call, parsed, program) => {
  for (const { value } of parsed.options)
    if (/\bimport|http\.send/.test(show(value ?? literal("")))) refuse(call, "unknown_code", "its code is not followed")
  return formats(call, parsed, program)
}

/** A directory of the workspace, not a place on the network. */
const localTree: Rule = (call, parsed) => {
  for (const it of parsed.operands) if (/\?|\/\/|:|@|^[\w-]+(\.[\w-]+)+\//.test(show(it))) effect(call, "network")
  return undefined
}

const tableFiles: Rule = (call, parsed) => {
  const pattern = /(search|slice|join)$/.test(call.name)
  for (const [index, it] of parsed.operands.entries())
    if (!(pattern && index === 0) || /\.\w+$/.test(show(it))) read(call, it)
  return same(call.shell)
}

/** `cmake -E`: its own small tools. */
export const cmakeTool = (call: Call, words: ReadonlyArray<Value>): void => {
  const [verb, ...args] = words
  const name = textOf(verb ?? literal("?")) ?? "?"
  const files = args.filter((it) => !prefixOf(it).startsWith("-"))
  if (/^(make_directory|touch)$/.test(name)) for (const it of files) write(call, it)
  else if (/^(copy|copy_if_different|copy_directory|copy_directory_if_different)$/.test(name)) {
    for (const it of files.slice(0, -1)) read(call, it)
    for (const it of files.slice(-1)) write(call, it)
  } else if (/^(md5sum|sha1sum|sha256sum|sha512sum|cat|compare_files)$/.test(name))
    for (const it of files) read(call, it)
  else if (/^(rm|remove|remove_directory|rename)$/.test(name)) {
    const program = name === "rename" ? ["mv"] : name === "remove_directory" ? ["rm", "-r"] : ["rm"]
    call.runWords([...program.map((it) => literal(it)), ...args], call.shell, call.input)
  } else if (!/^(echo|echo_append|capabilities|sleep|true|false)$/.test(name))
    refuse(call, "unknown_option", `${quote(name)} is not known`)
}

/** `python -m cProfile [-o file] script.py`: the script, watched. */
export const profiled = (call: Call, words: ReadonlyArray<Value>): void => {
  const entry = compile({ values: { write: "-o", text: "-s" }, ordered: true, runs: "program" })
  const parsed: Parsed = parseArguments(call, entry, words)
  const target = optionValue(parsed, "-o")
  if (target !== undefined) write(call, target)
  const [first, ...args] = parsed.rest
  if (first === undefined) refuse(call, "unknown_code", "what it runs is not known")
  else call.runWords([literal("python3"), first, ...args], call.shell, { _tag: "Nothing" })
}

/** A script of the manifest is set: what it would run is judged like a command, and nobody runs it unasked. */
export const setScript = (call: Call, it: Value): boolean => {
  const text = textOf(it)
  const found = /^scripts\.([\w:-]+)=(.+)$/.exec(text ?? "")
  const [, name = "", command = ""] = found ?? []
  if (
    found === null ||
    /^(pre|post)|^(install|prepare|prepublish\w*|publish|version|dependencies|uninstall|restart|stop|start)$/.test(name)
  )
    return false
  runValue(call, literal(command), call.shell, { _tag: "Nothing" })
  return true
}

export const rules: Readonly<Record<string, Rule>> = {
  lineEditor,
  parallel,
  recorded,
  testKeys,
  keyMaker,
  envsubst,
  sqlite,
  xmlstarlet,
  crudini,
  wrappedJq,
  m4,
  tags,
  nim,
  clojure,
  onlyDependencies,
  rebarProfile,
  dartRun,
  duneExec,
  trunk,
  xcodeActions,
  formats,
  offline,
  localTree,
  tableFiles
}
