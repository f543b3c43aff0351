// Runs the bundled `driver` on a small goal and writes down what V8 has compiled by the end of it: what the launcher reads.
// Arguments: the bundle, an empty directory, the file to write.
import { execFileSync } from "node:child_process"
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { Script } from "node:vm"

const [bundle, directory, cache] = process.argv.slice(2)
const repository = join(directory, "repository")
mkdirSync(repository)
const git = (...args) =>
  execFileSync("git", ["-c", "user.name=b", "-c", "user.email=b@localhost", ...args], {
    cwd: repository,
    stdio: "ignore"
  })
git("init", "-q", "-b", "main")
git("commit", "-q", "--allow-empty", "-m", "Begin")
writeFileSync(
  join(directory, "scenario.json"),
  JSON.stringify({
    turns: [
      { steps: [{ tool: "Bash", input: { command: "curl localhost" } }, { say: "not yet" }] },
      { steps: [{ tool: "Write", input: { file_path: "a.txt", content: "a\n" } }, { say: "done" }] }
    ]
  })
)
writeFileSync(
  join(directory, "driver.yaml"),
  "agent: { kind: stub, scenario: scenario.json }\nrepository: repository\n"
)
writeFileSync(join(directory, "goal.yaml"), "description: Write a.txt\nacceptance: [{ shell: test -s a.txt }]\n")

process.env.HOME = directory
process.env.XDG_STATE_HOME = join(directory, "state")
process.argv = [
  process.execPath,
  bundle,
  "run",
  join(directory, "goal.yaml"),
  "--config",
  join(directory, "driver.yaml"),
  "--events",
  join(directory, "events.jsonl")
]
const script = new Script(readFileSync(bundle, "latin1"), { filename: bundle })
process.on("exit", (code) => {
  if (code !== 0) return
  writeFileSync(`${cache}.${process.pid}`, script.createCachedData())
  renameSync(`${cache}.${process.pid}`, cache)
})
script.runInThisContext()(createRequire(bundle), { exports: {} }, pathToFileURL(bundle).href)
