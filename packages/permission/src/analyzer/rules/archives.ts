/** Archives, and copies of trees. */
import { has, optionValue } from "../arguments.js"
import { inMadeAnew } from "../artifacts.js"
import { type Call, effect, refuse, same } from "../Call.js"
import { unpacked } from "../code/run.js"
import { add, quote } from "../Findings.js"
import { isInside, relativeOf, touch } from "../paths.js"
import type { Rule } from "../rules.js"
import { isSecretPath } from "../secrets.js"
import { isOpen, literal, show, textOf } from "../values.js"

export const tar: Rule = (call, parsed) => {
  const creates = has(parsed, "-c", "--create", "-r", "-u", "--append", "--update")
  const extracts = has(parsed, "-x", "--extract", "--get")
  const file = optionValue(parsed, "-f", "--file")
  if (file !== undefined) {
    if (textOf(file)?.includes(":") === true) effect(call, "network")
    if (textOf(file) !== "-") touch(call.run, call.shell, file, creates ? "write" : "read", call.name)
  }
  for (const it of parsed.operands) {
    if (creates) touch(call.run, call.shell, it, "read", call.name)
  }
  if (
    creates &&
    (file === undefined || textOf(file) === "-") &&
    parsed.operands.some((it) => /^(\.\/?|\*)$/.test(show(it)))
  ) {
    add(call.run.findings, "secret", `${quote(call.name)} prints all files, secrets too.`)
  }
  if (extracts && parsed.operands.some((it) => isOpen(it) || isSecretPath(`/${show(it)}`))) {
    add(call.run.findings, "secret", `${quote(call.name)} takes out files that usually hold secrets.`)
  }
  if (extracts) {
    if (has(parsed, "-O", "--to-stdout")) return same(call.shell)
    touchHere(call, "write")
    effect(call, "workspace_write")
    call.run.edited.add(unpacked)
  }
  if (!creates && !extracts && !has(parsed, "-t", "--list", "-d", "--diff"))
    refuse(call, "unknown_option", "what it does with the archive is not known")
  return same(call.shell)
}

/** The directory in which it works is written to. */
const touchHere = (call: Call, access: "write"): void => {
  if (call.shell.cwd.length === 0) refuse(call, "unknown_code", "the directory in which it works is not known")
  for (const it of call.shell.cwd) touch(call.run, call.shell, literal(it), access, call.name)
}

export const rsync: Rule = (call, parsed) => {
  const remote = parsed.operands.some((it) => /^[^/]*:|^rsync:/.test(show(it)) || isOpen(it))
  if (remote) effect(call, "network")
  for (const it of parsed.operands.slice(0, -1)) touch(call.run, call.shell, it, "read", call.name)
  const to = parsed.operands.at(-1)
  if (to !== undefined && !remote) {
    const places = touch(call.run, call.shell, to, "write", call.name)
    if (
      has(parsed, "--delete", "--delete-after", "--delete-before", "--delete-during", "--del", "--delete-excluded") &&
      places?.some((it) => isInside(call.run, it) && !inMadeAnew(relativeOf(call.run, it))) === true
    ) {
      effect(call, "destructive")
    }
  }
  if (has(parsed, "--remove-source-files")) effect(call, "destructive")
  return same(call.shell)
}

export const unzip: Rule = (call, parsed) => {
  const [archive] = parsed.operands
  if (archive !== undefined) touch(call.run, call.shell, archive, "read", call.name)
  if (has(parsed, "-l", "-p", "-t", "-v", "-Z", "-c")) return same(call.shell)
  if (optionValue(parsed, "-d") === undefined) touchHere(call, "write")
  call.run.edited.add(unpacked)
  effect(call, "workspace_write")
  return same(call.shell)
}

export const gzip: Rule = (call, parsed) => {
  const onlyPrints = has(parsed, "-c", "--stdout", "--to-stdout", "-t", "--test", "-l", "--list")
  for (const it of parsed.operands) {
    touch(call.run, call.shell, it, "read", call.name)
    if (!onlyPrints) touch(call.run, call.shell, it, "write", call.name)
  }
  return same(call.shell)
}
