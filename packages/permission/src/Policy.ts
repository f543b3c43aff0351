/**
 * A policy as people write it: a preset, rules that come before it, what is known
 * about further programs, and cases that say what it is meant to decide.
 *
 * It stands in a file of its own or in a section of the configuration. Who reads the
 * file is decided elsewhere.
 */

import { type DecodeIssue, decodeStrict } from "@driver/domain/StrictDecode"
import { OpenRecord } from "@driver/domain/Wire"
import type * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { ProgramEntry } from "./analyzer/ProgramEntry.js"
import { PresetName } from "./Presets.js"
import { type Evaluation, Rule } from "./Rules.js"

/** What a case expects: one of the verdicts of a rule. */
const Expected = Schema.Literal("allow", "allow_session", "deny", "ask", "llm")
export type Expected = typeof Expected.Type

/** A call and what the policy is meant to say of it. */
export const PolicyCase = Schema.Struct({
  name: Schema.optionalWith(Schema.NonEmptyString, { exact: true, nullable: true }).annotations({
    description: "What is tested, for people."
  }),
  tool: Schema.propertySignature(Schema.NonEmptyString).annotations({ description: "The agent's name of the tool." }),
  input: Schema.propertySignature(OpenRecord).annotations({
    description: "The tool's arguments: { command: npm test }, { file_path: src/a.ts }."
  }),
  verdict: Schema.propertySignature(Expected).annotations({ description: "What the policy is meant to say." }),
  rule: Schema.optionalWith(Schema.NonEmptyString, { exact: true, nullable: true }).annotations({
    description: "The rule that is meant to decide: its name, or `rule 1` for the first one without a name."
  }),
  criteria: Schema.optionalWith(Schema.Array(Schema.String), { exact: true, nullable: true }).annotations({
    description: "Commands of the goal's own criteria."
  })
}).annotations({ identifier: "PolicyCase" })
export type PolicyCase = typeof PolicyCase.Type

/** By name; several names that share an entry are separated by blanks. They come before what is built in. */
export const Programs = Schema.Record({ key: Schema.NonEmptyString, value: ProgramEntry }).annotations({
  identifier: "Programs",
  // An entry holds entries: editors are told what they need, which is that there are some.
  jsonSchema: { type: "object", additionalProperties: { type: "object" } }
})
export type Programs = typeof Programs.Type

export const Policy = Schema.Struct({
  preset: Schema.optionalWith(PresetName, { exact: true, nullable: true }).annotations({
    description:
      "The rules that come after these: strict, default or open. Default: what the configuration says, else default."
  }),
  rules: Schema.optionalWith(Schema.Array(Rule), { exact: true, nullable: true }).annotations({
    description: "Rules asked before those of the preset, the first match wins."
  }),
  programs: Schema.optionalWith(Programs, { exact: true, nullable: true }).annotations({
    description:
      "What is known about further programs, so that the commands that run them are followed: { ourtool: { flags: -v, operands: read* } }."
  }),
  cases: Schema.optionalWith(Schema.Array(PolicyCase), { exact: true, nullable: true }).annotations({
    description: "What the policy is meant to decide, for `driver policy test`."
  })
}).annotations({ identifier: "Policy", description: "Which tool calls of an agent are allowed." })
export type Policy = typeof Policy.Type

/** With no unknown key tolerated. */
export const decodePolicy = (input: unknown): Either.Either<Policy, ReadonlyArray<DecodeIssue>> =>
  decodeStrict(Policy)(input)

/** The verdict in the words of a rule. */
export const verdictOf = ({ verdict }: Pick<Evaluation, "verdict">): Expected => {
  switch (verdict._tag) {
    case "Allow":
      return verdict.for === "once" ? "allow" : "allow_session"
    case "Deny":
      return "deny"
    case "Ask":
      return "ask"
    case "Llm":
      return "llm"
  }
}

/** Why a case does not hold, in one sentence; undefined when it does. */
export const failureOf = (expected: PolicyCase, evaluation: Evaluation): string | undefined => {
  const verdict = verdictOf(evaluation)
  if (verdict !== expected.verdict) return `expected ${expected.verdict}, got ${verdict} (${evaluation.rationale})`
  return expected.rule === undefined || expected.rule === evaluation.rule
    ? undefined
    : `expected ${expected.rule} to decide, but it was ${evaluation.rule} (${evaluation.rationale})`
}
