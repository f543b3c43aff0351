// Measures the permission gate: how soon its program is ready, how much memory it takes, and how long a question
// takes over the socket and through the program, each against a floor of the same run.
import { spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { buildPrograms } from "./build-programs.mjs"

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..")
const gate = join(root, "packages/permission/dist/driver-gate.mjs")
const directory = mkdtempSync(join(tmpdir(), "bench-gate-"))
const concurrency = 32
const rounds = 10
const perRound = 2_000

const at = (values, share) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))]
const median = (values) => at(values, 0.5)
const ms = (value) => `${value.toFixed(2)} ms`

/** A driver with the socket and one goal; prints the goal's socket and token. */
const driver = `
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { PermissionGate } from "@driver/agent/PermissionGate"
import { AskDecider } from "@driver/permission/AskDecider"
import { CommandAnalyzer } from "@driver/permission/CommandAnalyzer"
import { LlmDecider } from "@driver/permission/LlmDecider"
import * as PermissionSocket from "@driver/permission/PermissionSocket"
import { PermissionDecider } from "@driver/permission/PermissionDecider"
import * as RulesDecider from "@driver/permission/RulesDecider"
import { UnixSockets } from "@driver/permission/UnixSockets"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
const [directory, workspace, program, decider] = process.argv.slice(2)
const layer = PermissionSocket.layer({ directory, program: { command: process.execPath, args: [program] } }).pipe(
  Layer.provide([
    decider === "rules" ? RulesDecider.layer() : PermissionDecider.layerAllowAll,
    Layer.succeed(UnixSockets, {
      listen: (path) => NodeSocketServer.make({ path }),
      connect: (path) => NodeSocket.makeNet({ path })
    })
  ]),
  Layer.provide([CommandAnalyzer.layer(), LlmDecider.layerNone, AskDecider.layerNone]),
  Layer.provide(NodeContext.layer)
)
Effect.gen(function* () {
  const gate = yield* PermissionGate
  const ticket = yield* gate.register({
    goalId: "6f1c2b1e-8d61-4c0a-9d55-0d6a3e6b7c11",
    workspace,
    criteriaCommands: ["npm test"],
    description: "",
    onApproval: () => Effect.void,
    onRequest: () => Effect.void,
    review: (_request, _key, outcome) => Effect.succeed(outcome),
    claimMessages: Effect.succeedNone,
    onDecision: () => Effect.void
  })
  const { path, token } = ticket.socket.value
  process.stdout.write(JSON.stringify({ path, token: Redacted.value(token) }) + "\\n")
  yield* Effect.never
}).pipe(Effect.provide(layer), Effect.scoped, Effect.runFork)
`

const bundleDriver = () =>
  build({
    stdin: { contents: driver, resolveDir: join(root, "packages/cli"), loader: "ts" },
    outfile: join(directory, "driver.mjs"),
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    banner: { js: `import { createRequire } from "node:module"\nconst require = createRequire(import.meta.url)` },
    logLevel: "warning"
  })

const workspace = join(directory, "tree")
mkdirSync(workspace)
writeFileSync(join(workspace, "a.ts"), "")

const startDriver = async (decider) => {
  const args = [join(directory, "driver.mjs"), join(directory, decider), workspace, gate, decider]
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
  const line = await new Promise((resolve) => child.stdout.once("data", (chunk) => resolve(String(chunk))))
  return { child, ...JSON.parse(line) }
}

const linesOf = (stream, onLine) => {
  let text = ""
  stream.setEncoding("utf8")
  stream.on("data", (chunk) => {
    text += chunk
    const lines = text.split("\n")
    text = lines.pop()
    for (const line of lines) onLine(line)
  })
}

/** Keeps `concurrency` questions in flight; resolves with the time of each. */
const roundTrips = (send, answers, count, from) =>
  new Promise((resolve) => {
    const times = []
    const started = new Map()
    let next = 0
    const ask = () => {
      if (next >= count) return
      const id = from + next++
      started.set(id, performance.now())
      send(id)
    }
    answers.current = (id) => {
      const start = started.get(id)
      if (start === undefined) return
      times.push(performance.now() - start)
      if (times.length === count) resolve(times)
      else ask()
    }
    for (let n = 0; n < concurrency; n++) ask()
  })

/** Milliseconds of both kinds that the process has used. */
const cpuOf = (pid) => {
  try {
    const [, fields] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")
    const [utime, stime] = fields.split(" ").slice(11, 13)
    return (Number(utime) + Number(stime)) * 10
  } catch {
    return Number.NaN
  }
}

