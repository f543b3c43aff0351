/** One command of which the words are known as far as they can be, and what comes of it. */

import { decidesWhatRuns, suspicious } from "./code/suspicious.js"
import { add, quote } from "./Findings.js"
import type { Effect } from "./ProgramEntry.js"
import { isInside } from "./paths.js"
import type { Input, Output, Run, Shell } from "./Shell.js"
import { textOf, type Value } from "./values.js"

export interface Call {
  readonly run: Run
  readonly shell: Shell
  /** For messages: `git commit`. */
  readonly name: string
  readonly args: ReadonlyArray<Value>
  readonly input: Input
  /** Runs a program and its arguments. */
  readonly runWords: (words: ReadonlyArray<Value>, shell: Shell, input: Input) => Outcome
  /** Runs a text as a shell would. */
  readonly runText: (text: string, shell: Shell, input: Input) => Outcome
}

/** The shell after it succeeded, and after it failed; none when it cannot end so. */
export interface Outcome {
  readonly ok: Shell | undefined
  readonly fail: Shell | undefined
  readonly output?: Output | undefined
}

export const same = (shell: Shell, output?: Output): Outcome => ({ ok: shell, fail: shell, output })

export const prints = (shell: Shell, ...lines: ReadonlyArray<Value>): Outcome => same(shell, { lines, exact: true })

const sentences: Readonly<Record<Effect, string>> = {
  reads: "reads",
  workspace_write: "writes to the workspace",
  project_code: "runs the project's own code",
  unknown_code: "runs code that is not known before it runs",
  secret: "shows secrets",
  network: "uses the network",
  privilege: "changes who may do what",
  destructive: "loses work or files",
  system: "changes the system or other processes",
  safety_off: "switches a safety off",
  resources: "uses the machine without limit"
}

/** Notes the worst that a program does on its own. */
export const effect = ({ name, run, shell }: Call, kind: Effect, because?: string): void => {
  if (kind === "reads") return
  if (kind === "workspace_write" || kind === "project_code") {
    if (shell.cwd.length === 0 || !shell.cwd.every((it) => isInside(run, it))) {
      add(run.findings, "outside", `${quote(name)} ${sentences[kind]}, and would do so outside the workspace.`)
      return
    }
  }
  if (kind === "project_code") {
    for (const path of run.edited) {
      if (decidesWhatRuns(path)) {
        add(
          run.findings,
          "unknown_code",
          `${quote(name)} runs the project's own code after the command itself changed ${quote(path)}.`
        )
      }
    }
    for (const [path, text] of shell.written) {
      const why = suspicious(path, text)
      if (why !== undefined) {
        add(
          run.findings,
          "unknown_code",
          `${quote(name)} runs the project's own code after the command itself wrote ${quote(path)}: ${why}.`
        )
      }
    }
  }
  add(run.findings, kind, `${quote(name)} ${because ?? sentences[kind]}.`)
}

export const refuse = ({ name, run }: Call, kind: "unknown_option" | "unknown_code", what: string): void =>
  add(run.findings, kind, `${quote(name)}: ${what}.`)

/** A shell command in a word. */
export const runValue = (call: Call, value: Value, shell: Shell = call.shell, input: Input = call.input): Outcome => {
  const text = textOf(value)
  if (text === undefined) {
    refuse(call, "unknown_code", "the command that it runs is not known before it runs")
    return same(shell)
  }
  return call.runText(text, shell, input)
}
