/**
 * The rules: which tool calls are allowed, denied, or put to somebody else.
 *
 * Pure. `evaluate` gives the verdict and names the rule that gave it, in this order:
 *
 * 1. Floor, which no rule lifts: a call that cannot be understood, a path of which it is not clear where it leads, a
 *    write to a special path.
 * 2. The configured rules, then those of the preset, from first to last; the first that matches wins.
 * 3. What no rule matches is denied.
 *
 * An allowing rule matches when all parts of a call are covered by it, any other when one part is. What is not known
 * about a call is covered by no allowing rule, and by every other one that could be meant.
 *
 * This is not the boundary of the agent, a confined process is: the goal's own commands run code that the agent has
 * written.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { type Call, type Findings, findingsOf, shown, specialFact } from "./CallAnalysis.js"
import type { ReasonKind } from "./CommandAnalyzer.js"
import { allows, type CompiledRule, compiled, type Subject, touches } from "./internal/matchRule.js"
import { simpleWords } from "./internal/readOnlyCommands.js"
import type { PathFact } from "./internal/resolvePath.js"

export type { PathFact } from "./internal/resolvePath.js"

const CommandPattern = Schema.NonEmptyTrimmedString.pipe(
  Schema.filter(
    (it) =>
      simpleWords(it.replaceAll("*", "x").replaceAll("?", "x")) !== undefined ||
      "expected a command of plain words, without quotes, pipes, redirections or variables: rules never match a command that has them"
  )
)

const PathPattern = Schema.NonEmptyString.pipe(
  Schema.filter(
    (it) =>
      (!it.startsWith("~") && !it.split("/").includes("..")) ||
      "expected a pattern relative to the workspace, such as `docs/**`, or an absolute one, without `~` and `..`"
  )
)

/** One of these, or several. */
const some = <A extends string, I extends string>(schema: Schema.Schema<A, I>) =>
  Schema.Union(schema, Schema.NonEmptyArray(schema))

const Class = Schema.Literal("read_only", "workspace_write", "dangerous")
const Access = Schema.Literal("read", "write", "delete")

const reasonKinds = [
  "unparsable",
  "unknown_code",
  "unknown_program",
  "unknown_option",
  "outside",
  "special_path",
  "secret",
  "network",
  "privilege",
  "destructive",
  "system",
  "safety_off",
  "environment",
  "resources",
  "workspace_write",
  "project_code",
  "reads"
] as const satisfies ReadonlyArray<ReasonKind>

const maybe = <A, I>(schema: Schema.Schema<A, I>, description: string) =>
  Schema.optionalWith(schema, { exact: true, nullable: true }).annotations({ description })

