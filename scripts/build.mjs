// Bundles the `driver` command, with the programs and files that it starts and reads, into packages/cli/dist.
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
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

/** One file, so that what V8 makes of it can be kept: see `packages/cli/src/launcher.ts`. */
const options = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  write: false,
  platform: "node",
  target: "node20",
  charset: "ascii",
  logLevel: "warning"
}

export const buildCli = async () => {
  await buildPrograms()
  const program = await build({
    ...options,
    entryPoints: ["packages/cli/src/main.ts"],
    outfile: resolve(dist, "driver.cjs"),
    format: "cjs",
    // A native module cannot be bundled, and pg's native half is never used; the others are only loaded where they are asked for.
    external: ["better-sqlite3", "pg-native", "pg", "undici"],
    // Megabytes, one of them with a file of its own beside it, and never used.
    alias: Object.fromEntries(
      ["@anthropic-ai/tokenizer", "gpt-tokenizer"].map((it) => [it, "./scripts/no-tokenizer.mjs"])
    ),
    define: { __DRIVER_VERSION__: JSON.stringify(version), "import.meta.url": "__url" },
    metafile: true
  })
  const launcher = await build({
    ...options,
    entryPoints: ["packages/cli/src/launcher.ts"],
    outfile: resolve(dist, "driver.mjs"),
    format: "esm"
  })
  for (const target of Object.values(programs)) copy(resolve(root, target), resolve(dist, basename(target)), 0o755)
  copy(resolve(root, "packages/stub/scenarios/demo.yaml"), resolve(dist, "scenarios/demo.yaml"), 0o644)
  const [bundle] = program.outputFiles
  const body = bundle.text.replace(/^#!.*/, "")
  const wrapped = `(function (require, module, __url) { const { exports } = module; ${body}\n})`
  // V8 itself only compares lengths.
  const id = createHash("sha256").update(wrapped).digest("hex").slice(0, 16)
  const cache = `${id}.cache`
  write(bundle.path, `/*${id}*/${wrapped}`)
  for (const file of launcher.outputFiles) write(file.path, file.contents, 0o755)
  for (const name of readdirSync(dist)) if (/^chunk-|\.cache$/.test(name) && name !== cache) rmSync(resolve(dist, name))
  if (!existsSync(resolve(dist, cache))) writeCodeCache(bundle.path, resolve(dist, cache))
  return program.metafile
}

/** Drives a small goal with the stand-in agent, and keeps what V8 has compiled by then. */
const writeCodeCache = (program, cache) => {
  const directory = mkdtempSync(resolve(tmpdir(), "driver-build-"))
  const { status, stderr } = spawnSync(
    process.execPath,
    [resolve(root, "scripts/code-cache.mjs"), program, directory, cache],
    {
      encoding: "utf8"
    }
  )
  rmSync(directory, { recursive: true, force: true })
  // Nothing depends on it but the time of a start.
  if (status !== 0) console.error(`driver was built without its compiled form: ${stderr}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildCli()
