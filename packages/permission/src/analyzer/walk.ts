/** Follows a parse tree as bash would run it: lists, pipelines, branches, loops, functions, redirections. */
import type {
  Assignment,
  Case,
  Command,
  CommandNode,
  CompoundList,
  For,
  ParsedScript,
  PipelineNode,
  Statement
} from "unbash"
import { isLossByPattern } from "./artifacts.js"
import { assignment, assignmentText, restore } from "./assignments.js"
import { cost, spend } from "./Budget.js"
import type { Walker } from "./Builtin.js"
import { type Outcome, same } from "./Call.js"
import { testExpression } from "./conditions.js"
import { dispatch } from "./dispatch.js"
import { assign } from "./environment.js"
import { add } from "./Findings.js"
import { endlessWhile, loop, startsBackground } from "./loops.js"
import { parseSafely } from "./parseSafely.js"
import { placesOf } from "./paths.js"
import { redirect } from "./redirections.js"
import { type FunctionBody, type Input, join, type Output, type Run, type Shell, setText } from "./Shell.js"
import {
  concat,
  hole,
  isOpen,
  lengthOf,
  literal,
  longest,
  patternOf,
  show,
  textOf,
  unknownText,
  unknownWords,
  type Value
} from "./values.js"
import { type Context, checkArithmetic, textOfWord, visitSubstitutions, wordsOf } from "./words.js"

const inherited: Input = { _tag: "Inherited" }
/** Whoever has the other end. */
const unknownInput: Input = { _tag: "Pipe", output: undefined }

const step = (run: Run): void => spend(run.budget, cost.step)

/** Runs a text as a shell would. */
export const runText = (run: Run, text: string, shell: Shell, input: Input): Outcome => {
  step(run)
  if (run.depth > 12) {
    add(run.findings, "unparsable", "Shells within shells, too deep to be followed.")
    return same(shell)
  }
  const script = parseSafely(text)
  if (script._tag === "Refused") {
    run.findings.unparsable.push(script.text)
    add(run.findings, "unparsable", script.why)
    return same(shell)
  }
  run.depth++
  const outcome = runScript(run, script.script, shell, input)
  run.depth--
  return outcome
}

const runScript = (run: Run, script: ParsedScript, shell: Shell, input: Input = inherited): Outcome =>
  runStatements(run, script.commands, shell, input)

const runStatements = (run: Run, statements: ReadonlyArray<Statement>, shell: Shell, input: Input): Outcome => {
  let outcome: Outcome = same(shell, { lines: [], exact: true })
  for (const statement of statements) {
    step(run)
    const before = join(outcome.ok, outcome.fail) ?? shell
    const next = runStatement(run, statement, before, input)
    outcome = { ...next, output: statements.length === 1 ? next.output : outputs(outcome.output, next.output) }
  }
  return outcome
}

const outputs = (a: Output | undefined, b: Output | undefined): Output | undefined => {
  if (a === undefined || b === undefined) return undefined
  const lines = [...a.lines, ...b.lines]
  return lines.length > 32 ? undefined : { lines, exact: a.exact && b.exact }
}

const runStatement = (run: Run, { background, command }: Statement, shell: Shell, input: Input): Outcome => {
  if (command.type !== "AndOr") {
    const outcome = runPipeline(run, command, shell, input)
    return background === true ? same(shell) : outcome
  }
  let outcome: Outcome = same(shell)
  let output: Output | undefined = { lines: [], exact: true }
  for (const [index, part] of command.commands.entries()) {
    const operator = index === 0 ? undefined : command.operators[index - 1]
    // What cannot be reached is judged too, as if it could.
    const from =
      operator === undefined ? shell : operator === "&&" ? (outcome.ok ?? outcome.fail) : (outcome.fail ?? outcome.ok)
    const next = runPipeline(run, part, from ?? shell, input)
    output = outputs(output, next.output)
    outcome =
      operator === undefined
        ? next
        : operator === "&&"
          ? { ok: next.ok, fail: join(outcome.fail, next.fail) }
          : { ok: join(outcome.ok, next.ok), fail: next.fail }
  }
  if (output !== undefined) output = { lines: output.lines, exact: false }
  return background === true ? same(shell) : { ...outcome, output }
}

