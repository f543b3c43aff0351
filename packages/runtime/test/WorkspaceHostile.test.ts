/**
 * A repository whose configuration names a program wherever git would run one. Each program writes a
 * marker; the driver's calls leave none. The first test shows that the markers work.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { Workspace } from "@driver/runtime/Workspace"
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import {
  contents,
  git,
  initialise,
  layerWorkspace,
  makePlace,
  newGoal,
  type Place,
  run,
  world,
  write
} from "./support/repositories.js"

// Real processes on a machine that may be busy.
vi.setConfig({ testTimeout: 30_000 })

const hooks = [
  "applypatch-msg",
  "commit-msg",
  "fsmonitor-watchman",
  "post-applypatch",
  "post-checkout",
  "post-commit",
  "post-index-change",
  "post-merge",
  "post-rewrite",
  "pre-applypatch",
  "pre-auto-gc",
  "pre-commit",
  "pre-merge-commit",
  "prepare-commit-msg",
  "reference-transaction",
  "sendemail-validate"
]

/** Settings that name a program, each with its own marker. `cat` keeps the content, so that git goes on. */
const settings = (marker: (name: string) => string) => `
[core]
  fsmonitor = ${marker("fsmonitor")}
  pager = ${marker("pager")}
  editor = ${marker("editor")}
  askPass = ${marker("askpass")}
  sshCommand = ${marker("ssh")}
  gitProxy = ${marker("proxy")}
  alternateRefsCommand = ${marker("alternates")}
[diff]
  external = ${marker("diff-external")}
[diff "evil"]
  command = ${marker("diff-command")}
  textconv = ${marker("textconv")}
[filter "evil"]
  clean = ${marker("clean")}
  smudge = ${marker("smudge")}
  required = true
[filter "worse"]
  process = ${marker("process")}
[merge "evil"]
  driver = ${marker("merge-driver")}
[gpg]
  program = ${marker("gpg")}
[commit]
  gpgSign = true
[tag]
  gpgSign = true
[log]
  showSignature = true
[credential]
  helper = ${marker("credential")}
[sequence]
  editor = ${marker("sequence-editor")}
[interactive]
  diffFilter = ${marker("interactive")}
[alias]
  checkout-index = "!${marker("alias")}"
  ls-files = "!${marker("alias")}"
[pager]
  diff-tree = ${marker("pager-diff-tree")}
  for-each-ref = ${marker("pager-for-each-ref")}
[trailer "x"]
  command = ${marker("trailer")}
[uploadpack]
  packObjectsHook = ${marker("pack-objects")}
[gc]
  auto = 1
[protocol "ext"]
  allow = always
[remote "origin"]
  url = ext::${marker("ext")}
  promisor = true
  partialCloneFilter = blob:none
[extensions]
  partialClone = origin
`

interface Trap {
  readonly markers: string
  readonly program: (name: string) => string
}

const setTraps = (place: Place): Trap => {
  const markers = path.join(place.directory, "ran")
  fs.mkdirSync(markers)
  const bin = path.join(place.directory, "evil")
  fs.mkdirSync(bin)
  const program = (name: string) => {
    const file = path.join(bin, name)
    if (!fs.existsSync(file)) {
      fs.writeFileSync(
        file,
        `#!/bin/sh\ntouch "${markers}/${name}"\ncase ${name} in hook-*) exit 0;; esac\nexec cat\n`,
        {
          mode: 0o755
        }
      )
    }
    return `\\"${file}\\"`
  }
  return { markers, program }
}

