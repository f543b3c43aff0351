/**
 * Whether a rule matches a call. Pure.
 *
 * An allowing rule has to cover all parts of the call, any other rule one of them.
 * What is not known about a call is covered by no allowing rule, and maybe by any other.
 */
import * as Either from "effect/Either"
import { type Call, type Findings, fileTools } from "../CallAnalysis.js"
import type { PathUse, ProgramUse, ReasonKind } from "../CommandAnalyzer.js"
import type { Facts, Rule } from "../Rules.js"
import { matchesCommand, matchesPath, matchesWord } from "./glob.js"
import { isSecret } from "./sensitivePaths.js"

/** A rule that is ready to be asked many times. */
export interface CompiledRule {
  readonly rule: Rule
  readonly name: string
  readonly source: "rules" | "preset"
  readonly says: string
  readonly tool: ReadonlyArray<string> | undefined
  readonly class: ReadonlyArray<string> | undefined
  readonly reason: ReadonlyArray<string> | undefined
  readonly path: ReadonlyArray<string> | undefined
  readonly access: ReadonlyArray<string> | undefined
  readonly program: ReadonlyArray<string> | undefined
  readonly host: ReadonlyArray<string> | undefined
  readonly command: ReadonlyArray<string> | undefined
  readonly namesBash: boolean
}

export const compiled = (rule: Rule, name: string, source: CompiledRule["source"]): CompiledRule => {
  const tool = listOf(rule.tool)
  return {
    rule,
    name: rule.name ?? name,
    source,
    says: saysOf(rule),
    tool,
    class: listOf(rule.class),
    reason: listOf(rule.reason),
    path: listOf(rule.path)?.map((it) => it.replace(/^(\.\/)+/, "")),
    access: listOf(rule.access),
    program: listOf(rule.program),
    host: listOf(rule.host)?.map((it) => it.toLowerCase()),
    command: rule.command?.split(/[ \t]+/),
    // A rule for "every tool" is written with files in mind.
    namesBash:
      tool?.includes("Bash") === true ||
      [rule.class, rule.reason, rule.program, rule.host, rule.command, rule.criterion, rule.plain].some(
        (it) => it !== undefined
      )
  }
}

const listOf = (value: string | ReadonlyArray<string> | undefined): ReadonlyArray<string> | undefined =>
  value === undefined ? undefined : typeof value === "string" ? [value] : value

const saysOf = (rule: Rule): string => {
  const { for: _for, message: _message, name: _name, verdict: _verdict, ...conditions } = rule
  return Object.entries(conditions)
    .flatMap(([key, value]) => {
      if (value === undefined) return []
      const text = value === true ? "" : typeof value === "string" ? value : value.join(", ")
      return [key === "tool" || key === "command" || key === "path" ? text : `${key} ${text}`.trim()]
    })
    .join(" ")
}

/** A call, and what is known about it. */
export interface Subject {
  readonly call: Call
  readonly facts: Facts
  readonly findings: Findings
  readonly isCriterion: boolean
}

// Reasons that leave it open which programs, hosts and paths a call uses besides those that are known.
const openCode: ReadonlyArray<ReasonKind> = ["unparsable", "unknown_code", "environment", "unknown_option"]
const openEffects: ReadonlyArray<ReasonKind> = [...openCode, "unknown_program"]

const isOpen = (rule: CompiledRule, { findings }: Subject, kinds: ReadonlyArray<ReasonKind>): boolean =>
  findings.reasons.some(({ kind }) => kinds.includes(kind) && rule.reason?.includes(kind) !== true)

