// Real commands in the sandbox: what has to work there, and what is said where there is none.
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Sandbox } from "@driver/agent/Sandbox"
import { Containment, run } from "@driver/agent/Subprocess"
import { FileMatches, Goal, GoalId, Shell } from "@driver/domain/Goal"
import { Acceptance } from "@driver/runtime/Acceptance"
import { CriterionRegistry } from "@driver/runtime/CriterionRegistry"
import { Judge } from "@driver/runtime/Judge"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it, vi } from "@effect/vitest"
import { Context, Effect, Layer, Option } from "effect"
import { commitAll, contents, git, layerWorkspace, world, write } from "./support/repositories.js"
import { hasSandbox, layerSandbox } from "./support/sandbox.js"

// Real processes on a machine that may be busy.
vi.setConfig({ testTimeout: 30_000 })

const env = {
  PATH: process.env["PATH"] ?? "/usr/bin:/bin",
  HOME: os.homedir(),
  GIT_AUTHOR_NAME: "a",
  GIT_AUTHOR_EMAIL: "a@example.org",
  GIT_COMMITTER_NAME: "a",
  GIT_COMMITTER_EMAIL: "a@example.org"
}

interface Inside {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command of bash confined to the worktree, as a criterion is. */
const inside = (
  place: { readonly workspace: string; readonly goalId: string },
  command: string,
  options: Parameters<typeof layerSandbox>[0] = {}
) =>
  Effect.gen(function* () {
    const { wrap } = yield* Sandbox
    const confined = yield* wrap({ argv: ["bash", "-c", command], env, ...place })
    const { exit, stderr, stdout } = yield* run({ ...confined, cwd: place.workspace })
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trimEnd()
    const ran: Inside = { code: exit._tag === "Exited" ? exit.code : -1, stdout: text(stdout), stderr: text(stderr) }
    return ran
  }).pipe(Effect.provide([layerSandbox({ home: os.homedir(), ...options }), Containment.layer]))

const worktree = (files?: Record<string, string>) =>
  Effect.map(world(files), ({ directory, goal, place }) => ({
    place,
    directory,
    goalId: goal.id,
    at: { workspace: directory, goalId: goal.id }
  }))

describe.skipIf(!hasSandbox)("in the Sandbox", () => {
  it.scopedLive("git works: add, commit, amend, branch, switch, merge, reset, diff; and the host sees it", () =>
    Effect.gen(function* () {
      const { at, directory, goalId, place } = yield* worktree()
      const ran = yield* inside(
        at,
        `set -e
         echo new > new.txt; git add -A; git commit -qm one
         echo more >> new.txt; git commit -qam two --amend
         git switch -q -c "driver/${goalId}-side"; echo side > side.txt; git add -A; git commit -qm side
         git switch -q "driver/${goalId}"; git branch --list | wc -l
         echo main > main.txt; git add -A; git commit -qm main
         git merge -q --no-edit "driver/${goalId}-side"; git reset -q --hard HEAD~1; git diff --stat HEAD~1; git status --porcelain; git log -1 --format=%s`
      )
      assert.deepStrictEqual([ran.stderr, ran.code], ["", 0])
      assert.strictEqual(ran.stdout.split("\n").at(-1), "main")
      assert.strictEqual(git(place.repository, "log", "-1", "--format=%s", `driver/${goalId}`), "main")
      assert.strictEqual(git(directory, "status", "--porcelain"), "")
      git(place.repository, "fsck", "--strict")
      // It says that it may not delete references, which here it need not.
      const rebased = yield* inside(at, `git rebase -q "driver/${goalId}-side" 2> /dev/null; git log -2 --format=%s`)
      assert.deepStrictEqual([rebased.stdout, rebased.code], ["main\nside", 0])
    })
  )

  it.scopedLive("nothing appears in the worktree, and git add --all takes what there is", () =>
    Effect.gen(function* () {
      const { at, directory } = yield* worktree({ "a.txt": "a\n", ".env": "KEY=1\n" })
      const before = contents(directory)
      const ran = yield* inside(at, "cat .env; git status --porcelain && git add --all && git diff --cached --stat")
      assert.deepStrictEqual([ran.stdout, ran.stderr, ran.code], ["KEY=1", "", 0])
      assert.deepStrictEqual(contents(directory), before)
      assert.deepStrictEqual(fs.readdirSync(directory).sort(), [".env", ".git", "a.txt"])
      assert.strictEqual(git(directory, "status", "--porcelain", "--ignored"), "")
    })
  )

  it.scopedLive(
    "tests and package scripts run, also those that listen on loopback and write to the temporary directory",
    () =>
      Effect.gen(function* () {
        const { at, directory } = yield* worktree({
          "package.json": JSON.stringify({ name: "x", scripts: { test: "node --test", build: "node build.mjs" } }),
          "build.mjs": `import { mkdirSync, writeFileSync } from "node:fs"\nmkdirSync("out"); writeFileSync("out/x", "built")\n`,
          "a.test.mjs": `import { test } from "node:test"
import assert from "node:assert"
import http from "node:http"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
test("serves itself", async () => {
  mkdtempSync(tmpdir() + "/x-")
  const server = http.createServer((_, response) => response.end("hello"))
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve))
  assert.equal(await (await fetch("http://127.0.0.1:" + server.address().port)).text(), "hello")
  server.close()
})
`
        })
        const ran = yield* inside(at, "npm test --silent && npm run --silent build")
        assert.strictEqual(ran.code, 0, ran.stdout + ran.stderr)
        assert.include(ran.stdout, "pass 1")
        assert.strictEqual(contents(directory)["out/x"], "built")
      })
  )

  it.scopedLive("python and perl run where they are installed", () =>
    Effect.gen(function* () {
      const { at } = yield* worktree()
      const ran = yield* inside(
        at,
        `if command -v python3 > /dev/null; then python3 -c 'import tempfile, json; print(json.dumps({"a": 1}))'; else echo '{"a": 1}'; fi
         if command -v perl > /dev/null; then perl -e 'print "ok\\n"'; else echo ok; fi`
      )
      assert.deepStrictEqual([ran.stdout, ran.code], ['{"a": 1}\nok', 0], ran.stderr)
    })
  )

  it.scopedLive("home is empty and writable, and what is put there is gone afterwards", () =>
    Effect.gen(function* () {
      const { at, place } = yield* worktree()
      const home = path.join(place.directory, "home")
      write(home, "file", "x")
      write(home, ".cache/kept/old", "x")
      const options = { home, writable: [path.join(home, ".cache", "kept")] }
      const ran = yield* inside(
        at,
        `ls -A "${home}"; echo x > "${home}/new"; echo x > "${home}/.cache/kept/new"; cat "${home}/new"`,
        options
      )
      assert.deepStrictEqual([ran.stdout, ran.code], [".cache\nx", 0], ran.stderr)
      assert.deepStrictEqual(fs.readdirSync(home).sort(), [".cache", "file"])
      assert.deepStrictEqual(fs.readdirSync(path.join(home, ".cache", "kept")).sort(), ["new", "old"])
    })
  )

  it.scopedLive("tools of a home directory are there, and so is a link to one's settings", () =>
    Effect.gen(function* () {
      const { at, place } = yield* worktree()
      const home = path.join(place.directory, "home")
      write(home, ".tool/bin/greet", '#!/bin/sh\ncat "$(dirname "$0")/../share/words"\n')
      write(home, ".tool/share/words", "hello")
      write(home, "dotfiles/gitconfig", "[user]\n\tname = Zoë of the links\n")
      write(home, "private", "secret")
      fs.chmodSync(path.join(home, ".tool/bin/greet"), 0o755)
      fs.symlinkSync("dotfiles/gitconfig", path.join(home, ".gitconfig"))
      const ran = yield* inside(
        at,
        `export HOME="${home}"; "${home}/.tool/bin/greet"; echo; git config user.name; cat "${home}/private" || true; touch "${home}/.tool/x" || true`,
        { home, searchPath: `${home}/.tool/bin:/usr/bin:/bin` }
      )
      assert.deepStrictEqual([ran.stdout, ran.code], ["hello\nZoë of the links", 0], ran.stderr)
      assert.isFalse(fs.existsSync(path.join(home, ".tool", "x")))
    })
  )

  it.scopedLive("what is masked cannot be read, also where a directory around it is writable", () =>
    Effect.gen(function* () {
      const { at, place } = yield* worktree()
      const home = path.join(place.directory, "home")
      write(home, ".ssh/id", "secret")
      write(home, "own/key", "secret")
      const ran = yield* inside(at, `cat "${home}/.ssh/id"; cat "${home}/own/key"; ls "${home}/.ssh"`, {
        home,
        writable: [home],
        mask: [path.join(home, "own", "key")]
      })
      assert.notInclude(ran.stdout, "secret")
      assert.include(ran.stderr, "own/key")
    })
  )

  it.scopedLive("a .git file that leads elsewhere gets nothing of elsewhere", () =>
    Effect.gen(function* () {
      const { at, directory, place } = yield* worktree()
      const victim = path.join(place.directory, "victim")
      write(victim, "worktrees/x/gitdir", `${directory}/.git-other\n`)
      write(victim, "worktrees/x/commondir", "../..\n")
      fs.writeFileSync(path.join(directory, ".git"), `gitdir: ${victim}/worktrees/x\n`)
      const ran = yield* inside(at, `mkdir -p "${victim}/objects" && echo x > "${victim}/objects/x"; echo done`)
      assert.include(ran.stdout, "done")
      assert.isFalse(fs.existsSync(path.join(victim, "objects")))
      assert.deepStrictEqual(fs.readdirSync(victim), ["worktrees"])
    })
  )

  it.scopedLive("a pipe in place of the .git file is not waited for", () =>
    Effect.gen(function* () {
      const { at, directory } = yield* worktree()
      fs.rmSync(path.join(directory, ".git"))
      yield* inside({ ...at, workspace: directory }, "mkfifo .git")
      const ran = yield* inside(at, "echo done")
      assert.deepStrictEqual([ran.stdout, ran.code], ["done", 0])
    })
  )

  it.scopedLive("exit codes come through, and what a command leaves running is gone", () =>
    Effect.gen(function* () {
      const { at } = yield* worktree()
      assert.strictEqual((yield* inside(at, "exit 42")).code, 42)
      const ran = yield* inside(at, "(setsid sleep 300 &) ; echo started")
      assert.deepStrictEqual([ran.stdout, ran.code], ["started", 0])
    })
  )

  it.scopedLive("a line for a shell runs in the directory where the shell is, with an environment of its own", () =>
    Effect.gen(function* () {
      const { at, directory } = yield* worktree()
      const line = yield* Effect.flatMap(Sandbox, ({ wrapShell }) =>
        wrapShell(`pwd; echo "it's $KEY,$OTHER"; echo 'x' > "y z"`, { ...at, env: { PATH: env.PATH, OTHER: "o" } })
      ).pipe(Effect.provide(layerSandbox()))
      const { stdout } = yield* run({
        argv: ["sh", "-c", Option.getOrThrow(line)],
        cwd: path.join(directory, "src"),
        env: { PATH: env.PATH, KEY: "secret" }
      }).pipe(Effect.provide(Containment.layer))
      assert.strictEqual(new TextDecoder().decode(stdout), `${directory}/src\nit's ,o\n`)
      assert.strictEqual(contents(directory)["src/y z"], "x\n")
    })
  )

  it.scopedLive("criteria are confined: they judge the work, and change nothing else", () =>
    Effect.gen(function* () {
      const { at, directory, place } = yield* worktree()
      const outside = path.join(place.directory, "outside")
      fs.mkdirSync(outside)
      const goal = new Goal({
        id: GoalId.make(at.goalId),
        description: "x",
        acceptance: [
          new Shell({ command: "git status --porcelain && test -f a.txt && echo made > made.txt" }),
          new Shell({ command: `! touch "${outside}/x"` }),
          new FileMatches({ path: "made.txt", regex: "made" })
        ]
      })
      const layer = Acceptance.layer({ env }).pipe(
        Layer.provide(CriterionRegistry.layer()),
        Layer.provide([Judge.layerNone, layerWorkspace(place), layerSandbox(), Containment.layer, NodeContext.layer])
      )
      const verdict = yield* Effect.flatMap(Acceptance, ({ evaluate }) =>
        evaluate(goal, {
          goalId: goal.id,
          path: directory,
          branch: Option.none(),
          base: Option.none(),
          repository: Option.none(),
          reused: false
        })
      ).pipe(Effect.provide(layer))
      assert.deepStrictEqual(
        verdict.results.map(({ message, passed }) => [passed, message]),
        [
          [true, "exited with 0"],
          [true, "exited with 0"],
          [true, verdict.results[2]?.message]
        ]
      )
      assert.deepStrictEqual(fs.readdirSync(outside), [])
    })
  )

  it.scopedLive("a branch that another goal has is out of reach, one's own is not, after each turn anew", () =>
    Effect.gen(function* () {
      const { at, directory, goalId, place } = yield* worktree()
      commitAll(directory)
      git(place.repository, "update-ref", "refs/heads/driver/other", "main")
      const before = git(place.repository, "rev-parse", "driver/other")
      const ran = yield* inside(at, `git update-ref refs/heads/driver/other HEAD; git reset -q --hard HEAD~1`)
      assert.include(ran.stderr, "driver/other")
      assert.strictEqual(git(place.repository, "rev-parse", "driver/other"), before)
      assert.strictEqual(
        git(place.repository, "rev-parse", `driver/${goalId}`),
        git(place.repository, "rev-parse", "main")
      )
    })
  )
})

describe("Sandbox", () => {
  const command = { argv: ["bash", "-c", "true"], env, workspace: "/", goalId: "g" }
  const scriptThat = (text: string) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "driver-bwrap-"))),
        (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
      ),
      (directory) => {
        const program = path.join(directory, "bwrap")
        fs.writeFileSync(program, `#!/bin/sh\n${text}\n`, { mode: 0o755 })
        return program
      }
    )
  const stateWith = (program: string) =>
    Effect.flatMap(Sandbox, ({ state }) => state).pipe(Effect.provide(layerSandbox({ program })))

  it.effect("that is off changes nothing", () =>
    Effect.gen(function* () {
      const { state, wrap, wrapShell } = yield* Sandbox
      assert.deepStrictEqual(yield* state, { kind: "off" })
      assert.deepStrictEqual(yield* wrap(command), { argv: command.argv, env })
      assert.deepStrictEqual(yield* wrapShell("true", command), Option.none())
    }).pipe(Effect.provide(Sandbox.layerOff))
  )

  it.scopedLive("that does not work is left out by auto, with the reason and what to do, and refused by required", () =>
    Effect.gen(function* () {
      const program = yield* scriptThat('echo "bwrap: setting up uid map: Permission denied" >&2; exit 1')
      const context = yield* Layer.build(layerSandbox({ program }))
      const { state: found, wrap } = Context.get(context, Sandbox)
      const state = yield* found
      assert.strictEqual(state.kind, "missing")
      if (state.kind !== "missing") return
      assert.include(state.reason, "setting up uid map: Permission denied")
      assert.include(state.mend, "AppArmor")
      assert.deepStrictEqual((yield* wrap(command)).argv, command.argv)
      const error = yield* Effect.flip(Effect.provide(Sandbox, layerSandbox({ program, mode: "required" })))
      assert.strictEqual(error._tag, "SandboxUnavailable")
      assert.include(error.message, "required")
      assert.include(error.message, "AppArmor")
    })
  )

  it.scopedLive("that only pretends to work does not count", () =>
    Effect.gen(function* () {
      for (const text of ["exit 0", "echo inside:", "echo inside:1; exit 1", "kill -9 $$"]) {
        const state = yield* stateWith(yield* scriptThat(text))
        assert.strictEqual(state.kind, "missing", text)
      }
    })
  )

  it.scopedLive("that hangs is given up", () =>
    Effect.gen(function* () {
      const state = yield* stateWith(yield* scriptThat("exec sleep 600"))
      assert.include(state.kind === "missing" ? state.reason : "", "5 seconds")
    })
  )

  it.scopedLive.skipIf(!hasSandbox)("does not find a program that is not there, as without", () =>
    Effect.gen(function* () {
      const { wrap } = yield* Sandbox
      const error = yield* Effect.flip(wrap({ ...command, argv: ["no-such-program"] }))
      assert.deepStrictEqual([error._tag, error.reason], ["SubprocessSpawnFailed", "not_found"])
    }).pipe(Effect.provide(layerSandbox()))
  )
})