const runPipeline = (run: Run, node: PipelineNode, shell: Shell, input: Input): Outcome => {
  if (node.type !== "Pipeline") return runNode(run, node, shell, input)
  const negated = node.prefixes.some(({ type }) => type === "Negation")
  const [only] = node.commands
  if (node.commands.length === 1 && only !== undefined) {
    const outcome = runNode(run, only, shell, input)
    return negated ? { ...outcome, ok: outcome.fail, fail: outcome.ok } : outcome
  }
  let from = input
  let outcome: Outcome = same(shell)
  for (const command of node.commands) {
    outcome = runNode(run, command, shell, from)
    from = { _tag: "Pipe", output: outcome.output }
  }
  // Each member is a process of its own: what it sets is gone. Files that it wrote are not.
  const written = new Map(shell.written)
  for (const it of [outcome.ok, outcome.fail]) for (const [path, text] of it?.written ?? []) written.set(path, text)
  return same({ ...shell, written }, outcome.output)
}

const contextOf = (run: Run, shell: Shell, hidden = false): Context => ({
  run,
  shell,
  hidden,
  substitute: (script, at) => runScript(run, script, at, inherited).output
})

const runNode = (run: Run, node: CommandNode, shell: Shell, input: Input): Outcome => {
  step(run)
  switch (node.type) {
    case "Command":
      return runCommand(run, node, shell, input)
    case "Redirected": {
      const context = contextOf(run, shell)
      const redirected = redirect(context, node.redirects, input, "the command")
      const outcome = runNode(run, node.command, context.shell, redirected.input)
      if (!redirected.toFile) return outcome
      const text = printed(outcome.output) ?? unknownText
      return {
        ok: noteWritten(outcome.ok, redirected.written, text),
        fail: noteWritten(outcome.fail, redirected.written, text),
        output: { lines: [], exact: true }
      }
    }
    case "Function":
      return defineFunction(shell, node.name.value, node.body)
    case "Coproc":
      if (node.body.type === "CompoundList") runStatements(run, node.body.commands, shell, unknownInput)
      else runNode(run, node.body, shell, unknownInput)
      return same(shell)
    case "Subshell": {
      const { ok, fail, output } = runStatements(run, node.body.commands, shell, input)
      const written = join(ok, fail)?.written ?? shell.written
      return same({ ...shell, written }, output)
    }
    case "BraceGroup":
      return runStatements(run, node.body.commands, shell, input)
    case "If":
      return runIf(run, [{ clause: node.clause, then: node.then }, ...node.elif], node.else, shell, input)
    case "While": {
      const once = (from: Shell) => {
        const clause = runStatements(run, node.clause.commands, from, input)
        const body = runStatements(run, node.body.commands, clause.ok ?? clause.fail ?? from, input)
        return join(body.ok, body.fail) ?? from
      }
      endlessWhile(run, node.kind, node.clause, node.body)
      return loop(run, shell, node.body, once, [node.clause])
    }
    case "ArithmeticFor": {
      const context = contextOf(run, shell)
      for (const it of [node.initialize, node.test, node.update]) if (it !== undefined) visitSubstitutions(context, it)
      return loop(run, context.shell, node.body, (from) =>
        after(runStatements(run, node.body.commands, from, input), from)
      )
    }
    case "For":
      return runFor(run, node, shell, input)
    case "Select": {
      const context = contextOf(run, shell)
      for (const word of node.wordlist ?? []) wordsOf(context, word)
      const from = setText(setText(context.shell, node.name.value, unknownText), "REPLY", unknownText)
      return loop(run, from, node.body, (it) => after(runStatements(run, node.body.commands, it, input), it))
    }
    case "Case":
      return runCase(run, node, shell, input)
    case "TestCommand": {
      const context = contextOf(run, shell, true)
      testExpression(context, node.expression)
      return same(context.shell, { lines: [], exact: true })
    }
    case "ArithmeticCommand": {
      const context = contextOf(run, shell)
      if (node.expression !== undefined) visitSubstitutions(context, node.expression)
      checkArithmetic(context, node.body, node.expression !== undefined)
      return same(context.shell, { lines: [], exact: true })
    }
  }
}

const after = ({ fail, ok }: Outcome, otherwise: Shell): Shell => join(ok, fail) ?? otherwise

const defineFunction = (shell: Shell, name: string, body: FunctionBody): Outcome => {
  const next = { ...shell, functions: new Map(shell.functions).set(name, [body]) }
  return { ok: next, fail: next, output: { lines: [], exact: true } }
}

