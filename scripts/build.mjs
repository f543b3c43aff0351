// Bundles the `driver` command, with the programs and files that it starts and reads, into packages/cli/dist.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { basename, dirname, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { buildPrograms, programs } from "./build-programs.mjs"

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..")
const dist = resolve(root, "packages/cli/dist")
const { version } = JSON.parse(readFileSync(resolve(root, "packages/cli/package.json"), "utf8"))

/** Written beside and renamed: whoever starts the command meanwhile gets the old one or the new one, whole. */
const write = (path, contents, mode = 0o644) => {
  mkdirSync(dirname(path), { recursive: true })
  const temporary = `${path}.${process.pid}`
  writeFileSync(temporary, contents, { mode })
  renameSync(temporary, path)
}

const copy = (from, to, mode) => write(to, readFileSync(from), mode)

export const buildCli = async () => {
  await buildPrograms()
  const { metafile, outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: { driver: "packages/cli/src/main.ts" },
    outdir: dist,
    outExtension: { ".js": ".mjs" },
    chunkNames: "chunk-[hash]",
    bundle: true,
    splitting: true,
    minify: true,
    write: false,
    metafile: true,
    platform: "node",
    target: "node20",
    format: "esm",
    // A native module cannot be bundled; pg's native half is optional and never used.
    external: ["better-sqlite3", "pg-native"],
    define: { __DRIVER_VERSION__: JSON.stringify(version) },
    // For CommonJS packages. The entry's own first line stays the first.
    banner: {
      js: `import { createRequire as __createRequire } from "node:module"\nconst require = __createRequire(import.meta.url)`
    },
    logLevel: "warning"
  })
  for (const target of Object.values(programs)) copy(resolve(root, target), resolve(dist, basename(target)), 0o755)
  copy(resolve(root, "packages/stub/scenarios/demo.yaml"), resolve(dist, "scenarios/demo.yaml"), 0o644)
  // The entry comes last: it names chunks, which are there by then.
  const entry = resolve(dist, "driver.mjs")
  for (const file of outputFiles) if (file.path !== entry) write(file.path, file.contents)
  for (const file of outputFiles) if (file.path === entry) write(file.path, file.contents, 0o755)
  removeStale(new Set(outputFiles.map(({ path }) => basename(path))))
  return metafile
}

/** Chunks of earlier builds go once nobody can still be loading them. */
const removeStale = (current) => {
  const hour = 3_600_000
  for (const name of readdirSync(dist)) {
    if (current.has(name) || !/^chunk-.*\.mjs/.test(name)) continue
    const path = resolve(dist, name)
    if (Date.now() - statSync(path).mtimeMs > hour) rmSync(path, { force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildCli()
