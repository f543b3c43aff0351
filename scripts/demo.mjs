// The first run: installs and builds what is missing, then runs `driver demo` with the arguments given here.
import { spawnSync } from "node:child_process"
import { resolve } from "node:path"
import { ensureInstalled, root } from "./ensure-installed.mjs"

ensureInstalled()
const { buildCli } = await import("./build.mjs")
await buildCli()
const driver = resolve(root, "packages/cli/dist/driver.mjs")
const { status, signal } = spawnSync(process.execPath, [driver, "demo", ...process.argv.slice(2)], { stdio: "inherit" })
process.exitCode = signal === null ? (status ?? 2) : 130