const runIf = (
  run: Run,
  branches: ReadonlyArray<{ readonly clause: CompoundList; readonly then: CompoundList }>,
  otherwise: CompoundList | undefined,
  shell: Shell,
  input: Input
): Outcome => {
  let from: Shell = shell
  let end: Shell | undefined
  let output: Output | undefined = { lines: [], exact: true }
  for (const { clause, then } of branches) {
    const asked = runStatements(run, clause.commands, from, input)
    const done = runStatements(run, then.commands, asked.ok ?? asked.fail ?? from, input)
    end = join(end, join(done.ok, done.fail))
    output = outputs(outputs(output, asked.output), done.output)
    from = asked.fail ?? asked.ok ?? from
  }
  if (otherwise === undefined) end = join(end, from)
  else {
    const done = runStatements(run, otherwise.commands, from, input)
    end = join(end, join(done.ok, done.fail))
    output = outputs(output, done.output)
  }
  const known = output === undefined ? undefined : { lines: output.lines, exact: false }
  return { ok: end, fail: end, output: known }
}

const mostRounds = 24

const runFor = (run: Run, node: For, shell: Shell, input: Input): Outcome => {
  const context = contextOf(run, shell)
  const words =
    node.wordlist === undefined ? (shell.args ?? [unknownWords]) : node.wordlist.flatMap((it) => wordsOf(context, it))
  const name = node.name.value
  for (const it of words) if (!isOpen(it) && textOf(it) === undefined) run.visited.add(patternOf(it))
  const open = words.some((it) => isOpen(it))
  const values = open || words.length > mostRounds ? [unknownText] : words.map((it) => ({ pieces: it.pieces }))
  assign(run, shell, name, values[0] ?? literal(""))
  let from = context.shell
  let output: Output | undefined = { lines: [], exact: true }
  for (const value of values) {
    const done = runStatements(run, node.body.commands, setText(from, name, value), input)
    output = outputs(output, done.output)
    from = after(done, from)
    // Each round may also be the second with the same kind of value.
    if (value.pieces.some((it) => typeof it !== "string") || values.length > 1) from = join(from, context.shell) ?? from
  }
  const settled = join(context.shell, from) ?? from
  if (values.length > 0 && settled !== context.shell) {
    for (const value of values)
      from =
        join(from, after(runStatements(run, node.body.commands, setText(settled, name, value), input), settled)) ?? from
  }
  if (
    (words.length > mostRounds ||
      words.some(
        (it) => it.many === true && it.pieces.some((piece) => typeof piece !== "string" && piece.kind === "number")
      )) &&
    startsBackground(node.body)
  ) {
    add(run.findings, "resources", "A loop of many rounds starts processes in the background.")
  }
  return {
    ...same(join(context.shell, from) ?? from),
    output: output === undefined ? undefined : { ...output, exact: false }
  }
}

const runCase = (run: Run, node: Case, shell: Shell, input: Input): Outcome => {
  const context = contextOf(run, shell)
  textOfWord({ ...context, hidden: true }, node.word)
  let end: Shell | undefined = context.shell
  let through: Shell | undefined
  for (const { body, pattern, terminator } of node.items) {
    for (const it of pattern) wordsOf(context, it)
    const done = runStatements(run, body.commands, join(context.shell, through) ?? context.shell, input)
    through = terminator === ";&" || terminator === ";;&" ? join(done.ok, done.fail) : undefined
    end = join(end, join(done.ok, done.fail))
  }
  return same(end ?? context.shell)
}

