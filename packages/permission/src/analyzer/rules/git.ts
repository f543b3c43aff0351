/** What git's arguments mean where a list of options cannot say it. */
import { has, optionValue } from "../arguments.js"
import { type Call, effect, refuse, same } from "../Call.js"
import { add, quote } from "../Findings.js"
import { isInside, placesOf, relativeOf, touch } from "../paths.js"
import type { Rule } from "../rules.js"
import { isSecretPath } from "../secrets.js"
import { isOpen, patternOf, show, textOf, type Value } from "../values.js"
import { patched } from "./files.js"

/** Keys of the configuration that name no program and no place. */
const harmlessKey =
  /^(color\.[\w.]+|core\.(quotepath|abbrev|safecrlf|autocrlf|ignorecase|filemode|precomposeunicode|commentchar)|diff\.(algorithm|renames|renamelimit|context|mnemonicprefix|noprefix|colormoved|wserrorhighlight|interhunkcontext|indentheuristic|submodule)|log\.\w+|status\.\w+|advice\.\w+|merge\.(conflictstyle|renames|renamelimit|ff|stat)|user\.(name|email)|column\.\w+|commit\.(gpgsign|verbose)|tag\.(gpgsign|sort)|init\.defaultbranch|pull\.(rebase|ff)|push\.default|rerere\.enabled|gc\.auto|branch\.sort|versionsort\.suffix|i18n\.\w+|grep\.\w+|blame\.(coloring|showemail|date|blankboundary|showroot)|format\.pretty|fetch\.prune|index\.\w+|feature\.\w+|protocol\.version|core\.pager)$/i

const setting: Rule = (call, parsed) => {
  for (const { name, value } of parsed.options) {
    if (name !== "-c") continue
    const text = value === undefined ? undefined : textOf(value)
    const found = text === undefined ? null : /^([\w.-]+)(?:=([\s\S]*))?$/.exec(text)
    if (
      found === null ||
      !harmlessKey.test(found[1] ?? "") ||
      (/^core\.pager$/i.test(found[1] ?? "") && !/^(cat|less|)$/.test(found[2] ?? "x"))
    ) {
      refuse(call, "unknown_code", `the setting ${quote(text ?? "…")} may name a program that git runs`)
    }
  }
  if (parsed.rest.length === 0) return same(call.shell)
  return undefined
}

/** A revision, or a path, or both: `HEAD~2`, `main:src/a.ts`. */
const revisions: Rule = (call, parsed) => {
  for (const { name, value } of parsed.options) {
    if (name === "-L" && value !== undefined && isSecretPath(`/${show(value).split(":").at(-1) ?? ""}`))
      add(call.run.findings, "secret", `${quote(call.name)} shows ${quote(show(value))}.`)
  }
  for (const it of parsed.operands) {
    if (isOpen(it)) {
      // It may name any file of any commit.
      if (/^git (show|cat-file|diff|blame|archive|stash)/.test(call.name))
        refuse(call, "unknown_code", `what ${quote(show(it))} shows is not known`)
      continue
    }
    const text = patternOf(it)
    const colon = text.indexOf(":")
    const path = colon >= 0 && !text.startsWith(":/") ? text.slice(colon + 1).replace(/^\([^)]*\)|^[!^]+/, "") : text
    const excluded = /^:(\([^)]*exclude[^)]*\)|!|\^)/.test(text)
    if (!excluded && path !== "" && isSecretPath(path.startsWith("/") || path.startsWith("~") ? path : `/${path}`)) {
      call.run.findings.secrets.add(path)
      add(call.run.findings, "secret", `${quote(call.name)} shows ${quote(text)}, which usually holds secrets.`)
    }
  }
  return undefined
}

