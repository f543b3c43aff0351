// How fast `driver policy diff` decides recorded calls again: a file of events as a long run leaves it, read, decoded,
// judged and compared, on one core. Once with a workspace that is gone, once with one whose links are followed.
// Run: npx tsx scripts/bench-policy.ts [decisions]
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { performance } from "node:perf_hooks"
import { composition } from "@driver/cli/Composition"
import { diff } from "@driver/cli/commands/policy/diff"
import { Host } from "@driver/cli/Host"
import * as HostNode from "@driver/cli/HostNode"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"

const count = Number(process.argv[2] ?? 200_000)
const target = 20_000

const corpus = resolve("packages/permission/test/corpus")
const commands = readdirSync(corpus)
  .filter((name) => name.endsWith(".jsonl"))
  .flatMap((name) => readFileSync(join(corpus, name), "utf8").trim().split("\n"))
  .map((line) => String(JSON.parse(line).command))

const directory = mkdtempSync(join(tmpdir(), "bench-policy-"))
const tree = join(directory, "tree")
mkdirSync(join(tree, "src"), { recursive: true })

/** Every second call is a command, of which those at hand come again and again; the others read and write files. */
const lineOf = (index: number): string => {
  const half = index >> 1
  const [tool, input] =
    index % 2 === 0
      ? ["Bash", { command: commands[half % commands.length] ?? "ls", description: "As the agent says what it does" }]
      : half % 3 === 0
        ? ["Write", { file_path: `src/file-${half % 5_000}.ts`, content: "x".repeat(400) }]
        : ["Read", { file_path: join(tree, `src/file-${half % 5_000}.ts`) }]
  return JSON.stringify({
    goalId: "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    sequence: index + 1,
    message_id: `m${index}`,
    at: "2026-01-01T00:00:00.000Z",
    event: {
      kind: "decision",
      goal_id: "7c9e6679-7425-40de-944b-e07fc1f90ae7",
      decision: {
        id: `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
        goal_id: "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        turn: 1,
        tool,
        input,
        choice: { kind: "allow" },
        rationale: "read in the workspace: the file lies there",
        decided_at: "2026-01-01T00:00:00.000Z"
      }
    }
  })
}

const file = join(directory, "events.jsonl")
const batch = 1_000
for (let index = 0; index < count; index += batch) {
  const lines = Array.from({ length: Math.min(batch, count - index) }, (_, at) => `${lineOf(index + at)}\n`)
  appendFileSync(file, lines.join(""))
}

const silent = Layer.effect(
  Host,
  Effect.map(Host, (host) => ({ ...host, directory, stdout: { ...host.stdout, write: () => Effect.void } }))
).pipe(Layer.provide(HostNode.layer))

const run = async (cwd: string): Promise<number> => {
  const started = performance.now()
  await Effect.runPromise(
    diff(
      {
        against: file,
        config: Option.none(),
        policy: Option.none(),
        preset: Option.some("default" as const),
        cwd: Option.some(cwd),
        exitCode: false,
        json: true
      },
      composition
    ).pipe(Effect.provide([NodeContext.layer, silent]))
  )
  return count / ((performance.now() - started) / 1_000)
}

try {
  const gone = await run(join(directory, "gone"))
  const there = await run(tree)
  console.log(
    JSON.stringify({
      benchmark: "policy diff",
      decisions: count,
      distinct_commands: new Set(commands).size,
      per_second_gone: Math.round(gone),
      per_second_links: Math.round(there),
      peak_rss_mb: Math.round(process.resourceUsage().maxRSS / 1024),
      target: `at least ${target} decisions/s`,
      met: Math.min(gone, there) >= target
    })
  )
} finally {
  rmSync(directory, { recursive: true, force: true })
}
