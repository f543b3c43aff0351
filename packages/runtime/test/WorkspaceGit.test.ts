import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { Git, GitError } from "@driver/runtime/Git"
import { CheckpointId, Workspace } from "@driver/runtime/Workspace"
import * as WorkspaceGit from "@driver/runtime/WorkspaceGit"
import { assert, describe, it, vi } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Option } from "effect"
import {
  commitAll,
  contents,
  git,
  initialise,
  layerGit,
  layerGitInSteps,
  layerWorkspace,
  makePlace,
  makeRepository,
  newGoal,
  run,
  start,
  world,
  write
} from "./support/repositories.js"

// Real processes on a machine that may be busy.
vi.setConfig({ testTimeout: 30_000 })

/** What can be told from outside about HEAD, the branches, the index and its flags. */
const gitState = (directory: string) => ({
  head: git(directory, "rev-parse", "--symbolic-full-name", "HEAD"),
  branches: git(directory, "for-each-ref", "refs/heads"),
  index: git(directory, "ls-files", "--stage", "-v"),
  status: git(directory, "status", "--porcelain=v2", "--branch"),
  bytes: fs.readFileSync(git(directory, "rev-parse", "--git-path", "index")).toString("hex")
})

const canMount = (() => {
  try {
    const probe = fs.mkdtempSync("/tmp/driver-mount-")
    execFileSync("mount", ["-t", "tmpfs", "none", probe], { stdio: "ignore" })
    execFileSync("umount", [probe], { stdio: "ignore" })
    fs.rmdirSync(probe)
    return true
  } catch {
    return false
  }
})()

/** A small file system of its own, gone with the scope. */
const mount = (directory: string, options: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      fs.mkdirSync(directory, { recursive: true })
      execFileSync("mount", ["-t", "tmpfs", "-o", options, "none", directory])
    }),
    () => Effect.sync(() => execFileSync("umount", ["-l", directory]))
  )