const diff: Rule = (call, parsed, program) => {
  if (has(parsed, "--no-index")) for (const it of parsed.operands) touch(call.run, call.shell, it, "read", call.name)
  else
    for (const it of parsed.operands)
      if (/^[/~]|^\.\.(\/|$)/.test(show(it)) && !/^\.\.\.?[\w@]/.test(show(it)))
        touch(call.run, call.shell, it, "read", call.name)
  if (
    has(
      parsed,
      "--name-only",
      "--name-status",
      "--stat",
      "--shortstat",
      "--numstat",
      "-s",
      "--no-patch",
      "--raw",
      "--dirstat",
      "--summary",
      "--quiet"
    )
  )
    return undefined
  return revisions(call, parsed, program)
}

const everything = /^(\.|\.\/|\*|:\/?|:\(top\)|:!.*|:\^.*|:\(exclude\).*)$/

/** Files that are named one by one, in the workspace. */
const named = (call: Call, operands: ReadonlyArray<Value>, access: "write" | "delete"): void => {
  for (const it of operands) touch(call.run, call.shell, it, access, call.name)
}

const checkout: Rule = (call, parsed) => {
  const afterDashes = parsed.operands.slice(parsed.beforeDashes)
  const before = parsed.operands.slice(0, parsed.beforeDashes)
  if (afterDashes.length > 0) {
    effect(call, "destructive", "discards changes that are not committed")
    return same(call.shell)
  }
  const creates = has(parsed, "-b", "--track", "-t", "--detach", "-d")
  const [first, ...others] = before
  if (first === undefined) {
    if (!creates) refuse(call, "unknown_option", "what it switches to is not known")
    return same(call.shell)
  }
  const text = textOf(first)
  if (text === undefined && isOpen(first)) refuse(call, "unknown_code", "what it switches to is not known")
  // A name that looks like a file: its changes would be lost.
  if (others.length > 0 && !creates) effect(call, "destructive", "discards changes that are not committed")
  else if (
    !creates &&
    (everything.test(text ?? "") ||
      (/^\.|\.[A-Za-z]{1,5}$|\*|\/$/.test(text ?? "") &&
        !/^v?\d+\.\d+|^(release|hotfix|feature|feat|fix|chore)\//.test(text ?? "")) ||
      /^(src|test|tests|lib|docs|packages|app|apps|scripts|bin|config|public|assets|spec|internal|cmd|pkg|examples?)(\/|$)|^[A-Z][A-Za-z]+$/.test(
        text ?? ""
      ))
  )
    effect(call, "destructive", "discards changes that are not committed")
  if (others.length > 1 && creates) refuse(call, "unknown_option", "it has too many arguments")
  return same(call.shell)
}

const restore: Rule = (call, parsed) => {
  if (!has(parsed, "--staged", "-S") || has(parsed, "--worktree", "-W"))
    effect(call, "destructive", "discards changes that are not committed")
  return undefined
}

/** A revision that is not HEAD moves the branch: only what is plainly a file is none. */
const reset: Rule = (call, parsed) => {
  const before = parsed.operands.slice(0, parsed.beforeDashes)
  const paths = parsed.operands.slice(parsed.beforeDashes)
  const [first, ...others] = before
  const text = first === undefined ? "HEAD" : textOf(first)
  if (text === undefined) refuse(call, "unknown_code", "what it resets to is not known")
  else if (
    !/^(HEAD|@)$/.test(text) &&
    paths.length === 0 &&
    others.length === 0 &&
    !/^(\.|[^~^@:]*\.[A-Za-z]{1,5}$)/.test(text)
  ) {
    effect(call, "destructive", "moves the branch to another commit")
  }
  return same(call.shell)
}

const gitRemove: Rule = (call, parsed) => {
  if (has(parsed, "-f", "--force") && !has(parsed, "--cached", "-n", "--dry-run"))
    effect(call, "destructive", "deletes files also when their changes are in no commit")
  for (const it of parsed.operands) {
    const text = show(it)
    if (!has(parsed, "--cached", "-n", "--dry-run")) touch(call.run, call.shell, it, "delete", call.name)
    if (has(parsed, "-r") && !has(parsed, "--cached", "-n", "--dry-run") && !/\.[A-Za-z0-9]{1,6}$/.test(text))
      effect(call, "destructive", "deletes a tree of sources")
    if (textOf(it) === undefined && !/[*?]/.test(text) && !has(parsed, "--cached", "-n", "--dry-run"))
      effect(call, "destructive", "deletes whatever a list holds")
    if (everything.test(text) && !has(parsed, "-n", "--dry-run"))
      effect(call, "destructive", "deletes all files that git knows")
    if (/[*?]/.test(text) && !has(parsed, "--cached", "-n", "--dry-run") && !/\.(log|tmp|bak|orig|snap)$/.test(text))
      effect(call, "destructive", "deletes whatever its pattern matches")
  }
  return same(call.shell)
}

const clean: Rule = (call, parsed) => {
  if (!has(parsed, "-n", "--dry-run")) effect(call, "destructive", "deletes files that git does not know")
  return same(call.shell)
}

const branch: Rule = (call, parsed) => {
  const writes =
    parsed.operands.length > 0 &&
    !has(
      parsed,
      "--list",
      "-l",
      "--contains",
      "--no-contains",
      "--merged",
      "--no-merged",
      "--points-at",
      "-r",
      "-a",
      "--show-current",
      "--all",
      "--remotes"
    )
  if (
    writes ||
    has(parsed, "-m", "--move", "-d", "--delete", "-u", "--set-upstream-to", "--unset-upstream", "-c", "--copy")
  )
    effect(call, "workspace_write")
  if (
    has(parsed, "-m", "--move") &&
    /^(main|master|develop|trunk|release.*)$/.test(show(parsed.operands.at(-1) ?? { pieces: [] }))
  )
    effect(call, "destructive", "gives a branch the name of a main one")
  if (has(parsed, "-d", "--delete") && has(parsed, "-f", "--force", "-r", "--remotes"))
    effect(call, "destructive", "deletes a branch that may not be merged")
  return same(call.shell)
}

const tag: Rule = (call, parsed) => {
  const lists =
    has(
      parsed,
      "-l",
      "--list",
      "-n",
      "--contains",
      "--merged",
      "--no-merged",
      "--points-at",
      "--sort",
      "--format",
      "--column"
    ) && !has(parsed, "-a", "-m")
  if (parsed.operands.length > 0 && !lists) effect(call, "workspace_write")
  return same(call.shell)
}

const config: Rule = (call, parsed) => {
  const words = parsed.operands
  const [first, second] = words
  const key = first === undefined ? undefined : textOf(first)
  if (has(parsed, "--list", "-l")) {
    // Addresses in it may carry tokens.
    return same(call.shell)
  }
  const reads = has(parsed, "--get", "--get-all", "--get-regexp", "--get-urlmatch", "--type") || words.length === 1
  const asked =
    key === "get" || key === "set" || key === "list" || key === "unset"
      ? second === undefined
        ? ""
        : textOf(second)
      : key
  if (key === "list") return same(call.shell)
  if (asked === undefined) {
    refuse(call, "unknown_code", "which setting is meant is not known")
    return same(call.shell)
  }
  if ((reads && key !== "set" && key !== "unset") || key === "get") {
    if (
      /token|password|secret|helper|extraheader|cookie|credential/i.test(asked) ||
      (asked.includes(".*") && !/^\^?(user|alias|remote|branch|core)/.test(asked))
    )
      effect(call, "secret")
    return same(call.shell)
  }
  if (has(parsed, "--global", "--system", "--file", "-f", "--worktree", "--blob")) {
    effect(call, "system", "changes settings outside the workspace")
    return same(call.shell)
  }
  if (!/^user\.(name|email)$/.test(asked) && !harmlessKey.test(asked)) effect(call, "special_path" as never, "")
  else effect(call, "workspace_write")
  return same(call.shell)
}

const configGuard: Rule = (call, parsed, program) => {
  const key = textOf(parsed.operands[0] ?? { pieces: [] })
  const index = key === "set" || key === "unset" ? 1 : 0
  const asked = textOf(parsed.operands[index] ?? { pieces: [] })
  const writes =
    parsed.operands.length > index + 1 ||
    key === "unset" ||
    has(
      parsed,
      "--unset",
      "--unset-all",
      "--add",
      "--replace-all",
      "--edit",
      "-e",
      "--rename-section",
      "--remove-section"
    )
  if (
    writes &&
    !has(parsed, "--get", "--get-all", "--get-regexp") &&
    (asked === undefined ||
      !harmlessKey.test(asked) ||
      /pager/i.test(asked) ||
      has(parsed, "--edit", "-e", "--rename-section", "--remove-section"))
  ) {
    add(call.run.findings, "special_path", `${quote(call.name)} changes git's own configuration.`)
    return same(call.shell)
  }
  if (writes && !has(parsed, "--get", "--get-all", "--get-regexp")) {
    if (has(parsed, "--global", "--system", "--file", "-f", "--worktree"))
      effect(call, "system", "changes settings outside the workspace")
    else effect(call, "workspace_write")
    return same(call.shell)
  }
  return config(call, parsed, program)
}

const remote: Rule = (call, parsed) => {
  const word = textOf(parsed.rest[0] ?? parsed.operands[0] ?? { pieces: [] })
  if (word !== undefined && word !== "") refuse(call, "unknown_option", `${quote(word)} is not known`)
  return same(call.shell)
}

const add_: Rule = (call, parsed) => {
  for (const it of parsed.operands) {
    if (isOpen(it)) refuse(call, "unknown_code", `what ${quote(show(it))} adds is not known`)
    else {
      const places = placesOf(call.run, call.shell, it) ?? []
      for (const path of places) {
        if (isSecretPath(path))
          add(
            call.run.findings,
            "secret",
            `${quote(call.name)} would commit ${quote(relativeOf(call.run, path))}, which usually holds secrets.`
          )
        else if (!isInside(call.run, path))
          add(call.run.findings, "outside", `${quote(path)} is outside the workspace.`)
      }
    }
  }
  return undefined
}

const stash: Rule = () => undefined

/** Fetches from where the repository is configured to. */
const remoteName: Rule = (call, parsed) => {
  const [first] = parsed.operands
  const text = first === undefined ? "origin" : textOf(first)
  call.run.findings.network = true
  if (text === undefined || !/^[\w-]+$/.test(text))
    effect(call, "network", "reaches a place that is not one of its remotes by name")
  for (const it of parsed.operands.slice(1))
    if (/^\+|:/.test(show(it))) effect(call, "destructive", "overwrites a branch")
  return undefined
}

const worktree: Rule = (call, parsed) => {
  const [path] = parsed.operands
  if (path === undefined) refuse(call, "unknown_option", "where to is not known")
  else named(call, [path], "write")
  return same(call.shell)
}

const format: Rule = (call, parsed) => {
  const value = optionValue(parsed, "-o", "--output-directory")
  if (value !== undefined) touch(call.run, call.shell, value, "write", call.name)
  else if (!has(parsed, "--stdout")) effect(call, "workspace_write")
  return same(call.shell)
}

const applied: Rule = (call) => {
  patched(call)
  return undefined
}

const moved: Rule = (call, parsed) => {
  const to = parsed.operands.at(-1)
  for (const path of to === undefined ? [] : (placesOf(call.run, call.shell, to) ?? [])) call.run.moved.add(path)
  return undefined
}

export const rules: Readonly<Record<string, Rule>> = {
  gitApply: applied,
  gitMove: moved,
  gitSetting: setting,
  gitRevisions: revisions,
  gitDiff: diff,
  gitCheckout: checkout,
  gitRestore: restore,
  gitReset: reset,
  gitRemove,
  gitClean: clean,
  gitBranch: branch,
  gitTag: tag,
  gitConfig: configGuard,
  gitRemote: remote,
  gitAdd: add_,
  gitStash: stash,
  gitRemoteName: remoteName,
  gitWorktree: worktree,
  gitFormat: format
}
