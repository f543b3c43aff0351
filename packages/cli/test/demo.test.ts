import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, rmSync } from "node:fs"
import { dirname } from "node:path"
import { demo } from "@driver/cli/commands/demo"
import { files, goal } from "@driver/cli/demo/sampleRepository"
import { Host } from "@driver/cli/Host"
import * as HostNode from "@driver/cli/HostNode"
import { RunError, RunGoal } from "@driver/cli/RunGoal"
import type { Settings } from "@driver/cli/Settings"
import { GoalId } from "@driver/domain/Goal"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Ref } from "effect"
import { outcome } from "./support/events.js"
import { directoryWith } from "./support/files.js"
import * as TestHost from "./support/TestHost.js"

const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)

/** What a test looks at while the sample repository is there. */
interface Seen {
  readonly settings: Settings
  readonly log: string
  readonly status: string
  readonly files: ReadonlyArray<string>
}

/** The real machine's git, a host of the test's for everything else. */
const world = Effect.gen(function* () {
  const seen = yield* Ref.make(Option.none<Seen>())
  const git = (repository: string, ...args: ReadonlyArray<string>) =>
    execFileSync("git", ["-C", repository, ...args], { encoding: "utf8" })
  const layer = (settings: Settings) =>
    Layer.succeed(RunGoal, {
      notes: Effect.succeed([]),
      run: () =>
        Effect.gen(function* () {
          const repository = Option.getOrThrow(settings.repository)
          yield* Ref.set(
            seen,
            Option.some({
              settings,
              log: git(repository, "log", "--format=%an %s", "main"),
              status: git(repository, "status", "--porcelain"),
              files: git(repository, "ls-files").trim().split("\n")
            })
          )
          return outcome()
        })
    })
  const host = Layer.effect(
    Host,
    Effect.gen(function* () {
      const real = yield* Effect.provide(Host, HostNode.layer)
      const test = yield* Host
      return { ...test, capture: real.capture, environment: { PATH: real.environment["PATH"] ?? "" } }
    })
  ).pipe(Layer.provideMerge(TestHost.layer({ directory: "/nowhere" })))
  return { seen: Effect.map(Ref.get(seen), Option.getOrThrow), layer, host: Layer.merge(host, platform) }
})

describe("driver demo", () => {
  it.live("makes a repository of its own, runs the stand-in agent on it, and removes everything", () =>
    Effect.gen(function* () {
      const { host, layer, seen } = yield* world
      const stdout = yield* Effect.zipRight(
        demo({ json: false, keep: false }, layer),
        Effect.flatMap(TestHost.Written, (written) => written.stdout)
      ).pipe(Effect.provide(host))
      const { files: tracked, log, settings, status } = yield* seen
      assert.strictEqual(log, "driver demo Greet people\n")
      assert.strictEqual(status, "")
      assert.sameMembers(tracked as Array<string>, Object.keys(files))
      assert.strictEqual(settings.agent.kind, "stub")
      assert.match(Option.getOrThrow(settings.agent.scenario), /demo\.yaml$/)
      assert.isTrue(existsSync(Option.getOrThrow(settings.agent.scenario)))
      const repository = Option.getOrThrow(settings.repository)
      for (const path of [settings.stateDirectory, settings.worktreeRoot]) assert.isFalse(path.startsWith(repository))
      assert.isFalse(existsSync(repository))
      assert.match(
        stdout,
        /^A sample repository in .*, the stand-in agent, no keys, no network\.\n[\s\S]*✓ accepted[\s\S]*removed again/
      )
    })
  )

  it.live("leaves the repository with --keep, and prints only the outcome with --json", () =>
    Effect.gen(function* () {
      const { host, layer, seen } = yield* world
      const stdout = yield* Effect.zipRight(
        demo({ json: true, keep: true }, layer),
        Effect.flatMap(TestHost.Written, (written) => written.stdout)
      ).pipe(Effect.provide(host))
      assert.deepInclude(JSON.parse(stdout), { total_turns: 2 })
      const repository = Option.getOrThrow((yield* seen).settings.repository)
      assert.strictEqual(readFileSync(`${repository}/greet.js`, "utf8"), files["greet.js"])
      rmSync(dirname(repository), { recursive: true })
    })
  )

  it.live("removes the repository also when the run fails", () =>
    Effect.gen(function* () {
      const { host, seen, layer } = yield* world
      const failing = (settings: Settings) =>
        Layer.effect(
          RunGoal,
          Effect.map(Effect.provide(RunGoal, layer(settings)), (service) => ({
            notes: Effect.succeed([]),
            run: (...args: Parameters<typeof service.run>) =>
              Effect.zipRight(service.run(...args), new RunError({ detail: "no" }))
          }))
        )
      const exit = yield* Effect.exit(demo({ json: false, keep: false }, failing)).pipe(Effect.provide(host))
      assert.isTrue(Exit.isFailure(exit))
      assert.isFalse(existsSync(Option.getOrThrow((yield* seen).settings.repository)))
    })
  )

  it.scopedLive("has a sample that is wrong at first, half right after the half, and right in the end", () =>
    Effect.gen(function* () {
      const root = yield* directoryWith({ ...files })
      const test = (greet: string) => {
        execFileSync("sh", ["-c", 'printf "%s" "$1" > greet.js', "sh", greet], { cwd: root })
        try {
          execFileSync(process.execPath, ["test.js"], { cwd: root, stdio: "pipe" })
          return 0
        } catch (error) {
          return error instanceof Error && "status" in error ? error.status : error
        }
      }
      assert.strictEqual(test(files["greet.js"] ?? ""), 1)
      assert.strictEqual(test("export const greet = (name) => `Hello, ${name}!`"), 1)
      assert.strictEqual(test('export const greet = (name) => `Hello, ${name === "" ? "stranger" : name}!`'), 0)
      const [shell, file] = goal(GoalId.make("7c9e6679-7425-40de-944b-e07fc1f90ae7")).acceptance
      assert.deepInclude(shell, { _tag: "Shell", command: "node test.js" })
      assert.deepInclude(file, { _tag: "FileMatches", path: "README.md", regex: "(?i)usage" })
      assert.notMatch(files["README.md"] ?? "", /usage/i)
    }).pipe(Effect.provide(platform))
  )
})