/** A configured rule. It matches a call when all that it says matches. */
export const Rule = Schema.Struct({
  verdict: Schema.Literal("allow", "allow_session", "deny", "ask", "llm").annotations({
    description:
      "What is said of a call that matches: allow (this call), allow_session (the same call for the rest of the session), deny, ask (a person), llm (a language model)."
  }),
  for: maybe(
    Schema.Literal("turn", "session"),
    "With allow_session: how long the same call stays allowed. Default: session."
  ),
  name: maybe(Schema.NonEmptyTrimmedString, "What records and tests call this rule. Default: its number, as `rule 1`."),
  tool: maybe(
    some(Schema.NonEmptyTrimmedString),
    "The agent's name of the tool, * for any characters: Bash, Write, mcp__github__*. A rule that only says * never allows Bash: name it, or say class or program."
  ),
  class: maybe(
    some(Class),
    "What the call would do at worst: read_only, workspace_write or dangerous, as `driver policy classify` says of commands."
  ),
  reason: maybe(
    some(Schema.Literal(...reasonKinds)),
    "Why it would do that: network, secret, outside, privilege, … To allow, every reason for the call's class has to be named."
  ),
  path: maybe(
    some(PathPattern),
    "Paths, relative to the workspace (docs/**) or absolute: * within a name, ** over directories. Links are followed first."
  ),
  where: maybe(
    Schema.Literal("inside", "outside", "anywhere"),
    "Only paths inside, or only those outside the workspace. A rule that allows reaches outside when it says outside, anywhere or an absolute path."
  ),
  access: maybe(some(Access), "Only paths that are used like this: read, write, delete."),
  program: maybe(
    some(Schema.NonEmptyTrimmedString),
    "Names of the programs that a command starts, wrappers and pipes included. To allow what is dangerous takes class or reason besides."
  ),
  host: maybe(
    some(Schema.NonEmptyTrimmedString),
    "Hosts that commands, WebFetch and WebSearch would reach: docs.example.com, *.example.com."
  ),
  command: maybe(
    CommandPattern,
    "Commands, word by word; * as the last word stands for any further words: npm run *. To allow, it has to be the whole command."
  ),
  criterion: maybe(Schema.Literal(true), "Only commands that are, exactly as written, criteria of the goal."),
  plain: maybe(
    Schema.Literal(true),
    "Only single commands of a short list (cat, ls, git status, …) without any shell syntax, that read in the workspace."
  ),
  message: maybe(Schema.NonEmptyTrimmedString, "What the agent reads when it is denied: what to do instead.")
})
  .pipe(
    Schema.filter((it) =>
      it.for === undefined || it.verdict === "allow_session"
        ? undefined
        : { path: ["for"], message: "goes with the verdict allow_session only" }
    )
  )
  .annotations({ identifier: "PermissionRule" })
export type Rule = typeof Rule.Type

/** What has to be known about the world to judge a call. */
export interface Facts {
  /** Commands of the goal's own criteria. */
  readonly criteriaCommands: ReadonlyArray<string>
  /** For each of `pathsOf(call)`, where it leads. A path that is missing here is not allowed. */
  readonly paths: ReadonlyMap<string, PathFact>
}

export type Verdict =
  | { readonly _tag: "Allow"; readonly for: "once" | "turn" | "session" }
  | { readonly _tag: "Deny"; readonly message: string }
  /** `why` says which rule hands the question on, and for what reason. */
  | { readonly _tag: "Ask"; readonly why: string }
  | { readonly _tag: "Llm"; readonly why: string }

export interface Evaluation {
  readonly verdict: Verdict
  /** A rule's name; `rule 2` (from 1, as configured) where it has none; or what the floor or the end of the list is called. */
  readonly rule: string
  /** Where that rule stands: among the configured ones, in the preset, or nowhere. */
  readonly source: "rules" | "preset" | "floor" | "end"
  /** For the record: why, in one sentence. */
  readonly rationale: string
  /** What the call would do. */
  readonly findings: Findings
}

/** Rules that are ready to be asked many times. */
export type Compiled = ReadonlyArray<CompiledRule>

/** The configured rules come before those of the preset. */
export const compile = (rules: ReadonlyArray<Rule>, preset: ReadonlyArray<Rule> = []): Compiled => [
  ...rules.map((rule, index) => compiled(rule, `rule ${index + 1}`, "rules")),
  ...preset.map((rule, index) => compiled(rule, `preset rule ${index + 1}`, "preset"))
]

/** Total: gives a verdict for every call. */
export const evaluate = (rules: Compiled, call: Call, facts: Facts): Evaluation => {
  const { command } = call
  const findings = findingsOf(call, facts.paths)
  const isCriterion = command !== undefined && facts.criteriaCommands.some((it) => isSameCommand(it, command))
  return { ...decide(rules, { call, facts, findings, isCriterion }), findings }
}

/** An evaluation as long as it is only about the verdict. */
type Decided = Omit<Evaluation, "findings">

