// Everything that must hold, in one command: installs what is missing, then types, lint, boundaries, README blocks, tests.
import { spawn } from "node:child_process"
import { availableParallelism } from "node:os"
import { ensureFetched, markInstalled, root } from "./ensure-installed.mjs"

const compile = ensureFetched()

const build = ["build", ["node", "scripts/build.mjs"]]
const types = ["types", ["npx", "--no-install", "tsc", "-b"]]
const readme = ["README blocks", ["node", "scripts/check-readme.mjs"]]
const quick = [
  ["lint and format", ["npx", "--no-install", "biome", "check", "."]],
  ["boundaries", ["node", "scripts/check-boundaries.mjs"]]
]
// As many files at once as there are processors; by itself vitest leaves one of them out. The files of a process share
// what they load: loading it anew for each took a third of the time.
const tests = [
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

// What is in one group is done at the same time: compiling a dependency, the types and the README blocks each need one
// processor for a minute. Nothing but the compiler's own checks can be done before the dependency is there.
const steps =
  compile === undefined
    ? [[build], [types, readme, ...quick], [tests]]
    : [[["compiled dependencies", compile, markInstalled], types, ...quick], [build], [readme], [tests]]

/** Resolves with whether it was content; `after` is called then. `aside`: others run meanwhile, so what it prints is shown when it has ended. */
const run = ([name, [command, ...args], after], aside) =>
  new Promise((done) => {
    const started = performance.now()
    let printed = `\n── ${name}\n`
    if (!aside) process.stdout.write(printed)
    const child = spawn(command, args, { cwd: root, stdio: aside ? ["ignore", "pipe", "pipe"] : "inherit" })
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk) => {
        printed += chunk
      })
    }
    child.on("error", (error) => {
      printed += `${error.message}\n`
    })
    child.on("close", (status) => {
      if (status === 0) after?.()
      const seconds = `${((performance.now() - started) / 1000).toFixed(1)} s`
      const end = status === 0 ? `${name}: ok (${seconds})\n` : `\n${name} failed\n`
      process.stdout.write(aside ? printed + end : end)
      done(status === 0)
    })
  })

for (const group of steps) {
  const ends = await Promise.all(group.map((step) => run(step, group.length > 1)))
  if (ends.includes(false)) process.exit(1)
}
