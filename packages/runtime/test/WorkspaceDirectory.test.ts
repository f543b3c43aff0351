import * as fs from "node:fs"
import * as path from "node:path"
import { Git } from "@driver/runtime/Git"
import { CheckpointId, Workspace } from "@driver/runtime/Workspace"
import * as WorkspaceDirectory from "@driver/runtime/WorkspaceDirectory"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import {
  contents,
  git,
  initialise,
  layerGit,
  makePlace,
  newGoal,
  type Place,
  run,
  write
} from "./support/repositories.js"

// Real processes on a machine that may be busy.
vi.setConfig({ testTimeout: 30_000 })

const layerDirectory = (place: Place, layer: Layer.Layer<Git | NodeContext.NodeContext> = layerGit) =>
  WorkspaceDirectory.layer(place).pipe(Layer.provide(layer))

const inPlace = <A, E>(use: (place: Place) => Effect.Effect<A, E, Workspace>) =>
  Effect.flatMap(makePlace, (place) => use(place).pipe(Effect.provide(layerDirectory(place))))

describe("WorkspaceDirectory", () => {
  it.scopedLive("gives the goal's own directory, and finds it again", () =>
    inPlace((place) =>
      Effect.gen(function* () {
        const workspace = yield* Workspace
        const goal = newGoal()
        const info = yield* workspace.ensure(goal)
        assert.deepStrictEqual(info, {
          goalId: goal.id,
          path: path.join(place.root, goal.id),
          branch: Option.none(),
          base: Option.none(),
          repository: Option.none(),
          reused: false
        })
        assert.deepStrictEqual(fs.readdirSync(info.path), [])
        write(info.path, "ü.txt", "ü")
        const again = yield* workspace.ensure(goal).pipe(Effect.provide(layerDirectory(place)))
        assert.deepStrictEqual(again, { ...info, reused: true })
        assert.deepStrictEqual(Object.keys(contents(info.path)), ["ü.txt"])
        const named = yield* workspace.ensure(newGoal({ workspace: "täam/./a/../one" }))
        assert.strictEqual(named.path, path.join(place.root, "täam", "one"))
      })
    )
  )

  it.scopedLive("refuses whatever leaves the root", () =>
    inPlace((place) =>
      Effect.gen(function* () {
        const workspace = yield* Workspace
        const outside = path.join(place.directory, "outside")
        fs.mkdirSync(outside)
        fs.mkdirSync(path.join(place.root, "in"), { recursive: true })
        fs.symlinkSync(outside, path.join(place.root, "link"))
        fs.symlinkSync("../..", path.join(place.root, "in", "up"))
        fs.symlinkSync(path.join(place.directory, "nowhere"), path.join(place.root, "dangling"))
        for (const wanted of [
          "..",
          "../outside",
          "a/../../outside",
          ".",
          "in/..",
          outside,
          place.root,
          "link",
          "link/deeper",
          "in/up/outside",
          "dangling",
          "nul\0byte"
        ]) {
          const error = yield* Effect.flip(workspace.ensure(newGoal({ workspace: wanted })))
          assert.strictEqual(error.reason, "outside_root", wanted)
        }
        assert.deepStrictEqual(fs.readdirSync(outside), [])
        fs.symlinkSync("in", path.join(place.root, "alias"))
        const inside = yield* workspace.ensure(newGoal({ workspace: "alias/ok" }))
        assert.strictEqual(inside.path, path.join(place.root, "in", "ok"))
      })
    )
  )

  it.scopedLive("refuses a file where a directory is needed", () =>
    inPlace((place) =>
      Effect.gen(function* () {
        const workspace = yield* Workspace
        write(place.root, "file", "")
        for (const wanted of ["file", "file/below"]) {
          assert.strictEqual((yield* Effect.flip(workspace.ensure(newGoal({ workspace: wanted })))).reason, "bad_root")
        }
        const elsewhere = WorkspaceDirectory.layer({ ...place, root: path.join(place.root, "file") }).pipe(
          Layer.provide(layerGit)
        )
        const error = yield* Effect.flatMap(Workspace, (other) => other.ensure(newGoal())).pipe(
          Effect.provide(elsewhere),
          Effect.flip
        )
        assert.strictEqual(error.reason, "bad_root")
      })
    )
  )

  it.scopedLive("makes checkpoints, tells what changed and rolls back, without leaving anything in the directory", () =>
    inPlace((place) =>
      Effect.gen(function* () {
        const workspace = yield* Workspace
        write(place.root, "project/a.txt", "a\n")
        write(place.root, "project/.gitignore", "*.log\n")
        const goal = newGoal({ workspace: "project" })
        const { path: directory } = yield* workspace.ensure(goal)
        assert.isTrue(yield* workspace.isClean(goal.id))
        const one = yield* workspace.checkpoint(goal.id, "one")
        const atOne = contents(directory)
        write(directory, "a.txt", "A\n")
        write(directory, "neu/ö.txt", "ö\r\n")
        write(directory, "x.log", "ignored")
        initialise(path.join(directory, "nested"))
        const stat = yield* workspace.diffStat(goal.id, one.id)
        assert.strictEqual(stat.filesChanged, 3)
        assert.deepStrictEqual(yield* workspace.changedPaths(goal.id), ["a.txt", "nested", "neu/ö.txt"])
        assert.include(yield* workspace.diff(goal.id, 10_000), "+A\n")
        assert.isFalse(yield* workspace.isClean(goal.id))
        run(directory, "rm", "-r", "nested")
        const later = contents(directory)
        const undo = yield* workspace.rollback(goal.id, one.id)
        assert.deepStrictEqual(contents(directory), { ...atOne, "x.log": "ignored" })
        yield* workspace.rollback(goal.id, undo.id)
        assert.deepStrictEqual(contents(directory), later)
        assert.deepStrictEqual(
          (yield* workspace.list).map((entry) => [entry.goalId, entry.undelivered, entry.checkpoints.length]),
          [[goal.id, true, 3]]
        )
        assert.strictEqual(
          (yield* Effect.flip(workspace.rollback(goal.id, CheckpointId.make("9")))).reason,
          "unknown_checkpoint"
        )
      })
    )
  )

  it.scopedLive("brings a vanished directory back from its last checkpoint", () =>
    inPlace(() =>
      Effect.gen(function* () {
        const workspace = yield* Workspace
        const goal = newGoal()
        const { path: directory } = yield* workspace.ensure(goal)
        write(directory, "a/b.txt", "b\n")
        const expected = contents(directory)
        yield* workspace.checkpoint(goal.id, "one")
        fs.rmSync(directory, { recursive: true })
        yield* workspace.ensure(goal)
        assert.deepStrictEqual(contents(directory), expected)
        assert.deepStrictEqual(yield* workspace.changedPaths(goal.id), ["a/b.txt"])
      })
    )
  )

  it.scopedLive("delivers by leaving the files, or as a patch; there is no branch to merge", () =>
    inPlace((place) =>
      Effect.gen(function* () {
        const workspace = yield* Workspace
        write(place.root, "p/a.txt", "a\n")
        const goal = newGoal({ workspace: "p" })
        const { path: directory } = yield* workspace.ensure(goal)
        const file = path.join(place.directory, "work.patch")
        yield* workspace.deliver(goal, { mode: "patch", file })
        assert.isFalse(fs.existsSync(file))
        write(directory, "a.txt", "A\n")
        yield* workspace.deliver(goal, { mode: "branch", message: "m" })
        yield* workspace.deliver(goal, { mode: "patch", file })
        const target = path.join(place.directory, "target")
        write(target, "a.txt", "a\n")
        git(target, "apply", file)
        assert.deepStrictEqual(contents(target), { "a.txt": "A\n" })
        for (const delivery of [
          { mode: "squash", message: "m" },
          { mode: "merge", target: "main", message: "m" }
        ] as const) {
          assert.strictEqual((yield* Effect.flip(workspace.deliver(goal, delivery))).reason, "not_a_repository")
        }
      })
    )
  )

  it.scopedLive("removes only what it made, and work only when forced", () =>
    inPlace((place) =>
      Effect.gen(function* () {
        const workspace = yield* Workspace
        const goal = newGoal()
        const { path: directory } = yield* workspace.ensure(goal)
        write(directory, "a.txt", "a\n")
        assert.strictEqual((yield* Effect.flip(workspace.cleanup(goal.id))).reason, "undelivered_work")
        assert.deepStrictEqual((yield* workspace.prune([goal.id])).removed, [])
        yield* workspace.cleanup(goal.id, { force: true })
        assert.isFalse(fs.existsSync(directory))
        assert.isTrue((yield* workspace.list)[0]?.undelivered)
        write(place.root, "mine/a.txt", "a\n")
        const mine = newGoal({ workspace: "mine" })
        yield* workspace.ensure(mine)
        assert.strictEqual((yield* Effect.flip(workspace.cleanup(mine.id, { force: true }))).reason, "undelivered_work")
        const pruned = yield* workspace.prune([goal.id, mine.id, newGoal().id], { force: true })
        assert.deepStrictEqual(pruned.removed, [goal.id, mine.id])
        assert.lengthOf(pruned.kept, 1)
        assert.deepStrictEqual(contents(place.root), { "mine/a.txt": "a\n" })
        assert.deepStrictEqual(fs.readdirSync(path.join(place.stateDirectory, "directories")), [])
      })
    )
  )

  it.scopedLive("works without git, but for what needs a checkpoint", () =>
    Effect.gen(function* () {
      const place = yield* makePlace
      const noGit = Git.layer({ program: path.join(place.directory, "no-such-git") }).pipe(
        Layer.provideMerge(NodeContext.layer)
      )
      yield* Effect.gen(function* () {
        const workspace = yield* Workspace
        const goal = newGoal()
        const { path: directory } = yield* workspace.ensure(goal)
        assert.isTrue(fs.existsSync(directory))
        const error = yield* Effect.flip(workspace.checkpoint(goal.id, "x"))
        assert.strictEqual(error.reason, "git_failed")
        assert.include(error.message, "install git")
        assert.strictEqual((yield* Effect.flip(workspace.changedPaths(goal.id))).reason, "git_failed")
      }).pipe(Effect.provide(layerDirectory(place, noGit)))
    })
  )

  it.scopedLive("does not know a goal it never had", () =>
    inPlace(() =>
      Effect.gen(function* () {
        const workspace = yield* Workspace
        assert.strictEqual((yield* Effect.flip(workspace.checkpoint(newGoal().id, "x"))).reason, "unknown_goal")
        assert.deepStrictEqual(yield* workspace.list, [])
      })
    )
  )
})
