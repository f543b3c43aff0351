/** Small particulars of single tools: operands that are settings, tools that run other tools. */
import { has, type Parsed } from "../arguments.js"
import { type Call, effect, type Outcome, refuse, same } from "../Call.js"
import { quote } from "../Findings.js"
import { keepInside, touch } from "../paths.js"
import type { Rule } from "../rules.js"
import { anyReachesBeyond, nameOf } from "../tasks.js"
import { literal, show, textOf, type Value } from "../values.js"
import { ownOptions, publishes } from "./project.js"
import { cmakeTool, setScript } from "./workshop.js"

const inside = (call: Call, words: ReadonlyArray<Value>): void => {
  for (const it of words) keepInside(call.run, call.shell, it, call.name)
}

const wordsOf = (parsed: Parsed): ReadonlyArray<Value> => [...parsed.operands, ...parsed.rest]

/** `npm test -- …`: the script is in the manifest. */
const scriptArguments: Rule = (call, parsed) => {
  ownOptions(call, wordsOf(parsed))
  inside(call, wordsOf(parsed))
  effect(call, "project_code")
  return same(call.shell)
}

/** `pnpm build`, `yarn lint`: a script of the project, or a tool that it has. */
const scriptOf: Rule = (call, parsed) => {
  const name = call.name.split(" ").at(-1) ?? ""
  if (
    /^(publish|login|logout|adduser|owner|deprecate|unpublish|dist-tag|access|team|token|hook|org|profile|star|link|patch|approve-builds|self-update|setup|server|env|store|import|rebuild|dlx|create|exec)$/.test(
      name
    ) ||
    /(^|[:-])(deploy|publish|release)([:-]|$)/.test(name) ||
    publishes(name)
  ) {
    effect(call, "network", "publishes, or runs what the project does not have")
  }
  const program = call.run.lookUp(name)
  if (program !== undefined && !/^(test|start|build|lint|format|check|dev|clean)$/.test(name))
    return call.runWords([literal(name), ...wordsOf(parsed)], call.shell, call.input)
  inside(call, wordsOf(parsed))
  effect(call, "project_code")
  return same(call.shell)
}

const alone =
  (kind: "project_code" | "workspace_write" | "reads"): Rule =>
  (call, parsed) => {
    if (parsed.rest.length > 0)
      refuse(call, "unknown_option", `${quote(show(parsed.rest[0] ?? literal("")))} is not known`)
    effect(call, kind)
    return same(call.shell)
  }

const netUse: Rule = (call) => {
  // What the project's lock file already names.
  call.run.findings.network = true
  effect(call, "project_code")
  return same(call.shell)
}

const noCommand: Rule = (call, parsed) => {
  if ([...parsed.operands, ...parsed.rest].some((it) => /^(exec|devenv|config|quickstart|run|r|p)$/.test(show(it))))
    refuse(call, "unknown_code", "it runs another program")
  inside(call, parsed.rest)
  effect(call, "project_code")
  return same(call.shell)
}

const npmConfig: Rule = (call, parsed) => {
  if (parsed.operands.some((it) => /auth|token|password|_/i.test(show(it)) || textOf(it) === undefined))
    effect(call, "secret")
  if (parsed.operands.length === 0) effect(call, "secret")
  return same(call.shell)
}

/** Plain facts about the package; not what runs, and not what it depends on. */
const npmPackage: Rule = (call, parsed) => {
  for (const it of parsed.operands) {
    if (
      !/^(type|name|version|description|license|private|author|keywords|sideEffects|homepage|engines\.\w+)(\[\d*\])?=/.test(
        show(it)
      ) &&
      !setScript(call, it)
    ) {
      effect(call, "unknown_code", `changes what the project runs: ${quote(show(it))}`)
    }
  }
  touch(call.run, call.shell, literal("package.json"), "write", call.name)
  effect(call, "workspace_write")
  return same(call.shell)
}

const rest =
  (skip: number): Rule =>
  (call, parsed): Outcome => {
    const words = [...parsed.operands, ...parsed.rest].slice(skip)
    if (words.length === 0) return same(call.shell)
    return call.runWords([literal("yarn"), ...words], call.shell, call.input)
  }

const plain: Rule = (call, parsed) => {
  inside(call, parsed.operands)
  return same(call.shell)
}

/** Coverage tools run the words that follow. */
const wrappedCoverage: Rule = (call, parsed) => {
  if (/^(nyc|c8|dotenv|lint-staged)$/.test(call.name) && parsed.operands.length > 0)
    return call.runWords(parsed.operands, call.shell, call.input)
  if (
    /(^|\s)(deploy|publish|upgrade|update|add|new|telemetry|login|eject|link)(\s|$)/.test(
      show(parsed.operands[0] ?? literal(""))
    )
  ) {
    refuse(call, "unknown_option", `${quote(show(parsed.operands[0] ?? literal("")))} is not known`)
  }
  return undefined
}

const runsTask = (call: Call, names: ReadonlyArray<string>): void => {
  if (anyReachesBeyond(names)) effect(call, "system", "publishes, deploys or changes a database")
}

