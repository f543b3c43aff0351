// Bundles what a package's tests run as a process of its own: as source it would take a second or two of each start.
import { mkdirSync, renameSync, writeFileSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..")

/** Project → sources, from the repository's root. The bundle of `a.ts` is `build/test-programs/<project>/a.mjs`. */
const programs = {
  agent: ["packages/agent/test/fixtures/subprocess/driver.ts"],
  runtime: ["packages/runtime/test/fixtures/sandboxPrefix.ts"],
  store: ["packages/store/test/support/appendForever.ts", "packages/store/test/support/openAndBind.ts"]
}

/** vitest's global setup. Written beside and renamed: another run of the tests never reads half a program. */
export default async ({ name }) => {
  const directory = join(root, "build/test-programs", name)
  mkdirSync(directory, { recursive: true })
  for (const source of programs[name] ?? []) {
    const { outputFiles } = await build({
      absWorkingDir: root,
      entryPoints: [source],
      bundle: true,
      write: false,
      platform: "node",
      target: "node20",
      format: "esm",
      external: ["better-sqlite3", "pg-native", "pg"],
      banner: {
        js: `import { createRequire as __createRequire } from "node:module"\nconst require = __createRequire(import.meta.url)`
      },
      logLevel: "warning"
    })
    const target = join(directory, basename(source).replace(/\.ts$/, ".mjs"))
    const temporary = `${target}.${process.pid}`
    writeFileSync(temporary, outputFiles[0].contents)
    renameSync(temporary, target)
  }
}