/** Whether an allowing rule covers all parts of the call. */
export const allows = (rule: CompiledRule, subject: Subject): boolean => {
  const { call, findings, isCriterion } = subject
  if (call.command !== undefined && !rule.namesBash) return false
  if (rule.tool !== undefined && !matchesAny(rule.tool, call.tool)) return false
  if (rule.rule.criterion === true && !isCriterion) return false
  if (rule.class !== undefined && !rule.class.includes(findings.label)) return false
  if (
    rule.reason !== undefined &&
    !findings.reasons.every(({ kind, label }) => label !== findings.label || rule.reason?.includes(kind))
  ) {
    return false
  }
  if (rule.program !== undefined) {
    if (call.programs.length === 0 || isOpen(rule, subject, openCode)) return false
    if (!call.programs.every(({ name }) => matchesAny(rule.program, name))) return false
  }
  if (rule.host !== undefined) {
    if (call.hosts.length === 0 || isOpen(rule, subject, openCode)) return false
    if (!call.hosts.every((host) => host !== undefined && matchesHost(rule, host))) return false
  }
  if (rule.command !== undefined && (call.words === undefined || !matchesCommand(rule.command, call.words)))
    return false
  if (rule.rule.plain === true && !isPlain(subject)) return false
  if (isAboutPaths(rule)) {
    if (call.paths.length === 0 || isOpen(rule, subject, openEffects)) return false
    if (!call.paths.every((use) => coversPath(rule, use, subject))) return false
  }
  if (isCriterion || isWholeCommand(rule)) return true
  return (
    findings.reasons.every(({ kind, label }) => label !== "dangerous" || names(rule, kind, subject)) &&
    call.paths.every(({ path }) => subject.facts.paths.get(path)?._tag === "Inside" || reachesOutside(rule))
  )
}

const isAboutPaths = ({ access, path, rule }: CompiledRule): boolean =>
  path !== undefined || access !== undefined || (rule.where !== undefined && rule.where !== "anywhere")

/** The command is written out, so whatever it does was meant. */
const isWholeCommand = ({ command }: CompiledRule): boolean =>
  command !== undefined && !command.some((it) => /[*?]/.test(it))

const reachesOutside = ({ path, reason, rule }: CompiledRule): boolean =>
  rule.where === "outside" ||
  rule.where === "anywhere" ||
  path?.some((it) => it.startsWith("/")) === true ||
  reason?.includes("outside") === true

/** Whether an allowing rule means a danger of this kind. What it does not name, it does not open. */
const names = (rule: CompiledRule, kind: ReasonKind, { call }: Subject): boolean => {
  if (rule.reason?.includes(kind) === true) return true
  switch (kind) {
    case "secret":
      return rule.path !== undefined
    case "outside":
      return reachesOutside(rule)
    default:
      if (rule.class?.includes("dangerous") === true || rule.command !== undefined) return true
      if (kind === "network" && rule.host !== undefined) return true
      if (kind === "unknown_program" && rule.program !== undefined) return true
      // Nothing but the tool is named: all that it does. Of files, secrets and the outside are dealt with above.
      return (
        rule.tool !== undefined &&
        (call.command === undefined ||
          (rule.program === undefined && rule.host === undefined && rule.class === undefined && !isAboutPaths(rule)))
      )
  }
}

const isPlain = ({ call, facts }: Subject): boolean =>
  Either.isRight(call.plain) &&
  call.plain.right.every((path) => {
    const fact = facts.paths.get(path)
    // What `..` means depends on the directory in which the agent's shell stands, and that may not be the workspace.
    return fact?._tag === "Inside" && !path.split("/").includes("..") && !isSecret(fact.real) && !isSecret(fact.named)
  })

/** Maybe: that depends on what is not known. */
export type Match = "yes" | "maybe" | "no"

