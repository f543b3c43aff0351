// Bundles the `driver` command, with the programs and files that it starts and reads, into packages/cli/dist.
import { spawnSync } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { buildPrograms, programs } from "./build-programs.mjs"
import { bundleInParts } from "./bundle.mjs"

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

const options = {
  absWorkingDir: root,
  minify: true,
  platform: "node",
  target: "node20",
  charset: "ascii",
  logLevel: "warning"
}

/** See `lazy-ws.cjs`, which is the one that gets the real one. */
const lazyWs = {
  name: "lazy-ws",
  setup: ({ onResolve }) => {
    onResolve({ filter: /^ws$/ }, ({ importer }) =>
      basename(importer) === "lazy-ws.cjs" ? undefined : { path: resolve(root, "scripts/lazy-ws.cjs") }
    )
  }
}

/** How everything of the command is bundled that is not only its start. */
export const bundled = {
  ...options,
  bundle: true,
  // A native module cannot be bundled, and pg's native half is never used; the others are only loaded where they are asked for.
  external: ["better-sqlite3", "pg-native", "pg", "undici"],
  // Megabytes, one of them with a file of its own beside it, and never used.
  alias: Object.fromEntries(
    ["@anthropic-ai/tokenizer", "gpt-tokenizer"].map((it) => [it, "./scripts/no-tokenizer.mjs"])
  ),
  plugins: [lazyWs]
}

/** Beside the command line itself: what `driver run` reads from its start to its end. */
const layers = [
  ["packages/cli/src/main.ts"],
  [
    "packages/cli/src/Composition.ts",
    "packages/cli/src/commands/run.ts",
    "packages/cli/src/RenderPlain.ts",
    "packages/cli/src/yamlParser.ts"
  ]
]

export const buildCli = async () => {
  await buildPrograms()
  const { metafile, parts } = await bundleInParts({
    layers,
    options: {
      ...bundled,
      define: { __DRIVER_VERSION__: JSON.stringify(version), "import.meta.url": "__url" }
    }
  })
  const own = (name, outfile) =>
    build({
      ...options,
      bundle: true,
      write: false,
      entryPoints: [`packages/cli/src/${name}.ts`],
      outfile,
      format: "esm"
    })
  const launcher = await own("launcher", resolve(dist, "driver.mjs"))
  for (const target of Object.values(programs)) copy(resolve(root, target), resolve(dist, basename(target)), 0o755)
  copy(resolve(root, "packages/stub/scenarios/demo.yaml"), resolve(dist, "scenarios/demo.yaml"), 0o644)
  for (const { letter, text } of parts) write(resolve(dist, `driver-${letter}.cjs`), text)
  for (const file of launcher.outputFiles) write(file.path, file.contents, 0o755)
  const caches = parts.map(({ id }) => `${id}.cache`)
  for (const name of readdirSync(dist)) {
    if (name === "driver.cjs" || (name.endsWith(".cache") && !caches.includes(name))) rmSync(resolve(dist, name))
  }
  if (caches.some((name) => !existsSync(resolve(dist, name)))) {
    const loader = await own("parts", resolve(dist, "parts.mjs"))
    writeCodeCache(loader.outputFiles[0].contents)
  }
  return metafile
}

/** Drives a small goal with the stand-in agent, lists it, and keeps what V8 has compiled by then. */
const writeCodeCache = (loader) => {
  const directory = mkdtempSync(resolve(tmpdir(), "driver-build-"))
  writeFileSync(resolve(directory, "parts.mjs"), loader)
  for (const command of ["run", "list", "ask"]) {
    const args = [resolve(root, "scripts/code-cache.mjs"), dist, directory, command]
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" })
    // Nothing depends on it but the time of a start.
    if (status !== 0) console.error(`driver was built without its compiled form: ${stderr}`)
  }
  rmSync(directory, { recursive: true, force: true })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildCli()
