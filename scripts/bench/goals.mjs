// 50 goals at once with the stand-in agent, in `driver serve` as it is shipped: all finish, and the daemon's own memory
// stays bounded. The daemon is a process of its own, so that what it has resident is all its own.
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { driver, report, withWorld } from "./support.mjs"

const count = 50
const limitSeconds = 120

await withWorld(100, async ({ directory, env, repository }) => {
  writeFileSync(
    join(directory, "scenario.json"),
    JSON.stringify({
      turns: [
        // Long enough that the last one is at work before the first one has ended.
        { steps: [{ delay: "20s" }, { say: "I think I have finished." }] },
        { steps: [{ tool: "Write", input: { file_path: "hello.txt", content: "Hello\n" } }, { say: "done" }] }
      ]
    })
  )
  const config = join(directory, "driver.yaml")
  writeFileSync(config, "agent: { kind: stub, scenario: scenario.json }\nrepository: repository\n")
  const goals = Array.from({ length: count }, (_, index) => {
    const file = join(directory, `goal-${index}.yaml`)
    writeFileSync(
      file,
      "description: Create hello.txt\nacceptance: [{ shell: test -s hello.txt }, { file: hello.txt, matches: Hello }]\n"
    )
    return file
  })
  const call = (...args) =>
    execFileSync(process.execPath, [driver, ...args, "--config", config], { cwd: repository, env, encoding: "utf8" })

  const daemon = spawn(
    process.execPath,
    [driver, "serve", "--config", config, "--max-concurrent", String(count), "--per-repository", "0"],
    { cwd: repository, env, stdio: ["ignore", "pipe", "inherit"] }
  )
  const exited = once(daemon, "exit")
  try {
    await once(daemon.stdout, "data")
    daemon.stdout.resume()
    const started = performance.now()
    call("submit", ...goals)
    let listed = []
    let atWork = 0
    do {
      await sleep(500)
      listed = JSON.parse(call("list", "--all", "--json"))
      atWork = Math.max(atWork, listed.filter(({ phase }) => phase === "Working").length)
    } while (listed.some(({ outcome }) => outcome === undefined) && performance.now() - started < limitSeconds * 1_000)
    const undone = listed.filter(({ outcome }) => outcome?.outcome.kind !== "done")
    for (const goal of undone.slice(0, 3)) console.log(JSON.stringify(goal.outcome ?? goal))
    report(
      `goals of ${count} at once that did not finish`,
      count - listed.length + undone.length,
      "goals",
      0,
      `${((performance.now() - started) / 1000).toFixed(1)} s in all`
    )
    report("of them never at work at the same time", count - atWork, "goals", 0)
    const status = readFileSync(`/proc/${daemon.pid}/status`, "utf8")
    const peak = Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024
    report("the driver's resident memory, at its highest", peak, "MB", 150)
  } finally {
    daemon.kill("SIGTERM")
    await exited
  }
})
