/**
 * Random edits, commits, checkpoints and rollbacks on a real repository, next to a model that knows what each
 * checkpoint holds: a map from path to content, and the commit of HEAD.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { type CheckpointId, Workspace } from "@driver/runtime/Workspace"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck } from "effect"
import {
  contents,
  git,
  layerGit,
  layerGitInSteps,
  layerWorkspace,
  makeRepository,
  newGoal,
  write
} from "./support/repositories.js"

type Files = Record<string, string>

type Step =
  | { readonly kind: "write"; readonly name: string; readonly content: string }
  | { readonly kind: "remove"; readonly name: string }
  | { readonly kind: "commit" }
  | { readonly kind: "stage" }
  | { readonly kind: "detach" }
  | { readonly kind: "checkpoint" }
  | { readonly kind: "rollback"; readonly to: number }

/** Some of them exclude one another: a file and a directory of the same name. */
const names = ["a", "b", "b/c", "b/d/e", "-x", "ü/ö 1", "keep.log", "b/x.log", 'q"\n', ".gitattributes"]

const step: FastCheck.Arbitrary<Step> = FastCheck.oneof(
  {
    weight: 6,
    arbitrary: FastCheck.record({
      kind: FastCheck.constant("write" as const),
      name: FastCheck.constantFrom(...names),
      content: FastCheck.constantFrom("", "1\n", "2\r\n", "* text eol=crlf\n", "ä\0")
    })
  },
  {
    weight: 2,
    arbitrary: FastCheck.record({ kind: FastCheck.constant("remove" as const), name: FastCheck.constantFrom(...names) })
  },
  { weight: 1, arbitrary: FastCheck.constant({ kind: "commit" } as const) },
  { weight: 1, arbitrary: FastCheck.constant({ kind: "stage" } as const) },
  { weight: 1, arbitrary: FastCheck.constant({ kind: "detach" } as const) },
  { weight: 2, arbitrary: FastCheck.constant({ kind: "checkpoint" } as const) },
  { weight: 3, arbitrary: FastCheck.record({ kind: FastCheck.constant("rollback" as const), to: FastCheck.nat(20) }) }
)

const isIgnored = (name: string) => name.endsWith(".log")

const without = (files: Files, drop: (name: string) => boolean): Files =>
  Object.fromEntries(Object.entries(files).filter(([name]) => !drop(name)))

const sorted = (files: Files): Files =>
  Object.fromEntries(Object.entries(files).sort(([left], [right]) => (left < right ? -1 : 1)))

/** `ä` is two characters in `contents`, which reads bytes. */
const asBytes = (content: string) => Buffer.from(content).toString("latin1")

const head = (directory: string) =>
  `${git(directory, "rev-parse", "HEAD")} ${git(directory, "rev-parse", "--symbolic-full-name", "HEAD")}`

const play = (steps: ReadonlyArray<Step>, gitLayer: typeof layerGit) =>
  Effect.gen(function* () {
    const place = yield* makeRepository({ a: "1\n", "b/c": "2\r\n", ".gitignore": "*.log\n" })
    const goal = newGoal()
    yield* Effect.gen(function* () {
      const workspace = yield* Workspace
      const { path: directory } = yield* workspace.ensure(goal)
      let files = contents(directory)
      const saved: Array<{ readonly id: CheckpointId; readonly files: Files; readonly head: string }> = []
      const save = (id: CheckpointId, at = head(directory)) =>
        saved.push({ id, files: without(files, isIgnored), head: at })
      save((yield* workspace.checkpoint(goal.id, "start")).id)
      for (const each of steps) {
        switch (each.kind) {
          case "write": {
            const inTheWay = (name: string) => each.name.startsWith(`${name}/`) || name.startsWith(`${each.name}/`)
            for (const name of Object.keys(files).filter(inTheWay)) {
              fs.rmSync(path.join(directory, name))
            }
            for (const name of ["b/d", "b"]) {
              const file = path.join(directory, name)
              if (each.name === "b" && fs.existsSync(file) && fs.statSync(file).isDirectory()) {
                fs.rmdirSync(file)
              }
            }
            files = sorted({ ...without(files, inTheWay), [each.name]: asBytes(each.content) })
            write(directory, each.name, each.content)
            break
          }
          case "remove":
            if (Object.keys(files).some((name) => name === each.name || name.startsWith(`${each.name}/`))) {
              fs.rmSync(path.join(directory, each.name), { recursive: true })
            }
            files = without(files, (name) => name === each.name || name.startsWith(`${each.name}/`))
            break
          case "commit":
            git(directory, "add", "--all")
            git(directory, "commit", "-q", "--allow-empty", "-m", "work")
            break
          case "stage":
            git(directory, "add", "--all")
            break
          case "detach":
            git(directory, "checkout", "-q", "--detach")
            break
          case "checkpoint":
            save((yield* workspace.checkpoint(goal.id, "x")).id)
            break
          case "rollback": {
            const target = saved[each.to % saved.length]
            assert.isDefined(target)
            // A file of the checkpoint where an ignored one lies, or the reverse, is for tests of their own.
            const clash = Object.keys(files).some(
              (name) =>
                isIgnored(name) &&
                Object.keys(target.files).some((other) => other.startsWith(`${name}/`) || name.startsWith(`${other}/`))
            )
            if (clash) {
              break
            }
            const at = head(directory)
            save((yield* workspace.rollback(goal.id, target.id)).id, at)
            const ignored = without(files, (name) => !isIgnored(name))
            files = sorted({ ...target.files, ...ignored })
            assert.deepStrictEqual(contents(directory), files)
            assert.strictEqual(head(directory), target.head)
            assert.strictEqual(git(directory, "diff", "--cached", "--name-only"), "")
            assert.strictEqual((yield* workspace.diffStat(goal.id, target.id)).text, "")
            break
          }
        }
        assert.deepStrictEqual(contents(directory), files)
      }
      // Every checkpoint still holds what it held.
      for (const each of saved) {
        const listed = git(directory, "ls-tree", "-r", "-z", "--name-only", `refs/driver/${goal.id}/${each.id}`)
        assert.deepStrictEqual(listed.split("\0").slice(0, -1).sort(), Object.keys(each.files).sort())
      }
    }).pipe(Effect.provide(layerWorkspace(place, {}, gitLayer)))
  })

describe("WorkspaceGit", () => {
  for (const [how, layer] of [
    ["", layerGit],
    [", also with one git after the other", layerGitInSteps]
  ] as const) {
    it.scopedLive.prop(
      `restores every checkpoint exactly, whatever happened in between${how}`,
      [FastCheck.array(step, { minLength: 6, maxLength: 16 })],
      ([steps]) => play(steps, layer),
      { fastCheck: { numRuns: 4, endOnFailure: true } }
    )
  }
})
