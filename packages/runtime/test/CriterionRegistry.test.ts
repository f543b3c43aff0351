import * as fs from "node:fs"
import * as path from "node:path"
import type { Goal } from "@driver/domain/Goal"
import { CriterionRegistry, isBelow } from "@driver/runtime/CriterionRegistry"
import { Workspace } from "@driver/runtime/Workspace"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, FastCheck, Layer, Option } from "effect"
import { git, layerWorkspace, makeRepository, newGoal, write } from "./support/repositories.js"

/** A goal's worktree in a real repository, and what a built-in criterion says of it. */
const makeWorld = Effect.gen(function* () {
  const place = yield* makeRepository({
    "vendor/a.txt": "a long enough text\n",
    "src/b.txt": "b\n",
    ".gitignore": "dist\n"
  })
  const layer = CriterionRegistry.layer().pipe(Layer.provideMerge(layerWorkspace(place)))
  const context = yield* Layer.build(layer)
  const goal: Goal = newGoal()
  const info = yield* Effect.provide(
    Effect.flatMap(Workspace, (workspace) => workspace.ensure(goal)),
    context
  )
  const ask = (name: string, args: Record<string, unknown>) =>
    Effect.provide(
      Effect.flatMap(CriterionRegistry, (registry) =>
        Option.getOrThrow(registry.find(name))({ args, goal, workspace: info })
      ),
      context
    )
  return {
    directory: info.path,
    untouched: (...prefixes: ReadonlyArray<string>) => ask("no_paths_touched", { prefixes }),
    clean: ask("git_clean", {})
  }
})

describe("CriterionRegistry", () => {
  it.effect("knows the built-in criteria and those it was given", () =>
    Effect.gen(function* () {
      const registry = yield* CriterionRegistry
      deepStrictEqual(registry.names, ["git_clean", "mine", "no_paths_touched"])
      assert.isTrue(Option.isSome(registry.find("mine")))
      assert.isTrue(Option.isNone(registry.find("other")))
      assert.isTrue(Option.isNone(registry.find("constructor")))
    }).pipe(
      Effect.provide(
        CriterionRegistry.layer({
          mine: () => Effect.succeed({ passed: true, message: "yes", evidence: Option.none() })
        }).pipe(Layer.provide(Layer.mock(Workspace, {})))
      )
    )
  )

  it.scopedLive("no_paths_touched sees work that is committed, uncommitted and untracked", () =>
    Effect.gen(function* () {
      const { directory, untouched } = yield* makeWorld
      assert.isTrue((yield* untouched("vendor")).passed)
      write(directory, "vendor/new.txt", "new\n")
      assert.isFalse((yield* untouched("vendor")).passed)
      git(directory, "add", "--all")
      git(directory, "commit", "--quiet", "-m", "work")
      const answer = yield* untouched("vendor")
      assert.isFalse(answer.passed)
      deepStrictEqual(answer.evidence, Option.some("vendor/new.txt"))
      assert.isTrue((yield* untouched("src", "vendor/new")).passed)
    })
  )

  it.scopedLive("no_paths_touched sees both sides of a move", () =>
    Effect.gen(function* () {
      const { directory, untouched } = yield* makeWorld
      fs.renameSync(path.join(directory, "vendor/a.txt"), path.join(directory, "src/a.txt"))
      git(directory, "add", "--all")
      git(directory, "commit", "--quiet", "-m", "move")
      assert.isFalse((yield* untouched("vendor")).passed)
      assert.isFalse((yield* untouched("src")).passed)
    })
  )

  it.scopedLive("no_paths_touched sees a change that was taken back in the files but committed on the way", () =>
    Effect.gen(function* () {
      const { directory, untouched } = yield* makeWorld
      write(directory, "vendor/a.txt", "changed\n")
      git(directory, "commit", "--quiet", "--all", "-m", "change")
      write(directory, "vendor/a.txt", "a long enough text\n")
      assert.isFalse((yield* untouched("vendor")).passed)
    })
  )

  it.scopedLive("git_clean passes when everything is committed or ignored", () =>
    Effect.gen(function* () {
      const { clean, directory } = yield* makeWorld
      assert.isTrue((yield* clean).passed)
      write(directory, "dist/out.txt", "ignored\n")
      assert.isTrue((yield* clean).passed)
      write(directory, "src/new.txt", "new\n")
      assert.isFalse((yield* clean).passed)
      git(directory, "add", "--all")
      assert.isFalse((yield* clean).passed)
      git(directory, "commit", "--quiet", "-m", "work")
      assert.isTrue((yield* clean).passed)
    })
  )

  const name = FastCheck.stringMatching(/^[a-z]{1,3}$/)
  it.prop(
    "isBelow goes by whole segments",
    [FastCheck.array(name, { minLength: 1, maxLength: 4 }), FastCheck.array(name, { maxLength: 4 })],
    ([prefix, rest]) => {
      const below = prefix.join("/")
      assert.isTrue(isBelow([...prefix, ...rest].join("/"), below))
      assert.isTrue(isBelow([...prefix, ...rest].join("/"), `./${below}/`))
      assert.isFalse(isBelow([`${below}x`, ...rest].join("/"), below))
      if (prefix.length > 1) assert.isFalse(isBelow(prefix.slice(0, -1).join("/"), below))
    }
  )
})
