/** From the words of a command to what it is: a function, a built-in command, a program of the table, a program of the workspace. */
import type { Assignment } from "unbash"
import { applyEntry } from "./arguments.js"
import type { Walker } from "./Builtin.js"
import { isBuiltin, runBuiltin } from "./builtins.js"
import { type Call, effect, type Outcome, same } from "./Call.js"
import { runCode } from "./code/run.js"
import { add, addProgram, clean, quote } from "./Findings.js"
import { outputOf } from "./output.js"
import { isInside, keepInside, placesOf, relativeOf } from "./paths.js"
import { type FunctionBody, join, type Shell } from "./Shell.js"
import { anyReachesBeyond, nameOf } from "./tasks.js"
import { isOpen, literal, show, textOf, unknownText, type Value } from "./values.js"

const systemDirectories = /^\/(usr\/)?(local\/)?s?bin\/([^/]+)$/

export const dispatch = (
  call: Call,
  words: ReadonlyArray<Value>,
  assignments: ReadonlyArray<Assignment>,
  walker: Walker
): Outcome => {
  const { run, shell } = call
  const [first] = words
  const name = first === undefined ? undefined : textOf(first)
  if (first === undefined) return same(shell)
  if (name === undefined || name === "") {
    add(run.findings, "unknown_code", `${quote(show(first))}: which program runs is not known before it runs.`)
    return same(shell)
  }
  const base = name.slice(name.lastIndexOf("/") + 1)
  addProgram(run.findings, { name: clean(base, 120), args: call.args.map((it) => (isOpen(it) ? undefined : show(it))) })
  const called = callFunction(call, name, walker)
  if (called?.certain === true) return called.outcome
  const alias = shell.aliases.get(name)
  if (alias !== undefined)
    call.runText(`${alias} ${call.args.map(quoteWord).join(" ")}`, { ...shell, aliases: new Map() }, call.input)
  const outcome = runNamed({ ...call, name: base }, name, assignments, walker)
  return called === undefined
    ? outcome
    : { ok: join(outcome.ok, called.outcome.ok), fail: join(outcome.fail, called.outcome.fail) }
}

const quoteWord = (value: Value): string => {
  const text = textOf(value)
  return text === undefined ? '"$@"' : `'${text.replaceAll("'", "'\\''")}'`
}

const callFunction = (
  call: Call,
  name: string,
  walker: Walker
): { readonly outcome: Outcome; readonly certain: boolean } | undefined => {
  const bodies = call.shell.functions.get(name)
  if (bodies === undefined) return undefined
  // The program of that name counts too: a function never makes it safer.
  const certain = bodies.every((it) => it !== undefined) && call.run.lookUp(name) === undefined && !isBuiltin(name)
  let ok: Shell | undefined
  let fail: Shell | undefined
  let output: Outcome["output"]
  for (const body of bodies) {
    if (body === undefined) continue
    const outcome = callBody(call, name, body, walker)
    ok = join(ok, outcome.ok)
    fail = join(fail, outcome.fail)
    output = bodies.length === 1 ? outcome.output : undefined
  }
  return { outcome: { ok: ok ?? call.shell, fail: fail ?? call.shell, output }, certain }
}

const callBody = (call: Call, name: string, body: FunctionBody, walker: Walker): Outcome => {
  const { run, shell } = call
  run.called.add(body)
  if (run.calling.includes(name)) {
    add(run.findings, "resources", `The function ${quote(name)} calls itself.`)
    return same(shell)
  }
  run.calling.push(name)
  const outcome = walker.body(
    run,
    body,
    { ...shell, args: call.args.some((it) => it.many === true) ? undefined : call.args },
    call.input
  )
  run.calling.pop()
  const back = (it: Shell | undefined): Shell | undefined =>
    it === undefined ? undefined : { ...it, args: shell.args, variables: afterCall(shell, it) }
  return { ...outcome, ok: back(outcome.ok), fail: back(outcome.fail) }
}

/** What a function changed may have been local to it. */
const afterCall = (before: Shell, after: Shell): Shell["variables"] => {
  if (before.variables === after.variables) return after.variables
  const variables = new Map(after.variables)
  for (const [name, variable] of after.variables) {
    if (before.variables.get(name) !== variable) variables.set(name, { _tag: "Text", value: unknownText })
  }
  return variables
}

const runNamed = (call: Call, name: string, assignments: ReadonlyArray<Assignment>, walker: Walker): Outcome => {
  if (!name.includes("/")) {
    if (isBuiltin(name)) return runBuiltin(call, assignments, walker)
    return runProgram(call, name)
  }
  if (name.includes("://")) {
    add(call.run.findings, "network", `${quote(name)} is fetched and run.`)
    return same(call.shell)
  }
  const system = systemDirectories.exec(name)?.[3]
  if (system !== undefined) return runProgram(call, system)
  return runPath(call, name)
}

const runProgram = (call: Call, name: string): Outcome => {
  const program = call.run.lookUp(name)
  if (program === undefined) {
    add(call.run.findings, "unknown_program", `${quote(name)} is not a program that is known here.`)
    return same(call.shell)
  }
  const outcome = applyEntry(call, program)
  return outcome.output === undefined ? { ...outcome, output: outputOf(call, name) } : outcome
}

/** Scripts of a project that are another way to call a program of the table. */
const launchers: Readonly<Record<string, string>> = {
  rails: "rails",
  rake: "rake",
  bundle: "bundle",
  gradlew: "gradlew",
  mvnw: "mvnw",
  rspec: "rspec",
  rubocop: "rubocop",
  phpunit: "phpunit"
}

/** A program that is named by its path: a tool of the project, or its own code. */
const runPath = (call: Call, name: string): Outcome => {
  const { run, shell } = call
  const places = placesOf(run, shell, { pieces: [name] })
  if (places === undefined || !places.every((it) => isInside(run, it))) {
    add(run.findings, "unknown_code", `${quote(name)} is a program outside the workspace.`)
    return same(shell)
  }
  const base = name.slice(name.lastIndexOf("/") + 1)
  const tool = places.every((it) =>
    /(^|\/)(node_modules\/\.bin|\.venv\/bin|venv\/bin|vendor\/bin)\/[^/]+$/.test(relativeOf(run, it))
  )
  const program = tool || /^(gradlew|mvnw)$/.test(base) ? run.lookUp(base) : undefined
  if (program !== undefined && places.every((it) => !shell.written.has(it))) {
    return applyEntry(call, program)
  }
  const own = launchers[base]
  const launched = own === undefined || !Object.hasOwn(launchers, base) ? undefined : run.lookUp(own)
  if (launched !== undefined) applyEntry({ ...call, name: own ?? base }, launched)
  if (base === "manage.py" || base === "setup.py")
    call.runWords([literal("python3"), literal(name), ...call.args], shell, call.input)
  if (anyReachesBeyond([nameOf(base), ...call.args.map(show)]))
    effect(call, "system", "publishes, deploys or changes a database")
  runCode(call, { pieces: [name] })
  for (const argument of call.args) keepInside(run, shell, argument, call.name)
  return same(shell)
}
