// On real files: what counts is where a path leads, and that only the file system knows.
import { isAllowed, type PermissionOutcome } from "@driver/domain/Permission"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck, Layer } from "effect"
import { AskDecider } from "../src/AskDecider.js"
import { type Analysis, CommandAnalyzer } from "../src/CommandAnalyzer.js"
import { LlmDecider } from "../src/LlmDecider.js"
import { bareContext, PermissionDecider } from "../src/PermissionDecider.js"
import type { Rule } from "../src/Rules.js"
import * as RulesDecider from "../src/RulesDecider.js"
import { analysisOf, layerOf, reasonOf } from "./support/analyses.js"
import { requestOf } from "./support/requests.js"

const world = (
  options: (directory: string) => RulesDecider.Options = () => ({}),
  analyses: (workspace: string) => Readonly<Record<string, Analysis>> = () => ({})
) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const directory = yield* Effect.flatMap(fs.makeTempDirectoryScoped({ prefix: "rules-" }), fs.realPath)
    const workspace = path.join(directory, "tree")
    yield* fs.makeDirectory(path.join(workspace, "src"), { recursive: true })
    yield* fs.makeDirectory(path.join(directory, "outside"))
    yield* fs.writeFileString(path.join(directory, "outside", "file"), "x")
    yield* fs.writeFileString(path.join(workspace, "src", "a.ts"), "x")
    const { decide } = yield* Effect.provide(
      PermissionDecider,
      RulesDecider.layer({ preset: "strict", ...options(directory) }).pipe(
        Layer.provide([layerOf(analyses(workspace)), LlmDecider.layerNone, AskDecider.layerNone])
      )
    )
    const ask = (tool: string, input: Record<string, unknown>, root = workspace): Effect.Effect<PermissionOutcome> =>
      decide(requestOf(tool, input, root), { ...bareContext, criteriaCommands: ["npm test"] })
    return {
      fs,
      path,
      directory,
      workspace,
      ask,
      mayWrite: (it: string) => Effect.map(ask("Write", { file_path: it }), isAllowed)
    }
  })

/** With the analyzer as it is, and the preset that most people have. */
const analyzed = Effect.gen(function* () {
  const { fs, path, workspace } = yield* world()
  const { decide } = yield* Effect.provide(
    PermissionDecider,
    RulesDecider.layer().pipe(Layer.provide([CommandAnalyzer.layer(), LlmDecider.layerNone, AskDecider.layerNone]))
  )
  return {
    fs,
    path,
    workspace,
    decide: (command: string) => decide(requestOf("Bash", { command }, workspace), bareContext)
  }
})

