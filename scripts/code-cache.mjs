// Runs a command of the bundled `driver` and writes down what V8 has compiled by the end of it, for each part of the bundle of
// which that is not written down yet: what the launcher reads.
// Arguments: where the bundle is, a directory with its loader, `parts.mjs`, and `run` (a small goal) or, after that, `list`, and
// after that `ask`, which adds to what the one before has written down of the last part: all that is read in few commands.
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { setFlagsFromString } from "node:v8"

const [dist, directory, command] = process.argv.slice(2)
const { start } = await import(pathToFileURL(join(directory, "parts.mjs")).href)
const repository = join(directory, "repository")
if (!existsSync(repository)) {
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
  writeFileSync(
    join(directory, "ask.yaml"),
    "agent: { kind: stub, scenario: scenario.json }\nrepository: repository\nmodel: { provider: scripted, script: answers.json }\n"
  )
  const check = { kind: "command", statement: "a.txt is there.", command: "test -s a.txt", guard: false }
  const criterion = { ...check, expected_exit: null, stdout_must_match: null, path: null, regex: null }
  const plan = {
    goal: "Write a.txt.",
    constraints: [],
    acceptance_criteria: [criterion],
    output_schema: null,
    assumptions: []
  }
  const task = { kind: "task", reply: null, questions: null, scope: "substantial", follow_up: null }
  const met = { criterion: 0, met: true, evidence: "a" }
  const answers = {
    assess: task,
    crystallize: plan,
    review: { passed: true, score: 1, criteria: [met], notes: [], gaps: [] }
  }
  writeFileSync(
    join(directory, "answers.json"),
    JSON.stringify(Object.entries(answers).map(([ask, answer]) => ({ ask, answer })))
  )
}

process.env.HOME = directory
process.env.XDG_STATE_HOME = join(directory, "state")
const config = ["--config", join(directory, "driver.yaml")]
const commands = {
  run: ["run", join(directory, "goal.yaml"), ...config, "--events", join(directory, "events.jsonl")],
  list: ["list", ...config],
  ask: ["ask", "Write a.txt", "--yes", "--config", join(directory, "ask.yaml")]
}
process.argv = [process.execPath, join(dist, "driver.mjs"), ...commands[command]]
// As the launcher has it: V8 keeps to what was compiled with the same flags.
setFlagsFromString("--no-opt")
// What ran only once, at the start, is still there at the end.
setFlagsFromString("--no-flush-bytecode")
const parts = []
/** All parts have been read: the last one is what else the command needs. */
const isWanting = ({ cache }) => !existsSync(cache) || (command === "ask" && cache === parts.at(-1)?.cache)
process.on("exit", (code) => {
  if (code !== 0) return
  // The flags of a start, whatever has been set since.
  setFlagsFromString("--flush-bytecode")
  setFlagsFromString("--no-opt")
  for (const { cache, script } of parts.filter(isWanting)) {
    writeFileSync(`${cache}.${process.pid}`, script.createCachedData())
    renameSync(`${cache}.${process.pid}`, cache)
  }
})
start(dist, (part) => parts.push(part))
