/** Programs that change files, where the meaning of an operand depends on the others. */
import { has, optionValue } from "../arguments.js"
import { inMadeAnew, isArtifact, isLossByPattern } from "../artifacts.js"
import { type Call, effect, refuse, same } from "../Call.js"
import { add, quote } from "../Findings.js"
import { isInside, placesOf, relativeOf, resolve, touch } from "../paths.js"
import type { Rule } from "../rules.js"
import { isSecretPath } from "../secrets.js"
import { concat, isOpen, literal, patternOf, prefixOf, show, textOf, type Value } from "../values.js"
import { gzip, rsync, tar, unzip } from "./archives.js"

const remove: Rule = (call, parsed) => {
  const recursive = has(parsed, "-r", "-R", "--recursive") || /^(rimraf|del|del-cli)$/.test(call.name)
  for (const it of parsed.operands) {
    const places = placesOf(call.run, call.shell, it)
    if (places === undefined) continue
    const glob =
      it.pieces.some((piece) => typeof piece !== "string") ||
      (/^(rimraf|del|del-cli)$/.test(call.name) && /[*?[{]/.test(show(it)))
    for (const path of places) {
      if (!isInside(call.run, path)) continue
      const relative = relativeOf(call.run, path)
      const filled = [...call.run.moved].some(
        (it) => it === path || it.startsWith(`${path}/`) || path.startsWith(`${it}/`)
      )
      if (filled)
        add(call.run.findings, "destructive", `${quote(call.name)} would delete what the command itself moved there.`)
      if (relative === "" || inMadeAnew(relative)) continue
      const name = relative.split("/").at(-1) ?? ""
      if (glob) {
        if (!isArtifact(name) || recursive)
          refuse(call, "unknown_code", `which files ${quote(show(it))} deletes is not known before it runs`)
      } else if (recursive && !/^[^.].*\.[A-Za-z0-9]{1,6}$/.test(name)) {
        add(
          call.run.findings,
          "destructive",
          `${quote(call.name)} would delete the directory ${quote(relative)}, which no build makes anew.`
        )
      }
    }
  }
  return undefined
}

/** A file that is emptied is lost: several by one pattern are not what somebody named. */
export const emptied = (call: Call, file: Value): void => {
  if (placesOf(call.run, call.shell, file)?.some((it) => isLossByPattern(call.run, it)) === true)
    effect(call, "destructive", "empties whatever a pattern matches")
}

/** Each of the files that a loop or a search goes over gets other content. */
export const replaced = (call: Call, file: Value): void => {
  if (!isOpen(file) && call.run.visited.has(patternOf(file))) emptied(call, file)
}

/** Whether what is copied or moved shows a secret, and where it goes. */
const copy: Rule = (call, parsed) => {
  const target = optionValue(parsed, "-t", "--target-directory")
  const operands = target === undefined ? parsed.operands.slice(0, -1) : parsed.operands
  const to = target ?? parsed.operands.at(-1)
  if (operands.length === 0 || to === undefined) {
    refuse(call, "unknown_option", "it lacks an argument")
    return same(call.shell)
  }
  const moves = call.name === "mv"
  if (operands.some((it) => textOf(it) === "/dev/null")) emptied(call, to)
  if (has(parsed, "--parents")) {
    for (const it of operands)
      touch(
        call.run,
        call.shell,
        concat({ pieces: to.pieces }, literal("/"), { pieces: it.pieces }),
        "write",
        call.name
      )
  }
  for (const it of operands) {
    touch(call.run, call.shell, it, "read", call.name)
    if (moves) touch(call.run, call.shell, it, "delete", call.name)
  }
  if (!moves) replaced(call, to)
  const places = touch(call.run, call.shell, to, "write", call.name)
  if (moves) for (const path of places ?? []) call.run.moved.add(path)
  if (textOf(to)?.startsWith("/dev/") === true && (moves || textOf(to) !== "/dev/null")) effect(call, "destructive")
  // What lands in a directory keeps its name.
  if (operands.every((it) => !isOpen(it)) && !isOpen(to)) {
    for (const it of operands) {
      const name = patternOf(it).replace(/\/+$/, "").split("/").at(-1) ?? ""
      if (/^\.(git|claude|mcp\.json|husky|npmrc|envrc)|^\.\w*(rc|profile)$/.test(name))
        touch(call.run, call.shell, concat({ pieces: to.pieces }, literal(`/${name}`)), "write", call.name)
    }
  }
  return same(call.shell)
}

const link: Rule = (call, parsed) => {
  const target = optionValue(parsed, "-t", "--target-directory")
  const names = target === undefined && parsed.operands.length > 1 ? parsed.operands.slice(0, -1) : parsed.operands
  const to = target ?? (parsed.operands.length > 1 ? parsed.operands.at(-1) : literal("."))
  if (to !== undefined) touch(call.run, call.shell, to, "write", call.name)
  const symbolic = has(parsed, "-s", "--symbolic")
  for (const it of names) {
    const text = textOf(it)
    if (text === undefined) {
      refuse(call, "unknown_code", `where ${quote(show(it))} leads is not known`)
      continue
    }
    // A relative link starts at its own directory.
    const toText = to === undefined ? "" : (textOf(to) ?? "")
    const parts = toText.split("/").slice(0, -1).join("/")
    for (const cwd of call.shell.cwd) {
      const bases =
        symbolic && !text.startsWith("/")
          ? [
              resolve(call.run, cwd, parts === "" ? (toText.startsWith("/") ? "/" : ".") : parts),
              resolve(call.run, cwd, toText === "" ? "." : toText)
            ]
          : [cwd]
      for (const path of new Set(bases.map((base) => resolve(call.run, base, text)))) {
        if (path === bases[1] && symbolic) continue
        if (!isInside(call.run, path) || path === call.run.workspace) {
          if (bases.indexOf(path) === 1) continue
          add(
            call.run.findings,
            "outside",
            `${quote(call.name)} would make a link to ${quote(path)}, which is outside the workspace.`
          )
        } else if (isSecretPath(path))
          add(call.run.findings, "secret", `${quote(call.name)} would make another name for ${quote(path)}.`)
        else if (/(^|\/)\.(git|claude)(\/|$)/.test(relativeOf(call.run, path)))
          add(call.run.findings, "special_path", `${quote(call.name)} would make another name for ${quote(path)}.`)
      }
    }
  }
  return same(call.shell)
}

const mode: Rule = (call, parsed) => {
  const [first, ...files] = parsed.operands
  const text = first === undefined ? undefined : textOf(first)
  if (text === undefined || !/^(0?[0-7]{3}|[ugoa]*([-+=][rwxX]*)+(,[ugoa]*([-+=][rwxX]*)+)*)$/.test(text))
    effect(call, "privilege")
  const recursive = has(parsed, "-R", "--recursive")
  if (recursive && /7[67]7$|66[67]$|[ao]\+\w*w|^000$/.test(text ?? ""))
    effect(call, "privilege", "opens a tree to everybody, or closes it")
  for (const it of files) {
    const places = touch(call.run, call.shell, it, "write", call.name)
    if (recursive && places?.includes(call.run.workspace) === true)
      refuse(call, "unknown_code", "it changes all files of the workspace, git's own too")
  }
  return same(call.shell)
}

/** What a disk has room for without notice. */
const mostBytes = 16 * 2 ** 30

/** `10G`, `1KiB`, `2x512`; endless when it is not understood. */
const sizeOf = (text: string): number => {
  const found = /^(\d{1,15})([ckwbMGTPEZYRQ]?)(?:i?B)?$/i.exec(text)
  if (found === null) return Number.POSITIVE_INFINITY
  const unit = (found[2] ?? "").toLowerCase()
  const power = "kmgtpezyrq".indexOf(unit === "" ? "?" : unit)
  return Number(found[1]) * (unit === "b" ? 512 : unit === "w" ? 2 : power < 0 ? 1 : 1024 ** (power + 1))
}

const dd: Rule = (call, parsed) => {
  if (
    parsed.operands.some((it) => /^if=\/dev\/(zero|u?random|full)$/.test(show(it))) &&
    !parsed.operands.some((it) => /^count=\d{1,6}$/.test(show(it)))
  ) {
    effect(call, "resources", "never ends")
  }
  const bytes = ["bs", "count"].map((name) =>
    sizeOf(
      parsed.operands
        .map((it) => show(it))
        .find((it) => it.startsWith(`${name}=`))
        ?.slice(name.length + 1) ?? (name === "bs" ? "512" : "1")
    )
  )
  if (bytes.reduce((a, b) => a * b, 1) > mostBytes) effect(call, "resources", "makes something very large")
  for (const it of parsed.operands) {
    const text = prefixOf(it)
    const value: Value = { pieces: [text.slice(text.indexOf("=") + 1), ...it.pieces.slice(1)] }
    if (/^(if)=/.test(text)) touch(call.run, call.shell, value, "read", call.name)
    else if (/^of=/.test(text)) {
      touch(call.run, call.shell, value, "write", call.name)
      emptied(call, value)
    } else if (/^(bs|count|seek)=\d*[TPEZ]/i.test(text)) effect(call, "resources")
    else if (!/^(bs|count|ibs|obs|skip|seek|conv|status|iflag|oflag|cbs)=/.test(text))
      refuse(call, "unknown_option", `${quote(show(it))} is not known`)
  }
  return same(call.shell)
}

/** Prefix of files that it makes. */
const splitFile: Rule = (call, parsed) => {
  const [file, prefix] = parsed.operands
  if (file !== undefined && textOf(file) !== "-") touch(call.run, call.shell, file, "read", call.name)
  touch(
    call.run,
    call.shell,
    prefix === undefined ? literal("xaa") : concat({ pieces: prefix.pieces }, literal("aa")),
    "write",
    call.name
  )
  return same(call.shell)
}

/** Without a prefix it writes `xx00` and so on. */
const contextSplit: Rule = (call, parsed) => {
  if (!has(parsed, "-f", "--prefix")) touch(call.run, call.shell, literal("xx00"), "write", call.name)
  for (const it of parsed.options)
    if (/^(-b|--suffix-format)$/.test(it.name) && /\//.test(show(it.value ?? literal(""))))
      refuse(call, "unknown_code", "where it writes is not known")
  return undefined
}

const uniq: Rule = (call, parsed) => {
  const [from, to, more] = parsed.operands
  if (from !== undefined && textOf(from) !== "-") touch(call.run, call.shell, from, "read", call.name)
  if (to !== undefined && textOf(to) !== "-") touch(call.run, call.shell, to, "write", call.name)
  if (more !== undefined) refuse(call, "unknown_option", "it has too many arguments")
  return undefined
}

/** A pattern first, unless an option gave it; then files. */
const search: Rule = (call, parsed) => {
  const given = has(parsed, "-e", "--regexp", "-f", "--file", "--files", "--type-list")
  const files = given ? parsed.operands : parsed.operands.slice(1)
  const listsOnly = has(
    parsed,
    "-l",
    "-L",
    "-c",
    "-q",
    "--files",
    "--files-with-matches",
    "--files-without-match",
    "--count",
    "--quiet",
    "--silent"
  )
  const wanted = given ? undefined : textOf(parsed.operands[0] ?? literal("?"))
  const everything = wanted !== undefined && /^[\^.*+$]*$|=\)?\$?$/.test(wanted)
  if (
    everything &&
    !listsOnly &&
    has(parsed, "-r", "-R", "--recursive", "-u", "-uu", "-uuu", "--hidden", "--no-ignore")
  ) {
    add(call.run.findings, "secret", `${quote(call.name)} shows what is in all files, secrets too.`)
  }
  for (const it of files) {
    // Every file is searched, hidden ones too: that is not aimed at secrets.
    if (/\*\*\/\.\*$/.test(show(it)) && !everything) continue
    if (textOf(it) !== "-") touch(call.run, call.shell, it, listsOnly ? "stat" : "read", call.name)
  }
  const recursive =
    has(parsed, "-r", "-R", "--recursive", "--dereference-recursive", "--hidden", "-u", "-uu", "-uuu", "--no-ignore") ||
    call.name === "rg" ||
    call.name === "ag"
  const where = files.length === 0 && recursive ? [literal(".")] : files
  if (recursive && !listsOnly) {
    for (const it of where) {
      for (const path of placesOf(call.run, call.shell, it) ?? []) {
        if (
          !isInside(call.run, path) &&
          (call.run.workspace.startsWith(path === "/" ? "/" : `${path}/`) ||
            /^(~|\/home|\/root|\/etc|\/proc|\/var|\/run)(\/[^/]*)?$/.test(path) ||
            path === call.run.home)
        ) {
          add(
            call.run.findings,
            "secret",
            `${quote(call.name)} shows the contents of all of ${quote(path)}, secrets too.`
          )
        }
      }
    }
  }
  for (const { name, value } of parsed.options) {
    if (/^(--include|-g|--glob|--iglob|-G)$/.test(name) && value !== undefined) {
      const text = isOpen(value) ? undefined : patternOf(value)
      if (
        text === undefined ||
        (!text.startsWith("!") && isSecretPath(text.startsWith("/") ? text : `/${text}`) && !listsOnly)
      ) {
        add(call.run.findings, "secret", `${quote(call.name)} is aimed at files that usually hold secrets.`)
      }
    }
  }
  return undefined
}

const ps: Rule = (call, parsed) => {
  if (parsed.options.some(({ value }) => value !== undefined && /environ/.test(show(value))))
    effect(call, "secret", "shows the environments of processes")
  for (const it of parsed.operands) {
    const text = textOf(it) ?? ""
    if (/^[a-z]+$/.test(text) ? text.includes("e") && !text.startsWith("-") : !/^[-\w,=:%.]+$/.test(text))
      effect(call, "secret", "shows the environments of processes")
  }
  return same(call.shell)
}

const printenv: Rule = (call, parsed) => {
  if (parsed.operands.length === 0) effect(call, "secret", "prints the whole environment")
  for (const it of parsed.operands) {
    const text = textOf(it)
    if (
      text === undefined ||
      !/^(PATH|HOME|PWD|USER|SHELL|LANG|LC_\w+|TERM|EDITOR|TZ|TMPDIR|NODE_ENV|CI|NODE_VERSION|JAVA_HOME|GOPATH|GOROOT|VIRTUAL_ENV|COLUMNS|LINES|HOSTNAME|LOGNAME|DEBUG|PORT|NVM_DIR|PYTHONPATH|NODE_OPTIONS)$/.test(
        text
      )
    )
      effect(call, "secret", "prints variables that may hold secrets")
  }
  return same(call.shell)
}

const mktemp: Rule = (call, parsed) => {
  const named = parsed.operands[0]
  const directory = optionValue(parsed, "-p", "--tmpdir")
  if (directory !== undefined) touch(call.run, call.shell, directory, "write", call.name)
  else if (named !== undefined && !has(parsed, "-t")) touch(call.run, call.shell, named, "write", call.name)
  else effect(call, "workspace_write")
  return same(call.shell)
}

/** Sizes that no disk has, modes that change who may do what. */
const patchText: Rule = (call, parsed) => {
  patched(call)
  if (parsed.options.filter(({ name }) => /^(-d|--directory)$/.test(name)).length > 1)
    refuse(call, "unknown_option", "it has two directories")
  return undefined
}

/** The files that a patch names, when its text is known. */
export const patched = (call: Call): void => {
  const value =
    call.input._tag === "Text"
      ? call.input.value
      : call.input._tag === "Pipe" && call.input.output?.exact === true
        ? concat(...call.input.output.lines.flatMap((it) => [it, literal("\n")]))
        : undefined
  if (value === undefined) return
  for (const [, name] of patternOf(value).matchAll(/^(?:\+\+\+ |--- |rename to |copy to )([^\t\n]+)/gm)) {
    if (name === undefined || name === "/dev/null") continue
    for (const it of new Set([name, name.replace(/^[^/]*\//, "")]))
      touch(call.run, call.shell, literal(it), "write", call.name)
  }
}

const amount: Rule = (call, parsed) => {
  for (const { name, value } of parsed.options) {
    const text = value === undefined ? "" : (textOf(value) ?? "?")
    if (/^(-m|--mode)$/.test(name) && !/^0?[0-7]{1,3}$|^[ugoa]*[-+=][rwxX]*(,[ugoa]*[-+=][rwxX]*)*$/.test(text))
      effect(call, "privilege")
    if (
      /^(-c|-l|-s|-b|--size|--bytes|--length)$/.test(name) &&
      /[TPEZYRQ]|^[-+<>/%]*\d{11,}|^[-+]?\d{2,}G|\?/i.test(text)
    )
      effect(call, "resources", "makes something very large")
  }
  if (call.name === "install") for (const it of parsed.operands.slice(-1)) replaced(call, it)
  if (call.name === "truncate") {
    for (const it of parsed.operands) emptied(call, it)
  }
  return undefined
}

/** A path shows a file instead of a page. */
const manual: Rule = (call, parsed) => {
  for (const it of parsed.operands)
    if (isOpen(it) || show(it).includes("/") || show(it).startsWith("."))
      touch(call.run, call.shell, it, "read", call.name)
  return undefined
}

const date: Rule = (call, parsed) => {
  if (parsed.operands.some((it) => !show(it).startsWith("+"))) effect(call, "system", "sets the clock")
  return undefined
}

export const rules: Readonly<Record<string, Rule>> = {
  remove,
  unlink: remove,
  tee: (call, parsed) => {
    if (!has(parsed, "-a", "--append")) for (const it of parsed.operands) replaced(call, it)
    return undefined
  },
  copy,
  link,
  mode,
  tar,
  dd,
  rsync,
  splitFile,
  contextSplit,
  unzip,
  gzip,
  uniq,
  search,
  ps,
  printenv,
  mktemp,
  date,
  amount,
  patchText,
  manual
}