/** After `--` the words are for the program that cargo builds. */
const cargoArguments: Rule = (call, parsed) => {
  if (call.name.endsWith(" run") || call.name.endsWith(" r"))
    runsTask(call, [
      ...parsed.options.flatMap(({ name, value }) => (name === "--bin" && value !== undefined ? [show(value)] : [])),
      ...parsed.operands.map(show)
    ])
  inside(call, parsed.operands.slice(parsed.beforeDashes))
  for (const { name, value } of parsed.options)
    if (/^--(features|package)$|^-[pF]$/.test(name) && value !== undefined) inside(call, [value])
  return undefined
}

const cargoAdd: Rule = (call) => {
  call.run.findings.network = true
  effect(call, "network", "adds what the project does not have yet")
  return same(call.shell)
}

const goRun: Rule = (call, parsed) => {
  runsTask(
    call,
    parsed.rest.map((it) => nameOf(show(it)))
  )
  inside(call, parsed.rest)
  goPackages(call, parsed.rest.slice(0, 1))
  goOptions(call, parsed)
  effect(call, "project_code")
  return same(call.shell)
}

const goArguments: Rule = (call, parsed) => {
  goPackages(call, parsed.operands)
  goOptions(call, parsed)
  return undefined
}

const goPackages = (call: Call, names: ReadonlyArray<Value>): void => {
  for (const it of names) {
    const text = textOf(it)
    if (text === undefined) continue
    if (/@/.test(text) || (/^[\w-]+(\.[\w-]+)+\//.test(text) && call.name.endsWith(" run")))
      effect(call, "network", `fetches and runs ${quote(text)}`)
  }
}

const goOptions = (call: Call, parsed: Parsed): void => {
  for (const { name, value } of parsed.options) {
    if (
      /^-(ldflags|gcflags)$/.test(name) &&
      /-(extld|extldflags|linkmode|toolexec|plugin)|-o\b/.test(show(value ?? literal("")))
    )
      effect(call, "unknown_code", "may run another linker")
  }
}

const goEnv: Rule = (call, parsed) => {
  if (parsed.operands.some((it) => show(it).includes("=")))
    effect(call, "system", "changes settings outside the workspace")
  return same(call.shell)
}

const compiler: Rule = (call, parsed) => {
  for (const it of parsed.operands) if (/^@/.test(show(it))) refuse(call, "unknown_code", "its options are in a file")
  return undefined
}

/** A cache entry of cmake may name a compiler, a launcher, a place to install to. */
const cmakeDefines: Rule = (call, parsed) => {
  if (has(parsed, "-E")) {
    cmakeTool(call, parsed.rest)
    return same(call.shell)
  }
  for (const it of [...parsed.operands, ...parsed.options.flatMap(({ value }) => (value === undefined ? [] : [value]))])
    if (/^install/.test(show(it))) effect(call, "system", "installs")
  if (has(parsed, "--install") && !has(parsed, "--prefix")) effect(call, "system", "installs")
  for (const { name, value } of parsed.options) {
    if (name !== "-D" || value === undefined) continue
    inside(call, [value])
    if (
      /(COMPILER|LAUNCHER|LINKER|_PROGRAM|COMMAND|TOOLCHAIN|GENERATOR|PREFIX|_INCLUDE|MAKE_PROGRAM|EXECUTABLE)\w*(:\w+)?=/i.test(
        show(value)
      ) &&
      !/COMPILER(:\w+)?=(gcc|g\+\+|clang|clang\+\+)$/.test(show(value))
    )
      effect(call, "unknown_code", "may take a program or a place from it")
  }
  for (const it of parsed.operands) {
    if (/^-P$|^-E$/.test(show(it))) refuse(call, "unknown_option", "it runs a script")
  }
  return undefined
}

const publishing = /(^|[:-])(deploy|publish\w*|release\w*|upload\w*|install\w*App|site-deploy)$/i

const maven: Rule = (call, parsed) => {
  for (const { name, value } of parsed.options) {
    if (/^-[DP]$/.test(name) && value !== undefined && !/^[\w.-]+(=[\w.,:#*+-]*)?$/.test(show(value)))
      refuse(call, "unknown_code", `what ${quote(show(value))} sets is not followed`)
    if (
      /^-D$/.test(name) &&
      /exec|javaagent|settings|localRepository|argLine|jvmargs/i.test(show(value ?? literal("")))
    )
      refuse(call, "unknown_code", `what ${quote(show(value ?? literal("")))} sets is not followed`)
  }
  for (const it of parsed.operands)
    if (publishing.test(show(it)) || publishes(show(it)) || /exec:|antrun:|wrapper:|^[^:]+:[^:]*:/.test(show(it)))
      effect(call, "network", "publishes, or runs another program")
  return undefined
}

const java: Rule = (call, parsed) => {
  const [main, ...args] = parsed.rest
  if (main !== undefined && !has(parsed, "-jar")) {
    const text = textOf(main)
    if (text === undefined || /^@|^-/.test(text)) refuse(call, "unknown_code", "what runs is not known")
    else if (/[/.]java$/.test(text)) inside(call, [main])
  }
  inside(call, has(parsed, "-jar") ? parsed.rest : args)
  effect(call, "project_code")
  return same(call.shell)
}

const yq: Rule = (call, parsed) => {
  const filter = parsed.operands[0]
  const text = filter === undefined ? "." : textOf(filter)
  if (text === undefined || /\b(env|strenv|envsubst|load\w*|\$ENV)\b|\$__/.test(text.replace(/"[^"]*"/g, '""')))
    refuse(call, "unknown_code", "what its expression reads is not known")
  return undefined
}

const pager: Rule = (call, parsed) => {
  for (const it of parsed.operands) {
    if (show(it).startsWith("+")) refuse(call, "unknown_code", "it runs a command of its own")
    else touch(call.run, call.shell, it, "read", call.name)
  }
  return same(call.shell)
}

const ipShow: Rule = (call, parsed) => {
  for (const it of parsed.operands) {
    const text = textOf(it)
    if (
      text === undefined ||
      /^(a(dd?)?|d(el?(ete)?)?|s(et?)?|flush|change|replace|append|up|down|save|restore|exec)$/.test(text)
    )
      effect(call, "system")
  }
  return same(call.shell)
}

const getent: Rule = (call, parsed) => {
  if (/^(g?shadow)$/.test(show(parsed.operands[0] ?? literal("")))) effect(call, "secret")
  if (/^(hosts|ahosts\w*|networks)$/.test(show(parsed.operands[0] ?? literal("")))) effect(call, "network")
  return same(call.shell)
}

/** More numbers than a disk holds. */
const sequence: Rule = (call, parsed) => {
  if (parsed.operands.some((it) => /^[-+]?\d{9,}|[eE]\+?\d|^inf/i.test(show(it))))
    effect(call, "resources", "hardly ends")
  return undefined
}

/** What a service is started with holds secrets, and unless asked for something else it is all shown. */
const serviceProperties: Rule = (call, parsed) => {
  const asked = parsed.options.filter(({ name }) => /^(-p|--property)$/.test(name))
  if (
    call.name.endsWith(" show") &&
    (asked.length === 0 || asked.some(({ value }) => !/^(?!.*Env)[\w,]+$/.test(show(value ?? literal("?")))))
  )
    effect(call, "secret", "shows the environment of a service")
  return undefined
}

/** `//package:target` is no path. */
const bazel: Rule = (call, parsed) => {
  const [verb, ...targets] = parsed.operands
  if (!/^(build|test|query|cquery|aquery|info|clean|run|coverage|fetch)$/.test(show(verb ?? literal(""))))
    refuse(call, "unknown_option", "what it does is not known")
  for (const it of targets) {
    const text = textOf(it)
    if (text === undefined || !/^-?(\/\/)?[\w./:*@-]*$/.test(text) || /(^|\/)\.\.(\/|$)|^\/[^/]|@/.test(text))
      keepInside(call.run, call.shell, it, call.name)
    if (text?.split(/[/:]/).some((part) => publishes(part)) === true && show(verb ?? literal("")) === "run")
      effect(call, "network", "publishes or deploys")
  }
  return undefined
}

const calculator: Rule = () => undefined

/** Only what asks: `-l`. */
const crontab: Rule = (call, parsed) => {
  if (parsed.operands.length !== 1 || textOf(parsed.operands[0] ?? literal("")) !== "-l")
    effect(call, "system", "changes what runs later")
  return same(call.shell)
}

const sysctl: Rule = (call, parsed) => {
  if (parsed.operands.some((it) => !/^[\w.]+$/.test(show(it)))) effect(call, "system")
  return same(call.shell)
}

const rpmQuery: Rule = (call, parsed) => {
  if (!parsed.options.some(({ name }) => /^(-q|--query)/.test(name))) effect(call, "system")
  return same(call.shell)
}

const stashAlone: Rule = (call, parsed) => {
  if (parsed.rest.length > 0)
    refuse(call, "unknown_option", `${quote(show(parsed.rest[0] ?? literal("")))} is not known`)
  effect(call, "workspace_write")
  return same(call.shell)
}

export const rules: Readonly<Record<string, Rule>> = {
  scriptArguments,
  scriptOf,
  pnpmScript: alone("project_code"),
  yarnAlone: alone("project_code"),
  netUse,
  npmConfig,
  noCommand,
  npmPackage,
  yarnForeach: rest(0),
  yarnWorkspace: rest(1),
  reporters: plain,
  tscValues: plain,
  wrappedCoverage,
  cargoArguments,
  cargoAdd,
  goArguments,
  goRun,
  goEnv,
  compiler,
  cmakeDefines,
  maven,
  gradle: maven,
  java,
  yqCommand: yq,
  pager,
  ipShow,
  getent,
  calculator,
  sequence,
  bazel,
  serviceProperties,
  crontab,
  sysctl,
  rpmQuery,
  yes: () => undefined,
  gitMerge: () => undefined,
  gitStashAlone: stashAlone,
  gitSettingOnly: (call, parsed) => {
    if (parsed.rest.length > 0)
      refuse(call, "unknown_option", `${quote(show(parsed.rest[0] ?? literal("")))} is not known`)
    return same(call.shell)
  }
}