/** Whether a rule that does not allow covers one part of the call; maybe, when that depends on what is not known. */
export const touches = (rule: CompiledRule, subject: Subject): Match => {
  const { call, findings, isCriterion } = subject
  const accesses = accessesOf(rule, call)
  if (accesses === undefined) return "no"
  if (rule.rule.criterion === true && !isCriterion) return "no"
  if (rule.rule.plain === true && !isPlain(subject)) return "no"
  if (rule.class !== undefined && !rule.class.includes(findings.label)) return "no"
  const matches: Array<Match> = []
  const or = (yes: boolean, maybe: boolean) => matches.push(yes ? "yes" : maybe ? "maybe" : "no")
  // A plain command is known to do nothing but read what it names, and a criterion is what the goal says it is.
  const mayBeOpen = call.command !== undefined && Either.isLeft(call.plain) && !isCriterion
  const openHere = (kinds: ReadonlyArray<ReasonKind>) =>
    mayBeOpen && findings.reasons.some(({ kind }) => kinds.includes(kind))
  if (rule.reason !== undefined) {
    or(
      findings.reasons.some(({ kind }) => rule.reason?.includes(kind)),
      openHere(openCode)
    )
  }
  if (rule.program !== undefined) {
    or(
      call.programs.some(({ name }) => matchesAny(rule.program, name)),
      openHere(openCode)
    )
  }
  if (rule.host !== undefined) {
    or(
      call.hosts.some((host) => host !== undefined && matchesHost(rule, host)),
      call.hosts.includes(undefined) || openHere(openEffects)
    )
  }
  const { command } = rule
  if (command !== undefined) {
    or(
      (call.words !== undefined && matchesCommand(command, call.words)) ||
        call.programs.some((use) => matchesCommand(command, wordsOf(use, "\0"))),
      call.programs.some((use) => use.args.includes(undefined) && matchesWord(command[0] ?? "", use.name)) ||
        openHere(openCode)
    )
  }
  if (isAboutPaths(rule)) {
    or(
      call.paths.some((use) => accesses.includes(use.access) && coversPath(rule, use, subject)),
      openHere(openEffects)
    )
  }
  return matches.includes("no") ? "no" : matches.includes("maybe") ? "maybe" : "yes"
}

const wordsOf = ({ args, name }: ProgramUse, unknown: string): ReadonlyArray<string> => [
  name,
  ...args.map((it) => it ?? unknown)
]

const everyAccess: ReadonlyArray<PathUse["access"]> = ["read", "write", "delete"]

/**
 * The accesses to paths that the rule is about; none when it is not about this tool. What Read may not read, no
 * command may read either.
 */
const accessesOf = (rule: CompiledRule, call: Call): ReadonlyArray<PathUse["access"]> | undefined => {
  const { tool } = rule
  if (tool === undefined || tool.some((it) => matchesWord(it, call.tool))) return everyAccess
  if (call.command === undefined || rule.rule.verdict !== "deny" || rule.path === undefined) return undefined
  const reads = fileTools.read.some((name) => tool.some((it) => matchesWord(it, name)))
  const writes = fileTools.write.some((name) => tool.some((it) => matchesWord(it, name)))
  if (!reads && !writes) return undefined
  return everyAccess.filter((it) => (it === "read" ? reads : writes))
}

const matchesAny = (patterns: ReadonlyArray<string> | undefined, text: string): boolean =>
  patterns?.some((it) => matchesWord(it, text)) === true

const matchesHost = (rule: CompiledRule, host: string): boolean =>
  matchesAny(rule.host, host.toLowerCase().replace(/\.$/, ""))

/** Whether the rule is about this use of a path. What does not allow also covers what another spelling would reach. */
const coversPath = (rule: CompiledRule, { access, path }: PathUse, { facts }: Subject): boolean => {
  const fact = facts.paths.get(path)
  if (fact === undefined || fact._tag === "Unclear") return false
  if (rule.access !== undefined && !rule.access.includes(access)) return false
  const { where } = rule.rule
  if (where !== undefined && where !== "anywhere" && (where === "inside") !== (fact._tag === "Inside")) return false
  if (rule.path === undefined) return true
  const allowing = rule.rule.verdict === "allow" || rule.rule.verdict === "allow_session"
  const names = allowing ? [fact.real] : [fact.real, fact.named]
  return rule.path.some((pattern) =>
    names.some((name) => {
      if (name === undefined || pattern.startsWith("/") !== name.startsWith("/")) return false
      return allowing ? matchesPath(pattern, name) : matchesPath(pattern.toLowerCase(), name.toLowerCase())
    })
  )
}
