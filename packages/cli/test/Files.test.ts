import { readDocument, substituteText } from "@driver/cli/Files"
import type { InputError } from "@driver/cli/InputError"
import { formatPath, parsePath } from "@driver/cli/InputError"
import { FileSystem, Path } from "@effect/platform"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Layer } from "effect"
import { directoryWith } from "./support/files.js"

const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)

const read = (content: string | Uint8Array, environment: Record<string, string> = {}, name = "goal.yaml") =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const root = yield* directoryWith({ [name]: content })
    return yield* readDocument(path.join(root, name), environment).pipe(
      Effect.map(({ value }) => value),
      Effect.mapError((error: InputError) => error.message.replaceAll(`${root}/`, ""))
    )
  }).pipe(Effect.provide(platform), Effect.scoped)

const bytes = (...parts: ReadonlyArray<string | number>) =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === "number" ? [part] : [...new TextEncoder().encode(part)])))

const bomb = [
  "a: &a [x, x, x, x, x, x, x, x, x, x]",
  ...["b", "c", "d", "e", "f", "g", "h"].map(
    (name, index) => `${name}: &${name} [${Array.from({ length: 10 }, () => `*${"abcdefgh"[index]}`).join(", ")}]`
  )
].join("\n")

describe("readDocument", () => {
  it.live("reads YAML and JSON alike", () =>
    Effect.gen(function* () {
      const expected = { a: 1, b: ["x", true, null], ü: "ß €" }
      assert.deepStrictEqual(yield* read("a: 1\nb: [x, true, null]\nü: ß €\n"), expected)
      assert.deepStrictEqual(yield* read(JSON.stringify(expected), {}, "goal.json"), expected)
      assert.deepStrictEqual(yield* read(JSON.stringify(expected, null, "\t"), {}, "goal"), expected)
    })
  )

  it.live("reads a file with a byte order mark and Windows line ends", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* read("\ufeffa: 1\r\nb: two\r\n"), { a: 1, b: "two" })
      assert.deepStrictEqual(yield* read('\ufeff{"a": 1}', {}, "goal.json"), { a: 1 })
    })
  )

  it.live("merges anchors, within bounds", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* read("base: &base { x: 1, y: 2 }\nmine: { <<: *base, y: 3 }\n"), {
        base: { x: 1, y: 2 },
        mine: { x: 1, y: 3 }
      })
    })
  )

  const wrong: ReadonlyArray<readonly [string, string | Uint8Array, RegExp, string?]> = [
    ["an empty file", "", /^goal\.yaml: is empty$/],
    ["white space only", " \n\t\n", /^goal\.yaml: is empty$/],
    ["comments only", "# nothing\n# yet\n", /^goal\.yaml: has nothing in it but comments$/],
    ["two documents", "a: 1\n---\nb: 2\n", /^goal\.yaml:\d+:\d+: has more than one YAML document: put each/],
    [
      "a key that comes twice",
      "a: 1\nb: 2\na: 3\n",
      /^goal\.yaml:3:1: the key a stands twice in the same map: remove one$/
    ],
    ["a tab as indentation", "a:\n\tb: 1\n", /^goal\.yaml:2:1: is indented with a tab: YAML wants spaces/],
    ["an open bracket", "a: [1, 2\n", /^goal\.yaml:\d+:\d+: is not YAML: /],
    ["a bad indentation", "a:\n  b: 1\n c: 2\n", /^goal\.yaml:3:\d+: is not YAML: /],
    ["an unknown tag", "a: !!js/function 'x'\n", /^goal\.yaml:1:4: has a tag that means nothing here/],
    ["an alias without an anchor", "a: *nobody\n", /^goal\.yaml: has an alias without its anchor: .*nobody/],
    ["an alias bomb", bomb, /^goal\.yaml: uses anchors and aliases so that it grows beyond all measure$/],
    [
      "a file that is no UTF-8",
      bytes("a: 1\nb: gr", 0xfc, "n\n"),
      /^goal\.yaml:2:6: is not valid UTF-8: save it as UTF-8$/
    ],
    ["UTF-16", bytes(0xff, 0xfe, 0x61, 0), /^goal\.yaml: is encoded in UTF-16: save it as UTF-8$/],
    ["deep nesting", `a: ${"[".repeat(200)}${"]".repeat(200)}`, /^goal\.yaml: is nested more than 64 levels deep$/],
    [
      "nesting by indentation",
      Array.from({ length: 300 }, (_, depth) => `${" ".repeat(depth)}a:`).join("\n"),
      /^goal\.yaml: is nested more than 64 levels deep$/
    ],
    [
      "the deepest nesting that is parsed",
      `${"[".repeat(400)}${"]".repeat(400)}`,
      /^goal\.yaml: is nested more than 64 levels deep$/
    ],
    ["very deep nesting", "[".repeat(200_000), /^goal\.yaml: is nested too deeply$/],
    ["lists in lists on one line", `${"- ".repeat(100_000)}x`, /^goal\.yaml: is nested too deeply$/],
    ["a huge file", `a: ${"x".repeat(1024 * 1024)}`, /^goal\.yaml: is larger than 1024 KiB/],
    ["JSON with a comma too many", '{\n  "a": 1,\n}', /^goal\.json:3:1: is not JSON: /, "goal.json"],
    ["JSON that stops", '{"a": ', /^goal\.json:?.*: is not JSON: /, "goal.json"],
    ["YAML in a .json file", "a: 1", /^goal\.json:?.*: is not JSON: Unexpected token/, "goal.json"],
    ["JSON with a key twice", '{"a": 1,\n "a": 2}', /^goal\.json:2:2: the key a stands twice/, "goal.json"]
  ]
  for (const [what, content, expected, name] of wrong) {
    it.live(`says what is wrong with ${what}`, () =>
      Effect.gen(function* () {
        const message = String(yield* Effect.flip(read(content, {}, name)))
        assert.match(message, expected)
      })
    )
  }

  it.scopedLive("tells a missing file, a directory and an unreadable file apart", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const root = yield* directoryWith({ "locked.yaml": "a: 1" })
      const message = (name: string) =>
        Effect.map(Effect.flip(readDocument(path.join(root, name), {})), (error) => error.message)
      assert.match(yield* message("nothing.yaml"), /nothing\.yaml: there is no such file$/)
      assert.match(yield* message("."), /: is a directory, not a file$/)
      yield* fs.symlink("loop", path.join(root, "loop"))
      assert.match(yield* message("loop"), /loop: cannot be read: /)
      yield* fs.chmod(path.join(root, "locked.yaml"), 0)
      // Root may read everything; for anybody else it is a sentence of its own.
      const locked = yield* Effect.either(readDocument(path.join(root, "locked.yaml"), {}))
      if (locked._tag === "Left")
        assert.match(locked.left.message, /locked\.yaml: may not be read: check its permissions$/)
    }).pipe(Effect.provide(platform))
  )

  it.scopedLive("knows where each part stands, and of what it does not know the part around it", () =>
    Effect.gen(function* () {
      const path = yield* Path.Path
      const root = yield* directoryWith({ "goal.yaml": "a: 1\nlist:\n  - x: 1\n    yy: 2\n" })
      const { positionOf } = yield* readDocument(path.join(root, "goal.yaml"), {})
      assert.deepStrictEqual(positionOf(["list", 0, "yy"]), { line: 4, column: 5 })
      assert.deepStrictEqual(positionOf(["list"]), { line: 2, column: 1 })
      assert.deepStrictEqual(positionOf(["list", 0, "missing"]), { line: 3, column: 5 })
      assert.deepStrictEqual(positionOf(["a", "deeper"]), { line: 1, column: 1 })
      assert.isUndefined(positionOf([]))
    }).pipe(Effect.provide(platform))
  )

  it.live("puts variables into values after parsing, so that they add no structure", () =>
    Effect.gen(function* () {
      const environment = { NAME: "x\nevil: true", N: "5", ON: "true", LIST: "[1, 2]", EMPTY: "" }
      assert.deepStrictEqual(
        yield* read(
          [
            "a: ${NAME}",
            "n: ${N}",
            'quoted: "${N}"',
            "mixed: ${N} turns",
            "on: ${ON}",
            "list: ${LIST}",
            "default: ${NOPE:-7}",
            "empty: ${EMPTY:-full}",
            "bare: ${EMPTY}",
            "literal: $${HOME} costs $5",
            "${N}: key"
          ].join("\n"),
          environment
        ),
        {
          a: "x\nevil: true",
          n: 5,
          quoted: "5",
          mixed: "5 turns",
          on: true,
          list: "[1, 2]",
          default: 7,
          empty: "full",
          bare: "",
          literal: "${HOME} costs $5",
          "${N}": "key"
        }
      )
    })
  )

  it.live("names the variable and the place when one is not set, all of them at once", () =>
    Effect.gen(function* () {
      const message = String(yield* Effect.flip(read("a: ${NOPE}\nb:\n  - ok\n  - ${ALSO_NOT} and ${f%.c}\n")))
      assert.deepStrictEqual(message.split("\n"), [
        "goal.yaml:1:1: a: the variable NOPE is not set: set it, write ${NOPE:-default}, or $${NOPE} when the shell should see it",
        "goal.yaml:4:5: b[1]: the variable ALSO_NOT is not set: set it, write ${ALSO_NOT:-default}, or $${ALSO_NOT} when the shell should see it",
        'goal.yaml:4:5: b[1]: "${f%.c}" is neither ${NAME} nor ${NAME:-default}: write $${ for a literal ${'
      ])
    })
  )
})

describe("substituteText", () => {
  it("leaves text without references alone", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        fc.pre(!text.includes("${"))
        assert.deepStrictEqual(substituteText(text, {}), { text, problems: [] })
      })
    )
  })

  it("does not look into what it has put in", () => {
    assert.strictEqual(substituteText("${A}", { A: "${B}", B: "no" }).text, "${B}")
  })

  it("does not take inherited properties for variables", () => {
    assert.strictEqual(substituteText("${constructor}", {}).problems.length, 1)
  })
})

describe("formatPath", () => {
  it("is undone by parsePath", () => {
    const key = fc.oneof(fc.string({ minLength: 1 }), fc.nat(99))
    fc.assert(
      fc.property(fc.array(key), (path) => {
        assert.deepStrictEqual(parsePath(formatPath(path)), path)
      })
    )
  })
})