describe("WorkspaceGit ensure", () => {
  it.scopedLive("gives a clean worktree on the goal's branch, with nothing of the driver's in it", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository({ "a.txt": "a\n", "ü/b c.txt": "b\n", "run.sh": "#!/bin/sh\n" })
      fs.chmodSync(path.join(place.repository, "run.sh"), 0o755)
      commitAll(place.repository)
      const goal = newGoal()
      const workspace = yield* start(place)
      const info = yield* workspace.ensure(goal)
      assert.deepStrictEqual(info, {
        goalId: goal.id,
        path: path.join(place.root, goal.id),
        branch: Option.some(`driver/${goal.id}`),
        base: Option.some(git(place.repository, "rev-parse", "HEAD")),
        repository: Option.some(place.repository),
        reused: false
      })
      assert.deepStrictEqual(contents(info.path), contents(place.repository))
      assert.strictEqual(git(info.path, "status", "--porcelain"), "")
      assert.strictEqual(git(info.path, "symbolic-ref", "HEAD"), `refs/heads/driver/${goal.id}`)
      assert.strictEqual(git(place.repository, "status", "--porcelain"), "")
    })
  )

  it.scopedLive("keeps branch, commits and uncommitted work of an earlier run", () =>
    Effect.gen(function* () {
      const { directory, goal, place } = yield* world()
      write(directory, "committed.txt", "1")
      const tip = commitAll(directory)
      write(directory, "uncommitted.txt", "2")
      git(place.repository, "commit", "-q", "--allow-empty", "-m", "main goes on")
      const again = yield* start(place)
      const info = yield* again.ensure(goal)
      assert.isTrue(info.reused)
      assert.deepStrictEqual(info.base, Option.some(git(place.repository, "rev-parse", "HEAD~1")))
      assert.strictEqual(git(directory, "rev-parse", "HEAD"), tip)
      assert.deepStrictEqual(Object.keys(contents(directory)), [
        "a.txt",
        "committed.txt",
        "src/b.txt",
        "uncommitted.txt"
      ])
    })
  )

  it.scopedLive("makes ten worktrees at once, asked by two drivers", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository(
        Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`d${index % 7}/f${index}`, `${index}\n`]))
      )
      const drivers = [
        yield* start(place),
        yield* start(place, { stateDirectory: path.join(place.directory, "other") })
      ]
      const infos = yield* Effect.forEach(
        Array.from({ length: 10 }, (_, index) => index),
        (index) => drivers[index % 2]?.ensure(newGoal()) ?? Effect.die("no driver"),
        { concurrency: "unbounded" }
      )
      for (const info of infos) {
        assert.lengthOf(Object.keys(contents(info.path)), 100)
        assert.strictEqual(git(info.path, "status", "--porcelain"), "")
      }
      assert.lengthOf(git(place.repository, "worktree", "list").split("\n"), 11)
      assert.isFalse(fs.existsSync(path.join(place.repository, ".git", "driver-worktrees.lock")))
    })
  )

  it.scopedLive("takes the lock of a driver that was killed, and waits for one that lives", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository()
      const workspace = yield* start(place)
      const lock = path.join(place.repository, ".git", "driver-worktrees.lock")
      fs.writeFileSync(lock, "4194304 1 0\n")
      yield* workspace.ensure(newGoal())
      const started = fs
        .readFileSync("/proc/self/stat", "utf8")
        .replace(/^.*\) /s, "")
        .split(" ")[19]
      fs.writeFileSync(lock, `${process.pid} ${started} 0\n`)
      const fiber = yield* Effect.fork(workspace.ensure(newGoal()))
      yield* Effect.sleep("300 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
      fs.rmSync(lock)
      yield* Fiber.join(fiber)
    })
  )

  it.scopedLive(
    "brings a vanished directory back from its branch, with the uncommitted files of the last checkpoint",
    () =>
      Effect.gen(function* () {
        const { directory, goal, workspace } = yield* world()
        write(directory, "committed.txt", "1")
        const tip = commitAll(directory)
        write(directory, "uncommitted.txt", "2")
        fs.rmSync(path.join(directory, "a.txt"))
        const expected = contents(directory)
        yield* workspace.checkpoint(goal.id, "before turn 3")
        fs.rmSync(directory, { recursive: true })
        assert.strictEqual((yield* Effect.flip(workspace.checkpoint(goal.id, "x"))).reason, "io_failed")
        const info = yield* workspace.ensure(goal)
        assert.strictEqual(info.path, directory)
        assert.isTrue(info.reused)
        assert.deepStrictEqual(contents(directory), expected)
        assert.strictEqual(git(directory, "rev-parse", "HEAD"), tip)
        assert.strictEqual(git(directory, "status", "--porcelain"), " D a.txt\n?? uncommitted.txt")
      })
  )

  it.scopedLive("does not put a checkpoint over a branch that has moved since", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world()
      write(directory, "early.txt", "1")
      yield* workspace.checkpoint(goal.id, "early")
      fs.rmSync(path.join(directory, "early.txt"))
      write(directory, "late.txt", "2")
      commitAll(directory)
      const expected = contents(directory)
      fs.rmSync(directory, { recursive: true })
      yield* workspace.ensure(goal)
      assert.deepStrictEqual(contents(directory), expected)
    })
  )

  it.scopedLive("registers a worktree that was pruned again, and keeps its files", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      write(directory, "uncommitted.txt", "2")
      const moved = `${directory}.moved`
      fs.renameSync(directory, moved)
      git(place.repository, "worktree", "prune")
      fs.renameSync(moved, directory)
      yield* workspace.ensure(goal)
      assert.strictEqual(git(directory, "status", "--porcelain"), "?? uncommitted.txt")
      assert.strictEqual((yield* workspace.checkpoint(goal.id, "x")).id, CheckpointId.make("1"))
    })
  )

  it.scopedLive("makes a deleted branch again where the last checkpoint saw it", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      write(directory, "committed.txt", "1")
      const tip = commitAll(directory)
      yield* workspace.checkpoint(goal.id, "x")
      git(place.repository, "worktree", "remove", "--force", directory)
      git(place.repository, "branch", "-D", `driver/${goal.id}`)
      yield* workspace.ensure(goal)
      assert.strictEqual(git(directory, "rev-parse", "HEAD"), tip)
    })
  )

  it.scopedLive("goes on where an earlier attempt broke off", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository({ "a.txt": "a\n", "b.txt": "b\n" })
      const goal = newGoal()
      let failures = 1
      const breaking = Layer.effect(
        Git,
        Effect.map(Git, (real) =>
          Git.of({
            ...real,
            run: (call) =>
              call.args.includes("-u") && failures-- > 0
                ? Effect.sync(() => write(call.cwd, "a.txt", "hal")).pipe(
                    Effect.zipRight(
                      new GitError({
                        reason: "timeout",
                        command: "read-tree",
                        directory: call.cwd,
                        detail: "the limit is 1s"
                      })
                    )
                  )
                : real.run(call)
          })
        )
      ).pipe(Layer.provideMerge(layerGit))
      yield* Effect.gen(function* () {
        const workspace = yield* Workspace
        const error = yield* Effect.flip(workspace.ensure(goal))
        assert.strictEqual(error.reason, "timeout")
        const { path: directory } = yield* workspace.ensure(goal)
        assert.deepStrictEqual(contents(directory), { "a.txt": "a\n", "b.txt": "b\n" })
        assert.strictEqual(git(directory, "status", "--porcelain"), "")
      }).pipe(Effect.provide(WorkspaceGit.layer(place).pipe(Layer.provide(breaking))))
    })
  )

  it.scopedLive("works on the repository that the goal names", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository()
      initialise(path.join(place.directory, "elsewhere"), { "other.txt": "o\n" })
      const workspace = yield* start(place)
      const goal = newGoal({ metadata: { "worktree.source_repo": "../elsewhere" } })
      const info = yield* workspace.ensure(goal)
      assert.deepStrictEqual(info.repository, Option.some(path.join(place.directory, "elsewhere")))
      assert.deepStrictEqual(Object.keys(contents(info.path)), ["other.txt"])
      assert.deepStrictEqual(
        (yield* workspace.list).map((entry) => entry.repository),
        [info.repository]
      )
      const same = newGoal()
      const error = yield* Effect.flip(workspace.ensure(Object.assign(Object.create(same), same, { id: goal.id })))
      assert.strictEqual(error.reason, "conflict")
    })
  )

  it.scopedLive("starts from the base it is told, in a bare repository and from a linked worktree too", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository()
      const first = git(place.repository, "rev-parse", "HEAD")
      write(place.repository, "later.txt", "l")
      const second = commitAll(place.repository)
      git(place.directory, "clone", "--quiet", "--bare", place.repository, "bare.git")
      const linked = path.join(place.directory, "linked")
      git(place.repository, "worktree", "add", "-q", "--detach", linked, first)
      const baseFrom = (repository: string, base?: string) =>
        start({ ...place, repository }, base === undefined ? {} : { base }).pipe(
          Effect.flatMap((workspace) => workspace.ensure(newGoal())),
          Effect.map((info) => [Option.getOrThrow(info.base), git(info.path, "rev-parse", "HEAD")])
        )
      assert.deepStrictEqual(yield* baseFrom(place.repository, "main~1"), [first, first])
      assert.deepStrictEqual(yield* baseFrom(path.join(place.directory, "bare.git")), [second, second])
      assert.deepStrictEqual(yield* baseFrom(linked), [first, first])
      const error = yield* Effect.flip(baseFrom(place.repository, "nothing"))
      assert.strictEqual(error.reason, "base_not_found")
    })
  )

  it.scopedLive("starts from nothing in a repository without a commit", () =>
    Effect.gen(function* () {
      const place = yield* makePlace
      fs.mkdirSync(place.repository)
      git(place.repository, "init", "-q", "--initial-branch=main")
      const workspace = yield* start(place)
      const goal = newGoal()
      const { path: directory } = yield* workspace.ensure(goal)
      assert.deepStrictEqual(contents(directory), {})
      const one = yield* workspace.checkpoint(goal.id, "one")
      write(directory, "hello.txt", "hi\n")
      assert.strictEqual((yield* workspace.diffStat(goal.id, one.id)).filesChanged, 1)
      assert.deepStrictEqual(yield* workspace.changedPaths(goal.id), ["hello.txt"])
      yield* workspace.deliver(goal, { mode: "branch", message: "Say hello" })
      assert.strictEqual(git(place.repository, "show", `driver/${goal.id}:hello.txt`), "hi")
      assert.throws(() => git(place.repository, "rev-parse", "--verify", "--quiet", "HEAD"))
      // What the first goal left is nothing to start from.
      const next = yield* workspace.ensure(newGoal())
      assert.deepStrictEqual(contents(next.path), {})
    })
  )

  it.scopedLive("says what is wrong with the repository", () =>
    Effect.gen(function* () {
      const place = yield* makePlace
      const workspace = yield* start(place)
      assert.strictEqual((yield* Effect.flip(workspace.ensure(newGoal()))).reason, "not_a_repository")
      fs.mkdirSync(place.repository)
      const error = yield* Effect.flip(workspace.ensure(newGoal()))
      assert.strictEqual(error.reason, "not_a_repository")
      assert.include(error.message, place.repository)
    })
  )

  it.scopedLive("refuses a root that would show in somebody's status, and takes an ignored one", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository()
      const inside = path.join(place.repository, ".trees")
      const other = path.join(place.directory, "other")
      initialise(other)
      for (const root of [inside, path.join(other, "deep", "er"), path.join(place.repository, ".git", "trees")]) {
        const error = yield* Effect.flip((yield* start(place, { root })).ensure(newGoal()))
        assert.strictEqual(error.reason, "bad_root")
      }
      assert.strictEqual(git(place.repository, "for-each-ref", "refs/heads/driver", "refs/driver"), "")
      write(place.repository, ".gitignore", ".trees/\n")
      commitAll(place.repository)
      yield* (yield* start(place, { root: inside })).ensure(newGoal())
      assert.strictEqual(git(place.repository, "status", "--porcelain"), "")
    })
  )

  it.scopedLive("refuses a root that is a file, and a directory that is somebody else's", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository()
      write(place.directory, "file", "")
      for (const root of [path.join(place.directory, "file"), path.join(place.directory, "file", "below")]) {
        const error = yield* Effect.flip((yield* start(place, { root })).ensure(newGoal()))
        assert.strictEqual(error.reason, "bad_root")
      }
      const goal = newGoal()
      write(path.join(place.root, goal.id), "mine.txt", "precious")
      const error = yield* Effect.flip((yield* start(place)).ensure(goal))
      assert.strictEqual(error.reason, "conflict")
      assert.deepStrictEqual(contents(path.join(place.root, goal.id)), { "mine.txt": "precious" })
    })
  )

  it.scopedLive("does not take a branch that is checked out elsewhere", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      git(place.repository, "worktree", "remove", "--force", directory)
      git(place.repository, "checkout", "-q", `driver/${goal.id}`)
      const error = yield* Effect.flip(workspace.ensure(goal))
      assert.strictEqual(error.reason, "conflict")
      assert.include(error.detail, place.repository)
      git(place.repository, "checkout", "-q", "main")
      yield* workspace.ensure(goal)
    })
  )

  it.scopedLive("finds the same at once as in steps", () =>
    Effect.gen(function* () {
      const seen = yield* Effect.forEach([layerGit, layerGitInSteps], (git) =>
        Effect.gen(function* () {
          const place = yield* makeRepository({
            "a.txt": "a\n",
            "b/ü 1.txt": "b\n",
            "c.txt": "c\n",
            ".gitignore": "*.log\n"
          })
          const workspace = yield* Effect.map(Layer.build(layerWorkspace(place, {}, git)), Context.get(Workspace))
          const goal = newGoal()
          const { path: directory } = yield* workspace.ensure(goal)
          const found: Array<unknown> = []
          let last = (yield* workspace.checkpoint(goal.id, "start")).id
          const save = Effect.gen(function* () {
            last = (yield* workspace.checkpoint(goal.id, "next")).id
            found.push(run(directory, "git", "rev-parse", `refs/driver/${goal.id}/${last}^{tree}`), last)
          })
          const look = Effect.suspend(() =>
            Effect.flatMap(workspace.diffStat(goal.id, last), (stat) => {
              found.push(stat)
              return save
            })
          )
          yield* look
          write(directory, "a.txt", "changed\n")
          write(directory, 'new "1"\n.txt', "new\n")
          yield* look
          // Not looked at before the checkpoint.
          fs.rmSync(path.join(directory, "c.txt"))
          yield* save
          fs.renameSync(path.join(directory, "b/ü 1.txt"), path.join(directory, "b/ö.txt"))
          write(directory, "ignored.log", "x")
          yield* look
          write(directory, ".gitignore", "")
          yield* look
          fs.rmSync(path.join(directory, "b"), { recursive: true })
          write(directory, "b", "a file\n")
          run(directory, "git", "init", "-q", "nested")
          yield* look
          run(directory, "git", "add", "a.txt")
          yield* look
          return found
        })
      )
      assert.deepStrictEqual(seen[0], seen[1])
      assert.isAbove(new Set(seen[0]?.filter((it) => typeof it === "string" && it.length === 40)).size, 5)
    })
  )

  it.scopedLive("starts few programs in a turn: the system copies the driver's page tables for each", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository({ "a.txt": "a\n" })
      const started: Array<string> = []
      const noting = Layer.map(layerGit, (services) => {
        const real = Context.get(services, Git)
        const noted =
          <C, A>(name: (call: C) => string, f: (call: C) => A) =>
          (call: C) => {
            started.push(name(call))
            return f(call)
          }
        return Context.add(services, Git, {
          run: noted(({ args }) => args[0] ?? "", real.run),
          script: noted(({ name }) => name, real.script)
        })
      })
      const workspace = yield* Effect.map(Layer.build(layerWorkspace(place, {}, noting)), Context.get(Workspace))
      const goal = newGoal()
      const { path: directory } = yield* workspace.ensure(goal)
      started.length = 0
      const { id } = yield* workspace.checkpoint(goal.id, "before turn 1")
      assert.deepStrictEqual(started.splice(0), ["checkpoint of what is the same"])
      write(directory, "a.txt", "b\n")
      yield* workspace.diffStat(goal.id, id)
      assert.deepStrictEqual(started.splice(0), ["ls-files", "index and tree"])
      yield* workspace.checkpoint(goal.id, "before turn 2")
      assert.deepStrictEqual(started, ["checkpoint of what is the same"])
    })
  )

  it.scopedLive("prepares one goal at a time, of many that start together", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository()
      const seen: Array<string> = []
      const noting = Layer.effect(
        Git,
        Effect.map(Git, ({ run, script }) => ({
          script,
          run: (call) =>
            Effect.suspend(() => {
              if (call.args.includes("worktree")) seen.push("begins")
              if (call.args.includes("read-tree") && call.args.includes("-u")) seen.push("is written")
              return run(call)
            })
        }))
      ).pipe(Layer.provideMerge(layerGit))
      const context = yield* Layer.build(WorkspaceGit.layer(place).pipe(Layer.provide(noting)))
      const workspace = Context.get(context, Workspace)
      const goals = [newGoal(), newGoal(), newGoal(), newGoal()]
      yield* Effect.forEach(goals, workspace.ensure, { concurrency: "unbounded", discard: true })
      assert.deepStrictEqual(
        seen,
        goals.flatMap(() => ["begins", "is written"])
      )
      assert.deepStrictEqual(fs.readdirSync(place.root).sort(), goals.map(({ id }) => id).sort())
    })
  )

  it.scopedLive.skipIf(!canMount)("says so when the root is read-only (needs mount)", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository()
      yield* mount(place.root, "ro,size=1m")
      const workspace = yield* start(place)
      const error = yield* Effect.flip(workspace.ensure(newGoal()))
      assert.strictEqual(error.reason, "read_only")
      assert.include(error.message, place.root)
      assert.strictEqual(git(place.repository, "for-each-ref", "refs/heads/driver", "refs/driver"), "")
    })
  )

  it.scopedLive.skipIf(!canMount)("says so when the root is full, and goes on once it is not (needs mount)", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository({ "big.bin": "x".repeat(3_000_000) })
      yield* mount(place.root, "size=2m")
      const workspace = yield* start(place)
      const goal = newGoal()
      const error = yield* Effect.flip(workspace.ensure(goal))
      assert.strictEqual(error.reason, "disk_full")
      execFileSync("mount", ["-o", "remount,size=8m", place.root])
      const { path: directory } = yield* workspace.ensure(goal)
      assert.strictEqual(git(directory, "status", "--porcelain"), "")
      assert.deepStrictEqual(fs.readdirSync(place.root), [goal.id])
    })
  )

  it.scopedLive.skipIf(process.getuid?.() !== 0)(
    "works on a repository that belongs to another user (needs root)",
    () =>
      Effect.gen(function* () {
        const place = yield* makeRepository()
        run(place.directory, "chown", "-R", "65534:65534", place.repository)
        yield* (yield* start(place)).ensure(newGoal())
      })
  )
})

