/** What loops change, and which have no end. */
import type { CompoundList, Statement, SyntaxNode } from "unbash"
import { forEachChild } from "unbash"
import { type Outcome, same } from "./Call.js"
import { add } from "./Findings.js"
import { join, type Run, type Shell } from "./Shell.js"
import { sameValue, unknownText } from "./values.js"

/** What a loop assigns is unknown within it and after it, unless it stays the same. */
export const loop = (
  run: Run,
  shell: Shell,
  body: CompoundList,
  once: (from: Shell) => Shell,
  more: ReadonlyArray<CompoundList> = []
): Outcome => {
  let from = shell
  for (let round = 0; round < mostLoops; round++) {
    const next = join(from, once(from)) ?? from
    if (sameShell(next, from)) break
    // Still changing: what changes is not known.
    from = round === mostLoops - 2 ? forget(from, next) : next
  }
  endless(run, body, more)
  if (startsBackground(body) && !waits(body))
    add(run.findings, "resources", "A loop without a known end starts processes in the background.")
  return same(from)
}

const mostLoops = 5

const sameShell = (a: Shell, b: Shell): boolean =>
  a === b ||
  (a.cwd.join("\n") === b.cwd.join("\n") &&
    a.functions === b.functions &&
    a.args === b.args &&
    a.written.size === b.written.size &&
    sameVariables(a, b))

const sameVariables = (a: Shell, b: Shell): boolean =>
  a.variables === b.variables ||
  (a.variables.size === b.variables.size &&
    [...a.variables].every(([name, it]) => {
      const other = b.variables.get(name)
      if (it === other) return true
      if (it._tag === "Text") return other?._tag === "Text" && sameValue(it.value, other.value)
      return false
    }))

const forget = (before: Shell, after: Shell): Shell => ({
  ...after,
  cwd: before.cwd.join("\n") === after.cwd.join("\n") ? after.cwd : [],
  variables: new Map(
    [...after.variables].map(([name, it]) => [
      name,
      before.variables.get(name) === it ? it : { _tag: "Text" as const, value: unknownText }
    ])
  )
})

/** A loop without a condition that starts things in the background. */
export const endless = (run: Run, body: CompoundList, more: ReadonlyArray<CompoundList>): void => {
  const always = more.length === 0 ? false : more.every(({ commands }) => commands.every((it) => isAlways(it)))
  if (always && startsBackground(body)) {
    add(run.findings, "resources", "A loop without an end starts processes in the background.")
  }
}

export const startsBackground = (body: CompoundList): boolean => {
  let found = false
  const visit = (node: SyntaxNode): void => {
    if (node.type === "Statement" && node.background === true) found = true
    if (!found) forEachChild(node, visit)
  }
  visit(body)
  return found
}

const waits = (body: CompoundList): boolean =>
  body.commands.some(({ command }) => command.type === "Command" && command.name?.value === "wait")

/** A loop that nothing ends and nothing slows down. */
export const endlessWhile = (run: Run, kind: "while" | "until", clause: CompoundList, body: CompoundList): void => {
  const [only] = clause.commands
  if (only === undefined || clause.commands.length > 1 || only.command.type !== "Command") return
  const name = only.command.name?.value
  if (kind === "while" ? name !== "true" && name !== ":" : name !== "false") return
  let ends = false
  const visit = (node: SyntaxNode): void => {
    if (node.type === "Command" && /^(break|exit|return|sleep|read|exec|wait)$/.test(node.name?.value ?? ""))
      ends = true
    if (!ends) forEachChild(node, visit)
  }
  visit(body)
  if (!ends) add(run.findings, "resources", "A loop has no end.")
}

const isAlways = ({ command }: Statement): boolean =>
  command.type === "Command" && (command.name?.value === "true" || command.name?.value === ":")
