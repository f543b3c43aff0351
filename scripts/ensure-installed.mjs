// Installs the locked dependencies when they are missing or older than the lockfile. Plain Node: it runs before there
// is anything else.
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { fileURLToPath } from "node:url"

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "..")

const lockfile = resolve(root, "package-lock.json")
const stamp = resolve(root, "node_modules/.driver-lockfile")

/** Leaves an up-to-date `node_modules` behind, or ends the process with a sentence. */
export const ensureInstalled = () => {
  const [major, minor] = process.versions.node.split(".").map(Number)
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`driver needs Node 20.19 or newer, this is ${process.versions.node}`)
    process.exit(2)
  }
  const wanted = readFileSync(lockfile, "utf8")
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return
  console.error("Installing the locked dependencies (npm ci); one of them is compiled, this takes a minute or two …")
  try {
    execFileSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: root, stdio: ["ignore", 2, 2] })
  } catch {
    console.error("npm ci failed: its messages are above")
    process.exit(2)
  }
  writeFileSync(stamp, wanted)
}
