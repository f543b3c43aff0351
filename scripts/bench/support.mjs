// What the benchmarks share: medians, floors, worlds of their own.
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

// The benchmarks are started from the root, also as bundles.
const root = process.cwd()

export const driver = join(root, "packages/cli/dist/driver.mjs")
export const stub = join(root, "packages/cli/dist/driver-stub.mjs")

export const median = (numbers) => quantile(numbers, 0.5)

export const quantile = (numbers, q) => {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]
}

/** Milliseconds of `node -e 0`, median: what any program on Node costs here and now, in the environment of what is measured. */
export const nodeFloor = (runs = 15, env = process.env) =>
  median(
    Array.from({ length: runs }, () => {
      const started = performance.now()
      spawnSync(process.execPath, ["-e", "0"], { env })
      return performance.now() - started
    })
  )

/** Prints one figure against its limit, and keeps the exit status. */
export const report = (name, value, unit, limit, detail = "") => {
  const ok = value <= limit
  console.log(
    `${ok ? "✓" : "✗"} ${name}: ${value.toFixed(1)} ${unit} (limit ${limit} ${unit})${detail === "" ? "" : ` · ${detail}`}`
  )
  if (!ok) process.exitCode = 1
}

/** A directory with a repository of `files` small files, removed when `body` has ended. */
export const withWorld = async (files, body) => {
  const directory = mkdtempSync(join(tmpdir(), "driver-bench-"))
  try {
    const repository = join(directory, "repository")
    mkdirSync(repository)
    for (let index = 0; index < files; index++) {
      const folder = join(repository, `d${index % 20}`)
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, `f${index}.txt`), `file ${index}\n`.repeat(20))
    }
    const git = (...args) =>
      execFileSync("git", ["-c", "user.name=b", "-c", "user.email=b@localhost", ...args], { cwd: repository })
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-q", "--allow-empty", "-m", "Begin")
    mkdirSync(join(directory, "home"))
    const env = {
      PATH: process.env.PATH,
      HOME: join(directory, "home"),
      XDG_STATE_HOME: join(directory, "state"),
      LANG: "C.UTF-8"
    }
    return await body({ directory, repository, env })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
