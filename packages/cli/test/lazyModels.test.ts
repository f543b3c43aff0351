/** A run without a model loads nothing of the models' providers: they come by dynamic imports only. */
import { existsSync, readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"

const packages = resolve(dirname(fileURLToPath(import.meta.url)), "../..")

const fileOf = (specifier: string, from: string): string | undefined => {
  const ours = /^@driver\/([a-z]+)\/(.+)$/.exec(specifier)
  if (ours !== null) return resolve(packages, ours[1] ?? "", "src", `${ours[2]}.ts`)
  return specifier.startsWith(".") ? resolve(dirname(from), specifier.replace(/\.js$/, ".ts")) : undefined
}

/** What the module imports when it is loaded, types left out. */
const importsOf = (file: string): ReadonlyArray<string> =>
  [
    ...readFileSync(file, "utf8").matchAll(
      /^(?:import(?! type\b)(?: [^"'()=;]*? from)?|export (?:\*|\{[^}]*\}) from) "([^"]+)"/gm
    )
  ].map((it) => it[1] ?? "")

const reachableFrom = (entry: string) => {
  const files = new Set<string>()
  const libraries = new Map<string, string>()
  const queue = [entry]
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (files.has(file) || !existsSync(file)) continue
    files.add(file)
    for (const specifier of importsOf(file)) {
      const next = fileOf(specifier, file)
      if (next === undefined) libraries.set(specifier, file)
      else queue.push(next)
    }
  }
  return { files, libraries }
}

describe("The composition", () => {
  it("reaches no provider of language models by its static imports", () => {
    const { files, libraries } = reachableFrom(resolve(packages, "cli/src/Composition.ts"))
    assert.isAbove(files.size, 60)
    assert.include([...files], resolve(packages, "permission/src/LlmDecider.ts"))
    assert.deepStrictEqual(
      [...libraries].filter(([name]) => name.startsWith("@effect/ai")),
      []
    )
    // The walk itself would find them.
    assert.include(
      [...reachableFrom(resolve(packages, "permission/src/LlmDeciderModel.ts")).libraries.keys()],
      "@effect/ai/LanguageModel"
    )
  })
})
