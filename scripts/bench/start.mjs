// How long it takes until something happens: `driver --help`, and `driver run` until the agent reads its first prompt,
// both above `node -e 0` taken in the same run.
import { spawn, spawnSync } from "node:child_process"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { driver, median, nodeFloor, report, withWorld } from "./support.mjs"

const runs = 15

/** Each beside a floor of its own: what the machine gives to one changes within seconds. */
const floors = []
const above = (milliseconds, env) => {
  const floor = nodeFloor(3, env)
  floors.push(floor)
  return milliseconds - floor
}

const helps = Array.from({ length: runs }, () => {
  const started = performance.now()
  spawnSync(process.execPath, [driver, "--help"])
  return above(performance.now() - started)
})
report("driver --help above node -e 0", median(helps), "ms", 150, `floor ${median(floors).toFixed(0)} ms`)

await withWorld(1_000, async ({ directory, env, repository }) => {
  const prompts = join(directory, "prompts.jsonl")
  writeFileSync(
    join(directory, "scenario.json"),
    JSON.stringify({ record: prompts, turns: [{ steps: [{ say: "done" }] }] })
  )
  writeFileSync(
    join(directory, "driver.yaml"),
    "agent: { kind: stub, scenario: scenario.json }\nrepository: repository\n"
  )
  writeFileSync(join(directory, "goal.yaml"), "description: Say done\nacceptance: [{ shell: 'true' }]\n")
  const times = []
  floors.length = 0
  for (let index = 0; index < runs; index++) {
    rmSync(prompts, { force: true })
    const started = performance.timeOrigin + performance.now()
    const child = spawn(
      process.execPath,
      [driver, "run", join(directory, "goal.yaml"), "--config", join(directory, "driver.yaml"), "--json"],
      {
        cwd: repository,
        env,
        stdio: ["ignore", "ignore", "inherit"]
      }
    )
    await new Promise((done) => child.on("exit", done))
    const prompt = readFileSync(prompts, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line))
      .find((entry) => entry.event === "prompt")
    times.push(above(prompt.read_at - started, env))
  }
  report(
    "driver run until the first prompt, above node -e 0",
    median(times),
    "ms",
    400,
    `1,000 files, floor ${median(floors).toFixed(0)} ms`
  )
})
