/** `driver policy check`: which rule decides about a tool call, and why. Nothing is run. */
import { ToolInput } from "@driver/domain/Permission"
import type { CommandAnalyzer } from "@driver/permission/CommandAnalyzer"
import { type Programs, verdictOf } from "@driver/permission/Policy"
import { type Judgement, makeJudge } from "@driver/permission/RulesDecider"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Host } from "../../Host.js"
import { fileError } from "../../InputError.js"
import { printable } from "../../Text.js"
import { marks, paint, type Theme, themeOf } from "../../Theme.js"
import { type PolicyArguments, policyOf, requestOf } from "./policyOf.js"

export interface CheckArguments extends PolicyArguments {
  readonly tool: string
  /** The tool's arguments as JSON. */
  readonly input: string
  readonly cwd: Option.Option<string>
  readonly criterion: ReadonlyArray<string>
  readonly json: boolean
}

const decodeInput = Schema.decodeUnknownEither(Schema.parseJson(ToolInput))

export const check = <E, R>(
  args: CheckArguments,
  analyzer: (programs: Programs) => Layer.Layer<CommandAnalyzer, E, R>
) =>
  Effect.gen(function* () {
    const { directory, environment, stdout } = yield* Host
    const path = yield* Path.Path
    const input = decodeInput(args.input)
    if (Either.isLeft(input)) {
      return yield* fileError(
        "the command line",
        `<json> is no JSON object: write the tool's arguments, such as '{"command": "npm test"}' for Bash or '{"file_path": "src/a.ts"}' for Write`
      )
    }
    const policy = yield* policyOf(args)
    const judge = yield* Effect.provide(makeJudge(policy), analyzer(policy.programs))
    const workspace = Option.match(args.cwd, { onNone: () => directory, onSome: (it) => path.resolve(directory, it) })
    const judgement = yield* judge(requestOf(args.tool, input.right, workspace), args.criterion)
    yield* stdout.write(
      args.json
        ? `${JSON.stringify(encode(judgement, policy.preset), null, 2)}\n`
        : textOf(judgement, policy.preset, themeOf(environment, stdout.isTerminal))
    )
  })

/** Where the rule stands that decided, in words. */
const sourceText = ({ rule, source }: Judgement["evaluation"], preset: string): string => {
  switch (source) {
    case "rules":
      return `${rule}, of the rules that are configured`
    case "preset":
      return `"${rule}", of the preset ${preset}`
    case "floor":
      return `${rule}, which no rule lifts`
    case "end":
      return `${rule}: no rule matched`
  }
}

const pathsOf = ({ call, paths }: Judgement) =>
  call.paths.map(({ access, path }) => {
    const fact = paths.get(path)
    return {
      path,
      access,
      where: fact === undefined ? "unclear" : fact._tag.toLowerCase(),
      real: fact === undefined || fact._tag === "Unclear" ? null : (fact.real ?? null)
    }
  })

const encode = (judgement: Judgement, preset: string) => {
  const { call, evaluation } = judgement
  const { findings, rationale, rule, source, verdict } = evaluation
  return {
    verdict: verdictOf(evaluation),
    for: verdict._tag === "Allow" ? verdict.for : null,
    rule,
    source,
    preset,
    rationale,
    message: verdict._tag === "Deny" ? verdict.message : null,
    analysis: {
      label: findings.label,
      reasons: findings.reasons,
      programs: call.programs.map(({ args, name }) => ({ name, args: args.map((it) => it ?? null) })),
      paths: pathsOf(judgement),
      hosts: call.hosts.map((it) => it ?? null)
    }
  }
}

const textOf = (judgement: Judgement, preset: string, theme: Theme): string => {
  const { call, evaluation } = judgement
  const { findings, rationale, verdict } = evaluation
  const { failed, ok } = marks(theme)
  const word = verdictOf(evaluation)
  const head =
    verdict._tag === "Allow"
      ? paint(theme, "good", `${ok} ${word}`)
      : verdict._tag === "Deny"
        ? paint(theme, "bad", `${failed} ${word}`)
        : paint(theme, "warn", word)
  const line = (name: string, text: string) => `  ${name.padEnd(9)} ${printable(text)}\n`
  const several = (name: string, texts: ReadonlyArray<string>) =>
    texts.map((text, index) => line(index === 0 ? name : "", text)).join("")
  const paths = pathsOf(judgement).map(
    ({ access, path, real, where }) =>
      `${access} ${path}: ${where}${real === null || real === path ? "" : `, as ${real === "" ? "." : real}`}`
  )
  return [
    `${head}\n`,
    line("rule", sourceText(evaluation, preset)),
    line("why", rationale),
    line("class", findings.label),
    several(
      "reasons",
      findings.reasons.map(({ kind, message }) => `${kind}: ${message}`)
    ),
    several("programs", call.programs.length === 0 ? [] : [call.programs.map(({ name }) => name).join(", ")]),
    several("paths", paths),
    several(
      "hosts",
      call.hosts.map((it) => it ?? "not known")
    ),
    verdict._tag === "Deny" ? line("told", verdict.message) : ""
  ].join("")
}
