import { Mount } from "@driver/intent/ExecEnv"
import { firstParagraph, MountSummaries } from "@driver/intent/MountSummaries"
import { FileSystem } from "@effect/platform"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Layer, Option } from "effect"
import { mountIdOf } from "./support/registryContract.js"

const summaryOf = (files: Record<string, string>) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* fs.makeTempDirectoryScoped({ prefix: "driver-mount-" })
    for (const [name, text] of Object.entries(files)) yield* fs.writeFileString(`${path}/${name}`, text)
    const { summarize } = yield* MountSummaries
    return yield* summarize(new Mount({ id: mountIdOf(1), name: "m", path }))
  }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(MountSummaries.layer, NodeContext.layer)))

describe("MountSummaries", () => {
  const cases: ReadonlyArray<readonly [string, Record<string, string>, string | undefined]> = [
    [
      "the first paragraph of a README",
      { "README.md": "# Shop\n\n![badge](x)\n\nSells\nthings. 🏪\n\nMore.", "package.json": '{"description":"no"}' },
      "Sells things. 🏪"
    ],
    [
      "the description of a manifest",
      { "package.json": '{"name":"x","description":" Sells \\n things. "}' },
      "Sells things."
    ],
    [
      "the manifest when the README says nothing",
      { "readme.md": "# Only a title\n", "Cargo.toml": '[package]\ndescription = "A \\"crate\\"."\n' },
      'A "crate".'
    ],
    ["nothing when nothing says what it is", { "main.c": "int main;", "package.json": "{" }, undefined],
    ["no blank description", { "package.json": '{"description":"  "}' }, undefined]
  ]
  for (const [what, files, expected] of cases) {
    it.effect(`gives ${what}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* summaryOf(files), Option.fromNullable(expected))
      })
    )
  }

  it.effect("is short, however long the README", () =>
    Effect.gen(function* () {
      const summary = Option.getOrThrow(yield* summaryOf({ README: `${"é".repeat(100_000)} end` }))
      assert.strictEqual([...summary].length, 600)
    })
  )

  it.effect("fails for a directory that is not there", () =>
    Effect.gen(function* () {
      const { summarize } = yield* MountSummaries
      const error = yield* Effect.flip(summarize(new Mount({ id: mountIdOf(1), name: "m", path: "/nowhere/at/all" })))
      assert.strictEqual(error._tag, "SummaryError")
    }).pipe(Effect.provide(Layer.provide(MountSummaries.layer, NodeContext.layer)))
  )
})

describe("firstParagraph", () => {
  it("skips headings, markup, code and comments", () => {
    const text =
      "<p align=center>\n\n```sh\nrun it\n```\n\n<!-- note\n\nmore -->\n\nTitle\n=====\n\n| a |\n\nReal words."
    assert.deepStrictEqual(
      Option.map(firstParagraph(text), (it) => it),
      Option.some("Title")
    )
    assert.deepStrictEqual(firstParagraph("***\n\n123\n"), Option.none())
  })

  it("takes any text in its stride", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) =>
        assert.notStrictEqual(Option.getOrNull(firstParagraph(text)), "")
      )
    )
  })
})
