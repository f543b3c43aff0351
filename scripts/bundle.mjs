// Bundles a program in parts, each a script of its own, so that a command reads what it needs, and that what V8 makes of a part
// can be kept. esbuild splits by module graph into ES modules; here they become functions, grouped: see `packages/cli/src/parts.ts`.
import { createHash } from "node:crypto"
import { basename } from "node:path"
import { build } from "esbuild"
import ts from "typescript"

/**
 * `layers` are lists of sources: what their first needs without `import()` is part `a`, what the second needs besides is part `b`,
 * and so on; what is left is the last part. Answers the parts' contents by letter, and what esbuild says of all.
 */
export const bundleInParts = async ({ layers, options }) => {
  const { metafile, outputFiles } = await build({
    ...options,
    bundle: true,
    entryPoints: [layers[0][0]],
    format: "esm",
    metafile: true,
    outdir: "out",
    splitting: true,
    write: false
  })
  const outputs = new Map(Object.entries(metafile.outputs).map(([path, it]) => [basename(path), it]))
  const texts = new Map(outputFiles.map((it) => [basename(it.path), it.text]))

  /** A layer's first source may be the program, the others are where an `import()` goes. */
  const outputOf = (source) => {
    for (const [name, { entryPoint }] of outputs) if (entryPoint === source) return name
    throw new Error(`${source} is not imported anywhere by import(): nothing to put it into a part for`)
  }
  const letterOf = new Map()
  const place = (name, letter) => {
    if (letterOf.has(name) || !outputs.has(name)) return
    letterOf.set(name, letter)
    for (const { kind, path } of outputs.get(name).imports) if (kind !== "dynamic-import") place(basename(path), letter)
  }
  const letters = "abcdefgh"
  layers.forEach((sources, index) => {
    for (const source of sources) place(outputOf(source), letters[index])
  })
  for (const name of outputs.keys()) place(name, letters[layers.length])

  const numbers = new Map()
  const count = new Map()
  for (const [name, letter] of letterOf) {
    const number = count.get(letter) ?? 0
    count.set(letter, number + 1)
    numbers.set(name, `${letter}${number}`)
  }
  const renamed = (path) => numbers.get(basename(path)) ?? path

  const parts = new Map()
  for (const [name, letter] of letterOf) {
    const body = asFunction(texts.get(name), outputs.get(name), renamed)
    parts.set(letter, [...(parts.get(letter) ?? []), `${numbers.get(name)}:${body}`])
  }
  return {
    metafile,
    parts: [...parts].map(([letter, chunks]) => {
      const text = `({${chunks.join(",\n")}})`
      // V8 itself only compares lengths.
      const id = createHash("sha256").update(text).digest("hex").slice(0, 16)
      return { id, letter, text: `/*${id}*/${text}` }
    })
  }
}

/** An ES module as a function of `require`, `load` (what `import()` is) and the program's URL, that returns what is exported. */
const asFunction = (text, { imports }, renamed) => {
  const source = ts.createSourceFile(
    "chunk.js",
    text.replace(/^#!.*/, ""),
    ts.ScriptTarget.ES2022,
    false,
    ts.ScriptKind.JS
  )
  const edits = []
  const exported = []
  for (const statement of source.statements) {
    if (ts.isImportDeclaration(statement)) edits.push([statement, importOf(statement, renamed)])
    if (ts.isExportDeclaration(statement)) {
      const { exportClause, moduleSpecifier } = statement
      if (exportClause === undefined) exported.unshift(`...require(${JSON.stringify(renamed(moduleSpecifier.text))})`)
      else if (moduleSpecifier !== undefined) throw new Error(`not looked for here: ${statement.getText(source)}`)
      for (const { name, propertyName } of exportClause?.elements ?? []) {
        exported.push(`${name.text}:${(propertyName ?? name).text}`)
      }
      edits.push([statement, ""])
    }
    if (ts.isExportAssignment(statement))
      throw new Error("esbuild wrote an `export default`, which is not looked for here")
  }
  let result = source.text
  for (const [node, replacement] of edits.reverse()) {
    result = `${result.slice(0, node.getStart(source))}${replacement}${result.slice(node.end)}`
  }
  for (const path of new Set(imports.filter((it) => it.kind === "dynamic-import").map((it) => it.path))) {
    const spelled = path.startsWith("out/") ? `./${basename(path)}` : path
    const call = `import(${JSON.stringify(spelled)})`
    if (!result.includes(call)) throw new Error(`${call} is not written as it was looked for`)
    result = result.replaceAll(call, `__load(${JSON.stringify(renamed(path))})`)
  }
  return `function(require,__load,__url){"use strict";${result}\nreturn{${exported.join(",")}}}`
}

/** Imports go up: esbuild may leave one of Node's modules in the middle of a chunk, where nothing before it needs it. */
const importOf = ({ importClause, moduleSpecifier }, renamed) => {
  const required = `require(${JSON.stringify(renamed(moduleSpecifier.text))})`
  if (importClause === undefined) return `${required};`
  const { name, namedBindings } = importClause
  const whole =
    name ?? (namedBindings !== undefined && ts.isNamespaceImport(namedBindings) ? namedBindings.name : undefined)
  const from = whole?.text ?? required
  const named =
    namedBindings !== undefined && ts.isNamedImports(namedBindings)
      ? `var{${namedBindings.elements
          .map((it) => (it.propertyName === undefined ? it.name.text : `${it.propertyName.text}:${it.name.text}`))
          .join(",")}}=${from};`
      : ""
  return `${whole === undefined ? "" : `var ${whole.text}=${required};`}${named}`
}