describe("WorkspaceGit checkpoint", () => {
  it.scopedLive("touches neither files, index, HEAD nor branches", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world({ "a.txt": "a\n", "b.txt": "b\n", "c.txt": "c\n" })
      write(directory, "a.txt", "staged\n")
      git(directory, "add", "a.txt")
      write(directory, "a.txt", "staged and changed\n")
      fs.rmSync(path.join(directory, "b.txt"))
      write(directory, "new.txt", "n\n")
      git(directory, "add", "--intent-to-add", "new.txt")
      const before = {
        files: contents(directory),
        git: gitState(directory),
        stat: fs.statSync(path.join(directory, "a.txt")).mtimeMs
      }
      const one = yield* workspace.checkpoint(goal.id, "before\nturn 2")
      assert.strictEqual(one.label, "before turn 2")
      yield* workspace.diffStat(goal.id, one.id)
      yield* workspace.changedPaths(goal.id)
      yield* workspace.isClean(goal.id)
      yield* workspace.list
      assert.deepStrictEqual(
        {
          files: contents(directory),
          git: gitState(directory),
          stat: fs.statSync(path.join(directory, "a.txt")).mtimeMs
        },
        before
      )
      const saved = git(directory, "ls-tree", "-r", "--name-only", one.commit)
      assert.strictEqual(saved, "a.txt\nc.txt\nnew.txt")
      assert.strictEqual(git(directory, "show", `${one.commit}:a.txt`), "staged and changed")
      assert.strictEqual(git(directory, "rev-parse", `refs/driver/${goal.id}/1`), one.commit)
    })
  )

  it.scopedLive("holds names of every kind, symlinks, modes and empty files, and gives them back", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world({ "a.txt": "a\n" })
      for (const name of [
        "-rf",
        "--",
        "new\nline",
        'quo"te',
        "back\\slash",
        "tab\t",
        " space ",
        "ünï/çødé",
        ":(top)x",
        "*.txt",
        "😀"
      ]) {
        write(directory, name, `${name}\n`)
      }
      write(directory, "empty", "")
      write(directory, "bin", new Uint8Array([0, 255, 10, 13]))
      fs.writeFileSync(Buffer.concat([Buffer.from(`${directory}/latin`), Buffer.from([0xe9])]), "latin\n")
      fs.symlinkSync("/nowhere/at all", path.join(directory, "dangling"))
      fs.symlinkSync("ünï", path.join(directory, "to-directory"))
      write(directory, "run.sh", "#!/bin/sh\n")
      fs.chmodSync(path.join(directory, "run.sh"), 0o755)
      const expected = contents(directory)
      const one = yield* workspace.checkpoint(goal.id, "ähm")
      run(directory, "sh", "-c", "find . -mindepth 1 -maxdepth 1 ! -name .git -exec rm -r -- {} +")
      write(directory, "-rf/deep", "a directory now\n")
      write(directory, "bin", "b")
      yield* workspace.rollback(goal.id, one.id)
      assert.deepStrictEqual(contents(directory), expected)
      assert.strictEqual((yield* workspace.list)[0]?.checkpoints[0]?.label, "ähm")
    })
  )

  it.scopedLive("leaves ignored files out, but for those the agent tracks", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world({ ".gitignore": "*.log\nbuild/\n", "kept.log": "tracked\n" })
      const names = (commit: string) => git(directory, "ls-tree", "-r", "--name-only", commit).split("\n")
      write(directory, "x.log", "1")
      write(directory, "build/out", "1")
      assert.deepStrictEqual(names((yield* workspace.checkpoint(goal.id, "1")).commit), [".gitignore", "kept.log"])
      git(directory, "add", "--force", "build/out")
      assert.deepStrictEqual(names((yield* workspace.checkpoint(goal.id, "2")).commit), [
        ".gitignore",
        "build/out",
        "kept.log"
      ])
      write(directory, "module/x", "1")
      assert.deepStrictEqual(names((yield* workspace.checkpoint(goal.id, "3")).commit), [
        ".gitignore",
        "build/out",
        "kept.log",
        "module/x"
      ])
      write(directory, ".gitignore", "*.log\nbuild/\nmodule/\n")
      git(directory, "rm", "-q", "--cached", "build/out")
      assert.deepStrictEqual(names((yield* workspace.checkpoint(goal.id, "4")).commit), [".gitignore", "kept.log"])
      // Tracked by the agent, absent, and there again.
      git(directory, "add", "--force", "x.log")
      fs.rmSync(path.join(directory, "x.log"))
      assert.deepStrictEqual(names((yield* workspace.checkpoint(goal.id, "5")).commit), [".gitignore", "kept.log"])
      write(directory, "x.log", "again")
      assert.deepStrictEqual(names((yield* workspace.checkpoint(goal.id, "6")).commit), [
        ".gitignore",
        "kept.log",
        "x.log"
      ])
    })
  )

  it.scopedLive("numbers go on after the references were packed, and with two drivers", () =>
    Effect.gen(function* () {
      const { goal, place, workspace } = yield* world()
      const other = yield* start(place)
      assert.strictEqual((yield* workspace.checkpoint(goal.id, "a")).id, CheckpointId.make("1"))
      assert.strictEqual((yield* other.checkpoint(goal.id, "b")).id, CheckpointId.make("2"))
      git(place.repository, "pack-refs", "--all", "--prune")
      assert.strictEqual((yield* workspace.checkpoint(goal.id, "c")).id, CheckpointId.make("3"))
      assert.strictEqual((yield* other.checkpoint(goal.id, "d")).id, CheckpointId.make("4"))
      assert.deepStrictEqual(
        (yield* workspace.list)[0]?.checkpoints.map((each) => each.label),
        ["a", "b", "c", "d"]
      )
    })
  )

  it.scopedLive("records submodules and nested repositories without entering them, and gets past unusable ones", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world()
      initialise(path.join(directory, "nested"), { "n.txt": "n\n" })
      fs.mkdirSync(path.join(directory, "empty repo"))
      git(path.join(directory, "empty repo"), "init", "-q")
      write(directory, "empty repo/lost.txt", "x")
      write(directory, "plain.txt", "p\n")
      const one = yield* workspace.checkpoint(goal.id, "one")
      assert.deepStrictEqual(
        git(directory, "ls-tree", "-r", one.commit)
          .split("\n")
          .map((line) => `${line.slice(0, 6)} ${line.split("\t")[1]}`),
        ["100644 a.txt", "160000 nested", "100644 plain.txt", "100644 src/b.txt"]
      )
      assert.deepStrictEqual(yield* workspace.changedPaths(goal.id), ["empty repo", "nested", "plain.txt"])
      write(directory, "nested/uncommitted.txt", "u")
      write(directory, "plain.txt", "changed\n")
      yield* workspace.rollback(goal.id, one.id)
      assert.strictEqual(contents(directory)["plain.txt"], "p\n")
      assert.strictEqual(contents(directory)["nested/uncommitted.txt"], "u")
      assert.strictEqual(contents(directory)["empty repo/lost.txt"], "x")
    })
  )

  it.scopedLive("survives objects pruned behind its back, and a lock left by a killed git", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      write(directory, "lost.txt", "unreferenced\n")
      const one = yield* workspace.checkpoint(goal.id, "one")
      write(directory, "more.txt", "more\n")
      yield* workspace.diffStat(goal.id, one.id)
      git(place.repository, "update-ref", "-d", `refs/driver/${goal.id}/1`)
      git(place.repository, "-c", "gc.reflogExpire=now", "gc", "-q", "--prune=now")
      fs.writeFileSync(path.join(place.stateDirectory, "workspaces", goal.id, "index.lock"), "")
      write(directory, "third.txt", "3\n")
      const two = yield* workspace.checkpoint(goal.id, "two")
      assert.strictEqual(
        git(directory, "ls-tree", "--name-only", two.commit),
        "a.txt\nlost.txt\nmore.txt\nsrc\nthird.txt"
      )
      assert.strictEqual(git(directory, "show", `${two.commit}:lost.txt`), "unreferenced")
    })
  )

  it.scopedLive("is not deceived by what a driver that was killed had written down before", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      const one = yield* workspace.checkpoint(goal.id, "one")
      const notes = path.join(place.stateDirectory, "workspaces", goal.id, "snapshot.json")
      const before = fs.readFileSync(notes)
      write(directory, "new.txt", "n\n")
      yield* workspace.diffStat(goal.id, one.id)
      fs.writeFileSync(notes, before)
      const two = yield* workspace.checkpoint(goal.id, "two")
      assert.strictEqual(git(directory, "ls-tree", "--name-only", two.commit), "a.txt\nnew.txt\nsrc")
      fs.writeFileSync(notes, before.subarray(0, 10))
      assert.strictEqual((yield* workspace.diffStat(goal.id, two.id)).text, "")
    })
  )

  it.scopedLive("takes 10,000 files", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world()
      for (let index = 0; index < 10_000; index++) {
        if (index < 100) {
          fs.mkdirSync(path.join(directory, `d${index}`))
        }
        // A hundred different contents: it is the number of files that counts.
        fs.writeFileSync(path.join(directory, `d${index % 100}`, `ä${index}`), `${index % 100}\n`)
      }
      const one = yield* workspace.checkpoint(goal.id, "many")
      assert.lengthOf(git(directory, "ls-tree", "-r", "--name-only", one.commit).split("\n"), 10_002)
      write(directory, "d1/ä1", "changed\n")
      const stat = yield* workspace.diffStat(goal.id, one.id)
      assert.strictEqual(stat.text, " d1/ä1 | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)")
    })
  )

  it.scopedLive("says which goal it does not know", () =>
    Effect.gen(function* () {
      const { workspace } = yield* world()
      const error = yield* Effect.flip(workspace.checkpoint(newGoal().id, "x"))
      assert.strictEqual(error.reason, "unknown_goal")
    })
  )

  it.scopedLive("finds its way by the repository's references when the state directory was lost", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      write(directory, "x.txt", "x\n")
      const one = yield* workspace.checkpoint(goal.id, "one")
      fs.rmSync(place.stateDirectory, { recursive: true })
      const other = yield* start(place)
      assert.deepStrictEqual(
        (yield* other.list).map((entry) => entry.checkpoints),
        [[one]]
      )
      assert.strictEqual((yield* other.diffStat(goal.id, one.id)).text, "")
    })
  )
})