const arm = (place: Place, { program }: Trap, gitDirectory: string) => {
  const included = path.join(place.directory, "included.config")
  fs.writeFileSync(included, settings((name) => `"${program(name)} #"`).replace(/ #"/g, '"'))
  fs.appendFileSync(
    path.join(gitDirectory, "config"),
    `[includeIf "gitdir:**"]\n\tpath = ${included}\n[include]\n\tpath = ${included}\n`
  )
  fs.mkdirSync(path.join(gitDirectory, "hooks"), { recursive: true })
  for (const hook of hooks) {
    program(`hook-${hook}`)
    fs.rmSync(path.join(gitDirectory, "hooks", hook), { force: true })
    fs.symlinkSync(path.join(place.directory, "evil", `hook-${hook}`), path.join(gitDirectory, "hooks", hook))
  }
}

const ran = ({ markers }: Trap): ReadonlyArray<string> => fs.readdirSync(markers).sort()

const files = {
  ".gitattributes": "*.txt filter=evil diff=evil merge=evil\n*.md filter=worse\n",
  "a.txt": "1\n2\n3\n4\n5\n",
  "b.md": "b\n",
  "c.bin": "c\n"
}

/** The repository, with a submodule that is armed too. */
const makeHostile = Effect.map(makePlace, (place) => {
  initialise(place.repository, files)
  const library = path.join(place.directory, "library")
  initialise(library, { "lib.txt": "l\n", ".gitattributes": "*.txt filter=evil\n" })
  git(place.repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", library, "sub")
  git(place.repository, "commit", "-qm", "submodule")
  const trap = setTraps(place)
  arm(place, trap, path.join(place.repository, ".git"))
  arm(place, trap, path.join(place.repository, ".git", "modules", "sub"))
  return { place, trap }
})

describe("WorkspaceGit in a hostile repository", () => {
  it.scopedLive("has traps that an ordinary git falls into", () =>
    Effect.gen(function* () {
      const { place, trap } = yield* makeHostile
      write(place.repository, "a.txt", "changed\n")
      write(place.repository, "sub/lib.txt", "changed\n")
      try {
        git(place.repository, "add", "--all")
        git(place.repository, "-c", "commit.gpgSign=false", "commit", "-qm", "x")
        git(place.repository, "log", "-p", "--ext-diff")
      } catch {
        // The programs are no good filters.
      }
      for (const name of ["fsmonitor", "clean", "hook-reference-transaction", "hook-pre-commit"]) {
        assert.include(ran(trap), name)
      }
    })
  )

  it.scopedLive("runs none of its programs, whatever is asked", () =>
    Effect.gen(function* () {
      const { place, trap } = yield* makeHostile
      const goal = newGoal()
      yield* Effect.gen(function* () {
        const workspace = yield* Workspace
        const info = yield* workspace.ensure(goal)
        assert.deepStrictEqual(Object.keys(contents(info.path)), [
          ".gitattributes",
          ".gitmodules",
          "a.txt",
          "b.md",
          "c.bin"
        ])
        assert.deepStrictEqual(ran(trap), [])
        const one = yield* workspace.checkpoint(goal.id, "one")
        write(info.path, "a.txt", "1\n2\n3\n4\n5\n6\n")
        write(info.path, "new.txt", "new\n")
        // The agent fills the submodule with a repository of its own making, and starts another one.
        for (const nested of ["sub", "own"]) {
          initialise(path.join(info.path, nested), { "lib.txt": "l\n", ".gitattributes": "*.txt filter=evil\n" })
          arm(place, trap, path.join(info.path, nested, ".git"))
          write(info.path, `${nested}/lib.txt`, "changed\n")
        }
        // Making them ran some of the traps.
        for (const name of ran(trap)) {
          fs.rmSync(path.join(trap.markers, name))
        }
        yield* workspace.diffStat(goal.id, one.id)
        assert.deepStrictEqual(ran(trap), [])
        yield* workspace.checkpoint(goal.id, "two")
        yield* workspace.changedPaths(goal.id)
        yield* workspace.diff(goal.id, 10_000)
        yield* workspace.isClean(goal.id)
        yield* workspace.list
        assert.deepStrictEqual(ran(trap), [])
        const undo = yield* workspace.rollback(goal.id, one.id)
        assert.strictEqual(contents(info.path)["a.txt"], files["a.txt"])
        yield* workspace.rollback(goal.id, undo.id)
        assert.deepStrictEqual(ran(trap), [])
        const refusal = yield* Effect.flip(workspace.deliver(goal, { mode: "branch", message: "work" }))
        assert.strictEqual(refusal.reason, "conflict")
        assert.include(refusal.detail, "filter")
        fs.rmSync(path.join(info.path, "new.txt"))
        write(info.path, "a.txt", files["a.txt"])
        write(info.path, "c.bin", "changed\n")
        yield* workspace.deliver(goal, { mode: "branch", message: "work" })
        yield* workspace.deliver(goal, { mode: "squash", message: "work" })
        yield* workspace.deliver(goal, { mode: "patch", file: path.join(place.directory, "out.patch") })
        run(place.repository, "git", "-c", "core.hooksPath=/dev/null", "update-ref", "refs/heads/other", "main")
        yield* workspace.deliver(goal, { mode: "merge", target: "other", message: "merge" })
        yield* workspace.cleanup(goal.id, { force: true })
        yield* workspace.ensure(goal)
        yield* workspace.prune([goal.id], { force: true })
        assert.deepStrictEqual(ran(trap), [])
      }).pipe(Effect.provide(layerWorkspace(place)))
    })
  )

  it.scopedLive("merges without the repository's merge driver", () =>
    Effect.gen(function* () {
      const { place, trap } = yield* makeHostile
      const goal = newGoal()
      yield* Effect.gen(function* () {
        const workspace = yield* Workspace
        const info = yield* workspace.ensure(goal)
        const quiet = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "commit.gpgSign=false"]
        const plain = ["-c", "filter.evil.clean=cat", ...quiet]
        const commit = (directory: string, content: string) => {
          write(directory, "a.txt", content)
          git(directory, ...plain, "add", "a.txt")
          git(directory, ...plain, "commit", "-qm", "x")
        }
        git(place.repository, ...quiet, "branch", "other", "main")
        commit(info.path, "1\n2\n3\n4\nfive\n")
        git(place.repository, ...plain, "-c", "filter.evil.smudge=cat", "checkout", "-q", "other")
        commit(place.repository, "one\n2\n3\n4\n5\n")
        git(place.repository, ...plain, "-c", "filter.evil.smudge=cat", "checkout", "-q", "main")
        for (const name of ran(trap)) {
          fs.rmSync(path.join(trap.markers, name))
        }
        write(place.repository, ".git/info/attributes", "*.txt merge=evil\n")
        const branches = ["other", `driver/${goal.id}`]
        git(place.repository, ...quiet, "merge-tree", "--write-tree", ...branches)
        assert.deepStrictEqual(ran(trap), ["merge-driver"])
        fs.rmSync(path.join(trap.markers, "merge-driver"))
        yield* workspace.deliver(goal, { mode: "merge", target: "other", message: "merge" })
        assert.deepStrictEqual(ran(trap), [])
        assert.strictEqual(git(place.repository, "show", "--no-textconv", "other:a.txt"), "one\n2\n3\n4\nfive")
      }).pipe(Effect.provide(layerWorkspace(place)))
    })
  )

  it.scopedLive("is not led astray by what the agent can write: .git, commondir, config.worktree, its index", () =>
    Effect.gen(function* () {
      const { place, trap } = yield* makeHostile
      const goal = newGoal()
      yield* Effect.gen(function* () {
        const workspace = yield* Workspace
        const info = yield* workspace.ensure(goal)
        const admin = path.join(place.repository, ".git", "worktrees", goal.id)
        const one = yield* workspace.checkpoint(goal.id, "one")
        const evil = path.join(place.directory, "evil.git")
        git(place.directory, "init", "--quiet", "--bare", evil)
        arm(place, trap, evil)
        fs.writeFileSync(path.join(info.path, ".git"), `gitdir: ${evil}\n`)
        fs.writeFileSync(path.join(admin, "commondir"), `${evil}\n`)
        fs.writeFileSync(
          path.join(admin, "config.worktree"),
          `[core]\n\tfsmonitor = ${path.join(place.directory, "evil", "fsmonitor")}\n`
        )
        git(place.repository, "config", "extensions.worktreeConfig", "true")
        write(info.path, "c.bin", "changed\n")
        // What the driver writes must not follow a link out of the worktree.
        const victim = path.join(place.directory, "victim")
        fs.rmSync(path.join(admin, "index"))
        fs.symlinkSync(victim, path.join(admin, "index"))
        for (const name of ran(trap)) {
          fs.rmSync(path.join(trap.markers, name))
        }
        assert.strictEqual((yield* workspace.diffStat(goal.id, one.id)).filesChanged, 1)
        yield* workspace.rollback(goal.id, one.id)
        assert.strictEqual(contents(info.path)["c.bin"], "c\n")
        assert.isFalse(fs.existsSync(victim))
        fs.writeFileSync(path.join(admin, "commondir"), "../..\n")
        yield* workspace.ensure(goal)
        assert.strictEqual(fs.readFileSync(path.join(info.path, ".git"), "utf8"), `gitdir: ${admin}\n`)
        assert.deepStrictEqual(ran(trap), [])
      }).pipe(Effect.provide(layerWorkspace(place)))
    })
  )

  it.scopedLive("is not led astray by a repository that the agent makes inside the worktree", () =>
    Effect.gen(function* () {
      const place = yield* makePlace
      initialise(place.repository, { "a.txt": "a\n" })
      const trap = setTraps(place)
      const goal = newGoal()
      yield* Effect.gen(function* () {
        const workspace = yield* Workspace
        const info = yield* workspace.ensure(goal)
        const before = yield* workspace.checkpoint(goal.id, "before")
        for (const name of ["inner", "a/b"]) {
          const inner = path.join(info.path, name)
          initialise(inner, { "x.txt": "x\n", ".gitattributes": "*.txt filter=evil diff=evil\n" })
          arm(place, trap, path.join(inner, ".git"))
          write(inner, "x.txt", "changed\n")
          write(inner, "y.txt", "new\n")
        }
        // The traps are sharp: git itself, in that repository, falls into them.
        git(path.join(info.path, "inner"), "status")
        assert.include(ran(trap), "fsmonitor")
        for (const name of ran(trap)) fs.rmSync(path.join(trap.markers, name))
        yield* workspace.checkpoint(goal.id, "after")
        yield* workspace.diffStat(goal.id, before.id)
        yield* workspace.diff(goal.id, 100_000)
        yield* workspace.changedPaths(goal.id)
        yield* workspace.isClean(goal.id)
        yield* workspace.rollback(goal.id, before.id)
        yield* Effect.ignore(workspace.deliver(goal, { mode: "branch", message: "work" }))
        yield* Effect.ignore(workspace.cleanup(goal.id))
        assert.deepStrictEqual(ran(trap), [])
      }).pipe(Effect.provide(layerWorkspace(place)))
    })
  )

  it.scopedLive("does not wait for a pipe where a file should be", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      const admin = path.join(place.repository, ".git", "worktrees", goal.id)
      for (const file of [path.join(admin, "HEAD"), path.join(directory, ".git"), path.join(directory, "pipe")]) {
        fs.rmSync(file, { force: true })
        run(directory, "mkfifo", file)
      }
      const error = yield* Effect.flip(workspace.checkpoint(goal.id, "x"))
      assert.include(error.message, "HEAD")
      fs.rmSync(path.join(admin, "HEAD"))
      fs.writeFileSync(path.join(admin, "HEAD"), `ref: refs/heads/driver/${goal.id}\n`)
      const one = yield* workspace.checkpoint(goal.id, "x")
      assert.strictEqual((yield* workspace.diffStat(goal.id, one.id)).text, "")
      yield* workspace.ensure(goal)
      assert.strictEqual(git(directory, "status", "--porcelain"), "")
    })
  )

  it.scopedLive("sees changes that the agent's index is told to hide", () =>
    Effect.gen(function* () {
      const place = yield* makePlace
      initialise(place.repository, { "secret/a.txt": "a\n", "b.txt": "b\n" })
      const goal = newGoal()
      yield* Effect.gen(function* () {
        const workspace = yield* Workspace
        const info = yield* workspace.ensure(goal)
        const one = yield* workspace.checkpoint(goal.id, "one")
        git(info.path, "update-index", "--assume-unchanged", "secret/a.txt")
        git(info.path, "update-index", "--skip-worktree", "b.txt")
        write(info.path, "secret/a.txt", "changed\n")
        write(info.path, "b.txt", "changed\n")
        assert.strictEqual(git(info.path, "status", "--porcelain"), "")
        assert.strictEqual((yield* workspace.diffStat(goal.id, one.id)).filesChanged, 2)
        assert.deepStrictEqual(yield* workspace.changedPaths(goal.id), ["b.txt", "secret/a.txt"])
        assert.isFalse(yield* workspace.isClean(goal.id))
      }).pipe(Effect.provide(layerWorkspace(place)))
    })
  )
})
