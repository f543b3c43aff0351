/** `driver sessions`, `worktrees`, `rollback` and `prune`, through the command tree. */
import * as GoalLock from "@driver/cli/GoalLock"
import { findGoal, shortIds } from "@driver/cli/GoalNames"
import { loadSettings } from "@driver/cli/Settings"
import { SessionId } from "@driver/domain/Binding"
import { Goal, GoalId } from "@driver/domain/Goal"
import { BindingStore } from "@driver/runtime/BindingStore"
import { GoalRow, GoalStore } from "@driver/runtime/GoalStore"
import * as JournalMemory from "@driver/runtime/JournalMemory"
import { Workspace } from "@driver/runtime/Workspace"
import * as WorkspaceMemory from "@driver/runtime/WorkspaceMemory"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import { Context, DateTime, Effect, Either, Layer, Option } from "effect"
import { runCli } from "./support/cli.js"
import { directoryWith } from "./support/files.js"
import * as TestHost from "./support/TestHost.js"

const one = GoalId.make("7c9e6679-7425-40de-944b-e07fc1f90ae7")
const other = GoalId.make("7c9e6680-0000-4000-8000-000000000001")
const third = GoalId.make("a0000000-0000-4000-8000-000000000001")

const bind = (goalId: GoalId) =>
  Effect.flatMap(BindingStore, (store) =>
    store.upsert({
      goalId,
      sessionId: SessionId.make(`session-${goalId.slice(0, 8)}`),
      model: Option.some("claude-stub-1"),
      workspace: `/workspace/${goalId}`,
      originChannel: Option.none(),
      dispatcher: Option.none()
    })
  )

const stores = Layer.mergeAll(WorkspaceMemory.layer(), BindingStore.layerMemory(), JournalMemory.layer())

/** Two goals with workspaces, one of them with two checkpoints and a binding; a third that only has a dead binding. */
const world = Effect.gen(function* () {
  const context = yield* Layer.build(stores)
  yield* Effect.gen(function* () {
    const workspace = yield* Workspace
    const store = yield* BindingStore
    for (const id of [one, other]) yield* workspace.ensure(new Goal({ id, description: "x" }))
    yield* workspace.checkpoint(one, "before turn 1")
    yield* workspace.checkpoint(one, "before turn 2")
    yield* bind(one)
    yield* bind(third)
    yield* store.markInvalid(third, "session dead")
  }).pipe(Effect.provide(context))
  const root = yield* directoryWith({ ".git/HEAD": "" })
  const state = { XDG_STATE_HOME: `${root}/state` }
  const driver = (...args: ReadonlyArray<string>) =>
    runCli(args, { directory: root, environment: state }, { goals: () => Layer.succeedContext(context) })
  // As `run` holds it while it works on the goal, in the same or another process.
  const working = (goalId: GoalId) =>
    Effect.gen(function* () {
      const { stateDirectory } = yield* loadSettings({ config: Option.none() }).pipe(
        Effect.provide(TestHost.layerWithFiles({ directory: root, environment: state }))
      )
      yield* GoalLock.acquire(stateDirectory, goalId)
    })
  return {
    working,
    driver,
    workspace: Context.get(context, Workspace),
    store: Context.get(context, BindingStore),
    goals: Context.get(context, GoalStore)
  }
}).pipe(Effect.provide(Layer.merge(NodeFileSystem.layer, NodePath.layer)))

describe("driver sessions", () => {
  it.scopedLive("shows the live bindings, and with --all the others", () =>
    Effect.gen(function* () {
      const { driver } = yield* world
      const live = yield* driver("sessions")
      assert.strictEqual(live.code, 0)
      assert.match(
        live.stdout,
        /^GOAL {6}STATE {2}ACTIVE +MODEL +SESSION +WORKSPACE\n7c9e6679 {2}live {3}\d+.* ago +claude-stub-1 {2}session-7c9e6679 {2}\/workspace\/7c9e6679-[\w-]+\n$/
      )
      assert.match((yield* driver("sessions", "--all")).stdout, /\na0000000 {2}invalid: session dead/)
    })
  )

  it.scopedLive("prints them as JSON, and an empty list as one", () =>
    Effect.gen(function* () {
      const { driver, store } = yield* world
      const [binding] = JSON.parse((yield* driver("sessions", "--json")).stdout)
      assert.strictEqual(binding.goal_id, one)
      assert.strictEqual(binding.session_id, "session-7c9e6679")
      yield* store.clear(one)
      assert.strictEqual((yield* driver("sessions", "--json")).stdout, "[]\n")
      assert.strictEqual((yield* driver("sessions")).stdout, "There are no live bindings (--all shows the others).\n")
    })
  )

  it.scopedLive("wants a repository", () =>
    Effect.gen(function* () {
      const root = yield* directoryWith({}).pipe(Effect.provide(Layer.merge(NodeFileSystem.layer, NodePath.layer)))
      const { code, stderr } = yield* runCli(["sessions"], { directory: root })
      assert.strictEqual(code, 2)
      assert.match(stderr, /^driver: .*: is not inside a git repository: go to one/)
    })
  )
})

