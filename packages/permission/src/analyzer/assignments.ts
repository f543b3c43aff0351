/** Assignments: what a variable holds after them. */
import type { Assignment } from "unbash"
import { cost, spend } from "./Budget.js"
import { assign } from "./environment.js"
import { type Shell, setText, setVariable } from "./Shell.js"
import { concat, literal, unknownText, unknownWords, type Value } from "./values.js"
import { type Context, textOfWord, visitSubstitutions, wordsOf } from "./words.js"

/** Whether such an assignment stays differs by what it stood in front of: where it may have, it is not known. */
export const restore = (
  shell: Shell | undefined,
  before: Shell,
  assigned: ReadonlyArray<Assignment>
): Shell | undefined => {
  if (shell === undefined || shell.variables === before.variables) return shell
  const variables = new Map(shell.variables)
  for (const { name } of assigned) {
    const old = before.variables.get(name)
    if (old !== undefined) variables.set(name, old)
    else if (name === "IFS") variables.delete(name)
    else variables.set(name, { _tag: "Text", value: unknownText })
  }
  return { ...shell, variables }
}

export const assignmentText = (context: Context, node: Assignment): Value =>
  concat(literal(`${node.name}=`), node.value.type === "Word" ? textOfWord(context, node.value) : unknownText)

/** The shell after an assignment. */
export const assignment = (context: Context, node: Assignment, exported = false): Shell => {
  const { name } = node
  spend(context.run.budget, cost.variable * context.shell.variables.size)
  if (node.index !== undefined) visitSubstitutions(context, node.index)
  if (node.value.type === "ArrayValue") {
    const values = node.value.elements.flatMap((it) => wordsOf(context, it))
    const before = context.shell.variables.get(name)
    if (before?._tag === "Array") spend(context.run.budget, cost.word * before.values.length)
    for (const value of values) assign(context.run, context.shell, name, value)
    const all = node.append === true && before?._tag === "Array" ? [...before.values, ...values] : values
    const known = node.append !== true || before?._tag === "Array"
    return setVariable(
      context.shell,
      name,
      known ? { _tag: "Array", values: all } : { _tag: "Text", value: unknownWords }
    )
  }
  const value = textOfWord(context, node.value)
  const before = context.shell.variables.get(name)
  const whole = node.append === true ? concat(before?._tag === "Text" ? before.value : unknownText, value) : value
  assign(context.run, context.shell, name, whole, exported)
  if (context.shell.variables.has(`readonly ${name}`)) return setText(context.shell, name, unknownText)
  if (node.index !== undefined) return setVariable(context.shell, name, { _tag: "Text", value: unknownWords })
  return setText(context.shell, name, whole)
}
