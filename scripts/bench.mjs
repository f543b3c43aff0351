// Measures what the project promises, each figure against a floor taken in the same run. `npm run bench [name…]`.
import { spawnSync } from "node:child_process"
import { copyFileSync, existsSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import { build } from "esbuild"
import { ensureInstalled, root } from "./ensure-installed.mjs"

ensureInstalled()
const { buildCli, bundled } = await import("./build.mjs")
await buildCli()

const benches = [
  "start",
  "turn",
  "goals",
  "leaks",
  "daemon",
  "decode",
  "gate",
  "store",
  "analyzer",
  "policy",
  "sandbox",
  "sse"
]
const wanted = process.argv.length > 2 ? process.argv.slice(2) : benches
const out = join(root, "build/bench")
mkdirSync(out, { recursive: true })
// What a bundle looks for beside itself.
for (const name of ["driver-gate.mjs", "driver-stub.mjs"]) {
  copyFileSync(join(root, "packages/cli/dist", name), join(out, name))
}

for (const name of wanted) {
  const source = [
    `scripts/bench/${name}.ts`,
    `scripts/bench/${name}.mjs`,
    `scripts/bench-${name}.ts`,
    `scripts/bench-${name}.mjs`
  ].find((it) => existsSync(join(root, it)))
  if (source === undefined) {
    console.error(`there is no benchmark ${name}: ${benches.join(", ")}`)
    process.exit(2)
  }
  console.log(`\n── ${name}`)
  let file = join(root, source)
  if (source.endsWith(".ts")) {
    // Measured as it is shipped: bundled.
    file = join(out, `${name}.mjs`)
    await build({
      ...bundled,
      entryPoints: [source],
      outfile: file,
      format: "esm",
      banner: {
        js: `import { createRequire as __createRequire } from "node:module"\nconst require = __createRequire(import.meta.url)`
      }
    })
  }
  const { status } = spawnSync(process.execPath, ["--expose-gc", file], { cwd: root, stdio: "inherit" })
  if (status !== 0) process.exitCode = 1
}