describe("driver worktrees", () => {
  it.scopedLive("shows the workspaces and the checkpoints one can go back to", () =>
    Effect.gen(function* () {
      const { driver } = yield* world
      const { stdout } = yield* driver("worktrees")
      assert.match(stdout, /^GOAL +WORK +BRANCH +PATH\n/)
      assert.match(stdout, /\n7c9e6680 +- +driver\/7c9e6680-[\w-]+ +\/workspace\/7c9e6680/)
      assert.match(
        stdout,
        /\ncheckpoints of 7c9e6679 \(driver rollback 7c9e6679 --to <number>\)\n {4}1 {2}0000000000 .* ago {2}before turn 1\n {4}2 /
      )
      const entries: ReadonlyArray<{ goal_id: string; checkpoints: ReadonlyArray<{ id: string }> }> = JSON.parse(
        (yield* driver("worktrees", "--json")).stdout
      )
      assert.deepStrictEqual(entries.map((entry) => [entry.goal_id, entry.checkpoints.map(({ id }) => id)]).sort(), [
        [one, ["1", "2"]],
        [other, []]
      ])
    })
  )
})

describe("driver rollback", () => {
  it.scopedLive("goes back by a goal's short name and says how to undo it", () =>
    Effect.gen(function* () {
      const { driver, workspace } = yield* world
      const { code, stdout } = yield* driver("rollback", "7C9E6679", "--to", "1")
      assert.strictEqual(code, 0)
      assert.strictEqual(
        stdout,
        `The workspace of ${one} is as it was at checkpoint 1.\nTo undo this: driver rollback ${one} --to 3\n`
      )
      const [entry] = (yield* workspace.list).filter(({ goalId }) => goalId === one)
      assert.strictEqual(entry?.checkpoints.at(-1)?.label, "before rollback to 1")
      assert.deepStrictEqual(JSON.parse((yield* driver("rollback", one, "--to", "2", "--json")).stdout), {
        goal_id: one,
        rolled_back_to: "2",
        undo: "4"
      })
    })
  )

  it.scopedLive("is refused while a driver is working on the goal", () =>
    Effect.gen(function* () {
      const { driver, workspace, working } = yield* world
      yield* working(one)
      const { code, stderr } = yield* driver("rollback", "7c9e6679", "--to", "1")
      assert.strictEqual(code, 2)
      assert.match(stderr, /is being worked on by another driver/)
      assert.isTrue((yield* workspace.list).every(({ checkpoints }) => checkpoints.length !== 3))
    })
  )

  const refused: ReadonlyArray<readonly [string, string, RegExp]> = [
    ["7c9e", "1", /"7c9e" is the beginning of several goals' ids, give more of it: 7c9e6679-.*, 7c9e6680-/],
    ["ffff", "1", /There is no goal whose id begins with "ffff"/],
    ["7c9", "1", /There is no goal whose id begins with "7c9"/],
    ["7c9e6679", "9", /There is no checkpoint "9" of this goal: it has 1, 2/],
    ["7c9e6679", "HEAD", /There is no checkpoint "HEAD" of this goal/],
    ["7c9e6680", "1", /There is no checkpoint "1" of this goal: it has none/]
  ]
  for (const [goal, to, expected] of refused) {
    it.scopedLive(`refuses ${goal} --to ${to}`, () =>
      Effect.gen(function* () {
        const { driver } = yield* world
        const { code, stderr } = yield* driver("rollback", goal, "--to", to)
        assert.strictEqual(code, 2)
        assert.match(stderr, expected)
      })
    )
  }
})

describe("driver prune", () => {
  it.scopedLive("removes workspaces and bindings of all goals that have a workspace", () =>
    Effect.gen(function* () {
      const { driver, store, workspace } = yield* world
      const { code, stdout } = yield* driver("prune")
      assert.strictEqual(code, 0)
      assert.match(stdout, /^Removed 2 goals: 7c9e66\d\d, 7c9e66\d\d\n$/)
      assert.deepStrictEqual(yield* workspace.list, [])
      assert.deepStrictEqual(
        (yield* store.listAll).map(({ goalId }) => goalId),
        [third]
      )
    })
  )

  it.scopedLive("leaves alone what a driver is working on, also when it is named", () =>
    Effect.gen(function* () {
      const { driver, store, workspace, working } = yield* world
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* working(one)
          for (const args of [["prune"], ["prune", "--force", "7c9e6679"]]) {
            const { stdout } = yield* driver(...args)
            assert.match(
              stdout,
              /\nKept 7c9e6679: The goal 7c9e6679-.* is being worked on by another driver \(process \d+\)/
            )
          }
          assert.deepStrictEqual(
            (yield* workspace.list).map(({ goalId }) => goalId),
            [one]
          )
          assert.lengthOf(yield* store.listActive, 1)
        })
      )
      assert.deepStrictEqual(JSON.parse((yield* driver("prune", "7c9e6679", "--json")).stdout), {
        removed: [one],
        kept: []
      })
    })
  )

  it.scopedLive("leaves alone what has not ended, unless it is named and forced", () =>
    Effect.gen(function* () {
      const { driver, goals, store, workspace } = yield* world
      // Its driver was killed: nobody works on it.
      const goal = new Goal({ id: one, description: "x" })
      yield* goals.put(new GoalRow({ goal, state: "running", repository: "/r", submittedAt: yield* DateTime.now }))
      for (const args of [
        ["prune", "--force"],
        ["prune", "7c9e6679"]
      ]) {
        const { code, stdout } = yield* driver(...args)
        assert.strictEqual(code, 0)
        assert.match(stdout, /Kept 7c9e66\d\d: it has not ended: `driver resume 7c9e6679-/)
        assert.isTrue((yield* workspace.list).some(({ goalId }) => goalId === one))
        assert.lengthOf(yield* store.listActive, 1)
      }
      yield* driver("prune", "7c9e6679", "--force")
      assert.deepStrictEqual(yield* workspace.list, [])
    })
  )

  it.scopedLive("removes the binding of a goal that has no workspace any more", () =>
    Effect.gen(function* () {
      const { driver, store } = yield* world
      yield* driver("prune", "a0000000")
      assert.deepStrictEqual(
        (yield* store.listAll).map(({ goalId }) => goalId),
        [one]
      )
    })
  )

  it.scopedLive("keeps the binding of what the workspace would not remove, and says why", () =>
    Effect.gen(function* () {
      const root = yield* directoryWith({ ".git/HEAD": "" }).pipe(
        Effect.provide(Layer.merge(NodeFileSystem.layer, NodePath.layer))
      )
      const seen: Array<unknown> = []
      const context = yield* Layer.build(stores)
      yield* Effect.flatMap(Context.get(context, Workspace).ensure(new Goal({ id: one, description: "x" })), () =>
        Effect.provide(bind(one), context)
      )
      const refusing = Context.add(context, Workspace, {
        ...Context.get(context, Workspace),
        prune: (ids, options) => {
          seen.push([ids, options])
          return Effect.succeed({ removed: [], kept: [{ goalId: one, reason: "it holds work nobody has" }] })
        }
      })
      const layer = { goals: () => Layer.succeedContext(refusing) }
      const { stdout } = yield* runCli(
        ["prune", "--force", "7c9e6679"],
        { directory: root, environment: { XDG_STATE_HOME: `${root}/state` } },
        layer
      )
      assert.strictEqual(stdout, "Nothing was removed.\nKept 7c9e6679: it holds work nobody has\n")
      assert.deepStrictEqual(seen, [[[one], { force: true }]])
      assert.strictEqual((yield* Context.get(context, BindingStore).listAll).length, 1)
    })
  )
})

describe("findGoal", () => {
  it("takes a whole id even when it is the beginning of nothing else, and white space around it", () => {
    assert.deepStrictEqual(findGoal(` ${one} `, [one, other]), Either.right(one))
    assert.deepStrictEqual(findGoal("7c9e668", [one, other, other]), Either.right(other))
  })
})

describe("shortIds", () => {
  it("gives enough of each id to tell it from the others", () => {
    const twins = ["7c9e6679-7425-40de-944b-e07fc1f90ae7", "7c9e6679-7425-40de-944b-e07fc1f90ae8"]
    assert.deepStrictEqual([...shortIds([one, third]).values()], ["7c9e6679", "a0000000"])
    assert.deepStrictEqual([...shortIds(twins).values()], twins)
  })
})
