/** What built-in commands have in common. */
import type { Assignment } from "unbash"
import { type Call, type Outcome, same } from "./Call.js"
import type { FunctionBody, Input, Run, Shell } from "./Shell.js"
import { textOf } from "./values.js"

/** What the built-in commands need of the module that follows the parse tree. */
export interface Walker {
  readonly body: (run: Run, body: FunctionBody, shell: Shell, input: Input) => Outcome
  readonly assignment: (run: Run, shell: Shell, node: Assignment) => Shell
}

export type Builtin = (call: Call, assignments: ReadonlyArray<Assignment>, walker: Walker) => Outcome

/** It prints nothing. */
export const done = (shell: Shell): Outcome => same(shell, { lines: [], exact: true })

export const texts = (call: Call): ReadonlyArray<string | undefined> => call.args.map((it) => textOf(it))