describe("RulesDecider", () => {
  it.scopedLive(
    "allows paths in the workspace under every spelling, also of files and directories that do not exist",
    () =>
      Effect.gen(function* () {
        const { ask, directory, mayWrite, workspace } = yield* world()
        for (const path of [
          "src/a.ts",
          "new",
          "new/dir/file",
          "./src/./b",
          "src/../b",
          "src//c",
          `${workspace}/src/a.ts`,
          `${workspace}/../tree/x`
        ]) {
          assert.isTrue(yield* mayWrite(path), path)
        }
        for (const path of [
          "..",
          "../outside/file",
          "../tree2/x",
          `${directory}/outside/file`,
          "/etc/passwd",
          "~/x",
          "src/../../outside/file",
          "new/../../x",
          `${workspace}2/x`,
          "",
          "a\0b",
          "/"
        ]) {
          assert.isFalse(yield* mayWrite(path), JSON.stringify(path))
        }
        assert.isTrue(isAllowed(yield* ask("Read", { file_path: "src/a.ts" })))
        assert.isTrue(isAllowed(yield* ask("Glob", { pattern: `${workspace}/src/**` })))
        assert.isFalse(isAllowed(yield* ask("Glob", { pattern: `${directory}/outside/**` })))
        assert.isTrue(isAllowed(yield* ask("Bash", { command: "cat src/a.ts" })))
        assert.isFalse(isAllowed(yield* ask("Bash", { command: "cat src/../src/a.ts" })))
        assert.isTrue(isAllowed(yield* ask("Bash", { command: "npm test" })))
      }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("follows symbolic links, also those to nothing, over several, and in the middle of a path", () =>
    Effect.gen(function* () {
      const { ask, directory, fs, mayWrite, path, workspace } = yield* world()
      const link = (target: string, name: string) => fs.symlink(target, path.join(workspace, name))
      yield* link("../outside", "out")
      yield* link("../outside/file", "out-file")
      yield* link("../outside/not-there", "out-dangling")
      yield* link("/not-there/at/all", "far-dangling")
      yield* link("one", "two")
      yield* link("out-dangling", "one")
      yield* link("loop-b", "loop-a")
      yield* link("loop-a", "loop-b")
      yield* link("src", "in")
      yield* link("new-file", "in-dangling")
      yield* link(".git/config", "harmless")
      yield* link("src/deep", "deep")
      yield* fs.makeDirectory(path.join(directory, "outside", "sub"))
      yield* link("../outside/sub", "sub")
      for (const it of [
        "out/file",
        "out/new",
        "out",
        "out-file",
        "out-dangling",
        "far-dangling",
        "two",
        "loop-a",
        "loop-a/x",
        "harmless",
        "sub/../file",
        "src/a.ts/x"
      ]) {
        assert.isFalse(yield* mayWrite(it), it)
        assert.isFalse(yield* mayWrite(`${workspace}/${it}`), it)
      }
      for (const it of ["in/a.ts", "in/new", "in-dangling", "deep/x"]) assert.isTrue(yield* mayWrite(it), it)
      // `in/..` is `src/..` to the system and `.` to who reads the path: where they differ, nothing is allowed.
      assert.isFalse(yield* mayWrite("in/../x"))
      assert.isFalse(isAllowed(yield* ask("Read", { file_path: "out-file" })))
      assert.isFalse(isAllowed(yield* ask("Bash", { command: "cat out-file" })))
      assert.isFalse(isAllowed(yield* ask("Bash", { command: "ls out" })))
      assert.isFalse(isAllowed(yield* ask("Grep", { pattern: "x", path: "out" })))
      assert.isFalse(isAllowed(yield* ask("Glob", { pattern: "out/*" })))
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("allows no path that leads out, however it is put together", () =>
    Effect.gen(function* () {
      const { fs, mayWrite, path, workspace } = yield* world()
      yield* fs.symlink("..", path.join(workspace, "up"))
      yield* fs.symlink(".", path.join(workspace, "here"))
      yield* fs.symlink("../outside", path.join(workspace, "src", "out"))
      const part = FastCheck.constantFrom(
        "..",
        ".",
        "src",
        "a.ts",
        "up",
        "here",
        "out",
        "tree",
        "outside",
        "file",
        "new",
        ""
      )
      const paths = FastCheck.sample(
        FastCheck.tuple(FastCheck.boolean(), FastCheck.array(part, { minLength: 1, maxLength: 7 })),
        400
      )
      let allowed = 0
      for (const [absolute, parts] of paths) {
        const named = `${absolute ? `${workspace}/` : ""}${parts.join("/")}`
        if (!(yield* mayWrite(named))) continue
        allowed++
        // The system's own answer, for the deepest part that exists, without any cleaning of the path.
        const resolved = yield* reallyAt(fs, named.startsWith("/") ? named : `${workspace}/${named}`)
        assert.isTrue(resolved === workspace || resolved.startsWith(`${workspace}/`), `${named} is at ${resolved}`)
        const lexical = path.resolve(workspace, named)
        const followed = yield* reallyAt(fs, lexical)
        assert.isTrue(followed === workspace || followed.startsWith(`${workspace}/`), `${named} is at ${followed}`)
      }
      assert.isAbove(allowed, 20)
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive(
    "works in a workspace that is itself reached by a link, or that lies in the driver's own directory",
    () =>
      Effect.gen(function* () {
        const { ask, directory, fs, path, workspace } = yield* world((it) => ({
          protectedPaths: [it, `${it}/tree/.driver`]
        }))
        const other = path.join(directory, "link")
        yield* fs.symlink(workspace, other)
        assert.isTrue(isAllowed(yield* ask("Write", { file_path: `${other}/src/a.ts` }, other)))
        assert.isTrue(isAllowed(yield* ask("Write", { file_path: `${workspace}/src/a.ts` }, other)))
        assert.isTrue(isAllowed(yield* ask("Write", { file_path: "src/../b" }, other)))
        assert.isFalse(isAllowed(yield* ask("Write", { file_path: ".driver/journal" })))
        assert.isFalse(isAllowed(yield* ask("Write", { file_path: "src/.git/config" })))
      }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("denies every file when the workspace cannot be read", () =>
    Effect.gen(function* () {
      const { ask, directory } = yield* world()
      assert.isFalse(isAllowed(yield* ask("Write", { file_path: "a" }, `${directory}/gone`)))
      assert.isFalse(isAllowed(yield* ask("Bash", { command: "cat a" }, `${directory}/gone`)))
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("follows configured rules and says which one decided", () =>
    Effect.gen(function* () {
      const rules: ReadonlyArray<Rule> = [
        { verdict: "allow_session", tool: "WebFetch" },
        { verdict: "allow_session", for: "turn", tool: "WebSearch" },
        { verdict: "deny", tool: "Write" },
        { verdict: "ask", tool: "Read", path: "asked" },
        { verdict: "llm", tool: "Read", path: "judged" }
      ]
      const { ask } = yield* world(() => ({ rules }))
      const fetched = yield* ask("WebFetch", { url: "x" })
      assert.deepInclude(fetched, {
        _tag: "AllowSession",
        scope: "session",
        rationale: "rule 1: allow_session WebFetch"
      })
      assert.deepInclude(yield* ask("WebSearch", { query: "x" }), { _tag: "AllowSession", scope: "turn" })
      assert.deepInclude(yield* ask("Write", { file_path: "a" }), { _tag: "Deny", rationale: "rule 3: deny Write" })
      // Nobody is configured for these: denied, with whose rule it was.
      assert.deepInclude(yield* ask("Read", { file_path: "asked" }), {
        _tag: "Deny",
        rationale: "ask: nobody is configured to be asked (rule 4: ask Read asked)"
      })
      assert.deepInclude(yield* ask("Read", { file_path: "judged" }), {
        _tag: "Deny",
        rationale: "llm: no model is configured (rule 5: llm Read judged)"
      })
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("follows the links of the paths that an analysis names", () =>
    Effect.gen(function* () {
      const rules: ReadonlyArray<Rule> = [{ verdict: "allow", class: ["read_only", "workspace_write"] }]
      const analysis = (path: string, access: "read" | "write" | "delete") =>
        access === "read"
          ? analysisOf({
              label: "read_only",
              reasons: [reasonOf("read_only", "reads")],
              paths: [{ path, access }]
            })
          : analysisOf({
              label: "workspace_write",
              reasons: [reasonOf("workspace_write", "workspace_write")],
              paths: [{ path, access }]
            })
      const { ask, fs, path, workspace } = yield* world(
        () => ({ rules, preset: "default", protectedFiles: ["policy.yaml"] }),
        (root) => ({
          ...Object.fromEntries(
            ["src/a.ts", "out-file", "out/new", "hook", "env", "in/b.ts", "policy.yaml", "far"].flatMap((it) => [
              [`read ${it}`, analysis(`${root}/${it}`, "read")],
              [`write ${it}`, analysis(`${root}/${it}`, "write")],
              [`delete ${it}`, analysis(`${root}/${it}`, "delete")]
            ])
          ),
          "cd sub && write ../file": analysis(`${root}/file`, "write"),
          "write src/../file": analysis(`${root}/file`, "write"),
          "delete everything": analysis(root, "delete"),
          "write nothing": analysis("/dev/null", "write")
        })
      )
      const link = (target: string, name: string) => fs.symlink(target, path.join(workspace, name))
      yield* link("../outside/file", "out-file")
      yield* link("../outside", "out")
      yield* link(".git/hooks/pre-commit", "hook")
      yield* link(".env", "env")
      yield* link("src", "in")
      yield* link("../outside", "sub")
      yield* link("/not-there", "far")
      const allowed = [
        "read src/a.ts",
        "write src/a.ts",
        "delete src/a.ts",
        "read in/b.ts",
        "write in/b.ts",
        "read hook",
        "read policy.yaml",
        "write src/../file",
        "write nothing"
      ]
      const denied = {
        "read out-file": /outside/,
        "write out-file": /outside/,
        "delete out-file": /outside/,
        "write out/new": /outside/,
        "write far": /outside/,
        "write hook": /git's own files/,
        "delete hook": /git's own files/,
        "read env": /keys or passwords/,
        "write policy.yaml": /belongs to the driver/,
        "delete everything": /workspace itself/,
        "cd sub && write ../file": /symbolic link/
      }
      for (const command of allowed) assert.isTrue(isAllowed(yield* ask("Bash", { command })), command)
      for (const [command, message] of Object.entries(denied)) {
        const outcome = yield* ask("Bash", { command })
        assert.strictEqual(outcome._tag, "Deny", command)
        if (outcome._tag === "Deny") assert.match(outcome.message, message, command)
      }
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scopedLive("follows what the patterns of a command stand for, and where it goes", () =>
    Effect.gen(function* () {
      const { decide, fs, path, workspace } = yield* analyzed
      const link = (target: string, name: string) => fs.symlink(target, path.join(workspace, name))
      yield* link("../../outside/file", "src/link.txt")
      yield* link("../outside", "out")
      yield* link(".git/hooks", "hooks")
      yield* link("../.env", "src/notes.md")
      const allowed = ["cat src/*.ts", "touch src/*.ts", "cd src && cat a.ts", "cat nothing-*", "cd src && cat ../x"]
      const denied = {
        "cat src/*.txt": /outside/,
        "touch src/*.txt": /outside/,
        "cat src/l*": /outside/,
        "cat src/[l]ink.txt": /outside/,
        "cat */link.txt": /outside/,
        "cat src/*.md": /keys or passwords/,
        "cd .git": /git's own files/,
        "cd src && cd ../.git && ls": /git's own files/,
        "pushd .claude": /agent's own settings/,
        "cd out": /symbolic link/,
        "cd out && cat ../x": /symbolic link/,
        "cd hooks": /symbolic link/,
        "cd /tmp": /outside/,
        "cd ~": /outside/
      }
      for (const command of allowed) assert.isTrue(isAllowed(yield* decide(command)), command)
      for (const [command, message] of Object.entries(denied)) {
        const outcome = yield* decide(command)
        assert.strictEqual(outcome._tag, "Deny", command)
        if (outcome._tag === "Deny") assert.match(outcome.message, message, command)
      }
    }).pipe(Effect.provide(NodeContext.layer))
  )
})

/** Walks like the system: link by link, part by part; what does not exist stays as it is. */
const reallyAt = (fs: FileSystem.FileSystem, absolute: string): Effect.Effect<string> =>
  Effect.gen(function* () {
    let at = ""
    for (const part of absolute.split("/")) {
      if (part === "" || part === ".") continue
      if (part === "..") at = at.slice(0, Math.max(at.lastIndexOf("/"), 0))
      else {
        const target = yield* Effect.option(fs.readLink(`${at}/${part}`))
        if (target._tag === "None") at = `${at}/${part}`
        else at = yield* reallyAt(fs, target.value.startsWith("/") ? target.value : `${at}/${target.value}`)
      }
    }
    return at
  })