const measure = async (label, send, answers, pid = process.pid) => {
  const p50 = []
  const p99 = []
  let cpu = 0
  for (let round = 0; round <= rounds; round++) {
    const times = await roundTrips(send, answers, perRound, 1 + round * perRound)
    // The first round warms up.
    if (round === 0) {
      cpu = cpuOf(pid)
      continue
    }
    p50.push(at(times, 0.5))
    p99.push(at(times, 0.99))
  }
  const each = ((cpuOf(pid) - cpu) * 1_000) / (rounds * perRound)
  console.log(
    `${label.padEnd(44)} p50 ${ms(median(p50))}, p99 ${ms(median(p99))}, ${each.toFixed(0)} µs of CPU each (${concurrency} at once, ${rounds} × ${perRound})`
  )
}

const readyTime = (args, onOutput) =>
  new Promise((resolve) => {
    const started = performance.now()
    const child = spawn(process.execPath, args, { env: {}, stdio: ["pipe", "pipe", "inherit"] })
    if (onOutput === undefined) child.on("exit", () => resolve({ time: performance.now() - started }))
    else {
      child.stdin.write(
        `${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params: { protocolVersion: "2025-11-25" } })}\n`
      )
      child.stdout.once("data", () => {
        const time = performance.now() - started
        const memory = onOutput(child.pid)
        child.stdin.end()
        child.on("exit", () => resolve({ time, memory }))
      })
    }
  })

const residentMegabytes = (pid) => {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024
  } catch {
    return Number.NaN
  }
}

await buildPrograms()
const floor = []
const ready = []
const memory = []
for (let n = 0; n < 15; n++) {
  floor.push((await readyTime(["-e", "0"])).time)
  const started = await readyTime([gate], residentMegabytes)
  ready.push(started.time)
  memory.push(started.memory)
}
console.log(`node -e 0, from start to end                 ${ms(median(floor))}`)
console.log(
  `gate program, from start to initialized      ${ms(median(ready))} (${ms(median(ready) - median(floor))} above node; limit 120 ms)`
)
console.log(`gate program, resident                       ${median(memory).toFixed(1)} MB (limit 60 MB)`)

const question = (id, token) => ({
  kind: "decide",
  id,
  token,
  request: { tool: "Read", input: { file_path: "a.ts" }, tool_use_id: `toolu_${id}` }
})

const echoPath = join(directory, "echo.sock")
const echo = createServer((socket) => socket.pipe(socket)).listen(echoPath)
await new Promise((resolve) => echo.once("listening", resolve))
await bundleDriver()
const plain = await startDriver("allow-all")
const rules = await startDriver("rules")
try {
  for (const [label, path, token, pid] of [
    ["echo of a socket in this process (floor)", echoPath, "", process.pid],
    ["gate over the socket (limits 2 and 8 ms)", plain.path, plain.token, plain.child.pid],
    ["gate over the socket, with the default rules", rules.path, rules.token, rules.child.pid]
  ]) {
    const socket = connect(path)
    const answers = { current: () => {} }
    linesOf(socket, (line) => answers.current(JSON.parse(line).id))
    await measure(label, (id) => socket.write(`${JSON.stringify(question(id, token))}\n`), answers, pid)
    socket.destroy()
  }
  const env = { DRIVER_GATE_SOCKET: plain.path, DRIVER_GATE_TOKEN: plain.token }
  const program = spawn(process.execPath, [gate], { env, stdio: ["pipe", "pipe", "inherit"] })
  const answers = { current: () => {} }
  linesOf(program.stdout, (line) => answers.current(JSON.parse(line).id))
  const send = (id) => {
    const { input, tool } = question(id, "").request
    const params = { name: "permission_prompt", arguments: { tool_name: tool, input, tool_use_id: `toolu_${id}` } }
    program.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params })}\n`)
  }
  await measure("gate through its program", send, answers, program.pid)
  const asked = (rounds + 1) * perRound
  console.log(`gate program after ${asked} questions, resident    ${residentMegabytes(program.pid).toFixed(1)} MB`)
  console.log(
    `driver after ${2 * asked} questions, resident          ${residentMegabytes(plain.child.pid).toFixed(1)} MB`
  )
  program.stdin.end()
} finally {
  plain.child.kill()
  rules.child.kill()
  echo.close()
  rmSync(directory, { recursive: true, force: true })
}
