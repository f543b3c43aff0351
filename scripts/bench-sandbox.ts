// What the sandbox costs per command, with the whole profile, in a linked worktree:
//   npx tsx scripts/bench-sandbox.ts [--check]
// Prints the best tenth, the median and the 90th percentile in milliseconds: beside other work only the first says much. With --check it fails when a start costs more than 15 ms more.
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { homedir, tmpdir } from "node:os"
import { join } from "node:path"
import { Sandbox } from "@driver/agent/Sandbox"
import { SandboxNetwork } from "@driver/agent/SandboxProfile"
import { Containment } from "@driver/agent/Subprocess"
import { serve } from "@driver/cli/AllowListProxyNode"
import { Effect, Layer } from "effect"

const rounds = 100
const limit = 15
const env = { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: homedir() }

const directory = mkdtempSync(join(tmpdir(), "bench-sandbox-"))
const repository = join(directory, "repository")
const goalId = "00000000-0000-4000-8000-000000000001"
const workspace = join(directory, "state", "worktrees", goalId)
const git = (...args: ReadonlyArray<string>) =>
  execFileSync("git", ["-c", "user.name=b", "-c", "user.email=b@example.org", "-C", repository, ...args], {
    stdio: "pipe"
  })

const percentile = (times: ReadonlyArray<number>, share: number) =>
  [...times].sort((a, b) => a - b)[Math.floor((times.length - 1) * share)] ?? 0

const columns = (name: string, values: ReadonlyArray<string>) =>
  console.log(name.padEnd(40) + values.map((it) => it.padStart(8)).join(""))

const show = (name: string, times: ReadonlyArray<number>) => {
  columns(
    name,
    [0.1, 0.5, 0.9].map((share) => percentile(times, share).toFixed(1))
  )
  return percentile(times, 0.5)
}

const timed = (argv: ReadonlyArray<string>, cwd: string) => {
  const [program = "", ...args] = argv
  const started = performance.now()
  const { status, stderr } = spawnSync(program, args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })
  if (status !== 0) throw new Error(stderr)
  return performance.now() - started
}

const layer = (network: SandboxNetwork) =>
  Sandbox.layer({
    mode: "required",
    network,
    home: homedir(),
    searchPath: env.PATH,
    ownDirectories: [join(directory, "state")],
    writable: [],
    readable: [],
    mask: []
  }).pipe(Layer.provide(Containment.layer))

const command = { argv: ["bash", "-c", "true"], env, workspace, goalId }

const measure = Effect.gen(function* () {
  const socket = join(directory, "proxy.sock")
  yield* serve({ socket, hosts: ["example.org"] })
  const looks: Array<number> = []
  const bare: Array<number> = []
  const confined: Array<number> = []
  const proxied: Array<number> = []
  const { wrap } = yield* Effect.provide(Sandbox, layer(SandboxNetwork.None()))
  const behindProxy = yield* Effect.flatMap(
    Effect.provide(Sandbox, layer(SandboxNetwork.Proxy({ socket, loopback: "own" }))),
    (it) => it.wrap(command)
  )
  // In turn, so that whatever else the machine does is in all of them.
  for (let round = 0; round < rounds + 10; round++) {
    const started = performance.now()
    const { argv } = yield* wrap(command)
    const looked = performance.now() - started
    const times = [timed(command.argv, workspace), timed(argv, workspace), timed(behindProxy.argv, workspace)]
    if (round < 10) continue
    looks.push(looked)
    for (const [index, list] of [bare, confined, proxied].entries()) list.push(times[index] ?? 0)
  }
  columns("ms", ["p10", "median", "p90"])
  const without = show("bash -c true", bare)
  const lookup = show("looking up the profile", looks)
  const inside = show("the same in the sandbox", confined)
  show("the same with the network proxy", proxied)
  const cost = inside + lookup - without
  const best = percentile(confined, 0.1) + percentile(looks, 0.1) - percentile(bare, 0.1)
  console.log(`a start costs ${cost.toFixed(1)} ms more (${best.toFixed(1)} at best); the limit is ${limit} ms`)
  if (process.argv.includes("--check") && cost > limit) process.exitCode = 1
})

try {
  mkdirSync(repository)
  git("init", "-q", "-b", "main")
  git("commit", "-q", "--allow-empty", "-m", "first")
  git("worktree", "add", "-q", "-b", `driver/${goalId}`, workspace)
  await Effect.runPromise(Effect.scoped(measure))
} finally {
  rmSync(directory, { recursive: true, force: true })
}
