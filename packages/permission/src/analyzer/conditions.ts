/** `[[ … ]]`, and words that bash takes for numbers or names. */
import type { TestExpression } from "unbash"
import { add, quote } from "./Findings.js"
import type { Run } from "./Shell.js"
import { show, type Value } from "./values.js"
import { type Context, textOfWord } from "./words.js"

export const testExpression = (context: Context, node: TestExpression): void => {
  switch (node.type) {
    case "TestUnary":
      checkNumber(context, node.operator, textOfWord(context, node.operand))
      return
    case "TestBinary":
      for (const it of [node.left, node.right]) checkNumber(context, node.operator, textOfWord(context, it))
      return
    case "TestLogical":
      for (const it of node.operands) testExpression(context, it)
      return
    case "TestNot":
      testExpression(context, node.operand)
      return
    case "TestGroup":
      testExpression(context, node.expression)
      return
  }
}

/** A subscript is evaluated wherever bash takes a word for a number or a name. */
export const checkNumber = ({ run }: { readonly run: Run }, where: string, value: Value): void => {
  if (
    /^-([enlg][qet]|v|R)$|^[([]|^(test|let|declare|typeset|local|readonly|export|unset|read|printf|mapfile|wait)$/.test(
      where
    ) &&
    /\[[\s\S]*(\$\(|`)/.test(show(value))
  ) {
    add(
      run.findings,
      "unknown_code",
      `${quote(show(value))} would run a command where it is taken for a number or a name.`
    )
  }
}
