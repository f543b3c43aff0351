import * as fs from "node:fs"
import * as path from "node:path"
import { CheckpointId } from "@driver/runtime/Workspace"
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Option } from "effect"
import { commitAll, contents, git, initialise, newGoal, world, write } from "./support/repositories.js"

// Real processes on a machine that may be busy.
vi.setConfig({ testTimeout: 30_000 })

describe("WorkspaceGit compared with the base", () => {
  it.scopedLive("lists what was committed, also when it was taken back, and what was not", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world({ "a.txt": "a\n", "b.txt": "b\n" })
      assert.isTrue(yield* workspace.isClean(goal.id))
      assert.deepStrictEqual(yield* workspace.changedPaths(goal.id), [])
      write(directory, "secret/s.txt", "s\n")
      commitAll(directory)
      assert.isTrue(yield* workspace.isClean(goal.id))
      fs.rmSync(path.join(directory, "secret"), { recursive: true })
      write(directory, "b.txt", "B\n")
      write(directory, "ü.txt", "ü\n")
      assert.isFalse(yield* workspace.isClean(goal.id))
      assert.deepStrictEqual(yield* workspace.changedPaths(goal.id), ["b.txt", "secret/s.txt", "ü.txt"])
      const diff = yield* workspace.diff(goal.id, 10_000)
      assert.include(diff, "+++ b/ü.txt\n@@ -0,0 +1 @@\n+ü\n")
      assert.include(diff, "-b\n+B\n")
      const bytes = Buffer.from(diff)
      const umlaut = bytes.indexOf("ü.txt")
      const cut = yield* workspace.diff(goal.id, umlaut + 1)
      assert.strictEqual(cut, bytes.subarray(0, umlaut).toString())
    })
  )

  it.scopedLive("does not let .gitattributes hide a text as binary", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world()
      write(directory, ".gitattributes", "* binary\n")
      write(directory, "a.txt", "cheat\n")
      assert.include(yield* workspace.diff(goal.id, 10_000), "+cheat")
    })
  )

  it.scopedLive("is not clean with something staged, even when the file is as before", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world()
      write(directory, "a.txt", "staged\n")
      git(directory, "add", "a.txt")
      write(directory, "a.txt", "a\n")
      assert.isFalse(yield* workspace.isClean(goal.id))
      git(directory, "reset", "-q")
      assert.isTrue(yield* workspace.isClean(goal.id))
    })
  )
})

