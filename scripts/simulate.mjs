// Simulated worlds from one seed: `npm run simulate -- --seed N --goals M`. Bundled first: it starts faster and runs as
// it would be shipped.
import { spawnSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { build } from "esbuild"
import { ensureInstalled, root } from "./ensure-installed.mjs"

ensureInstalled()
const out = join(root, "build/simulate")
mkdirSync(out, { recursive: true })
const file = join(out, "simulate.mjs")
await build({
  absWorkingDir: root,
  entryPoints: ["scripts/simulate.ts"],
  outfile: file,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  banner: {
    js: `import { createRequire as __createRequire } from "node:module"\nconst require = __createRequire(import.meta.url)`
  },
  logLevel: "warning"
})
const { signal, status } = spawnSync(process.execPath, [file, ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit"
})
process.exitCode = signal === null ? (status ?? 2) : 130
