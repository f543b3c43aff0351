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
  if (isInstalled()) return
  say("Installing the locked dependencies (npm ci); one of them is compiled, this takes a minute or two …")
  npm("ci", "--no-audit", "--no-fund")
  markInstalled()
}

/**
 * The same without what packages do when they are installed, for whoever has something else to do meanwhile: answers the
 * command that does it, after which `markInstalled` is to be called; none when everything is there.
 */
export const ensureFetched = () => {
  if (isInstalled()) return
  say("Installing the locked dependencies (npm ci); then one of them is compiled, which takes a minute or two …")
  npm("ci", "--no-audit", "--no-fund", "--ignore-scripts")
  return ["npm", "rebuild"]
}

export const markInstalled = () => writeFileSync(stamp, readFileSync(lockfile, "utf8"))

const isInstalled = () => {
  const [major, minor] = process.versions.node.split(".").map(Number)
  if (major < 20 || (major === 20 && minor < 19)) {
    say(`driver needs Node 20.19 or newer, this is ${process.versions.node}`)
    process.exit(2)
  }
  return existsSync(stamp) && readFileSync(stamp, "utf8") === readFileSync(lockfile, "utf8")
}

const npm = (...args) => {
  try {
    execFileSync("npm", args, { cwd: root, stdio: ["ignore", 2, 2] })
  } catch {
    say(`npm ${args[0]} failed: its messages are above`)
    process.exit(2)
  }
}

const say = (sentence) => console.error(sentence)
