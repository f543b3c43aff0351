// How fast shell commands are classified: the first in a new process, the labelled corpora when warm, and texts that are
// made to be slow. On a busy machine the plain figures hold other programs too: the best of three runs of each command, and
// the processor's time, say what the analyzer itself takes. Run: npx tsx scripts/bench-analyzer.ts
import { readdirSync, readFileSync } from "node:fs"
import { resolve } from "node:path"
import { performance } from "node:perf_hooks"
import { growing, long } from "../packages/permission/test/support/hostileCommands.js"

const rounds = 3
const where = { cwd: "/home/dev/work/repo", home: "/home/dev" }

const loading = performance.now()
const { analyze } = await import("@driver/permission/CommandAnalyzer")
const loaded = performance.now()
analyze("git status && npm test 2>&1 | tail -50", where)
const first = performance.now()

const directory = resolve("packages/permission/test/corpus")
const commandsOf = (name: string): ReadonlyArray<string> =>
  readFileSync(resolve(directory, name), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line).command)

const commands = readdirSync(directory)
  .filter((name) => name.endsWith(".jsonl"))
  .flatMap(commandsOf)

const time = (command: string): number => {
  const start = performance.now()
  analyze(command, where)
  return performance.now() - start
}

const best = (times: ReadonlyArray<number>): number => Math.min(...times)

for (let round = 0; round < 2; round++) for (const command of commands) time(command)
const cpu = process.cpuUsage()
const byRound = Array.from({ length: rounds }, () => commands.map(time))
const { system, user } = process.cpuUsage(cpu)

const print = (name: string, milliseconds: number) => console.log(`${name.padEnd(32)} ${milliseconds.toFixed(3)} ms`)
const distribution = (name: string, times: ReadonlyArray<number>) => {
  const sorted = times.toSorted((a, b) => a - b)
  for (const [label, part] of [
    ["p50", 0.5],
    ["p99", 0.99],
    ["max", 1]
  ] as const) {
    print(`  ${name} ${label}`, sorted[Math.floor((sorted.length - 1) * part)] ?? 0)
  }
}

print("load (with tsx)", loaded - loading)
print("first command", first - loaded)
console.log(`${commands.length} commands of the corpora, ${rounds} rounds, warm:`)
distribution("every run", byRound.flat())
distribution(
  `best of ${rounds}`,
  commands.map((_, index) => best(byRound.map((times) => times[index] ?? 0)))
)
print("  processor time per command", (system + user) / 1_000 / (commands.length * rounds))

console.log(`texts made to be slow, best of ${rounds}:`)
const hostile = Object.entries({ ...growing, ...long })
  .map(([name, command]) => [name, best(Array.from({ length: rounds }, () => time(command)))] as const)
  .sort(([, a], [, b]) => b - a)
for (const [name, milliseconds] of hostile.slice(0, 12)) print(`  ${name}`, milliseconds)
console.log(`  … and ${hostile.length - 12} faster ones`)
