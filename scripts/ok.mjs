// Everything that must hold, in one command: installs what is missing, then types, lint, boundaries, README blocks, tests.
import { spawnSync } from "node:child_process"
import { availableParallelism } from "node:os"
import { ensureInstalled, root } from "./ensure-installed.mjs"

ensureInstalled()

const steps = [
  ["build", ["node", "scripts/build.mjs"]],
  ["types", ["npx", "--no-install", "tsc", "-b"]],
  ["lint and format", ["npx", "--no-install", "biome", "check", "."]],
  ["boundaries", ["node", "scripts/check-boundaries.mjs"]],
  ["README blocks", ["node", "scripts/check-readme.mjs"]],
  // As many files at once as there are processors; by itself vitest leaves one of them out. The files of a process share
  // what they load: loading it anew for each took a third of the time.
  [
    "tests",
    [
      "npx",
      "--no-install",
      "vitest",
      "run",
      `--poolOptions.forks.maxForks=${availableParallelism()}`,
      "--poolOptions.forks.isolate=false",
      ...process.argv.slice(2)
    ]
  ]
]

for (const [name, [command, ...args]] of steps) {
  const started = performance.now()
  console.log(`\n── ${name}`)
  const { status } = spawnSync(command, args, { cwd: root, stdio: "inherit" })
  if (status !== 0) {
    console.error(`\n${name} failed`)
    process.exit(1)
  }
  console.log(`${name}: ok (${((performance.now() - started) / 1000).toFixed(1)} s)`)
}
