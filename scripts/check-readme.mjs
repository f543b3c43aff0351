// Executes every block of every README, so that none can lie.
//
//   ```sh          each line is run in a scratch repository with `driver` on the PATH; `npm run …` lines must name a script
//   ```yaml        first line `# <file>`: written into the scratch repository; goal files are linted
//   ```ts          type-checked; first line `// <file>.ts` is also run, `// <file>.test.ts` is run as a test
//   ```json/text   what the sh block before it printed, but for ids, times, paths and hashes
//
// A block of any other language is an offence: say what it is, or make it executable.
import { execFileSync, spawnSync } from "node:child_process"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { root } from "./ensure-installed.mjs"

const { buildCli } = await import("./build.mjs")
await buildCli()

const offences = []
const scripts = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts
const out = join(root, "build/readme")
rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })

/** What differs from run to run, made equal. */
const normalise = (text) =>
  text
    .replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "")
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "<id>")
    .replace(/~?(\/[\w.<>~-]+){2,}/g, "<path>")
    .replace(/\b[0-9a-f]{8}\b/g, "<short id>")
    .replace(/\b[0-9a-f]{40}\b/g, "<commit>")
    .replace(/"(elapsed|wall_time)": ?\d+/g, '"$1": <time>')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<moment>")
    .replace(/\b\d+(\.\d+)?\s?(ms|s|seconds?|minutes?|m)\b(\s?\d+(\.\d+)?\s?(ms|s|m)\b)*/g, "<time>")
    .split("\n")
    // What npm says of itself.
    .filter((line) => !line.startsWith("> "))
    .map((line) => line.trimEnd())
    .join("\n")
    .trim()

const blocksOf = (file) => {
  const text = readFileSync(join(root, file), "utf8")
  return [...text.matchAll(/^```(\S*)[^\n]*\n([\s\S]*?)^```$/gm)].map(([, language, code]) => ({ language, code }))
}

const scratch = mkdtempSync(join(tmpdir(), "driver-readme-"))
const bin = join(scratch, "bin")
const repository = join(scratch, "repository")
mkdirSync(bin)
mkdirSync(repository)
writeFileSync(
  join(bin, "driver"),
  `#!/bin/sh\nexec "${process.execPath}" "${join(root, "packages/cli/dist/driver.mjs")}" "$@"\n`
)
chmodSync(join(bin, "driver"), 0o755)
const env = {
  ...process.env,
  PATH: `${bin}:${process.env.PATH}`,
  HOME: join(scratch, "home"),
  XDG_STATE_HOME: join(scratch, "state"),
  NO_COLOR: "1"
}
mkdirSync(env.HOME)
const git = (...args) => execFileSync("git", args, { cwd: repository, env, stdio: "pipe" })
git("init", "-q", "-b", "main")
git("-c", "user.name=reader", "-c", "user.email=reader@localhost", "commit", "-q", "--allow-empty", "-m", "Begin")

const readmes = [
  "README.md",
  ...readdirSync(join(root, "packages")).map((name) => `packages/${name}/README.md`)
].filter((it) => existsSync(join(root, it)))
const toCheck = []
const counts = {}

for (const readme of readmes) {
  let printed
  blocksOf(readme).forEach(({ language, code }, index) => {
    const where = `${readme}, block ${index + 1}`
    counts[language] = (counts[language] ?? 0) + 1
    const first = code.split("\n", 1)[0]
    if (language === "ts") {
      const named = /^\/\/ (\S+\.ts)$/.exec(first)?.[1]
      const name = named ?? `${readme.replace(/\W+/g, "-")}-${index + 1}.ts`
      writeFileSync(join(out, name), code)
      toCheck.push({ where, name, run: named !== undefined })
      const lines = code.trimEnd().split("\n").length
      if (lines > 41) offences.push(`${where}: an example has at most 40 lines and its name, this has ${lines}`)
    } else if (language === "yaml") {
      const named = /^# (\S+)$/.exec(first)?.[1]
      if (named === undefined) offences.push(`${where}: the first line of a yaml block names its file`)
      else writeFileSync(join(repository, named), code)
    } else if (language === "sh") {
      printed = ""
      for (const line of code.split("\n").filter((it) => it.trim() !== "" && !it.startsWith("#"))) {
        const script = /^npm (?:run )?(?:--silent )?(\S+)/.exec(line)?.[1]
        if (script !== undefined) {
          if (scripts[script] === undefined) offences.push(`${where}: package.json has no script ${script}`)
          // The demo is short enough to be run as it stands; the test command is what runs this script.
          if (script !== "demo") continue
        }
        const cwd = script === undefined ? repository : root
        // npm wants the reader's own home, with its settings.
        const as = script === undefined ? env : process.env
        const result = spawnSync("bash", ["-c", line], { cwd, env: as, encoding: "utf8", timeout: 600_000 })
        printed += result.stdout
        if (result.status !== 0) {
          offences.push(
            `${where}: \`${line}\` ended with ${result.status ?? result.signal}:\n${result.stdout}${result.stderr}`
          )
        }
      }
    } else if (language === "json" || language === "text") {
      // A drawing.
      if (/[◀▶▲▼]/.test(code)) return
      if (printed === undefined) offences.push(`${where}: there is no sh block before this output`)
      else if (normalise(printed) !== normalise(code)) {
        offences.push(
          `${where} is not what was printed:\n${normalise(printed)}\n--- the README says:\n${normalise(code)}`
        )
      }
    } else {
      offences.push(`${where}: no way to execute \`${language || "a block without language"}\``)
    }
  })
}

if (toCheck.length > 0) {
  writeFileSync(
    join(out, "tsconfig.json"),
    JSON.stringify({
      extends: "../../tsconfig.base.json",
      compilerOptions: { composite: false, declaration: false, emitDeclarationOnly: false, noEmit: true },
      include: ["."]
    })
  )
  writeFileSync(join(out, "vitest.config.ts"), 'export default { test: { include: ["*.test.ts"] } }\n')
  const run = (where, command, args) => {
    const result = spawnSync(command, args, { cwd: root, encoding: "utf8", timeout: 600_000 })
    if (result.status !== 0) offences.push(`${where}:\n${result.stdout}${result.stderr}`)
  }
  run("type check of the ts blocks", "npx", ["--no-install", "tsc", "-p", "build/readme"])
  for (const { name, run: runs, where } of toCheck) {
    if (!runs) continue
    const file = resolve(out, name)
    if (name.endsWith(".test.ts")) run(where, "npx", ["--no-install", "vitest", "run", "--root", "build/readme", file])
    else run(where, process.execPath, ["--import", "tsx", file])
  }
}

rmSync(scratch, { recursive: true, force: true })
for (const offence of offences) console.error(`${offence}\n`)
const total = Object.entries(counts).map(([language, count]) => `${count} ${language}`)
console.log(`README blocks: ${total.join(", ")} in ${readmes.length} files; ${offences.length} offences`)
process.exitCode = offences.length === 0 ? 0 : 1