describe("WorkspaceGit deliver", () => {
  it.scopedLive("leaves the accepted tree on the branch, with what was uncommitted", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world({
        ".gitignore": "*.log\n",
        "crlf.txt": "1\n",
        ".gitattributes": "crlf.txt eol=crlf\n"
      })
      write(directory, "one.txt", "1\n")
      const tip = commitAll(directory)
      write(directory, "zwei.txt", "2\n")
      write(directory, "crlf.txt", "1\r\n2\r\n")
      write(directory, "x.log", "ignored")
      const delivered = yield* workspace.deliver(goal, { mode: "branch", message: "Grüße\n\nMit Körper" })
      const commit = Option.getOrThrow(delivered.commit)
      assert.strictEqual(git(directory, "rev-parse", `driver/${goal.id}`), commit)
      assert.strictEqual(git(directory, "rev-parse", `${commit}^`), tip)
      assert.strictEqual(git(directory, "log", "-1", "--format=%an %B", commit), "driver Grüße\n\nMit Körper\n")
      assert.strictEqual(
        git(directory, "ls-tree", "-r", "--name-only", commit),
        ".gitattributes\n.gitignore\ncrlf.txt\none.txt\nzwei.txt"
      )
      assert.strictEqual(git(directory, "cat-file", "blob", `${commit}:crlf.txt`), "1\n2")
      assert.strictEqual(git(directory, "status", "--porcelain"), "")
      assert.isTrue(yield* workspace.isClean(goal.id))
      const again = yield* workspace.deliver(goal, { mode: "branch", message: "x" })
      assert.deepStrictEqual(again.commit, delivered.commit)
    })
  )

  it.scopedLive("puts a detached HEAD's work on the branch, and leaves nested repositories out", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world()
      git(directory, "checkout", "-q", "--detach")
      write(directory, "one.txt", "1\n")
      commitAll(directory)
      initialise(path.join(directory, "nested"))
      write(directory, "two.txt", "2\n")
      const delivered = yield* workspace.deliver(goal, { mode: "branch", message: "m" })
      assert.strictEqual(git(directory, "symbolic-ref", "--short", "HEAD"), `driver/${goal.id}`)
      assert.deepStrictEqual(
        git(directory, "ls-tree", "--name-only", Option.getOrThrow(delivered.commit)),
        "a.txt\none.txt\nsrc\ntwo.txt"
      )
    })
  )

  it.scopedLive(
    "leaves files under a filter as they are stored when the agent's git finds them unchanged, and refuses changed ones",
    () =>
      Effect.gen(function* () {
        const { directory, goal, place, workspace } = yield* world({
          ".gitattributes": "*.up filter=up\n",
          "x.up": "STORED\n"
        })
        assert.strictEqual(contents(directory)["x.up"], "STORED\n")
        git(place.repository, "config", "filter.up.clean", "tr a-z A-Z")
        git(place.repository, "config", "filter.up.smudge", "tr A-Z a-z")
        fs.rmSync(path.join(directory, "x.up"))
        git(directory, "checkout", "-q", "--", "x.up")
        assert.strictEqual(contents(directory)["x.up"], "stored\n")
        // Older than the index, so that git need not read it again to know that it is unchanged.
        const settle = () => {
          fs.utimesSync(path.join(directory, "x.up"), 1_000_000_000, 1_000_000_000)
          git(directory, "status")
        }
        settle()
        write(directory, "other.txt", "o\n")
        const delivered = yield* workspace.deliver(goal, { mode: "branch", message: "m" })
        const commit = Option.getOrThrow(delivered.commit)
        assert.strictEqual(git(directory, "diff", "--name-only", `${commit}^`, commit), "other.txt")
        assert.strictEqual(git(directory, "status", "--porcelain"), "")
        write(directory, "x.up", "changed\n")
        const error = yield* Effect.flip(workspace.deliver(goal, { mode: "branch", message: "m" }))
        assert.strictEqual(error.reason, "conflict")
        assert.include(error.detail, "x.up")
        commitAll(directory)
        settle()
        yield* workspace.deliver(goal, { mode: "branch", message: "m" })
        assert.strictEqual(git(directory, "cat-file", "blob", "HEAD:x.up"), "CHANGED")
      })
  )

  it.scopedLive("squashes to one commit on the base, which a rollback undoes", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world()
      write(directory, "one.txt", "1\n")
      commitAll(directory)
      write(directory, "two.txt", "2\n")
      const tip = commitAll(directory)
      write(directory, "three.txt", "3\n")
      const files = contents(directory)
      const delivered = yield* workspace.deliver(goal, { mode: "squash", message: "All of it" })
      assert.strictEqual(git(directory, "log", "--format=%s", `main..driver/${goal.id}`), "All of it")
      assert.strictEqual(git(directory, "rev-parse", "HEAD"), Option.getOrThrow(delivered.commit))
      assert.strictEqual(git(directory, "status", "--porcelain"), "")
      assert.deepStrictEqual(contents(directory), files)
      const before = (yield* workspace.list)[0]?.checkpoints.at(-1)
      yield* workspace.rollback(goal.id, before?.id ?? CheckpointId.make("99"))
      assert.strictEqual(git(directory, "rev-parse", "HEAD"), tip)
      assert.strictEqual(git(directory, "status", "--porcelain"), "?? three.txt")
      const untouched = newGoal()
      yield* workspace.ensure(untouched)
      const nothing = yield* workspace.deliver(untouched, { mode: "squash", message: "x" })
      assert.isTrue(Option.isNone(nothing.commit))
    })
  )

  it.scopedLive("writes a patch that git takes, binary files and renames included", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world({ "a.txt": "1\n2\n3\n4\n", "gone.txt": "g\n" })
      write(directory, "bild.bin", new Uint8Array([0, 1, 2, 255]))
      fs.renameSync(path.join(directory, "a.txt"), path.join(directory, "ä b.txt"))
      commitAll(directory)
      fs.rmSync(path.join(directory, "gone.txt"))
      const tip = git(directory, "rev-parse", `driver/${goal.id}`)
      const file = path.join(place.directory, "aus gabe", "work.patch")
      const delivered = yield* workspace.deliver(goal, { mode: "patch", file })
      assert.include(delivered.summary, file)
      assert.strictEqual(git(directory, "rev-parse", `driver/${goal.id}`), tip)
      git(place.repository, "am", "--quiet", file)
      assert.deepStrictEqual(contents(place.repository), contents(directory))
      assert.strictEqual(git(place.repository, "log", "-1", "--format=%s"), "Grüße sagen")
    })
  )

  it.scopedLive("writes no patch when there is nothing to tell", () =>
    Effect.gen(function* () {
      const { goal, place, workspace } = yield* world()
      const file = path.join(place.directory, "work.patch")
      yield* workspace.deliver(goal, { mode: "patch", file })
      assert.isFalse(fs.existsSync(file))
    })
  )

  it.scopedLive("merges: forward, with a merge commit, and into a branch that is checked out and clean", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      git(place.repository, "branch", "other")
      write(directory, "one.txt", "1\n")
      const forward = yield* workspace.deliver(goal, { mode: "merge", target: "other", message: "m" })
      assert.strictEqual(git(place.repository, "rev-parse", "other"), git(directory, "rev-parse", "HEAD"))
      assert.deepStrictEqual(forward.commit, Option.some(git(directory, "rev-parse", "HEAD")))
      write(place.repository, "main.txt", "m\n")
      commitAll(place.repository, "main goes on")
      write(place.repository, "untracked.txt", "u\n")
      const merged = yield* workspace.deliver(goal, { mode: "merge", target: "main", message: "Füge zusammen" })
      assert.strictEqual(
        git(place.repository, "log", "-1", "--format=%s|%P"),
        `Füge zusammen|${git(place.repository, "rev-parse", "main^1")} ${git(directory, "rev-parse", "HEAD")}`
      )
      assert.deepStrictEqual(merged.commit, Option.some(git(place.repository, "rev-parse", "main")))
      assert.deepStrictEqual(Object.keys(contents(place.repository)), [
        "a.txt",
        "main.txt",
        "one.txt",
        "src/b.txt",
        "untracked.txt"
      ])
      assert.strictEqual(git(place.repository, "status", "--porcelain"), "?? untracked.txt")
      const again = yield* workspace.deliver(goal, { mode: "merge", target: "main", message: "x" })
      assert.deepStrictEqual(again.commit, merged.commit)
    })
  )

  it.scopedLive("changes nothing when a merge conflicts, the target is dirty, in a merge, in the way, or absent", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      write(directory, "a.txt", "ours\n")
      write(directory, "new.txt", "new\n")
      const state = () => [
        git(place.repository, "for-each-ref", "refs/heads"),
        git(place.repository, "status", "--porcelain=v2", "--branch"),
        git(directory, "status", "--porcelain=v2", "--branch"),
        JSON.stringify(contents(place.repository)),
        JSON.stringify(contents(directory))
      ]
      const refused = (target: string) =>
        Effect.gen(function* () {
          const before = state()
          const error = yield* Effect.flip(workspace.deliver(goal, { mode: "merge", target, message: "m" }))
          assert.deepStrictEqual(state(), before)
          return error
        })
      write(place.repository, "src/b.txt", "dirty\n")
      const dirty = yield* refused("main")
      assert.strictEqual(dirty.reason, "conflict")
      assert.include(dirty.detail, "uncommitted changes")
      git(place.repository, "checkout", "-q", "--", ".")
      write(place.repository, "new.txt", "mine\n")
      assert.include((yield* refused("main")).detail, "in the way")
      fs.rmSync(path.join(place.repository, "new.txt"))
      fs.writeFileSync(
        path.join(place.repository, ".git", "MERGE_HEAD"),
        `${git(place.repository, "rev-parse", "HEAD")}\n`
      )
      assert.include((yield* refused("main")).detail, "merge or rebase")
      fs.rmSync(path.join(place.repository, ".git", "MERGE_HEAD"))
      write(place.repository, "a.txt", "theirs\n")
      commitAll(place.repository)
      const conflict = yield* refused("main")
      assert.strictEqual(conflict.reason, "conflict")
      assert.include(conflict.detail, "a.txt")
      assert.strictEqual((yield* refused("nowhere")).reason, "base_not_found")
    })
  )
})