describe("WorkspaceGit rollback", () => {
  it.scopedLive("restores files, branch and index exactly, and can be undone", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world({
        "a.txt": "a\n",
        "d/x.txt": "x\n",
        "keep/me.txt": "k\n",
        ".gitignore": "*.log\n"
      })
      write(directory, "wip.txt", "w\n")
      const one = yield* workspace.checkpoint(goal.id, "one")
      const atOne = { files: contents(directory), head: git(directory, "rev-parse", "HEAD") }
      write(directory, "a.txt", "A\n")
      commitAll(directory)
      fs.rmSync(path.join(directory, "d"), { recursive: true })
      write(directory, "d", "a file now\n")
      write(directory, "deep/er/new.txt", "n\n")
      fs.chmodSync(path.join(directory, "keep/me.txt"), 0o755)
      git(directory, "add", "d")
      write(directory, "build.log", "ignored\n")
      const later = { files: contents(directory), head: git(directory, "rev-parse", "HEAD") }
      const undo = yield* workspace.rollback(goal.id, one.id)
      assert.strictEqual(undo.label, "before rollback to 1")
      assert.deepStrictEqual(contents(directory), { ...atOne.files, "build.log": "ignored\n" })
      assert.isFalse(fs.existsSync(path.join(directory, "deep")))
      assert.strictEqual(git(directory, "rev-parse", "HEAD"), atOne.head)
      assert.strictEqual(git(directory, "symbolic-ref", "HEAD"), `refs/heads/driver/${goal.id}`)
      assert.strictEqual(git(directory, "status", "--porcelain"), "?? wip.txt")
      yield* workspace.rollback(goal.id, undo.id)
      assert.deepStrictEqual(contents(directory), later.files)
      assert.strictEqual(git(directory, "rev-parse", "HEAD"), later.head)
    })
  )

  it.scopedLive("restores line ends and everything else byte for byte, whatever .gitattributes says", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world({
        ".gitattributes": "* text=auto eol=crlf ident\n",
        "a.txt": "a\n"
      })
      assert.strictEqual(contents(directory)["a.txt"], "a\r\n")
      assert.strictEqual(git(directory, "status", "--porcelain"), "")
      write(directory, "mixed.txt", "1\r\n2\n$Id$\n")
      const expected = contents(directory)
      const one = yield* workspace.checkpoint(goal.id, "one")
      assert.strictEqual((yield* workspace.diffStat(goal.id, one.id)).text, "")
      write(directory, "mixed.txt", "changed")
      write(directory, "a.txt", "changed")
      yield* workspace.rollback(goal.id, one.id)
      assert.deepStrictEqual(contents(directory), expected)
      assert.deepStrictEqual(yield* workspace.changedPaths(goal.id), ["mixed.txt"])
    })
  )

  it.scopedLive("handles a detached HEAD, another branch, an unborn one and a merge in progress", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world()
      const head = () =>
        `${git(directory, "rev-parse", "--symbolic-full-name", "HEAD")} ${git(directory, "rev-parse", "HEAD")}`
      const states: Array<readonly [CheckpointId, string, Record<string, string>]> = []
      const save = (label: string) =>
        Effect.map(workspace.checkpoint(goal.id, label), ({ id }) => {
          states.push([id, head(), contents(directory)])
        })
      write(directory, "one.txt", "1")
      commitAll(directory)
      yield* save("on the goal's branch")
      git(directory, "checkout", "-q", "--detach")
      write(directory, "two.txt", "2")
      commitAll(directory)
      yield* save("detached")
      git(directory, "checkout", "-q", "-b", "side")
      write(directory, "one.txt", "side")
      commitAll(directory)
      yield* save("on side")
      git(directory, "checkout", "-q", `driver/${goal.id}`)
      write(directory, "one.txt", "ours")
      commitAll(directory)
      assert.throws(() => git(directory, "merge", "side"))
      const conflicted = contents(directory)
      const merging = yield* workspace.checkpoint(goal.id, "in a merge")
      for (const [id, at, files] of [...states].reverse()) {
        yield* workspace.rollback(goal.id, id)
        assert.throws(() => git(directory, "rev-parse", "--verify", "--quiet", "MERGE_HEAD"))
        assert.strictEqual(head(), at)
        assert.deepStrictEqual(contents(directory), files)
        assert.strictEqual(git(directory, "status", "--porcelain"), "")
      }
      yield* workspace.rollback(goal.id, merging.id)
      assert.deepStrictEqual(contents(directory), conflicted)
      git(directory, "checkout", "-q", "--orphan", "unborn")
      const unborn = yield* workspace.checkpoint(goal.id, "unborn")
      write(directory, "first.txt", "f")
      commitAll(directory)
      yield* workspace.rollback(goal.id, unborn.id)
      assert.strictEqual(git(directory, "symbolic-ref", "HEAD"), "refs/heads/unborn")
      assert.strictEqual(git(directory, "for-each-ref", "refs/heads/unborn"), "")
      assert.deepStrictEqual(contents(directory), conflicted)
    })
  )

  it.scopedLive("can undo what it did to a branch that was not HEAD any more", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world()
      git(directory, "checkout", "-q", "-b", "side")
      const early = git(directory, "rev-parse", "side")
      const one = yield* workspace.checkpoint(goal.id, "on side")
      write(directory, "x.txt", "x")
      const late = commitAll(directory)
      git(directory, "checkout", "-q", `driver/${goal.id}`)
      const undo = yield* workspace.rollback(goal.id, one.id)
      assert.strictEqual(git(directory, "rev-parse", "side"), early)
      yield* workspace.rollback(goal.id, undo.id)
      assert.strictEqual(git(directory, "rev-parse", "side"), late)
      assert.strictEqual(git(directory, "symbolic-ref", "HEAD"), `refs/heads/driver/${goal.id}`)
    })
  )

  it.scopedLive("saves an ignored file that stands where the checkpoint has one, before it overwrites it", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world({ "config.json": "{}\n", "gen/x": "x\n" })
      const one = yield* workspace.checkpoint(goal.id, "one")
      fs.rmSync(path.join(directory, "config.json"))
      fs.rmSync(path.join(directory, "gen"), { recursive: true })
      write(directory, ".gitignore", "config.json\ngen\n")
      commitAll(directory)
      yield* workspace.checkpoint(goal.id, "gone")
      write(directory, "config.json", "ignored and precious")
      write(directory, "gen", "a file, ignored and precious")
      const later = contents(directory)
      const undo = yield* workspace.rollback(goal.id, one.id)
      assert.deepStrictEqual(contents(directory), { "config.json": "{}\n", "gen/x": "x\n" })
      yield* workspace.rollback(goal.id, undo.id)
      assert.deepStrictEqual(contents(directory), later)
    })
  )

  it.scopedLive("changes nothing when a directory of ignored files stands in the way", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world({ build: "a file\n" })
      const one = yield* workspace.checkpoint(goal.id, "one")
      fs.rmSync(path.join(directory, "build"))
      write(directory, ".gitignore", "build/\n")
      write(directory, "build/out", "precious")
      const later = contents(directory)
      const error = yield* Effect.flip(workspace.rollback(goal.id, one.id))
      assert.strictEqual(error.reason, "conflict")
      assert.deepStrictEqual(contents(directory), later)
    })
  )

  it.scopedLive("does not move a branch that another worktree stands on", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      git(directory, "checkout", "-q", "-b", "side")
      const one = yield* workspace.checkpoint(goal.id, "on side")
      const at = git(directory, "rev-parse", "HEAD")
      write(directory, "x.txt", "x")
      const tip = commitAll(directory)
      git(directory, "checkout", "-q", "--detach")
      git(place.repository, "worktree", "add", "-q", path.join(place.directory, "people"), "side")
      yield* workspace.rollback(goal.id, one.id)
      assert.strictEqual(git(place.repository, "rev-parse", "side"), tip)
      assert.strictEqual(git(directory, "rev-parse", "--symbolic-full-name", "HEAD"), "HEAD")
      assert.strictEqual(git(directory, "rev-parse", "HEAD"), at)
    })
  )

  it.scopedLive("moves the goal's branch itself, not one that it was made to stand for", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      const one = yield* workspace.checkpoint(goal.id, "one")
      write(directory, "x.txt", "x")
      commitAll(directory)
      git(place.repository, "branch", "victim", `driver/${goal.id}`)
      const victim = git(place.repository, "rev-parse", "victim")
      git(place.repository, "symbolic-ref", `refs/heads/driver/${goal.id}`, "refs/heads/victim")
      yield* workspace.rollback(goal.id, one.id)
      assert.strictEqual(git(place.repository, "rev-parse", "victim"), victim)
      assert.strictEqual(git(directory, "rev-parse", "HEAD"), git(place.repository, "rev-parse", "main"))
    })
  )

  it.scopedLive("refuses an id that is no checkpoint of this goal", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world()
      yield* workspace.checkpoint(goal.id, "one")
      const other = newGoal()
      yield* workspace.ensure(other)
      for (const id of [goal.id, other.id]) {
        const error = yield* Effect.flip(workspace.rollback(id, CheckpointId.make("2")))
        assert.strictEqual(error.reason, "unknown_checkpoint")
      }
      git(directory, "update-ref", `refs/driver/${goal.id}/7`, "HEAD")
      assert.strictEqual(
        (yield* Effect.flip(workspace.rollback(goal.id, CheckpointId.make("7")))).reason,
        "unknown_checkpoint"
      )
      assert.lengthOf((yield* workspace.list)[0]?.checkpoints ?? [], 1)
    })
  )

  it.scopedLive("mends a stale lock and a damaged index of the agent's", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      const one = yield* workspace.checkpoint(goal.id, "one")
      const index = path.join(place.repository, ".git", "worktrees", goal.id, "index")
      fs.writeFileSync(index, "DIRC damaged")
      fs.writeFileSync(`${index}.lock`, "")
      fs.utimesSync(`${index}.lock`, 1, 1)
      write(directory, "x.txt", "x")
      yield* workspace.rollback(goal.id, one.id)
      assert.strictEqual(git(directory, "status", "--porcelain"), "")
    })
  )
})

