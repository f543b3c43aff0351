// Bundles the two small programs that a running driver starts: the permission gate and the stand-in agent.
// Also vitest's global setup, so that process-level tests always run what the sources say.
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..")

/** source → bundle, both from the repository's root */
export const programs = {
  "packages/permission/src/gateProgram.ts": "packages/permission/dist/driver-gate.mjs",
  "packages/stub/src/main.ts": "packages/stub/dist/driver-stub.mjs"
}

/** Written beside and renamed: a test that runs at the same time never reads half a program. */
export const buildPrograms = async () => {
  for (const [source, target] of Object.entries(programs)) {
    if (!existsSync(resolve(root, source))) continue
    const out = resolve(root, target)
    const { outputFiles } = await build({
      absWorkingDir: root,
      entryPoints: [source],
      outfile: out,
      bundle: true,
      write: false,
      platform: "node",
      target: "node20",
      format: "esm",
      banner: {
        js: `#!/usr/bin/env node\nimport { createRequire as __createRequire } from "node:module"\nconst require = __createRequire(import.meta.url)`
      },
      logLevel: "warning"
    })
    mkdirSync(dirname(out), { recursive: true })
    for (const file of outputFiles) {
      const temporary = `${file.path}.${process.pid}`
      writeFileSync(temporary, file.contents, { mode: 0o755 })
      renameSync(temporary, file.path)
    }
  }
}

export default buildPrograms

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildPrograms()
