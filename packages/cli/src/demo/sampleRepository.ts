/** The repository and the goal of `driver demo`: small enough to be read at a glance, wrong enough to need two turns. */
import { Budget, FileMatches, Goal, type GoalId, Shell } from "@driver/domain/Goal"
import * as Duration from "effect/Duration"

/** File names and their text. `packages/stub/scenarios/demo.yaml` plays the agent that works on these. */
export const files: Readonly<Record<string, string>> = {
  "package.json": `{
  "name": "greet",
  "version": "1.0.0",
  "private": true,
  "type": "module",
  "scripts": { "test": "node test.js" }
}
`,
  "greet.js": `export const greet = (name) => "Hello " + name
`,
  "test.js": `import { greet } from "./greet.js"

const cases = [
  ["Ada", "Hello, Ada!"],
  ["", "Hello, stranger!"]
]

let failed = 0
for (const [name, expected] of cases) {
  const got = greet(name)
  if (got === expected) continue
  failed++
  console.error(\`greet(\${JSON.stringify(name)}): expected \${JSON.stringify(expected)}, got \${JSON.stringify(got)}\`)
}
process.exit(failed === 0 ? 0 : 1)
`,
  "README.md": `# greet

Greets people by name.
`
}

export const goal = (id: GoalId): Goal =>
  new Goal({
    id,
    description:
      'Make greet(name) answer "Hello, <name>!", and "Hello, stranger!" for an empty name, so that test.js passes. Describe in README.md how it is used.',
    acceptance: [new Shell({ command: "node test.js" }), new FileMatches({ path: "README.md", regex: "(?i)usage" })],
    budget: new Budget({ ...Budget.defaults, maxTurns: 5, maxWallTime: Duration.minutes(2), maxTokens: 500_000 })
  })
