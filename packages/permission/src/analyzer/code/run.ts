/** A file that is run: the project's own code, or text that the command itself has just written. */
import { type Call, effect, refuse } from "../Call.js"
import { add, addPath, clean, quote } from "../Findings.js"
import { isEdited, isInside, placesOf, relativeOf, touch } from "../paths.js"
import { isSecretPath } from "../secrets.js"
import { nameOf, reachesBeyond } from "../tasks.js"
import { isOpen, literal, show, textOf, type Value } from "../values.js"
import { recogniseJavaScript } from "./javascript.js"
import { recognisePython } from "./python.js"
import type { Recognised } from "./Recognised.js"

/** Stands for whatever came out of an archive. */
export const unpacked = "unpacked"

export const runCode = (call: Call, file: Value): void => {
  const { run, shell } = call
  if (/^-$|^[{[]/.test(show(file))) {
    refuse(call, "unknown_code", `${quote(show(file))} is no file of the workspace`)
    return
  }
  const places = isOpen(file) ? undefined : placesOf(run, shell, file)
  if (textOf(file) === undefined && places !== undefined) {
    refuse(call, "unknown_code", `which of ${quote(show(file))} it runs is not known before it runs`)
  }
  if (places === undefined) {
    refuse(call, "unknown_code", `which program ${quote(show(file))} is, is not known before it runs`)
    return
  }
  for (const path of places) {
    addPath(run.findings, { path, access: "read" })
    if (!isInside(run, path)) {
      add(run.findings, "unknown_code", `${quote(call.name)} runs ${quote(path)}, which is outside the workspace.`)
      continue
    }
    if (isSecretPath(path)) {
      run.findings.secrets.add(clean(path, 200))
      add(run.findings, "secret", `${quote(call.name)} reads ${quote(path)}, which usually holds secrets.`)
      continue
    }
    if (/(^|\/)\.git\//.test(relativeOf(run, path))) {
      add(run.findings, "special_path", `${quote(call.name)} runs a file of git's own directory.`)
      continue
    }
    if (run.edited.has(unpacked))
      add(run.findings, "unknown_code", `${quote(path)} may come from what the command itself unpacked.`)
    if (isEdited(run, path))
      add(run.findings, "unknown_code", `${quote(call.name)} runs ${quote(path)}, which the command itself changed.`)
    if (reachesBeyond(nameOf(path)))
      effect(call, "system", `runs ${quote(path)}, which by its name deploys, publishes or changes a database`)
    const written = shell.written.get(path)
    if (written !== undefined) runWritten(call, path, written)
    effect(call, "project_code")
  }
}

const runWritten = (call: Call, path: string, value: Value): void => {
  const text = isOpen(value) ? undefined : textOf(value)
  if (text === undefined) {
    add(
      call.run.findings,
      "unknown_code",
      `${quote(path)} was written by the command itself, with text that is not known before it runs.`
    )
    return
  }
  if (/\.[cm]?[jt]sx?$/.test(path) || /^(node|tsx|ts-node|bun|deno)$/.test(call.name)) {
    judged(call, path, recogniseJavaScript(text))
  } else if (path.endsWith(".py") || /^python/.test(call.name)) {
    judged(call, path, recognisePython(text))
  } else if (
    /\.(sh|bash)$/.test(path) ||
    /^(bash|sh|dash|source|\.)$/.test(call.name) ||
    /^#!.*\b(ba|da|z|k)?sh\b/.test(text)
  ) {
    call.runText(text, call.shell, { _tag: "Inherited" })
  } else unknown(call, path)
}

const judged = (call: Call, path: string, found: Recognised | undefined): void => {
  if (found === undefined) unknown(call, path)
  for (const it of found?.reads ?? []) touch(call.run, call.shell, literal(it), "read", call.name)
  for (const it of found?.writes ?? []) touch(call.run, call.shell, literal(it), "write", call.name)
}

const unknown = (call: Call, path: string): void =>
  add(
    call.run.findings,
    "unknown_code",
    `${quote(path)} was written by the command itself, and what its code does cannot be followed.`
  )
