/** What tests of `driver ask` as a process have in common: a model that plays a script, and what it answers to each question. */
import { IntentResponse } from "@driver/intent/IntentResponse"
import Database from "better-sqlite3"
import { Schema } from "effect"
import type { TestContext } from "vitest"
import { type Ended, makeWorld, writeHello } from "./process.js"

export const scripted = `agent: { kind: stub, scenario: scenario.json }
model: { provider: scripted, script: answers.json, prices: { input: 1, output: 2 } }
`

export const assess = (changes: Record<string, unknown>) => ({
  ask: "assess",
  answer: { kind: "task", reply: null, questions: null, scope: "substantial", follow_up: null, ...changes }
})

export const criterion = (changes: Record<string, unknown>) => ({
  kind: "command",
  statement: "There is a greeting in hello.txt.",
  command: "test -s hello.txt",
  expected_exit: null,
  stdout_must_match: null,
  path: null,
  regex: null,
  guard: false,
  ...changes
})

export const crystallize = (changes: Record<string, unknown> = {}) => ({
  ask: "crystallize",
  answer: {
    goal: "Write a greeting into hello.txt.",
    constraints: ["Change nothing else."],
    acceptance_criteria: [criterion({})],
    output_schema: null,
    assumptions: [],
    ...changes
  }
})

export const review = (changes: Record<string, unknown> = {}) => ({
  ask: "review",
  answer: {
    passed: true,
    score: 1,
    criteria: [{ criterion: 0, met: true, evidence: "Hello, world" }],
    notes: [],
    gaps: [],
    ...changes
  }
})

export const makeAskWorld = (context: TestContext, answers: ReadonlyArray<unknown> = []) => {
  const world = makeWorld(context)
  world.write("driver.yaml", scripted)
  world.write("answers.json", JSON.stringify(answers))
  world.scenario({ turns: [{ steps: [writeHello] }] })
  return { ...world, answers: (next: ReadonlyArray<unknown>) => world.write("answers.json", JSON.stringify(next)) }
}

export const responseOf = <T extends IntentResponse["_tag"]>(
  { stderr, stdout }: Ended,
  tag: T
): Extract<IntentResponse, { readonly _tag: T }> => {
  const response = Schema.decodeUnknownSync(Schema.parseJson(IntentResponse))(stdout)
  if (response._tag !== tag) throw new Error(`expected ${tag}, got ${stdout}\n${stderr}`)
  return response as Extract<IntentResponse, { readonly _tag: T }>
}

export const sessionOf = ({ stderr }: Ended): string => {
  const session = /^session (\S+)$/m.exec(stderr)?.[1]
  if (session === undefined) throw new Error(`no session in:\n${stderr}`)
  return session
}

/** What a query of an SQLite file gives as `it`, row by row: read past the driver. */
export const columnIn = (file: string, query: string): ReadonlyArray<unknown> => {
  const database = new Database(file, { readonly: true })
  try {
    return database
      .prepare(query)
      .all()
      .map((row) => (typeof row === "object" && row !== null && "it" in row ? row.it : undefined))
  } finally {
    database.close()
  }
}