describe("WorkspaceGit diffStat", () => {
  it.scopedLive("counts untracked files, uncommitted changes and the agent's commits", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world({ "a.txt": "a\n", "b.txt": "1\n2\n3\n4\n5\n6\n" })
      const one = yield* workspace.checkpoint(goal.id, "one")
      const none = yield* workspace.diffStat(goal.id, one.id)
      assert.deepStrictEqual({ text: none.text, files: none.filesChanged }, { text: "", files: 0 })
      write(directory, "a.txt", "A\n")
      const tip = commitAll(directory)
      write(directory, "neu/ö.txt", "n\n")
      fs.renameSync(path.join(directory, "b.txt"), path.join(directory, "c.txt"))
      const stat = yield* workspace.diffStat(goal.id, one.id)
      assert.strictEqual(
        stat.text,
        [
          " a.txt          | 2 +-",
          " b.txt => c.txt | 0",
          " neu/ö.txt      | 1 +",
          " 3 files changed, 2 insertions(+), 1 deletion(-)",
          ` 1 commit, HEAD is ${tip.slice(0, 10)}`
        ].join("\n")
      )
      assert.strictEqual(stat.filesChanged, 3)
      assert.notStrictEqual(stat.fingerprint, none.fingerprint)
      yield* workspace.checkpoint(goal.id, "two")
      assert.deepStrictEqual(yield* workspace.diffStat(goal.id, one.id), stat)
      assert.strictEqual((yield* workspace.diffStat(goal.id, CheckpointId.make("2"))).fingerprint, stat.fingerprint)
    })
  )

  it.scopedLive("names the content: the same files give the same fingerprint", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world()
      const one = yield* workspace.checkpoint(goal.id, "one")
      const fingerprint = Effect.map(workspace.diffStat(goal.id, one.id), (stat) => stat.fingerprint)
      const first = yield* fingerprint
      write(directory, "x.txt", "x")
      const second = yield* fingerprint
      fs.rmSync(path.join(directory, "x.txt"))
      const third = yield* fingerprint
      assert.strictEqual(third, first)
      assert.notStrictEqual(second, first)
    })
  )

  it.scopedLive("stays within 1 KiB and keeps the total", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world()
      const one = yield* workspace.checkpoint(goal.id, "one")
      for (let index = 0; index < 60; index++) {
        write(directory, `ein ziemlich langer Name für eine Übung ${index}.txt`, "ä\n")
      }
      const stat = yield* workspace.diffStat(goal.id, one.id)
      assert.isAtMost(Buffer.byteLength(stat.text), 1024)
      assert.include(stat.text, "\n ...\n 60 files changed, 60 insertions(+)")
      assert.notInclude(stat.text, "\ufffd")
      assert.strictEqual(stat.filesChanged, 60)
    })
  )

  it.scopedLive("refuses an unknown checkpoint", () =>
    Effect.gen(function* () {
      const { goal, workspace } = yield* world()
      assert.strictEqual(
        (yield* Effect.flip(workspace.diffStat(goal.id, CheckpointId.make("1")))).reason,
        "unknown_checkpoint"
      )
    })
  )
})
