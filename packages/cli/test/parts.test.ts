import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type Part, start } from "@driver/cli/parts"
import { assert, describe, it } from "@effect/vitest"

const idOf = (letter: string) => letter.repeat(16)

/** A bundle: its parts by letter, each with its chunks by name. What the chunks say is in the answer, in order. */
const run = (parts: Readonly<Record<string, string>>, caches: Readonly<Record<string, string>> = {}) => {
  const directory = mkdtempSync(join(tmpdir(), "driver-parts-"))
  const read: Array<Part> = []
  try {
    for (const [letter, chunks] of Object.entries(parts)) {
      writeFileSync(join(directory, `driver-${letter}.cjs`), `/*${idOf(letter)}*/({${chunks}})`)
    }
    for (const [letter, cache] of Object.entries(caches)) writeFileSync(join(directory, `${idOf(letter)}.cache`), cache)
    start(directory, (part) => read.push(part))
    return read.map(({ cache, script }) => ({
      cache: cache.slice(directory.length + 1),
      rejected: script.cachedDataRejected
    }))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** What a chunk does with what it gets: leaves it where the test finds it. */
const heard: Array<unknown> = []
Object.assign(globalThis, { __heard: heard })

describe("parts", () => {
  it("runs the first chunk, and reads another part when something of it is asked for, once", () => {
    heard.length = 0
    const read = run({
      a: `a0: (require) => { __heard.push(require("b1").two, require("a1").one) }, a1: () => ({ one: 1 })`,
      b: `b1: (require) => { __heard.push("b1"); require("b0"); return { two: 2 } }, b0: () => { __heard.push("b0") }`,
      c: `c0: () => { __heard.push("never") }`
    })
    assert.deepStrictEqual(heard, ["b1", "b0", 2, 1])
    assert.deepStrictEqual(read, [
      { cache: `${idOf("a")}.cache`, rejected: undefined },
      { cache: `${idOf("b")}.cache`, rejected: undefined }
    ])
  })

  it("runs a chunk once, however often it is asked for", async () => {
    heard.length = 0
    run({
      a: `a0: (require, load) => { require("a1"); require("a1"); __heard.push(load("a1")) }, a1: () => { __heard.push("a1"); return { one: 1 } }`
    })
    assert.strictEqual(heard[0], "a1")
    assert.deepStrictEqual(await heard[1], { one: 1 })
    assert.strictEqual(heard.length, 2)
  })

  it("finds what is not its own where Node does, and gives import() a default", async () => {
    heard.length = 0
    run({ a: `a0: (require, load) => { __heard.push(require("node:path").sep, load("node:path")) }` })
    assert.strictEqual(heard[0], "/")
    const { default: path, sep } = Object(await heard[1])
    assert.strictEqual(sep, "/")
    assert.strictEqual(path.sep, "/")
  })

  it("compiles anew where the compiled form does not fit", () => {
    heard.length = 0
    const read = run({ a: `a0: () => { __heard.push("ran") }` }, { a: "not V8's" })
    assert.deepStrictEqual(heard, ["ran"])
    assert.deepStrictEqual(read, [{ cache: `${idOf("a")}.cache`, rejected: true }])
  })

  it("says what to do when a chunk or a part is missing", () => {
    assert.throws(() => run({ a: `a0: (require) => require("a7")` }), /there is no a7; install it again/)
    assert.throws(() => run({}), /there is no file .*driver-a\.cjs; install it again/)
  })
})

/** As the launcher does it, in a process of its own: flags are for all of one. */
const fits = `
const { readFileSync } = require("node:fs")
const { Script } = require("node:vm")
require("node:v8").setFlagsFromString("--no-opt")
const directory = process.argv[1]
for (const letter of "abc") {
  const source = readFileSync(directory + "/driver-" + letter + ".cjs", "latin1")
  const cachedData = readFileSync(directory + "/" + source.slice(2, 18) + ".cache")
  console.log(letter, new Script(source, { cachedData }).cachedDataRejected)
}`

describe("The built command", () => {
  it("has compiled forms of all of its parts that fit", () => {
    const dist = fileURLToPath(new URL("../dist", import.meta.url))
    assert.strictEqual(
      execFileSync(process.execPath, ["-e", fits, dist], { encoding: "utf8" }),
      "a false\nb false\nc false\n"
    )
  })
})
