// On real files: what counts is where a path leads, and that only the file system knows.
import { isAllowed, type PermissionOutcome } from "@driver/domain/Permission"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck } from "effect"
import { PermissionDecider } from "../src/PermissionDecider.js"
import { Rule } from "../src/Rules.js"
import * as RulesDecider from "../src/RulesDecider.js"
import { requestOf } from "./support/requests.js"

const world = (options: (directory: string) => RulesDecider.Options = () => ({})) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const directory = yield* Effect.flatMap(fs.makeTempDirectoryScoped({ prefix: "rules-" }), fs.realPath)
    const workspace = path.join(directory, "tree")
    yield* fs.makeDirectory(path.join(workspace, "src"), { recursive: true })
    yield* fs.makeDirectory(path.join(directory, "outside"))
    yield* fs.writeFileString(path.join(directory, "outside", "file"), "x")
    yield* fs.writeFileString(path.join(workspace, "src", "a.ts"), "x")
    const { decide } = yield* Effect.provide(PermissionDecider, RulesDecider.layer(options(directory)))
    const ask = (tool: string, input: Record<string, unknown>, root = workspace): Effect.Effect<PermissionOutcome> =>
      decide(requestOf(tool, input, root), { criteriaCommands: ["npm test"], waitUpTo: () => Effect.void })
    return {
      fs,
      path,
      directory,
      workspace,
      ask,
      mayWrite: (it: string) => Effect.map(ask("Write", { file_path: it }), isAllowed)
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
      const rules = [
        new Rule({ verdict: "allow_session", tool: "WebFetch" }),
        new Rule({ verdict: "deny", tool: "Write" })
      ]
      const { ask } = yield* world(() => ({ rules }))
      const fetched = yield* ask("WebFetch", { url: "x" })
      assert.deepInclude(fetched, {
        _tag: "AllowSession",
        scope: "session",
        rationale: "rule 1: allow_session WebFetch"
      })
      assert.deepInclude(yield* ask("Write", { file_path: "a" }), { _tag: "Deny", rationale: "rule 2: deny Write" })
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