const decide = (rules: Compiled, subject: Subject): Decided => {
  const floor = belowFloor(subject)
  if (floor !== undefined) return floor
  // The first rules that match what is not known about the call: they count when a later one would let it through.
  let denies: CompiledRule | undefined
  let handsOn: CompiledRule | undefined
  for (const rule of rules) {
    const { verdict } = rule.rule
    if (verdict === "allow" || verdict === "allow_session") {
      if (!allows(rule, subject)) continue
      const doubted = denies ?? handsOn
      return doubted === undefined ? said(rule, subject) : doubtful(doubted, subject)
    }
    const match = touches(rule, subject)
    if (match === "yes") {
      return verdict !== "deny" && denies !== undefined ? doubtful(denies, subject) : said(rule, subject)
    }
    if (match === "maybe") {
      if (verdict === "deny") denies ??= rule
      else handsOn ??= rule
    }
  }
  return unmatched(subject)
}

const deny = (source: Evaluation["source"], rule: string, message: string, rationale: string): Decided => ({
  verdict: { _tag: "Deny", message },
  rule,
  source,
  rationale: `${rule}: ${rationale}`
})

const belowFloor = ({ call, facts, findings, isCriterion }: Subject): Decided | undefined => {
  if (call.malformed !== undefined) {
    return deny("floor", "malformed call", call.malformed.message, call.malformed.rationale)
  }
  // The goal says what its criteria do, and nobody else.
  if (isCriterion) return undefined
  for (const { access, path } of call.paths) {
    const fact = facts.paths.get(path)
    if (fact === undefined || fact._tag === "Unclear") return unclear(path, fact?.why ?? "it was not resolved")
    const special = access === "read" ? undefined : specialFact(fact)
    if (special !== undefined) {
      return deny(
        "floor",
        "special path",
        `${shown(path)} may not be written: ${special}. Reach the goal without changing this file; if that is impossible, say so and why.`,
        `${shown(path)}: ${special}`
      )
    }
  }
  for (const path of call.through) {
    const fact = facts.paths.get(path)
    if (fact === undefined || fact._tag === "Unclear") return unclear(path, fact?.why ?? "it was not resolved")
    const isLink = fact._tag === "Inside" ? fact.real !== fact.named : !/^[/~]/.test(fact.named)
    if (isLink) return unclear(path, "it is a symbolic link, and the command goes through it to somewhere else")
  }
  const special = findings.reasons.find(({ kind }) => kind === "special_path")
  return special === undefined
    ? undefined
    : deny(
        "floor",
        "special path",
        `This call was denied: ${special.message} Reach the goal without that; if that is impossible, say so and why.`,
        special.message
      )
}

const unclear = (path: string, why: string): Decided =>
  deny(
    "floor",
    "unclear path",
    `The path ${shown(path)} cannot be used: ${why}. Name a file of the workspace by its plain path.`,
    `${shown(path)}: ${why}`
  )

const said = (rule: CompiledRule, subject: Subject): Decided => {
  const { name, rule: it, says, source } = rule
  const rationale = `${name}: ${it.verdict}${says === "" ? "" : ` ${says}`}${because(rule, subject)}`
  switch (it.verdict) {
    case "allow":
      return { verdict: { _tag: "Allow", for: "once" }, rule: name, source, rationale }
    case "allow_session":
      return { verdict: { _tag: "Allow", for: it.for ?? "session" }, rule: name, source, rationale }
    case "ask":
      return { verdict: { _tag: "Ask", why: rationale }, rule: name, source, rationale }
    case "llm":
      return { verdict: { _tag: "Llm", why: rationale }, rule: name, source, rationale }
    case "deny":
      return { verdict: { _tag: "Deny", message: messageOf(rule, subject) }, rule: name, source, rationale }
  }
}

/** The first of the reasons that the rule names. */
const foundReason = ({ reason }: CompiledRule, { findings }: Subject) =>
  reason === undefined ? undefined : findings.reasons.find(({ kind }) => reason.includes(kind))

/** The reason that counts, for records of commands. */
const because = (rule: CompiledRule, subject: Subject): string => {
  const { call, findings } = subject
  const reason = foundReason(rule, subject) ?? findings.reasons[0]
  return call.command === undefined || reason === undefined ? "" : ` (${findings.label}: ${reason.message})`
}