const runCommand = (run: Run, node: Command, shell: Shell, input: Input): Outcome => {
  const context = contextOf(run, shell)
  const nameWords = node.name === undefined ? [] : wordsOf(context, node.name)
  const first = nameWords[0] === undefined ? undefined : textOf(nameWords[0])
  const shown = first === "[" || first === "test" ? { ...context, hidden: true } : context
  const words = [...nameWords]
  const assigned: Array<Assignment> = []
  for (const argument of node.args) {
    if (argument.type === "Word") words.push(...wordsOf(shown, argument))
    else {
      assigned.push(argument)
      words.push(assignmentText(shown, argument))
    }
  }
  if (shown !== context) context.shell = shown.shell
  const prefixed = node.prefix.filter((it): it is Assignment => it.type === "Assignment")
  const { toFile, truncates, written, ...redirected } = redirect(context, node.redirects, input, first ?? "the command")
  if (words.length === 0) {
    if (truncates) emptied(run)
    let next = context.shell
    for (const it of prefixed) next = assignment({ ...context, shell: next }, it)
    // `$(< file)` prints the file.
    return { ok: next, fail: next, output: node.redirects.length > 0 ? undefined : { lines: [], exact: true } }
  }
  let during = context.shell
  for (const it of prefixed) during = assignment({ ...context, shell: during }, it, true)
  const seen =
    /^(read|eval|source|\.|mapfile|readarray|let|declare|local|export|readonly|typeset)$/.test(first ?? "") ||
    context.shell.functions.has(first ?? "")
  const scope = seen ? during : context.shell
  const editedBefore = new Set(first === "tee" ? run.edited : [])
  let outcome = dispatch(
    {
      run,
      shell: scope,
      name: first ?? "",
      args: words.slice(1),
      input: redirected.input,
      runWords: (it, at, from) => runWords(run, it, at, from),
      runText: (text, at, from) => runText(run, text, at, from)
    },
    words,
    assigned,
    walker
  )
  // An assignment in front is for this command only.
  if (prefixed.length > 0)
    outcome = {
      ...outcome,
      ok: restore(outcome.ok, context.shell, prefixed),
      fail: restore(outcome.fail, context.shell, prefixed)
    }
  if (first === "tee") {
    const places = words
      .slice(1)
      .flatMap((it) => (show(it).startsWith("-") ? [] : (placesOf(run, context.shell, it) ?? [])))
    if (places.some((it) => isLossByPattern(run, it))) emptied(run)
    for (const path of places) if (!editedBefore.has(path)) run.edited.delete(path)
    const text =
      redirected.input._tag === "Text"
        ? redirected.input.value
        : redirected.input._tag === "Pipe"
          ? (printed(redirected.input.output) ?? unknownText)
          : unknownText
    outcome = { ...outcome, ok: noteWritten(outcome.ok, places, text), fail: noteWritten(outcome.fail, places, text) }
  }
  if (!toFile) return outcome
  if (truncates && (isNothing(outcome.output) || /^cat \/dev\/null$/.test(words.map(show).join(" ")))) emptied(run)
  // What the project's own code prints is as good as that code.
  const ofProject = /^(node|npm|npx|pnpm|yarn|python3?|cargo|go|make|tsc|bun|deno)$|^\.\//.test(first ?? "")
  if (written.length > 0 && !(ofProject && outcome.output === undefined)) {
    const text =
      printed(outcome.output) ??
      (redirected.input._tag === "Text" && first === "cat" && words.length === 1 ? redirected.input.value : unknownText)
    outcome = { ...outcome, ok: noteWritten(outcome.ok, written, text), fail: noteWritten(outcome.fail, written, text) }
  }
  return { ...outcome, output: { lines: [], exact: true } }
}

const isNothing = (output: Output | undefined): boolean =>
  output?.exact === true && output.lines.every((it) => textOf(it) === "")

const emptied = ({ findings }: Run): void =>
  add(findings, "destructive", "Files that only a pattern names would be overwritten.")

const printed = (output: Output | undefined): Value | undefined =>
  output?.exact === true ? concat(...output.lines.flatMap((it) => [it, literal("\n")])) : undefined

export const noteWritten = (shell: Shell | undefined, paths: ReadonlyArray<string>, text: Value): Shell | undefined => {
  if (shell === undefined) return undefined
  const written = new Map(shell.written)
  for (const path of paths) {
    const before = written.get(path) ?? literal("")
    written.set(path, lengthOf(before) + lengthOf(text) > longest ? unknownText : concat(before, text))
  }
  return { ...shell, written }
}

/** Words that some other program starts, or an array held. */
export const runWords = (run: Run, words: ReadonlyArray<Value>, shell: Shell, input: Input): Outcome => {
  step(run)
  // Wrappers of wrappers: each reads all that follows it.
  spend(run.budget, cost.word * words.length)
  const name = words[0] === undefined ? undefined : textOf(words[0])
  return dispatch(
    {
      run,
      shell,
      name: name ?? "",
      args: words.slice(1),
      input,
      runWords: (it, at, from) => runWords(run, it, at, from),
      runText: (text, at, from) => runText(run, text, at, from)
    },
    words,
    [],
    walker
  )
}

const walker: Walker = {
  body: (run, body, shell, input) =>
    body.type === "CompoundList" ? runStatements(run, body.commands, shell, input) : runNode(run, body, shell, input),
  assignment: (run, shell, node) => assignment({ ...contextOf(run, shell), hidden: true }, node)
}

/** Judges functions that were never called, as if anything could be given to them. */
export const runUncalled = (run: Run, shell: Shell): void => {
  for (const bodies of shell.functions.values()) {
    for (const body of bodies) {
      if (body === undefined || run.called.has(body)) continue
      run.called.add(body)
      walker.body(run, body, { ...shell, args: [{ pieces: hole("path").pieces, many: true }] }, inherited)
    }
  }
}
