/**
 * Loads the bundle, which comes in parts: what every command needs, what `driver run` needs besides, and the rest. Each
 * part is one script, read together with what V8 has compiled of it before: that takes a fifth of the time that compiling
 * does. Where it does not fit (another version of Node, other flags), or is missing, V8 compiles.
 *
 * `scripts/bundle.mjs` says what is in a part.
 */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { Script } from "node:vm"

type Require = (name: string) => unknown

/** One chunk of modules. What it exports is what it returns. */
type Chunk = (require: Require, load: (name: string) => Promise<unknown>, url: string) => unknown

export interface Part {
  readonly script: Script
  /** Where its compiled form is looked for. */
  readonly cache: string
}

const read = (path: string): Buffer | undefined => {
  try {
    return readFileSync(path)
  } catch {
    return undefined
  }
}

/** A chunk is named by the letter of its part and a number: `a12` is in `driver-a.cjs`. Other names are Node's to find. */
const isChunk = (name: string): boolean => /^[a-z]\d+$/.test(name)

const damaged = (missing: string) =>
  new Error(`the installation of driver is damaged: there is no ${missing}; install it again`)

/** Runs the chunk that the program begins with. `onPart` is told of each part when it is read. */
export const start = (directory: string, onPart: (part: Part) => void = () => {}): void => {
  const url = pathToFileURL(join(directory, "driver.mjs")).href
  const requireOther = createRequire(url)
  const parts = new Map<string, Readonly<Record<string, Chunk>>>()
  const exported = new Map<string, unknown>()

  const readPart = (letter: string) => {
    const known = parts.get(letter)
    if (known !== undefined) return known
    const filename = join(directory, `driver-${letter}.cjs`)
    // esbuild writes ASCII only.
    const source = read(filename)?.toString("latin1")
    if (source === undefined) throw damaged(`file ${filename}`)
    // It begins with a comment that says which build it is.
    const cache = join(directory, `${source.slice(2, 18)}.cache`)
    const cachedData = read(cache)
    const script = new Script(source, { filename, ...(cachedData === undefined ? {} : { cachedData }) })
    onPart({ script, cache })
    const chunks: Readonly<Record<string, Chunk>> = script.runInThisContext()
    parts.set(letter, chunks)
    return chunks
  }

  const requireChunk: Require = (name) => {
    if (!isChunk(name)) return requireOther(name)
    if (exported.has(name)) return exported.get(name)
    const chunk = readPart(name.charAt(0))[name]
    if (chunk === undefined) throw damaged(name)
    const value = chunk(requireChunk, load, url)
    exported.set(name, value)
    return value
  }

  /** What is not ours came from CommonJS: all of it is its `default` as well. */
  const load = async (name: string): Promise<unknown> => {
    const value = requireChunk(name)
    if (isChunk(name)) return value
    return Object.assign({ default: value }, value)
  }

  requireChunk("a0")
}