const messageOf = (rule: CompiledRule, subject: Subject): string => {
  const own =
    rule.rule.message ??
    `A rule of this run (${rule.says}) denies this use of ${subject.call.tool}. Reach the goal in another way.`
  const found = foundReason(rule, subject)
  return found === undefined ? own : `This call was denied: ${found.message} ${own}`
}

/** A later rule would let the call through, but an earlier one may be about what is not known of it. */
const doubtful = (rule: CompiledRule, subject: Subject): Decided => {
  const { name, rule: it, says, source } = rule
  const rationale = `${name}: ${it.verdict} ${says}, which may be what this call does${because(rule, subject)}`
  if (it.verdict === "ask") return { verdict: { _tag: "Ask", why: rationale }, rule: name, source, rationale }
  if (it.verdict === "llm") return { verdict: { _tag: "Llm", why: rationale }, rule: name, source, rationale }
  return {
    verdict: {
      _tag: "Deny",
      message: `It cannot be known before this call what it will do, and a rule of this run (${says}) may forbid it. Write it out plainly: names of programs, files and hosts as they are, without variables and code that is made on the way.`
    },
    rule: name,
    source,
    rationale
  }
}

/** How many reasons an agent is told. */
const mostReasons = 3

const unmatched = (subject: Subject): Decided => {
  const { call, facts, findings } = subject
  const outside = call.paths.find(({ path }) => facts.paths.get(path)?._tag === "Outside")
  if (outside !== undefined) {
    return deny(
      "end",
      "outside the workspace",
      `${shown(outside.path)} lies outside the workspace. Only files in the workspace may be ${outside.access === "read" ? "read" : "written"}: use a path below the current directory, and put temporary files there too.`,
      `${shown(outside.path)} leads out of the workspace`
    )
  }
  if (call.command !== undefined) {
    const reasons = findings.reasons.filter(({ label }) => label === findings.label)
    const why =
      findings.label === "read_only" && Either.isLeft(call.plain)
        ? `${call.plain.left}.`
        : reasons
            .slice(0, mostReasons)
            .map(({ message }) => message)
            .join(" ")
    return deny("end", "command", commandMessage(why, facts), `no rule allows it (${findings.label}: ${why})`)
  }
  return call.tool.startsWith("mcp__")
    ? deny(
        "end",
        "tool of a server",
        `${shown(call.tool)} belongs to an MCP server, and those are not allowed in this run. Use Read, Grep, Glob, Write and Edit on the files of the workspace.`,
        `${shown(call.tool)} is a tool of an MCP server`
      )
    : deny(
        "end",
        "unknown tool",
        `The tool ${shown(call.tool)} is not allowed in this run. Use Read, Grep, Glob, Write and Edit on the files of the workspace, and Bash for the goal's own commands.`,
        `no rule allows the tool ${shown(call.tool)}`
      )
}

const commandMessage = (why: string, { criteriaCommands }: Facts): string => {
  const criteria = criteriaCommands
    .slice(0, 5)
    .filter((it) => it.length <= 300)
    .map((it) => `\`${it}\``)
  const own =
    criteria.length === 0 ? "" : ` Exactly as written, the goal's own commands are allowed: ${criteria.join(", ")}.`
  return `This command is not allowed: ${why}${own} Use Read, Grep and Glob to look, Write and Edit to change files, and single plain commands for the rest.`
}

/** UTF-16 units by which the same command may differ: blanks. */
const mostBlanks = 4_096

/**
 * Whether both are the same command. Blanks count only where they cannot be part of a quoted text, and line breaks
 * always count: they separate commands.
 */
export const isSameCommand = (a: string, b: string): boolean => {
  if (a.trim() === "" || b.trim() === "" || Math.abs(a.length - b.length) > mostBlanks) return false
  if (a === b || trimmed(a) === trimmed(b)) return true
  const words = simpleWords(a)
  const others = simpleWords(b)
  return words !== undefined && others !== undefined && words.join(" ") === others.join(" ")
}

/** Without blanks at the ends; a backslash before them would make them count. */
const trimmed = (command: string): string => command.replace(/^[ \t]+/, "").replace(/(?<!\\)[ \t]+$/, "")
