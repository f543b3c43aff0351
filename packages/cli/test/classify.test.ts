/** `driver policy classify`: through the command tree, and as the process that people pipe thousands of lines through. */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { CommandAnalyzer } from "@driver/permission/CommandAnalyzer"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { runCli } from "./support/cli.js"
import { directoryWith } from "./support/files.js"

const analyzer = { analyzer: () => CommandAnalyzer.layer() }

const classify = (stdin: ReadonlyArray<string>, ...args: ReadonlyArray<string>) =>
  Effect.flatMap(directoryWith({}), (directory) =>
    runCli(["policy", "classify", ...args], { directory, stdin }, analyzer)
  ).pipe(Effect.provide(NodeContext.layer))

const linesOf = (stdout: string): ReadonlyArray<Record<string, unknown>> =>
  stdout
    .split("\n")
    .filter((it) => it !== "")
    .map((it) => JSON.parse(it))

describe("driver policy classify", () => {
  it.scoped("answers each line, in order, with its id", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* classify([
        '{"id":"a","command":"ls"}\n{"id":2,"command":"touch x"}\n\n{"id":"c","comma',
        'nd":"rm -rf /","label":"is not read"}'
      ])
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(
        linesOf(stdout).map(({ id, label }) => [id, label]),
        [
          ["a", "read_only"],
          [2, "workspace_write"],
          ["c", "dangerous"]
        ]
      )
      assert.includeMembers(Object.keys(linesOf(stdout)[0] ?? {}), ["id", "label", "reasons", "programs", "paths"])
    })
  )

  it.scoped("takes the directory of a line for its workspace", () =>
    Effect.gen(function* () {
      const { stdout } = yield* classify([
        '{"id":1,"command":"touch /srv/a/x"}\n{"id":2,"command":"touch /srv/a/x","cwd":"/srv/a"}\n'
      ])
      assert.deepStrictEqual(
        linesOf(stdout).map(({ label }) => label),
        ["dangerous", "workspace_write"]
      )
    })
  )

  it.scoped("takes one command as its argument, and the directories from options", () =>
    Effect.gen(function* () {
      const { stdout } = yield* classify([], "--cwd", "/srv/a", "--home", "/srv/a/home", "touch ~/x")
      assert.deepInclude(linesOf(stdout)[0], {
        label: "workspace_write",
        paths: [{ path: "/srv/a/home/x", access: "write" }]
      })
      assert.notProperty(linesOf(stdout)[0], "id")
    })
  )

  it.scoped("answers nothing to nothing", () =>
    Effect.gen(function* () {
      for (const stdin of [[], [""], ["\n\n  \n"]]) {
        assert.deepInclude(yield* classify(stdin), { code: 0, stdout: "" })
      }
    })
  )

  it.scoped.each([
    ["no JSON", "rm -rf /"],
    ["no object", '"ls"'],
    ["no command", '{"id":"x"}'],
    ["a command that is no text", '{"id":"x","command":["ls"]}'],
    ["a relative directory", '{"id":"x","command":"ls","cwd":"a"}']
  ])("stops at a line with %s, and says which", ([, line]) =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* classify([
        `{"id":1,"command":"ls"}\n\n${line}\n{"id":4,"command":"ls"}\n`
      ])
      assert.strictEqual(code, 2)
      assert.include(stderr, "<stdin>:3:1: expected a JSON object")
      assert.deepStrictEqual(
        linesOf(stdout).map(({ id }) => id),
        [1]
      )
    })
  )

  it.scoped("reads what is not ASCII", () =>
    Effect.gen(function* () {
      const { stdout } = yield* classify([
        '{"id":"ä","command":"cat ünï/日本.md"}\n{"id":"z","command":"r\u200bm x"}\n'
      ])
      const [first, second] = linesOf(stdout)
      assert.strictEqual(first?.id, "ä")
      assert.strictEqual(first?.label, "read_only")
      assert.include(JSON.stringify(first?.paths), "ünï/日本.md")
      assert.strictEqual(second?.label, "dangerous")
    })
  )
})

const driver = resolve(fileURLToPath(import.meta.url), "../../dist/driver.mjs")

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** `close`: the reader leaves after the first piece. */
const run = (
  args: ReadonlyArray<string>,
  input: string | Buffer,
  options: { readonly cwd?: string; readonly home?: string; readonly close?: boolean } = {}
) =>
  Effect.async<Ended>((resume) => {
    const child = spawn(process.execPath, [driver, "policy", "classify", ...args], {
      cwd: options.cwd ?? tmpdir(),
      env: { PATH: process.env.PATH ?? "", ...(options.home === undefined ? {} : { HOME: options.home }) }
    })
    const output = { stdout: "", stderr: "" }
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text
      if (options.close === true) child.stdout.destroy()
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text
    })
    // The program may end before it has read everything.
    child.stdin.on("error", () => {})
    child.stdin.end(input)
    child.on("close", (code) => resume(Effect.succeed({ code, ...output })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const emptyDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "driver-classify-"))),
  (it) => Effect.sync(() => rmSync(it, { recursive: true, force: true }))
)

describe("driver policy classify, the process", () => {
  it.scopedLive("works in any directory, with any home and without one", () =>
    Effect.gen(function* () {
      const empty = yield* emptyDirectory
      for (const where of [{ cwd: "/" }, { cwd: empty, home: empty }, { cwd: empty, home: "/nowhere/at/all" }]) {
        const { code, stderr, stdout } = yield* run([], '{"id":1,"command":"ls"}\n', where)
        assert.deepStrictEqual([code, stderr], [0, ""])
        assert.strictEqual(linesOf(stdout)[0]?.label, "read_only")
      }
    })
  )

  it.scopedLive("reads characters that are cut in two, and lines of megabytes", () =>
    Effect.gen(function* () {
      const long = JSON.stringify({ id: "long", command: `echo ${"日本".repeat(1_000_000)}` })
      const { code, stdout } = yield* run([], `${long}\n{"id":"next","command":"cat 日本.md"}\n`)
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(
        linesOf(stdout).map(({ id, label }) => [id, label]),
        [
          ["long", "dangerous"],
          ["next", "read_only"]
        ]
      )
    })
  )

  it.scopedLive("ends quietly when nobody reads any more", () =>
    Effect.gen(function* () {
      const { code, stderr } = yield* run([], '{"id":1,"command":"ls"}\n'.repeat(20_000), { close: true })
      assert.deepStrictEqual([code, stderr], [0, ""])
    })
  )
})
