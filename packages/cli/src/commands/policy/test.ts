/** `driver policy test`: runs the cases of a policy file. Paths are taken as they are written, in a workspace that is not there. */
import type { CommandAnalyzer } from "@driver/permission/CommandAnalyzer"
import { failureOf, type PolicyCase, type Programs, verdictOf } from "@driver/permission/Policy"
import { makeJudge } from "@driver/permission/RulesDecider"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { EndWith } from "../../exitCode.js"
import { Host } from "../../Host.js"
import { fileError } from "../../InputError.js"
import { readPolicy } from "../../PolicyFile.js"
import { plural } from "../../Render.js"
import { printable } from "../../Text.js"
import { marks, paint, themeOf } from "../../Theme.js"
import { type PolicyArguments, policyOf, requestOf } from "./policyOf.js"

export interface TestArguments extends PolicyArguments {
  readonly file: string
  readonly json: boolean
}

const workspace = "/workspace"

export const test = <E, R>(args: TestArguments, analyzer: (programs: Programs) => Layer.Layer<CommandAnalyzer, E, R>) =>
  Effect.gen(function* () {
    const { directory, environment, stdout } = yield* Host
    const path = yield* Path.Path
    const { file, policy: read } = yield* readPolicy(path.resolve(directory, args.file), environment)
    const cases = read.cases ?? []
    if (cases.length === 0) return yield* fileError(file, "has no `cases`: there is nothing to test")
    // A file of cases alone is about the policy that is in force here.
    const saysMore = [read.preset, read.rules, read.programs].some((it) => it !== undefined)
    const policy = yield* policyOf({
      ...args,
      policy: saysMore ? Option.orElseSome(args.policy, () => file) : args.policy
    })
    const judge = yield* Effect.provide(makeJudge({ ...policy, links: "text" }), analyzer(policy.programs))
    const results = yield* Effect.forEach(cases, (it, index) =>
      Effect.map(judge(requestOf(it.tool, it.input, workspace), it.criteria ?? []), ({ evaluation }) => ({
        name: nameOf(it, index),
        case: it,
        evaluation,
        failure: failureOf(it, evaluation)
      }))
    )
    const failures = results.filter(({ failure }) => failure !== undefined)
    if (args.json) {
      const value = {
        cases: results.length,
        failed: failures.length,
        results: results.map(({ case: { tool, verdict }, evaluation, failure, name }) => ({
          name,
          tool,
          expected: verdict,
          got: verdictOf(evaluation),
          rule: evaluation.rule,
          rationale: evaluation.rationale,
          failure: failure ?? null
        }))
      }
      yield* stdout.write(`${JSON.stringify(value, null, 2)}\n`)
    } else {
      const theme = themeOf(environment, stdout.isTerminal)
      const { failed, ok } = marks(theme)
      for (const { failure, name } of failures) {
        yield* stdout.write(`${paint(theme, "bad", failed)} ${printable(name)}: ${printable(failure ?? "")}\n`)
      }
      const all = plural(results.length, "case")
      yield* stdout.write(
        failures.length === 0
          ? `${paint(theme, "good", ok)} ${all} as expected\n`
          : `${failures.length} of ${all} not as expected\n`
      )
    }
    if (failures.length > 0) return yield* new EndWith({ code: 1 })
  })

/** `cases[2] (Bash npm publish)`, or the name that it was given. */
const nameOf = ({ input, name, tool }: PolicyCase, index: number): string => {
  if (name !== undefined) return `cases[${index}] (${name})`
  const [first] = Object.values(input)
  return `cases[${index}] (${tool}${typeof first === "string" ? ` ${first.slice(0, 80)}` : ""})`
}