describe("WorkspaceGit cleanup, list and prune", () => {
  it.scopedLive(
    "removes a clean directory and keeps the branch; a dirty one only when forced, and ensure brings it back",
    () =>
      Effect.gen(function* () {
        const { directory, goal, place, workspace } = yield* world()
        write(directory, "one.txt", "1\n")
        const error = yield* Effect.flip(workspace.cleanup(goal.id))
        assert.strictEqual(error.reason, "undelivered_work")
        assert.include(error.detail, "one.txt")
        const tip = commitAll(directory)
        write(directory, "one.txt", "2\n")
        const expected = contents(directory)
        yield* workspace.cleanup(goal.id, { force: true })
        assert.isFalse(fs.existsSync(directory))
        assert.lengthOf(git(place.repository, "worktree", "list").split("\n"), 1)
        assert.strictEqual(git(place.repository, "rev-parse", `driver/${goal.id}`), tip)
        yield* workspace.cleanup(goal.id)
        yield* workspace.ensure(goal)
        assert.deepStrictEqual(contents(directory), expected)
        git(directory, "checkout", "-q", "--", ".")
        yield* workspace.cleanup(goal.id)
        assert.isFalse(fs.existsSync(directory))
      })
  )

  it.scopedLive("does not remove commits that are on no branch, unless forced", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world()
      git(directory, "checkout", "-q", "--detach")
      write(directory, "one.txt", "1\n")
      commitAll(directory)
      assert.strictEqual((yield* Effect.flip(workspace.cleanup(goal.id))).reason, "undelivered_work")
      yield* workspace.cleanup(goal.id, { force: true })
    })
  )

  it.scopedLive("lists each goal with its checkpoints and whether its work is elsewhere", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      const idle = newGoal()
      yield* workspace.ensure(idle)
      yield* workspace.checkpoint(goal.id, "one")
      const undelivered = Effect.map(workspace.list, (entries) => entries.map((entry) => entry.undelivered))
      assert.deepStrictEqual(yield* undelivered, [false, false])
      write(directory, "one.txt", "1\n")
      assert.deepStrictEqual(yield* undelivered, [true, false])
      commitAll(directory)
      assert.deepStrictEqual(yield* undelivered, [true, false])
      fs.rmSync(directory, { recursive: true })
      assert.deepStrictEqual(yield* undelivered, [true, false])
      git(place.repository, "merge", "-q", "--squash", `driver/${goal.id}`)
      commitAll(place.repository, "squashed by a person")
      assert.deepStrictEqual(yield* undelivered, [false, false])
    })
  )

  it.scopedLive("prunes what was delivered, vanished directories too, and keeps the rest unless forced", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      const [idle, vanished, unknown] = [newGoal(), newGoal(), newGoal()]
      yield* workspace.ensure(idle)
      fs.mkdirSync(path.join(place.root, idle.id, "ro"), { mode: 0o555 })
      const { path: gone } = yield* workspace.ensure(vanished)
      yield* workspace.checkpoint(vanished.id, "one")
      fs.rmSync(gone, { recursive: true })
      write(directory, "one.txt", "1\n")
      const ids = [goal.id, idle.id, vanished.id, unknown.id]
      const result = yield* workspace.prune(ids)
      assert.deepStrictEqual(result.removed, [idle.id, vanished.id])
      assert.deepStrictEqual(
        result.kept.map((each) => each.goalId),
        [goal.id, unknown.id]
      )
      assert.deepStrictEqual(fs.readdirSync(place.root), [goal.id])
      assert.deepStrictEqual(fs.readdirSync(path.join(place.stateDirectory, "workspaces")), [goal.id])
      assert.strictEqual(
        git(place.repository, "for-each-ref", "--format=%(refname)", "refs/driver", "refs/heads/driver"),
        `refs/driver/${goal.id}/base\nrefs/heads/driver/${goal.id}`
      )
      assert.lengthOf(git(place.repository, "worktree", "list").split("\n"), 2)
      assert.deepStrictEqual((yield* workspace.prune([goal.id], { force: true })).removed, [goal.id])
      assert.strictEqual(git(place.repository, "for-each-ref", "refs/driver", "refs/heads/driver"), "")
      assert.deepStrictEqual(fs.readdirSync(place.root), [])
      assert.deepStrictEqual(yield* workspace.list, [])
    })
  )

  it.scopedLive("does not fail over a repository that is gone, and prunes its goals only when forced", () =>
    Effect.gen(function* () {
      const { directory, goal, place, workspace } = yield* world()
      fs.renameSync(place.repository, `${place.repository}.gone`)
      assert.deepStrictEqual(
        (yield* workspace.list).map((entry) => [entry.goalId, entry.undelivered]),
        [[goal.id, true]]
      )
      assert.strictEqual((yield* Effect.flip(workspace.checkpoint(goal.id, "x"))).reason, "io_failed")
      const kept = yield* workspace.prune([goal.id])
      assert.include(kept.kept[0]?.reason, place.repository)
      assert.deepStrictEqual((yield* workspace.prune([goal.id], { force: true })).removed, [goal.id])
      assert.isFalse(fs.existsSync(directory))
      assert.deepStrictEqual(yield* workspace.list, [])
    })
  )

  it.scopedLive("does not prune work that was in a vanished directory and only a checkpoint has", () =>
    Effect.gen(function* () {
      const { directory, goal, workspace } = yield* world()
      write(directory, "one.txt", "1\n")
      yield* workspace.checkpoint(goal.id, "one")
      fs.rmSync(directory, { recursive: true })
      assert.deepStrictEqual((yield* workspace.prune([goal.id])).removed, [])
    })
  )
})
